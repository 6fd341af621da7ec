"""County medical groups (医共体打包付费): a budget by heads, spend wherever treated, surplus and overrun shared inside.

Source: 广东, 毕节, 青岛, 宁波 rules on bundled payment by heads, as one form with parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import apportion, round_half_up


@dataclass(frozen=True, slots=True)
class Heads:
    """Insured persons of one insurance and the yearly amount for each, fen."""

    insurance: str
    heads: int
    per_head: int


@dataclass(frozen=True, slots=True)
class BundleRule:
    """`reserve`: share of the gross budget held back; `retain`: share of the surplus kept, moved by the assessment
    coefficient; `overrun_share` of the overrun borne by the fund, for overrun up to `overrun_cap` of the budget."""

    reserve: Fraction
    retain: Fraction
    overrun_share: Fraction
    overrun_cap: Fraction | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A year of one group, fen. `budget` = `gross` - `reserve`; `used` inside and outside the group; either a surplus
    with its `retained` part or an overrun shared as `fund_share` + `group_bears`; `split` of what is retained."""

    gross: int
    reserve: int
    budget: int
    used: int
    surplus: int
    retained: int
    overrun: int
    fund_share: int
    group_bears: int
    split: tuple[tuple[str, int], ...]

    @property
    def reserve_left(self) -> int:
        """What of the reserve the fund's share of an overrun does not use."""
        return max(0, self.reserve - self.fund_share)

    @property
    def not_retained(self) -> int:
        """What of a surplus the group does not keep, by the policy's share or its assessment."""
        return self.surplus - self.retained


def clear_bundle(
    heads: Sequence[Heads],
    *,
    inside: int,
    outside: int,
    rule: BundleRule,
    assessment: Fraction = Fraction(1),
    parts: Sequence[tuple[str, Fraction]] = (),
) -> Bundle:
    """Clear a county group's year: `inside` and `outside` are what was spent on its insured in and beyond the group
    (fen), `parts` the agreed split of what is retained or borne, first the lead hospital."""
    gross = sum(item.heads * item.per_head for item in heads)
    reserve = round_half_up(gross * rule.reserve)
    budget, used = gross - reserve, inside + outside
    if used > budget:
        overrun = used - budget
        counted = overrun if rule.overrun_cap is None else min(Fraction(overrun), rule.overrun_cap * budget)
        fund_share = round_half_up(counted * rule.overrun_share)
        borne = overrun - fund_share
        return Bundle(gross, reserve, budget, used, 0, 0, overrun, fund_share, borne, _split(borne, parts))
    surplus = budget - used
    retained = round_half_up(surplus * rule.retain * assessment)
    return Bundle(gross, reserve, budget, used, surplus, retained, 0, 0, 0, _split(retained, parts))


def _split(amount: int, parts: Sequence[tuple[str, Fraction]]) -> tuple[tuple[str, int], ...]:
    amounts = apportion(amount, [share for _, share in parts]) if parts else []
    return tuple((name, part) for (name, _), part in zip(parts, amounts, strict=True))


def control_total(heads: int, visits_per_head: Fraction, unit_price: int) -> int:
    """Heads x visits per head x price of a service unit, fen (宁波 2013)."""
    return round_half_up(heads * visits_per_head * unit_price)
