"""Case files to canonical case frames: the one door through which cases come in.

A file is read in blocks, in its own order; no record is ever lost. A cell that cannot be read is null and a
problem; a record that cannot be read stays in its place with a `defect`; only a file of which nothing can be
used is refused, with IntakeError. Names, addresses and identity numbers are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl

from grouper.formats.companion import Companion
from grouper.formats.csv_cases import open_csv
from grouper.formats.detect import Detected, detect_source
from grouper.formats.limits import within_limits
from grouper.formats.messages import open_messages
from grouper.formats.parquet import open_parquet
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.source import CaseBlock, InputFile, IntakeError, SourceInfo
from grouper.formats.xlsx import open_xlsx
from grouper.going_on import go_on
from reference_tables.problems import Problem, problem_frame

__all__ = ["CaseBlock", "Detected", "IntakeError", "SourceInfo", "detect", "read_cases"]

BLOCK_ROWS = 131_072
Columns = Literal["all", "grouping"]


def detect(path: Path | str) -> Detected:
    """What the file at `path` is, its format told by the header or the first message.

    Raises IntakeError that names what a foreign file seems to be, or what the header lacks.
    """
    with InputFile(path) as source:
        detected = detect_source(source)
        return replace(detected, format=_opened(source, detected, ReadOptions()).format)


def read_cases(
    path: Path | str,
    *,
    fmt: str = "auto",
    block_rows: int = BLOCK_ROWS,
    columns: Columns = "all",
    companion: Path | str | None = None,
) -> Iterator[CaseBlock]:
    """Blocks of about `block_rows` cases of a file, `-` for standard input.

    `fmt` names the input format where it should not be told by the content; `columns="grouping"` reads only
    what grouping needs. `companion` is a case table (CSV, XLSX or Parquet) with settlement_id or visit_id
    that gives 4101A messages what they lack. Warnings about the whole file (row 0 or the header row) stand
    in the first and the last block.

    Raises IntakeError before the first block when the file cannot be used; midway only when a compressed
    file breaks off.
    """
    assert block_rows > 0, "a block has at least one row"
    with InputFile(path) as source:
        detected = detect_source(source, fmt)
        table = _companion(companion) if companion is not None else None
        options = ReadOptions(fmt, block_rows, columns == "grouping", table)
        opened = _opened(source, detected, options)
        info = SourceInfo(
            path=source.name, format=opened.format, container=detected.container, encoding=opened.encoding,
            columns=opened.columns, bytes=source.size, checksum=source.checksum,
        )  # fmt: skip
        notes = [problem_frame(opened.notes), *([table.problems] if table else [])]
        yield from _blocks(source, info, opened.parts, notes)


def _opened(source: InputFile, detected: Detected, options: ReadOptions) -> Opened:
    """The reader of the detected container, its header read. Raises IntakeError."""
    if detected.container == "csv":
        return open_csv(source, detected, options)
    if detected.container == "xlsx":
        return open_xlsx(source, options)
    if detected.container == "parquet":
        return open_parquet(source, options)
    return open_messages(source, detected, options)


def _companion(path: Path | str) -> Companion:
    """The table that adds to messages what they lack. Raises IntakeError."""
    blocks = list(read_cases(path, fmt="companion"))
    first = blocks[0].source
    return Companion(pl.concat(block.cases for block in blocks), first.columns, first.path)


def _blocks(
    source: InputFile, info: SourceInfo, parts: Iterator[Part], before: list[pl.DataFrame]
) -> Iterator[CaseBlock]:
    """Parts as blocks: notes about the header go with the first, sums over the file with the last."""
    blank_rows, unknown = 0, Counter[tuple[str, str]]()
    held: Part | None = None
    for part in parts:
        blank_rows += part.blank_rows
        unknown.update(part.unknown)
        go_on(part.blank_rows)
        if part.cases.is_empty():
            continue
        part = within_limits(part, source.name)
        if held is not None:
            yield CaseBlock(info, held.cases, pl.concat([*before, held.problems]))
            before = []
        held = part
    if held is None:
        raise source.refused("IN03")
    after = [
        Problem("IN45", {"node": node, "value": name, "count": count}, file=source.name, field=name, value=name)
        for (node, name), count in sorted(unknown.items())
    ]
    if blank_rows:
        after.append(Problem("IN48", {"count": blank_rows}, file=source.name))
    yield CaseBlock(info, held.cases, pl.concat([*before, held.problems, problem_frame(after)]))
