"""The tables of a simulation as its page reads them: which columns, in which units; a missing table leaves its part out.

Amounts are Int64 fen, rates and shares plain numbers for the eye (0.05 = 5 %). `stage` says where in the chain money is
looked at: `fund` what the fund pays as priced, `cleared` what it pays after clearing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from reference_tables.problems import Problem

STAGES = {"fund": "清算前", "cleared": "清算后"}
DIMENSIONS = {
    "hospital": "医疗机构", "tier": "医院级别", "county_group": "县域医共体", "department": "科室", "mdc": "MDC",
    "group": "病组（病种）", "insurance": "险种", "kind": "病例类型", "pool": "基金池",
}  # fmt: skip
READ: Mapping[str, tuple[str, ...]] = {
    # One row for each key of each dimension (DIMENSIONS); cleared_* null where nothing is cleared.
    "gain": (
        "dimension", "key", "label", "cases", "cost_fen", "package_before_fen", "package_after_fen",
        "fund_before_fen", "fund_after_fen", "cleared_before_fen", "cleared_after_fen",
    ),
    # Hospitals in ten parts by gain rate (after - before) / before, lowest first; rates at the two ends of each part.
    "deciles": ("stage", "decile", "hospitals", "low_rate", "high_rate", "before_fen", "after_fen"),
    # side gained|lost: share of the hospitals (smallest amount first) and of the amount, from (0, 0) to (1, 1).
    "lorenz": ("stage", "side", "hospitals_share", "amount_share", "gini"),
    # One row for each pool and state before|after; units, point_value, line as text, reserve_months a number or null.
    "fund": (
        "pool", "state", "budget_fen", "distributable_fen", "units", "point_value", "entitlement_fen", "line",
        "line_fen", "back_fen", "balance_fen", "reserve_months",
    ),
    # What each change of each reform put and touched; before and after are texts.
    "changes": (
        "reform", "label", "scope", "before", "after", "settings", "groups", "cases", "hospitals", "moved",
    ),
    "transition": (
        "group_before", "group_after", "cases", "cost_fen", "package_before_fen", "package_after_fen",
        "fund_before_fen", "fund_after_fen",
    ),
    # what hospital|balance in fen (change of the hospital's money; the pool's balance), point_value in yuan; chance of a
    # loss (hospital) or an overrun (balance).
    "bootstrap": ("what", "key", "label", "value", "low", "high", "chance"),
    "fan": ("year", "pool", "low95", "low50", "median", "high50", "high95"),
    # One row for each value found; problem: the constraint in the way and by how much, empty when solved.
    "solved": ("kind", "what", "value", "before", "reached", "target", "residual", "iterations", "problem"),
    # One row for each value tried; cleared_fen and balance_fen null where nothing is cleared.
    "sweep": ("sweep", "value", "package_fen", "fund_fen", "cleared_fen", "balance_fen"),
}  # fmt: skip
"""Columns that the page reads of each table; there may be more."""


@dataclass(frozen=True, slots=True)
class SimulationHead:
    """What stands at the head of the page: `about` label -> text (policy, reforms with their hashes, years, seed),
    `problems` told as they are, `synthetic` when anything of it is made up."""

    title: str
    about: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    synthetic: bool = False


def readable(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables that have rows; ValueError where one lacks a column that the page reads."""
    for name, columns in READ.items():
        lacking = [] if name not in tables else [column for column in columns if column not in tables[name].columns]
        if lacking:
            raise ValueError(f"table {name} lacks {', '.join(lacking)}")
    return {name: table for name, table in tables.items() if name in READ and table.height}


def of_dimension(gain: pl.DataFrame, dimension: str) -> pl.DataFrame:
    """The rows of one dimension with `change_fen` and `before_fen`, `after_fen` of the last stage that is known."""
    stage = "cleared" if cleared(gain) else "fund"
    return at_stage(gain.filter(pl.col("dimension") == dimension), stage)


def at_stage(rows: pl.DataFrame, stage: str) -> pl.DataFrame:
    """`rows` of gain with `before_fen`, `after_fen` and `change_fen` of one stage, null counted as nothing."""
    before, after = (pl.col(f"{stage}_{state}_fen").fill_null(0) for state in ("before", "after"))
    return rows.with_columns(before.alias("before_fen"), after.alias("after_fen"), (after - before).alias("change_fen"))


def cleared(gain: pl.DataFrame) -> bool:
    """Is what the fund pays after clearing known?"""
    return gain["cleared_after_fen"].null_count() < gain.height


def stages(gain: pl.DataFrame) -> list[str]:
    """The stages that are known, in the order of the chain."""
    return ["fund", "cleared"] if cleared(gain) else ["fund"]
