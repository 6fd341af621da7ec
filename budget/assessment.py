"""From a yearly assessment score to what it does to deposit, retention or share.

Bands are data: the first band whose lower end the score reaches applies. Source: service agreements; 宁波 2013 for the
shift of a share in points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import round_half_up


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """From this score on: the base share moved by `shift`, or multiplied by `factor`; `none`: nothing is paid."""

    score: Fraction
    shift: Fraction = Fraction(0)
    factor: Fraction = Fraction(1)
    none: bool = False


def assessed_share(base: Fraction, score: Fraction, bands: Sequence[ScoreBand]) -> Fraction:
    """The share after assessment, between 0 and 1. `bands` from the highest score down; below all of them nothing."""
    band = next((item for item in bands if score >= item.score), None)
    if band is None or band.none:
        return Fraction(0)
    return min(Fraction(1), max(Fraction(0), base * band.factor + band.shift))


def assessed_factor(score: Fraction, bands: Sequence[ScoreBand]) -> Fraction:
    """What a retained surplus is multiplied by after assessment, not below 0; a reward may lie above 1 (重庆). `bands`
    from the highest score down; below all of them nothing."""
    band = next((item for item in bands if score >= item.score), None)
    return Fraction(0) if band is None or band.none else max(Fraction(0), band.factor + band.shift)


def assessed_amount(amount: int, share: Fraction) -> int:
    """A share of an amount in fen, rounded half up."""
    return round_half_up(amount * share)
