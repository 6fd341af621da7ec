"""Money in fen: exact, rounded half up once, split without loss."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.money import apportion, decimal_text, exact, round_half_up, to_fen, yuan_text


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.005", 1), ("0.0049", 0), ("-0.005", -1), ("1.115", 112), ("12661.05", 1266105), ("2.675", 268)],
)
def test_yuan_to_fen_rounds_half_away_from_zero(value: str, expected: int) -> None:
    assert to_fen(value) == expected


@pytest.mark.parametrize("text", ["", "1,000", "NaN", "Infinity", "1e", "十"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        exact(text)


def test_texts() -> None:
    assert [yuan_text(fen) for fen in (0, 5, -5, 123456, -100)] == ["0.00", "0.05", "-0.05", "1234.56", "-1.00"]
    assert decimal_text(Fraction(1, 3), 6) == "0.333333"
    assert decimal_text(Fraction(-5, 1000), 2) == "-0.01"
    assert decimal_text(Fraction(5, 2), 0) == "3"


def test_the_missing_fen_go_to_the_largest_remainders_then_to_the_earlier() -> None:
    assert apportion(100, [1, 1, 1]) == [34, 33, 33]
    assert apportion(10_000_000_000, [Fraction(3333333333, 10000)] * 3) == [3333333334, 3333333333, 3333333333]
    assert apportion(10, [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]) == [5, 3, 2]
    assert apportion(-100, [1, 1, 1]) == [-34, -33, -33]
    assert apportion(0, [0, 0]) == [0, 0]
    assert apportion(5, [0, 1]) == [0, 5]


@pytest.mark.parametrize("shares", [[0, 0], [1, -1], []])
def test_a_split_that_cannot_be_is_refused(shares: list[int]) -> None:
    with pytest.raises(ValueError, match="shares"):
        apportion(7, shares)


@given(
    st.integers(-(10**13), 10**13),
    st.lists(st.fractions(min_value=0, max_value=10**6, max_denominator=10**6), min_size=1, max_size=30),
)
def test_a_split_conserves_the_total_and_no_part_is_off_by_a_fen(total: int, shares: list[Fraction]) -> None:
    whole = sum(shares)
    if not whole:
        shares[0] = whole = Fraction(1)
    parts = apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - share * total / whole) < 1 for part, share in zip(parts, shares, strict=True))


@given(st.fractions())
def test_rounding_is_the_nearest_integer(value: Fraction) -> None:
    assert abs(round_half_up(value) - value) <= Fraction(1, 2)
    assert round_half_up(-value) == -round_half_up(value)
