"""What a lenient reader would pass over in silence, and then answer another question than the one that was meant: names
in the query that a route does not know, names given twice, there or in a JSON object, JSON's non-numbers, and bodies
that say they are something else than JSON, packed, or in another charset."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import Request

from api.http.errors import Refused, media_refused
from grouper.formats.json_names import Marks, first_doubled, marks_of, surely_once
from reference_tables.problems import Problem

QueryNames = Mapping[tuple[str, str], frozenset[str]]
JSON = "application/json"
_BOM = b"\xef\xbb\xbf"
_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii"})
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_LONE = re.compile("[\ud800-\udfff]")
_MOST_DIGITS = 19
"""A whole number of more digits is none of a case; programs round it or refuse it."""


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
        if not _is_plain(request):
            raise media_refused(request, JSON)
        body = await request.body()  # has been read already, to be checked against its form
        if body:
            # What is no JSON is refused by who reads it.
            with suppress(ValueError):
                _refuse_doubled(marks_of(body, _no_number))


def media_of(request: Request) -> str:
    """The media type that the body is said to have; that of JSON for its kinds (`application/geo+json`), none for one
    that is packed or in another charset than UTF-8."""
    media = request.headers.get("content-type", "")
    if not _is_plain(request):
        return ""
    if media == JSON:
        return JSON
    media = media.partition(";")[0].strip().lower()
    return JSON if media.startswith("application/") and media.endswith("+json") else media


def encodings_of(request: Request) -> tuple[str, ...]:
    """How a body is said to be packed, one after the other (`gzip`); nothing where it is sent as it is."""
    names = ",".join(request.headers.getlist("content-encoding")).split(",")
    return tuple(name for name in (text.strip().lower() for text in names) if name not in {"", "identity"})


def _is_plain(request: Request) -> bool:
    """Is a body said to be sent as it is, and in UTF-8?"""
    if encodings_of(request):
        return False
    charset = _CHARSET.search(request.headers.get("content-type", ""))
    return charset is None or charset[1].lower() in _UTF8


def read_json(body: bytes, line: int = 0) -> Any:
    """A body, or a line of one (from 1), as plain values; a byte order mark before them is passed over. Refused: SV09
    no JSON, or values that nothing can hold; SV04 a name given twice."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        if body.startswith(_BOM) and line < 2:
            return read_json(body[len(_BOM) :], line)
        reason = (f"第 {line} 行" if line else "") + _why_no_json(body)
        raise Refused(Problem("SV09", {"reason": reason}, row=line)) from None
    if not surely_once(body, value):
        _refuse_doubled(marks_of(body), f"body.{line - 1}" if line else "body")
    return value


def _why_no_json(body: bytes) -> str:
    """What a strict reader does not take of a body; RecursionError where it is nested too deeply."""
    found: list[str] = []

    def whole(text: str) -> int:
        if len(text.lstrip("-")) > _MOST_DIGITS:
            found.append(f"有一个 {len(text.lstrip('-'))} 位的数，超出范围")
        return 0

    def decimal(text: str) -> float:
        if math.isinf(float(text)):
            found.append(f"有超出范围的数 {text[:_MOST_DIGITS]}")
        return 0.0

    def constant(text: str) -> float:
        found.append(f"有 {text}，它不是 JSON 的数")
        return 0.0

    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "不是 UTF-8 编码"
    try:
        value = json.loads(text, parse_int=whole, parse_float=decimal, parse_constant=constant)
    except json.JSONDecodeError:
        return found[0] if found else "不是 JSON"
    if found:
        return found[0]
    lone = _LONE.search(json.dumps(value, ensure_ascii=False))
    return f"有不成对的代理码 \\u{ord(lone[0]):04x}，不是文字" if lone else "不是 JSON"


def _refuse_doubled(marks: Marks, place: str = "body") -> None:
    """Refused (SV04) for the first object with a name given twice."""
    at = first_doubled(marks, place)
    if at is not None:
        raise Refused(_problem(at, "只能给一次"))


def _no_number(text: str) -> Any:
    raise Refused(_problem("body", f"{text} 不是 JSON 的数"))


def _problem(field: str, reason: str) -> Problem:
    return Problem("SV04", {"field": field, "reason": reason}, field=field)
