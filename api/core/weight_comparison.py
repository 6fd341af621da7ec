"""Weights beside a published table: difference, ratio and rank correlation of the groups that both have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from budget.money import decimal_text
from reference_tables.group_weights import find_group_weights
from reference_tables.weights import published_tables

_REGION_YEAR = re.compile(r"(.+?)[-－ ]?(\d{4})年?")
_LEAST = 3
_E6 = 10**6  # weights of both tables are whole numbers of this part


@dataclass(frozen=True, slots=True)
class ComparedGroup:
    """A group that both tables have. `theirs` may be 0; then there is no ratio."""

    code: str
    cases: int
    ours: Fraction
    theirs: Fraction

    @property
    def difference(self) -> Fraction:
        return self.ours - self.theirs

    @property
    def ratio(self) -> Fraction | None:
        return self.ours / self.theirs if self.theirs else None


@dataclass(frozen=True)
class Comparison:
    """`title` and `sha256` of the other table; groups that both have, and those that only one has; `level`: mean of
    ours by mean of theirs over the cases of the common groups, None without any; `rank_correlation` of Spearman, four
    decimals, "" for fewer than three common groups or when one table is all alike."""

    title: str
    sha256: str
    groups: tuple[ComparedGroup, ...]
    only_ours: tuple[str, ...]
    only_theirs: tuple[str, ...]
    level: Fraction | None
    rank_correlation: str


def compare(ours: Mapping[str, Fraction], cases: Mapping[str, int], name: str) -> Comparison:
    """Weights by group beside a table: an id of those built in, a region and year (苏州-2023), or a weight file.

    Raises TablesRefused when there is no such table or the file has faults.
    """
    table = find_group_weights(table_id(name))
    theirs = {code: weight for code in table.rw_e6 if (weight := table.weight(code)) is not None}
    groups = tuple(
        ComparedGroup(code, cases[code], ours[code], theirs[code]) for code in sorted(ours) if code in theirs
    )
    own, other = (sum((group.cases * weight(group) for group in groups), Fraction(0)) for weight in (_ours, _theirs))
    return Comparison(
        table.title or table.id,
        table.sha256,
        groups,
        tuple(sorted(set(ours) - set(theirs))),
        tuple(sorted(set(theirs) - set(ours))),
        own / other if other else None,
        _rank_correlation(groups),
    )


def _ours(group: ComparedGroup) -> Fraction:
    return group.ours


def _theirs(group: ComparedGroup) -> Fraction:
    return group.theirs


def table_id(name: str) -> str:
    """The id of a published table that is named by region and year; any other name as it is."""
    found = _REGION_YEAR.fullmatch(name.strip())
    return name if found is None else published_tables().get((found[1], int(found[2])), name)


def _rank_correlation(groups: tuple[ComparedGroup, ...]) -> str:
    if len(groups) < _LEAST or any(len({weight(group) for group in groups}) == 1 for weight in (_ours, _theirs)):
        return ""
    from scipy import stats  # takes a while to load

    ours, theirs = ([int(weight(group) * _E6) for group in groups] for weight in (_ours, _theirs))
    return decimal_text(Fraction(float(stats.spearmanr(ours, theirs).statistic)), 4)
