"""The job of a killed worker: taken over at once where its process is known to be dead, else after its lease."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from databases import fresh_url

from api.service.audit import Actor
from api.service.holders import is_dead, this_process
from api.service.jobs import Queue, enqueue
from api.store.database import Database
from api.store.migrate import migrate
from api.store.tables import job

SETUP = Actor("setup", "admin")
HOUR = 3600.0
_WORKER = """
import sys, time
from api.service.jobs import Queue
from api.store.database import Database
print(Queue(Database(sys.argv[1]), 3600, 5).take().id, flush=True)
time.sleep(600)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Queue, str]]:
    url = fresh_url(request.param, tmp_path)
    database = Database(url)
    migrate(database)
    yield Queue(database, HOUR, 5), url
    database.close()


@contextmanager
def process(*args: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as made:
        try:
            yield made
        finally:
            made.kill()


def test_a_killed_workers_job_is_taken_over_at_once(queue: tuple[Queue, str]) -> None:
    here, url = queue
    with here.database.write() as connection:
        name = enqueue(connection, SETUP, "plain", "one", {})
    with process(sys.executable, "-c", _WORKER, url) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == name
        assert here.take() is None, "its worker lives"
        worker.kill()
        worker.wait()
        held = here.take()
        assert held is not None
        assert (held.id, held.attempts) == (name, 2)
    assert here.take() is None, "this process lives, too"


def test_the_last_tries_are_not_used_up_in_a_moment(queue: tuple[Queue, str]) -> None:
    """Two of five tries after a death at once; then the lease has to run out."""
    here, _ = queue
    with here.database.write() as connection:
        enqueue(connection, SETUP, "plain", "one", {})
    nobody = f"{' '.join(this_process().split(' ')[:2])} {_free_number()} 1"
    tries = []
    while (held := here.take()) is not None:
        tries.append(held.attempts)
        with here.database.write() as connection:
            connection.execute(job.update().values(holder=nobody))
    assert tries == [1, 2, 3]
    with here.database.write() as connection:
        connection.execute(job.update().values(lease_until="2020-01-01T00:00:00.000000Z"))
    held = here.take()
    assert held is not None
    assert held.attempts == 4


def test_of_another_machine_nothing_is_known(queue: tuple[Queue, str]) -> None:
    here, _ = queue
    with here.database.write() as connection:
        name = enqueue(connection, SETUP, "plain", "one", {})
    assert here.take() is not None
    nobody = f"{' '.join(this_process().split(' ')[:2])} {_free_number()} 1"
    for elsewhere in (f"x{nobody}", nobody.replace("pid:[", "pid:[9"), "", None):
        with here.database.write() as connection:
            connection.execute(job.update().values(holder=elsewhere))
        assert here.take() is None, "its lease has an hour left"
    with here.database.write() as connection:
        connection.execute(job.update().values(holder=nobody))
    held = here.take()
    assert held is not None
    assert held.id == name


def test_a_number_given_to_another_process_is_not_the_holder() -> None:
    *place, number, started = this_process().split(" ")
    assert (number, is_dead(this_process())) == (str(os.getpid()), False)
    assert is_dead(" ".join([*place, number, str(int(started) - 1)]))
    assert not is_dead("")


def test_a_process_that_waits_to_be_forgotten_is_dead() -> None:
    with process(sys.executable, "-c", "from api.service.holders import this_process as t; print(t())") as ended:
        assert ended.stdout is not None
        name = ended.stdout.readline().strip()
        assert ended.stdout.read() == ""
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(name)
    assert is_dead(name)


def _free_number() -> int:
    with process(sys.executable, "-c", "") as ended:
        ended.wait()
        return ended.pid
