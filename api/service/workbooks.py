"""Workbooks before they are opened: what reading them would take, found out without building it.

A reader lays a sheet out as a full rectangle from its first to its last cell and gives every cell its own text. A few
kilobytes can so ask for hundreds of gigabytes: two cells in opposite corners, or millions of cells that all name one
long shared text. Every member is unpacked piece by piece and measured; what the archive says of itself is not believed.
What nobody has thought of yet is found out by reading it for trial.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.service.trial import outlived
from grouper.going_on import go_on
from reference_tables.problems import Problem

_CHUNK = 1 << 20
_LONGEST_ELEMENT = 16 << 20
_LONGEST_NAME = 8
"""Letters of a column, digits of a row: more than any sheet has."""
CELL_BYTES = 32
"""What an empty cell takes in memory."""
_WORKBOOK = "xl/workbook.xml"
_REFERENCE = re.compile(rb"\br\s*=\s*[\"']([A-Z]{0,8})([0-9]+)[\"']")
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_TEXT_CELL = re.compile(rb"\bt\s*=\s*[\"']s[\"']")
_TEXT_INDEX = re.compile(rb"\bt\s*=\s*[\"']s[\"'][^>]*>\s*<(?:\w+:)?v>([0-9]{1,9})</")
_TEXT = re.compile(rb"<(?:\w+:)?si[\s/>]")
_LOOSE = (b" =", b"= ", b"\t=", b"=\t", b"\n=", b"=\n", b"\r=", b"=\r")
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)
_DAMAGED = "工作簿不完整或已损坏；请用 Excel 或 WPS 打开后另存为 .xlsx"
_NO_WORKBOOK = "ZIP 包里没有 XLSX 工作簿；收 CSV、JSON、NDJSON、XLSX、Parquet，压缩的用 gzip，不收 ZIP"


class _TooMuch(Exception):
    """The workbook would take more than allowed."""


def workbook_problem(path: Path, limit: int) -> Problem | None:
    """Why a workbook, named .xlsx, is not opened: SV34 when it, one of its sheets as a full rectangle, or the texts of
    its cells take more than `limit` bytes; SV09 when it is damaged or none, or the reader dies of it. None when it may
    be. Raises OSError when it cannot be read for trial."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            if _WORKBOOK not in names or len(names) != len(set(names)):
                return Problem("SV09", {"reason": _NO_WORKBOOK})
            _measure(packed, limit)
    except _TooMuch:
        return Problem("SV34", {"limit": limit})
    except _UNREADABLE:
        return Problem("SV09", {"reason": _DAMAGED})
    return None if outlived(path) else Problem("SV09", {"reason": _DAMAGED})


def _measure(packed: zipfile.ZipFile, limit: int) -> None:
    """Raises _TooMuch, and what a damaged archive raises."""
    size = cells = 0
    lengths = array("Q")
    for item in packed.infolist():
        rows = columns = 0
        for part, whole in _parts(packed, item, size, limit):
            size = whole
            deep, wide, more = _extent(part)
            rows, columns = max(rows, deep) + more, max(columns, wide)
            if rows * columns * CELL_BYTES > limit:
                raise _TooMuch
            cells += _text_cells(part)
            if b"si" in part:
                starts = [met.start() for met in _TEXT.finditer(part)]
                lengths.extend(end - start for start, end in pairwise([*starts, len(part)]))
    if cells * max(lengths, default=0) > limit and _texts(packed, lengths, limit) > limit:
        raise _TooMuch


def _parts(packed: zipfile.ZipFile, item: zipfile.ZipInfo, before: int, limit: int) -> Iterator[tuple[bytes, int]]:
    """A member in pieces that end behind a row or a shared text, with how many bytes there have been in all."""
    size, held = before, b""
    with packed.open(item) as stream:
        while chunk := stream.read(_CHUNK):
            if size == before and chunk[:3].startswith(_WIDE) and not item.filename.endswith(".bin"):
                raise ValueError("text of two bytes a character")
            go_on()
            size += len(chunk)
            held += chunk
            end = max(held.rfind(b"row>"), held.rfind(b"si>"))
            if size > limit or len(held) - end > _LONGEST_ELEMENT:
                raise _TooMuch
            if end >= 0:
                yield held[: end + 4], size
                held = held[end + 4 :]
    yield held, size


def _extent(part: bytes) -> tuple[int, int, int]:
    """Of a piece of a sheet: the last row that is named, the last column that a cell can be in, and how many rows have
    no name and follow the one before."""
    if b"row" not in part and b"<c" not in part and b":c" not in part:
        return 0, 0, 0
    usual = _usual_extent(part)
    if usual is not None:
        return (*usual, 0)
    named = _REFERENCE.findall(part)
    letters = [text for text, _ in named if text]
    deep = max((int(digits[:12]) for _, digits in named), default=0)
    wide = max(map(_column, set(letters)), default=0)
    if len(_CELL.findall(part)) > len(letters):  # cells without a name follow the one before
        wide += max(len(_CELL.findall(row)) for row in _ROW.split(part))
    return deep, wide, max(0, len(_ROW.findall(part)) - (len(named) - len(letters)))


def _usual_extent(part: bytes) -> tuple[int, int] | None:
    """The last row and column of a piece as nearly every program writes it: all cells as <c r="A1" …, all rows as
    <row r="1" …. None for others."""
    text = np.frombuffer(part + bytes(_LONGEST_NAME + 8), dtype=np.uint8)
    tags = np.flatnonzero(text == ord("<"))
    cells = tags[text[tags + 1] == ord("c")]
    rows = tags[_are(text, tags, b"<row")]
    cells = cells[np.isin(text[cells + 2], np.frombuffer(b" />\t\r\n", dtype=np.uint8))]
    if (
        b":c" in part
        or b":row" in part
        or not (_are(text, cells, b'<c r="').all() and _are(text, rows, b'<row r="').all())
    ):
        return None
    at, column = cells + len(b'<c r="'), np.zeros(len(cells), dtype=np.int64)
    row = np.zeros(len(cells) + len(rows), dtype=np.int64)
    for _ in range(_LONGEST_NAME):
        letter = (text[at] >= ord("A")) & (text[at] <= ord("Z"))
        column = np.where(letter, column * 26 + text[at] - ord("A") + 1, column)
        at = at + letter
    at = np.concatenate([at, rows + len(b'<row r="')])
    for _ in range(_LONGEST_NAME):
        digit = (text[at] >= ord("0")) & (text[at] <= ord("9"))
        row = np.where(digit, row * 10 + text[at] - ord("0"), row)
        at = at + digit
    if not (text[at] == ord('"')).all():
        return None
    return int(row.max(initial=0)), int(column.max(initial=0))


def _are(text: NDArray[np.uint8], at: NDArray[np.int64], wanted: bytes) -> NDArray[np.bool_]:
    """Which places have these bytes."""
    found = np.ones(len(at), dtype=np.bool_)
    for step, byte in enumerate(wanted):
        found &= text[at + step] == byte
    return found


def _column(letters: bytes) -> int:
    """The number of a column: A = 1."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _text_cells(part: bytes) -> int:
    """How many cells of a piece name a shared text."""
    if any(byte in part for byte in _LOOSE):
        return len(_TEXT_CELL.findall(part))
    return part.count(b't="s"') + part.count(b"t='s'")


def _texts(packed: zipfile.ZipFile, lengths: array[int], limit: int) -> int:
    """Bytes of all texts when every cell has its own; a cell whose text is not known counts as the longest. More than
    `limit` need not be counted to the end."""
    longest, total = max(lengths), 0
    for item in packed.infolist():
        for part, _ in _parts(packed, item, 0, limit):
            named = [int(digits) for digits in _TEXT_INDEX.findall(part)]
            total += sum(lengths[at] if at < len(lengths) else 0 for at in named)
            total += (_text_cells(part) - len(named)) * longest
            if total > limit:
                return total
    return total
