"""A service over a small region: one policy, one small pack, a client for each role, jobs done when asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from databases import fresh_url
from fastapi.testclient import TestClient

from api.http.app import create_app
from api.service.audit import Actor
from api.service.context import Service, open_service
from api.service.documents import put_document
from api.service.handlers import handlers_of
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from api.service.worker import Worker
from tests.unit.pay_examples import HEADER, WEIGHTS, row, write_examples

SETUP = Actor("setup", "admin")
MARCH = "2025-03"


@dataclass
class SmallService:
    """A running service. `clients` by role, hospitals by id ("H1", "H2"); no worker runs by itself: see `work`."""

    service: Service
    clients: dict[str, TestClient]
    folder: Path

    def client(self, name: str) -> TestClient:
        return self.clients[name]

    def work(self) -> int:
        """Do all jobs that wait; how many."""
        worker = Worker(self.service.queue, handlers_of(self.service))
        done = 0
        while worker.work_once():
            done += 1
        return done

    def submit(self, cases: str, hospital: str = "H1", month: str = MARCH, **query: str) -> dict[str, Any]:
        """Hand in cases and have them worked on; the submission afterwards."""
        client = self.clients[hospital]
        answer = client.post("/v1/submissions", params={"month": month, **query}, content=(HEADER + cases).encode())
        assert answer.status_code in {200, 202}, answer.text
        self.work()
        found: dict[str, Any] = client.get(f"/v1/submissions/{answer.json()['id']}").json()
        return found


@contextmanager
def small_service(folder: Path, kind: str = "sqlite", **changed: Any) -> Iterator[SmallService]:
    """A service with an empty database of a kind ("sqlite", "postgres"), the policy and pack of the pay examples, and
    tokens for every role."""
    examples = folder / "examples"
    examples.mkdir()
    write_examples(examples, row("A1"))
    values = {"policy": str(examples / "p.toml"), "scheme": str(examples / "pack")}
    with service_over(folder, kind, **(values | changed)) as made:
        database, files = made.service.database, made.service.files
        with database.write() as connection:
            put_document(connection, SETUP, "weights", "w.csv", files.put(WEIGHTS.encode()), "text/csv", "")
        yield made


@contextmanager
def service_over(
    folder: Path, kind: str = "sqlite", hospitals: tuple[str, ...] = ("H1", "H2"), **given: Any
) -> Iterator[SmallService]:
    """A service with an empty database, settings as given, and tokens for every role and hospital."""
    data = folder / "data"
    data.mkdir()
    values: dict[str, Any] = {
        "data": data, "workers": 0, "database_url": "" if kind == "sqlite" else fresh_url(kind, data),
    }  # fmt: skip
    service = open_service(Settings(**(values | given)))
    with service.database.write() as connection:
        tokens = {
            role.value: create_token(connection, SETUP, role)
            for role in (Role.OFFICE, Role.POLICY, Role.ADMIN)
        }  # fmt: skip
        for name in hospitals:
            tokens[name] = create_token(connection, SETUP, Role.HOSPITAL, hospital_id=name)
    app = create_app(service, handlers_of(service))
    clients = {
        name: TestClient(app, headers={"Authorization": f"Bearer {text}"}, raise_server_exceptions=False)
        for name, text in tokens.items()
    }
    clients["nobody"] = TestClient(app, raise_server_exceptions=False)
    try:
        yield SmallService(service, clients, folder)
    finally:
        for client in clients.values():
            client.close()
        service.close()


def refused_by(here: SmallService, body: bytes, name: str) -> set[str]:
    """A file that H1 hands in for March and that is refused as a whole: the codes of its problems."""
    client = here.client("H1")
    answer = client.post("/v1/submissions", params={"month": MARCH, "name": name}, content=body)
    assert answer.status_code == 202, answer.text
    here.work()
    found = client.get(f"/v1/submissions/{answer.json()['id']}").json()
    assert (found["state"], found["accepted"]) == ("refused", 0)
    return {item["code"] for item in client.get(f"/v1/submissions/{found['id']}/problems").json()}
