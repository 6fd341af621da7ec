"""How far a job is, for those who ask: told to the database now and then, and whole when it has ended."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from api.service.worker import JobContext
from api.store.database import Unavailable
from api.store.tables import job
from grouper.going_on import go_on

_SECONDS = 0.5
"""So old may be what is told."""
_CHUNK = 1 << 20
_LINES = frozenset({".csv", ".txt", ".tsv", ".ndjson", ".jsonl"})


class Progress:
    """How far a job is, of `of` rows or steps (0 = not known)."""

    def __init__(self, context: JobContext, of: int = 0) -> None:
        self._context, self.of, self.done, self._passed = context, of, 0, 0
        self._next = time.monotonic() + _SECONDS

    def tell(self, done: int) -> None:
        """So many are done. Raises as `JobContext.tell`, Cancelled, LeaseLost."""
        whole = done + self._passed
        self.done, self.of = done, max(whole, self.of) if self.of else 0
        self._context.tell(whole, self.of)
        if time.monotonic() >= self._next:
            self.show()

    def look(self, passed: int) -> None:
        """So many more rows without a case are done. Raises as `tell`."""
        self._passed += passed
        self.tell(self.done)

    def show(self) -> None:
        """Let those who ask see it now."""
        with suppress(Unavailable):  # the work goes on; what cannot be written is told at its end
            self._context.hold()
        self._next = time.monotonic() + _SECONDS

    def whole(self, connection: sa.Connection, of: int | None = None) -> None:
        """All is done, in the transaction that ends the job; `of` what all was."""
        of = self.of if of is None else of
        mine = job.c.id == self._context.held.id
        connection.execute(job.update().where(mine).values(progress=of, progress_of=of))


def rows_in(path: Path) -> int:
    """About how many records a file has, without reading them: lines but the header, rows of a Parquet file; 0 where
    it does not tell."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head == b"PAR1":
        try:
            return int(pl.scan_parquet(path).select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
            return 0
    if path.suffix.lower() not in _LINES:
        return 0
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            go_on()
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    lines += last != b"\n"
    return max(0, lines - (path.suffix.lower() not in {".ndjson", ".jsonl"}))
