"""The cases of a run as scenarios look at them: sorted by plan row and cost once, with what decides the fund's part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import Affine, AffineColumn
from budget.frames import CASE_KIND_ZH
from budget.fund_share import NEEDS, known
from budget.money import round_half_up
from budget.scenario_grid import NO_END

Ints = NDArray[np.int64]
KINDS = tuple(CASE_KIND_ZH)
MINUS, RATIO, POINTS = range(3)
MODES = ("STANDARD_MINUS_PATIENT", "RATIO_ON_STANDARD", "POINTS_RATIO")
_SHIFT = 36
_COLUMNS = ("at", "row", "cost", "paid", "deducted", "known", "fund_at_cost", "key", "paid_key", "paid_place")


@dataclass(frozen=True)
class Owners:
    """Whose the cases are: `frame` one row an owner, sorted; `code` int64 [cases] the owner of each case."""

    frame: pl.DataFrame
    code: Ints


def owners_of(cases: pl.DataFrame) -> Owners:
    """The different rows of a frame, sorted, and which of them each row is."""
    names = cases.columns
    frame = cases.unique().sort(names, nulls_last=True)
    numbered = frame.with_row_index("owner")
    code = cases.join(numbered, on=names, how="left", maintain_order="left", nulls_equal=True)["owner"]
    return Owners(frame, code.cast(pl.Int64).to_numpy())


@dataclass(frozen=True)
class FundMode:
    """How the fund's part of a row's cases is worked out: MINUS, RATIO or POINTS, and the payment ratio."""

    mode: int
    ratio: Fraction


@dataclass(frozen=True)
class SortedCases:
    """Cases by (row, cost). `at`: their places in the frame; `row`, `cost` (fen), `paid` what patient and others paid,
    `deducted` what RATIO leaves out of the package, `known` whether the record has what the row's mode needs,
    `fund_at_cost` the fund's part where the cost itself is paid (0 where it is not known). `paid_key` the cases by
    (row, paid), `paid_place` their places in the order by cost."""

    at: Ints
    row: Ints
    cost: Ints
    paid: Ints
    deducted: Ints
    known: NDArray[np.bool_]
    fund_at_cost: Ints
    key: Ints
    paid_key: Ints
    paid_place: Ints
    counts: Ints
    modes: Sequence[FundMode]

    def head(self, rows: int) -> SortedCases:
        """The cases of the first rows."""
        count = int(self.counts[:rows].sum())
        columns = {name: getattr(self, name)[:count] for name in _COLUMNS}
        return replace(self, **columns, counts=self.counts[:rows], modes=self.modes[:rows])

    def beyond(self, ends: Ints) -> Ints:
        """int64 [rows]: the place of each row's first case above an end in fen."""
        return np.asarray(np.searchsorted(self.key, _keys(np.arange(len(ends)), ends), side="right"))

    def paid_above(self, amounts: NDArray[np.float64]) -> Ints:
        """The places of the cases of which more was paid than the amount of their row, [rows] in fen."""
        least = _keys(np.arange(len(amounts)), np.minimum(amounts, NO_END - 1))
        first = np.searchsorted(self.paid_key, least, side="right")
        return self.paid_place[ranges(first, np.cumsum(self.counts))]


def sort_cases(cases: pl.DataFrame, at: Ints, row: Ints, cost: Ints, modes: Sequence[FundMode]) -> SortedCases:
    """The cases at places `at` of a PAYABLE frame, which belong to `row` and cost `cost`; `modes` of the rows."""
    key = _keys(row, cost)
    order = np.argsort(key, kind="stable")
    at, row, cost = at[order], row[order], cost[order]
    own = cases.select(*_PAID, *NEEDS["RATIO_ON_STANDARD"], "fund_by_item_fen", "separate_fen")[pl.Series(at)]
    amounts = {name: own[name].fill_null(0).to_numpy() for name in (*_PAID, *NEEDS["RATIO_ON_STANDARD"])}
    paid = sum((amounts[name] for name in _PAID), np.zeros(len(at), np.int64))
    deducted = sum((amounts[name] for name in NEEDS["RATIO_ON_STANDARD"]), np.zeros(len(at), np.int64))
    mode = np.array([item.mode for item in modes], np.int64)[row]
    kept = np.ones(len(at), np.bool_)
    at_cost = np.zeros(len(at), np.int64)
    shares = AffineColumn([Affine(item.ratio, Fraction(0)) for item in modes])
    for number, name in enumerate(MODES):
        here = mode == number
        if not here.any():
            continue
        kept[here] = known(own, name)[here]
        if number == MINUS:
            at_cost[here] = np.maximum(0, cost - paid)[here]
        else:
            base = np.maximum(0, cost - deducted) if number == RATIO else cost
            at_cost[here] = shares.rounded(row[here], base[here])
    at_cost[~kept] = 0
    billed = (own["fund_by_item_fen"].is_not_null() & (own["separate_fen"].fill_null(0) == 0)).to_numpy()
    at_cost = np.where(billed, own["fund_by_item_fen"].fill_null(0).to_numpy(), at_cost)
    counts = np.bincount(row, minlength=len(modes))
    paid_key = _keys(row, paid)
    by_paid = np.argsort(paid_key)
    return SortedCases(
        at, row, cost, paid, deducted, kept, at_cost, key[order], paid_key[by_paid], by_paid, counts, modes
    )


def _keys(row: Ints, amount: NDArray[np.number]) -> Ints:
    """Whole numbers that order by row, then by amount in fen; amounts beyond NO_END are alike."""
    return np.asarray((row << _SHIFT) + np.clip(amount, -1, NO_END).astype(np.int64) + 1)


_PAID = ("patient_paid_fen", "other_funds_fen")


def ranges(first: Ints, last: Ints) -> Ints:
    """The whole numbers from each first up to, and without, its last; none where that is not above the first."""
    length = np.maximum(last - first, 0)
    ends = np.cumsum(length)
    count = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.arange(count) + np.repeat(first - (ends - length), length), np.int64)


def share_of(package: Ints, deducted: Ints, ratio: tuple[Ints, Ints], row: Ints) -> Ints:
    """RATIO_ON_STANDARD of whole packages, fen; `ratio` numerator and denominator by row. Arrays that go together."""
    base = np.maximum(0, package - deducted)
    above, below = (part.take(row) for part in ratio)
    if len(base) and float(base.max()) * float(above.max()) >= 2.0**61:
        whole = (part.ravel().tolist() for part in np.broadcast_arrays(above, below, base))
        exact = [Fraction(a, d) * value for a, d, value in zip(*whole, strict=True)]
        return np.array([round_half_up(value) for value in exact], np.int64).reshape(base.shape)
    return np.asarray((2 * above * base + below) // (2 * below))
