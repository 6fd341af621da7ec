"""What a workbook file says of its cells beyond their text: merged ranges, numbers, errors of formulas.

A merged range holds its text in its first cell only; a code that the spreadsheet keeps as a number has lost its
leading or trailing zeros; an error of a formula reads as an empty cell. Source: ECMA-376 (Office Open XML),
SpreadsheetML worksheets.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import polars as pl

from reference_tables.problems import Problem, TablesRefused, unreadable
from reference_tables.table_files import LINE

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"
_CELL = re.compile(r"([A-Z]+)([0-9]+)")
_NUMBER_TYPES = {None, "n"}


@dataclass(frozen=True)
class SheetMarks:
    """Rows and columns count from 1. `merged`: (first row, first column, last row, last column); `numbers`: cells
    (row, column) that hold a number; `errors`: cells that hold an error, and which (#N/A); `first_column`: the
    leftmost column with a value."""

    merged: tuple[tuple[int, int, int, int], ...]
    numbers: frozenset[tuple[int, int]]
    errors: Mapping[tuple[int, int], str]
    first_column: int


def sheet_marks(path: Path) -> Mapping[str, SheetMarks]:
    """Sheet name -> marks. Raises TablesRefused (TB80) when the file is no readable workbook."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _marks(archive.read(member)) for name, member in _members(archive).items()}
    except (zipfile.BadZipFile, ElementTree.ParseError, KeyError, OSError) as error:
        raise TablesRefused(path.name, [Problem("TB80", {"reason": unreadable(error)}, file=path.name)]) from error


def _members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Sheet name -> its file in the archive."""
    book = ElementTree.fromstring(archive.read("xl/workbook.xml"))  # noqa: S314 (the archive is the user's own)
    relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
    targets = {item.get("Id"): item.get("Target", "") for item in relations}
    members: dict[str, str] = {}
    for sheet in _all(book, "sheet"):
        link = next((value for key, value in sheet.attrib.items() if key.endswith("}id")), None)
        target = targets.get(link, "")
        name = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        if "worksheets/" in name:
            members[sheet.get("name", "")] = name
    return members


def _all(tree: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [*tree.iter(_MAIN + tag), *tree.iter(_STRICT + tag)]


def _marks(data: bytes) -> SheetMarks:
    tree = ElementTree.fromstring(data)  # noqa: S314 (the archive is the user's own)
    merged = [
        (*_place(first), *_place(last or first))
        for first, _, last in (item.get("ref", "").partition(":") for item in _all(tree, "mergeCell"))
        if _CELL.fullmatch(first)
    ]
    numbers: set[tuple[int, int]] = set()
    errors: dict[tuple[int, int], str] = {}
    left = 0
    for cell in _all(tree, "c"):
        if not len(cell) or not _CELL.fullmatch(cell.get("r", "")):
            continue
        row, column = _place(cell.get("r", ""))
        left = min(left or column, column)
        if cell.get("t") in _NUMBER_TYPES:
            numbers.add((row, column))
        elif cell.get("t") == "e":
            errors[row, column] = "".join(value.text or "" for value in _all(cell, "v"))
    return SheetMarks(tuple(merged), frozenset(numbers), errors, left)


def _place(cell: str) -> tuple[int, int]:
    found = _CELL.fullmatch(cell)
    assert found is not None, cell
    column = 0
    for letter in found.group(1):
        column = column * 26 + ord(letter) - ord("A") + 1
    return int(found.group(2)), column


def fill_down(frame: pl.DataFrame, marks: SheetMarks) -> pl.DataFrame:
    """The rows of a sheet, each merged range that spans several rows with its text in all of them.

    `frame`: String columns from `marks.first_column` on and `line`, as `Workbook.rows` gives them. Ranges that only
    span columns (titles) stay as they are.
    """
    columns = [column for column in frame.columns if column != LINE]
    cells = {column: frame.get_column(column).to_list() for column in columns}
    for top, left, bottom, _ in marks.merged:
        at = left - marks.first_column
        if bottom == top or not 0 <= at < len(columns) or top > frame.height:
            continue
        texts = cells[columns[at]]
        for row in range(top, min(bottom, frame.height)):
            texts[row] = texts[row] or texts[top - 1]
    return frame.with_columns(pl.Series(column, texts, dtype=pl.String) for column, texts in cells.items())
