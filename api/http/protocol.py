"""What the server says to bytes that are no HTTP request, or one whose head is too long: the shape of all refusals.

Such a request never reaches the application.
"""

from __future__ import annotations

import logging
import secrets
import sys
from http import HTTPStatus
from typing import Any

import h11
from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.http.errors import problem_response
from reference_tables.problems import Problem

log = logging.getLogger("drgdip.http")
_TOO_LONG = 431


class Protocol(H11Protocol):
    """HTTP/1.1 as the server speaks it, with refusals as described."""

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
}  # fmt: skip
"""How uvicorn serves the application."""
