"""What the service has heard of: hospitals and cases that a request may speak of."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa

from api.core.book import INDEX, open_book
from api.service.basis import basis_of
from api.service.context import Service
from api.service.documents import Stand
from api.service.submitted_cases import standing as submitted
from api.store.tables import submission


def known_hospitals(
    service: Service, connection: sa.Connection, stand: Stand, year: int, listed: Iterable[str] = ()
) -> frozenset[str]:
    """Hospitals of the register, of the year's book and submissions, and those listed; nothing where there is none of
    these, so that nothing can be told apart."""
    found = set(listed)
    if stand.latest("hospitals") is not None:
        register = basis_of(service, connection, stand).hospitals
        found |= set() if register is None else set(register["hospital_id"])
    query = sa.select(submission.c.hospital_id).where(submission.c.month.like(f"{year}-%")).distinct()
    found |= set(connection.execute(query).scalars())
    book = _book_cases(service, year)
    return frozenset(found | (set() if book is None else set(book["hospital_id"].unique())))


def is_known_case(service: Service, connection: sa.Connection, year: int, hospital: str, case: str) -> bool:
    """Is a case of the hospital in the year's book, or accepted in a submission?"""
    mine = (pl.col("hospital_id") == hospital) & (pl.col("case_id") == case)
    book = _book_cases(service, year)
    if book is not None and book.filter(mine).height:
        return True
    for row in submitted(connection, year):
        if row.hospital_id != hospital:
            continue
        cases = pl.read_parquet(service.files.path(row.cases_sha256), columns=["case_id"])
        if (cases["case_id"] == case).any():
            return True
    return False


def _book_cases(service: Service, year: int) -> pl.DataFrame | None:
    folder = service.books / str(year)
    return open_book(folder).cases().select("hospital_id", "case_id") if (folder / INDEX).exists() else None
