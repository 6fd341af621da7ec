"""Plain cases of a frame, priced by whole columns without a row of text written: what sums of payments need.

A case is plain when its plan row follows from a few texts alone. They are numbered block by block (`text_codes`); each
new combination is priced once, by one case of it, the way `Pricer` prices every case. All others are odd: amounts that
are unknown or out of range, stays so short or long that days decide, groups with a yearly number, bed days, shares of
Chinese medicine. Odd cases are left to `Pricer.price`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.affine import LARGEST_COST
from budget.case_fit import faults
from budget.case_routes import capped_groups, days_that_decide, young_cases
from budget.fund_share import NEEDS, amount
from budget.plan_table import PlanTable
from budget.price_keys import key_columns
from budget.price_plan import PlanRow
from budget.price_terms import BED_DAY, BY_ITEM_DAYS, OVER_CAP, TCM, TCM_FALLBACK
from budget.pricing import Pricer
from budget.text_codes import Codes, Ints, TextCodes, WordCodes, different_pairs
from reference_tables.problems import Problem

BLOCK = 1 << 17
"""Rows at a time: the columns of a block stay in the cache."""
_BY_CASE = (BED_DAY, BY_ITEM_DAYS, OVER_CAP, TCM, TCM_FALLBACK)
_BITS = {"group": 20, "hospital_id": 16, "month": 10, "tier": 6, "insurance": 5, "status": 4, "kind": 3}
"""Room for the numbers of each column in a word; what has no room is odd."""
_AUX_BITS = 40
_STRAGGLERS = 256
_PRICED_FIRST = ("insurance", "group", "status", "month", "hospital_id")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class PlainBlock:
    """A block of cases. `odd`: the rows that are left to Pricer.price, ascending; what the other columns say of them
    means nothing. `codes`: number of the text of each column asked for; `table`: the plan; `row`, `band` int64; `cost`,
    `package`, `fund` fen."""

    cases: pl.DataFrame
    odd: Ints
    codes: Mapping[str, Codes]
    table: PlanTable
    row: Ints
    band: Ints
    cost: Ints
    package: Ints
    fund: Ints


class PlainCases:
    """Prices the plain cases of block after block with one pricer.

    `asked`: further columns whose texts are to be numbered; `aside`: plan rows whose cases are to be odd. Missing
    parameters are noted with the pricer and in `problems`; the caller raises them.
    """

    def __init__(
        self, pricer: Pricer, asked: Sequence[str] = (), aside: Callable[[PlanRow], bool] = lambda _: False
    ) -> None:
        self.pricer = pricer
        self.problems: list[Problem] = []
        policy, values = pricer.policy, pricer.values
        self._aside = aside
        self._columns = key_columns(policy, values)
        names = [name for name in _BITS if name in (*_PRICED_FIRST, *self._columns.values())]
        self.texts = {name: TextCodes() for name in dict.fromkeys((*names, *asked))}
        self._named = names
        # Of hospital and month it may only count whether they are fit.
        self._fitness = {
            name: [fault.met for fault in faults(policy, values) if set(fault.met.meta.root_names()) == {name}]
            for name in ("hospital_id", "month")
            if name not in self._columns.values()
        }
        self._classes: dict[str, Ints] = {name: np.zeros(0, np.int64) for name in self._fitness}
        self._days = days_that_decide(policy)
        self._capped = capped_groups(policy)
        modes = {str(setting.value) for setting in policy.all("fund_share_mode")}
        needed = {name for mode in modes for name in NEEDS[mode]}
        self._needed = ("total_cost_fen", *sorted(needed | {"patient_paid_fen"}))
        self._combinations = WordCodes()
        self._row_of: Ints = np.zeros(0, np.int64)

    def codes(self, cases: pl.DataFrame) -> dict[str, Codes]:
        """The numbers of a block's texts, by column."""
        return {name: coder.codes(cases[name]) for name, coder in self.texts.items()}

    def price(self, cases: pl.DataFrame, codes: Mapping[str, Codes], aside: Mask | None = None) -> PlainBlock:
        """Price a block of PAYABLE cases; `codes` of its texts; `aside`: cases that are odd whatever they say."""
        cost, odd = self._cost(cases, aside)
        row = self._rows(cases, codes, odd)
        odd |= row < 0
        rows = np.flatnonzero(odd)
        table = self.pricer.table
        if len(rows) == cases.height:
            nothing = np.zeros(cases.height, np.int64)
            return PlainBlock(cases, rows, codes, table, nothing, nothing, nothing, nothing, nothing)
        row[rows] = row[np.argmin(odd)]
        cost[rows] = 0
        band = table.band_of(row, cost)
        package = table.package_fen(band, cost)
        fund, _ = self.pricer.shares.parts(cases, table, (row, band, cost), package)
        return PlainBlock(cases, rows, codes, table, row, band, cost, package, fund)

    def _cost(self, cases: pl.DataFrame, aside: Mask | None) -> tuple[Ints, Mask]:
        """Package cost of every case, fen, and the cases that are odd by an amount."""
        odd = np.zeros(cases.height, np.bool_) if aside is None else aside.copy()
        for name in self._needed:
            if cases[name].null_count():
                odd |= cases[name].is_null().to_numpy()
        total = amount(cases, "total_cost_fen")
        cost = total - amount(cases, "separate_fen")
        for fen in (total, cost):
            if fen.size and (fen.min() < 0 or fen.max() > LARGEST_COST):
                odd |= (fen < 0) | (fen > LARGEST_COST)
        if self._days is not None:
            least, most = self._days
            told = cases["los_days"]
            days = (told.fill_null(-1) if told.null_count() else told).to_numpy()
            if days.size and (days.min() < least or days.max() > most):
                odd |= (days < least) | (days > most)
        return cost, odd

    def _rows(self, cases: pl.DataFrame, codes: Mapping[str, Codes], odd: Mask) -> Ints:
        """int64 [cases]: plan row of each case that is not odd, -1 for those that turn out odd."""
        if not cases.height:
            return np.zeros(0, np.int64)
        first, second = self._words(cases, codes, odd)
        place, unknown = self._combinations.find(first, second)
        fresh = unknown[~odd[unknown]]
        # A few stragglers are not worth a plan of their own.
        if fresh.size * _STRAGGLERS > cases.height:
            more = np.zeros(len(first), np.uint64) if second is None else second
            new = fresh[different_pairs(first[fresh], more[fresh])]
            self._row_of = np.concatenate([self._row_of, self._rows_of(cases[new])])
            self._combinations.add(first[new], more[new])
            place, unknown = self._combinations.find(first, second)
        if not len(self._combinations):
            return np.full(cases.height, -1, np.int64)
        row = self._row_of.take(place)
        row[unknown] = -1
        return row

    def _rows_of(self, cases: pl.DataFrame) -> Ints:
        """The plan row of each case, -1 where it is not the combination that decides."""
        row, route = self.pricer.plan_rows(cases, self.problems)
        odd = route.is_in(list(_BY_CASE))
        if self._capped is None:
            odd |= pl.Series([True])
        elif self._capped:
            odd |= cases["group"].cast(pl.String).is_in(list(self._capped)).fill_null(value=False)
        planned = self.pricer.table.rows
        aside = np.array([self._aside(planned[at]) for at in row.tolist()], np.bool_)
        return np.where(odd.to_numpy() | aside, -1, row)

    def _words(
        self, cases: pl.DataFrame, codes: Mapping[str, Codes], odd: Mask
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
        """The combination of each case as one or two words."""
        plain, word, shift = 0, np.zeros(0, np.int64), 0
        for name in self._named:
            code = self._class_of(name, codes[name])
            if isinstance(code, int):
                plain |= code << shift
            elif word.size:
                word |= code << shift
            else:
                word = code << shift
            if len(self.texts[name]) > 1 << _BITS[name]:
                odd |= np.asarray(code) >= 1 << _BITS[name]
            shift += _BITS[name]
        word = word | plain if word.size else np.full(cases.height, plain, np.int64)
        return word.view(np.uint64), self._second(cases, odd)

    def _class_of(self, name: str, code: Codes) -> Codes:
        met = self._fitness.get(name)
        if met is None:
            return code
        texts, classes = self.texts[name].texts, self._classes[name]
        if len(classes) < len(texts):
            new = pl.DataFrame({name: pl.Series(texts[len(classes) :], dtype=pl.String)})
            unfit = new.select(pl.any_horizontal(expr.fill_null(value=False) for expr in met)).to_series().to_numpy()
            # Fit ones are all alike; an unfit one keeps a number of its own.
            own = np.where(unfit, np.arange(len(classes), len(texts)) + 1, 0)
            classes = self._classes[name] = np.concatenate([classes, own])
        if not classes.any():
            return 0
        return int(classes[code]) if isinstance(code, int) else classes.take(code)

    def _second(self, cases: pl.DataFrame, odd: Mask) -> NDArray[np.uint64] | None:
        """What a combination holds beside texts: auxiliary factor, mark of primary care, youth."""
        parts: list[Ints] = []
        if "aux" in self._columns and cases["aux_factor"].null_count() < cases.height:
            factor = cases["aux_factor"].to_physical().cast(pl.Int64).fill_null(-1).to_numpy() + 1
            odd |= (factor < 0) | (factor >= 1 << _AUX_BITS)
            parts.append(factor & ((1 << _AUX_BITS) - 1))
        flags = []
        if "primary_care" in self._columns:
            flags.append(cases["primary_care"].fill_null(value=False))
        if "young" in self._columns:
            flags.append(cases.select(young_cases(cases, self.pricer.policy)).to_series())
        for at, flag in enumerate(flags):
            if flag.any():
                parts.append(flag.to_numpy().astype(np.int64) << (_AUX_BITS + at))
        return np.bitwise_or.reduce(parts).view(np.uint64) if parts else None
