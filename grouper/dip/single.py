"""Group one case by DIP in plain Python over the pack's own rows: what an interactive request or a loop of one needs.

What the principal diagnosis and the effective principal procedure decide between them (the rows still open, the mixed
group, the mark 基层病种) is worked out once a pair and kept; a case is held against the rest alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from grouper.dip.compile import CompiledDip
from grouper.dip.conditions import Condition, DipCase, Principal, Procedures, RowConditions
from grouper.dip.plain_auxiliary import PlainAuxiliary
from grouper.dip.reader import DipReader, score_of, unmet
from grouper.dip.result import CORE, MIXED, dip_reason_text
from grouper.kept import kept_with
from grouper.result import GroupStatus, Reason
from reference_tables.dip_rows import CoreRow

_PROGRAMS_KEPT = 1 << 16  # bounds memory, not results
ONE = Decimal("1.0000")


class SingleDipAnswer(NamedTuple):
    """The answer of one case; the fields mean what the columns of the same name mean in a batch result."""

    status: str
    reason: str
    reason_zh: str
    kind: str
    layer: str
    dip: str
    name: str
    base_score: Decimal | None
    auxiliary: str
    factor: Decimal | None
    score: Decimal | None
    primary_care: bool
    rows_fit: int


class _Program(NamedTuple):
    """What a principal diagnosis and an effective principal procedure leave open: by layer the rows with the conditions
    still to be asked; what the case gets when none fits; the mark, as far as it is decided, and the procedures of the
    other rows that give it."""

    layers: tuple[tuple[tuple[RowConditions, tuple[Condition, ...]], ...], ...]
    otherwise: SingleDipAnswer
    marked: bool
    marking: tuple[Procedures, ...]


class SingleDip:
    """A compiled DIP scheme ready for single cases. Safe to share between threads: its caches hold pure results."""

    def __init__(self, scheme: CompiledDip) -> None:
        self.reader = reader_of(scheme)
        self.auxiliary = PlainAuxiliary(scheme.pack)
        self.programs: dict[tuple[str, str], _Program] = {}
        self._answers: dict[int, SingleDipAnswer] = {}
        self.refused = {reason: answer_without_group(GroupStatus.UNGROUPED, reason) for reason in Reason}

    def group(self, record: Mapping[str, Any]) -> SingleDipAnswer:
        """Group one case; see `group_one_dip`."""
        defect = record.get("defect")
        if defect is not None:
            return answer_without_group(GroupStatus.INVALID, defect)
        case = self.reader.read(record)
        refused = self.reader.refused(case)
        if refused is not Reason.NONE:
            return self.refused[refused]
        pair = (case.principal, case.operation)
        program = self.programs.get(pair) or self._add_program(pair)
        answer = self._core(program, case) or program.otherwise
        if answer.status == GroupStatus.GROUPED and (
            program.marked or any(procedures.test(case) for procedures in program.marking)
        ):
            answer = answer._replace(primary_care=True)
        return answer

    def _core(self, program: _Program, case: DipCase) -> SingleDipAnswer | None:
        for rows in program.layers:
            fitting = [(row, lacking) for row, rest in rows if (lacking := unmet(rest, case)) is not None]
            if not fitting:
                continue
            row, lacking = fitting[0] if len(fitting) == 1 else min(fitting, key=lambda fit: fit[0].rank(case))
            if lacking is not Reason.NONE:
                return answer_without_group(GroupStatus.INVALID, lacking)
            known = sum(lacking is Reason.NONE for _, lacking in fitting)
            return self._in_core(row.row, known, case)
        return None

    def _in_core(self, row: CoreRow, rows_fit: int, case: DipCase) -> SingleDipAnswer:
        """The answer of a core group, with the levels of the auxiliary catalog and the highest factor they have."""
        found = self._answers.get(row.place)
        if found is None:
            base = self.reader.base_score(row.code)
            found = self._answers[row.place] = grouped_answer(CORE, row.layer.code, row.code, row.name, base)
        if not self.auxiliary.dimensions:
            return found._replace(rows_fit=rows_fit) if rows_fit > 1 else found
        levels = tuple(self.auxiliary.levels(case, row.code))
        factor = max((level.factor for level in levels if level.factor is not None), default=ONE).quantize(ONE)
        return found._replace(
            rows_fit=rows_fit,
            auxiliary="|".join(map(str, levels)),
            factor=factor,
            score=score_of(found.base_score, factor),
        )

    def _add_program(self, pair: tuple[str, str]) -> _Program:
        principal, operation = pair
        reader = self.reader
        layers: dict[str, list[tuple[RowConditions, tuple[Condition, ...]]]] = {
            layer.code: [] for layer in reader.layers
        }
        for row in reader.open_rows(principal, operation):
            done = (Principal, Procedures) if row.procedures.settled(operation) else Principal
            rest = tuple(condition for condition in row.conditions if not isinstance(condition, done))
            layers[row.row.layer.code].append((row, rest))
        mixed = reader.mixed_group(principal, reader.nature(operation))
        if mixed is None:
            otherwise = self.refused[reader.no_group(principal)]
        else:
            otherwise = grouped_answer(MIXED, mixed.level, mixed.code, mixed.name, reader.base_score(mixed.code))
        marking = [row.procedures for row in reader.primary_care_rows(principal)]
        program = _Program(
            layers=tuple(tuple(rows) for rows in layers.values() if rows),
            otherwise=otherwise,
            marked=any(procedures.settled(operation) for procedures in marking),
            marking=tuple(procedures for procedures in marking if procedures.settled(operation) is None),
        )
        if len(self.programs) >= _PROGRAMS_KEPT:
            self.programs = {}
        self.programs[pair] = program
        return program


def answer_without_group(status: GroupStatus, reason: str) -> SingleDipAnswer:
    """The answer of a case that is in no group."""
    return SingleDipAnswer(
        status=status.value,
        reason=str(reason),
        reason_zh=dip_reason_text(reason),
        kind="",
        layer="",
        dip="",
        name="",
        base_score=None,
        auxiliary="",
        factor=None,
        score=None,
        primary_care=False,
        rows_fit=0,
    )


def grouped_answer(kind: str, layer: str, code: str, name: str, base: Decimal | None) -> SingleDipAnswer:
    """The answer of a case in a group, before the auxiliary catalog, one row fitting."""
    return SingleDipAnswer(
        status=GroupStatus.GROUPED.value,
        reason="",
        reason_zh="",
        kind=kind,
        layer=layer,
        dip=code,
        name=name,
        base_score=base,
        auxiliary="",
        factor=ONE,
        score=score_of(base, ONE),
        primary_care=False,
        rows_fit=int(kind == CORE),
    )


def reader_of(scheme: CompiledDip) -> DipReader:
    """The one DipReader of a compiled scheme."""
    return kept_with(scheme, "reader", lambda: DipReader(scheme.pack))


def single_of_dip(scheme: CompiledDip) -> SingleDip:
    """The one SingleDip of a compiled scheme."""
    return kept_with(scheme, "single", lambda: SingleDip(scheme))


def group_one_dip(case: Mapping[str, Any], scheme: CompiledDip) -> SingleDipAnswer:
    """Group one case given as a mapping with the canonical column names.

    `diagnoses` and `procedures` are sequences with the principal code first ("" when there is none); numbers are in
    the canonical units (years, days, grams, hours), None or absent = unknown. The answer is the one `group_cases`
    gives.
    """
    return single_of_dip(scheme).group(case)
