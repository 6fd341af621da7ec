"""Strict reading and plain writing of table files: CSV, UTF-8, header row, every cell as text.

Reading never raises for what a person wrote: every fault of the file becomes a Problem with its line, and
the rest of the file is still read, so that one pass shows all of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl

from reference_tables.formula_cells import as_given
from reference_tables.problems import Problem

LINE = "line"
_MAX_COLUMNS = 64


@dataclass(frozen=True, slots=True)
class TableText:
    """One table as text.

    `frame`: the wanted columns (String, empty cell = "") and `line` (UInt32, the line or row a person sees);
    None when the file cannot be read as that table at all. `place`: how messages call the table.
    `records`: data records in the file, ragged ones included. `sha256`: of the file's bytes, hex.
    """

    place: str
    frame: pl.DataFrame | None
    records: int
    sha256: str
    problems: tuple[Problem, ...]


def read_table(path: Path, columns: Mapping[str, str], place: str | None = None) -> TableText:
    """Read one CSV file strictly.

    `columns`: wanted column -> kind; cells of kind "code" and "order" lose their outer blanks (TB60),
    "text" and "rule" are kept as written. What one of our own files guards from being taken for a formula is read
    without its guard. Problems: TB02-TB05, TB21, TB22, TB59, TB60.
    """
    place = place or path.name
    try:
        data = path.read_bytes()
    except OSError:
        problem = Problem("TB02", {"name": path.name, "columns": ",".join(columns)}, file=place)
        return TableText(place, None, 0, "", (problem,))
    digest = sha256(data).hexdigest()
    text, problems = _decode(data, place)
    if text is None:
        return TableText(place, None, 0, digest, tuple(problems))
    raw = _regular(text) if _is_regular(text) else _irregular(text, place, problems)
    if raw is None:
        return TableText(place, None, 0, digest, tuple(problems))
    header, frame, records = raw
    chosen = select_columns(header, frame, columns, place, problems)
    chosen = None if chosen is None else as_given(chosen)
    return TableText(place, chosen, records, digest, tuple(problems))


def _decode(data: bytes, place: str) -> tuple[str | None, list[Problem]]:
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        guess = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "GB18030"
        try:
            data.decode(guess)
        except UnicodeDecodeError:
            guess = "未知"
        return None, [Problem("TB04", {"line": line, "guess": guess}, file=place, row=line)]


def _is_regular(text: str) -> bool:
    """No quotes, no carriage returns, no blank lines, the same number of cells everywhere.

    Such a file needs no CSV rules at all and may take the fast path; both paths give the same frame.
    """
    if '"' in text or "\r" in text or "\n\n" in text or text.startswith("\n") or "\n" not in text:
        return False
    data = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    if data[-1] != ord("\n"):
        ends = np.append(ends, data.size)
    commas = np.searchsorted(np.flatnonzero(data == ord(",")), ends)
    per_line = np.diff(commas, prepend=0)
    return bool(0 < per_line[0] < _MAX_COLUMNS and np.all(per_line == per_line[0]))


def _regular(text: str) -> tuple[list[str], pl.DataFrame, int]:
    frame = pl.read_csv(
        io.BytesIO(text.encode("utf-8")),
        has_header=False,
        infer_schema=False,
        quote_char=None,
        empty_string_is_null=False,
    )
    header = [str(cell) for cell in frame.row(0)]
    frame = frame.slice(1)
    line = pl.int_range(2, frame.height + 2, dtype=pl.UInt32, eager=True).alias(LINE)
    return header, frame.with_columns(line), frame.height


def _irregular(text: str, place: str, problems: list[Problem]) -> tuple[list[str], pl.DataFrame, int] | None:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    records = 0
    line = 1
    try:
        for record in reader:
            if record and not header:
                header = record
            elif record:
                records += 1
                if len(record) == len(header):
                    rows.append(record)
                    lines.append(line)
                else:
                    args = {"found": len(record), "expected": len(header)}
                    problems.append(Problem("TB05", args, file=place, row=line, value=",".join(record)[:200]))
            line = reader.line_num + 1
    except csv.Error as error:
        problems.append(Problem("TB21", {"reason": str(error)}, file=place, row=line))
        return None
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    frame = pl.DataFrame(
        {f"column_{at + 1}": list(cells) for at, cells in enumerate(columns)},
        schema={f"column_{at + 1}": pl.String for at in range(len(header))},
    )
    return header, frame.with_columns(pl.Series(LINE, lines, dtype=pl.UInt32)), records


def select_columns(
    header: Sequence[str],
    frame: pl.DataFrame,
    columns: Mapping[str, str],
    place: str,
    problems: list[Problem],
    *,
    header_line: int = 1,
) -> pl.DataFrame | None:
    """The wanted columns by name, plus `line`; None (with TB03, TB22 in `problems`) when one is missing."""
    names = [name.strip() for name in header]
    wanted = ",".join(columns)
    before = len(problems)
    for column in columns:
        if names.count(column) > 1:
            problems.append(Problem("TB22", {"column": column}, file=place, row=header_line, field=column))
        elif column not in names:
            args = {"column": column, "found": ",".join(names), "columns": wanted}
            problems.append(Problem("TB03", args, file=place, row=header_line, field=column))
    if len(problems) > before:
        return None
    problems += [
        Problem("TB59", {"column": name}, file=place, row=header_line, field=name)
        for name in names
        if name and name not in columns
    ]
    chosen = frame.select(
        *(pl.col(frame.columns[names.index(column)]).alias(column) for column in columns), pl.col(LINE)
    )
    return _trim(chosen, columns, place, problems)


def _trim(frame: pl.DataFrame, columns: Mapping[str, str], place: str, problems: list[Problem]) -> pl.DataFrame:
    codes = [column for column, kind in columns.items() if kind in {"code", "order"}]
    trimmed = frame.with_columns(pl.col(codes).str.strip_chars())
    for column in codes:
        changed = frame.filter(pl.col(column) != trimmed.get_column(column))
        for line, value in changed.select(LINE, column).iter_rows():
            problems.append(Problem("TB60", {"column": column}, file=place, row=line, field=column, value=value))
    return trimmed


def table_bytes(frame: pl.DataFrame, columns: Sequence[str]) -> bytes:
    """The CSV file of a table: UTF-8, LF, quotes only where needed; same frame, same bytes."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(frame.select(columns).iter_rows())
    return out.getvalue().encode("utf-8")
