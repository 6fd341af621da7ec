"""What is asked of a corridor (`solve_corridor`), and what stands in its way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from budget.solve import Grid

Factors = Mapping[str, Fraction]
Evaluate = Callable[[Sequence[Fraction]], Sequence[int]]
"""Factors by hospital -> money by hospital, fen; both in the order of the corridor's members."""
Near = Callable[[Sequence[Fraction], Sequence[int]], Evaluate]
"""Factors and what was measured with them -> about what others come to, without measuring it."""


@dataclass(frozen=True, slots=True)
class Member:
    """A hospital: `owner` names its factor (itself or its tier); `before` fen before the reform."""

    hospital: str
    owner: str
    before: int


@dataclass(frozen=True)
class Corridor:
    """What is asked: gains from `low` to `high` (shares of `before`), factors on `grid`, and, unless None, that all
    money adds up to `total` fen, or misses it by no more than `tolerance`."""

    members: tuple[Member, ...]
    low: Fraction
    high: Fraction
    grid: Grid
    total: int | None
    tolerance: Fraction = Fraction(0)

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


def total_slack(corridor: Corridor, missing: int) -> Slack:
    whole = sum(member.before for member in corridor.members)
    return Slack("total", "", missing, Fraction(abs(missing), whole or 1))


def outside(corridor: Corridor, reached: Sequence[int]) -> list[int]:
    """What each hospital lacks to the corridor or has beyond it, fen; 0 within."""
    return [
        max(0, corridor.least(member) - fen, fen - corridor.most(member))
        for member, fen in zip(corridor.members, reached, strict=True)
    ]


def slack_of(what: str, member: Member, missing: int, other: str = "") -> Slack:
    return Slack(what, member.hospital, missing, Fraction(missing, member.before or 1), other)
