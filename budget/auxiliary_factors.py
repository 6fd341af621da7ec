"""Correction factors of the auxiliary catalog (辅助目录), estimated from a history: m_j / M.

A dimension splits the cases of a group into levels, and into those that stand in none. It gives factors when the
group has enough cases, each of its levels there has enough, and the split makes the costs less uneven:

    CV before   standard deviation of the group's costs / their mean
    CV after    root of the mean squared distance from the mean of the own level (cases in no level from theirs) / the
                same mean, so that the fall is 1 - sqrt(within-level sum of squares / total sum of squares)

A level's factor is its mean cost m_j by the group's mean cost M, both over weighted years as for scores, rounded half
up to four decimals; cases in no level get none. Costs are trimmed once, by the limits of the group; all counts, sums
and means are of the kept cases. Everything is exact. Source: 按病种分值付费（DIP）3.0 版技术规范, auxiliary catalog;
the gate's numbers: `reference_tables/auxiliary/parameters.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import groupby
from math import isqrt
from typing import NamedTuple

import polars as pl

from budget.cost_statistics import group_costs
from budget.money import decimal_text
from budget.trimming import NO_TRIMMING, Trimming, kept_costs
from budget.weights import PLACES, relative_weight
from reference_tables.auxiliary import FactorGate

NO_LEVEL = ""


class GateReason(StrEnum):
    """Why a dimension gives no factors in a group; NONE: it does."""

    NONE = ""
    FEW_CASES = "few_cases"
    SMALL_LEVEL = "small_level"
    LITTLE_FALL = "little_fall"


GATE_ZH: Mapping[GateReason, str] = {
    GateReason.NONE: "通过",
    GateReason.FEW_CASES: "病种例数不足",
    GateReason.SMALL_LEVEL: "有分型例数不足",
    GateReason.LITTLE_FALL: "变异系数下降不足",
}


@dataclass(frozen=True, slots=True)
class LevelFactor:
    """The factor of a level in a group. `cases` kept; `mean_fen` of the level over the weighted years."""

    group: int
    dimension: str
    level: str
    cases: int
    mean_fen: Fraction
    factor: Decimal


class LevelCosts(NamedTuple):
    """The kept cases of a group in one level, NO_LEVEL = in none: how many, sum (fen) and sum of squares."""

    level: str
    cases: int
    sum_fen: int
    square_sum: int

    @property
    def squares(self) -> Fraction:
        """Sum of the squared distances from the mean."""
        return self.square_sum - Fraction(self.sum_fen**2, self.cases)


@dataclass(frozen=True, slots=True)
class GateResult:
    """How a dimension did in a group that has a case in one of its levels; `parts`: its cases split."""

    group: int
    dimension: str
    parts: tuple[LevelCosts, ...]
    reason: GateReason

    @property
    def cases(self) -> int:
        """Kept cases of the group."""
        return sum(part.cases for part in self.parts)

    @property
    def levels(self) -> int:
        """Levels that the group has cases in."""
        return sum(part.level != NO_LEVEL for part in self.parts)

    @property
    def smallest(self) -> int:
        """Cases of the level with the fewest."""
        return min(part.cases for part in self.parts if part.level != NO_LEVEL)

    @property
    def within(self) -> Fraction:
        """Within-level by total sum of squares; 1 when all costs are equal."""
        return _within(self.parts)

    @property
    def cv_fall_text(self) -> str:
        """The fall of the coefficient of variation as a share of itself, four decimals: 1 less the rounded root."""
        scale = 10**PLACES
        # floor(sqrt(x) + 1/2) = floor((floor(2 sqrt(x)) + 1) / 2), with x the square of the scaled root.
        doubled = isqrt(4 * scale**2 * self.within.numerator // self.within.denominator)
        return decimal_text(Fraction(scale - (doubled + 1) // 2, scale), PLACES)


@dataclass(frozen=True, slots=True)
class FactorEstimate:
    """Factors and gate results by group, then dimension as given, then level (in the order of its column's categories,
    else by code)."""

    factors: tuple[LevelFactor, ...]
    gates: tuple[GateResult, ...]


def estimate_factors(
    cases: pl.DataFrame,
    dimensions: Sequence[str],
    weights: Mapping[int, Fraction | int],
    rule: Trimming,
    gate: FactorGate,
) -> FactorEstimate:
    """Factors of every group and dimension.

    `cases`: group (Int32, any numbers), year (Int32), cost_fen (Int64) as for `group_costs`, and one column a dimension
    (String or Enum) with the level of the case, "" = none. `weights`: positive weight of each year; `rule`: trimming.
    A level whose factor rounds to 0 has none. Does not depend on the order of the cases.
    """
    kept = cases.filter(kept_costs(cases["group"], cases["cost_fen"], rule))
    factors: list[LevelFactor] = []
    gates: list[GateResult] = []
    for name in dimensions:
        split = kept.select("group", "year", "cost_fen", _numbered(kept[name]))
        labels = _labels(kept[name])
        results = [
            GateResult(group, name, parts, _reason(parts, gate))
            for group, parts in _by_level(split, labels).items()
            if any(part.level != NO_LEVEL for part in parts)
        ]
        gates += results
        passed = {result.group for result in results if result.reason is GateReason.NONE}
        factors += _factors(split, name, labels, passed, weights)
    order = {name: at for at, name in enumerate(dimensions)}
    factors.sort(key=lambda found: (found.group, order[found.dimension]))
    gates.sort(key=lambda found: (found.group, order[found.dimension]))
    return FactorEstimate(tuple(factors), tuple(gates))


def _labels(column: pl.Series) -> list[str]:
    """The levels in order: the categories of an Enum, else by code."""
    return list(column.dtype.categories if isinstance(column.dtype, pl.Enum) else column.unique().sort())


def _numbered(column: pl.Series) -> pl.Series:
    """Places of the levels among `_labels`."""
    return column.cast(pl.Enum(_labels(column))).to_physical().cast(pl.Int64).alias("level")


def _by_level(split: pl.DataFrame, labels: Sequence[str]) -> dict[int, tuple[LevelCosts, ...]]:
    """The kept cases of every group by level, levels in order."""
    wide = pl.col("cost_fen").cast(pl.Int128)
    sums = (
        split.lazy()
        .group_by("group", "level")
        .agg(pl.len(), wide.sum().alias("sum_fen"), (wide * wide).sum().alias("square_sum"))
        .sort("group", "level")
        .collect()
    )
    return {
        group: tuple(LevelCosts(labels[at], cases, total, squares) for _, at, cases, total, squares in rows)
        for group, rows in groupby(sums.iter_rows(), key=lambda row: row[0])
    }


def _reason(parts: Sequence[LevelCosts], gate: FactorGate) -> GateReason:
    if sum(part.cases for part in parts) < gate.min_cases:
        return GateReason.FEW_CASES
    if min(part.cases for part in parts if part.level != NO_LEVEL) < gate.min_level_cases:
        return GateReason.SMALL_LEVEL
    return GateReason.NONE if _within(parts) <= (1 - gate.least_cv_fall) ** 2 else GateReason.LITTLE_FALL


def _within(parts: Sequence[LevelCosts]) -> Fraction:
    whole = LevelCosts(
        NO_LEVEL,
        sum(part.cases for part in parts),
        sum(part.sum_fen for part in parts),
        sum(part.square_sum for part in parts),
    )
    total = whole.squares
    return sum((part.squares for part in parts), Fraction(0)) / total if total else Fraction(1)


def _factors(
    split: pl.DataFrame, name: str, labels: Sequence[str], groups: set[int], weights: Mapping[int, Fraction | int]
) -> list[LevelFactor]:
    """The factors of a dimension in the groups where it passed the gate."""
    cases = split.filter(pl.col("group").is_in(sorted(groups)))
    whole = {found.group: found.mean_fen for found in group_costs(_of(cases, pl.col("group")), weights, NO_TRIMMING)}
    pair = pl.col("group").cast(pl.Int64) * max(len(labels), 1) + pl.col("level")
    found = []
    for costs in group_costs(_of(cases, pair), weights, NO_TRIMMING):
        group, at = divmod(costs.group, len(labels))
        factor = relative_weight(costs.mean_fen, whole[group], 1)
        if labels[at] != NO_LEVEL and factor:
            found.append(LevelFactor(group, name, labels[at], costs.kept, costs.mean_fen, factor))
    return found


def _of(cases: pl.DataFrame, group: pl.Expr) -> pl.DataFrame:
    return cases.select(group.alias("group"), "year", "cost_fen")
