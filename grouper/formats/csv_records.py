"""Lines to records: which lines of a delimited text are whole records, which are broken, and why.

A block without quotes, with the expected number of delimiters, is handed on as it is. Every other block is
looked at line by line: a quoted cell may run over a few lines, a forgotten quote must not swallow the rest
of the file, a line with too few or too many cells must not shift its neighbours. What is decided does not
depend on where blocks were cut: lines that need a look further ahead are carried into the next block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.formats.csv_lines import DELIMITERS, FAR, NEWLINE, Lines, kept_lines, lines_of, surplus_is_empty
from grouper.formats.csv_text import TextBlock
from reference_tables.case_formats import format_facts

TOO_FEW, TOO_MANY, BAD_QUOTE, NUL_BYTE, UNDECODABLE, OVERLONG = "IN20", "IN21", "IN22", "IN23", "IN24", "IN51"

_CODES = (None, TOO_FEW, TOO_MANY, BAD_QUOTE, NUL_BYTE, UNDECODABLE, OVERLONG)
_BLANK = b"\n\r\v\f " + "".join(DELIMITERS).encode()
_PEEK = 64
_MOST_LINES = 1 << 19
"""Lines that are looked at together: so many blank ones are no more bytes, and as much work as records."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Delimiter of a table, number of cells of a record, and how many of the last may be absent."""

    delimiter: str
    width: int
    optional_last: int = 0


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Records of a stretch of the file.

    `data` UTF-8 text of the whole records, one after the other; `rows` their row numbers, or None when they
    are `first_row`, `first_row + 1`, ...; `broken` (row UInt32, defect String, found Int64: number of cells,
    of an overlong line of bytes) the records that cannot be read; `blank` the number of rows skipped because nothing
    stands in them.
    """

    first_row: int
    data: bytes
    rows: pl.Series | None
    broken: pl.DataFrame
    blank: int


BROKEN_SCHEMA = {"row": pl.UInt32(), "defect": pl.String(), "found": pl.Int64()}


@cache
def _cell(delimiter: str) -> re.Pattern[str]:
    """One cell: quoted from end to end, or not beginning with a quote; a stray quote inside is content."""
    assert delimiter in DELIMITERS, "none of them means anything to a regular expression"
    # nothing matches when it is matched again in another way: so nothing has to be remembered, a megabyte of it neither
    return re.compile(f'"(?:[^"]++|"")*+"|[^"{delimiter}\\n][^{delimiter}\\n]*+|')


@cache
def _record(delimiter: str) -> re.Pattern[str]:
    """One whole record."""
    cell = f"(?:{_cell(delimiter).pattern})"
    return re.compile(f"{cell}(?:{delimiter}{cell})*+")


def record_blocks(texts: Iterable[TextBlock], shape: Shape, first_row: int) -> Iterator[RecordBlock]:
    """Records of consecutive text blocks; `first_row` is the row number of the first of them."""
    carry, row = TextBlock(b""), first_row
    pending: TextBlock | None = None
    for text in chain.from_iterable(map(_pieces, texts)):
        if pending is not None:
            block, carry, row = _next(_joined(carry, pending), shape, row, last=False)
            yield block
        pending = text
    if pending is not None:
        block, _, _ = _next(_joined(carry, pending), shape, row, last=True)
        yield block


def _pieces(text: TextBlock) -> Iterator[TextBlock]:
    """A block of far more lines than blocks of records have: in pieces."""
    data = text.data
    if len(data) <= _MOST_LINES or _newlines(data) <= _MOST_LINES:
        yield text
        return
    start = line = 0
    while start < len(data):
        end = data.find(b"\n", start + _MOST_LINES - 1) + 1 or len(data)
        piece = data[start:end]
        stop = line + _newlines(piece)
        undecodable = tuple(at - line for at in text.undecodable if line <= at < stop)
        yield TextBlock(piece, undecodable, tuple((at - line, size) for at, size in text.overlong if line <= at < stop))
        start, line = end, stop


def _newlines(data: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == NEWLINE))


def _joined(carry: TextBlock, text: TextBlock) -> TextBlock:
    if not carry.data:
        return text
    shift = carry.data.count(b"\n")
    undecodable = (*carry.undecodable, *(at + shift for at in text.undecodable))
    overlong = (*carry.overlong, *((at + shift, size) for at, size in text.overlong))
    return TextBlock(carry.data + text.data, undecodable, overlong)


def _next(text: TextBlock, shape: Shape, row: int, *, last: bool) -> tuple[RecordBlock, TextBlock, int]:
    """The records of `text`, what must wait for the next block, and the row number after these records."""
    data = text.data
    nothing = TextBlock(b"")
    if text.flawless and b"\0" not in data:
        broken = pl.DataFrame(schema=BROKEN_SCHEMA)
        if b'"' not in data:
            codes = np.frombuffer(data, np.uint8)
            count = _newlines(data)
            if int(np.count_nonzero(codes == ord(shape.delimiter))) == count * (shape.width - 1):
                return RecordBlock(row, data, None, broken, 0), nothing, row + count
        else:
            lines = lines_of(data, shape.delimiter)
            if lines.plain.all() and (lines.cells == shape.width).all():
                return RecordBlock(row, data, None, broken, 0), nothing, row + len(lines)
    return look_closely(text, shape, row, last=last)


class _Verdict:
    """What was decided about the lines of a block, filled in step by step."""

    def __init__(self, lines: Lines, shape: Shape, text: TextBlock) -> None:
        self.lines = lines
        self.shape = shape
        self.code = np.zeros(len(lines), np.int8)
        self.found = lines.cells.astype(np.int64)
        self.continues = np.zeros(len(lines), np.bool_)
        self.rewritten: dict[int, str] = {}
        self.end = len(lines)
        self.set(lines.with_nul, NUL_BYTE)
        self.set(np.isin(np.arange(len(lines)), text.undecodable), UNDECODABLE)
        for at, size in text.overlong:
            self.code[at], self.found[at] = _CODES.index(OVERLONG), size
        self.empty = lines.empty & (self.code == 0)

    def set(self, where: NDArray[np.bool_], code: str) -> None:
        self.code[where] = _CODES.index(code)

    def record(self, first: int, last: int, text: str) -> None:
        """Lines `first` to `last` are one record."""
        cells = cells_of(text, self.shape.delimiter)
        filled = max((at + 1 for at, cell in enumerate(cells) if cell), default=0)
        self.found[first] = len(cells)
        self.continues[first + 1 : last + 1] = True
        self.empty[first : last + 1] = False
        if filled > self.shape.width:
            self.code[first] = _CODES.index(TOO_MANY)
        elif len(cells) < self.shape.width - self.shape.optional_last:
            self.code[first] = _CODES.index(TOO_FEW)
        else:
            quoted = ('"' + cell.replace('"', '""') + '"' for cell in cells[: self.shape.width])
            self.rewritten[first] = self.shape.delimiter.join(quoted) + "\n"


def look_closely(text: TextBlock, shape: Shape, row: int, *, last: bool) -> tuple[RecordBlock, TextBlock, int]:
    """Judge a block line by line; see `_next` for what is returned."""
    if text.flawless and not text.data[:_PEEK].strip(_BLANK) and not text.data.translate(None, _BLANK):
        blank = _newlines(text.data)
        nowhere = pl.Series([], dtype=pl.UInt32)
        block = RecordBlock(row, b"", nowhere, pl.DataFrame(schema=BROKEN_SCHEMA), blank)
        return block, TextBlock(b""), row + blank
    lines = lines_of(text.data, shape.delimiter)
    verdict = _Verdict(lines, shape, text)
    _judge_odd_lines(verdict, last=last)
    _judge_plain_lines(verdict)
    end = verdict.end
    numbers = row - 1 + np.cumsum(~verdict.continues[:end])
    bad = (verdict.code[:end] != 0) & ~verdict.continues[:end]
    good = ~bad & ~verdict.empty[:end] & ~verdict.continues[:end]
    broken = pl.DataFrame(
        {
            "row": pl.Series(numbers[bad], dtype=pl.UInt32),
            "defect": pl.Series([_CODES[code] for code in verdict.code[:end][bad].tolist()], dtype=pl.String),
            "found": pl.Series(verdict.found[:end][bad], dtype=pl.Int64),
        }
    )
    block = RecordBlock(
        first_row=row, data=_written(verdict, good), rows=pl.Series(numbers[good], dtype=pl.UInt32), broken=broken,
        blank=int((verdict.empty[:end] & ~bad).sum()),
    )  # fmt: skip
    waiting = text.data[lines.starts[end] :] if end < len(lines) else b""
    overlong = tuple((at - end, size) for at, size in text.overlong if at >= end)
    carry = TextBlock(waiting, tuple(at - end for at in text.undecodable if at >= end), overlong)
    return block, carry, row + int((~verdict.continues[:end]).sum())


def _judge_odd_lines(verdict: _Verdict, *, last: bool) -> None:
    """Lines with unusual quotes: a record by itself, the begin of one over several lines, or a quote never closed.

    A quoted cell that runs on ends in the next line with an odd number of quotes; where that line is still
    to come, everything from here on waits for the next block.
    """
    lines, shape = verdict.lines, verdict.shape
    whole = _record(shape.delimiter)
    reach = format_facts().reading.quoted_lines_max
    odd_at = np.flatnonzero(lines.quotes % 2)
    unusual = np.flatnonzero(~lines.plain & (verdict.code == 0))
    following = (
        odd_at[np.minimum(np.searchsorted(odd_at, unusual, side="right"), len(odd_at) - 1)] if len(odd_at) else unusual
    )
    done = -1
    for start, end in zip(unusual.tolist(), following.tolist(), strict=True):
        if start <= done:
            continue
        text = lines.text(start, start)
        if whole.fullmatch(text):
            verdict.record(start, start, text)
            continue
        if end <= start and not last and start + reach >= len(lines):
            verdict.end = start
            return
        joined = ""
        if start < end <= start + reach and not verdict.code[start : end + 1].any():
            joined = lines.text(start, end)
        if joined and whole.fullmatch(joined) and len(cells_of(joined, shape.delimiter)) == shape.width:
            verdict.record(start, end, joined)
            done = end
        else:
            verdict.code[start] = _CODES.index(BAD_QUOTE)


def cells_of(record: str, delimiter: str) -> list[str]:
    """The cells of one whole record, quotes taken off."""
    pattern = _cell(delimiter)
    cells, at = [], 0
    while True:
        match = pattern.match(record, at)
        assert match is not None, "a whole record is made of cells"
        text = match[0]
        cells.append(text[1:-1].replace('""', '"') if text.startswith('"') else text)
        at = match.end() + 1
        if at > len(record):
            return cells


def _judge_plain_lines(verdict: _Verdict) -> None:
    """Lines with too few or too many cells; a surplus that is empty loses nothing and is let pass."""
    lines, shape = verdict.lines, verdict.shape
    open_ = lines.plain & (verdict.code == 0) & ~verdict.empty & ~verdict.continues
    verdict.set(open_ & (lines.cells < shape.width - shape.optional_last), TOO_FEW)
    long = np.flatnonzero(open_ & (lines.cells > shape.width))
    idle = surplus_is_empty(lines, long, shape.width, shape.delimiter)
    for at in long[idle & (lines.cells[long] > shape.width + FAR)].tolist():
        verdict.rewritten[at] = lines.text(at, at).rstrip(shape.delimiter) + "\n"  # to be read in no time
    long = long[~idle]
    quoted = lines.quotes[long] > 0
    verdict.code[long[~quoted]] = _CODES.index(TOO_MANY)
    for at in long[quoted].tolist():
        verdict.record(at, at, lines.text(at, at))


def _written(verdict: _Verdict, good: NDArray[np.bool_]) -> bytes:
    """The good records one after the other, those with unusual quotes written again in the usual way."""
    lines, end = verdict.lines, verdict.end
    as_is = np.zeros(len(lines), np.bool_)
    as_is[:end] = good
    rewritten = sorted((at, text) for at, text in verdict.rewritten.items() if at < end)
    if not rewritten:
        return kept_lines(lines, as_is)
    pieces, start = [], 0
    for at, text in rewritten:
        pieces += [kept_lines(lines, as_is, start, at), text.encode("utf-8")]
        start = at + 1
    return b"".join([*pieces, kept_lines(lines, as_is, start)])


def cell_frame(
    block: RecordBlock, shape: Shape, positions: Iterable[int], numbers: Mapping[int, pl.DataType], marks: Sequence[str]
) -> pl.DataFrame:
    """Cells of the records: `row` UInt32 and a String column `c{position}` for every wanted position.

    An empty cell is null, and so is one with nothing but one of the `marks`. A record longer than `shape`
    shows in the column `extra`. Columns in `numbers` are parsed at once as that integer type where every
    cell of the block is one, which spares making texts.
    """
    names = [f"column_{at + 1}" for at in range(shape.width + 1)]
    wanted = sorted({*positions, shape.width})
    renamed = {names[at]: f"c{at}" for at in wanted} | {names[shape.width]: "extra"}
    text = dict.fromkeys(names, pl.String())
    if block.data:
        typed = {names[at]: dtype for at, dtype in numbers.items()}
        chosen = [names[at] for at in wanted]
        try:
            frame = _parsed(block.data, shape, chosen, {**text, **typed}, marks)
        except pl.exceptions.ComputeError:
            frame = _parsed(block.data, shape, chosen, text, marks)
        if b'"' in block.data and b'""' in block.data:
            frame = frame.with_columns(pl.col(pl.String).replace("", None))
    else:
        frame = pl.DataFrame(schema={names[at]: pl.String() for at in wanted})
    first = block.first_row
    rows = block.rows
    if rows is None:
        rows = pl.int_range(first, first + frame.height, dtype=pl.UInt32, eager=True)
    return frame.rename(renamed).insert_column(0, rows.alias("row"))


def _parsed(
    data: bytes, shape: Shape, names: list[str], schema: Mapping[str, pl.DataType], marks: Sequence[str]
) -> pl.DataFrame:
    """The named columns of whole records. Raises ComputeError when a cell is not of its type."""
    return pl.read_csv(
        data, has_header=False, separator=shape.delimiter, columns=names, schema=schema,
        null_values=list(marks) or None, truncate_ragged_lines=True, missing_columns="insert",
        extra_columns="ignore",
    )  # fmt: skip
