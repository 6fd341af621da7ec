"""What is told with the result of a simulation: changes that touch nothing, months that are missing, cases that one of
the clearings leaves out, money that nothing pays for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from api.core.simulate_stage import Stage
from budget.compare_fund import value_basis
from budget.reformed_effect import AppliedChange
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem

UNCOVERED = "CL30"
_LEFT_OUT = {
    "CL55": "再入院合并计为一次", "CL56": "没有机构编码或险种不在政策之内", "CL52": "缺少清算所需的金额",
}  # fmt: skip
"""Codes of cases that a clearing does not count, in Chinese."""


def idle_changes(applied: Sequence[AppliedChange], touched: pl.DataFrame) -> Iterator[Problem]:
    """RF52 for every change without a case in its scope and days."""
    for item, cases in zip(applied, touched["cases"], strict=True):
        if not cases:
            label = policy_schema().parameters[item.change.key].label
            args: dict[str, str | int] = {"label": label, "key": item.change.key, "scope": item.scope_text}
            file = item.change.place.rpartition(":")[0] or item.change.place
            yield Problem("RF52", args, file=file, row=item.change.line, field=item.change.key)


def part_of_year(before: Stage) -> Iterator[Problem]:
    """SI14 for a whole year's fund beside the cases of some months."""
    if before.clearing is None:
        return
    year = before.clearing.given.year
    there = set(before.cases["month"].drop_nulls())
    missing = [month for number in range(1, 13) if (month := f"{year}-{number:02d}") not in there]
    if missing:
        yield Problem("SI14", {"months": "、".join(missing)})


def other_counts(before: Stage, after: Stage) -> Iterator[Problem]:
    """SI17 where the two clearings count different numbers of the same cases, with what each leaves out."""
    if before.clearing is None or after.clearing is None:
        return
    counts = [sum(line.cases for _, line in stage.clearing.lines) for stage in (before, after) if stage.clearing]
    if counts[0] == counts[1]:
        return
    codes = [stage.clearing.problems["code"] for stage in (before, after) if stage.clearing]
    left_out = {code: [int((found == code).sum()) for found in codes] for code in _LEFT_OUT}
    reasons = [
        f"{_LEFT_OUT[code]}，改革前 {one:,} 例、改革后 {other:,} 例"
        for code, (one, other) in left_out.items()
        if one != other
    ]
    yield Problem("SI17", {
        "before": f"{counts[0]:,}", "after": f"{counts[1]:,}", "difference": f"{abs(counts[1] - counts[0]):,}",
        "reasons": "；".join(reasons) or "两边的清算规则不同",
    })  # fmt: skip


def other_bases(before: Stage, after: Stage) -> Iterator[Problem]:
    """SI19 where the two sides' point values or rates are of different money or their pools are others: their
    difference is no change of price."""
    sides = [
        {pool.budget.pool: value_basis(pool) for pool in stage.clearing.pools if value_basis(pool)}
        for stage in (before, after)
        if stage.clearing is not None
    ]
    if len(sides) < len((before, after)) or not all(sides) or sides[0] == sides[1]:
        return
    told = ["，".join(f"{pool}：{basis}" for pool, basis in side.items()) for side in sides]
    yield Problem("SI19", {"before": told[0], "after": told[1]})


def uncovered(stage: Stage, when: str) -> Iterator[Problem]:
    """Money that nothing pays for (SI13), as clearing tells it."""
    if stage.clearing is not None:
        for text in stage.clearing.problems.filter(pl.col("code") == UNCOVERED)["message"]:
            yield Problem("SI13", {"when": when, "message": text})
