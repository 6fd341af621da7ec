"""How sure a simulation is: cases resampled within hospital and group, and the year cleared anew for every resample.

`budget.bootstrap` draws by what the sums of a hospital's cases in a pool move; its tally moves by that, so that the
sample itself clears exactly as the year does, and each resample goes through the policy's own clearing. A resample that
cannot be cleared, before or after the reform, counts nowhere and is told. Intervals are percentile intervals, from the
quantile 0.025 to that of 0.975 of the resamples that clear; a quantile lies at (number - 1) x q among them in order,
straight between the two next to it (type 7 of R. Hyndman, Y. Fan, Sample Quantiles, 1996). A chance is their part in
which it happens. Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from api.core.clearing import COMMAND
from api.core.simulate_stage import Stage, pools_of
from budget.bootstrap import TERMS, Floats, Ints, Owner, draw_ratios
from budget.clearing_accounts import ClearedPool, PoolClearing
from budget.compare_frames import BOOTSTRAP_SCHEMA, FAN_SCHEMA, VALUE_PLACES, rounded
from budget.compare_fund import fund_years
from budget.hospital_units import Tally
from budget.pools import pool_name
from budget.pricing import Pricer
from budget.year_terms import YearTerms
from reference_tables.problems import Problem, TablesRefused

_E6 = 10**6
_BY_COST = ("COST", "L_COST", "H_COST")
_FIXED_KINDS = ("special", "by_item", "bed_day", "single_disease")
_TOLD_BY_TRIAL = "CL30"
_QUANTILES = {"low95": 0.025, "low50": 0.25, "median": 0.5, "high50": 0.75, "high95": 0.975}
Told = Callable[[str], None]


@dataclass(frozen=True)
class Resampled:
    """One side under every resample. `ratio` [resamples, terms] by (hospital, pool): what its cases come to over what
    they come to in the sample."""

    stage: Stage
    ratio: dict[Owner, Floats]


@dataclass(frozen=True)
class Outcomes:
    """What the resamples clear to, a row of 0 for one that cannot be cleared: `hospitals` [resamples] entitlement and
    shared, `balances` [resamples] of the fund's year, fen; `values` [resamples] yuan per unit by pool. `left_out`: the
    first problem of each kind by resample that cannot be cleared."""

    hospitals: dict[str, Ints]
    balances: dict[str, Ints]
    values: dict[str, Floats]
    left_out: dict[int, tuple[Problem, ...]]


def case_terms(stage: Stage) -> pl.DataFrame:
    """What each case adds to its hospital and pool: hospital, pool, group and the TERMS, in fen, points in millionths
    of a point."""
    assert stage.clearing is not None
    given = stage.clearing.given
    priced = Pricer(stage.policy, stage.values).price(stage.cases, given.decisions)
    by_rate = stage.policy.method == "drg-rate"
    frame = priced.frame.select("case_kind", "formula", "package_fen", "fund_fen", "points")
    kind, zero = pl.col("case_kind"), pl.lit(0, dtype=pl.Int64)
    moves = pl.Series("points_paid", priced.paid_by_points)
    moving = ~pl.col("formula").is_in(list(_BY_COST)) & ~kind.is_in(list(_FIXED_KINDS)) if by_rate else pl.lit(moves)
    pools = pools_of(stage.policy, given.year)
    named = {name: pool_name(pools, name) for name in stage.policy.insurances}
    patient = stage.cases["patient_paid_fen"].fill_null(0) + stage.cases["other_funds_fen"].fill_null(0)
    billed = stage.cases["fund_by_item_fen"].fill_null(stage.cases["total_cost_fen"] - patient)
    billed -= stage.cases["separate_fen"].fill_null(0)
    units = pl.col("package_fen") if by_rate else (pl.col("points") * _E6).cast(pl.Int64).fill_null(0)
    told = frame.with_columns(
        patient.alias("patient"), billed.alias("billed"), (moving & (kind != "unpaid")).alias("m")
    )
    return told.select(
        hospital=stage.cases["hospital_id"].fill_null(""),
        pool=stage.cases["insurance"].replace_strict(named, default="", return_dtype=pl.String),
        group=stage.cases["group"].fill_null(""),
        units=pl.when("m").then(units).otherwise(zero),
        priced=pl.when("m").then("fund_fen").otherwise(zero).fill_null(0),
        patient=pl.when("m").then("patient").otherwise(zero),
        fixed=pl.when("m").then(zero).otherwise("fund_fen").fill_null(0),
        actual=pl.when(kind != "unpaid").then("billed").otherwise(zero).fill_null(0),
    )


def resample(stages: Sequence[Stage], count: int, seed: int) -> list[Resampled]:
    """Each of the stages, whose cases are the same row for row, under the same resamples."""
    found = draw_ratios([case_terms(stage) for stage in stages], count, seed)
    return [Resampled(stage, ratio) for stage, ratio in zip(stages, found, strict=True)]


def outcomes(side: Resampled, count: int, tell: Callable[[int], None]) -> Outcomes:
    """Clear the year for every resample."""
    done = side.stage.clearing
    assert done is not None
    hospitals = sorted({line.hospital for pool in done.pools for line in pool.cleared.lines})
    amounts = np.zeros((len(hospitals), count), np.int64)
    given, found = done.given, Outcomes(dict(zip(hospitals, amounts, strict=True)), {}, {}, {})
    terms = YearTerms(side.stage.policy, given.year, COMMAND)
    clearing = PoolClearing(terms, given.year_file, done.tallies, given.paid_to_pools, trial=True)
    valued = {pool.budget.pool for pool in done.pools if pool.due.value is not None}
    found.values.update((name, np.zeros(count)) for name in valued)
    for at, tallies in enumerate(_moved(done.tallies.tallies, side.ratio, count)):
        tell(at)
        this = clearing.of(tallies)
        pools = [pool for budget in done.budget.pools if (pool := this.clear(budget)) is not None]
        problems = [item for item in this.terms.problems if item.code != _TOLD_BY_TRIAL]
        problems += [Problem("SI16", {"pool": name}) for name in _without_value(pools, valued)]
        if problems:
            found.left_out[at] = tuple({item.code: item for item in reversed(problems)}.values())
            continue
        for name, year in fund_years(pools, done.budget, given.year_file, done.bundles).items():
            found.balances.setdefault(name, np.zeros(count, np.int64))[at] = year.balance
        sums = dict.fromkeys(hospitals, 0)
        for pool in pools:
            if pool.due.value is not None:
                found.values[pool.budget.pool][at] = float(pool.due.value)
            for line in pool.cleared.lines:
                sums[line.hospital] += line.received
        amounts[:, at] = list(sums.values())
    return found


def _without_value(pools: Sequence[ClearedPool], valued: set[str]) -> list[str]:
    """Pools that the sample gives a value per unit and a resample leaves without units."""
    return [pool.budget.pool for pool in pools if pool.due.value is None and pool.budget.pool in valued]


def _moved(tallies: Mapping[Owner, Tally], ratio: Mapping[Owner, Floats], count: int) -> Iterator[dict[Owner, Tally]]:
    """The tallies in one resample after the other."""
    moving = [(key, tally) for key, tally in tallies.items() if key in ratio]
    ratios = np.stack([ratio[key] for key, _ in moving], axis=1) if moving else np.ones((count, 0, len(TERMS)))
    base = np.array(
        [
            (float(item.units), item.priced_fen, item.patient_fen, item.fixed_fen, item.actual_fen)
            for _, item in moving
        ], np.float64,
    ).reshape(-1, len(TERMS))  # fmt: skip
    for at in range(count):
        sums = base * ratios[at]
        sums[:, 0] *= _E6
        found = dict(tallies)
        for (key, item), (units, priced, patient, fixed, actual) in zip(
            moving, np.rint(sums).astype(np.int64).tolist(), strict=True
        ):
            found[key] = Tally(
                item.cases, Fraction(units, _E6), patient, priced, item.quota_units, item.quota_fen,
                item.quota_patient_fen, fixed, actual,
            )  # fmt: skip
        yield found


def chances(
    before: Stage, after: Stage, count: int, seed: int, told: Told
) -> tuple[dict[str, pl.DataFrame], list[Problem]]:
    """bootstrap and fan (of the year itself) of a cleared simulation whose stages have the same cases; and what is to
    be told of resamples that could not be cleared. Raises TablesRefused (SI05) when none could."""
    told(f"重抽样 {count:,} 次")
    sides = dict(zip(("改革前", "改革后"), resample([before, after], count, seed), strict=True))
    had, has = (
        outcomes(side, count, lambda at, name=name: told(f"重抽样清算，{name}：{at + 1:,} / {count:,}"))  # type: ignore[misc]
        for name, side in sides.items()
    )
    good, problems = _cleared_in({"改革前": had, "改革后": has}, after, count)
    rows: list[dict[str, Any]] = []
    for suffix, stage, side in (("_before", before, had), ("", after, has)):
        assert stage.clearing is not None
        for pool in stage.clearing.pools:
            if pool.due.value is not None:
                name = pool.budget.pool
                rows.append(
                    _row(f"point_value{suffix}", name, name, pool.due.value, side.values[name][good], stage.price_unit)
                )
        for name, year in stage.fund_years.items():
            drawn = side.balances[name][good]
            rows.append(_row(f"balance{suffix}", name, name, Fraction(year.balance), drawn, chance=True))
    names = dict(before.cases.select("hospital_id", "hospital_name").unique("hospital_id").iter_rows())
    nothing = np.zeros(count, np.int64)
    bundled = {hospital for stage in (before, after) if stage.cleared for hospital, _ in stage.cleared.bundles}
    if bundled:
        problems.append(Problem("SI18", {"count": len(bundled)}))
    for hospital in sorted({*had.hospitals, *has.hospitals} - bundled):
        drawn = (has.hospitals.get(hospital, nothing) - had.hospitals.get(hospital, nothing))[good]
        exact = _cleared(after, hospital) - _cleared(before, hospital)
        label = names.get(hospital) or hospital
        rows.append(_row("hospital", hospital, label, Fraction(exact), drawn, chance=True))
    balances = {name: drawn[good] for name, drawn in has.balances.items()}
    left_out = count - int(good.sum())
    bootstrap = pl.DataFrame([{**row, "left_out": left_out} for row in rows], schema=BOOTSTRAP_SCHEMA, orient="row")
    return {"bootstrap": bootstrap, "fan": fan_rows(after, balances, 0)}, problems


def _cleared_in(sides: Mapping[str, Outcomes], stage: Stage, count: int) -> tuple[NDArray[np.bool_], list[Problem]]:
    """bool [resamples]: cleared on all sides; and how many were not by what rule (SI15)."""
    good = np.ones(count, np.bool_)
    found: dict[tuple[str, str], list[Problem]] = {}
    for name, side in sides.items():
        good[list(side.left_out)] = False
        for problems in side.left_out.values():
            for problem in problems:
                found.setdefault((name, problem.code), []).append(problem)
    rest = int(good.sum())
    told = [
        Problem(
            "SI15" if rest else "SI05",
            {"when": name, "count": count, "failed": len(problems), "rest": rest, "rule": code,
             "message": problems[0].message},
        )
        for (name, code), problems in found.items()
    ]  # fmt: skip
    if not rest:
        raise TablesRefused(stage.policy.id, told)
    return good, told


def fan_ahead(stage: Stage, years: int, count: int, seed: int, told: Told) -> tuple[pl.DataFrame, list[Problem]]:
    """FAN_SCHEMA of a stage whose cases have grown for some years, and what is to be told as in `chances`."""
    name = f"今后第 {years} 年"
    (side,) = resample([stage], count, seed + years)
    found = outcomes(side, count, lambda at: told(f"{name}：{at + 1:,} / {count:,}"))
    good, problems = _cleared_in({name: found}, stage, count)
    return fan_rows(stage, {pool: drawn[good] for pool, drawn in found.balances.items()}, years), problems


def exact_fan(stage: Stage, years: int) -> pl.DataFrame:
    """FAN_SCHEMA of one year without resamples: everywhere the balance that the cases come to."""
    return fan_rows(stage, {name: np.array([year.balance]) for name, year in stage.fund_years.items()}, years)


def fan_rows(stage: Stage, balances: Mapping[str, Ints], years: int) -> pl.DataFrame:
    """FAN_SCHEMA of one year, `years` after the one that is cleared."""
    assert stage.clearing is not None
    rows = [
        {"year": stage.clearing.given.year + years, "pool": name,
         **{column: round(float(np.quantile(drawn, at))) for column, at in _QUANTILES.items()}}
        for name, drawn in balances.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FAN_SCHEMA, orient="row")


def _row(
    what: str, key: str, label: str, value: Fraction, drawn: Ints | Floats, unit: str = "fen", *, chance: bool = False
) -> dict[str, Any]:
    """A row of BOOTSTRAP_SCHEMA but what was left out; with `chance` that of less than 0."""
    low, high = (Decimal(f"{np.quantile(drawn, at):.4f}") for at in (0.025, 0.975))
    below = rounded(Fraction(int((drawn < 0).sum()), len(drawn))) if chance else None
    return {
        "what": what, "key": key, "label": label, "value": rounded(value, VALUE_PLACES), "low": low, "high": high,
        "unit": unit, "chance": below,
    }  # fmt: skip


def _cleared(stage: Stage, hospital: str) -> int:
    """What the fund pays a hospital in the end, all pools, fen."""
    assert stage.cleared is not None
    return sum(amount for (name, _), amount in stage.cleared.pools.items() if name == hospital)
