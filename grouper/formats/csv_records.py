"""Lines to records: which lines of a delimited text are whole records, which are broken, and why.

A block without quotes, with the expected number of delimiters, is handed on as it is. Every other block is
looked at line by line: a quoted cell may run over a few lines, a forgotten quote must not swallow the rest
of the file, a line with too few or too many cells must not shift its neighbours. What is decided does not
depend on where blocks were cut: lines that need a look further ahead are carried into the next block.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from grouper.formats.csv_text import TextBlock
from reference_tables.case_formats import format_facts

TOO_FEW, TOO_MANY, BAD_QUOTE, NUL, UNDECODABLE = "IN20", "IN21", "IN22", "IN23", "IN24"
DELIMITERS = (",", "\t", ";")
_NEWLINE = ord("\n")


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
    are `first_row`, `first_row + 1`, ...; `broken` (row UInt32, defect String, found Int64: number of cells)
    the records that cannot be read; `blank` the number of rows skipped because nothing stands in them.
    """

    first_row: int
    data: bytes
    rows: pl.Series | None
    broken: pl.DataFrame
    blank: int


BROKEN_SCHEMA = {"row": pl.UInt32(), "defect": pl.String(), "found": pl.Int64()}


class _Patterns:
    """Regular expressions of one delimiter. Loose records may have a stray quote inside an unquoted cell."""

    def __init__(self, delimiter: str) -> None:
        d = delimiter
        assert d in DELIMITERS, "none of them means anything to a regular expression"
        quoted = '"(?:[^"]|"")*"'
        plain, stray = f'[^"{d}\n]*', f'[^"{d}\n][^{d}\n]*|'
        self.strict = f"^(?:{quoted}|{plain})(?:{d}(?:{quoted}|{plain}))*$"
        self.loose = f"^(?:{quoted}|{stray})(?:{d}(?:{quoted}|{stray}))*$"
        self.filled_cell = f'(^|{d})"(?:[^"]|"")+"'
        self.empty_cell = f'(^|{d})""'
        self.nothing = f'^[\\s"{d}]*$'
        self.surplus = f"{d}+$"
        self.loose_python = re.compile(self.loose)


def record_blocks(texts: Iterable[TextBlock], shape: Shape, first_row: int) -> Iterator[RecordBlock]:
    """Records of consecutive text blocks; `first_row` is the row number of the first of them."""
    carry, row = TextBlock(b"", ()), first_row
    pending: TextBlock | None = None
    for text in texts:
        if pending is not None:
            block, carry, row = _next(_joined(carry, pending), shape, row, last=False)
            yield block
        pending = text
    if pending is not None:
        block, _, _ = _next(_joined(carry, pending), shape, row, last=True)
        yield block


def _joined(carry: TextBlock, text: TextBlock) -> TextBlock:
    if not carry.data:
        return text
    shift = carry.data.count(b"\n")
    return TextBlock(carry.data + text.data, (*carry.undecodable, *(at + shift for at in text.undecodable)))


def _next(text: TextBlock, shape: Shape, row: int, *, last: bool) -> tuple[RecordBlock, TextBlock, int]:
    """The records of `text`, what must wait for the next block, and the row number after these records."""
    data = text.data
    if not text.undecodable and b'"' not in data and b"\0" not in data:
        codes = np.frombuffer(data, np.uint8)
        lines = int(np.count_nonzero(codes == _NEWLINE))
        if int(np.count_nonzero(codes == ord(shape.delimiter))) == lines * (shape.width - 1):
            broken = pl.DataFrame(schema=BROKEN_SCHEMA)
            return RecordBlock(row, data, None, broken, 0), TextBlock(b"", ()), row + lines
    return look_closely(text, shape, row, last=last)


def look_closely(text: TextBlock, shape: Shape, row: int, *, last: bool) -> tuple[RecordBlock, TextBlock, int]:
    """Judge a block line by line; see `_next` for what is returned."""
    patterns = _Patterns(shape.delimiter)
    lines = pl.Series("line", text.data.decode("utf-8").split("\n")[:-1], dtype=pl.String)
    lines = lines.str.strip_suffix("\r")
    frame = pl.DataFrame({"line": lines}).with_columns(
        code=pl.when(pl.col("line").str.contains("\0", literal=True)).then(pl.lit(NUL)),
        quotes=pl.col("line").str.count_matches('"', literal=True),
    )
    if text.undecodable:
        at = pl.int_range(pl.len()).is_in(list(text.undecodable))
        frame = frame.with_columns(code=pl.when(at).then(pl.lit(UNDECODABLE)).otherwise("code"))
    alone = (pl.col("quotes") == 0) | pl.col("code").is_not_null() | pl.col("line").str.contains(patterns.loose)
    open_at = frame.select(pl.arg_where(~alone)).to_series().to_numpy()
    frame, cut = _close_quotes(frame, open_at, patterns, shape, last=last)
    waiting = lines.slice(cut)
    frame = _judged(frame, patterns, shape)
    frame = frame.with_columns(pl.int_range(row, row + frame.height, dtype=pl.UInt32, eager=True).alias("row"))
    good = frame.filter(pl.col("code").is_null() & ~pl.col("nothing"))
    block = RecordBlock(
        first_row=row,
        data=_written(good, patterns, shape),
        rows=good["row"],
        broken=frame.filter(pl.col("code").is_not_null()).select("row", pl.col("code").alias("defect"), "found"),
        blank=int(frame["nothing"].sum()),
    )
    carry = TextBlock(
        "".join(f"{line}\n" for line in waiting).encode("utf-8"),
        tuple(at - cut for at in text.undecodable if at >= cut),
    )
    return block, carry, row + frame.height


def _close_quotes(
    frame: pl.DataFrame, open_at: np.ndarray, patterns: _Patterns, shape: Shape, *, last: bool
) -> tuple[pl.DataFrame, int]:
    """Join the lines of quoted cells that hold line breaks; mark lines whose quote is never closed.

    `open_at` are the lines that are no record on their own. Returns the frame, one row a record, and the
    position of the first line that must wait for the next block.
    """
    height = frame.height
    if not len(open_at):
        return frame, height
    reach = format_facts().reading.quoted_lines_max
    odd_at = np.flatnonzero(frame["quotes"].to_numpy() % 2)
    following = np.searchsorted(odd_at, open_at, side="right")
    lines, codes = frame["line"], frame["code"]
    joined: dict[int, str] = {}
    inside: list[int] = []
    unclosed: list[int] = []
    done = cut = -1
    for start, at in zip(open_at.tolist(), following.tolist(), strict=True):
        if start <= done:
            continue
        end = int(odd_at[at]) if at < len(odd_at) else height
        if end >= height and not last and start + reach >= height:
            cut = start
            break
        count = end - start + 1
        whole = end <= min(start + reach, height - 1) and codes.slice(start, count).null_count() == count
        record = "\n".join(lines.slice(start, count)) if whole else ""
        if whole and patterns.loose_python.match(record) and cells_of(record, shape.delimiter) == shape.width:
            joined[start] = record
            inside += range(start + 1, end + 1)
            done = end
        else:
            unclosed.append(start)
    frame = frame.with_row_index("at")
    schema = {"at": pl.UInt32(), "record": pl.String()}
    mended = pl.DataFrame({"at": list(joined), "record": list(joined.values())}, schema=schema)
    frame = frame.join(mended, on="at", how="left", maintain_order="left").with_columns(
        line=pl.coalesce("record", "line"),
        code=pl.when(pl.col("at").is_in(unclosed)).then(pl.lit(BAD_QUOTE)).otherwise("code"),
    )
    if cut >= 0:
        frame = frame.head(cut)
    return frame.filter(~pl.col("at").is_in(inside)), cut if cut >= 0 else height


def cells_of(record: str, delimiter: str) -> int:
    """Number of cells of one record."""
    return len(next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter)))


def _judged(frame: pl.DataFrame, patterns: _Patterns, shape: Shape) -> pl.DataFrame:
    """Add `found` (number of cells), `nothing` (an empty row) and the code of lines too short or too long."""
    line, delimiter = pl.col("line"), shape.delimiter
    unquoted = line.str.replace_all(patterns.filled_cell, "${1}_").str.replace_all(patterns.empty_cell, "$1")
    frame = frame.with_columns(
        bare=pl.when(pl.col("quotes") == 0).then(line).otherwise(unquoted),
        nothing=pl.col("code").is_null() & line.str.contains(patterns.nothing),
    ).with_columns(
        found=pl.col("bare").str.count_matches(delimiter, literal=True).cast(pl.Int64) + 1,
        least=pl.col("bare").str.replace(patterns.surplus, "").str.count_matches(delimiter, literal=True) + 1,
    )
    unjudged = pl.col("code").is_null() & ~pl.col("nothing")
    return frame.with_columns(
        code=pl.when(unjudged & (pl.col("found") < shape.width - shape.optional_last))
        .then(pl.lit(TOO_FEW))
        .when(unjudged & (pl.col("least") > shape.width))
        .then(pl.lit(TOO_MANY))
        .otherwise("code")
    )


def _written(good: pl.DataFrame, patterns: _Patterns, shape: Shape) -> bytes:
    """Good records as text that a strict CSV reader understands: a stray quote is put into quotes."""
    lines = good["line"]
    loose = good.select(pl.arg_where((pl.col("quotes") > 0) & ~pl.col("line").str.contains(patterns.strict)))
    stray = loose.to_series()
    if len(stray):
        lines = lines.clone().scatter(stray, [_quoted(line, shape.delimiter) for line in lines.gather(stray)])
    return (str(lines.str.join("\n").item()) + "\n").encode("utf-8") if len(lines) else b""


def _quoted(line: str, delimiter: str) -> str:
    """One record written again, each cell quoted that needs it."""
    out = io.StringIO(newline="")
    cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter))
    csv.writer(out, delimiter=delimiter, lineterminator="", quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue()


def cell_frame(
    block: RecordBlock, shape: Shape, positions: Iterable[int], numbers: Mapping[int, pl.DataType] | None = None
) -> pl.DataFrame:
    """Cells of the records: `row` UInt32 and a String column `c{position}` for every wanted position.

    An empty cell is null. A record longer than `shape` shows in the column `extra`. Columns in `numbers` are
    parsed at once as that integer type where every cell of the block is one, which spares making texts.
    """
    names = [f"column_{at + 1}" for at in range(shape.width + 1)]
    wanted = sorted({*positions, shape.width})
    renamed = {names[at]: f"c{at}" for at in wanted} | {names[shape.width]: "extra"}
    text = dict.fromkeys(names, pl.String())
    if block.data:
        typed = {names[at]: dtype for at, dtype in (numbers or {}).items()}
        chosen = [names[at] for at in wanted]
        try:
            frame = _parsed(block.data, shape, chosen, {**text, **typed})
        except pl.exceptions.ComputeError:
            if not typed:
                raise
            frame = _parsed(block.data, shape, chosen, text)
        if b'"' in block.data and b'""' in block.data:
            frame = frame.with_columns(pl.col(pl.String).replace("", None))
    else:
        frame = pl.DataFrame(schema={names[at]: pl.String() for at in wanted})
    first = block.first_row
    rows = block.rows
    if rows is None:
        rows = pl.int_range(first, first + frame.height, dtype=pl.UInt32, eager=True)
    return frame.rename(renamed).insert_column(0, rows.alias("row"))


def _parsed(data: bytes, shape: Shape, names: list[str], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The named columns of whole records. Raises ComputeError when a cell is not of its type."""
    return pl.read_csv(
        data, has_header=False, separator=shape.delimiter, columns=names, schema=schema,
        truncate_ragged_lines=True, missing_columns="insert", extra_columns="ignore",
    )  # fmt: skip
