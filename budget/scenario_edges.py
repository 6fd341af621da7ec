"""The cases that scenarios move: found for a set of scenarios, and looked at in each of them by whole columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from budget.scenario_cases import KINDS, MINUS, POINTS, RATIO, SortedCases, share_of
from budget.scenario_grid import Grid
from budget.scenario_lines import Ints, Reals

Bools = NDArray[np.bool_]


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
    early = np.array([cases.beyond(ends) for ends in grid.upper.min(axis=0)])  # above some scenario's end from here
    late = np.array([cases.beyond(ends) for ends in grid.upper.max(axis=0)])  # above every scenario's end from here
    # Of each row: low cases at their cost, then those to look at, normal ones at a constant, and again some to look at.
    low = np.where(usable & static.by_cost[:rows], early.min(axis=0), first)
    start = np.maximum(late[0], low)
    end = np.maximum(np.minimum(early[1], early[2]), start)
    none = ~usable | (static.mode == RATIO)
    start, end = np.where(none, last, start), np.where(none, last, end)
    low, start = np.where(usable, low, last), np.where(usable, start, last)
    rest = np.concatenate([_ranges(np.where(usable, low, first), start), _ranges(end, last)])
    left_out = _ranges(first[~usable], last[~usable])
    if len(left_out):
        rest = rest[usable[cases.row[rest]]]
    smallest = np.where(static.mode == MINUS, grid.normal(grid.lines).min(axis=0), np.inf)
    # Patients who may have paid more than a normal case earns.
    paid_more = np.flatnonzero(cases.paid > np.repeat(smallest, cases.counts))
    own = cases.row[paid_more]
    paid_more = paid_more[(paid_more >= start[own]) & (paid_more < end[own])]
    row = cases.row[rest]
    most = sum((rest >= edge[row] for edge in early), np.zeros(len(rest), np.int64))
    least = sum((rest >= edge[row] for edge in late), np.zeros(len(rest), np.int64))
    line = least * rows + row
    steady = (least == most) & static.by_cost[line]
    cheap = _ranges(np.where(usable, first, last), np.where(usable, low, last))
    one = np.ones(len(paid_more), np.int64)
    return Split(
        np.concatenate([cheap, rest[steady]]), np.concatenate([cases.row[cheap], line[steady]]),
        np.concatenate([rest[~steady], paid_more]), np.concatenate([least[~steady], one]),
        np.concatenate([most[~steady], one]), left_out,
    )  # fmt: skip


def _ranges(first: Ints, last: Ints) -> Ints:
    """The whole numbers from each first up to, and without, its last; none where that is not above the first."""
    length = np.maximum(last - first, 0)
    ends = np.cumsum(length)
    count = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(count) + np.repeat(first - (ends - length), length), np.int64)


@dataclass(frozen=True)
class Part:
    """Edges that are looked at alike and lie in the same bands, ordered by owner. `owners` [runs] and `starts` of their
    runs, `run` [edges] which run each belongs to. `alike`: they earn the same in every scenario; `clipped`: patients
    may have paid more than the package; `floors`: a formula may come to less than the floor."""

    mode: int
    alike: bool
    plain: bool
    clipped: bool
    floors: bool
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
    run: Ints


def edge_parts(cases: SortedCases, split: Split, owner: Ints, static: Static, grid: Grid) -> list[Part]:
    """The edges in parts; `owner` of every sorted case."""
    row = cases.row[split.edges]
    cost, paid = cases.cost[split.edges].astype(np.float64), cases.paid[split.edges].astype(np.float64)
    clipped, floors = _bounds(split, row, cost, paid, static, grid)
    alike = (split.least == split.most) & ~floors & _alike(grid, static)[split.least * static.rows + row]
    kind = (((static.mode[row] * 2 + alike) * 2 + static.plain[row]) * 2 + clipped) * 2 + floors
    kind = (kind * 4 + split.least) * 4 + split.most
    whose = owner[split.edges]
    order = np.argsort(kind * (int(owner.max(initial=0)) + 1) + whose, kind="stable")
    parts = []
    for code in np.unique(kind).tolist():
        here = order[np.searchsorted(kind[order], code) : np.searchsorted(kind[order], code, side="right")]
        places, own = split.edges[here], whose[here]
        starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
        known = cases.known[places]
        alike_, plain, clipped_, floors_ = (bool(code // place % 2) for place in (128, 64, 32, 16))
        parts.append(
            Part(
                code // 256, alike_, plain, clipped_, floors_, code // 4 % 4, code % 4,
                row[here], cost[here], paid[here], cases.deducted[places], None if known.all() else known,
                cases.fund_at_cost[places].astype(np.float64), own[starts], starts,
                np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(own)))),
            )
        )  # fmt: skip
    return parts


def _bounds(split: Split, row: Ints, cost: Reals, paid: Reals, static: Static, grid: Grid) -> tuple[Bools, Bools]:
    """Of each edge: may the patient have paid more than the package in some scenario, and may a formula come to less
    than the floor? Plain amounts are least where their intercepts are, others at least what both parts at their least
    make, less a fen for the doubt."""
    lines, rows = grid.lines, static.rows
    plain = np.tile(static.plain, 4)
    lowest = lines.intercept.min(axis=0) - ~plain
    rise = lines.rise if plain.all() else np.where(plain, lines.rise, lines.slope.min(axis=0))
    floor = np.where(static.floored, grid.normal(lines).max(axis=0), 0.0)
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
            found &= (lines.intercept == lines.intercept[0]).all(axis=0)
            if not static.plain.all():
                found &= (lines.slope == lines.slope[0]).all(axis=0)
    return found


@dataclass(frozen=True)
class Totals:
    """What scenarios add up to by owner: int64 [scenarios, owners], and cases [scenarios, owners, KINDS] or None."""

    package: Ints
    fund: Ints
    cases: Ints | None


def add_edges(parts: list[Part], grid: Grid, static: Static, found: Totals) -> None:
    """Add the edges' amounts in every scenario of the grid. Sums of whole fen below 2^53 are exact as floats."""
    for part in parts:
        looked = _Looked(part, grid, static)
        for scenario in range(1 if part.alike else len(found.package)):
            to = slice(None) if part.alike else slice(scenario, scenario + 1)
            line = looked.line(scenario, counted=found.cases is not None)
            package = looked.package(scenario, line)
            sums = np.add.reduceat(package, part.starts)
            found.package[to, part.owners] += sums.astype(np.int64)
            paid = looked.fund(scenario, line, package)
            funded = sums - looked.paid if paid is None else np.add.reduceat(paid, part.starts)
            found.fund[to, part.owners] += funded.astype(np.int64)
            if found.cases is not None:
                code = part.run * len(KINDS) + static.kind.take(line)
                counts = np.bincount(code, minlength=len(part.starts) * len(KINDS))
                found.cases[to, part.owners] += counts.reshape(-1, len(KINDS))


class _Looked:
    """The cases of a part and what of them is the same in every scenario."""

    def __init__(self, part: Part, grid: Grid, static: Static) -> None:
        self.part, self.grid, self.static = part, grid, static
        rows = static.rows
        self.base = part.row + part.least * rows
        bands = [static.by_cost[part.row + band * rows] for band in range(part.least, part.most + 1)]
        self.by_cost = bool(np.any(bands))
        # Where the fund pays cost less paid of a case at its cost, its part is package less paid whichever the band.
        billed = not self.by_cost or bool((part.fund_at_cost + part.paid == part.cost).all())
        self.simple = part.mode == MINUS and not part.clipped and part.known is None and billed
        self.paid = np.add.reduceat(part.paid, part.starts)
        lines = [part.row + band * rows for band in range(part.least, part.most + 1)]
        rises = [grid.lines.rise.take(line) for line in lines]
        self._rising = [
            (line, rise * part.cost if rise.any() else None, grid.lines.over.take(line))
            for line, rise in zip(lines, rises, strict=True)
        ]
        self._floor = static.floored.take(part.row)

    def line(self, scenario: int, *, counted: bool) -> Ints:
        """The line of each case; the lowest of its lines where nobody asks."""
        part, line = self.part, self.base
        if part.plain and part.most == part.least + 1 and self.simple and not part.floors and not counted:
            return line
        for band in range(part.least, part.most):
            line = line + self.static.rows * (part.cost > self.grid.upper[scenario, band].take(part.row))
        return line

    def package(self, scenario: int, line: Ints) -> Reals:
        """Amounts in whole fen."""
        part, grid, rows = self.part, self.grid, self.static.rows
        if part.plain:
            found = self._amount(scenario, 0)
            for at in range(1, len(self._rising)):
                over = part.cost > grid.upper[scenario, part.least + at - 1].take(part.row)
                found = np.where(over, self._amount(scenario, at), found)
        else:
            found = grid.lines.rounded(scenario, line, part.cost)
        if part.floors:
            floor = grid.lines.intercept[scenario].take(part.row + rows) * self._floor
            found = np.where(line >= 2 * rows, np.maximum(found, floor), found)
        return found

    def _amount(self, scenario: int, at: int) -> Reals:
        """Amounts of plain rows in one band."""
        line, rising, over = self._rising[at]
        found: Reals = self.grid.lines.intercept[scenario].take(line)
        if rising is not None:
            found += rising
            found /= over
            np.floor(found, out=found)
        return found

    def fund(self, scenario: int, line: Ints, package: Reals) -> Reals | None:
        """The fund's part in whole fen; None where it is the package less what was paid, for every case."""
        part, grid, static = self.part, self.grid, self.static
        if self.simple:
            return None
        if part.mode == MINUS:
            fund = np.maximum(package - part.paid, 0)
        elif part.mode == POINTS:
            assert grid.fund is not None, "rows of this reading have lines of their own"
            fund = np.maximum(grid.fund.rounded(scenario, line, part.cost), 0)
            if part.floors:
                floor = grid.fund.intercept[scenario].take(part.row + static.rows) * self._floor
                fund = np.where(line >= 2 * static.rows, np.maximum(fund, floor), fund)
        else:
            fund = share_of(package.astype(np.int64), part.deducted, static.ratio, part.row).astype(np.float64)
        if part.known is not None:
            fund = fund * part.known
        return np.where(static.by_cost.take(line), part.fund_at_cost, fund) if self.by_cost else fund
