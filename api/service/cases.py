"""Cases of a request, without a file: checked, grouped, explained, priced; while the patient may still be in bed.

A case is a mapping with the canonical column names (`reference_tables/columns/*.toml`): numbers in their units (years,
days, grams, hours, fen), dates and times in ISO 8601, `diagnoses` and `procedures` as lists with the principal code
first. One case is grouped in plain Python, many as columns; both give what a file of them would.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from api.core.pay import in_yuan
from api.core.payable import payable_frame
from api.service.basis import Basis
from api.service.case_checks import (
    check_case,
    checks,
    fractions_of,
    frame_problems,
    is_like,
    stripped,
    stripped_frame,
    unfit_column,
)
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
from reference_tables.columns import case_schema
from reference_tables.problems import PROBLEM_SCHEMA, Problem

ANY_HOSPITAL = "预估"
"""Stands for a hospital where a price is asked for without saying whose."""
_BETWEEN = "\x1f"


class BadCases(Exception):
    """Cases that are not as described: every problem of all of them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{len(problems)} problems")


def grouped_one(case: dict[str, Any], basis: Basis, hospital: str) -> dict[str, Any]:
    """The group of one case and why, asked for by `hospital` ("" = by the office). Raises BadCases."""
    problems: list[Problem] = []
    if not check_case(case, 1, problems):
        raise BadCases(problems)
    bare = stripped(case)
    if hospital and (bare.get("hospital_id") or hospital) != hospital:
        raise BadCases([_of_another(bare["hospital_id"])])
    return group_one(bare, basis.scheme)._asdict()


def _of_another(hospital: str) -> Problem:
    return Problem("SV02", {"role": "医疗机构", "what": f"为医疗机构 {hospital} 分组、预估"}, field="hospital_id")


def case_frame(cases: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Checked cases as a canonical frame with `row` from 1; raises BadCases with every problem of all."""
    problems: list[Problem] = []
    for row, case in enumerate(cases, 1):
        check_case(case, row, problems)
    if problems:
        raise BadCases(problems)
    given: set[str] = set().union(*cases)
    names = [name for name in checks() if name in given]
    schema = _schema(names)
    # The row first: cases that say nothing at all are cases too.
    rows = pl.Series("row", range(1, len(cases) + 1), dtype=pl.UInt32)
    made = pl.DataFrame(
        [rows, *(_column([case.get(name) for case in cases], dtype).alias(name) for name, dtype in schema.items())]
    )
    return _whole(made)


def checked_frame(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with canonical columns of whatever integer or text types as a canonical frame; raises BadCases (SV37,
    SV85)."""
    known = checks()
    problems = [unfit_column(name, "病例没有这一栏") for name in frame.columns if name not in known]
    wanted = _schema([name for name in known if name in frame.columns])
    casts = []
    for name, dtype in wanted.items():
        try:
            if not is_like(frame[name].dtype, dtype):
                raise pl.exceptions.InvalidOperationError
            parts = fractions_of(frame[name], name)
            problems += parts
            casts.append(frame[name].cast(dtype, strict=not parts))
        except pl.exceptions.PolarsError:
            problems.append(unfit_column(name, f"应为{known[name].says(None)}，给出的是 {frame[name].dtype}"))
    problems = problems or frame_problems(pl.DataFrame(casts))
    if problems:
        raise BadCases(problems)
    return _whole(pl.DataFrame(casts).with_row_index("row", 1))


def _schema(names: Sequence[str]) -> dict[str, pl.DataType]:
    """The types of these columns."""
    return {name: dtype for name, dtype in case_schema(names).items() if name in names}


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """With the columns that grouping counts on."""
    missing = {"case_id": pl.col("row").cast(pl.String), "defect": pl.lit(None, dtype=pl.String)}
    bare = stripped_frame(frame)
    return bare.with_columns(expr.alias(name) for name, expr in missing.items() if name not in frame.columns)


def _column(values: list[Any], dtype: pl.DataType) -> pl.Series:
    if dtype == pl.List(pl.String):
        # One text each, cut again by polars: lists of texts are taken one by one, which is slow. Checked texts have no
        # control characters.
        joined = [None if value is None else _BETWEEN.join(["", *value]) for value in values]
        return pl.Series(joined, dtype=pl.String).str.split(_BETWEEN).list.slice(1)
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        read = date.fromisoformat if dtype == pl.Date else datetime.fromisoformat
        values = [None if value is None else read(value) for value in values]
    return pl.Series(values, dtype=dtype)


def grouped_many(frame: pl.DataFrame, basis: Basis, *, pay: bool, hospital: str = "") -> pl.DataFrame:
    """Results of a canonical frame, row for row; with `pay` beside them what each case is expected to earn (yuan), at
    `hospital` (who asks, "" = the office) where the case names none. Raises BadCases (SV02) for another's case."""
    if hospital and "hospital_id" in frame.columns:
        others = frame["hospital_id"].drop_nulls()
        others = others.filter((others != "") & (others != hospital))
        if len(others):
            raise BadCases([_of_another(others[0])])
    results = group_cases(frame, basis.scheme)
    if not pay:
        return results
    return pl.concat([results, _paid(_at(frame, hospital or ANY_HOSPITAL), results, basis)], how="horizontal")


def _at(frame: pl.DataFrame, hospital: str) -> pl.DataFrame:
    """Cases that name no hospital are this one's."""
    given = pl.col("hospital_id") if "hospital_id" in frame.columns else pl.lit(None, dtype=pl.String)
    blank = given.is_null() | (given == "")
    return frame.with_columns(pl.when(blank).then(pl.lit(hospital)).otherwise(given).alias("hospital_id"))


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
