"""Rows x scenarios: upper ends of bands in whole fen and amounts of bands as lines, exact, from the rows' shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numpy as np
from numpy.typing import NDArray

from budget.scenario_lines import Column, Exact, Ints, Products, Reals, wrapped
from budget.scenario_moves import LARGEST, Places, Scenarios, check_range
from budget.scenario_rows import BANDS, OrdinaryRow, Part, Shape
from reference_tables.policy_bands import LimitBand

NO_END = 1 << 35
"""Above the cost of every case that is looked at row by row."""
_WHOLE = 2.0**52
"""Whole numbers below this, their sums and their quotients rounded down are exact as floats."""
_BLOCK = 1 << 15
"""Numbers that are worked out at a time, so that they stay in the cache."""


@dataclass(frozen=True)
class Lines:
    """Amounts of the bands in fen, [BANDS x rows, scenarios], band by band.

    Rows whose slopes move: estimates of slope and intercept, and both as whole numbers over `below` [BANDS x rows], all
    modulo 2^64; a constant amount is its rounded intercept, slope 0. `doubt`: how far an amount made of the estimates
    may be off. Plain rows: the amount is (`rise` x cost + `intercept`) // `over`, all of them whole numbers, rise and
    over [BANDS x rows]; as rise x cost is whole, nothing is lost by rounding down the intercept and the half first.
    Where all rows are plain, slopes and numbers have one column and are not used.
    """

    slope: Reals
    intercept: Reals
    slope_number: Ints
    intercept_number: Ints
    below: Ints
    doubt: float
    rise: Reals
    over: Reals

    @cached_property
    def lowest(self) -> Reals:
        """The least intercept of each line over the scenarios, [BANDS x rows]."""
        return np.asarray(self.intercept.min(axis=1))

    def amounts(self, line: Ints, cost: Reals, *, plain: bool) -> Reals:
        """Amounts of cases in every scenario, whole fen [cases, scenarios]: `line` of each case and its cost."""
        return self._whole(line, cost) if plain else self._rounded(line, cost)

    def _whole(self, line: Ints, cost: Reals) -> Reals:
        """Of plain rows."""
        found: Reals = self.intercept.take(line, axis=0)
        rise, over = self.rise.take(line), self.over.take(line)
        if rise.any():
            found += (rise * cost).reshape(-1, 1)
            found /= over.reshape(-1, 1)
            np.floor(found, out=found)
        return found

    def _rounded(self, line: Ints, cost: Reals) -> Reals:
        """Of others."""
        near: Reals = self.slope.take(line, axis=0)
        near *= cost.reshape(-1, 1)
        near += self.intercept.take(line, axis=0)
        near += 0.5 + self.doubt
        found: Reals = np.floor(near)
        near -= found
        doubtful = np.flatnonzero(near < 2 * self.doubt)
        if doubtful.size:
            case, scenario = np.unravel_index(doubtful, near.shape)
            lines = line[case]
            number = self.slope_number[lines, scenario] * cost[case].astype(np.int64)
            number += self.intercept_number[lines, scenario]
            below, whole = self.below.take(lines), found[case, scenario]
            found[case, scenario] = whole - (2 * number + below - 2 * below * whole.astype(np.int64) < 0)
        return found


@dataclass(frozen=True)
class Grid:
    """All rows in some scenarios. `upper` [BANDS - 1, rows, scenarios], whole fen; `lines` of the package, `fund` of
    the fund's part where that is a share of the unrounded package (None: for no row). `usable` bool [rows]: False where
    a row has to be made by the planner."""

    upper: Reals
    lines: Lines
    fund: Lines | None
    usable: NDArray[np.bool_]

    def normal(self, lines: Lines) -> Reals:
        """The amount of a normal case, [rows, scenarios], whole fen."""
        rows = self.upper.shape[1]
        return lines.intercept[rows : 2 * rows]


@dataclass(frozen=True)
class Variables:
    """Weight, coefficient, price and high limit of all rows in all scenarios, and how far costs go."""

    columns: dict[str, Column]
    largest: Ints
    usable: NDArray[np.bool_]


class Parts:
    """One number of all rows: what moves, by what it is multiplied, and what it is at least."""

    def __init__(self, key: str, parts: Sequence[Part]) -> None:
        self.key = key
        self._places = Places([part.address for part in parts])
        self._value = _over_one([part.value for part in parts])
        self._factor = _over_one([part.factor for part in parts])
        self._least = _over_one([part.least for part in parts])

    def column(self, scenarios: Scenarios) -> Column:
        """The number in every scenario."""
        number, below = scenarios.column(self.key, self._places, self._value, self._factor)
        least, floors = self._least
        if least.any():
            common = lcm(below, floors)
            check_range(number, common // below)
            check_range(least, common // floors)
            number = np.maximum(number * (common // below), (least * (common // floors)).reshape(-1, 1))
            below = common
        return Column(number, below)


def _over_one(values: Sequence[Fraction]) -> tuple[Ints, int]:
    """Fractions as whole numbers over one denominator. Raises OverflowError for those too fine for 64 bits."""
    below = lcm(1, *{value.denominator for value in values})
    whole = [value.numerator * (below // value.denominator) for value in values]
    if any(abs(value) >= LARGEST for value in whole):
        raise OverflowError("a value is too fine for 64 bits")
    return np.array(whole, np.int64), below


class RowParts:
    """The numbers of all rows: weight, coefficient, price and the high limits by weight. Raises OverflowError for
    numbers too fine for 64 bits."""

    def __init__(self, rows: Sequence[OrdinaryRow], price_key: str) -> None:
        self._weight = Parts("weight", [row.weight for row in rows])
        self._coefficient = Parts("coefficient", [row.coefficient for row in rows])
        self._price = Parts(price_key, [row.price for row in rows])
        places: dict[tuple[LimitBand, ...], list[int]] = {}
        for at, row in enumerate(rows):
            places.setdefault(row.limits, []).append(at)
        self._limits = [(limits, np.array(at, np.int64)) for limits, at in places.items()]

    def variables(self, scenarios: Scenarios, largest: Ints) -> Variables:
        """The variables in every scenario; `largest` int64 [rows]: the highest cost of a row's cases, fen."""
        weight = self._weight.column(scenarios)
        columns = {
            "w": weight, "k": self._coefficient.column(scenarios), "p": self._price.column(scenarios),
            "t": self._high_limits(weight),
        }  # fmt: skip
        usable = np.logical_and.reduce([(column.number > 0).all(axis=1) for column in columns.values()])
        return Variables(columns, largest, usable & (largest < NO_END - 1))

    def _high_limits(self, weight: Column) -> Column:
        """The high limit of each row and scenario, by its weight there."""
        below = lcm(1, *(band.limit.denominator for limits, _ in self._limits for band in limits))
        banded = any(len(limits) > 1 for limits, _ in self._limits)
        found = np.zeros(weight.number.shape if banded else (len(weight.number), 1), np.int64)
        for limits, here in self._limits:
            chosen: Ints = np.full((1, 1), int(limits[-1].limit * below))
            own = weight.number if len(here) == len(found) else weight.number[here]
            for band in reversed(limits[:-1]):
                assert band.up_to is not None, "only the last band has no end"
                edge = band.up_to * weight.below
                chosen = np.where(own <= edge.numerator // edge.denominator, int(band.limit * below), chosen)
            if len(here) == len(found):
                return Column(np.broadcast_to(chosen, found.shape), below)
            found[here] = chosen
        return Column(found, below)


def make_grid(
    shapes: Sequence[tuple[Shape, slice]], given: Variables, ratios: Sequence[Fraction | None], places: slice
) -> Grid:
    """The grid of scenarios `places`; `shapes`: runs of rows of one shape, which follow each other. `ratios` [rows]:
    the fund's share of the unrounded package, None where the fund's part is worked out otherwise."""
    rows, count = len(given.largest), places.stop - places.start
    columns = {name: Column(_cut(column.number, places), column.below) for name, column in given.columns.items()}
    upper = np.full((BANDS - 1, rows, count), float(NO_END))
    shares = any(ratio is not None for ratio in ratios)
    lines = _Maker(count, rows, sloping=shares or not all(shape.plain for shape, _ in shapes))
    fund = _Maker(count, rows, sloping=True) if shares else None
    usable = given.usable.copy()
    step = max(1, _BLOCK // max(1, count))
    for shape, run in shapes:
        ratio = ratios[run.start]
        cost = float(given.largest[run].max(initial=0))
        try:
            for first in range(run.start, run.stop, step):
                here = slice(first, min(first + step, run.stop))
                made = Products(columns, here)
                usable[here] &= _ends(shape, made, upper[:, here])
                if ratio is None and shape.plain:
                    lines.put_plain(shape, made, here, cost)
                    continue
                usable[here] &= _rises(shape, made)
                lines.put(shape, made, here, cost, Fraction(1))
                if fund is not None and ratio is not None:
                    fund.put(shape, made, here, cost, ratio)
        except OverflowError:
            usable[run] = False
    return Grid(upper, lines.made(), None if fund is None else fund.made(), usable)


def _cut(values: Ints, places: slice) -> Ints:
    return values if values.shape[1] == 1 else values[:, places]


def _ends(shape: Shape, made: Products, upper: Reals) -> NDArray[np.bool_]:
    """The last whole fen of each band; bool [rows]: the low limit is never above the high one."""
    for at, end in enumerate(shape.ends):
        if end is None:
            continue
        edge, inclusive = end
        made.value(edge).floor(upper[at], less=0 if inclusive else 1)
        np.minimum(upper[at], NO_END, out=upper[at])
    # A case is in the band of as many ends as it lies above; only the extreme limit is kept above the high one.
    np.maximum(upper[2], upper[1], out=upper[2])
    return np.asarray((upper[0] <= upper[1]).all(axis=1))


def _rises(shape: Shape, made: Products) -> NDArray[np.bool_]:
    """bool [rows]: above the high limit every amount that follows the cost rises with it, so that the least amount
    there is what the formula pays or the floor, whichever is more."""
    found = np.ones(1, np.bool_)
    for slope in shape.slope[2:]:
        if slope.parts:
            found = found & (made.value(slope).near > 0).all(axis=1)
    return found


class _Maker:
    """Puts the lines of one shape after the other into their places; `sloping`: some slopes move."""

    def __init__(self, count: int, rows: int, *, sloping: bool) -> None:
        self.rows = rows
        self.intercept = np.zeros((BANDS, rows, count))
        moving = (BANDS, rows, count if sloping else 1)
        self.slope = np.zeros(moving)
        self.slope_number, self.intercept_number = np.zeros(moving, np.int64), np.zeros(moving, np.int64)
        self.below = np.ones((BANDS, rows), np.int64)
        self.rise, self.over = np.zeros((BANDS, rows)), np.ones((BANDS, rows))
        self.doubt = 0.0

    def put_plain(self, shape: Shape, made: Products, to: slice, cost: float) -> None:
        """Rows `to` of one plain shape."""
        for band, (intercept, rise, over) in enumerate(shape.whole):
            if shape.ends[-1] is None and band == BANDS - 1:
                continue
            into = self.intercept[band, to]
            if band == BANDS - 1 and shape.same(2, band):
                into[:] = self.intercept[2, to]
            else:
                value = made.value(intercept)
                size = value.size
                value.floor(into)
            if rise * cost + size + 1 >= _WHOLE:
                raise OverflowError("amounts too large for whole numbers as floats")
            self.rise[band, to], self.over[band, to] = rise, over

    def put(self, shape: Shape, made: Products, to: slice, cost: float, share: Fraction) -> None:
        """Rows `to` of one shape."""
        for band in range(BANDS):
            if shape.ends[-1] is None and band == BANDS - 1:
                continue
            if not shape.slope[band].parts:
                made.value(shape.intercept[band] * share + Fraction(1, 2)).floor(self.intercept[band, to])
                continue
            intercept, slope = made.value(shape.intercept[band] * share), made.value(shape.slope[band] * share)
            common = lcm(slope.below, intercept.below)
            width = Exact(slope.near, slope.size * cost + intercept.size, slope.numbers, common).doubt(cost)
            self.doubt = max(self.doubt, width)
            self.slope[band, to] = slope.near
            self.intercept[band, to] = intercept.near
            self.slope_number[band, to] = slope.numbers.whole() * wrapped(common // slope.below)
            self.intercept_number[band, to] = intercept.numbers.whole() * wrapped(common // intercept.below)
            self.below[band, to] = wrapped(common)

    def made(self) -> Lines:
        wide, moving = ((BANDS * self.rows, array.shape[2]) for array in (self.intercept, self.slope))
        return Lines(
            self.slope.reshape(moving), self.intercept.reshape(wide), self.slope_number.reshape(moving),
            self.intercept_number.reshape(moving), self.below.ravel(), self.doubt, self.rise.ravel(), self.over.ravel(),
        )  # fmt: skip
