"""Group one case in plain Python over the compiled tables: what an interactive request or a loop of one needs.

The terms, their masks, the level table and the answers are those of the batch; only their form differs
(Python integers and dictionaries instead of columns), so nothing columnar is built for a single case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from grouper.code_index import NONE
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from grouper.dip.single import SingleDipAnswer, group_one_dip
from grouper.encode import WEIGHT_COLUMN
from grouper.engine import NEWBORN_DAYS, PRINCIPAL_REASONS, Grouper, grouper_of
from grouper.kept import kept_with
from grouper.result import Answer, Reason, invalid_answer, reason_text, ungrouped_answer
from grouper.single_context import SingleCase, SingleContext, find_id

_SEVERITY = ("", "MCC", "CC", "MCC")
_PROGRAMS_KEPT = 1 << 16  # bounds memory, not results


class SingleAnswer(NamedTuple):
    """The answer of one case; the fields mean what the columns of the same name mean in a batch result."""

    mdc: str
    adrg: str
    drg: str
    name: str
    status: str
    reason: str
    reason_zh: str
    severity: str


class _Program(NamedTuple):
    """The terms that a pair of principal classes allows, in order, each with the context bits it requires and
    forbids and the path it stands for; `reads`: all context bits they look at."""

    reads: int
    steps: tuple[tuple[int, int, int], ...]


class SingleGrouper:
    """A compiled scheme ready for single cases. Safe to share between threads: its cache holds pure results."""

    def __init__(self, grouper: Grouper) -> None:
        scheme, meta = grouper.scheme, grouper.scheme.pack.meta
        self.retries = grouper.retries
        self.context = SingleContext(scheme)
        self.weight_column = WEIGHT_COLUMN[scheme.pack.newborn_weight]
        self.dx_ids, self.px_ids = scheme.indexes["dx"].by_fold, scheme.indexes["px"].by_fold
        self.dx_class: list[int] = scheme.dx_class.tolist()
        self.px_class: list[int] = scheme.px_class.tolist()
        self.dx_terms, self.px_terms = _integers(scheme.dx_terms), _integers(scheme.px_terms)
        self.required, self.forbidden = _integers(scheme.required), _integers(scheme.forbidden)
        self.free = _integers(scheme.free[None, :])[0]
        self.path_of_term: list[int] = scheme.term_path.tolist()
        self.programs: dict[tuple[int, int], _Program] = {}
        answers = grouper.answers[: len(scheme.paths)]
        nothing = ungrouped_answer(meta)
        self.refused = invalid_answer(meta)
        self.answers = [tuple(_single(answer, severity=text) for text in _SEVERITY) for answer in answers]
        self.nothing = {reason: _single(nothing, reason.value) for reason in Reason}
        self.invalid = {reason: _single(self.refused, reason.value) for reason in Reason}
        self.ends_ungrouped = [answer.drg == nothing.drg for answer in answers]
        self.level_mask: list[int] = grouper.used.level_mask.tolist()
        self.reason_of_principal = [PRINCIPAL_REASONS[place] for place in grouper.principal_reasons.tolist()]

    def group(self, record: Mapping[str, Any]) -> SingleAnswer:
        """Group one case; see `group_one`."""
        defect = record.get("defect")
        if defect is not None:
            return _single(self.refused, defect)
        failed = self._failed_check(record)
        if failed is not None:
            return self.invalid[failed]
        diagnoses, procedures = record.get("diagnoses") or (), record.get("procedures") or ()
        principal = find_id(self.dx_ids, diagnoses[0]) if diagnoses else NONE
        operation = find_id(self.px_ids, procedures[0]) if procedures else NONE
        case = SingleCase(record, diagnoses, procedures, principal, operation)
        reason = self.reason_of_principal[principal]
        if reason is Reason.PRINCIPAL_BLOCKED:
            return self.nothing[reason]
        found = self._first_path(case)
        if self.retries and (found is None or self.ends_ungrouped[found[0]]):
            found = self._again(case) or found
        if found is None:
            return self.nothing[reason]
        path, levels = found
        return self.answers[path][levels & self.level_mask[path]]

    def _failed_check(self, record: Mapping[str, Any]) -> Reason | None:
        """The input check (pack model, "Grouping" 5)."""
        if record.get("sex") not in (1, 2):
            return Reason.SEX_INVALID
        age = record.get("age_years")
        if age is None:
            return Reason.AGE_UNKNOWN
        if age == 0:
            days = record.get("age_days")
            if days is None:
                return Reason.AGE_DAYS_UNKNOWN
            if days <= NEWBORN_DAYS and record.get(self.weight_column) is None:
                return Reason.WEIGHT_UNKNOWN
        return None

    def _first_path(self, case: SingleCase) -> tuple[int, int] | None:
        """The first true path and the levels of the other diagnoses (bit 0 MCC, bit 1 CC), or None."""
        pair = (self.dx_class[case.principal], self.px_class[case.operation])
        program = self.programs.get(pair) or self._add_program(pair)
        context, levels = self.context.of(case, program.reads)
        for required, forbidden, path in program.steps:
            if context & required == required and not context & forbidden:
                return path, levels
        return None

    def _again(self, case: SingleCase) -> tuple[int, int] | None:
        """The first answer other than 0000 with one of the other procedures as the only one."""
        if sum(map(bool, case.procedures)) < 2:
            return None
        for code in filter(None, case.procedures[1:]):
            alone = case._replace(procedures=(code,), operation=find_id(self.px_ids, code))
            found = self._first_path(alone)
            if found is not None and not self.ends_ungrouped[found[0]]:
                return found
        return None

    def _add_program(self, pair: tuple[int, int]) -> _Program:
        allowed = self.dx_terms[pair[0]] & self.px_terms[pair[1]]
        ends = allowed & self.free
        if ends:
            first = ends & -ends
            allowed &= first | (first - 1)
        steps: list[tuple[int, int, int]] = []
        reads = 0
        while allowed:
            lowest = allowed & -allowed
            allowed ^= lowest
            term = lowest.bit_length() - 1
            steps.append((self.required[term], self.forbidden[term], self.path_of_term[term]))
            reads |= self.required[term] | self.forbidden[term]
        program = _Program(reads, tuple(steps))
        if len(self.programs) >= _PROGRAMS_KEPT:
            self.programs = {}
        self.programs[pair] = program
        return program


def _integers(table: NDArray[np.uint64]) -> list[int]:
    """uint64 [rows, words] -> one integer a row, word 0 lowest."""
    return [int.from_bytes(row.tobytes(), "little") for row in table.astype("<u8")]


def _single(answer: Answer, reason: str | None = None, severity: str = "") -> SingleAnswer:
    reason = answer.reason.value if reason is None else reason
    return SingleAnswer(
        mdc=answer.mdc,
        adrg=answer.adrg,
        drg=answer.drg,
        name=answer.name,
        status=answer.status.value,
        reason=reason,
        reason_zh=reason_text(reason),
        severity=severity,
    )


def single_of(scheme: CompiledScheme) -> SingleGrouper:
    """The one SingleGrouper of a compiled scheme."""
    return kept_with(scheme, "single", lambda: SingleGrouper(grouper_of(scheme)))


@overload
def group_one(case: Mapping[str, Any], scheme: CompiledScheme) -> SingleAnswer: ...
@overload
def group_one(case: Mapping[str, Any], scheme: CompiledDip) -> SingleDipAnswer: ...
def group_one(case: Mapping[str, Any], scheme: CompiledScheme | CompiledDip) -> SingleAnswer | SingleDipAnswer:
    """Group one case given as a mapping with the canonical column names.

    `diagnoses` and `procedures` are sequences with the principal code first ("" when there is none); numbers
    are in the canonical units (years, days, grams, hours), None or absent = unknown. The answer is the one
    `group_cases` gives. Source: pack model, "Grouping" 1 to 5; for DIP `grouper.dip.single`.
    """
    if isinstance(scheme, CompiledDip):
        return group_one_dip(case, scheme)
    return single_of(scheme).group(case)
