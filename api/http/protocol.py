"""HTTP/1.1 as the server speaks it: an answer's head goes out together with its body, and what is no HTTP request, or
one whose head is too long, is told so in the shape of all refusals; it never reaches the application.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sys
from http import HTTPStatus
from typing import Any, cast

import h11
from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.errors import problem_response
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_TOO_LONG = 431


class _Joining:
    """A transport that keeps an answer's head until the first of its body comes, or its end: one packet and one call of
    the system instead of two. Heads that only announce an answer (100 Continue) go out at once."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._head = transport, b""
        self._write, self.is_closing = transport.write, transport.is_closing

    def write(self, data: bytes) -> None:
        """Send some bytes, or keep them."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        if data:
            self._write(data)

    def close(self) -> None:
        """Send what was kept, and close."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(H11Protocol):
    """HTTP/1.1 as described."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins."""
        super().connection_made(cast("asyncio.Transport", _Joining(transport)))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the problem says it)
        """Refuse what was not understood and close the connection; nothing is said into an answer already begun."""
        hint = getattr(sys.exception(), "error_status_hint", 400)
        name = secrets.token_hex(8)
        request = Request({"type": "http", "state": {"request_id": name}})
        answer = problem_response([Problem("SV15" if hint == _TOO_LONG else "SV13")], request)
        fields = {"request_id": name, "method": "", "route": "none", "status": answer.status_code}
        log.info("request", extra={"fields": fields})
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
        elif self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers = [*answer.raw_headers, (b"x-request-id", name.encode()), (b"connection", b"close")]
            for event in (
                h11.Response(status_code=answer.status_code, headers=headers, reason=_phrase(answer.status_code)),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _phrase(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode()


SERVER: dict[str, Any] = {
    "http": Protocol, "ws": "none", "log_config": None, "access_log": False, "server_header": False,
    "proxy_headers": False,  # the envelope looks for them
}  # fmt: skip
"""How uvicorn serves the application."""
