"""Lines without end, blank lines in bulk, and reading that is ended from outside."""

from __future__ import annotations

import gzip
import threading
from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest
import xlsxwriter

from grouper.going_on import asked, go_on, waited
from grouper.intake import read_cases
from reference_tables.case_formats import format_facts
from tests.unit.intake_files import FLAT, read, refusal, told, write
from tests.unit.test_intake_messages import message

LONGEST = 2_097_152
HEADER = "case_id,sex,age,diagnoses"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_line_without_end_is_one_refused_record(tmp_path: Path, encoding: str) -> None:
    lines = [HEADER, "脑,1,45,A", "x" * (LONGEST + 1), "3,1,45,A", "x" * LONGEST, "5,1,45,A", "y" * 3 * LONGEST]
    path = write(tmp_path, "\n".join(lines), encoding=encoding)
    for rows in (1, 100_000):
        cases, problems = read(path, block_rows=rows)
        assert cases["row"].to_list() == [2, 3, 4, 5, 6, 7]
        assert cases["defect"].to_list() == [None, "IN51", None, "IN20", None, "IN51"]
        assert cases["case_id"].to_list() == ["脑", None, "3", None, "5", None]
        assert told(problems)[0][:2] == (3, "IN51")
        assert f"本行有{LONGEST + 1}字节，超过一行的上限{LONGEST}字节" in problems["message"][0]
        assert f"本行有{3 * LONGEST}字节" in problems["message"][2]


def test_the_same_holds_packed_on_front_pages_with_bare_returns_and_in_an_open_quote(tmp_path: Path) -> None:
    pages = "A48,A12C,A14,C03C,B12,B15"
    endless = f'{pages}\r\n1,1,45,A,,\r\n"{"x" * 3 * LONGEST}'
    path = write(tmp_path, gzip.compress(endless.encode(), 1), "cases.csv.gz")
    cases, _ = read(path, fmt="hqms")
    assert cases["defect"].to_list() == [None, "IN51"]
    path = write(tmp_path, f"{HEADER}\r1,1,45,A\r{'x' * 3 * LONGEST}\r3,1,45,A\r")
    cases, _ = read(path)
    assert cases["defect"].to_list() == [None, "IN51", None]


def test_a_header_without_end_refuses_the_file(tmp_path: Path) -> None:
    assert [(item.code, item.row) for item in refusal(write(tmp_path, HEADER + ",x" * 200_000))] == [("IN52", 1)]


def test_a_row_of_very_many_empty_cells_is_read(tmp_path: Path) -> None:
    many = "," * 300_000
    cases, _ = read(write(tmp_path, f"{HEADER}\n1,1,45,A{many}\n2,1,45,A{many}x\n3,1,45{many}\n"))
    assert cases["defect"].to_list() == [None, "IN21", None]
    assert cases["diagnoses"].to_list() == [["A"], [], []]


def test_messages_have_the_same_limit(tmp_path: Path) -> None:
    one = orjson.dumps(message())
    path = write(tmp_path, b"\n".join([one, b'{"input":"' + b"x" * 3 * LONGEST, b"", one]), "list.ndjson")
    cases, problems = read(path)
    assert cases["row"].to_list() == [1, 2, 4]
    assert cases["defect"].to_list() == [None, "IN25", None]
    assert f"有 {3 * LONGEST + 10} 字节，超过一行的上限 {LONGEST} 字节" in problems["message"][0]
    more = message() | {"sender": "x" * 2 * LONGEST}  # the first line too
    cases, _ = read(write(tmp_path, b"\n".join([orjson.dumps(more), one]), "list.ndjson"))
    assert cases["defect"].to_list() == ["IN25", None]


def test_a_document_in_one_line_may_be_longer_up_to_a_limit_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, orjson.dumps([message()] * 8_000), "list.json")
    size = path.stat().st_size
    assert size > LONGEST
    assert read(path)[0].height == 8_000
    facts = format_facts()
    small = replace(facts, reading=replace(facts.reading, longest_document=size - 1))
    monkeypatch.setattr("grouper.formats.csv_text.format_facts", lambda: small)
    assert [item.code for item in refusal(path)] == ["IN53"]


@pytest.mark.parametrize("blank", ["\n", " ,,\r\n", '""\n'])
def test_blank_lines_in_bulk_are_counted_and_passed_over(tmp_path: Path, blank: str) -> None:
    count = 1_500_000
    path = write(tmp_path, f"{HEADER}\n1,1,45,A\n{blank * count}2,1,45,A\n{blank * 3}3,1,45,A\n")
    passed: list[int] = []
    with asked(passed.append):
        cases, problems = read(path)
    assert cases["row"].to_list() == [2, count + 3, count + 7]
    assert told(problems)[-1][1] == "IN48"
    assert f"{count + 3}个空行" in problems["message"][-1]
    assert sum(passed) == count + 3


class Ended(Exception):
    """What ends the reading here."""


def _of_each_kind(folder: Path) -> list[Path]:
    line = orjson.dumps(message())
    with xlsxwriter.Workbook(folder / "a.xlsx") as book:
        sheet = book.add_worksheet()
        for at, text in enumerate([FLAT, "1,1,45,,,5,1,A,"]):
            sheet.write_row(at, 0, text.split(","))
    pl.DataFrame({"case_id": ["1"], "sex": ["1"], "age": ["45"], "diagnoses": ["A"]}).write_parquet(
        folder / "a.parquet"
    )
    return [
        write(folder, f"{HEADER}\n" + "\n" * 100, "a.csv"),
        write(folder, gzip.compress(f"{HEADER}\n".encode() + b"x" * 100), "a.csv.gz"),
        write(folder, b"\n".join([line] * 2), "a.ndjson"),
        write(folder, b"[" + line + b"]", "a.json"),
        folder / "a.xlsx",
        folder / "a.parquet",
    ]


def test_reading_ends_when_it_is_told_to(tmp_path: Path) -> None:
    def ask(_passed: int) -> None:
        raise Ended

    for path in _of_each_kind(tmp_path):
        with asked(ask), pytest.raises(Ended):
            next(read_cases(path))
    go_on()  # nobody asks any more


def test_what_cannot_be_ended_is_not_waited_for() -> None:
    def ask(_passed: int) -> None:
        raise Ended

    def broken() -> None:
        raise ValueError("its own")

    assert waited(lambda: 7) == 7
    with asked(lambda _: None):
        assert waited(lambda: 7) == 7
        with pytest.raises(ValueError, match="its own"):
            waited(broken)
    held = threading.Event()
    with asked(ask), pytest.raises(Ended):
        waited(held.wait)
    held.set()


def test_a_record_behind_an_open_quote_is_read_once_wherever_blocks_are_cut(tmp_path: Path) -> None:
    path = write(tmp_path, f'{HEADER}\n1,1,45,"x\n2,1,45,A,""\n' + "3,1,45,A\n" * 60)
    for rows in (1, 2, 3, 1000):
        cases, _ = read(path, block_rows=rows)
        assert cases["defect"].to_list() == ["IN22", *[None] * 61]
