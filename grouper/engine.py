"""Group a frame of cases: encode, look up, answer. Pure: same cases and scheme, same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE, UNKNOWN
from grouper.compile import CompiledScheme
from grouper.context import ContextPlan
from grouper.dip.compile import CompiledDip
from grouper.dip.engine import DipGrouper
from grouper.encode import UNKNOWN_NUMBER, CodeLists, EncodedCases, encode_cases
from grouper.kept import kept_with
from grouper.kernel import NO_PATH, Kernel
from grouper.result import (
    RESULT_SCHEMA,
    GroupStatus,
    Reason,
    answer_of_path,
    invalid_answer,
    reason_text,
    ungrouped_answer,
)
from grouper.used_codes import UsedCodes

BLOCK_ROWS = 1 << 16
NEWBORN_DAYS = 28  # input check of the pack model, point 5
_INPUT_REASONS = (Reason.SEX_INVALID, Reason.AGE_UNKNOWN, Reason.AGE_DAYS_UNKNOWN, Reason.WEIGHT_UNKNOWN)
PRINCIPAL_REASONS = (
    Reason.NO_MDC,
    Reason.PRINCIPAL_MISSING,
    Reason.PRINCIPAL_UNKNOWN,
    Reason.PRINCIPAL_GRAY,
    Reason.CONDITION_NOT_MET,
    Reason.PRINCIPAL_BLOCKED,
)


class Grouper:
    """A compiled scheme made ready: its kernel, context plan and answer columns. Safe to share between threads."""

    def __init__(self, scheme: CompiledScheme) -> None:
        self.scheme = scheme
        self.plan = ContextPlan(scheme)
        self.kernel = Kernel(scheme)
        self.used = UsedCodes(scheme)
        meta = scheme.pack.meta
        self.answers = [answer_of_path(path) for path in scheme.paths]
        self.answers += [ungrouped_answer(meta), invalid_answer(meta)]
        self.ungrouped, self.invalid = len(scheme.paths), len(scheme.paths) + 1
        drg = self.answers[self.ungrouped].drg
        self._ends_ungrouped = np.array([answer.drg == drg for answer in self.answers[:-1]])
        self.retries = meta.get("retry") == "each_other_procedure_alone"
        pools = {
            "status": [answer.status.value for answer in self.answers],
            "mdc": [answer.mdc for answer in self.answers],
            "adrg": [answer.adrg for answer in self.answers],
            "drg": [answer.drg for answer in self.answers],
            "name": [answer.name for answer in self.answers],
        }
        self.pool_series = {name: pl.Series(name, values) for name, values in pools.items()}
        self.reason_of_path = [answer.reason for answer in self.answers]
        self.principal_reasons = self._principal_reasons()

    def _principal_reasons(self) -> NDArray[np.uint8]:
        """uint8 [dx ids]: place in PRINCIPAL_REASONS of why this principal diagnosis opens no MDC."""
        index, scheme = self.scheme.indexes["dx"], self.scheme
        reasons = np.zeros(index.size, np.uint8)
        place = PRINCIPAL_REASONS.index
        reasons[NONE], reasons[UNKNOWN] = place(Reason.PRINCIPAL_MISSING), place(Reason.PRINCIPAL_UNKNOWN)
        reasons[index.ids(scheme.gray["dx"])] = place(Reason.PRINCIPAL_GRAY)
        reasons[scheme.listed_principals] = place(Reason.CONDITION_NOT_MET)
        reasons[index.ids(scheme.pack.not_principal)] = place(Reason.PRINCIPAL_BLOCKED)
        return reasons

    def paths(self, cases: EncodedCases) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Path of each case before the input check and retries, and MCC/CC bits of its other diagnoses."""
        scheme = self.scheme
        context = self.plan.of(cases)
        principal = cases.dx.principal
        paths = self.kernel.paths(
            scheme.dx_class.take(principal), scheme.px_class.take(cases.px.principal), context.words
        )
        if scheme.pack.not_principal:
            blocked = PRINCIPAL_REASONS.index(Reason.PRINCIPAL_BLOCKED)
            paths[self.principal_reasons[principal] == blocked] = NO_PATH
        return paths, context.other_levels

    def _check_input(self, cases: EncodedCases) -> NDArray[np.uint8]:
        """uint8 [cases]: 0 = passes, else 1 + place of the first failed check in _INPUT_REASONS."""
        sex, age = cases.numbers["XB"], cases.numbers["NL"]
        days, weight = cases.numbers["XSRTL"], cases.numbers["XSRTZ"]
        infant = age == 0
        failed = [
            (sex != 1) & (sex != 2),
            age == UNKNOWN_NUMBER,
            infant & (days == UNKNOWN_NUMBER),
            infant & (days != UNKNOWN_NUMBER) & (days <= NEWBORN_DAYS) & (weight == UNKNOWN_NUMBER),
        ]
        return np.select(failed, list(range(1, len(failed) + 1)), 0).astype(np.uint8)

    def _retry(
        self, cases: EncodedCases, paths: NDArray[np.int32], valid: NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.int64], EncodedCases, NDArray[np.int32], NDArray[np.uint8]]]:
        """Cases answered 0000, again with each other procedure alone; yields those that found an answer."""
        lengths = cases.px.lengths
        filled = np.concatenate([[0], np.cumsum(cases.px.flat != 0)])[cases.px.offsets]
        rows = np.flatnonzero(valid & (np.diff(filled) >= 2) & self._ends_ungrouped[paths])
        place = 0
        while rows.size:
            place += 1
            rows = rows[lengths[rows] > place]
            if not rows.size:
                return
            alone = cases.px.flat[cases.px.offsets[rows] + place]
            again = _with_one_procedure(cases, rows, alone)
            found, levels = self.paths(again)
            found = np.where(found == NO_PATH, self.ungrouped, found).astype(np.int32)
            kept = np.flatnonzero(~self._ends_ungrouped[found])
            if kept.size:
                yield (
                    rows[kept],
                    _with_one_procedure(cases, rows[kept], alone[kept]),
                    found[kept],
                    levels[kept],
                )
            rows = np.delete(rows, kept)

    def block(self, frame: pl.DataFrame, *, used_codes: bool = True) -> pl.DataFrame:
        """Group one block of cases; see `group_cases`."""
        return self.encoded(self.encode(frame), frame, used_codes=used_codes)

    def with_codes(self, frame: pl.DataFrame) -> tuple[EncodedCases, pl.DataFrame]:
        """Group one block of cases; also the block as integers."""
        cases = self.encode(frame)
        return cases, self.encoded(cases, frame)

    def encode(self, frame: pl.DataFrame) -> EncodedCases:
        """A canonical case frame as `encoded` takes it."""
        return encode_cases(frame, self.scheme.indexes, self.scheme.pack.newborn_weight)

    def encoded(self, cases: EncodedCases, frame: pl.DataFrame, *, used_codes: bool = True) -> pl.DataFrame:
        """Group a block that is encoded already; `frame` gives row, case_id and defects."""
        paths, levels = self.paths(cases)
        answer = np.where(paths == NO_PATH, self.ungrouped, paths).astype(np.int32)
        failed = self._check_input(cases)
        defects = _defects(frame)
        valid = (failed == 0) & (defects.is_null().to_numpy() if defects is not None else True)
        again = list(self._retry(cases, answer, valid)) if self.retries else []
        for rows, _, found, found_levels in again:
            answer[rows], levels[rows] = found, found_levels
        answer[~valid] = self.invalid
        reason = self._reasons(cases, answer, failed, defects)
        places = pl.Series(answer.astype(np.uint32))
        columns: dict[str, pl.Series] = {name: pool.gather(places) for name, pool in self.pool_series.items()}
        columns["reason"], columns["reason_zh"] = reason
        columns["severity"] = self._severity(answer, levels)
        if used_codes:
            columns["used_codes"] = self._used(cases, answer, again)
        columns["row"] = frame["row"].cast(pl.UInt32)
        columns["case_id"] = frame["case_id"]
        return pl.DataFrame({name: columns[name].alias(name) for name in RESULT_SCHEMA if name in columns})

    def _severity(self, answer: NDArray[np.int32], levels: NDArray[np.uint8]) -> pl.Series:
        """The level by which the matched rule was met: MCC, CC, or blank when it asks for none."""
        mask = np.append(self.used.level_mask, [np.uint8(0)] * 2)
        met = mask.take(answer) & levels
        return pl.Series(["", "MCC", "CC", "MCC"]).gather(pl.Series(met))

    def _reasons(
        self,
        cases: EncodedCases,
        answer: NDArray[np.int32],
        failed: NDArray[np.uint8],
        defects: pl.Series | None,
    ) -> tuple[pl.Series, pl.Series]:
        known = list(Reason)
        number = {reason: at for at, reason in enumerate(known)}
        places = np.array([number[reason] for reason in self.reason_of_path], np.uint32).take(answer)
        nothing = answer == self.ungrouped
        if nothing.any():
            principal = np.array([number[reason] for reason in PRINCIPAL_REASONS], np.uint32)
            places[nothing] = principal[self.principal_reasons[cases.dx.principal[nothing]]]
        checks = np.array([0, *(number[reason] for reason in _INPUT_REASONS)], np.uint32)
        places = np.where(failed > 0, checks[failed], places)
        pool = [reason.value for reason in known]
        if defects is not None and defects.null_count() < len(defects):
            # What the input check says is more exact than that some quality rule rejects the case.
            own = defects.is_not_null() & ((defects != Reason.QUALITY_REJECT.value) | pl.Series(failed == 0))
            rows = np.flatnonzero(own.to_numpy())
            codes, which = np.unique(defects.filter(own).to_numpy().astype(str), return_inverse=True)
            places[rows] = len(pool) + which
            pool += codes.tolist()
        taken = pl.Series(places.astype(np.uint32))
        texts = pl.Series([reason_text(code) for code in pool], dtype=pl.String)
        return pl.Series(pool, dtype=pl.String).gather(taken), texts.gather(taken)

    def _used(
        self,
        cases: EncodedCases,
        answer: NDArray[np.int32],
        again: list[tuple[NDArray[np.int64], EncodedCases, NDArray[np.int32], NDArray[np.uint8]]],
    ) -> pl.Series:
        found = self.used.of(cases, np.where(answer < self.ungrouped, answer, NO_PATH).astype(np.int32))
        for rows, alone, paths, _ in again:
            found = found.scatter(pl.Series(rows), self.used.of(alone, paths))
        return found


def _defects(frame: pl.DataFrame) -> pl.Series | None:
    return frame["defect"] if "defect" in frame.columns else None


def _with_one_procedure(
    cases: EncodedCases, rows: NDArray[np.int64], procedure: NDArray[np.unsignedinteger[Any]]
) -> EncodedCases:
    lengths = cases.dx.lengths[rows]
    starts = cases.dx.offsets[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
    return EncodedCases(
        size=len(rows),
        dx=CodeLists(cases.dx.flat[places], offsets),
        px=CodeLists(procedure, np.arange(len(rows) + 1)),
        way=cases.way[rows],
        department=cases.department[rows],
        numbers={name: values[rows] for name, values in cases.numbers.items()},
    )


@overload
def grouper_of(scheme: CompiledScheme) -> Grouper: ...
@overload
def grouper_of(scheme: CompiledDip) -> DipGrouper: ...
def grouper_of(scheme: CompiledScheme | CompiledDip) -> Grouper | DipGrouper:
    """The one Grouper of a compiled scheme."""
    if isinstance(scheme, CompiledDip):
        return kept_with(scheme, "grouper", lambda: DipGrouper(scheme))
    return kept_with(scheme, "grouper", lambda: Grouper(scheme))


def group_cases(
    cases: pl.DataFrame, scheme: CompiledScheme | CompiledDip, *, threads: int = 1, used_codes: bool = True
) -> pl.DataFrame:
    """Group a canonical case frame.

    Returns a frame of RESULT_SCHEMA, one row per case in the given order: status, reason (code and Chinese
    text), mdc, adrg, drg and its name, the severity level that decided the group, and the codes that met the
    rules; for a DIP scheme a frame of DIP_RESULT_SCHEMA. The same bytes whatever the block size and the number of
    threads. A missing column is unknown for every case; `defect` (a reading problem's code) makes a case INVALID.
    Source: pack model, "Grouping" 1 to 5; `grouper.dip.engine`.
    """
    grouper = grouper_of(scheme)
    starts = range(0, max(1, cases.height), BLOCK_ROWS)
    blocks = (cases.slice(start, BLOCK_ROWS) for start in starts)

    def one(block: pl.DataFrame) -> pl.DataFrame:
        return grouper.block(block, used_codes=used_codes)

    if threads <= 1:
        return pl.concat([one(block) for block in blocks])
    with ThreadPoolExecutor(threads) as pool:
        return pl.concat(list(pool.map(one, blocks)))


__all__ = ["DipGrouper", "GroupStatus", "Grouper", "group_cases", "grouper_of"]
