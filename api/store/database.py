"""The catalogue's database: SQLite in the data folder, or PostgreSQL by its URL; the same tables and rules on both.

Writing transactions take the lock when they begin (SQLite: BEGIN IMMEDIATE), so that none of them fails half way for
want of it. A database that does not answer is `Unavailable`; the caller may try again later, nothing was written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from api.store.faults import point

_WAIT_SECONDS = 30
WRITES = "drgdip_writes"


class Unavailable(Exception):
    """The database does not answer or cannot write; nothing of the transaction was kept."""


class Database:
    """A database with its transactions."""

    def __init__(self, url: str) -> None:
        self.url = sa.engine.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            options: dict[str, Any] = {"connect_args": {"timeout": _WAIT_SECONDS, "check_same_thread": False}}
        else:
            options = {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 20, "pool_timeout": _WAIT_SECONDS}
        self.engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare)
            sa.event.listen(self.engine, "begin", _begin)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. Raises Unavailable."""
        with self._connection(writes=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that is kept whole or not at all. Raises Unavailable."""
        with self._connection(writes=True) as connection:
            yield connection
            point("before commit")
        point("after commit")

    @contextmanager
    def _connection(self, *, writes: bool) -> Iterator[sa.Connection]:
        try:
            with (
                self.engine.connect().execution_options(**{WRITES: writes}) as connection,
                connection.begin(),
            ):
                yield connection
        except DBAPIError as error:
            if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError) or error.connection_invalidated:
                raise Unavailable(type(error.orig).__name__) from error
            raise

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()


def sqlite_url(folder: Path) -> str:
    """The embedded database of a data folder."""
    return f"sqlite:///{(folder / 'drgdip.sqlite').absolute()}"


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_WAIT_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
