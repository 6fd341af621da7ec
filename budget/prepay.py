"""What is paid during the year: shares of the monthly amounts, deposits held, working-capital advances.

Source: service agreements (97 % monthly and 3 % held, quarterly 90 %, and the like); 预付金: notice of the National
Healthcare Security Administration and the Ministry of Finance of 2024-11-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import round_half_up


@dataclass(frozen=True, slots=True)
class Instalment:
    """One period, fen: `paid` now, `held` as deposit; together the amount due."""

    paid: int
    held: int


@dataclass(frozen=True, slots=True)
class Advance:
    """A working-capital advance, fen. `base_month`: mean monthly spend of the years given."""

    eligible: bool
    base_month: int
    advance: int


def instalment(due: int, pay_share: Fraction) -> Instalment:
    """Split the amount due of one period (fen): `pay_share` of it is paid, rounded half up, the rest is held."""
    paid = round_half_up(due * pay_share)
    return Instalment(paid, due - paid)


def year_end_balance(
    final: int, paid: int, held: int, return_share: Fraction, advance_outstanding: int = 0
) -> tuple[int, int]:
    """(deposit returned, balance) in fen at year end: the final amount less what was paid, less the part of the deposit
    that is not returned, less the advance still out. A negative balance is owed by the hospital."""
    returned = round_half_up(held * return_share)
    return returned, final - paid - (held - returned) - advance_outstanding


def advance(
    annual_spend: Sequence[int],
    *,
    months: Fraction,
    months_of_balance: Fraction,
    min_months: Fraction,
    deficit: bool,
) -> Advance:
    """The advance of one insurance in fen: `months` of the mean monthly spend of the last years; none after or before a
    deficit, or when the balance lasts fewer than `min_months`. Raises ValueError without a year."""
    if not annual_spend:
        raise ValueError("no year of spend")
    mean = Fraction(sum(annual_spend), 12 * len(annual_spend))
    eligible = not deficit and months_of_balance >= min_months
    return Advance(eligible, round_half_up(mean), round_half_up(mean * months) if eligible else 0)
