"""The fund's part of a package: three readings in use, none of which touches what the patient pays.

STANDARD_MINUS_PATIENT: the package less what the patient paid by item and other funds paid. RATIO_ON_STANDARD:
(package - self-funded - prior self-pay - deductible) x ratio. POINTS_RATIO: package x ratio, from the unrounded
package. Never below 0, rounded half up once. Source: the cities' settlement rules as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import Affine, AffineColumn
from budget.plan_table import PlanTable

NEEDS = {
    "STANDARD_MINUS_PATIENT": ("patient_paid_fen",),
    "RATIO_ON_STANDARD": ("self_funded_fen", "prior_self_pay_fen", "deductible_fen"),
    "POINTS_RATIO": (),
}
Ints = NDArray[np.int64]


def known(cases: pl.DataFrame, mode: str) -> NDArray[np.bool_]:
    """bool [cases]: the record has what this reading needs."""
    columns = [cases[name].is_not_null().to_numpy() for name in NEEDS[mode]]
    return np.asarray(np.logical_and.reduce(columns)) if columns else np.ones(cases.height, np.bool_)


def less_patient(package: Ints, cases: pl.DataFrame) -> Ints:
    """STANDARD_MINUS_PATIENT, fen; an unknown amount counts as 0, see `known`."""
    return np.asarray(np.maximum(0, package - _amount(cases, "patient_paid_fen") - _amount(cases, "other_funds_fen")))


def ratio_on_standard(package: Ints, cases: pl.DataFrame, ratio: Sequence[Fraction], which: Ints) -> Ints:
    """RATIO_ON_STANDARD, fen. `ratio[which]` is the payment ratio of each case."""
    deducted = sum(_amount(cases, name) for name in NEEDS["RATIO_ON_STANDARD"])
    base = np.maximum(0, package - deducted)
    return AffineColumn([Affine(part, Fraction(0)) for part in ratio]).rounded(which, base)


def points_ratio(table: PlanTable, band: Ints, cost: Ints, ratio_of_band: Sequence[Fraction]) -> Ints:
    """POINTS_RATIO, fen: the unrounded package x ratio, rounded once."""
    return np.maximum(0, table.scaled(ratio_of_band).rounded(band, cost))


def _amount(cases: pl.DataFrame, column: str) -> Ints:
    return cases[column].fill_null(0).cast(pl.Int64).to_numpy()
