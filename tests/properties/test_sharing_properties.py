"""Sharing of surplus and overrun: nothing lost, continuous and monotone where bands are marginal."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from budget.sharing import Band, SharingRule, share, share_region

shares = st.fractions(min_value=0, max_value=1, max_denominator=100)
amounts = st.integers(0, 10**11)


@st.composite
def bands(draw: st.DrawFn, *, closed: bool) -> tuple[Band, ...]:
    """Bands that follow one another from 0; the last is open when `closed` is false."""
    edges = sorted(draw(st.sets(st.integers(1, 60), min_size=1, max_size=4)))
    starts = [0, *edges]
    found = [
        Band(Fraction(low, 100), Fraction(high, 100), draw(shares)) for low, high in zip(starts, edges, strict=False)
    ]
    return tuple(found if closed else [*found, Band(Fraction(edges[-1], 100), None, draw(shares))])


rules = st.builds(
    SharingRule,
    retain=bands(closed=False),
    overrun=bands(closed=True),
    low_ratio=st.none(),
    retain_cap=st.none() | shares,
    cliff=st.just(False),
)


@given(
    amounts,
    amounts,
    rules | st.builds(SharingRule, bands(closed=False), bands(closed=True), shares, shares, st.booleans()),
)
def test_every_fen_of_surplus_and_overrun_has_an_owner(entitlement: int, actual: int, rule: SharingRule) -> None:
    found = share(entitlement, actual, rule)
    assert found.surplus == found.retained + found.to_fund
    assert found.overrun == found.fund_share + found.hospital_bears
    assert found.surplus - found.overrun == entitlement - actual
    assert found.fund_pays == actual + found.retained - found.hospital_bears
    assert min(found.retained, found.to_fund, found.fund_share, found.hospital_bears) >= 0


@given(st.integers(1, 10**11), amounts, st.integers(0, 10**6), rules)
def test_who_spends_more_is_never_paid_less_and_never_more_than_he_spent_more(
    entitlement: int, actual: int, more: int, rule: SharingRule
) -> None:
    first, second = share(entitlement, actual, rule), share(entitlement, actual + more, rule)
    assert -1 <= second.fund_pays - first.fund_pays <= more + 1


@given(st.integers(1, 10**11), st.lists(st.integers(0, 100), min_size=1, max_size=3), rules)
def test_one_fen_more_changes_the_payment_by_at_most_one_fen_at_every_edge(
    entitlement: int, edges: list[int], rule: SharingRule
) -> None:
    for edge in edges:
        at = entitlement + entitlement * (edge - 50) // 100
        assert abs(share(entitlement, at + 1, rule).fund_pays - share(entitlement, at, rule).fund_pays) <= 2


@given(amounts, amounts, shares)
def test_the_regions_result_is_split_without_loss(budget: int, due: int, part: Fraction) -> None:
    found = share_region(budget, due, part)
    assert found.hospitals + found.fund == found.difference == budget - due
    assert found.distributable + found.fund == budget
