"""Flat tables: the short and the long form, aliases, delimiters, encodings, the OpenDRG line."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
from pathlib import Path

import polars as pl
import pytest

from grouper.intake import detect, read_cases
from reference_tables.columns import case_schema
from tests.unit.intake_files import FLAT, flat, read, refusal, told, write

LONG = (
    "case_id,hospital_id,sex,age_years,age_days,newborn_birth_weight_g,newborn_admission_weight_g,admission_date,"
    "discharge_date,los_days,discharge_way,insurance_type,principal_dx,other_dx,principal_px,other_px,total_cost\n"
    "1,H001,1,45,,,,2026-03-01,2026-03-06,5,1,310,K80.101,I50.900,51.2300,,12345.67\n"
    "2,H001,2,0,10,1180,1200,2026/3/1 8:05,20260329,28,1,390,P07.200,P22.000|P59.900,,38.9301,48210.00\n"
)


def test_short_form_fills_the_canonical_columns(tmp_path: Path) -> None:
    cases, problems = flat(tmp_path, "7,2,0,3,2500,4,1,P36.900|P59.900,96.0400|38.9200", "8,1,70,,,12,5,I10.x00,")
    assert problems.is_empty()
    assert cases.schema == case_schema([])
    assert cases.to_dicts() == [
        {
            "row": 2, "case_id": "7", "defect": None, "sex": 2, "age_years": 0, "age_days": 3,
            "newborn_birth_weight_g": 2500, "newborn_admission_weight_g": 2500, "los_days": 4, "icu_hours": None,
            "discharge_way": "1", "department": None, "diagnoses": ["P36.900", "P59.900"],
            "procedures": ["96.0400", "38.9200"],
        },
        {
            "row": 3, "case_id": "8", "defect": None, "sex": 1, "age_years": 70, "age_days": None,
            "newborn_birth_weight_g": None, "newborn_admission_weight_g": None, "los_days": 12, "icu_hours": None,
            "discharge_way": "5", "department": None, "diagnoses": ["I10.x00"], "procedures": [],
        },
    ]  # fmt: skip


def test_long_form_keeps_weights_dates_and_money_apart(tmp_path: Path) -> None:
    cases, problems = read(write(tmp_path, LONG))
    assert problems.is_empty()
    first, second = cases.to_dicts()
    assert (first["diagnoses"], first["procedures"]) == (["K80.101", "I50.900"], ["51.2300"])
    assert (first["total_cost_fen"], first["insurance_type"], first["hospital_id"]) == (1_234_567, "310", "H001")
    assert (second["newborn_birth_weight_g"], second["newborn_admission_weight_g"]) == (1180, 1200)
    assert second["admission_time"].isoformat() == "2026-03-01T08:05:00"
    assert second["discharge_time"].isoformat() == "2026-03-29T00:00:00"
    assert second["procedures"] == ["", "38.9301"], "an other procedure never becomes the principal"


def test_optional_columns_and_unused_ones(tmp_path: Path) -> None:
    text = f"{FLAT},icu_hours,department,住院总费,cost\n1,1,30,,,2,1,A,,12.5,0301,x,7\n"
    cases, problems = read(write(tmp_path, text))
    assert cases.select("icu_hours", "department", "total_cost_fen").row(0) == (12.5, "0301", 700)
    assert problems["code"].to_list() == ["IN47"]
    assert "住院总费" in problems["message"][0]


def test_a_column_name_nearly_right_is_told_with_the_name_that_was_meant(tmp_path: Path) -> None:
    text = f"{FLAT},insurance_typ,total_cots,险种类别,备注,sexx\n1,1,30,,,2,1,A,,310,7,职工,x,1\n"
    cases, problems = read(write(tmp_path, text))
    assert "insurance_type" not in cases.columns
    assert problems["message"].to_list() == [
        "有5列不是病例列，未使用（是否写错：insurance_typ → insurance_type、total_cots → total_cost、"
        "险种类别 → 险种类型）：insurance_typ、total_cots、险种类别、备注、sexx"
    ]  # fmt: skip
    whole = text.replace("insurance_typ,", "insurance_type,").replace("total_cots", "总费用")
    assert "是否写错" not in read(write(tmp_path, whole))[1]["message"][0], "a column that is there is not meant again"


def test_a_weight_of_unsaid_kind_fills_only_what_the_others_leave_open(tmp_path: Path) -> None:
    text = (
        "case_id,sex,age,diagnoses,weight,newborn_admission_weight_g\n1,1,0,A,2500,2600\n2,1,0,A,2500,\n3,1,0,A,,2600\n"
    )
    cases, problems = read(write(tmp_path, text))
    assert cases["newborn_birth_weight_g"].to_list() == [2500, 2500, None]
    assert cases["newborn_admission_weight_g"].to_list() == [2600, 2500, 2600]
    assert problems.is_empty()


def test_chinese_headers_mean_the_same(tmp_path: Path) -> None:
    text = "病例号\t性别\t年龄（岁）\t不足1周岁年龄（天）\t体重\t诊断编码\t手术操作编码\n1\t男\t45\t\t\tA|B\tC\n"
    cases, _ = read(write(tmp_path, text))
    assert cases.select("case_id", "sex", "age_years", "diagnoses", "procedures").row(0) == (
        "1", 1, 45, ["A", "B"], ["C"],
    )  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, ending: str) -> None:
    text = f"{FLAT}\n1,1,45,,,5,1,A|B,C\n2,2,46,,,6,2,D,\n".replace(",", delimiter).replace("\n", ending)
    cases, problems = read(write(tmp_path, text.encode()))
    assert cases["diagnoses"].to_list() == [["A", "B"], ["D"]]
    assert cases["discharge_way"].to_list() == ["1", "2"]
    assert problems.is_empty()


@pytest.mark.parametrize(
    ("encoding", "found"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("gb18030", "gb18030"), ("utf-16", "utf-16")],
)
def test_encodings(tmp_path: Path, encoding: str, found: str) -> None:
    text = f"{FLAT},department\n" + "".join(f"{n},1,45,,,5,1,A|B,C,呼吸内科𠮷\n" for n in range(50))
    path = write(tmp_path, text, encoding=encoding)
    assert detect(path).encoding == found
    cases, problems = read(path, block_rows=7)
    assert cases["department"].unique().to_list() == ["呼吸内科𠮷"]
    assert cases["case_id"].to_list() == [str(n) for n in range(50)]
    assert problems.is_empty()


def test_gb18030_second_bytes_are_no_list_separators(tmp_path: Path) -> None:
    # 恷 and 悀 end in the bytes of | and of } in this encoding
    text = "case_id,sex,age,diagnoses,dx_names\n1,1,45,A|B,恷|悀\n"
    assert b"|" in "恷".encode("gb18030")
    cases, _ = read(write(tmp_path, text, encoding="gb18030"))
    assert cases["dx_names"].to_list() == [["恷", "悀"]]


def test_chinese_that_begins_late_still_decides_the_encoding(tmp_path: Path) -> None:
    lines = [f"{n},1,45,,,5,1,A,,内科" if n > 90_000 else f"{n},1,45,,,5,1,A,,0301" for n in range(90_010)]
    path = write(tmp_path, "\n".join([f"{FLAT},department", *lines]), encoding="gb18030")
    assert detect(path).encoding == "gb18030"
    cases, problems = read(path)
    assert cases["department"].to_list()[-1] == "内科"
    assert problems.is_empty()


def test_blanks_around_content_are_trimmed_inside_lists_too(tmp_path: Path) -> None:
    cases, problems = flat(tmp_path, " 1 ,1 , 45,,,5,\u30001, A00.1 |\u00a0B01.2 , C ")
    assert (cases["case_id"][0], cases["sex"][0], cases["age_years"][0], cases["discharge_way"][0]) == ("1", 1, 45, "1")
    assert (cases["diagnoses"].to_list(), cases["procedures"].to_list()) == ([["A00.1", "B01.2"]], [["C"]])
    assert problems.is_empty()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("A|B", ["A", "B"]),
        ("|B", ["", "B"]),
        ("A||B|", ["A", "B"]),
        ("||", []),
        ("", []),
        ("a00.1X|A00.1X", ["a00.1X", "A00.1X"]),
        (" | B", ["", "B"]),
        ("A+B*", ["A+B*"]),
    ],
)
def test_lists_keep_order_spelling_and_the_principals_place(tmp_path: Path, given: str, kept: list[str]) -> None:
    cases, _ = flat(tmp_path, f"1,1,45,,,5,1,{given},", "2,1,45,,,5,1,Z,")
    assert cases["diagnoses"].to_list() == [kept, ["Z"]]


def test_parallel_lists_follow_their_codes(tmp_path: Path) -> None:
    text = "case_id,sex,age,diagnoses,dx_on_admission\n1,1,4,A||B,1|2|3\n2,1,4,A|B,1\n3,1,4,A,\n"
    cases, problems = read(write(tmp_path, text))
    assert cases["dx_on_admission"].to_list() == [["1", "3"], ["", ""], [""]]
    assert told(problems) == [(3, "IN42", "dx_on_admission", "1")]


def test_opendrg_line_with_and_without_header(tmp_path: Path) -> None:
    line = "22058878,2,88,32460,,13040503,94,1,K22.301|K11.901,96.0800x005"
    header = "Index,gender,age,ageDay,weight,dept,inHospitalTime,leavingType,zdList,ssList,remark"
    bare, problems = read(write(tmp_path, line + "\n" + line + ",note\n"))
    headed, _ = read(write(tmp_path, f"{header}\n{line}\n{line},\n"))
    assert problems.is_empty()
    assert bare["row"].to_list() == [1, 2]
    assert headed["row"].to_list() == [2, 3]
    assert bare.drop("row").equals(headed.drop("row"))
    assert bare.select("case_id", "age_days", "department", "los_days", "discharge_way").row(0) == (
        "22058878", 32460, "13040503", 94, "1",
    )  # fmt: skip
    assert next(read_cases(write(tmp_path, line))).source.format == "opendrg"


def test_gzip_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{FLAT}\n1,1,45,,,5,1,A|B,C\n".encode()
    plain, _ = read(write(tmp_path, text))
    packed, _ = read(write(tmp_path, gzip.compress(text), "cases.csv.gz"))
    assert packed.equals(plain)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    block = next(read_cases("-"))
    assert block.cases.equals(plain)
    assert block.source.path == "-"


def test_a_gzip_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    text = FLAT + "\n" + "".join(f"{n},1,45,,,5,1,A,{n * 7919 % 99991}\n" for n in range(20_000))
    packed = gzip.compress(text.encode())
    path = write(tmp_path, packed[: len(packed) // 2], "cases.csv.gz")
    assert [problem.code for problem in refusal(path)] == ["IN01"]


def test_source_says_what_was_read(tmp_path: Path) -> None:
    path = write(tmp_path, f"{FLAT}\n1,1,45,,,5,1,A,\n")
    source = next(read_cases(path)).source
    assert (source.path, source.format, source.container, source.encoding) == ("cases.csv", "flat", "csv", "utf-8")
    assert source.bytes == path.stat().st_size
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(source.columns) == {
        "case_id", "sex", "age_years", "age_days", "newborn_birth_weight_g", "newborn_admission_weight_g",
        "los_days", "discharge_way", "diagnoses", "procedures",
    }  # fmt: skip


def test_grouping_columns_only(tmp_path: Path) -> None:
    path = write(tmp_path, LONG)
    few, _ = read(path, columns="grouping")
    every, _ = read(path)
    assert few.schema == case_schema([])
    assert few.equals(every.select(few.columns))


def test_title_rows_above_the_header_shift_the_rows(tmp_path: Path) -> None:
    cases, _ = read(write(tmp_path, f"2026年3月病例\n\n{FLAT}\n1,1,45,,,5,1,A,\n"))
    assert cases["row"].to_list() == [4]


def test_header_cells_with_line_breaks(tmp_path: Path) -> None:
    cases, _ = read(write(tmp_path, 'case_id,性别,"年龄\n（岁）",diagnoses\n1,1,45,A\n'))
    assert cases.select("row", "age_years").row(0) == (2, 45)


def test_empty_rows_are_skipped_counted_and_keep_the_row_numbers(tmp_path: Path) -> None:
    cases, problems = flat(tmp_path, "1,1,45,,,5,1,A,", "", ",,,,,,,,", "2,1,45,,,5,1,A,", "", "")
    assert cases["row"].to_list() == [2, 5]
    assert told(problems) == [(0, "IN48", "", "")]
    assert "4" in problems["message"][0]


def test_person_and_surgeon_are_kept_only_as_hashes(tmp_path: Path) -> None:
    text = (
        "case_id,sex,age,diagnoses,procedures,person_id,px_surgeon,姓名\n1,1,4,A,B|C,310X,张三|\n2,1,4,A,B,310X,李四\n"
    )
    text = text.replace("张三|\n", "张三|,王五\n").replace("李四\n", "李四,赵六\n")
    cases, _ = read(write(tmp_path, text))
    assert cases["person_id"].n_unique() == 1
    assert cases["px_surgeon"].list.len().to_list() == [2, 1]
    assert cases["px_surgeon"][0][1] == ""
    everything = str(cases.to_dicts())
    assert not any(name in everything for name in ("310X", "张三", "李四", "王五", "赵六"))
    again, _ = read(write(tmp_path, "case_id,sex,age,diagnoses,person_id\n1,1,4,A," + cases["person_id"][0] + "\n"))
    assert again["person_id"][0] == cases["person_id"][0], "a hash stays itself"


def test_frames_are_polars_frames_of_one_schema_per_file(tmp_path: Path) -> None:
    path = write(tmp_path, LONG + LONG.split("\n", 1)[1])
    schemas = {tuple(block.cases.schema.items()) for block in read_cases(path, block_rows=1)}
    assert len(schemas) == 1
    assert isinstance(next(read_cases(path)).cases, pl.DataFrame)
