"""Reading sheets of an .xlsx workbook as text, finding columns by their headers, and cleaning cells."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables.pack_build import PackIdentity
from reference_tables.problems import Problem, TablesRefused
from reference_tables.spreadsheets import BrokenWorkbook, Spreadsheet, open_spreadsheet
from reference_tables.table_files import LINE

_ESCAPE = r"_x[0-9A-Fa-f]{4}_"  # a spreadsheet export's leftover for a control character
_INVISIBLE = "[\u200b\u200c\u200d\u2060\ufeff\u00ad]"
_NUMBER_AS_FLOAT = r"^([+-]?[0-9]+)\.0+$"


@dataclass(frozen=True)
class Workbook:
    """An open workbook: every cell is read as text, rows are counted as Excel shows them."""

    name: str
    reader: Spreadsheet

    @property
    def sheets(self) -> list[str]:
        return self.reader.names

    def rows(self, sheet: str, limit: int | None = None) -> pl.DataFrame:
        """All cells of a sheet as String columns (empty = null) plus `line`, the row Excel shows.

        Columns to the left of the first filled one are not there: find columns by header, never by position.
        Raises TablesRefused (TB80).
        """
        try:
            frame = self.reader.load(sheet, n_rows=limit, dtypes="string").to_polars()
        except BrokenWorkbook as error:
            raise _refused(self.name, error) from error
        line = pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True).alias(LINE)
        return frame.with_columns(line)


def open_workbook(path: Path) -> Workbook:
    """Open an .xlsx file; TablesRefused (TB80) when it is none, is protected or damaged."""
    try:
        return Workbook(path.name, open_spreadsheet(path))
    except BrokenWorkbook as error:
        raise _refused(path.name, error) from error


def _refused(name: str, error: BrokenWorkbook) -> TablesRefused:
    return TablesRefused(name, [Problem("TB80", {"reason": error.reason}, file=name)])


def folded_text(text: str | None) -> str:
    """A header or sheet name for comparison: half-width, upper case, without blanks and leftovers."""
    plain = re.sub(_ESCAPE, "", text or "")
    plain = unicodedata.normalize("NFKC", re.sub(_INVISIBLE, "", plain))
    return re.sub(r"\s+", "", plain).upper()


def clean_text(cell: pl.Expr) -> pl.Expr:
    """Free text: leftovers and any run of white space become one blank, outer blanks go, null becomes ""."""
    blanked = cell.fill_null("").str.replace_all(_ESCAPE, " ").str.replace_all(_INVISIBLE, " ")
    return blanked.str.replace_all(r"\s+", " ").str.strip_chars()


def clean_rule(cell: pl.Expr) -> pl.Expr:
    """A formula: as text, and half-width."""
    return clean_text(cell).str.normalize("NFKC").str.replace_all(r"\s+", " ").str.strip_chars()


def clean_code(cell: pl.Expr) -> pl.Expr:
    """A code, set name or order: half-width, no white space at all; letters keep their case."""
    return clean_rule(cell).str.replace_all(" ", "", literal=True)


def clean_order(cell: pl.Expr) -> pl.Expr:
    """An order number; 3.0 of a numeric cell is 3."""
    return clean_code(cell).str.replace(_NUMBER_AS_FLOAT, "$1")


CLEANERS = {"code": clean_code, "text": clean_text, "rule": clean_rule, "order": clean_order}


@dataclass(frozen=True, slots=True)
class Header:
    """The header row of a sheet: its `line` and, per wanted column, the frame's column that holds it."""

    line: int
    columns: Mapping[str, str]


def find_header(frame: pl.DataFrame, wanted: Mapping[str, Sequence[str]], within: int) -> Header:
    """The row among the first `within` that has most of the wanted columns; the first such row wins.

    `wanted`: column -> the header texts it is known under, best first. Columns not found are absent from the
    result; of equal headers the leftmost is taken.
    """
    best = Header(1, {})
    known = {name: [folded_text(text) for text in texts] for name, texts in wanted.items()}
    for row in frame.head(within).iter_rows(named=True):
        line = row.pop(LINE)
        cells: dict[str, str] = {}
        for column, cell in row.items():
            if text := folded_text(cell):
                cells.setdefault(text, column)
        found: dict[str, str] = {}
        for name, texts in known.items():
            held = next((cells[text] for text in texts if text in cells), "")
            if held and held not in found.values():
                found[name] = held
        if len(found) > len(best.columns):
            best = Header(line, found)
    return best


def row_texts(frame: pl.DataFrame, line: int) -> list[str]:
    """The filled cells of one row, as a person reads them."""
    row = frame.filter(pl.col(LINE) == line).drop(LINE)
    return [re.sub(r"\s+", " ", cell).strip() for cell in (row.row(0) if row.height else ()) if cell]


def seems(workbook: Workbook, known: Sequence[Mapping[str, Any]], within: int) -> str:
    """What a workbook is, by its sheet names and the first `within` rows: the `what` of the first entry of `known`
    of which any of the `patterns` is found."""
    texts = list(workbook.sheets)
    for sheet in workbook.sheets:
        frame = workbook.rows(sheet, within)
        texts += [text for line in frame.get_column(LINE) for text in row_texts(frame, line)]
    for entry in known:
        pattern = "|".join(entry["patterns"])
        if any(re.search(pattern, text, re.IGNORECASE) for text in texts):
            return str(entry["what"])
    return "其他工作簿"


def workbook_identity(path: Path, digest: str, layout: Mapping[str, Any], *, recognised: bool) -> PackIdentity:
    """Who the pack of a workbook is: as published when its counts are `recognised`, else named after its file.

    `layout`: the tables "published" and "other" of the importer's layout; `digest`: sha256 of the file, hex.
    """
    about = layout["published" if recognised else "other"]
    return PackIdentity(
        id=about.get("id", f"workbook-{digest[:8]}"),
        version=about["version"] or digest[:8],
        name=about.get("name", path.stem),
        newborn_weight=layout["published"]["newborn_weight"],
    )
