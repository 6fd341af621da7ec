"""One shape for everything that goes wrong: problem+json, from the catalogue of problems.

Machines read `code`, `args` and `problems`, people the Chinese texts. Nothing of the program's inside is ever told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from api.core.book import BookRefused
from api.http.reasons import reason_zh
from api.service.absent import absent
from api.service.audit import EndLost
from api.service.told import MOST_TOLD, told
from api.store.database import Unavailable
from api.store.files import TooLarge
from reference_tables.problems import Problem, TablesRefused

log = logging.getLogger("drgdip.http")
MEDIA_TYPE = "application/problem+json"
_STATUS = {
    "SV01": 401, "SV02": 403, "SV03": 404, "SV04": 422, "SV05": 413, "SV06": 429, "SV07": 413, "SV08": 409,
    "SV09": 422, "SV10": 409, "SV11": 409, "SV39": 409, "SV12": 405, "SV13": 400, "SV14": 415, "SV15": 431,
    "SV83": 408, "SV84": 503,
    "SV21": 503, "SV22": 500, "SV68": 409, "SV69": 409, "SV70": 409, "SV71": 409, "SV26": 503, "SV46": 409,
    "SV52": 409, "SV53": 409, "SV54": 409, "SV55": 409, "SV56": 409, "SV57": 409, "ST10": 409, "ST12": 409,
    "ST16": 409, "ST23": 409, "SV72": 409, "SV73": 409, "SV74": 409, "SV75": 409, "SV76": 409, "SV78": 409,
    "SV81": 503, "SV82": 409, "SV36": 409, "SV93": 409, "SV16": 409, "SV17": 409, "SV19": 409,
}  # fmt: skip
REFUSED = 422
_LONGEST_PLACE = 200


class BodyTooLarge(HTTPException):
    """More bytes arrive than the route takes: `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(413)


class Refused(Exception):
    """A request that cannot be answered, with the problems that say why; the first decides the status."""

    def __init__(self, *problems: Problem, headers: Mapping[str, str] | None = None) -> None:
        self.problems = problems
        self.headers = dict(headers or {})
        super().__init__(problems[0].code)


def not_found(what: str, value: str) -> Refused:
    """404: there is no such thing, or it is another's."""
    return Refused(absent(what, value))


def status_of(code: str) -> int:
    """The HTTP status of the answer whose first problem this is."""
    return _STATUS.get(code, REFUSED)


def refusal(problems: Sequence[Problem], request: Request | None) -> dict[str, Any]:
    """What is said to a request that is refused for these problems."""
    first = problems[0]
    return {
        "type": f"urn:drgdip:problem:{first.code}",
        "title": first.kind.title,
        "status": status_of(first.code),
        "detail": first.message,
        "code": first.code,
        "args": dict(first.args),
        "request_id": "" if request is None else getattr(request.state, "request_id", ""),
        "problems": [told(problem) for problem in problems[:MOST_TOLD]],
        "problem_count": len(problems),
    }


def problem_response(
    problems: Sequence[Problem], request: Request | None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that is refused for these problems."""
    body = refusal(problems, request)
    return Response(orjson.dumps(body), body["status"], dict(headers or {}), MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Answer every exception in the one shape."""

    @app.exception_handler(Refused)
    def refused(request: Request, error: Refused) -> Response:
        return problem_response(error.problems, request, error.headers)

    @app.exception_handler(TablesRefused)
    def tables(request: Request, error: TablesRefused) -> Response:
        return problem_response(error.problems, request)

    @app.exception_handler(BookRefused)
    def book(request: Request, error: BookRefused) -> Response:
        return problem_response(error.problems, request)

    @app.exception_handler(TooLarge)
    def large(request: Request, error: TooLarge) -> Response:
        return problem_response([Problem("SV05", {"limit": error.limit})], request)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        if isinstance(error.body, bytes):  # not even taken for JSON
            return problem_response([_media(request)], request)
        found = [
            Problem("SV04", {"field": place, "reason": reason_zh(item)}, field=place)
            for item in error.errors()
            for place in [".".join(str(part) for part in item["loc"])[:_LONGEST_PLACE]]
        ]
        return problem_response(found, request)

    @app.exception_handler(BodyTooLarge)
    def too_large(request: Request, error: BodyTooLarge) -> Response:
        return problem_response([Problem("SV05", {"limit": error.limit})], request, {"Connection": "close"})

    @app.exception_handler(ClientDisconnect)
    def gone(request: Request, _error: ClientDisconnect) -> Response:
        return problem_response([Problem("SV09", {"reason": "上传中断"})], request)

    @app.exception_handler(RecursionError)
    def deep(request: Request, _error: RecursionError) -> Response:
        return problem_response([Problem("SV09", {"reason": "嵌套太深"})], request)

    @app.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> Response:
        problem = _of_status(error.status_code, request)
        if error.status_code == 400 and request.headers.get("content-encoding", "identity") != "identity":
            problem = _media(request)
        return problem_response([problem], request, error.headers)

    @app.exception_handler(EndLost)
    def lost(request: Request, error: EndLost) -> Response:
        log.error("the audit has lost its end")
        return problem_response([error.problem], request, {"Retry-After": "60"})

    @app.exception_handler(Unavailable)
    def unavailable(request: Request, error: Unavailable) -> Response:
        log.warning("store not available: %s", error)
        return problem_response([Problem("SV21")], request, {"Retry-After": "5"})

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> Response:
        log.warning("cannot write: %s", error.strerror)
        return problem_response([Problem("SV21")], request, {"Retry-After": "5"})


def unexpected(request: Request) -> Response:
    """The answer when something broke that no rule knows; the log has the rest."""
    return problem_response([Problem("SV22", {"request": getattr(request.state, "request_id", "")})], request)


def media_refused(request: Request, *wanted: str) -> Refused:
    """415: the body is said to be something else than what the route takes, or is packed."""
    return Refused(_media(request, *wanted))


def _media(request: Request, *wanted: str) -> Problem:
    names = ("content-type", "content-encoding")
    given = "、".join(text[:_LONGEST_PLACE] for name in names if (text := request.headers.get(name, "")))
    taken = "、".join(wanted) or "application/json"
    return Problem("SV14", {"given": given or "—", "wanted": taken}, field="Content-Type")


def _of_status(status: int, request: Request) -> Problem:
    if status == 405:
        return Problem("SV12", {"path": request.url.path, "method": request.method})
    if status == 404:
        return absent("地址", request.url.path)
    if status == 401:
        return Problem("SV01")
    return Problem("SV09", {"reason": "不是所要求的格式"})
