"""Working-capital advances (预付金) of a year: which insurance may give one, how much, and each hospital's part.

The sum of an insurance is so many months of its mean monthly spend of the last years; hospitals share it by what was
spent on them. Source: notice of the National Healthcare Security Administration and the Ministry of Finance,
2024-11-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import apportion
from budget.prepay import Advance, advance

MOST_YEARS = 3


@dataclass(frozen=True, slots=True)
class FundState:
    """An insurance's fund: months its balance lasts, and whether last year or the forecast is in deficit."""

    months_of_balance: Fraction
    deficit: bool


@dataclass(frozen=True, slots=True)
class AdvanceRule:
    """What the policy says: months of mean spend, and the months the balance must last."""

    months: Fraction
    min_months: Fraction


@dataclass(frozen=True)
class InsuranceAdvance:
    """One insurance's advance, fen; `hospitals` ascending by id, all zero when it is not eligible."""

    of: Advance
    hospitals: Mapping[str, int]


def share_advance(spend: Mapping[str, Sequence[int]], rule: AdvanceRule, fund: FundState) -> InsuranceAdvance:
    """`spend`: fen by hospital, one number a year, the same years for all. Raises ValueError without a hospital, for
    more than MOST_YEARS years or a negative amount."""
    hospitals = sorted(spend)
    years = {len(spend[hospital]) for hospital in hospitals}
    if len(years) != 1 or not 1 <= max(years) <= MOST_YEARS:
        raise ValueError("one to three years, the same for every hospital")
    totals = [sum(spend[hospital]) for hospital in hospitals]
    if any(amount < 0 for hospital in hospitals for amount in spend[hospital]):
        raise ValueError("negative spend")
    annual = [sum(spend[hospital][at] for hospital in hospitals) for at in range(max(years))]
    found = advance(
        annual,
        months=rule.months,
        months_of_balance=fund.months_of_balance,
        min_months=rule.min_months,
        deficit=fund.deficit,
    )
    parts = apportion(found.advance, totals) if any(totals) else [0] * len(totals)
    return InsuranceAdvance(found, dict(zip(hospitals, parts, strict=True)))
