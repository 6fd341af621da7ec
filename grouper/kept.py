"""What is made ready from an object once and lives as long as it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Made = TypeVar("_Made")


def kept_with(owner: object, name: str, make: Callable[[], _Made]) -> _Made:
    """What `make` gives, made once for `owner` and kept in it under a name; safe to share between threads.

    A table beside it would keep the owner itself for ever where what is made refers to it, weak keys or not.
    """
    kept = vars(owner)
    if name not in kept:
        kept.setdefault(name, make())
    made: _Made = kept[name]
    return made
