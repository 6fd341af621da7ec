"""The parts of an explanation that every scheme shares: which case, which scheme, its codes, the reason."""

from __future__ import annotations

from collections.abc import Iterator

from grouper.result import MDC, reason_text
from grouper.text_lines import Line, LineKind
from grouper.trace_model import CaseFacts, CodeFact, SchemeFacts
from grouper.trace_phrases import code_text, number_facts_text
from reference_tables.problems import catalogue
from reference_tables.rule_ast import CODE_FIELDS

_DATA_LEVEL_NOTE = {
    "reference": "方案数据为参考级，非官方原件",
    "synthetic": "方案为合成数据，仅供演示，不作结算依据",
    "unverified": "方案未经核验",
}


def section(text: str) -> Line:
    """The heading of a part."""
    return Line(LineKind.SECTION, 0, text)


def heading(case_id: str | None, row: int | None, scheme: SchemeFacts) -> Iterator[Line]:
    """Which case, under which scheme, and how far the scheme's data can be trusted."""
    place = f"（第 {row} 行）" if row is not None else ""
    yield Line(LineKind.TITLE, 0, f"病例 {case_id or '（无病例号）'}{place}")
    yield Line(LineKind.PLAIN, 0, f"方案 {scheme.name}（{scheme.id}）")
    if scheme.data_level in _DATA_LEVEL_NOTE:
        yield Line(LineKind.NOTE, 0, _DATA_LEVEL_NOTE[scheme.data_level])


def reason_lines(reason: str, entry: str = MDC) -> Iterator[Line]:
    """Why a case has no ordinary group and what to do about it; nothing when there is no reason. `entry` as in
    `reason_text`."""
    kind = catalogue().get(reason)
    if kind is not None:
        yield Line(LineKind.FAILED, 1, f"原因 {reason}：{reason_text(reason, entry)}")
        yield Line(LineKind.NOTE, 1, f"处理 {kind.fix}")


def fact_lines(case: CaseFacts, missed: frozenset[str]) -> Iterator[Line]:
    """The record: its numbers (`missed`: fields whose absence decided something) and its codes."""
    yield section("病例资料")
    numbers = number_facts_text(case.numbers, missed)
    extra = [
        f"{CODE_FIELDS[field]} {value}"
        for field, value in (("LYFS", case.discharge_way), ("KS", case.department))
        if value
    ]
    yield Line(LineKind.PLAIN, 1, "，".join([numbers, *extra] if numbers else extra) or "没有可用的数值")
    for principal, others, facts in (
        ("主要诊断", "其他诊断", case.diagnoses),
        ("主要手术操作", "其他手术操作", case.procedures),
    ):
        yield from _codes(principal, others, facts)


def _codes(principal: str, others: str, facts: tuple[CodeFact, ...]) -> Iterator[Line]:
    if not facts or facts[0].place > 0:
        yield Line(LineKind.PLAIN, 1, f"{principal}：无")
    for fact in facts:
        label = f"{others} {fact.place}" if fact.place else principal
        yield Line(LineKind.MET if fact.uses else LineKind.PLAIN, 1, f"{label}：{code_text(fact)}")
