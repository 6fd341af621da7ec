"""Submissions as they are listed: of a hospital, a month, a state, page by page."""

from __future__ import annotations

import sqlalchemy as sa

from api.service.submissions import SubmissionInfo, info_of
from api.store.tables import submission


def listed(
    connection: sa.Connection, *, hospital_id: str | None = None, month: str | None = None, state: str | None = None,
    after: str = "", limit: int = 100,
) -> list[SubmissionInfo]:  # fmt: skip
    """Submissions in the order of their coming, those after an id."""
    query = sa.select(submission).order_by(submission.c.created_at, submission.c.id).limit(limit)
    for column, value in (
        (submission.c.hospital_id, hospital_id),
        (submission.c.month, month),
        (submission.c.state, state),
    ):
        if value is not None:
            query = query.where(column == value)
    if after:
        place = sa.select(submission.c.created_at, submission.c.id).where(submission.c.id == after)
        row = connection.execute(place).first()
        if row is not None:
            query = query.where(sa.tuple_(submission.c.created_at, submission.c.id) > sa.tuple_(row.created_at, row.id))
    return [info_of(row) for row in connection.execute(query)]
