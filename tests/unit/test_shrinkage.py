"""Weights drawn towards the old ones: by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from budget.shrinkage import GroupHistory, shrink

# A: 4 cases of 200, B: 4 cases of 100 (fen), weights were 1.0 and 1.0: the level is 150 fen a weight of 1.
SAME = [GroupHistory("A", 4, 800, 160_000, Fraction(1)), GroupHistory("B", 4, 400, 40_000, Fraction(1))]
# A: 100 and 300, B: 50 and 150.
SPREAD = [GroupHistory("A", 2, 400, 100_000, Fraction(1)), GroupHistory("B", 2, 200, 25_000, Fraction(1))]


def test_given_k() -> None:
    # New weights 4/3 and 2/3; n / (n + k) = 4 / 16: 1 + (1/3)/4 = 1.0833 and 0.9167.
    found = shrink(SAME, Fraction(12), least_cases=1, digits=4, keep_mean=True)
    assert [item.weight for item in found.groups] == [Fraction("1.0833"), Fraction("0.9167")]
    assert [item.new for item in found.groups] == [Fraction(4, 3), Fraction(2, 3)]
    assert [item.share for item in found.groups] == [Fraction(1, 4)] * 2
    assert found.residual == 0


def test_without_spread_the_new_weights_are_certain() -> None:
    # Within variance 0: k = 0 and the weights are the new ones.
    found = shrink(SAME, None, least_cases=1, digits=4, keep_mean=True)
    assert found.k == 0
    assert [item.weight for item in found.groups] == [Fraction("1.3333"), Fraction("0.6667")]


def test_estimated_k() -> None:
    # Squared deviations 20000 + 5000 over 2 degrees of freedom: 12500 fen2, in weights (150 fen) 5/9. Squared changes
    # 2/9 + 2/9 = 4/9, less 2 x 5/9 is below 0: nothing but chance, the old weights stay.
    found = shrink(SPREAD, None, least_cases=1, digits=4, keep_mean=True)
    assert found.k is None
    assert [item.weight for item in found.groups] == [1, 1]
    # Ten times the cases: within (100000 + 25000 + ...)/38 = 250000/38 fen2 = 0.29240 weights2; squared changes
    # 40 x 1/9 = 40/9, less 2 x 0.29240, over 40: 0.096491; k = 3.0303.
    many = [GroupHistory(g.group, 20, g.sum_fen * 10, g.square_sum * 10, g.old) for g in SPREAD]
    within = Fraction(250_000, 38) / 150**2
    between = (Fraction(40, 9) - 2 * within) / 40
    assert shrink(many, None, least_cases=1, digits=4, keep_mean=True).k == within / between
    assert round(float(within / between), 4) == 3.0303


def test_few_cases_keep_their_weight() -> None:
    few = [*SAME, GroupHistory("C", 1, 9_000, 81_000_000, Fraction("0.5"))]
    found = shrink(few, Fraction(12), least_cases=2, digits=4, keep_mean=True)
    assert found.groups[2].weight == Fraction("0.5")
    assert found.groups[2].share == 0
    assert [item.weight for item in found.groups[:2]] == [Fraction("1.0833"), Fraction("0.9167")]


def test_mean_is_kept_when_asked() -> None:
    # Different numbers of cases: shrinking draws them differently, and the mean moves unless it is kept.
    uneven = [GroupHistory("A", 8, 1600, 0, Fraction(1)), GroupHistory("B", 2, 200, 0, Fraction(1))]
    free = shrink(uneven, Fraction(8), least_cases=1, digits=6, keep_mean=False)
    kept = shrink(uneven, Fraction(8), least_cases=1, digits=6, keep_mean=True)
    # Level 180 fen; new 10/9 and 5/9; shares 1/2 and 1/5: 1 + 1/18 and 1 - 4/45.
    assert [item.weight for item in free.groups] == [Fraction("1.055556"), Fraction("0.911111")]
    # (8 x 19/18 + 2 x 41/45) / 10 = 1.026667, so that both are divided by 1.026667.
    assert [item.weight for item in kept.groups] == [Fraction("1.028139"), Fraction("0.887446")]
    assert abs(free.residual - Fraction(2, 75)) < Fraction(1, 10**6)
    assert abs(kept.residual) < Fraction(1, 10**6)


def test_no_cases_at_all() -> None:
    with pytest.raises(ValueError, match="enough"):
        shrink([GroupHistory("A", 1, 100, 10_000, Fraction(1))], None, least_cases=5, digits=4, keep_mean=True)
