"""What a lenient reader would pass over in silence, and then answer another question than the one that was meant: names
in the query that a route does not know, names given twice, there or in a JSON object, JSON's non-numbers, and bodies
that say they are something else than JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import Request

from api.http.errors import Refused, media_refused
from reference_tables.problems import Problem

QueryNames = Mapping[tuple[str, str], frozenset[str]]
JSON = "application/json"
_LONGEST_PLACE = 200
_ENDS_NAME = (b'":', b" :", b"\t:", b"\n:", b"\r:")
"""The colon of a member stands behind the quotation mark of its name, or behind a blank."""


def query_names(described: Mapping[str, Any]) -> QueryNames:
    """The names that routes take in the query, by method and path, from the interface's description."""
    return {
        (method.upper(), path): frozenset(
            item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"
        )
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }  # fmt: skip


async def check_given(request: Request) -> None:
    """Is everything given once, and known? Refused (SV04)."""
    route = request.scope.get("route")
    if request.scope["query_string"]:
        known = request.app.state.query_names.get((request.method, getattr(route, "path", "")))
        names = [name for name, _ in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)]
        if known is not None:
            problems = [
                _problem(f"query.{name[:60]}", "没有这一项") for name in dict.fromkeys(names) if name not in known
            ]
            twice = [name for name in dict.fromkeys(names) if name in known and names.count(name) > 1]
            problems += [_problem(f"query.{name}", "只能给一次") for name in twice]
            if problems:
                raise Refused(*problems)
    if getattr(route, "body_field", None) is not None:
        body = await request.body()  # has been read already, to be checked against its form
        if body:
            # What is no JSON is refused by who reads it.
            with suppress(ValueError):
                _refuse_doubled(json.loads(body, object_pairs_hook=_object, parse_constant=_no_number))


def media_of(request: Request) -> str:
    """The media type that the body is said to have; that of JSON for its kinds (`application/geo+json`)."""
    media = request.headers.get("content-type", "")
    if media == JSON:
        return JSON
    media = media.partition(";")[0].strip().lower()
    return JSON if media.startswith("application/") and media.endswith("+json") else media


def read_json(request: Request, body: bytes, line: int = 0) -> Any:
    """A body, or a line of one (from 1), as plain values. Refused: SV09 no JSON, SV14 packed, SV04 a name given twice.

    Every member of every object is written with a colon, so there are at least as many of them (that stand behind a
    quotation mark or a blank) as members written, and at least as many of these as members kept. Where the first number
    equals the last, no name was given twice; only where it does not are the names themselves looked at.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise media_refused(request, JSON) from None
        reason = f"第 {line} 行不是 JSON" if line else "不是 JSON"
        raise Refused(Problem("SV09", {"reason": reason}, row=line)) from None
    if type(value) is dict and body.count(b":") == len(value):
        return value
    if sum(map(body.count, _ENDS_NAME)) != _members(value):
        # Numbers are not what is looked for: they stay texts, however long.
        found = json.loads(body.decode(), object_pairs_hook=_object, parse_int=str, parse_float=str)
        _refuse_doubled(found, f"body.{line - 1}" if line else "body")
    return value


def _members(value: Any) -> int:
    """The members of all objects in a value."""
    count, left = 0, [[value]]
    while left:
        for item in left.pop():
            if isinstance(item, dict):
                count += len(item)
                left.append(list(item.values()))
            elif isinstance(item, list):
                left.append(item)
    return count


class _Doubled(dict[str, Any]):
    """An object with a name that was given twice: `twice`, the first of them."""

    twice: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        found = _Doubled(pairs)
        found.twice = next(name for name in names if names.count(name) > 1)
    return found


def _refuse_doubled(value: Any, place: str = "body") -> None:
    """Refused (SV04) for the first object with a name given twice: the name and where it stands, as `body.cases.0.sex`,
    lists counted from 0."""
    left: list[tuple[str, Any]] = [(place, value)]
    while left:
        at, item = left.pop()
        if isinstance(item, _Doubled):
            raise Refused(_problem(f"{at}.{_shown(item.twice)}", "只能给一次"))
        left += reversed([(f"{at}.{_shown(name)}"[:_LONGEST_PLACE], part) for name, part in _parts(item)])


def _parts(item: Any) -> Iterator[tuple[str, Any]]:
    """What an object or a list holds, by name or number; nothing for other values."""
    if isinstance(item, dict):
        yield from item.items()
    elif isinstance(item, list):
        yield from ((str(at), part) for at, part in enumerate(item))


def _shown(name: str) -> str:
    """A name as it can be told, whatever it holds."""
    return name[:60].encode("utf-8", "replace").decode()


def _no_number(text: str) -> Any:
    raise Refused(_problem("body", f"{text} 不是 JSON 的数"))


def _problem(field: str, reason: str) -> Problem:
    return Problem("SV04", {"field": field, "reason": reason}, field=field)
