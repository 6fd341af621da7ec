"""Tallies of a year's cases without a priced frame in between: whole columns, number by number of hospital and pool.

Money is added up by owner (hospital, insurance, county group) and class (case kind, does it move with the pool). Units
are fractions: of each case its numerator (a x cost + b) is added up by owner and denominator, in two halves of 31 bits,
so that no sum of fewer than 2^31 cases leaves 64 bits; a numerator beyond 2^61 is counted by owner and band instead.
What comes out is what `tally_cases` and `by_kind` say of the same cases, whatever the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import LARGEST_COST, ZERO
from budget.fund_share import amount
from budget.hospital_units import (
    BY_COST,
    FIXED_QUOTAS,
    CaseTallies,
    Key,
    Tally,
    TallyRule,
    exact_sum,
)
from budget.plain_cases import PlainBlock, PlainCases
from budget.plan_table import CASE_KINDS, UNPAID, PlanTable, band_sums
from budget.pools import pool_name
from budget.price_plan import PlanBand, PlanRow
from budget.pricing import Pricer
from budget.settlement import KIND_SCHEMA
from budget.text_codes import Codes, Ints, WordCodes, different_pairs

_CLASSES = 2 * len(CASE_KINDS)
_HALF = 31
_LIMIT = 1 << 61
_CELLS = 1 << 24
_FAR_ROWS = 1 << 20
_FIXED = ("special", "by_item", *FIXED_QUOTAS)
_OWNER_BITS = (24, 12, 24)
_SUMS = ("cases", "cost", "package", "fund", "patient", "actual")


class YearTally:
    """Adds up block after block of PAYABLE cases; `plain` prices them and names those it leaves to
    `tally_cases`."""

    def __init__(self, pricer: Pricer, rule: TallyRule) -> None:
        self.rule = rule
        owner = ("hospital_id", "insurance", *(("county_group",) if rule.bundles else ()))

        def aside(row: PlanRow) -> bool:
            return rule.top_up and any(band.case_kind in FIXED_QUOTAS for band in row.bands)

        self.plain = PlainCases(pricer, owner, aside)
        self._owned_by = owner
        self._words = WordCodes()
        self._owners: list[tuple[str | None, ...]] = []
        self._sums: Ints = np.zeros((len(_SUMS), _CLASSES), np.int64)  # owner 0 takes what counts for nothing
        self._units = _Units(by_rate=rule.method == "drg-rate")

    def add(self, cases: pl.DataFrame, codes: Mapping[str, Codes], aside: NDArray[np.bool_] | None) -> Ints:
        """Take up a block, its texts numbered by `plain`; rows that are left out, those of `aside` among them."""
        block = self.plain.price(cases, codes, aside)
        if block.odd.size == cases.height:
            return block.odd
        owner = self._owner_of(block)
        self._units.take_up(block.table)
        key = owner * _CLASSES + self._units.classes.take(block.band)
        paid = amount(cases, "patient_paid_fen") + amount(cases, "other_funds_fen")
        by_item = amount(cases, "fund_by_item_fen")
        if cases["fund_by_item_fen"].null_count():
            known = cases["fund_by_item_fen"].is_not_null().to_numpy()
            by_item = np.where(known, by_item, amount(cases, "total_cost_fen") - paid)
        actual = by_item - amount(cases, "separate_fen")
        np.add.at(self._sums[0], key, 1)
        amounts = (block.cost, block.package, block.fund, paid, actual)
        for sums, fen in zip(self._sums[1:], amounts, strict=True):
            np.add.at(sums, key, fen)
        self._units.add(owner, block.band, block.cost)
        return block.odd

    def _owner_of(self, block: PlainBlock) -> Ints:
        """int64 [cases]: number of the owner from 1; 0 for odd cases."""
        word, shift = np.zeros(block.cases.height, np.int64), 0
        for name, bits in zip(self._owned_by, _OWNER_BITS, strict=False):
            assert len(self.plain.texts[name]) <= 1 << bits, "more different texts than a year can have"
            word |= np.asarray(block.codes[name]) << shift
            shift += bits
        first = word.view(np.uint64)
        owner, unknown = self._words.find(first)
        if unknown.size:
            nothing = np.zeros(len(first), np.uint64)
            new = unknown[different_pairs(first[unknown], nothing[unknown])]
            for at in new:
                codes = (np.broadcast_to(block.codes[name], len(first))[at] for name in self._owned_by)
                texts = (self.plain.texts[name].texts[code] for name, code in zip(self._owned_by, codes, strict=True))
                self._owners.append(tuple(texts))
            self._words.add(first[new], nothing[new])
            owner, _ = self._words.find(first)
            more = np.zeros((len(_SUMS), len(new) * _CLASSES), np.int64)
            self._sums = np.concatenate([self._sums, more], axis=1)
        owner += 1
        owner[block.odd] = 0
        return owner

    def _each(self) -> Iterator[tuple[int, Key, str | None, bool, Ints]]:
        """Owners with cases: number, (hospital, pool), county group, paid from a bundle, sums by class."""
        sums = self._sums.reshape(len(_SUMS), -1, _CLASSES)
        bundles = set(self.rule.bundles)
        for number, (hospital, insurance, *county) in enumerate(self._owners, 1):
            group = county[0] if county else None
            if sums[0, number].any():
                bundled = group is not None and (group, insurance) in bundles
                key = (str(hospital), pool_name(self.rule.pools, str(insurance)))
                yield number, key, group, bundled, sums[:, number]

    def tallies(self) -> CaseTallies:
        """The tallies of all cases taken up."""
        units = self._units.by_owner()
        moves = np.arange(_CLASSES) % 2 == 1
        paid = np.arange(_CLASSES) // 2 != UNPAID
        found: dict[Key, Tally] = {}
        of_bundles: dict[tuple[str, str, str], int] = {}
        for number, key, group, bundled, (cases, _, _, fund, patient, actual) in self._each():
            moving, own = (moves, paid) if not bundled else (moves & False, paid & False)
            unit = Fraction(0) if bundled else units.get(number, Fraction(0))
            if self.rule.method == "drg-rate" and unit:
                unit /= self.rule.fen_of_weight(key[1])
            tally = Tally(
                cases=int(cases.sum()), units=unit, patient_fen=int(patient[moving].sum()),
                priced_fen=int(fund[moving].sum()), fixed_fen=int(fund[~moving].sum()),
                actual_fen=int(actual[own].sum()),
            )  # fmt: skip
            found[key] = found.get(key, Tally()) + tally
            if bundled:
                bundle = (str(group), key[0], str(self._owners[number - 1][1]))
                of_bundles[bundle] = of_bundles.get(bundle, 0) + int(fund.sum())
        return CaseTallies(found, of_bundles, np.zeros(0, np.int64))

    def kinds(self) -> pl.DataFrame:
        """The cases by hospital, pool and kind (KIND_SCHEMA), in no order."""
        rows = []
        for _, key, _, _, sums in self._each():
            by_kind = sums[:4].reshape(4, len(CASE_KINDS), 2).sum(axis=2)
            rows += [(*key, CASE_KINDS[at], *by_kind[:, at].tolist()) for at in np.flatnonzero(by_kind[0])]
        return pl.DataFrame(rows, schema=KIND_SCHEMA, orient="row")


class _Units:
    """Exact units by owner. `classes` int8 [bands]: the class of each band's cases."""

    def __init__(self, *, by_rate: bool) -> None:
        self._by_rate = by_rate
        self._bands: list[PlanBand] = []
        self.classes: Ints = np.zeros(0, np.int64)
        self._slope: Ints = np.zeros(0, np.int64)
        self._constant: Ints = np.zeros(0, np.int64)
        self._reach: Ints = np.zeros(0, np.int64)
        self._place: Ints = np.zeros(0, np.int64)
        self._denominators: dict[int, int] = {}
        self._halves: Ints = np.zeros((2, 1, 1), np.int64)
        self._far: list[NDArray[np.int64]] = []

    def take_up(self, table: PlanTable) -> None:
        """Know the bands that the table has had since."""
        first = len(self._bands)
        if first == len(table.bands):
            return
        new = table.bands[first:]
        self._bands += new
        kinds = table.kind[first:].astype(np.int64)
        by_rate = [band.formula not in BY_COST and band.case_kind not in _FIXED for band in new]
        moves = np.asarray(by_rate if self._by_rate else table.earns_points[first:], np.bool_) & (kinds != UNPAID)
        rows = []
        for band, moving in zip(new, moves.tolist(), strict=True):
            line = (band.package if self._by_rate else band.points) if moving else None
            a, b, d = (line or ZERO).integers()
            place = self._denominators.setdefault(d, len(self._denominators))
            fits = max(abs(a), abs(b)) < _LIMIT
            reach = min(LARGEST_COST, (_LIMIT - abs(b)) // abs(a)) if a and fits else LARGEST_COST
            rows.append((a, b, reach, place) if fits else (0, 0, -1, place))
        columns = (self._slope, self._constant, self._reach, self._place)
        joined = [np.concatenate([old, more]) for old, more in zip(columns, np.array(rows, np.int64).T, strict=True)]
        self._slope, self._constant, self._reach, self._place = joined
        self.classes = np.concatenate([self.classes, 2 * kinds + moves])

    def add(self, owner: Ints, band: Ints, cost: Ints) -> None:
        """Add the units of cases up; owner 0 counts for nothing."""
        number = self._constant.take(band)
        rows = np.flatnonzero((self._slope != 0).take(band))
        number[rows] += self._slope.take(band[rows]) * cost[rows]
        far = np.flatnonzero(cost > self._reach.take(band))
        owners = int(owner.max(initial=0)) + 1
        if not self._make_room(owners):
            far = np.arange(len(owner))
        if far.size:
            number[far] = 0
            self._far.append(np.stack([(owner[far] << 32) | band[far], np.ones(len(far), np.int64), cost[far]]))
            if sum(part.shape[1] for part in self._far) > _FAR_ROWS:
                self._gather()
        if len(far) < len(owner):
            key = self._place.take(band) * self._halves.shape[2] + owner
            high, low = (half.reshape(-1) for half in self._halves)
            np.add.at(high, key, number >> _HALF)
            np.add.at(low, key, number & ((1 << _HALF) - 1))

    def _make_room(self, owners: int) -> bool:
        """Cells for all denominators and owners; False when they would be too many."""
        _, denominators, room = self._halves.shape
        if len(self._denominators) <= denominators and owners <= room:
            return True
        wanted = [1 << (size - 1).bit_length() for size in (len(self._denominators), owners)]
        grown = (2, max(denominators, wanted[0]), max(room, wanted[1]))
        if grown[1] * grown[2] > _CELLS:
            return False
        halves = np.zeros(grown, np.int64)
        halves[:, :denominators, :room] = self._halves
        self._halves = halves
        return True

    def _gather(self) -> None:
        code, cases, cost = np.concatenate(self._far, axis=1)
        by_cost, by_cases = band_sums(code, cost), band_sums(code, cases)
        self._far = [np.stack([by_cost.band, by_cases.cost, by_cost.cost])]

    def by_owner(self) -> dict[int, Fraction]:
        """The exact units of each owner that has any."""
        parts: dict[int, dict[int, int]] = {}
        high, low = self._halves
        for d, place in self._denominators.items():
            if place < high.shape[0]:
                for owner in np.flatnonzero(high[place] | low[place]).tolist():
                    whole = (int(high[place, owner]) << _HALF) + int(low[place, owner])
                    parts.setdefault(owner, {})[d] = whole
        if self._far:
            self._gather()
        for code, cases, cost in self._far[0].T.tolist() if self._far else ():
            owner, at = code >> 32, code & 0xFFFFFFFF
            line = (
                (self._bands[at].package if self._by_rate else self._bands[at].points) if self.classes[at] % 2 else None
            )
            a, b, d = (line or ZERO).integers()
            known = parts.setdefault(owner, {})
            known[d] = known.get(d, 0) + a * cost + b * cases
        return {
            owner: exact_sum([Fraction(number, d) for d, number in sorted(of.items())]) for owner, of in parts.items()
        }
