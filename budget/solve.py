"""One number that brings a total to its target: a factor, a rate or a point value, on a grid of stated decimals.

A solver only proposes where to look; what a number brings about is measured exactly each time, and of two neighbours
on the grid between which the target lies the nearer is taken. Payments need not rise with a rate or coefficient
throughout (a case may become an outlier, and then earn more; after clearing a band of sharing may change): from the
number as it is the search goes outwards on both sides, so that the least change that reaches the target is found, and
a measure that jumps over the target has not reached it. Where it only jumps, the rest of the range is looked through
as well, for a number elsewhere may reach the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

Measure = Callable[[Fraction], Fraction | int]
_FIRST_STEP = 7
"""The first step outwards is the range halved so often."""
_EVEN_STEPS = 10
"""So many steps outwards are of one length; those after them double."""
_MOST_JUMPS = 2
"""The search outwards ends when the measure has jumped over the target so often."""
_MORE = 64
"""About so many numbers more are measured then, all over the range."""
_BESIDE = 8
"""What one step of the grid moves is taken from so many steps on both sides."""
_FINE = 12
"""Where the range is fine, what a step moves elsewhere is taken from the range halved so often."""


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


def factor_grid(digits: int) -> Grid:
    """The factors that a parameter may be scaled by: from a half to the double."""
    return Grid(Fraction(1, 2), Fraction(2), digits)


@dataclass(frozen=True, slots=True)
class Found:
    """`value` reaches `reached`, which misses the target by `residual` (positive: above it); `tried` numbers were
    measured. `jumped`: the residual is more than one step of the grid explains, the measure jumps over the target."""

    value: Fraction
    reached: Fraction
    residual: Fraction
    tried: int
    jumped: bool = False


class OutOfReach(Exception):
    """No number tried reaches the target: of all that were tried the measure went from `lowest` to `highest`; `nearest`
    came closest to it, and `missing` is what it lacks (positive: the target is higher)."""

    def __init__(self, grid: Grid, target: Fraction, lowest: Fraction, highest: Fraction, nearest: Found) -> None:
        self.grid = grid
        self.target = target
        self.lowest = lowest
        self.highest = highest
        self.nearest = nearest
        self.missing = -nearest.residual
        super().__init__(f"{target} lies outside {lowest} to {highest}")


@dataclass
class _Measured:
    """Each number is measured once."""

    measure: Measure
    grid: Grid
    target: Fraction
    least: Fraction
    known: dict[int, Fraction] = field(default_factory=dict)

    def off(self, place: int) -> Fraction:
        """What the number at a place misses the target by."""
        if place not in self.known:
            self.known[place] = Fraction(self.measure(self.grid.value(place))) - self.target
        return self.known[place]

    def found(self, place: int, *, jumped: bool = False) -> Found:
        """What a place comes to."""
        off = self.off(place)
        return Found(self.grid.value(place), self.target + off, off, len(self.known), jumped)

    def nearest(self) -> Found:
        """The number tried that comes closest; of two as near the smaller one."""
        return self.found(min((abs(off), place) for place, off in self.known.items())[1])

    def nearer(self, one: int, other: int) -> Found:
        """The one of two places that comes closer to the target; of two as near the smaller one."""
        return self.found(min((abs(self.off(place)), place) for place in (one, other))[1])

    def jumps(self, low: int, high: int) -> bool:
        """Do two neighbours between which the measure passes the target miss it by more than a step explains?"""
        missed = min(abs(self.off(low)), abs(self.off(high)))
        if missed <= self.least:
            return False
        ends = max(low - _BESIDE, self.grid.first), min(high + _BESIDE, self.grid.last)
        beside = [(end, near) for end, near in zip(ends, (low, high), strict=True) if end != near]
        steps = [abs(self.off(end) - self.off(near)) / abs(end - near) for end, near in beside]
        return missed > max(steps, default=missed)


def solve_for(
    measure: Measure,
    target: Fraction | int,
    grid: Grid,
    start: Fraction | None = None,
    least: Fraction | int = 0,
    more: int = _MORE,
) -> Found:
    """The number of the grid whose measure is nearest to the target where it passes it first, seen from `start` (the
    middle of the grid when there is none); of two as near the smaller one. What is missed by up to `least` is reached.

    Where the measure jumps over the target, a number elsewhere that reaches it, looked for with about `more` numbers;
    where none is found, the number closest to `start` of those tried that miss it by at most half a jump, which is as
    near as such a jump leads at worst. Where nothing passes it, about `more` numbers more are spread over the range,
    and as many again close in on the least and the greatest that were measured.
    Raises OutOfReach when the measure passes the target nowhere it was looked for.
    """
    seen = _Measured(measure, grid, Fraction(target), Fraction(least))
    middle = grid.nearest((grid.low + grid.high) / 2 if start is None else start)
    jumps: list[Fraction] = []
    for brackets in _passing(seen, middle):
        pairs = sorted((_narrowed(seen, *bracket) for bracket in brackets), key=lambda pair: _away(pair, middle))
        for low, high in pairs:
            if low == high or not seen.jumps(low, high):
                return seen.nearer(low, high)
        jumps += [abs(seen.off(high) - seen.off(low)) for low, high in pairs]
        if len(jumps) >= _MOST_JUMPS:
            break
    elsewhere = _elsewhere(seen, more) if jumps else _at_the_ends(seen, more)
    if elsewhere is not None:
        return seen.nearer(*elsewhere)
    jumps = jumps or [abs(seen.off(high) - seen.off(low)) for low, high in _over(seen)]
    if jumps:
        near = min(jumps) / 2
        return seen.found(
            min((abs(at - middle), at) for at, off in seen.known.items() if abs(off) <= near)[1], jumped=True
        )
    measured = [seen.target + off for off in seen.known.values()]
    raise OutOfReach(grid, seen.target, min(measured), max(measured), seen.nearest())


def _away(pair: tuple[int, int], middle: int) -> int:
    return min(abs(place - middle) for place in pair)


def _passing(seen: _Measured, start: int) -> Iterator[list[tuple[int, int]]]:
    """Pairs of places between which the measure passes the target, those of each step outwards together: even steps on
    both sides first, then steps that double, to the ends of the grid."""
    grid = seen.grid
    if not seen.off(start):
        yield [(start, start)]
        return
    ends = {-1: grid.first, 1: grid.last}
    inner = {-1: start, 1: start}
    step = away = max(1, (grid.last - grid.first) >> _FIRST_STEP)
    steps = 0
    while any(inner[side] != end for side, end in ends.items()):
        found: list[tuple[int, int]] = []
        for side, end in ends.items():
            place = max(end, start - away) if side < 0 else min(end, start + away)
            if place != inner[side] and seen.off(place) * seen.off(inner[side]) <= 0:
                found.append((inner[side], place))
            inner[side] = place
        if found:
            yield found
        steps += 1
        step *= 1 if steps < _EVEN_STEPS else 2
        away += step


def _elsewhere(seen: _Measured, more: int) -> tuple[int, int] | None:
    """Neighbours that reach the target, somewhere in the range; None when none are found with so many more numbers.
    Measured are, in turn, what the steps beside the number that comes closest to the target lead to, and the middle of
    the widest part of the range that nothing was measured in."""
    most, followed = len(seen.known) + more, set[int]()
    for end in (seen.grid.first, seen.grid.last):
        seen.off(end)
    while len(seen.known) < most:
        near = min(((abs(off), place) for place, off in seen.known.items() if place not in followed), default=None)
        if near is not None:
            followed.add(near[1])
            _follow(seen, near[1])
        low, high = _widest(seen)
        if near is None and high - low <= 1:
            return None
        seen.off((low + high) // 2)
        found = _crossed(seen, most)
        if found is not None:
            return found
    return None


def _at_the_ends(seen: _Measured, more: int) -> tuple[int, int] | None:
    """Neighbours that reach the target, where none of the steps outwards passed it; None when none are found. Measured
    are `more` numbers spread over the range, then half as many on both sides of the least and of the greatest."""
    most = len(seen.known) + more
    while len(seen.known) < most and not _over(seen):
        low, high = _widest(seen)
        if high - low <= 1:
            break
        seen.off((low + high) // 2)
    for sign in (1, -1):
        _close_in(seen, sign, len(seen.known) + more // 2)
    return _crossed(seen, len(seen.known) + more) if _over(seen) else None


def _close_in(seen: _Measured, sign: int, most: int) -> None:
    """Measure the middles beside the least number (`sign` 1; -1: the greatest), again and again, until `most` are
    measured, nothing lies between, or the target is passed."""
    while len(seen.known) < most and not _over(seen):
        places = sorted(seen.known)
        at = min(range(len(places)), key=lambda index: (sign * seen.known[places[index]], index))
        beside = [places[index] for index in (at - 1, at + 1) if 0 <= index < len(places)]
        wide = [other for other in beside if abs(other - places[at]) > 1]
        if not wide:
            return
        for other in wide:
            seen.off((places[at] + other) // 2)


def _widest(seen: _Measured) -> tuple[int, int]:
    """The widest part of the range that nothing was measured in, of those as wide the lowest."""
    return max(pairwise(sorted(seen.known)), key=lambda pair: (pair[1] - pair[0], -pair[0]))


def _over(seen: _Measured) -> list[tuple[int, int]]:
    """Places next to each other of those measured that the target lies between."""
    return [(one, other) for one, other in pairwise(sorted(seen.known)) if seen.off(one) * seen.off(other) <= 0]


def _follow(seen: _Measured, place: int) -> None:
    """Measure where the target would be if all went on as in the steps beside a place, on both of its sides."""
    grid, off = seen.grid, seen.off(place)
    width = max(_BESIDE, (grid.last - grid.first) >> _FINE)
    for beside in (place - width, place + width):
        if grid.first <= beside <= grid.last and seen.off(beside) != off:
            steps = off * (beside - place) / (off - seen.off(beside))
            to = place + (ceil(steps) if steps > 0 else floor(steps))  # a little beyond, so that it is passed
            seen.off(min(max(to, grid.first), grid.last))


def _crossed(seen: _Measured, most: int) -> tuple[int, int] | None:
    """Neighbours that reach the target between any two places that it lies between, one after the other until `most`
    numbers are measured; None when it is only jumped over."""
    while True:
        passing = _over(seen)
        for one, other in passing:
            exact = [place for place in (one, other) if not seen.off(place)]
            if exact:
                return exact[0], exact[0]
            if other - one == 1 and not seen.jumps(one, other):
                return one, other
        wider = [(other - one, one) for one, other in passing if other - one > 1]
        if not wider or len(seen.known) >= most:
            return None
        width, one = min(wider)
        _narrowed(seen, one, one + width)


def _narrowed(seen: _Measured, one: int, other: int) -> tuple[int, int]:
    """Neighbours, the lower first, between which the measure passes the target, within two places between which it
    does; twice the same place where that reaches it exactly."""
    one, other = min(one, other), max(one, other)
    if abs(one - other) > 1 and seen.off(one) and seen.off(other):
        from scipy.optimize import brentq  # here, for it takes long to import

        brentq(lambda at: float(seen.off(round(at))), one, other, xtol=0.5)
        within = sorted(place for place in seen.known if one <= place <= other)
        passing = ((a, b) for a, b in pairwise(within) if seen.off(a) * seen.off(b) <= 0)
        one, other = min(passing, key=lambda pair: pair[1] - pair[0])
    for place in (one, other):
        if not seen.off(place):
            return place, place
    while other - one > 1:
        middle = (one + other) // 2
        if not seen.off(middle):
            return middle, middle
        if seen.off(middle) * seen.off(one) > 0:
            one = middle
        else:
            other = middle
    return one, other
