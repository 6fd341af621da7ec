"""Codes of the clinical edition -> insurance edition 2.0, only when asked for, and never by guessing.

Some codes are spelt alike in both editions and mean something else, so a code that the crosswalk does not
carry is not taken over: it is marked as clinical, takes part in no set, and is listed.
Source: 国家临床版 2.0 (ICD-10) and 3.0 (ICD-9-CM-3) with the mapping tables to 医保版 2.0.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from reference_tables.codes import fold, load_crosswalks
from reference_tables.problems import PROBLEM_SCHEMA, problem_rows

Edition = Literal["insurance", "clinical"]
CLINICAL_MARK = "国临版:"  # no code book has such a code, so a refused code can be in no set


def normalize_codes(cases: pl.DataFrame, edition: Edition, *, file: str = "") -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bring the codes of a canonical case frame to the insurance edition.

    Returns the frame (row for row) and the problems (GR05 diagnosis, GR06 procedure: not in the crosswalk).
    With `insurance` the frame comes back as it is.
    """
    if edition == "insurance":
        return cases, pl.DataFrame(schema=PROBLEM_SCHEMA)
    walks = load_crosswalks()
    problems: list[pl.DataFrame] = []
    for column, walk, code in (
        ("diagnoses", walks.diagnosis, "GR05"),
        ("procedures", walks.procedure, "GR06"),
    ):
        if column in cases.columns:
            cases, refused = _convert(cases, column, walk)
            shown = pl.col("code")
            problems.append(problem_rows(refused, code, file=file, field=column, value=shown, args={"code": shown}))
    return cases, pl.concat(problems).sort("row", maintain_order=True)


def _convert(cases: pl.DataFrame, column: str, walk: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frame with one list column converted, and (row, case_id, code) of every refused code."""
    table = walk.select(fold(pl.col("from")).alias("key"), pl.col("to"))
    places = cases.select(pl.int_range(pl.len(), dtype=pl.UInt32).alias("place"), "row", "case_id", column)
    items = (
        places.filter(pl.col(column).list.len() > 0)
        .explode(column)
        .with_columns(fold(pl.col(column).fill_null("")).alias("key"))
        .join(table, on="key", how="left", maintain_order="left")
        .with_columns((pl.col("to").is_null() & (pl.col("key") != "")).alias("refused"))
    )
    converted = (
        items.with_columns(
            pl.when("refused").then(CLINICAL_MARK + pl.col(column)).otherwise(pl.col("to").fill_null("")).alias(column)
        )
        .group_by("place", maintain_order=True)
        .agg(column)
    )
    joined = places.select("place").join(converted, on="place", how="left", maintain_order="left")[column]
    refused = items.filter("refused").select("row", "case_id", pl.col(column).alias("code"))
    return cases.with_columns(joined.fill_null([]).alias(column)), refused
