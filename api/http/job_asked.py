"""Asking for a job: its id at once, the same answer again under an Idempotency-Key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from api.http.answers import Job
from api.http.bodies import remember, replayed
from api.http.errors import Refused
from api.http.routes_jobs import shown
from api.service.audit import Actor
from api.service.context import Service
from api.service.jobs import find_job
from api.service.submissions import NotTaken


@contextmanager
def taken() -> Iterator[None]:
    """What cannot be taken is refused with its problem."""
    try:
        yield
    except NotTaken as error:
        raise Refused(error.problem) from None


def asked_job(
    service: Service, who: Actor, key: str | None, asked: dict[str, object], ask: Callable[[sa.Connection], str]
) -> Job:
    """The job that `ask` enqueues, in one transaction with the answer kept under the key. Refused as `ask` says."""
    with service.database.write() as connection:
        before = replayed(connection, who, key, asked)
        if before is not None:
            return Job(**before.body)
        with taken():
            name = ask(connection)
        found = find_job(connection, name)
        assert found is not None
        answer = shown(found)
        remember(connection, who, key, asked, 202, answer.model_dump())
        return answer
