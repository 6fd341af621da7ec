"""What a lenient reader would pass over in silence, and then answer another question than the one that was meant: names
in the query that a route does not know, names given twice, there or in a JSON object, and JSON's non-numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from api.http.errors import Refused
from reference_tables.problems import Problem

QueryNames = Mapping[tuple[str, str], frozenset[str]]


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
                json.loads(body, object_pairs_hook=_once, parse_constant=_no_number)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(_problem(f"body.{twice[:60]}", "只能给一次"))
    return found


def _no_number(text: str) -> Any:
    raise Refused(_problem("body", f"{text} 不是 JSON 的数"))


def _problem(field: str, reason: str) -> Problem:
    return Problem("SV04", {"field": field, "reason": reason}, field=field)
