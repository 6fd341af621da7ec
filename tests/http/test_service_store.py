"""Store, audit, tokens and jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import fresh_database, fresh_url

from api.service.audit import Actor, record, verify
from api.service.jobs import CANCELLED, DONE, FAILED, Cancelled, Change, Leased, LeaseLost, Queue, enqueue, find_job
from api.service.roles import Role
from api.service.tokens import NoSuchToken, actor_of, create_token, has_tokens, list_tokens, revoke_token
from api.service.worker import JobContext, Worker
from api.store.database import Database
from api.store.files import FileStore, TooLarge
from api.store.migrate import NewerDatabase, migrate
from api.store.tables import audit, audit_head, job, metadata, token
from reference_tables.problems import TablesRefused

OFFICE = Actor("t1", "office")
VERSIONS = Path(__file__).parents[2] / "api/store/migrations/versions"
LATEST = max(path.name[:4] for path in VERSIONS.glob("0*.py"))


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    made = fresh_database(request.param, tmp_path)
    yield made
    made.close()


def test_migrations_make_the_tables_of_the_program(database: Database) -> None:
    found = sa.inspect(database.engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        columns = {column["name"]: column["nullable"] for column in found.get_columns(name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}
        assert set(found.get_pk_constraint(name)["constrained_columns"]) == {c.name for c in table.primary_key}
        # Both databases report a unique constraint as an index as well, or only so.
        unique = {tuple(item["column_names"]) for item in found.get_unique_constraints(name)}
        wanted = {
            tuple(c.name for c in item.columns) for item in table.constraints if isinstance(item, sa.UniqueConstraint)
        }
        assert unique == wanted


def test_migrating_again_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        record(connection, OFFICE, "test", "thing")
    assert migrate(database) == LATEST
    with database.read() as connection:
        assert verify(connection).entries == 1


def test_a_later_programs_database_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(NewerDatabase) as caught:
        migrate(database)
    assert (caught.value.found, caught.value.known) == ("0999", LATEST)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_empty_database_is_refused_without_its_tables_until_migrated(kind: str, tmp_path: Path) -> None:
    made = Database(fresh_url(kind, tmp_path))
    assert sa.inspect(made.engine).get_table_names() == []
    assert migrate(made) == LATEST
    made.close()


def test_audit_is_whole_and_shows_every_change(database: Database) -> None:
    for number in range(5):
        with database.write() as connection:
            record(connection, OFFICE, "test", f"thing {number}", {"number": number})
    with database.read() as connection:
        assert (verify(connection).entries, verify(connection).broken) == (5, None)
    changes = {
        "content": audit.update().where(audit.c.seq == 3).values(object="other"),
        "gap": audit.delete().where(audit.c.seq == 2),
        "end": audit.delete().where(audit.c.seq == 5),
        "chain": audit.update().where(audit.c.seq == 4).values(before="0" * 64),
        "head": audit_head.delete(),
    }
    for why, change in changes.items():
        with database.engine.connect() as connection:
            connection.execute(change)
            assert verify(connection).why == why
            connection.rollback()


def test_audit_by_many_at_once(database: Database) -> None:
    def work() -> None:
        for number in range(10):
            with database.write() as connection:
                record(connection, OFFICE, "test", str(number))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert (verify(connection).entries, verify(connection).broken) == (60, None)


def test_an_entry_goes_with_what_it_tells_of(database: Database) -> None:
    def broken() -> None:
        with database.write() as connection:
            record(connection, OFFICE, "test", "thing")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    with database.read() as connection:
        assert verify(connection).entries == 0
        assert connection.execute(sa.select(audit_head.c.seq)).scalar() == 0


def test_tokens(database: Database) -> None:
    with database.write() as connection:
        assert not has_tokens(connection)
        text = create_token(connection, OFFICE, Role.HOSPITAL, hospital_id="H1", label="one")
        assert text.split("_")[2] not in {row.hash for row in connection.execute(sa.select(token))}
        assert actor_of(connection, text) == Actor(text.split("_")[1], "hospital", "H1")
        for wrong in ("", "drgdip", text[:-1], f"{text}x", text.replace("drgdip", "other"), "drgdip_zz_zz"):
            assert actor_of(connection, wrong) is None
        with pytest.raises(ValueError, match="hospital"):
            create_token(connection, OFFICE, Role.HOSPITAL)
        with pytest.raises(ValueError, match="hospital"):
            create_token(connection, OFFICE, Role.OFFICE, hospital_id="H1")
        revoke_token(connection, OFFICE, text.split("_")[1])
        assert actor_of(connection, text) is None
        assert not has_tokens(connection)
        with pytest.raises(NoSuchToken):
            revoke_token(connection, OFFICE, "nobody")
        expired = create_token(connection, OFFICE, Role.OFFICE, days=1)
        connection.execute(token.update().values(expires_at="2020-01-01T00:00:00.000000Z"))
        assert actor_of(connection, expired) is None
        assert [item.role for item in list_tokens(connection)] == ["hospital", "office"]


def test_a_job_is_done_once(database: Database) -> None:
    queue = Queue(database, 30, 3)
    with database.write() as connection:
        name = enqueue(connection, OFFICE, "test", "key", {"a": 1})
        assert enqueue(connection, OFFICE, "test", "key", {"a": 1}) == name
    held = queue.take()
    assert held is not None
    assert (held.id, dict(held.args), held.attempts) == (name, {"a": 1}, 1)
    assert queue.take() is None
    queue.alive(held, 3, 10)
    queue.finish(held, lambda connection: {"sum": 7})
    with database.read() as connection:
        found = find_job(connection, name)
    assert found is not None
    assert (found.state, found.result, found.progress, found.progress_of) == (DONE, {"sum": 7}, 3, 10)
    with pytest.raises(LeaseLost):
        queue.finish(held, lambda connection: {})


def test_a_silent_worker_loses_its_job(database: Database) -> None:
    queue = Queue(database, 30, 2)
    with database.write() as connection:
        name = enqueue(connection, OFFICE, "test", "key", {})
    first = queue.take()
    assert first is not None
    with database.write() as connection:
        connection.execute(job.update().values(lease_until="2020-01-01T00:00:00.000000Z"))
    second = queue.take()
    assert second is not None
    assert (second.id, second.attempts) == (name, 2)
    with pytest.raises(LeaseLost):
        queue.alive(first)
    with pytest.raises(LeaseLost):
        queue.finish(first, lambda connection: {"by": "first"})
    with database.write() as connection:
        connection.execute(job.update().values(lease_until="2020-01-01T00:00:00.000000Z"))
    assert queue.take() is None  # twice is enough
    with database.read() as connection:
        found = find_job(connection, name)
    assert found is not None
    assert found.state == FAILED


def test_a_job_that_fails_to_change_the_catalogue_is_not_finished(database: Database) -> None:
    queue = Queue(database, 30, 3)
    with database.write() as connection:
        name = enqueue(connection, OFFICE, "test", "key", {})
    held = queue.take()
    assert held is not None

    def change(connection: sa.Connection) -> dict[str, object]:
        record(connection, OFFICE, "test", "half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        queue.finish(held, change)
    with database.read() as connection:
        found = find_job(connection, name)
        assert found is not None
        assert (found.state, verify(connection).entries) == ("running", 0)


def test_cancelling(database: Database) -> None:
    queue = Queue(database, 30, 3)
    with database.write() as connection:
        waits = enqueue(connection, OFFICE, "test", "one", {})
        assert queue.cancel(connection, OFFICE, waits)
        assert not queue.cancel(connection, OFFICE, waits)
        runs = enqueue(connection, OFFICE, "test", "two", {})
    held = queue.take()
    assert held is not None
    assert held.id == runs
    with database.write() as connection:
        assert queue.cancel(connection, OFFICE, runs)
    with pytest.raises(Cancelled):
        queue.alive(held)
    with pytest.raises(Cancelled):  # what was taken back is not done all the same
        queue.finish(held, lambda connection: {"by": str(connection)})
    queue.stop(held)
    with database.read() as connection:
        found = find_job(connection, runs)
    assert found is not None
    assert (found.state, found.result) == (CANCELLED, None)


def test_a_clock_that_was_put_back_keeps_no_job_waiting(database: Database) -> None:
    queue = Queue(database, 30, 3)
    with database.write() as connection:
        enqueue(connection, OFFICE, "test", "one", {})
    held = queue.take()
    assert held is not None
    queue.give_back(held, 1.0)
    assert queue.take() is None
    with database.write() as connection:
        connection.execute(job.update().values(lease_until="2999-01-01T00:00:00.000000Z"))
    again = queue.take()
    assert again is not None
    assert (again.id, again.attempts) == (held.id, 1)
    with database.write() as connection:
        connection.execute(job.update().values(lease_until="2999-01-01T00:00:00.000000Z"))
    assert queue.take() is None  # somebody works on it


class _Panic(BaseException):
    """As libraries raise it that are no Python."""


def test_a_worker_outlives_panics_and_troubles_of_telling(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    queue, told = Queue(database, 0.04, 3), threading.Event()
    alive, calls = queue.alive, iter(range(1_000))

    def broken(held: Leased, progress: int | None = None, of: int | None = None) -> None:
        if next(calls) == 0:
            raise ValueError("no number")
        alive(held, progress, of)
        told.set()

    def panics(_context: JobContext) -> Change:
        assert told.wait(60)
        raise _Panic

    monkeypatch.setattr(queue, "alive", broken)
    with database.write() as connection:
        names = [enqueue(connection, OFFICE, kind, kind, {}) for kind in ("panics", "works")]
    worker = Worker(queue, {"panics": panics, "works": lambda _: lambda _: {"sum": 7}})
    assert [worker.work_once(), worker.work_once()] == [True, True]
    with database.read() as connection:
        found = [find_job(connection, name) for name in names]
    assert [item.state for item in found if item] == [FAILED, DONE]


def test_many_workers_never_share_a_job(database: Database) -> None:
    queue = Queue(database, 30, 3)
    with database.write() as connection:
        wanted = {enqueue(connection, OFFICE, "test", str(number), {}) for number in range(40)}
    taken: list[str] = []

    def work() -> None:
        while (held := queue.take()) is not None:
            taken.append(held.id)
            queue.finish(held, lambda connection: {})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(wanted)


def test_files_are_named_by_content(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    kept = store.put(b"abc")
    assert kept.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert store.put(b"abc") == kept
    assert b"".join(store.chunks(kept.sha256)) == b"abc"
    with pytest.raises(TooLarge):
        store.writer(limit=2).write(b"abc")
    for strange in ("../x", "", "A" * 64):
        with pytest.raises(FileNotFoundError):
            store.path(strange)
    assert list(store.temporary.iterdir()) == []


def test_a_stored_file_that_is_gone_or_changed_is_told_before_it_is_used(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    kept = store.put(b"abc")
    place = store.path(kept.sha256)
    place.write_bytes(b"abd")
    os.utime(place, ns=(1, 1))
    for content in (place, None):
        with pytest.raises(TablesRefused) as refused:
            store.path(kept.sha256)
        (problem,) = refused.value.problems
        assert (problem.code, problem.file) == ("SV59", f"files/ba/{kept.sha256}")
        if content is not None:
            content.unlink()
    assert store.put(b"abc") == kept
    assert store.path(kept.sha256).read_bytes() == b"abc"


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    (store.temporary / "other").write_bytes(b"half")
    store.check()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # room for some bytes, not for a submission
    try:
        with pytest.raises(OSError, match="File too large"):
            store.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in store.temporary.iterdir()] == ["other"]
