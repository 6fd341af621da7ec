"""Many hospitals hand in month after month while the office settles: nothing lost, nothing doubled, no request without
an answer in time, every sum as the offline command has it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import fresh_url
from processes import Client, Launcher, end, free_port, launched
from test_year import POLICY
from typer.testing import CliRunner

from api.cli.main import app
from api.core.book import open_book
from api.core.book_check import sound, verify_book
from api.service.audit import Actor, verify
from api.service.context import open_service
from api.service.documents import put_document
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from api.store.tables import job, submission
from tests.unit.pay_examples import HEADER, row

SETUP = Actor("setup", "admin")
_DISEASES = ("I61.000", "J18.900", "E11.900", "K80.100", "I63.900", "N20.000")
_TIERS = ("三级", "二级", "一级")


@dataclass(frozen=True)
class Size:
    """How much is handed in."""

    hospitals: int
    months: int
    cases: int

    @property
    def names(self) -> list[str]:
        return [f"H{number:02d}" for number in range(self.hospitals)]

    @property
    def year(self) -> list[str]:
        return [f"2026-{number:02d}" for number in range(1, self.months + 1)]


def lines(size: Size, hospital: int, month: str) -> str:
    """The cases of a hospital's month."""
    made = []
    for at in range(size.cases):
        number = (int(month[5:]) * size.hospitals + hospital) * size.cases + at
        cost = 2000_00 + number * 7919_13 % 26000_00
        patient = cost * (25 + number % 20) // 100
        made.append(row(
            f"C{number}", f"{cost / 100:.2f}", hospital_id=size.names[hospital], hospital_level=str(3 - hospital % 3),
            insurance_type=("310", "390")[number % 2], discharge_date=f"{month}-{1 + number % 28:02d}",
            principal_dx=_DISEASES[number * 5 % 7 % 6], fund_pay=f"{(cost - patient) / 100:.2f}",
            self_pay=f"{(patient - patient // 3) / 100:.2f}", own_pay=f"{patient // 3 / 100:.2f}",
        ))  # fmt: skip
    return "".join(made)


def offline(size: Size, folder: Path, register: Path) -> dict[str, bytes]:
    """What the command settles of the same files: each month's statement."""
    found = {}
    for month in size.year:
        cases, out = folder / f"{month}.csv", folder / month
        cases.write_text(HEADER + "".join(lines(size, at, month) for at in range(size.hospitals)), encoding="utf-8")
        done = CliRunner().invoke(app, [
            "settle", str(cases), "--month", month, "--policy", POLICY, "--book", str(folder / "book"), "--close",
            "--hospitals", str(register), "-o", str(out),
        ])  # fmt: skip
        assert done.exit_code in {0, 1}, done.output
        found[month] = (out / "statement.csv").read_bytes()
    return found


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


def _load(kind: str, folder: Path, launcher: Launcher, size: Size) -> None:
    data = folder / "data"
    data.mkdir()
    register = folder / "hospitals.csv"
    told = "".join(f"{name},{name} 医院,{_TIERS[at % 3]}\n" for at, name in enumerate(size.names))
    register.write_text(f"hospital_id,name,tier\n{told}", encoding="utf-8")
    settings = Settings(data=data, database_url="" if kind == "sqlite" else fresh_url(kind, data), policy=POLICY)
    service = open_service(settings)
    with service.database.write() as connection:
        tokens = {name: create_token(connection, SETUP, Role.HOSPITAL, hospital_id=name) for name in size.names}
        tokens["office"] = create_token(connection, SETUP, Role.OFFICE)
        kept = service.files.put(register.read_bytes())
        put_document(connection, SETUP, "hospitals", "hospitals.csv", kept, "text/csv", "")
    port = free_port()
    env = {"DRGDIP_DATA": str(data), "DRGDIP_DATABASE_URL": settings.database_url, "DRGDIP_POLICY": POLICY}
    processes = [
        launcher.start("serve", "--port", str(port), "--workers", "1", env=env), launcher.start("worker", env=env),
    ]  # fmt: skip
    clients = {name: Client(port, text, patience=1800) for name, text in tokens.items()}
    ready = {month: threading.Semaphore(0) for month in size.year}

    def hand_in(hospital: int) -> None:
        client = clients[size.names[hospital]]
        for month in size.year:
            text = (HEADER + lines(size, hospital, month)).encode()
            found = client.json("POST", f"/v1/submissions?month={month}", text)
            again = client.json("POST", f"/v1/submissions?month={month}", text)
            assert again["id"] == found["id"]
            assert client.job(found["job_id"])["state"] == "done"
            ready[month].release()

    def settle() -> dict[str, bytes]:
        office, found = clients["office"], {}
        for month in size.year:
            for _ in range(size.hospitals):
                assert ready[month].acquire(timeout=1800)
            done = office.job(office.json("POST", "/v1/settlements", {"month": month})["id"])
            assert done["state"] == "done", done
            found[month] = office.ask("GET", f"/v1/runs/{done['result']['run']}/files/statement.csv")[1]
        return found

    try:
        clients["office"].json("GET", "/readyz")
        clients["office"].troubles.clear()  # the server was being started
        with ThreadPoolExecutor(size.hospitals + 1) as pool:
            settled = pool.submit(settle)
            for done in [pool.submit(hand_in, hospital) for hospital in range(size.hospitals)]:
                done.result()
            statements = settled.result()
    finally:
        for process in processes:
            end(process)
    assert [told for client in clients.values() for told in client.troubles] == []
    assert statements == offline(size, folder, register)
    with service.database.read() as connection:
        assert verify(connection).broken is None
        rows = connection.execute(sa.select(submission.c.hospital_id, submission.c.month, submission.c.state)).all()
        jobs = Counter(connection.execute(sa.select(job.c.kind, job.c.state)).all())
    assert sorted(rows) == sorted((name, month, "done") for name in size.names for month in size.year)
    assert jobs == {("submission", "done"): size.hospitals * size.months, ("settle", "done"): size.months}
    book = open_book(service.books / "2026")
    assert sound(verify_book(book))
    assert len(book.cases()) == size.hospitals * size.months * size.cases
    service.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_few_hospitals(kind: str, tmp_path: Path, launcher: Launcher) -> None:
    _load(kind, tmp_path, launcher, Size(hospitals=12, months=2, cases=40))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_region(kind: str, tmp_path: Path, launcher: Launcher) -> None:
    _load(kind, tmp_path, launcher, Size(hospitals=60, months=12, cases=2000))
