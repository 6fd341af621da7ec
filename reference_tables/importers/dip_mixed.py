"""Mixed groups (综合病种) of the national scheme: derived from the code book, or read from a companion dictionary.

A mixed group is a category of ICD-10 and a nature of the effective principal procedure (1 to 4), coded A09-1; the
category is spelt with + or * where the dictionary speaks of its dagger or asterisk codes (A17+-1, G01*-1). Labels and
headers are data (`dip_workbook.toml`).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

import polars as pl

from reference_tables.codes import load_code_books
from reference_tables.dip_cells import category_of, mark_of
from reference_tables.dip_pack import dip_schema
from reference_tables.importers.dip_sheets import layout
from reference_tables.importers.dip_values import code_text
from reference_tables.importers.sheets import clean_text, find_header, open_workbook
from reference_tables.problems import Problem, TablesRefused, unreadable
from reference_tables.table_files import LINE

_LEVEL = "category"
_UNFINISHED = re.compile(r"[\s0-9A-Za-z(（\[，,、：:~～.\-]+$|[的及和与或伴由为在、]+$")
_SHORTEST = 2  # one character says nothing


@cache
def derived_mixed() -> pl.DataFrame:
    """Mixed groups for every category of the diagnosis code book, columns of the table `mixed` and `line` (0).

    A category with dagger codes and others is there twice (A17+ and A17). Nobody has published names for these
    groups: a name is the category, what the names of all its codes begin with, the nature, and a mark that it is
    derived; the name of one code would stand for others that mean something else.
    """
    book = load_code_books().diagnosis.frame
    names: dict[str, list[str]] = {}
    for code, name in book.select("code", "name").iter_rows():
        names.setdefault(category_of(code) + mark_of(code), []).append(name)
    mark = layout()["mixed"]["derived"]
    rows = [
        (
            f"{spelt}-{nature}",
            f"{' '.join(filter(None, (spelt, shared_beginning(names[spelt]))))}（{label}，{mark}）",
            spelt,
            nature,
        )
        for spelt in sorted(names)
        for nature, label in layout()["mixed"]["labels"].items()
    ]
    return _frame((*row, 0) for row in _scoped(rows))


def shared_beginning(names: Sequence[str]) -> str:
    """What all the names begin with, without an open bracket or a word that leads to what differs; "" when that is
    too little to say anything."""
    letters = takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    text = "".join(column[0] for column in letters)
    if any(name != text for name in names):
        before = None
        while before != text:
            before = text
            for opened, closed in ("()", "（）", "[]"):
                if text.count(opened) > text.count(closed):
                    text = text[: text.rindex(opened)]
            text = _UNFINISHED.sub("", text)
    return text if len(text) >= _SHORTEST else ""


def read_mixed(path: Path) -> tuple[pl.DataFrame, list[Problem]]:
    """The mixed groups of a companion file (.xlsx or .csv), columns of the table `mixed` and `line`.

    The columns of code and name are found by their header. Problems: DW13 (code unreadable), DW14 (listed twice).
    Raises TablesRefused (DW12, TB80) when the file holds no such table.
    """
    raw = _csv_rows(path) if path.suffix.lower() == ".csv" else _sheet_rows(path)
    wanted = {key: layout()["mixed"][key] for key in ("code", "name")}
    header = find_header(raw, wanted, layout()["header_within_rows"])
    if len(header.columns) < len(wanted):
        raise TablesRefused(path.name, [_unreadable(path, "没有找到这两个表头")])
    table = raw.filter(pl.col(LINE) > header.line).select(
        *(clean_text(pl.col(header.columns[key])).alias(key) for key in wanted), pl.col(LINE)
    )
    problems: list[Problem] = []
    rows: list[tuple[str, str, str, str]] = []
    lines: list[int] = []
    first: dict[str, int] = {}
    for code, name, line in table.filter(pl.any_horizontal(pl.col("code", "name") != "")).iter_rows():
        text = code_text(code)
        found = re.fullmatch(layout()["mixed"]["pattern"], text)
        if found is None:
            problems.append(_told("DW13", path, line, code))
        elif text in first:
            problems.append(_told("DW14", path, line, text, first=first[text]))
        else:
            first[text] = line
            rows.append((text, name, found["category"] + found["mark"], found["nature"]))
            lines.append(line)
    if not rows and not problems:
        raise TablesRefused(path.name, [_unreadable(path, "没有数据行")])
    return _frame((*row, line) for row, line in zip(_scoped(rows), lines, strict=True)), problems


def _told(code: str, path: Path, line: int, value: str, **args: str | int) -> Problem:
    column = layout()["mixed"]["code"][0]
    return Problem(code, {"line": line, "value": value, **args}, file=path.name, row=line, field=column, value=value)


def _unreadable(path: Path, reason: str) -> Problem:
    code, name = (layout()["mixed"][key][0] for key in ("code", "name"))
    return Problem("DW12", {"reason": reason, "code": code, "name": name}, file=path.name)


def _scoped(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[tuple[str, str, str, str, str]]:
    """code, name, level, scope, nature. A category that is only ever spelt with a mark holds all its codes, as
    nothing else would take them; one that is also spelt plainly keeps the two apart."""
    listed = list(rows)
    spelt = {scope for _, _, scope, _ in listed}
    for code, name, scope, nature in listed:
        plain = category_of(scope)
        alone = sum(plain + mark in spelt for mark in ("", "+", "*")) == 1
        yield code, name, _LEVEL, plain if alone else scope, nature


def _frame(rows: Iterable[tuple[str, str, str, str, str, int]]) -> pl.DataFrame:
    columns = dip_schema().tables["mixed"].columns
    return pl.DataFrame(list(rows), schema={**dict.fromkeys(columns, pl.String), LINE: pl.UInt32}, orient="row")


def _sheet_rows(path: Path) -> pl.DataFrame:
    """The sheet of a workbook whose first rows have the most of the wanted headers."""
    workbook = open_workbook(path)
    wanted = {key: layout()["mixed"][key] for key in ("code", "name")}
    within = layout()["header_within_rows"]
    sheets = [sheet for sheet in workbook.sheets if workbook.rows(sheet, within).height]
    if not sheets:
        raise TablesRefused(path.name, [_unreadable(path, "工作簿是空的")])
    found = max(sheets, key=lambda sheet: len(find_header(workbook.rows(sheet, within), wanted, within).columns))
    return workbook.rows(found)


def _csv_rows(path: Path) -> pl.DataFrame:
    """The lines of a CSV in UTF-8 or GB18030 as String columns and `line`."""
    try:
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("gb18030")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        records = [(reader.line_num, record) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TablesRefused(path.name, [_unreadable(path, unreadable(error))]) from error
    width = max((len(record) for _, record in records), default=0)
    if not width:
        raise TablesRefused(path.name, [_unreadable(path, "文件是空的")])
    columns = {
        f"column_{at + 1}": [record[at] if at < len(record) else None for _, record in records] for at in range(width)
    }
    schema = {**dict.fromkeys(columns, pl.String), LINE: pl.UInt32}
    return pl.DataFrame({**columns, LINE: [line for line, _ in records]}, schema=schema)
