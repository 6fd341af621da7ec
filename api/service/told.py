"""Problems as the service tells them: the same keys everywhere, mended by routes and documents, not by options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from reference_tables.problems import Problem, catalogue

MOST_TOLD = 1_000
"""As many problems of a request or a job are told; their number is told besides."""


def told(problem: Problem) -> dict[str, Any]:
    """A problem as JSON."""
    return {
        "code": problem.code, "level": problem.level.value, "message": problem.message, "fix": problem.service_fix,
        "args": dict(problem.args), "file": problem.file, "row": problem.row, "case_id": problem.case_id,
        "field": problem.field, "value": problem.value,
    }  # fmt: skip


def told_all(problems: Sequence[Problem]) -> dict[str, Any]:
    """Why a job failed: its problems, and how many there are."""
    return {"problems": [told(problem) for problem in problems[:MOST_TOLD]], "problem_count": len(problems)}


def counted(problems: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of PROBLEM_SCHEMA by code: how many of each, what it is called and how it is mended; no case named."""
    grouped = problems.group_by("code", "level").agg(pl.len().alias("count")).sort("code", "level")
    return numbered({(code, level): count for code, level, count in grouped.iter_rows()})


def numbered(counts: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """Problems counted by code and level, as `counted` tells them."""
    kinds = catalogue()
    return [
        {
            "code": code, "level": level, "count": count, "title": kinds[code].title,
            "fix": kinds[code].mended(served=True),
        }
        for (code, level), count in sorted(counts.items())
    ]  # fmt: skip
