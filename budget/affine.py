"""Amounts that are linear in a case's cost, evaluated exactly for whole columns.

Once hospital, group and policy are known, every payment formula is slope x cost + intercept. The two are exact
fractions; over whole columns they are 128-bit integers (a x cost + b) / d, rounded half away from zero once.
Nothing is a float, so a case exactly on a half fen rounds as written, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.money import round_half_up

LARGEST_COST = 1 << 44
"""No stay costs more than this many fen; the bound that keeps 128-bit products exact."""
_LIMIT = 1 << 125
_WIDE = pl.Int128


@dataclass(frozen=True, slots=True)
class Affine:
    """slope x cost + intercept; cost and result in the unit the caller says (fen, points)."""

    slope: Fraction
    intercept: Fraction

    def at(self, cost: int | Fraction) -> Fraction:
        """The exact amount at one cost."""
        return self.slope * cost + self.intercept

    def times(self, factor: Fraction) -> Affine:
        """The amount multiplied by a factor."""
        return Affine(self.slope * factor, self.intercept * factor)

    def total(self, count: int, cost: int) -> Fraction:
        """The exact sum over `count` cases whose costs add up to `cost`."""
        return self.slope * cost + self.intercept * count

    def integers(self) -> tuple[int, int, int]:
        """(a, b, d) with d > 0 and (a x cost + b) / d the amount."""
        denominator = lcm(self.slope.denominator, self.intercept.denominator)
        a = self.slope.numerator * (denominator // self.slope.denominator)
        return a, self.intercept.numerator * (denominator // self.intercept.denominator), denominator

    def least_cost_reaching(self, amount: Fraction) -> int | None:
        """The least whole cost at which the amount is at least `amount`; None when the slope is not positive."""
        if self.slope <= 0:
            return None
        return -((self.intercept - amount) / self.slope).__floor__()


ZERO = Affine(Fraction(0), Fraction(0))


class AffineColumn:
    """Many affine amounts, ready to be evaluated for whole columns of cases."""

    def __init__(self, amounts: Sequence[Affine]) -> None:
        self.amounts = tuple(amounts)
        triples = [amount.integers() for amount in self.amounts]
        fits = [2 * (abs(a) * LARGEST_COST + abs(b)) + d < _LIMIT and 2 * d < _LIMIT for a, b, d in triples]
        self._odd = np.flatnonzero(~np.array(fits, np.bool_))
        kept = [triple if fit else (0, 0, 1) for triple, fit in zip(triples, fits, strict=True)]
        columns = zip(*kept, strict=True) if kept else ((), (), ())
        self._plan = pl.DataFrame(
            {name: pl.Series(name, list(column), dtype=_WIDE) for name, column in zip("abd", columns, strict=True)}
        )

    def rounded(self, which: NDArray[np.integer], cost: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [cases]: amount `which` of each case at its cost, rounded half away from zero.

        `cost` must lie within plus or minus LARGEST_COST.
        """
        if not len(which):
            return np.zeros(0, np.int64)
        assert int(np.abs(cost).max()) <= LARGEST_COST, "a cost beyond every stay"
        frame = self._plan[pl.Series(which.astype(np.uint32))].with_columns(cost=pl.Series(cost).cast(_WIDE))
        two, one = pl.lit(2, dtype=_WIDE), pl.lit(1, dtype=_WIDE)
        exact = pl.col("a") * pl.col("cost") + pl.col("b")
        sign = pl.when(exact < pl.lit(0, dtype=_WIDE)).then(-one).otherwise(one)
        nearest = sign * ((exact * sign * two + pl.col("d")) // (pl.col("d") * two))
        result = frame.select(nearest.cast(pl.Int64).alias("rounded"))["rounded"].to_numpy().copy()
        for at in np.flatnonzero(np.isin(which, self._odd)) if self._odd.size else ():
            result[at] = round_half_up(self.amounts[int(which[at])].at(int(cost[at])))
        return np.asarray(result)
