"""Runs migrations on the connection that `api.store.migrate` holds: in one transaction, kept whole or not at all."""

from __future__ import annotations

from alembic import context

from api.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
