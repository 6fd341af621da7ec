"""A year handed in, settled and cleared through a service that keeps dying, and what must hold of it afterwards."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa
from processes import Client, Keeper, Launcher, Life, free_port
from test_year import POLICY, paid_in, parts

from api.core.book import CLEAR, open_book
from api.core.settle import SETTLE
from api.service.audit import Actor, entries, verify
from api.service.context import Service, open_service
from api.service.documents import put_document
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from api.service.values import checksum
from api.store.tables import job, run, submission
from tests.unit.clearing_city import HOSPITALS, City

SETUP = Actor("setup", "admin")
POINTS = {
    "before commit": 14, "after commit": 14, "file written": 10, "file named": 10, "job leased": 4, "job told": 4,
    "job finished": 4, "book files written": 1, "book written": 1, "clearing recorded": 1,
}  # fmt: skip
"""Fault points, with the number of times that one may be passed before it kills."""
_ROUNDS = 100
_FIRST_SECONDS = 2.0
"""From the start of the processes to the first job's end, on a machine that does nothing else."""


def lives(count: int, seed: int) -> list[Life]:
    """So many ends of a process: two in three at a fault point, or later if it is not passed; one at a random time."""
    chance = random.Random(seed)
    made: list[Life] = []
    names: list[str] = []
    for _ in range(count):
        if chance.random() < 1 / 3:
            made.append(Life(seconds=0.3 + 1.5 * chance.random()))
        else:
            names = names or chance.sample(list(POINTS), len(POINTS))  # every point in its turn
            name = names.pop()
            made.append(Life(f"{name}:{chance.randint(1, POINTS[name])}", 2 + chance.random()))
    return made


@dataclass
class DyingYear:
    """A service in processes of its own over a database; `tokens` by role or hospital."""

    url: str
    folder: Path
    launcher: Launcher
    city: City
    deaths: int = 0
    clearings: int = 0

    def service(self) -> Service:
        return open_service(Settings(data=self.folder, database_url=self.url, workers=0, policy=POLICY))

    def go(self, ends: list[Life]) -> dict[str, Any]:
        """The whole year while a server and a worker die as told, each in its turn; the last clearing's run."""
        service = self.service()
        with service.database.write() as connection:
            tokens = {name: create_token(connection, SETUP, Role.HOSPITAL, hospital_id=name) for name in HOSPITALS}
            tokens["office"] = create_token(connection, SETUP, Role.OFFICE)
            for kind, name, path in (
                ("hospitals", "hospitals.csv", self.city.register), ("decisions", "decisions.csv", self.city.decisions),
                ("year_file", "2026.toml", self.city.year_file),
            ):  # fmt: skip
                kept = service.files.put(path.read_bytes())
                put_document(connection, SETUP, kind, name, kept, "text/plain", "")
        service.close()
        port = free_port()
        env = {
            "DRGDIP_DATA": str(self.folder), "DRGDIP_DATABASE_URL": self.url, "DRGDIP_POLICY": POLICY,
            "DRGDIP_LEASE_SECONDS": "1.2", "DRGDIP_MOST_ATTEMPTS": "1000",
        }  # fmt: skip
        keepers = [
            Keeper(self.launcher, ("serve", "--port", str(port), "--workers", "1"), env, []),
            Keeper(self.launcher, ("worker",), env, []),
        ]
        started = time.monotonic()
        try:
            clients = {name: Client(port, text) for name, text in tokens.items()}
            self._first(clients)
            # On a busy machine a life must be longer, or none would ever be long enough for a job.
            slower = max(1.0, (time.monotonic() - started) / _FIRST_SECONDS)
            ends = [replace(life, seconds=life.seconds * slower) for life in ends]
            for at, keeper in enumerate(keepers):
                keeper.begin(ends[at::2])
            for month in self.city.months:
                self._month(clients, month)
            last = self._clear(clients["office"], "")
            while any(keeper.lives for keeper in keepers) and self.clearings < _ROUNDS:
                last = self._clear(clients["office"], last["id"])
        finally:
            for keeper in keepers:
                keeper.stop()
            self.deaths = sum(keeper.deaths for keeper in keepers)
        return last

    def _first(self, clients: dict[str, Client]) -> None:
        """The first file handed in and done, by processes that have just been started; `_month` asks for it again."""
        month = self.city.months[0]
        name, data = next(iter(parts(month).items()))
        path = f"/v1/submissions?month={month.stem}"
        found = clients[name].json("POST", path, data, key=f"{month.stem} {name}")
        assert clients[name].job(found["job_id"])["state"] == "done"

    def _month(self, clients: dict[str, Client], month: Path) -> None:
        asked = {
            name: clients[name].json("POST", f"/v1/submissions?month={month.stem}", data, key=f"{month.stem} {name}")
            for name, data in parts(month).items()
        }
        for name, found in asked.items():
            assert clients[name].job(found["job_id"])["state"] == "done"
        office = clients["office"]
        settled = office.json("POST", "/v1/settlements", {"month": month.stem}, key=f"settle {month.stem}")
        done = office.job(settled["id"])
        assert done["state"] == "done", done

    def _clear(self, office: Client, supersedes: str) -> dict[str, Any]:
        asked = {"year": 2026, "supersedes": supersedes}
        drafted = office.job(office.json("POST", "/v1/clearings", asked, key=f"clear {self.clearings}")["id"])
        assert drafted["state"] == "done", drafted
        name = drafted["result"]["run"]
        # Approving has no key: when the answer is lost, asking again is refused as the run is locked already.
        status, text = office.ask("POST", f"/v1/clearings/{name}/approve", b'{"anyway":true,"reason":"made up"}')
        if status == 202:
            done = office.job(json.loads(text)["id"])
            assert done["state"] == "done", done
        else:
            assert (status, json.loads(text)["code"]) == (409, "SV73")
        self.clearings += 1
        found: dict[str, Any] = office.json("GET", f"/v1/runs/{name}")
        assert found["state"] == "locked"
        return found

    def check(self, last: dict[str, Any], paid: dict[str, Any], statement: list[dict[str, str]]) -> None:
        """Each submission whole, every job done once, the audit whole, the sums as the commands have them."""
        assert last["summary"]["statement"] == statement
        service = self.service()
        try:
            with service.database.read() as connection:
                self._check_audit(connection)
                self._check_submissions(service, connection)
                self._check_runs(service, connection, paid)
                states = Counter(connection.execute(sa.select(job.c.kind, job.c.state)).all())
        finally:
            service.close()
        left = [path for place in ("work", "temporary") for path in (self.folder / place).iterdir()]
        assert left == [], "those that were killed leave nothing of a patient"
        months = len(self.city.months)
        counts = {"submission": months * len(HOSPITALS), "settle": months, "clear": self.clearings,
                  "lock": self.clearings}  # fmt: skip
        assert states == {(kind, "done"): count for kind, count in counts.items()}
        for path in service.files.folder.glob("*/*"):
            assert checksum(path.read_bytes()) == path.name

    def _check_audit(self, connection: sa.Connection) -> None:
        assert verify(connection).broken is None
        told = Counter((entry.action, entry.object) for entry in entries(connection))
        assert set(told.values()) == {1}, [item for item, count in told.items() if count > 1]
        actions = Counter(action for action, _ in told)
        months = len(self.city.months)
        assert actions["submission.receive"] == actions["submission.finish"] == months * len(HOSPITALS)
        assert (actions["run.settle"], actions["run.clear"], actions["run.locked"]) == (
            months, self.clearings, self.clearings,
        )  # fmt: skip

    def _check_submissions(self, service: Service, connection: sa.Connection) -> None:
        rows = connection.execute(sa.select(submission)).all()
        assert sorted((row.hospital_id, row.month) for row in rows) == sorted(
            (name, month.stem) for name in HOSPITALS for month in self.city.months
        )
        given = {month.stem: parts(month) for month in self.city.months}
        for row in rows:
            data = given[row.month][row.hospital_id]
            assert (row.state, row.sha256) == ("done", checksum(data))
            assert service.files.path(row.sha256).read_bytes() == data
            lines = data.decode().splitlines()[1:]
            assert (row.rows, row.accepted, row.rejected) == (len(lines), len(lines), 0)
            cases = pl.read_parquet(service.files.path(row.cases_sha256))
            assert sorted(cases["case_id"]) == sorted(line.split(",")[0] for line in lines)

    def _check_runs(self, service: Service, connection: sa.Connection, paid: dict[str, Any]) -> None:
        rows = connection.execute(sa.select(run).order_by(run.c.created_at)).all()
        for row in rows:
            if row.kind == "settle":
                text = service.files.path(orjson.loads(row.files)["statement.csv"]).read_text("utf-8-sig")
                assert paid_in(text) == paid[row.month]
        states = [row.state for row in rows if row.kind == "clear"]
        assert states == ["superseded"] * (self.clearings - 1) + ["locked"]
        book = open_book(service.books / "2026")
        kinds = [(entry.kind, entry.month) for entry in book.runs]
        assert kinds[: len(self.city.months)] == [(SETTLE, month.stem) for month in self.city.months]
        assert all(kind == CLEAR for kind, _ in kinds[len(self.city.months) :])
        assert (book.cleared is not None, len(book.cases())) == (True, 24 * len(self.city.months))
