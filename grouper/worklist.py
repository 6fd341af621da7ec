"""The coder's worklist: problems as a workbook to work through, or as CSV.

Sheet 汇总 counts every rule; sheet 问题清单 has one row a problem, by file and row, codes as text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from reference_tables.columns import columns
from reference_tables.formula_cells import guarded
from reference_tables.problems import LEVEL_ZH, Level, catalogue

SHEET_ROWS = 1_048_576  # what a sheet of a workbook holds, the header included
WHO_ZH = {"coder": "编码员", "hospital": "医疗机构", "office": "医保经办机构", "policy": "政策制定者"}
LIST_HEADER = ("行号", "病例号", "级别", "规则", "字段", "值", "问题", "处理建议")
LIST_WIDTHS = (9, 22, 7, 8, 18, 20, 60, 46)
SUMMARY_HEADER = ("规则", "级别", "问题数", "病例数", "由谁处理", "问题举例", "处理建议")
SUMMARY_WIDTHS = (8, 7, 10, 10, 14, 70, 46)
_FILE_HEADER, _FILE_WIDTH = "文件", 30
_ROW, _WHOLE_BATCH = "行号", "全批"
_ORDER = [level.value for level in Level]
_BLOCK = 65_536
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same problems give the same bytes


def write_worklist(problems: pl.DataFrame, path: Path, *, sheet_rows: int = SHEET_ROWS) -> None:
    """Write problems (PROBLEM_SCHEMA) to `path`: `.xlsx`, or `.csv` (UTF-8 with BOM, 问题清单 only).

    A list longer than `sheet_rows` (the header included) goes on in sheets 问题清单2, 问题清单3 and so on. The
    file appears only when it is complete. ValueError for another ending, OSError when it cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in {".xlsx", ".csv"}:
        raise ValueError(f"a worklist is .xlsx or .csv, not {path.name}")
    rows = worklist_rows(problems)
    with _complete(path) as place:
        if ending == ".csv":
            numbered = pl.col(_ROW).cast(pl.String).fill_null(_WHOLE_BATCH)
            guarded(rows.with_columns(numbered)).write_csv(place, include_bom=True)
        else:
            _write_workbook(rows, worklist_summary(problems), place, sheet_rows)


def worklist_rows(problems: pl.DataFrame) -> pl.DataFrame:
    """Problems in the words of a person: LIST_HEADER, after 文件 where they come from more than one file.

    Files stand in the order given, their rows ascending, problems of the whole batch first. 行号 is a number,
    null for the whole batch; all else is text.
    """
    files = problems["file"].unique(maintain_order=True)
    order = pl.col("file").replace_strict(files, pl.int_range(len(files), eager=True), return_dtype=pl.Int64)
    problems = problems.sort(order, "row", maintain_order=True)
    labels = {name: column.label for name, column in columns().items()}
    levels = {level.value: text for level, text in LEVEL_ZH.items()}
    shown = {
        _ROW: pl.when(pl.col("row") > 0).then(pl.col("row")),
        "病例号": pl.col("case_id"),
        "级别": pl.col("level").replace(levels),
        "规则": pl.col("code"),
        "字段": pl.col("field").replace(labels),
        "值": pl.col("value"),
        "问题": pl.col("message"),
        "处理建议": pl.col("fix"),
    }
    if len(files) > 1:
        shown = {_FILE_HEADER: pl.col("file"), **shown}
    return problems.select(expr.alias(name) for name, expr in shown.items()).with_columns(
        pl.col(pl.String).fill_null("")
    )


def worklist_summary(problems: pl.DataFrame) -> pl.DataFrame:
    """One row a rule and level: SUMMARY_HEADER, gravest level first, then most problems."""
    counted = (
        problems.with_columns(pl.struct("file", "row").alias("place"))
        .group_by("code", "level", maintain_order=True)
        .agg(pl.len().alias("problems"), pl.col("place").n_unique().alias("cases"), pl.col("message", "fix").first())
        .with_columns(pl.col("level").replace_strict(_ORDER, range(len(_ORDER)), return_dtype=pl.Int64).alias("rank"))
        .sort("rank", "problems", "code", descending=[False, True, False])
    )
    who = {code: WHO_ZH[kind.who] for code, kind in catalogue().items()}
    levels = {level.value: text for level, text in LEVEL_ZH.items()}
    return counted.select(
        pl.col("code").alias("规则"),
        pl.col("level").replace(levels).alias("级别"),
        pl.col("problems").alias("问题数"),
        pl.col("cases").alias("病例数"),
        pl.col("code").replace_strict(who, return_dtype=pl.String).alias("由谁处理"),
        pl.col("message").alias("问题举例"),
        pl.col("fix").alias("处理建议"),
    )


@contextmanager
def _complete(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; it takes the name only when all is written."""
    place = path.with_name(f".{path.stem}.part{os.getpid()}{path.suffix}")
    try:
        yield place
        with place.open("rb+") as stream:
            os.fsync(stream.fileno())
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def _write_workbook(rows: pl.DataFrame, summary: pl.DataFrame, place: Path, sheet_rows: int) -> None:
    place.touch()  # a place that cannot be written to says so here, as OSError, and not at the end
    with xlsxwriter.Workbook(str(place), {"constant_memory": True, "strings_to_urls": False}) as book:
        book.set_properties({"created": _CREATED})
        styles = {
            "head": book.add_format({"bold": True, "bg_color": "#DDEBF7", "text_wrap": True, "valign": "vcenter"}),
            "text": book.add_format({"num_format": "@", "valign": "top"}),
        }
        _write_sheet(book, "汇总", summary, SUMMARY_WIDTHS, styles)
        widths = (*([_FILE_WIDTH] if _FILE_HEADER in rows.columns else []), *LIST_WIDTHS)
        room = sheet_rows - 1
        for number, start in enumerate(range(0, max(rows.height, 1), room), start=1):
            name = "问题清单" if number == 1 else f"问题清单{number}"
            _write_sheet(book, name, rows.slice(start, room), widths, styles)


def _write_sheet(book: Any, name: str, rows: pl.DataFrame, widths: tuple[int, ...], styles: Mapping[str, Any]) -> None:
    """One sheet with a frozen, filtered header; texts are written as texts, whatever they look like."""
    sheet = book.add_worksheet(name)
    for at, width in enumerate(widths):
        sheet.set_column(at, at, width, styles["text"])
    sheet.freeze_panes(1, 0)
    sheet.autofilter(0, 0, rows.height, len(rows.columns) - 1)
    for at, header in enumerate(rows.columns):
        sheet.write_string(0, at, header, styles["head"])
    line = 0
    for block in rows.iter_slices(_BLOCK):
        for record in block.iter_rows():
            line += 1
            for at, cell in enumerate(record):
                if isinstance(cell, int):
                    sheet.write_number(line, at, cell)
                else:
                    sheet.write_string(line, at, _WHOLE_BATCH if cell is None else cell, styles["text"])
