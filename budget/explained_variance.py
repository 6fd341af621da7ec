"""How much of the variance of costs a grouping explains: RIV (reduction in variance), the R squared of the groups.

    RIV = 1 - sum over cases of (cost - mean of its group)^2 / sum over cases of (cost - mean of all)^2

Plain means over the given cases, each case counting once; exact sums, one division at the end. Two groupings can be
compared only on the same cases. Source: the measure by which DRG and DIP schemes are assessed (组间变异、RIV).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import polars as pl

from budget.cost_statistics import COST_LIMIT_FEN
from budget.money import decimal_text

_PLACES = 4


@dataclass(frozen=True, slots=True)
class ExplainedVariance:
    """`cases` and `groups` counted; `total` and `within`: sums of squares in fen squared, exact."""

    cases: int
    groups: int
    total: Fraction
    within: Fraction

    @property
    def riv(self) -> Fraction | None:
        """The explained share, 0 to 1; None when all costs are alike and there is nothing to explain."""
        return 1 - self.within / self.total if self.total else None

    @property
    def text(self) -> str:
        """The share with four decimals, rounded half up; blank for None."""
        return "" if self.riv is None else decimal_text(self.riv, _PLACES)


def explained_variance(cases: pl.DataFrame, group: str = "group") -> ExplainedVariance:
    """The measure for the cases of a frame with `cost_fen` (Int64, 0 <= cost < COST_LIMIT_FEN) and a column of
    groups of any type; a null group is a group of its own."""
    costs = cases["cost_fen"]
    low, high = costs.min(), costs.max()
    assert low is None or (low >= 0 and high < COST_LIMIT_FEN), "costs are not negative and below the limit"  # type: ignore[operator]
    wide = pl.col("cost_fen").cast(pl.Int128)
    summed = (
        cases.lazy()
        .group_by(group)
        .agg(pl.len().alias("cases"), wide.sum().alias("sum"), (wide * wide).sum().alias("squares"))
        .select("cases", "sum", "squares")
        .collect()
        .rows()
    )
    count = sum(size for size, _, _ in summed)
    squares = sum(square for _, _, square in summed)
    if not count:
        return ExplainedVariance(0, 0, Fraction(0), Fraction(0))
    # Groups of one size share a denominator, and there are few sizes: their common multiple stays manageable.
    by_size: dict[int, int] = {}
    for size, total, _ in summed:
        by_size[size] = by_size.get(size, 0) + total**2
    common = lcm(*by_size)
    between = Fraction(sum(square * (common // size) for size, square in by_size.items()), common)
    whole = Fraction(sum(total for _, total, _ in summed) ** 2, count)
    return ExplainedVariance(count, len(summed), squares - whole, squares - between)
