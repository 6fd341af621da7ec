"""Weights estimated anew from newer cases and drawn towards the old ones, the more the fewer cases a group has.

    w = (n x new + k x old) / (n + k)

`n` cases of the group, `k` the number of cases that the old weight counts for. Estimated, k is the variance of costs
within groups over the variance of the true changes between groups, both in units of weight (credibility of Buehlmann
and Straub with the old weight as the group's known expectation; H. Buehlmann, A. Gisler, A Course in Credibility
Theory, 2005, chapter 4):

    within  s2 = sum of squared deviations within groups / sum of (n - 1)
    between t2 = (sum of n (new - old)^2 - groups x s2) / sum of n, not below 0
    k = s2 / t2; with t2 = 0 nothing has changed but by chance, and the old weights stay

Everything is exact; a weight is rounded half up once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import round_half_up


@dataclass(frozen=True, slots=True)
class GroupHistory:
    """A group's newer cases: number, sum of costs (fen) and sum of squared costs, after trimming; its old weight."""

    group: str
    cases: int
    sum_fen: int
    square_sum: int
    old: Fraction


@dataclass(frozen=True, slots=True)
class Shrunk:
    """One group's weight: as it was, as newer cases alone would have it, what is set, and the share of the new one in
    it; groups with too few cases keep the old one (`share` 0)."""

    group: str
    cases: int
    old: Fraction
    new: Fraction
    weight: Fraction
    share: Fraction


@dataclass(frozen=True)
class Shrinkage:
    """`groups` in the given order; `k` cases that the old weight counts for, None: the old weights stay as they are;
    `residual`: how far rounding moves the case-weighted mean of weights."""

    groups: tuple[Shrunk, ...]
    k: Fraction | None
    residual: Fraction


def shrink(
    groups: Sequence[GroupHistory], k: Fraction | None, *, least_cases: int, digits: int, keep_mean: bool
) -> Shrinkage:
    """New weights of the given groups.

    `k` None: estimated. Groups with fewer than `least_cases` cases (at least 1) keep their weight and take no part in
    the estimate. The newer cases give relative weights, put to the level at which the case-weighted mean of the groups
    that take part is as before; with `keep_mean` it is so after shrinking as well. Raises ValueError when no group has
    enough cases, or their costs add up to nothing.
    """
    part = [group for group in groups if group.cases >= max(1, least_cases)]
    total, paid = sum(group.cases for group in part), sum(group.sum_fen for group in part)
    if not total or not paid:
        raise ValueError("no group has enough cases")
    per_weight = Fraction(paid) / sum((group.cases * group.old for group in part), Fraction(0))
    new = {group.group: Fraction(group.sum_fen, group.cases) / per_weight for group in part}
    weight_of_old = k if k is not None else _estimated(part, new, per_weight)
    shares = {
        group.group: Fraction(0) if weight_of_old is None else group.cases / (group.cases + weight_of_old)
        for group in part
    }
    mixed = {group.group: group.old + shares[group.group] * (new[group.group] - group.old) for group in part}
    before = sum((group.cases * group.old for group in part), Fraction(0))
    level = before / sum((group.cases * mixed[group.group] for group in part), Fraction(0)) if keep_mean else 1
    unit = 10**digits
    made = []
    for group in groups:
        name, share = group.group, shares.get(group.group, Fraction(0))
        moved = weight_of_old is not None and name in mixed
        weight = Fraction(round_half_up(mixed[name] * level * unit), unit) if moved else group.old
        made.append(Shrunk(name, group.cases, group.old, new.get(name, group.old), weight, share))
    after = sum((item.cases * item.weight for item in made if item.group in mixed), Fraction(0))
    return Shrinkage(tuple(made), weight_of_old, (after - before) / total)


def _estimated(groups: Sequence[GroupHistory], new: Mapping[str, Fraction], per_weight: Fraction) -> Fraction | None:
    """Within over between variance; None when the weights differ by no more than chance."""
    freedom = sum(group.cases - 1 for group in groups)
    if not freedom:
        return None
    deviations = sum((Fraction(g.square_sum) - Fraction(g.sum_fen) ** 2 / g.cases for g in groups), Fraction(0))
    within = deviations / freedom / per_weight**2
    squares = sum((group.cases * (new[group.group] - group.old) ** 2 for group in groups), Fraction(0))
    between = (squares - len(groups) * within) / sum(group.cases for group in groups)
    return within / between if between > 0 else None
