"""What a change makes of one value: set, scaled or added to, exactly; how it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

from budget.money import FEN, round_half_up, yuan_text
from reference_tables.policy_bands import LimitBand, Segment
from reference_tables.policy_schema import Parameter
from reference_tables.policy_values import decimal_shown, shown
from reference_tables.reform_parts import Change

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
