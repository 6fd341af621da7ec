"""Group a frame of cases by DIP: encode, find the first core group, else a mixed group, score. Pure: same cases and
scheme, same bytes.

Source: 《按病种分值（DIP）付费3.0版分组方案》; the order of precedence: `reference_tables.dip_rows.CoreRow`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE
from grouper.dip.auxiliary import AuxiliaryCatalog
from grouper.dip.clean import CleanProcedures
from grouper.dip.compile import CompiledDip
from grouper.dip.encode import DipCases, encode_dip_cases
from grouper.dip.layers import LayerEvaluator, LayerKernel, Outcomes
from grouper.dip.mixed import NO_ROW
from grouper.dip.result import CORE, DIP_RESULT_SCHEMA, MIXED, dip_reason_text
from grouper.dip.scores import NO_SCORE, decimals, read_scores, scores_of, unit_factors
from grouper.dip.used_codes import UsedDipCodes
from grouper.kernel import NO_PATH, Kernel
from grouper.result import GroupStatus, Reason
from grouper.term_tables import Words
from reference_tables.problems import Problem

_AFTER_ALL = np.iinfo(np.int32).max  # place in the order of terms of a case that meets none
_REASONS = list(Reason)
_PLACE = {reason: at for at, reason in enumerate(_REASONS)}


@dataclass(frozen=True)
class Found:
    """What the rows say of a block of cases, before defects of the record count.

    `answer` int32 [cases]: place in the pools of DipGrouper; `reason` uint8 [cases]: place in Reason; `rows_fit`
    uint32 [cases]; `px`: the procedures with the effective principal one; `words`: the context.
    """

    answer: NDArray[np.int32]
    reason: NDArray[np.uint8]
    rows_fit: NDArray[np.uint32]
    px: CleanProcedures
    words: Words


class DipGrouper:
    """A compiled DIP scheme made ready: kernels, answer columns, scores. Safe to share between threads.

    Answers are numbered: core rows, mixed rows, ungrouped, invalid.
    """

    def __init__(self, scheme: CompiledDip) -> None:
        self.scheme = scheme
        core, mixed = scheme.pack.rows, scheme.pack.tables["mixed"]
        self.mixed_from, self.ungrouped = len(core), len(core) + mixed.height
        self.invalid = self.ungrouped + 1
        self.outcomes = Outcomes()
        known = np.array([reason is Reason.NONE for reason in scheme.term_reason], np.bool_)
        row = np.where(known, scheme.term_row, -1).astype(np.int32)
        self.kernel = LayerKernel(scheme.tables, *self._of_terms(scheme.tables.term_path, row), self.outcomes)
        exact = scheme.exact
        self.exact = LayerEvaluator(exact.masks, *self._of_terms(exact.masks.term_path, row), self.outcomes)
        self.exact.add_programs(np.diff(exact.start), exact.steps)
        self.primary_care = Kernel(scheme.primary_care)
        # What each term, and no term at all, leads to.
        self.term_answer = np.append(np.where(known, scheme.term_row, self.invalid), NO_ROW).astype(np.int32)
        self.term_reason = np.array([*(_PLACE[reason] for reason in scheme.term_reason), 0], np.uint8)
        self.principal_reasons = self._principal_reasons()
        scores = read_scores(scheme.pack)
        codes = [*(one.code for one in core), *mixed["code"], "", ""]
        self.base = np.array([scores.get(code, NO_SCORE) for code in codes], np.int64)
        self.pools = {
            "status": _pool(GroupStatus.GROUPED, self.ungrouped, [GroupStatus.UNGROUPED, GroupStatus.INVALID]),
            "kind": pl.Series([CORE] * len(core) + [MIXED] * mixed.height + ["", ""], dtype=pl.String),
            "layer": pl.Series([*(one.layer.code for one in core), *mixed["level"], "", ""], dtype=pl.String),
            "dip": pl.Series(codes, dtype=pl.String),
            "name": pl.Series([*(one.name for one in core), *mixed["name"], "", ""], dtype=pl.String),
            "base_score": decimals(self.base),
        }
        self.used = UsedDipCodes(scheme)
        self.auxiliary = AuxiliaryCatalog(scheme.pack, scheme.dx, scheme.px) if self._has_levels() else None

    def _has_levels(self) -> bool:
        return self.scheme.pack.tables["aux_level"].height > 0

    def _of_terms(self, path: NDArray[np.int32], row: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return row[path], self.scheme.term_layer[path]

    def _principal_reasons(self) -> NDArray[np.uint8]:
        """uint8 [dx ids]: place in Reason of why a case of this principal diagnosis is in no group."""
        dx = self.scheme.dx
        reasons = np.full(dx.index.size, _PLACE[Reason.NO_DIP_GROUP], np.uint8)
        reasons[dx.index.ids(self.scheme.gray["dx"])] = _PLACE[Reason.PRINCIPAL_GRAY]
        reasons[~dx.listed] = _PLACE[Reason.PRINCIPAL_UNKNOWN]
        return reasons

    def block(self, frame: pl.DataFrame, *, used_codes: bool = True) -> pl.DataFrame:
        """Group one block of cases; see `grouper.engine.group_cases`."""
        return self.encoded(self.encode(frame), frame, used_codes=used_codes)

    def with_codes(self, frame: pl.DataFrame) -> tuple[DipCases, pl.DataFrame]:
        """Group one block of cases; also the block as integers."""
        cases = self.encode(frame)
        return cases, self.encoded(cases, frame)

    @property
    def asks_costs(self) -> bool:
        """Does some level of the auxiliary catalog ask what a case cost?"""
        return bool(self.unanswered(()))

    def unanswered(self, given: Collection[str], file: str = "") -> list[Problem]:
        """What the auxiliary catalog asks of every case and a file with the columns `given` does not tell."""
        return self.auxiliary.unanswered(given, file) if self.auxiliary else []

    def encode(self, frame: pl.DataFrame) -> DipCases:
        """A canonical case frame as `encoded` takes it."""
        return encode_dip_cases(frame, self.scheme)

    def find(self, cases: DipCases) -> Found:
        """The answer of every case by the rows of the pack: points of the order of grouping 1 to 7."""
        scheme = self.scheme
        principal = cases.dx.principal
        px = scheme.cleaning.of(cases.px, principal)
        words = scheme.context.of(cases.dx, px, cases.numbers)
        first, rows_fit = self._first_term(cases, px, words)
        reached = np.where(first == _AFTER_ALL, len(scheme.term_row), first)
        answer = self.term_answer.take(reached)
        reason = self.term_reason.take(reached)
        rows_fit[answer == self.invalid] = 0
        rest = np.flatnonzero(answer == NO_ROW)
        mixed = scheme.mixed.of(principal[rest], px.principal[rest])
        answer[rest] = np.where(mixed == NO_ROW, self.ungrouped, mixed + self.mixed_from)
        reason[rest] = np.where(mixed == NO_ROW, self.principal_reasons.take(principal[rest]), 0)
        for refused, why in (
            (cases.barred, Reason.PRINCIPAL_BLOCKED),
            (principal == NONE, Reason.PRINCIPAL_MISSING),
        ):
            answer[refused], reason[refused], rows_fit[refused] = self.ungrouped, _PLACE[why], 0
        return Found(answer, reason, rows_fit, px, words)

    def _first_term(
        self, cases: DipCases, px: CleanProcedures, words: Words
    ) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
        """The first true term of each case, _AFTER_ALL without one, and how many rows of its layer fit."""
        tables = self.scheme.tables
        outcome = self.kernel.paths(tables.dx_class.take(cases.dx.principal), tables.px_class.take(px.principal), words)
        first, rows_fit = self._read(outcome)
        rows, outcome = self._exact(cases, px, words)
        if rows.size:
            other, more = self._read(outcome)
            layer = np.append(self.scheme.term_layer, _AFTER_ALL)
            here, there = layer[np.minimum(first[rows], len(layer) - 1)], layer[np.minimum(other, len(layer) - 1)]
            rows_fit[rows] = np.where(here <= there, rows_fit[rows], 0) + np.where(there <= here, more, 0)
            first[rows] = np.minimum(first[rows], other)
        return first, rows_fit

    def _read(self, outcome: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.uint32]]:
        """Term and rows that fit of each outcome."""
        term = np.append(self.outcomes.term, np.int32(_AFTER_ALL))
        rows_fit = np.append(self.outcomes.rows_fit, np.int32(0)).astype(np.uint32)
        return term.take(outcome, mode="wrap"), rows_fit.take(outcome, mode="wrap")

    def _exact(self, cases: DipCases, px: CleanProcedures, words: Words) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Cases whose combination of procedures some row asks for, and the outcome among those rows."""
        exact = self.scheme.exact
        classes = exact.dx_class.take(cases.dx.principal)
        rows = np.flatnonzero((px.places >= 0) & exact.asks.take(classes))
        wanted = classes[rows].astype(np.int64) * exact.width + exact.combinations.of(px, rows)
        place = np.minimum(np.searchsorted(exact.keys, wanted), max(0, len(exact.keys) - 1))
        found = exact.keys[place] == wanted if len(exact.keys) else np.zeros(0, np.bool_)
        rows, program = rows[found], place[found].astype(np.int32)
        outcome = self.exact.answer(program, np.ascontiguousarray(words[:, rows]))
        there = outcome != NO_PATH
        return rows[there], outcome[there]

    def encoded(self, cases: DipCases, frame: pl.DataFrame, *, used_codes: bool = True) -> pl.DataFrame:
        """Group a block that is encoded already; `frame` gives row, case_id, defects and what factors ask for."""
        found = self.find(cases)
        answer, rows_fit = found.answer, found.rows_fit
        defects = frame["defect"] if "defect" in frame.columns else None
        if defects is not None:
            broken = defects.is_not_null().to_numpy()
            answer[broken], rows_fit[broken] = self.invalid, 0
        places = pl.Series(answer.astype(np.uint32))
        columns = {name: pool.gather(places) for name, pool in self.pools.items()}
        columns["reason"], columns["reason_zh"] = _reasons(found.reason, defects)
        grouped = answer < self.ungrouped
        columns |= self._scored(cases, frame, answer, columns)
        columns["primary_care"] = pl.Series(self._primary_care(cases, found) & grouped)
        columns["rows_fit"] = pl.Series(rows_fit)
        if used_codes:
            columns["used_codes"] = self.used.of(cases, frame, found.px, answer)
        columns["row"] = frame["row"].cast(pl.UInt32)
        columns["case_id"] = frame["case_id"]
        return pl.DataFrame({name: columns[name].alias(name) for name in DIP_RESULT_SCHEMA if name in columns})

    def _scored(
        self, cases: DipCases, frame: pl.DataFrame, answer: NDArray[np.int32], columns: Mapping[str, pl.Series]
    ) -> dict[str, pl.Series]:
        """Levels of the auxiliary catalog, correction factor and score of every case."""
        grouped = answer < self.ungrouped
        if self.auxiliary is None:
            return {
                "auxiliary": pl.repeat("", cases.size, dtype=pl.String, eager=True),
                "factor": unit_factors(grouped),
                "score": columns["base_score"],
            }
        core = pl.Series(answer < self.mixed_from)
        auxiliary, factor = self.auxiliary.of(frame, cases.dx, cases.px, columns["dip"].set(~core, ""))
        factor = factor.set(pl.Series(~grouped), None)
        return {"auxiliary": auxiliary, "factor": factor, "score": scores_of(self.base.take(answer), factor)}

    def _primary_care(self, cases: DipCases, found: Found) -> NDArray[np.bool_]:
        """The mark 基层病种, by the rows alone."""
        tables = self.scheme.primary_care
        dx, px = tables.dx_class.take(cases.dx.principal), tables.px_class.take(found.px.principal)
        return np.asarray(self.primary_care.paths(dx, px, found.words) != NO_PATH)


def _pool(first: GroupStatus, count: int, last: list[GroupStatus]) -> pl.Series:
    return pl.Series([first.value] * count + [status.value for status in last], dtype=pl.String)


def _reasons(reason: NDArray[np.uint8], defects: pl.Series | None) -> tuple[pl.Series, pl.Series]:
    """Reason of each case and its Chinese text; a defect of the record comes before what the rows say."""
    pool = [one.value for one in _REASONS]
    places = reason.astype(np.uint32)
    if defects is not None and defects.null_count() < len(defects):
        rows = np.flatnonzero(defects.is_not_null().to_numpy())
        codes, which = np.unique(defects.drop_nulls().to_numpy().astype(str), return_inverse=True)
        places[rows] = len(pool) + which
        pool += codes.tolist()
    texts = pl.Series([dip_reason_text(code) for code in pool], dtype=pl.String)
    taken = pl.Series(places)
    return pl.Series(pool, dtype=pl.String).gather(taken), texts.gather(taken)
