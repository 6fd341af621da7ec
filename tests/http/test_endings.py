"""Jobs that end without being done, and jobs that get in each other's way."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_service import MARCH, SETUP, SmallService, small_service

from api.service.audit import entries
from api.service.handlers import handlers_of
from api.service.jobs import Cancelled, Queue, enqueue, find_job
from api.service.runs import APPROVED, DRAFT, LOCK_JOB, Made, add_run, find_run, set_state
from api.service.worker import JobContext, Later, Worker
from api.store.tables import job
from grouper.going_on import asked, go_on
from tests.unit.pay_examples import HEADER, row

LONG_AGO = "2020-01-01T00:00:00.000000Z"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with small_service(tmp_path, request.param, most_attempts=1) as made:
        yield made


def hand_in(here: SmallService, cases: str, **query: str) -> dict[str, Any]:
    answer = here.client("H1").post(
        "/v1/submissions", params={"month": MARCH, **query}, content=(HEADER + cases).encode()
    )
    assert answer.status_code in {200, 202}, answer.text
    found: dict[str, Any] = answer.json()
    return found


def state(here: SmallService, name: str) -> str:
    return str(here.client("H1").get(f"/v1/submissions/{name}").json()["state"])


def started(here: SmallService) -> tuple[Any, Any]:
    """The next job in hand, worked on but not finished: what holds it, and its change."""
    held = here.service.queue.take()
    assert held is not None
    return held, handlers_of(here.service)[held.kind](JobContext(here.service.queue, held))


def test_a_cancelled_submission_is_cancelled_and_may_come_again(here: SmallService) -> None:
    first = hand_in(here, row("A1"))
    assert here.client("H1").delete(f"/v1/jobs/{first['job_id']}").json()["state"] == "cancelled"
    assert state(here, first["id"]) == "cancelled"
    again = hand_in(here, row("A1"))
    assert again["id"] != first["id"]
    assert hand_in(here, row("A1"))["id"] == again["id"]
    here.work()
    assert state(here, again["id"]) == "accepted"
    with here.service.database.read() as connection:
        told = [entry.action for entry in entries(connection) if entry.object == first["id"]]
    assert told == ["submission.receive", "submission.finish"]


def test_a_submission_cancelled_in_hand_is_undone_when_the_worker_stops(here: SmallService) -> None:
    found = hand_in(here, row("A1"))
    held = here.service.queue.take()
    assert held is not None
    assert here.client("H1").delete(f"/v1/jobs/{found['job_id']}").json()["state"] == "running"
    here.service.queue.stop(held)
    assert state(here, found["id"]) == "cancelled"


def test_a_submission_that_yields_no_case_is_ended_all_the_same(
    here: SmallService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled or stopped while a file is unpacked or read that is nothing but blank lines; how far it is, is told."""
    monkeypatch.setattr("api.service.progress._SECONDS", 0.0)
    told: list[int] = []
    tell = JobContext.tell

    def heard(context: JobContext, done: int, of: int) -> None:
        told.append(done)
        tell(context, done, of)

    monkeypatch.setattr(JobContext, "tell", heard)
    sent = here.client("H1").post(
        "/v1/submissions",
        params={"month": MARCH},
        content=gzip.compress((HEADER + row("A1")).encode() + b"\n" * 2_000_000),
    )
    name = sent.json()["job_id"]
    held = here.service.queue.take()
    assert held is not None
    context = JobContext(here.service.queue, held)
    context.stopping.set()
    with asked(context.look), pytest.raises(Later):
        handlers_of(here.service)[held.kind](context)
    assert told == [0]
    context.stopping.clear()
    handlers_of(here.service)[held.kind](context)
    assert told[-1] == 2_000_000 + 1
    assert here.client("H1").delete(f"/v1/jobs/{name}").json()["state"] == "running"
    with pytest.raises(Cancelled):
        handlers_of(here.service)[held.kind](context)


def test_a_worker_soon_hears_that_its_job_is_cancelled(here: SmallService) -> None:
    def waits(context: JobContext) -> Any:
        with here.service.database.write() as connection:
            assert here.service.queue.cancel(connection, SETUP, context.held.id)
        for _ in range(2_000):  # the lease's own pulse comes much later
            go_on()
            time.sleep(0.01)
        raise AssertionError("not heard of")

    with here.service.database.write() as connection:
        name = enqueue(connection, SETUP, "waits", "waits", {})
    slow = Queue(here.service.database, 10_000, 1)
    assert Worker(slow, {"waits": waits}).work_once()
    with here.service.database.read() as connection:
        found = find_job(connection, name)
    assert found is not None
    assert found.state == "cancelled"


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_submission_whose_worker_died_is_undone(here: SmallService, cancelled: bool) -> None:
    found = hand_in(here, row("A1"))
    assert here.service.queue.take() is not None
    if cancelled:
        here.client("H1").delete(f"/v1/jobs/{found['job_id']}")
    with here.service.database.write() as connection:
        connection.execute(job.update().values(lease_until=LONG_AGO))
    assert here.service.queue.take() is None
    after = here.client("H1").get(f"/v1/submissions/{found['id']}").json()
    assert after["state"] == ("cancelled" if cancelled else "refused")
    assert [item["code"] for item in after["summary"]["problems"]] == ([] if cancelled else ["SV20"])
    assert hand_in(here, row("A1"))["id"] != found["id"]


def test_a_lock_that_is_given_up_makes_its_run_a_draft_again(here: SmallService) -> None:
    with here.service.database.write() as connection:
        made = Made("clear", 2025, "", DRAFT, "0" * 64, {}, {}, {})
        run = add_run(connection, SETUP, "job_0", made)
        set_state(connection, SETUP, run, APPROVED)
        name = enqueue(connection, SETUP, LOCK_JOB, f"lock {run}", {"run": run})
    assert here.service.queue.take() is not None
    with here.service.database.write() as connection:
        assert not here.service.queue.cancel(connection, SETUP, name), "it may have written the book"
        connection.execute(job.update().values(lease_until=LONG_AGO))
    assert here.service.queue.take() is None
    with here.service.database.write() as connection:
        found = find_run(connection, run)
        assert found is not None
        assert found.state == DRAFT
        again = enqueue(connection, SETUP, LOCK_JOB, f"lock {run}", {"run": run})
        assert again != name
        assert find_job(connection, name) is not None


def test_the_same_case_in_two_files_at_once_is_taken_once(here: SmallService) -> None:
    first = hand_in(here, row("A1") + row("A2"))
    second = hand_in(here, row("A2") + row("A3"))
    (one, change_one), (two, change_two) = started(here), started(here)
    here.service.queue.finish(one, change_one)
    with pytest.raises(Later):
        here.service.queue.finish(two, change_two)
    here.service.queue.give_back(two)
    here.work()
    found = [here.client("H1").get(f"/v1/submissions/{item['id']}").json() for item in (first, second)]
    assert [(item["accepted"], item["rejected"]) for item in found] == [(2, 0), (1, 1)]
    assert [item["code"] for item in found[1]["summary"]["problems"]] == ["SV32"]


def test_what_a_settlement_under_way_takes_is_not_superseded_meanwhile(here: SmallService) -> None:
    first = here.submit(row("A1"))
    late = hand_in(here, row("A2"))
    correction = hand_in(here, row("A1", "17000"), kind="correction", reason="改", supersedes=first["id"])
    begun = [started(here) for _ in (late, correction)]
    asked = here.client("office").post("/v1/settlements", json={"month": MARCH}).json()
    for held, change in begun:
        with pytest.raises(Later):
            here.service.queue.finish(held, change)
        here.service.queue.give_back(held, 3600)
    assert state(here, first["id"]) == "accepted"
    assert here.client("office").delete(f"/v1/jobs/{asked['id']}").json()["state"] == "cancelled"
    with here.service.database.write() as connection:
        connection.execute(job.update().where(job.c.state == "queued").values(lease_until=LONG_AGO))
    here.work()
    states = {name: state(here, item["id"]) for name, item in
              (("first", first), ("late", late), ("correction", correction))}  # fmt: skip
    assert states == {"first": "superseded", "late": "accepted", "correction": "accepted"}


def test_a_settlement_that_failed_can_be_asked_for_again(here: SmallService) -> None:
    here.submit(row("A1"))
    office = here.client("office")
    first = office.post("/v1/settlements", json={"month": MARCH}).json()["id"]
    here.work()
    assert office.get(f"/v1/jobs/{first}").json()["state"] == "failed"  # the policy says nothing of paying by month
    assert office.post("/v1/settlements", json={"month": MARCH}).json()["id"] != first


def test_the_same_bytes_sent_by_many_at_once_are_one_submission(here: SmallService) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: hand_in(here, row("A1"))["id"], range(12)))
    assert len(set(found)) == 1
    here.work()
    assert here.client("H1").get(f"/v1/submissions/{found[0]}").json()["accepted"] == 1
