"""Rows x scenarios: upper ends of bands in whole fen and amounts of bands as lines, exact, from the rows' shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
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
_BLOCK = 1 << 14
"""Numbers that are worked out at a time, so that they stay in the cache."""


@dataclass(frozen=True)
class Lines:
    """Amounts of the bands in fen, [scenarios, BANDS x rows], band by band.

    Rows whose slopes move: estimates of slope and intercept, and both as whole numbers over `below` [BANDS x rows], all
    modulo 2^64; a constant amount is its rounded intercept, slope 0. `doubt`: how far an amount made of the estimates
    may be off. Plain rows: the amount is (`rise` x cost + `intercept`) // `over`, all of them whole numbers, rise and
    over [BANDS x rows]; as rise x cost is whole, nothing is lost by rounding down the intercept and the half first.
    """

    slope: Reals
    intercept: Reals
    slope_number: Ints
    intercept_number: Ints
    below: Ints
    doubt: float
    rise: Reals
    over: Reals

    def rounded(self, scenario: int, line: Ints, cost: Reals) -> Reals:
        """Amounts of cases of rows that are not plain, whole fen: `line` of each case and its cost, both exact."""
        near: Reals = self.slope[scenario].take(line)
        near *= cost
        near += self.intercept[scenario].take(line)
        near += 0.5 + self.doubt
        found: Reals = np.floor(near)
        near -= found
        doubtful = np.flatnonzero(near < 2 * self.doubt)
        if doubtful.size:
            lines = line[doubtful]
            number = self.slope_number[scenario].take(lines) * cost[doubtful].astype(np.int64)
            number += self.intercept_number[scenario].take(lines)
            below, whole = self.below.take(lines), found[doubtful].astype(np.int64)
            found[doubtful] -= (2 * number + below) - 2 * below * whole < 0
        return found


@dataclass(frozen=True)
class Grid:
    """All rows in some scenarios. `upper` int64 [scenarios, 3, rows]; `lines` of the package, `fund` of the fund's part
    where that is a share of the unrounded package (None: for no row). `usable` bool [rows]: False where a row has to
    be made by the planner."""

    upper: Ints
    lines: Lines
    fund: Lines | None
    usable: NDArray[np.bool_]

    def normal(self, lines: Lines) -> Reals:
        """The amount of a normal case, [scenarios, rows], whole fen."""
        rows = self.upper.shape[2]
        return lines.intercept[:, rows : 2 * rows]


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
        number, below = scenarios.column(self.key, self._places, *self._value)
        factor, factors = self._factor
        if factors != 1 or (factor != 1).any():
            check_range(number, float(np.abs(factor).max(initial=1)))
            number, below = number * factor, below * factors
        least, floors = self._least
        if least.any():
            common = lcm(below, floors)
            check_range(number, common // below)
            check_range(least, common // floors)
            number, below = np.maximum(number * (common // below), least * (common // floors)), common
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
        usable = np.logical_and.reduce([(column.number > 0).all(axis=0) for column in columns.values()])
        return Variables(columns, largest, usable & (largest < NO_END - 1))

    def _high_limits(self, weight: Column) -> Column:
        """The high limit of each row and scenario, by its weight there."""
        below = lcm(1, *(band.limit.denominator for limits, _ in self._limits for band in limits))
        banded = any(len(limits) > 1 for limits, _ in self._limits)
        found = np.zeros(weight.number.shape if banded else (1, weight.number.shape[1]), np.int64)
        for limits, here in self._limits:
            if len(limits) == 1:
                found[:, here] = int(limits[0].limit * below)
                continue
            own = weight.number[:, here]
            chosen = np.full(own.shape, int(limits[-1].limit * below), np.int64)
            for band in reversed(limits[:-1]):
                assert band.up_to is not None, "only the last band has no end"
                edge = band.up_to * weight.below
                chosen[own <= edge.numerator // edge.denominator] = int(band.limit * below)
            found[:, here] = chosen
        return Column(found, below)


def make_grid(
    shapes: Sequence[tuple[Shape, slice]], given: Variables, ratios: Sequence[Fraction | None], places: slice
) -> Grid:
    """The grid of scenarios `places`; `shapes`: runs of rows of one shape, which follow each other. `ratios` [rows]:
    the fund's share of the unrounded package, None where the fund's part is worked out otherwise."""
    rows, count = len(given.largest), places.stop - places.start
    upper = np.full((count, BANDS - 1, rows), NO_END, np.int64)
    lines = _Maker(count, rows)
    fund = _Maker(count, rows) if any(ratio is not None for ratio in ratios) else None
    usable = given.usable.copy()
    for shape, run in shapes:
        columns = {name: Column(column.number[:, run], column.below) for name, column in given.columns.items()}
        cost = float(given.largest[run].max(initial=0))
        step = max(1, _BLOCK // (run.stop - run.start))
        try:
            for first in range(0, count, step):
                here = slice(first, min(first + step, count))
                made = Products(columns, slice(places.start + here.start, places.start + here.stop))
                _ends(shape, made, upper[here, :, run])
                ratio = ratios[run.start]
                if ratio is None and shape.plain:
                    lines.put_plain(shape, made, (here, run), cost)
                    continue
                usable[run] &= _rises(shape, made)
                lines.put(shape, made, (here, run), cost, Fraction(1))
                if fund is not None and ratio is not None:
                    fund.put(shape, made, (here, run), cost, ratio)
        except OverflowError:
            usable[run] = False
    return Grid(upper, lines.made(), None if fund is None else fund.made(), usable)


def _ends(shape: Shape, made: Products, upper: Ints) -> None:
    """The last whole fen of each band."""
    for at, end in enumerate(shape.ends):
        if end is None:
            continue
        edge, inclusive = end
        value = made.value(edge)
        np.minimum(value.floor() if inclusive else value.before(), NO_END, out=upper[:, at])
    # A case is in the band of as many ends as it lies above; only the extreme limit is kept above the high one.
    np.maximum(upper[:, 2], upper[:, 1], out=upper[:, 2])


def _rises(shape: Shape, made: Products) -> NDArray[np.bool_]:
    """bool [rows]: above the high limit every amount that follows the cost rises with it, so that the least amount
    there is what the formula pays or the floor, whichever is more."""
    found = np.ones(1, np.bool_)
    for slope in shape.slope[2:]:
        if slope.parts:
            found = found & (made.value(slope).near > 0).all(axis=0)
    return found


class _Maker:
    """Puts the lines of one shape after the other into their places."""

    def __init__(self, count: int, rows: int) -> None:
        self.rows = rows
        self.slope, self.intercept = np.zeros((count, BANDS, rows)), np.zeros((count, BANDS, rows))
        self.slope_number = np.zeros((count, BANDS, rows), np.int64)
        self.intercept_number = np.zeros((count, BANDS, rows), np.int64)
        self.below = np.ones((BANDS, rows), np.int64)
        self.rise, self.over = np.zeros((BANDS, rows)), np.ones((BANDS, rows))
        self.doubt = 0.0

    def put_plain(self, shape: Shape, made: Products, to: tuple[slice, slice], cost: float) -> None:
        """Scenarios of the rows of one plain shape, to the scenarios and rows `to`."""
        own, run = to
        for band in range(BANDS):
            if shape.ends[-1] is None and band == BANDS - 1:
                continue
            slope = shape.slope[band].number
            into = self.intercept[own, band, run]
            if band == BANDS - 1 and (shape.slope[band], shape.intercept[band]) == (shape.slope[2], shape.intercept[2]):
                into[:] = self.intercept[own, 2, run]
            else:
                value, over = made.value(shape.intercept[band]), slope.denominator
                number = value.number * wrapped(2 * over) + wrapped(over * value.below)
                into[:] = Exact((value.near + 0.5) * over, (value.size + 1) * over, number, 2 * value.below).floor()
            if slope.numerator * cost + float(np.abs(into).max()) >= _WHOLE:
                raise OverflowError("amounts too large for whole numbers as floats")
            self.rise[band, run], self.over[band, run] = slope.numerator, slope.denominator

    def put(self, shape: Shape, made: Products, to: tuple[slice, slice], cost: float, share: Fraction) -> None:
        """Scenarios of the rows of one shape, to the scenarios and rows `to`."""
        own, run = to
        for band in range(BANDS):
            if shape.ends[-1] is None and band == BANDS - 1:
                continue
            intercept = made.value(shape.intercept[band] * share)
            if not shape.slope[band].parts:
                self.intercept[own, band, run] = intercept.half_up()
                continue
            slope = made.value(shape.slope[band] * share)
            common = lcm(slope.below, intercept.below)
            width = Exact(slope.near, slope.size * cost + intercept.size, slope.number, common).doubt(cost)
            self.doubt = max(self.doubt, width)
            self.slope[own, band, run] = slope.near
            self.intercept[own, band, run] = intercept.near
            self.slope_number[own, band, run] = slope.number * wrapped(common // slope.below)
            self.intercept_number[own, band, run] = intercept.number * wrapped(common // intercept.below)
            self.below[band, run] = wrapped(common)

    def made(self) -> Lines:
        count = len(self.slope)
        wide = (count, BANDS * self.rows)
        return Lines(
            self.slope.reshape(wide), self.intercept.reshape(wide), self.slope_number.reshape(wide),
            self.intercept_number.reshape(wide), self.below.ravel(), self.doubt, self.rise.ravel(), self.over.ravel(),
        )  # fmt: skip
