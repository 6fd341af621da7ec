"""Grouping schemes as documents: an official workbook, or a pack folder in a zip as catalogs are handed out."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from api.service.workbooks import workbook_problem
from reference_tables.problems import Problem, TablesRefused

_CHUNK = 1 << 20
_WORKBOOK = "xl/workbook.xml"
_ENDINGS = frozenset({".csv", ".toml"})
_TIME = (2026, 1, 1, 0, 0, 0)  # a fixed one, so that the same pack gives the same bytes
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def zip_pack(pack: Path, target: Path) -> None:
    """The files of a pack folder in one zip, the same bytes for the same pack."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(pack.iterdir()):
            item = zipfile.ZipInfo(path.name, _TIME)
            item.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(item, path.read_bytes())


def opened_pack(path: Path, limit: int) -> Path:
    """What a scheme can be loaded from: the workbook under an .xlsx name, or the folder that the zip was, beside it.

    Members are taken by their last name alone, CSV and TOML only, at most `limit` bytes of all. Raises TablesRefused
    (SV09, SV34).
    """
    try:
        with zipfile.ZipFile(path) as packed:
            if _WORKBOOK in packed.namelist():
                return _workbook(path, limit)
            folder = path.with_name("scheme")
            folder.mkdir()
            left = limit
            for item in packed.infolist():
                name = PurePosixPath(item.filename.replace("\\", "/")).name
                if not item.is_dir() and PurePosixPath(name).suffix in _ENDINGS:
                    left -= _member(packed, item, folder / name, left, limit)
    except _BROKEN:
        reason = "应为官方工作簿（.xlsx），或方案文件夹的 zip"
        raise TablesRefused(path.name, [Problem("SV09", {"reason": reason})]) from None
    return folder


def _workbook(path: Path, limit: int) -> Path:
    place = path.rename(path.with_name("scheme.xlsx"))
    problem = workbook_problem(place, limit)
    if problem is not None:
        raise TablesRefused(path.name, [problem])
    return place


def _member(packed: zipfile.ZipFile, item: zipfile.ZipInfo, target: Path, left: int, limit: int) -> int:
    """One file of the zip, piece by piece; its size."""
    size = 0
    with packed.open(item) as stream, target.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > left:
                raise TablesRefused(target.name, [Problem("SV34", {"limit": limit})])
            out.write(chunk)
    return size
