"""The six sheets of the official CHS-DRG workbook as cleaned tables, with everything its editions do oddly."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import polars as pl

from reference_tables.drg_pack import GROUP_TABLES, PARENT, pack_schema
from reference_tables.importers.sheets import CLEANERS, Workbook, find_header, folded_text, row_texts, seems
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.table_checks import Tables
from reference_tables.table_files import LINE

_MEMBER_TABLES = ("sets", "cc", "exclusion")


@cache
def layout() -> Mapping[str, Any]:
    """What `drg_workbook.toml` says."""
    folder = resources.files("reference_tables.importers")
    return tomllib.loads((folder / "drg_workbook.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Content:
    """Cleaned tables (columns of the pack schema plus `line`), sheet names, and what cleaning met."""

    tables: Tables
    sheets: Mapping[str, str]
    rows: Mapping[str, int]
    duplicates: int
    fallback_rows: int
    problems: tuple[Problem, ...]


def read_content(workbook: Workbook) -> Content:
    """All six sheets, cleaned. Raises TablesRefused for a workbook, sheet or header that will not do
    (TB25, TB81-TB83); TB84-TB87 and TB89 are in `problems`."""
    sheets = _sheets(workbook)
    problems: list[Problem] = []
    frames: dict[str, pl.DataFrame] = {}
    mdc_of_drg = pl.DataFrame()
    for name, sheet in sheets.items():
        place = f"{workbook.name}［{sheet}］"
        raw = workbook.rows(sheet)
        frame = _table(raw, name, place, problems)
        if frame is not None:
            frames[name] = frame
        if frame is not None and name == "drg":
            mdc_of_drg = _mdc_column(raw)
    if any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(workbook.name, problems)
    tables = Tables(frames, {name: f"{workbook.name}［{sheet}］" for name, sheet in sheets.items()})
    rows = {name: frame.height for name, frame in frames.items()}
    problems += _counts(tables, sheets, rows)
    fallback = sum(int(_is_fallback(tables.frames[name], name).sum()) for name in GROUP_TABLES)
    tables = _never_excluded(_without_fallback(tables, problems))
    problems += _truncated(tables, sheets)
    tables, duplicates = _without_duplicates(tables, sheets, problems)
    tables = _labelled(tables)
    problems += _mdc_differs(tables, mdc_of_drg)
    return Content(tables, sheets, rows, duplicates, fallback, tuple(problems))


def _table(raw: pl.DataFrame, name: str, place: str, problems: list[Problem]) -> pl.DataFrame | None:
    """The wanted columns of a sheet, cleaned, without rows that are wholly empty."""
    wanted = layout()["sheets"][name]["columns"]
    header = find_header(raw, wanted, layout()["header_within_rows"])
    found = "、".join(row_texts(raw, header.line)) or "（空）"
    for column, texts in wanted.items():
        if column not in header.columns:
            args = {"column": texts[0], "line": header.line, "found": found, "names": "、".join(texts)}
            problems.append(Problem("TB83", args, file=place, row=header.line, field=texts[0]))
    if len(header.columns) < len(wanted):
        return None
    kinds = pack_schema().tables[name].columns
    rows = raw.filter(pl.col(LINE) > header.line)
    frame = rows.select(
        *(CLEANERS[kinds[column]](pl.col(header.columns[column])).alias(column) for column in kinds),
        pl.col(LINE),
    ).filter(pl.any_horizontal(pl.col(list(kinds)) != ""))
    if frame.height == 0:
        problems.append(Problem("TB25", {"name": place}, file=place, row=header.line))
    return frame


def _mdc_column(raw: pl.DataFrame) -> pl.DataFrame:
    """`line` and the MDC that the DRG sheet repeats, where it has that column."""
    header = find_header(raw, {"mdc": layout()["mdc_of_drg"]["columns"]}, layout()["header_within_rows"])
    if "mdc" not in header.columns:
        return pl.DataFrame(schema={LINE: pl.UInt32, "mdc": pl.String})
    return raw.select(LINE, CLEANERS["code"](pl.col(header.columns["mdc"])).alias("mdc"))


def _counts(tables: Tables, sheets: Mapping[str, str], rows: Mapping[str, int]) -> list[Problem]:
    expected = layout()["published"]["rows"]
    return [
        tables.problem(name, "TB86", 0, sheet=sheets[name], actual=count, expected=expected[name])
        for name, count in rows.items()
        if count != expected[name]
    ]


def _is_fallback(frame: pl.DataFrame, name: str) -> pl.Series:
    return frame.get_column("code").is_in([layout()["fallback"][name]])


def _without_fallback(tables: Tables, problems: list[Problem]) -> Tables:
    frames = dict(tables.frames)
    for name in GROUP_TABLES:
        fallback = _is_fallback(frames[name], name)
        for code, rule, line in frames[name].filter(fallback).select("code", "rule", LINE).iter_rows():
            if rule not in {"", "1"}:
                problems.append(tables.problem(name, "TB84", line, "rule", rule, code=code, rule=rule))
        frames[name] = frames[name].filter(~fallback)
    return replace(tables, frames=frames)


def _never_excluded(tables: Tables) -> Tables:
    words = layout()["never_excluded"]["words"]
    exclusion = pl.when(pl.col("exclusion").is_in(words)).then(pl.lit("")).otherwise(pl.col("exclusion"))
    return replace(tables, frames={**tables.frames, "cc": tables.frames["cc"].with_columns(exclusion=exclusion)})


def _truncated(tables: Tables, sheets: Mapping[str, str]) -> list[Problem]:
    """Groups without children: in the official scheme there are none, so rows must be missing."""
    problems: list[Problem] = []
    for child, parent in PARENT.items():
        known = tables.frames[child].get_column(parent).implode()
        barren = tables.frames[parent].filter((pl.col("code") != "") & ~pl.col("code").is_in(known))
        problems += [
            tables.problem(parent, "TB85", line, "code", code, code=code, sheet=sheets[child])
            for code, line in barren.select("code", LINE).iter_rows()
        ]
    return problems


def _without_duplicates(tables: Tables, sheets: Mapping[str, str], problems: list[Problem]) -> tuple[Tables, int]:
    frames = dict(tables.frames)
    total = 0
    for name in _MEMBER_TABLES:
        same = [column for column in frames[name].columns if column != LINE]
        kept = frames[name].unique(same, keep="first", maintain_order=True)
        count = frames[name].height - kept.height
        if count:
            problems.append(tables.problem(name, "TB87", 0, sheet=sheets[name], count=count))
        frames[name] = kept
        total += count
    return replace(tables, frames=frames), total


def _labelled(tables: Tables) -> Tables:
    """Rows without a name get the label of their kind, with the name of their MDC."""
    frames = dict(tables.frames)
    mdc_name = dict(frames["mdc"].select("code", "name").iter_rows())
    adrg_mdc = dict(frames["adrg"].select("code", "mdc").iter_rows())

    def label(code: str, mdc: str) -> str:
        for entry in layout()["labels"]:
            if re.fullmatch(entry["code"], code):
                return str(entry["name"]).format(mdc=mdc_name.get(mdc, mdc))
        return ""

    for name in ("adrg", "drg"):
        rows = frames[name].select("code", "name", PARENT[name]).iter_rows()
        names = [
            text or label(code, parent if name == "adrg" else adrg_mdc.get(parent, "")) for code, text, parent in rows
        ]
        frames[name] = frames[name].with_columns(pl.Series("name", names, dtype=pl.String))
    return replace(tables, frames=frames)


def _mdc_differs(tables: Tables, stated: pl.DataFrame) -> list[Problem]:
    parents = tables.frames["adrg"].select(pl.col("code").alias("adrg"), pl.col("mdc").alias("expected"))
    rows = (
        tables.frames["drg"]
        .join(stated, on=LINE, how="inner", maintain_order="left")
        .join(parents, on="adrg", how="inner", maintain_order="left")
        .filter((pl.col("mdc") != "") & (pl.col("mdc") != pl.col("expected")))
    )
    return [
        tables.problem("drg", "TB89", line, "mdc", mdc, code=code, mdc=mdc, adrg=adrg, expected=expected)
        for code, mdc, adrg, expected, line in rows.select("code", "mdc", "adrg", "expected", LINE).iter_rows()
    ]


def _sheets(workbook: Workbook) -> dict[str, str]:
    """Table name -> sheet name; TablesRefused when the workbook is another one (TB81) or sheets lack (TB82)."""
    there = {folded_text(sheet): sheet for sheet in reversed(workbook.sheets)}
    found: dict[str, str] = {}
    for name, entry in layout()["sheets"].items():
        for known in entry["names"]:
            if folded_text(known) in there:
                found[name] = there[folded_text(known)]
                break
    listed = "、".join(workbook.sheets)
    wanted = [entry["names"][0] for entry in layout()["sheets"].values()]
    if len(found) < layout()["sheets_to_recognise"]:
        what = seems(workbook, layout()["seems"], layout()["header_within_rows"])
        args = {"what": what, "sheets": listed, "wanted": "、".join(wanted)}
        raise TablesRefused(workbook.name, [Problem("TB81", args, file=workbook.name)])
    missing = [entry["names"][0] for name, entry in layout()["sheets"].items() if name not in found]
    if missing:
        problems = [Problem("TB82", {"sheet": name, "sheets": listed}, file=workbook.name) for name in missing]
        raise TablesRefused(workbook.name, problems)
    return found
