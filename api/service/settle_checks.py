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
from api.service.runs import LOCKED, REOPENED, approved_clearing, find_run, holding_clearing, set_state
from api.service.submissions import ACCEPTED, WITHDRAWAL, NotTaken
from api.store.tables import submission
from reference_tables.problems import Problem


def check_asked(service: Service, connection: sa.Connection, month: str, reopen: str, supersedes: str) -> None:
    """May a month be settled as asked? Raises NotTaken (SV53, SV56, SV57), BookRefused."""
    year = int(month[:4])
    entering = approved_clearing(connection, year)
    if entering is not None:
        raise NotTaken(Problem("SV57", {"year": year, "value": entering.id}, value=entering.id))
    holding = holding_clearing(connection, year)
    if holding is not None and holding.state == LOCKED and (holding.id != supersedes or not reopen.strip()):
        raise NotTaken(Problem("SV56", {"year": year, "value": holding.id}, field="supersedes", value=holding.id))
    if supersedes and (holding is None or holding.id != supersedes):
        raise NotTaken(Problem("SV53", {"year": year, "value": supersedes}, field="supersedes", value=supersedes))
    book = year_book(service, str(year))
    if book is not None:
        check_month(book, month, reopen)
        check_open(book, reopen)


def check_in_order(service: Service, connection: sa.Connection, month: str, reason: str) -> None:
    """Is no month passed over, unless it is said why? None but one settles a month that lies before the last one; where
    nothing of the year has been settled, a month is passed over when new cases of it wait. Raises NotTaken (SV93)."""
    book = year_book(service, month[:4])
    if reason.strip() or (book is not None and book.run_of(month, SETTLE) is not None):
        return
    settled = [] if book is None else [book.closed_until, *(run.month for run in book.runs if run.kind == SETTLE)]
    since = max(settled, default="")
    made = submission.c
    waiting = sa.select(made.month).where(
        made.state == ACCEPTED, made.kind != WITHDRAWAL, made.month.like(f"{month[:4]}-%"), made.month < month,
    )  # fmt: skip
    months = [f"{month[:4]}-{at:02d}" for at in range(1, int(month[5:]))]
    known = months if since else connection.execute(waiting).scalars().all()
    skipped = [each for each in months if each > since and each in known]
    if skipped:
        args: dict[str, str | int] = {"month": month, "skipped": "、".join(skipped), "earliest": skipped[0]}
        raise NotTaken(Problem("SV93", args, field="month", value=month))


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
