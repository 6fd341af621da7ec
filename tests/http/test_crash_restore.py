"""A restore killed at every step: no service opens over half of one, and the next restore just works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import fresh_url
from processes import Launcher, launched, wait_for
from small_service import SETUP
from test_backup import restored, rows_of, settled

from api.core.book import open_book
from api.core.book_check import sound, verify_book
from api.service.audit import verify
from api.service.backup import back_up
from api.service.context import open_service
from api.store.tables import metadata
from reference_tables.problems import TablesRefused

DEATHS = (
    "before commit:1", "after commit:1", "file written:2", "file named:3", "backup unpacked:1", "books named:1",
    "before commit:2",
)  # fmt: skip
"""In the order of the work: tables made, files put, all unpacked, books named, the catalogue written but not kept."""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launched(tmp_path_factory.mktemp("processes")) as made:
        yield made


def run(launcher: Launcher, *args: str, env: dict[str, str], done: Path) -> str:
    """The exit code of a command; "" when it was killed."""
    done.unlink(missing_ok=True)
    wait_for(launcher.start(*args, env=env, done=done))
    return done.read_text("ascii") if done.exists() else ""


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def test_a_restore_killed_again_and_again(kind: str, tmp_path: Path, launcher: Launcher) -> None:
    with settled(tmp_path, "sqlite") as (here, _):
        back_up(here.service, SETUP, tmp_path / "b.tar")
        rows = rows_of(here.service)
        index = open_book(here.service.books / "2026").runs
        settings = restored(here.service.settings, tmp_path / "new", "sqlite")
    settings.data.mkdir()
    if kind == "postgres":
        settings = settings.model_copy(update={"database_url": fresh_url(kind, settings.data)})
    env = {"DRGDIP_DATA": str(settings.data), "DRGDIP_DATABASE_URL": settings.database_url}
    done = tmp_path / "done"
    for fault in DEATHS:
        assert run(launcher, "restore", str(tmp_path / "b.tar"), env=env | {"DRGDIP_FAULT": fault}, done=done) == ""
    assert (settings.data / "books" / "2026" / "book.json").exists(), "killed with the books named already"
    with pytest.raises(TablesRefused) as caught:
        open_service(settings)
    assert [problem.code for problem in caught.value.problems] == ["SV58"]
    # The last one is killed with all done but tidying up.
    assert (
        run(launcher, "restore", str(tmp_path / "b.tar"), env=env | {"DRGDIP_FAULT": "after commit:2"}, done=done) == ""
    )
    service = open_service(settings)
    try:
        found = rows_of(service)
        for name in set(metadata.tables) - {"audit", "audit_head"}:
            assert found[name] == rows[name]
        with service.database.read() as connection:
            assert verify(connection).broken is None
        book = open_book(service.books / "2026")
        assert book.runs == index
        assert sound(verify_book(book))
        assert [path.name for path in service.books.iterdir()] == ["2026"]
    finally:
        service.close()
    assert run(launcher, "restore", str(tmp_path / "b.tar"), env=env, done=done) == "3", "there is a service by now"
    assert not list((settings.data / "restoring").glob("*/")), "nothing is left but the lock"


def test_a_restore_after_a_killed_one_tells_what_any_does(tmp_path: Path, launcher: Launcher) -> None:
    with settled(tmp_path) as (here, _):
        back_up(here.service, SETUP, tmp_path / "b.tar")
    env = {"DRGDIP_DATA": str(tmp_path / "new"), "DRGDIP_DATABASE_URL": ""}
    done = tmp_path / "done"
    args = ("restore", str(tmp_path / "b.tar"))
    assert run(launcher, *args, env=env | {"DRGDIP_FAULT": "books named:1"}, done=done) == ""
    assert run(launcher, *args, env=env, done=done) == "0"
    assert not list((tmp_path / "new").glob("restoring*"))
    assert not list((tmp_path / "new" / "books").glob(".*"))
