"""Bodies of uploads into the store: raw or multipart, piece by piece, and answers kept under an Idempotency-Key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.http.errors import BodyTooLarge, Refused, media_refused
from api.http.strict import encodings_of
from api.service.audit import Actor
from api.service.context import Service
from api.service.values import canonical, checksum, now
from api.store.files import Stored
from api.store.tables import idempotency
from reference_tables.problems import Problem

_PIECE = 1 << 20
_MOST_FILES = 10
"""As many files of a form are looked at to say how many there are."""
_FORM, _GZIP, _PACKED = "multipart/form-data", b"\x1f\x8b", {("gzip",), ("x-gzip",)}
_UPLOADS = ("text/csv", "application/json", "application/octet-stream", _FORM)
_BROKEN_FORM = "multipart 表单不完整或格式不对"
_SUFFIXES = {
    "application/json": ".json", "application/x-ndjson": ".ndjson", "text/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upload:
    """A body in the store, with the name it was sent under."""

    stored: Stored
    file_name: str
    media_type: str


def allow_bytes(request: Request, limit: int) -> None:
    """Let the body of this request be so large, more than the limit of requests that are not files."""
    request.state.max_bytes = limit


async def take_upload(request: Request, service: Service, most: int | None = None) -> Upload:
    """The request's body, at most `most` bytes (None: as the settings say): the only file of a multipart form, or the
    raw body with its name from the query (`name`) or its media type; one that is said to be packed stays so, as a gzip
    file does. Refused: SV05 too large, SV09 not readable, empty or not what it says, SV14 packed in another way."""
    limit = service.settings.max_body_bytes if most is None else most
    allow_bytes(request, limit)
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form, packed = media == _FORM, encodings_of(request)
    if (packed and (form or packed not in _PACKED)) or (media.startswith("multipart/") and not form):
        raise media_refused(request, *_UPLOADS)
    if form:
        return await _of_form(request, service, limit)
    writer = service.files.writer(limit)
    begin = b""
    try:
        async for chunk in request.stream():
            begin = begin if len(begin) > 1 else begin + chunk[:2]
            if packed and begin and not (begin + _GZIP[len(begin) :]).startswith(_GZIP):
                raise Refused(Problem("SV09", {"reason": f"Content-Encoding 写的是 {packed[0]}，内容不是"}))
            await run_in_threadpool(writer.write, chunk)
    except ClientDisconnect:
        writer.drop()
        raise Refused(Problem("SV09", {"reason": "上传中断"})) from None
    except BaseException:
        writer.drop()
        raise
    if not writer.size:
        writer.drop()
        raise Refused(Problem("SV09", {"reason": "没有内容"}))
    stored = await run_in_threadpool(writer.keep)
    name = request.query_params.get("name") or f"cases{_SUFFIXES.get(media, '.csv')}"
    return Upload(stored, name, media or "application/octet-stream")


def take_text(service: Service, text: str, name: str) -> Upload:
    """A text of the service's own in the place of an upload."""
    return Upload(service.files.put(text.encode()), name, "text/plain")


async def _of_form(request: Request, service: Service, limit: int) -> Upload:
    try:
        async with request.form(max_files=_MOST_FILES, max_fields=20) as form:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) != 1:
                found = f"表单里有 {len(files)} 个文件，一次只收一个" if files else "表单里没有文件"
                raise Refused(Problem("SV09", {"reason": found}))
            writer = service.files.writer(limit)
            while chunk := await files[0].read(_PIECE):
                await run_in_threadpool(writer.write, chunk)
            if not writer.size:
                writer.drop()
                raise Refused(Problem("SV09", {"reason": "没有内容"}))
            stored = await run_in_threadpool(writer.keep)
            return Upload(stored, files[0].filename or "cases.csv", files[0].content_type or "application/octet-stream")
    except BodyTooLarge:
        raise
    except HTTPException as error:  # as which Starlette tells of a form that it cannot take apart
        many = "表单里有许多文件，一次只收一个"
        raise Refused(Problem("SV09", {"reason": many if "many files" in error.detail else _BROKEN_FORM})) from None
    except FormParserError:
        raise Refused(Problem("SV09", {"reason": _BROKEN_FORM})) from None


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer that was given before."""

    status: int
    body: Any


def replayed(connection: sa.Connection, who: Actor, key: str | None, request: Mapping[str, object]) -> Replay | None:
    """What was answered under the key; None for a new one. Refused (SV08) when it was another request's."""
    if not key:
        return None
    query = sa.select(idempotency).where(idempotency.c.token_id == who.id, idempotency.c.key == key)
    row = connection.execute(query).first()
    if row is None:
        return None
    if row.request_sha256 != checksum(canonical(dict(request))):
        raise Refused(Problem("SV08", {"value": key}, value=key))
    return Replay(row.status, orjson.loads(row.answer))


def remember(
    connection: sa.Connection, who: Actor, key: str | None, request: Mapping[str, object], status: int, body: object
) -> None:
    """Keep an answer under its key, in the transaction of what it tells of."""
    if not key:
        return
    row = {
        "token_id": who.id, "key": key, "request_sha256": checksum(canonical(dict(request))), "status": status,
        "answer": canonical(body), "created_at": now(),
    }  # fmt: skip
    connection.execute(idempotency.insert().values(row))
