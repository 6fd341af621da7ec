"""Last year's mean cost of each group at hospitals of the same tier (同级别上年次均费用): what a policy whose reference
is PEER compares a case with.

The cases are those that the trimming of the run keeps of their group, by its limits over all years. As a group of which
trimming would leave nothing is left whole, so is a tier of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from api.core.payable import tiers_of
from budget.trimming import Trimming, kept_costs
from reference_tables.policy import Policy

NO_TIER = -1


@dataclass
class PeerTiers:
    """Tiers of a history under a policy; `hospitals`: the register (pay_inputs), None when the cases' own words count.
    `names`: the tiers seen, the policy's own first."""

    policy: Policy
    hospitals: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        self.names: list[str] = list(self.policy.tiers)

    def words(self, cases: pl.DataFrame) -> pl.Series:
        """String [cases]: the tier of each in the policy's words, null when it has none of them."""
        found = tiers_of(cases, self.policy, self.hospitals)
        return found if not self.policy.tiers else found.set(~found.is_in(list(self.policy.tiers)), None)

    def numbers(self, words: pl.Series) -> pl.Series:
        """Int32 [cases]: places in `names`, NO_TIER for none."""
        for word in words.drop_nulls().unique(maintain_order=True):
            if word not in self.names:
                self.names.append(word)
        places = list(range(len(self.names)))
        return words.replace_strict(self.names, places, default=NO_TIER, return_dtype=pl.Int32)


@dataclass(frozen=True, slots=True)
class PeerAverage:
    """A group at a tier last year: cases in the statistics, those that count after trimming, and their mean in fen."""

    cases: int
    kept: int
    mean_fen: Fraction


@dataclass(frozen=True)
class PeerAverages:
    """`year`: the last one; `of`: group code -> tier -> its average, tiers in the policy's order (by name when it names
    none); what has no case is not there. `unknown`: cases of the year whose hospital has no tier of the policy."""

    year: int
    of: Mapping[str, Mapping[str, PeerAverage]]
    unknown: int


def peer_averages(
    cases: pl.DataFrame, groups: Sequence[str], tiers: PeerTiers, year: int, rule: Trimming
) -> PeerAverages:
    """Averages of `year`. `cases`: group (place in `groups`), year, tier (place in `tiers.names`, NO_TIER = none) and
    cost_fen of every case in the statistics of all years."""
    own = cases.with_columns(kept_costs(cases["group"], cases["cost_fen"], rule)).filter(pl.col("year") == year)
    counts = pl.col("kept") | ~pl.col("kept").any().over("group", "tier")
    summed = (
        own.filter(pl.col("tier") != NO_TIER)
        .with_columns(counts.alias("kept"))
        .group_by("group", "tier")
        .agg(pl.len(), pl.col("kept").sum().alias("count"), pl.col("cost_fen").filter("kept").sum())
    )
    ranks = {name: place for place, name in enumerate(tiers.policy.tiers or sorted(tiers.names))}
    found: dict[str, dict[str, PeerAverage]] = {}
    rows = [(group, tiers.names[tier], *rest) for group, tier, *rest in summed.iter_rows()]
    for group, tier, count, kept, total in sorted(rows, key=lambda row: (row[0], ranks[row[1]])):
        found.setdefault(groups[group], {})[tier] = PeerAverage(count, kept, Fraction(total, kept))
    return PeerAverages(year, found, own.filter(pl.col("tier") == NO_TIER).height)
