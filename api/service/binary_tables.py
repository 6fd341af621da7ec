"""What a Parquet file or an Arrow table comes to in memory, told before it is read: a few bytes of either can say
"a million times this text of a megabyte".

A Parquet file's pages say how large they are unpacked and how many values they hold; both are read from the heads of
all pages, not from the footer, which need not say the same (Apache Parquet format, parquet.thrift: FileMetaData,
ColumnMetaData, PageHeader in the Thrift compact protocol). How long texts are that stand in it once and are named often
is asked of the reader, which does not copy them.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl

from api.service.trial import DAMAGED, LARGE, tried
from grouper.going_on import go_on
from reference_tables.problems import Problem

VALUE_BYTES = 16
"""What a value takes in memory beside its text."""
_MAGIC = b"PAR1"
_USUAL_HEAD, _LONGEST_HEAD, _LONGEST_FOOTER, _DEEPEST = 1 << 12, 1 << 20, 64 << 20, 16
_PAGE_BYTES = 1 << 12
"""What a page counts for beside its values: a file of nothing but empty pages would take long to be looked through."""
_MOST_COLUMNS = 2_000
UNREADABLE = (
    pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, IndexError, KeyError, TypeError,
    AttributeError, OverflowError,
)  # fmt: skip
"""What bytes come to that are not built as the format says."""


class _TooWide(ValueError):
    """A file of more columns than any table of cases has: `columns`."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        super().__init__(f"{columns} columns")


def is_parquet(head: bytes) -> bool:
    """Do bytes begin as a Parquet file does?"""
    return head.startswith(_MAGIC)


def parquet_problem(source: Path | bytes, limit: int) -> Problem | None:
    """Why a Parquet file is not read: SV34 when its values take more than `limit` bytes in memory, SV09 when it is
    damaged or has too many columns. None when it may be read. Raises OSError when it cannot be read for trial."""
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
            verdict = LARGE if _stated(stream, limit) > limit else ""
    except _TooWide as error:
        return Problem("SV09", {"reason": f"有 {error.columns} 列，最多 {_MOST_COLUMNS} 列"})
    except UNREADABLE:
        verdict = DAMAGED
    verdict = verdict or tried(source, limit)
    if verdict == DAMAGED:
        return Problem("SV09", {"reason": "不是完整的 Parquet 文件"})
    return Problem("SV34", {"limit": limit}) if verdict == LARGE else None


def read_through(source: Path | io.BytesIO, limit: int) -> bool:
    """Read a Parquet file to its end and forget it; False when its texts, written out, take more than `limit` bytes.
    Raises UNREADABLE, or ends the process: called where that harms nobody (`api.service.trial`)."""
    lazy = pl.scan_parquet(source, glob=False)
    if _texts(lazy, limit):
        return False
    for _ in lazy.collect_batches():
        pass
    return True


def frame_is_large(frame: pl.DataFrame, limit: int) -> bool:
    """Would the texts of a frame, each written out, take more than `limit` bytes?"""
    return _texts(frame.lazy(), limit)


def _stated(stream: BinaryIO, limit: int) -> int:
    """Bytes that all pages take unpacked, and their values; no further than `limit`. Raises ValueError and others."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MAGIC or length > min(size - 8, _LONGEST_FOOTER):
        raise ValueError("no footer")
    stream.seek(size - 8 - length)
    footer = _Thrift(stream.read(length)).struct()
    total = length
    for group in footer[4]:
        if len(group[1]) > _MOST_COLUMNS:
            raise _TooWide(len(group[1]))
        for column in group[1]:
            about = column[3]
            at = min(place for place in (about.get(9), about.get(11)) if place)
            end = at + about[7]
            while at < end and total <= limit:
                go_on()
                head, length = _head(stream, at)
                if min(head[2], head[3]) < 0:
                    raise ValueError("a page of negative size")
                counts = [head.get(kind, {}).get(1, 0) for kind in (5, 7, 8)]
                values = max(counts)
                if min(counts) < 0:
                    raise ValueError("a page of less than no values")
                total += _PAGE_BYTES + head[2] + values * VALUE_BYTES
                at += length + head[3]
    return total


def _head(stream: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """The head of the page at a place, and its length."""
    stream.seek(at)
    reader = _Thrift(stream.read(_USUAL_HEAD))
    try:
        return reader.struct(), reader.at
    except (ValueError, IndexError):  # a longer one holds long texts as statistics
        stream.seek(at)
        reader = _Thrift(stream.read(_LONGEST_HEAD))
        return reader.struct(), reader.at


def _texts(lazy: pl.LazyFrame, limit: int) -> bool:
    """Are all texts together longer than `limit` bytes? The texts of one column after the other are counted."""
    total = 0
    for name, dtype in lazy.collect_schema().items():
        column, inner = pl.col(name), dtype
        while isinstance(inner, pl.List | pl.Array):
            column, inner = column.explode(), cast("pl.DataType", inner.inner)
        if inner == pl.String:
            counted = lazy.select(column.str.len_bytes().cast(pl.UInt64).sum()).collect(engine="streaming")
            total += int(counted.item() or 0)
        if total > limit:
            return True
    return False


class _Thrift:
    """Thrift's compact protocol, as far as Parquet's metadata need it: structs by field number, lists, numbers."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """A struct's fields by number. Raises ValueError, IndexError."""
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 15
            field = field + step if step else self._signed()
            found[field] = self._value(kind, depth, alone=True)
        return found

    def _value(self, kind: int, depth: int, *, alone: bool = False) -> Any:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        if kind in {1, 2}:  # a struct's truth value is in its head
            return kind == 1 if alone else self._byte() == 1
        if kind == 3:
            return self._byte()
        if kind in {4, 5, 6}:
            return self._signed()
        if kind == 7:
            self.at += 8
            return None
        if kind == 8:
            return self._bytes(self._number())
        if kind in {9, 10}:
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._number()
            return [self._value(head & 15, depth + 1) for _ in range(min(count, len(self.data)))]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("a kind that Parquet does not use")

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise ValueError("ends too early")
        return self.data[self.at - count : self.at]

    def _number(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise ValueError("a number that is too long")

    def _signed(self) -> int:
        found = self._number()
        return (found >> 1) ^ -(found & 1)
