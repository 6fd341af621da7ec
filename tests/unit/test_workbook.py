"""The official workbook read straight into a pack: both editions, every oddity, the 3.0 rules, identical tables."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from reference_tables.drg_pack import DrgPack
from reference_tables.importers.drg_workbook import read_workbook
from reference_tables.pack_writer import write_pack
from reference_tables.packs import find_pack, read_pack
from reference_tables.rule_ast import set_names
from reference_tables.rule_language import parse_rule
from tests.unit.official_workbook import Row, Sheet, changed, save, sheets
from tests.unit.small_pack import write_small

TABLES = ("mdc", "adrg", "drg", "sets", "cc", "exclusion")
RULES_3_0 = Path("tests/golden/rules_3_0.csv")


@pytest.fixture
def small(tmp_path: Path) -> DrgPack:
    return read_pack(write_small(tmp_path / "small"))


def same_tables(left: DrgPack, right: DrgPack, tables: tuple[str, ...] = TABLES) -> None:
    for name in tables:
        assert left.table(name).rows() == right.table(name).rows(), name


def codes_of(pack: DrgPack) -> set[str]:
    return {problem.code for problem in pack.problems}


def test_built_in_pack_through_the_first_edition_is_the_same_pack(tmp_path: Path) -> None:
    pack = find_pack("chs-drg-1.1")
    path = save(tmp_path / "1.1.xlsx", sheets(pack, first_edition=True).values())
    again = find_pack(str(path))
    same_tables(again, pack)
    assert codes_of(again) == {"TB86"}
    assert again.manifest is not None
    assert again.manifest.workbook is not None
    assert again.manifest.workbook.rows == {
        "MDC": 27, "ADRG": 422, "DRG": 674, "集合": 98443, "CC": 21246, "排除表": 28302,
    }  # fmt: skip
    assert (again.manifest.workbook.fallback_rows, again.manifest.workbook.duplicates) == (3, 0)
    assert (again.newborn_weight, again.data_level) == ("admission", "reference")


@pytest.mark.parametrize("first_edition", [True, False])
def test_both_layouts_give_the_same_tables(tmp_path: Path, small: DrgPack, first_edition: bool) -> None:
    path = save(tmp_path / "w.xlsx", sheets(small, first_edition=first_edition).values())
    again = read_workbook(path)
    same_tables(again, small, ("mdc", "sets", "cc", "exclusion"))
    assert again.adrg.drop("name", "line").equals(small.adrg.drop("name", "line"))
    assert again.adrg.row(by_predicate=pl.col("code") == "B00", named=True)["name"] == "神经（无法入组）"
    assert again.drg.row(by_predicate=pl.col("code") == "B000", named=True)["name"] == "神经（无法入组）"


def test_lines_are_the_rows_excel_shows(tmp_path: Path, small: DrgPack) -> None:
    again = read_workbook(save(tmp_path / "w.xlsx", sheets(small).values()))
    assert dict(again.mdc.select("code", "line").iter_rows()) == {"MDCA": 3, "MDCB": 4, "MDCP": 5}
    assert again.adrg.filter(pl.col("code") == "AA1")["line"].to_list() == [3]


def in_rules(old: str, new: str, column: int = 2) -> Callable[[int, list[str | int | None]], None]:
    def change(at: int, row: list[str | int | None]) -> None:
        cell = row[column] if len(row) > column else None
        if isinstance(cell, str) and at > 1:
            row[column] = cell.replace(old, new)

    return change


ODDITIES = {
    "literal escapes of control characters": ("adrg", in_rules(" in ", "_x000D_in_x000A_")),
    "line breaks": ("adrg", in_rules(" in ", " \r\n in\n")),
    "no-break and ideographic blanks": ("adrg", in_rules(" in ", "\u00a0in\u3000")),
    "zero-width blanks": ("adrg", in_rules(" in ", "\u200b in \ufeff")),
    "double blanks": ("drg", in_rules(" in ", "  in  ")),
    "full-width signs": ("drg", in_rules("{MCC, CC}", "｛ＭＣＣ， ＣＣ｝")),
    "full-width codes": ("adrg", in_rules("AA1", "ＡＡ１", column=0)),
    "full-width parent": ("adrg", in_rules("MDCB", "ＭＤＣＢ", column=3)),
    "blanks round codes": ("sets", in_rules("I61.000", "\u00a0I61.000 \u3000", column=1)),
    "full-width digits in codes": ("sets", in_rules("01.2403", "０１.２４０３", column=1)),
    "escape inside a code": ("exclusion", in_rules("A41.900", "A41.900_x000D_", column=1)),
}


@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
def test_oddities_of_cells_change_nothing(
    tmp_path: Path, small: DrgPack, oddity: tuple[str, Callable[[int, list[str | int | None]], None]]
) -> None:
    name, change = oddity
    contents = sheets(small)
    odd = changed(contents[name], change)
    assert odd != contents[name]
    again = read_workbook(save(tmp_path / "w.xlsx", (contents | {name: odd}).values()))
    plain = read_workbook(save(tmp_path / "plain.xlsx", contents.values()))
    same_tables(again, plain)


def test_shape_of_sheets_changes_nothing(tmp_path: Path, small: DrgPack) -> None:
    contents = sheets(small)
    plain = read_workbook(save(tmp_path / "plain.xlsx", contents.values()))

    def orders_as_text(at: int, row: list[str | int | None]) -> None:
        row[-1] = f"{row[-1]}.0" if isinstance(row[-1], int) else row[-1]

    def headers_broken(at: int, row: list[str | int | None]) -> None:
        if at == 1:
            row[2:] = ["排除\n表", "类 型"]

    shifted = [(None, None, *row) for row in contents["sets"].rows]
    odd = {
        "notes": Sheet("说明", [("本表说明",)]),
        "exclusion": contents["exclusion"],
        "mdc": Sheet(" mdc ", [(None,), *contents["mdc"].rows, (None,)]),
        "adrg": Sheet("ADRG", [*contents["adrg"].rows[:3], (), *contents["adrg"].rows[3:], ()]),
        "drg": changed(contents["drg"], orders_as_text),
        "sets": Sheet("集合", [("第一部分",), *shifted]),
        "cc": changed(contents["cc"], headers_broken),
    }
    again = read_workbook(save(tmp_path / "w.xlsx", odd.values()))
    same_tables(again, plain)


def test_a_complication_without_exclusion_may_say_so(tmp_path: Path, small: DrgPack) -> None:
    contents = sheets(small)

    def spelt_out(at: int, row: list[str | int | None]) -> None:
        row[2] = row[2] or "无"

    again = read_workbook(save(tmp_path / "w.xlsx", (contents | {"cc": changed(contents["cc"], spelt_out)}).values()))
    assert again.cc.rows() == [("A41.900", "MCC", "EX_1"), ("I10.x00", "CC", "")]


def test_rows_that_catch_the_rest_stand_last(tmp_path: Path, small: DrgPack) -> None:
    contents = sheets(small)

    def early(at: int, row: list[str | int | None]) -> None:
        row[-1] = 1 if row[0] == "B00" else row[-1]

    odd = contents | {"adrg": changed(contents["adrg"], early)}
    again = read_workbook(save(tmp_path / "w.xlsx", odd.values()))
    assert again.adrg["code"].to_list() == ["AA1", "BB1", "BR1", "B00", "PS1"]
    assert not codes_of(again) & {"TB55"}


def test_duplicates_are_dropped_and_counted(tmp_path: Path, small: DrgPack) -> None:
    contents = sheets(small)
    doubled = Sheet("集合", [*contents["sets"].rows, *contents["sets"].rows[1:4]])
    again = read_workbook(save(tmp_path / "w.xlsx", (contents | {"sets": doubled}).values()))
    same_tables(again, small, ("sets",))
    (problem,) = [problem for problem in again.problems if problem.code == "TB87"]
    assert problem.args["count"] == 3
    assert again.manifest is not None
    assert again.manifest.workbook is not None
    assert again.manifest.workbook.duplicates == 3


def test_an_mdc_that_contradicts_the_adrg_is_told(tmp_path: Path, small: DrgPack) -> None:
    contents = sheets(small)
    odd = changed(contents["drg"], in_rules("MDCB", "MDCA", column=4))
    again = read_workbook(save(tmp_path / "w.xlsx", (contents | {"drg": odd}).values()))
    told = [(problem.row, problem.value) for problem in again.problems if problem.code == "TB89"]
    assert told == [(4, "MDCA"), (5, "MDCA"), (6, "MDCA"), (7, "MDCA"), (8, "MDCA")]


def official_3_0() -> dict[str, Sheet]:
    """A workbook with every rule of 3.0 and made-up members: each set one code, one exclusion table each for
    the amendments; orders, empty rules, line breaks as published."""
    rows = list(csv.DictReader(RULES_3_0.read_text(encoding="utf-8").splitlines(keepends=True)))
    level: dict[str, list[dict[str, str]]] = {"MDC": [], "ADRG": [], "DRG": []}
    for row in rows:
        level[row["level"]].append(row)
    names = sorted({name for row in rows for name in set_names(parse_rule(row["rule"]))} - {"MCC", "CC"})
    mdc: list[Row] = [("标题",), ("MDC编码", "MDC名称", "MDC规则", "排序")]
    mdc += [(row["code"], "名", row["rule"] or None, int(row["order"])) for row in level["MDC"]]
    adrg: list[Row] = [(None, "ADRG编码", "ADRG名称", "ADRG规则", "所属MDC编码", "MDC内排序")]
    drg: list[Row] = [("DRG编码", "DRG名称", "DRG规则", "所属ADRG编码", "所属MDC编码", "排序")]
    for target, source in ((adrg, level["ADRG"]), (drg, level["DRG"])):
        for row in source:
            cells = (row["code"], None, row["rule"] or None, row["parent"])
            target.append((None, *cells, int(row["order"])) if target is adrg else (*cells, None, int(row["order"])))
    tables = ("EX_103", "EX_104", "EX_105", "EX_107", "EX_128")
    return {
        "mdc": Sheet("MDC", [*mdc, ("0000", None, None, 27)]),
        "adrg": Sheet("ADRG", [adrg[0], (None, "000", None, None, "0000", 1), *adrg[1:]]),
        "drg": Sheet("DRG", [drg[0], ("0000", None, None, "000", "0000", 1), *drg[1:]]),
        "sets": Sheet(
            "集合", [("集合编号", "ICD编码"), *((name, "38.4000" if name[:2] == "OP" else "I61.003") for name in names)]
        ),
        "cc": Sheet("CC", [("疾病编码", "排除表", "类型"), *(("A41.900", table, "MCC") for table in tables)]),
        "exclusion": Sheet("排除表", [("集合编号", "ICD编码"), *((table, "S02.400") for table in tables)]),
    }


def test_the_rules_of_3_0_load_as_the_official_scheme(tmp_path: Path) -> None:
    path = save(tmp_path / "配置信息.xlsx", official_3_0().values())
    pack = read_workbook(path)
    assert (pack.mdc.height, pack.adrg.height, pack.drg.height) == (26, 537, 870)
    assert pack.sets["set"].n_unique() == 634
    assert (pack.id, pack.version, pack.newborn_weight, pack.data_level) == (
        "chs-drg-3.0", "3.0", "admission", "official",
    )  # fmt: skip
    manifest = pack.manifest
    assert manifest is not None
    assert manifest.workbook is not None
    assert str(manifest.effective_from) == "2027-01-01"
    assert manifest.workbook.edition == "首版（2026 年 9 月初）"
    assert manifest.workbook.file == "配置信息.xlsx"
    counts = [(problem.args["sheet"], problem.args["expected"]) for problem in pack.problems if problem.code == "TB86"]
    assert counts == [("集合", 106950), ("CC", 7918), ("排除表", 21036)]
    assert codes_of(pack) == {"TB86"}
    last = pack.adrg.filter(pl.col("mdc") == "MDCO")["code"].to_list()[-3:]
    assert last == ["OT1", "OZ1", "O00"]


def test_amendments_of_3_0_are_added_with_their_source_where_they_lack(tmp_path: Path) -> None:
    pack = read_workbook(save(tmp_path / "w.xlsx", official_3_0().values()))
    assert sorted([*pack.exclusion.filter(pl.col("code") != "S02.400").rows(), ("EX_128", "S02.400")]) == [
        ("EX_103", "P22.100"), ("EX_103", "P24.100"), ("EX_104", "P39.800"), ("EX_105", "P55.100"),
        ("EX_105", "P59.900"), ("EX_107", "P78.800"), ("EX_128", "S02.400"),
    ]  # fmt: skip
    assert pack.manifest is not None
    recorded = {code for item in pack.manifest.amendments for code in item.codes}
    assert recorded == {"P22.100", "P24.100", "P39.800", "P55.100", "P59.900", "P78.800"}
    assert all("医保发〔2026〕22号" in item.source and item.date for item in pack.manifest.amendments)


def test_an_amendment_without_its_table_is_told(tmp_path: Path) -> None:
    contents = official_3_0()
    for name in ("cc", "exclusion"):
        kept = [row for row in contents[name].rows if "EX_105" not in row]
        contents[name] = Sheet(contents[name].name, kept)
    pack = read_workbook(save(tmp_path / "w.xlsx", contents.values()))
    assert [problem.value for problem in pack.problems if problem.code == "TB88"] == ["EX_105"]


def test_the_update_is_told_by_its_renumbered_mdct(tmp_path: Path) -> None:
    def renumber(at: int, row: list[str | int | None]) -> None:
        if row[4] == "MDCT" and isinstance(row[5], int):
            row[5] -= 11

    contents = official_3_0()
    contents["adrg"] = changed(contents["adrg"], renumber)
    manifest = read_workbook(save(tmp_path / "w.xlsx", contents.values())).manifest
    assert manifest is not None
    assert manifest.workbook is not None
    assert manifest.workbook.edition == "更新（2026-09-09）"


def test_imported_pack_writes_and_reads_back_byte_for_byte(tmp_path: Path) -> None:
    path = save(tmp_path / "w.xlsx", official_3_0().values())
    for name in ("a", "b"):
        write_pack(read_workbook(path), tmp_path / name)
    files = sorted(item.name for item in (tmp_path / "a").iterdir())
    assert files == sorted(["manifest.toml", *(f"{name}.csv" for name in TABLES)])
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    pack, again = read_workbook(path), read_pack(tmp_path / "a")
    assert again.sha256 == pack.sha256
    assert again.manifest == pack.manifest
    write_pack(replace(again, problems=()), tmp_path / "c")
    for name in files:
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "a" / name).read_bytes(), name
    assert str(tmp_path) not in (tmp_path / "a" / "manifest.toml").read_text(encoding="utf-8")
