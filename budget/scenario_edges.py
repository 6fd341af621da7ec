"""The cases that scenarios move: found for a set of scenarios, and looked at in each of them by whole columns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from budget.scenario_cases import MINUS, POINTS, RATIO, SortedCases, ranges, share_of
from budget.scenario_grid import Grid, Lines
from budget.scenario_lines import Ints, Reals

Bools = NDArray[np.bool_]
_TILE = 1 << 15
"""Cases x scenarios that are looked at together, so that they stay in the cache."""


@dataclass(frozen=True)
class Static:
    """Bands and kinds of all rows. `by_cost` bool and `kind` int64 [BANDS x rows], band by band; `mode` int64 [rows];
    `ratio` numerators and denominators [rows]; `plain` bool [rows], see Lines; `floored` bool [rows], see Shape."""

    by_cost: Bools
    kind: Ints
    mode: Ints
    ratio: tuple[Ints, Ints]
    plain: Bools
    floored: Bools

    @property
    def rows(self) -> int:
        return len(self.mode)


@dataclass(frozen=True)
class Split:
    """Places of the cases that are not normal ones at a constant in every scenario: `at_cost` those paid their cost in
    every scenario, with their `line`; `edges` those to be looked at, from band `least` to `most`; `left_out` those of
    rows that are not usable. int64 each."""

    at_cost: Ints
    line: Ints
    edges: Ints
    least: Ints
    most: Ints
    left_out: Ints


def split_cases(cases: SortedCases, grid: Grid, static: Static, usable: Bools) -> Split:
    """Which cases have to be looked at in each scenario of the grid."""
    rows = static.rows
    last = np.cumsum(cases.counts)
    first = last - cases.counts
    early = np.array([cases.beyond(ends) for ends in grid.upper.min(axis=2)])  # above some scenario's end from here
    late = np.array([cases.beyond(ends) for ends in grid.upper.max(axis=2)])  # above every scenario's end from here
    # Of each row: low cases at their cost, then those to look at, normal ones at a constant, and again some to look at.
    low = np.where(usable & static.by_cost[:rows], early.min(axis=0), first)
    start = np.maximum(late[0], low)
    end = np.maximum(np.minimum(early[1], early[2]), start)
    none = ~usable | (static.mode == RATIO)
    start, end = np.where(none, last, start), np.where(none, last, end)
    low, start = np.where(usable, low, last), np.where(usable, start, last)
    rest = np.concatenate([ranges(np.where(usable, low, first), start), ranges(end, last)])
    left_out = ranges(first[~usable], last[~usable])
    if len(left_out):
        rest = rest[usable[cases.row[rest]]]
    smallest = np.where(static.mode == MINUS, grid.lines.lowest[rows : 2 * rows], np.inf)
    # Patients who may have paid more than a normal case earns.
    paid_more = cases.paid_above(smallest)
    own = cases.row[paid_more]
    paid_more = paid_more[(paid_more >= start[own]) & (paid_more < end[own])]
    row = cases.row[rest]
    most = sum((rest >= edge[row] for edge in early), np.zeros(len(rest), np.int64))
    least = sum((rest >= edge[row] for edge in late), np.zeros(len(rest), np.int64))
    line = least * rows + row
    steady = (least == most) & static.by_cost[line]
    cheap = ranges(np.where(usable, first, last), np.where(usable, low, last))
    one = np.ones(len(paid_more), np.int64)
    return Split(
        np.concatenate([cheap, rest[steady]]), np.concatenate([cases.row[cheap], line[steady]]),
        np.concatenate([rest[~steady], paid_more]), np.concatenate([least[~steady], one]),
        np.concatenate([most[~steady], one]), left_out,
    )  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Edges that are looked at alike and lie in the same bands, ordered by owner. `owners` [runs] and `starts` of their
    runs. `alike`: they earn the same in every scenario; `clipped`: patients may have paid more than the package;
    `floors`: a formula may come to less than the floor; `simple`: the fund's part is the package less what was paid,
    whichever the band."""

    mode: int
    alike: bool
    plain: bool
    clipped: bool
    floors: bool
    simple: bool
    least: int
    most: int
    row: Ints
    cost: Reals
    paid: Reals
    deducted: Ints
    known: Bools | None
    fund_at_cost: Reals
    owners: Ints
    starts: Ints


def edge_parts(cases: SortedCases, split: Split, owner: Ints, static: Static, grid: Grid) -> list[Part]:
    """The edges in parts; `owner` of every sorted case."""
    row = cases.row[split.edges]
    cost, paid = cases.cost[split.edges].astype(np.float64), cases.paid[split.edges].astype(np.float64)
    clipped, floors = _bounds(split, row, cost, paid, static, grid)
    alike = (split.least == split.most) & ~floors & _alike(grid, static)[split.least * static.rows + row]
    kind = (((static.mode[row] * 2 + alike) * 2 + static.plain[row]) * 2 + clipped) * 2 + floors
    kind = (kind * 4 + split.least) * 4 + split.most
    whose = owner[split.edges]
    # By kind, then by owner; what the owner comes to is the same in any order.
    found = np.cumsum(np.bincount(kind) > 0) - 1
    code = found.take(kind) * (int(whose.max(initial=0)) + 1) + whose
    # Numbers of 16 bits are ordered by counting them, many times faster.
    small = int(code.max(initial=0)) <= np.iinfo(np.uint16).max
    order = np.argsort(code.astype(np.uint16) if small else code, kind="stable")
    kind = kind[order]
    starts_of_kinds = [*np.flatnonzero(np.diff(kind, prepend=-1)).tolist(), len(kind)]
    parts = []
    for first, last in pairwise(starts_of_kinds):
        here, code = order[first:last], int(kind[first])
        places, own = split.edges[here], whose[here]
        starts = np.flatnonzero(np.diff(own, prepend=-1))
        known = cases.known[places]
        alike_, plain, clipped_, floors_ = (bool(code // place % 2) for place in (128, 64, 32, 16))
        mode, least, most = code // 256, code // 4 % 4, code % 4
        at_cost = cases.fund_at_cost[places].astype(np.float64)
        billed = not np.any([static.by_cost[row[here] + band * static.rows] for band in range(least, most + 1)])
        billed = billed or bool((at_cost + paid[here] == cost[here]).all())
        parts.append(
            Part(
                mode, alike_, plain, clipped_, floors_, mode == MINUS and not clipped_ and bool(known.all()) and billed,
                least, most, row[here], cost[here], paid[here], cases.deducted[places],
                None if known.all() else known, at_cost, own[starts], starts,
            )
        )  # fmt: skip
    return parts


def _bounds(split: Split, row: Ints, cost: Reals, paid: Reals, static: Static, grid: Grid) -> tuple[Bools, Bools]:
    """Of each edge: may the patient have paid more than the package in some scenario, and may a formula come to less
    than the floor? Plain amounts are least where their intercepts are, others at least what both parts at their least
    make, less a fen for the doubt."""
    lines, rows = grid.lines, static.rows
    plain = np.tile(static.plain, 4)
    lowest = lines.lowest - ~plain
    rise = lines.rise if plain.all() else np.where(plain, lines.rise, lines.slope.min(axis=1))
    floor = np.where(static.floored, grid.normal(lines).max(axis=1), 0.0) if static.floored.any() else np.zeros(rows)
    least = np.full(len(row), np.inf)
    floors = np.zeros(len(row), np.bool_)
    for band in range(4):
        at = np.flatnonzero((split.least <= band) & (split.most >= band))
        line = row[at] + band * rows
        at, line = at[~static.by_cost[line]], line[~static.by_cost[line]]
        amount = np.floor((rise[line] * cost[at] + lowest[line]) / lines.over[line])
        least[at] = np.minimum(least[at], amount)
        if band > 1:
            floors[at] |= amount < floor[row[at]]
    return (static.mode[row] == MINUS) & (paid > least), floors


def _alike(grid: Grid, static: Static) -> Bools:
    """bool [BANDS x rows]: the line is the same in every scenario."""
    found = np.ones(4 * static.rows, np.bool_)
    for lines in (grid.lines, grid.fund):
        if lines is not None:
            for numbers in (lines.intercept,) if static.plain.all() else (lines.intercept, lines.slope):
                # Most lines that move differ in the outermost scenarios already.
                found &= numbers[:, 0] == numbers[:, -1]
                at = np.flatnonzero(found)
                found[at] = (numbers[at] == numbers[at, :1]).all(axis=1)
    return found


@dataclass(frozen=True)
class Totals:
    """What scenarios add up to by owner: int64 [owners, scenarios], and cases [owners, KINDS, scenarios] or None."""

    package: Ints
    fund: Ints
    cases: Ints | None

    def of(self, scenarios: slice) -> Totals:
        """The same of some scenarios."""
        cases = None if self.cases is None else self.cases[:, :, scenarios]
        return Totals(self.package[:, scenarios], self.fund[:, scenarios], cases)


def add_edges(parts: list[Part], grid: Grid, static: Static, found: Totals) -> None:
    """Add the edges' amounts in every scenario of the grid. Sums of whole fen below 2^53 are exact as floats."""
    for part in parts:
        step = max(1, _TILE // (1 if part.alike else grid.upper.shape[2]))
        for first in range(0, len(part.row), step):
            _Tile(part, slice(first, min(first + step, len(part.row))), grid, static).add(found)


class _Tile:
    """Some cases of a part in every scenario (in the first alone, where all are alike): arrays are [cases, scenarios],
    [cases, 1] for what no scenario moves."""

    def __init__(self, part: Part, here: slice, grid: Grid, static: Static) -> None:
        self.part, self.here, self.grid, self.static = part, here, grid, static
        self.row, self.cost = part.row[here], part.cost[here]
        first, last = np.searchsorted(part.starts, [here.start + 1, here.stop])
        self.owners = part.owners[first - 1 : last]
        self.starts = np.maximum(part.starts[first - 1 : last], here.start) - here.start
        cost = self.cost.reshape(-1, 1)
        self.within = [
            cost <= self._moved(grid.upper[band].take(self.row, axis=0)) for band in range(part.least, part.most)
        ]
        self.lines = [self.row + band * static.rows for band in range(part.least, part.most + 1)]

    def add(self, found: Totals) -> None:
        """Add these cases to their owners."""
        part = self.part
        amounts = [self._package(at, line) for at, line in enumerate(self.lines)]
        package = self._sums(self._chosen(amounts))
        found.package[self.owners] += package.astype(np.int64)
        if part.simple:
            fund = package - self._sums(part.paid[self.here].reshape(-1, 1))
        else:
            funds = [self._fund(at, line, amounts[at]) for at, line in enumerate(self.lines)]
            fund = self._sums(self._chosen(funds))
        found.fund[self.owners] += fund.astype(np.int64)
        if found.cases is not None:
            self._count(found.cases)

    def _moved(self, values: Reals) -> Reals:
        return values[:, :1] if self.part.alike else values

    def _floor(self, lines: Lines) -> Reals:
        """No less than this above the high limit."""
        normal = self._moved(lines.intercept.take(self.row + self.static.rows, axis=0))
        return normal * self.static.floored.take(self.row).reshape(-1, 1)

    def _chosen(self, amounts: list[Reals]) -> Reals:
        """What counts of the amounts of the bands, in an array of its own if they are several: a case is in the first
        band whose end it does not lie above."""
        if not self.within:
            return amounts[0]
        found = np.array(np.broadcast_to(amounts[-1], self.within[0].shape))
        for within, amount in zip(reversed(self.within), reversed(amounts[:-1]), strict=True):
            np.copyto(found, amount, where=within)
        return found

    def _sums(self, amounts: Reals) -> Reals:
        return np.add.reduceat(amounts, self.starts, axis=0)

    def _package(self, at: int, line: Ints) -> Reals:
        """Amounts in one band, whole fen."""
        if self.static.by_cost.take(line).all():
            return self.cost.reshape(-1, 1)
        found = self._moved(self.grid.lines.amounts(line, self.cost, plain=self.part.plain))
        if self.part.floors and at + self.part.least > 1:
            np.maximum(found, self._floor(self.grid.lines), out=found)
        return found

    def _fund(self, at: int, line: Ints, package: Reals) -> Reals:
        """The fund's part in one band, whole fen."""
        part, grid, static, here = self.part, self.grid, self.static, self.here
        if part.mode == MINUS:
            fund = np.maximum(package - part.paid[here].reshape(-1, 1), 0)
        elif part.mode == POINTS:
            assert grid.fund is not None, "rows of this reading have lines of their own"
            fund = np.maximum(self._moved(grid.fund.amounts(line, self.cost, plain=False)), 0)
            if part.floors and at + part.least > 1:
                fund = np.maximum(fund, self._floor(grid.fund))
        else:
            deducted = part.deducted[here].reshape(-1, 1)
            fund = share_of(package.astype(np.int64), deducted, static.ratio, self.row.reshape(-1, 1)).astype(float)
        if part.known is not None:
            fund = fund * part.known[here].reshape(-1, 1)
        by_cost = static.by_cost.take(line).reshape(-1, 1)
        return np.where(by_cost, part.fund_at_cost[here].reshape(-1, 1), fund) if by_cost.any() else fund

    def _count(self, cases: Ints) -> None:
        """Count the cases by kind."""
        inside = np.ones((len(self.row), 1), np.int64)
        within = [*(within.astype(np.int64) for within in self.within), inside]
        for at, line in enumerate(self.lines):
            # In this band: above the end before it, and not above its own.
            here = within[at] if at == 0 else within[at] - within[at - 1]
            kind = self.static.kind.take(line)
            for value in np.unique(kind).tolist():
                counts = np.add.reduceat(here * (kind == value).reshape(-1, 1), self.starts, axis=0)
                cases[self.owners, value] += counts
