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
    `ratio` numerators and denominators [rows]."""

    by_cost: Bools
    kind: Ints
    mode: Ints
    ratio: tuple[Ints, Ints]


@dataclass(frozen=True)
class Split:
    """Cases in three parts: `core` bool, normal cases at a constant in every scenario; `at_cost` places of those paid
    their cost in every scenario, with their `line`; `edges` places of the rest, from band `least` to `most`."""

    core: Bools
    at_cost: Ints
    line: Ints
    edges: Ints
    least: Ints
    most: Ints


def split_cases(cases: SortedCases, grid: Grid, static: Static, usable: Bools) -> Split:
    """Which cases have to be looked at in each scenario of the grid; cases of rows not `usable` are in no part."""
    rows = len(usable)
    ends = 3 * cases.row
    lowest, highest = grid.upper.min(axis=0), grid.upper.max(axis=0)
    most = _passed(cases, lowest) - ends
    least = _passed(cases, highest) - ends
    kept = usable[cases.row] if not usable.all() else np.ones(len(cases.row), np.bool_)
    core = (least == 1) & (most == 1) & kept
    if (static.mode == RATIO).any():
        core &= (static.mode != RATIO)[cases.row]
    smallest = np.where(static.mode == MINUS, grid.normal(grid.lines).min(axis=0), np.inf)
    core &= cases.paid <= smallest[cases.row]
    rest = np.flatnonzero(~core & kept)
    low, high = least[rest], most[rest]
    line = low * rows + cases.row[rest]
    steady = (low == high) & static.by_cost[line]
    return Split(core, rest[steady], line[steady], rest[~steady], low[~steady], high[~steady])


def _passed(cases: SortedCases, ends: Ints) -> Ints:
    """int64 [cases]: how many of these ends [ends, rows] lie below each case, those of all rows before it included."""
    steps = np.zeros(len(cases.row) + 1, np.int64)
    for end in ends:
        steps += np.bincount(cases.beyond(end), minlength=len(steps))
    return np.cumsum(steps[:-1])


@dataclass(frozen=True)
class Part:
    """Edges of one reading of the fund's part that lie in the same bands, ordered by owner. `owners` [runs] and
    `starts` of their runs, `run` [edges] which run each belongs to."""

    mode: int
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


def edge_parts(cases: SortedCases, split: Split, owner: Ints, static: Static) -> list[Part]:
    """The edges in parts; `owner` of every sorted case."""
    row = cases.row[split.edges]
    kind = (static.mode[row] * 4 + split.least) * 4 + split.most
    whose = owner[split.edges]
    order = np.argsort(kind * (int(owner.max(initial=0)) + 1) + whose, kind="stable")
    parts = []
    for code in np.unique(kind).tolist():
        here = order[np.searchsorted(kind[order], code) : np.searchsorted(kind[order], code, side="right")]
        places, own = split.edges[here], whose[here]
        starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
        known = cases.known[places]
        parts.append(
            Part(
                code // 16, code // 4 % 4, code % 4, row[here], cases.cost[places].astype(np.float64),
                cases.paid[places].astype(np.float64), cases.deducted[places], None if known.all() else known,
                cases.fund_at_cost[places].astype(np.float64), own[starts], starts,
                np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(own)))),
            )
        )  # fmt: skip
    return parts


@dataclass(frozen=True)
class Totals:
    """What scenarios add up to by owner: int64 [scenarios, owners], and cases [scenarios, owners, KINDS] or None."""

    package: Ints
    fund: Ints
    cases: Ints | None


def add_edges(parts: list[Part], grid: Grid, static: Static, found: Totals) -> None:
    """Add the edges' amounts in every scenario of the grid. Sums of whole fen below 2^53 are exact as floats."""
    rows = len(static.mode)
    for part in parts:
        mixed = bool(static.by_cost[: rows * 4].reshape(4, rows)[part.least : part.most + 1].any())
        base = part.row + part.least * rows
        for scenario in range(len(found.package)):
            line = base
            for band in range(part.least, part.most):
                line = line + rows * (part.cost > grid.upper[scenario, band].take(part.row))
            package = grid.lines.rounded(scenario, line, part.cost)
            fund = _fund(part, grid, static, scenario, line, package)
            if part.known is not None:
                fund = fund * part.known
            if mixed:
                fund = np.where(static.by_cost.take(line), part.fund_at_cost, fund)
            found.package[scenario, part.owners] += np.add.reduceat(package, part.starts).astype(np.int64)
            found.fund[scenario, part.owners] += np.add.reduceat(fund, part.starts).astype(np.int64)
            if found.cases is not None:
                code = part.run * len(KINDS) + static.kind.take(line)
                counts = np.bincount(code, minlength=len(part.starts) * len(KINDS))
                found.cases[scenario, part.owners] += counts.reshape(-1, len(KINDS))


def _fund(part: Part, grid: Grid, static: Static, scenario: int, line: Ints, package: Reals) -> Reals:
    if part.mode == MINUS:
        return np.maximum(package - part.paid, 0)
    if part.mode == POINTS:
        assert grid.fund is not None, "rows of this reading have lines of their own"
        return np.maximum(grid.fund.rounded(scenario, line, part.cost), 0)
    return share_of(package.astype(np.int64), part.deducted, static.ratio, part.row).astype(np.float64)
