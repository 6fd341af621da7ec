"""From grouped cases to the scores of a catalog, and how much of the variance of costs it explains beside DRG."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

import polars as pl

from api.core.catalog_cases import GroupedHistory
from api.core.catalog_plan import CatalogPlan
from budget.cost_statistics import GroupCosts, group_costs, whole_costs, year_weights
from budget.explained_variance import ExplainedVariance, explained_variance
from budget.money import decimal_text, round_half_up
from budget.trimming import Trimming, kept_costs
from budget.weights import relative_weights
from grouper.catalog.history import HistoryRefused
from reference_tables.catalog_rules import catalog_rules
from reference_tables.dip_pack import dip_schema
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

SHARE_PLACES = 6


class QuotaUnfit(ValueError):
    """A fixed amount in terms of which the score of a group is nothing to four decimals."""


@dataclass(frozen=True)
class Scores:
    """`costs` and `scores` of every group with a case in the statistics, by code; `whole`: of all these cases,
    trimmed and weighted by year; `plain_fen`: their plain mean, neither trimmed nor weighted;
    `reference_fen`: what the scores are measured in, worth `scale` points."""

    costs: Mapping[str, GroupCosts]
    scores: Mapping[str, Decimal]
    whole: GroupCosts
    reference_fen: Fraction
    scale: int
    plain_fen: Fraction

    def share(self, code: str) -> str:
        """The group's share of all cases of the statistics."""
        return decimal_text(Fraction(self.costs[code].cases, self.whole.cases), SHARE_PLACES)

    def table(self) -> pl.DataFrame:
        """The table `score` of a DIP pack, in the order of `costs`."""
        rows = [
            {
                "code": code,
                "score": str(self.scores[code]),
                "cases": str(costs.cases),
                "share": self.share(code),
                "cv": costs.cv_text,
                "mean_cost_fen": str(round_half_up(costs.mean_fen)),
            }
            for code, costs in self.costs.items()
        ]
        columns = dip_schema().tables["score"].columns
        frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String))
        return frame.with_columns(pl.lit(0, pl.UInt32).alias(LINE))


class ScorePlan(Protocol):
    """What decides scores beside the history: a method of catalog_rules, its benchmark disease or fixed amount, the
    weights of the years, oldest first, and the trimming."""

    @property
    def method(self) -> str: ...
    @property
    def benchmark(self) -> str: ...
    @property
    def quota_fen(self) -> int: ...
    @property
    def year_weights(self) -> tuple[Fraction, ...]: ...
    @property
    def trim(self) -> Trimming: ...


def score_groups(history: GroupedHistory, plan: ScorePlan, years: Sequence[int]) -> Scores:
    """Costs and scores of every group, in the order of `history.groups`.

    The reference of the mean-cost method is the mean of all cases that are in a group. Raises HistoryRefused: DC07
    when the benchmark disease is no group with cases, DC09 when no case at all is in a group. Raises QuotaUnfit.
    """
    cases = history.counting()
    if cases.is_empty():
        raise HistoryRefused([Problem("DC09")])
    weights = year_weights(years, plan.year_weights)
    costs = {history.groups[found.group]: found for found in group_costs(cases, weights, plan.trim)}
    whole = whole_costs(cases, weights, plan.trim)
    reference = whole.mean_fen
    if plan.method == "benchmark":
        if plan.benchmark not in costs:
            near = "、".join(difflib.get_close_matches(plan.benchmark, costs, 3))
            args = {"code": plan.benchmark, "near": f"；相近的有 {near}" if near else ""}
            raise HistoryRefused([Problem("DC07", args, value=plan.benchmark)])
        reference = costs[plan.benchmark].mean_fen
    elif plan.method == "standard-quota":
        reference = Fraction(plan.quota_fen)
    scale = catalog_rules().methods[plan.method].scale
    scores = relative_weights({code: found.mean_fen for code, found in costs.items()}, reference, scale)
    nothing = [code for code, score in scores.items() if not score]
    if nothing and plan.method == "standard-quota":
        raise QuotaUnfit(nothing[0])
    return Scores(costs, scores, whole, reference, scale, Fraction(int(cases["cost_fen"].sum()), cases.height))


@dataclass(frozen=True, slots=True)
class Explained:
    """Variance explained by the catalog and by DRG over the same cases: all that stand in the statistics, and those
    that the trimming rule keeps of them all. Cases without a group are one class more."""

    dip: ExplainedVariance
    drg: ExplainedVariance
    dip_trimmed: ExplainedVariance
    drg_trimmed: ExplainedVariance


def explain_variance(history: GroupedHistory, plan: CatalogPlan) -> Explained:
    """Compare both groupings of the history."""
    cases = history.cases.filter("counts").select("group", "drg", "cost_fen")
    kept = trimmed_as_one(cases, plan.trim)
    return Explained(
        explained_variance(cases, "group"),
        explained_variance(cases, "drg"),
        explained_variance(kept, "group"),
        explained_variance(kept, "drg"),
    )


def trimmed_as_one(cases: pl.DataFrame, rule: Trimming) -> pl.DataFrame:
    """The cases that a rule keeps of all of them together; `cases` with cost_fen."""
    together = pl.repeat(0, cases.height, dtype=pl.Int32, eager=True)
    return cases.filter(kept_costs(together, cases["cost_fen"], rule))
