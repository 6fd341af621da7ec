"""A backup put back: into an empty data folder and an empty database of either kind, checked before it counts.

Everything is put under another name first (`restoring` in the data folder) and checked. Then the year books get their
name by one rename, marked as unfinished, and the catalogue comes last, in one transaction; with it there the mark means
nothing. A restore that breaks off, killed at whatever moment, can be done again: what it left counts for nothing, no
service opens over it, and the next restore takes it away. Files by content may be there already.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import orjson
import sqlalchemy as sa

from api.core.book import INDEX, locked, open_book
from api.core.book_check import sound, verify_book
from api.service.audit import Actor, record, verify
from api.service.backup import FORMAT, MANIFEST, Backup
from api.service.context import UNFINISHED
from api.service.settings import Settings
from api.store.database import Database, Unavailable
from api.store.faults import point
from api.store.files import FileStore
from api.store.migrate import NewerDatabase, migrate
from api.store.tables import audit_head, metadata
from reference_tables.problems import Problem, TablesRefused

_FOLDER = "restoring"
_NAME = re.compile(r"tables/[a-z_]+\.ndjson|files/[0-9a-f]{2}/[0-9a-f]{64}|books/[0-9]{4}/[\w\-./]+")
_BLOCK = 1 << 20
_ROWS = 1_000
_LARGEST_MANIFEST = 1 << 30


def restore(settings: Settings, actor: Actor, source: Path) -> Backup:
    """Put a backup back.

    Raises TablesRefused: SV23 a backup of a later program, SV50 not a backup or changed since it was made, SV51 the
    data folder or the database is not empty; BookRefused while another restore works there; OSError, Unavailable.
    Nothing counts then.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    folder, books = settings.data / _FOLDER, settings.data / "books"
    with locked(folder):
        for left in folder.glob("*/"):
            shutil.rmtree(left)
        if any(books.glob(f"*/{INDEX}")) and not (books / UNFINISHED).exists():
            raise _refused("SV51", place=str(books))
        database = Database(settings.url)
        try:
            with _opened(source) as (packed, manifest):
                _prepare(database, str(manifest["database"]))
                _unpack(packed, manifest["members"], FileStore(settings.data), folder)
                _check_books(folder / "books")
                point("backup unpacked")
                years = _name_books(folder, books)
                os.sync()  # a catalogue that is on the disk finds its files and books there
                point("books named")
                try:
                    entries = _load(database, manifest, folder / "tables", actor, source.name)
                except Unavailable:  # kept or not: the mark stays, and the catalogue tells
                    raise
                except BaseException:
                    books.rename(folder / "back")
                    raise
            (books / UNFINISHED).unlink()
            migrate(database)
        finally:
            database.close()
            for left in folder.glob("*/"):
                shutil.rmtree(left)
    shutil.rmtree(folder, ignore_errors=True)
    sizes = [item["size"] for item in manifest["members"].values()]
    return Backup(len(sizes), sum(sizes), dict(manifest["rows"]), years, entries)


def _name_books(folder: Path, books: Path) -> tuple[str, ...]:
    """Give the unpacked year books their name, all at once and marked as unfinished; the years. What was there without
    counting goes."""
    new = folder / "books"
    new.mkdir(exist_ok=True)
    years = tuple(sorted(path.name for path in new.iterdir()))
    (new / UNFINISHED).touch()
    if books.exists():
        books.rename(folder / "before")
    new.rename(books)
    return years


def _refused(code: str, **args: str | int) -> TablesRefused:
    return TablesRefused("backup", [Problem(code, args)])


@contextmanager
def _opened(source: Path) -> Iterator[tuple[tarfile.TarFile, dict[str, Any]]]:
    try:
        with tarfile.open(source, "r:") as packed:
            first = packed.next()
            stream = None if first is None or first.name != MANIFEST else packed.extractfile(first)
            if first is None or stream is None or first.size > _LARGEST_MANIFEST:
                raise _refused("SV50", reason=f"开头没有 {MANIFEST}")
            manifest = orjson.loads(stream.read())
            if manifest.get("format") != FORMAT:
                raise _refused("SV50", reason=f"格式 {manifest.get('format')}，本程序只认识 {FORMAT}")
            yield packed, manifest
    except (tarfile.TarError, EOFError) as error:
        raise _refused("SV50", reason=f"不是完整的 tar 文件（{error}）") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _refused("SV50", reason=f"内容不合格式（{type(error).__name__}）") from None


def _prepare(database: Database, version: str) -> None:
    """The backup's tables in an empty database."""
    try:
        migrate(database, version)
    except NewerDatabase as error:
        raise _refused("SV23", found=error.found, known=error.known) from None
    with database.read() as connection:
        if connection.execute(sa.select(audit_head.c.seq)).scalar() != 0:
            raise _refused("SV51", place=database.url.render_as_string())


def _unpack(packed: tarfile.TarFile, members: dict[str, Any], files: FileStore, folder: Path) -> None:
    """Every member where it belongs, each as the manifest says."""
    left = dict(members)
    for item in packed:
        if item.name == MANIFEST:
            continue
        wanted = left.pop(item.name, None)
        stream = packed.extractfile(item) if item.isreg() else None
        if wanted is None or stream is None or not _NAME.fullmatch(item.name) or ".." in item.name:
            raise _refused("SV50", reason=f"多出 {item.name}")
        if item.name.startswith("files/"):
            stored = files.writer().write_all(iter(partial(stream.read, _BLOCK), b""))
            found = (stored.sha256, stored.size)
        else:
            found = _copied(stream, folder / item.name)
        if found != (wanted["sha256"], wanted["size"]):
            raise _refused("SV50", reason=f"{item.name} 与清单中的校验值不符")
    if left:
        raise _refused("SV50", reason=f"缺少 {next(iter(left))} 等 {len(left)} 个文件")


def _copied(stream: IO[bytes], place: Path) -> tuple[str, int]:
    place.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with place.open("wb") as out:
        while chunk := stream.read(_BLOCK):
            digest.update(chunk)
            size += len(chunk)
            out.write(chunk)
    return digest.hexdigest(), size


def _check_books(folder: Path) -> None:
    for path in sorted(folder.glob(f"*/{INDEX}")):
        problems = verify_book(open_book(path.parent))
        if not sound(problems):
            raise TablesRefused(f"books/{path.parent.name}", problems)


def _load(database: Database, manifest: dict[str, Any], folder: Path, actor: Actor, name: str) -> int:
    """The catalogue's rows, in one transaction that ends only when the audit is whole; entries of the audit."""
    with database.write() as connection:
        found = sa.MetaData()
        found.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name not in manifest["tables"]:
                continue
            columns, rows = manifest["tables"][table.name], []
            connection.execute(found.tables[table.name].delete())
            with (folder / f"{table.name}.ndjson").open("rb") as stream:
                for line in stream:
                    rows.append(dict(zip(columns, orjson.loads(line), strict=True)))
                    if len(rows) == _ROWS:
                        connection.execute(found.tables[table.name].insert(), rows)
                        rows = []
            if rows:
                connection.execute(found.tables[table.name].insert(), rows)
        verdict = verify(connection)
        if verdict.broken is not None:
            raise _refused("SV50", reason=f"审计链在第 {verdict.broken} 条不符")
        record(connection, actor, "backup.restore", name, {"entries": verdict.entries})
    return verdict.entries
