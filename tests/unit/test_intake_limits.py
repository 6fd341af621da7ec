"""Texts and lists longer than the limits make their record a defect, and nothing of them goes further."""

from __future__ import annotations

from pathlib import Path

from grouper.discretion import discreet
from tests.unit.intake_files import flat, read, told, write

GOOD = "9,1,45,,,5,1,A|B,C"


def test_what_is_too_long_is_a_defect_between_good_rows(tmp_path: Path) -> None:
    at_most, more = "脑" * 200, "Z" * 201
    many, fit = "|".join(["A"] * 201), "|".join(["A"] * 200)
    lines = [GOOD, f"{at_most},1,45,,,5,1,{fit},C", f"{more},1,45,,,5,1,A,C", f"3,1,45,,,5,1,{many},A|{more}", GOOD]
    cases, problems = flat(tmp_path, *lines)
    assert cases["defect"].to_list() == [None, None, "IN29", "IN29", None]
    assert cases["case_id"].to_list() == ["9", at_most, more[:200], "3", "9"]
    assert [len(item) for item in cases["diagnoses"]] == [2, 200, 1, 0, 2]
    assert cases["procedures"].to_list() == [["C"], ["C"], ["C"], [], ["C"]]
    assert told(problems) == [
        (4, "IN29", "case_id", ""), (5, "IN29", "diagnoses", ""), (5, "IN29", "procedures", ""),
    ]  # fmt: skip
    assert [text.split("”")[1] for text in problems["message"]] == [
        "有 201 字，超过上限 200 字",
        "有 201 项，超过上限 200 项",
        "有一项有 201 字，超过上限 200 字",
    ]
    assert problems["case_id"].to_list() == [more[:200], "3", "3"]


def test_other_problems_of_the_record_name_no_longer_number(tmp_path: Path) -> None:
    cases, problems = flat(tmp_path, "Z" * 1000 + ",1,x,,,5,1,A,C")
    assert problems["code"].to_list() == ["IN30", "IN29"]
    assert problems["case_id"].str.len_chars().to_list() == [200, 200]
    assert cases["age_years"].to_list() == [None]


def test_a_long_number_is_hidden_once(tmp_path: Path) -> None:
    _, problems = read(write(tmp_path, "case_id,sex,age,diagnoses,total_cost\n1,1,45,A," + "9" * 400 + "\n"))
    assert discreet(problems)["value"].to_list() == ["【证件号已隐去】"]
