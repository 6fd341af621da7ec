"""Files that are no case files are named for what they seem to be; headers that lack a column say which."""

from __future__ import annotations

import gzip
import io
import sqlite3
import struct
import zipfile
from importlib import resources
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from grouper.intake import IntakeError, detect, read_cases
from reference_tables.case_formats import format_facts, load_format_facts
from reference_tables.problems import Level
from tests.unit.intake_files import FLAT, read, refusal, write


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")  # without the time of day
    return buffer.getvalue()


def dbf() -> bytes:
    field = b"CASE_ID\0\0\0\0C\0\0\0\0\x0a" + b"\0" * 15
    header = struct.pack("<B3BIHH20x", 3, 126, 3, 1, 1, 32 + len(field) + 1, 11)
    return header + field + b"\r 0000000001\x1a"


def sqlite(folder: Path) -> bytes:
    path = folder / "made.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("create table cases (case_id)")
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (zipped("cases.csv"), "ZIP 压缩包"),
        (zipped("word/document.xml"), "Word"),
        (zipped("xl/workbook.bin"), "xlsb"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ".xls"),
        (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "JPEG"),
        (b"Rar!\x1a\x07\x01\0", "RAR"),
        (b"<html><table><tr><td>case_id</td></tr></table></html>", "网页"),
        ("\ufeff  <!DOCTYPE HTML><html></html>".encode(), "网页"),
        (b"<?xml version='1.0'?><Workbook/>", "XML"),
        (dbf(), "DBF"),
        (bytes(range(256)) * 40, "二进制文件"),
        (gzip.compress(b"PAR1" + b"x" * 99, mtime=0), "gzip"),
        (f"{FLAT}\n1,1,45,,,5,1,A,\n".encode("utf-16-le"), "UTF-16"),
        (b"set,code\nDI_BB1,A00.000\n", "sets.csv"),
        (b"code,level,exclusion\nA00.000,CC,EX_1\n", "cc.csv"),
        (b"code,name,rule,order\nA,x,1,1\n", "规则表"),
        (b"case_id,status,reason,mdc,adrg,drg,name\n1,GROUPED,,B,BB1,BB11,x\n", "分组结果"),
        ("MDC编码,MDC名称,MDC规则,排序\nA,x,1,1\n".encode("gb18030"), "配置工作簿"),
    ],
)
def test_foreign_files_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    (problem,) = refusal(write(tmp_path, content))
    assert problem.code == "IN04"
    assert what in problem.message
    assert problem.fix
    assert problem.file == "cases.csv", "no folder in a message"


def test_a_database_is_named(tmp_path: Path) -> None:
    (problem,) = refusal(write(tmp_path, sqlite(tmp_path)))
    assert "SQLite" in problem.message


def test_a_workbook_of_the_national_scheme_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scheme.xlsx"
    book = xlsxwriter.Workbook(str(path))
    for name, cells in {"MDC": ["MDC编码", "MDC名称", "MDC规则", "排序"], "集合": ["集合编号", "ICD编码"]}.items():
        book.add_worksheet(name).write_row(0, 0, cells)
    book.close()
    (problem,) = refusal(path)
    assert "配置工作簿" in problem.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "IN02"),
        (b"  \n\n", "IN02"),
        (FLAT.encode(), "IN03"),
        (FLAT.encode() + b"\n\n,,,,,,,,\n", "IN03"),
        (b"PK\x03\x04 damaged", "IN01"),
        (b"PAR1 damaged PAR1", "IN01"),
        (b'{"input": {"setlinfo": ', "IN11"),
        (b'{"a": 1}', "IN12"),
        (b"[]", "IN12"),
    ],
)
def test_nothing_to_read(tmp_path: Path, content: bytes, code: str) -> None:
    assert [problem.code for problem in refusal(write(tmp_path, content))] == [code]


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        (problem,) = refusal(path)
        assert problem.code == "IN01"
        assert str(tmp_path) not in str(problem)


def test_missing_columns_are_all_named_with_near_candidates(tmp_path: Path) -> None:
    problems = refusal(write(tmp_path, "case_id,sexe,ages,diagnoses\n1,1,4,A\n"))
    assert [(problem.code, problem.field) for problem in problems] == [("IN06", "sex"), ("IN06", "age_years")]
    assert "sexe" in problems[0].message
    assert "ages" in problems[1].message


def test_a_table_without_any_known_column(tmp_path: Path) -> None:
    problems = refusal(write(tmp_path, "name,colour,size\nx,y,z\n"))
    assert problems[0].code == "IN10"
    assert {problem.field for problem in problems[1:]} == {"case_id", "sex", "age_years", "diagnoses"}


def test_a_header_that_stands_twice_is_refused_only_when_it_matters(tmp_path: Path) -> None:
    (problem,) = refusal(write(tmp_path, "case_id,sex,age,diagnoses,Sex\n1,1,4,A,2\n"))
    assert (problem.code, problem.args["places"]) == ("IN07", "2、5")
    cases, _ = read(write(tmp_path, "case_id,sex,age,diagnoses,x,x\n1,1,4,A,2,3\n"))
    assert cases.height == 1


def test_two_names_of_one_column_take_the_preferred_with_a_warning(tmp_path: Path) -> None:
    cases, problems = read(write(tmp_path, "case_id,sex,age,age_years,diagnoses\n1,1,4,5,A\n"))
    assert cases["age_years"].to_list() == [5]
    assert problems.filter(pl.col("level") == Level.WARN)["code"].to_list() == ["IN08"]


def test_a_given_format_must_suit_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f"{FLAT}\n1,1,45,,,5,1,A,\n")
    assert read(path, fmt="flat")[0].height == 1
    for wrong in ("4101", "martian"):
        (problem,) = refusal(path, fmt=wrong)
        assert problem.code == "IN13"
    assert {problem.code for problem in refusal(path, fmt="hqms")} == {"IN10", "IN06"}


def test_detect_tells_without_reading_on(tmp_path: Path) -> None:
    found = detect(write(tmp_path, f"{FLAT}\n1,1,45,,,5,1,A,\n".replace(",", ";")))
    assert (found.container, found.format, found.encoding, found.delimiter) == ("csv", "flat", "utf-8", ";")
    message = write(tmp_path, '{"infno": "4101A", "input": {"setlinfo": {}}}', "list.json")
    assert (detect(message).container, detect(message).format) == ("json", "4101A")
    with pytest.raises(IntakeError, match="IN02"):
        detect(write(tmp_path, ""))


def test_refusals_come_before_the_first_block(tmp_path: Path) -> None:
    blocks = read_cases(write(tmp_path, "set,code\nA,B\n"))
    with pytest.raises(IntakeError):
        next(blocks)


def test_the_facts_about_formats_are_checked_on_loading() -> None:
    assert set(format_facts().formats) == {"flat", "opendrg", "hqms", "n041", "4101", "4101A", "companion"}
    text = '[formats.flat]\nlabel = "x"\nempty = []\nage_rule = false\ncomposed_key = false\nrequired = []\n'
    with pytest.raises(ValueError, match="formats must be"):
        load_format_facts(text)
    with pytest.raises(ValueError, match="unknown keys"):
        load_format_facts(text + "colour = 1\n")
    whole = (resources.files("reference_tables") / "case_formats.toml").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no header to leave out"):
        load_format_facts(whole.replace("[formats.4101]", '[formats.4101]\nheaderless = ["x"]'))
    with pytest.raises(ValueError, match=r"columns unknown: \['colour'\]"):
        load_format_facts(whole.replace("required = []", 'required = ["colour"]'))
