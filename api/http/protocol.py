"""HTTP/1.1 as the server speaks it: an answer's head goes out together with its body, and what is no HTTP request, or
one whose head is too long, is told so in the shape of all refusals; it never reaches the application. Heads and bodies
that come too slowly are given up, so are answers that are taken too slowly, and connections beyond the limits are
refused: nobody holds the server by waiting.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, ClassVar, cast

import h11
from fastapi import Request
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.errors import problem_response
from api.service.settings import Settings
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_TOO_LONG = 431
_LINGER_SECONDS = 1.0
_VERSIONS = frozenset({b"1.0", b"1.1"})
_BOTH_ENDS = frozenset({b"content-length", b"transfer-encoding"})


class _Joining:
    """A transport that keeps an answer's head until the first of its body comes, or its end: one packet and one call of
    the system instead of two. Heads that only announce an answer (100 Continue) go out at once. `left` is called when
    something is left that the other side did not take at once; `given` counts the bytes."""

    def __init__(self, transport: asyncio.Transport, left: Callable[[], None]) -> None:
        self._transport, self._head, self._left, self.given = transport, b"", left, 0
        self._write, self.is_closing = transport.write, transport.is_closing
        self._waiting = transport.get_write_buffer_size

    def write(self, data: bytes) -> None:
        """Send some bytes, or keep them."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        if data:
            self._write(data)
            self.given += len(data)
            if self._waiting():
                self._left()

    def close(self) -> None:
        """Send what was kept, and close."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a head may take, and a body or an answer: in every `body_seconds` of it as many bytes as `body_rate` of
    them a second come to; how many connections may be open, in all and from one address."""

    head_seconds: float
    body_seconds: float
    body_rate: int
    connections: int
    address_connections: int


class _Strict(h11.Connection):
    """Also refuses a request whose body has two ends, of which a proxy before the service may take the other one (RFC
    9112, 6.3), and versions that there are not."""

    def next_event(self) -> Any:
        """What came next. Raises RemoteProtocolError."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            if event.http_version not in _VERSIONS:
                raise h11.RemoteProtocolError("no such version of HTTP")
            if {name for name, _ in event.headers} >= _BOTH_ENDS:
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        return event


class Protocol(H11Protocol):
    """HTTP/1.1 as described. `limits` and `open_from` (connections by address) are those of one server."""

    limits: ClassVar[Limits]
    open_from: ClassVar[Counter[str]]
    _timer: asyncio.TimerHandle | None = None
    _reader_timer: asyncio.TimerHandle | None = None
    _arrived, _held, _refused = 0, False, False

    def __init__(self, config: Config, *given: Any, **named: Any) -> None:
        super().__init__(config, *given, **named)
        size = config.h11_max_incomplete_event_size
        self.conn = _Strict(h11.SERVER) if size is None else _Strict(h11.SERVER, size)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins; one too many is told so, and closed once its request is seen, or soon."""
        self._sending = _Joining(transport, self._watch_reader)
        super().connection_made(cast("asyncio.Transport", self._sending))
        self._address = self.client[0] if self.client else ""
        self.open_from[self._address] += 1
        for of, count, limit in (
            ("一个地址", self.open_from[self._address], self.limits.address_connections),
            ("本服务", len(self.connections), self.limits.connections),
        ):
            if count > limit:
                self._refused = True
                self._refuse(Problem("SV84", {"of": of, "limit": limit}), ((b"retry-after", b"5"),))
                self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.close)
                return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """A connection has ended."""
        self._watch_no_more()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
        self.open_from[self._address] -= 1
        if not self.open_from[self._address]:
            del self.open_from[self._address]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._refused:
            self.transport.close()
            return
        self._arrived += len(data)
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:  # the beginning of a further head
            self._await_head()
        self._held = self._held or self.flow.read_paused

    def handle_events(self) -> None:
        """Take what has come apart; while a request is wanting, time runs for it."""
        before = self.cycle
        super().handle_events()
        state = self.conn.their_state
        if self.cycle is not before or state is h11.DONE:  # the head is there, or all of the body
            self._watch_no_more()
        if state is h11.SEND_BODY and self._timer is None:
            self._await_body()
        elif state is h11.IDLE and self.conn.trailing_data[0]:  # sent while the answer before was under way
            self._unset_keepalive_if_required()
            self._await_head()

    def _await_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.limits.head_seconds, self._late_head)

    def _await_body(self) -> None:
        self._arrived, self._held = 0, self.flow.read_paused
        self._timer = self.loop.call_later(self.limits.body_seconds, self._look_at_body)

    def _look_at_body(self) -> None:
        self._timer = None
        if self.conn.their_state is not h11.SEND_BODY or self.transport.is_closing():
            return
        # What this side did not take, or did not ask for yet, nobody could send.
        ours = self._held or (self.cycle.waiting_for_100_continue and not self.cycle.response_started)
        if ours or self._arrived >= self.limits.body_rate * self.limits.body_seconds:
            self._await_body()
            return
        told = f"{self.limits.body_seconds:g} 秒内只收到 {self._arrived} 字节"
        self._break_off(Problem("SV83", {"reason": told}))

    def _late_head(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            told = f"{self.limits.head_seconds:g} 秒内没有收到完整的请求头"
            self._break_off(Problem("SV83", {"reason": told}))

    def _watch_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        if self._reader_timer is None:
            self._taken = self._sending.given - self.transport.get_write_buffer_size()
            self._reader_timer = self.loop.call_later(self.limits.body_seconds, self._look_at_reader)

    def _look_at_reader(self) -> None:
        self._reader_timer, before = None, self._taken
        left = self.transport.get_write_buffer_size()
        if not left:
            return
        taken = self._sending.given - left - before
        if taken >= self.limits.body_rate * self.limits.body_seconds:
            self._watch_reader()
            return
        log.info(
            "answer given up", extra={"fields": {"seconds": self.limits.body_seconds, "taken": taken, "left": left}}
        )
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the problem says it)
        """Refuse what was not understood and close the connection; nothing is said into an answer already begun."""
        hint = getattr(sys.exception(), "error_status_hint", 400)
        self._break_off(Problem("SV15" if hint == _TOO_LONG else "SV13"))

    def _break_off(self, problem: Problem) -> None:
        """Refuse a request that is not whole, and close the connection; who works on it hears that it is gone."""
        cycle = self.cycle
        under_way = cycle is not None and not cycle.response_complete
        if not under_way or not cycle.response_started:
            self._refuse(problem)
        if under_way:
            cycle.disconnected = True
            cycle.message_event.set()
        self._watch_no_more()
        self.transport.close()

    def _refuse(self, problem: Problem, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """Write a refusal where an answer may still begin."""
        name = secrets.token_hex(8)
        request = Request({"type": "http", "state": {"request_id": name}})
        answer = problem_response([problem], request)
        fields = {"request_id": name, "method": "", "route": "none", "status": answer.status_code}
        log.info("request", extra={"fields": fields})
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        headers = [*answer.raw_headers, *more, (b"x-request-id", name.encode()), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=answer.status_code, headers=headers, reason=_phrase(answer.status_code)),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()


def serving(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves the application, with limits as the settings say."""
    limits = Limits(**{field.name: getattr(settings, field.name) for field in fields(Limits)})
    kind = type("LimitedProtocol", (Protocol,), {"limits": limits, "open_from": Counter()})
    return {
        "http": kind, "ws": "none", "log_config": None, "access_log": False, "server_header": False,
        "proxy_headers": False,  # the envelope looks for them
    }  # fmt: skip
