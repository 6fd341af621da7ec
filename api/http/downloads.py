"""Files to be fetched, with their media types. Kept tables as JSON, CSV, XLSX or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import orjson
import polars as pl
from fastapi import Response

from api.service.context import Service
from grouper.output import ResultWriter

_TYPES = {
    "json": "application/json", "csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "html": "text/html; charset=utf-8",
    "toml": "application/toml", "zip": "application/zip", "txt": "text/plain; charset=utf-8",
}  # fmt: skip
_ANY = "application/octet-stream"


class FileKind(StrEnum):
    """What a table may be fetched as."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


def media_type(name: str) -> str:
    """The media type of a file, by the ending of its name."""
    return _TYPES.get(name.rsplit(".", 1)[-1].lower(), _ANY)


def attached(data: bytes, media: str, name: str) -> Response:
    """A file to be kept under a name."""
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "X-Content-Type-Options": "nosniff",
    }  # fmt: skip
    return Response(data, media_type=media, headers=headers)


def frame_response(service: Service, sha256: str, kind: FileKind, name: str) -> Response:
    """A kept Parquet table as a file."""
    if kind is FileKind.PARQUET:
        return _file(service.files.path(sha256).read_bytes(), kind, name)
    frame = pl.read_parquet(service.files.path(sha256))
    made: Callable[[pl.DataFrame], bytes] = _json if kind is FileKind.JSON else _written(kind, service.work)
    return _file(made(frame), kind, name)


def _file(data: bytes, kind: FileKind, name: str) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="{name}.{kind.value}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type=_TYPES[kind.value], headers=headers)


def _json(frame: pl.DataFrame) -> bytes:
    """Rows as objects; decimals as texts, so that nothing is rounded on the way."""
    decimals = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Decimal)]
    return orjson.dumps(frame.with_columns(pl.col(decimals).cast(pl.String)).to_dicts())


def _written(kind: FileKind, work: Path) -> Callable[[pl.DataFrame], bytes]:
    def made(frame: pl.DataFrame) -> bytes:
        with TemporaryDirectory(dir=work) as folder:
            place = Path(folder) / f"table.{kind.value}"
            writer = ResultWriter.open(str(place))
            writer.write(frame)
            writer.close()
            return place.read_bytes()

    return made
