"""What a year's priced cases add up to by hospital and pool: exact units, fixed money, patients' payments, actual cost.

Rounded points are never summed up: number and cost of the cases of each plan band give the sum exactly, so that neither
the order of cases nor their split into months or files can change it. Tallies of parts of a year add up to the year's.
Source: clearing rules as published (points of 点数法 and DIP, weight x coefficient of 费率法).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import Affine
from budget.money import FEN
from budget.plan_table import BandSums, band_sums
from budget.pools import pool_name
from budget.pricing import PricedCases
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused

COMMAND = "clear"
FIXED_QUOTAS = ("bed_day", "single_disease")
BY_COST = frozenset({"COST", "L_COST", "H_COST"})
_SUMS = ("patient_fen", "priced_fen", "quota_fen", "quota_patient_fen", "fixed_fen", "actual_fen")
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Tally:
    """One hospital and pool; money in fen.

    `units`: of the cases whose money moves with the pool, `patient_fen` what their patients and other payers paid,
    `priced_fen` the fund's part of them as priced. `quota_units`: the part of `units` that stands for fixed quotas that
    are topped up, `quota_fen` the fund's part of these quotas, `quota_patient_fen` their patients' payments.
    `fixed_fen`: the fund's part of fixed money, bundles included; `actual_fen`: what the fund would have paid by item
    for all but what bundles pay.
    """

    cases: int = 0
    units: Fraction = Fraction(0)
    patient_fen: int = 0
    priced_fen: int = 0
    quota_units: Fraction = Fraction(0)
    quota_fen: int = 0
    quota_patient_fen: int = 0
    fixed_fen: int = 0
    actual_fen: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))


@dataclass(frozen=True)
class CaseTallies:
    """Tallies by (hospital, pool). `bundled`: the fund's part of the cases that a county group's bundle pays, fen, by
    (group, hospital, insurance); `left_out`: rows of the cases whose money is not known, which count nowhere."""

    tallies: Mapping[Key, Tally]
    bundled: Mapping[tuple[str, str, str], int]
    left_out: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TallyRule:
    """What of a policy the tallies depend on. `bundles`: (county group, insurance) of the cases that are paid from a
    bundle; `top_up`: fixed quotas take part in the pool with units of their own; `asks_patient`, `asks_actual`: a
    case without that amount cannot be counted. `rates`: yuan that weight 1 stands for in each pool (see `rated`).
    """

    pools: str
    method: str
    top_up: bool
    asks_patient: bool
    asks_actual: bool
    bundles: tuple[tuple[str, str], ...] = ()
    rates: Mapping[str, Fraction] = field(default_factory=dict)

    def fen_of_weight(self, pool: str) -> Fraction:
        """What weight 1 stands for in a pool; 1 yuan where no rate above 0 holds for its cases."""
        return (self.rates.get(pool) or Fraction(1)) * FEN


def tally_rule(terms: YearTerms, bundles: Sequence[tuple[str, str]] = (), *, clears: bool = True) -> TallyRule:
    """The rule of a policy; without `clears` only units are wanted and nothing is shared. Raises TablesRefused (PL30)
    when the policy does not say how pools are divided or shared."""
    pools, basis = terms.want("pools"), terms.want("sharing_basis") if clears else "none"
    if pools is None or basis is None:
        raise TablesRefused(terms.policy.id, terms.problems)
    method, quota = terms.policy.method, terms.look("hospital_budget") == "quota"
    formula = None if quota else terms.look("point_value_formula")
    shares = basis == "hospital" or (basis == "region" and (quota or formula is not None))
    top_up = bool(terms.look("top_up")) and method != "drg-rate" and formula is not None
    return TallyRule(pools, method, top_up, formula == "DRG_TOTAL", shares, tuple(bundles))


def rated(rule: TallyRule, policy: Policy, cases: pl.DataFrame | pl.LazyFrame) -> TallyRule:
    """The rule with its rates for a year's cases (PAYABLE, those of the year), priced by whatever policies: `policy` is
    the one that clears.

    Amounts at different rates are told in weights of one worth: weight 1 stands for the highest of the policy's rates
    that hold for any of the pool's cases, in the month, at the tier and at the hospital it is of. So a rate for months
    or hospitals without cases moves neither units nor value, and one that changes within the year leaves each weight
    worth what it was priced at: months at a lower rate count by what part of the highest theirs is.
    """
    if rule.method != "drg-rate":
        return rule
    names, dated = policy.names("base_rate"), policy.dated("base_rate")
    columns = [name for name in ("tier", "hospital_id") if name.removesuffix("_id") in names]
    columns = ["insurance", *columns, *(["month"] if dated else [])]
    different = cases.lazy().select(pl.col(columns).cast(pl.String)).unique().collect()
    rates: dict[str, Fraction] = {}
    for row in different.iter_rows(named=True):
        month = row.pop("month", None)
        if row["insurance"] not in policy.insurances or (dated and not month):
            continue
        scope = {name.removesuffix("_id"): text for name, text in row.items() if text}
        found = policy.get("base_rate", _first(month) if dated else None, **scope)
        pool = pool_name(rule.pools, row["insurance"])
        if found is not None:
            rates[pool] = max(rates.get(pool, Fraction(0)), found.value)
    return replace(rule, rates=rates)


def tally_cases(cases: pl.DataFrame, priced: PricedCases, policy: Policy, rule: TallyRule) -> CaseTallies:
    """Add up PAYABLE cases and what they are priced at, row for row the same.

    Raises TablesRefused (PL30) when fixed quotas are to take part in the pool and the policy has no points for them.
    """
    frame = _frame(cases, priced, rule)
    left_out = np.flatnonzero(frame["left_out"].to_numpy())
    counted = frame.filter(~pl.col("left_out"))
    owners = counted.select("hospital_id", "pool").unique().sort("hospital_id", "pool").with_row_index("owner")
    counted = counted.join(owners, on=["hospital_id", "pool"], how="left", maintain_order="left")
    moving, quota, fixed = pl.col("moving"), pl.col("quota"), ~pl.col("moving") & ~pl.col("quota")
    paid = pl.col("case_kind") != "unpaid"
    sums = counted.group_by("owner").agg(
        pl.len().alias("cases"),
        pl.col("patient").filter(moving | quota).sum().alias("patient_fen"),
        pl.col("fund").filter(moving).sum().alias("priced_fen"),
        pl.col("fund").filter(quota).sum().alias("quota_fen"),
        pl.col("patient").filter(quota).sum().alias("quota_patient_fen"),
        pl.col("fund").filter(fixed).sum().alias("fixed_fen"),
        pl.col("actual").filter(paid & ~pl.col("bundled")).sum().alias("actual_fen"),
    )
    keys: list[Key] = list(owners.select("hospital_id", "pool").iter_rows())
    tallies = {
        keys[owner]: Tally(cases=cases, **dict(zip(_SUMS, amounts, strict=True)))
        for owner, cases, *amounts in sums.sort("owner").select("owner", "cases", *_SUMS).iter_rows()
    }
    of_points = _moving_units(counted, priced, rule, keys)
    of_quotas = _quota_units(counted, policy, len(keys)) if rule.top_up else [Fraction(0)] * len(keys)
    for key, moved, fixed_quota in zip(keys, of_points, of_quotas, strict=True):
        tallies[key] = replace(tallies[key], units=moved + fixed_quota, quota_units=fixed_quota)
    bundled = counted.filter("bundled").group_by("county_group", "hospital_id", "insurance").agg(pl.col("fund").sum())
    of_bundles = {(group, hospital, kind): fen for group, hospital, kind, fen in bundled.iter_rows()}
    return CaseTallies(tallies, of_bundles, left_out)


def add_tallies(parts: Iterable[CaseTallies]) -> CaseTallies:
    """The tallies of several parts of a year together; `left_out` is told of the parts, not of the whole."""
    tallies: dict[Key, Tally] = {}
    bundled: dict[tuple[str, str, str], int] = {}
    for part in parts:
        for key, tally in part.tallies.items():
            tallies[key] = tallies.get(key, Tally()) + tally
        for owner, amount in part.bundled.items():
            bundled[owner] = bundled.get(owner, 0) + amount
    return CaseTallies(dict(sorted(tallies.items())), bundled, np.zeros(0, np.int64))


def _frame(cases: pl.DataFrame, priced: PricedCases, rule: TallyRule) -> pl.DataFrame:
    """The cases with what decides where their money goes."""
    kind, merged = pl.col("case_kind"), rule.pools == "merged"
    patient = pl.col("patient_paid_fen") + pl.col("other_funds_fen").fill_null(0)
    by_item = pl.coalesce("fund_by_item_fen", pl.col("total_cost_fen") - patient)
    frame = cases.select(
        "hospital_id", "insurance", "tier", "month", "group", "county_group", "los_days",
        patient.alias("patient"),
        (by_item - pl.col("separate_fen").fill_null(0)).alias("actual"),
        _bundled(rule).alias("bundled"),
        (pl.lit(pool_name(rule.pools, "")) if merged else pl.col("insurance")).alias("pool"),
    ).with_columns(
        priced.frame["case_kind"],
        priced.frame["package_fen"],
        priced.frame["fund_fen"].alias("fund"),
        pl.Series("band", priced.band),
        pl.Series("cost", priced.cost),
        pl.Series("moves", _moves(priced, rule)),
    )  # fmt: skip
    own = ~pl.col("bundled")
    frame = frame.with_columns(
        (pl.col("moves") & own & (kind != "unpaid")).alias("moving"),
        (kind.is_in(list(FIXED_QUOTAS)) & own & rule.top_up).alias("quota"),
    )
    asked = pl.col("fund").is_null()
    if rule.asks_patient:
        asked |= (pl.col("moving") | pl.col("quota")) & pl.col("patient").is_null()
    if rule.asks_actual:
        asked |= own & pl.col("actual").is_null()
    return frame.with_columns(((kind != "unpaid") & asked).alias("left_out"))


def _bundled(rule: TallyRule) -> pl.Expr:
    """The case is paid from a county group's bundle: the group has heads of its insurance."""
    pairs = [(pl.col("county_group") == group) & (pl.col("insurance") == kind) for group, kind in rule.bundles]
    return pl.any_horizontal(*pairs).fill_null(value=False) if pairs else pl.lit(value=False)


def _moves(priced: PricedCases, rule: TallyRule) -> NDArray[np.bool_]:
    """bool [cases]: the case's money moves with the pool."""
    if rule.method != "drg-rate":
        return priced.paid_by_points
    by_rate = np.array([item.formula not in BY_COST for item in priced.table.bands], np.bool_)[priced.band]
    fixed = priced.frame["case_kind"].is_in(["special", "by_item", *FIXED_QUOTAS]).to_numpy()
    return np.asarray(by_rate & ~fixed)


def _moving_units(frame: pl.DataFrame, priced: PricedCases, rule: TallyRule, keys: Sequence[Key]) -> list[Fraction]:
    """Exact units of the moving cases by owner."""
    bands, by_rate = priced.table.bands, rule.method == "drg-rate"
    lines = [band.package if by_rate else band.points for band in bands]
    moving = frame.filter("moving").select("owner", "band", "cost")
    code = moving["owner"].cast(pl.Int64).to_numpy() * len(bands) + moving["band"].to_numpy()
    units = _units_by_owner(band_sums(code, moving["cost"].to_numpy()), lines, len(keys))
    if not by_rate:
        return units
    return [amount / rule.fen_of_weight(pool) for amount, (_, pool) in zip(units, keys, strict=True)]


def _units_by_owner(sums: BandSums, lines: Sequence[Affine | None], owners: int) -> list[Fraction]:
    """Exact sums of lines; `sums.band` is owner x number of lines + line."""
    whole: list[dict[int, int]] = [{} for _ in range(owners)]
    integers = [None if line is None else line.integers() for line in lines]
    for code, cases, cost in zip(sums.band.tolist(), sums.cases.tolist(), sums.cost.tolist(), strict=True):
        owner, band = divmod(code, len(lines))
        line = integers[band]
        if line is not None:
            a, b, d = line
            whole[owner][d] = whole[owner].get(d, 0) + a * cost + b * cases
    return [exact_sum([Fraction(number, d) for d, number in sorted(parts.items())]) for parts in whole]


def exact_sum(parts: Sequence[Fraction]) -> Fraction:
    """The sum of fractions, halves first, so that long denominators come late."""
    if len(parts) <= 2:
        return sum(parts, Fraction(0))
    middle = len(parts) // 2
    return exact_sum(parts[:middle]) + exact_sum(parts[middle:])


def _quota_units(frame: pl.DataFrame, policy: Policy, owners: int) -> list[Fraction]:
    """Units that fixed quotas stand for: days x points a day; a single disease's price at the budget point value."""
    units = [Fraction(0)] * owners
    problems: list[Problem] = []
    quotas = frame.filter("quota")
    days = quotas.filter(pl.col("case_kind") == "bed_day").group_by("owner", "group", "month")
    counted = days.agg(pl.max_horizontal(pl.col("los_days").fill_null(0).cast(pl.Int64), pl.lit(1)).sum().alias("days"))
    for owner, group, month, number in counted.sort("owner", "group", "month").iter_rows():
        points = policy.need("bed_day_points", COMMAND, on=_first(month), problems=problems, group=group)
        units[owner] += number * Fraction(0 if points is None else points.value)
    names = ["insurance", "tier", "hospital_id", "month"]
    priced = quotas.filter(pl.col("case_kind") == "single_disease").group_by("owner", *names)
    for owner, *scopes, fen in priced.agg(pl.col("package_fen").sum()).sort("owner", *names).iter_rows():
        scope = {name.removesuffix("_id"): text for name, text in zip(names, scopes, strict=True) if text}
        value = policy.need("point_value", COMMAND, on=_first(scope["month"]), problems=problems, **scope)
        if value is not None and value.value:
            units[owner] += Fraction(fen, FEN) / value.value
    if problems:
        raise TablesRefused(policy.id, problems)
    return units


def _first(month: str) -> date:
    return date.fromisoformat(f"{month}-01")
