"""A case file as bytes: opening (plain, gzip, standard input), its checksum, and what is said about it."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

import polars as pl

from grouper.going_on import go_on
from reference_tables.problems import Level, Problem, unreadable

STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
_SECONDS = 0.2


class IntakeError(Exception):
    """A file that cannot be read as cases at all; carries every problem found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems if problem.level is Level.ERROR))


class Checksum:
    """SHA-256 of a file, computed beside the reading of it: hashing releases the interpreter lock."""

    def __init__(self, path: Path) -> None:
        self._text = ""
        # opened here, not on the thread: the file may be gone or replaced by then
        self._thread = threading.Thread(target=self._run, args=(path.open("rb"),), name="checksum", daemon=True)
        self._thread.start()

    def _run(self, stream: BufferedReader) -> None:
        with stream:
            self._text = hashlib.file_digest(stream, "sha256").hexdigest()

    def wait(self) -> None:
        """Return when the whole file is hashed. Raises what `go_on` raises."""
        while self._thread.is_alive():
            self._thread.join(_SECONDS)
            go_on()

    @property
    def text(self) -> str:
        """64 hex digits; waits until the whole file is hashed."""
        self.wait()
        return self._text


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Where cases come from.

    `path` is the file's name without its folder (`-` for standard input): messages and proofs must not
    name a folder of somebody's machine. `format` is one of flat, opendrg, hqms, n041, 4101, 4101A;
    `container` csv, xlsx, json, ndjson or parquet; `encoding` of a text file, else ""; `columns` the
    canonical columns that the file has; `bytes` its size as stored.
    """

    path: str
    format: str
    container: str
    encoding: str
    columns: tuple[str, ...]
    bytes: int
    checksum: Checksum = field(repr=False, compare=False)

    @property
    def sha256(self) -> str:
        return self.checksum.text


@dataclass(frozen=True, slots=True)
class CaseBlock:
    """A stretch of a file: the canonical case frame and the problems met while reading it."""

    source: SourceInfo
    cases: pl.DataFrame
    problems: pl.DataFrame


class InputFile:
    """An existing, readable file; standard input is spooled to a temporary one. Use as a context manager."""

    def __init__(self, path: Path | str) -> None:
        """Raises IntakeError when the path is no readable file or the file is empty."""
        self._spool: Path | None = None
        self._checksum: Checksum | None = None
        self.path = Path(path)
        try:
            if str(path) == STDIN:
                self._spool = self.path = _spooled(sys.stdin.buffer)
            with self.path.open("rb") as stream:
                magic = stream.read(2)
            self.size = self.path.stat().st_size
        except OSError as error:
            self.close()
            raise IntakeError([Problem("IN01", {"reason": unreadable(error)}, file=self.name)]) from error
        self.gzipped = magic == _GZIP_MAGIC
        if self.size == 0:
            self.close()
            raise IntakeError([Problem("IN02", file=self.name)])

    @property
    def name(self) -> str:
        return STDIN if self._spool is not None else self.path.name

    @property
    def checksum(self) -> Checksum:
        """The checksum of the file as stored; the first call starts it."""
        if self._checksum is None:
            self._checksum = Checksum(self.path)
        return self._checksum

    def open(self) -> BinaryIO:
        """A fresh stream of the content, unpacked when it is gzip."""
        return cast(BinaryIO, gzip.open(self.path, "rb")) if self.gzipped else self.path.open("rb")

    def head(self, size: int) -> bytes:
        """The first `size` bytes of the content. Raises IntakeError when a gzip file is damaged."""
        try:
            with self.open() as stream:
                return stream.read(size)
        except (OSError, EOFError) as error:
            raise self.refused("IN01", reason=unreadable(error)) from error

    def refused(self, code: str, *, row: int = 0, **args: str | int) -> IntakeError:
        """An error about this file, to be raised."""
        return IntakeError([Problem(code, args, file=self.name, row=row)])

    def close(self) -> None:
        if self._spool is not None:
            if self._checksum is not None:
                self._checksum.wait()
            self._spool.unlink(missing_ok=True)

    def __enter__(self) -> InputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _spooled(stream: BinaryIO) -> Path:
    """Standard input as a temporary file: its format is told by its content, which is then read again."""
    with tempfile.NamedTemporaryFile(prefix="drgdip-", delete=False) as spool:
        shutil.copyfileobj(stream, spool, _CHUNK)
    return Path(spool.name)
