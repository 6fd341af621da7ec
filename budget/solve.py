"""One number that brings a total to its target: a factor, a rate or a point value, on a grid of stated decimals.

A solver only proposes where to look; what a number brings about is measured exactly each time, and of the two
neighbours on the grid between which the target lies the nearer is taken. Measures are supposed to rise or fall with the
number throughout, as all payments do with weights, coefficients, rates and point values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

Measure = Callable[[Fraction], Fraction | int]


@dataclass(frozen=True, slots=True)
class Grid:
    """The numbers that may be chosen: from `low` to `high`, with `digits` decimals."""

    low: Fraction
    high: Fraction
    digits: int

    @property
    def unit(self) -> int:
        return int(10**self.digits)

    @property
    def first(self) -> int:
        """The lowest number, in units of the last decimal."""
        return ceil(self.low * self.unit)

    @property
    def last(self) -> int:
        return floor(self.high * self.unit)

    def value(self, place: int) -> Fraction:
        """The number at a place, counted in units of the last decimal."""
        return Fraction(place, self.unit)

    def nearest(self, number: Fraction) -> int:
        """The place of the nearest number, a half upwards, within the range."""
        return min(max(floor(number * self.unit + Fraction(1, 2)), self.first), self.last)


@dataclass(frozen=True, slots=True)
class Found:
    """`value` reaches `reached`, which misses the target by `residual` (positive: above it); `tried` numbers were
    measured."""

    value: Fraction
    reached: Fraction
    residual: Fraction
    tried: int


class OutOfReach(Exception):
    """No number of the grid reaches the target: at its ends the measure is `at_low` and `at_high`; `missing` is what
    the nearer end lacks (positive: the target is higher)."""

    def __init__(self, grid: Grid, target: Fraction, at_low: Fraction, at_high: Fraction) -> None:
        self.grid = grid
        self.target = target
        self.at_low = at_low
        self.at_high = at_high
        self.missing = min((target - at_low, target - at_high), key=abs)
        super().__init__(f"{target} lies outside {at_low} to {at_high}")


@dataclass
class _Measured:
    """Each number is measured once."""

    measure: Measure
    grid: Grid
    target: Fraction
    known: dict[int, Fraction] = field(default_factory=dict)

    def off(self, place: int) -> Fraction:
        """What the number at a place misses the target by."""
        if place not in self.known:
            self.known[place] = Fraction(self.measure(self.grid.value(place))) - self.target
        return self.known[place]

    def around(self) -> tuple[int, int]:
        """The closest places known that have the target between them."""
        below = [place for place, off in self.known.items() if off <= 0]
        above = [place for place, off in self.known.items() if off >= 0]
        return min(((one, other) for one in below for other in above), key=lambda pair: abs(pair[0] - pair[1]))


def solve_for(measure: Measure, target: Fraction | int, grid: Grid) -> Found:
    """The number of the grid whose measure is nearest to the target; of two as near the smaller one.

    Raises OutOfReach when the target lies beyond both ends of the grid.
    """
    seen = _Measured(measure, grid, Fraction(target))
    low, high = seen.off(grid.first), seen.off(grid.last)
    if low * high > 0:
        raise OutOfReach(grid, seen.target, low + seen.target, high + seen.target)
    if low and high:
        from scipy.optimize import brentq  # here, for it takes long to import

        brentq(lambda at: float(seen.off(round(at))), grid.first, grid.last, xtol=0.5)
    one, other = seen.around()
    while abs(one - other) > 1:
        middle = (one + other) // 2
        if seen.off(middle) <= 0:
            one = middle
        else:
            other = middle
    place = min((abs(seen.off(at)), at) for at in (one, other))[1]
    off = seen.off(place)
    return Found(grid.value(place), seen.target + off, off, len(seen.known))
