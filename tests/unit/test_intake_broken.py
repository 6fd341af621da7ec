"""Broken rows and cells: each is told once, with its row; the good rows around it stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from grouper.intake import read_cases
from tests.unit.intake_files import FLAT, flat, read, refusal, told, write

GOOD = "9,1,45,,,5,1,A|B,C"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1,1,45", "IN20"),
        ("1,1,45,,,5,1,A,B,C", "IN21"),
        ('1,1,"45,,,5,1,A,B', "IN22"),
        ('1,1,45,,,5,1,"A"x,B', "IN22"),
        ("1,1,45,,,5,1,A\0,B", "IN23"),
        ('1,1,45,"x"', "IN20"),
        ('1,1,45,,,5,1,A,B,"C"', "IN21"),
    ],
)
def test_an_unreadable_line_is_a_defect_between_good_rows(tmp_path: Path, line: str, code: str) -> None:
    cases, problems = flat(tmp_path, GOOD, line, GOOD)
    assert cases["row"].to_list() == [2, 3, 4]
    assert cases["defect"].to_list() == [None, code, None]
    assert cases["case_id"].to_list() == ["9", None, "9"]
    assert cases["diagnoses"].to_list() == [["A", "B"], [], ["A", "B"]]
    assert told(problems) == [(3, code, "", "")]


def test_the_message_counts_cells_and_shows_no_content(tmp_path: Path) -> None:
    _, problems = flat(tmp_path, "张三,1,45", GOOD)
    assert "3" in problems["message"][0]
    assert "9" in problems["message"][0]
    assert "张三" not in str(problems.to_dicts())


def test_surplus_empty_cells_lose_nothing_and_are_accepted(tmp_path: Path) -> None:
    cases, problems = flat(tmp_path, GOOD + ",", GOOD + ",,,", GOOD)
    assert cases["defect"].to_list() == [None] * 3
    assert problems.is_empty()


def test_a_short_and_a_long_line_do_not_hide_each_other(tmp_path: Path) -> None:
    cases, _ = flat(tmp_path, "1,1,45,,,5,1,A", "2,1,45,,,5,1,A,B,C", GOOD)
    assert cases["defect"].to_list() == ["IN20", "IN21", None]


def test_a_forgotten_quote_takes_one_line_and_not_the_file(tmp_path: Path) -> None:
    lines = [GOOD] * 5 + ['1,1,45,,,5,1,"A|B,C'] + [GOOD] * 200 + ['2,1,45,,,5,1,"A"|B,C'] + [GOOD] * 5
    cases, problems = flat(tmp_path, *lines)
    assert cases.height == 212
    assert cases.filter(cases["defect"].is_not_null())["row"].to_list() == [7, 208]
    assert problems["code"].to_list() == ["IN22", "IN22"]


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = 'case_id,sex,age,diagnoses,dx_names,department\n1,1,45,A|B,"a,""x""\nb|c","0\n3\r\n01"\n2,1,46,A,d,e\n'
    cases, problems = read(write(tmp_path, text))
    assert cases["dx_names"].to_list() == [['a,"x"\nb', "c"], ["d"]]
    assert cases["department"].to_list() == ["0\n3\r\n01", "e"]
    assert cases["row"].to_list() == [2, 3]
    assert problems.is_empty()


def test_a_stray_quote_inside_a_cell_is_content(tmp_path: Path) -> None:
    text = 'case_id,sex,age,diagnoses,dx_names,department\n1,1,45,A,3"钉,x\n2,1,45,A,"a,b",4"\n'
    cases, problems = read(write(tmp_path, text))
    assert cases["dx_names"].to_list() == [['3"钉'], ["a,b"]]
    assert cases["department"].to_list() == ["x", '4"']
    assert problems.is_empty()


def test_stray_quotes_empty_quotes_and_a_line_break_in_one_record(tmp_path: Path) -> None:
    text = 'case_id,sex,age,diagnoses,department,dx_names\n1,1,"",a"b,"x\ny",""\n"2","1","4","A","",""\n'
    cases, _ = read(write(tmp_path, text))
    assert cases["department"].to_list() == ["x\ny", None]
    assert cases["diagnoses"].to_list() == [['a"b'], ["A"]]
    assert cases["age_years"].to_list() == [None, 4]


def test_a_quoted_cell_may_be_very_long_and_a_quote_may_stay_open_for_long(tmp_path: Path) -> None:
    text = "三" * 200_000
    header = "case_id,sex,age,diagnoses,department\n"
    cases, problems = read(write(tmp_path, f'{header}1,1,4,A,"{text}""{text}"\n2,1,4,A,"x\n{text}"\n3,1,4,A,x\n'))
    assert cases["case_id"].to_list() == ["1", "2", "3"]
    assert cases["department"].to_list() == [None, None, "x"]
    assert [text.split("”")[1][:10] for text in problems["message"]] == ["有 400001 字", "有 200002 字"]
    opened = f'{header}1,1,4,A,"x\n' + "2,1,4,A,y\n" * 60_000
    cases, problems = read(write(tmp_path, opened), block_rows=999)
    assert cases.height == 60_001
    assert told(problems) == [(2, "IN22", "", "")]


def test_lines_that_cannot_be_decoded_are_named(tmp_path: Path) -> None:
    lines = [f"{n},1,45,,,5,1,A,C,内科".encode() for n in range(20)]
    lines[7] = lines[7][:-1]
    lines[9] = b"9,1,45,,,5,1,A,C,\xff\xfe"
    text = b"\n".join([f"{FLAT},department".encode(), *lines])
    cases, problems = read(write(tmp_path, text))
    assert told(problems) == [(9, "IN24", "", ""), (11, "IN24", "", "")]
    assert cases["case_id"].drop_nulls().len() == 18


def test_a_file_in_neither_encoding_is_refused_at_its_first_bad_line(tmp_path: Path) -> None:
    lines = b"\n".join(b"%d,1,45,,,5,1,A,\xff\xff\x80" % n for n in range(20))
    (problem,) = refusal(write(tmp_path, FLAT.encode() + b"\n" + lines))
    assert (problem.code, problem.row) == ("IN05", 2)


@pytest.mark.parametrize("age", ["四十岁", "45岁", "x", "1e2", "4 5", "４５", "--", "+", "0x1F", "1,5"])
def test_an_age_that_is_no_number_is_null_and_told(tmp_path: Path, age: str) -> None:
    cases, problems = flat(tmp_path, f'1,1,"{age}",,,5,1,A,', GOOD)
    assert cases["age_years"].to_list() == [None, 45]
    assert cases["defect"].null_count() == 2
    assert told(problems) == [(2, "IN30", "age_years", age)]
    assert problems["case_id"].to_list() == ["1"]
    assert age in problems["message"][0]


@pytest.mark.parametrize(
    ("given", "age"),
    [("45.0", 45), ("45.9", 45), ("0.99", 0), (".5", 0), ("-0.5", -1), ("-1", -1), ("+7", 7), ("007", 7)],
)
def test_decimals_of_an_age_are_rounded_down(tmp_path: Path, given: str, age: int) -> None:
    cases, problems = flat(tmp_path, f"1,1,{given},,,5,1,A,", GOOD)
    assert cases["age_years"].to_list() == [age, 45]
    assert problems.is_empty()


def test_whole_number_columns_take_no_fraction_and_no_overflow(tmp_path: Path) -> None:
    cases, problems = flat(
        tmp_path, "1,1,45,,,5.5,1,A,", "2,1.0,45,,,5.0,1,A,", "3,1,99999999999,,,5,1,A,", "4,300,1,,,5,1,A,"
    )
    assert cases["los_days"].to_list() == [None, 5, 5, 5]
    assert cases["sex"].to_list() == [1, 1, 1, None]
    assert told(problems) == [
        (2, "IN31", "los_days", "5.5"), (4, "IN32", "age_years", "99999999999"), (5, "IN32", "sex", "300"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "fen"),
    [("0.29", 29), ("12345.67", 1_234_567), ("7", 700), ("7.5", 750), ("-3.10", -310), ("8.1000", 810),
     ("9007199254740993.01", None), ("90071992547409.93", 9_007_199_254_740_993)],
)  # fmt: skip
def test_money_is_exact(tmp_path: Path, given: str, fen: int | None) -> None:
    cases, problems = read(write(tmp_path, f"case_id,sex,age,diagnoses,cost\n1,1,4,A,{given}\n2,1,4,A,\n"))
    assert cases["total_cost_fen"].to_list() == [fen, None]
    assert problems["code"].to_list() == ([] if fen is not None else ["IN34"])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("12.345", "IN35"),
        ("0.001", "IN35"),
        ("12,345.67", "IN34"),
        ("￥12", "IN34"),
        ("1e3", "IN34"),
        ("12.", None),
        (".5", "IN34"),
    ],
)
def test_money_that_is_not_whole_fen_is_told(tmp_path: Path, given: str, code: str | None) -> None:
    cases, problems = read(write(tmp_path, f'case_id,sex,age,diagnoses,cost\n1,1,4,A,"{given}"\n'))
    assert problems["code"].to_list() == ([code] if code else [])
    assert (cases["total_cost_fen"][0] is None) == (code is not None)


@pytest.mark.parametrize(
    ("given", "iso"),
    [
        ("2026-03-01", "2026-03-01T00:00:00"), ("2026-03-01 08:30", "2026-03-01T08:30:00"),
        ("2026-03-01 08:30:59", "2026-03-01T08:30:59"), ("2026-03-01T08:30:59.000", "2026-03-01T08:30:59"),
        ("2026/3/1", "2026-03-01T00:00:00"), ("20260301", "2026-03-01T00:00:00"),
        ("20260301083059", "2026-03-01T08:30:59"), ("2026年3月1日", "2026-03-01T00:00:00"),
    ],
)  # fmt: skip
def test_notations_of_times(tmp_path: Path, given: str, iso: str) -> None:
    cases, problems = read(write(tmp_path, f"case_id,sex,age,diagnoses,admission_time\n1,1,4,A,{given}\n"))
    assert cases["admission_time"][0].isoformat() == iso
    assert problems.is_empty()


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("2026-02-30", "IN33"),
        ("0026-03-01", "IN33"),
        ("昨天", "IN33"),
        ("46082", "IN37"),
        ("46082.5", "IN37"),
        ("2026-03", "IN33"),
    ],
)
def test_times_that_are_none(tmp_path: Path, given: str, code: str) -> None:
    cases, problems = read(write(tmp_path, f"case_id,sex,age,diagnoses,admission_time\n1,1,4,A,{given}\n"))
    assert cases["admission_time"][0] is None
    assert told(problems) == [(2, code, "admission_time", given)]


def test_hours_must_be_finite(tmp_path: Path) -> None:
    text = "case_id,sex,age,diagnoses,icu_hours\n1,1,4,A,1.5\n2,1,4,A,nan\n3,1,4,A,inf\n4,1,4,A,\n5,1,4,A,三\n"
    cases, problems = read(write(tmp_path, text))
    assert cases["icu_hours"].to_list() == [1.5, None, None, None, None]
    assert [row for row, *_ in told(problems)] == [3, 4, 6]


def test_a_hundred_thousand_bad_rows_are_told_one_by_one(tmp_path: Path) -> None:
    count = 100_000
    path = write(tmp_path, "\n".join([FLAT, *(f"{n},1,四十岁,,,5,1,A|B,C" for n in range(count)), "x"]))
    rows = problems = 0
    for block in read_cases(path):
        rows += block.cases.height
        problems += block.problems.height
        assert block.cases["age_years"].null_count() == block.cases.height
    assert (rows, problems) == (count + 1, count + 1)
