"""A what-if comparison as readable Chinese text: the case as it is, then every change with what comes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grouper.case_text import heading
from grouper.dip.result import dip_reason_text
from grouper.dip.trace_phrases import group_text as dip_group_text
from grouper.dip.trace_phrases import score_text
from grouper.result import reason_text
from grouper.text_lines import Line, LineKind, text_of
from grouper.trace_text import group_text
from grouper.whatif import Change, DipVariant, Variant, WhatIf

_SECTION: Mapping[Change, str] = {
    Change.PRINCIPAL_DX: "换主要诊断（原主要诊断移到其他诊断之首）",
    Change.PRINCIPAL_PX: "换主要手术操作（原主要手术操作移到其他手术操作之首）",
    Change.DROP_DX: "去掉一个诊断（去掉主要诊断时该位置留空）",
    Change.DROP_PX: "去掉一个手术操作（去掉主要手术操作时该位置留空）",
}
_NAMES: Mapping[str, str] = {
    "status": "状态",
    "mdc": "MDC",
    "adrg": "ADRG",
    "drg": "DRG",
    "kind": "病种类型",
    "dip": "病种",
    "base_score": "基准分值",
}
_PRINCIPAL: Mapping[Change, str] = {Change.DROP_DX: "主要诊断", Change.DROP_PX: "主要手术操作"}


def whatif_text(found: WhatIf) -> str:
    """The comparison as one string, lines ended by newlines."""
    return text_of(whatif_lines(found))


def whatif_lines(found: WhatIf) -> tuple[Line, ...]:
    """The comparison line by line, in the order of the case's own codes."""
    return tuple(_lines(found))


def _lines(found: WhatIf) -> Iterator[Line]:
    yield from heading(found.case_id, found.row, found.scheme)
    yield Line(LineKind.ANSWER, 0, f"原样 {_answer(found.as_is)}")
    for change, title in _SECTION.items():
        variants = [variant for variant in found.variants if variant.change is change]
        if variants:
            yield Line(LineKind.SECTION, 0, title)
        for variant in variants:
            yield from _variant(variant)
    if not found.variants:
        yield Line(LineKind.PLAIN, 0, "没有可以变动的编码")
    yield Line(LineKind.NOTE, 0, found.note)


def _variant(variant: Variant) -> Iterator[Line]:
    code = f"{variant.code} {variant.code_name}".rstrip()
    if variant.place == 0:
        code += f"（{_PRINCIPAL[variant.change]}）"
    if not variant.changed:
        yield Line(LineKind.PLAIN, 1, f"{code}：不变，{variant.group}".rstrip("，"))
        return
    yield Line(LineKind.PLAIN, 1, f"{code}：{'、'.join(_NAMES[name] for name in variant.changed)}改变")
    yield Line(LineKind.MET, 2, _answer(variant))


def _answer(variant: Variant) -> str:
    if isinstance(variant, DipVariant):
        parts = [dip_group_text(variant, variant.layer_name), score_text(variant), dip_reason_text(variant.reason)]
    else:
        parts = [group_text(variant), variant.severity, reason_text(variant.reason)]
    return "  ".join(part for part in parts if part)
