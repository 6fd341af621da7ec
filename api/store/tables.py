"""The catalogue's tables, the same on SQLite and PostgreSQL.

Times are text in UTC ("2026-03-05T08:30:00.000000Z"), which sorts as time does and reads the same on both databases;
JSON is canonical text (sorted keys); money is BigInteger fen. A file is named by its sha256 (`api.store.files`), and
whatever points to it is written after it. Nothing is ever deleted: a row ends by its state, or by one that supersedes
it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_RECEIVED = text("state = 'received'")
_ID, _SHA, _TIME, _WORD, _MONTH = String(40), String(64), String(27), String(40), String(7)

token = Table(
    "token",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("hash", _SHA, nullable=False),
    Column("role", _WORD, nullable=False),
    Column("hospital_id", String(64), nullable=False),  # "" for roles of the office
    Column("label", String(200), nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
)
"""API tokens: only the sha256 of the secret is kept."""

document = Table(
    "document",
    metadata,
    Column("kind", _WORD, primary_key=True),  # policy, weights, reform, year_file, hospitals, separate, decisions
    Column("name", String(120), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("sha256", _SHA, nullable=False),
    Column("media_type", String(80), nullable=False),  # "": with this version the document is taken away
    Column("created_at", _TIME, nullable=False),
    Column("created_by", _ID, nullable=False),
    Column("reason", Text, nullable=False),
)
"""What the office works by, each change a new version: policies, year files, registers, lists."""

submission = Table(
    "submission",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("hospital_id", String(64), nullable=False),
    Column("month", _MONTH, nullable=False),
    Column("kind", _WORD, nullable=False),  # new, correction, withdrawal
    Column("sha256", _SHA, nullable=False),  # of the bytes as sent
    Column("file_name", String(200), nullable=False),
    Column("format", _WORD, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", _WORD, nullable=False),  # received, accepted, done, refused, superseded, withdrawn, cancelled
    Column("reason", Text, nullable=False),  # of a correction or withdrawal
    Column("supersedes", _ID, ForeignKey("submission.id")),
    Column("rows", BigInteger),
    Column("accepted", BigInteger),
    Column("rejected", BigInteger),
    Column("cases_sha256", _SHA),  # accepted cases, Parquet
    Column("results_sha256", _SHA),  # their groups and expected payments, Parquet
    Column("problems_sha256", _SHA),  # problems of all rows, Parquet
    Column("summary", Text),
    Column("job_id", _ID, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("created_by", _ID, nullable=False),
    Column("finished_at", _TIME),
    Index("ix_submission_month_state", "month", "state"),
    Index(
        "uq_submission_received", "hospital_id", "month", "kind", "sha256",
        unique=True, sqlite_where=_RECEIVED, postgresql_where=_RECEIVED,
    ),
)  # fmt: skip
"""A hospital's file of one month, its cases and what became of them. The same bytes are one submission while it stands
as it was told (`api.service.submissions`); the database itself knows that they never wait twice to be worked on."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("token_id", _ID, primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request_sha256", _SHA, nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
)
"""Answers given under an Idempotency-Key, with a checksum of the request they belong to."""

job = Table(
    "job",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", _WORD, nullable=False),
    Column("key", String(200), nullable=False, unique=True),  # the same key is the same job
    Column("args", Text, nullable=False),
    Column("state", _WORD, nullable=False),  # queued, running, done, failed, cancelled
    Column("attempts", Integer, nullable=False),
    Column("lease", _ID),  # who holds it; a finish with another lease is refused
    Column("lease_until", _TIME),
    Column("waits_for", _ID),  # the job that has to end first
    Column("holder", String(120)),  # the process that holds it: known to be dead, its lease counts for nothing
    Column("progress", BigInteger, nullable=False),
    Column("progress_of", BigInteger, nullable=False),
    Column("cancel", Integer, nullable=False),
    Column("result", Text),
    Column("error", Text),  # a problem as JSON
    Column("created_at", _TIME, nullable=False),
    Column("created_by", _ID, nullable=False),
    Column("hospital_id", String(64), nullable=False),  # whose it is; "" for the office's
    Column("finished_at", _TIME),
    Index("ix_job_state_created", "state", "created_at"),
)
"""Work that takes longer than a request: leased, repeated after a crash, finished exactly once."""

run = Table(
    "run",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", _WORD, nullable=False),  # budget, settle, clear, simulate
    Column("year", Integer, nullable=False),
    Column("month", _MONTH, nullable=False),  # "" for runs of a year
    Column("state", _WORD, nullable=False),  # draft, confirmed, disputed, approved, locked, superseded
    Column("run_id", _SHA, nullable=False),  # of the proof
    Column("supersedes", _ID, ForeignKey("run.id")),
    Column("summary", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("files", Text, nullable=False),  # name -> sha256
    Column("job_id", _ID, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("created_by", _ID, nullable=False),
    Index("ix_run_kind_year", "kind", "year", "month"),
)
"""Runs of the office with what they left behind, by content."""

answer = Table(
    "answer",
    metadata,
    Column("run", _ID, ForeignKey("run.id"), primary_key=True),
    Column("hospital_id", String(64), primary_key=True),
    Column("state", _WORD, nullable=False),  # confirmed, disputed
    Column("comment", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("created_by", _ID, nullable=False),
)
"""What a hospital says of a clearing's draft; the last word counts, the audit keeps them all."""

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", _TIME, nullable=False),
    Column("actor", _ID, nullable=False),
    Column("role", _WORD, nullable=False),
    Column("action", _WORD, nullable=False),
    Column("object", String(200), nullable=False),
    Column("details", Text, nullable=False),
    Column("before", _SHA, nullable=False),  # hash of the entry before
    Column("hash", _SHA, nullable=False),
)
"""Who did what, when, to what, with which inputs; each entry carries the hash of the one before."""

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", _SHA, nullable=False),
)
"""The last entry's number and hash: one row, locked while an entry is added."""
