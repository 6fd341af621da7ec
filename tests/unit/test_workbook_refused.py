"""Workbooks that are refused: each with the reason, and another workbook named as what it seems."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from reference_tables.importers.drg_workbook import read_workbook
from reference_tables.packs import find_pack, read_pack
from reference_tables.problems import Level, Problem, TablesRefused
from tests.unit.official_workbook import Sheet, changed, save, sheets
from tests.unit.small_pack import write_small


@pytest.fixture
def contents(tmp_path: Path) -> dict[str, Sheet]:
    return sheets(read_pack(write_small(tmp_path / "small")))


def refused(path: Path) -> list[Problem]:
    with pytest.raises(TablesRefused) as caught:
        read_workbook(path)
    return [problem for problem in caught.value.problems if problem.level is Level.ERROR]


def places(problems: Sequence[Problem]) -> set[tuple[str, str, int]]:
    return {(problem.code, problem.file, problem.row) for problem in problems}


def test_missing_sheets_are_named_with_those_found(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    del contents["cc"], contents["exclusion"]
    problems = refused(save(tmp_path / "w.xlsx", contents.values()))
    assert [(problem.code, problem.args["sheet"]) for problem in problems] == [("TB82", "CC"), ("TB82", "排除表")]
    assert "MDC、ADRG、DRG、集合" in problems[0].message


def test_missing_headers_are_named_with_those_found(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    contents["mdc"].rows[1] = ("MDC编码", "MDC名称", "说明", "排序")
    contents["drg"].rows[0] = ("DRG", "DRG名称", "DRG规则", "上级", "所属MDC编码", "次序")
    problems = refused(save(tmp_path / "w.xlsx", contents.values()))
    assert [(problem.code, problem.file, problem.row, problem.args["column"]) for problem in problems] == [
        ("TB83", "w.xlsx［MDC］", 2, "MDC规则"),
        ("TB83", "w.xlsx［DRG］", 1, "所属ADRG编码"),
        ("TB83", "w.xlsx［DRG］", 1, "排序"),
    ]
    assert "MDC编码、MDC名称、说明、排序" in problems[0].message


@pytest.mark.parametrize("name", ["mdc", "adrg", "drg", "sets", "cc", "exclusion"])
def test_a_sheet_with_only_its_header_is_refused(tmp_path: Path, contents: dict[str, Sheet], name: str) -> None:
    rows = contents[name].rows[: 2 if name == "mdc" else 1]
    contents[name] = Sheet(contents[name].name, rows)
    problems = refused(save(tmp_path / "w.xlsx", contents.values()))
    assert places(problems) == {("TB25", f"w.xlsx［{contents[name].name}］", len(rows))}


def test_truncated_sheets_are_refused(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    full = dict(contents)
    cut = {
        "drg": {("TB85", "w.xlsx［ADRG］", 7)},
        "adrg": {("TB85", "w.xlsx［MDC］", 5), ("TB08", "w.xlsx［DRG］", 9)},
        "sets": {("TB11", "w.xlsx［ADRG］", 7)},
    }
    for name, expected in cut.items():
        short = Sheet(full[name].name, full[name].rows[:-1])
        problems = refused(save(tmp_path / "w.xlsx", (full | {name: short}).values()))
        assert places(problems) == expected, name


def test_an_exclusion_table_cut_off_is_refused(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    rows = [*contents["cc"].rows, ("I61.000", "名", "EX_2", "CC")]
    problems = refused(save(tmp_path / "w.xlsx", (contents | {"cc": Sheet("CC", rows)}).values()))
    assert places(problems) == {("TB12", "w.xlsx［CC］", 4)}


def test_a_rule_is_refused_at_its_cell(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    def spoil(at: int, row: list[str | int | None]) -> None:
        if at == 4:
            row[2] = "ZYSS in {OP_BB1"

    problems = refused(save(tmp_path / "w.xlsx", (contents | {"adrg": changed(contents["adrg"], spoil)}).values()))
    assert places(problems) == {("TB10", "w.xlsx［ADRG］", 4)}


def test_a_fall_back_row_with_a_rule_is_refused(tmp_path: Path, contents: dict[str, Sheet]) -> None:
    def spoil(at: int, row: list[str | int | None]) -> None:
        if row[0] == "000":
            row[2] = "NL > 5"

    problems = refused(save(tmp_path / "w.xlsx", (contents | {"adrg": changed(contents["adrg"], spoil)}).values()))
    assert places(problems) == {("TB84", "w.xlsx［ADRG］", 2)}


OTHERS = {
    "DIP": [Sheet("一、先期分组", [("分类", "序号", "分组名称")]), Sheet("四、基础规则下的核心病种", [("分类",)])],
    "权重": [Sheet("Sheet1", [("2024 年",), ("DRG编码", "权重", "支付标准")])],
    "病例": [Sheet("首页", [("病案号", "主要诊断编码", "出院日期")])],
    "编码表": [Sheet("Sheet1", [("诊断代码", "诊断名称", "是否灰码")])],
    "其他工作簿": [Sheet("Sheet1", [("姓名", "电话")]), Sheet("空", [])],
}


@pytest.mark.parametrize("seems", OTHERS)
def test_another_workbook_is_named_as_what_it_seems(tmp_path: Path, seems: str) -> None:
    (problem,) = refused(save(tmp_path / "w.xlsx", OTHERS[seems]))
    assert problem.code == "TB81"
    assert seems in problem.message
    assert all(sheet.name in problem.message for sheet in OTHERS[seems])


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    for name, data in (("w.xlsx", b"code,name\nMDCA,x\n"), ("protected.xlsx", b"\xd0\xcf\x11\xe0" + b"\0" * 600)):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(TablesRefused) as caught:
            find_pack(path)
        (problem,) = caught.value.problems
        assert (problem.code, problem.file) == ("TB80", name)
        assert str(tmp_path) not in problem.message
