"""Into how many months a hospital's year is cut changes nothing of what it has at its end: deposits are rounded month
by month, what the assessment keeps of them is not."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from budget.clearing import Account, ClearingRule, clear_pool
from budget.settlement import PayShares, split_due

RULE = ClearingRule("none", None, "", ("assessment", "prepaid"), "deposit")


def at_the_end(months: list[int], held: Fraction, returned: Fraction) -> tuple[int, int]:
    """What the hospital has in all, and what the assessment keeps of its deposit, fen."""
    parts = [split_due(due, PayShares(1 - held, held)) for due in months]
    account = Account(
        "H1", due=sum(months), held=sum(part.held for part in parts), prepaid=sum(part.paid for part in parts),
        settled=sum(months), deposit_share=held, returned_share=returned,
    )  # fmt: skip
    (line,) = clear_pool([account], RULE, 0, 0).lines
    return line.prepaid + line.balance, line.deposit - line.assessment


@given(
    months=st.lists(st.integers(0, 10**9), min_size=1, max_size=12),
    cut=st.integers(0, 12),
    held=st.sampled_from([Fraction(5, 100), Fraction(3, 100), Fraction(10, 100)]),
    returned=st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(9, 10), Fraction(1)]),
)
@example(months=[10] * 12, cut=1, held=Fraction(5, 100), returned=Fraction(9, 10))
def test_the_number_of_months_changes_nothing(months: list[int], cut: int, held: Fraction, returned: Fraction) -> None:
    two = [sum(months[:cut]), sum(months[cut:])]
    whole, kept = at_the_end(months, held, returned)
    assert (whole, kept) == at_the_end(two, held, returned) == at_the_end([sum(months)], held, returned)
    assert abs(kept - sum(months) * held * (1 - returned)) <= Fraction(1, 2)
    assert whole == sum(months) - kept
