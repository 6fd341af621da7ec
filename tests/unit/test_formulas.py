"""Affine amounts and the payment formulas, against amounts worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.affine import LARGEST_COST, Affine, AffineColumn
from budget.formulas import FORMULAS, Terms, reference_cost
from budget.money import round_half_up

F = Fraction
fractions = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**15)


@given(st.lists(st.tuples(fractions, fractions, st.integers(-LARGEST_COST, LARGEST_COST)), max_size=12))
def test_a_column_gives_what_the_fractions_give(cases: list[tuple[Fraction, Fraction, int]]) -> None:
    amounts = [Affine(slope, intercept) for slope, intercept, _ in cases]
    costs = np.array([cost for _, _, cost in cases], np.int64)
    expected = [round_half_up(slope * cost + intercept) for slope, intercept, cost in cases]
    small = [at for at, value in enumerate(expected) if abs(value) < 1 << 62]
    found = AffineColumn([amounts[at] for at in small]).rounded(np.arange(len(small)), costs[small])
    assert found.tolist() == [expected[at] for at in small]


def test_amounts_too_wide_for_128_bits_are_exact_too() -> None:
    odd = Affine(F(10**30 + 1, 10**31 + 7), F(1, 3**70))
    column = AffineColumn([Affine(F(1, 2), F(0)), odd])
    found = column.rounded(np.array([0, 1, 0]), np.array([5, 123_456_789, -5]))
    assert found.tolist() == [3, round_half_up(odd.at(123_456_789)), -3]


def test_the_least_cost_that_reaches_an_amount() -> None:
    assert Affine(F(1, 3), F(0)).least_cost_reaching(F(2)) == 6
    assert Affine(F(1, 3), F(1)).least_cost_reaching(F(7, 3)) == 4
    assert Affine(F(0), F(5)).least_cost_reaching(F(1)) is None


def test_sums_need_no_case() -> None:
    amount = Affine(F(2, 7), F(-1, 3))
    costs = [10, 25, 1_000_003]
    assert amount.total(3, sum(costs)) == sum(amount.at(cost) for cost in costs)


@pytest.mark.parametrize(
    ("name", "cost", "expected"),
    [
        ("N_RATE", 0, F(2) * 8000 * F(9, 10)),
        ("N_POINT", 0, F(180)),
        ("N_SCORE", 0, F(18, 10)),
        ("L_COST", 1234, F(1234)),
        ("L_POINT_COST", 5000, F(100) * F(5000, 10000)),
        ("L_RATE_COST", 5000, F(8000) * F(5000, 10000)),
        ("H_ADD_K", 70000, F(100) * (F(9, 5) + (F(70000, 20000) - 3) * 2)),
        ("H_SUB_1", 70000, F(100) * (7 - 2 * F(9, 5))),
        ("H_RATE_SUB_1", 70000, (F(7) - 2 * 2) * 8000),
        ("H_RATE_ADD_1", 70000, (F(9, 5) + (F(7, 2) - 1) * 2) * 8000),
        ("H_PCT", 57600, F(14400) * (1 + F(1, 2) * (4 - 3))),
        ("H_STEP", 57600, F(14400) * (F(17, 10) + F(1, 2) * (4 - 3))),
        ("L_SCORE_MULTIPLE_K", 7200, F(2) * F(1, 2) * F(9, 10)),
        ("L_SCORE_MULTIPLE", 7200, F(2) * F(1, 2)),
        ("H_SCORE_NATIONAL", 57600, F(2) * (4 - 3 + 1) * F(9, 10)),
        ("H_SCORE_K_IN_EXCESS", 57600, F(2) * (4 - 3 + F(9, 10))),
        ("BLANK", 7200, F(2) * F(1, 2) * F(7, 10)),
    ],
)
def test_formulas_by_hand(name: str, cost: int, expected: Fraction) -> None:
    """w = 2, k = 0.9, R = 8000, A = 10000, S = 100, T = 3, p = 0.5, b = 1.7, reference 14,400."""
    terms = Terms(
        weight=F(2), coefficient=F(9, 10), reference=F(14400), rate=F(8000), average=F(10000), scale=F(100),
        limit=F(3), percent=F(1, 2), step=F(17, 10), blank_share=F(7, 10),
    )  # fmt: skip
    assert FORMULAS[name].amount(terms).at(cost) == expected


def test_adding_above_the_limit_is_subtracting_below_it() -> None:
    terms = Terms(
        weight=F(9, 10), coefficient=F(8744, 10000), reference=F(1), average=F(11700), scale=F(100), limit=F(3)
    )
    assert FORMULAS["H_ADD_K"].amount(terms) == FORMULAS["H_SUB_K"].amount(terms)


def test_references() -> None:
    terms = Terms(weight=F(2), coefficient=F(9, 10), reference=F(0), rate=F(8000), average=F(10000))
    assert reference_cost("STD", terms) == 14400
    assert reference_cost("AVG", terms) == 20000
    assert reference_cost("AVGK", terms) == 18000
    assert reference_cost("PEER", terms, peer=F(8800)) == 8800
    assert reference_cost("SCORE", terms, unit=F(3)) == F(54, 10)
    with pytest.raises(ValueError, match="PEER"):
        reference_cost("PEER", terms)


def test_amounts_beyond_every_cost_and_at_the_edges_of_64_bits_are_exact() -> None:
    lines = [Affine(F(3, 7), F(1, 2)), Affine(F(10**9 + 7, 10**9 + 9), F(0)), Affine(F(1, 2), F(0))]
    costs = [LARGEST_COST * 1000, -LARGEST_COST - 1, (1 << 62) - 1, (1 << 30) + 1, 1 << 40, 7]
    which = np.array([at for at in range(len(lines)) for _ in costs])
    found = AffineColumn(lines).rounded(which, np.array(costs * len(lines), np.int64))
    assert found.tolist() == [round_half_up(line.at(cost)) for line in lines for cost in costs]
