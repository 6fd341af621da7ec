"""Putting the engine's answers beside the oracle's: the same flat rows, two programs, and what differs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from grouper.compile import CompiledScheme
from grouper.engine import group_cases
from grouper.schemes import open_scheme
from reference_tables.packs import built_in_packs
from tests.oracle.difficult import FlatRow
from tests.oracle.oracle import Answer, Case, Oracle

NUMBERS = {
    "sex": ("sex", pl.Int8),
    "age": ("age_years", pl.Int32),
    "age_days": ("age_days", pl.Int32),
    "los_days": ("los_days", pl.Int32),
}
WEIGHTS = ("newborn_birth_weight_g", "newborn_admission_weight_g")


def frame_of(rows: Sequence[FlatRow]) -> pl.DataFrame:
    """The canonical case frame of flat rows."""
    columns: dict[str, pl.Series] = {
        "row": pl.Series(range(2, len(rows) + 2), dtype=pl.UInt32),
        "case_id": pl.Series([row["case_id"] for row in rows], dtype=pl.String),
        "defect": pl.Series([None] * len(rows), dtype=pl.String),
    }
    for name, (column, dtype) in NUMBERS.items():
        columns[column] = pl.Series([_floor(row[name]) for row in rows], dtype=dtype)
    for column in WEIGHTS:
        columns[column] = pl.Series([_floor(row.get(column, row["weight"])) for row in rows], dtype=pl.Int32)
    hours = [row.get("icu_hours", "") for row in rows]
    columns["icu_hours"] = pl.Series([float(text) if text else None for text in hours], dtype=pl.Float64)
    columns["discharge_way"] = pl.Series([row["discharge_way"] for row in rows], dtype=pl.String)
    columns["department"] = pl.Series([row.get("department", "") for row in rows], dtype=pl.String)
    for column in ("diagnoses", "procedures"):
        columns[column] = pl.Series([_listed(row[column]) for row in rows], dtype=pl.List(pl.String))
    return pl.DataFrame(columns)


def _floor(text: str) -> int | None:
    return math.floor(float(text)) if text else None


def _listed(joined: str) -> list[str]:
    """Codes of a flat cell: empty other items fall away, an empty first one stays if others follow."""
    first, *others = joined.split("|")
    kept = [code for code in others if code]
    return [first, *kept] if first or kept else []


@lru_cache(maxsize=4)
def oracle_of(pack: str) -> Oracle:
    """The oracle of a built-in pack or a pack folder."""
    return Oracle.from_folder(folder_of(pack))


def folder_of(pack: str) -> Path:
    return built_in_packs()[pack] if pack in built_in_packs() else Path(pack)


@lru_cache(maxsize=4)
def scheme_of(pack: str) -> CompiledScheme:
    """The engine's scheme of a built-in pack or a pack folder."""
    return open_scheme(pack)


def engine_answers(rows: Sequence[FlatRow], pack: str) -> list[Answer]:
    result = group_cases(frame_of(rows), scheme_of(pack))
    return list(result.select("mdc", "adrg", "drg").iter_rows())


def oracle_answers(rows: Iterable[FlatRow], pack: str) -> list[Answer]:
    oracle = oracle_of(pack)
    return [oracle.group(Case.from_row(row)) for row in rows]


def assert_same_answers(rows: Sequence[FlatRow], pack: str) -> None:
    """Engine and oracle give the same triple for every row; else fail with the smallest differing case."""
    engine, oracle = engine_answers(rows, pack), oracle_answers(rows, pack)
    wrong = [row for row, left, right in zip(rows, engine, oracle, strict=True) if left != right]
    if not wrong:
        return

    def differs(row: FlatRow) -> bool:
        return engine_answers([row], pack) != oracle_answers([row], pack)

    row = smallest_case(min(wrong, key=lambda row: sum(map(len, row.values()))), differs)
    raise AssertionError(
        f"{pack}: {len(wrong)} of {len(rows)} cases differ, reduced to {row}: "
        f"engine {engine_answers([row], pack)}, oracle {oracle_answers([row], pack)}"
    )


def smallest_case(row: FlatRow, differs: Callable[[FlatRow], bool]) -> FlatRow:
    """The case with as many codes and values taken away as possible while `differs` stays true."""
    if not differs(row):
        return row
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(row):
            if differs(smaller):
                row, shrunk = smaller, True
                break
    return row


def _smaller(row: FlatRow) -> Iterable[FlatRow]:
    for column in ("diagnoses", "procedures"):
        items = row[column].split("|") if row[column] else []
        for place in range(len(items) - 1, -1, -1):
            yield {**row, column: "|".join(items[:place] + items[place + 1 :])}
    for column in row:
        if column not in ("case_id", "diagnoses", "procedures") and row[column]:
            yield {**row, column: ""}
