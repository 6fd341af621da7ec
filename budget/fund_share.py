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
from budget.plan_table import BED_DAY, UNPAID, PlanTable
from budget.price_plan import PlanRow

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
    return np.asarray(np.maximum(0, package - amount(cases, "patient_paid_fen") - amount(cases, "other_funds_fen")))


def ratio_on_standard(package: Ints, cases: pl.DataFrame, ratio: Sequence[Fraction], which: Ints) -> Ints:
    """RATIO_ON_STANDARD, fen. `ratio[which]` is the payment ratio of each case."""
    return _on_standard(package, cases, AffineColumn([_share(part) for part in ratio]), which)


def _on_standard(package: Ints, cases: pl.DataFrame, ratios: AffineColumn, which: Ints) -> Ints:
    deducted = sum(amount(cases, name) for name in NEEDS["RATIO_ON_STANDARD"])
    return ratios.rounded(which, np.maximum(0, package - deducted))


def _share(ratio: Fraction) -> Affine:
    return Affine(ratio, Fraction(0))


class FundShares:
    """The readings and ratios of a pricing run's plan rows, in their order."""

    def __init__(self) -> None:
        self._modes: list[str] = []
        self._mode: NDArray[np.int8] = np.zeros(0, np.int8)
        self._ratios = AffineColumn([])
        self._scaled = AffineColumn([])
        self._waiting: list[tuple[PlanRow, Fraction]] = []

    def extend(self, rows: Sequence[PlanRow], modes: Sequence[tuple[str, Fraction]]) -> None:
        """Take up further plan rows, each with its reading and ratio."""
        self._modes += sorted({mode for mode, _ in modes} - set(self._modes))
        self._mode = np.concatenate([self._mode, np.array([self._modes.index(mode) for mode, _ in modes], np.int8)])
        # The lines are made when a reading asks for them.
        self._waiting += [(row, ratio) for row, (_, ratio) in zip(rows, modes, strict=True)]

    def _make_lines(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._ratios = self._ratios.plus([_share(ratio) for _, ratio in waiting])
            lines = [band.package.times(ratio) for row, ratio in waiting for band in row.bands]
            self._scaled = self._scaled.plus(lines)

    def parts(
        self,
        cases: pl.DataFrame,
        table: PlanTable,
        plan: tuple[Ints, Ints, Ints],
        package: Ints,
        special: NDArray[np.bool_] | None = None,
        special_by_item: NDArray[np.bool_] | None = None,
    ) -> tuple[Ints, NDArray[np.bool_] | None]:
        """The fund's part of each case, fen, each insurance by its own reading; and where the record lacks what it
        needs (None: nowhere).

        `plan`: row, band and cost of each case; `special`: decided cases, of which `special_by_item` are paid by item.
        A case paid at its cost keeps the fund's part as billed by item, where that is known and nothing was paid
        separately: nothing has been repriced. A case that is not paid has no part.
        """
        _, band, _ = plan
        fund, unknown = self._by_mode(cases, table, plan, package, special)
        as_billed = np.zeros(0, np.int64)
        billed = cases["fund_by_item_fen"]
        if billed.null_count() < len(billed):
            by_cost = table.by_cost.take(band)
            if special is not None and special_by_item is not None:
                by_cost = (by_cost & ~special) | (special & special_by_item)
            as_billed = np.flatnonzero(by_cost)
        if as_billed.size:
            kept = amount(cases, "separate_fen")[as_billed] == 0
            if billed.null_count():
                kept &= billed.is_not_null().to_numpy()[as_billed]
            as_billed = as_billed[kept]
            fund[as_billed] = amount(cases, "fund_by_item_fen")[as_billed]
        unpaid = np.flatnonzero((table.kind == UNPAID).take(band))
        fund[unpaid] = 0
        if unknown is None:
            return fund, None
        unknown[as_billed] = False
        unknown[unpaid] = False
        return fund, unknown

    def _by_mode(
        self,
        cases: pl.DataFrame,
        table: PlanTable,
        plan: tuple[Ints, Ints, Ints],
        package: Ints,
        special: NDArray[np.bool_] | None,
    ) -> tuple[Ints, NDArray[np.bool_] | None]:
        row, _, _ = plan
        if len(self._modes) == 1:
            return self._part(self._modes[0], cases, table, plan, package, special), _unknown(cases, self._modes[0])
        fund, unknown = np.zeros(len(row), np.int64), np.zeros(len(row), np.bool_)
        mode_of_case = self._mode.take(row)
        for at, mode in enumerate(self._modes):
            here = mode_of_case == at
            if here.any():
                fund[here] = self._part(mode, cases, table, plan, package, special)[here]
                lacking = _unknown(cases, mode)
                unknown |= False if lacking is None else here & lacking
        return fund, unknown if unknown.any() else None

    def _part(
        self,
        mode: str,
        cases: pl.DataFrame,
        table: PlanTable,
        plan: tuple[Ints, Ints, Ints],
        package: Ints,
        special: NDArray[np.bool_] | None,
    ) -> Ints:
        """The part of all cases by one reading; the unrounded package counts where the reading says so."""
        row, band, cost = plan
        if mode == "STANDARD_MINUS_PATIENT":
            return less_patient(package, cases)
        self._make_lines()
        if mode == "RATIO_ON_STANDARD":
            return _on_standard(package, cases, self._ratios, row)
        parts = np.maximum(0, self._scaled.rounded(band, cost))
        # A price by the day or by decision is a whole number of fen before the ratio.
        fixed = (table.kind == BED_DAY).take(band)
        fixed = np.flatnonzero(fixed if special is None else fixed | special)
        parts[fixed] = self._ratios.rounded(row[fixed], np.maximum(0, package[fixed]))
        return parts


def _unknown(cases: pl.DataFrame, mode: str) -> NDArray[np.bool_] | None:
    if not any(cases[name].null_count() for name in NEEDS[mode]):
        return None
    return ~known(cases, mode)


def amount(cases: pl.DataFrame, column: str) -> Ints:
    """int64 [cases]: an amount of each case, 0 where it is not known."""
    found = cases[column]
    found = found if found.dtype == pl.Int64 else found.cast(pl.Int64)
    return (found.fill_null(0) if found.null_count() else found).to_numpy()
