"""Cases of a request, without a file: checked, grouped, explained, priced; while the patient may still be in bed.

A case is a mapping with the canonical column names (`reference_tables/columns/*.toml`): numbers in their units (years,
days, grams, hours, fen), dates and times in ISO 8601, `diagnoses` and `procedures` as lists with the principal code
first. One case is grouped in plain Python, many as columns; both give what a file of them would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import cache, partial
from typing import Any

import polars as pl

from api.core.pay import in_yuan
from api.core.payable import payable_frame
from api.service.basis import Basis
from budget.frames import PAYABLE_SCHEMA
from budget.pricing import Pricer
from grouper.dip.compile import CompiledDip
from grouper.dip.trace import explain_dip_case
from grouper.engine import group_cases
from grouper.formats.source import Checksum, SourceInfo
from grouper.pipeline import GroupedBlock
from grouper.single import group_one
from grouper.trace import explain_case
from grouper.whatif import what_if
from reference_tables.columns import case_schema, columns
from reference_tables.problems import PROBLEM_SCHEMA, Problem

ANY_HOSPITAL = "预估"
"""Stands for a hospital where a price is asked for without saying whose."""
LONGEST_TEXT, MOST_CODES = 200, 200
_MADE = frozenset({"row", "defect"})
Check = Callable[[Any], bool]


class BadCases(Exception):
    """Cases that are not as described: every problem of all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{len(problems)} problems")


@cache
def _checks() -> Mapping[str, tuple[Check, str]]:
    """For every column a case of a request may have: whether a value will do, and what is expected."""
    return {
        name: _check(column.dtype) for name, column in columns().items() if name not in _MADE
    }  # fmt: skip


def _check(dtype: pl.DataType) -> tuple[Check, str]:
    if isinstance(dtype, pl.List):
        inner, what = _check(_instance(dtype.inner))
        return partial(_is_list, inner), f"{what}的列表"
    if dtype == pl.String:
        return (lambda value: isinstance(value, str) and len(value) <= LONGEST_TEXT), f"不超过 {LONGEST_TEXT} 字的文本"
    if dtype == pl.Date:
        return _is_date, "日期，如 2026-03-05"
    if isinstance(dtype, pl.Datetime):
        return _is_time, "日期时间，如 2026-03-05T08:30:00"
    if dtype.is_float():
        return (lambda value: type(value) in {int, float} and abs(value) < 2**53), "数"
    low, high = _bounds(dtype)
    return (lambda value: type(value) is int and low <= value <= high), f"{low} 至 {high} 的整数"


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made


def _bounds(dtype: pl.DataType) -> tuple[int, int]:
    sizes = {pl.Int8: 8, pl.Int32: 32, pl.Int64: 63, pl.UInt32: 32}
    bits = next(size for kind, size in sizes.items() if dtype == kind)
    if dtype == pl.UInt32:
        return 0, 2**32 - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def _is_list(inner: Check, value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_CODES and all(map(inner, value))


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value) is not None
    except ValueError:
        return False


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is None
    except ValueError:
        return False


def check_case(case: Any, row: int, problems: list[Problem]) -> bool:
    """Is a case as described? What is wrong with it goes to `problems` (SV37)."""
    if not isinstance(case, dict):
        problems.append(Problem("SV37", {"row": row, "field": "—", "expected": "JSON 对象"}, row=row))
        return False
    checks, before = _checks(), len(problems)
    for name, value in case.items():
        known = checks.get(name)
        if known is None:
            problems.append(Problem("SV38", {"row": row, "field": str(name)[:LONGEST_TEXT]}, row=row))
        elif value is not None and not known[0](value):
            args: dict[str, str | int] = {"row": row, "field": name, "expected": known[1]}
            problems.append(Problem("SV37", args, row=row, field=name))
    return len(problems) == before


def grouped_one(case: dict[str, Any], basis: Basis) -> dict[str, Any]:
    """The group of one case and why; raises BadCases."""
    problems: list[Problem] = []
    if not check_case(case, 1, problems):
        raise BadCases(problems)
    return group_one(case, basis.scheme)._asdict()


def case_frame(cases: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Checked cases as a canonical frame with `row` from 1; raises BadCases with every problem of all."""
    problems: list[Problem] = []
    for row, case in enumerate(cases, 1):
        check_case(case, row, problems)
    if problems:
        raise BadCases(problems)
    names = [name for name in _checks() if any(name in case for case in cases)]
    schema = _schema(names)
    # The row first: cases that say nothing at all are cases too.
    rows = pl.Series("row", range(1, len(cases) + 1), dtype=pl.UInt32)
    made = pl.DataFrame(
        [rows, *(_column([case.get(name) for case in cases], dtype).alias(name) for name, dtype in schema.items())]
    )
    return _whole(made)


def checked_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with canonical columns of whatever integer or text types as a canonical frame; raises BadCases (SV37,
    SV38)."""
    checks = _checks()
    problems = [Problem("SV38", {"row": 0, "field": name}) for name in frame.columns if name not in checks]
    wanted = _schema([name for name in checks if name in frame.columns])
    casts = []
    for name, dtype in wanted.items():
        try:
            casts.append(frame[name].cast(dtype))
        except pl.exceptions.PolarsError:
            problems.append(Problem("SV37", {"row": 0, "field": name, "expected": checks[name][1]}, field=name))
    if problems:
        raise BadCases(problems)
    return _whole(pl.DataFrame(casts).with_row_index("row", 1))


def _schema(names: Sequence[str]) -> dict[str, pl.DataType]:
    """The types of these columns."""
    return {name: dtype for name, dtype in case_schema(names).items() if name in names}


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """With the columns that grouping counts on."""
    missing = {"case_id": pl.col("row").cast(pl.String), "defect": pl.lit(None, dtype=pl.String)}
    return frame.with_columns(expr.alias(name) for name, expr in missing.items() if name not in frame.columns)


def _column(values: list[Any], dtype: pl.DataType) -> pl.Series:
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        texts = pl.Series(values, dtype=pl.String)
        return texts.str.to_date() if dtype == pl.Date else texts.str.to_datetime(time_unit="us", strict=False)
    return pl.Series(values, dtype=dtype)


def grouped_many(frame: pl.DataFrame, basis: Basis, *, pay: bool, hospital: str = "") -> pl.DataFrame:
    """Results of a canonical frame, row for row; with `pay` beside them what each case is expected to earn (yuan), at
    `hospital` where the case names none."""
    results = group_cases(frame, basis.scheme)
    if not pay:
        return results
    return pl.concat([results, _paid(_at(frame, hospital or ANY_HOSPITAL), results, basis)], how="horizontal")


def _at(frame: pl.DataFrame, hospital: str) -> pl.DataFrame:
    """Cases that name no hospital are this one's."""
    named = pl.col("hospital_id").fill_null(hospital) if "hospital_id" in frame.columns else pl.lit(hospital)
    return frame.with_columns(named.alias("hospital_id"))


def _paid(frame: pl.DataFrame, results: pl.DataFrame, basis: Basis) -> pl.DataFrame:
    block = GroupedBlock(_REQUEST, frame, results, pl.DataFrame(schema=PROBLEM_SCHEMA))
    payable, _ = payable_frame(block, basis.policy, hospitals=basis.hospitals, separate=None)
    priced = Pricer(basis.policy, basis.values).price(payable.select(*PAYABLE_SCHEMA)).frame
    place = payable.select("tier").with_columns(pl.lit("").alias("file"), frame["row"])
    shown = in_yuan(pl.concat([priced, place], how="horizontal"))
    names = ("tier", "month", "insurance", "case_kind", "case_kind_zh", "weight", "coefficient", "reference",
             "multiple", "limit", "formula", "points", "cost", "package", "fund", "patient")  # fmt: skip
    return shown.select(*names, pl.col("reason").alias("pay_reason"))


def explained(frame: pl.DataFrame, basis: Basis) -> dict[str, Any]:
    """Why one case is in its group, rule by rule."""
    if isinstance(basis.scheme, CompiledDip):
        return explain_dip_case(frame, basis.scheme).to_dict()
    return explain_case(frame, basis.scheme).to_dict()


def compared(frame: pl.DataFrame, basis: Basis) -> dict[str, Any]:
    """What one case would be with another principal code or without a code."""
    return what_if(frame, basis.scheme).to_dict()


class _NoChecksum(Checksum):
    """Cases of a request come from no file."""

    def __init__(self) -> None:
        self._text = ""

    def wait(self) -> None:
        """There is nothing to wait for."""


_REQUEST = SourceInfo("request", "flat", "json", "", (), 0, _NoChecksum())
