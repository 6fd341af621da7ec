"""Requests given to the application itself, without a client or a server between: whatever bytes a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

_LONGEST_SECONDS = 120


@dataclass(frozen=True)
class Given:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


async def ask(
    app: Any, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Given:  # fmt: skip
    """The answer to a request; `target` path and query as sent. Fails when there is none after two minutes."""
    path, _, query = target.partition("?")
    lines = {"host": "test", "content-length": str(len(body)), **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": unquote(path, errors="replace"), "raw_path": path.encode("ascii", "replace"), "root_path": "",
        "query_string": query.encode("ascii", "replace"), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in lines.items()],
        "state": {},
    }  # fmt: skip
    told: list[Any] = []
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    await asyncio.wait_for(app(scope, receive, send), _LONGEST_SECONDS)
    names = {name.decode().lower(): value.decode("latin-1") for name, value in told[0]["headers"]}
    return Given(told[0]["status"], names, b"".join(message.get("body", b"") for message in told[1:]))


def check_shape(given: Given) -> None:
    """Is it an answer as described: no failure of the program, and every refusal in the one shape?"""
    text = given.body[:2000]
    assert given.status < 500, text
    assert b"Traceback" not in given.body
    assert given.headers["x-request-id"]
    if given.status >= 400:
        assert given.headers["content-type"] == "application/problem+json", text
        told = given.json()
        assert told["status"] == given.status
        assert told["code"] == told["problems"][0]["code"] == told["type"].rsplit(":", 1)[1]
        assert told["title"]
        assert told["detail"]
        assert told["request_id"] == given.headers["x-request-id"]
