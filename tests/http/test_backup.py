"""Backups taken while the service runs, and put back on either database."""

from __future__ import annotations

import re
import shutil
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import sqlalchemy as sa
from databases import fresh_url
from fastapi.testclient import TestClient
from small_service import SETUP, SmallService, service_over, small_service
from test_year import POLICY, documents, hand_in, job, parts
from typer.testing import CliRunner

from api.cli.main import app
from api.core.book import BookRefused, open_book
from api.http.app import create_app
from api.service.audit import verify
from api.service.backup import back_up
from api.service.context import Service, open_service
from api.service.handlers import handlers_of
from api.service.restore import restore
from api.service.settings import Settings
from api.service.worker import Worker
from api.store.tables import metadata
from reference_tables.problems import TablesRefused
from tests.unit.clearing_city import HOSPITALS, write_city
from tests.unit.pay_examples import row


def rows_of(service: Service) -> dict[str, list[tuple[object, ...]]]:
    with service.database.read() as connection:
        return {
            table.name: sorted((tuple(found) for found in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@contextmanager
def settled(folder: Path, kind: str = "sqlite") -> Iterator[tuple[SmallService, str]]:
    """A service with a month handed in and settled, and a second file that waits; the settlement's run."""
    (folder / "city").mkdir()
    city = write_city(folder / "city")
    with service_over(folder, kind, tuple(HOSPITALS), policy=POLICY) as here:
        documents(here, city)
        hand_in(here, city.months[0])
        run = job(here, "/v1/settlements", month="2026-01")["result"]["run"]
        here.client("H1").post("/v1/submissions", params={"month": "2026-02"}, content=parts(city.months[1])["H1"])
        yield here, run


def restored(settings: Settings, folder: Path, kind: str) -> Settings:
    return settings.model_copy(
        update={"data": folder, "database_url": "" if kind == "sqlite" else fresh_url(kind, folder)}
    )


@pytest.mark.parametrize("before", ["sqlite", "postgres"])
@pytest.mark.parametrize("after", ["sqlite", "postgres"])
def test_a_backup_put_back_is_the_service_as_it_was(before: str, after: str, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with settled(tmp_path, before) as (here, run):
        made = back_up(here.service, SETUP, tmp_path / "b.tar")
        assert made.books == ("2026",)
        rows = rows_of(here.service)
        settings = restored(here.service.settings, tmp_path / "new", after)
        token = here.client("office").headers["Authorization"]
        index = open_book(here.service.books / "2026").runs
    assert restore(settings, SETUP, tmp_path / "b.tar") == made
    service = open_service(settings)
    try:
        found = rows_of(service)
        more = [entry[4] for entry in found["audit"] if entry not in rows["audit"]]
        assert (len(found["audit"]), more) == (len(rows["audit"]) + 1, ["backup.restore"])
        for name in set(metadata.tables) - {"audit", "audit_head"}:
            assert found[name] == rows[name]
        with service.database.read() as connection:
            assert verify(connection).broken is None
        assert open_book(service.books / "2026").runs == index
        client = TestClient(create_app(service, handlers_of(service)), headers={"Authorization": token})
        assert client.get(f"/v1/runs/{run}/files/statement.csv").status_code == 200
        assert Worker(service.queue, handlers_of(service)).work_once(), "what waited goes on"
        client.close()
    finally:
        service.close()


def test_a_backup_of_a_busy_service_is_of_one_moment(tmp_path: Path) -> None:
    """Every submission that the backup names has its file and its job; the audit is whole."""
    with small_service(tmp_path) as here:
        stop = threading.Event()

        def hand_in() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                here.submit(row(f"A{number}"))

        busy = threading.Thread(target=hand_in)
        busy.start()
        try:
            for number in range(5):
                back_up(here.service, SETUP, tmp_path / f"{number}.tar")
        finally:
            stop.set()
            busy.join()
        settings = here.service.settings
    for number in range(5):
        folder = tmp_path / f"new{number}"
        restore(restored(settings, folder, "sqlite"), SETUP, tmp_path / f"{number}.tar")
        service = open_service(restored(settings, folder, "sqlite"))
        found = rows_of(service)
        jobs = {job[0] for job in found["job"]}
        columns = [column.name for column in metadata.tables["submission"].columns]
        for values in found["submission"]:
            told = dict(zip(columns, values, strict=True))
            assert told["job_id"] in jobs
            for name in ("sha256", "cases_sha256", "results_sha256", "problems_sha256"):
                assert told[name] is None or service.files.path(str(told[name])).is_file()
        service.close()


def changed(source: Path, target: Path, name: str, data: bytes | None) -> None:
    """A copy of a backup with one member changed, or taken out."""
    import io

    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for item in old:
            stream = old.extractfile(item)
            assert stream is not None
            content = stream.read()
            if item.name == name:
                if data is None:
                    continue
                content = data
            item.size = len(content)
            new.addfile(item, io.BytesIO(content))


def test_what_is_no_whole_backup_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with settled(tmp_path) as (here, _):
        back_up(here.service, SETUP, tmp_path / "b.tar")
        settings = here.service.settings
        with pytest.raises(TablesRefused, match="已有数据"):
            restore(settings, SETUP, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as packed:
        names = packed.getnames()
        stream = packed.extractfile("manifest.json")
        assert stream is not None
        manifest = orjson.loads(stream.read())
    book = next(name for name in names if name.endswith("book.json"))
    file = next(name for name in names if name.startswith("files/"))
    later = orjson.dumps({**manifest, "database": "0999"})
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tar").write_bytes(b"no backup")
    bad = {"cut": "SV50", "text": "SV50"}
    for name, member, data, code in (
        ("book", book, b"{}", "SV50"), ("file", file, b"other", "SV50"), ("missing", file, None, "SV50"),
        ("audit", "tables/audit.ndjson", b"", "SV50"), ("later", "manifest.json", later, "SV23"),
    ):  # fmt: skip
        changed(tmp_path / "b.tar", tmp_path / f"{name}.tar", member, data)
        bad[name] = code
    for name, code in bad.items():
        folder = tmp_path / f"to-{name}"
        with pytest.raises(TablesRefused) as caught:
            restore(restored(settings, folder, "sqlite"), SETUP, tmp_path / f"{name}.tar")
        assert caught.value.problems[0].code == code, name
        assert not list(folder.glob("books/*"))
    restore(restored(settings, tmp_path / "to-book", "sqlite"), SETUP, tmp_path / "b.tar")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_backup_is_made_over_damaged_files_and_each_is_named(kind: str, tmp_path: Path) -> None:
    with settled(tmp_path, kind) as (here, run):
        service, target = here.service, tmp_path / "b.tar"
        book = open_book(service.books / "2026")
        with service.database.read() as connection:
            named = [row.sha256 for row in connection.execute(sa.select(metadata.tables["submission"].c.sha256))]
            of_run = orjson.loads(
                connection.execute(sa.select(metadata.tables["run"].c.files).filter_by(id=run)).scalar_one()
            )
        in_book = {file.role: book.path / file.path for file in book.runs[0].files}
        changed_file, gone, result = (
            service.files.path(name) for name in (named[0], named[1], of_run["statement.csv"])
        )
        places = {changed_file, gone, result, in_book["cases"], in_book["priced"], in_book["proof"]}
        data = {place: place.read_bytes() for place in places}
        changed_file.write_bytes(data[changed_file] + b"x")
        in_book["cases"].write_bytes(data[in_book["cases"]][:-1])
        in_book["proof"].write_bytes(data[in_book["proof"]].replace(b"2026", b"2025", 1))
        for place in (gone, result, in_book["priced"]):
            place.unlink()
        with pytest.raises(TablesRefused) as refused:
            back_up(service, SETUP, target)
        found = {(problem.code, str(problem.args["path"])) for problem in refused.value.problems}
        stored = {("SV59", f"files/{place.parent.name}/{place.name}") for place in (changed_file, gone, result)}
        assert len(refused.value.problems) == len(places)
        assert found == stored | {
            ("ST60", f"books/2026/{in_book[role].relative_to(book.path).as_posix()}")
            for role in ("cases", "priced", "proof")
        }
        assert not list(tmp_path.glob("*b.tar*")), "nothing is left under its name or another"
        for place, content in data.items():
            place.write_bytes(content)
        index = book.path / "book.json"
        text = index.read_bytes()
        index.write_bytes(text.replace(b'"cases": ', b'"cases": 1', 1))
        with pytest.raises(BookRefused) as broken:
            back_up(service, SETUP, target)
        assert [problem.code for problem in broken.value.problems] == ["ST61"]
        index.write_bytes(text)
        back_up(service, SETUP, target)
        settings = restored(service.settings, tmp_path / "new", kind)
    restore(settings, SETUP, target)


def test_the_command_ends_with_an_error_over_a_damaged_file(tmp_path: Path) -> None:
    with settled(tmp_path) as (here, _):
        data, place = here.service.settings.data, next(here.service.files.folder.glob("*/*"))
    content = place.read_bytes()
    place.write_bytes(b"")
    target = tmp_path / "b.tar"
    target.write_bytes(b"before")
    backup = ["backup", str(target), "--data", str(data)]
    done = CliRunner().invoke(app, backup)
    assert (done.exit_code, "--overwrite" in done.stderr) == (2, True), done.output
    done = CliRunner().invoke(app, [*backup, "--overwrite"])
    told = done.stderr.replace("\n", "")
    assert (done.exit_code, "SV59" in told, place.name in told) == (3, True, True), done.output
    assert target.read_bytes() == b"before"
    place.write_bytes(content)
    engine = sa.create_engine(f"sqlite:///{data / 'drgdip.sqlite'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit SET actor = 'nobody' WHERE seq = 3"))
    done = CliRunner().invoke(app, [*backup, "--overwrite"])
    told = done.stderr.replace("\n", "")
    assert (done.exit_code, "SV81" in told, "第 3 条不符：内容被改动" in told) == (3, True, True), done.output
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_head"))
    engine.dispose()
    for words in ([*backup, "--overwrite"], ["token", "create", "--role", "office", "--data", str(data)]):
        done = CliRunner().invoke(app, words)
        told = done.stderr.replace("\n", "")
        assert (done.exit_code, "SV81" in told, done.stdout) == (3, True, ""), done.output
    done = CliRunner().invoke(app, ["audit", "verify", "--data", str(data)])
    assert (done.exit_code, "审计链在第" in done.stdout) == (1, True), done.output
    assert target.read_bytes() == b"before"


def test_the_commands(tmp_path: Path) -> None:
    with settled(tmp_path) as (here, _):
        data = here.service.settings.data
    runner, target = CliRunner(), tmp_path / "b.tar"
    done = runner.invoke(app, ["backup", str(target), "--data", str(data)])
    assert (done.exit_code, "账册 2026" in done.output) == (0, True), done.output
    assert "已核对：每个文件的校验值" in done.output
    assert re.search(r"审计链完整（\d+ 条）", done.output.replace("\n", ""))
    new = tmp_path / "new"
    done = runner.invoke(app, ["restore", str(target), "--data", str(new)])
    assert (done.exit_code, "审计链完整" in done.output) == (0, True), done.output
    assert runner.invoke(app, ["audit", "verify", "--data", str(new)]).exit_code == 0
    assert runner.invoke(app, ["restore", str(target), "--data", str(new)]).exit_code == 3
    shutil.rmtree(new)
    target.write_bytes(b"")
    assert runner.invoke(app, ["restore", str(target), "--data", str(new)]).exit_code == 3
