"""Jobs: work that takes longer than a request, done exactly once whatever dies meanwhile.

A job is enqueued in the transaction that asks for it, under a key: the same key is the same job. A worker leases it,
says again and again that it is alive, and finishes it in one transaction with all that it changes in the catalogue;
whoever has lost the lease meanwhile (a worker that was stopped, a machine that slept) cannot finish. A job whose worker
falls silent is leased anew, a few times; what a handler does outside the catalogue must bear being done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from api.service.audit import Actor, record
from api.service.values import canonical, later, new_id, now
from api.store.database import Database
from api.store.faults import point
from api.store.tables import job

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})


class LeaseLost(Exception):
    """Somebody else works on the job by now, or it was cancelled: what was done is dropped."""


class Cancelled(Exception):
    """The job was asked to stop."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as told to people; `result`, `error` plain values, None as long as there is none."""

    id: str
    kind: str
    state: str
    attempts: int
    progress: int
    progress_of: int
    hospital_id: str
    created_at: str
    finished_at: str | None
    result: Any
    error: Any


@dataclass(frozen=True, slots=True)
class Leased:
    """A job in a worker's hands; `lease` proves that it is."""

    id: str
    kind: str
    args: Mapping[str, Any]
    lease: str
    attempts: int
    created_by: str


Change = Callable[[sa.Connection], Mapping[str, Any]]
"""What a job does to the catalogue, in the transaction that finishes it; gives its result."""


def enqueue(
    connection: sa.Connection, actor: Actor, kind: str, key: str, args: Mapping[str, object], hospital_id: str = ""
) -> str:
    """A job's id; of the job that has the key already, if there is one."""
    found = connection.execute(sa.select(job.c.id).where(job.c.key == key)).scalar()
    if found is not None:
        return str(found)
    row = {
        "id": new_id("job"), "kind": kind, "key": key, "args": canonical(dict(args)), "state": QUEUED, "attempts": 0,
        "progress": 0, "progress_of": 0, "cancel": 0, "created_at": now(), "created_by": actor.id,
        "hospital_id": hospital_id,
    }  # fmt: skip
    connection.execute(job.insert().values(row))
    return str(row["id"])


def find_job(connection: sa.Connection, name: str) -> JobInfo | None:
    """A job by its id."""
    row = connection.execute(sa.select(job).where(job.c.id == name)).first()
    return None if row is None else _info(row)


def list_jobs(connection: sa.Connection, *, hospital_id: str | None = None, limit: int = 100) -> list[JobInfo]:
    """The latest jobs, of one hospital or of all."""
    query = sa.select(job).order_by(job.c.created_at.desc(), job.c.id).limit(limit)
    if hospital_id is not None:
        query = query.where(job.c.hospital_id == hospital_id)
    return [_info(row) for row in connection.execute(query)]


def cancel(connection: sa.Connection, actor: Actor, name: str) -> bool:
    """Ask a job to stop: one that waits stops at once, one that runs when it next looks. False when it has ended."""
    row = connection.execute(sa.select(job.c.state).where(job.c.id == name).with_for_update()).first()
    if row is None or row.state in ENDED:
        return False
    values: dict[str, object] = {"cancel": 1}
    if row.state == QUEUED:
        values |= {"state": CANCELLED, "finished_at": now()}
    connection.execute(job.update().where(job.c.id == name).values(values))
    record(connection, actor, "job.cancel", name)
    return True


class Queue:
    """The jobs of a database, as workers take them."""

    def __init__(self, database: Database, lease_seconds: float, most_attempts: int) -> None:
        self.database = database
        self.lease_seconds = lease_seconds
        self.most_attempts = most_attempts

    def take(self) -> Leased | None:
        """Lease the oldest job that waits, or whose worker has fallen silent; None when there is none. A job that has
        been tried too often is given up."""
        with self.database.write() as connection:
            time = now()
            free = (job.c.state == QUEUED) | ((job.c.state == RUNNING) & (job.c.lease_until < time))
            query = sa.select(job).where(free).order_by(job.c.created_at, job.c.id).limit(1)
            row = connection.execute(query.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            if row.cancel or row.attempts >= self.most_attempts:
                ended = {"state": CANCELLED if row.cancel else FAILED, "finished_at": time, "lease": None}
                if not row.cancel:
                    ended["error"] = canonical({"code": "SV20", "args": {"attempts": row.attempts}})
                connection.execute(job.update().where(job.c.id == row.id).values(ended))
                return None
            lease = new_id("lease")
            values = {
                "state": RUNNING, "attempts": row.attempts + 1, "lease": lease,
                "lease_until": later(self.lease_seconds), "progress": 0, "progress_of": 0,
            }  # fmt: skip
            connection.execute(job.update().where(job.c.id == row.id).values(values))
        point("job leased")
        return Leased(row.id, row.kind, orjson.loads(row.args), lease, row.attempts + 1, row.created_by)

    def alive(self, held: Leased, progress: int | None = None, of: int | None = None) -> None:
        """Say that the job is being worked on, and how far it is. Raises LeaseLost, Cancelled."""
        with self.database.write() as connection:
            row = connection.execute(sa.select(job.c.lease, job.c.cancel).where(job.c.id == held.id)).first()
            if row is None or row.lease != held.lease:
                raise LeaseLost(held.id)
            if row.cancel:
                raise Cancelled(held.id)
            values: dict[str, object] = {"lease_until": later(self.lease_seconds)}
            if progress is not None and of is not None:
                values |= {"progress": progress, "progress_of": of}
            connection.execute(job.update().where(job.c.id == held.id).values(values))

    def finish(self, held: Leased, change: Change) -> None:
        """Do what the job changes in the catalogue and end it, both or neither. Raises LeaseLost."""
        with self.database.write() as connection:
            self._hold(connection, held)
            result = change(connection)
            self._end(connection, held, DONE, result=canonical(dict(result)))
        point("job finished")

    def fail(self, held: Leased, error: Mapping[str, object], change: Change | None = None) -> None:
        """End a job that cannot be done, with the problem that says why; what it changes goes with it. Raises
        LeaseLost."""
        with self.database.write() as connection:
            self._hold(connection, held)
            if change is not None:
                change(connection)
            self._end(connection, held, FAILED, error=canonical(dict(error)))

    def stop(self, held: Leased, change: Change | None = None) -> None:
        """End a job that was cancelled. Raises LeaseLost."""
        with self.database.write() as connection:
            self._hold(connection, held)
            if change is not None:
                change(connection)
            self._end(connection, held, CANCELLED)

    def give_back(self, held: Leased) -> None:
        """Put a job back to wait, its try not counted: the worker is being shut down or the store cannot be written."""
        with self.database.write() as connection:
            self._hold(connection, held)
            values = {"state": QUEUED, "lease": None, "lease_until": None, "attempts": held.attempts - 1}
            connection.execute(job.update().where(job.c.id == held.id).values(values))

    def _hold(self, connection: sa.Connection, held: Leased) -> None:
        query = sa.select(job.c.lease, job.c.state).where(job.c.id == held.id).with_for_update()
        row = connection.execute(query).first()
        if row is None or row.lease != held.lease or row.state != RUNNING:
            raise LeaseLost(held.id)

    def _end(self, connection: sa.Connection, held: Leased, state: str, **values: object) -> None:
        ended = {"state": state, "lease": None, "lease_until": None, "finished_at": now(), **values}
        connection.execute(job.update().where(job.c.id == held.id).values(ended))


def _info(row: Any) -> JobInfo:
    def plain(text: str | None) -> Any:
        return None if text is None else orjson.loads(text)

    return JobInfo(
        row.id, row.kind, row.state, row.attempts, row.progress, row.progress_of, row.hospital_id, row.created_at,
        row.finished_at, plain(row.result), plain(row.error),
    )  # fmt: skip
