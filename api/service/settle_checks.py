"""What a settlement is asked against: months of the book, and a clearing that is locked. On a year whose clearing is
locked one settles only by a request that names the clearing it takes back.

The book takes the clearing's postings back with the settlement; the clearing's run says so from then on, and only a new
clearing that names it takes its place.
"""

from __future__ import annotations

import sqlalchemy as sa

from api.core.book import Book
from api.core.settle import SETTLE, check_month, check_open
from api.service.audit import Actor
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.runs import APPROVED, CLEAR, LOCKED, REOPENED, find_run, holding_clearing, list_runs, set_state
from api.service.submissions import NotTaken
from reference_tables.problems import Problem


def check_asked(service: Service, connection: sa.Connection, month: str, reopen: str, supersedes: str) -> None:
    """May a month be settled as asked? Raises NotTaken (SV53, SV56, SV57), BookRefused."""
    year = int(month[:4])
    for found in list_runs(connection, kind=CLEAR, year=year, limit=1_000):
        if found.state == APPROVED:
            raise NotTaken(Problem("SV57", {"year": year, "value": found.id}, value=found.id))
    holding = holding_clearing(connection, year)
    if holding is not None and holding.state == LOCKED and (holding.id != supersedes or not reopen.strip()):
        raise NotTaken(Problem("SV56", {"year": year, "value": holding.id}, field="supersedes", value=holding.id))
    if supersedes and (holding is None or holding.id != supersedes):
        raise NotTaken(Problem("SV53", {"year": year, "value": supersedes}, field="supersedes", value=supersedes))
    book = year_book(service, str(year))
    if book is not None:
        check_month(book, month, reopen)
        check_open(book, reopen)


def is_settled_month(service: Service, month: str) -> bool:
    """Have the month's cases been settled?"""
    book = year_book(service, month[:4])
    return book is not None and book.run_of(month, SETTLE) is not None


def check_named(service: Service, year: str, supersedes: str) -> None:
    """Is the clearing that holds still the one that was named? The caller holds the book's lock. Raises NotTaken
    (SV56)."""
    with service.database.read() as connection:
        holding = holding_clearing(connection, int(year))
    if holding is not None and holding.state == LOCKED and holding.id != supersedes:
        raise NotTaken(Problem("SV56", {"year": year, "value": holding.id}, field="supersedes", value=holding.id))


def taken_back(connection: sa.Connection, actor: Actor, book: Book, supersedes: str, reason: str) -> None:
    """Say of a clearing that a settlement has taken it back, once the book has."""
    found = find_run(connection, supersedes, lock=True) if supersedes else None
    if found is not None and found.state == LOCKED and book.cleared is None:
        set_state(connection, actor, found.id, REOPENED, reason)
