"""Log lines: one JSON object each, with the request or job that it is about; never a value that was sent.

What an exception says may quote a case, and so may the values of a frame: of exceptions only kind and place are told.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

from api.service.quiet import trace_of

ABOUT: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)
"""What is being worked on: {"request_id": …} or {"job": …}."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON: at (UTC), level, logger, message, what it is about, and its own `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname, "logger": record.name, "message": record.getMessage(), **(ABOUT.get() or {}),
            **getattr(record, "fields", {}),
        }  # fmt: skip
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = trace_of(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def log_as_json() -> None:
    """Let the whole process log so, on the standard error; what lines do not show is not looked up for each of them."""
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
