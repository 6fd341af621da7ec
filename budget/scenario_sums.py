"""Exact totals of many weight, rate or coefficient scenarios without pricing every case in each of them.

Most cases are paid a constant in every scenario, or their cost: they are counted once, by row and owner. Only a case
whose band moves, whose amount depends on its cost, or whose patient may have paid more than the package is looked at in
each scenario, by whole columns and to the fen. The totals equal those of pricing each scenario anew: rows that do not
fit the usual bands are made by the planner in each scenario.

What moves are weights, coefficients, base rates and point values (`scenario_moves`); a reform that changes anything
else is priced anew. Source: the payment formulas as `price_plan` has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction

import numpy as np
import polars as pl

from budget.pools import MERGED
from budget.price_terms import PriceKey
from budget.pricing import PricedCases, Pricer
from budget.scenario_cases import KINDS, MINUS, MODES, POINTS, FundMode, Ints, SortedCases, owners_of, sort_cases
from budget.scenario_edges import Bools, Static, Totals, add_edges, edge_parts, split_cases
from budget.scenario_grid import Grid, RowParts, make_grid
from budget.scenario_lines import Reals
from budget.scenario_moves import SCOPES, Scenarios
from budget.scenario_planned import PlannedRows, whole_ratios
from budget.scenario_rows import ANY_HOSPITAL, BANDS, OrdinaryRow, RowReader, Shape

HOSPITAL, GROUP = ("hospital_id", "pool"), ("group",)
_CELLS = 1 << 21
"""Rows x scenarios that are held at a time."""


class NotMovable(ValueError):
    """These scenarios cannot be told apart here; price each of them anew. The text says why."""


@dataclass(frozen=True)
class ScenarioTotals:
    """Totals of every scenario. `owners`: one row an owner, sorted; `package_fen`, `fund_fen` int64 [scenarios, owners]
    (a fund's part that is not known counts 0); `cases` int64 [scenarios, owners, kinds] or None; `kinds` their names.
    `planned`: cases whose rows the planner had to make in each scenario, `looked_at`: cases looked at in each."""

    owners: pl.DataFrame
    package_fen: Ints
    fund_fen: Ints
    cases: Ints | None
    kinds: tuple[str, ...]
    planned: int
    looked_at: int


class ScenarioSums:
    """Cases, ready to be added up in many scenarios.

    `priced`: what `pricer` made of `cases` (PAYABLE), decisions included. `scopes`: the scopes beside group and
    insurance that scenarios will move values by (tier, hospital, month), so that rows tell them apart.
    """

    def __init__(
        self, cases: pl.DataFrame, priced: PricedCases, pricer: Pricer, scopes: Sequence[str] = ("tier",)
    ) -> None:
        assert set(scopes) <= set(SCOPES), "known scopes"
        self.policy, self.values = pricer.policy, pricer.values
        self.scopes = frozenset({"group", "insurance", *scopes})
        merged = self.policy.get("pools")
        pool = pl.lit(MERGED) if merged is not None and merged.value == "merged" else pl.col("insurance")
        self._of_cases = cases.with_columns(pool.alias("pool"))
        reader = RowReader(self.policy, self.values)
        movable = np.array([reader.moves(row) for row in priced.table.rows], np.bool_)[priced.row]
        movable &= (priced.frame["case_kind"] != "special").to_numpy()
        self._fixed = np.flatnonzero(~movable)
        fixed = priced.frame.select("case_kind", "package_fen", "fund_fen")
        self._fixed_frame = fixed[pl.Series(self._fixed)]
        at = np.flatnonzero(movable)
        split = _split_rows(
            cases.select("tier", "hospital_id", "month")[pl.Series(at)], priced.row[at], priced.keys, scopes
        )
        rows = _read_rows(reader, split, priced)
        modes = _fund_modes(pricer, split)
        order = _order(rows, modes)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        self._keys = [split.keys[at] for at in order]
        self._modes = [modes[at] for at in order]
        self._rows = [row for at in order if (row := rows[at]) is not None]
        self._cases = sort_cases(cases, at, place[split.row], priced.cost[at], self._modes)
        self._static = self._make_static()
        self._parts = self._row_parts()
        self._runs = list(_runs(self._rows, self._modes))
        self._owners: dict[tuple[str, ...], _Owned] = {}

    def totals(self, scenarios: Scenarios, by: tuple[str, ...] = HOSPITAL, *, kinds: bool = True) -> ScenarioTotals:
        """Totals of each scenario by the columns `by` of PAYABLE or `pool`; `kinds`: count the cases by kind, too.

        Raises NotMovable when scenarios move by a scope that the rows do not tell apart.
        """
        self._check(scenarios)
        owned = self._owned(by)
        count = scenarios.count
        found = Totals(
            _repeated(owned.package, count), _repeated(owned.fund, count),
            _repeated(owned.cases.reshape(-1, len(KINDS)), count) if kinds else None,
        )  # fmt: skip
        usable = np.zeros(len(self._keys), np.bool_)
        looked_at = 0
        ordinary = len(self._rows)
        if self._parts is not None:
            try:
                usable[:ordinary], looked_at = self._ordinary(scenarios, owned, found)
            except OverflowError:
                usable[:] = False
        planned = PlannedRows(self._cases, self._keys, np.flatnonzero(~usable))
        planned.add(self.policy, self.values, scenarios, owned.sorted, found)
        cases = None if found.cases is None else np.ascontiguousarray(np.moveaxis(found.cases, 2, 0))
        return ScenarioTotals(
            owned.frame, np.ascontiguousarray(found.package.T), np.ascontiguousarray(found.fund.T), cases, KINDS,
            len(planned.at), looked_at + len(planned.at),
        )  # fmt: skip

    def _check(self, scenarios: Scenarios) -> None:
        missing = scenarios.scopes - self.scopes
        if missing:
            raise NotMovable(f"the sums were built without the scopes {', '.join(sorted(missing))}")
        by = {name for move in scenarios.of("coefficient") for name in move.by}
        if self.values.has_coefficients and by & {"hospital", "month"}:
            raise NotMovable("groups have coefficients of their own, which are the same at all hospitals")

    def _ordinary(self, scenarios: Scenarios, owned: _Owned, found: Totals) -> tuple[Bools, int]:
        """Add the cases of rows in the usual bands; which rows that were, and how many cases had to be looked at."""
        cases, rows = self._cases, len(self._rows)
        largest = np.zeros(rows, np.int64)
        ends = np.cumsum(cases.counts)[:rows]
        filled = cases.counts[:rows] > 0
        largest[filled] = cases.cost[ends[filled] - 1]
        assert self._parts is not None, "numbers that fit"
        given = self._parts.variables(scenarios, largest)
        ratios = [mode.ratio if mode.mode == POINTS else None for mode in self._modes[:rows]]
        step = max(1, _CELLS // max(1, rows))
        grids = [
            make_grid(self._runs, given, ratios, slice(first, min(first + step, scenarios.count)))
            for first in range(0, scenarios.count, step)
        ]
        usable = np.logical_and.reduce([grid.usable for grid in grids])
        looked_at = 0
        for at, grid in enumerate(grids):
            part = found.of(slice(at * step, min((at + 1) * step, scenarios.count)))
            looked_at = max(looked_at, self._add(grid, usable, owned, part))
        return usable, looked_at

    def _add(self, grid: Grid, usable: Bools, owned: _Owned, found: Totals) -> int:
        cases, static, rows = self._cases, self._static, len(self._rows)
        ordinary = cases.head(rows)
        split = split_cases(ordinary, grid, static, usable)
        owner = owned.sorted[: len(ordinary.row)]
        owners = owned.frame.height
        # Cases at a constant, by row and owner; most of them the same as all, less those that are not.
        cell, cells, steady = owned.cells(ordinary, static)
        out = np.concatenate([split.at_cost, split.edges, split.left_out])
        number = steady.whole - np.bincount(cell[out], minlength=len(cells))
        unknown = ~ordinary.known[out]
        counted = number - steady.unknown + np.bincount(cell[out[unknown]], minlength=len(cells))
        paid = (steady.paid - np.bincount(owner[out], steady.known_paid[out], owners)).astype(np.int64)
        normal = grid.normal(grid.lines)
        whose, row = cells // rows, cells % rows
        package = _by_owner(whose, row, number, (owners, rows), normal)
        found.package[:] += package
        if grid.fund is None and not steady.unknown.any():
            found.fund[:] += package
        else:
            points = (static.mode == POINTS).reshape(-1, 1)
            shared = normal if grid.fund is None else np.where(points, grid.normal(grid.fund), normal)
            found.fund[:] += _by_owner(whose, row, counted, (owners, rows), shared)
        at_cost = owner[split.at_cost]
        at_cost_fund = _exact_sums(at_cost, ordinary.fund_at_cost[split.at_cost], owners)
        found.package[:] += _exact_sums(at_cost, ordinary.cost[split.at_cost], owners).reshape(-1, 1)
        found.fund[:] += (at_cost_fund - paid).reshape(-1, 1)
        if found.cases is not None:
            kind = static.kind[rows : 2 * rows][row]
            counts = np.bincount(whose * len(KINDS) + kind, number, owners * len(KINDS))
            code = at_cost * len(KINDS) + static.kind[split.line]
            counts += np.bincount(code, minlength=owners * len(KINDS))
            found.cases[:] += counts.astype(np.int64).reshape(owners, len(KINDS), 1)
        add_edges(edge_parts(ordinary, split, owner, static, grid), grid, static, found)
        return len(split.edges)

    def _row_parts(self) -> RowParts | None:
        """What the rows' numbers are made of; None when there are no such rows, or their numbers are too fine."""
        try:
            return RowParts(self._rows, "base_rate" if self.policy.method == "drg-rate" else "point_value")
        except OverflowError:
            return None

    def _make_static(self) -> Static:
        rows = len(self._rows)
        by_cost = np.array([row.shape.by_cost for row in self._rows], np.bool_).reshape(rows, BANDS).T.ravel()
        kind = np.array([[KINDS.index(name) for name in row.shape.kinds] for row in self._rows], np.int64)
        modes = self._modes[:rows]
        mode = np.array([item.mode for item in modes], np.int64)
        plain = np.array([row.shape.plain for row in self._rows], np.bool_) & (mode != POINTS)
        floored = np.array([row.shape.floored for row in self._rows], np.bool_)
        ratios = whole_ratios([item.ratio for item in modes])
        return Static(by_cost, kind.reshape(rows, BANDS).T.ravel(), mode, ratios, plain, floored)

    def _owned(self, by: tuple[str, ...]) -> _Owned:
        if by not in self._owners:
            owners = owners_of(self._of_cases.select(by))
            code, fixed = owners.code[self._fixed], self._fixed_frame
            size = owners.frame.height
            kind = fixed["case_kind"].replace_strict(list(KINDS), list(range(len(KINDS))), return_dtype=pl.Int64)
            self._owners[by] = _Owned(
                owners.frame, owners.code[self._cases.at],
                _exact_sums(code, fixed["package_fen"].fill_null(0).to_numpy(), size),
                _exact_sums(code, fixed["fund_fen"].fill_null(0).to_numpy(), size),
                np.bincount(code * len(KINDS) + kind.to_numpy(), minlength=size * len(KINDS)),
            )  # fmt: skip
        return self._owners[by]


class _Owned:
    """Owners of the sorted cases, what fixed cases add to them, and the cells of row and owner."""

    def __init__(self, frame: pl.DataFrame, code: Ints, package: Ints, fund: Ints, cases: Ints) -> None:
        self.frame, self.sorted, self.package, self.fund, self.cases = frame, code, package, fund, cases
        self._found: tuple[Ints, Ints, _Steady] | None = None

    def cells(self, cases: SortedCases, static: Static) -> tuple[Ints, Ints, _Steady]:
        """int64 [cases]: the cell of each ordinary case; the cells, owner x rows + row; and what all cases come to."""
        if self._found is None:
            owner = self.sorted[: len(cases.row)]
            cells, cell = np.unique(owner * static.rows + cases.row, return_inverse=True)
            cell = cell.ravel()
            known_paid = np.where(cases.known & (static.mode == MINUS)[cases.row], cases.paid, 0).astype(np.float64)
            steady = _Steady(
                np.bincount(cell, minlength=len(cells)), np.bincount(cell[~cases.known], minlength=len(cells)),
                np.bincount(owner, known_paid, self.frame.height).astype(np.float64), known_paid,
            )  # fmt: skip
            self._found = cell, cells, steady
        return self._found


@dataclass(frozen=True)
class _Steady:
    """All ordinary cases, as if all were at a constant: `whole` int64 [cells] their number, `unknown` those without
    what the fund's part needs; `known_paid` [cases] and `paid` [owners] what is taken off the package, fen."""

    whole: Ints
    unknown: Ints
    paid: Reals
    known_paid: Reals


def _by_owner(whose: Ints, row: Ints, number: Ints, shape: tuple[int, int], amount: Reals) -> Ints:
    """int64 [owners, scenarios]: number of cases x amount of a row, by owner."""
    from scipy.sparse import csr_array

    return np.asarray(csr_array((number, (whose, row)), shape=shape) @ amount.astype(np.int64))


def _repeated(values: Ints, count: int) -> Ints:
    """The same in every scenario, which comes last."""
    return np.repeat(values[..., np.newaxis], count, axis=-1)


def _exact_sums(code: Ints, amount: Ints, size: int) -> Ints:
    found = np.zeros(size, np.int64)
    np.add.at(found, code, amount)
    return found


@dataclass(frozen=True)
class _Rows:
    """Rows of the cases: their `keys`, the plan row `of` each, and `row` int64 [cases]; `by_hospital`: hospitals are
    told apart that the plan has one row for."""

    keys: list[PriceKey]
    of: list[int]
    row: Ints
    by_hospital: bool


def _split_rows(cases: pl.DataFrame, row: Ints, keys: Sequence[PriceKey], scopes: Sequence[str]) -> _Rows:
    """Rows of the plan, told apart by scopes that the plan itself did not ask for."""
    columns = {"tier": "tier", "hospital": "hospital_id", "month": "month"}
    asked = [name for name in columns if name in scopes and not any(getattr(key, name) for key in keys)]
    parts = owners_of(pl.DataFrame([*(cases[columns[name]] for name in asked), pl.Series("plan", row)]))
    made = []
    for *values, plan in parts.frame.iter_rows():
        given = {name: value for name, value in zip(asked, values, strict=True) if value}
        made.append((replace(keys[plan], **given), plan))
    return _Rows([key for key, _ in made], [plan for _, plan in made], parts.code, "hospital" in asked)


def _read_rows(reader: RowReader, split: _Rows, priced: PricedCases) -> list[OrdinaryRow | None]:
    """The row of each key as scenarios see it; one that the plan has for all hospitals is read once for all of them."""
    known: dict[tuple[int, PriceKey], OrdinaryRow | None] = {}
    found = []
    for key, place in zip(split.keys, split.of, strict=True):
        shared = replace(key, hospital=ANY_HOSPITAL) if split.by_hospital and key.hospital else key
        if (place, shared) not in known:
            known[place, shared] = reader.ordinary(shared, priced.table.rows[place])
        row = known[place, shared]
        found.append(row if row is None or shared is key else row.at_hospital(key.hospital))
    return found


def _fund_modes(pricer: Pricer, split: _Rows) -> list[FundMode]:
    """How the fund's part of each row is worked out, which differs by insurance, tier and month."""
    known: dict[tuple[str, str, str], FundMode] = {}
    for key in split.keys:
        place = (key.insurance, key.tier, key.month)
        if place not in known:
            known[place] = _fund_mode(pricer, key)
    return [known[key.insurance, key.tier, key.month] for key in split.keys]


def _fund_mode(pricer: Pricer, key: PriceKey) -> FundMode:
    """How the fund's part is worked out; pricing has already asked that all of it is there."""
    scope = {name: value for name, value in (("insurance", key.insurance), ("tier", key.tier)) if value}
    day = date.fromisoformat(f"{key.month}-01") if key.month else None
    mode = pricer.policy.get("fund_share_mode", day, **scope)
    if mode is None or MODES.index(mode.value) == MINUS:
        return FundMode(MINUS, Fraction(0))
    ratio = pricer.policy.get("payment_ratio", day, **scope)
    return FundMode(MODES.index(mode.value), Fraction(0) if ratio is None else Fraction(ratio.value))


def _order(rows: Sequence[OrdinaryRow | None], modes: Sequence[FundMode]) -> list[int]:
    """The rows in the usual bands first, those of one shape and reading together; then the others."""
    number: dict[int, int] = {}
    for row in rows:
        if row is not None:
            number.setdefault(id(row.shape), len(number))

    def rank(at: int) -> tuple[int, int, Fraction]:
        row = rows[at]
        return (len(number) if row is None else number[id(row.shape)], modes[at].mode, modes[at].ratio)

    return sorted(range(len(rows)), key=rank)


def _runs(rows: Sequence[OrdinaryRow], modes: Sequence[FundMode]) -> Iterator[tuple[Shape, slice]]:
    """The runs of rows of one shape and one reading of the fund's part."""
    first = 0
    for at in range(1, len(rows) + 1):
        if at == len(rows) or rows[at].shape is not rows[first].shape or modes[at] != modes[first]:
            yield rows[first].shape, slice(first, at)
            first = at
