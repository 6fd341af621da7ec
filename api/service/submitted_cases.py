"""What hospitals have submitted in a year as case files again: the rows that were accepted and still hold, as they were
given, for work that groups them anew (simulations)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.service.context import Service
from api.service.submissions import ACCEPTED, CORRECTION, DONE, NEW, WITHDRAWAL
from api.service.unpack import unpack
from api.store.tables import submission
from grouper.intake import read_cases

_KEY = ("hospital_id", "case_id")


def standing(connection: sa.Connection, year: int) -> Sequence[Any]:
    """Submissions of a year that hold, in the order of their coming."""
    query = sa.select(submission).where(
        submission.c.month.like(f"{year}-%"), submission.c.state.in_([ACCEPTED, DONE]),
        submission.c.cases_sha256.is_not(None),
    )  # fmt: skip
    return connection.execute(query.order_by(submission.c.created_at, submission.c.id)).all()


def lay_submitted(service: Service, folder: Path, year: int) -> list[str]:
    """A Parquet file of every standing submission in a folder of their own. A correction's cases take the place of the
    same ones handed in before it; withdrawn ones stay out."""
    with service.database.read() as connection:
        rows = standing(connection, year)
    place = folder / "submitted"
    place.mkdir()
    later = pl.DataFrame(schema=dict.fromkeys(_KEY, pl.String()))
    made = []
    for row in reversed(rows):
        accepted = pl.read_parquet(service.files.path(row.cases_sha256))
        whole = row.kind in {NEW, CORRECTION}
        if whole:
            kept = accepted.select(*_KEY, "row").join(later, on=list(_KEY), how="anti")
            if kept.height:
                made.append(_written(service, place, row, kept))
        if row.kind == WITHDRAWAL or (row.kind == CORRECTION and row.supersedes is None):
            later = pl.concat([later, accepted.select(*_KEY)]).unique()
    return sorted(made)


def _written(service: Service, place: Path, row: Any, kept: pl.DataFrame) -> str:
    """The rows of a submission's own file that are kept, each with the format it came in: what a front page calls
    self-paid is all that the patient paid. Cases without a hospital are the submitter's."""
    given = place / row.id
    given.mkdir()
    path = unpack(service.files.path(row.sha256), given, row.file_name, service.settings.max_unpacked_bytes)
    blocks = list(read_cases(path, fmt=row.format))
    cases = pl.concat(block.cases for block in blocks).filter(pl.col("row").is_in(kept["row"].implode()))
    owner, first = pl.lit(row.hospital_id), pl.lit(blocks[0].source.format)
    if "hospital_id" in cases.columns:
        owner = pl.col("hospital_id").fill_null(owner)
    if "source_format" in cases.columns:
        first = pl.col("source_format").fill_null(first)
    target = place / f"{row.month}-{row.id}.parquet"
    cases.with_columns(owner.alias("hospital_id"), first.alias("source_format")).write_parquet(target)
    return str(target)
