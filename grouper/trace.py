"""Explain one case: every row of the scheme that was tried, condition by condition, until the answer.

A second reading of the same tables, apart from the kernel; `replay` reads the answer back from the recorded
conditions alone, so that a trace can be checked without the engine.
Source of the walk: pack model, "Grouping" 1 to 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from grouper.case_facts import ROLES, Described, Uses, case_facts, known_number, placed_codes
from grouper.code_index import UNKNOWN
from grouper.compile import CompiledScheme, Path
from grouper.encode import NUMBER_COLUMNS, WEIGHT_COLUMN
from grouper.engine import NEWBORN_DAYS
from grouper.result import Answer, GroupStatus, Reason, answer_of_path, invalid_answer, ungrouped_answer
from grouper.scheme_tables import GroupRow, SchemeTables, code_names, tables_of
from grouper.trace_model import (
    Check,
    CodeKind,
    Complication,
    CountResult,
    FinalAnswer,
    MemberResult,
    RowStep,
    Trace,
    TriedRow,
    Triple,
    Use,
    Walk,
    WalkStep,
    scheme_facts,
)
from grouper.trace_rules import PlacedCode, RuleFacts, RuleReader, judge
from reference_tables.rule_ast import LEVEL_SETS

_LEADING_STEPS = frozenset({RowStep.OPENED, RowStep.TAKEN})


def explain_case(case: pl.DataFrame, scheme: CompiledScheme) -> Trace:
    """Explain a canonical case frame of exactly one row.

    Returns the trace: facts, input check, walks (retries included), complications and the answer, which is
    the one `group_cases` gives. Columns that the frame lacks are unknown. Raises ValueError when the frame
    does not hold exactly one case.
    """
    if case.height != 1:
        raise ValueError(f"one case is explained at a time, got {case.height}")
    record = case.row(0, named=True)
    return _Explanation(record, scheme).trace()


def replay(trace: Trace) -> tuple[str, str, str]:
    """The answer (mdc, adrg, drg) that the recorded checks and condition results of a trace lead to."""
    if trace.case.defect is not None or not all(check.passed for check in trace.checks):
        found: Triple | None = trace.invalid
    elif trace.barred or not trace.walks:
        found = None
    else:
        found = _replay_walk(trace.walks[0].rows)
        if trace.retries and _is_ungrouped(found, trace.ungrouped):
            again = (_replay_walk(walk.rows) for walk in trace.walks[1:])
            found = next((answer for answer in again if not _is_ungrouped(answer, trace.ungrouped)), found)
    answer = found or trace.ungrouped
    return answer.mdc, answer.adrg, answer.drg


def _replay_walk(rows: Iterable[TriedRow]) -> Triple | None:
    mdc = adrg = ""
    for row in rows:
        holds = judge(row.rule, [atom.result for atom in row.atoms]).holds
        if row.level == "mdc":
            mdc, adrg = (row.code if holds else ""), ""
        elif row.level == "adrg":
            adrg = row.code if holds and row.parent == mdc else ""
        elif holds and mdc and row.parent == adrg:
            return Triple(mdc, adrg, row.code)
    return None


def _is_ungrouped(answer: Triple | None, ungrouped: Triple) -> bool:
    return answer is None or answer.drg == ungrouped.drg


def leading_rows(walk: Walk) -> list[TriedRow]:
    """The rows of a walk that lead to its answer: MDC, ADRG, DRG; empty when nothing matched."""
    return [row for row in walk.rows if row.step in _LEADING_STEPS]


def answering_walk(trace: Trace) -> Walk | None:
    """The walk whose answer the case got; None when no walk gave it one."""
    final = Triple(trace.answer.mdc, trace.answer.adrg, trace.answer.drg)
    return next((walk for walk in reversed(trace.walks) if walk.answer == final), None)


class _WalkReader:
    """Walks the scheme for one reading of a case and writes down every row it tries."""

    def __init__(self, tables: SchemeTables, facts: RuleFacts) -> None:
        self.tables = tables
        self.reader = RuleReader(tables, facts)
        self.rows: list[TriedRow] = []

    def walk(self) -> Triple | None:
        found = (self._try(row, ()) for row in self.tables.mdcs)
        answer = next((codes for codes in found if codes), None)
        return Triple(*answer) if answer else None

    def _try(self, row: GroupRow, above: tuple[str, ...]) -> tuple[str, ...] | None:
        atoms = self.reader.atoms(row.rule)
        verdict = judge(row.rule, [atom.result for atom in atoms])
        at = len(self.rows)
        tried = TriedRow(
            level=row.level,
            code=row.code,
            name=row.name,
            parent=row.parent,
            rule=row.rule,
            step=RowStep.FAILED,
            result=verdict.holds,
            atoms=atoms,
            grounds=verdict.grounds,
            alternatives=verdict.alternatives,
        )
        self.rows.append(tried)
        if not verdict.holds:
            return None
        here = (*above, row.code)
        if row.level == "drg":
            self.rows[at] = replace(tried, step=RowStep.TAKEN)
            return here
        below = self.tables.adrgs if row.level == "mdc" else self.tables.drgs
        found = (self._try(child, here) for child in below.get(row.code, ()))
        answer = next((codes for codes in found if codes), None)
        self.rows[at] = replace(tried, step=RowStep.OPENED if answer else RowStep.PASSED_OVER)
        return answer


class _Explanation:
    """One case beside one scheme."""

    def __init__(self, record: Mapping[str, Any], scheme: CompiledScheme) -> None:
        self.record = record
        self.scheme = scheme
        self.tables = tables_of(scheme)
        columns = {**NUMBER_COLUMNS, "XSRTZ": WEIGHT_COLUMN[scheme.pack.newborn_weight]}
        self.columns = columns
        self.numbers = {field: known_number(record.get(column)) for field, column in columns.items()}
        self.diagnoses = placed_codes(record.get("diagnoses"))
        self.procedures = placed_codes(record.get("procedures"))
        self.ungrouped = _triple(ungrouped_answer(scheme.pack.meta))
        self.invalid = _triple(invalid_answer(scheme.pack.meta))
        self.retries = scheme.pack.meta.get("retry") == "each_other_procedure_alone"

    def trace(self) -> Trace:
        defect = self.record.get("defect")
        checks = self._checks()
        valid = defect is None and all(check.passed for check in checks)
        facts = self._facts(self.procedures)
        barred = facts.principal in self.tables.barred
        walks = tuple(self._walks(barred=barred)) if valid else ()
        taken = next((walk for walk in reversed(walks) if walk.step is WalkStep.ANSWERED), None)
        taken = taken or next((walk for walk in walks if walk.answer), None)
        uses = self._uses(taken, asked=False)
        return Trace(
            scheme=scheme_facts(self.scheme.pack),
            case=case_facts(
                self.record, self.columns, {"dx": self.diagnoses, "px": self.procedures}, uses, self._describe
            ),
            checks=checks,
            retries=self.retries,
            barred=barred,
            walks=walks,
            complications=tuple(self._complications(facts, uses)),
            ungrouped=self.ungrouped,
            invalid=self.invalid,
            answer=self._answer(checks, barred, walks, taken),
        )

    def _checks(self) -> tuple[Check, ...]:
        sex, age, days = (self.numbers[field] for field in ("XB", "NL", "XSRTL"))
        infant = age == 0
        newborn = infant and days is not None and days <= NEWBORN_DAYS
        return (
            Check(Reason.SEX_INVALID.value, sex in (1, 2)),
            Check(Reason.AGE_UNKNOWN.value, age is not None),
            Check(Reason.AGE_DAYS_UNKNOWN.value, not (infant and days is None)),
            Check(Reason.WEIGHT_UNKNOWN.value, not (newborn and self.numbers["XSRTZ"] is None)),
        )

    def _facts(self, procedures: Sequence[PlacedCode], *, alone: bool = False) -> RuleFacts:
        """Codes by field; with `alone` the one procedure given stands as the principal, wherever it was."""
        return RuleFacts(
            codes={
                "ZYZD": tuple(item for item in self.diagnoses if item.place == 0),
                "QTZD": tuple(item for item in self.diagnoses if item.place > 0),
                "ZYSS": tuple(item for item in procedures if alone or item.place == 0),
                "QTSS": tuple(item for item in procedures if not alone and item.place > 0),
                "LYFS": placed_codes([self.record.get("discharge_way")]),
                "KS": placed_codes([self.record.get("department")]),
            },
            numbers=self.numbers,
        )

    def _walks(self, *, barred: bool) -> Iterable[Walk]:
        if barred:
            yield Walk(0, 0, "", WalkStep.BARRED, (), None)
            return
        first = self._walk(0, 0, "", self._facts(self.procedures))
        yield first
        if not self.retries or len(self.procedures) < 2 or not _is_ungrouped(first.answer, self.ungrouped):
            return
        others = [item for item in self.procedures if item.place > 0]
        for trial, item in enumerate(others, start=1):
            again = self._walk(trial, item.place, item.code, self._facts([item], alone=True))
            yield again
            if again.step is WalkStep.ANSWERED:
                return

    def _walk(self, trial: int, place: int, procedure: str, facts: RuleFacts) -> Walk:
        reader = _WalkReader(self.tables, facts)
        answer = reader.walk()
        if answer is None:
            step = WalkStep.NOTHING_MATCHED
        else:
            step = WalkStep.UNGROUPED if _is_ungrouped(answer, self.ungrouped) else WalkStep.ANSWERED
        return Walk(trial, place, procedure, step, tuple(reader.rows), answer)

    @staticmethod
    def _uses(taken: Walk | None, *, asked: bool) -> Uses:
        """What each code did for the answer, by kind and place in its list: in the conditions that made the rules
        true, or with `asked` in all that ask for a code, in whichever alternative."""
        uses: dict[tuple[CodeKind, int], list[Use]] = {}
        for row in leading_rows(taken) if taken else ():
            support = judge(row.rule, [atom.result for atom in row.atoms]).support
            for place, atom in enumerate(row.atoms):
                if not isinstance(atom, MemberResult | CountResult) or not atom.asked:
                    continue
                for hit in atom.hits if asked or place in support else ():
                    if asked and hit.set in LEVEL_SETS and hit.field != "QTZD":
                        continue  # MCC and CC are levels of other diagnoses; a principal is used by its sets
                    for kind, roles in ROLES.items():
                        use = Use(row.code, hit.field, hit.set)
                        if hit.field in roles and use not in (found := uses.setdefault((kind, hit.place), [])):
                            found.append(use)
        return uses

    def _describe(self, kind: CodeKind, item: PlacedCode) -> Described:
        index = self.scheme.indexes[kind]
        code_id = index.id_of(item.code)
        gray = item.folded in self.tables.gray.get(kind, frozenset())
        return index.spelling[code_id] or "", code_id != UNKNOWN, gray

    def _complications(self, facts: RuleFacts, uses: Uses) -> Iterable[Complication]:
        names = code_names()["dx"]
        for item in facts.codes["QTZD"]:
            for level, table in self.tables.complications.get(item.folded, ()):
                excluded = self.tables.excludes(table, facts.principal)
                met = any(use.role == "QTZD" and use.set == level for use in uses.get(("dx", item.place), ()))
                name = names.get(item.folded, ("", ""))[1]
                decided = met and not excluded
                yield Complication(item.place, item.code, name, level, table, excluded, decided)

    def _answer(
        self,
        checks: Sequence[Check],
        barred: bool,
        walks: Sequence[Walk],
        taken: Walk | None,
    ) -> FinalAnswer:
        failed = next((check.code for check in checks if not check.passed), "")
        reason = self.record.get("defect") or failed
        if reason:
            answer = invalid_answer(self.scheme.pack.meta)
        elif taken is None or taken.answer is None:
            answer = ungrouped_answer(self.scheme.pack.meta)
            reason = self._why_nothing(barred, walks).value
        else:
            answer = answer_of_path(self._path(taken.answer))
            reason = answer.reason.value
        uses = self._uses(taken, asked=True)
        met = {use.set for kept in uses.values() for use in kept if use.role == "QTZD"} & LEVEL_SETS
        return FinalAnswer(
            status=GroupStatus(answer.status).value,
            reason=reason,
            mdc=answer.mdc,
            adrg=answer.adrg,
            drg=answer.drg,
            name=answer.name,
            severity=max(met, default=""),
            used_codes=tuple(self._used_codes(uses)),
        )

    def _path(self, found: Triple) -> Path:
        codes = (found.mdc, found.adrg, found.drg)
        return next(path for path in self.scheme.paths if (path.mdc, path.adrg, path.drg) == codes)

    def _why_nothing(self, barred: bool, walks: Sequence[Walk]) -> Reason:
        """Why a case that passed the input check is in no group at all."""
        if barred:
            return Reason.PRINCIPAL_BLOCKED
        principal = next((item for item in self.diagnoses if item.place == 0), None)
        if principal is None:
            return Reason.PRINCIPAL_MISSING
        if self.scheme.indexes["dx"].id_of(principal.code) == UNKNOWN:
            return Reason.PRINCIPAL_UNKNOWN
        asked = (atom for row in walks[0].rows if row.level == "mdc" for atom in row.atoms if atom.asked)
        hits = (hit for atom in asked if isinstance(atom, MemberResult) for hit in atom.hits)
        if any(hit.field == "ZYZD" and hit.set not in LEVEL_SETS for hit in hits):
            return Reason.CONDITION_NOT_MET
        gray = self.tables.gray.get("dx", frozenset())
        return Reason.PRINCIPAL_GRAY if principal.folded in gray else Reason.NO_MDC

    def _used_codes(self, uses: Uses) -> Iterable[str]:
        for kind, items in (("dx", self.diagnoses), ("px", self.procedures)):
            index = self.scheme.indexes[kind]
            for item in items:
                if uses.get(("dx" if kind == "dx" else "px", item.place)):
                    yield index.spelling[index.id_of(item.code)]


def _triple(answer: Answer) -> Triple:
    return Triple(answer.mdc, answer.adrg, answer.drg)
