"""From bytes as they were sent to a case file on the disk: gzip undone, nothing larger than allowed, no zip bombs."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from api.core.file_names import file_name
from api.service.binary_tables import is_parquet, parquet_problem
from api.service.workbooks import workbook_problem
from grouper.going_on import go_on
from reference_tables.problems import Problem

_CHUNK = 1 << 20
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


class Unpackable(Exception):
    """The bytes cannot be made a case file: `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


def unpack(source: Path, folder: Path, name: str, limit: int) -> Path:
    """The case file in a folder under its own name (".gz" dropped), at most `limit` bytes. A workbook stays packed and
    is named workbook.xlsx; what it unpacks to counts, as does what a Parquet file comes to in memory.

    Raises Unpackable (SV09, SV34)."""
    name = file_name(name)
    with source.open("rb") as stream:
        head = stream.read(4)
    if not head:
        raise Unpackable(Problem("SV09", {"reason": "没有内容"}))
    if head.startswith(_GZIP):
        place = folder / (name.removesuffix(".gz") or "cases")
        _gunzip(source, place, limit)
        with place.open("rb") as stream:
            head = stream.read(4)
        if head.startswith(_GZIP):
            raise Unpackable(Problem("SV09", {"reason": "压缩了两次"}))
    else:
        place = folder / name
        place.hardlink_to(source)
    problem = None
    if head.startswith(_ZIP):
        # Its name decides how it is read: not as another kind of spreadsheet, which nobody has measured.
        place = place.rename(folder / "workbook.xlsx")
        problem = workbook_problem(place, limit)
    elif is_parquet(head):
        problem = parquet_problem(place, limit)
    if problem is not None:
        raise Unpackable(problem)
    return place


def _gunzip(source: Path, place: Path, limit: int) -> None:
    """Undo gzip piece by piece; no more than a piece is ever in memory."""
    size = 0
    try:
        with gzip.open(source, "rb") as stream, place.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                go_on()
                size += len(chunk)
                if size > limit:
                    raise Unpackable(Problem("SV34", {"limit": limit}))
                out.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise Unpackable(Problem("SV09", {"reason": "gzip 内容不完整或已损坏"})) from None
