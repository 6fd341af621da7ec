"""A backup of the whole service in one file, taken while it runs, and restored on either database.

    manifest.json         versions, and of every other member its size and sha256; the first member
    tables/NAME.ndjson    the rows of a table, one JSON array a line
    files/ab/SHA256       files by content
    books/YEAR/...        year books, each as its index names it

The catalogue is read in one transaction that sees it as it was at one moment. The year books are held at that moment,
so that none is ahead of the catalogue but by a settlement whose job is under way: that one is done again after the
restore, and the book answers with what it has. Everything else is only ever added, and is copied afterwards.

Every file is hashed as it is copied, and must be as its name or its book says; the audit is read from its first entry,
and no book may be older than the catalogue: there is no backup that cannot be restored because it was taken over
damaged files.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, cast

import orjson
import sqlalchemy as sa

from api.core.book import HELD, INDEX, BookRefused, book_of, locked
from api.core.book_seals import file_fault
from api.service.audit import BROKEN_ZH, Actor, record, verify
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.values import now
from api.store.files import damaged
from api.store.migrate import version_of
from api.store.tables import document, metadata, run, submission
from grouper.proof import file_sha256, program_version
from reference_tables.problems import Problem, TablesRefused

FORMAT = 1
MANIFEST = "manifest.json"
_WAIT_SECONDS = 600.0
_ROWS = 5_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds, all of it checked: `members` files, `size` bytes, the `rows` of each table, the `books` by
    year, `entries` of the audit."""

    members: int
    size: int
    rows: dict[str, int]
    books: tuple[str, ...]
    entries: int


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of the backup: its content in memory, or where it is."""

    name: str
    size: int
    sha256: str
    source: bytes | Path


def back_up(service: Service, actor: Actor, target: Path) -> Backup:
    """Write a backup, whole or not at all.

    Raises BookRefused when a book is held too long, older than the catalogue or its index not as it was written,
    TablesRefused with every file that is gone or changed (ST60 of a book, SV59) and for an audit that does not fit
    (SV81), Unavailable, OSError.
    """
    with service.database.read() as connection:
        years = connection.execute(sa.select(run.c.year).distinct()).scalars().all()
    for year in years:
        year_book(service, str(year))
    with service.database.write() as connection:
        record(connection, actor, "backup.make", target.name)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        found = _written(service, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _written(service: Service, place: Path) -> Backup:
    with ExitStack() as held:
        indexes, connection = _moment(service, held)
        members, damaged = list(_books(service, indexes)), list(_missing(service, connection))
        audited = verify(connection)
        if audited.broken is not None:
            damaged.append(Problem("SV81", {"entry": audited.broken, "reason": BROKEN_ZH[audited.why]}))
        version = version_of(connection)
        counts: dict[str, int] = {}
        with tarfile.open(place, "w") as packed, ExitStack() as folder:
            work = Path(folder.enter_context(TemporaryDirectory(dir=service.work)))
            for table in metadata.sorted_tables:
                path = work / table.name
                counts[str(table.name)] = _dump(connection, table, path)
                members.append(_of_file(f"tables/{table.name}.ndjson", path))
            held.close()  # the moment has been kept
            members += _contents(service)
            _add(packed, MANIFEST, _manifest(version, counts, members))
            damaged += [fault for member in members if (fault := _copied(packed, member)) is not None]
    if damaged:
        raise TablesRefused("backup", damaged)
    with place.open("rb") as stream:
        os.fsync(stream.fileno())
    years = tuple(sorted(indexes))
    return Backup(len(members), sum(member.size for member in members), counts, years, audited.entries)


def _moment(service: Service, held: ExitStack) -> tuple[dict[str, bytes], sa.Connection]:
    """The books' indexes and a transaction that see the same moment: the books are held while it begins."""
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        with ExitStack() as books:
            names = _years(service)
            try:
                for name in names:
                    books.enter_context(locked(service.books / name))
            except BookRefused as error:
                if error.problems[0].code != HELD or time.monotonic() > until:
                    raise
                time.sleep(0.1)
                continue
            with ExitStack() as begun:
                connection = begun.enter_context(service.database.read())
                version_of(connection)  # the transaction sees what is there now
                if _years(service) == names:
                    held.push(begun.pop_all())
                    return {name: (service.books / name / INDEX).read_bytes() for name in names}, connection


def _years(service: Service) -> list[str]:
    return sorted(path.parent.name for path in service.books.glob(f"*/{INDEX}"))


def _books(service: Service, indexes: dict[str, bytes]) -> Iterator[_Member]:
    """The files of the books; what the index of the moment does not name stays out. Raises BookRefused for an index
    that is not as it was written."""
    for year, index in indexes.items():
        book = book_of(service.books / year, index)
        book.check_index()
        named = {file.path: file.sha256 for each in book.runs for file in each.files}
        for path, sha256 in sorted(named.items()):
            place = service.books / year / path
            yield _Member(f"books/{year}/{path}", _size(place), sha256, place)
        yield _Member(f"books/{year}/{INDEX}", len(index), hashlib.sha256(index).hexdigest(), index)


def _contents(service: Service) -> Iterator[_Member]:
    """All files by content: more than the catalogue of the moment names, never less."""
    for path in sorted(service.files.folder.glob(f"*/{'[0-9a-f]' * 64}")):
        yield _Member(f"files/{path.parent.name}/{path.name}", path.stat().st_size, path.name, path)


def _missing(service: Service, connection: sa.Connection) -> Iterator[Problem]:
    """Files by content that the catalogue names and that are not there."""
    named: set[str] = set()
    for table in (document, submission):
        columns = [column for column in table.columns if column.name.endswith("sha256")]
        for row in connection.execute(sa.select(*columns)):
            named.update(value for value in row if value)
    for files in connection.execute(sa.select(run.c.files)).scalars():
        named.update(orjson.loads(files).values())
    for sha256 in sorted(named):
        if not (service.files.folder / sha256[:2] / sha256).is_file():
            yield _fault(f"files/{sha256[:2]}/{sha256}", gone=True)


def _size(path: Path) -> int:
    """Of a file, 0 when it is gone: that is told when it is copied."""
    return path.stat().st_size if path.is_file() else 0


def _dump(connection: sa.Connection, table: sa.Table, path: Path) -> int:
    """The rows of a table in the order of its key; how many."""
    count = 0
    order = list(table.primary_key)
    if table.name in {"submission", "run"}:
        order = [table.c.created_at, *order]  # what is superseded comes before what supersedes it
    with path.open("wb") as out:
        rows = connection.execution_options(yield_per=_ROWS).execute(sa.select(table).order_by(*order))
        for row in rows:
            out.write(orjson.dumps(list(row)) + b"\n")
            count += 1
    return count


def _of_file(name: str, path: Path) -> _Member:
    return _Member(name, path.stat().st_size, file_sha256(path), path)


def _manifest(version: str, counts: dict[str, int], members: list[_Member]) -> bytes:
    content: dict[str, Any] = {
        "format": FORMAT, "program": program_version(), "database": version, "made": now(), "rows": counts,
        "tables": {str(table.name): [str(column.name) for column in table.columns] for table in metadata.sorted_tables},
        "members": {member.name: {"size": member.size, "sha256": member.sha256} for member in members},
    }  # fmt: skip
    return orjson.dumps(content, option=orjson.OPT_INDENT_2)


def _copied(packed: tarfile.TarFile, member: _Member) -> Problem | None:
    """Add a file; what is wrong with it, None when it is as it should be."""
    try:
        digest = _add(packed, member.name, member.source)
    except FileNotFoundError:
        return _fault(member.name, gone=True)
    return None if digest == member.sha256 else _fault(member.name, gone=False)


def _fault(name: str, *, gone: bool) -> Problem:
    if name.startswith("books/"):
        return file_fault(name, gone=gone)
    return damaged(name.rsplit("/", 1)[-1], gone=gone)


def _add(packed: tarfile.TarFile, name: str, source: bytes | Path) -> str:
    """Add a file as it is now; the sha256 of what was added."""
    about = tarfile.TarInfo(name)
    about.mode = 0o600
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        about.size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        hashed = _Hashed(stream)
        packed.addfile(about, cast("IO[bytes]", hashed))
    return hashed.digest.hexdigest()


class _Hashed:
    """A stream that hashes what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.digest = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data
