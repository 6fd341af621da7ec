"""Opening .xlsx workbooks: the one way in, for cases, lists and official schemes alike.

The reader makes room for as many shared texts as the workbook says it has (attribute uniqueCount of the table of shared
texts, ECMA-376 Part 1, 18.4.9) before it reads one of them; with a made-up count it ends the whole process, which no
`except` sees. So every member is unpacked once before, its checksum verified, and no more texts are believed than the
member has room for. What the reader then breaks off with, a panic of its own included, is a damaged workbook.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import fastexcel

from reference_tables.problems import unreadable

_CHUNK = 1 << 20
_SHORTEST_TEXT = len(b"<si/>")
_HARMLESS = 1 << 20
"""Texts that a workbook may say it has, whether or not they are there: room for them is a few megabytes."""
_COUNT = re.compile(rb"uniqueCount\s*=\s*[\"']\s*\+?([0-9]+)")
_NAME = b"uniqueCount"
_LONGEST_COUNT = 256
_PANIC = "PanicException"
"""As every library built on PyO3 calls it, each its own, and none an `Exception`."""


class BrokenWorkbook(Exception):
    """The workbook cannot be read: `reason` says why, in Chinese."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Spreadsheet:
    """An open workbook. Every method raises BrokenWorkbook."""

    path: Path
    reader: fastexcel.ExcelReader

    @property
    def names(self) -> list[str]:
        """Names of the sheets, in order."""
        return list(self.reader.sheet_names)

    def load(self, sheet: str | int, **options: Any) -> fastexcel.ExcelSheet:
        """A sheet without header, from its very first row; `options` as of `load_sheet`."""
        with readable():
            loaded: fastexcel.ExcelSheet = self.reader.load_sheet(sheet, header_row=None, skip_rows=0, **options)
            return loaded


def open_spreadsheet(path: Path) -> Spreadsheet:
    """Open an .xlsx file. Raises BrokenWorkbook when it is none, is protected, damaged, or says that it has what cannot
    be in it."""
    with readable():
        with zipfile.ZipFile(path) as packed:
            for item in packed.infolist():
                _check_member(packed, item)
        return Spreadsheet(path, fastexcel.read_excel(path))


@contextmanager
def readable() -> Iterator[None]:
    """Whatever reading a workbook breaks off with is BrokenWorkbook."""
    try:
        yield
    except BrokenWorkbook:
        raise
    except (
        fastexcel.FastExcelError, zipfile.BadZipFile, zlib.error, ElementTree.ParseError, EOFError, OSError,
        NotImplementedError, RuntimeError, ValueError, LookupError,
    ) as error:  # fmt: skip
        raise BrokenWorkbook(unreadable(error)) from error
    except BaseException as error:
        if type(error).__name__ != _PANIC:
            raise
        raise BrokenWorkbook("内容已损坏，无法解析；请用 Excel 或 WPS 打开后另存为 .xlsx") from None


def _check_member(packed: zipfile.ZipFile, item: zipfile.ZipInfo) -> None:
    """Unpack a member to its end. Raises BrokenWorkbook for a count of texts that it has no room for, and what a
    damaged archive raises."""
    size = said = 0
    held = b""
    with packed.open(item) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            part = held + chunk
            if _NAME in part:
                said = max(said, *(int(digits[:20]) for digits in _COUNT.findall(part)), 0)
            held = part[-_LONGEST_COUNT:]
    if said > max(_HARMLESS, size // _SHORTEST_TEXT):
        reason = f"声明有 {said} 条共享文本，{item.filename} 里装不下；请用 Excel 或 WPS 打开后另存为 .xlsx"
        raise BrokenWorkbook(reason)
