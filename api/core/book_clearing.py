"""A clearing in the year book: a run that takes back the one before, so that a book knows how it was cleared."""

from __future__ import annotations

import polars as pl

from api.core.book import CLEAR, Book, Run, locked, open_book
from api.core.clear_inputs import ClearInputs
from api.core.clear_request import Cleared, ClearRequest, clear_request
from api.core.clearing_files import run_id_of, statement_rows
from api.core.settle import clearing_undone, hash_of
from budget.frames import STATEMENT_COLUMNS
from budget.ledger import postings_of
from grouper.schemes import Scheme


def clear_book(request: ClearRequest, given: ClearInputs, scheme: Scheme) -> tuple[Cleared, Run | None]:
    """Clear the year of the request's book and record it there, the book locked from beginning to end; the clearing
    that this one supersedes, None when there was none.

    Raises as `clear_request`, BookRefused when the book cannot be used, OSError when it cannot be written.
    """
    assert request.book is not None
    open_book(request.book)  # no folder is made where there is no book
    with locked(request.book):
        book = open_book(request.book)
        done = clear_request(request, given, scheme, book)
        return done, record_clearing(book, done, request.policy_reason)[1]


def record_clearing(book: Book, done: Cleared, reason: str = "") -> tuple[Book, Run | None]:
    """The book with the clearing as its last run, and the clearing it supersedes, None when there was none. The same
    clearing again changes nothing; the caller holds the book's lock.

    Raises OSError when the folder cannot be written; then the book is as it was.
    """
    clearing, clearing_id = done.clearing, run_id_of(done.deciding)
    before = next((run for run in reversed(book.runs) if run.kind == CLEAR), None)
    if book.cleared is not None and book.cleared.input_id == clearing_id:
        return book, None
    record = {"command": CLEAR, "clearing": clearing_id, "book": {"year": book.year, "before": book.last_run}}
    run_id = hash_of(record)
    postings = postings_of(run_id, clearing.month, pl.concat([clearing.amounts(), clearing_undone(book)]))
    rows = statement_rows(clearing)
    totals = {
        "cases": sum(line.cases for _, line in clearing.lines),
        "entitlement_fen": sum(line.entitlement for _, line in clearing.lines),
        "balance_fen": sum(line.balance for _, line in clearing.lines),
    }
    frames = {
        "postings": postings,
        "statement": pl.DataFrame(rows, schema=dict.fromkeys(STATEMENT_COLUMNS, pl.String)),
        "problems": clearing.problems,
    }
    supersedes = "" if before is None else before.run_id
    proof = {"run_id": run_id, **record, "supersedes": supersedes, "deciding": dict(done.deciding)}
    run = Run(run_id, clearing_id, CLEAR, clearing.month, False, reason, totals)
    return book.append(run, frames, {"proof": proof}), before
