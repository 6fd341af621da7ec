"""The service as one thing: settings, database, files, jobs; what routes and workers are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from api.service.audit import Actor
from api.service.endings import RULES
from api.service.jobs import Queue
from api.service.own_folders import Sweeper, own_folder
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import has_tokens
from api.store.database import Database
from api.store.files import FileStore
from api.store.migrate import NewerDatabase, has_version, migrate
from api.store.tables import audit_head
from reference_tables.problems import Problem, TablesRefused

ANYONE = Actor("local", Role.ADMIN.value)
"""Who acts where no tokens are asked for: on loopback, when the settings say so."""
WORK = "work"
UNFINISHED = ".restoring"
"""Marks year books that a restore has put there, until the catalogue is there too."""


@dataclass(frozen=True)
class Service:
    """An open service."""

    settings: Settings
    database: Database
    files: FileStore
    queue: Queue
    sweeper: Sweeper

    @property
    def books(self) -> Path:
        """Folder of the year books, one folder a year."""
        return self.settings.data / "books"

    @property
    def work(self) -> Path:
        """This process's folder to work in; what it leaves in it counts for nothing, and goes when it has ended."""
        return own_folder(self.settings.data / WORK)

    def close(self) -> None:
        """Let the database go, and the folders to work in."""
        self.sweeper.end()
        self.database.close()


def is_there(settings: Settings) -> bool:
    """Is there a service in the data folder and the database? Nothing is made. Raises Unavailable."""
    place = make_url(settings.url)
    if not (settings.data / "files").is_dir() or (
        place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file()
    ):
        return False
    database = Database(settings.url)
    try:
        with database.read() as connection:
            return has_version(connection)
    finally:
        database.close()


def open_service(settings: Settings, *, new: bool = True) -> Service:
    """Open the data folder and bring the database up to this program's version.

    Raises TablesRefused (SV23 a database of a later program, SV58 a restore that broke off, SV87 where there is no
    service, unless it may be a `new` one), OSError when the folder cannot be written, Unavailable when the database
    does not answer.
    """
    if not new and not is_there(settings):
        raise TablesRefused("service", [Problem("SV87", {"place": str(settings.data)})])
    settings.data.mkdir(parents=True, exist_ok=True)
    database = Database(settings.url)
    try:
        migrate(database)
    except NewerDatabase as error:
        raise TablesRefused("database", [Problem("SV23", {"found": error.found, "known": error.known})]) from None
    _check_restored(settings, database)
    service = Service(
        settings,
        database,
        FileStore(settings.data, own_folder),
        Queue(database, settings.lease_seconds, settings.most_attempts, RULES),
        Sweeper([settings.data / WORK, settings.data / "temporary"]),
    )
    service.books.mkdir(exist_ok=True)
    return service


def _check_restored(settings: Settings, database: Database) -> None:
    """Year books that a restore has named count only with the catalogue that came after them."""
    mark = settings.data / "books" / UNFINISHED
    if not mark.exists():
        return
    with database.read() as connection:
        entries = connection.execute(sa.select(audit_head.c.seq)).scalar()
    if not entries:
        database.close()
        raise TablesRefused("restore", [Problem("SV58", {"place": str(settings.data)})])
    mark.unlink(missing_ok=True)


def check_address(service: Service) -> None:
    """Refuse to be reached from other machines without tokens. Raises TablesRefused (SV24)."""
    settings = service.settings
    if settings.is_loopback:
        return
    with service.database.read() as connection:
        if settings.open_access or not has_tokens(connection):
            raise TablesRefused(settings.host, [Problem("SV24", {"host": settings.host})])
