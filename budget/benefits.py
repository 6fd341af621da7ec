"""Benefits beside the inpatient package: outpatient pooling, catastrophic insurance, care away from home.

Every amount is whole fen, rounded half up once where the fund's part is taken; what the fund does not pay is the
patient's. The numbers of a place are data (the rule objects); sources: outpatient pooling 门诊统筹 as 江西 2023;
catastrophic insurance 大病保险 as 南通 2019; off-site care 异地就医 as 营人社〔2017〕42号: catalogue of the place of
care, deductible, ratio and cap of the place of insurance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.money import round_half_up


@dataclass(frozen=True, slots=True)
class OutpatientRule:
    """A year's outpatient pooling. `ratio` by tier; `retired_bonus` is added to it for the retired, who have a cap of
    their own."""

    deductible_fen: int
    ratio: Mapping[str, Fraction]
    cap_fen: int
    retired_bonus: Fraction
    retired_cap_fen: int


@dataclass(frozen=True, slots=True)
class OutpatientBenefit:
    """Of costs in scope: taken by the deductible, paid by the fund, left to the patient (deductible included)."""

    deductible_fen: int
    fund_fen: int
    patient_fen: int


def outpatient_benefit(
    rule: OutpatientRule,
    tier: str,
    in_scope_fen: int,
    *,
    retired: bool,
    deductible_used_fen: int = 0,
    paid_so_far_fen: int = 0,
) -> OutpatientBenefit:
    """A visit's benefit after what the year has already used of the deductible and of the cap.

    Raises KeyError for a tier that the rule has no ratio for, ValueError for a negative amount.
    """
    _not_negative(in_scope_fen, deductible_used_fen, paid_so_far_fen)
    deductible = min(in_scope_fen, max(0, rule.deductible_fen - deductible_used_fen))
    ratio = rule.ratio[tier] + (rule.retired_bonus if retired else 0)
    cap = rule.retired_cap_fen if retired else rule.cap_fen
    fund = round_half_up((in_scope_fen - deductible) * min(ratio, Fraction(1)))
    fund = min(fund, max(0, cap - paid_so_far_fen))
    return OutpatientBenefit(deductible, fund, in_scope_fen - fund)


@dataclass(frozen=True, slots=True)
class CatastrophicRule:
    """A year's catastrophic insurance. `brackets`: (up to this much above the deductible in fen, ratio) ascending,
    the last one without an end; each slice has its own ratio. Assisted persons (救助对象): the deductible falls by the
    share `assist_deductible_cut`, and every ratio rises by `assist_bonus`."""

    deductible_fen: int
    brackets: Sequence[tuple[int | None, Fraction]]
    assist_deductible_cut: Fraction = Fraction(0)
    assist_bonus: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class CatastrophicBenefit:
    """The deductible that held, the patient's costs above it, and what the insurance pays of them."""

    deductible_fen: int
    excess_fen: int
    pays_fen: int


def catastrophic_benefit(rule: CatastrophicRule, self_paid_fen: int, *, assisted: bool) -> CatastrophicBenefit:
    """What a person gets back of a year's own payments in scope. Raises ValueError for a negative amount."""
    _not_negative(self_paid_fen)
    cut = rule.assist_deductible_cut if assisted else Fraction(0)
    bonus = rule.assist_bonus if assisted else Fraction(0)
    deductible = round_half_up(rule.deductible_fen * (1 - cut))
    excess = max(0, self_paid_fen - deductible)
    pays, start = Fraction(0), 0
    for end, ratio in rule.brackets:
        top = excess if end is None else min(excess, end)
        pays += max(0, top - start) * min(ratio + bonus, Fraction(1))
        start = max(start, top)
    return CatastrophicBenefit(deductible, excess, round_half_up(pays))


@dataclass(frozen=True, slots=True)
class HomeBenefit:
    """What the place of insurance grants: deductible, ratio above it, and the most it pays."""

    deductible_fen: int
    ratio: Fraction
    cap_fen: int


@dataclass(frozen=True, slots=True)
class OffsiteBenefit:
    """A stay away from home: `total_fen` charged, `in_scope_fen` of it after the patient's prior part of each item,
    paid by the fund, left to the patient."""

    total_fen: int
    in_scope_fen: int
    fund_fen: int
    patient_fen: int


def offsite_benefit(
    items: Sequence[tuple[int, str]], prior_self_pay: Mapping[str, Fraction], home: HomeBenefit
) -> OffsiteBenefit:
    """The benefit of a stay from its items: (amount in fen, class in the catalogue of the place of care).

    `prior_self_pay`: the patient's prior part of each class there (甲 0, 丙 1). The class at home has no say.
    Raises KeyError for a class without a part, ValueError for a negative amount.
    """
    _not_negative(*(amount for amount, _ in items))
    total = sum(amount for amount, _ in items)
    in_scope = round_half_up(sum((amount * (1 - prior_self_pay[name]) for amount, name in items), Fraction(0)))
    fund = round_half_up(max(0, in_scope - home.deductible_fen) * home.ratio)
    fund = min(fund, home.cap_fen)
    return OffsiteBenefit(total, in_scope, fund, total - fund)


def _not_negative(*amounts: int) -> None:
    if min(amounts, default=0) < 0:
        raise ValueError("amounts must not be negative")
