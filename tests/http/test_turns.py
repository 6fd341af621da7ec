"""Whose turn it is among jobs: none keeps another from its turn for ever, whatever waits for what and whoever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from databases import fresh_database
from small_service import MARCH, small_service

from api.service import worker
from api.service.audit import Actor
from api.service.handlers import handlers_of
from api.service.jobs import CANCELLED, ENDED, QUEUED, RUNNING, Leased, LeaseLost, Queue, enqueue, find_job
from api.service.worker import Worker
from api.store.database import Database
from api.store.tables import job
from reference_tables.problems import Problem
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

OFFICE = Actor("t1", "office")
LONG_AGO = "2020-01-01T00:00:00.000000Z"
PAYS = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}


@pytest.fixture(params=["sqlite", "postgres"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    database = fresh_database(request.param, tmp_path)
    yield Queue(database, 3600, 100)
    database.close()


def asked(queue: Queue, *names: str) -> list[str]:
    """Jobs of these kinds, one after the other."""
    made = []
    for name in names:
        with queue.database.write() as connection:
            made.append(enqueue(connection, OFFICE, name, name, {}))
    return made


def taken(queue: Queue) -> Leased:
    held = queue.take()
    assert held is not None
    return held


def waits_for(database: Database, name: str) -> str | None:
    with database.read() as connection:
        found = find_job(connection, name)
    assert found is not None
    return found.waits_for


def time_passes(queue: Queue) -> None:
    """What waits only for a time has waited; the order stays."""
    with queue.database.write() as connection:
        rows = connection.execute(sa.select(job.c.id).where(job.c.state == QUEUED, job.c.lease_until.is_not(None)))
        names = list(rows.scalars())
        at = connection.execute(sa.select(sa.func.max(job.c.created_at))).scalar_one()
        connection.execute(job.update().where(job.c.id.in_(names)).values(lease_until=at))


def test_a_job_put_back_goes_behind_those_that_had_come(queue: Queue) -> None:
    first, second = asked(queue, "first", "second")
    queue.give_back(taken(queue), 1e-6)
    assert taken(queue).id == second
    assert taken(queue).id == first


def test_a_job_put_back_by_a_worker_that_stops_keeps_its_place(queue: Queue) -> None:
    first, _ = asked(queue, "first", "second")
    queue.give_back(taken(queue))
    assert taken(queue).id == first


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "given up"])
def test_a_job_waits_until_the_one_it_waits_for_has_ended(queue: Queue, end: str) -> None:
    waiting, first = asked(queue, "waiting", "first")
    queue.give_back(taken(queue), 1.0, first)
    assert waits_for(queue.database, waiting) == first
    if end == "cancelled":
        with queue.database.write() as connection:
            assert queue.cancel(connection, OFFICE, first)
    else:
        held = taken(queue)
        assert held.id == first
        assert queue.take() is None, "nothing else may be begun"
        if end == "done":
            queue.finish(held, lambda _: {})
        elif end == "failed":
            queue.fail(held, [Problem("SV25", {"job": first})])
        else:
            with queue.database.write() as connection:
                connection.execute(job.update().where(job.c.id == first).values(lease_until=LONG_AGO, attempts=100))
    assert taken(queue).id == waiting, "at once"
    assert waits_for(queue.database, waiting) is None


def test_a_job_that_waits_is_cancelled_at_once(queue: Queue) -> None:
    waiting, first = asked(queue, "waiting", "first")
    queue.give_back(taken(queue), 1.0, first)
    with queue.database.write() as connection:
        assert queue.cancel(connection, OFFICE, waiting)
    with queue.database.read() as connection:
        found = find_job(connection, waiting)
    assert found is not None
    assert (found.state, found.waits_for) == (CANCELLED, None)


def test_jobs_that_wait_for_each_other_in_a_circle_are_all_done(queue: Queue) -> None:
    names = asked(queue, "a", "b", "c")
    for at, name in enumerate(names):
        held = taken(queue)
        assert held.id == name
        queue.give_back(held, 1.0, names[(at + 1) % 3])
    assert [waits_for(queue.database, name) for name in names] == [names[1], names[2], None]
    time_passes(queue)
    done = []
    while (left := queue.take()) is not None:
        done.append(left.id)
        queue.finish(left, lambda _: {})
    assert done == names[::-1]


def test_a_job_that_waits_for_itself_or_for_none_waits_for_a_time(queue: Queue) -> None:
    (name,) = asked(queue, "one")
    for other in (name, "job_of_nobody"):
        queue.give_back(taken(queue), 1e-6, other)
    assert taken(queue).id == name


@pytest.mark.parametrize("seed", range(6))
def test_whatever_waits_dies_and_is_cancelled_all_jobs_end(seed: int, tmp_path: Path) -> None:
    """Each job needs some others to have ended first, earlier or later ones, in circles too: then one that would wait
    for itself is done all the same after a while. Workers die with jobs in hand; jobs come while others are worked on.
    """
    database = fresh_database("sqlite", tmp_path)
    queue, random = Queue(database, 3600, 100), Random(seed)
    names = asked(queue, *(f"job {number}" for number in range(10)))
    needs = {name: random.sample(names, random.choice((0, 0, 1, 2))) for name in names}
    steps, tries, held = 0, Counter[str](), list[Leased]()
    while True:
        steps += 1
        assert steps < 1000, "some job never ends"
        if steps == 8:
            names += asked(queue, "late 1", "late 2")
        with database.read() as connection:
            states = dict(connection.execute(sa.select(job.c.id, job.c.state)).all())
        if steps > 8 and all(state in ENDED for state in states.values()):
            break
        if len(held) < 2 and (new := queue.take()) is not None:
            held.append(new)
        elif held:
            one = held.pop(random.randrange(len(held)))
            tries[one.id] += 1
            first = [name for name in needs.get(one.id, []) if states[name] in {QUEUED, RUNNING}]
            chance = random.random()
            if chance < 0.1:  # the worker falls silent
                with database.write() as connection:
                    connection.execute(job.update().where(job.c.id == one.id).values(lease_until=LONG_AGO))
            elif chance < 0.15:
                queue.fail(one, [Problem("SV25", {"job": one.id})])
            elif chance < 0.2:
                with database.write() as connection:
                    queue.cancel(connection, OFFICE, one.id)
                queue.stop(one)
            elif first and tries[one.id] < 6:
                queue.give_back(one, 1.0, random.choice(first))
            else:
                queue.finish(one, lambda _: {})
        else:
            time_passes(queue)
    assert max(tries.values()) <= 12
    assert set(states) == set(names)
    with pytest.raises(LeaseLost):
        queue.finish(Leased(names[0], "", {}, "none", 1, ""), lambda _: {})
    database.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_submissions_queued_ahead_of_a_settlement_do_not_keep_it_from_its_turn(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, for which no time of waiting is long: each submission is looked at, then waits, told so, for the
    settlement, and is done after it."""
    monkeypatch.setattr(worker, "_AFTER_TROUBLE", 1e-6)
    with small_service(tmp_path, kind) as here:
        (tmp_path / "examples" / "p.toml").write_text(policy_text(values=PAYS), encoding="utf-8")
        here.submit(row("A0"))
        client, office = here.client("H1"), here.client("office")
        sent = [
            client.post("/v1/submissions", params={"month": MARCH}, content=(HEADER + row(f"A{at}")).encode()).json()
            for at in range(1, 9)
        ]
        asked = office.post("/v1/settlements", json={"month": MARCH, "close": False}).json()["id"]
        one = Worker(here.service.queue, handlers_of(here.service))
        assert [one.work_once() for _ in range(8)] == [True] * 8
        told = [client.get(f"/v1/jobs/{item['job_id']}").json() for item in sent]
        assert {(item["state"], item["waits_for"]) for item in told} == {("queued", asked)}
        assert office.get(f"/v1/jobs/{asked}").json()["state"] == "queued"
        assert [one.work_once() for _ in range(10)] == [True] * 9 + [False]
        done = office.get("/v1/jobs").json()["items"]
        assert {(item["state"], item["waits_for"]) for item in done} == {("done", None)}
        states = [client.get(f"/v1/submissions/{item['id']}").json()["state"] for item in sent]
        assert states == ["accepted"] * 8
