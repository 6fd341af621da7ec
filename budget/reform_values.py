"""What a change makes of one value: set, scaled or added to, exactly; how it is written and shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from budget.money import FEN, round_half_up, yuan_text
from reference_tables.policy_bands import LimitBand, Segment, ShareBand
from reference_tables.policy_schema import Parameter
from reference_tables.policy_values import decimal_shown, shown
from reference_tables.reform_parts import Change

SHOWN = 8
_PART = {"limit_bands": "limit", "share_bands": "share", "segments": "price"}
"""The number of each band that is scaled or added to."""


def changed_value(parameter: Parameter, change: Change, value: Any) -> Any:
    """The value after a change, of the parameter's type. Money is rounded half up to the fen, a whole number likewise;
    everything else is exact."""
    if change.action == "set":
        return change.value
    number: Fraction = change.value
    scales = change.action == "scale"

    def moved(old: Fraction | int, unit: int = 1) -> Fraction:
        return Fraction(old) * number if scales else Fraction(old) + number * unit

    if parameter.type == "decimal":
        return moved(value)
    if parameter.type in {"money", "integer"}:
        return round_half_up(moved(value, FEN if parameter.type == "money" else 1))
    part = _PART[parameter.type]
    return tuple(replace(band, **{part: moved(getattr(band, part))}) for band in value)


def out_of_range(parameter: Parameter, value: Any) -> bool:
    """Is a number of the value beyond what the parameter may be?"""
    low, high = parameter.minimum, parameter.maximum
    return any((low is not None and item < low) or (high is not None and item > high) for item in _numbers(value))


def _numbers(value: Any) -> Iterator[Fraction]:
    if isinstance(value, bool) or not isinstance(value, Fraction | int | tuple):
        return
    for item in value if isinstance(value, tuple) else (value,):
        for part in _PART.values():
            item = getattr(item, part, item)
        if isinstance(item, Fraction | int):
            yield Fraction(item)


def limits_text(parameter: Parameter) -> str:
    """The bounds of a parameter in Chinese."""
    low, high = parameter.minimum, parameter.maximum
    parts = [f"不小于 {shown(low)}"] if low is not None else []
    return "、".join(parts + ([f"不大于 {shown(high)}"] if high is not None else []))


def written(parameter: Parameter, value: Any) -> Any:
    """A value as a policy file writes it."""
    if parameter.type == "decimal":
        return decimal_shown(value)
    if parameter.type == "money":
        return yuan_text(value)
    if parameter.type == "limit_bands":
        return _limits(value)
    if parameter.type == "share_bands":
        return [_band(("from", band.start), ("to", band.end), ("share", band.share)) for band in value]
    if parameter.type == "segments":
        return _segments(value)
    return value


def _band(*pairs: tuple[str, Fraction | None]) -> dict[str, str]:
    return {name: decimal_shown(number) for name, number in pairs if number is not None}


def _limits(bands: tuple[LimitBand, ...]) -> Any:
    if len(bands) == 1:
        return decimal_shown(bands[0].limit)
    return [_band(("up_to", band.up_to), ("limit", band.limit)) for band in bands]


def _segments(bands: tuple[Segment, ...]) -> Any:
    if len(bands) == 1:
        return decimal_shown(bands[0].price)
    days = [{} if band.up_to is None else {"up_to": band.up_to} for band in bands]
    return [day | {"price": decimal_shown(band.price)} for day, band in zip(days, bands, strict=True)]


def value_shown(parameter: Parameter, value: Any) -> str:
    """A value in Chinese, with its unit; 未规定 when there is none."""
    if value is None:
        return "未规定"
    unit = f" {parameter.unit}" if parameter.unit else ""
    kind = parameter.type
    if kind == "decimal":
        return decimal_shown(value) + unit
    if kind == "money":
        return yuan_text(value) + unit
    if kind == "boolean":
        return "是" if value else "否"
    if kind in {"groups", "steps"}:
        more = f" … 共 {len(value)} 个" if len(value) > SHOWN else ""
        return ("、" if kind == "groups" else " → ").join(value[:SHOWN]) + more
    bands: dict[type, Callable[[Any], str]] = {LimitBand: _limit_shown, ShareBand: _share_shown, Segment: _day_shown}
    if isinstance(value, tuple) and value and type(value[0]) in bands:
        return "；".join(map(bands[type(value[0])], value)) + unit
    if kind == "split":
        return "，".join(f"{name} {decimal_shown(part)}" for name, part in value)
    return str(value) + unit if isinstance(value, str | int) else _record_shown(value)


def _limit_shown(band: LimitBand) -> str:
    limit = decimal_shown(band.limit)
    return f"权重 ≤ {decimal_shown(band.up_to)}：{limit}" if band.up_to else limit


def _share_shown(band: ShareBand) -> str:
    to = "以上" if band.end is None else f"至 {decimal_shown(band.end)}"
    return f"{decimal_shown(band.start)} {to}：{decimal_shown(band.share)}"


def _day_shown(band: Segment) -> str:
    return decimal_shown(band.price) if band.up_to is None else f"至第 {band.up_to} 天：{decimal_shown(band.price)}"


def _record_shown(value: Any) -> str:
    """Bands with formulas, score bands and rules: their parts in order."""
    items = value if isinstance(value, tuple) else (value,)
    parts = ([shown(getattr(item, name)) for name in item.__slots__ if getattr(item, name)] for item in items)
    return "；".join(" ".join(part) for part in parts)
