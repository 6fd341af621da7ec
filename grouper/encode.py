"""Canonical case frame -> integer planes: what the kernel reads of a block of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import CodeIndex, Ids

UNKNOWN_NUMBER = np.iinfo(np.int32).min
NUMBER_COLUMNS = {
    "NL": "age_years",
    "XB": "sex",
    "XSRTL": "age_days",
    "ZYTS": "los_days",
    "ICUXS": "icu_hours",
}
WEIGHT_COLUMN = {"birth": "newborn_birth_weight_g", "admission": "newborn_admission_weight_g"}


@dataclass(frozen=True)
class CodeLists:
    """Flat ids of one kind of code and their cases.

    `flat` uint16/uint32 [items], `offsets` int64 [cases + 1]; the first item of a case is its principal
    code (0 when it has none), all further items are its other codes.
    """

    flat: Ids
    offsets: NDArray[np.int64]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @cached_property
    def principal(self) -> Ids:
        """Id of the principal code of each case, 0 = none."""
        first = np.zeros(len(self.offsets) - 1, self.flat.dtype)
        filled = np.flatnonzero(self.lengths)
        first[filled] = self.flat[self.offsets[filled]]
        return first

    @cached_property
    def principal_positions(self) -> NDArray[np.int64]:
        """Places in `flat` that hold a principal code."""
        return self.offsets[:-1][self.lengths > 0]

    def row_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The case of each of some ascending places in `flat`."""
        return np.searchsorted(self.offsets, positions, side="right") - 1


@dataclass(frozen=True)
class EncodedCases:
    """A block of cases as integers.

    `numbers` maps NL, XB, XSRTL, XSRTZ, ZYTS to int32 [cases] (years, code, days, grams, days; unknown =
    UNKNOWN_NUMBER) and ICUXS to float64 [cases] (hours; unknown = nan). `way`, `department`: ids [cases].
    """

    size: int
    dx: CodeLists
    px: CodeLists
    way: Ids
    department: Ids
    numbers: Mapping[str, NDArray[np.int32] | NDArray[np.float64]]


def encode_cases(cases: pl.DataFrame, indexes: Mapping[str, CodeIndex], newborn_weight: str) -> EncodedCases:
    """Encode a canonical case frame; columns that the frame lacks are unknown for every case."""
    columns = {**NUMBER_COLUMNS, "XSRTZ": WEIGHT_COLUMN[newborn_weight]}
    return EncodedCases(
        size=cases.height,
        dx=CodeLists(*indexes["dx"].encode_lists(listed_codes(cases, "diagnoses"))),
        px=CodeLists(*indexes["px"].encode_lists(listed_codes(cases, "procedures"))),
        way=_single(cases, "discharge_way", indexes["way"]),
        department=_single(cases, "department", indexes["department"]),
        numbers={name: number_column(cases, column, name) for name, column in columns.items()},
    )


def listed_codes(cases: pl.DataFrame, name: str) -> pl.Series:
    """The column of code lists, List(String); empty lists when the frame lacks it."""
    if name not in cases.columns:
        return pl.Series(name, [[]] * cases.height, dtype=pl.List(pl.String))
    return cases[name]


def _single(cases: pl.DataFrame, name: str, index: CodeIndex) -> Ids:
    if name not in cases.columns or index.size <= 2:
        return np.zeros(cases.height, index.dtype)
    return index.encode_column(cases[name])


def number_column(cases: pl.DataFrame, column: str, field: str) -> NDArray[np.int32] | NDArray[np.float64]:
    """One number column as EncodedCases holds it; unknown for every case when the frame lacks it."""
    if field == "ICUXS":
        if column not in cases.columns:
            return np.full(cases.height, np.nan)
        return cases[column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    if column not in cases.columns:
        return np.full(cases.height, UNKNOWN_NUMBER, np.int32)
    return cases[column].cast(pl.Int32).fill_null(UNKNOWN_NUMBER).to_numpy()
