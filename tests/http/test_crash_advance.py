"""The server killed while it pays a year's advances: they are paid once, and the next server goes on at once, however
long a lease the dead one had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import fresh_url
from processes import Client, Keeper, Launcher, Life, free_port, launched
from test_year import POLICY

from api.core.advance import ADVANCE
from api.core.book import open_book
from api.core.book_check import sound, verify_book
from api.service.audit import Actor, entries, verify
from api.service.context import open_service
from api.service.documents import put_document
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from api.store.tables import job, run

SETUP = Actor("setup", "admin")
SPEND = "hospital_id,insurance,year,spend\nH1,职工,2024,120000.00\nH1,职工,2025,240000.00\n".encode()
DEATHS = ("job leased:1", "book files written:1", "advance recorded:1", "job finished:1")


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_advances_survive_the_server(kind: str, tmp_path: Path, launcher: Launcher) -> None:
    url = "" if kind == "sqlite" else fresh_url(kind, tmp_path)
    service = open_service(Settings(data=tmp_path, database_url=url, workers=0, policy=POLICY))
    with service.database.write() as connection:
        token = create_token(connection, SETUP, Role.OFFICE)
        put_document(connection, SETUP, "spend", "spend.csv", service.files.put(SPEND), "text/csv", "")
    port = free_port()
    env = {
        "DRGDIP_DATA": str(tmp_path), "DRGDIP_DATABASE_URL": url, "DRGDIP_POLICY": POLICY,
        "DRGDIP_LEASE_SECONDS": "600", "DRGDIP_MOST_ATTEMPTS": str(2 * len(DEATHS)),
    }  # fmt: skip
    keeper = Keeper(launcher, ("serve", "--port", str(port), "--workers", "1"), env, [Life(fault) for fault in DEATHS])
    try:
        office = Client(port, token)
        asked = {"month": "2026-01", "spend": "spend.csv", "balances": {"职工": "15.2"}}
        done = office.job(office.json("POST", "/v1/advances", asked, key="once")["id"])
        assert (done["state"], done["attempts"]) == ("done", len(DEATHS))
        # One month of the mean spend: (120000 + 240000) / 24.
        summary = office.json("GET", f"/v1/runs/{done['result']['run']}")["summary"]
        paid = [(item["hospital"], item["advance"]) for item in summary["hospitals"]]
        assert paid == [("H1", "15000.00")]
    finally:
        keeper.stop()
    assert keeper.deaths == len(DEATHS)
    book = open_book(service.books / "2026")
    assert sound(verify_book(book))
    assert [entry.kind for entry in book.runs] == [ADVANCE]
    with service.database.read() as connection:
        assert verify(connection).broken is None
        told = Counter(entry.action for entry in entries(connection))
        assert told["run.advance"] == 1
        assert connection.execute(sa.select(run.c.kind)).scalars().all() == ["advance"]
        assert connection.execute(sa.select(job.c.kind, job.c.state)).all() == [("advance", "done")]
    service.close()
