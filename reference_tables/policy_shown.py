"""A value of a policy as people read it: Chinese words, exact numbers without trailing zeros, units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from reference_tables.policy_bands import BasicRule, FormulaBand, LimitBand, ScoreBand, Segment, ShareBand
from reference_tables.policy_schema import Parameter, policy_schema
from reference_tables.policy_values import decimal_shown

FEW = 12
"""So many groups of a list are named, the others counted."""
UNSET = "未规定"


def value_shown(parameter: Parameter, value: Any) -> str:
    """A value as the program holds it, in Chinese with its unit; 未规定 when there is none."""
    if value is None:
        return UNSET
    unit = f" {parameter.unit}" if parameter.unit else ""
    if parameter.type == "decimal":
        return decimal_shown(value) + unit
    if parameter.type == "money":
        return f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02d}{unit}"
    if parameter.type == "boolean":
        return "是" if value else "否"
    if parameter.type == "groups":
        return groups_shown(value)
    if parameter.type == "choice":
        return choice_shown(parameter, value)
    if parameter.type == "steps":
        return " → ".join(choice_shown(parameter, step) for step in value) or "无"
    if parameter.type == "split":
        return "，".join(f"{name} {decimal_shown(part)}" for name, part in value)
    if parameter.type == "basic_rule":
        return _basic(value)
    if parameter.type in _PARTS:
        return "；".join(map(_PARTS[parameter.type], value)) + unit
    return f"{value}{unit}"


def groups_shown(codes: Sequence[str]) -> str:
    """The first groups of a list, and how many there are."""
    return "、".join(codes[:FEW]) + (f" … 共 {len(codes)} 个" if len(codes) > FEW else "") or "空"


def choice_shown(parameter: Parameter, word: str) -> str:
    """A word of a choice in Chinese; a formula keeps its name, by which documents call it."""
    label = parameter.labels[word]
    return f"{word}：{label}" if word in policy_schema().formulas else label


def choices_shown(parameter: Parameter, words: Sequence[str]) -> str:
    """Words that may be written, each with its meaning."""
    return "、".join(f"{word}（{parameter.labels[word]}）" for word in words)


def _percent(value: Fraction) -> str:
    return f"{decimal_shown(value * 100)}%"


def _limit(band: LimitBand) -> str:
    limit = decimal_shown(band.limit)
    return f"权重 ≤ {decimal_shown(band.up_to)}：{limit}" if band.up_to else limit


def _share(band: ShareBand) -> str:
    to = f"至 {_percent(band.end)}" if band.end is not None else "以上"
    return f"{_percent(band.start)} {to}：{_percent(band.share)}"


def _score(band: ScoreBand) -> str:
    return f"{decimal_shown(band.start)} 分起：{'不予分配' if band.value is None else decimal_shown(band.value)}"


def _segment(segment: Segment) -> str:
    price = decimal_shown(segment.price)
    return f"至第 {segment.up_to} 天：{price}" if segment.up_to else price


def _formula(band: FormulaBand) -> str:
    sign = "≤" if band.inclusive else "<"
    edge = f"倍率 {sign} {decimal_shown(band.up_to)}" if band.up_to is not None else "以上"
    text = policy_schema().band_formulas[band.formula]
    value = f"（v = {decimal_shown(band.value)}）" if band.value is not None else ""
    return f"{edge} {band.name}：{text}{value}"


def _basic(rule: BasicRule) -> str:
    number = decimal_shown(rule.value) if rule.value is not None else ""
    only = f"只限 {'、'.join(rule.only)}" if rule.only else ""
    return "，".join(part for part in (policy_schema().basic_kinds[rule.kind], rule.tier, number, only) if part)


_PARTS: Mapping[str, Callable[[Any], str]] = {
    "limit_bands": _limit, "share_bands": _share, "score_bands": _score, "segments": _segment,
    "formula_bands": _formula,
}  # fmt: skip
