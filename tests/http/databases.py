"""Databases for the service's tests: an embedded SQLite, and an embedded PostgreSQL where the machine can run one."""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.store.database import Database, sqlite_url
from api.store.migrate import migrate


@cache
def postgres_url() -> str:
    """The URL of a PostgreSQL server of this test process, started when first asked for. Skips without one."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver")
        server = pgserver.get_server(tempfile.mkdtemp(prefix="drgdip-pg-"), cleanup_mode="delete")
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def own_postgres() -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """A PostgreSQL server for one test alone: its URL, what stops it and what starts it again. Skips without one."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.mkdtemp())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver")
        server = pgserver.get_server(tempfile.mkdtemp(prefix="drgdip-pg-"), cleanup_mode="delete")

    def stop() -> None:
        pgserver.pg_ctl(["-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)

    try:
        url = str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://", 1)
        yield url, stop, server.ensure_postgres_running
    finally:
        server.cleanup()


def fresh_url(kind: str, folder: Path) -> str:
    """The URL of an empty database: "sqlite" in a folder, or "postgres"."""
    if kind == "sqlite":
        return sqlite_url(folder)
    whole = sa.engine.make_url(postgres_url())
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(whole, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return whole.set(database=name).render_as_string(hide_password=False)


def fresh_database(kind: str, folder: Path) -> Database:
    """A database with this program's tables."""
    database = Database(fresh_url(kind, folder))
    migrate(database)
    return database
