"""Workbooks for people: tables with exact numbers, Chinese headers, whole or not at all, the same bytes each time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import xlsxwriter

from budget.money import decimal_text

_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same tables give the same bytes
_PLACES = (2, 4, 6)

Cell = str | int | Fraction | Decimal | None
Row = Sequence[Cell]


class Sheets:
    """An open workbook and its formats. A text stays a text, a count a whole number; a fraction is rounded half up to
    2, 4 or 6 decimals and shown so, a decimal keeps the decimals that it has."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.head = book.add_format({"bold": True, "bg_color": "#DDEBF7", "text_wrap": True, "valign": "vcenter"})
        self.text = book.add_format({"num_format": "@", "valign": "top"})
        self.bold = book.add_format({"bold": True})
        self.numbers: dict[int, Any] = {}
        for places in _PLACES:
            self._decimals(places)

    def sheet(self, name: str) -> Any:
        """A new sheet."""
        return self.book.add_worksheet(name)

    def table(
        self, name: str, header: Sequence[str], widths: Sequence[int], rows: Iterable[Row], places: Sequence[int]
    ) -> tuple[Any, int]:
        """A sheet that is one table, with a filter; the sheet and its last line. `places`: decimals of each column."""
        sheet = self.sheet(name)
        self.header(sheet, header, widths)
        last = 0
        for last, row in enumerate(rows, start=1):
            self.row(sheet, last, row, places)
        sheet.freeze_panes(1, 0)
        sheet.autofilter(0, 0, last, len(header) - 1)
        return sheet, last

    def header(self, sheet: Any, header: Sequence[str], widths: Sequence[int]) -> None:
        """Labels of columns in the first line, and how wide the columns are."""
        for at, (label, width) in enumerate(zip(header, widths, strict=True)):
            sheet.set_column(at, at, width)
            sheet.write_string(0, at, label, self.head)

    def labels(self, sheet: Any, line: int, labels: Sequence[str]) -> None:
        """Labels of columns in any line."""
        for at, label in enumerate(labels):
            sheet.write_string(line, at, label, self.head)

    def sections(self, sheet: Any, parts: Iterable[tuple[str, Iterable[Row]]], line: int = 0) -> int:
        """Titled blocks of rows, a free line after each; the next line."""
        for title, rows in parts:
            sheet.write_string(line, 0, title, self.bold)
            for row in rows:
                line += 1
                self.row(sheet, line, row)
            line += 2
        return line

    def row(self, sheet: Any, line: int, row: Row, places: Sequence[int] = ()) -> None:
        """One line of cells."""
        for at, cell in enumerate(row):
            self._cell(sheet, line, at, cell, places[at] if places else 4)

    def _decimals(self, places: int) -> Any:
        """The format of numbers with so many decimals."""
        if places not in self.numbers:
            self.numbers[places] = self.book.add_format({"num_format": f"0.{'0' * places}" if places else "0"})
        return self.numbers[places]

    def _cell(self, sheet: Any, line: int, at: int, cell: Cell, places: int) -> None:
        if isinstance(cell, Fraction):
            sheet.write_number(line, at, float(decimal_text(cell, places)), self.numbers[places])
        elif isinstance(cell, Decimal):
            sheet.write_number(line, at, float(cell), self._decimals(len(str(cell).partition(".")[2])))
        elif isinstance(cell, int):
            sheet.write_number(line, at, cell)
        elif cell is not None:
            sheet.write_string(line, at, cell, self.text)


@contextmanager
def open_sheets(path: Path) -> Iterator[Sheets]:
    """A workbook to fill; the file appears only when it is complete. OSError when it cannot be written."""
    place = path.with_name(f".{path.stem}.{os.getpid()}.partial.xlsx")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()  # a place that cannot be written to says so here, as OSError, and not at the end
        with xlsxwriter.Workbook(str(place), {"strings_to_urls": False, "strings_to_formulas": False}) as book:
            book.set_properties({"created": _CREATED})
            yield Sheets(book)
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)
