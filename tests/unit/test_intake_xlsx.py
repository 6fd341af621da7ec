"""Workbooks: codes as text, codes stored as numbers, formula errors, dates, sheets, rows as a person sees them."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter

from grouper.intake import read_cases
from reference_tables.importers.sheets import open_workbook
from reference_tables.problems import TablesRefused
from reference_tables.spreadsheets import BrokenWorkbook, readable
from tests.unit.intake_files import flat, read, refusal, told

HEADER = ["case_id", "sex", "age", "diagnoses", "procedures", "admission_time", "cost"]


def workbook(folder: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], *, first: tuple[int, int] = (0, 0)) -> Path:
    """A workbook of the given rows; numbers and dates as such, a text beginning with = as a formula error."""
    path = folder / "cases.xlsx"
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for row, cells in enumerate(rows, start=first[0]):
            for at, cell in enumerate(cells, start=first[1]):
                if isinstance(cell, dt.date):
                    sheet.write_datetime(row, at, cell, day)
                elif isinstance(cell, (int, float)):
                    sheet.write_number(row, at, cell)
                elif isinstance(cell, str) and cell.startswith("="):
                    sheet.write_formula(row, at, cell, None, "#N/A")
                elif cell is not None:
                    sheet.write_string(row, at, cell)
    book.close()
    return path


def test_texts_and_numbers_where_each_belongs(tmp_path: Path) -> None:
    rows = [
        HEADER,
        ["0001", "1", "45", "I10.x00|E11.900", "03.0900|47.0100", "2026-03-01", "12.30"],
        [2, 2, 46, "I10.x00", None, dt.date(2026, 3, 2), 0.1 + 0.2],
    ]
    cases, problems = read(workbook(tmp_path, {"病例": rows}))
    assert problems.is_empty()
    assert cases["row"].to_list() == [2, 3]
    assert cases["case_id"].to_list() == ["0001", "2"]
    assert cases.select("sex", "age_years").rows() == [(1, 45), (2, 46)]
    assert cases["procedures"].to_list() == [["03.0900", "47.0100"], []]
    assert [time.isoformat() for time in cases["admission_time"]] == ["2026-03-01T00:00:00", "2026-03-02T00:00:00"]
    assert cases["total_cost_fen"].to_list() == [1230, 30]


def test_a_code_in_a_number_cell_is_told_and_not_mended(tmp_path: Path) -> None:
    rows = [HEADER, ["1", 1, 45, "I10.x00", 3.09, None, None], ["2", 1, 45, "I10.x00", "3.09", None, None]]
    cases, problems = read(workbook(tmp_path, {"病例": rows}))
    assert cases["procedures"].to_list() == [["3.09"], ["3.09"]]
    assert told(problems) == [(2, "IN38", "procedures", "3.09")]
    assert problems["case_id"].to_list() == ["1"]


def test_a_formula_error_is_told_and_empty(tmp_path: Path) -> None:
    rows = [["x", *HEADER], ["-", "1", 1, 45, "=VLOOKUP(1,A:A,1)", "47.0100", None, None], [None, *["=NA()"] * 7]]
    cases, problems = read(workbook(tmp_path, {"病例": rows}, first=(3, 2)))
    assert cases["row"].to_list() == [5, 6], "rows as the spreadsheet numbers them"
    assert cases["diagnoses"].to_list() == [[], []]
    errors = problems.filter(pl.col("code") == "IN39")
    assert errors.filter(pl.col("row") == 5).select("field", "value").rows() == [("diagnoses", "#N/A")]
    assert errors.filter(pl.col("row") == 6).height == 7


def test_a_date_as_a_bare_number_is_told(tmp_path: Path) -> None:
    rows = [HEADER, ["1", 1, 45, "I10.x00", None, 46082, None]]
    cases, problems = read(workbook(tmp_path, {"病例": rows}))
    assert cases["admission_time"].to_list() == [None]
    assert told(problems) == [(2, "IN37", "admission_time", "46082")]


def test_bad_cells_and_empty_rows(tmp_path: Path) -> None:
    rows = [
        HEADER,
        ["1", "男", "四十岁", "A", None, None, None],
        [None] * 7,
        [" "] * 7,
        ["2", 1, 7, "A", None, None, 1.005],
    ]
    cases, problems = read(workbook(tmp_path, {"病例": rows}))
    assert cases["row"].to_list() == [2, 5]
    assert cases["age_years"].to_list() == [None, 7]
    assert told(problems) == [
        (2, "IN30", "age_years", "四十岁"), (5, "IN35", "total_cost_fen", "1.005"), (0, "IN48", "", ""),
    ]  # fmt: skip


def test_the_case_sheet_is_found_among_others(tmp_path: Path) -> None:
    case = ["1", 1, 45, "A", None, None, None]
    path = workbook(
        tmp_path, {"说明": [["填写说明"]], "三月": [["2026年3月病例"], HEADER, case], "四月": [HEADER, case]}
    )
    cases, problems = read(path)
    assert cases["row"].to_list() == [3]
    assert told(problems) == [(0, "IN09", "", "")]
    assert "三月" in problems["message"][0]
    assert "四月" in problems["message"][0]


@pytest.mark.parametrize(
    ("sheets", "code"),
    [({"a": []}, "IN02"), ({"a": [HEADER]}, "IN03"), ({"a": [["x", "y"]]}, "IN10"), ({"a": [HEADER[:3]]}, "IN06")],
)
def test_workbooks_without_cases(tmp_path: Path, sheets: dict[str, list[list[str]]], code: str) -> None:
    assert refusal(workbook(tmp_path, sheets))[0].code == code


def test_a_front_page_workbook(tmp_path: Path) -> None:
    header = ["A48", "A49", "A12C", "A14", "C03C", "C06x01C", "C14x01C"]
    cases, problems = read(workbook(tmp_path, {"Sheet1": [header, ["77", "1", "1", "45", "I10.x00", "-", 39.95]]}))
    assert next(read_cases(tmp_path / "cases.xlsx")).source.format == "hqms"
    assert cases["case_id"].to_list() == ["77_1"]
    assert cases["diagnoses"].to_list() == [["I10.x00"]]
    assert told(problems) == [(2, "IN38", "procedures", "39.95")]


def test_the_same_cases_as_in_a_csv(tmp_path: Path) -> None:
    lines = [f"{n},{n % 3},{n % 90},,,{n % 7},1,A{n % 5}|B|C{n % 11},{'D' if n % 2 else ''}" for n in range(1, 60)]
    expected, _ = flat(tmp_path, *lines)
    header = ["case_id", "sex", "age", "age_days", "weight", "los_days", "discharge_way", "diagnoses", "procedures"]
    path = workbook(tmp_path, {"a": [header, *(line.split(",") for line in lines)]})
    for size in (7, 1000):
        cases, problems = read(path, block_rows=size)
        assert cases.equals(expected)
        assert problems.is_empty()
    assert read(path, columns="grouping")[0].equals(expected)


def _saying(path: Path, said: bytes) -> Path:
    """The workbook with another word on how many shared texts it has; it has seven."""
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    assert members["xl/sharedStrings.xml"].count(b'uniqueCount="7"') == 1
    changed = path.with_name("said.xlsx")
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data.replace(b'uniqueCount="7"', said))
    return changed


@pytest.mark.parametrize(
    "said", [b'uniqueCount="4294967295"', b"uniqueCount\n= '1000000000000000000'", b'uniqueCount="  2000000"']
)
def test_a_made_up_number_of_texts_is_told_and_no_memory_asked_for(tmp_path: Path, said: bytes) -> None:
    path = _saying(workbook(tmp_path, {"病例": [HEADER]}), said)
    assert [problem.code for problem in refusal(path)] == ["IN01"]
    with pytest.raises(TablesRefused) as refused:
        open_workbook(path)
    assert [problem.code for problem in refused.value.problems] == ["TB80"]


def test_a_number_of_texts_that_is_only_wrong_is_read(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"病例": [HEADER, [1, 1, 45, None, None, None, None]]})
    assert read(_saying(path, b'uniqueCount="99999"'))[0]["age_years"].to_list() == [45]


def test_a_member_that_is_not_what_the_archive_says(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"病例": [HEADER, [1, 1, 45, None, None, None, None]]})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    while at >= 0:  # each says that it is one byte when unpacked
        data[at + 24 : at + 28] = (1).to_bytes(4, "little")
        at = data.find(b"PK\x01\x02", at + 1)
    path.write_bytes(data)
    assert [problem.code for problem in refusal(path)] == ["IN01"]


def test_panics_of_the_reader_are_a_broken_workbook() -> None:
    panic = type("PanicException", (BaseException,), {})
    with pytest.raises(BrokenWorkbook), readable():
        raise panic
    with pytest.raises(KeyboardInterrupt), readable():
        raise KeyboardInterrupt
