"""Chinese phrases for the parts of a trace: one condition, one tried row, one complication, one code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from grouper.trace_model import (
    AtomResult,
    AtomStep,
    CodeFact,
    CompareResult,
    Complication,
    CountResult,
    Hit,
    MemberResult,
    NumberFact,
    RowStep,
    TriedRow,
)
from reference_tables.columns import columns
from reference_tables.rule_ast import CODE_FIELDS, LEVEL_SETS, NUMBER_FIELDS

SEX_ZH = {1: "男", 2: "女"}
LEVEL_NAME_ZH: Mapping[str, str] = {"mdc": "MDC", "adrg": "ADRG", "drg": "DRG"}
_CHILD_ZH = {"mdc": "ADRG", "adrg": "DRG"}
_LABEL = re.compile(r"(?P<name>[^（]+)(?:（(?P<unit>[^）]+)）)?")
_POSITIVE = frozenset({AtomStep.IN_SET, AtomStep.NUMBER_MET, AtomStep.COUNT_MET})
NO_CONDITION = "无附加条件"


def number_text(field: str, value: float | None, label: str = "") -> str:
    """A number with its name and unit: 年龄 59 岁; 天龄未知. `label` (名称（单位）) instead of the field's own."""
    match = _LABEL.fullmatch(label or NUMBER_FIELDS[field])
    assert match is not None, "every number field has a label"
    name, unit = match["name"], match["unit"] or ""
    if value is None:
        return f"{name}未知"
    if field == "XB":
        return f"{name} {SEX_ZH.get(int(value), f'代码 {value}')}"
    return f"{name} {value:g} {unit}".rstrip()


def _fields(fields: Iterable[str]) -> str:
    return "或".join(CODE_FIELDS[name] for name in fields)


def _either(names: Iterable[str]) -> str:
    return " 或 ".join(names)


def _hits(hits: Iterable[Hit]) -> str:
    """Hits by field and set: 其他诊断 A、B 属于 DI_X，C 为 CC."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for hit in hits:
        codes = grouped.setdefault((hit.field, hit.set), [])
        if hit.code not in codes:
            codes.append(hit.code)
    return "，".join(
        f"{CODE_FIELDS[field]} {'、'.join(codes)} {'为' if name in LEVEL_SETS else '属于'} {name}"
        for (field, name), codes in grouped.items()
    )


def _member(atom: MemberResult) -> str:
    levels = [name for name in atom.sets if name in LEVEL_SETS]
    sets = [name for name in atom.sets if name not in LEVEL_SETS]
    if atom.step is AtomStep.IN_SET:
        return _hits(atom.hits)
    if atom.step is AtomStep.NO_CODE:
        return f"没有{_fields(atom.fields)}" + (f"，不属于 {_either(sets)}" if sets else "")
    parts: list[str] = []
    if atom.step is AtomStep.EXCLUDED:
        found = dict.fromkeys(
            f"{item.code} 列为 {item.level}，主要诊断在其排除表 {item.table} 内，不计" for item in atom.excluded
        )
        parts += [f"其他诊断 {text}" for text in found]
    elif levels:
        parts.append(f"{_fields(atom.fields)}中没有 {_either(levels)}")
    if sets:
        parts.append(f"{_fields(atom.fields)}不属于 {_either(sets)}")
    return "；".join(parts)


def atom_text(atom: AtomResult, *, against: bool = False) -> str:
    """A condition as it came out on the case; `against`: it stands against its row, so say what was asked."""
    if isinstance(atom, MemberResult):
        text, opposite = _member(atom), "不属于"
    elif isinstance(atom, CompareResult):
        condition = f"{atom.field} {atom.operator} {atom.threshold}"
        opposite = "不符合"
        if atom.step is AtomStep.NUMBER_UNKNOWN:
            text = f"{number_text(atom.field, None)}，不能满足 {condition}"
        else:
            met = "符合" if atom.result else "不符合"
            text = f"{number_text(atom.field, atom.value)}，{met} {condition}"
    else:
        text, opposite = _counted(atom), "不符合"
    return f"{text}，而规则要求{opposite}" if against and atom.step in _POSITIVE else text


def _counted(atom: CountResult) -> str:
    met = "符合" if atom.result else "不符合"
    condition = f"{atom.operator} {atom.threshold}"
    return f"{_fields(atom.fields)}中属于 {atom.set} 的不同编码有 {atom.count} 个，{met} {condition}"


def row_reason(row: TriedRow) -> str:
    """Why a row is true or false, shortest form: the conditions that decided."""
    if not row.grounds:
        return NO_CONDITION if row.result else "规则恒为假"
    text = "；".join(atom_text(row.atoms[place], against=not row.result) for place in row.grounds)
    if row.alternatives > 1:
        text += f"（共 {row.alternatives} 种情形，均不成立，此为最接近的一种）"
    return text


def row_title(row: TriedRow) -> str:
    return f"{row.code} {row.name}".rstrip()


def passed_over_text(row: TriedRow, inside: int) -> str:
    """An opened row in which nothing fits."""
    child = _CHILD_ZH[row.level]
    return f"条件成立（{row_reason(row)}），其中 {inside} 个 {child} 均不符合，继续往下"


def step_text(row: TriedRow, inside: int) -> str:
    """A tried row's outcome with its reason; `inside`: how many rows of the next level were tried in it."""
    if row.step is RowStep.PASSED_OVER:
        return passed_over_text(row, inside)
    return ("不成立：" if row.step is RowStep.FAILED else "成立：") + row_reason(row)


def complication_text(item: Complication) -> str:
    """One row of the complication list about one other diagnosis."""
    if not item.table:
        state = "无排除表，计入"
    elif item.excluded:
        state = f"主要诊断在排除表 {item.table} 内，不计"
    else:
        state = f"主要诊断不在排除表 {item.table} 内，计入"
    decided = "，满足了入组条件" if item.decided else ""
    return f"{f'{item.code} {item.name}'.rstrip()}：{item.level}，{state}{decided}"


def code_text(fact: CodeFact) -> str:
    """A code with its name, its flags, and what it did for the answer."""
    flags = [flag for flag, on in (("不在目录", not fact.known), ("灰码", fact.gray), ("重复", fact.repeated)) if on]
    text = f"{fact.code} {fact.name}".rstrip() + "".join(f"【{flag}】" for flag in flags)
    if not fact.uses:
        return text
    uses = []
    for use in fact.uses:
        other_role = "" if use.role == fact.role else f"，作为{CODE_FIELDS[use.role]}"
        uses.append(f"{use.row}（{use.set}{other_role}）")
    return f"{text}  ← {'、'.join(uses)}"


def number_facts_text(facts: Iterable[NumberFact], missed: frozenset[str]) -> str:
    """The known numbers, and those unknown ones that decided something (`missed`, by field)."""
    shown = [fact for fact in facts if fact.value is not None or fact.field in missed]
    # Which of the two newborn weights the scheme reads depends on its edition, so that one is named in full.
    labels = {fact.field: columns()[fact.column].label for fact in shown if fact.field == "XSRTZ"}
    return "，".join(number_text(fact.field, fact.value, labels.get(fact.field, "")) for fact in shown)
