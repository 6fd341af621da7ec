"""Is a year book sound, and what does it hold: checksums, seals, zero sums, no case twice; months and their totals."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from api.core.book import CLEAR, INDEX, KEY, LOCK, Book, BookRefused
from api.core.book_policies import kept_basis
from api.core.book_seals import SHOWN_RUN, read_as_written, readable
from budget.ledger import balance_of, unbalanced
from budget.money import yuan_text
from reference_tables.problems import Level, Problem

SPENT = "5001"


def verify_book(book: Book) -> list[Problem]:
    """Everything that is wrong with a book: files by their checksums (ST60), the index by its seals (ST61) and by the
    policies that the runs brought (ST66, ST67), and, when all can be read, kept policies that are not what the index
    names (ST66), entries that do not cancel out (ST62), cases that count twice (ST63), hospitals whose cases do not add
    up to what is posted (ST64). Files that no run names are told (ST65, info)."""
    problems = [*_files(book), *book.faults]
    if readable(problems):
        problems += [*_policies(book), *_entries(book), *_twice(book), *_sums(book)]
    return [*problems, *_strays(book)]


def sound(problems: list[Problem]) -> bool:
    """No error among them."""
    return not any(problem.level is Level.ERROR for problem in problems)


def _files(book: Book) -> Iterator[Problem]:
    for run in book.runs:
        for file in run.files:
            found = read_as_written(book.path, file)
            if isinstance(found, Problem):
                yield found


def _policies(book: Book) -> Iterator[Problem]:
    for key in {policy.key: None for policy in book.policies}:
        try:
            kept_basis(book, key)
        except BookRefused as error:
            yield from error.problems


def _entries(book: Book) -> Iterator[Problem]:
    for run, entry, difference in unbalanced(book.ledger()).iter_rows():
        args: dict[str, str | int] = {
            "run": run[:SHOWN_RUN], "entry": entry, "difference": yuan_text(difference),
        }  # fmt: skip
        yield Problem("ST62", args)


def _twice(book: Book) -> Iterator[Problem]:
    for frame in (book.cases(), book.priced()):
        counted = frame.group_by(KEY).agg(pl.len().alias("times")).filter(pl.col("times") > 1).sort(*KEY)
        for hospital, case, times in counted.iter_rows():
            yield Problem("ST63", {"hospital": hospital, "case": case, "times": times}, case_id=case)


def _sums(book: Book) -> Iterator[Problem]:
    """Posted spending against the cases that count, by hospital and pool; clearing posts what is no case's."""
    posted = balance_of(book.year_ledger(), SPENT)
    cases = book.priced().group_by("hospital_id", "pool").agg(pl.col("fund_fen").sum())
    both = posted.join(cases, on=["hospital_id", "pool"], how="full", coalesce=True).with_columns(
        pl.col("balance_fen", "fund_fen").fill_null(0)
    )
    for hospital, pool, there, here in (
        both.filter(pl.col("balance_fen") != pl.col("fund_fen")).sort(both.columns[:2]).iter_rows()
    ):
        args: dict[str, str | int] = {
            "hospital": hospital, "pool": pool, "ledger": yuan_text(there), "cases": yuan_text(here),
        }  # fmt: skip
        yield Problem("ST64", args)


def _strays(book: Book) -> Iterator[Problem]:
    named = {file.path for run in book.runs for file in run.files} | {INDEX, LOCK}
    for path in sorted(book.path.rglob("*")):
        place = path.relative_to(book.path).as_posix()
        if path.is_file() and place not in named:
            yield Problem("ST65", {"path": place}, file=place)


MONTH_TOTALS = ("cases", "changed", "due_fen", "corrections_fen", "paid_fen", "held_fen", "deferred_fen", "advance_fen")


def month_totals(book: Book) -> list[dict[str, str | int | bool]]:
    """One row a month of the book: runs, whether closed, and MONTH_TOTALS summed over its runs (counts, fen)."""
    rows: list[dict[str, str | int | bool]] = []
    settled = [run for run in book.runs if run.kind != CLEAR]
    for month in sorted({run.month for run in settled}):
        runs = [run for run in settled if run.month == month]
        sums = {name: sum(run.totals.get(name, 0) for run in runs) for name in MONTH_TOTALS}
        rows.append({"month": month, "runs": len(runs), "closed": month <= book.closed_until, **sums})
    return rows
