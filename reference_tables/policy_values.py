"""Reading one value of a policy: from TOML to what the program holds, exactly, with every fault told.

A decimal is a Fraction made of decimal text or of a TOML integer; a TOML float is refused, since its text is what
was meant and its binary value is not. What each type holds stands in `policy_schema.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

from reference_tables.policy_bands import (
    BasicRule,
    FormulaBand,
    LimitBand,
    ScoreBand,
    Segment,
    ShareBand,
)
from reference_tables.policy_schema import Parameter, policy_schema

Fault = tuple[str, dict[str, str | int]]
Lists = Mapping[str, tuple[str, ...]]
CASE_KINDS = ("normal", "high", "low", "extreme")
NONE = "none"
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_MONEY = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,2})?")


class FloatText(str):
    """A TOML float, kept as the text it was written as."""

    __slots__ = ()


class Reader:
    """Reads the values of one parameter and collects their faults."""

    def __init__(self, parameter: Parameter, lists: Lists) -> None:
        self.parameter = parameter
        self.lists = lists
        self.faults: list[Fault] = []

    def read(self, raw: object) -> Any:
        """The value, or None with at least one fault."""
        before = len(self.faults)
        value = _READERS[self.parameter.type](self, raw)
        return value if len(self.faults) == before else None

    def wrong(self, raw: object, expected: str = "") -> None:
        """The value is not written as its type wants."""
        if isinstance(raw, FloatText | float):
            self.faults.append(("PL08", self._args(found=shown(raw))))
        else:
            expected = expected or policy_schema().types[self.parameter.type]
            self.faults.append(("PL07", self._args(expected=expected, found=shown(raw))))

    def bands(self, reason: str) -> None:
        """Bands do not fit together."""
        self.faults.append(("PL19", self._args(reason=reason)))

    def _args(self, **more: str) -> dict[str, str | int]:
        return {"key": self.parameter.key, "label": self.parameter.label, **more}

    def number(self, raw: object, *, bounded: bool = True, pattern: re.Pattern[str] = _DECIMAL) -> Fraction:
        """An exact number within the parameter's bounds (`bounded`) or at least not negative."""
        if isinstance(raw, bool) or not isinstance(raw, int | str) or isinstance(raw, FloatText):
            self.wrong(raw)
            return Fraction(0)
        if pattern.fullmatch(str(raw)) is None:
            self.wrong(raw)
            return Fraction(0)
        value = Fraction(raw)
        low, high = (self.parameter.minimum, self.parameter.maximum) if bounded else (Fraction(0), None)
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"不小于 {shown(low)}" if low is not None else ""
            limits += ("、" if limits and high is not None else "") + (
                f"不大于 {shown(high)}" if high is not None else ""
            )
            self.faults.append(("PL09", self._args(value=str(raw), limits=limits)))
        return value

    def word(self, raw: object, words: Sequence[str]) -> str:
        """One of the given words."""
        if not isinstance(raw, str) or isinstance(raw, FloatText):
            self.wrong(raw)
            return ""
        if raw not in words:
            self.faults.append(("PL10", self._args(value=shown(raw), values="、".join(words))))
        return raw

    def tables(self, raw: object, keys: set[str], optional: set[str]) -> list[dict[str, Any]]:
        """A list of inline tables with the given keys."""
        if not isinstance(raw, list) or not raw or not all(isinstance(item, dict) for item in raw):
            self.wrong(raw)
            return []
        good = []
        for item in raw:
            if keys <= set(item) <= keys | optional:
                good.append(item)
            else:
                self.wrong(item)
        return good if len(good) == len(raw) else []


def day_fault(raw: object) -> str:
    """Why a TOML value is not a plain day, and how a day is written."""
    if isinstance(raw, datetime):
        return f"只写日期，不写时刻，如 {raw:%Y-%m-%d}"
    if not isinstance(raw, str) or isinstance(raw, FloatText):
        return f"应为日期，如 2023-01-01，实际是 {shown(raw)}"
    if not raw:
        return "没有填写，写成 2023-01-01 这样的年-月-日，不加引号"
    try:
        return f"日期不加引号，写成 {date.fromisoformat(raw)}"
    except ValueError:
        return f"“{raw}”不是日历上的日期，应写成 2023-01-01 这样的年-月-日，不加引号"


def shown(raw: object) -> str:
    """A value as a message shows it."""
    if isinstance(raw, Fraction):
        return decimal_shown(raw)
    if isinstance(raw, bool):
        return str(raw).lower()
    return "（空）" if raw == "" else str(raw)


def decimal_shown(value: Fraction) -> str:
    """A fraction of decimals as a decimal without trailing zeros; as a/b when it is none."""
    scale = 1
    while scale % value.denominator:
        scale *= 10
        if scale > 10**30:
            return str(value)
    digits = len(str(scale)) - 1
    whole, part = divmod(abs(value.numerator) * (scale // value.denominator), scale)
    text = f"{whole}.{part:0{digits}d}" if digits else str(whole)
    return f"-{text}" if value < 0 else text


def _ascending(reader: Reader, ends: Sequence[Fraction | int | None], what: str) -> None:
    """Only the last end may be open, and must be; the others ascend."""
    if ends and ends[-1] is not None:
        reader.bands(f"末段不写{what}，否则超过 {shown(ends[-1])} 的没有规定")
    inner = ends[:-1]
    if any(end is None for end in inner):
        reader.bands(f"只有末段可以不写{what}")
        return
    for before, after in pairwise(inner):
        if before is not None and after is not None and after <= before:
            reader.bands(f"{what} {shown(after)} 应大于前一段的 {shown(before)}")


def _money(reader: Reader, raw: object) -> int:
    return int(reader.number(raw, pattern=_MONEY) * 100)


def _whole(reader: Reader, raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        reader.wrong(raw)
        return 0
    return int(reader.number(raw))


def _flag(reader: Reader, raw: object) -> bool:
    if not isinstance(raw, bool):
        reader.wrong(raw)
        return False
    return raw


def _text(reader: Reader, raw: object) -> str:
    if not isinstance(raw, str) or isinstance(raw, FloatText) or not raw.strip():
        reader.wrong(raw)
        return ""
    return raw


def _steps(reader: Reader, raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list):
        reader.wrong(raw)
        return ()
    steps = tuple(reader.word(item, reader.parameter.values) for item in raw)
    for step in sorted({step for step in steps if steps.count(step) > 1}):
        reader.bands(f"“{step}”重复")
    return steps


def _groups(reader: Reader, raw: object) -> tuple[str, ...]:
    if isinstance(raw, str) and not isinstance(raw, FloatText):
        if raw not in reader.lists:
            known = "、".join(reader.lists) or "无"
            reader.faults.append(("PL24", {"list": raw, "known": known}))
            return ()
        return reader.lists[raw]
    if not isinstance(raw, list) or not all(isinstance(item, str) and item for item in raw):
        reader.wrong(raw)
        return ()
    return tuple(raw)


def _limit_bands(reader: Reader, raw: object) -> tuple[LimitBand, ...]:
    if not isinstance(raw, list):
        return (LimitBand(None, reader.number(raw)),)
    bands = [
        LimitBand(
            reader.number(item["up_to"], bounded=False) if "up_to" in item else None, reader.number(item["limit"])
        )
        for item in reader.tables(raw, {"limit"}, {"up_to"})
    ]
    _ascending(reader, [band.up_to for band in bands], " up_to")
    return tuple(bands)


def _share_bands(reader: Reader, raw: object) -> tuple[ShareBand, ...]:
    bands = [
        ShareBand(
            reader.number(item["from"], bounded=False),
            reader.number(item["to"], bounded=False) if "to" in item else None,
            reader.number(item["share"]),
        )
        for item in reader.tables(raw, {"from", "share"}, {"to"})
    ]
    expected: Fraction | None = Fraction(0)
    for band in bands:
        if expected is None:
            reader.bands(f"没有写 to 的一段之后不能再有 {shown(band.start)} 起的一段")
        elif band.start > expected:
            reader.bands(f"{shown(expected)} 到 {shown(band.start)} 之间没有规定")
        elif band.start < expected:
            reader.bands(f"{shown(band.start)} 到 {shown(expected)} 之间规定了两次")
        if band.end is not None and band.end <= band.start:
            reader.bands(f"to {shown(band.end)} 应大于 from {shown(band.start)}")
        expected = band.end
    return tuple(bands)


def _score_bands(reader: Reader, raw: object) -> tuple[ScoreBand, ...]:
    bands = [
        ScoreBand(
            reader.number(item["from"], bounded=False), None if item["value"] == NONE else reader.number(item["value"])
        )
        for item in reader.tables(raw, {"from", "value"}, set())
    ]
    for before, after in pairwise(bands):
        if after.start >= before.start:
            reader.bands(f"from {shown(after.start)} 应小于前一段的 {shown(before.start)}")
    if bands and bands[-1].start != 0:
        reader.bands(f"末段应从 0 起，否则低于 {shown(bands[-1].start)} 分的没有规定")
    return tuple(bands)


def _segments(reader: Reader, raw: object) -> tuple[Segment, ...]:
    if not isinstance(raw, list):
        return (Segment(None, reader.number(raw)),)
    segments = []
    for item in reader.tables(raw, {"price"}, {"up_to"}):
        days = item.get("up_to")
        if days is not None and (isinstance(days, bool) or not isinstance(days, int) or days < 1):
            reader.wrong(days, "up_to 写住院天数，如 30")
            days = 1
        segments.append(Segment(days, reader.number(item["price"])))
    _ascending(reader, [segment.up_to for segment in segments], " up_to")
    return tuple(segments)


def _split(reader: Reader, raw: object) -> tuple[tuple[str, Fraction], ...]:
    if not isinstance(raw, dict) or not raw:
        reader.wrong(raw)
        return ()
    parts = tuple((name, reader.number(part)) for name, part in raw.items())
    if not reader.faults and not any(part for _, part in parts):
        reader.bands("各部分不能都为 0")
    return parts


_BASIC_NEEDS = {
    "tier_coefficient": {"tier"}, "tier_rate": {"tier"}, "coefficient": {"value"}, "rate": {"value"},
    "score": set(), "own_coefficient": set(),
}  # fmt: skip


def _basic_rule(reader: Reader, raw: object) -> BasicRule:
    nothing = BasicRule("", "", None, ())
    if not isinstance(raw, dict) or "kind" not in raw:
        reader.wrong(raw)
        return nothing
    kind = reader.word(raw["kind"], list(policy_schema().basic_kinds))
    if kind not in _BASIC_NEEDS:
        return nothing
    needs = _BASIC_NEEDS[kind]
    if not needs <= set(raw) - {"kind"} <= needs | {"only"}:
        reader.wrong(raw, f"kind = {kind} 时应写 {'、'.join(sorted(needs)) or '（无其他项）'}，可写 only")
        return nothing
    only = raw.get("only", [])
    if not isinstance(only, list) or not all(isinstance(tier, str) for tier in only):
        reader.wrong(only, 'only 写机构级别的列表，如 ["三级"]')
        only = []
    value = reader.number(raw["value"], bounded=False) if "value" in raw else None
    return BasicRule(kind, _text(reader, raw["tier"]) if "tier" in raw else "", value, tuple(only))


def _formula_bands(reader: Reader, raw: object) -> tuple[FormulaBand, ...]:
    bands = []
    formulas = list(policy_schema().band_formulas)
    for item in reader.tables(raw, {"name", "kind", "formula"}, {"up_to", "inclusive", "value", "age_factor"}):
        formula = reader.word(item["formula"], formulas)
        if ("value" in item) != (formula in {"SCORE_SUB", "SCORE_TIMES"}):
            reader.wrong(item, "SCORE_SUB、SCORE_TIMES 要写 value，其他公式不写")
        if ("up_to" in item) != ("inclusive" in item):
            reader.wrong(item, "up_to 与 inclusive（是否含本数）要一起写，末段都不写")
        bands.append(
            FormulaBand(
                up_to=reader.number(item["up_to"], bounded=False) if "up_to" in item else None,
                inclusive=_flag(reader, item.get("inclusive", False)),
                name=_text(reader, item["name"]),
                kind=reader.word(item["kind"], CASE_KINDS),
                formula=formula,
                value=reader.number(item["value"], bounded=False) if "value" in item else None,
                age_factor=_flag(reader, item.get("age_factor", True)),
            )
        )
    _ascending(reader, [band.up_to for band in bands], " up_to")
    return tuple(bands)


_READERS: Mapping[str, Callable[[Reader, object], Any]] = {
    "decimal": Reader.number,
    "money": _money,
    "integer": _whole,
    "boolean": _flag,
    "text": _text,
    "choice": lambda reader, raw: reader.word(raw, reader.parameter.values),
    "steps": _steps,
    "groups": _groups,
    "limit_bands": _limit_bands,
    "share_bands": _share_bands,
    "score_bands": _score_bands,
    "segments": _segments,
    "split": _split,
    "basic_rule": _basic_rule,
    "formula_bands": _formula_bands,
}
