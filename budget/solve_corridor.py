"""Factors on coefficients that keep every hospital's gain within a corridor, with the least change.

A factor belongs to one hospital, or to all of a tier. What is least: the squared relative changes, each weighted by the
money that moves with it. Its optimum under bounds of single factors and a given total is one common factor for all,
cut off at everybody's own bounds; so bounds and common factor are found by exact searches, no approximation is solved.

Before clearing a hospital's money depends on its own factor alone. After it the pool is given and everybody's factor
moves the point value (`coupled`): then the factors of those outside the corridor are moved step by step until all lie
within it, and what is reached is measured exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from budget.solve import Grid, OutOfReach, solve_for

Factors = Mapping[str, Fraction]
Evaluate = Callable[[Sequence[Fraction]], Sequence[int]]
"""Factors by hospital -> money by hospital, fen; both in the order of the corridor's members."""
Near = Callable[[Sequence[Fraction], Sequence[int]], Evaluate]
"""Factors and what was measured with them -> about what others come to, without measuring it."""
MOST_STEPS = 40
_MOST_MEASURED = 8
"""Steps that are measured where what lies between them is worked out."""
_NEARER = Fraction(99, 100)
_IDLE = 2
"""So many measured steps of which none is nearer than _NEARER of the nearest before them are the last ones."""
_NO_NEARER = 6
"""So many guessed steps without coming nearer end the guessing."""
_DAMPED = Fraction(9, 10)
_STEP = Fraction(1, 10**6)
"""What is told of widening: percentage points with four decimals."""


@dataclass(frozen=True, slots=True)
class Member:
    """A hospital: `owner` names its factor (itself or its tier); `before` fen before the reform."""

    hospital: str
    owner: str
    before: int


@dataclass(frozen=True)
class Corridor:
    """What is asked: gains from `low` to `high` (shares of `before`), factors on `grid`, and, unless None, that all
    money adds up to `total` fen."""

    members: tuple[Member, ...]
    low: Fraction
    high: Fraction
    grid: Grid
    total: int | None

    def least(self, member: Member) -> int:
        """The least money within the corridor, fen."""
        return ceil(member.before * (1 + self.low))

    def most(self, member: Member) -> int:
        return floor(member.before * (1 + self.high))

    @property
    def owners(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(member.owner for member in self.members))


@dataclass(frozen=True, slots=True)
class Slack:
    """A constraint that stands in the way: `what` low or high (corridor of `hospital`), conflict (of two hospitals of
    one factor, the other in `other`), total, or beyond (a total that no corridor reaches with factors of the grid);
    after clearing also short or over: the steps left `hospital` outside, which factors might still bring in. `missing`
    fen lack or are too many; `share` of the money before that the corridor would have to be wider by on both sides: for
    this hospital; for the total, for everything asked (after clearing: at least)."""

    what: str
    hospital: str
    missing: int
    share: Fraction
    other: str = ""


@dataclass(frozen=True)
class Balanced:
    """`factors` by owner; `reached` fen by hospital in the order of the members; `slacks` empty when all is kept;
    `tried` evaluations."""

    factors: dict[str, Fraction]
    reached: tuple[int, ...]
    slacks: tuple[Slack, ...]
    tried: int


class _Counted:
    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self.tried = 0

    def __call__(self, factors: Sequence[Fraction]) -> tuple[int, ...]:
        self.tried += 1
        return tuple(self.evaluate(factors))


def keep_corridor(
    corridor: Corridor, evaluate: Evaluate, *, coupled: bool = False, near: Near | None = None
) -> Balanced:
    """The factors with the least change that keep the corridor; with what stands in the way when there are none, and
    then the factors that come nearest to it. `near` spares a coupled corridor most of its evaluations."""
    counted = _Counted(evaluate)
    if coupled:
        return _keep_coupled(corridor, counted, near)
    found = _keep(corridor, counted)
    slacks = tuple(_widened(corridor, counted, found, slack) for slack in found.slacks)
    return Balanced(found.factors, found.reached, slacks, counted.tried)


def _widened(corridor: Corridor, counted: _Counted, found: Balanced, slack: Slack) -> Slack:
    """A total that does not fit, with the least widening that everything asked for fits into, in steps of _STEP; or as
    beyond what factors of the grid reach."""
    if slack.what != "total":
        return slack
    grid = corridor.grid
    ends = [sum(counted([grid.value(place)] * len(corridor.members))) for place in (grid.first, grid.last)]
    if corridor.total is None or not min(ends) <= corridor.total <= max(ends):
        return Slack("beyond", "", slack.missing, slack.share)
    short, enough, more, slacks = 0, 0, 1, found.slacks  # in steps: short is too little, enough is not
    while slacks:
        # No less than any of them lacks: bounds that already lie at an end of the grid leave the rest to the others.
        short, enough = enough, enough + max(more, ceil(max(abs(item.share) for item in slacks) / _STEP) - 1)
        slacks, more = _at_width(corridor, counted, enough), more * 2
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (middle, enough) if _at_width(corridor, counted, middle) else (short, middle)
    return Slack("total", "", slack.missing, enough * _STEP)


def _at_width(corridor: Corridor, counted: _Counted, steps: int) -> tuple[Slack, ...]:
    """What stands in the way of a corridor wider by some steps on both sides."""
    room = replace(corridor, low=corridor.low - steps * _STEP, high=corridor.high + steps * _STEP)
    return _keep(room, counted).slacks


def _keep(corridor: Corridor, counted: _Counted) -> Balanced:
    """As `keep_corridor`, before clearing."""
    low = _edges(corridor, counted, upward=True)
    high = _edges(corridor, counted, upward=False)
    slacks = _unreachable(corridor, counted, low, high)
    bounds = _of_owners(corridor, low, high)
    slacks += _conflicts(corridor, counted, low, high, bounds)
    factors, total_slack = _common(corridor, counted, bounds)
    reached = counted([factors[member.owner] for member in corridor.members])
    return Balanced(factors, reached, (*slacks, *total_slack), counted.tried)


def _edges(corridor: Corridor, evaluate: _Counted, *, upward: bool) -> list[int]:
    """The place of each hospital's factor at the corridor's lower (`upward`) or upper edge, as if all were its own: the
    least one that gives at least the least money, or the greatest that gives at most the most. Beyond the grid by one
    where there is none."""
    grid, members = corridor.grid, corridor.members
    wanted = [corridor.least(member) if upward else corridor.most(member) for member in members]
    # Below `start` money is too little (upward), or not too much; from `stop` on it is enough, or too much.
    start, stop = [grid.first - 1] * len(members), [grid.last + 1] * len(members)
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


def _unreachable(corridor: Corridor, evaluate: _Counted, low: Sequence[int], high: Sequence[int]) -> list[Slack]:
    """Hospitals that no factor of the grid brings into the corridor."""
    grid = corridor.grid
    short = [at for at, place in enumerate(low) if place > grid.last]
    over = [at for at, place in enumerate(high) if place < grid.first]
    slacks = []
    if short:
        money = evaluate([grid.value(grid.last)] * len(low))
        for at in short:
            member = corridor.members[at]
            slacks.append(_slack("low", member, corridor.least(member) - money[at]))
    if over:
        money = evaluate([grid.value(grid.first)] * len(high))
        for at in over:
            member = corridor.members[at]
            slacks.append(_slack("high", member, money[at] - corridor.most(member)))
    return slacks


def _slack(what: str, member: Member, missing: int, other: str = "") -> Slack:
    return Slack(what, member.hospital, missing, Fraction(missing, member.before or 1), other)


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
    evaluate: _Counted,
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
            slacks.append(_slack("low", member, 0))
            continue
        money = evaluate([grid.value(max(top, grid.first))] * len(members))
        slacks.append(_slack("conflict", member, corridor.least(member) - money[needs], members[bars].hospital))
    return slacks


def _common(
    corridor: Corridor, evaluate: _Counted, bounds: Mapping[str, tuple[int, int, int, int]]
) -> tuple[dict[str, Fraction], list[Slack]]:
    """Everybody's factor: the common one cut off at the own bounds, and what the total lacks."""
    grid = corridor.grid
    ends = {}
    for owner, (bottom, top, _, _) in bounds.items():
        bottom, top = min(max(bottom, grid.first), grid.last), min(max(top, grid.first), grid.last)
        # Where no factor keeps both, it lies half way between what its hospitals ask for.
        ends[owner] = (bottom, top) if bottom <= top else ((bottom + top) // 2,) * 2

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
        return cut(error.nearest.value), [_total_slack(corridor, int(error.missing))]


def _total_slack(corridor: Corridor, missing: int) -> Slack:
    whole = sum(member.before for member in corridor.members)
    return Slack("total", "", missing, Fraction(abs(missing), whole or 1))


def _keep_coupled(corridor: Corridor, evaluate: _Counted, near: Near | None) -> Balanced:
    """Step by step: whoever lies outside is moved to its edge as if the point value stood still; the value then moves
    everybody a little, and the rest follows in the next step. With `near` only each step that it leads to is measured.
    Where not all come within, the step that came nearest."""
    members = corridor.members
    factors = dict.fromkeys(corridor.owners, Fraction(1))
    reached = evaluate([factors[member.owner] for member in members])
    steps = [(sum(_outside(corridor, reached)), 0, factors, reached)]
    most = MOST_STEPS if near is None else _MOST_MEASURED
    while any(_outside(corridor, reached)) and len(steps) <= most:
        moved = _step(corridor, factors, reached)
        if near is not None:
            moved = _led(corridor, near([factors[member.owner] for member in members], reached), moved)
        if moved == factors:
            break
        whole, factors = sum(reached), moved
        reached = evaluate([factors[member.owner] for member in members])
        steps.append((sum(_outside(corridor, reached)), len(steps), factors, reached))
        far = [step[0] for step in steps]
        if near is not None and len(far) > _IDLE and min(far[-_IDLE:]) > min(far[:-_IDLE]) * _NEARER:
            break  # what is worked out leads no further
        if sum(reached) == whole and _given_total(corridor, whole):
            break  # the pool's money is given, and no factors make it fit
    _, _, factors, reached = min(steps, key=lambda step: step[:2])
    missing = _outside(corridor, reached)
    if not any(missing):
        return Balanced(factors, reached, (), evaluate.tried)
    total = _given_total(corridor, sum(reached))
    slacks = [
        _slack("short" if fen < corridor.least(member) else "over", member, lack)
        for member, fen, lack in zip(members, reached, missing, strict=True)
        if lack
    ]
    return Balanced(factors, reached, tuple(slacks) if total is None else (total,), evaluate.tried)


def _step(corridor: Corridor, factors: Factors, reached: Sequence[int]) -> dict[str, Fraction]:
    """The factors that lead everybody to its edge as if the point value stood still."""
    grid = corridor.grid
    wanted = {owner: factors[owner] * ratio for owner, ratio in _wanted(corridor, reached).items()}
    return {owner: grid.value(grid.nearest(wanted.get(owner, factor))) for owner, factor in factors.items()}


def _led(corridor: Corridor, guess: Evaluate, factors: dict[str, Fraction]) -> dict[str, Fraction]:
    """Where further steps from these factors lead by a guess of what they come to: to the one nearest by it."""
    best = None
    for step in range(MOST_STEPS):
        reached = guess([factors[member.owner] for member in corridor.members])
        outside = sum(_outside(corridor, reached))
        if best is None or outside < best[0]:
            best = outside, step, factors
        moved = _step(corridor, factors, reached)
        if not outside or moved == factors or step - best[1] >= _NO_NEARER:
            break
        factors = moved
    assert best is not None, "at least one step"
    return best[2]


def _outside(corridor: Corridor, reached: Sequence[int]) -> list[int]:
    """What each hospital lacks to the corridor or has beyond it, fen; 0 within."""
    return [
        max(0, corridor.least(member) - fen, fen - corridor.most(member))
        for member, fen in zip(corridor.members, reached, strict=True)
    ]


def _given_total(corridor: Corridor, whole: int) -> Slack | None:
    """What the total has beyond, or lacks to, all that the corridor leaves room for."""
    least = sum(corridor.least(member) for member in corridor.members)
    most = sum(corridor.most(member) for member in corridor.members)
    if least <= whole <= most:
        return None
    return _total_slack(corridor, whole - most if whole > most else whole - least)


def _wanted(corridor: Corridor, reached: Sequence[int]) -> dict[str, Fraction]:
    """By owner of hospitals outside: the ratio that leads a little beyond the edge of its farthest one."""
    found: dict[str, Fraction] = {}
    room = (corridor.high - corridor.low) * (1 - _DAMPED) / 2
    for member, fen in zip(corridor.members, reached, strict=True):
        if corridor.least(member) <= fen <= corridor.most(member) or fen <= 0:
            continue
        edge = 1 + (corridor.low + room if fen < corridor.least(member) else corridor.high - room)
        ratio = member.before * edge / fen
        if abs(ratio - 1) > abs(found.get(member.owner, Fraction(1)) - 1):
            found[member.owner] = ratio
    return found
