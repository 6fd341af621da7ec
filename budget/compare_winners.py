"""Who wins and who loses by a reform: hospitals by gain, in tenths by rate of gain, and how concentrated it all is.

Measured after clearing where the year is cleared, else by the fund's part as priced. Lorenz curve and Gini coefficient
as usual: of the hospitals with a gain (with a loss), the smallest first; Gini = sum (2 i - n - 1) x_i / (n sum x_i).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl

from budget.compare_frames import DECILES_SCHEMA, LORENZ_SCHEMA, WINNERS_SCHEMA, rate_of, rounded

TENTHS = 10


def winners(gain: pl.DataFrame, names: Mapping[str, str], tiers: Mapping[str, str]) -> pl.DataFrame:
    """WINNERS_SCHEMA of a GAIN frame, the largest gain first, equal ones by id; `names`, `tiers` by hospital."""
    rows = []
    for row in gain.filter(pl.col("dimension") == "hospital").iter_rows(named=True):
        found: dict[str, Any] = {"hospital": row["key"], "name": names.get(row["key"], row["label"])}
        found |= {"tier": tiers.get(row["key"], ""), "cases": row["cases"]}
        for what in ("fund", "cleared"):
            before, after = row[f"{what}_before_fen"], row[f"{what}_after_fen"]
            known = before is not None and after is not None
            found |= {f"{what}_before_fen": before, f"{what}_after_fen": after}
            found[f"{what}_gain_fen"] = after - before if known else None
            found[f"{what}_rate"] = rate_of(after - before, before) if known else None
        measure = _measure(found)
        found["gain_fen"], found["rate"] = found[f"{measure}_gain_fen"], found[f"{measure}_rate"]
        found["outcome"] = "gain" if found["gain_fen"] > 0 else "loss" if found["gain_fen"] < 0 else "same"
        rows.append(found)
    rows.sort(key=lambda row: (-row["gain_fen"], row["hospital"]))
    return pl.DataFrame(rows, schema=WINNERS_SCHEMA, orient="row")


def deciles(won: pl.DataFrame) -> pl.DataFrame:
    """DECILES_SCHEMA of WINNERS; a hospital that had nothing, or less, before has no rate and is left out."""
    rows = []
    for stage, hospitals in _stages(won):
        rated = sorted(
            (row for row in hospitals if row["before"] > 0),
            key=lambda row: (Fraction(row["after"] - row["before"], row["before"]), row["hospital"]),
        )
        parts: dict[int, list[dict[str, Any]]] = {}
        for at, row in enumerate(rated):
            parts.setdefault(at * TENTHS // len(rated) + 1, []).append(row)
        for decile, members in parts.items():
            sums = {name: sum(row[name] for row in members) for name in ("cases", "before", "after")}
            rates = [rate_of(row["after"] - row["before"], row["before"]) for row in members]
            rows.append({
                "stage": stage, "decile": decile, "hospitals": len(members), "cases": sums["cases"],
                "low_rate": rates[0], "high_rate": rates[-1],
                "rate": rate_of(sums["after"] - sums["before"], sums["before"]),
                "before_fen": sums["before"], "after_fen": sums["after"],
            })  # fmt: skip
    return pl.DataFrame(rows, schema=DECILES_SCHEMA, orient="row")


def lorenz(won: pl.DataFrame) -> pl.DataFrame:
    """LORENZ_SCHEMA of WINNERS; no rows for what nobody has."""
    rows: list[dict[str, Any]] = []
    for stage, hospitals in _stages(won):
        gained = [row["after"] - row["before"] for row in hospitals]
        sides = {"gained": [fen for fen in gained if fen > 0], "lost": [-fen for fen in gained if fen < 0]}
        for side, amounts in sides.items():
            if amounts:
                rows += _curve(stage, side, sorted(amounts))
    return pl.DataFrame(rows, schema=LORENZ_SCHEMA, orient="row")


def _curve(stage: str, side: str, amounts: list[int]) -> Iterator[dict[str, Any]]:
    """The curve's points for amounts in rising order, from (0, 0) to (1, 1)."""
    total, upto = sum(amounts), 0
    of_side = {"stage": stage, "side": side, "total_fen": total, "gini": gini(amounts)}
    for place in range(len(amounts) + 1):
        upto += amounts[place - 1] if place else 0
        shares = rounded(Fraction(place, len(amounts))), rounded(Fraction(upto, total))
        yield {**of_side, "place": place, "hospitals_share": shares[0], "amount_share": shares[1]}


def _stages(won: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each stage that is known with its hospitals: hospital, cases, before, after."""
    for stage in ("fund", "cleared"):
        before, after = f"{stage}_before_fen", f"{stage}_after_fen"
        if won.height and not won[after].null_count():
            names = [pl.col(before).alias("before"), pl.col(after).alias("after")]
            yield stage, list(won.select("hospital", "cases", *names).iter_rows(named=True))


def gini(amounts: list[int]) -> Decimal:
    """The Gini coefficient of amounts in rising order, not all 0."""
    count = len(amounts)
    weighted = sum((2 * at - count - 1) * amount for at, amount in enumerate(amounts, 1))
    return rounded(Fraction(weighted, count * sum(amounts)))


def _measure(row: Mapping[str, Any]) -> str:
    """What a hospital's gain is measured by."""
    return "fund" if row["cleared_gain_fen"] is None else "cleared"
