"""A trace as readable Chinese text: the path and its reasons, or with `full` every row that was tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from grouper.case_text import fact_lines, heading, reason_lines, section
from grouper.result import STATUS_ZH, GroupStatus
from grouper.text_lines import Line, LineKind, text_of
from grouper.trace import answering_walk
from grouper.trace_model import (
    AtomStep,
    CompareResult,
    CountResult,
    MemberResult,
    RowStep,
    Trace,
    TriedRow,
    Walk,
    WalkStep,
)
from grouper.trace_phrases import (
    complication_text,
    passed_over_text,
    row_reason,
    row_title,
    step_text,
)
from reference_tables.problems import catalogue

NEAREST_SHOWN = 12
_DEPTH = {"mdc": 1, "adrg": 2, "drg": 3}
_WALK_END = {
    WalkStep.NOTHING_MATCHED: "没有任何一行成立",
    WalkStep.UNGROUPED: "落入未入组",
    WalkStep.BARRED: "方案不接受该编码作主要诊断，不再逐行判定",
}


def trace_text(trace: Trace, *, full: bool = False) -> str:
    """The explanation as one string, lines ended by newlines; `full` for every row tried."""
    return text_of(trace_lines(trace, full=full))


def trace_lines(trace: Trace, *, full: bool = False) -> tuple[Line, ...]:
    """The explanation line by line: result, facts, path, complications, nearest competitors (or all rows)."""
    walk = answering_walk(trace) or next(iter(trace.walks), None)
    lines = [*_head(trace), *_facts(trace), *_checks(trace, full=full)]
    if full:
        for tried in trace.walks:
            lines += _every_row(tried)
    else:
        lines += _path(trace, walk)
    lines += _complications(trace)
    if walk is not None and not full:
        lines += _nearest(walk)
    return tuple(lines)


class Grouped(Protocol):
    """Anything that carries an answer."""

    @property
    def status(self) -> str: ...
    @property
    def mdc(self) -> str: ...
    @property
    def adrg(self) -> str: ...
    @property
    def drg(self) -> str: ...
    @property
    def name(self) -> str: ...


def group_text(answer: Grouped) -> str:
    """A group with its name, status and path: GC13 …  正常入组  （MDCG → GC1 → GC13）."""
    codes = " → ".join(code for code in (answer.mdc, answer.adrg, answer.drg) if code)
    status = STATUS_ZH[GroupStatus(answer.status)]
    shown = [answer.drg, answer.name, status if status != answer.name else "", f"（{codes}）" if codes else ""]
    return "  ".join(part for part in shown if part)


def _head(trace: Trace) -> Iterator[Line]:
    yield from heading(trace.case.case_id, trace.case.row, trace.scheme)
    answer = trace.answer
    yield Line(LineKind.ANSWER, 0, f"结果 {group_text(answer)}")
    if answer.severity:
        yield Line(LineKind.PLAIN, 1, f"严重程度 {answer.severity}")
    yield from reason_lines(answer.reason)


def _facts(trace: Trace) -> Iterator[Line]:
    missed = frozenset(
        atom.field
        for walk in trace.walks
        for row in walk.rows
        for atom in (row.atoms[place] for place in row.grounds)
        if isinstance(atom, CompareResult) and atom.step is AtomStep.NUMBER_UNKNOWN
    )
    yield from fact_lines(trace.case, missed)


def _checks(trace: Trace, *, full: bool) -> Iterator[Line]:
    failed = [check for check in trace.checks if not check.passed]
    if not failed and not full:
        return
    yield section("输入检查")
    for check in failed:
        yield Line(LineKind.FAILED, 1, f"未通过：{catalogue()[check.code].message}")
    if not failed:
        yield Line(LineKind.MET, 1, "通过")
    elif trace.case.defect is None:
        yield Line(LineKind.NOTE, 1, "输入检查未通过，不再逐行判定")


def _path(trace: Trace, walk: Walk | None) -> Iterator[Line]:
    if walk is None:
        return
    yield section("判定路径")
    for tried in trace.walks:
        if len(trace.walks) > 1:
            yield Line(LineKind.PLAIN, 1, _trial(tried))
        if tried is walk:
            yield from _leading(tried)
        if tried.step in _WALK_END:
            yield Line(LineKind.PASSED, 1, _WALK_END[tried.step])


def _leading(walk: Walk) -> Iterator[Line]:
    """The rows that led to the answer, and those that opened on the way without a group inside."""
    for at, row in enumerate(walk.rows):
        depth, title = _DEPTH[row.level], row_title(row)
        if row.step in (RowStep.OPENED, RowStep.TAKEN):
            yield Line(LineKind.MET, depth, f"{title}：{row_reason(row)}")
            yield _rule(row)
        elif row.step is RowStep.PASSED_OVER:
            yield Line(LineKind.PASSED, depth, f"{title}：{passed_over_text(row, _inside(walk.rows, at))}")


def _trial(walk: Walk) -> str:
    if walk.trial == 0:
        return "按原有手术操作判定"
    return f"重试第 {walk.trial} 次，只以手术操作 {walk.procedure} 判定"


def _inside(rows: tuple[TriedRow, ...], at: int) -> int:
    """How many rows of the next level were tried inside the row at this place."""
    depth, count = _DEPTH[rows[at].level], 0
    for row in rows[at + 1 :]:
        if _DEPTH[row.level] <= depth:
            break
        count += _DEPTH[row.level] == depth + 1
    return count


def _rule(row: TriedRow) -> Line:
    return Line(LineKind.NOTE, _DEPTH[row.level] + 1, f"规则 {' '.join(row.rule.split()) or '（空，恒为真）'}")


def _every_row(walk: Walk) -> Iterator[Line]:
    yield section(f"逐行判定：{_trial(walk)}")
    kinds = {RowStep.FAILED: LineKind.FAILED, RowStep.PASSED_OVER: LineKind.PASSED}
    for at, row in enumerate(walk.rows):
        depth = _DEPTH[row.level]
        text = step_text(row, _inside(walk.rows, at))
        yield Line(kinds.get(row.step, LineKind.MET), depth, f"{row_title(row)}：{text}")
        yield _rule(row)
    if walk.step in _WALK_END:
        yield Line(LineKind.PASSED, 1, _WALK_END[walk.step])


def _complications(trace: Trace) -> Iterator[Line]:
    yield section("并发症与合并症")
    for item in trace.complications:
        kind = LineKind.FAILED if item.excluded else LineKind.MET if item.decided else LineKind.PLAIN
        yield Line(kind, 1, complication_text(item))
    if not trace.complications:
        yield Line(LineKind.PLAIN, 1, "其他诊断中没有列为 MCC 或 CC 的编码")


def nearest_rows(walk: Walk) -> list[TriedRow]:
    """The failed rows that came near, in the order tried: DRGs of an opened ADRG, and MDCs and ADRGs of which
    some condition on codes was met."""
    return [row for row in walk.rows if row.step is RowStep.FAILED and (row.level == "drg" or _half_met(row))]


def _half_met(row: TriedRow) -> bool:
    return any(isinstance(atom, MemberResult | CountResult) and atom.asked and atom.hits for atom in row.atoms)


def _nearest(walk: Walk) -> Iterator[Line]:
    rows = nearest_rows(walk)
    if not rows:
        return
    yield section("邻近的组为何未入")
    for row in rows[:NEAREST_SHOWN]:
        yield Line(LineKind.FAILED, 1, f"{row_title(row)}：{row_reason(row)}")
    if len(rows) > NEAREST_SHOWN:
        yield Line(LineKind.NOTE, 1, f"另有 {len(rows) - NEAREST_SHOWN} 行，见完整判定")
