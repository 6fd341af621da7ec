"""DIP workbooks that are refused: every fault at its sheet, row, column and value, all of them at once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import xlsxwriter

from reference_tables.importers.dip_workbook import read_dip_workbook
from reference_tables.packs import find_pack, read_pack
from reference_tables.problems import Level, Problem, TablesRefused
from tests.unit.official_dip_workbook import NAMES, sheets, write
from tests.unit.official_workbook import Sheet
from tests.unit.official_workbook import sheets as drg_sheets
from tests.unit.small_pack import write_small


@pytest.fixture
def contents() -> dict[str, Sheet]:
    return sheets()


def refused(path: Path) -> list[Problem]:
    with pytest.raises(TablesRefused) as caught:
        read_dip_workbook(path)
    return [problem for problem in caught.value.problems if problem.level is Level.ERROR]


def place(name: str) -> str:
    return f"w.xlsx［{NAMES[name]}］"


def put(contents: dict[str, Sheet], name: str, row: int, column: int, cell: str | float | None) -> None:
    """Overwrite one cell; rows as Excel counts them, columns from 0."""
    cells = list(contents[name].rows[row - 1])
    cells[column] = cell  # type: ignore[call-overload]
    contents[name].rows[row - 1] = tuple(cells)


def cells(problems: Sequence[Problem]) -> list[tuple[str, str, int, str, str]]:
    return [(problem.code, problem.file, problem.row, problem.field, problem.value) for problem in problems]


def test_missing_sheets_are_named_with_those_found(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    del contents["excluded_px"], contents["base"]
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert [(problem.code, problem.args["sheet"]) for problem in problems] == [
        ("TB82", NAMES["base"]), ("TB82", NAMES["excluded_px"]),
    ]  # fmt: skip
    assert NAMES["tumour"] in problems[0].message


def test_missing_columns_are_named_with_those_found(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    put(contents, "pre", 19, 6, "重量")
    put(contents, "merged", 2, 6, "其他手术")
    put(contents, "tumour", 2, 6, "治疗")
    contents["primary_care"].rows[1] = ("编号", "诊断", "名称")
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert cells(problems) == [
        ("TB83", place("pre"), 19, "出生体重", ""),
        ("TB83", place("merged"), 2, "相关手术操作编码", ""),
        ("TB83", place("tumour"), 2, "主要手术操作/相关手术操作编码", ""),
        ("TB83", place("primary_care"), 1, "序号", ""),
    ]
    assert "其他手术" in problems[1].message


@pytest.mark.parametrize("name", list(NAMES))
def test_a_sheet_with_only_its_header_is_refused(tmp_path: Path, contents: dict[str, Sheet], name: str) -> None:
    rows = contents[name].rows
    last = next(
        at for at in range(len(rows), 0, -1) if {"序号", "主要诊断编码", "主要手术操作编码"} & set(rows[at - 1])
    )
    header = rows[2] if name == "pre" else rows[last - 1]
    contents[name] = Sheet(NAMES[name], [header])
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert [(problem.code, problem.file) for problem in problems if problem.code == "TB25"] == [("TB25", place(name))]


def test_codes_kept_as_numbers_are_refused_and_never_guessed(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    shifted = [(None, None, *row) for row in contents["tuberculosis"].rows]
    contents["tuberculosis"] = Sheet(NAMES["tuberculosis"], shifted)
    put(contents, "tuberculosis", 13, 6, 3.3101)
    put(contents, "merged", 7, 4, 39.95)
    put(contents, "excluded_px", 3, 0, 0.03)
    put(contents, "primary_care", 14, 3, 17.9833)
    assert cells(refused(write(tmp_path / "w.xlsx", contents.values()))) == [
        ("DW05", place("merged"), 7, "主要手术操作编码", "39.95"),
        ("DW05", place("tuberculosis"), 13, "主要手术操作编码", "3.3101"),
        ("DW05", place("excluded_px"), 3, "主要手术操作编码", "0.03"),
        ("DW05", place("primary_care"), 14, "主要手术操作编码", "17.9833"),
    ]


def test_a_formula_error_is_no_empty_cell(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    book = xlsxwriter.Workbook(str(tmp_path / "w.xlsx"))
    for content in contents.values():
        sheet = book.add_worksheet(content.name)
        for at, row in enumerate(content.rows):
            for column, cell in enumerate(row):
                if cell is not None:
                    sheet.write(at, column, cell)
        if content.name == NAMES["base"]:
            sheet.write_formula(2, 4, "=VLOOKUP(1,A:A,1)", None, "#N/A")
            sheet.write_formula(3, 2, "=A1/0", None, "#DIV/0!")
    book.close()
    assert cells(refused(tmp_path / "w.xlsx")) == [
        ("DW03", place("base"), 3, "主要手术操作编码", "#N/A"),
        ("DW03", place("base"), 4, "主要诊断编码", "#DIV/0!"),
    ]


def test_codes_without_a_separator_are_shown_apart(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    put(contents, "excluded_dx", 5, 0, "U84.700U84.800")
    put(contents, "merged", 7, 4, "39.950039.9501|39.9500x00738.9501")
    put(contents, "excluded_px", 4, 0, "00.3101\n00.3300")
    put(contents, "resistant_dx", 3, 0, "A15.000x010A16.200x010")
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert {(*cell, problem.args["mended"]) for cell, problem in zip(cells(problems), problems, strict=True)} == {
        ("DW04", place("excluded_dx"), 5, "主要诊断编码", "U84.700U84.800", "U84.700|U84.800"),
        ("DW04", place("merged"), 7, "主要手术操作编码", "39.950039.9501", "39.9500|39.9501"),
        ("DW04", place("merged"), 7, "主要手术操作编码", "39.9500x00738.9501", "39.9500x007|38.9501"),
        ("DW04", place("excluded_px"), 4, "主要手术操作编码", "00.310100.3300", "00.3101|00.3300"),
        ("DW04", place("resistant_dx"), 3, "主要诊断编码", "A15.000x010A16.200x010", "A15.000x010|A16.200x010"),
    }


MAY = "作为主要诊断，可作为主要手术操作"
FAULTS = {
    "number of a group in words": ("merged", 3, 1, "二十", "DW07", "序号", "二十"),
    "number of a group with another layer": ("base", 3, 1, "BX-1858", "DW07", "序号", "BX-1858"),
    "no number of a group": ("base", 3, 1, None, "DW07", "序号", ""),
    "principal diagnosis in words": ("base", 3, 2, "伤寒", "DW02", "主要诊断编码", "伤寒"),
    "no principal diagnosis": ("base", 3, 2, None, "DW06", "主要诊断编码", ""),
    "principal diagnosis left open": ("base", 3, 2, "*", "DW02", "主要诊断编码", "*"),
    "lower case": ("base", 3, 2, "a01.0", "DW02", "主要诊断编码", "a01.0"),
    "range backwards": ("tumour", 3, 4, "C75-C00", "DW02", "其他诊断编码", "C75-C00"),
    "range of three": ("tumour", 3, 4, "C00-C10-C75", "DW02", "其他诊断编码", "C00-C10-C75"),
    "other separator": ("burn", 4, 4, "T31.0、T32.0", "DW02", "其他诊断编码", "T31.0、T32.0"),
    "separator at the end": ("burn", 4, 4, "T31.0|", "DW02", "其他诊断编码", ""),
    "no other diagnosis": ("burn", 4, 4, None, "DW06", "其他诊断编码", ""),
    "procedure cut short": ("merged", 3, 4, "44.13", "DW02", "主要手术操作编码", "44.13"),
    "procedure in words": ("base", 9, 4, "见附件", "DW02", "主要手术操作编码", "见附件"),
    "plus at the end": ("tumour", 4, 6, "99.2503+", "DW02", "主要手术操作/\n相关手术操作编码", "99.2503+"),
    "related without principal procedure": ("merged", 11, 4, None, "DW06", "主要手术操作编码", ""),
    "first layer without procedure": ("pre", 4, 5, None, "DW06", "主要手术\n操作编码", ""),
    "age in words": ("pre", 20, 5, "新生儿", "DW02", "天龄", "新生儿"),
    "no weight": ("pre", 21, 6, None, "DW06", "出生\n体重", ""),
    "weight backwards": ("pre", 21, 6, "1499-1000克", "DW02", "出生\n体重", "1499-1000克"),
    "remark about newborns": ("pre", 20, 7, "主要诊断为P07", "DW09", "说明", "主要诊断为P07"),
    "neither yes nor no": ("tuberculosis", 3, 6, "不详", "DW02", "是否耐药", "不详"),
    "resistance by nothing": ("tuberculosis", 3, 7, "见说明", "DW09", "是否耐药说明", "见说明"),
    "beginning on the annex": ("resistant_dx", 3, 0, "A15.0", "DW02", "主要诊断编码", "A15.0"),
    "beginning on the exclusion list": ("excluded_dx", 4, 0, "I10", "DW02", "主要诊断编码", "I10"),
    "name without code": ("excluded_dx", 4, 0, None, "DW08", "", ""),
    "unknown remark": ("excluded_px", 3, 2, "暂不入组", "DW09", "说明", "暂不入组"),
    "remark with another separator": ("excluded_px", 13, 2, f"A00、D01{MAY}", "DW09", "说明", f"A00、D01{MAY}"),
    "no remark": ("excluded_px", 3, 2, None, "DW09", "说明", ""),
    "unreadable list in a remark": ("excluded_px", 13, 2, f"A00-A0{MAY}", "DW02", "说明", "A00-A0"),
    "primary care without a number": ("primary_care", 3, 0, None, "DW02", "序号", ""),
    "primary care without diagnosis": ("primary_care", 3, 1, None, "DW06", "主要诊断编码", ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_cell_that_cannot_be_read_is_told_with_its_place(
    tmp_path: Path, contents: dict[str, Sheet], fault: tuple[str, int, int, str | None, str, str, str]
) -> None:
    name, row, column, cell, code, field, value = fault
    put(contents, name, row, column, cell)
    if code == "DW08":
        pack = read_dip_workbook(write(tmp_path / "w.xlsx", contents.values()))
        assert [problem.row for problem in pack.problems if problem.code == code] == [row]
        return
    (problem,) = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert cells([problem]) == [(code, place(name), row, " ".join(field.split()), value)]
    assert f"第 {row} 行" in problem.message
    assert problem.fix


def test_all_faults_are_told_at_once(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    faults = ["number of a group in words", "range backwards", "unknown remark", "no weight", "procedure in words"]
    for name, row, column, cell, *_ in (FAULTS[fault] for fault in faults):
        put(contents, name, row, column, cell)
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert {problem.code for problem in problems} == {"DW02", "DW06", "DW07", "DW09"}
    assert len(problems) == len(faults)


def test_the_same_group_twice_is_refused(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    put(contents, "base", 4, 1, "JC-1858")
    problems = refused(write(tmp_path / "w.xlsx", contents.values()))
    assert [(problem.file, problem.row, problem.value) for problem in problems] == [(place("base"), 4, "JC-1858")]


def test_a_drg_workbook_is_named_as_such(tmp_path: Path) -> None:
    path = write(tmp_path / "w.xlsx", drg_sheets(read_pack(write_small(tmp_path / "small"))).values())
    (problem,) = refused(path)
    assert problem.code == "DW01"
    assert "DRG 分组方案配置信息" in problem.message
    assert "集合" in problem.message


OTHERS = {
    "DIP 目录": [Sheet("Sheet1", [("病种编码", "综合病种名称", "分值")])],
    "权重": [Sheet("Sheet1", [("编码", "权重")])],
    "病例": [Sheet("首页", [("病案号", "出院日期")])],
    "其他工作簿": [Sheet("Sheet1", [("姓名", "电话")]), Sheet("空", [])],
}


@pytest.mark.parametrize("seems", OTHERS)
def test_another_workbook_is_named_as_what_it_seems(tmp_path: Path, seems: str) -> None:
    (problem,) = refused(write(tmp_path / "w.xlsx", OTHERS[seems]))
    assert problem.code == "DW01"
    assert seems in problem.message


def test_an_empty_workbook_and_no_workbook(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    (problem,) = refused(write(tmp_path / "w.xlsx", [Sheet("Sheet1", [])]))
    assert problem.code == "DW01"
    blank = [Sheet(content.name, []) for content in contents.values()]
    problems = refused(write(tmp_path / "w.xlsx", blank))
    assert [(problem.code, problem.file) for problem in problems] == [("TB83", place(name)) for name in NAMES]
    (tmp_path / "w.xlsx").write_bytes(b"PK\x03\x04 cut off")
    for read in (read_dip_workbook, find_pack):
        with pytest.raises(TablesRefused) as caught:
            read(tmp_path / "w.xlsx")
        assert [problem.code for problem in caught.value.problems] == ["TB80"]
        assert str(tmp_path) not in str(caught.value)
