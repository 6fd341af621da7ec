"""Scores (病种分值) and weights (权重): the mean cost of a group in terms of a reference cost.

    mean cost         score = group mean / mean of all cases x 1000
    benchmark disease score = group mean / mean of the benchmark disease (基准病种) x 1000
    standard quota    score = group mean / a fixed amount of money

A DRG weight is the first with a scale of 1. All three are one quotient of exact fractions, rounded half up to four
decimals at its end. Source: 《DIP 3.0 技术规范》, methods of scoring; the scale of each method stands in
`reference_tables/catalog_rules.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from budget.money import decimal_text

PLACES = 4
Key = TypeVar("Key")


def relative_weight(mean_fen: Fraction, reference_fen: Fraction, scale: Fraction | int) -> Decimal:
    """mean / reference x scale with four decimals, rounded half up; ValueError unless the reference is positive."""
    if reference_fen <= 0:
        raise ValueError("the reference cost must be positive")
    return Decimal(decimal_text(mean_fen / reference_fen * scale, PLACES))


def relative_weights(
    means_fen: Mapping[Key, Fraction], reference_fen: Fraction, scale: Fraction | int
) -> dict[Key, Decimal]:
    """`relative_weight` of every group, in the given order."""
    return {group: relative_weight(mean, reference_fen, scale) for group, mean in means_fen.items()}
