"""Workbooks (.xlsx) to case frames. Every cell is read as text, so that 03.0900 stays 03.0900.

A code in a number cell has lost its zeros already; it is told and left as it is. Such cells are found by
reading the code columns a second time as times: a number can be taken for one, a text cannot.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

import fastexcel
import polars as pl

from grouper.formats.cells import Complaints
from grouper.formats.detect import checked_header, find_header
from grouper.formats.header import TablePlan
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.source import InputFile, IntakeError
from grouper.formats.tabular import canonical
from grouper.going_on import waited
from reference_tables.case_formats import format_facts
from reference_tables.columns import columns
from reference_tables.problems import Problem
from reference_tables.spreadsheets import BrokenWorkbook, Spreadsheet, open_spreadsheet, readable

FORMULA_ERROR = "IN39"
_CELL = re.compile(rb"<c\b([^>]*?)(?:/>|>(.*?)</c>)", re.DOTALL)
_PLACE = re.compile(rb'\br="([A-Z]+)([0-9]+)"')
_ERROR_TYPE = re.compile(rb'\bt="e"')
_VALUE = re.compile(rb"<v>(.*?)</v>")
_NO_VALUE = "#N/A"
_RELATIONS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def open_xlsx(source: InputFile, options: ReadOptions) -> Opened:
    """The first visible sheet with a case header. Raises IntakeError."""
    try:
        book = waited(lambda: open_spreadsheet(source.path))
        heads = {name: waited(partial(_head, book, name)) for name in book.names}
    except BrokenWorkbook as error:
        raise source.refused("IN01", reason=error.reason) from error
    found: dict[str, tuple[int, TablePlan]] = {}
    refusal: IntakeError | None = None
    for name, rows in heads.items():
        try:
            at, plan = find_header(source, rows, options.fmt)
        except IntakeError as error:
            refusal = refusal if refusal and refusal.problems[0].code == "IN04" else error
            continue
        if at >= 0:
            found[name] = (at, plan)
    if not found:
        raise refusal if refusal and any(heads.values()) else source.refused("IN02")
    sheet, *others = found
    at, plan = found[sheet]
    notes = checked_header(source, plan, at + 1)
    if others:
        args = {"sheet": sheet, "others": "、".join(others)}
        notes = (*notes, Problem("IN09", args, file=source.name))
    used = plan.reduced() if options.grouping_only else plan
    parts = _parts(source, _Sheet(book, sheet, at), used, options.block_rows)
    return Opened(plan.format.name, plan.columns, parts, notes)


def _head(book: Spreadsheet, sheet: str) -> list[list[str]]:
    """The first rows of a sheet as text."""
    rows = format_facts().reading.header_search_rows
    frame = book.load(sheet, n_rows=rows, dtypes="string").to_polars()
    return [[cell or "" for cell in row] for row in frame.rows()]


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A sheet and the position of its header row."""

    book: Spreadsheet
    name: str
    header_at: int

    def load(self, dtype: fastexcel.DType, columns: list[int] | None = None) -> tuple[pl.DataFrame, int]:
        """Cells from the sheet's very first row, and the sheet's first used column.

        Cells are named by their position from that column; `columns` counts from the sheet's own first.
        """
        loaded = self.book.load(self.name, dtypes=dtype, use_columns=columns)
        first = loaded.available_columns()[0].absolute_index
        frame = loaded.to_polars()
        chosen = columns if columns is not None else range(first, first + frame.width)
        names = [f"c{at - first}" for at in chosen]
        return frame.rename(dict(zip(frame.columns, names, strict=True))), first


def _parts(source: InputFile, where: _Sheet, plan: TablePlan, block_rows: int) -> Iterator[Part]:
    """The rows below the header in blocks; rows with nothing in them are skipped and counted. Raises IntakeError."""
    header_at = where.header_at
    every = range(len(plan.header))
    codes = _code_positions(plan)
    try:
        cells, first_column = waited(partial(where.load, "string"))
        numeric, _ = waited(partial(where.load, "datetime", [at + first_column for at in codes]))
        with readable():
            errors = waited(partial(_formula_errors, source, where.name, first_column))
    except BrokenWorkbook as error:
        raise source.refused("IN01", reason=error.reason) from error
    cells = cells.slice(header_at + 1)
    first_row = header_at + 2
    rows = pl.int_range(first_row, first_row + cells.height, dtype=pl.UInt32, eager=True)
    cells = cells.insert_column(0, rows.alias("row"))
    numeric = numeric.slice(header_at + 1)
    cells = cells.hstack([numeric[f"c{at}"].is_not_null().alias(f"number{at}") for at in codes])
    given = pl.any_horizontal(pl.col(f"c{at}").str.contains(r"\S") for at in every)
    given = given | pl.col("row").is_in(list({row for row, _ in errors}))
    for block in cells.iter_slices(block_rows):
        some = block.filter(given)
        complaints = Complaints(source.name, some["row"])
        _tell_errors(errors, some["row"], plan, complaints)
        numbers = {at: some[f"number{at}"] for at in codes}
        cases = canonical(some, plan, complaints, blanks=True, numbers=numbers)
        yield Part(cases, complaints.frame(), blank_rows=block.height - some.height)


def _code_positions(plan: TablePlan) -> tuple[int, ...]:
    """Columns whose cells are codes."""
    positions = {at for name, part in plan.lists.items() if columns()[name].code_book for at in part.positions}
    return tuple(sorted(positions))


def _formula_errors(source: InputFile, sheet: str, first_column: int) -> dict[tuple[int, int], str]:
    """(row number, position) -> error value such as #N/A; a reader of texts shows these cells as empty."""
    with zipfile.ZipFile(source.path) as archive:
        data = archive.read(_sheet_member(archive, sheet))
    if not _ERROR_TYPE.search(data):
        return {}
    errors: dict[tuple[int, int], str] = {}
    for attributes, content in (found.groups(b"") for found in _CELL.finditer(data)):
        where = _PLACE.search(attributes)
        if where is not None and _ERROR_TYPE.search(attributes):
            value = _VALUE.search(content)
            place = int(where[2]), _column_number(where[1]) - first_column
            errors[place] = value[1].decode("utf-8", "replace") if value else _NO_VALUE
    return errors


def _sheet_member(archive: zipfile.ZipFile, sheet: str) -> str:
    """The archive member that holds a sheet."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 (the archive is the user's own)
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    key = next(
        node.get(_RELATIONS) for node in book.iter() if node.tag.endswith("}sheet") and node.get("name") == sheet
    )
    target = next(node.get("Target", "") for node in relations if node.get("Id") == key)
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _column_number(letters: bytes) -> int:
    """A, B, ..., AA as 0, 1, ..., 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _tell_errors(errors: dict[tuple[int, int], str], rows: pl.Series, plan: TablePlan, complaints: Complaints) -> None:
    """One problem for every formula error in a column that the plan reads."""
    owner = {at: name for name, cells in plan.whole.items() for at in cells}
    owner |= {at: name for name, part in plan.lists.items() for at in part.positions}
    place = {row: at for at, row in enumerate(rows)} if errors else {}
    for (row, at), value in sorted(errors.items()):
        if row in place and at in owner:
            where = pl.Series([place[row]], dtype=pl.get_index_type())
            complaints.among(FORMULA_ERROR, where, columns()[owner[at]], pl.Series([value]))
