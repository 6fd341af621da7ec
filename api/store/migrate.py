"""The database's version: brought up to this program's by its migrations, refused when it is of a later one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from api.store.database import Database

_FOLDER = Path(__file__).with_name("migrations")


class NewerDatabase(Exception):
    """The database was brought up by a later program: `found` its version, `known` the latest this program has."""

    def __init__(self, found: str, known: str) -> None:
        self.found, self.known = found, known
        super().__init__(f"database version {found}, program {known}")


def migrate(database: Database, to: str | None = None) -> str:
    """Bring the database up to this program's version (or to an earlier one), and say which it is. Nothing happens
    when it is there.

    Raises NewerDatabase, Unavailable.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    assert head is not None, "there are migrations"
    if to is not None and to not in {revision.revision for revision in script.walk_revisions()}:
        raise NewerDatabase(to, head)
    with database.write() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is not None and found not in {revision.revision for revision in script.walk_revisions()}:
            raise NewerDatabase(found, head)
        if found != head:
            config.attributes["connection"] = connection
            command.upgrade(config, to or "head")
    return to or head


def has_version(connection: sa.Connection) -> bool:
    """Has the database ever been brought up to a version?"""
    return MigrationContext.configure(connection).get_current_revision() is not None


def version_of(connection: sa.Connection) -> str:
    """The version that the database has."""
    return str(MigrationContext.configure(connection).get_current_revision())
