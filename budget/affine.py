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
"""No stay costs more than this many fen; up to here 128-bit products are exact."""
_LIMIT = 1 << 125
_LIMIT_64 = (1 << 63) - 1
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
    """Many affine amounts, ready to be evaluated for whole columns of cases.

    A constant amount is looked up; where a x cost + b stays within 64 bits the division is done in them; what is
    larger goes through 128 bits, and what does not fit there through Python's own integers. All of it is exact.
    """

    def __init__(self, amounts: Sequence[Affine]) -> None:
        self.amounts = tuple(amounts)
        triples = [amount.integers() for amount in self.amounts]
        narrow = [max(abs(b), d) * 4 < _LIMIT_64 and abs(a) < _LIMIT_64 for a, b, d in triples]
        wide = [2 * (abs(a) * LARGEST_COST + abs(b)) + d < _LIMIT and 2 * d < _LIMIT for a, b, d in triples]
        self._triples = np.array(
            [triple if fits else (0, 0, 1) for triple, fits in zip(triples, narrow, strict=True)], np.int64
        ).reshape(-1, 3)
        # The greatest cost at which 2 (|a| cost + |b|) + d stays within 64 bits; -1: at none.
        reach = [
            min(LARGEST_COST, (_LIMIT_64 - d - 2 * abs(b)) // (2 * abs(a))) if a and fits else -1
            for (a, b, d), fits in zip(triples, narrow, strict=True)
        ]
        self._reach = np.array(reach, np.int64)
        nearest = [0 if amount.slope else round_half_up(amount.intercept) for amount in self.amounts]
        self._value = np.array(nearest, np.int64)
        self._varies = np.array([bool(amount.slope) for amount in self.amounts], np.bool_)
        self._is_wide = np.array(wide, np.bool_)
        self._wide_triples = [triple if fits else (0, 0, 1) for triple, fits in zip(triples, wide, strict=True)]

    def plus(self, amounts: Sequence[Affine]) -> AffineColumn:
        """The column with further amounts behind its own."""
        more = AffineColumn(amounts)
        both = object.__new__(AffineColumn)
        both.amounts = (*self.amounts, *more.amounts)
        both._wide_triples = self._wide_triples + more._wide_triples
        for name in ("_triples", "_reach", "_value", "_varies", "_is_wide"):
            setattr(both, name, np.concatenate([getattr(self, name), getattr(more, name)]))
        return both

    def rounded(self, which: NDArray[np.integer], cost: NDArray[np.int64]) -> NDArray[np.int64]:
        """int64 [cases]: amount `which` of each case at its cost, rounded half away from zero."""
        result = self._value.take(which)
        rows = np.flatnonzero(self._varies.take(which))
        if not rows.size:
            return result
        lines, costs = which[rows], cost[rows]
        far = np.flatnonzero(np.abs(costs) > self._reach.take(lines))
        if far.size:
            distant = rows[far]
            result[distant] = self._in_128_bits(which[distant], cost[distant])
            rows = np.setdiff1d(rows, distant, assume_unique=True)
            lines, costs = which[rows], cost[rows]
        result[rows] = self._in_64_bits(lines, costs)
        return result

    def _in_64_bits(self, lines: NDArray[np.integer], cost: NDArray[np.int64]) -> NDArray[np.int64]:
        a, b, d = (np.ascontiguousarray(column) for column in self._triples.T)
        exact = a.take(lines) * cost + b.take(lines)
        divisor = d.take(lines)
        nearest = (2 * np.abs(exact) + divisor) // (2 * divisor)
        return np.asarray(np.where(exact < 0, -nearest, nearest))

    def _in_128_bits(self, lines: NDArray[np.integer], cost: NDArray[np.int64]) -> NDArray[np.int64]:
        different, place = np.unique(lines, return_inverse=True)
        triples = zip(*(self._wide_triples[line] for line in different.tolist()), strict=True)
        plan = pl.DataFrame(
            {name: pl.Series(name, list(values), dtype=_WIDE) for name, values in zip("abd", triples, strict=True)}
        )
        frame = plan[pl.Series(place.ravel().astype(np.uint32))].with_columns(cost=pl.Series(cost).cast(_WIDE))
        two, one = pl.lit(2, dtype=_WIDE), pl.lit(1, dtype=_WIDE)
        exact = pl.col("a") * pl.col("cost") + pl.col("b")
        sign = pl.when(exact < pl.lit(0, dtype=_WIDE)).then(-one).otherwise(one)
        nearest = sign * ((exact * sign * two + pl.col("d")) // (pl.col("d") * two))
        found = frame.select(nearest.cast(pl.Int64).alias("rounded"))["rounded"].to_numpy().copy()
        for at in np.flatnonzero(~self._is_wide.take(lines) | (np.abs(cost) > LARGEST_COST)):
            found[at] = round_half_up(self.amounts[int(lines[at])].at(int(cost[at])))
        return np.asarray(found)
