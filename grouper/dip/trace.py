"""Explain one case grouped by DIP: its procedures cleaned, every row it was held against, the order of precedence.

Built on the plain reading of the pack (`grouper.dip.reader`), apart from the compiled terms of the batch; `replay`
reads the group back from the recorded conditions alone, so that a trace can be checked without the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from grouper.case_facts import ROLES, Described, Uses, case_facts, placed_codes
from grouper.dip.compile import CompiledDip
from grouper.dip.conditions import AgeDays, BirthWeight, CodeHit, Condition, DipCase, Rank, RowConditions
from grouper.dip.reader import CONSERVATIVE_NATURE, DipReader, Fit, MixedRow
from grouper.dip.result import CORE, MIXED
from grouper.dip.single import SingleDipAnswer, reader_of, single_of_dip
from grouper.dip.trace_model import (
    CleanedProcedure,
    ConditionResult,
    ConditionStep,
    DipFinal,
    DipTrace,
    LayerStep,
    LayerWalk,
    LevelFact,
    MixedWalk,
    NatureFrom,
    NoCore,
    Precedence,
    PrincipalStep,
    RowStep,
    TriedRow,
)
from grouper.encode import NUMBER_COLUMNS
from grouper.result import GroupStatus, Reason
from grouper.scheme_tables import code_names
from grouper.trace_model import CodeKind, Hit, Use, scheme_facts
from grouper.trace_rules import PlacedCode
from reference_tables.codes import fold
from reference_tables.dip_cells import spelled
from reference_tables.dip_pack import dip_schema
from reference_tables.dip_rows import Layer

_STEP = {True: ConditionStep.MET, False: ConditionStep.NOT_MET, None: ConditionStep.UNKNOWN}
_DECIDED_BY = {
    "item": Precedence.NARROWER_DIAGNOSIS,
    "codes": Precedence.MORE_PROCEDURES,
    "number": Precedence.LOWER_NUMBER,
    "place": Precedence.EARLIER_ROW,
}


def explain_dip_case(case: pl.DataFrame, scheme: CompiledDip) -> DipTrace:
    """Explain a canonical case frame of exactly one row.

    Returns the trace: facts, the procedures cleaned, the layers with their rows, the mixed group, the mark, the
    auxiliary levels and the answer, which is the one `group_cases` gives. Columns that the frame lacks are unknown.
    Raises ValueError when the frame does not hold exactly one case.
    """
    if case.height != 1:
        raise ValueError(f"one case is explained at a time, got {case.height}")
    return _Explanation(case.row(0, named=True), scheme).trace()


def replay(trace: DipTrace) -> tuple[str, str, str]:
    """Status, kind and code of the group that the recorded steps of a trace lead to."""
    if trace.case.defect is not None:
        return GroupStatus.INVALID.value, "", ""
    if trace.principal is not PrincipalStep.ACCEPTED:
        return GroupStatus.UNGROUPED.value, "", ""
    for layer in trace.layers:
        fits = [row for row in layer.rows if all(item.step is not ConditionStep.NOT_MET for item in row.conditions)]
        if fits:
            first = min(fits, key=lambda row: _rank(row, layer.precedence))
            if any(item.step is ConditionStep.UNKNOWN for item in first.conditions):
                return GroupStatus.INVALID.value, "", ""
            return GroupStatus.GROUPED.value, CORE, first.code
    if trace.mixed is not None and trace.mixed.code:
        return GroupStatus.GROUPED.value, MIXED, trace.mixed.code
    return GroupStatus.UNGROUPED.value, "", ""


def _rank(row: TriedRow, precedence: str) -> Rank:
    if precedence == "specific":
        return Rank(-row.item_length, -row.procedure_codes, row.number, row.place)
    return Rank(0, 0, row.number, row.place)


class _Explanation:
    """One case beside one scheme."""

    def __init__(self, record: Mapping[str, Any], scheme: CompiledDip) -> None:
        self.record = record
        self.scheme = scheme
        self.pack = scheme.pack
        self.reader: DipReader = reader_of(scheme)
        self.read: DipCase = self.reader.read(record)
        self.codes: dict[CodeKind, tuple[PlacedCode, ...]] = {
            "dx": placed_codes(record.get("diagnoses"), spelled),
            "px": placed_codes(record.get("procedures"), spelled),
        }
        self.given: dict[tuple[CodeKind, int], str] = {
            (kind, item.place): item.code for kind, items in self.codes.items() for item in items
        }

    def trace(self) -> DipTrace:
        answer = single_of_dip(self.scheme).group(self.record)
        principal = self._principal()
        open_ = self.record.get("defect") is None and principal is PrincipalStep.ACCEPTED
        layers = tuple(self._layers()) if open_ else ()
        unanswered = open_ and all(layer.step is LayerStep.NOTHING_FITS for layer in layers)
        mixed = self._mixed() if unanswered else None
        uses = self._uses(layers, mixed)
        marking = self.reader.primary_care_rows(self.read.principal) if answer.primary_care else []
        return DipTrace(
            scheme=scheme_facts(self.pack),
            case=case_facts(self.record, self._columns(), self.codes, uses, self._describe),
            principal=principal,
            procedures=tuple(self._procedures()),
            effective=self.read.effective.place if self.read.effective else None,
            layers=layers,
            no_core=self._no_core(layers).value if unanswered else "",
            mixed=mixed,
            primary_care=tuple(row.number for row in marking if row.procedures.test(self.read)),
            levels=tuple(self._levels(answer)),
            answer=self._final(answer, uses),
        )

    def _principal(self) -> PrincipalStep:
        refused = self.reader.refused(self.read)
        if refused is Reason.NONE:
            return PrincipalStep.ACCEPTED
        return PrincipalStep.MISSING if refused is Reason.PRINCIPAL_MISSING else PrincipalStep.EXCLUDED

    def _columns(self) -> dict[str, str]:
        return {**NUMBER_COLUMNS, "XSRTZ": self.reader.weight_column}

    def _describe(self, kind: CodeKind, item: PlacedCode) -> Described:
        reader = self.reader
        official = code_names()[kind].get(fold(item.folded), ("", ""))[0]
        if kind == "dx":
            known = item.folded in reader.known or item.folded in reader.excluded_dx
            return official, known, item.folded in reader.gray
        return official, item.folded in reader.known_px, item.folded in reader.gray_px

    def _procedures(self) -> Iterator[CleanedProcedure]:
        for item, step in self.reader.cleaned(self.read):
            excluded = self.reader.excluded_px.get(item.code)
            asked = excluded.asked if excluded else ""
            yield CleanedProcedure(item.place, self.given["px", item.place], step, asked)

    def _layers(self) -> Iterator[LayerWalk]:
        """The layers in order, up to the one that decides."""
        by_layer: dict[str, list[RowConditions]] = {layer.code: [] for layer in self.reader.layers}
        for row in self.reader.tried(self.read.principal):
            by_layer[row.row.layer.code].append(row)
        for layer in self.reader.layers:
            walk = self._layer(layer, by_layer[layer.code])
            yield walk
            if walk.step is not LayerStep.NOTHING_FITS:
                return

    def _layer(self, layer: Layer, rows: Sequence[RowConditions]) -> LayerWalk:
        fits = {row.row.place: fit for row in rows if (fit := self.reader.fit(row, self.read)) is not None}
        first = min(fits.values(), key=lambda fit: fit.rank, default=None)
        if first is None:
            step = LayerStep.NOTHING_FITS
        else:
            step = LayerStep.WON if first.lacking is Reason.NONE else LayerStep.UNDECIDED
        return LayerWalk(
            code=layer.code,
            name=layer.name,
            precedence="specific" if layer.specific else "number",
            rows_fit=sum(fit.lacking is Reason.NONE for fit in fits.values()) if step is LayerStep.WON else 0,
            step=step,
            first=first.row.row.place if first else None,
            rows=tuple(self._row(row, fits.get(row.row.place), first) for row in rows),
        )

    def _row(self, row: RowConditions, fit: Fit | None, first: Fit | None) -> TriedRow:
        beaten_by = ""
        if fit is None:
            step = RowStep.FAILED
        elif fit.lacking is not Reason.NONE:
            step = RowStep.OPEN
        elif fit is first:
            step = RowStep.WON
        else:
            assert first is not None, "a row that fits is not before the first one"
            step, beaten_by = RowStep.BEATEN, _decided_by(first.rank, fit.rank).value
        core = row.row
        return TriedRow(
            layer=core.layer.code,
            code=core.code,
            name=core.name,
            number=core.number,
            place=core.place,
            listed=row.principal is not None and row.principal.test(self.read),
            px_mode=core.px_mode,
            conditions=tuple(self._condition(row, condition) for condition in row.conditions),
            item_length=row.item_length(self.read) if fit else 0,
            procedure_codes=row.codes_asked(self.read) if fit else 0,
            step=step,
            beaten_by=beaten_by,
        )

    def _condition(self, row: RowConditions, condition: Condition) -> ConditionResult:
        value = None
        if isinstance(condition, AgeDays):
            value = self.read.weight if isinstance(condition, BirthWeight) else self.read.age_days
        return ConditionResult(
            column=condition.column,
            asked=self.reader.published[condition.column][row.row.place],
            step=_STEP[condition.test(self.read)],
            hits=tuple(self._hit(hit) for hit in condition.hits(self.read)),
            value=value,
        )

    def _hit(self, hit: CodeHit) -> Hit:
        field = ROLES[hit.kind][hit.place > 0]
        return Hit(field, hit.place, self.given[hit.kind, hit.place], hit.item)

    def _no_core(self, layers: Iterable[LayerWalk]) -> NoCore:
        if not any(row.listed for layer in layers for row in layer.rows):
            return NoCore.DIAGNOSIS_NOT_LISTED
        operation = self.read.operation
        for row in self.reader.open_rows(self.read.principal, operation):
            named = operation in (row.procedures.operations or ())
            if row.principal is not None and (named or row.procedures.test(self.read)):
                return NoCore.CONDITIONS_NOT_MET
        return NoCore.PROCEDURE_NOT_LISTED if operation else NoCore.NO_CONSERVATIVE_ROW

    def _mixed(self) -> MixedWalk:
        reader, operation = self.reader, self.read.operation
        nature = reader.nature(operation)
        found = reader.mixed_group(self.read.principal, nature)
        category = reader.book_category.get(operation, "")
        if not operation:
            nature_from = NatureFrom.NO_PROCEDURE
        elif operation in reader.own_nature:
            nature_from = NatureFrom.SCHEME
        else:
            in_book = category in dip_schema().nature_of_category
            nature_from = NatureFrom.BOOK if in_book else NatureFrom.DEFAULT
        levels = dip_schema().words["mixed_level"]
        row = found or MixedRow("", "", "", "", nature)
        return MixedWalk(
            nature=nature,
            label=dip_schema().natures[nature],
            nature_from=nature_from,
            category=category,
            tried=levels[: levels.index(found.level) + 1] if found else levels,
            level=row.level,
            scope=row.item,
            code=row.code,
            name=row.name,
        )

    def _uses(self, layers: Sequence[LayerWalk], mixed: MixedWalk | None) -> Uses:
        """What each code did for the answer, by kind and place: the conditions of the group that it met."""
        uses: dict[tuple[CodeKind, int], list[Use]] = {}
        for row in (row for layer in layers for row in layer.rows if row.step is RowStep.WON):
            uses["dx", 0] = []  # the principal diagnosis is used also where any will do
            for hit in (hit for item in row.conditions for hit in item.hits):
                kind: CodeKind = "dx" if hit.field in ROLES["dx"] else "px"
                use = Use(row.code, hit.field, hit.set)
                if use not in uses.setdefault((kind, hit.place), []):
                    uses[kind, hit.place].append(use)
        if mixed is not None and mixed.code:
            uses["dx", 0] = [Use(mixed.code, "ZYZD", mixed.scope)]
            if self.read.effective is not None and mixed.nature != CONSERVATIVE_NATURE:
                place = self.read.effective.place
                uses["px", place] = [Use(mixed.code, ROLES["px"][place > 0], mixed.label)]
        return uses

    def _levels(self, answer: SingleDipAnswer) -> Iterator[LevelFact]:
        """The auxiliary levels of the case with the factor that the table has for its group."""
        if answer.kind != CORE:
            return
        catalog = single_of_dip(self.scheme).auxiliary
        for found in catalog.levels(self.read, answer.dip):
            yield LevelFact(
                dimension=found.dimension,
                level=found.level.code,
                name=found.level.name,
                factor=found.factor,
                own=(answer.dip, found.dimension, found.level.code) in catalog.auxiliary.factors,
                applied=found.factor is not None and found.factor == answer.factor,
            )

    def _final(self, answer: SingleDipAnswer, uses: Uses) -> DipFinal:
        used: dict[str, None] = {}
        for kind, items in self.codes.items():
            for item in items:
                if (kind, item.place) in uses:
                    used[self._describe(kind, item)[0] or fold(item.folded)] = None
        return DipFinal(
            **{name: value for name, value in answer._asdict().items() if name != "reason_zh"}, used_codes=tuple(used)
        )


def _decided_by(first: Rank, beaten: Rank) -> Precedence:
    """By which rule of precedence one row comes before another."""
    return next(rule for name, rule in _DECIDED_BY.items() if getattr(first, name) != getattr(beaten, name))
