"""Result files: CSV, Parquet or XLSX, written block by block, whole or not at all.

A file is written under a temporary name beside its place and renamed when it is complete, so that a run
that breaks off leaves nothing half written. The bytes do not depend on how the rows were cut into blocks.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO

import polars as pl
import xlsxwriter
from polars.io.plugins import register_io_source

from reference_tables.formula_cells import guarded

STDOUT = "-"
BOM = b"\xef\xbb\xbf"  # so that a spreadsheet shows Chinese right
ROW_GROUP = 1 << 17
SHEET_ROWS = 1_048_575  # what a worksheet holds beside its header
_COLUMN_WIDTH = 18
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same rows give the same bytes


def table_csv(frame: pl.DataFrame) -> bytes:
    """A whole table as a CSV file, as ResultWriter writes one."""
    return BOM + guarded(frame).write_csv().encode()


class ResultWriter(ABC):
    """Takes frames of one schema in order; `close` completes the file, `abort` leaves nothing behind."""

    @staticmethod
    def open(path: str) -> ResultWriter:
        """A writer by the path's ending (.csv, .parquet, .xlsx); `-` is CSV on standard output.

        Raises ValueError for another ending, OSError when the place cannot be written.
        """
        if path == STDOUT:
            return _Stdout()
        kinds: dict[str, Callable[[Path], ResultWriter]] = {
            ".csv": _CsvFile,
            ".parquet": _ParquetFile,
            ".xlsx": _XlsxFile,
        }
        kind = kinds.get(Path(path).suffix.lower())
        if kind is None:
            raise ValueError(f"expected one of {', '.join(kinds)}: {path}")
        return kind(Path(path))

    @abstractmethod
    def write(self, frame: pl.DataFrame) -> None:
        """Append the rows of a frame."""

    @abstractmethod
    def close(self) -> None:
        """Complete the file. Without a single frame there is no file."""

    @abstractmethod
    def abort(self) -> None:
        """Give up: remove what was written."""


class _CsvStream(ResultWriter):
    """CSV to an open stream: UTF-8 with BOM, header first; a text that looks like a formula stays a text."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.started = False

    def write(self, frame: pl.DataFrame) -> None:
        if not self.started:
            self.stream.write(BOM)
        self._write_rows(guarded(frame), header=not self.started)
        self.started = True

    def _write_rows(self, frame: pl.DataFrame, *, header: bool) -> None:
        frame.write_csv(self.stream, include_header=header)

    def close(self) -> None:
        self.stream.flush()

    def abort(self) -> None:
        """What a stream has been given cannot be taken back."""


class _Stdout(_CsvStream):
    """Standard output written by Python itself, so that a reader who leaves shows as BrokenPipeError."""

    def __init__(self) -> None:
        super().__init__(sys.stdout.buffer)

    def _write_rows(self, frame: pl.DataFrame, *, header: bool) -> None:
        self.stream.write(frame.write_csv(include_header=header).encode())


class _File(ResultWriter):
    """A file that gets its name only when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self.partial.touch()
        self.started = False

    def close(self) -> None:
        if not self.started:
            self.abort()
            return
        self._finish()
        with self.partial.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.partial.replace(self.path)

    def abort(self) -> None:
        self._drop()
        self.partial.unlink(missing_ok=True)

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _drop(self) -> None: ...


class _CsvFile(_File):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.stream = self.partial.open("wb")
        self.csv = _CsvStream(self.stream)

    def write(self, frame: pl.DataFrame) -> None:
        self.started = True
        self.csv.write(frame)

    def _finish(self) -> None:
        self.stream.close()

    def _drop(self) -> None:
        self.stream.close()


class _ParquetFile(_File):
    """Frames handed through a short queue to one streaming Parquet sink in a thread of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.waiting: queue.Queue[pl.DataFrame | None] = queue.Queue(maxsize=2)
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def write(self, frame: pl.DataFrame) -> None:
        if self.thread is None:
            self.started = True
            self.schema = frame.schema
            self.thread = threading.Thread(target=self._sink, args=(frame.schema,), name="parquet-sink")
            self.thread.start()
        assert frame.schema == self.schema, "all frames of a file have one schema"
        self._put(frame)

    def _sink(self, schema: pl.Schema) -> None:
        def frames(
            _columns: list[str] | None, _predicate: pl.Expr | None, _rows: int | None, _batch: int | None
        ) -> Iterator[pl.DataFrame]:
            while (frame := self.waiting.get()) is not None:
                yield frame

        try:
            register_io_source(frames, schema=schema).sink_parquet(self.partial, row_group_size=ROW_GROUP)
        except BaseException as error:  # handed on to the writing thread
            self.failure = error

    def _put(self, frame: pl.DataFrame | None) -> None:
        assert self.thread is not None
        while self.thread.is_alive():
            try:
                self.waiting.put(frame, timeout=0.2)
                return
            except queue.Full:
                continue
        if self.failure is not None:
            raise self.failure

    def _finish(self) -> None:
        self._end()
        if self.failure is not None:
            self.partial.unlink(missing_ok=True)
            raise self.failure

    def _drop(self) -> None:
        self._end()

    def _end(self) -> None:
        if self.thread is not None and self.thread.is_alive():
            self._put(None)
            self.thread.join()


class _XlsxFile(_File):
    """A workbook whose cells are text, numbers or yes and no: a code keeps its zeros, a formula stays a text, an exact
    amount shows four decimals."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        self.book = xlsxwriter.Workbook(self.partial, {**options, "strings_to_numbers": False})
        self.book.set_properties({"created": _CREATED})
        self.header = self.book.add_format({"bold": True, "bottom": 1})
        self.text = self.book.add_format({"num_format": "@"})
        self.decimal = self.book.add_format({"num_format": "0.0000"})
        self.at = 0
        self.sheets = 0

    def write(self, frame: pl.DataFrame) -> None:
        self.started = True
        names = frame.columns
        for row in frame.iter_rows():
            if self.at == 0 or self.at > SHEET_ROWS:
                self._new_sheet(names)
            for column, value in enumerate(row):
                if isinstance(value, bool):
                    self.sheet.write_boolean(self.at, column, value)
                elif isinstance(value, Decimal):
                    self.sheet.write_number(self.at, column, float(value), self.decimal)
                elif isinstance(value, int | float):
                    self.sheet.write_number(self.at, column, value)
                elif value:
                    self.sheet.write_string(self.at, column, value, self.text)
            self.at += 1
        if self.sheets == 0:
            self._new_sheet(names)

    def _new_sheet(self, names: list[str]) -> None:
        self.sheets += 1
        self.sheet = self.book.add_worksheet(f"结果{self.sheets}")
        self.sheet.freeze_panes(1, 1)
        self.sheet.set_column(0, len(names) - 1, _COLUMN_WIDTH)
        self.sheet.write_row(0, 0, names, self.header)
        self.at = 1

    def _finish(self) -> None:
        self.book.close()

    def _drop(self) -> None:
        self.book.close()  # lets go of its temporary sheets
