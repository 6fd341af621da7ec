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
from math import isqrt

import polars as pl

from budget.cost_statistics import GroupCosts, group_costs
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


@dataclass(frozen=True, slots=True)
class GateResult:
    """How a dimension did in a group that has a case in one of its levels.

    `cases` kept; `levels` with cases, the smallest with `smallest` of them; `within`: within-level by total sum of
    squares, exact (1 when all costs are equal)."""

    group: int
    dimension: str
    cases: int
    levels: int
    smallest: int
    within: Fraction
    reason: GateReason

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
    whole = {
        found.group: found for found in group_costs(kept.select("group", "year", "cost_fen"), weights, NO_TRIMMING)
    }
    found = [_dimension(kept, name, whole, weights, gate) for name in dimensions]
    order = {name: at for at, name in enumerate(dimensions)}
    return FactorEstimate(
        tuple(
            sorted((item for factors, _ in found for item in factors), key=lambda it: (it.group, order[it.dimension]))
        ),
        tuple(sorted((item for _, gates in found for item in gates), key=lambda it: (it.group, order[it.dimension]))),
    )


def _dimension(
    kept: pl.DataFrame,
    name: str,
    whole: Mapping[int, GroupCosts],
    weights: Mapping[int, Fraction | int],
    gate: FactorGate,
) -> tuple[list[LevelFactor], list[GateResult]]:
    factors: list[LevelFactor] = []
    gates: list[GateResult] = []
    for group, levels in _by_level(kept, name, weights).items():
        if levels.keys() == {NO_LEVEL}:
            continue
        parent = whole[group]
        result = _gate(group, name, parent, levels, gate)
        gates.append(result)
        if result.reason is not GateReason.NONE:
            continue
        for level, costs in levels.items():
            factor = relative_weight(costs.mean_fen, parent.mean_fen, 1)
            if level != NO_LEVEL and factor:
                factors.append(LevelFactor(group, name, level, costs.kept, costs.mean_fen, factor))
    return factors, gates


def _by_level(kept: pl.DataFrame, name: str, weights: Mapping[int, Fraction | int]) -> dict[int, dict[str, GroupCosts]]:
    """Costs by group and level, levels in order."""
    column = kept[name]
    labels = column.dtype.categories if isinstance(column.dtype, pl.Enum) else column.unique().sort()
    number = column.cast(pl.Enum(labels)).to_physical().cast(pl.Int64)
    of_level = kept.select(pl.col("group").cast(pl.Int64) * max(len(labels), 1) + number, "year", "cost_fen")
    found: dict[int, dict[str, GroupCosts]] = {}
    for costs in group_costs(of_level, weights, NO_TRIMMING):
        group, at = divmod(costs.group, len(labels))
        found.setdefault(group, {})[labels[at]] = costs
    return found


def _gate(group: int, name: str, parent: GroupCosts, levels: Mapping[str, GroupCosts], gate: FactorGate) -> GateResult:
    named = [costs.kept for level, costs in levels.items() if level != NO_LEVEL]
    total = _squares(parent)
    within = sum(map(_squares, levels.values()), Fraction(0)) / total if total else Fraction(1)
    if parent.kept < gate.min_cases:
        reason = GateReason.FEW_CASES
    elif min(named) < gate.min_level_cases:
        reason = GateReason.SMALL_LEVEL
    elif within > (1 - gate.least_cv_fall) ** 2:
        reason = GateReason.LITTLE_FALL
    else:
        reason = GateReason.NONE
    return GateResult(group, name, parent.kept, len(named), min(named), within, reason)


def _squares(costs: GroupCosts) -> Fraction:
    """Sum of the squared distances from the mean."""
    return costs.square_sum - Fraction(costs.sum_fen**2, costs.kept)
