"""Plan rows as columns: class and amount of every case by comparisons and exact lines, no case looked at twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from budget.affine import ZERO, Affine, AffineColumn
from budget.frames import CASE_KIND_ZH
from budget.money import FEN
from budget.price_plan import BY_COST_FORMULAS, PlanBand, PlanRow

SHOWN = 10**6
CASE_KINDS = tuple(CASE_KIND_ZH)
UNPAID, BED_DAY = CASE_KINDS.index("unpaid"), CASE_KINDS.index("bed_day")
_KIND = {kind: at for at, kind in enumerate(CASE_KINDS)}
_NO_END = np.iinfo(np.int64).max

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BandSums:
    """Cases and their cost by plan band: `band` ascending, `cases`, `cost` fen (int64)."""

    band: Ints
    cases: Ints
    cost: Ints


class PlanTable:
    """The plan rows of a pricing run; `bands` is all their bands one after the other, `row_of_band` whose they are.

    Of every band: `kind` int8, the place of its case kind in CASE_KINDS; `by_cost` bool, it pays the cost itself;
    `earns_points` bool, its cases earn points and their money moves with the point value.
    """

    def __init__(self, rows: Sequence[PlanRow], before: PlanTable | None = None) -> None:
        """The table of `rows`, or of those `before` and these behind them."""
        new = tuple(row for row in rows)
        bands = tuple(band for row in new for band in row.bands)
        counts = np.array([len(row.bands) for row in new], np.int64)
        places = max(1, int(counts.max(initial=1)) - 1)
        upper = np.full((places, len(new)), _NO_END, np.int64)
        for at, row in enumerate(new):
            for place, band in enumerate(row.bands[:-1]):
                assert band.upper is not None, "only the last band has no end"
                upper[place, at] = band.upper
        self.rows: tuple[PlanRow, ...] = new
        self.bands: tuple[PlanBand, ...] = bands
        self.row_of_band = np.repeat(np.arange(len(new)), counts)
        self.upper = upper
        self.kind = np.array([_KIND[band.case_kind] for band in bands], np.int8)
        self.by_cost = np.array([band.formula in BY_COST_FORMULAS for band in bands], np.bool_)
        self.earns_points = np.array([band.points is not None and band.formula != "COST" for band in bands], np.bool_)
        packages = [band.package for band in bands]
        if before is None:
            self._package = AffineColumn(packages)
        else:
            self.rows, self.bands = before.rows + new, before.bands + bands
            self.row_of_band = np.concatenate([before.row_of_band, self.row_of_band + len(before.rows)])
            self.upper = np.concatenate([_padded(before.upper, places), _padded(upper, len(before.upper))], axis=1)
            self._package = before._package.plus(packages)
            for name in ("kind", "by_cost", "earns_points"):
                setattr(self, name, np.concatenate([getattr(before, name), getattr(self, name)]))
        self.first = np.searchsorted(self.row_of_band, np.arange(len(self.rows)))

    @cached_property
    def _points(self) -> AffineColumn:
        return AffineColumn([(band.points or ZERO).times(Fraction(SHOWN)) for band in self.bands])

    @cached_property
    def _multiple(self) -> AffineColumn:
        return AffineColumn([_multiple(row) for row in self.rows])

    def band_of(self, row: Ints, cost: Ints) -> Ints:
        """int64 [cases]: the band of each case, by its plan row and its cost in fen."""
        band = self.first.take(row)
        for upper in self.upper:
            band += cost > upper.take(row)
        return band

    def package_fen(self, band: Ints, cost: Ints) -> Ints:
        """int64 [cases]: what each case earns, fen, rounded half up once."""
        return self._package.rounded(band, cost)

    def points_shown(self, band: Ints, cost: Ints) -> Ints:
        """int64 [cases]: points x 10^6, rounded half up, for display; 0 where money is paid."""
        return self._points.rounded(band, cost)

    def multiple_shown(self, row: Ints, cost: Ints) -> Ints:
        """int64 [cases]: multiple x 10^6, rounded half up, for display; 0 without a reference."""
        return self._multiple.rounded(row, cost)

    def total_points(self, sums: BandSums) -> Fraction:
        """Exact points of the cases summed up."""
        return _total(sums, [band.points for band in self.bands])


def _padded(upper: Ints, places: int) -> Ints:
    """Upper ends with at least so many places."""
    more = np.full((max(0, places - len(upper)), upper.shape[1]), _NO_END, np.int64)
    return np.concatenate([upper, more])


def _multiple(row: PlanRow) -> Affine:
    if not row.reference:
        return ZERO
    return Affine(Fraction(SHOWN) / (row.reference * FEN), Fraction(0))


def _each(sums: BandSums) -> Iterable[tuple[int, int, int]]:
    return zip(sums.band.tolist(), sums.cases.tolist(), sums.cost.tolist(), strict=True)


def _total(sums: BandSums, lines: Sequence[Affine | None]) -> Fraction:
    total = Fraction(0)
    for band, cases, cost in _each(sums):
        line = lines[band]
        if line is not None:
            total += line.total(cases, cost)
    return total


def band_sums(band: Ints, cost: Ints) -> BandSums:
    """Number and cost of the cases in each band that occurs. Does not depend on the order of the cases."""
    if not len(band):
        nothing = np.zeros(0, np.int64)
        return BandSums(nothing, nothing, nothing)
    order = np.argsort(band, kind="stable")
    ordered = band[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    cases = np.diff(np.append(starts, len(ordered)))
    return BandSums(ordered[starts], cases, np.add.reduceat(cost[order], starts))
