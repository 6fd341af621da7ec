"""Small case files for the intake tests."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from grouper.intake import IntakeError, read_cases
from reference_tables.problems import Problem

FLAT = "case_id,sex,age,age_days,weight,los_days,discharge_way,diagnoses,procedures"


def write(folder: Path, content: str | bytes, name: str = "cases.csv", encoding: str = "utf-8") -> Path:
    """A file of that content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def read(path: Path, **options: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All cases and all problems of a file."""
    blocks = list(read_cases(path, **options))  # type: ignore[arg-type]
    return pl.concat([block.cases for block in blocks]), pl.concat([block.problems for block in blocks])


def flat(folder: Path, *lines: str, **options: object) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cases and problems of a flat CSV with the given lines under the usual header."""
    return read(write(folder, "\n".join([FLAT, *lines]) + "\n"), **options)


def refusal(path: Path, **options: object) -> tuple[Problem, ...]:
    """The problems for which a file is refused."""
    try:
        read(path, **options)
    except IntakeError as error:
        return error.problems
    raise AssertionError(f"{path.name} is read")


def told(problems: pl.DataFrame) -> list[tuple[int, str, str, str]]:
    """Row, code, field and value of every problem, in order."""
    return list(problems.select("row", "code", "field", "value").iter_rows())
