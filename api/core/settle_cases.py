"""Which cases a settlement takes: each once, of this year, fit to be priced; every other one is told why not.

Frames of cases are PAYABLE_SCHEMA with `file` and `row`, where each came from. What is refused stays out of the book,
so that it can be handed in again when it is put right.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from api.core.book import KEY, Book
from api.core.book_policies import KeptPolicies
from api.core.book_seals import SHOWN_RUN
from api.core.settle_tiers import by_settled_tiers
from budget.case_fit import DUPLICATE, faults, unfit_reason
from budget.frames import PAYABLE_SCHEMA
from reference_tables.problems import PROBLEM_SCHEMA, catalogue, problem_frame, problem_rows

PLACE: dict[str, pl.DataType] = {"file": pl.String(), "row": pl.UInt32()}
CASE_SCHEMA = {**PAYABLE_SCHEMA, **PLACE}
_IN_BOOK = dict.fromkeys([*KEY, "book_run", "book_month"], pl.String())
# A repeated row is known by all it says but the status, which a reader may have marked as a repetition.
_CONTENT = [name for name in PAYABLE_SCHEMA if name != "status"]
_NAMED: Mapping[str, pl.Expr | str] = {"hospital": pl.col("hospital_id"), "case": pl.col("case_id")}


def placed(cases: pl.DataFrame | None) -> pl.DataFrame:
    """Cases with `file` and `row`, "" and 0 where the caller has none; no cases for None."""
    if cases is None:
        return pl.DataFrame(schema=CASE_SCHEMA)
    missing = {"file": pl.lit(""), "row": pl.lit(0)}
    whole = cases.with_columns(expr.alias(name) for name, expr in missing.items() if name not in cases.columns)
    return whole.select(pl.col(name).cast(dtype) for name, dtype in CASE_SCHEMA.items())


def listed(frame: pl.DataFrame, code: str, args: Mapping[str, pl.Expr | str], field: str = "case_id") -> pl.DataFrame:
    """A problem for every row (columns file, row, case_id), with the row's own file."""
    rows = problem_rows(frame, code, field=field, value=pl.col("case_id"), args=args)
    return rows.with_columns(frame["file"].alias("file")).select(*PROBLEM_SCHEMA)


class CaseFilter:
    """Takes cases out of a frame step by step; `problems` (PROBLEM_SCHEMA frames) tell why. `registered`: hospitals
    whose tier is the register's, and in settled months what it was then."""

    def __init__(
        self, book: Book, bases: KeptPolicies, month: str, registered: frozenset[str] = frozenset()
    ) -> None:  # fmt: skip
        self.book, self.bases, self.month, self._registered = book, bases, month, registered
        self.problems: list[pl.DataFrame] = []
        self.known = book.priced((*KEY, "month", "basis")).select(
            *KEY, "book_run", "book_month", pl.col("month").alias("book_of"), pl.col("basis").alias("book_basis")
        )
        self.ended = book.changes().filter(pl.col("action") == "withdraw").select(*KEY, ended_month="book_month")

    def refuse(
        self, frame: pl.DataFrame, met: pl.Expr, code: str, args: Mapping[str, pl.Expr | str] | None = None
    ) -> pl.DataFrame:
        """The rows that do not meet a condition; the others are listed."""
        bad = frame.filter(met)
        if bad.is_empty():
            return frame
        self.problems.append(listed(bad, code, {**_NAMED, **(args or {})}))
        return frame.filter(~met)

    def acceptable(self, cases: pl.DataFrame) -> pl.DataFrame:
        """New cases that may be paid, with `basis`, what prices them: not paid before, once in the files, of the year
        up to the month, fit."""
        given = self._once(self._named(cases))
        marked = given.join(self.known, on=KEY, how="left", maintain_order="left")
        marked = marked.join(self._first(marked), on=KEY, how="left", maintain_order="left")
        where = {"month": pl.col("first_month"), "run": pl.col("first_run").str.head(SHOWN_RUN)}
        fresh = self.refuse(marked, pl.col("book_run").is_not_null(), "ST30", where)
        fresh = fresh.drop("first_run", "first_month")
        timely = self._by_settled_tiers(self._in_time(fresh.select(*CASE_SCHEMA)))
        return self._fit(timely.with_columns(basis=self._of_month(timely)))

    def _first(self, marked: pl.DataFrame) -> pl.DataFrame:
        """Where cases that the book has were accepted first: KEY, first_run, first_month."""
        again = marked.filter(pl.col("book_run").is_not_null()).select(KEY)
        schema = {name: PAYABLE_SCHEMA[name] for name in KEY}
        every = self.book.frame("cases", schema, among=again) if again.height else pl.DataFrame(schema=_IN_BOOK)
        return every.unique(KEY, keep="first", maintain_order=True).select(
            *KEY, first_run="book_run", first_month="book_month"
        )

    def corrections(self, cases: pl.DataFrame) -> pl.DataFrame:
        """Cases of the book in a new version, with `basis`: what priced the old one, unless the month is another."""
        timely = self._by_settled_tiers(self._in_time(self.in_book(self._once(self._named(cases)))))
        moved = pl.col("month").is_not_null() & (pl.col("month") != pl.col("book_of"))
        of_month = self._of_month(timely)
        marked = timely.with_columns(basis=pl.when(moved).then(of_month).otherwise("book_basis"))
        packs = {key: self.bases.pack_of(key) for key in marked["basis"].unique()}
        strange = [key for key, (_, sha256) in packs.items() if sha256 != self.bases.now.pack_sha256]
        named = {key: name for key, (name, _) in packs.items()}
        pack = pl.col("basis").replace_strict(named, return_dtype=pl.String) if named else pl.lit("")
        args: dict[str, pl.Expr | str] = {"pack": pack, "given": self.bases.now.pack, "month": pl.col("book_month")}
        same = self.refuse(marked, pl.col("basis").is_in(strange), "ST44", args)
        return self._fit(same.select(*CASE_SCHEMA, "basis"))

    def _by_settled_tiers(self, cases: pl.DataFrame) -> pl.DataFrame:
        kept, told = by_settled_tiers(self.book, cases, self._registered)
        self.problems += [problem_frame(told)] if told else []
        return kept

    def _of_month(self, cases: pl.DataFrame) -> pl.Expr:
        """The key of what prices a month's cases."""
        keys = {month: self.bases.key_of(month) for month in cases["month"].drop_nulls().unique()}
        now = self.bases.now.key
        return pl.col("month").replace_strict(keys, default=now, return_dtype=pl.String) if keys else pl.lit(now)

    def in_book(self, cases: pl.DataFrame) -> pl.DataFrame:
        """The rows whose case the book has, with its `book_run`, `book_month`, `book_of` (month of the case) and
        `book_basis`."""
        marked = cases.join(self.known, on=KEY, how="left", maintain_order="left")
        last = self.ended.unique(KEY, keep="last", maintain_order=True)
        marked = marked.join(last, on=KEY, how="left", maintain_order="left")
        gone = pl.col("book_run").is_null() & pl.col("ended_month").is_not_null()
        there = self.refuse(marked, gone, "ST43", {"month": pl.col("ended_month")})
        return self.refuse(there, pl.col("book_run").is_null(), "ST40").drop("ended_month")

    def _named(self, cases: pl.DataFrame) -> pl.DataFrame:
        blank = pl.any_horizontal(pl.col(name).is_null() | (pl.col(name) == "") for name in KEY)
        return self.refuse(cases, blank, "ST36")

    def _once(self, cases: pl.DataFrame) -> pl.DataFrame:
        """Each case once. The same row again is left out; rows that differ are all left out, since no order of files
        may decide which one is paid."""
        repeated = cases.select(KEY).is_duplicated()
        if not repeated.any():
            return cases
        twice = cases.with_row_index("at").filter(repeated)
        different = twice.group_by(KEY).agg(pl.struct(_CONTENT).n_unique().alias("versions"))
        twice = twice.join(different, on=KEY, how="left", maintain_order="left")
        # Of equal rows the first is kept, and the one that is not marked as a repetition.
        twice = twice.sort(pl.col("status") == DUPLICATE, "file", "row", maintain_order=True)
        kept = twice.filter(pl.col("versions") == 1).unique(KEY, keep="first", maintain_order=True)
        left_out = twice.filter(~pl.col("at").is_in(kept["at"].implode()))
        self.refuse(left_out, pl.col("versions") == 1, "ST31")
        self.refuse(left_out, pl.col("versions") > 1, "ST32")
        once = pl.concat([cases.with_row_index("at").filter(~repeated), kept.drop("versions")])
        return once.sort("at").drop("at")

    def _in_time(self, cases: pl.DataFrame) -> pl.DataFrame:
        of, year = pl.col("month"), str(self.book.year)
        other = of.is_not_null() & (of.str.head(4) != year)
        same_year = self.refuse(cases, other.fill_null(value=False), "ST35", {"of": of, "year": year})
        ahead = (of > self.month).fill_null(value=False)
        return self.refuse(same_year, ahead, "ST34", {"of": of, "month": self.month})

    def _fit(self, cases: pl.DataFrame) -> pl.DataFrame:
        """Cases that can be priced by their `basis`: a valid record with all that payment asks for."""
        reason = pl.lit(None, dtype=pl.String)
        for key in cases["basis"].unique().sort():
            basis = self.bases.of(key)
            own = unfit_reason(list(faults(basis.policy, basis.values)))
            reason = pl.when(pl.col("basis") == key).then(own).otherwise(reason)
        invalid = pl.when(pl.col("status") == "INVALID").then(pl.lit("INVALID_CASE"))
        marked = cases.with_columns(pl.coalesce(reason, invalid).alias("unfit"))
        texts = {code: catalogue()[f"PRICE_{code}"].message for code in marked["unfit"].drop_nulls().unique()}
        told = pl.col("unfit").replace_strict(texts, return_dtype=pl.String) if texts else pl.lit("")
        return self.refuse(marked, pl.col("unfit").is_not_null(), "ST33", {"reason": told}).drop("unfit")
