"""Around every request: an id, a line in the log without personal data, figures for /metrics, and the limits.

Plain ASGI, so that bodies stream through; a body beyond the limit is cut off while it arrives, never held in memory.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections import deque

import orjson
from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import problem_response, unexpected
from api.service.context import Service
from api.store.files import TooLarge
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MINUTE = 60.0
_MOST_CALLERS = 10_000


class Metrics:
    """What is counted: requests by route, method and status, and how long they took."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        names = ("route", "method", "status")
        self.requests = Counter("drgdip_requests", "Requests answered", names, registry=self.registry)
        self.seconds = Histogram("drgdip_request_seconds", "Time to answer", ("route",), registry=self.registry)


class Rates:
    """Requests of each caller in the last minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times: dict[str, deque[float]] = {}

    def wait(self, caller: str, at: float) -> float:
        """Seconds until the caller may ask again; 0 when it may now, and then the request counts."""
        if len(self._times) > _MOST_CALLERS:
            self._times = {name: times for name, times in self._times.items() if times and at - times[-1] < _MINUTE}
        times = self._times.setdefault(caller, deque())
        while times and at - times[0] >= _MINUTE:
            times.popleft()
        if len(times) >= self.limit:
            return _MINUTE - (at - times[0])
        times.append(at)
        return 0.0


class Envelope:
    """The middleware itself."""

    def __init__(self, app: ASGIApp, service: Service, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.limit = service.settings.max_body_bytes
        self.rates = Rates(service.settings.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        started, status, size = time.perf_counter(), 500, 0
        begun = False

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.limit:
                raise TooLarge(self.limit)
            return message

        async def answered(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                headers = list(message.get("headers", ()))
                headers.append((b"x-request-id", request.state.request_id.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            refusal = self._refusal(request)
            if refusal is not None:
                await problem_response([refusal], request, _retry(refusal))(scope, receive, answered)
            else:
                await self.app(scope, counted, answered)
        except TooLarge as error:
            if begun:
                raise
            await problem_response([Problem("SV05", {"limit": error.limit})], request)(scope, receive, answered)
        except Exception:
            log.exception("request %s broke off", request.state.request_id)
            if begun:
                raise
            await unexpected(request)(scope, receive, answered)
        finally:
            self._told(request, status, time.perf_counter() - started, size)

    def _refusal(self, request: Request) -> Problem | None:
        """Why a request is not even looked at: too large by its own word, or too many of them."""
        length = request.headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > self.limit:
            return Problem("SV05", {"limit": self.limit})
        # The token's id, which is no secret, or the address of who has none.
        parts = request.headers.get("authorization", "").split("_")
        client = request.client.host if request.client else ""
        wait = self.rates.wait(parts[1] if len(parts) > 2 else client, time.monotonic())
        return Problem("SV06", {"limit": self.rates.limit, "seconds": int(wait) + 1}) if wait else None

    def _told(self, request: Request, status: int, seconds: float, size: int) -> None:
        route = getattr(request.scope.get("route"), "path", "none")
        self.metrics.requests.labels(route, request.method, str(status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        line = {
            "request_id": request.state.request_id, "method": request.method, "route": route, "status": status,
            "milliseconds": round(seconds * 1000, 1), "bytes": size, "actor": getattr(request.state, "actor_id", ""),
        }  # fmt: skip
        log.info("%s", orjson.dumps(line).decode())


def _retry(problem: Problem) -> dict[str, str]:
    seconds = problem.args.get("seconds")
    return {} if seconds is None else {"Retry-After": str(seconds)}
