"""Log lines: one JSON object each, with the request or job that it is about; never a value that was sent.

What an exception says may quote a case, and so may the values of a frame: of exceptions only kind and place are told.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from api.service.quiet import trace_of

ABOUT: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)
"""What is being worked on: {"request_id": …} or {"job": …}."""
log = logging.getLogger("drgdip.stderr")
_PANIC = re.compile(rb"^thread '.{0,100}panicked at ([A-Za-z0-9_./-]{1,200}\.rs:\d{1,6}:\d{1,6}):", re.MULTILINE)
_MOST = 1 << 16
_TOGETHER = 0.05


class JsonLines(logging.Formatter):
    """A record as one line of JSON: at (UTC), level, logger, message, what it is about, and its own `fields`."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """The line's bytes, without its end."""
        second, text = self._second
        if int(record.created) != second:
            second = int(record.created)
            text = datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
            self._second = second, text
        line: dict[str, Any] = {
            "at": f"{text}.{int(record.created * 1000) % 1000:03d}+00:00", "level": record.levelname,
            "logger": record.name, "message": record.getMessage(), **(ABOUT.get() or {}),
            **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = trace_of(record.exc_info[1])
        return orjson.dumps(line, default=str)


class _Lines(logging.Handler):
    """Writes each record at once and whole, so that lines of several processes do not mix."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place, self._lines = place, JsonLines()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what nobody can read any more is dropped, the work goes on."""
        with suppress(OSError):
            left = self._lines.line(record) + b"\n"
            while left:
                left = left[os.write(self.place, left) :]


def log_as_json() -> None:
    """Let the whole process log so, on the standard error; what lines do not show is not looked up for each of them."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # nor where in the program it was logged
    logging.basicConfig(level=logging.INFO, handlers=[_Lines(2)], force=True)


def keep_others_out() -> None:
    """Let nothing but lines of JSON get onto the standard error, whatever writes there: for libraries' own messages (a
    reader that panics over a damaged file quotes what it read) one line is logged that tells how many there were and
    where in the library they came from, none of their text."""
    root = logging.getLogger()
    ours = os.dup(2)
    for handler in root.handlers:
        if isinstance(handler, _Lines):
            handler.place = ours
    reading, writing = os.pipe()
    os.set_blocking(writing, False)  # rather lost than that a library waits, with all other threads, to be read
    os.dup2(writing, 2)
    os.close(writing)
    threading.Thread(target=_told_of, args=(reading,), name="standard-error", daemon=True).start()


def _told_of(place: int) -> None:
    """Log what comes out of a pipe, as described."""
    while data := os.read(place, _MOST):
        time.sleep(_TOGETHER)  # what belongs together is told together
        with suppress(OSError):
            os.set_blocking(place, False)
            while more := os.read(place, _MOST):
                data += more
        os.set_blocking(place, True)
        found = _PANIC.search(data)
        fields = {"lines": data.count(b"\n"), **({"place": found[1].decode()} if found else {})}
        log.warning("a library wrote to the standard error", extra={"fields": fields})
