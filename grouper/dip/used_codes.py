"""Which of a case's codes made it fit its core group, by whole columns.

The principal diagnosis; the other diagnoses that met a condition of the row; the procedures that stand in an
alternative that the case meets. Of a mixed group: the principal diagnosis, and the effective principal procedure where
its nature is not that of conservative treatment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import UNKNOWN, Ids
from grouper.dip.axis import spans
from grouper.dip.clean import CleanProcedures
from grouper.dip.compile import CompiledDip
from grouper.dip.context import procedure_ids
from grouper.dip.encode import DipCases
from grouper.dip.mixed import CONSERVATIVE
from grouper.encode import CodeLists
from grouper.used_codes import joined_by_case, joined_parts
from reference_tables.dip_cells import Alternative, DiagnosisItem
from reference_tables.dip_rows import CoreRow

_Key = TypeVar("_Key")
Bools = NDArray[np.bool_]
_ID_BITS = 32


class UsedDipCodes:
    """For each core row, the codes that count for it."""

    def __init__(self, scheme: CompiledDip) -> None:
        self.scheme = scheme
        rows = scheme.pack.rows
        self.core = len(rows)
        self.grouped = self.core + scheme.pack.tables["mixed"].height
        dx, px = scheme.dx, scheme.px
        self._diagnoses = _Unions([self._asked(row) for row in rows], dx.ids_under, dx.index.size)
        several = np.array([any(len(codes) > 1 for codes in _asked_procedures(row)) for row in rows], np.bool_)
        plain = [() if many else _single_procedures(row) for row, many in zip(rows, several, strict=True)]
        self._anywhere = _Unions(plain, lambda codes: procedure_ids(px, codes), px.size)
        self._principal = np.array([row.px_mode == "principal" for row in rows], np.bool_)
        self._every = np.array([row.px_mode == "exact" for row in rows], np.bool_)
        self._several = several & ~self._every
        self._alternatives = _Alternatives(rows, lambda codes: procedure_ids(px, codes))

    def _asked(self, row: CoreRow) -> tuple[DiagnosisItem, ...]:
        """Items that other diagnoses may meet."""
        of_flag = self.scheme.flags.get(row.flag, ((), ()))[1] if row.flag_wanted else ()
        return (*row.other, *row.anywhere, *of_flag)

    def of(self, cases: DipCases, frame: pl.DataFrame, px: CleanProcedures, answer: NDArray[np.int32]) -> pl.Series:
        """Used codes of each case joined by `|`, in the order of the record, each once; "" without a group.

        `px`: the procedures with the effective principal one; `answer` int32 [cases]: core rows first, mixed rows
        after them, then what is no group.
        """
        filled = np.flatnonzero((answer < self.grouped) & (cases.dx.lengths > 0))
        first = np.zeros(cases.size, np.int64)
        first[filled] = cases.dx.offsets[filled] + 1
        spelling = self._spelt(cases, frame, first[filled] - 1)
        principal = pl.concat([pl.Series([None], dtype=pl.String), spelling])
        place = np.zeros(cases.size, np.uint32)
        place[filled] = np.arange(1, len(filled) + 1, dtype=np.uint32)
        principal = principal.gather(pl.Series(place))
        parts = [principal]
        core = answer < self.core
        if core.any():
            row = np.where(core, answer, 0)
            parts += [self._others(cases, frame, principal, row, core), self._procedures(px, row, core)]
        treated = self._treated(frame, px, ~core & (answer < self.grouped))
        return joined_parts(parts if treated is None else [*parts, treated])

    def _treated(self, frame: pl.DataFrame, px: CleanProcedures, mixed: Bools) -> pl.Series | None:
        """The effective principal procedures that decided a mixed group by their nature; None without any."""
        decided = mixed & (self.scheme.mixed.nature.take(px.principal) != CONSERVATIVE)
        rows = np.flatnonzero(decided)
        if not rows.size:
            return None
        places = px.places[rows]
        codes = self.scheme.px.spelling.gather(pl.Series(px.flat[places]))
        codes = _as_given(codes, px.flat[places] == UNKNOWN, frame, "procedures", places)
        return joined_by_case(rows, codes, len(mixed))

    def _spelt(self, cases: DipCases, frame: pl.DataFrame, places: NDArray[np.int64]) -> pl.Series:
        """The diagnoses at some places as the book spells them."""
        codes = self.scheme.dx.index.spelling.gather(pl.Series(cases.dx.flat[places]))
        return _as_given(codes, cases.unlisted[places], frame, "diagnoses", places)

    def _others(
        self, cases: DipCases, frame: pl.DataFrame, principal: pl.Series, row: NDArray[np.int32], core: Bools
    ) -> pl.Series:
        """Other diagnoses that met a condition, without those spelt like one before them."""
        lists = cases.dx
        union = np.where(core, self._diagnoses.of_row.take(row), 0)
        places = _places_of(lists, union > 0)
        owner = lists.row_of(places)
        met = places != lists.offsets[owner]
        met &= self._diagnoses.holds(union[owner], lists.flat[places])
        places, owner = places[met], owner[met]
        found = pl.DataFrame({"row": owner, "code": self._spelt(cases, frame, places)})
        found = found.filter(found["code"] != principal.gather(pl.Series(owner)))
        found = found.unique(maintain_order=True)
        return joined_by_case(found["row"].to_numpy(), found["code"], cases.size)

    def _procedures(self, px: CleanProcedures, row: NDArray[np.int32], core: Bools) -> pl.Series:
        """Procedures of the alternatives that the case meets, each once."""
        used = np.zeros(len(px.flat), np.bool_)
        principal = core & self._principal.take(row) & ~self._several.take(row) & (px.places >= 0)
        used[px.places[principal]] = True
        union = np.where(core, self._anywhere.of_row.take(row), 0)
        places = _places_of(px, union > 0)
        used[places] |= self._anywhere.holds(union[px.row_of(places)], px.flat[places])
        places = _places_of(px, core & self._every.take(row))
        used[places] |= ~self.scheme.cleaning.left_out.take(px.flat[places])
        rows = np.flatnonzero(core & self._several.take(row))
        if rows.size:
            used[self._alternatives.places_met(px, rows, row[rows])] = True
        places = np.flatnonzero(used)
        owner, codes = px.row_of(places), px.flat[places].astype(np.int64)
        _, once = np.unique(owner << _ID_BITS | codes, return_index=True)
        once.sort()
        return joined_by_case(owner[once], self.scheme.px.spelling.gather(pl.Series(codes[once])), len(row))


class _Unions:
    """Sets of codes, one for each row: `of_row` int32 [rows], 0 = the empty set. Bits packed by eight."""

    def __init__(
        self, wanted: Sequence[tuple[_Key, ...]], ids_of: Callable[[tuple[_Key, ...]], NDArray[np.int64]], size: int
    ) -> None:
        number: dict[tuple[_Key, ...], int] = {(): 0}
        self.of_row = np.array([number.setdefault(keys, len(number)) for keys in wanted], np.int32)
        self._table = np.zeros((len(number), -(-size // 8)), np.uint8)
        for keys, at in number.items():
            ids = ids_of(keys)
            np.bitwise_or.at(self._table[at], ids >> 3, (1 << (ids & 7)).astype(np.uint8))

    def holds(self, union: NDArray[np.int32], ids: Ids) -> Bools:
        """Is each code in its set?"""
        places = union.astype(np.int64) * self._table.shape[1] + (ids >> 3)
        bits = self._table.ravel().take(places) >> (ids & 7).astype(np.uint8)
        return np.asarray((bits & 1).astype(np.bool_))


class _Alternatives:
    """Rows with alternatives of several codes: which of them a case meets is looked up code by code.

    Alternatives of row r are `of_row[r]:of_row[r + 1]`, codes of alternative a `ids[start[a]:start[a + 1]]`.
    """

    def __init__(self, rows: Sequence[CoreRow], ids_of: Callable[[Alternative], NDArray[np.int64]]) -> None:
        asked = [_asked_procedures(row) for row in rows]
        self.of_row = np.cumsum([0, *map(len, asked)])
        self.start = np.cumsum([0, *(len(codes) for alternatives in asked for codes in alternatives)])
        self.ids = np.concatenate(
            [np.zeros(0, np.int64), *(ids_of(codes) for alternatives in asked for codes in alternatives)]
        )
        places = [(row, at) for row, alternatives in zip(rows, asked, strict=True) for at in range(len(alternatives))]
        self.beside = np.array([at >= len(row.px) for row, at in places], np.bool_)
        self.with_principal = np.array([row.px_mode == "principal" for row, _ in places], np.bool_) & ~self.beside

    def places_met(self, px: CleanProcedures, cases: NDArray[np.int64], row: NDArray[np.int32]) -> NDArray[np.int64]:
        """Places in `px.flat` of the codes of all alternatives that the cases meet; `row`: the row of each case."""
        count = self.of_row[row + 1] - self.of_row[row]
        alternative = spans(self.of_row[row], count)
        case = np.repeat(cases, count)
        length = self.start[alternative + 1] - self.start[alternative]
        wanted = self.ids[spans(self.start[alternative], length)]
        key = np.repeat(case, length) << _ID_BITS | wanted
        owner = np.repeat(np.arange(len(alternative)), length)
        places = spans(px.offsets[cases], px.lengths[cases])
        recorded = px.row_of(places) << _ID_BITS | px.flat[places].astype(np.int64)
        beside = recorded[places != np.repeat(px.places[cases], px.lengths[cases])]
        there = np.where(self.beside[alternative][owner], np.isin(key, beside), np.isin(key, recorded))
        starts = np.cumsum(length) - length
        met = np.logical_and.reduceat(there, starts)
        principal = wanted == np.repeat(px.principal[case].astype(np.int64), length)
        met &= ~self.with_principal[alternative] | np.logical_or.reduceat(principal, starts)
        return places[np.isin(recorded, key[met[owner]])]


def _as_given(
    codes: pl.Series, unlisted: Bools, frame: pl.DataFrame, column: str, places: NDArray[np.int64]
) -> pl.Series:
    """The codes at some places of a list column; those that no book has as given, in capital letters with a small x."""
    at = np.flatnonzero(unlisted)
    if not at.size:
        return codes
    given = frame[column].fill_null([]).list.explode(empty_as_null=False, keep_nulls=True)
    texts = given.gather(pl.Series(places[at])).str.strip_chars().str.to_uppercase()
    return codes.scatter(pl.Series(at), texts.str.replace_all("X", "x", literal=True))


def _asked_procedures(row: CoreRow) -> tuple[Alternative, ...]:
    """The alternatives of the row's procedures, then those of related procedures."""
    return (*row.px, *(row.related if row.px_mode == "principal" else ()))


def _single_procedures(row: CoreRow) -> tuple[str, ...]:
    """Codes that count wherever they stand, of a row whose alternatives have one code each."""
    related = row.related if row.px_mode == "principal" else ()
    anywhere = row.px if row.px_mode == "anywhere" else ()
    return tuple(codes[0] for codes in (*anywhere, *related))


def _places_of(lists: CodeLists, wanted: Bools) -> NDArray[np.int64]:
    """Places in `lists.flat` of all codes of some cases, ascending."""
    rows = np.flatnonzero(wanted)
    return spans(lists.offsets[rows], lists.lengths[rows])
