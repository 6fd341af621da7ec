"""Workbooks that ask for more memory than they look are not opened; ordinary ones are."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from api.service.workbooks import workbook_problem

_MEGABYTE = 1 << 20
_HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
_TAIL = b"</sheetData></worksheet>"


def _workbook(folder: Path, sheet: bytes, more: Mapping[str, bytes] | None = None) -> Path:
    path = folder / "book.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b"<workbook/>")
        packed.writestr("xl/worksheets/sheet1.xml", _HEAD + sheet + _TAIL)
        for name, content in (more or {}).items():
            packed.writestr(name, content)
    return path


def _code(path: Path, limit: int = 64 * _MEGABYTE) -> str:
    found = workbook_problem(path, limit)
    return "" if found is None else found.code


def test_an_ordinary_workbook_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    pl.DataFrame({"case_id": [f"A{at}" for at in range(3000)], "sex": [1, 2, 1] * 1000}).write_excel(path)
    assert workbook_problem(path, _MEGABYTE) is None


@pytest.mark.parametrize(
    "sheet",
    [
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        b"<row r='1'><c r='A1'/></row><row r='1048576'><c r='XFD1048576'/></row>",
        b'<row r = "1"><c r = "A1"/></row><row r = "1048576"><c s="1" r = "XFD1048576"/></row>',
        b'<x:row r="1"><x:c r="A1"/></x:row><x:row><x:c r="XFD1048576"/></x:row>',
        b'<row r="1048576"/><row><c r="XFC1"/><c/><c/></row>',
        b"<row>" + b"<c/>" * 2000 + b"</row>" + b"<row/>" * 2000,
    ],
)
def test_cells_in_opposite_corners_are_not_laid_out(tmp_path: Path, sheet: bytes) -> None:
    assert _code(_workbook(tmp_path, sheet)) == "SV34"


def test_cells_without_names_are_counted_in_their_rows(tmp_path: Path) -> None:
    # 2,000 rows of 30 cells are 60,000 cells, 32 bytes each.
    sheet = (b"<row>" + b"<c><v>1</v></c>" * 30 + b"</row>") * 2000
    assert _code(_workbook(tmp_path, sheet), 2 * _MEGABYTE) == ""
    assert _code(_workbook(tmp_path, sheet), 60_000 * 32 - 1) == "SV34"


def test_one_long_text_named_by_many_cells(tmp_path: Path) -> None:
    cells = b'<c t="s"><v>0</v></c>'
    texts = {"xl/sharedStrings.xml": b"<sst><si><t>" + b"x" * 32_000 + b"</t></si><si><t>short</t></si></sst>"}
    # 3,000 cells of 32,000 bytes are 96 MB; of the short one next to nothing.
    assert _code(_workbook(tmp_path, b"<row>" + cells * 3000 + b"</row>", texts)) == "SV34"
    short = cells.replace(b"<v>0", b"<v>1")
    assert _code(_workbook(tmp_path, b"<row>" + short * 3000 + b"</row>", texts)) == ""


def test_unpacked_size_is_counted_not_believed(tmp_path: Path) -> None:
    path = _workbook(tmp_path, b"<row/>", {"xl/media/x.xml": b" " * (80 * _MEGABYTE)})
    assert path.stat().st_size < _MEGABYTE
    assert _code(path) == "SV34"
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")  # the last member's entry; its stated size is at 24
    struct.pack_into("<I", data, at + 24, 10)
    path.write_bytes(data)
    assert _code(path) == "SV09"


@pytest.mark.parametrize("names", [["content.xml"], ["xl/workbook.bin"], []])
def test_other_archives_are_none(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "x.xlsx"
    with zipfile.ZipFile(path, "w") as packed:
        for name in names:
            packed.writestr(name, b"x")
    assert _code(path) == "SV09"


def test_damaged_and_two_byte_texts(tmp_path: Path) -> None:
    path = _workbook(tmp_path, b'<row r="1"><c r="A1"/></row>')
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert _code(path) == "SV09"
    wide = _workbook(
        tmp_path, b"", {"xl/worksheets/sheet2.xml": "<row r='1048576'><c r='XFD1'/></row>".encode("utf-16")}
    )
    assert _code(wide) == "SV09"


def test_two_members_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("xl/workbook.xml", b"<workbook/>")
        packed.writestr("xl/workbook.xmk", b"<workbook/>")
    path.write_bytes(buffer.getvalue().replace(b"workbook.xmk", b"workbook.xml"))
    assert _code(path) == "SV09"
