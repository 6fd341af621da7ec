"""Outpatient pooling, catastrophic insurance and off-site care against sums worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from budget.benefits import (
    CatastrophicBenefit,
    CatastrophicRule,
    HomeBenefit,
    OffsiteBenefit,
    OutpatientBenefit,
    OutpatientRule,
    catastrophic_benefit,
    offsite_benefit,
    outpatient_benefit,
)

HALF = Fraction(1, 2)
OUTPATIENT = OutpatientRule(60_000, {"一级": Fraction(6, 10), "三级": HALF}, 180_000, Fraction(5, 100), 200_000)
CATASTROPHIC = CatastrophicRule(
    1_000_000, [(2_000_000, Fraction(6, 10)), (None, Fraction(9, 10))], Fraction(4, 10), Fraction(5, 100)
)
HOME = HomeBenefit(100_000, Fraction(8, 10), 6_000_000)
CARE = {"甲": Fraction(0), "乙": Fraction(1, 10), "丙": Fraction(1)}


def test_deductible_ratio_and_bonus_of_outpatients() -> None:
    # 1000.00 - 600.00 = 400.00 at 50 %; a retired person has 55 %.
    assert outpatient_benefit(OUTPATIENT, "三级", 100_000, retired=False) == OutpatientBenefit(60_000, 20_000, 80_000)
    assert outpatient_benefit(OUTPATIENT, "三级", 100_000, retired=True) == OutpatientBenefit(60_000, 22_000, 78_000)
    # Less than the deductible has left: nothing is paid. More used than there is: nothing is given back.
    assert outpatient_benefit(OUTPATIENT, "一级", 500, retired=False, deductible_used_fen=59_400) == OutpatientBenefit(
        500, 0, 500
    )
    assert outpatient_benefit(OUTPATIENT, "一级", 100, retired=False, deductible_used_fen=70_000) == OutpatientBenefit(
        0, 60, 40
    )
    # One fen at 50 % goes up.
    used = {"deductible_used_fen": 60_000}
    assert outpatient_benefit(OUTPATIENT, "三级", 1, retired=False, **used) == OutpatientBenefit(0, 1, 0)


def test_cap_of_outpatients() -> None:
    used = {"deductible_used_fen": 60_000, "paid_so_far_fen": 190_000}
    assert outpatient_benefit(OUTPATIENT, "三级", 100_000, retired=False, **used) == OutpatientBenefit(0, 0, 100_000)
    assert outpatient_benefit(OUTPATIENT, "三级", 100_000, retired=True, **used) == OutpatientBenefit(0, 10_000, 90_000)


def test_no_ratio_above_one() -> None:
    rule = replace(OUTPATIENT, retired_bonus=Fraction(6, 10))
    assert outpatient_benefit(rule, "三级", 70_000, retired=True) == OutpatientBenefit(60_000, 10_000, 60_000)


def test_a_tier_that_the_rule_does_not_name() -> None:
    with pytest.raises(KeyError):
        outpatient_benefit(OUTPATIENT, "二级", 100, retired=False)
    with pytest.raises(ValueError, match="negative"):
        outpatient_benefit(OUTPATIENT, "三级", -1, retired=False)


def test_brackets_are_slices() -> None:
    # 50,000 - 10,000 = 40,000: 20,000 at 60 % and 20,000 at 90 %.
    assert catastrophic_benefit(CATASTROPHIC, 5_000_000, assisted=False) == CatastrophicBenefit(
        1_000_000, 4_000_000, 3_000_000
    )
    # Assisted: deductible 10,000 less 40 % is 6,000; 44,000: 20,000 at 65 % and 24,000 at 95 %.
    assert catastrophic_benefit(CATASTROPHIC, 5_000_000, assisted=True) == CatastrophicBenefit(
        600_000, 4_400_000, 3_580_000
    )
    assert catastrophic_benefit(CATASTROPHIC, 1_000_000, assisted=False) == CatastrophicBenefit(1_000_000, 0, 0)
    # 3 fen at 60 % are 1.8, rounded once.
    assert catastrophic_benefit(CATASTROPHIC, 1_000_003, assisted=False).pays_fen == 2


def test_more_is_never_less() -> None:
    found = [catastrophic_benefit(CATASTROPHIC, fen, assisted=False).pays_fen for fen in range(0, 5_000_000, 9_973)]
    assert found == sorted(found)


def test_the_catalogue_of_the_place_of_care_counts() -> None:
    # 100.00 of 甲 whole, 2,000.00 of 乙 less a tenth, 300.00 of 丙 not: 1,900.00 in scope, 900.00 at 80 %.
    items = [(10_000, "甲"), (200_000, "乙"), (30_000, "丙")]
    assert offsite_benefit(items, CARE, HOME) == OffsiteBenefit(240_000, 190_000, 72_000, 168_000)
    assert offsite_benefit(items, CARE, replace(HOME, cap_fen=50_000)).fund_fen == 50_000
    assert offsite_benefit([(99_999, "甲")], CARE, HOME) == OffsiteBenefit(99_999, 99_999, 0, 99_999)
    assert offsite_benefit([], CARE, HOME) == OffsiteBenefit(0, 0, 0, 0)
    # Two items of 5 fen at 90 % are 9 fen together, not twice 5.
    assert offsite_benefit([(5, "乙"), (5, "乙")], CARE, HOME).in_scope_fen == 9


def test_a_class_without_a_part() -> None:
    with pytest.raises(KeyError):
        offsite_benefit([(1, "丁")], CARE, HOME)
    with pytest.raises(ValueError, match="negative"):
        offsite_benefit([(-1, "甲")], CARE, HOME)
