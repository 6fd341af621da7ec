"""Factors that keep a corridor after clearing: the pool is given, and everybody's factor moves the point value. The
factors of those outside the corridor are moved step by step until all lie within it; what is reached is measured."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from budget.solve_kinds import Balanced, Corridor, Evaluate, Factors, Near, Slack, outside, slack_of, total_slack

MOST_STEPS = 40
_MOST_MEASURED = 8
"""Steps that are measured where what lies between them is worked out."""
_NEARER = Fraction(99, 100)
_IDLE = 2
"""So many measured steps of which none is nearer than _NEARER of the nearest before them are the last ones."""
_NO_NEARER = 6
"""So many guessed steps without coming nearer end the guessing."""
_DAMPED = Fraction(9, 10)


class _Counted:
    def __init__(self, evaluate: Evaluate) -> None:
        self.evaluate = evaluate
        self.tried = 0

    def __call__(self, factors: Sequence[Fraction]) -> tuple[int, ...]:
        self.tried += 1
        return tuple(self.evaluate(factors))


def keep_coupled(corridor: Corridor, measure: Evaluate, near: Near | None) -> Balanced:
    """Step by step: whoever lies outside is moved to its edge as if the point value stood still; the value then moves
    everybody a little, and the rest follows in the next step. With `near` only each step that it leads to is measured.
    Where not all come within, the step that came nearest."""
    evaluate, members = _Counted(measure), corridor.members
    factors = dict.fromkeys(corridor.owners, Fraction(1))
    reached = evaluate([factors[member.owner] for member in members])
    steps = [(sum(outside(corridor, reached)), 0, factors, reached)]
    most = MOST_STEPS if near is None else _MOST_MEASURED
    while any(outside(corridor, reached)) and len(steps) <= most:
        moved = _step(corridor, factors, reached)
        if near is not None:
            moved = _led(corridor, near([factors[member.owner] for member in members], reached), moved)
        if moved == factors:
            break
        whole, factors = sum(reached), moved
        reached = evaluate([factors[member.owner] for member in members])
        steps.append((sum(outside(corridor, reached)), len(steps), factors, reached))
        far = [step[0] for step in steps]
        if near is not None and len(far) > _IDLE and min(far[-_IDLE:]) > min(far[:-_IDLE]) * _NEARER:
            break  # what is worked out leads no further
        if sum(reached) == whole and _given_total(corridor, whole):
            break  # the pool's money is given, and no factors make it fit
    _, _, factors, reached = min(steps, key=lambda step: step[:2])
    missing = outside(corridor, reached)
    if not any(missing):
        return Balanced(factors, reached, (), evaluate.tried)
    total = _given_total(corridor, sum(reached))
    slacks = [
        slack_of("short" if fen < corridor.least(member) else "over", member, lack)
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
        beyond = sum(outside(corridor, reached))
        if best is None or beyond < best[0]:
            best = beyond, step, factors
        moved = _step(corridor, factors, reached)
        if not beyond or moved == factors or step - best[1] >= _NO_NEARER:
            break
        factors = moved
    assert best is not None, "at least one step"
    return best[2]


def _given_total(corridor: Corridor, whole: int) -> Slack | None:
    """What the total has beyond, or lacks to, all that the corridor leaves room for."""
    least = sum(corridor.least(member) for member in corridor.members)
    most = sum(corridor.most(member) for member in corridor.members)
    if least <= whole <= most:
        return None
    return total_slack(corridor, whole - most if whole > most else whole - least)


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
