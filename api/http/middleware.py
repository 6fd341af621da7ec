"""Around every request: an id, a line in the log without personal data, figures for /metrics, and the limits.

Plain ASGI, so that bodies stream through; a body beyond its limit is cut off while it arrives, never held in memory.
The limit is that of requests which are not files, unless the route says that it takes more (`allow_bytes`).
HEAD is answered as GET is, without the body. What comes by the thousand (`PlainRoute`) is answered from here.
"""

from __future__ import annotations

import inspect
import logging
import re
import secrets
import time
from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.http.errors import BodyTooLarge, problem_response, unexpected
from api.http.metrics import Metrics
from api.http.plain_route import PlainRoute
from api.service.context import Service
from api.service.logs import ABOUT
from api.service.quiet import ends_all, trace_of
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Envelope:
    """What a request meets first. `inner` is the application's own way of answering; `plain` its routes that are
    answered without it, by method and path."""

    def __init__(
        self, app: FastAPI, inner: ASGIApp, service: Service, metrics: Metrics,
        plain: Mapping[tuple[str, str], PlainRoute],
    ) -> None:  # fmt: skip
        self.app, self.inner, self.metrics, self.plain = app, inner, metrics, plain
        self.limit = service.settings.max_request_bytes
        # A proxy on this machine says whom it asks for, and by which scheme.
        self._forwarded = ProxyHeadersMiddleware(self._around)  # type: ignore[arg-type]
        self._name, self._numbers = secrets.token_hex(4), count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        for name, _ in scope["headers"]:
            if name[:12] == b"x-forwarded-":
                await self._forwarded(scope, receive, send)  # type: ignore[arg-type]
                return
        await self._around(scope, receive, send)

    async def _around(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        plain = self.plain.get((method, scope["path"])) if not scope["query_string"] else None
        if method == "HEAD":
            scope = {**scope, "method": "GET"}
        given = declared = ""
        for header, value in scope["headers"]:
            if header == b"x-request-id" and not given:
                given = value.decode("latin-1")
            elif header == b"content-length" and not declared:
                declared = value.decode("latin-1")
        name = given if given and _REQUEST_ID.fullmatch(given) else f"{self._name}{next(self._numbers):08x}"
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"], state["max_bytes"] = name, self.limit
        ABOUT.set({"request_id": name})
        expected = int(declared[:20]) if declared.isascii() and declared.isdigit() else 0
        started, status, size = time.perf_counter(), 500, 0
        begun = False

        async def counted() -> Message:
            nonlocal size
            limit: int = state["max_bytes"]
            if expected > limit:
                raise BodyTooLarge(limit)
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise BodyTooLarge(limit)
            return message

        async def answered(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", name.encode())]}
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            if plain is not None:
                await (await self._plainly(plain, scope, counted))(scope, counted, answered)
            elif unfit := _unfit(scope):
                problem = Problem("SV04", {"field": "URL", "reason": unfit}, field="URL")
                await problem_response([problem], Request(scope))(scope, receive, answered)
            else:
                await self.inner(scope, counted, answered)
        except BaseException as error:
            if ends_all(error):
                raise
            # Messages of exceptions may quote what was sent: the log says what broke and where, not what it held.
            log.error("request broke off: %s", trace_of(error))
            if not begun:
                await unexpected(Request(scope))(scope, receive, answered)
            # else the connection is cut, so that nobody takes half an answer for a whole one
        finally:
            self._told(scope, method, status, time.perf_counter() - started, size)

    async def _plainly(self, route: PlainRoute, scope: Scope, receive: Receive) -> Response:
        """The answer of a plain route, or the refusal that the application has for what it raises."""
        scope["app"], scope["route"] = self.app, route
        request = Request(scope, receive)
        try:
            return await route.answered(request)
        except Exception as error:
            handlers = self.app.exception_handlers
            handler: Any = next((handlers[kind] for kind in type(error).__mro__[:-3] if kind in handlers), None)
            if handler is None:
                raise
            found = handler(request, error)
            response: Response = await found if inspect.isawaitable(found) else found
            return response

    def _told(self, scope: Scope, method: str, status: int, seconds: float, size: int) -> None:
        state = scope["state"]
        route = getattr(scope.get("route"), "path", "none")
        method = method if method in _METHODS else "other"
        self.metrics.count(route, method, status, seconds)
        fields = {
            "request_id": state["request_id"], "method": method, "route": route, "status": status,
            "milliseconds": round(seconds * 1000, 1), "bytes": size, "actor": state.get("actor_id", ""),
        }  # fmt: skip
        log.info("request", extra={"fields": fields})


def _unfit(scope: Scope) -> str:
    """Why an address is refused whatever the route: it holds what no text holds, and not every database can keep."""
    given = (scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")) + b"?" + scope["query_string"]
    if b"%" in given:
        given = unquote_to_bytes(given)
    if b"\x00" in given:
        return "不能含有空字符"
    try:
        given.decode()
    except UnicodeDecodeError:
        return "不是 UTF-8 编码"
    return ""
