"""Trimming (裁剪): which costs count when the mean of a group is taken. The rule is always stated, never guessed.

    percentile:LOW:HIGH   from the LOW-th to the HIGH-th percentile, both ends kept
    iqr:K                 from Q1 - K(Q3 - Q1) to Q3 + K(Q3 - Q1), both ends kept
    lognormal:K           logarithms of the costs from their mean - K to their mean + K standard deviations (divisor n)
    none                  every cost

Percentiles and quartiles by linear interpolation on n - 1: percentile p of n costs in ascending order stands at place
p/100 (n - 1), counted from 0; between two places the value lies between theirs in proportion. No limit is ever rounded:
a cost of whole fen is at least a limit when it is at least the limit rounded up to the fen, and at most a limit when
it is at most the limit rounded down. A group of which a rule would leave nothing (two different costs lose both ends)
is left whole.

Logarithms are whole numbers of 2^-24 (`binary_log`, base 2: the base cancels out), so their limits are exact too.
Source: 《DIP 3.0 技术规范》 (percentiles 2.5 and 97.5) and the worked settlement examples (interpolation on n - 1);
trimming by quartile range or on the logarithm is the custom for DRG weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.binary_log import binary_logs
from budget.money import exact

_LARGEST = 1000
_FINEST = 10_000

Integers = NDArray[np.int64]
Limits = tuple[Integers, Integers]


@dataclass(frozen=True, slots=True)
class Trimming:
    """A rule of trimming. `low` and `high`: percentiles (kind percentile), quartiles (iqr); `factor`: K."""

    kind: Literal["percentile", "iqr", "lognormal", "none"]
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(100)
    factor: Fraction = Fraction(0)


NO_TRIMMING = Trimming("none")


def read_trimming(text: str) -> Trimming:
    """A rule as written above. Raises ValueError for another word, a percentile outside 0 to 100 or out of order, a
    factor that is negative or above 1000, and for a number of more than four decimals."""
    kind, *numbers = text.strip().split(":")
    given = [exact(number) for number in numbers]
    if any(number.denominator > _FINEST or not 0 <= number <= _LARGEST for number in given):
        raise ValueError(f"number out of range in {text!r}")
    if kind == "none" and not given:
        return NO_TRIMMING
    if kind == "percentile" and len(given) == 2 and given[0] < given[1] <= 100:
        return Trimming("percentile", given[0], given[1])
    if kind == "iqr" and len(given) == 1:
        return Trimming("iqr", Fraction(25), Fraction(75), given[0])
    if kind == "lognormal" and len(given) == 1:
        return Trimming("lognormal", factor=given[0])
    raise ValueError(f"expected percentile:LOW:HIGH, iqr:K, lognormal:K or none: {text!r}")


def kept_costs(group: pl.Series, cost_fen: pl.Series, rule: Trimming) -> pl.Series:
    """Boolean [cases]: which costs count, each group (int, any numbers) by its own limits over all its costs.

    `cost_fen` Int64, not negative, below 10^15, no nulls. Does not depend on the order of the cases; at least one
    cost of every group counts.
    """
    if rule.kind == "none" or not len(group):
        return pl.Series("kept", np.ones(len(group), np.bool_))
    costs = cost_fen.cast(pl.Int64).to_numpy()
    _, place, counts = np.unique(group.to_numpy(), return_inverse=True, return_counts=True)
    if rule.kind == "lognormal":
        costs = binary_logs(costs)
        low, high = _log_limits(costs, place, counts, rule.factor)
    else:
        ordered = _Ordered(costs, place, counts)
        low, high = _quartile_limits(ordered, rule) if rule.kind == "iqr" else _percentile_limits(ordered, rule)
    kept = (costs >= low[place]) & (costs <= high[place])
    left = np.bincount(place[kept], minlength=counts.size)
    return pl.Series("kept", kept | (left == 0)[place])


class _Ordered:
    """Costs by group and size; `counts`: how many each group has."""

    def __init__(self, costs: Integers, place: Integers, counts: Integers) -> None:
        self.costs = costs[np.lexsort((costs, place))]
        self.counts = counts
        self.starts = np.concatenate([[0], np.cumsum(counts)[:-1]])

    def around(self, percentile: Fraction) -> tuple[Integers, Integers, Integers, int]:
        """A percentile of every group as cost + gap x part / whole: the cost below it, the gap to the next one."""
        share = percentile / 100
        below, part = np.divmod(share.numerator * (self.counts - 1), share.denominator)
        cost = self.costs[self.starts + below]
        gap = self.costs[self.starts + np.minimum(below + 1, self.counts - 1)] - cost
        return cost, gap, part, share.denominator


def _percentile_limits(ordered: _Ordered, rule: Trimming) -> Limits:
    cost, gap, part, whole = ordered.around(rule.low)
    low = cost - _floor_times(-gap, part, whole)
    cost, gap, part, whole = ordered.around(rule.high)
    return low, cost + _floor_times(gap, part, whole)


def _quartile_limits(ordered: _Ordered, rule: Trimming) -> Limits:
    # In quarters of a fen both quartiles are whole; so are the limits once the range times K is cut off, for a whole
    # number that is at least Q1 - x is at least Q1 - floor(x).
    first, third = (
        cost * whole + gap * part for cost, gap, part, whole in (ordered.around(rule.low), ordered.around(rule.high))
    )
    margin = _floor_times(third - first, np.int64(rule.factor.numerator), rule.factor.denominator)
    return -((margin - first) // 4), (third + margin) // 4


def _log_limits(logs: Integers, place: Integers, counts: Integers, factor: Fraction) -> Limits:
    # A logarithm L counts when (n L - S)^2 <= K^2 (n SS - S^2), with S and SS the sums of logarithms and squares.
    wide = pl.col("log").cast(pl.Int128)
    sums = (
        pl.DataFrame({"place": place, "log": logs})
        .group_by("place")
        .agg(wide.sum().alias("sum"), (wide * wide).sum().alias("squares"))
        .sort("place")
    )
    low, high = [], []
    for count, total, squares in zip(counts.tolist(), sums["sum"], sums["squares"], strict=True):
        spread = factor.numerator**2 * (count * squares - total**2) // factor.denominator**2
        low.append(-((isqrt(spread) - total) // count))
        high.append((total + isqrt(spread)) // count)
    return np.array(low, np.int64), np.array(high, np.int64)


def _floor_times(values: Integers, part: Integers | np.int64, whole: int) -> Integers:
    """floor(values x part / whole), the product split so that it stays within 64 bits."""
    times, rest = np.divmod(values, whole)
    return np.asarray(times * part + rest * part // whole)
