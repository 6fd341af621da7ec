"""Front pages: HQMS by code and by Chinese name, N041, empty marks, slots, the age rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from grouper.intake import read_cases
from tests.unit.intake_files import read, refusal, told, write

CODES = ["A01", "A48", "A49", "A12C", "A13", "A14", "A16", "A17", "A18x01", "A18x02", "B12", "B15", "B20", "B34C"]
CODES += ["C03C", "C04N", "C05C", "C06x01C", "C07x01N", "C08x01C", "C06x02C", "C07x02N", "C08x02C", "C06x10C"]
CODES += ["C14x01C", "C16x01", "C18x01", "C35x01C", "C37x01", "C39x01", "C28", "C29", "C30", "D01", "D20", "D20x01"]
NAMES = {
    "A01": "组织机构代码", "A48": "病案号", "A49": "住院次数", "A12C": "性别", "A13": "出生日期", "A14": "年龄（岁）",
    "A16": "年龄不足1周岁的年龄（天）", "A17": "新生儿入院体重（克）", "A18x01": "新生儿出生体重（克）",
    "B12": "入院时间", "B15": "出院时间", "B20": "实际住院（天）", "B34C": "离院方式",
    "C03C": "主要诊断编码", "C04N": "主要诊断名称", "C06x01C": "其他诊断编码1", "C06x02C": "其他诊断编码2",
    "C06x10C": "其他诊断编码10",
    "C14x01C": "主要手术操作编码", "C35x01C": "其他手术操作编码1", "D01": "总费用",
}  # fmt: skip
PAGE = {
    "A01": "H1", "A48": "000123", "A49": "2", "A12C": "1", "A13": "1980-05-05", "A14": "45",
    "B12": "2026-03-01 08:00:00", "B15": "2026-03-09 10:00:00", "B20": "8", "B34C": "1",
    "C03C": "I10.x00", "C04N": "高血压", "C05C": "1", "D01": "100.50",
}  # fmt: skip


def page(columns: list[str], *pages: dict[str, str], delimiter: str = ",", names: dict[str, str] | None = None) -> str:
    """A front-page table with '-' for whatever a page does not say."""
    lines = [delimiter.join((names or {}).get(code, code) for code in columns)]
    lines += [delimiter.join(PAGE.get(c, "-") if c not in one else one[c] for c in columns) for one in pages]
    return "\n".join(lines) + "\n"


def test_header_by_code(tmp_path: Path) -> None:
    first = {"C06x01C": "E11.900", "C08x01C": "2", "C06x02C": "N18.900", "C14x01C": "39.9500", "C16x01": "2026-03-02",
             "C18x01": "王医生", "C28": "1", "C29": "2", "C30": "3", "D20": "7.10"}  # fmt: skip
    cases, problems = read(write(tmp_path, page(CODES, first)))
    row = cases.row(0, named=True)
    assert problems.is_empty()
    assert (row["case_id"], row["sex"], row["age_years"], row["age_days"]) == ("H1_000123_2", 1, 45, None)
    assert row["diagnoses"] == ["I10.x00", "E11.900", "N18.900"]
    assert row["dx_on_admission"] == ["1", "2", ""]
    assert row["procedures"] == ["39.9500"]
    assert [time.isoformat() for time in row["px_begin"]] == ["2026-03-02T00:00:00"]
    assert row["px_surgeon"][0].startswith("p:")
    assert row["coma_before_minutes"] == 1 * 1440 + 2 * 60 + 3
    assert (row["total_cost_fen"], row["page_operative_fen"], row["page_anaesthesia_fen"]) == (10_050, 710, None)
    assert (row["los_days"], row["discharge_way"], row["newborn_birth_weights_g"]) == (8, "1", [])
    assert next(read_cases(tmp_path / "cases.csv")).source.format == "hqms"


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_header_by_chinese_name_and_shuffled_columns(tmp_path: Path, delimiter: str, encoding: str) -> None:
    columns = sorted(NAMES, reverse=True)
    one = {"C06x10C": "Z10", "C06x02C": "Z02", "C06x01C": "Z01"}
    text = page(columns, one, delimiter=delimiter, names=NAMES)
    cases, problems = read(write(tmp_path, text, encoding=encoding))
    assert cases["diagnoses"].to_list() == [["I10.x00", "Z01", "Z02", "Z10"]], "slots by number, not by place"
    assert cases["case_id"].to_list() == ["H1_000123_2"]
    assert problems.is_empty()


def test_a_gap_is_told_and_moves_nothing_up(tmp_path: Path) -> None:
    pages = [{"C03C": "-", "C04N": "-", "C06x02C": "N18.900"}, {"C35x01C": "39.9500"}]
    cases, problems = read(write(tmp_path, page(CODES, *pages)))
    assert cases["diagnoses"].to_list() == [["", "N18.900"], ["I10.x00"]]
    assert cases["procedures"].to_list() == [[], ["", "39.9500"]]
    assert told(problems) == [(2, "IN41", "diagnoses", "")]


def test_a_name_without_a_code_is_told(tmp_path: Path) -> None:
    cases, problems = read(write(tmp_path, page(CODES, {"C07x01N": "糖尿病"})))
    assert cases["diagnoses"].to_list() == [["I10.x00"]]
    assert told(problems) == [(2, "IN40", "diagnoses", "糖尿病")]


@pytest.mark.parametrize(
    ("given", "expected", "codes"),
    [
        ({"A14": "45", "A16": "0"}, (45, None), []),
        ({"A14": "45", "A16": "16500"}, (45, None), ["IN44"]),
        ({"A14": "-", "A16": "12"}, (0, 12), []),
        ({"A14": "0", "A16": "12"}, (0, 12), []),
        ({"A14": "-", "A16": "-"}, (45, None), ["IN43"]),
        ({"A14": "-", "A16": "-", "A13": "2026-02-20"}, (0, 9), ["IN43"]),
        ({"A14": "0", "A16": "-", "A13": "2026-02-20"}, (0, 9), ["IN43"]),
        ({"A14": "0", "A16": "-", "A13": "1980-05-05"}, (0, None), []),
        ({"A14": "-", "A16": "-", "A13": "2025-03-02"}, (0, 364), ["IN43"]),
        ({"A14": "-", "A16": "-", "A13": "2025-03-01"}, (1, None), ["IN43"]),
        ({"A14": "-", "A16": "-", "A13": "2026-03-02"}, (None, None), []),
        ({"A14": "-", "A16": "-", "A13": "-"}, (None, None), []),
        ({"A14": "0.5", "A16": "182"}, (0, 182), []),
    ],
)
def test_the_age_rule(
    tmp_path: Path, given: dict[str, str], expected: tuple[int | None, int | None], codes: list[str]
) -> None:
    for columns in ("all", "grouping"):
        cases, problems = read(write(tmp_path, page(CODES, given)), columns=columns)
        assert cases.select("age_years", "age_days").row(0) == expected
        assert problems["code"].to_list() == codes


def test_newborn_weights_stay_apart_and_twins_are_listed(tmp_path: Path) -> None:
    cases, _ = read(write(tmp_path, page(CODES, {"A17": "2400", "A18x01": "2500.0", "A18x02": "2300"})))
    assert cases.select("newborn_admission_weight_g", "newborn_birth_weight_g").row(0) == (2400, 2500)
    assert cases["newborn_birth_weights_g"].to_list() == [[2500, 2300]]


def test_what_a_page_needs(tmp_path: Path) -> None:
    without_age = [code for code in CODES if code not in ("A14", "A16")]
    cases, _ = read(write(tmp_path, page(without_age, {})))
    assert cases["age_years"].to_list() == [45], "birth date and admission give the age"
    without_dates = [code for code in without_age if code != "A13"]
    assert [problem.field for problem in refusal(write(tmp_path, page(without_dates, {})))] == ["age_years"]
    without_record = [code for code in CODES if code not in ("A48", "A49")]
    assert [problem.field for problem in refusal(write(tmp_path, page(without_record, {})))] == ["case_id"]


def test_n041_with_its_two_halves_of_a_pair(tmp_path: Path) -> None:
    text = (
        "BAH,ZYCS,XB,NL,BZYZSNL,CSRQ,RYSJ,JBDM,FJBM,JBDM1,FJBM1,JBDM3,RYBQ,RYBQ1,SSJCZBM1,SSJCZBM2,SSJCZRQ2,LYFS,ZFY,XM\n"
        "77,1,2,60,,1966-01-01,2026-03-01,A17.000+,G01.x00*,I10.x00,-,E11.900,1,2,,38.9300,2026-03-02,1,88.80,李四\n"
        "78,1,2,60,,1966-01-01,2026-03-01,A17.000x001,G01.x00x001,-,-,-,1,-,03.3100,-,-,1,1,李四\n"
    )
    cases, problems = read(write(tmp_path, text))
    assert next(read_cases(tmp_path / "cases.csv")).source.format == "n041"
    assert cases["diagnoses"].to_list() == [
        ["A17.000+G01.x00*", "I10.x00", "E11.900"], ["A17.000x001+G01.x00x001*"],
    ]  # fmt: skip
    assert cases["dx_on_admission"].to_list() == [["1", "2", ""], ["1"]]
    assert cases["procedures"].to_list() == [["", "38.9300"], ["03.3100"]]
    assert [[None if t is None else t.day for t in times] for times in cases["px_begin"].to_list()] == [
        [None, 2],
        [None],
    ]
    assert cases["case_id"].to_list() == ["77_1", "78_1"]
    assert set(problems["code"]) == {"IN47"}
