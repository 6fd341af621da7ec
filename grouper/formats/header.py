"""Header row to plan: which cell of a record fills which canonical column, and in which role."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import polars as pl

from reference_tables.case_formats import CaseFormat, format_facts
from reference_tables.columns import HEADER_FORMATS, Column, columns, fold_header
from reference_tables.problems import Problem

_NEAR = 0.6
_MEANT = 0.75
_SHOWN = 12
_NUMBER = "{n}"


@dataclass(frozen=True, slots=True)
class ListPlan:
    """Cells of a list column, by position: one joined cell, or principal, joined others and numbered slots.

    `slots` are (number, position) in order of number; `first_is_principal` when slot 1 is. `second_halves`
    gives the cell with the asterisk code of a slot, 0 standing for the principal.
    """

    joined: int | None = None
    principal: int | None = None
    others: int | None = None
    slots: tuple[tuple[int, int], ...] = ()
    first_is_principal: bool = False
    second_halves: Mapping[int, int] = field(default_factory=dict)

    @property
    def positions(self) -> tuple[int, ...]:
        single = (self.joined, self.principal, self.others)
        return (
            *(at for at in single if at is not None), *(at for _, at in self.slots), *self.second_halves.values()
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TablePlan:
    """How a table of one format becomes canonical columns.

    `whole` gives the cells of a scalar column, preferred first; `durations` the cells for span, days, hours
    and minutes; `header` the header cells as they stand.
    """

    format: CaseFormat
    header: tuple[str, ...]
    whole: Mapping[str, tuple[int, ...]]
    lists: Mapping[str, ListPlan]
    durations: Mapping[str, Mapping[str, int]]

    @property
    def columns(self) -> tuple[str, ...]:
        """Canonical columns that the table has, in canonical order."""
        have = self.whole.keys() | self.lists.keys() | self.durations.keys()
        return tuple(name for name in columns() if name in have)

    @property
    def positions(self) -> tuple[int, ...]:
        """Cells that the plan reads, in order."""
        used = {at for cells in self.whole.values() for at in cells}
        used |= {at for plan in self.lists.values() for at in plan.positions}
        used |= {at for roles in self.durations.values() for at in roles.values()}
        return tuple(sorted(used))

    @property
    def numbers(self) -> Mapping[int, pl.DataType]:
        """Integer type of the cells that are nothing but a whole number."""
        types: dict[int, set[pl.DataType]] = {}
        for name, cells in self.whole.items():
            for at in cells:
                types.setdefault(at, set()).add(columns()[name].dtype)
        whole = {at: next(iter(found)) for at, found in types.items() if len(found) == 1}
        money = {at for name, cells in self.whole.items() if columns()[name].unit == "fen" for at in cells}
        return {at: dtype for at, dtype in whole.items() if dtype.is_integer() and at not in money}

    def reduced(self) -> TablePlan:
        """The part of the plan that grouping needs, with what the key and a missing age are made from."""
        kept = {name for name, column in columns().items() if "grouping" in column.required_for}
        if self.format.age_rule:
            kept |= {name for name, column in columns().items() if column.grouping_fallback}
        for name in sorted(kept - self.whole.keys()):
            kept.update(columns()[name].compose)
        return TablePlan(
            self.format, self.header,
            {name: cells for name, cells in self.whole.items() if name in kept},
            {name: plan for name, plan in self.lists.items() if name in kept},
            {name: roles for name, roles in self.durations.items() if name in kept},
        )  # fmt: skip


def _numbered_pattern(name: str) -> str:
    """A folded name with `{n}` as a pattern: a number with or without leading zeros."""
    return re.escape(name).replace(re.escape(_NUMBER), r"0*([1-9]\d?)")


class _Header:
    """Positions of folded header cells."""

    def __init__(self, cells: Sequence[str]) -> None:
        self.folded = [fold_header(cell) for cell in cells]
        self.places: dict[str, list[int]] = {}
        for at, cell in enumerate(self.folded):
            if cell:
                self.places.setdefault(cell, []).append(at)

    def find(self, names: Sequence[str]) -> tuple[int, ...]:
        """Positions of the given names, in the order of the names."""
        return tuple(at for name in names for at in self.places.get(fold_header(name), ()))

    def numbered(self, names: Sequence[str]) -> dict[int, int]:
        """Slot number -> position of the names with `{n}`, a number with or without leading zeros."""
        found: dict[int, int] = {}
        for name in names:
            pattern = re.compile(_numbered_pattern(fold_header(name)))
            for at, cell in enumerate(self.folded):
                match = pattern.fullmatch(cell)
                if match:
                    found.setdefault(int(match.group(1)), at)
        return dict(sorted(found.items()))


def _list_plan(header: _Header, sources: Mapping[str, Sequence[str]]) -> ListPlan | None:
    """The cells of one list column, or None when the header has none of them."""
    single = {role: next(iter(header.find(sources.get(role, ()))), None) for role in ("joined", "principal", "others")}
    if "whole" in sources and single["joined"] is None:
        single["joined"] = next(iter(header.find(sources["whole"])), None)
    slots = header.numbered(sources.get("slots", ()))
    numbered = header.numbered(sources.get("numbered", ()))
    halves = header.numbered(sources.get("numbered_asterisk", ()))
    first = header.find(sources.get("asterisk", ()))
    if first:
        halves = {0: first[0], **halves}
    if single["joined"] is not None:
        return ListPlan(joined=single["joined"])
    plan = ListPlan(
        principal=single["principal"], others=single["others"], slots=tuple((slots or numbered).items()),
        first_is_principal=bool(slots), second_halves=halves,
    )  # fmt: skip
    return plan if plan.positions else None


def _plan(cells: Sequence[str], fmt: CaseFormat) -> TablePlan:
    """The plan of a header row read as one format, whatever it lacks."""
    header = _Header(cells)
    whole: dict[str, tuple[int, ...]] = {}
    lists: dict[str, ListPlan] = {}
    durations: dict[str, dict[str, int]] = {}
    for name, column in columns().items():
        sources = column.sources.get(fmt.names, {})
        if column.is_list:
            plan = _list_plan(header, sources)
            if plan is not None:
                lists[name] = plan
        elif "whole" in sources:
            found = header.find(sources["whole"])
            if found:
                whole[name] = _preferred(header, found, column)
        else:
            roles = {role: header.find(names)[0] for role, names in sources.items() if header.find(names)}
            if roles:
                durations[name] = roles
    return TablePlan(fmt, tuple(cells), whole, lists, durations)


def _preferred(header: _Header, found: tuple[int, ...], column: Column) -> tuple[int, ...]:
    """The first cell that means this column alone, then those that it shares with another column."""
    shared = [at for at in found if header.folded[at] in column.shared]
    return (*[at for at in found if at not in shared][:1], *shared)


@cache
def _known_names(fmt: str) -> tuple[frozenset[str], re.Pattern[str]]:
    """Every folded name of a format, and one pattern for its numbered names."""
    names = [fold_header(alias) for column in columns().values() for alias in column.aliases(fmt)]
    numbered = [_numbered_pattern(name) for name in names if _NUMBER in name]
    return frozenset(name for name in names if _NUMBER not in name), re.compile("|".join(numbered) or "(?!)")


def known_cells(cells: Sequence[str], fmt: str) -> int:
    """How many cells of a row are names of the format's columns (of the best format with `auto`)."""
    if fmt == "auto":
        return max(known_cells(cells, name) for name in HEADER_FORMATS)
    names, numbered = _known_names(format_facts().formats[fmt].names)
    folded = {fold_header(cell) for cell in cells}
    return sum(cell in names or numbered.fullmatch(cell) is not None for cell in folded)


def best_plan(cells: Sequence[str], fmt: str) -> TablePlan:
    """The plan of the named format, or with `auto` of the one that lacks least and knows most of the header."""
    names = HEADER_FORMATS if fmt == "auto" else (fmt,)
    plans = [_plan(cells, format_facts().formats[name]) for name in names]
    known = {name: known_cells(cells, name) for name in names}
    most = max(known.values())
    # a format that knows far fewer cells is not meant, even if it happens to lack nothing
    near = [plan for plan in plans if known[plan.format.name] * 2 >= most]
    return max(near, key=lambda plan: (-len(_missing(plan)), known[plan.format.name]))


def plan_problems(plan: TablePlan, file: str, row: int) -> list[Problem]:
    """What is wrong with a header: needed columns that are missing, cells that stand twice, cells not used."""
    problems = []
    header = _Header(plan.header)
    label = plan.format.label
    for name in _missing(plan):
        column = columns()[name]
        args = {
            "format": label,
            "column": _names(column, plan.format.names),
            "near": _near(header, column, plan.format.names),
        }
        problems.append(Problem("IN06", args, file=file, row=row, field=name))
    used = set(plan.positions)
    for cell, places in header.places.items():
        if len(places) > 1 and used & set(places):
            where = "、".join(str(at + 1) for at in places)
            problems.append(
                Problem("IN07", {"header": plan.header[places[0]], "places": where}, file=file, row=row, field=cell)
            )
    for name in plan.whole:
        column = columns()[name]
        found = header.find(column.sources[plan.format.names]["whole"])
        distinct = {header.folded[at]: plan.header[at] for at in found if header.folded[at] not in column.shared}
        if len(distinct) > 1:
            first, *others = distinct.values()
            args = {"column": column.label, "first": first, "others": "、".join(others)}
            problems.append(Problem("IN08", args, file=file, row=row, field=name))
    unused = [cell for at, cell in enumerate(plan.header) if cell.strip() and at not in used]
    if unused:
        shown = "、".join(unused[:_SHOWN]) + ("……" if len(unused) > _SHOWN else "")
        told: dict[str, str | int] = {"count": len(unused), "names": shown, "near": _meant(unused, plan)}
        problems.append(Problem("IN47", told, file=file, row=row))
    return problems


def _meant(unused: Sequence[str], plan: TablePlan) -> str:
    """Which unused cells look like the name of a column that the table does not have, and what that name is. Only where
    names are words: the codes of front pages all look like one another."""
    if plan.format.names != "flat":
        return ""
    have = set(plan.columns)
    absent = [column for name, column in columns().items() if name not in have]
    names = {fold_header(alias): alias for column in absent for alias in column.aliases("flat") if _NUMBER not in alias}
    close = {cell: difflib.get_close_matches(fold_header(cell), names, n=1, cutoff=_MEANT) for cell in unused}
    pairs = [f"{cell} → {names[found[0]]}" for cell, found in close.items() if found]
    return f"（是否写错：{'、'.join(pairs[:_SHOWN])}）" if pairs else ""


def _missing(plan: TablePlan) -> list[str]:
    """Required columns that the table neither has nor lets derive."""
    have = set(plan.columns)
    missing = []
    for name in plan.format.required:
        column = columns()[name]
        derived = plan.format.age_rule and name == "age_years"
        fallback = {other for other, c in columns().items() if c.grouping_fallback}
        composed = plan.format.composed_key and have.intersection(column.compose[1:])
        if name not in have and not (derived and fallback <= have) and not composed:
            missing.append(name)
    return missing


def _names(column: Column, fmt: str) -> str:
    """What the column is called in a format, for people."""
    aliases = column.aliases(fmt)
    return f"{column.label}（{' 或 '.join(aliases[:3])}）"


def _near(header: _Header, column: Column, fmt: str) -> str:
    """Header cells that look like a name of the column."""
    wanted = [fold_header(alias) for alias in column.aliases(fmt)]
    close = {cell for name in wanted for cell in difflib.get_close_matches(name, header.places, n=2, cutoff=_NEAR)}
    return "；相近的列：" + "、".join(sorted(close)) if close else ""
