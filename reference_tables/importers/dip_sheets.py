"""The ten sheets of the official DIP workbook as rows of named cells: headers, blocks and notes told apart.

A sheet may hold several blocks with headers of their own (先期分组: procedures first, then newborns), a header may
be repeated, headers and cells contain line breaks. Names and headers are data (`dip_workbook.toml`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables.importers.sheet_marks import SheetMarks, fill_down, sheet_marks
from reference_tables.importers.sheets import Workbook, clean_text, folded_text, open_workbook, row_texts, seems
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE

DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−﹣～~", "-"))
_NAME = "_name"
_NO_MARKS = SheetMarks((), frozenset(), {}, 1)


@cache
def layout() -> Mapping[str, Any]:
    """What `dip_workbook.toml` says."""
    folder = resources.files("reference_tables.importers")
    return tomllib.loads((folder / "dip_workbook.toml").read_text(encoding="utf-8"))


def folded(text: str | None) -> str:
    """A sheet name, header, code or remark for comparison: as `folded_text`, and every dash a hyphen."""
    return folded_text(text).translate(DASHES)


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One data row. `cells`: column of the layout -> text, cleaned; `headers`: column -> header as printed;
    `numbers`: columns whose cell is a number; `errors`: columns whose cell is an error of a formula, and which."""

    sheet: str
    block: str
    place: str
    line: int
    cells: Mapping[str, str]
    headers: Mapping[str, str]
    numbers: frozenset[str]
    errors: Mapping[str, str]

    def problem(self, code: str, column: str, value: str, **args: str | int) -> Problem:
        """A problem of one cell, with the header of its column and the value among the arguments."""
        shown = {"column": self.headers.get(column, column), "value": value, "line": self.line, **args}
        return Problem(code, shown, file=self.place, row=self.line, field=str(shown["column"]), value=value)


@dataclass(frozen=True)
class SheetRows:
    """All data rows of the ten sheets. `names`: table -> sheet as named in the workbook; `places`: as messages call
    it."""

    rows: Mapping[str, tuple[SheetRow, ...]]
    names: Mapping[str, str]
    places: Mapping[str, str]
    problems: tuple[Problem, ...]


def is_dip_workbook(path: Path) -> bool:
    """Does a file seem to be the DIP workbook: does it have any of its sheets? False for what is no workbook."""
    try:
        return bool(_found_sheets(open_workbook(Path(path)).sheets))
    except TablesRefused:
        return False


def read_sheets(path: Path) -> SheetRows:
    """All rows of a DIP workbook, by sheet.

    Raises TablesRefused when it cannot be read as one (TB80, TB82, TB83, DW01). TB25 and DW08 are in `problems`.
    """
    workbook = open_workbook(path)
    names = _sheets(workbook)
    marks = sheet_marks(path)
    places = {table: f"{workbook.name}［{sheet}］" for table, sheet in names.items()}
    problems: list[Problem] = []
    missing: list[Problem] = []
    rows: dict[str, tuple[SheetRow, ...]] = {}
    for table, sheet in names.items():
        reader = _Reader(table, places[table], marks.get(sheet, _NO_MARKS))
        rows[table] = tuple(reader.read(workbook.rows(sheet)))
        missing += reader.missing
        problems += reader.problems
    if missing:
        raise TablesRefused(workbook.name, missing)
    return SheetRows(rows, names, places, tuple(problems))


def _found_sheets(sheets: Iterable[str]) -> dict[str, str]:
    """Table -> sheet: by its published name, else by the only name that contains its word."""
    there = {folded(sheet): sheet for sheet in reversed(list(sheets))}
    found: dict[str, str] = {}
    for table, entry in layout()["sheets"].items():
        exact = next((there[folded(name)] for name in entry["names"] if folded(name) in there), None)
        alike = [sheet for name, sheet in there.items() if folded(entry["contains"]) in name]
        if exact is not None:
            found[table] = exact
        elif len(alike) == 1:
            found[table] = alike[0]
    return found


def _sheets(workbook: Workbook) -> dict[str, str]:
    found = _found_sheets(workbook.sheets)
    listed = "、".join(workbook.sheets)
    first = {table: entry["names"][0] for table, entry in layout()["sheets"].items()}
    if not found:
        what = seems(workbook, layout()["seems"], layout()["header_within_rows"])
        args = {"what": what, "sheets": listed, "wanted": "、".join(first.values())}
        raise TablesRefused(workbook.name, [Problem("DW01", args, file=workbook.name)])
    missing = [name for table, name in first.items() if table not in found]
    if missing:
        problems = [Problem("TB82", {"sheet": name, "sheets": listed}, file=workbook.name) for name in missing]
        raise TablesRefused(workbook.name, problems)
    return found


@dataclass(frozen=True)
class _Header:
    """A header row: the block it opens, and for each of its columns the frame's position and the text printed."""

    block: str
    positions: Mapping[str, int]
    texts: Mapping[str, str]
    missing: tuple[str, ...]


class _Reader:
    """Reads one sheet from top to bottom."""

    def __init__(self, table: str, place: str, marks: SheetMarks) -> None:
        self.table = table
        self.place = place
        self.marks = marks
        self.blocks: Mapping[str, Mapping[str, Any]] = layout()["sheets"][table]["blocks"]
        self.starts = {folded(text) for text in layout()["header_starts"]}
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []

    def read(self, raw: pl.DataFrame) -> list[SheetRow]:
        frame = fill_down(raw, self.marks)
        columns = [column for column in frame.columns if column != LINE]
        cleaned = frame.select(*(clean_text(pl.col(column)).alias(column) for column in columns), pl.col(LINE))
        broken = {row for row, _ in self.marks.errors}
        header: _Header | None = None
        lacking: list[Problem] = []
        rows: list[SheetRow] = []
        for *texts, line in cleaned.iter_rows():
            if not any(texts) and line not in broken:
                continue
            if self._is_header(texts):
                # Of two header rows on end the last one counts: the one above it only spans columns.
                header = self._open(texts)
                lacking = [
                    self._lacks(header.block, column, line, "、".join(text for text in texts if text))
                    for column in header.missing
                ]
                continue
            self.missing += lacking
            lacking = []
            if header is None or header.missing:
                continue
            row = self._row(header, texts, line)
            if _is_note(row, texts):
                shown = next(text for text in texts if text)
                self.problems.append(Problem("DW08", {"line": line, "text": shown}, file=self.place, row=line))
            else:
                rows.append(row)
        self.missing += lacking
        if header is None:
            self.missing.append(self._no_header(frame))
        elif not rows and not self.missing:
            self.problems.append(Problem("TB25", {"name": self.place}, file=self.place))
        return rows

    def _is_header(self, texts: Sequence[str]) -> bool:
        first = next((folded(text) for text in texts if text), "")
        return first in self.starts

    def _open(self, texts: Sequence[str]) -> _Header:
        headers = [_match(name, block, texts) for name, block in self.blocks.items()]
        return min(headers, key=lambda header: (len(header.missing), -len(header.positions)))

    def _lacks(self, block: str, column: str, line: int, found: str) -> Problem:
        names = self.blocks[block]["columns"][column]
        args = {"column": names[0], "line": line, "found": found, "names": "、".join(names)}
        return Problem("TB83", args, file=self.place, row=line, field=names[0])

    def _no_header(self, frame: pl.DataFrame) -> Problem:
        block, body = next(iter(self.blocks.items()))
        column = next(column for column in body["columns"] if column not in body["optional"])
        line = next(iter(frame.get_column(LINE)), 1)
        return self._lacks(block, column, line, "、".join(row_texts(frame, line)) or "（空）")

    def _row(self, header: _Header, texts: Sequence[str], line: int) -> SheetRow:
        places = {column: (line, at + self.marks.first_column) for column, at in header.positions.items()}
        return SheetRow(
            sheet=self.table,
            block=header.block,
            place=self.place,
            line=line,
            cells={column: texts[at] for column, at in header.positions.items()},
            headers=header.texts,
            numbers=frozenset(column for column, place in places.items() if place in self.marks.numbers),
            errors={column: self.marks.errors[place] for column, place in places.items() if place in self.marks.errors},
        )


def _match(name: str, block: Mapping[str, Any], texts: Sequence[str]) -> _Header:
    """How far a row is the header of a block. A bare 名称 belongs to the code column nearest on its left."""
    printed = [folded(text) for text in texts]
    bare = {folded(text) for text in layout()["bare_name"]}
    positions: dict[str, int] = {}
    for column, known in block["columns"].items():
        wanted = [folded(text) for text in known]
        at = next((printed.index(text) for text in wanted if text in printed and text not in bare), None)
        if at is None and column.endswith(_NAME):
            after = positions.get(column.removesuffix(_NAME))
            following = None if after is None or after + 1 >= len(printed) else after + 1
            at = following if following is not None and printed[following] in bare else None
        elif at is None:
            at = next((printed.index(text) for text in wanted if text in printed), None)
        if at is not None and at not in positions.values():
            positions[column] = at
    missing = tuple(
        column for column in block["columns"] if column not in positions and column not in block["optional"]
    )
    return _Header(name, positions, {column: texts[at] for column, at in positions.items()}, missing)


def _is_note(row: SheetRow, texts: Sequence[str]) -> bool:
    """A row with one text only that stands in no column of codes and numbers, or is marked as a note."""
    filled = {text for text in texts if text}
    if len(filled) != 1 or row.errors:
        return False
    marked = re.match(layout()["note"], folded(next(iter(filled)))) is not None
    keys = ("number", "code", "principal_dx", "any_dx", "other_dx", "px", "related_px")
    return marked or not any(row.cells.get(key) for key in keys)
