"""Jobs: work that takes longer than a request, done exactly once whatever dies meanwhile.

A job is enqueued in the transaction that asks for it, under a key: the same key is the same job. A worker leases it,
says again and again that it is alive, and finishes it in one transaction with all that it changes in the catalogue;
whoever has lost the lease meanwhile (a worker that was stopped, a machine that slept) cannot finish. A job whose worker
falls silent, or is known to be dead, is leased anew, a few times; what a handler does outside the catalogue must bear
being done twice. A job that is put back goes behind those that had come by then, and when it names the job that it
waits for it is not leased before that one has ended: none can keep the others from their turn. A job that is cancelled
or given up undoes in the catalogue what asking for it did there. Leases are timed by the database's clock: those of the
machines need not agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import orjson
import sqlalchemy as sa

from api.service.audit import SYSTEM, Actor, end_of, record
from api.service.holders import is_dead, this_process
from api.service.told import told_all
from api.service.values import canonical, later, new_id, now, stamp
from api.store.database import Database
from api.store.faults import point
from api.store.tables import job
from reference_tables.problems import Problem

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})
_LONGEST_WAIT = 60.0
"""No job is put back to wait for so many seconds."""
STATES_ZH = {QUEUED: "等待中", RUNNING: "进行中", DONE: "已完成", FAILED: "未能完成", CANCELLED: "已取消"}


class LeaseLost(Exception):
    """Somebody else works on the job by now, or it was cancelled: what was done is dropped."""


class Cancelled(Exception):
    """The job was asked to stop."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as told to people; `waits_for`: the job that has to end first; `result`, `error` plain values, None as long
    as there is none."""

    id: str
    kind: str
    state: str
    attempts: int
    progress: int
    progress_of: int
    hospital_id: str
    created_at: str
    finished_at: str | None
    waits_for: str | None
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

Undo = Callable[[sa.Connection, Mapping[str, Any], str, Sequence[Problem]], None]
"""What a job's end without being done means for the catalogue: its args, its state, why it could not be done."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a kind of job ends. `writes_book`: once it has begun it may have written what no catalogue can take back, so
    that it can be cancelled only before."""

    undo: Undo | None = None
    writes_book: bool = False


_PLAIN = Rules()


def enqueue(
    connection: sa.Connection, actor: Actor, kind: str, key: str, args: Mapping[str, object], hospital_id: str = ""
) -> str:
    """A job's id; of the job that has the key already, if there is one that was not cancelled and has not failed.
    Raises EndLost: what could not be audited is not begun."""
    end_of(connection)
    found = connection.execute(sa.select(job.c.id, job.c.state).where(job.c.key == key)).first()
    if found is not None and found.state not in {FAILED, CANCELLED}:
        return str(found.id)
    if found is not None:
        connection.execute(job.update().where(job.c.id == found.id).values(key=found.id))
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


def list_jobs(
    connection: sa.Connection, *, hospital_id: str | None = None, kinds: Sequence[str] | None = None, after: str = "",
    limit: int = 100,
) -> list[JobInfo]:  # fmt: skip
    """The latest jobs, of one hospital or of all, of some kinds or of all; those that follow a job."""
    query = following(sa.select(job), job, after).limit(limit)
    if hospital_id is not None:
        query = query.where(job.c.hospital_id == hospital_id)
    if kinds is not None:
        query = query.where(job.c.kind.in_(kinds))
    return [_info(row) for row in connection.execute(query)]


def following(query: sa.Select[Any], table: sa.Table, after: str) -> sa.Select[Any]:
    """Rows of a table from the latest to the oldest, those that follow the one with an id; all for ""."""
    if after:
        place = sa.select(table.c.created_at).where(table.c.id == after).scalar_subquery()
        older, same = table.c.created_at < place, table.c.created_at == place
        query = query.where(older | (same & (table.c.id > after)))
    return query.order_by(table.c.created_at.desc(), table.c.id)


class Queue:
    """The jobs of a database, as workers take them."""

    def __init__(
        self,
        database: Database,
        lease_seconds: float,
        most_attempts: int,
        rules: Mapping[str, Rules] = MappingProxyType({}),
    ) -> None:
        self.database = database
        self.lease_seconds = lease_seconds
        self.most_attempts = most_attempts
        self.rules = rules

    def cancel(self, connection: sa.Connection, actor: Actor, name: str) -> bool:
        """Ask a job to stop: one that waits stops at once, one that runs when it next looks. False when it has ended,
        or has begun and writes a book."""
        row = connection.execute(sa.select(job).where(job.c.id == name)).first()
        if row is None or row.state in ENDED:
            return False
        if row.lease_until is not None and self.rules.get(row.kind, _PLAIN).writes_book:
            return False
        connection.execute(job.update().where(job.c.id == name).values(cancel=1))
        record(connection, actor, "job.cancel", name)
        if row.state == QUEUED:
            self._undone(connection, row, CANCELLED)
        return True

    def take(self) -> Leased | None:
        """Lease the job whose turn it is of those that wait, or whose worker has fallen silent or is dead; None when
        there is none. A job that has been tried too often is given up. Raises EndLost: a book must not be written whose
        entry in the catalogue could not be audited."""
        with self.database.write() as connection:
            end_of(connection)
            at = self.database.clock(connection)
            while (row := self._next(connection, at)) is not None and (
                row.cancel or row.attempts >= self.most_attempts
            ):
                if row.cancel:
                    self._undone(connection, row, CANCELLED)
                else:
                    record(connection, SYSTEM, "job.give_up", row.id, {"attempts": row.attempts})
                    self._undone(connection, row, FAILED, [Problem("SV20", {"attempts": row.attempts})])
            if row is None:
                return None
            lease = new_id("lease")
            values = {
                "state": RUNNING, "attempts": row.attempts + 1, "lease": lease, "holder": this_process(),
                "lease_until": later(self.lease_seconds, at), "progress": 0, "progress_of": 0,
                "waits_for": None,
            }  # fmt: skip
            connection.execute(job.update().where(job.c.id == row.id).values(values))
        point("job leased")
        return Leased(row.id, row.kind, orjson.loads(row.args), lease, row.attempts + 1, row.created_by)

    def alive(self, held: Leased, progress: int | None = None, of: int | None = None) -> None:
        """Say that the job is being worked on, and how far it is. Raises LeaseLost, Cancelled."""
        with self.database.write() as connection:
            if self._hold(connection, held).cancel:
                raise Cancelled(held.id)
            until = later(self.lease_seconds, self.database.clock(connection))
            values: dict[str, object] = {"lease_until": until}
            if progress is not None and of is not None:
                values |= {"progress": progress, "progress_of": of}
            connection.execute(job.update().where(job.c.id == held.id).values(values))

    def wanted(self, held: Leased) -> None:
        """Raises LeaseLost, Cancelled when the job is of no use any more; says nothing of it."""
        with self.database.read() as connection:
            if self._hold(connection, held).cancel:
                raise Cancelled(held.id)

    def finish(self, held: Leased, change: Change) -> None:
        """Do what the job changes in the catalogue and end it, both or neither. Raises LeaseLost; Cancelled when it was
        asked to stop before: whoever asked was told so."""
        with self.database.write() as connection:
            if self._hold(connection, held).cancel:
                raise Cancelled(held.id)
            result = change(connection)
            self._end(connection, held.id, DONE, result=canonical(dict(result)))
        point("job finished")

    def fail(self, held: Leased, problems: Sequence[Problem], change: Change | None = None) -> None:
        """End a job that cannot be done, with the problems that say why, and what this changes in the catalogue; by
        itself it undoes what asking for it did. Raises LeaseLost."""
        with self.database.write() as connection:
            row = self._hold(connection, held)
            if change is None:
                self._undone(connection, row, FAILED, problems)
                return
            change(connection)
            self._end(connection, held.id, FAILED, error=canonical(told_all(problems)))

    def stop(self, held: Leased) -> None:
        """End a job that was cancelled, and undo what asking for it did. Raises LeaseLost."""
        with self.database.write() as connection:
            self._undone(connection, self._hold(connection, held), CANCELLED)

    def give_back(self, held: Leased, seconds: float = 0.0, waits_for: str | None = None) -> None:
        """Put a job back, its try not counted: to wait for so long, behind all that come until then, in its old place
        for no time at all; for the end of a job (`waits_for`), unless that one waits for this. Raises LeaseLost."""
        with self.database.write() as connection:
            row = self._hold(connection, held)
            at = self.database.clock(connection)
            until = later(seconds, at) if seconds else min(row.created_at, stamp(at))
            for_whom = None if self._waits(connection, waits_for, held.id) else waits_for
            values = {
                "state": QUEUED, "lease": None, "lease_until": until, "attempts": held.attempts - 1,
                "waits_for": for_whom,
            }  # fmt: skip
            connection.execute(job.update().where(job.c.id == held.id).values(values))

    def _waits(self, connection: sa.Connection, name: str | None, other: str) -> bool:
        """Does a job wait for another one, itself or through those that it waits for? Each is itself as well."""
        seen: set[str] = set()
        while name is not None and name != other and name not in seen:
            seen.add(name)
            name = connection.execute(sa.select(job.c.waits_for).where(job.c.id == name)).scalar()
        return name is not None

    def _next(self, connection: sa.Connection, at: datetime) -> Any:
        """The row of the job whose turn it is of those that may be leased: they never were, or their time of waiting or
        silence is over, or their worker's process is known to be dead. After half of the tries that too waits for the
        lease: a service that dies again and again, for whatever reason, must not use them all up in a moment. A job
        that waits does so for moments: a time far off is that of a clock which has been put back since.

        Their turn is the order of coming; a job that was put back comes when its time of waiting is over. A job that
        waits for another one may not be leased until that has ended."""
        over = job.c.lease_until.is_(None) | (job.c.lease_until < stamp(at))
        over |= (job.c.state == QUEUED) & (job.c.lease_until > later(_LONGEST_WAIT, at))
        first = job.alias("first")
        active = sa.select(first.c.id).where(first.c.state.in_([QUEUED, RUNNING]))
        over = (job.c.waits_for.is_(None) & over) | (job.c.waits_for.is_not(None) & job.c.waits_for.not_in(active))
        holders = connection.execute(sa.select(job.c.holder).where(job.c.state == RUNNING).distinct()).scalars()
        dead = [holder for holder in holders if holder and is_dead(holder)]
        if dead:
            early = job.c.attempts * 2 <= self.most_attempts
            over |= (job.c.state == RUNNING) & job.c.holder.in_(dead) & early
        query = sa.select(job).where(job.c.state.in_([QUEUED, RUNNING]), over)
        back = (job.c.state == QUEUED) & (job.c.lease_until <= later(_LONGEST_WAIT, at))
        came = sa.case((back, job.c.lease_until), else_=job.c.created_at)
        return connection.execute(query.order_by(came, job.c.created_at, job.c.id).limit(1)).first()

    def _hold(self, connection: sa.Connection, held: Leased) -> Any:
        row = connection.execute(sa.select(job).where(job.c.id == held.id)).first()
        if row is None or row.lease != held.lease or row.state != RUNNING:
            raise LeaseLost(held.id)
        return row

    def _end(self, connection: sa.Connection, name: str, state: str, **values: object) -> None:
        ended = {"state": state, "lease": None, "waits_for": None, "finished_at": now(), **values}
        connection.execute(job.update().where(job.c.id == name).values(ended))

    def _undone(self, connection: sa.Connection, row: Any, state: str, problems: Sequence[Problem] = ()) -> None:
        """End a job that comes to nothing."""
        self._end(connection, row.id, state, **({"error": canonical(told_all(problems))} if problems else {}))
        undo = self.rules.get(row.kind, _PLAIN).undo
        if undo is not None:
            undo(connection, orjson.loads(row.args), state, problems)


def _info(row: Any) -> JobInfo:
    def plain(text: str | None) -> Any:
        return None if text is None else orjson.loads(text)

    return JobInfo(
        row.id, row.kind, row.state, row.attempts, row.progress, row.progress_of, row.hospital_id, row.created_at,
        row.finished_at, row.waits_for, plain(row.result), plain(row.error),
    )  # fmt: skip
