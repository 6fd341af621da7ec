"""Factors on coefficients that keep every hospital's gain within a corridor, with the least change.

A factor belongs to one hospital, or to all of a tier. What is least: the squared relative changes, each weighted by the
money that moves with it. Its optimum under bounds of single factors and a given total is one common factor for all,
cut off at everybody's own bounds; so bounds and common factor are found by exact searches, no approximation is solved.

Before clearing a hospital's money depends on its own factor alone; but a tier's factor may also be that of groups that
all tiers are paid by (`keep_tiers`): what it moves of others is measured, and looked for anew until it stands still.
Where the total does not fit, the corridor is widened by the least that it fits in, and the factors are those of the
wider one; a tier whose hospitals contradict each other gets the factor half way between what they ask for.
After clearing everybody's factor moves the point value: see `solve_coupled`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from budget.solve import OutOfReach, solve_for
from budget.solve_coupled import keep_coupled
from budget.solve_kinds import Balanced, Corridor, Evaluate, Near, Slack, outside, slack_of, total_slack

_MOST_ROUNDS = 12
"""So often what other tiers' factors add is taken anew."""
_LOOKED_AT = tuple(Fraction(percent, 100) for percent in (80, 90, 95, 100, 105, 110, 125))
"""Factors that are tried first: money may rise again where cases become outliers, and what is near 1 is wanted."""
_WIDEST = 10**9
"""No corridor is widened by more steps: a hospital that got nothing is never within one."""
_STEP = Fraction(1, 10**6)
"""What is told of widening: percentage points with four decimals."""


class _Apart:
    """Money by hospital where each one's depends on its own factor alone, measured once for each; `off` is added."""

    def __init__(self, evaluate: Evaluate, count: int) -> None:
        self.evaluate = evaluate
        self.known: list[dict[Fraction, int]] = [{} for _ in range(count)]
        self.off = [0] * count
        self.tried = 0

    def __call__(self, factors: Sequence[Fraction]) -> tuple[int, ...]:
        if any(factor not in known for factor, known in zip(factors, self.known, strict=True)):
            self.tried += 1
            for known, factor, fen in zip(self.known, factors, self.evaluate(factors), strict=True):
                known[factor] = fen
        return tuple(known[factor] + off for known, factor, off in zip(self.known, factors, self.off, strict=True))


def keep_corridor(
    corridor: Corridor, evaluate: Evaluate, *, coupled: bool = False, near: Near | None = None
) -> Balanced:
    """The factors with the least change that keep the corridor; with what stands in the way when there are none, and
    then the factors that come nearest to it. `near` spares a coupled corridor most of its evaluations."""
    if coupled:
        return keep_coupled(corridor, evaluate, near)
    return _keep_apart(corridor, _Apart(evaluate, len(corridor.members)))


def keep_tiers(corridor: Corridor, own: Evaluate, measured: Evaluate) -> Balanced:
    """The same where a factor moves other owners' hospitals, too: `own` tells what each hospital gets with only its own
    money moved by its factor, `measured` what all get with the owners' factors. What the others' factors add is taken
    from the factors found before, until what is found is what is measured; else the nearest that was found."""
    apart = _Apart(own, len(corridor.members))
    at = [Fraction(1)] * len(corridor.members)
    reached = tuple(measured(at))
    steps: list[tuple[int, int, Balanced]] = []
    while len(steps) < _MOST_ROUNDS:
        apart.off = [0] * len(at)
        apart.off = [fen - alone for fen, alone in zip(reached, apart(at), strict=True)]
        found = _keep_apart(corridor, apart, told=False)
        at = [found.factors[member.owner] for member in corridor.members]
        reached = tuple(measured(at))
        tried = apart.tried + len(steps) + 2
        missed = sum(outside(corridor, reached)) + abs(sum(reached) - (corridor.total or sum(reached)))
        steps.append((missed, len(steps), replace(found, reached=reached, tried=tried)))
        if reached == found.reached:
            break
    best = min(steps, key=lambda step: step[:2])[2]
    if not best.slacks:
        return best
    told = _keep_apart(corridor, apart)
    return replace(best, slacks=told.slacks, tried=apart.tried + len(steps) + 1)


def _keep_apart(corridor: Corridor, apart: _Apart, *, told: bool = True) -> Balanced:
    """The least change that keeps the corridor; a total that does not fit in the least widened one that it fits in.
    `told`: the slack of the total says how much wider everything asked for would need it."""
    found = _keep(corridor, apart)
    slack = next((slack for slack in found.slacks if slack.what == "total"), None)
    if slack is None:
        return found
    others = tuple(item for item in found.slacks if item is not slack)
    grid = corridor.grid
    ends = [sum(apart([grid.value(place)] * len(corridor.members))) for place in (grid.first, grid.last)]
    if corridor.total is None or not min(ends) <= corridor.total <= max(ends):
        beyond = Slack("beyond", "", slack.missing, slack.share)
        return replace(found, slacks=(*others, beyond), tried=apart.tried)
    fits = _least_width(corridor, apart, found, frozenset({"total"}))
    enough = _least_width(corridor, apart, found, None) if others and told else fits
    wide = _keep(_widened(corridor, fits), apart)
    total = Slack("total", "", slack.missing, enough * _STEP)
    return Balanced(wide.factors, wide.reached, (*others, total), apart.tried)


def _least_width(corridor: Corridor, apart: _Apart, found: Balanced, kinds: frozenset[str] | None) -> int:
    """The least widening, in steps of _STEP, with which nothing of these kinds (None: of any) stands in the way."""

    def standing(steps: int) -> list[Slack]:
        slacks = _standing(_widened(corridor, steps), apart)
        return [slack for slack in slacks if kinds is None or slack.what in kinds]

    slacks = [slack for slack in found.slacks if kinds is None or slack.what in kinds]
    short, enough, more = 0, 0, 1  # in steps: short is too little, enough is not
    while slacks and enough < _WIDEST:
        # No less than any of them lacks: bounds that already lie at an end of the grid leave the rest to the others.
        short, enough = enough, enough + max(more, ceil(max(abs(item.share) for item in slacks) / _STEP) - 1)
        slacks, more = standing(enough), more * 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (middle, enough) if standing(middle) else (short, middle)
    return enough


def _widened(corridor: Corridor, steps: int) -> Corridor:
    """The corridor wider by some steps on both sides."""
    return replace(corridor, low=corridor.low - steps * _STEP, high=corridor.high + steps * _STEP)


def _keep(corridor: Corridor, counted: _Apart) -> Balanced:
    """As `keep_corridor`, before clearing."""
    slacks, ends = _bounds(corridor, counted)
    factors, of_total = _common(corridor, counted, ends)
    reached = counted([factors[member.owner] for member in corridor.members])
    return Balanced(factors, reached, (*slacks, *of_total), counted.tried)


def _standing(corridor: Corridor, counted: _Apart) -> list[Slack]:
    """What stands in the way, the total taken from its ends only."""
    slacks, ends = _bounds(corridor, counted)
    if corridor.total is None:
        return slacks
    grid = corridor.grid
    least, most = (
        sum(counted([grid.value(ends[member.owner][side]) for member in corridor.members])) for side in (0, 1)
    )
    missing = max(least - corridor.total, 0) - max(corridor.total - most, 0)
    return slacks if abs(missing) <= corridor.tolerance else [*slacks, total_slack(corridor, -missing)]


def _bounds(corridor: Corridor, counted: _Apart) -> tuple[list[Slack], dict[str, tuple[int, int]]]:
    """What single hospitals ask for that cannot be, and between which places each owner's factor may lie."""
    grid = corridor.grid
    low = _edges(corridor, counted, upward=True)
    high = _edges(corridor, counted, upward=False)
    slacks = _unreachable(corridor, counted, low, high)
    bounds = _of_owners(corridor, low, high)
    slacks += _conflicts(corridor, counted, low, high, bounds)
    ends = {}
    for owner, (bottom, top, _, _) in bounds.items():
        bottom, top = min(max(bottom, grid.first), grid.last), min(max(top, grid.first), grid.last)
        # Where no factor keeps both, it lies half way between what its hospitals ask for.
        ends[owner] = (bottom, top) if bottom <= top else ((bottom + top) // 2,) * 2
    return slacks, ends


def _edges(corridor: Corridor, evaluate: _Apart, *, upward: bool) -> list[int]:
    """The place of each hospital's factor at the corridor's lower (`upward`) or upper edge, as if all were its own: the
    least one that gives at least the least money, or the greatest that gives at most the most. Beyond the grid by one
    where there is none."""
    grid, members = corridor.grid, corridor.members
    wanted = [corridor.least(member) if upward else corridor.most(member) for member in members]
    for factor in _LOOKED_AT:
        if grid.first <= (place := grid.nearest(factor)) <= grid.last:
            evaluate([grid.value(place)] * len(members))
    # Below `start` money is too little (upward), or not too much; from `stop` on it is enough, or too much.
    start, stop = [grid.first - 1] * len(members), [grid.last + 1] * len(members)
    for at, known in enumerate(evaluate.known):
        there = sorted((int(factor * grid.unit), fen + evaluate.off[at]) for factor, fen in known.items())
        enough = [fen >= wanted[at] if upward else fen > wanted[at] for _, fen in there]
        steps = [(there[i][0], there[i + 1][0]) for i in range(len(there) - 1) if enough[i + 1] and not enough[i]]
        # Money need not rise throughout: of several places where it passes the edge, the one nearest to no change.
        start[at], stop[at] = min(steps, key=lambda step: abs(step[0] - grid.unit), default=(start[at], stop[at]))
    while any(b - a > 1 for a, b in zip(start, stop, strict=True)):
        middle = [(a + b) // 2 for a, b in zip(start, stop, strict=True)]
        inside = [min(max(place, grid.first), grid.last) for place in middle]
        money = evaluate([grid.value(place) for place in inside])
        for at, (place, fen) in enumerate(zip(middle, money, strict=True)):
            if stop[at] - start[at] <= 1:
                continue
            if fen >= wanted[at] if upward else fen > wanted[at]:
                stop[at] = place
            else:
                start[at] = place
    return stop if upward else start


def _unreachable(corridor: Corridor, evaluate: _Apart, low: Sequence[int], high: Sequence[int]) -> list[Slack]:
    """Hospitals that no factor of the grid brings into the corridor."""
    grid = corridor.grid
    short = [at for at, place in enumerate(low) if place > grid.last]
    over = [at for at, place in enumerate(high) if place < grid.first]
    slacks = []
    if short:
        money = evaluate([grid.value(grid.last)] * len(low))
        for at in short:
            member = corridor.members[at]
            slacks.append(slack_of("low", member, corridor.least(member) - money[at]))
    if over:
        money = evaluate([grid.value(grid.first)] * len(high))
        for at in over:
            member = corridor.members[at]
            slacks.append(slack_of("high", member, money[at] - corridor.most(member)))
    return slacks


def _of_owners(corridor: Corridor, low: Sequence[int], high: Sequence[int]) -> dict[str, tuple[int, int, int, int]]:
    """By owner: the highest lower and the lowest upper place of its hospitals, and whose they are."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for at, member in enumerate(corridor.members):
        bottom, top, of_bottom, of_top = found.get(member.owner, (low[at], high[at], at, at))
        if low[at] > bottom:
            bottom, of_bottom = low[at], at
        if high[at] < top:
            top, of_top = high[at], at
        found[member.owner] = bottom, top, of_bottom, of_top
    return found


def _conflicts(
    corridor: Corridor,
    evaluate: _Apart,
    low: Sequence[int],
    high: Sequence[int],
    bounds: Mapping[str, tuple[int, int, int, int]],
) -> list[Slack]:
    """Owners whose hospitals need more than others of them may have."""
    grid, members = corridor.grid, corridor.members
    slacks: list[Slack] = []
    for bottom, top, needs, bars in bounds.values():
        if bottom <= top or low[needs] > grid.last or high[bars] < grid.first:
            continue
        member = members[needs]
        if needs == bars:  # one step of the grid jumps over the corridor
            slacks.append(slack_of("low", member, 0))
            continue
        money = evaluate([grid.value(max(top, grid.first))] * len(members))
        slacks.append(slack_of("conflict", member, corridor.least(member) - money[needs], members[bars].hospital))
    return slacks


def _common(
    corridor: Corridor, evaluate: _Apart, ends: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, Fraction], list[Slack]]:
    """Everybody's factor: the common one cut off at the own bounds, and what the total lacks."""
    grid = corridor.grid

    def cut(common: Fraction) -> dict[str, Fraction]:
        place = grid.nearest(common)
        return {owner: grid.value(min(max(place, low), high)) for owner, (low, high) in ends.items()}

    def total(common: Fraction) -> int:
        factors = cut(common)
        return sum(evaluate([factors[member.owner] for member in corridor.members]))

    if corridor.total is None:
        return cut(Fraction(1)), []
    try:
        return cut(solve_for(total, corridor.total, grid, Fraction(1)).value), []
    except OutOfReach as error:
        if abs(error.missing) <= corridor.tolerance:
            return cut(error.nearest.value), []
        return cut(error.nearest.value), [total_slack(corridor, int(error.missing))]
