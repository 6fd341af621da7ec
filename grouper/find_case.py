"""Find one case in a file of cases, by its id, by its row, or by both."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher

import polars as pl

from grouper.intake import Columns, read_cases
from reference_tables.problems import PROBLEM_SCHEMA

NEAR_SHOWN = 5
_NEAR_POOL = 100  # ids of a block that are compared letter by letter
_LIKE = 0.5  # letters in common, as difflib counts them


@dataclass(frozen=True)
class FoundCases:
    """`cases`: the matching rows in the canonical form, `problems`: what reading listed about them (columns of
    PROBLEM_SCHEMA), `near`: ids much like the one asked for, when none matched; `read`: cases in the file."""

    cases: pl.DataFrame
    problems: pl.DataFrame
    near: tuple[str, ...]
    read: int


def find_cases(
    path: str, *, case_id: str | None, row: int | None, fmt: str = "auto", columns: Columns = "grouping"
) -> FoundCases:
    """Every case of a file with this id and at this row (None = any).

    `row` is the number a person sees on opening the file; `columns`: what of the file is read, as in `read_cases`.
    Raises IntakeError when the file cannot be read as cases.
    """
    wanted: list[pl.DataFrame] = []
    listed: list[pl.DataFrame] = []
    pool: list[str] = []
    read = 0
    for block in read_cases(path, fmt=fmt, columns=columns):
        cases = block.cases
        read += cases.height
        match = pl.lit(True)
        if case_id is not None:
            match &= (pl.col("case_id") == case_id).fill_null(False)
            pool += [] if listed else _alike(cases["case_id"], case_id)
        if row is not None:
            match &= pl.col("row") == row
        found = cases.filter(match)
        if found.height:
            wanted.append(found)
            listed.append(block.problems.filter(pl.col("row").is_in(found["row"].to_list())))
        elif not wanted:
            wanted.append(found)
    cases = pl.concat(wanted, how="diagonal_relaxed") if wanted else pl.DataFrame(schema={"row": pl.UInt32})
    near = () if cases.height or case_id is None else _nearest(case_id, pool)
    problems = pl.concat(listed) if listed else pl.DataFrame(schema=PROBLEM_SCHEMA)
    return FoundCases(cases, problems, near, read)


def _alike(ids: pl.Series, case_id: str) -> list[str]:
    """The ids of a block that share the longest beginning and end with the one asked for, or hold it, or differ
    from it only in case, blanks and leading zeros; best first."""
    column = pl.col(ids.name)
    lengths = range(max(1, len(case_id) // 2), len(case_id) + 1)
    score = pl.sum_horizontal(
        (_bare(column) == _bare(pl.lit(case_id))).cast(pl.Int32) * 2 * len(case_id),
        column.str.contains(case_id, literal=True).cast(pl.Int32) * len(case_id),
        *(column.str.starts_with(case_id[:length]).cast(pl.Int32) for length in lengths),
        *(column.str.ends_with(case_id[-length:]).cast(pl.Int32) for length in lengths),
    )
    scored = ids.drop_nulls().unique(maintain_order=True).to_frame().with_columns(score.alias("score"))
    best = scored.filter(pl.col("score") > 0).sort("score", descending=True, maintain_order=True)
    return best.head(_NEAR_POOL)[ids.name].to_list()


def _bare(ids: pl.Expr) -> pl.Expr:
    return ids.str.strip_chars().str.to_lowercase().str.strip_chars_start("0")


def _nearest(case_id: str, pool: list[str]) -> tuple[str, ...]:
    """The ids most like the one asked for; one that holds it, or that it holds, counts too."""
    lowered = case_id.strip().lower()
    likeness = {found: SequenceMatcher(None, case_id, found).ratio() for found in pool}
    close = [found for found in sorted(pool, key=lambda found: -likeness[found]) if likeness[found] >= _LIKE]
    holding = [found for found in pool if lowered in found.lower() or found.lower() in lowered]
    return tuple(dict.fromkeys([*close, *holding]))[:NEAR_SHOWN]
