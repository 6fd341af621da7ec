"""Readmissions within some days, and the quota of special cases, against stays laid out by hand."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.readmission import merged_stays
from budget.special_quota import SpecialQuota, special_quota

SCHEMA = {
    "case_id": pl.String, "person": pl.String, "hospital_id": pl.String, "group": pl.String,
    "admission": pl.Date, "discharge": pl.Date,
}  # fmt: skip


def day(of_march: int | None) -> date | None:
    return None if of_march is None else date(2026, 3, of_march)


def merged(*rows: tuple[str, str | None, str, str, int | None, int | None], days: int = 5, exempt=()) -> list[str]:
    frame = pl.DataFrame(
        [(*row[:4], day(row[4]), day(row[5])) for row in rows], schema=SCHEMA, orient="row"
    )  # fmt: skip
    return frame.filter(merged_stays(frame, days, exempt))["case_id"].to_list()


def test_the_last_day_counts_and_the_chain_goes_on() -> None:
    # b comes 5 days after a, c 5 days after b (12 after a), d 6 days after c.
    stays = (("a", "p", "H", "G", 1, 2), ("b", "p", "H", "G", 7, 8), ("c", "p", "H", "G", 13, 14),
             ("d", "p", "H", "G", 20, 21))  # fmt: skip
    assert merged(*stays) == ["b", "c"]
    assert merged(*reversed(stays)) == ["c", "b"]
    assert merged(*stays, days=4) == []
    assert merged(*stays, days=6) == ["b", "c", "d"]


def test_another_person_hospital_or_class_is_no_readmission() -> None:
    first = ("a", "p", "H", "G", 1, 2)
    for other in (("b", "q", "H", "G", 3, 4), ("b", "p", "I", "G", 3, 4), ("b", "p", "H", "F", 3, 4)):
        assert merged(first, other) == []
    # A stay in between for another disease interrupts nothing.
    assert merged(first, ("x", "p", "H", "F", 3, 3), ("b", "p", "H", "G", 4, 5)) == ["b"]


def test_exempt_classes_and_unknown_facts() -> None:
    stays = (("a", "p", "H", "G", 1, 2), ("b", "p", "H", "G", 3, 4))
    assert merged(*stays, exempt=["G"]) == []
    assert merged(*stays, exempt=["F"]) == ["b"]
    assert merged(("a", None, "H", "G", 1, 2), ("b", None, "H", "G", 3, 4)) == []
    # Without its dates the stay in the middle stands for itself; the one after it is compared with the first.
    assert merged(stays[0], ("x", "p", "H", "G", None, 3), ("b", "p", "H", "G", 4, 5)) == ["b"]


def test_a_stay_that_begins_before_the_other_ends() -> None:
    assert merged(("a", "p", "H", "G", 1, 9), ("b", "p", "H", "G", 5, 10)) == ["b"]
    # One day, two stays: the one that ends first is the earlier one, then the smaller case id.
    assert merged(("b", "p", "H", "G", 1, 1), ("a", "p", "H", "G", 1, 2)) == ["a"]
    assert merged(("b", "p", "H", "G", 1, 1), ("a", "p", "H", "G", 1, 1)) == ["b"]


STAYS = st.lists(
    st.tuples(
        st.sampled_from("pq"), st.sampled_from("HI"), st.sampled_from("FG"), st.integers(1, 25), st.integers(0, 6)
    ),
    max_size=12,
)


@given(STAYS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_one_at_a_time(stays, days, random) -> None:
    rows = [(str(at).zfill(2), p, h, g, start, start + length) for at, (p, h, g, start, length) in enumerate(stays)]
    expected = set()
    last: dict[tuple[str, str, str], int] = {}
    for name, person, hospital, group, start, end in sorted(rows, key=lambda row: (row[4], row[5], row[0])):
        key = (person, hospital, group)
        if group != "F" and key in last and start - last[key] <= days:
            expected.add(name)
        last[key] = end
    random.shuffle(rows)
    assert set(merged(*rows, days=days, exempt=["F"])) == expected


@pytest.mark.parametrize(
    ("discharges", "share", "applied", "found"),
    [
        (1999, Fraction(5, 1000), 12, SpecialQuota(9, 9, 3)),
        (2000, Fraction(5, 1000), 10, SpecialQuota(10, 10, 0)),
        (19, Fraction(5, 100), 1, SpecialQuota(0, 0, 1)),
        (0, Fraction(1), 0, SpecialQuota(0, 0, 0)),
    ],
)
def test_quota_is_rounded_down(discharges: int, share: Fraction, applied: int, found: SpecialQuota) -> None:
    assert special_quota(discharges, share, applied) == found


def test_quota_of_nonsense() -> None:
    for values in ((-1, Fraction(0), 0), (1, Fraction(2), 0), (1, Fraction(0), -1)):
        with pytest.raises(ValueError, match="must not be negative"):
            special_quota(*values)
