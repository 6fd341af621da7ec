"""Files named by their content: written once, never changed, read by anyone who knows the checksum.

A file is written under a temporary name, flushed to the disk and renamed; only then may the catalogue name it. A crash
leaves at most a temporary file that nobody reads.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from api.store.faults import point
from reference_tables.problems import Problem, TablesRefused

_CHUNK = 1 << 20
_ROOM = 16 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there: `sha256` of its content, `size` bytes."""

    sha256: str
    size: int


class TooLarge(Exception):
    """More bytes were sent than are taken: `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"more than {limit} bytes")


class FileStore:
    """Files of a data folder, by sha256. `own`: which folder in the one for temporary files is this process's."""

    def __init__(self, folder: Path, own: Callable[[Path], Path] | None = None) -> None:
        self.folder = folder / "files"
        self._temporary, self._own = folder / "temporary", own
        for place in (self.folder, self._temporary):
            place.mkdir(parents=True, exist_ok=True)
        self._sound: dict[str, tuple[int, int, int]] = {}
        self._checking = threading.Lock()

    @property
    def temporary(self) -> Path:
        """Where this process writes files that are not whole yet."""
        return self._temporary if self._own is None else self._own(self._temporary)

    def path(self, sha256: str) -> Path:
        """Where the file of a checksum is, its content as it was written: read anew whenever the file is not the one
        that was looked at last. Raises TablesRefused (SV59) when it is gone or changed."""
        place = self._place(sha256)
        try:
            found = place.stat()
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._sound.get(sha256) != seen:
                with place.open("rb") as stream:
                    if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                        raise TablesRefused(place.name, [damaged(sha256, gone=False)])
                self._sound[sha256] = seen
        except FileNotFoundError:
            raise TablesRefused(place.name, [damaged(sha256, gone=True)]) from None
        return place

    def put(self, data: bytes) -> Stored:
        """Keep some bytes."""
        writer = self.writer()
        writer.write(data)
        return writer.keep()

    def put_file(self, path: Path) -> Stored:
        """Keep a copy of a file."""
        writer = self.writer()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                writer.write(chunk)
        return writer.keep()

    def writer(self, limit: int | None = None) -> FileWriter:
        """A file that is written piece by piece; at most `limit` bytes."""
        return FileWriter(self, limit)

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The content of a file, piece by piece."""
        with self.path(sha256).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    def check(self) -> None:
        """Make sure that files can be written now, with room for what a small submission leaves here and in a database
        beside them: the room is taken and given back, by one caller at a time. Raises OSError."""
        with self._checking:
            probe = self.writer()
            try:
                probe.write(b"ready")
                probe.reserve(_ROOM)
                probe.sync()
            finally:
                probe.drop()

    def _place(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise FileNotFoundError("no checksum")
        return self.folder / sha256[:2] / sha256


class FileWriter:
    """One file on its way into the store. Dropped without a trace unless `keep` is called."""

    def __init__(self, store: FileStore, limit: int | None) -> None:
        self._store, self._limit = store, limit
        self._hash, self.size = hashlib.sha256(), 0
        self._path = store.temporary / uuid.uuid4().hex
        self._stream = self._path.open("wb")

    def write(self, data: bytes) -> None:
        """Add some bytes. Raises TooLarge, and drops the file, beyond the limit; OSError on a full disk."""
        self.size += len(data)
        if self._limit is not None and self.size > self._limit:
            self.drop()
            raise TooLarge(self._limit)
        self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError:
            self.drop()
            raise

    def write_all(self, parts: Iterable[bytes]) -> Stored:
        """Add all parts and keep the file; nothing is left of it when they break off."""
        try:
            for part in parts:
                self.write(part)
        except BaseException:
            self.drop()
            raise
        return self.keep()

    def keep(self) -> Stored:
        """Flush and rename; the file is there afterwards, whatever happens."""
        stored = Stored(self._hash.hexdigest(), self.size)
        try:
            self.sync()
            self._stream.close()
            point("file written")
            place = self._store._place(stored.sha256)
            if not place.parent.exists():
                place.parent.mkdir(exist_ok=True)
                _sync_folder(
                    self._store.folder
                )  # else the new folder may be gone after a power cut, with what is in it
            self._path.rename(place)
            _sync_folder(place.parent)
        except OSError:
            self.drop()
            raise
        point("file named")
        return stored

    def reserve(self, size: int) -> None:
        """Have the disk keep room for so many bytes, without writing them. Raises OSError."""
        self._stream.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._stream.fileno(), 0, size)

    def sync(self) -> None:
        """Have everything on the disk that was written so far. Raises OSError."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def drop(self) -> None:
        """Forget what was written."""
        with suppress(OSError):  # a full disk may show only now; the file goes anyway
            self._stream.close()
        self._path.unlink(missing_ok=True)


def damaged(sha256: str, *, gone: bool) -> Problem:
    """What is told of a file that is not what it was."""
    name = f"files/{sha256[:2]}/{sha256}"
    return Problem(
        "SV59", {"path": name, "reason": "不见了" if gone else "与文件名中的校验值不符，被改动过"}, file=name
    )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
