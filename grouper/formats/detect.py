"""What a file is: container, format, encoding, where the header stands; or what foreign file it seems to be."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from grouper.formats.csv_lines import DELIMITERS
from grouper.formats.csv_text import HEAD_BYTES, detect_encoding, head_text
from grouper.formats.header import TablePlan, best_plan, known_cells, plan_problems
from grouper.formats.source import InputFile, IntakeError
from reference_tables.case_formats import CaseFormat, Foreign, foreign_table, format_facts
from reference_tables.columns import HEADER_FORMATS, MESSAGE_FORMATS
from reference_tables.problems import Level, Problem
from reference_tables.spreadsheets import BrokenWorkbook, readable

PARQUET_MAGIC, ZIP_MAGIC = b"PAR1", b"PK\x03\x04"
_MAGIC_BYTES = 4096
_LEAST_KNOWN = 2
_DBF_VERSIONS = frozenset(b"\x02\x03\x30\x31\x32\x43\x63\x83\x8b\xcb\xf5")


@dataclass(frozen=True, slots=True)
class Header:
    """Where the cases of a table begin.

    `row` is the row number of the first case, `lines` the number of physical lines above it, `optional_last`
    how many of the last cells a record may lack; `notes` are warnings about the header.
    """

    plan: TablePlan
    row: int
    lines: int
    optional_last: int
    notes: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Detected:
    """A case file: `container` csv, xlsx, json, ndjson or parquet; `encoding` and `delimiter` of text files.

    `format` is the name of the input format, "" until a workbook, a Parquet file or messages are opened;
    `header` is set for CSV.
    """

    container: str
    format: str = ""
    encoding: str = ""
    delimiter: str = ""
    header: Header | None = None


def detect_source(source: InputFile, fmt: str = "auto") -> Detected:
    """Tell what `source` is. `fmt` other than `auto` reads a table with the header of that format.

    Raises IntakeError that names what a foreign file seems to be, or what the header lacks.
    """
    head = source.head(_MAGIC_BYTES)
    if not head:
        raise source.refused("IN02")
    container = "parquet" if head.startswith(PARQUET_MAGIC) else "xlsx" if head.startswith(ZIP_MAGIC) else ""
    if container and source.gzipped:
        raise _foreign(source, Foreign(f"gzip 压缩的 {container} 文件", "先解压，再给出其中的数据文件"))
    if container == "xlsx":
        _check_zip(source)
    if container:
        _check_given(source, fmt, HEADER_FORMATS, container)
        return Detected(container)
    facts = format_facts()
    foreign = next((kind for magic, kind in facts.magic if head.startswith(magic)), None)
    if foreign is None and _is_dbf(head):
        foreign = Foreign("DBF 数据库文件（dBase、FoxPro）", "用 Excel 或 WPS 打开后另存为 .xlsx 或 CSV UTF-8")
    if foreign is not None:
        raise _foreign(source, foreign)
    encoding = detect_encoding(source)
    text = head_text(source, encoding)
    begin = text.lstrip("\ufeff \t\n")[:64].casefold()
    if not begin:
        raise source.refused("IN02")
    if begin[0] in "{[":
        _check_given(source, fmt, MESSAGE_FORMATS, "json")
        return Detected("ndjson" if _is_ndjson(text) else "json", encoding=encoding)
    for start, kind in facts.text_starts:
        if begin.startswith(start):
            raise _foreign(source, kind)
    if "\n" not in text and len(source.head(HEAD_BYTES)) == HEAD_BYTES:
        raise source.refused("IN52", row=1, limit=HEAD_BYTES)
    _check_given(source, fmt, HEADER_FORMATS, "csv")
    delimiter, header = _csv_header(source, text, fmt)
    return Detected("csv", header.plan.format.name, encoding, delimiter, header)


def _foreign(source: InputFile, kind: Foreign) -> IntakeError:
    return source.refused("IN04", what=kind.name, hint=kind.hint)


def _check_given(source: InputFile, fmt: str, allowed: Sequence[str], found: str) -> None:
    """A format that was asked for must be one that the container can hold. Raises IntakeError."""
    known = format_facts().formats
    if fmt != "auto" and (fmt not in known or known[fmt].names not in allowed):
        raise source.refused("IN13", format=fmt, found=found)


def _check_zip(source: InputFile) -> None:
    """Raises IntakeError for an archive that is not a workbook of the present kind."""
    try:
        with readable(), zipfile.ZipFile(source.path) as archive:
            members = set(archive.namelist())
    except BrokenWorkbook as error:
        raise source.refused("IN01", reason=error.reason) from error
    if "xl/workbook.xml" in members:
        return
    known = (kind for member, kind in format_facts().zip_members if member in members)
    raise _foreign(source, next(known, Foreign("ZIP 压缩包", "先解压，再给出其中的 CSV 或 XLSX 文件")))


def _is_dbf(head: bytes) -> bool:
    """A dBase header: version, date of last update, header size that ends in a carriage return."""
    if len(head) < 33 or head[0] not in _DBF_VERSIONS or not (1 <= head[2] <= 12 and 1 <= head[3] <= 31):
        return False
    size = int.from_bytes(head[8:10], "little")
    if size > len(head):
        return True
    return size >= 33 and b"\r" in (head[size - 1 : size], head[max(0, size - 264) : max(0, size - 263)])


def _is_ndjson(text: str) -> bool:
    """Whether the first line is a whole JSON object and more lines follow."""
    first, _, more = text.lstrip("\ufeff \n").partition("\n")
    if not first.startswith("{") or not more.strip():
        return False
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return more.lstrip().startswith("{")


def _csv_header(source: InputFile, text: str, fmt: str) -> tuple[str, Header]:
    """Delimiter and header of a delimited text. Raises IntakeError."""
    tables = {delimiter: _first_rows(text, delimiter) for delimiter in DELIMITERS}
    known = {d: max((known_cells(row, fmt) for row in rows), default=0) for d, (rows, _) in tables.items()}
    widest = max(DELIMITERS, key=lambda d: (known[d], len(tables[d][0][0]) if tables[d][0] else 0))
    rows, lines = tables[widest]
    at, plan = find_header(source, rows, fmt)
    if at < 0:
        return widest, Header(plan, 1, 0, plan.format.optional_last, ())
    notes = checked_header(source, plan, at + 1)
    headerless = plan.format.headerless
    last = plan.format.optional_last if len(plan.header) == len(headerless) else 0
    return widest, Header(plan, at + 2, lines[at], last, notes)


def _first_rows(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """The first rows of a text as cells, and the number of lines read after each."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    rows, lines = [], []
    try:
        for row in reader:
            rows.append(row)
            lines.append(reader.line_num)
            if len(rows) == format_facts().reading.header_search_rows:
                break
    except csv.Error:
        # an overlong cell: a quote that is never closed; the rows above it are all there is to see
        pass
    return rows, lines


def find_header(source: InputFile, rows: Sequence[Sequence[str]], fmt: str) -> tuple[int, TablePlan]:
    """Position of the header row and its plan; -1 when the rows are lines of a format without header.

    Raises IntakeError when no row looks like a header, naming a known foreign table where it is one.
    """
    facts = format_facts()
    for at, row in enumerate(rows):
        foreign = foreign_table(row, facts)
        known = known_cells(row, fmt)
        if foreign is None and known < _LEAST_KNOWN:
            continue
        plan = best_plan(row, fmt)
        if foreign is not None and not {"diagnoses", "sex"} <= set(plan.columns):
            raise _foreign(source, foreign)
        if known >= _LEAST_KNOWN:
            return at, plan
    for name, kind in facts.formats.items():
        if kind.headerless and fmt in ("auto", name) and rows and _is_headerless(rows[0], kind):
            return -1, best_plan(kind.headerless, name)
    lacking = plan_problems(best_plan(rows[0] if rows else (), fmt), source.name, 1)
    errors = [problem for problem in lacking if problem.level is Level.ERROR]
    raise IntakeError([Problem("IN10", file=source.name), *errors])


def _is_headerless(row: Sequence[str], kind: CaseFormat) -> bool:
    """Whether a row has the width and the typical cells of a format without header."""
    pattern = format_facts().reading.headerless_pattern
    fits = len(kind.headerless) - kind.optional_last <= len(row) <= len(kind.headerless)
    return fits and all(re.fullmatch(cell, row[at].strip()) for at, cell in pattern.items())


def checked_header(source: InputFile, plan: TablePlan, row: int) -> tuple[Problem, ...]:
    """Warnings about a header. Raises IntakeError with every error there is."""
    problems = plan_problems(plan, source.name, row)
    errors = [problem for problem in problems if problem.level is Level.ERROR]
    if errors:
        raise IntakeError(errors)
    return tuple(problems)
