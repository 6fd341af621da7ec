"""What the cases of a group cost: counts, exact sums, the mean over weighted years and the coefficient of variation.

Cases come as a frame `group` (Int32, any numbers), `year` (Int32) and `cost_fen` (Int64): what the groups are, DIP
diseases or DRGs, is of no account here. Every sum is an exact integer and every mean an exact fraction; nothing
depends on the order of the cases.

Mean of a group: sum over its years of weight x (sum of kept costs / kept cases), divided by the sum of the weights of
those years. A year in which the group has no kept case is left out, and the weights of the others stand for the
whole. Coefficient of variation (CV): population standard deviation (divisor n) of the kept costs of all years
together, each case counting once, divided by their plain mean.
Source: 《DIP 技术规范》: three years weighted 1 : 2 : 7, costs trimmed, CV and number of cases of each disease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from math import isqrt

import polars as pl

from budget.money import decimal_text
from budget.trimming import Trimming, kept_costs

COST_LIMIT_FEN = 10**15
"""Costs are below this (ten trillion yuan), so that sums of squares of 10^8 cases stay within 128 bits."""
_CV_PLACES = 4
_SUMS = ("group", "year", "cases", "kept", "sum_fen", "square_sum")


@dataclass(frozen=True, slots=True)
class YearCosts:
    """One group in one year: cases, cases kept by the trimming, and the sum of their costs in fen."""

    year: int
    cases: int
    kept: int
    sum_fen: int


@dataclass(frozen=True, slots=True)
class GroupCosts:
    """One group over all its years. `cases` before, `kept` after trimming; `sum_fen` and `square_sum` (fen, fen
    squared) over the kept cases; `mean_fen` over the weighted years."""

    group: int
    cases: int
    kept: int
    sum_fen: int
    square_sum: int
    mean_fen: Fraction
    years: tuple[YearCosts, ...]

    @property
    def cv(self) -> Fraction:
        """The coefficient of variation, rounded half up to four decimals; 0 when every kept cost is 0."""
        if not self.sum_fen:
            return Fraction(0)
        spread = self.kept * self.square_sum - self.sum_fen**2
        # floor(sqrt(x) + 1/2) = floor((floor(2 sqrt(x)) + 1) / 2), with x the square of the scaled ratio.
        scale = 10**_CV_PLACES
        doubled = isqrt(4 * scale**2 * spread // self.sum_fen**2)
        return Fraction((doubled + 1) // 2, scale)

    @property
    def cv_text(self) -> str:
        """The coefficient of variation with four decimals."""
        return decimal_text(self.cv, _CV_PLACES)


def group_costs(cases: pl.DataFrame, weights: Mapping[int, Fraction | int], rule: Trimming) -> tuple[GroupCosts, ...]:
    """Every group that occurs, by ascending number.

    `cases`: group, year, cost_fen without nulls, 0 <= cost_fen < COST_LIMIT_FEN, every year in `weights`;
    `weights`: positive weight of each year. Each group is trimmed by its own limits over all its years.
    """
    return tuple(_of_years(list(rows), weights) for _, rows in groupby(_sums(cases, rule), key=lambda row: row[0]))


def whole_costs(cases: pl.DataFrame, weights: Mapping[int, Fraction | int], rule: Trimming) -> GroupCosts:
    """All cases as one group (number 0), trimmed and weighted by the same rules: the reference of mean-cost scores.

    Raises ValueError without a single case.
    """
    if cases.is_empty():
        raise ValueError("no case to take a mean of")
    (whole,) = group_costs(cases.with_columns(pl.lit(0, pl.Int32).alias("group")), weights, rule)
    return whole


def weighted_mean(means: Sequence[Fraction], weights: Sequence[Fraction | int]) -> Fraction:
    """Means of years by their weights, which need not add up to 1. Raises ValueError unless there are as many
    positive weights as means, and at least one."""
    if not means or len(means) != len(weights) or any(weight <= 0 for weight in weights):
        raise ValueError("one positive weight a year is needed")
    whole = sum((mean * weight for mean, weight in zip(means, weights, strict=True)), Fraction(0))
    return whole / sum(map(Fraction, weights), Fraction(0))


def year_weights(years: Sequence[int], parts: Sequence[Fraction | int]) -> dict[int, Fraction]:
    """The weight of each year, oldest first, as shares of their sum. Raises ValueError unless there are as many
    positive parts as years."""
    if len(years) != len(parts) or any(part <= 0 for part in parts):
        raise ValueError("one positive weight a year is needed")
    whole = sum(map(Fraction, parts), Fraction(0))
    return {year: Fraction(part) / whole for year, part in zip(sorted(years), parts, strict=True)}


def _sums(cases: pl.DataFrame, rule: Trimming) -> list[tuple[int, int, int, int, int, int]]:
    """Rows of _SUMS, by group and year; the sums over the kept cases."""
    costs = cases["cost_fen"]
    assert costs.null_count() == 0, "a case without a cost is put aside before"
    low, high = costs.min(), costs.max()
    assert low is None or (low >= 0 and high < COST_LIMIT_FEN), "costs are not negative and below the limit"  # type: ignore[operator]
    kept = kept_costs(cases["group"], costs, rule)
    wide = pl.when("kept").then(pl.col("cost_fen").cast(pl.Int128)).otherwise(pl.lit(0, pl.Int128))
    summed = (
        cases.lazy()
        .with_columns(kept)
        .group_by("group", "year")
        .agg(
            pl.len().alias("cases"),
            pl.col("kept").sum(),
            wide.sum().alias("sum_fen"),
            (wide * wide).sum().alias("square_sum"),
        )
        .sort("group", "year")
        .select(_SUMS)
        .collect()
    )
    return summed.rows()


def _of_years(rows: Sequence[tuple[int, int, int, int, int, int]], weights: Mapping[int, Fraction | int]) -> GroupCosts:
    years = tuple(YearCosts(year, cases, kept, total) for _, year, cases, kept, total, _ in rows)
    with_cases = [year for year in years if year.kept]
    means = [Fraction(year.sum_fen, year.kept) for year in with_cases]
    return GroupCosts(
        group=rows[0][0],
        cases=sum(year.cases for year in years),
        kept=sum(year.kept for year in years),
        sum_fen=sum(year.sum_fen for year in years),
        square_sum=sum(row[-1] for row in rows),
        mean_fen=weighted_mean(means, [weights[year.year] for year in with_cases]),
        years=years,
    )
