"""Small values all parts of the service write alike: times, ids, canonical JSON."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson


def now() -> str:
    """The time, UTC, as the catalogue keeps it."""
    return stamp(datetime.now(UTC))


def stamp(time: datetime) -> str:
    """A time as the catalogue keeps it: text that sorts as time does."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def later(seconds: float, at: datetime | None = None) -> str:
    """The time so many seconds from now, or from another time."""
    return stamp((at or datetime.now(UTC)) + timedelta(seconds=seconds))


def new_id(kind: str) -> str:
    """A new id that nobody can guess, with its kind before it: sub_3f…"""
    return f"{kind}_{secrets.token_hex(12)}"


def canonical(value: object) -> str:
    """A value as JSON with sorted keys: the same text for the same value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def plain(value: object) -> Any:
    """Views of the cores as plain values: decimals and dates as texts."""
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str))


def checksum(text: str | bytes) -> str:
    """sha256 of a text."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
