"""Codes in the tables of a DIP pack that stand in no code book: no properly coded case has them.

The official list quotes some thousand codes a sheet, and a list made for another edition of the books may miss
hundreds: one warning a table and book says how many, with the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import polars as pl

from reference_tables.codes import load_code_books
from reference_tables.dip_cells import (
    CellError,
    DiagnosisItem,
    as_published,
    categories_between,
    category_of,
    diagnosis_items,
    mark_of,
    procedure_alternatives,
    spelled,
    subcategory_of,
)
from reference_tables.dip_pack import dip_schema
from reference_tables.dip_tables import DipTables, problem
from reference_tables.problems import Problem

_EXAMPLES = 5
_WHOLE_CODES = {"excluded_dx": "诊断", "excluded_px": "手术操作", "nature": "手术操作"}


@cache
def _diagnoses() -> tuple[frozenset[str], frozenset[str]]:
    """All codes of the diagnosis book, and all beginnings of them that an item may ask for, marks included."""
    codes = frozenset(map(spelled, load_code_books().diagnosis.frame["code"]))
    starts = {start for code in codes for start in (category_of(code), subcategory_of(code))}
    starts |= {f"{cut(code)}{mark_of(code)}" for code in codes for cut in (category_of, subcategory_of)}
    return codes, frozenset(starts)


@cache
def _procedures() -> frozenset[str]:
    return frozenset(map(spelled, load_code_books().procedure.frame["code"]))


def check_codes(tables: DipTables) -> list[Problem]:
    """DP40 for each table and book."""
    problems: list[Problem] = []
    for name, columns in dip_schema().columns.cells.items():
        unknown: dict[tuple[str, str], dict[str, int]] = {}
        for column, kind in columns.items():
            book = {"procedure": "手术操作", "range": ""}.get(kind, "诊断")
            for place, line, cell in tables.each(name, column, where=pl.col(column) != "") if book else ():
                for code in _unknown(cell, book):
                    unknown.setdefault((book, place), {}).setdefault(code, line)
        problems += _listed(unknown)
    for name, book in _WHOLE_CODES.items():
        known = _procedures() if book == "手术操作" else _diagnoses()[0]
        unknown = {}
        for place, line, code in tables.each(name, "code", where=pl.col("code") != ""):
            if spelled(code) not in known:
                unknown.setdefault((book, place), {}).setdefault(code, line)
        problems += _listed(unknown)
    return problems


def _listed(unknown: dict[tuple[str, str], dict[str, int]]) -> list[Problem]:
    problems: list[Problem] = []
    for (book, place), lines in unknown.items():
        first = next(iter(lines))
        examples = "、".join(f"{as_published(code)}（第 {line} 行）" for code, line in list(lines.items())[:_EXAMPLES])
        found = problem(
            "DP40", place, lines[first], "", first, table=place, count=len(lines), book=book, examples=examples
        )
        problems.append(found)
    return problems


def _unknown(cell: str, book: str) -> Iterator[str]:
    """The codes of a readable cell that `book` lacks; nothing of a cell that cannot be read."""
    try:
        if book == "手术操作":
            for alternative in procedure_alternatives(cell):
                yield from (code for code in alternative if code not in _procedures())
        else:
            yield from (str(item) for item in diagnosis_items(cell) if not _is_known(item))
    except CellError:
        return


def _is_known(item: DiagnosisItem) -> bool:
    codes, starts = _diagnoses()
    if item.whole:
        return item.low in codes
    if item.low == item.high:
        return str(item) in starts
    return any(category in starts for category in categories_between(item.low, item.high))
