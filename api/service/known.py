"""What the service has heard of: hospitals and cases that a request may speak of."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa

from api.core.book import KEY
from api.service.basis import basis_of
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.documents import Stand
from api.service.submissions import ACCEPTED, WITHDRAWAL
from api.service.submitted_cases import standing as submitted
from api.store.tables import submission

_CASE = {"hospital_id": pl.String(), "case_id": pl.String()}


def known_hospitals(
    service: Service, connection: sa.Connection, stand: Stand, year: int, listed: Iterable[str] = ()
) -> frozenset[str]:
    """Hospitals of the register, of the year's book and submissions, and those listed; nothing where there is none of
    these, so that nothing can be told apart."""
    found = set(listed)
    if stand.latest("hospitals") is not None:
        register = basis_of(service, connection, stand).hospitals
        found |= set() if register is None else set(register["hospital_id"])
    return frozenset(found | hospitals_at_work(service, connection, year))


def hospitals_at_work(service: Service, connection: sa.Connection, year: int) -> frozenset[str]:
    """Hospitals that have submitted something for a year, or have cases in its book."""
    query = sa.select(submission.c.hospital_id).where(submission.c.month.like(f"{year}-%")).distinct()
    found = set(connection.execute(query).scalars())
    book = _book_cases(service, year)
    return frozenset(found | (set() if book is None else set(book["hospital_id"].unique())))


def latest_year(connection: sa.Connection) -> int | None:
    """The last year that something was submitted for."""
    month = connection.execute(sa.select(sa.func.max(submission.c.month))).scalar()
    return None if month is None else int(month[:4])


def known_cases(service: Service, connection: sa.Connection, year: int) -> pl.DataFrame:
    """Cases (hospital_id, case_id) in the year's book, or accepted in a submission that is not settled yet."""
    book = _book_cases(service, year)
    found = [pl.DataFrame(schema=_CASE) if book is None else book]
    for row in submitted(connection, year):
        if row.state == ACCEPTED and row.kind != WITHDRAWAL:
            cases = pl.read_parquet(service.files.path(row.cases_sha256), columns=["case_id"])
            found.append(cases.select(pl.lit(row.hospital_id).alias("hospital_id"), "case_id"))
    return pl.concat(found).drop_nulls().unique(maintain_order=True)


def _book_cases(service: Service, year: int) -> pl.DataFrame | None:
    book = year_book(service, str(year))
    return None if book is None else book.cases(KEY).select(*KEY)
