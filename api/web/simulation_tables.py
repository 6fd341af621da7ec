"""What the page of a policy simulation is made from: its head, and the tables of `budget.compare_frames` as charts need
them. A table that is missing or empty leaves its part of the page out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import polars as pl

from budget.compare_frames import TABLES
from reference_tables.problems import Problem

STAGES = {"fund": "清算前", "cleared": "清算后"}
STATES = {"before": "改革前", "after": "改革后"}
UNKNOWN = "（未填）"


@dataclass(frozen=True, slots=True)
class SimulationHead:
    """What stands at the head of the page: `about` label -> text (policy, reforms with their hashes, year, seed),
    `problems` told as they are (an infeasible target among them), mended over HTTP where it was `served`; `synthetic`
    when anything of it is made up."""

    title: str
    about: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    synthetic: bool = False
    served: bool = False


def readable(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables that have rows; ValueError where one lacks a column of its schema."""
    for name, schema in TABLES.items():
        lacking = [column for column in schema if name in tables and column not in tables[name].columns]
        if lacking:
            raise ValueError(f"table {name} lacks {', '.join(lacking)}")
    return {name: tables[name] for name in TABLES if name in tables and tables[name].height}


def stages(gain: pl.DataFrame) -> list[str]:
    """The stages (STAGES) whose money is known, in the order of the chain."""
    return ["fund", "cleared"] if gain["cleared_after_fen"].null_count() < gain.height else ["fund"]


def at_stage(gain: pl.DataFrame, dimension: str, stage: str) -> pl.DataFrame:
    """The rows of one dimension with `before_fen`, `after_fen`, `change_fen` at a stage (what is not known counts as
    nothing) and `rate`, the change in per cent of before, null where that is not above 0: the largest change first."""
    before, after = (pl.col(f"{stage}_{state}_fen").fill_null(0) for state in STATES)
    rows = gain.filter(pl.col("dimension") == dimension).with_columns(
        pl.when(pl.col("label").fill_null("") == "").then(pl.lit(UNKNOWN)).otherwise("label").alias("label"),
        before.alias("before_fen"), after.alias("after_fen"), (after - before).alias("change_fen"),
    )  # fmt: skip
    rate = pl.when(pl.col("before_fen") > 0).then(100 * pl.col("change_fen") / pl.col("before_fen"))
    return rows.with_columns(rate.round(2).alias("rate")).sort(["change_fen", "key"], descending=[True, False])


def apart(rows: pl.DataFrame) -> list[str]:
    """`label` of the rows, with the key beside it where two have the same."""
    twice = pl.col("label").is_duplicated() & (pl.col("key") != "")
    labels = pl.when(twice).then(pl.format("{} {}", "label", "key")).otherwise("label")
    return [str(label) for label in rows.select(labels.alias("label"))["label"]]


def plain(text: str) -> str:
    """Text that Plotly shows as it is: it reads tags in every label."""
    return escape(text, quote=False)


def numbers(cells: pl.Series, scale: int = 1, places: int = 2) -> list[float]:
    """Exact cells (whole or decimal) as numbers for the eye, divided by `scale`; a missing one is 0."""
    return [0.0 if cell is None else round(float(cell) / scale, places) for cell in cells.to_list()]
