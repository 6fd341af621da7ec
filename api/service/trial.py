"""A binary table or a workbook is read for trial first, in a process of its own that may die of it.

A damaged or made-up file can make the reader ask for more memory than there is in the world, inside of a packed page
where nobody sees it before; the reader then ends its whole process. Here that is a helper, which is started at need,
kept, and replaced when it has died; the service goes on and says that the file is damaged. The helper ends with the
process that it helps. Workbooks, which take long, have a helper of their own.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import orjson

from grouper.going_on import go_on

SOUND, LARGE, DAMAGED = "sound", "large", "damaged"
_READY = b"ready\n"
_SECONDS = 0.2


class _Helper:
    """The helper, one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, source: Path | bytes, limit: int | None) -> str:
        """What it says of a table, or of a workbook (limit None); DAMAGED when it dies of it. Raises OSError when there
        can be no helper."""
        path = str(source.absolute()) if isinstance(source, Path) else ""
        asked = orjson.dumps([path, 0 if isinstance(source, Path) else len(source), limit]) + b"\n"
        while not self._lock.acquire(timeout=_SECONDS):
            go_on()
        try:
            process = self._started()
            with suppress(BrokenPipeError):
                given = cast("IO[bytes]", process.stdin)
                given.write(asked)
                if isinstance(source, bytes):
                    given.write(source)
                given.flush()
            told = _answer(process)
            if not told:
                process.wait()  # it dies, which takes a moment: the next is not to be asked of it
            return told or DAMAGED
        finally:
            self._lock.release()

    def end(self) -> None:
        """Let it go."""
        with self._lock:
            if self._process is not None:
                with suppress(OSError):
                    self._process.communicate()  # closes its input, and waits
                self._process = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            if self._process.poll() is None:
                return self._process
            for stream in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    cast("IO[bytes]", stream).close()
        path = os.pathsep.join(place or os.getcwd() for place in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api.service.trial"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONPATH": path, "POLARS_MAX_THREADS": "1", "RUST_BACKTRACE": "0"},
        )  # fmt: skip
        if cast("IO[bytes]", self._process.stdout).readline() != _READY:
            raise OSError("no process can be started to read tables for trial")
        return self._process


def _answer(process: subprocess.Popen[bytes]) -> str:
    """What the helper says, "" when it dies. Raises what `go_on` raises: then it is ended, whatever it is at."""
    given = cast("IO[bytes]", process.stdout)
    try:
        while not select.select([given], [], [], _SECONDS)[0]:
            go_on()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return given.readline().decode().strip()


_of_tables, _of_workbooks = _Helper(), _Helper()
atexit.register(_of_tables.end)
atexit.register(_of_workbooks.end)


def tried(source: Path | bytes, limit: int) -> str:
    """Can a Parquet file be read to its end? SOUND; LARGE when its texts, written out, take more than `limit` bytes;
    DAMAGED. Raises OSError when that cannot be tried."""
    return _of_tables.ask(source, limit)


def outlived(workbook: Path) -> bool:
    """Can a workbook (its name ends in .xlsx) be read without the reader ending its process? Whether it can be made use
    of is another question. Raises OSError when that cannot be tried."""
    return _of_workbooks.ask(workbook, None) == SOUND


def main() -> None:
    """Answer one question after the other, until there are no more."""
    from api.service.binary_tables import UNREADABLE, read_through
    from reference_tables.spreadsheets import BrokenWorkbook, open_spreadsheet

    given, told = sys.stdin.buffer, sys.stdout.buffer
    told.write(_READY)
    told.flush()
    while line := given.readline():
        path, size, limit = orjson.loads(line)
        source = Path(path) if path else io.BytesIO(given.read(size))
        verdict = SOUND
        try:
            if limit is None:
                book = open_spreadsheet(Path(path))
                for name in book.names:
                    book.load(name, dtypes="string")
            elif not read_through(source, limit):
                verdict = LARGE
        except BrokenWorkbook:  # of which the service does not die either: it tells why
            pass
        except UNREADABLE:
            verdict = DAMAGED
        told.write(verdict.encode() + b"\n")
        told.flush()


if __name__ == "__main__":
    main()
