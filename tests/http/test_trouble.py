"""A disk that is full and a database that goes away: a clear 503, nothing half written, and all goes on afterwards
without a restart."""

from __future__ import annotations

import http.client
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from databases import own_postgres
from processes import Client, Launcher, end, free_port, launched
from test_year import POLICY, parts

from api.service.audit import Actor, verify
from api.service.context import open_service
from api.service.documents import put_document
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from api.service.values import checksum
from tests.unit.clearing_city import HOSPITALS, City, write_city

SETUP = Actor("setup", "admin")
JANUARY = "2026-01"


@dataclass
class Running:
    """A server with one worker, in a process of its own; `stop` and `start` its database."""

    settings: Settings
    process: int
    port: int
    tokens: dict[str, str]
    city: City
    stop: Callable[[], None]
    start: Callable[[], None]

    def client(self, name: str) -> Client:
        return Client(self.port, self.tokens[name])

    def once(self, name: str, method: str, path: str, body: bytes | None = None, key: str = "") -> tuple[int, Any]:
        """One try, whatever comes of it; nobody is kept waiting for what does not come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Authorization": f"Bearer {self.tokens[name]}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers | ({"Idempotency-Key": key} if key else {}))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def submit(self, name: str, key: str = "") -> tuple[int, Any]:
        data = parts(self.city.months[0])[name]
        return self.once(name, "POST", f"/v1/submissions?month={JANUARY}", data, key)

    def finish(self) -> None:
        """All hospitals hand in, the office settles; everything is there once, whole."""
        for name in HOSPITALS:
            status, found = self.submit(name)
            assert status in {200, 202}, found
            assert self.client(name).job(found["job_id"])["state"] == "done"
            assert len(self.client(name).json("GET", "/v1/submissions")["items"]) == 1
        office = self.client("office")
        done = office.job(office.json("POST", "/v1/settlements", {"month": JANUARY}, key="settle")["id"])
        assert (done["state"], done["attempts"] < 4) == ("done", True), done
        run = office.json("GET", f"/v1/runs/{done['result']['run']}")
        assert run["summary"]["totals"]["cases"] == 24
        service = open_service(self.settings)
        with service.database.read() as connection:
            assert verify(connection).broken is None
        for path in service.files.folder.glob("*/*"):
            assert checksum(path.read_bytes()) == path.name
        assert not list(service.files.temporary.iterdir())
        service.close()


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


@contextmanager
def database(kind: str, data: Path) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """The URL of a database, what takes it away, and what brings it back."""
    if kind == "postgres":
        with own_postgres() as made:
            yield made
        return
    away = data / "away"

    def stop() -> None:
        away.mkdir()
        for path in data.glob("drgdip.sqlite*"):
            path.rename(away / path.name)

    def start() -> None:
        for path in data.glob("drgdip.sqlite*"):
            path.unlink()
        for path in away.iterdir():
            path.rename(data / path.name)
        away.rmdir()

    yield "", stop, start


@contextmanager
def started(kind: str, folder: Path, data: Path, launcher: Launcher) -> Iterator[Running]:
    """A server over a database of a kind, its files in `data`."""
    (folder / "city").mkdir()
    city = write_city(folder / "city")
    with database(kind, data) as (url, stop, start):
        settings = Settings(data=data, database_url=url, workers=0, policy=POLICY)
        service = open_service(settings)
        with service.database.write() as connection:
            tokens = {name: create_token(connection, SETUP, Role.HOSPITAL, hospital_id=name) for name in HOSPITALS}
            tokens["office"] = create_token(connection, SETUP, Role.OFFICE)
            kept = service.files.put(city.register.read_bytes())
            put_document(connection, SETUP, "hospitals", "hospitals.csv", kept, "text/csv", "")
        service.close()
        port = free_port()
        env = {"DRGDIP_DATA": str(data), "DRGDIP_DATABASE_URL": url, "DRGDIP_POLICY": POLICY,
               "DRGDIP_LEASE_SECONDS": "5"}  # fmt: skip
        process = launcher.start("serve", "--port", str(port), env=env)
        try:
            made = Running(settings, process, port, tokens, city, stop, start)
            made.client("office").json("GET", "/readyz")
            yield made
        finally:
            end(process)


@pytest.fixture(params=["sqlite", "postgres"])
def running(request: pytest.FixtureRequest, tmp_path: Path, launcher: Launcher) -> Iterator[Running]:
    data = tmp_path / "data"
    data.mkdir()
    with started(request.param, tmp_path, data, launcher) as made:
        yield made


def test_a_full_disk(running: Running) -> None:
    first = running.submit("H1")[1]
    assert running.client("H1").job(first["job_id"])["state"] == "done"
    _, hard = resource.prlimit(running.process, resource.RLIMIT_FSIZE)
    # No file may grow now: what the process writes fails as on a full disk.
    resource.prlimit(running.process, resource.RLIMIT_FSIZE, (0, hard))
    for _ in range(3):
        status, told = running.submit("H2", key="again")
        assert (status, told["code"]) == (503, "SV21")
    assert running.once("office", "GET", "/readyz")[0] == 503
    assert running.once("H1", "GET", f"/v1/submissions/{first['id']}")[1]["state"] == "accepted"
    status, waiting = running.once("office", "POST", "/v1/settlements", b'{"month":"2026-01","close":false}', "early")
    if status == 202:  # the database is elsewhere and has room: the job waits for the disk
        time.sleep(4)
        assert running.client("office").json("GET", f"/v1/jobs/{waiting['id']}")["state"] in {"queued", "running"}
        assert running.once("office", "DELETE", f"/v1/jobs/{waiting['id']}")[0] == 409, "it has begun"
    else:
        assert (status, waiting["code"]) == (503, "SV21")
    resource.prlimit(running.process, resource.RLIMIT_FSIZE, (hard, hard))
    if status == 202:
        assert running.client("office").job(waiting["id"])["state"] == "done"
        return
    assert running.submit("H2", key="again")[0] == 202
    running.finish()


def test_a_database_that_goes_away_and_comes_back(running: Running) -> None:
    first = running.submit("H1")[1]
    running.stop()
    for _ in range(3):
        for status, told in (running.submit("H2", key="again"), running.once("H1", "GET", "/v1/submissions")):
            assert (status, told["code"]) == (503, "SV21")
    assert running.once("office", "GET", "/readyz")[0] == 503
    assert running.once("office", "GET", "/healthz")[0] == 200
    running.start()
    assert running.client("H1").job(first["job_id"])["state"] == "done"
    running.finish()


@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_a_database_that_is_none_any_more(running: Running) -> None:
    running.stop()
    (running.settings.data / "drgdip.sqlite").write_bytes(b"not a database at all" * 500)
    status, told = running.once("H1", "GET", "/v1/submissions")
    assert (status, told["code"]) == (503, "SV21")
    assert running.submit("H2")[0] == 503
    running.start()
    running.finish()


def test_the_server_ends_when_it_is_told_to(running: Running) -> None:
    import signal

    found = running.submit("H1")[1]
    end(running.process, signal.SIGTERM)
    service = open_service(running.settings)
    with service.database.read() as connection:
        assert verify(connection).broken is None
    assert service.files.path(found["sha256"]).is_file()
    service.close()
