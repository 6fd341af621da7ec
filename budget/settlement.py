"""Monthly settlement (月度结算): what each hospital is due, what of it is paid now, held as deposit or left for later.

One row per hospital and pool. What is due of the month's cases and of corrections goes on top of what is still owed;
in a month of payment the policy's shares of that are paid and held. A negative sum is carried on, never collected by a
payment of its own. Source: service agreements on monthly or quarterly payment and quality deposits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl

from budget.frames import CASE_KIND_ZH
from budget.ledger import AMOUNT_SCHEMA
from budget.money import decimal_text, round_half_up
from budget.pools import MERGED
from budget.prepay import instalment
from budget.pricing import PricedCases
from reference_tables.policy import Policy
from reference_tables.problems import Problem

COMMAND = "settle"
QUARTER_ENDS = ("03", "06", "09", "12")
POINT_PLACES = 4
OWNER = ["hospital_id", "pool"]

DIFFERENCE_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "pool": pl.String(),
    "from_run": pl.String(),
    "amount_fen": pl.Int64(),
}
"""What corrections move: fen by hospital, pool and the run whose postings they supersede."""

MONTH_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "pool": pl.String(),
    "cases": pl.Int64(),
    "points": pl.String(),
    "cost_fen": pl.Int64(),
    "package_fen": pl.Int64(),
    "due_fen": pl.Int64(),
    "corrections_fen": pl.Int64(),
    "carried_in_fen": pl.Int64(),
    "basis_fen": pl.Int64(),
    "paid_fen": pl.Int64(),
    "held_fen": pl.Int64(),
    "deferred_fen": pl.Int64(),
    "carried_out_fen": pl.Int64(),
}
"""The monthly statement. `due_fen` the fund's part of the month's cases at the budget point value or rate; basis =
carried_in + due + corrections = paid + held + deferred + carried_out. `held` is deposit, `deferred` stays till
clearing, `points` exact, shown with four decimals."""

KIND_SCHEMA: dict[str, pl.DataType] = {
    "hospital_id": pl.String(),
    "pool": pl.String(),
    "case_kind": pl.String(),
    "cases": pl.Int64(),
    "cost_fen": pl.Int64(),
    "package_fen": pl.Int64(),
    "fund_fen": pl.Int64(),
}
"""The month's cases by kind (CASE_KIND_ZH)."""


@dataclass(frozen=True, slots=True)
class PayShares:
    """Shares of what is due in a period: `paid` now, `held` as deposit; None = all that is not paid."""

    paid: Fraction
    held: Fraction | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What is due in a period, split: fen paid, held as deposit, deferred till clearing."""

    paid: int
    held: int
    deferred: int


def split_due(due: int, shares: PayShares) -> Parts:
    """Split what is due (fen). Paid and held are each rounded half up; together they never exceed it. Nothing is paid
    or held of an amount that is not positive."""
    if due <= 0:
        return Parts(0, 0, 0)
    first = instalment(due, shares.paid)
    if shares.held is None or shares.held + shares.paid == 1:
        return Parts(first.paid, first.held, 0)
    held = min(round_half_up(due * shares.held), first.held)
    return Parts(first.paid, held, first.held - held)


def pool_of(policy: Policy) -> pl.Expr:
    """String: the fund pool of a case, its insurance or the one pool of all."""
    pools = policy.get("pools")
    merged = pools is not None and pools.value == "merged"
    return (pl.lit(MERGED) if merged else pl.col("insurance")).alias("pool")


def pays_in(policy: Policy, month: str, problems: list[Problem]) -> bool:
    """Is money paid in this month: every month, or at the end of a quarter? `problems` takes PL30."""
    on = first_day(month)
    period = policy.need("prepay_period", COMMAND, on=on, problems=problems)
    return period is not None and (period.value == "month" or month[5:] in QUARTER_ENDS)


def shares_of(policy: Policy, month: str, hospital: str, pool: str, problems: list[Problem]) -> PayShares | None:
    """The shares that hold for a hospital and pool; None when one is missing (PL30 in `problems`)."""
    on = first_day(month)
    scope = {"hospital": hospital} if pool == MERGED else {"hospital": hospital, "insurance": pool}
    paid = policy.need("prepay_share", COMMAND, on=on, problems=problems, **scope)
    held = policy.get("deposit_share", on, **scope)
    return None if paid is None else PayShares(paid.value, None if held is None else held.value)


def first_day(month: str) -> date:
    """The first day of a month given as 2026-03."""
    return date.fromisoformat(f"{month}-01")


def exact_points(
    priced: PricedCases, chosen: Sequence[bool] | pl.Series, pool: pl.Expr
) -> dict[tuple[str, str], Fraction]:
    """Points of the chosen cases by (hospital, pool), exact; only cases that are paid by points."""
    counted = np.asarray(chosen, np.bool_) & priced.paid_by_points
    rows = priced.frame.select("hospital_id", pool).with_columns(
        pl.Series("band", priced.band), pl.Series("cost", priced.cost)
    )
    sums = rows.filter(pl.Series(counted)).group_by("hospital_id", "pool", "band").agg(pl.len(), pl.col("cost").sum())
    found: dict[tuple[str, str], Fraction] = {}
    for hospital, name, band, count, cost in sums.iter_rows():
        line = priced.table.bands[band].points
        if line is not None:
            found[hospital, name] = found.get((hospital, name), Fraction(0)) + line.total(count, cost)
    return found


def by_kind(cases: pl.DataFrame) -> pl.DataFrame:
    """Cases (PRICED_SCHEMA with `pool`) counted and summed by hospital, pool and kind, in the order of CASE_KIND_ZH."""
    order = {kind: at for at, kind in enumerate(CASE_KIND_ZH)}
    summed = cases.group_by(*OWNER, "case_kind").agg(
        pl.len().cast(pl.Int64).alias("cases"), pl.col("cost_fen", "package_fen", "fund_fen").sum()
    )
    place = pl.col("case_kind").replace_strict(order, return_dtype=pl.Int32)
    return summed.sort(*OWNER, place).select(pl.col(name).cast(dtype) for name, dtype in KIND_SCHEMA.items())


def monthly_statement(
    cases: pl.DataFrame,
    points: Mapping[tuple[str, str], Fraction],
    differences: pl.DataFrame,
    owed: pl.DataFrame,
    shares: Callable[[str, str], PayShares | None],
    *,
    pays: bool,
) -> pl.DataFrame:
    """The statement (MONTH_SCHEMA) of one run, by hospital and pool.

    `cases`: newly accepted, PRICED_SCHEMA with `pool`, fund_fen known; `points` of them; `differences`:
    DIFFERENCE_SCHEMA; `owed`: hospital_id, pool, balance_fen still owed from before. `shares` is asked only where
    something positive is paid in this month.
    """
    new = cases.group_by(OWNER).agg(
        pl.len().cast(pl.Int64).alias("cases"),
        pl.col("cost_fen").sum(),
        pl.col("package_fen").sum(),
        pl.col("fund_fen").sum().alias("due_fen"),
    )
    moved = differences.group_by(OWNER).agg(pl.col("amount_fen").sum().alias("corrections_fen"))
    before = owed.filter(pl.col("balance_fen") != 0).select(*OWNER, pl.col("balance_fen").alias("carried_in_fen"))
    owners = pl.concat([new.select(OWNER), moved.select(OWNER), before.select(OWNER)]).unique()
    rows = owners.sort(OWNER)
    for part in (new, moved, before):
        rows = rows.join(part, on=OWNER, how="left", maintain_order="left")
    names = ("cases", "cost_fen", "package_fen", "due_fen", "corrections_fen", "carried_in_fen")
    rows = rows.with_columns(pl.col(name).fill_null(0) for name in names)
    rows = rows.with_columns(basis_fen=pl.col("carried_in_fen") + pl.col("due_fen") + pl.col("corrections_fen"))
    parts = []
    for hospital, pool, basis in rows.select(*OWNER, "basis_fen").iter_rows():
        rule = shares(hospital, pool) if pays and basis > 0 else None
        parts.append(split_due(basis, rule) if rule is not None else Parts(0, 0, 0))
    keys = list(rows.select(OWNER).iter_rows())
    rows = rows.with_columns(
        pl.Series(
            "points", [decimal_text(points.get(key, Fraction(0)), POINT_PLACES) for key in keys], dtype=pl.String
        ),
        pl.Series("paid_fen", [part.paid for part in parts], dtype=pl.Int64),
        pl.Series("held_fen", [part.held for part in parts], dtype=pl.Int64),
        pl.Series("deferred_fen", [part.deferred for part in parts], dtype=pl.Int64),
    )
    gone = pl.col("paid_fen") + pl.col("held_fen") + pl.col("deferred_fen")
    rows = rows.with_columns(carried_out_fen=pl.col("basis_fen") - gone)
    return rows.select(pl.col(name).cast(dtype) for name, dtype in MONTH_SCHEMA.items())


def amounts_of(statement: pl.DataFrame, differences: pl.DataFrame) -> pl.DataFrame:
    """What a statement posts (AMOUNT_SCHEMA): the month's cases, corrections by the run they supersede, payments."""
    events = {"due": "due_fen", "pay": "paid_fen", "hold": "held_fen", "defer": "deferred_fen"}
    parts = [
        statement.select(
            *OWNER, pl.lit(event).alias("what"), pl.col(column).alias("amount_fen"), pl.lit("").alias("supersedes")
        )
        for event, column in events.items()
    ]
    corrected = differences.group_by(*OWNER, "from_run").agg(pl.col("amount_fen").sum())
    parts.append(
        corrected.select(
            *OWNER, pl.lit("correction").alias("what"), "amount_fen", pl.col("from_run").alias("supersedes")
        )
    )
    return pl.concat(parts).select(*AMOUNT_SCHEMA)
