"""Typed columns to the canonical case frame: keys composed, the age rule, intensive-care hours, one schema."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from grouper.formats.cells import Complaints
from reference_tables.case_formats import CaseFormat
from reference_tables.columns import case_schema, columns

AGE_DERIVED, ADULT_DAYS = "IN43", "IN44"
_KEY_SEPARATOR = "_"
_MINUTES_PER_HOUR = 60


def case_frame(
    values: Mapping[str, pl.Series], fmt: CaseFormat, complaints: Complaints, defects: pl.Series | None = None
) -> pl.DataFrame:
    """The canonical frame of readable records.

    `values` are typed columns of equal length; `complaints.rows` their row numbers; `defects` (String) the
    problem codes of records that must not be grouped. Columns that only made the key or the age go along.
    """
    frame = pl.DataFrame({"row": complaints.rows, **{name: values[name].alias(name) for name in values}})
    if defects is not None:
        frame = frame.with_columns(defects.alias("defect"))
    if fmt.composed_key and "case_id" not in values:
        parts = [name for name in columns()["case_id"].compose if name in values]
        key = pl.concat_str(
            [pl.col(name).cast(pl.String) for name in parts], separator=_KEY_SEPARATOR, ignore_nulls=True
        )
        frame = frame.with_columns(case_id=pl.when(key != "").then(key))
    if "case_id" in frame.columns:
        complaints.case_ids = frame["case_id"]
    if "icu_minutes" in values and "icu_hours" not in values:
        frame = frame.with_columns(icu_hours=pl.col("icu_minutes") / _MINUTES_PER_HOUR)
    schema = case_schema(frame.columns)
    absent = [_absent(name, schema[name]) for name in schema if name not in frame.columns]
    frame = frame.with_columns(absent)
    if fmt.age_rule:
        frame = _with_age_rule(frame, complaints)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _absent(name: str, dtype: pl.DataType) -> pl.Expr:
    """A column that the file does not have: unknown, or for lists nothing."""
    empty: list[str] = []
    return pl.lit(empty if isinstance(dtype, pl.List) else None, dtype=dtype).alias(name)


def _with_age_rule(frame: pl.DataFrame, complaints: Complaints) -> pl.DataFrame:
    """Days count only below one year; a missing age follows from days, or from birth date and admission."""
    years, days = frame["age_years"], frame["age_days"]
    complaints.at(ADULT_DAYS, (years >= 1) & (days > 0), columns()["age_days"], days)
    frame = frame.with_columns(
        age_years=pl.when(pl.col("age_years").is_null() & pl.col("age_days").is_not_null())
        .then(0)
        .otherwise("age_years"),
        age_days=pl.when(pl.col("age_years") >= 1).then(None).otherwise("age_days"),
    )
    if not {"birth_date", "admission_time"} <= set(frame.columns):
        return frame
    lacking = pl.col("age_days").is_null() & (pl.col("age_years").is_null() | (pl.col("age_years") == 0))
    if not frame.select(lacking.any()).item():
        return frame
    birth, admission = pl.col("birth_date"), pl.col("admission_time").dt.date()
    same_month = admission.dt.month() == birth.dt.month()
    not_yet = (admission.dt.month() < birth.dt.month()) | (same_month & (admission.dt.day() < birth.dt.day()))
    completed = admission.dt.year() - birth.dt.year() - not_yet.cast(pl.Int32)
    lived = (admission - birth).dt.total_days().cast(pl.Int32)
    known = lacking & (lived >= 0)
    # a stated 0 stays: only its days are filled in, and only when the dates agree that it is below one year
    missing_years = known & pl.col("age_years").is_null()
    missing_days = known & (completed == 0)
    derived = frame.select(
        pl.when(missing_years).then(completed).otherwise("age_years").alias("age_years"),
        pl.when(missing_days).then(lived).otherwise("age_days").alias("age_days"),
        pl.when(missing_years & (completed > 0))
        .then(pl.format("{}岁", completed))
        .when(missing_days)
        .then(pl.format("{}天", lived))
        .alias("told"),
    )
    told = derived["told"]
    complaints.at(AGE_DERIVED, told.is_not_null(), columns()["age_years"], told)
    return frame.with_columns(derived["age_years"], derived["age_days"])


def with_broken(frame: pl.DataFrame, broken: pl.DataFrame) -> pl.DataFrame:
    """A case frame with the unreadable records (row, defect) put back in their places."""
    if broken.is_empty():
        return frame
    only = broken.select("row", "defect")
    absent = [_absent(name, dtype) for name, dtype in frame.schema.items() if name not in only.columns]
    bad = only.with_columns(absent).select(pl.col(name).cast(dtype) for name, dtype in frame.schema.items())
    return pl.concat([frame, bad]).sort("row", maintain_order=True)
