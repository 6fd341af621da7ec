"""What each hospital is due from a pool: fixed money first, the rest by points, by weight, or as priced.

Fixed money (by item, special cases, bed days, single diseases, cases paid at cost) does not move with the point value;
its fund part comes off the pool before the rest is shared. The rest is apportioned to the fen by exact units, so that
the hospitals' amounts add up to the pool. Source: clearing rules of 点数法 and 费率法; DIP 技术规范, settlement point
value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from budget.money import FEN, apportion, fraction_sum
from budget.point_value import drg_point_value, grossed_up_value

FORMULAS = ("DRG_TOTAL", "DIP_SETTLEMENT", "DIP_BUDGET", "RATE")


class HospitalUnits(NamedTuple):
    """One hospital's year in one pool. `units`: exact points, or weight x coefficient, of the cases whose money moves
    with the pool; `patient_fen` what their patients paid by item, `priced_fen` the fund's part of them as priced;
    `fixed_fen` the fund's part of fixed money."""

    hospital: str
    cases: int
    units: Fraction
    patient_fen: int
    priced_fen: int
    fixed_fen: int


@dataclass(frozen=True, slots=True)
class Due:
    """What a pool gives: `due` by hospital in the given order (fen, fixed money not counted), `value` yuan per unit as
    shown (None: prices do not move), `distributable` fen, `difference` = distributable less what is due (not 0 only
    where prices do not move; negative: an overrun), and `per_unit` the fen that a unit earns, patients' part included
    under DRG_TOTAL (0: prices do not move)."""

    due: tuple[int, ...]
    value: Fraction | None
    distributable: int
    difference: int
    per_unit: Fraction = Fraction(0)


def entitle(
    pool_fen: int, hospitals: Sequence[HospitalUnits], formula: str | None, payment_ratio: Fraction | None = None
) -> Due:
    """Share a pool among hospitals, given in the order of their ids.

    `formula` one of FORMULAS or None (fixed rates: everyone is due what was priced). `payment_ratio` is asked for by
    all but DRG_TOTAL and only shows in the value. Raises ValueError when the pool does not cover the fixed money, or
    when there are no units to share by.
    """
    fixed = sum(hospital.fixed_fen for hospital in hospitals)
    distributable = pool_fen - fixed
    if formula is None:
        due = tuple(hospital.priced_fen for hospital in hospitals)
        return Due(due, None, distributable, distributable - sum(due))
    if distributable < 0:
        raise ValueError("the pool does not cover the fixed money")
    units = [hospital.units for hospital in hospitals]
    whole = fraction_sum(units)
    if formula == "DRG_TOTAL":
        patients = sum(hospital.patient_fen for hospital in hospitals)
        amounts = apportion(distributable + patients, units)
        due = tuple(amount - hospital.patient_fen for amount, hospital in zip(amounts, hospitals, strict=True))
        value = drg_point_value(distributable, patients, whole)
        return Due(due, value, distributable, 0, value * FEN)
    due = tuple(apportion(distributable, units))
    value = (
        Fraction(distributable, FEN) / whole
        if payment_ratio is None
        else grossed_up_value(distributable, payment_ratio, whole)
    )
    return Due(due, value, distributable, 0, distributable / whole)
