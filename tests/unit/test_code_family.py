"""Families of codes: categories, ranges, whole codes, names, and what is not a family."""

from __future__ import annotations

import polars as pl
import pytest

from reference_tables.code_family import CodeForms, System, parse_family

DIAGNOSES = {
    "T31.900": "烧伤", "T31.900x001": "", "T32": "", "T33.000": "", "D07.000": "", "D07.300x002": "", "D07.4": "",
    "I50.900": "心力衰竭", "I50.900x007": "", "I50.900X010": "", "I50.900x011": "", "J81.x00": "", "B05.000+G05.1*": "",
    "M8140/3": "", "M81.000": "骨质疏松", "m81.000": "", "": "", "国临版:M81.000": "", "O99.900": "",
}  # fmt: skip
PROCEDURES = {
    "65.6100": "", "75.9900": "", "76.0100": "", "00.4000": "", "00.4400": "", "00.4x00": "", "66.8x03": "",
    "96.7201": "呼吸机治疗[大于等于96小时]", "96.7200": "", "6.5610": "", "65": "",
}  # fmt: skip


def members(text: str, system: System = "diagnosis") -> set[str]:
    book = DIAGNOSES if system == "diagnosis" else PROCEDURES
    codes, names = pl.Series([*book], dtype=pl.String), pl.Series([*book.values()], dtype=pl.String)
    return set(codes.filter(pl.Series(parse_family(text, system).mask(CodeForms(system, codes, names)))))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("T31-T32", {"T31.900", "T31.900x001", "T32"}),
        ("T31", {"T31.900", "T31.900x001"}),
        ("D07.0-D07.3", {"D07.000", "D07.300x002"}),
        ("D07.0 T33", {"D07.000", "T33.000"}),
        ("I50.900", {"I50.900"}),
        ("I50.900x007-I50.900x010", {"I50.900x007", "I50.900X010"}),
        ("I50 !I50.900", {"I50.900x007", "I50.900X010", "I50.900x011"}),
        ("J81", {"J81.x00"}),
        ("J81.0-J81.9", set()),
        ("B05", {"B05.000+G05.1*"}),
        ("B05.000+G05.1*", {"B05.000+G05.1*"}),
        ("G05", set()),
        ("M80-M82", {"M81.000"}),
        ("O00-O99", {"O99.900"}),
        ("S00-U99", {"T31.900", "T31.900x001", "T32", "T33.000"}),
        ("~疏松", {"M81.000"}),
    ],
)
def test_diagnoses_of_a_family(text: str, codes: set[str]) -> None:
    assert members(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("65-75", {"65.6100", "75.9900", "66.8x03", "65"}),
        ("00.4", {"00.4000", "00.4400", "00.4x00"}),
        ("00.40-00.43", {"00.4000"}),
        ("66.8", {"66.8x03"}),
        ("96.7201", {"96.7201"}),
        ("96.72 !~96小时", {"96.7200"}),
    ],
)
def test_procedures_of_a_family(text: str, codes: set[str]) -> None:
    assert members(text, "procedure") == codes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!T31",
        "T3",
        "T31.",
        "T32-T31",
        "T31-T32.0",
        "I50.900x007-I51.900x010",
        "I50.900x010-I50.900x007",
        "65.6",
        "~",
    ],
)
def test_what_is_no_family_of_diagnoses(text: str) -> None:
    with pytest.raises(ValueError, match=r"family|range|category"):
        parse_family(text, "diagnosis")
