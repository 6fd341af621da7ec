"""A scheme's tables as plain dictionaries: what a person would look a single case up in.

Read straight from the pack, apart from the compiled terms, so that an explanation is a second reading of
the same tables and not an echo of the kernel.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from grouper.compile import CompiledScheme
from grouper.trace_model import CodeKind, RowLevel
from reference_tables.codes import fold, load_code_books
from reference_tables.packs import DrgPack


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A row of mdc.csv, adrg.csv or drg.csv; `parent` "" for an MDC, `rule` as published."""

    level: RowLevel
    code: str
    name: str
    parent: str
    rule: str


@dataclass(frozen=True, eq=False)
class SchemeTables:
    """`mdcs` in the order of the walk; `adrgs` by MDC and `drgs` by ADRG likewise; all codes folded in `sets`
    (set -> codes), `complications` (code -> rows of level, exclusion table), `exclusions` (table -> principal
    diagnoses), `barred` (principal diagnoses not accepted), `gray` (by kind dx, px)."""

    mdcs: tuple[GroupRow, ...]
    adrgs: Mapping[str, tuple[GroupRow, ...]]
    drgs: Mapping[str, tuple[GroupRow, ...]]
    sets: Mapping[str, frozenset[str]]
    complications: Mapping[str, tuple[tuple[str, str], ...]]
    exclusions: Mapping[str, frozenset[str]]
    barred: frozenset[str]
    gray: Mapping[str, frozenset[str]]

    def excludes(self, table: str, principal: str) -> bool:
        """Does this exclusion table hold this principal diagnosis (folded; "" = none)?"""
        return principal in self.exclusions.get(table, frozenset())


def _rows(frame: pl.DataFrame, level: RowLevel, parent: str) -> tuple[GroupRow, ...]:
    columns = ["code", "name", parent, "rule"] if parent else ["code", "name", pl.lit("").alias("parent"), "rule"]
    return tuple(GroupRow(level, *row) for row in frame.select(columns).iter_rows())


def _by_parent(rows: Iterable[GroupRow]) -> dict[str, tuple[GroupRow, ...]]:
    found: dict[str, list[GroupRow]] = {}
    for row in rows:
        found.setdefault(row.parent, []).append(row)
    return {parent: tuple(children) for parent, children in found.items()}


def _members(frame: pl.DataFrame, name: str) -> dict[str, frozenset[str]]:
    folded = frame.select(name, fold(pl.col("code")).alias("code"))
    return {key: frozenset(codes) for key, codes in folded.group_by(name).agg("code").iter_rows()}


def read_scheme_tables(pack: DrgPack, gray: Mapping[str, frozenset[str]]) -> SchemeTables:
    """The tables of a pack as dictionaries; `gray`: grey codes by kind."""
    complications: dict[str, list[tuple[str, str]]] = {}
    for code, level, table in pack.cc.select("code", "level", "exclusion").iter_rows():
        complications.setdefault(fold(code), []).append((level, table))
    return SchemeTables(
        mdcs=_rows(pack.mdc, "mdc", ""),
        adrgs=_by_parent(_rows(pack.adrg, "adrg", "mdc")),
        drgs=_by_parent(_rows(pack.drg, "drg", "adrg")),
        sets=_members(pack.sets, "set"),
        complications={code: tuple(rows) for code, rows in complications.items()},
        exclusions=_members(pack.exclusion, "exclusion"),
        barred=frozenset(map(fold, pack.not_principal)),
        gray={kind: frozenset(map(fold, codes)) for kind, codes in gray.items()},
    )


_TABLES: weakref.WeakKeyDictionary[CompiledScheme, SchemeTables] = weakref.WeakKeyDictionary()


def tables_of(scheme: CompiledScheme) -> SchemeTables:
    """The one SchemeTables of a compiled scheme."""
    if scheme not in _TABLES:
        _TABLES[scheme] = read_scheme_tables(scheme.pack, scheme.gray)
    return _TABLES[scheme]


@cache
def code_names() -> Mapping[CodeKind, Mapping[str, tuple[str, str]]]:
    """Folded code -> (official spelling, name) by kind, from the code books (医保版 2.0)."""
    books = load_code_books()
    names: dict[CodeKind, Mapping[str, tuple[str, str]]] = {}
    for kind, book in (("dx", books.diagnosis), ("px", books.procedure)):
        rows = book.frame.select(fold(pl.col("code")).alias("key"), "code", "name").iter_rows()
        names["dx" if kind == "dx" else "px"] = {key: (code, name) for key, code, name in rows}
    return names
