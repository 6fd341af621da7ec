"""The catalogue's database: SQLite in the data folder, or PostgreSQL by its URL; the same tables and rules on both.

Writing transactions take the one lock when they begin (SQLite: BEGIN IMMEDIATE, PostgreSQL: an advisory lock), so that
none fails half way for want of it, and what one has looked up still holds when it writes. They are short: work is done
outside them. A database that does not answer is `Unavailable`; the caller may try again later.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from api.store.faults import point

_WAIT_SECONDS = 30
_LOCK = 20261002
_POSTGRES = {
    "connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3,
    # A program that hangs or is cut off must not hold the lock for ever.
    "options": f"-c lock_timeout={_WAIT_SECONDS}s -c idle_in_transaction_session_timeout=120s",
}  # fmt: skip
WRITES = "drgdip_writes"


class Unavailable(Exception):
    """The database does not answer or cannot write; the transaction was not kept (or, when the very answer to its end
    was lost, may have been: asking again under the same key tells)."""


class Database:
    """A database with its transactions."""

    def __init__(self, url: str) -> None:
        self.url = sa.engine.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            path = Path(self.url.database or "")
            path.touch()  # an empty file is an empty database; later none is made in the place of one that has gone
            options: dict[str, Any] = {"creator": partial(_open, path)}
        else:
            options = {"pool_pre_ping": True, "connect_args": _POSTGRES}
        self.engine = sa.create_engine(
            self.url, pool_size=10, max_overflow=40, pool_timeout=_WAIT_SECONDS, **options
        )  # fmt: skip
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", partial(_prepare, path))
            sa.event.listen(self.engine, "checkout", partial(_same_file, path))
        sa.event.listen(self.engine, "begin", _begin_sqlite if self.is_sqlite else _begin_postgres)

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
            # A SQLite file that is none any more is told by the plain DatabaseError.
            gone = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
            if gone or error.connection_invalidated or type(error) is sa.exc.DatabaseError:
                raise Unavailable(type(error.orig).__name__) from error
            raise
        except sa.exc.TimeoutError as error:
            raise Unavailable("all connections are in use") from error

    def clock(self, connection: sa.Connection) -> datetime:
        """The time by the one clock that all who use the database share: PostgreSQL's own; for SQLite, which is on this
        machine, the machine's."""
        if self.is_sqlite:
            return datetime.now(UTC)
        found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return found.astimezone(UTC)

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()


def place_of(url: str) -> str:
    """Where a database is, without who uses it and the password."""
    found = sa.engine.make_url(url)
    host = found.host or found.query.get("host") or "（默认主机）"
    kind = "PostgreSQL" if found.get_backend_name() == "postgresql" else found.get_backend_name()
    return f"{kind} {host}" + (f":{found.port}" if found.port else "") + f"/{found.database or ''}"


def sqlite_url(folder: Path) -> str:
    """The embedded database of a data folder."""
    return f"sqlite:///{(folder / 'drgdip.sqlite').absolute()}"


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, timeout=_WAIT_SECONDS, check_same_thread=False
    )  # fmt: skip


def _prepare(path: Path, connection: sqlite3.Connection, record: Any) -> None:
    record.info["file"] = _identity(path)
    connection.isolation_level = None  # transactions begin where we say
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_WAIT_SECONDS * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _same_file(path: Path, _connection: object, record: Any, _proxy: object) -> None:
    """A connection whose file was moved away would write where nobody looks: it is given up."""
    if record.info["file"] != _identity(path):
        raise sa.exc.DisconnectionError("the database file is another one")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _begin_postgres(connection: sa.Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _writes(connection: sa.Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES, True))
