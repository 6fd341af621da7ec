"""Weights (RW) or scores of every group of a scheme from a region's history, and how far each can be trusted.

Each group's mean cost over weighted years, trimmed, in terms of the reference cost; beside it the number of cases, the
coefficient of variation and whether the group is stable; for all groups together how much of the variance of costs
they explain. The same history gives the same table whatever the order of files, blocks and threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import polars as pl

from api.core.catalog_cases import (
    NO_GROUP,
    FirstLook,
    GroupedHistory,
    HistoryFiles,
    first_look,
    row_problems,
    statistics_columns,
    told_when_refused,
)
from api.core.catalog_plan import PLAIN_MEAN, REFERENCE_MEAN, ratio_text
from api.core.catalog_scores import Scores, score_groups, trimmed_as_one
from api.core.peer_averages import PeerAverages, PeerTiers, peer_averages
from budget.cost_statistics import GroupCosts
from budget.explained_variance import ExplainedVariance, explained_variance
from budget.money import round_half_up, yuan_text
from budget.trimming import Trimming, read_trimming
from grouper.catalog.history import HistoryBlock, catalog_years, set_aside, year_remarks
from grouper.catalog.repeats import Repeats
from grouper.dip.compile import CompiledDip
from grouper.engine import group_cases, grouper_of
from grouper.intake import BLOCK_ROWS, SourceInfo
from grouper.normalize import Edition
from grouper.pipeline import Progress, Sink
from grouper.result import GroupStatus
from grouper.schemes import Scheme
from reference_tables.catalog_rules import catalog_rules

RELATIVE, MEAN_COST = "relative-weight", "mean-cost"
STABLE, UNSTABLE, FEW_CASES = "stable", "unstable", "few_cases"
STABILITY_ZH = {STABLE: "稳定", UNSTABLE: "不稳定（变异系数大）", FEW_CASES: "病例数不足"}
WEIGHED = (GroupStatus.GROUPED.value, GroupStatus.AMBIGUOUS.value)
"""Cases of these statuses are in a group of their own weight: regions print weights of ambiguous (QY) groups too."""


@dataclass(frozen=True)
class WeightPlan:
    """What decides weights beside history and scheme.

    `years`: None = the latest; `year_weights`: positive, oldest first; `trimming` in the words of the trimming rules;
    a group is stable with at least `min_cases` cases in the statistics and a coefficient of variation of at most
    `cv_limit`; `benchmark` and `quota_fen` belong to their methods.
    """

    method: str = RELATIVE
    years: tuple[int, ...] | None = None
    year_weights: tuple[Fraction, ...] = tuple(map(Fraction, catalog_rules().year_weights))
    trimming: str = catalog_rules().trimming
    min_cases: int = catalog_rules().min_cases
    cv_limit: Fraction = Fraction(catalog_rules().cv_high)
    benchmark: str = ""
    quota_fen: int = 0
    fmt: str = "auto"
    edition: Edition = "insurance"

    @property
    def trim(self) -> Trimming:
        return read_trimming(self.trimming)


@dataclass(frozen=True)
class Weights:
    """Weights of a history. `scores` by group code in the order of codes; `names`; `explained` over all cases of the
    statistics and `explained_trimmed` over those kept of them as a whole, cases in no group as one class more; `peers`:
    last year's means by tier, where a policy was given."""

    plan: WeightPlan
    scheme: Scheme
    years: tuple[int, ...]
    look: FirstLook
    sources: tuple[SourceInfo, ...]
    history: GroupedHistory
    names: dict[str, str]
    scores: Scores
    explained: ExplainedVariance
    explained_trimmed: ExplainedVariance
    stability: dict[str, str] = field(default_factory=dict)
    peers: PeerAverages | None = None

    @property
    def column(self) -> str:
        """How a weight file calls the numbers: rw, or weight where they are scores."""
        return "rw" if self.plan.method == RELATIVE else "weight"

    def by_stability(self) -> dict[str, tuple[int, int]]:
        """Groups and their cases of each kind of STABILITY_ZH."""
        groups, cases = Counter[str](), Counter[str]()
        for code, kind in self.stability.items():
            groups[kind] += 1
            cases[kind] += self.scores.costs[code].cases
        return {kind: (groups[kind], cases[kind]) for kind in STABILITY_ZH}


def weigh(
    paths: Sequence[str],
    scheme: Scheme,
    plan: WeightPlan,
    *,
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
    problems: Sink | None = None,
    progress: Progress | None = None,
    tiers: PeerTiers | None = None,
) -> Weights:
    """Group a history and weigh its groups; with `tiers` also their means by tier in the last year.

    Raises HistoryRefused: a file that cannot be used, a year that is missing, a benchmark disease without cases, or
    no case in any group.
    """
    files = HistoryFiles(
        paths, fmt=plan.fmt, edition=plan.edition, threads=threads, block_rows=block_rows, progress=progress
    )
    look = first_look(files, None)
    with told_when_refused(files, look, problems):
        years = catalog_years(look.found, look.usable, plan.years, len(plan.year_weights), len(paths))
    history, names = _group(files, scheme, years, look.repeats, problems, tiers)
    history.remark(year_remarks(look.found, years), problems)
    scores = score_groups(history, plan, years)
    cases = history.cases.filter("counts").select("group", "cost_fen")
    return Weights(
        plan, scheme, years, look, files.sources, history, names, scores,
        explained_variance(cases), explained_variance(trimmed_as_one(cases, plan.trim)),
        {code: stability(costs, plan) for code, costs in scores.costs.items()},
        None if tiers is None else _peers(history, tiers, years, plan),
    )  # fmt: skip


def _peers(history: GroupedHistory, tiers: PeerTiers, years: Sequence[int], plan: WeightPlan) -> PeerAverages:
    cases = history.cases.filter(pl.col("counts") & (pl.col("group") != NO_GROUP))
    return peer_averages(cases, history.groups, tiers, max(years), plan.trim)


def stability(costs: GroupCosts, plan: WeightPlan) -> str:
    """Whether a group is stable: enough cases, and costs that do not vary too much."""
    if costs.cases < plan.min_cases:
        return FEW_CASES
    return UNSTABLE if costs.cv > plan.cv_limit else STABLE


def _group(
    files: HistoryFiles,
    scheme: Scheme,
    years: Sequence[int],
    repeats: Repeats,
    problems: Sink | None,
    tiers: PeerTiers | None,
) -> tuple[GroupedHistory, dict[str, str]]:
    """Every case in its group, groups numbered in the order of their codes, and their names; with `tiers` the cases
    have `tier` as well, a place in its names."""
    column = "dip" if isinstance(scheme, CompiledDip) else "drg"

    def work(block: HistoryBlock, first: int) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        found = group_cases(block.cases, scheme, used_codes=False)
        counts, aside = set_aside(block, years, repeats.of(first, block.cases.height))
        code = pl.when(pl.col("status").is_in(WEIGHED)).then(pl.col(column)).otherwise(pl.lit("")).alias("code")
        texts = found.select("status", "reason", "name", code)
        if tiers is not None:
            texts = texts.with_columns(tiers.words(block.cases).alias("tier"))
        numbers = pl.DataFrame(statistics_columns(block, counts))
        return numbers, texts, row_problems(block, aside)

    grouper_of(scheme)  # made once, before threads ask for it
    history = GroupedHistory(())
    places: dict[str, int] = {"": NO_GROUP}
    names: dict[str, str] = {}
    parts = []
    for numbers, texts, found in files.each(work):
        for status, reason, count in texts.group_by("status", "reason").len().iter_rows():
            history.status[status] += count
            if reason and status not in WEIGHED:
                history.reasons[reason] += count
        for code, name in texts.select("code", "name").unique().iter_rows():
            places.setdefault(code, len(places) - 1)
            if code:
                names[code] = name
        place = texts["code"].replace_strict(list(places), list(places.values()), return_dtype=pl.Int32)
        numbers = numbers.with_columns(place.alias("group"))
        parts.append(numbers if tiers is None else numbers.with_columns(tiers.numbers(texts["tier"]).alias("tier")))
        history.note(found)
        if problems is not None and found.height:
            problems.write(found)
    history.groups = tuple(sorted(names))
    ordered = {places[code]: at for at, code in enumerate(history.groups)} | {NO_GROUP: NO_GROUP}
    cases = pl.concat(parts, rechunk=True)
    group = cases["group"].replace_strict(list(ordered), list(ordered.values()), return_dtype=pl.Int32)
    history.cases = cases.with_columns(group)
    return history, names


TABLE_COLUMNS = ("group", "name", "cases", "kept", "share", "mean_cost", "cv", "stability")
"""Columns of the table beside its weight: cases in the statistics and kept after trimming, share of all cases of the
statistics, mean cost over the weighted years in yuan."""
PEER_COLUMNS = ("tier", "peer_average")
"""Further columns, with a policy: a row for each group and tier has its cases of the last year and their mean, yuan."""


def weight_table(weights: Weights) -> pl.DataFrame:
    """One row per group, in the order of codes, all text: group, name, rw or weight, then the rest of TABLE_COLUMNS and
    the cases of each year; with averages by tier also PEER_COLUMNS and, below each group, a row for each tier. Other
    commands read it as a weight file (group_weights)."""
    rows = []
    peers = {} if weights.peers is None else weights.peers.of
    columns = ["group", "name", weights.column, *TABLE_COLUMNS[2:], *(f"cases_{year}" for year in weights.years)]
    if weights.peers is not None:
        columns[1:1] = PEER_COLUMNS
    for code, costs in weights.scores.costs.items():
        by_year = {year.year: year.cases for year in costs.years}
        rows.append(
            {
                "group": code,
                "name": weights.names[code],
                weights.column: str(weights.scores.scores[code]),
                "cases": str(costs.cases),
                "kept": str(costs.kept),
                "share": weights.scores.share(code),
                "mean_cost": yuan_text(round_half_up(costs.mean_fen)),
                "cv": costs.cv_text,
                "stability": weights.stability[code],
                **{f"cases_{year}": str(by_year.get(year, 0)) for year in weights.years},
            }
        )
        for tier, found in peers.get(code, {}).items():
            row = {"group": code, "tier": tier, "name": weights.names[code], "cases": str(found.cases)}
            rows.append(row | {"kept": str(found.kept), "peer_average": yuan_text(round_half_up(found.mean_fen))})
    return pl.DataFrame([{name: row.get(name, "") for name in columns} for row in rows])


def about(weights: Weights) -> Iterator[tuple[str, str]]:
    """How the weights were made, in Chinese: label and value."""
    plan, rules, pack = weights.plan, catalog_rules(), weights.scheme.pack
    yield "分组方案", f"{pack.id} {pack.version}"
    yield "分组方案校验值", pack.sha256
    yield "年度", "、".join(map(str, weights.years))
    yield "年度权重", ratio_text(plan.year_weights)
    yield "方法", rules.methods[plan.method].label
    if plan.benchmark:
        yield "基准病种", plan.benchmark
    yield "费用裁剪", plan.trimming
    yield "稳定病组", f"统计病例不少于 {plan.min_cases} 例，变异系数不大于 {ratio_text([plan.cv_limit])}"
    yield f"{REFERENCE_MEAN}（元）", yuan_text(round_half_up(weights.scores.whole.mean_fen))
    yield f"{PLAIN_MEAN}（元）", yuan_text(round_half_up(weights.scores.plain_fen))
    yield "基准费用（元）", yuan_text(round_half_up(weights.scores.reference_fen))
    if weights.peers is not None:
        pairs = sum(map(len, weights.peers.of.values()))
        yield (
            "同级别次均费用",
            f"{weights.peers.year} 年，{pairs} 个（病组×级别），级别不详的病例 {weights.peers.unknown} 例不计",
        )
