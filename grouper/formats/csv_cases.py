"""Delimited text to case frames, block by block."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from grouper.formats.cells import Complaints
from grouper.formats.csv_records import (
    BROKEN_SCHEMA,
    OVERLONG,
    RecordBlock,
    Shape,
    cell_frame,
    look_closely,
    record_blocks,
)
from grouper.formats.csv_text import HEAD_BYTES, TextBlock, text_blocks
from grouper.formats.detect import Detected, Header
from grouper.formats.frames import with_broken
from grouper.formats.header import TablePlan
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.pipeline import ordered_map
from grouper.formats.source import InputFile
from grouper.formats.tabular import canonical
from reference_tables.case_formats import format_facts
from reference_tables.problems import problem_frame, problem_rows

_WIDE_BLANKS = ("\u3000".encode(), "\u00a0".encode())
_LEAST_BYTES, _MOST_BYTES = 64, 1 << 25
# front pages have hundreds of columns: as many rows of them as of a flat table would take a gigabyte
_MOST_CELLS = 3_000_000


def open_csv(source: InputFile, detected: Detected, options: ReadOptions) -> Opened:
    """A delimited text, to be read in blocks of about `options.block_rows` records."""
    header = detected.header
    assert header is not None, "a CSV is detected by its header"
    plan = header.plan.reduced() if options.grouping_only else header.plan
    parts = _parts(source, detected, header, plan, options.block_rows)
    return Opened(detected.format, header.plan.columns, parts, header.notes, detected.encoding)


def _parts(source: InputFile, detected: Detected, header: Header, plan: TablePlan, block_rows: int) -> Iterator[Part]:
    shape = Shape(detected.delimiter, len(header.plan.header), header.optional_last)
    rows = min(block_rows, _MOST_CELLS // len(plan.positions))
    size = min(_MOST_BYTES, max(_LEAST_BYTES, int(rows * _line_bytes(source))))
    texts = text_blocks(source, detected.encoding, skip_lines=header.lines, block_bytes=size)
    blocks = record_blocks(texts, shape, header.row)
    yield from ordered_map(lambda block: _part(block, shape, plan, source.name), blocks)


def _line_bytes(source: InputFile) -> float:
    """Mean length of the first lines, to size blocks by."""
    head = source.head(HEAD_BYTES)
    return len(head) / max(1, head.count(b"\n"))


def _part(block: RecordBlock, shape: Shape, plan: TablePlan, file: str) -> Part:
    """One block of records as canonical cases and problems."""
    if not block.data and block.broken.is_empty():
        return Part(pl.DataFrame(), problem_frame([]), blank_rows=block.blank)
    numbers, marks = plan.numbers, plan.format.empty
    cells = cell_frame(block, shape, plan.positions, numbers, marks)
    if block.rows is None and _needs_a_closer_look(cells):
        block, _, _ = look_closely(TextBlock(block.data), shape, block.first_row, last=True)
        cells = cell_frame(block, shape, plan.positions, numbers, marks)
    blanks = None if _has_blanks(block.data, shape.delimiter) else False
    # a quoted mark, or one with blanks round it, is not seen on parsing
    marked = blanks is None or b'"' in block.data
    complaints = Complaints(file, cells["row"])
    cases = with_broken(canonical(cells, plan, complaints, blanks=blanks, marked=marked), block.broken)
    problems = complaints.frame()
    if not block.broken.is_empty():
        problems = pl.concat([problems, *_broken_problems(block.broken, shape, file)])
        problems = problems.sort("row", maintain_order=True)
    return Part(cases, problems, blank_rows=block.blank)


def _has_blanks(data: bytes, delimiter: str) -> bool:
    """Whether cells may have blanks around their content: most files have none, and need no trimming."""
    if b" " in data or (delimiter != "\t" and b"\t" in data):
        return True
    # the search for one byte is many times faster than for three, and seldom finds it
    return any(blank[:1] in data and blank in data for blank in _WIDE_BLANKS)


def _needs_a_closer_look(cells: pl.DataFrame) -> bool:
    """A record longer than the header, or with nothing in it: the count of delimiters alone does not tell."""
    if cells["extra"].null_count() < cells.height:
        return True
    names = [name for name in cells.columns if name not in ("row", "extra")]
    if any(cells[name].null_count() == 0 for name in names):
        return False
    return bool(cells.select(pl.all_horizontal(pl.col(name).is_null() for name in names).any()).item())


def _broken_problems(broken: pl.DataFrame, shape: Shape, file: str) -> list[pl.DataFrame]:
    """One problem for each unreadable record. Its text is not shown: it may hold personal data."""
    assert broken.columns == list(BROKEN_SCHEMA)
    frames = []
    for (code,), some in broken.group_by("defect", maintain_order=True):
        known = some.with_columns(case_id=pl.lit(None, dtype=pl.String))
        args: dict[str, pl.Expr | str] = {"found": pl.col("found"), "width": str(shape.width)}
        if code == OVERLONG:
            args = {"found": pl.col("found"), "limit": str(format_facts().reading.longest_line)}
        frames.append(problem_rows(known, str(code), file=file, args=args))
    return frames
