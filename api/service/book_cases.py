"""A year's book, and what it holds of one hospital: cases that count, and cases that were withdrawn.

The catalogue knows every settlement and advance that it was told of the end of: a book without one of them is an older
state of itself, put back from somewhere, and nothing is read from it or entered into it. A book may be ahead of the
catalogue, by what a job under way has entered."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
import sqlalchemy as sa

from api.core.book import CHANGE_SCHEMA, INDEX, KEY, Book, BookRefused, open_book
from api.core.settle import CLOSE, CORRECT, SETTLE
from api.service.runs import ADVANCE
from api.store.tables import run as run_table
from reference_tables.problems import Problem

if TYPE_CHECKING:
    from api.service.context import Service

IN_BOOK_SCHEMA = {
    "case_id": pl.String(), "of_month": pl.String(), "settled_in": pl.String(), "of_basis": pl.String(),
}  # fmt: skip
ENDED_SCHEMA = {"case_id": pl.String(), "ended_in": pl.String()}
WITHDRAW = "withdraw"


@dataclass(frozen=True)
class BookCases:
    """`book` that was looked at, None where there is none. `counting`: IN_BOOK_SCHEMA, the month of each case, the one
    it was settled in, before any correction, and the key of what priced it; `ended`: ENDED_SCHEMA, the month in which a
    case was withdrawn that does not count any more."""

    book: Book | None
    counting: pl.DataFrame
    ended: pl.DataFrame

    @property
    def seal(self) -> str:
        """Of the book that was looked at, "" where there is none."""
        return "" if self.book is None else self.book.seal

    @property
    def closed_until(self) -> str:
        """The last closed month."""
        return "" if self.book is None else self.book.closed_until


def year_book(service: Service, year: str) -> Book | None:
    """A year's book; None before anything of it was settled. Raises BookRefused, also for a book that is older than
    the catalogue (SV80)."""
    made = run_table.c
    query = sa.select(made.id, made.run_id, made.month).where(made.year == int(year), made.kind.in_([SETTLE, ADVANCE]))
    with service.database.read() as connection:  # before the book: what is entered meanwhile is in the book first
        known = connection.execute(query.order_by(made.created_at, made.id)).all()
    folder = service.books / year
    book = open_book(folder) if (folder / INDEX).exists() else None
    held = set() if book is None else {each.run_id for each in book.runs}
    lost = [item for item in known if item.run_id not in held]
    if lost:
        args: dict[str, str | int] = {
            "year": int(year),
            "count": len(lost),
            "value": lost[0].id,
            "month": lost[0].month,
        }
        raise BookRefused([Problem("SV80", args, file=f"books/{year}/{INDEX}", value=lost[0].id)])
    return book


def closed_until(service: Service, year: str) -> str:
    """The last closed month of a year's book; "" when none is."""
    book = year_book(service, year)
    return "" if book is None else book.closed_until


def comes_late(column: str, month: str, closed_until: str) -> pl.Expr:
    """Are a column's months closed ones of the year before `month`, whose cases come late with it?"""
    of = pl.col(column)
    return (of < month) & (of.str.head(4) == month[:4]) & (of <= closed_until)


def next_posted(service: Service, year: str) -> str:
    """The month that the year's next settlement posts in: the last one that has a run, unless it is closed; then the
    one after it, and December once that is closed."""
    return next_after(year_book(service, year), year)


def next_after(book: Book | None, year: str) -> str:
    """The same of a book of the year, None where there is none."""
    if book is None:
        return f"{year}-01"
    following = f"{year}-{min(int(book.closed_until[5:] or 0) + 1, 12):02d}"
    return max(book.last_month, following)


def is_settled(service: Service, month: str) -> bool:
    """Has the month been settled, or a later one, which takes its cases too? Only then are cases corrected one by
    one."""
    book = year_book(service, month[:4])
    return book is not None and any(run.kind in {SETTLE, CORRECT, CLOSE} and run.month >= month for run in book.runs)


def book_cases(service: Service, year: str, hospital: str) -> BookCases:
    """What the year's book holds of a hospital."""
    book = year_book(service, year)
    if book is None:
        return BookCases(None, pl.DataFrame(schema=IN_BOOK_SCHEMA), pl.DataFrame(schema=ENDED_SCHEMA))
    changes = _of(book, "changes", hospital, {name: CHANGE_SCHEMA[name] for name in (*KEY, "action", "from_run")})
    priced = _of(book, "priced", hospital, dict.fromkeys((*KEY, "month", "basis"), pl.String()))
    ended = changes.select("case_id", pl.col("from_run").alias("run"))
    counting = priced.join(ended, on=["case_id", "run"], how="anti", maintain_order="left")
    gone = changes.filter(pl.col("action") == WITHDRAW).unique("case_id", keep="last", maintain_order=True)
    since = priced.join(gone.select("case_id", left="at"), on="case_id", how="left", maintain_order="left")
    first = since.filter(pl.col("at") > pl.col("left").fill_null(-1)).unique(
        "case_id", keep="first", maintain_order=True
    )
    counting = counting.join(first.select("case_id", settled_in="run_month"), on="case_id", maintain_order="left")
    gone = gone.join(counting, on="case_id", how="anti", maintain_order="left")
    return BookCases(
        book,
        counting.select("case_id", "settled_in", of_month=pl.col("month"), of_basis=pl.col("basis")),
        gone.select("case_id", pl.col("run_month").alias("ended_in")),
    )


def _of(book: Book, role: str, hospital: str, schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """A hospital's rows of a role in all runs, in their order, with `run`, `run_month` and `at`, the place of the run;
    no more than these columns is read, of files that are as they were written. Raises BookRefused."""
    frames = [pl.DataFrame(schema={**schema, "run": pl.String(), "run_month": pl.String(), "at": pl.Int32()})]
    for at, run in enumerate(book.runs):
        for file in run.files:
            if file.role == role:
                whole = pl.scan_parquet(io.BytesIO(book.data(file)))
                rows = whole.select(*schema).filter(pl.col("hospital_id") == hospital)
                marks = [pl.lit(run.run_id).alias("run"), pl.lit(run.month).alias("run_month")]
                marks.append(pl.lit(at, dtype=pl.Int32()).alias("at"))
                frames.append(rows.with_columns(*marks).collect())
    return pl.concat(frames)
