"""The codes of a block of cases, flat: one entry a code, distinct codes looked at once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reference_tables.code_family import CodeFamily, CodeForms, System
from reference_tables.codes import CodeBook, fold

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
T = TypeVar("T", bound=np.generic)

_COLUMN = {"diagnosis": "diagnoses", "procedure": "procedures"}
_PLACE = {"diagnosis": ("主要诊断", "其他诊断"), "procedure": ("主要手术操作", "其他手术操作")}


class Codes:
    """All diagnoses, or all procedures, of n cases.

    `case`, `position`: int64 [entries], index of the case and place in its list (0 = principal);
    `ids`: int64 [entries] into `distinct`, the different texts as given. An empty text is an entry too (a
    principal slot left blank) but belongs to no family and is in no book.
    """

    def __init__(self, cases: pl.DataFrame, system: System, book: CodeBook) -> None:
        self.system = system
        self.column = _COLUMN[system]
        self.book = book
        self.cases = cases
        lists = cases.get_column(self.column)
        self.lengths: IntArray = lists.list.len().fill_null(0).cast(pl.Int64).to_numpy()
        self.given = lists.explode(empty_as_null=False, keep_nulls=False).fill_null("")
        starts = np.cumsum(self.lengths) - self.lengths
        self.case: IntArray = np.repeat(np.arange(cases.height), self.lengths)
        self.position: IntArray = np.arange(len(self.given)) - np.repeat(starts, self.lengths)
        self.distinct = self.given.cast(pl.Categorical).unique().cast(pl.String).sort()
        self.ids: IntArray = self.given.cast(pl.Enum(self.distinct)).to_physical().cast(pl.Int64).to_numpy()
        self._masks: dict[str, BoolArray] = {}

    @cached_property
    def entries(self) -> pl.DataFrame:
        """Of the distinct codes: code, key (folded), known, gray, name, category ("" where unknown)."""
        category = pl.col("category") if "category" in self.book.frame.columns else pl.lit("")
        book = self.book.frame.select(
            self.book.folded.alias("key"), "name", "gray", category.alias("category"), pl.lit(True).alias("known")
        )
        codes = pl.DataFrame({"code": self.distinct}).with_columns(fold(pl.col("code")).alias("key"))
        return codes.join(book, on="key", how="left", maintain_order="left").with_columns(
            pl.col("name", "category").fill_null(""), pl.col("gray", "known").fill_null(False)
        )

    @cached_property
    def forms(self) -> CodeForms:
        return CodeForms(self.system, self.distinct, self.entries.get_column("name"))

    @cached_property
    def present(self) -> BoolArray:
        """Entries that hold a code at all."""
        return self.of_distinct((self.distinct != "").to_numpy())

    @cached_property
    def keys(self) -> IntArray:
        """Entries -> a number that is equal for codes that compare equal."""
        return self.of_distinct(self.entries.get_column("key").rank("dense").cast(pl.Int64).to_numpy())

    @cached_property
    def known(self) -> BoolArray:
        return self.of_distinct(self.entries.get_column("known").to_numpy())

    @cached_property
    def gray(self) -> BoolArray:
        return self.of_distinct(self.entries.get_column("gray").to_numpy())

    @cached_property
    def principal(self) -> BoolArray:
        """Entries that are the principal code of their case."""
        first: BoolArray = self.position == 0
        return self.present & first

    @cached_property
    def others(self) -> BoolArray:
        return self.present & (self.position > 0)

    def of_distinct(self, values: NDArray[T]) -> NDArray[T]:
        """What holds of each distinct code, for every entry."""
        return values[self.ids]

    def of_case(self, values: NDArray[T]) -> NDArray[T]:
        """What holds of each case, for every entry."""
        return values[self.case]

    def within(self, family: CodeFamily) -> BoolArray:
        """Entries whose code belongs to the family."""
        mask = self._masks.get(family.text)
        if mask is None:
            mask = self._masks[family.text] = family.mask(self.forms)
        return self.of_distinct(mask) & self.present

    def in_codes(self, codes: Iterable[str]) -> BoolArray:
        """Entries whose folded code is one of these (folded) codes, compared whole."""
        return self.of_distinct(self.entries.get_column("key").is_in(list(codes)).to_numpy()) & self.present

    def in_categories(self, categories: Iterable[str]) -> BoolArray:
        """Entries whose book category (procedures; several joined by "|") is one of these."""
        wanted = list(categories)
        texts = self.entries.get_column("category").str.split("|")
        return self.of_distinct(texts.list.eval(pl.element().is_in(wanted)).list.any().to_numpy())

    def cases_with(self, entries: BoolArray) -> BoolArray:
        """bool [n]: cases with at least one of these entries."""
        found = np.zeros(self.cases.height, np.bool_)
        found[self.case[entries]] = True
        return found

    def first_of_case(self, entries: BoolArray) -> BoolArray:
        """Of these entries only the first in each case."""
        at = np.flatnonzero(entries)
        first = np.ones(at.size, np.bool_)
        first[1:] = self.case[at][1:] != self.case[at][:-1]
        kept = np.zeros(entries.size, np.bool_)
        kept[at[first]] = True
        return kept

    def repeats(self, entries: BoolArray, *more: pl.Series) -> BoolArray:
        """Of these entries those whose code (and whatever else is given) stood earlier in the same case."""
        at = np.flatnonzero(entries)
        code_of_case = self.case[at] * (len(self.distinct) + 1) + self.keys[at]
        same = pl.DataFrame([pl.Series("code", code_of_case), *(series.filter(pl.Series(entries)) for series in more)])
        told_apart = pl.struct(pl.all()) if more else pl.col("code")
        again = ~same.select(told_apart.is_first_distinct()).to_series().to_numpy()
        found = np.zeros(entries.size, np.bool_)
        found[at[again]] = True
        return found

    def parallel(self, column: str) -> pl.Series:
        """A list column that runs parallel to the codes, one value an entry; null where its list is too short."""
        lists = self.cases.get_column(column)
        if not np.array_equal(lists.list.len().fill_null(0).to_numpy(), self.lengths):
            places = pl.col(self.column).fill_null([]).list.eval(pl.int_range(pl.len(), dtype=pl.UInt32))
            padded = pl.col(column).fill_null([]).list.gather(places, null_on_oob=True)
            lists = self.cases.select(padded).to_series()
        return lists.explode(empty_as_null=False, keep_nulls=False).rename(column)

    def rows(self, entries: BoolArray) -> pl.DataFrame:
        """These entries as rows: code, name, place (where a person finds it), is_principal, case."""
        at = np.flatnonzero(entries)
        described = self.entries.select("code", "name")[self.ids[at]]
        first, other = _PLACE[self.system]
        position = pl.Series("position", self.position[at])
        place = pl.when(position == 0).then(pl.lit(first)).otherwise(pl.format("{}第{}条", pl.lit(other), position))
        return described.with_columns(
            place.alias("place"), (position == 0).alias("is_principal"), pl.Series("case", self.case[at])
        )
