"""A DIP trace as readable Chinese text: what decided, or with `full` every row that was tried."""

from __future__ import annotations

from collections.abc import Iterator

from grouper.case_text import fact_lines, heading, reason_lines, section
from grouper.dip.result import CORE, DIP_ENTRY, KINDS, MIXED, PRIMARY_CARE
from grouper.dip.trace_model import (
    ConditionStep,
    DipTrace,
    LayerStep,
    LayerWalk,
    PrincipalStep,
    RowStep,
    TriedRow,
)
from grouper.dip.trace_phrases import (
    LEVEL_ZH,
    RowPhrases,
    beaten_text,
    group_text,
    level_text,
    nature_text,
    no_core_text,
    procedure_text,
    row_title,
    score_text,
)
from grouper.text_lines import Line, LineKind, text_of

NEAREST_SHOWN = 12
_ORDER = {"number": "序号小者先", "specific": "主要诊断范围窄者先，手术操作要求多者先，序号小者先"}
_ROW_KIND = {
    RowStep.WON: LineKind.MET,
    RowStep.BEATEN: LineKind.PASSED,
    RowStep.FAILED: LineKind.FAILED,
    RowStep.OPEN: LineKind.FAILED,
}
_NUMBER_FIELD = {"age_days": "XSRTL", "birth_weight_g": "XSRTZ"}


def trace_text(trace: DipTrace, *, full: bool = False) -> str:
    """The explanation as one string, lines ended by newlines; `full` for every row tried."""
    return text_of(trace_lines(trace, full=full))


def trace_lines(trace: DipTrace, *, full: bool = False) -> tuple[Line, ...]:
    """The explanation line by line: result, facts, procedures, layers, mixed group, auxiliary levels, and the rows that
    list the diagnosis and do not take the case (or all rows)."""
    phrases = RowPhrases(trace)
    lines = [*_head(trace), *_facts(trace), *_procedures(trace)]
    if trace.principal is PrincipalStep.EXCLUDED:
        lines += [section("逐层判定"), Line(LineKind.FAILED, 1, "方案不接受该编码作主要诊断，不再逐层判定")]
    lines += _layers(trace, phrases, full=full)
    lines += [*_mixed(trace), *_auxiliary(trace)]
    if not full:
        lines += _nearest(trace, phrases)
    return tuple(lines)


def _head(trace: DipTrace) -> Iterator[Line]:
    yield from heading(trace.case.case_id, trace.case.row, trace.scheme)
    answer = trace.answer
    names = {layer.code: layer.name for layer in trace.layers} if answer.kind == CORE else {}
    yield Line(LineKind.ANSWER, 0, f"结果 {group_text(answer, names.get(answer.layer, ''))}")
    if answer.dip:
        yield Line(LineKind.PLAIN, 1, score_text(answer) or "方案没有该病种的分值")
    if answer.primary_care:
        numbers = "、".join(number for number in trace.primary_care if number)
        yield Line(LineKind.PLAIN, 1, PRIMARY_CARE + (f"（第 {numbers} 号）" if numbers else ""))
    yield from reason_lines(answer.reason, DIP_ENTRY)


def _facts(trace: DipTrace) -> Iterator[Line]:
    missed = frozenset(
        _NUMBER_FIELD[item.column]
        for layer in trace.layers
        for row in layer.rows
        for item in row.conditions
        if row.step is RowStep.OPEN and item.step is ConditionStep.UNKNOWN
    )
    yield from fact_lines(trace.case, missed)


def _procedures(trace: DipTrace) -> Iterator[Line]:
    """The search for the effective principal procedure; nothing when the first one is it without more ado."""
    if trace.principal is not PrincipalStep.ACCEPTED or not trace.procedures:
        return
    if trace.effective == 0 and not trace.procedures[0].asked:
        return
    yield section("有效主要手术操作")
    names = {fact.place: fact.name for fact in trace.case.procedures}
    for item in trace.procedures:
        kind = LineKind.MET if item.place == trace.effective else LineKind.PASSED
        yield Line(kind, 1, procedure_text(item, names[item.place]))
    if trace.effective is None:
        yield Line(LineKind.PLAIN, 1, "没有有效主要手术操作，按保守治疗判定")


def _layers(trace: DipTrace, phrases: RowPhrases, *, full: bool) -> Iterator[Line]:
    if not trace.layers:
        return
    yield section("逐层判定")
    for layer in trace.layers:
        kind, outcome = _outcome(layer)
        yield Line(kind, 1, f"{f'{layer.code} {layer.name}'.rstrip()}：{outcome}")
        first = next((row for row in layer.rows if row.place == layer.first), None)
        decided = sorted((row for row in layer.rows if _decided(layer, row)), key=lambda row: row is not first)
        for row in layer.rows if full else decided:
            yield Line(_ROW_KIND[row.step], 2, f"{row_title(row)}：{_row_text(row, first, phrases)}")


def _outcome(layer: LayerWalk) -> tuple[LineKind, str]:
    tried = f"试 {len(layer.rows)} 行"
    if layer.step is LayerStep.NOTHING_FITS:
        return LineKind.PASSED, f"{tried}，均不符合" if layer.rows else "没有涉及该主要诊断的行"
    if layer.step is LayerStep.UNDECIDED:
        return LineKind.FAILED, f"{tried}，应先判定的一行缺少数值，不能判定"
    if layer.rows_fit == 1:
        return LineKind.MET, f"{tried}，1 行符合"
    return LineKind.MET, f"{tried}，{layer.rows_fit} 行符合；次序：{_ORDER[layer.precedence]}"


def _decided(layer: LayerWalk, row: TriedRow) -> bool:
    """Does a row belong to the short account of its layer?"""
    return row.step in (RowStep.WON, RowStep.BEATEN) or (row.step is RowStep.OPEN and layer.step is LayerStep.UNDECIDED)


def _row_text(row: TriedRow, first: TriedRow | None, phrases: RowPhrases) -> str:
    reason = phrases.reason(row)
    if row.step is RowStep.BEATEN and first is not None:
        return f"{beaten_text(row, first)}：{reason}"
    return {RowStep.FAILED: "不符合：", RowStep.OPEN: "不能判定：", RowStep.WON: "入组："}[row.step] + reason


def _mixed(trace: DipTrace) -> Iterator[Line]:
    mixed = trace.mixed
    if mixed is None:
        return
    yield section(KINDS[MIXED])
    yield Line(LineKind.PASSED, 1, f"没有核心病种：{no_core_text(trace)}")
    yield Line(LineKind.PLAIN, 1, nature_text(mixed))
    if mixed.code:
        title = f"{mixed.code} {mixed.name}".rstrip()
        yield Line(LineKind.MET, 1, f"{title}：{LEVEL_ZH[mixed.level]} {mixed.scope}，{mixed.label}")
    else:
        levels = "、".join(LEVEL_ZH[level] for level in mixed.tried)
        yield Line(LineKind.FAILED, 1, f"{levels}都没有该主要诊断、该治疗性质的综合病种")


def _auxiliary(trace: DipTrace) -> Iterator[Line]:
    if not trace.levels:
        return
    yield section("辅助目录")
    for level in trace.levels:
        yield Line(LineKind.MET if level.applied else LineKind.PLAIN, 1, level_text(level))


def nearest_rows(trace: DipTrace) -> list[TriedRow]:
    """The rows that list the principal diagnosis, or of which some other condition on codes was met, and that do not
    take the case: those with fewest conditions unmet first, in the order tried."""
    rows = [
        row
        for layer in trace.layers
        for row in layer.rows
        if row.step in (RowStep.FAILED, RowStep.OPEN) and not _decided(layer, row) and (row.listed or _half_met(row))
    ]
    return sorted(rows, key=lambda row: sum(item.step is not ConditionStep.MET for item in row.conditions))


def _half_met(row: TriedRow) -> bool:
    return any(item.step is ConditionStep.MET and item.hits for item in row.conditions)


def _nearest(trace: DipTrace, phrases: RowPhrases) -> Iterator[Line]:
    rows = nearest_rows(trace)
    if not rows:
        return
    yield section("邻近的行为何未入")
    for row in rows[:NEAREST_SHOWN]:
        yield Line(LineKind.FAILED, 1, f"{row_title(row)}：{phrases.reason(row)}")
    if len(rows) > NEAREST_SHOWN:
        yield Line(LineKind.NOTE, 1, f"另有 {len(rows) - NEAREST_SHOWN} 行，见完整判定")
