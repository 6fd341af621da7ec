"""Code books: diagnoses and procedures of the insurance edition, and the way from the clinical edition to it.

Sources, row counts and checksums stand in `codes/sources.toml`, together with the amendments.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, overload

import polars as pl

from reference_tables.manifest import Amendment, FileEntry, verify_files
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table


@dataclass(frozen=True)
class CodeBook:
    """All codes of one kind in one edition.

    `frame`: code, name (String), gray (Boolean: a placeholder that must not be reported); procedures also
    category (手术, 介入治疗, 治疗性操作, 诊断性操作; "" = not classified; several joined by "|"). Sorted by
    code, each code once. `folded`: the folded spelling of every code, same order.
    """

    edition: str
    frame: pl.DataFrame
    folded: pl.Series
    amendments: tuple[Amendment, ...]

    def find(self, code: str) -> Mapping[str, Any] | None:
        """The row of one code (any case of x), or None."""
        found = self.frame.filter(self.folded == fold(code))
        return found.row(0, named=True) if found.height else None


@dataclass(frozen=True)
class CodeBooks:
    diagnosis: CodeBook
    procedure: CodeBook


@dataclass(frozen=True)
class Crosswalks:
    """Clinical edition -> insurance edition: frames from, to (String), every `from` once, sorted by it;
    the editions by name."""

    diagnosis: pl.DataFrame
    procedure: pl.DataFrame
    diagnosis_from: str
    procedure_from: str
    diagnosis_to: str
    procedure_to: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter of ICD-10: its `number` from 1 and its Chinese `name`; it holds every category (three characters)
    from `first` to `last`."""

    number: int
    first: str
    last: str
    name: str

    @property
    def scope(self) -> str:
        """The chapter as a range of categories: C00-D48."""
        return f"{self.first}-{self.last}"

    def holds(self, code: str) -> bool:
        """Does a diagnosis code or category, spelt in upper case, belong to this chapter?"""
        return self.first <= code[:3] <= self.last


@overload
def fold(code: str) -> str: ...
@overload
def fold(code: pl.Expr) -> pl.Expr: ...
def fold(code: str | pl.Expr) -> str | pl.Expr:
    """The spelling under which codes are compared: `X` as `x`, nothing else changed."""
    if isinstance(code, str):
        return code.replace("X", "x")
    return code.str.replace_all("X", "x", literal=True)


_COLUMNS = {
    "diagnosis": {"code": "code", "name": "text", "gray": "code"},
    "procedure": {"code": "code", "name": "text", "category": "code", "gray": "code"},
    "diagnosis_crosswalk": {"from": "code", "to": "code"},
    "procedure_crosswalk": {"from": "code", "to": "code"},
    "icd10_chapters": {"chapter": "order", "first": "code", "last": "code", "name": "text"},
}


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "codes"))


def read_code_table(folder: Path, name: str) -> pl.DataFrame:
    """One table of a `codes` folder with its amendments; TablesRefused with every problem (TB02-TB07, TB13,
    TB17-TB18, TB21-TB22). `gray` becomes Boolean."""
    columns = _COLUMNS[name]
    table = read_table(folder / f"{name}.csv", columns)
    problems = list(table.problems)
    declared = _sources(folder)
    entry = declared["files"][name]
    if table.sha256:
        manifest = {f"{name}.csv": FileEntry(entry["sha256"], entry["rows"])}
        found = {f"{name}.csv": FileEntry(table.sha256, table.records)}
        problems += verify_files(manifest, found, {})
    frame = table.frame
    if frame is not None:
        problems += _row_problems(frame, name)
        frame = _amended(frame, name, declared).sort(frame.columns[0])
    if frame is None or problems:
        raise TablesRefused(f"codes/{name}.csv", problems)
    if "gray" in columns:
        frame = frame.with_columns(pl.col("gray") == "1")
    return frame.drop(LINE)


def _row_problems(frame: pl.DataFrame, name: str) -> list[Problem]:
    place = f"{name}.csv"
    problems: list[Problem] = []
    for column in [column for column in frame.columns if column in {"code", "from", "to"}]:
        problems += [
            Problem("TB06", {"column": column}, file=place, row=line, field=column)
            for line in frame.filter(pl.col(column) == "").get_column(LINE)
        ]
    key = frame.columns[0]
    first = pl.col(LINE).min().over(fold(pl.col(key)))
    repeated = frame.with_columns(first.alias("first")).filter(pl.col(LINE) != pl.col("first"))
    for code, line, original in repeated.select(key, LINE, "first").iter_rows():
        args = {"code": code, "first": original}
        problems.append(Problem("TB07", args, file=place, row=line, field=key, value=code))
    if "gray" in frame.columns:
        for code, line, gray in (
            frame.filter(~pl.col("gray").is_in(["0", "1"])).select("code", LINE, "gray").iter_rows()
        ):
            args = {"code": code, "level": gray, "allowed": "0、1"}
            problems.append(Problem("TB13", args, file=place, row=line, field="gray", value=gray))
    return problems


@cache
def _sources(folder: Path) -> Mapping[str, Any]:
    return tomllib.loads((folder / "sources.toml").read_text(encoding="utf-8"))


def _amended(frame: pl.DataFrame, name: str, declared: Mapping[str, Any]) -> pl.DataFrame:
    added = [
        {column: str(item.get(column, "")) for column in frame.columns if column != LINE}
        for item in declared.get("amendments", ())
        if item["table"] == name
    ]
    if not added:
        return frame
    rows = pl.DataFrame(added, schema={column: pl.String for column in frame.columns if column != LINE})
    return pl.concat([frame, rows.with_columns(pl.lit(0, dtype=pl.UInt32).alias(LINE))])


def _book(name: str) -> CodeBook:
    folder = _folder()
    declared = _sources(folder)
    frame = read_code_table(folder, name)
    amendments = tuple(
        Amendment(item["what"], item["why"], (item["code"],), item["source"])
        for item in declared["amendments"]
        if item["table"] == name
    )
    folded = frame.select(fold(pl.col("code"))).to_series()
    return CodeBook(declared["files"][name]["edition"], frame, folded, amendments)


@cache
def load_code_books() -> CodeBooks:
    """The diagnosis and procedure codes of the insurance edition 2.0, read once and kept."""
    return CodeBooks(_book("diagnosis"), _book("procedure"))


@cache
def load_crosswalks() -> Crosswalks:
    """The mapping from the clinical edition, read once and kept. A code spelt alike in both editions may mean
    something else, so the caller must know which edition it holds."""
    declared = _sources(_folder())
    names = ("diagnosis_crosswalk", "procedure_crosswalk")
    edition: dict[str, str] = {name: entry["edition"] for name, entry in declared["files"].items()}
    return Crosswalks(
        diagnosis=read_code_table(_folder(), names[0]),
        procedure=read_code_table(_folder(), names[1]),
        diagnosis_from=edition[names[0]],
        procedure_from=edition[names[1]],
        diagnosis_to=edition["diagnosis"],
        procedure_to=edition["procedure"],
    )


@cache
def load_chapters() -> tuple[Chapter, ...]:
    """The chapters of ICD-10 in their order, read once and kept; every category is in at most one."""
    frame = read_code_table(_folder(), "icd10_chapters").with_columns(pl.col("chapter").cast(pl.Int32))
    return tuple(Chapter(*row) for row in frame.sort("chapter").select("chapter", "first", "last", "name").iter_rows())
