"""Around every request: an id, a line in the log without personal data, figures for /metrics, and the limits.

Plain ASGI, so that bodies stream through; a body beyond its limit is cut off while it arrives, never held in memory.
The limit is that of requests which are not files, unless the route says that it takes more (`allow_bytes`).
HEAD is answered as GET is, without the body.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from urllib.parse import unquote_to_bytes

from fastapi import Request
from polars.exceptions import PanicException
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import BodyTooLarge, problem_response, unexpected
from api.service.context import Service
from api.service.logs import ABOUT
from api.service.quiet import trace_of
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Metrics:
    """What is counted: requests by route, method and status, and how long they took."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("route", "method", "status")
        self.requests = Counter("drgdip_requests", "Requests answered", names, registry=self.registry)
        self.seconds = Histogram("drgdip_request_seconds", "Time to answer", ("route",), registry=self.registry)
        self._kept: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; `route` and `method` are of a few that there are."""
        found = self._kept.get((route, method, status))
        if found is None:
            found = self.requests.labels(route, method, str(status)), self.seconds.labels(route)
            self._kept[route, method, status] = found
        found[0].inc()
        found[1].observe(seconds)


class Envelope:
    """The middleware itself."""

    def __init__(self, app: ASGIApp, service: Service, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.limit = service.settings.max_request_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method == "HEAD":
            scope = {**scope, "method": "GET"}
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request.state.max_bytes = self.limit
        ABOUT.set({"request_id": request.state.request_id})
        declared = request.headers.get("content-length", "")
        expected = int(declared[:20]) if declared.isascii() and declared.isdigit() else 0
        started, status, size = time.perf_counter(), 500, 0
        begun = False

        async def counted() -> Message:
            nonlocal size
            limit: int = request.state.max_bytes
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
                headers = list(message.get("headers", ()))
                headers.append((b"x-request-id", request.state.request_id.encode()))
                message = {**message, "headers": headers}
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            unfit = _unfit(scope)
            if unfit:
                problem = Problem("SV04", {"field": "URL", "reason": unfit}, field="URL")
                await problem_response([problem], request)(scope, receive, answered)
            else:
                await self.app(scope, counted, answered)
        except (Exception, PanicException) as error:
            # Messages of exceptions may quote what was sent: the log says what broke and where, not what it held.
            log.error("request broke off: %s", trace_of(error))
            if not begun:
                await unexpected(request)(scope, receive, answered)
            # else the connection is cut, so that nobody takes half an answer for a whole one
        finally:
            self._told(request, method, status, time.perf_counter() - started, size)

    def _told(self, request: Request, method: str, status: int, seconds: float, size: int) -> None:
        route = getattr(request.scope.get("route"), "path", "none")
        method = method if method in _METHODS else "other"
        self.metrics.count(route, method, status, seconds)
        fields = {
            "request_id": request.state.request_id, "method": method, "route": route, "status": status,
            "milliseconds": round(seconds * 1000, 1), "bytes": size, "actor": getattr(request.state, "actor_id", ""),
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
