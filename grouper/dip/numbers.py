"""Age in days and newborn's weight as grouping by DIP takes them: what cannot be true counts as unknown.

A weight of 0 or less, or above what the settlement list has room for, is no weight; an age in days below one year
beside an age of a year and more is no age in days, the years stand.
Source: 医疗保障基金结算清单填写规范, newborn's weight and age in days; the limits are those of the quality rules
(`reference_tables/quality/parameters.toml`).
"""

from __future__ import annotations

from functools import cache

import polars as pl

from grouper.encode import NUMBER_COLUMNS
from reference_tables.quality_data import quality_data

DAYS, YEARS = NUMBER_COLUMNS["XSRTL"], NUMBER_COLUMNS["NL"]


@cache
def weight_highest_g() -> int:
    """The highest weight of a newborn that can be recorded, grams."""
    return _limit("weight_highest_g")


@cache
def age_days_highest() -> int:
    """The days of a first year."""
    return _limit("age_days_highest")


def _limit(name: str) -> int:
    value = quality_data().parameters[name].value
    assert isinstance(value, int), "the limits are whole numbers"
    return value


def credible_weight(grams: int | None) -> int | None:
    """A newborn's weight in grams; None = unknown."""
    return grams if grams is not None and 0 < grams <= weight_highest_g() else None


def credible_days(days: int | None, years: int | None) -> int | None:
    """An age in days beside the age in years; None = unknown."""
    contradictory = days is not None and years is not None and years >= 1 and days < age_days_highest()
    return None if contradictory else days


def credible_numbers(cases: pl.DataFrame, weight_column: str) -> pl.DataFrame:
    """The same cases with ages in days and weights (`weight_column`) that count as unknown taken out (null)."""
    changed: list[pl.Expr] = []
    if weight_column in cases.columns:
        grams = pl.col(weight_column)
        changed.append(pl.when((grams > 0) & (grams <= weight_highest_g())).then(grams))
    if DAYS in cases.columns and YEARS in cases.columns:
        contradictory = (pl.col(YEARS) >= 1) & (pl.col(DAYS) < age_days_highest())
        changed.append(pl.when(~contradictory.fill_null(value=False)).then(pl.col(DAYS)))
    return cases.with_columns(changed)
