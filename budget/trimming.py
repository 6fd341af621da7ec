"""Trimming (裁剪): which costs count when the mean of a group is taken. The rule is always stated, never guessed.

    percentile:LOW:HIGH   from the LOW-th to the HIGH-th percentile by nearest rank, both ends kept
    iqr:K                 from Q1 - K(Q3 - Q1) to Q3 + K(Q3 - Q1), quartiles by nearest rank, both ends kept
    none                  every cost

The nearest-rank percentile p of n costs is the cost of rank ceil(p/100 n) in ascending order, rank 1 when that is 0:
always a cost that occurred, so everything stays in whole fen. Source: 《DIP 3.0 技术规范》 (percentiles 2.5 and 97.5);
trimming by quartile range is the custom for DRG weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.money import exact

_LARGEST = 1000
_FINEST = 10_000

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trimming:
    """A rule of trimming. `low` and `high`: percentiles (kind percentile), quartiles (iqr); `factor`: K of iqr."""

    kind: Literal["percentile", "iqr", "none"]
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
    raise ValueError(f"expected percentile:LOW:HIGH, iqr:K or none: {text!r}")


def kept_costs(group: pl.Series, cost_fen: pl.Series, rule: Trimming) -> pl.Series:
    """Boolean [cases]: which costs count, each group (int, any numbers) by its own limits over all its costs.

    `cost_fen` Int64, not negative, no nulls. Does not depend on the order of the cases.
    """
    if rule.kind == "none" or not len(group):
        return pl.Series("kept", np.ones(len(group), np.bool_))
    costs = cost_fen.cast(pl.Int64).to_numpy()
    _, place, counts = np.unique(group.to_numpy(), return_inverse=True, return_counts=True)
    ordered = costs[np.lexsort((costs, place))]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    low = ordered[starts + _rank(rule.low, counts) - 1]
    high = ordered[starts + _rank(rule.high, counts) - 1]
    if rule.kind == "iqr":
        # A whole number of fen is at least a limit when it is at least the limit rounded up, so floors are exact.
        margin = _floor_times(high - low, rule.factor)
        low, high = low - margin, high + margin
    return pl.Series("kept", (costs >= low[place]) & (costs <= high[place]))


def _rank(percentile: Fraction, counts: Integers) -> Integers:
    """Rank (from 1) of the nearest-rank percentile among so many costs."""
    numerator, denominator = percentile.numerator, percentile.denominator * 100
    return np.maximum(-(-numerator * counts // denominator), 1)


def _floor_times(values: Integers, factor: Fraction) -> Integers:
    """floor(values x factor), the product split so that it stays within 64 bits."""
    whole, rest = np.divmod(values, factor.denominator)
    return np.asarray(whole * factor.numerator + rest * factor.numerator // factor.denominator)
