"""One block of cases as the quality rules see it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import polars as pl

from grouper.quality.codes import BoolArray, Codes, IntArray
from grouper.quality.setup import QualitySetup

UNKNOWN = -9999  # stands for an unknown age; no limit comes near it
GROUPED = "grouped"


class Block:
    """Readable cases of one block (records that could not be read at all are left out).

    `grouped`: their grouping results, row for row, or None.
    """

    def __init__(self, cases: pl.DataFrame, setup: QualitySetup, grouped: pl.DataFrame | None = None) -> None:
        assert grouped is None or grouped["row"].equals(cases["row"]), "results and cases must stand row for row"
        readable = cases["defect"].is_null() if "defect" in cases.columns else pl.repeat(True, len(cases), eager=True)
        self.cases = cases if readable.all() else cases.filter(readable)
        self.grouped = None if grouped is None else grouped.filter(readable)
        self.setup = setup
        self.height = self.cases.height
        extra = {GROUPED} if grouped is not None else set()
        extra |= {"scheme"} if setup.scheme is not None else set()
        extra |= {"standards"} if setup.standards is not None else set()
        extra |= {"as_of"} if setup.as_of is not None else set()
        self.available = frozenset(self.cases.columns) | extra

    def has(self, *columns: str) -> bool:
        """Whether the file has all of these columns (or inputs)."""
        return self.available.issuperset(columns)

    def having(self, columns: Iterable[str]) -> list[str]:
        """Those of the columns that the file has, in the given order."""
        return [column for column in columns if column in self.available]

    @cached_property
    def dx(self) -> Codes:
        return Codes(self.cases, "diagnosis", self.setup.books.diagnosis)

    @cached_property
    def px(self) -> Codes:
        return Codes(self.cases, "procedure", self.setup.books.procedure)

    @cached_property
    def operations(self) -> BoolArray:
        """Entries of `px` that are operations by their category (手术, 介入治疗)."""
        return self.px.in_categories(self.setup.words("operation_categories"))

    @cached_property
    def sex(self) -> IntArray:
        """0 where unknown."""
        return self.integers("sex", 0)

    @cached_property
    def age(self) -> IntArray:
        """Completed years, UNKNOWN where not given."""
        return self.integers("age_years", UNKNOWN)

    def integers(self, column: str, missing: int) -> IntArray:
        """A whole-number column as int64 with `missing` for null."""
        return self.cases.get_column(column).cast(pl.Int64).fill_null(missing).to_numpy()

    def mask(self, where: pl.Expr) -> BoolArray:
        """An expression over the cases as bool [n]; null counts as false."""
        return self.cases.select(where.fill_null(False)).to_series().to_numpy()

    @cached_property
    def newborn(self) -> pl.Expr:
        """Within the newborn days; a record whose age in years is above 0 is none."""
        days = pl.col("age_days").is_between(0, self.setup.number("newborn_days"))
        return days & (pl.col("age_years").fill_null(0) == 0)

    def blank(self, column: str, words: str = "blank_texts") -> pl.Expr:
        """A text column that is null, empty or one of the words that mean nothing was filled in."""
        return is_blank(pl.col(column), self.setup.words(words))


def is_blank(text: pl.Expr, words: list[str]) -> pl.Expr:
    return text.fill_null("").str.strip_chars().is_in(["", *words])


def bare_date(time: pl.Expr) -> pl.Expr:
    """Whether a time is a bare date, which stands for its midnight."""
    return time.dt.time() == pl.time(0, 0, 0)


def later(first: pl.Expr, second: pl.Expr) -> pl.Expr:
    """Whether `first` is after `second`; compared as dates as soon as one of them is a bare date."""
    return (
        pl.when(bare_date(first) | bare_date(second)).then(first.dt.date() > second.dt.date()).otherwise(first > second)
    )


def clock(time: pl.Expr) -> pl.Expr:
    """A time as text: the date alone for a bare date."""
    return pl.when(bare_date(time)).then(time.dt.to_string("%Y-%m-%d")).otherwise(time.dt.to_string("%Y-%m-%d %H:%M"))


def duration(minutes: pl.Expr) -> pl.Expr:
    """Minutes as `95小时59分`."""
    return pl.format("{}小时{}分", minutes // 60, minutes % 60)


def hundredths(number: pl.Expr) -> pl.Expr:
    """Whole hundredths as a decimal with two places, exactly."""
    size = number.abs()
    sign = pl.when(number < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.format("{}{}.{}", sign, size // 100, (size % 100).cast(pl.String).str.zfill(2))


def yuan(fen: pl.Expr) -> pl.Expr:
    """Whole fen as yuan."""
    return hundredths(fen)
