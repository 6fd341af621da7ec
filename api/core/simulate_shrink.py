"""Weights estimated anew from newer cases, drawn towards the old ones (`[[solve]] kind = "shrink"`)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import polars as pl

from api.core.payable import PayableFiles
from api.core.simulate_stage import Stage
from api.core.simulate_task import Task
from api.core.solved import Proposal, Solved, factor_text
from budget.cost_statistics import group_costs
from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.money import decimal_text, exact
from budget.shrinkage import GroupHistory, Shrinkage, shrink
from budget.trimming import read_trimming
from reference_tables.catalog_rules import catalog_rules
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Change

OWN_CASES, ESTIMATE = "cases", "estimate"
_WEIGHED = ("GROUPED", "AMBIGUOUS")
_PLACES = 4


def solve_shrink(task: Task) -> Proposal:
    """Weights of all groups that have one weight for everybody. Costs are trimmed by the rule of the catalog's
    defaults, as `drgdip weights` does."""
    fields = task.solve.fields
    least, digits = int(fields["min_cases"]), int(fields["digits"])
    k = None if fields["k"] == ESTIMATE else exact(fields["k"])
    groups, apart = _histories(task)
    problems: list[Problem] = []
    if apart:
        problems.append(task.problem("SO10", {"count": apart}))
    try:
        found = shrink(groups, k, least_cases=least, digits=digits, keep_mean=bool(fields["keep_mean"]))
    except ValueError:
        problems.append(task.problem("SO07", {"least": least}))
        found = Shrinkage((), None, Fraction(0))
    changes = tuple(
        Change("weight", "set", item.weight, factor_text(item.weight, digits), (("group", item.group),),
               place=task.solve.place, line=task.solve.line)
        for item in found.groups if item.weight != item.old
    )  # fmt: skip
    k_text = "无穷（差异不超过偶然波动）" if found.k is None else decimal_text(found.k, _PLACES)

    def judged(stage: Stage) -> Solved:
        old = _mean(found, {item.group: item.old for item in found.groups})
        new = _mean(found, {item.group: _weight(stage.policy, stage.values, item.group) for item in found.groups})
        return Solved(
            "shrink", task.solve.place, f"重新测算权重（原权重相当 {k_text} 例）", f"{len(changes)} 个病组的权重",
            f"平均权重 {decimal_text(old, 6)}", f"平均权重 {decimal_text(new, 6)}",
            f"平均权重 {decimal_text(old, 6)}" if fields["keep_mean"] else "", decimal_text(new - old, 6), 1,
            tuple(problems), changes,
        )  # fmt: skip

    return Proposal(changes, judged)


def _mean(found: Shrinkage, weights: Mapping[str, Fraction]) -> Fraction:
    """The case-weighted mean of weights."""
    total = sum(item.cases for item in found.groups)
    whole = sum((item.cases * weights[item.group] for item in found.groups), Fraction(0))
    return whole / total if total else Fraction(0)


def _weight(policy: Policy, values: GroupValues, group: str) -> Fraction:
    """The weight of a group that has one for everybody, on the first day of the policy where it is dated; 0: none."""
    setting = policy.get("weight", policy.header.effective_from if policy.dated("weight") else None, group=group)
    found = values.get(group, "", "").weight if setting is None else Fraction(setting.value)
    return found or Fraction(0)


def _histories(task: Task) -> tuple[list[GroupHistory], int]:
    """Groups with their newer cases and old weight, by code; and how many groups have different weights by tier or
    insurance, which are left alone."""
    reformed = task.reformed
    policy, values = reformed.policy, reformed.values
    cases = _cases(task).filter(pl.col("status").is_in(_WEIGHED) & pl.col("group").is_not_null())
    cost = pl.col("total_cost_fen") - pl.col("separate_fen").fill_null(0)
    costs = cases.select("group", cost.alias("cost_fen")).filter(pl.col("cost_fen") > 0).sort("group", "cost_fen")
    codes = sorted(costs["group"].unique().to_list())
    numbers = pl.Series(range(len(codes)), dtype=pl.Int32)
    numbered = costs.select(
        pl.col("group").replace_strict(codes, numbers, return_dtype=pl.Int32), pl.lit(0, pl.Int32).alias("year"),
        "cost_fen",
    )  # fmt: skip
    split = {group for group, tier, insurance in values.values if tier or insurance}
    dated = policy.dated("weight")
    split |= {value for setting in policy.all("weight") if len(setting.scope) > 1 or (dated and setting.dated)
              for name, value in setting.scope if name == "group"}  # fmt: skip
    found, apart = [], 0
    for costs_of in group_costs(numbered, {0: Fraction(1)}, read_trimming(catalog_rules().trimming)):
        code = codes[costs_of.group]
        if code in split:
            apart += 1
        elif old := _weight(policy, values, code):
            found.append(GroupHistory(code, costs_of.kept, costs_of.sum_fen, costs_of.square_sum, old))
    return found, apart


def _cases(task: Task) -> pl.DataFrame:
    """The newer cases: the run's own, or those of the files named, grouped by the same scheme. Raises TablesRefused
    (SO11) for files that are not there."""
    names = task.solve.fields["history"]
    base = task.trials.base
    if OWN_CASES in names:
        return base.cases
    paths = sorted(str(Path(task.reform.folder) / name) for name in names)
    lacking = [path for path in paths if not Path(path).is_file()]
    if lacking:
        raise TablesRefused(task.reform.file, [task.problem("SO11", {"file": Path(path).name}) for path in lacking])
    files = PayableFiles(paths, base.scheme, base.policy, base.values, hospitals=None, separate=None)
    return pl.concat([pl.DataFrame(schema=PAYABLE_SCHEMA), *(block.cases for block in files.blocks())])
