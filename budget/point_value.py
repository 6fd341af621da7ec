"""Point values and base rates: what one point, or weight 1, is worth in a pool.

Exact fractions of a yuan; four decimals are shown, the unrounded value is used. Source: DRG 点数法 and 费率法 as the
cities publish them, DIP 技术规范 (budget and settlement point value).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from budget.money import FEN


def drg_point_value(fund_budget: int, patient_payments: int, points: Fraction) -> Fraction:
    """Yuan per point: (fund budget + the patients' own payments) / points. Amounts in fen. Raises ValueError without
    points."""
    return Fraction(fund_budget + patient_payments, FEN) / _some(points)


def grossed_up_value(fund_budget: int, payment_ratio: Fraction, units: Fraction) -> Fraction:
    """Yuan per unit: fund budget (fen) / payment ratio / units. With scores the DIP settlement point value, with
    weights the base rate. Raises ValueError without units or with a ratio of 0."""
    return Fraction(fund_budget, FEN) / _some(payment_ratio) / _some(units)


def dip_budget_value(yearly_total_cost: Sequence[int], weights: Sequence[Fraction], score: Fraction) -> Fraction:
    """Yuan per point at the start of the year: the weighted mean of yearly total cost (fen, oldest first) / total
    score. Raises ValueError without score or weights."""
    total = sum((cost * weight for cost, weight in zip(yearly_total_cost, weights, strict=True)), Fraction(0))
    return total / _some(sum(weights, Fraction(0))) / FEN / _some(score)


def _some(value: Fraction) -> Fraction:
    if value <= 0:
        raise ValueError("nothing to divide by")
    return value
