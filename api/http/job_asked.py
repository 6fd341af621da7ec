"""Asking for a job, or for a change: done once under an Idempotency-Key, the same answer again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa

from api.http.answers import Answer, Asked, Job
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


A = TypeVar("A", bound=Answer)


def once(
    service: Service, who: Actor, key: str | None, asked: dict[str, object], shape: type[A],
    do: Callable[[sa.Connection], A],
) -> A:  # fmt: skip
    """What a change of the catalogue answers, in one transaction with the answer kept under the key."""
    with service.database.write() as connection:
        before = replayed(connection, who, key, asked)
        if before is not None:
            return shape(**before.body)
        with taken():
            answer = do(connection)
        remember(connection, who, key, asked, 200, answer.model_dump())
        return answer


def asked_by_body(
    service: Service, who: Actor, key: str | None, route: str, asked: Asked,
    ask: Callable[[sa.Connection, Mapping[str, Any]], str],
) -> Job:  # fmt: skip
    """As `asked_job`, for a route whose body says all that the job needs."""
    args = asked.model_dump(mode="json")
    return asked_job(service, who, key, {"route": route, **args}, lambda connection: ask(connection, args))


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
