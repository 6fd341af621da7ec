"""What the values of a case of a request may be: the types and units of the canonical columns, ages and weights within
the limits of the quality rules, nothing below zero, texts without control characters.

Files say such things as problems of their rows; a request is refused with them, since whoever asks can mend it at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

import polars as pl

from reference_tables.case_formats import format_facts
from reference_tables.columns import Column, columns
from reference_tables.problems import Problem
from reference_tables.quality_data import quality_data

LONGEST_TEXT, MOST_CODES = format_facts().reading.longest_text, format_facts().reading.most_items
_MADE = frozenset({"row", "defect"})
_CONTROL = "[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]"
_HIDDEN = re.compile(_CONTROL + "|[\ud800-\udfff]")
_YEARS = (1800, 2199)
_MOST_MONEY = 10**15
_SHOWN = 40
_MOST_TOLD = 1_000
Says = Callable[[Any], str]
"""What is expected of a value that will not do; "" for one that will."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a column takes: `says` of one value; `low` and `high` of numbers and years of times, None of texts."""

    column: Column
    says: Says
    low: float | None = None
    high: float | None = None


@cache
def checks() -> Mapping[str, Check]:
    """For every column that a case of a request may have."""
    return {name: _check(column) for name, column in columns().items() if name not in _MADE}


def _check(column: Column) -> Check:
    is_list = isinstance(column.dtype, pl.List)
    dtype = _inner(column.dtype)
    low, high = _limits(column.name, column.unit, dtype)
    says = _says(dtype, low, high)
    return Check(column, _of_list(says) if is_list else says, low, high)


def _inner(dtype: pl.DataType) -> pl.DataType:
    """The type of a column's values, or of the items of its lists."""
    found = dtype.inner if isinstance(dtype, pl.List) else dtype
    return found() if isinstance(found, type) else found


def _limits(name: str, unit: str, dtype: pl.DataType) -> tuple[float | None, float | None]:
    """The least and the greatest value, both included; of times their years."""
    if dtype == pl.String:
        return None, None
    if dtype.is_temporal():
        return _YEARS
    known = quality_data().parameters
    if name in {"age_years", "age_days"}:
        return 0, _number(known[f"{name}_highest"].value)
    if unit == "g":
        return _number(known["weight_lowest_g"].value), _number(known["weight_highest_g"].value)
    if unit == "fen":
        return 0, _MOST_MONEY - 1
    return 0, 127 if dtype == pl.Int8 else 2**31 - 1


def _number(value: Any) -> int:
    assert isinstance(value, int), "a limit is a whole number"
    return value


def _says(dtype: pl.DataType, low: float | None, high: float | None) -> Says:
    if dtype == pl.String:
        return _of_text
    if dtype.is_temporal():
        return _of_date if dtype == pl.Date else _of_time
    assert low is not None
    assert high is not None
    kinds, kind = ({int, float}, "数") if dtype.is_float() else ({int}, "整数")
    expected = f"{low} 至 {high} 的{kind}"
    return lambda value: "" if type(value) in kinds and low <= value <= high else expected


def _of_text(value: Any) -> str:
    if not isinstance(value, str):
        return "文本"
    if len(value) > LONGEST_TEXT:
        return f"不超过 {LONGEST_TEXT} 字的文本，给出了 {len(value)} 字"
    return "不含控制字符的文本" if not value.isprintable() and _HIDDEN.search(value) else ""


def _of_list(inner: Says) -> Says:
    def says(value: Any) -> str:
        if not isinstance(value, list):
            return "列表"
        if len(value) > MOST_CODES:
            return f"不超过 {MOST_CODES} 项的列表，给出了 {len(value)} 项"
        for at, item in enumerate(value, 1):
            if found := inner(item):
                return f"{found}的列表（第 {at} 项不是）"
        return ""

    return says


def _of_date(value: Any) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        day = None
    return _of_year("日期", day) if day else "日期，如 2026-03-05"


def _of_year(kind: str, given: date) -> str:
    low, high = _YEARS
    return "" if low <= given.year <= high else f"{low} 至 {high} 年的{kind}"


def _of_time(value: Any) -> str:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None:
        return "日期时间，如 2026-03-05T08:30:00"
    return "不带时区的日期时间，如 2026-03-05T08:30:00" if time.tzinfo else _of_year("日期时间", time)


def check_case(case: Any, row: int, problems: list[Problem]) -> bool:
    """Is a case as described? What is wrong with it goes to `problems` (SV37, SV38)."""
    if not isinstance(case, dict):
        problems.append(Problem("SV37", {"row": row, "field": "—", "expected": "JSON 对象"}, row=row))
        return False
    known, before = checks(), len(problems)
    for name, value in case.items():
        check = known.get(name)
        if check is None:
            problems.append(unknown(name, row))
        elif value is not None and (expected := check.says(value)):
            problems.append(_unfit(check.column, row, expected, value))
    return len(problems) == before


def unknown(name: str, row: int) -> Problem:
    """A field that no case has (SV38)."""
    return Problem("SV38", {"row": row, "field": _told(name)}, row=row)


def unfit_column(name: str, reason: str) -> Problem:
    """A column of a table that is none of cases, or of another type (SV85)."""
    return Problem("SV85", {"field": _told(name), "reason": reason}, field=_told(name))


def _told(name: str) -> str:
    """A name as it can be told, whatever it holds."""
    return _HIDDEN.sub("�", str(name))[:LONGEST_TEXT]


def is_like(given: pl.DataType, wanted: pl.DataType) -> bool:
    """May values of a table's column be taken for those of a case's? Texts and nothing may stand for all, whole numbers
    for texts; spans of time are no numbers, and numbers no times."""
    found, kind = _inner(given), _inner(wanted)
    if found in {pl.String, pl.Null, pl.Categorical} or isinstance(found, pl.Enum):
        return True
    if kind.is_temporal():
        return found == pl.Date or isinstance(found, pl.Datetime)
    return found.is_numeric()


def fractions_of(given: pl.Series, name: str) -> list[Problem]:
    """Where numbers that are to be whole are not, or none at all (SV37); a conversion would cut them off."""
    check = checks()[name]
    if not given.dtype.is_float() or not check.column.dtype.is_integer():
        return []
    wrong = ~(given.is_finite() & (given == given.floor()))
    places = wrong.fill_null(value=False).arg_true().head(_MOST_TOLD)
    return [_unfit(check.column, at + 1, check.says(None), given[at]) for at in places]


def frame_problems(frame: pl.DataFrame) -> list[Problem]:
    """What is wrong with the values of a frame of canonical columns (SV37), the first of them."""
    found: list[Problem] = []
    for name, check in checks().items():
        if name not in frame.columns or len(found) >= _MOST_TOLD:
            continue
        wrong = frame.select(_wrong(check).fill_null(value=False).alias(name)).to_series()
        for at in wrong.arg_true().head(_MOST_TOLD - len(found)):
            value = frame[name][at]
            plain = value.to_list() if isinstance(value, pl.Series) else value
            stated = plain.isoformat() if isinstance(plain, date) else plain
            expected = check.says(stated) or check.says(None)
            found.append(_unfit(check.column, at + 1, expected, stated))
    return found


def _wrong(check: Check) -> pl.Expr:
    """Boolean: values that will not do; nothing given will."""
    name, dtype = check.column.name, check.column.dtype
    if isinstance(dtype, pl.List):
        items = pl.col(name).list.eval(_item_wrong(pl.element(), check)).list.any()
        return (pl.col(name).list.len() > MOST_CODES) | items
    return _item_wrong(pl.col(name), check)


def _item_wrong(value: pl.Expr, check: Check) -> pl.Expr:
    if check.low is None or check.high is None:
        return (value.str.len_chars() > LONGEST_TEXT) | value.str.contains(_CONTROL)
    if _inner(check.column.dtype).is_temporal():
        return ~value.dt.year().is_between(check.low, check.high)
    return ~value.is_between(check.low, check.high)


def _unfit(column: Column, row: int, expected: str, value: Any) -> Problem:
    args: dict[str, str | int] = {"row": row, "field": column.name, "expected": expected}
    plain = isinstance(value, int | float | str) and column.sensitivity != "pseudonym"
    shown = _HIDDEN.sub("�", str(value))[:_SHOWN] if plain else ""
    return Problem("SV37", args, row=row, field=column.name, value=shown)


def stripped(case: dict[str, Any]) -> dict[str, Any]:
    """A case whose texts have no blanks around them, as files are read."""
    found: dict[str, Any] = {}
    for name, value in case.items():
        if isinstance(value, str):
            if value != value.strip():
                found[name] = value.strip()
        elif isinstance(value, list) and any(isinstance(item, str) and item != item.strip() for item in value):
            found[name] = [item.strip() if isinstance(item, str) else item for item in value]
    return {**case, **found} if found else case


def stripped_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """The same of a frame."""
    strips = []
    for name, dtype in frame.schema.items():
        texts = frame[name].explode() if dtype == pl.List(pl.String) else frame[name]
        if texts.dtype == pl.String and (texts != texts.str.strip_chars()).any():
            bare = pl.element().str.strip_chars()
            strips.append(pl.col(name).list.eval(bare) if dtype != pl.String else pl.col(name).str.strip_chars())
    return frame.with_columns(strips)
