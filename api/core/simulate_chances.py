"""How sure a simulation is: cases resampled within hospital and group, and the year cleared anew for every resample.

A hospital's cases of a group, sorted by cost, are cut into at most BINS parts of equal number; a resample draws with
replacement how often each part comes (multinomial). What the cases inside the parts add to that is drawn as a normal
sum with their own covariance, so that standard deviations are those of drawing every case. What a hospital's cases come
to in a pool moves by the ratio of the resample to the sample, never below nothing, so that the sample itself clears
exactly as the year does; each resample then goes through the policy's own clearing.
The draws and sums are statistics in floating point: they say how far amounts may lie apart,
never what anyone is paid. Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993 (percentile
intervals, resampling within strata).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from api.core.clearing import COMMAND
from api.core.simulate_stage import Stage, beyond_bundles, pools_of
from budget.clearing_accounts import Paid, PoolClearing
from budget.compare_frames import BOOTSTRAP_SCHEMA, FAN_SCHEMA, VALUE_PLACES, rounded
from budget.compare_fund import fund_years
from budget.hospital_units import CaseTallies, Tally
from budget.pools import pool_name
from budget.pricing import Pricer
from budget.year_terms import YearTerms

BINS = 2
_TERMS = ("units", "priced", "patient", "fixed", "actual")
_E6 = 10**6
_BY_COST = ("COST", "L_COST", "H_COST")
_FIXED_KINDS = ("special", "by_item", "bed_day", "single_disease")
_QUANTILES = {"low95": 0.025, "low50": 0.25, "median": 0.5, "high50": 0.75, "high95": 0.975}
Floats = NDArray[np.float64]
Owner = tuple[str, str]


@dataclass(frozen=True)
class Resampled:
    """One side under every resample. `ratio` [resamples, terms] by (hospital, pool): what its cases come to over what
    they come to in the sample."""

    stage: Stage
    ratio: dict[Owner, Floats]


@dataclass(frozen=True)
class Outcomes:
    """What the resamples clear to: `hospitals` [resamples, hospitals] entitlement and shared, `balances` [resamples]
    of the fund's year and `values` [resamples] yuan per unit by pool; fen."""

    hospitals: dict[str, list[int]]
    balances: dict[str, list[int]]
    values: dict[str, list[Fraction]]


@dataclass(frozen=True)
class _KnownTerms(YearTerms):
    """Terms that keep what they have looked up in `known`, which the resamples of a year share: the policy and the day
    are the same in all of them. What is missing is looked for, and noted, anew each time."""

    known: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Any] = field(default_factory=dict)

    def look(self, key: str, **scope: str) -> Any:
        asked = (key, tuple(scope), tuple(scope.values()))
        if asked not in self.known:
            self.known[asked] = super().look(key, **scope)
        return self.known[asked]

    def want(self, key: str, **scope: str) -> Any:
        found = self.look(key, **scope)
        return super().want(key, **scope) if found is None else found


def case_terms(stage: Stage) -> pl.DataFrame:
    """What each case adds to its hospital and pool: hospital, pool, group, cost and the _TERMS, Float64."""
    assert stage.clearing is not None
    given = stage.clearing.given
    priced = Pricer(stage.policy, stage.values).price(stage.cases, given.decisions)
    by_rate = stage.policy.method == "drg-rate"
    frame = priced.frame.select("case_kind", "formula", "package_fen", "fund_fen", "points", "cost_fen")
    kind = pl.col("case_kind")
    moves = pl.Series("points_paid", priced.paid_by_points)
    moving = ~pl.col("formula").is_in(list(_BY_COST)) & ~kind.is_in(list(_FIXED_KINDS)) if by_rate else pl.lit(moves)
    pools = pools_of(stage.policy, given.year)
    named = {name: pool_name(pools, name) for name in stage.policy.insurances}
    patient = stage.cases["patient_paid_fen"].fill_null(0) + stage.cases["other_funds_fen"].fill_null(0)
    billed = stage.cases["fund_by_item_fen"].fill_null(stage.cases["total_cost_fen"] - patient)
    units = pl.col("package_fen") if by_rate else pl.col("points").fill_null(0).cast(pl.Float64)
    told = frame.with_columns(
        patient.alias("patient"), billed.alias("billed"), (moving & (kind != "unpaid")).alias("m")
    )
    zero = pl.lit(0)
    return told.select(
        hospital=stage.cases["hospital_id"].fill_null(""),
        pool=stage.cases["insurance"].replace_strict(named, default="", return_dtype=pl.String),
        group=stage.cases["group"].fill_null(""),
        cost=pl.col("cost_fen").fill_null(0),
        units=pl.when("m").then(units).otherwise(zero).cast(pl.Float64),
        priced=pl.when("m").then("fund_fen").otherwise(zero).fill_null(0).cast(pl.Float64),
        patient=pl.when("m").then("patient").otherwise(zero).cast(pl.Float64),
        fixed=pl.when("m").then(zero).otherwise("fund_fen").fill_null(0).cast(pl.Float64),
        actual=pl.when(kind != "unpaid").then("billed").otherwise(zero).fill_null(0).cast(pl.Float64),
    )


def resample(stages: Sequence[Stage], count: int, seed: int) -> list[Resampled]:
    """Each of the stages, whose cases are the same row for row, under the same resamples."""
    found = draw_ratios([case_terms(stage) for stage in stages], count, seed)
    return [Resampled(stage, ratio) for stage, ratio in zip(stages, found, strict=True)]


def draw_ratios(frames: Sequence[pl.DataFrame], count: int, seed: int) -> list[dict[Owner, Floats]]:
    """Of each frame of case_terms the ratios of `count` resamples, the same for all frames; see Resampled."""
    first = frames[0].select("hospital", "group", "cost").with_row_index("at").sort("hospital", "group", "cost", "at")
    found: list[dict[Owner, Floats]] = [{} for _ in frames]
    for number, part in enumerate(first.partition_by("hospital", maintain_order=True)):
        hospital = part["hospital"][0]
        stratum, place, size = _strata(part)
        rows = part["at"].to_numpy()
        draws = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
        counts = draws.multinomial(size.sum(axis=1), size / size.sum(axis=1, keepdims=True), size=(count, len(size)))
        weight = counts.reshape(count, -1) / np.where(size > 0, size, 1).reshape(-1)
        keys, columns = [], []
        for frame, into in zip(frames, found, strict=True):
            own = frame[rows]
            for pool in sorted(set(own["pool"]) - {""}):
                held = (own["pool"] == pool).to_numpy()
                keys.append((into, (hospital, pool)))
                columns.append(np.where(held[:, None], own.select(_TERMS).to_numpy(), 0.0))
        if not keys:
            continue
        values = np.concatenate(columns, axis=1)
        cells = np.stack([np.bincount(stratum * BINS + place, column, size.size) for column in values.T], axis=1)
        base = cells.sum(axis=0)
        within = values - (cells / np.where(size > 0, size, 1).reshape(-1, 1))[stratum * BINS + place]
        sums = np.einsum("rc,ct->rt", weight, cells) + _spread(within, draws, count)
        ratios = np.where(base != 0, np.maximum(sums / np.where(base != 0, base, 1.0), 0.0), 1.0)
        for at, (into, key) in enumerate(keys):
            into[key] = ratios[:, at * len(_TERMS) : (at + 1) * len(_TERMS)]
    return found


def _spread(within: Floats, draws: np.random.Generator, count: int) -> Floats:
    """[count, columns]: what drawing the cases inside the parts adds, normal with the covariance that it has exactly.
    `within` [cases, columns]: each case less the mean of its part. Columns that are the same stay the same."""
    first: list[int] = []
    same = []
    for at in range(within.shape[1]):
        alike = next((place for place, of in enumerate(first) if np.array_equal(within[:, of], within[:, at])), None)
        same.append(len(first) if alike is None else alike)
        if alike is None:
            first.append(at)
    own = within[:, first]
    values, vectors = np.linalg.eigh(np.einsum("nt,nu->tu", own, own))
    noise = draws.standard_normal((count, len(first)))
    made = np.einsum("rk,tk->rt", noise, vectors * np.sqrt(np.maximum(values, 0.0)))
    return np.asarray(made[:, same])


def _strata(part: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Of a hospital's cases, sorted by group and cost: number of the group, part of it [cases], and cases of each part
    [groups, BINS]."""
    told = part.select(
        stratum=(pl.col("group") != pl.col("group").shift(1)).fill_null(value=True).cum_sum().cast(pl.Int64) - 1,
    ).with_columns(rank=pl.int_range(pl.len()).over("stratum"), cases=pl.len().over("stratum"))
    place = told.select(pl.col("rank") * BINS // pl.max_horizontal("cases", pl.lit(BINS))).to_series().to_numpy()
    stratum = told["stratum"].to_numpy()
    size = np.zeros((int(stratum[-1]) + 1, BINS), np.int64)
    np.add.at(size, (stratum, place), 1)
    return stratum, place.astype(np.int64), size


def outcomes(side: Resampled, count: int, tell: Callable[[int], None]) -> Outcomes:
    """Clear the year for every resample."""
    done = side.stage.clearing
    assert done is not None
    given, found = done.given, Outcomes({}, {}, {})
    known: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Any] = {}
    paid = {key: Paid(item.paid, item.held, item.advance, item.due) for key, item in given.paid.items()}
    for at in range(count):
        tell(at)
        tallies = {key: _moved(tally, side.ratio.get(key), at) for key, tally in done.tallies.tallies.items()}
        terms = _KnownTerms(side.stage.policy, given.year, COMMAND, known=known)
        whole = CaseTallies(tallies, done.tallies.bundled, done.tallies.left_out)
        clearing = PoolClearing(terms, given.year_file, whole, paid, trial=True)
        pools = [pool for budget in done.budget.pools if (pool := clearing.clear(budget)) is not None]
        years = fund_years(pools, done.budget, given.year_file, beyond_bundles(done))
        sums: dict[str, int] = {}
        for pool in pools:
            for line in pool.cleared.lines:
                sums[line.hospital] = sums.get(line.hospital, 0) + line.entitlement + line.shared
            if pool.due.value is not None:
                found.values.setdefault(pool.budget.pool, []).append(pool.due.value)
        for hospital, amount in sums.items():
            found.hospitals.setdefault(hospital, []).append(amount)
        for name, year in years.items():
            found.balances.setdefault(name, []).append(year.balance)
    return found


def _moved(tally: Tally, ratio: Floats | None, at: int) -> Tally:
    """A tally in one resample."""
    if ratio is None:
        return tally
    units, priced, patient, fixed, actual = (float(part) for part in ratio[at])
    moved = Fraction(round(float(tally.units) * units * _E6), _E6)
    return replace(
        tally, units=moved, priced_fen=round(tally.priced_fen * priced),
        patient_fen=round(tally.patient_fen * patient), fixed_fen=round(tally.fixed_fen * fixed),
        actual_fen=round(tally.actual_fen * actual),
    )  # fmt: skip


def chances(before: Stage, after: Stage, count: int, seed: int, told: Callable[[str], None]) -> dict[str, pl.DataFrame]:
    """bootstrap and fan (of the year itself) of a cleared simulation whose stages have the same cases."""
    told(f"重抽样 {count:,} 次")
    sides = resample([before, after], count, seed)
    found = [
        outcomes(side, count, lambda at, name=name: told(f"重抽样清算，{name}：{at + 1:,} / {count:,}"))  # type: ignore[misc]
        for side, name in zip(sides, ("改革前", "改革后"), strict=True)
    ]
    had, has = found
    rows: list[dict[str, Any]] = []
    for suffix, stage, side in (("_before", before, had), ("", after, has)):
        assert stage.clearing is not None
        for pool in stage.clearing.pools:
            if pool.due.value is not None:
                name = pool.budget.pool
                rows.append(_row(f"point_value{suffix}", name, name, pool.due.value, side.values[name], None))
        for name, year in stage.fund_years.items():
            drawn = side.balances[name]
            rows.append(_row(f"balance{suffix}", name, name, Fraction(year.balance), drawn, lambda fen: fen < 0))
    names = dict(before.cases.select("hospital_id", "hospital_name").unique("hospital_id").iter_rows())
    for hospital in sorted(has.hospitals):
        drawn = [now - then for now, then in zip(has.hospitals[hospital], had.hospitals[hospital], strict=True)]
        exact = _cleared(after, hospital) - _cleared(before, hospital)
        label = names.get(hospital) or hospital
        rows.append(_row("hospital", hospital, label, Fraction(exact), drawn, lambda fen: fen < 0))
    return {
        "bootstrap": pl.DataFrame(rows, schema=BOOTSTRAP_SCHEMA, orient="row"),
        "fan": fan_rows(after, has.balances, 0),
    }


def fan_ahead(stage: Stage, years: int, count: int, seed: int, told: Callable[[str], None]) -> pl.DataFrame:
    """FAN_SCHEMA of a stage whose cases have grown for some years."""
    (side,) = resample([stage], count, seed + years)
    found = outcomes(side, count, lambda at: told(f"今后第 {years} 年：{at + 1:,} / {count:,}"))
    return fan_rows(stage, found.balances, years)


def exact_fan(stage: Stage, years: int) -> pl.DataFrame:
    """FAN_SCHEMA of one year without resamples: everywhere the balance that the cases come to."""
    return fan_rows(stage, {name: [year.balance] for name, year in stage.fund_years.items()}, years)


def fan_rows(stage: Stage, balances: Mapping[str, Sequence[int]], years: int) -> pl.DataFrame:
    """FAN_SCHEMA of one year, `years` after the one that is cleared."""
    assert stage.clearing is not None
    rows = [
        {"year": stage.clearing.given.year + years, "pool": name,
         **{column: int(np.quantile(drawn, at)) for column, at in _QUANTILES.items()}}
        for name, drawn in balances.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FAN_SCHEMA, orient="row")


def _row(
    what: str, key: str, label: str, value: Fraction, drawn: Sequence[int | Fraction], bad: Callable[[Any], bool] | None
) -> dict[str, Any]:
    numbers = np.array([float(item) for item in drawn])
    low, high = (Decimal(f"{np.quantile(numbers, at):.4f}") for at in (0.025, 0.975))
    chance = None if bad is None else rounded(Fraction(sum(bad(item) for item in drawn), len(drawn)))
    return {
        "what": what, "key": key, "label": label, "value": rounded(value, VALUE_PLACES), "low": low, "high": high,
        "chance": chance,
    }  # fmt: skip


def _cleared(stage: Stage, hospital: str) -> int:
    """Entitlement and shared of a hospital in all pools, fen."""
    assert stage.cleared is not None
    return sum(amount for (name, _), amount in stage.cleared.pools.items() if name == hospital)
