"""Names that a JSON object gives twice. A lenient reader keeps the last one in silence, and so loses what stood under
the first: a cost, a diagnosis, a whole list of operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_LONGEST_NAME, _LONGEST_PLACE = 60, 200
_ENDS_NAME = (b'":', b" :", b"\t:", b"\n:", b"\r:")
"""The colon of a member stands behind the quotation mark of its name, or behind a blank."""

Marks = Any
"""A JSON value of which only what leads to names given twice was kept: lists whole as far as their places count,
`Marked` objects, nothing else."""


class Marked(dict[str, Marks]):
    """An object within which a name is given twice: `twice` the first of its own, else its members that hold one."""

    twice: str = ""


def surely_once(text: bytes, value: Any) -> bool:
    """Is no name of any object given twice in `text`, of which a lenient reader made `value`? False where it is not
    sure; the names themselves are to be looked at then.

    Every member of every object is written with a colon, so there are at least as many of them (that stand behind a
    quotation mark or a blank) as members written, and at least as many of these as members kept. Where the first number
    equals the last, no name was given twice.
    """
    if type(value) is dict and text.count(b":") == len(value):
        return True
    return sum(map(text.count, _ENDS_NAME)) == _members(value)


def marks_of(text: bytes | str, constant: Callable[[str], Any] = str) -> Marks:
    """The names given twice in UTF-8 JSON. Numbers are not what is looked for: they stay texts, however long. NaN and
    its like go to `constant`. Raises ValueError (no JSON), RecursionError (nested too deeply)."""
    read = text.decode() if isinstance(text, bytes) else text
    return json.loads(read, object_pairs_hook=_marks, parse_int=str, parse_float=str, parse_constant=constant)


def first_doubled(marks: Marks, place: str) -> str | None:
    """Where the first name stands that its object gives twice, below `place`, as `body.cases.0.sex`, lists counted
    from 0; None where there is none."""
    left: list[tuple[str, Marks]] = [(place, marks)]
    while left:
        at, item = left.pop()
        if isinstance(item, Marked) and item.twice:
            return _below(at, item.twice)
        left += reversed([(_below(at, name)[:_LONGEST_PLACE], part) for name, part in _parts(item)])
    return None


def _members(value: Any) -> int:
    """The members of all objects in a value, as the reader made it: of nothing but its own lists and objects."""
    left: list[Any] = [[value]]
    members = 0
    for item in left:
        parts: Iterable[Any] = item
        if type(item) is dict:
            members += len(item)
            parts = item.values()
        left += [part for part in parts if type(part) is dict or type(part) is list]
    return members


def _marks(pairs: list[tuple[str, Marks]]) -> Marked | None:
    names = [name for name, _ in pairs]
    found = Marked((name, part) for name, part in pairs if _holds_marks(part))
    if len(set(names)) < len(names):
        found.twice = next(name for name in names if names.count(name) > 1)
    return found if found or found.twice else None


def _holds_marks(part: Marks) -> bool:
    left = [part]
    while left:
        item = left.pop()
        if isinstance(item, Marked):
            return True
        if isinstance(item, list):
            left += item
    return False


def _below(place: str, name: str) -> str:
    shown = name[:_LONGEST_NAME].encode("utf-8", "replace").decode()
    return f"{place}.{shown}" if place else shown


def _parts(item: Marks) -> Iterator[tuple[str, Marks]]:
    """What an object or a list holds, by name or number; nothing for other values."""
    if isinstance(item, dict):
        yield from item.items()
    elif isinstance(item, list):
        yield from ((str(at), part) for at, part in enumerate(item))
