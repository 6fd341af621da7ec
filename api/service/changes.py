"""Corrections and withdrawals of settled cases, case by case: of each case the last one counts.

One that waits for its settlement loses the cases that a later one speaks of. They go out of its accepted cases with the
problem that names the later one (SV63), so that hospital, office and settlement see the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa

from api.service.audit import SYSTEM, record
from api.service.batches import kept, opened
from api.service.context import Service
from api.service.fitting import ELSEWHERE_SCHEMA
from api.service.submissions import ACCEPTED, NEW, SUPERSEDED, WITHDRAWAL, SubmissionInfo
from api.store.tables import submission
from reference_tables.problems import problem_rows


@dataclass(frozen=True)
class Waiting:
    """A correction or withdrawal case by case that waits for its settlement; `row` of the catalogue, its case ids."""

    row: Any
    cases: pl.Series


@dataclass(frozen=True)
class Replaced:
    """What a later submission leaves of one that waits: what the catalogue says of it then, and its cases that go."""

    name: str
    values: Mapping[str, Any]
    cases: int


def waiting(service: Service, connection: sa.Connection, found: SubmissionInfo) -> list[Waiting]:
    """The other submissions of the hospital and year that correct or withdraw case by case, in the order of their
    coming."""
    rows = connection.execute(_others(found).order_by(submission.c.created_at, submission.c.id))
    return [Waiting(row, _ids(service, row.cases_sha256)) for row in rows]


def as_looked_at(connection: sa.Connection, found: SubmissionInfo, before: Sequence[Waiting]) -> bool:
    """Are those that wait the same as they were?"""
    then = {(item.row.id, item.row.cases_sha256) for item in before}
    return then == {(row.id, row.cases_sha256) for row in connection.execute(_others(found))}


def _others(found: SubmissionInfo) -> sa.Select[Any]:
    return sa.select(submission).where(
        submission.c.hospital_id == found.hospital_id, submission.c.month.like(f"{found.month[:4]}-%"),
        submission.c.state == ACCEPTED, submission.c.kind != NEW, submission.c.supersedes.is_(None),
        submission.c.id != found.id,
    )  # fmt: skip


def later_cases(found: SubmissionInfo, others: Sequence[Waiting]) -> pl.DataFrame:
    """What those that came after it speak of (ELSEWHERE_SCHEMA); where several do, the last one counts."""
    frames = [
        item.cases.to_frame().with_columns(pl.lit(item.row.id).alias("submission"))
        for item in others
        if (item.row.created_at, item.row.id) > (found.created_at, found.id)
    ]
    return pl.concat([pl.DataFrame(schema=ELSEWHERE_SCHEMA), *frames])


def ending_cases(others: Sequence[Waiting]) -> pl.DataFrame:
    """What those that withdraw cases speak of (ELSEWHERE_SCHEMA)."""
    frames = [
        item.cases.to_frame().with_columns(pl.lit(item.row.id).alias("submission"))
        for item in others
        if item.row.kind == WITHDRAWAL
    ]
    return pl.concat([pl.DataFrame(schema=ELSEWHERE_SCHEMA), *frames])


def replacing(
    service: Service, found: SubmissionInfo, cases: pl.DataFrame, others: Sequence[Waiting]
) -> list[Replaced]:  # fmt: skip
    """What becomes of those that came before it, once these of its cases are accepted."""
    made = []
    for item in others:
        gone = item.cases.filter(item.cases.is_in(cases["case_id"].implode()))
        if (item.row.created_at, item.row.id) > (found.created_at, found.id) or gone.is_empty():
            continue
        batch = opened(service, item.row)
        rows = batch.cases.filter(pl.col("case_id").is_in(gone.implode()))
        value = pl.lit(found.id)
        told = problem_rows(
            rows, "SV63", file=item.row.file_name, field="case_id", value=value, args={"value": value}
        )  # fmt: skip
        left = batch.without(told)
        values = kept(service, left, orjson.loads(item.row.summary))
        if left.cases.is_empty():
            values["state"] = SUPERSEDED
        made.append(Replaced(item.row.id, values, rows.height))
    return made


def replace(connection: sa.Connection, found: SubmissionInfo, made: Sequence[Replaced]) -> None:
    """Write what becomes of them, with who did it."""
    for item in made:
        connection.execute(submission.update().where(submission.c.id == item.name).values(dict(item.values)))
        told = {key: item.values[key] for key in ("accepted", "rejected", "cases_sha256")}
        record(connection, SYSTEM, "submission.replace", item.name, {"by": found.id, "cases": item.cases, **told})


def _ids(service: Service, sha256: str) -> pl.Series:
    return pl.read_parquet(service.files.path(sha256), columns=["case_id"])["case_id"]
