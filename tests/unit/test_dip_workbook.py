"""The official DIP workbook read straight into a pack: every row of the sample, every oddity, folders, mixed groups."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from reference_tables.dip_pack import DipPack
from reference_tables.importers.dip_workbook import is_dip_workbook, read_dip_workbook
from reference_tables.pack_writer import write_pack
from reference_tables.packs import find_pack, read_pack
from reference_tables.problems import Problem
from tests.unit.official_dip_workbook import (
    ANNEX,
    CONDITIONAL,
    LAYER,
    NAMES,
    PUBLISHED,
    RESISTANT_BY_ANNEX,
    all_rows,
    published,
    sheets,
    write,
)
from tests.unit.official_workbook import Sheet, changed, save
from tests.unit.official_workbook import sheets as drg_sheets
from tests.unit.small_pack import write_small

Cells = list[str | int | None]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> DipPack:
    return read_dip_workbook(write(tmp_path_factory.mktemp("dip") / "w.xlsx"))


def same_tables(left: DipPack, right: DipPack) -> None:
    for name in left.tables:
        assert left.table(name).rows() == right.table(name).rows(), name


def told(pack: DipPack, code: str) -> list[Problem]:
    return [problem for problem in pack.problems if problem.code == code]


def expected_core() -> dict[str, dict[str, str]]:
    """What each sample row asks, read from the description of the sheets and not by the reader."""
    groups: dict[str, dict[str, str]] = {}
    for row in all_rows():
        if row["sheet"] not in LAYER:
            continue
        layer = LAYER[row["sheet"]]
        asks = {
            "layer": layer, "number": row["number"], "principal_dx": row["principal_dx"], "other_dx": row["other_dx"],
            "any_dx": "", "flag": "", "age_days": "", "birth_weight_g": "",
            "px_mode": "principal" if row["px"] else "none", "px": row["px"], "related_px": row["related_px"],
        }  # fmt: skip
        if row["sheet"] == "pre":
            asks["principal_dx"] = "*"
            if row["number"] in {"11", "13", "14"}:
                asks["px_mode"] = "anywhere"
        if row["sheet"] == "newborn":
            weight = {"16": "0-999", "17": "1000-1499", "18": "1500-1999", "19": "2000-2499"}[row["number"]]
            asks |= {
                "principal_dx": "*",
                "any_dx": "P07",
                "age_days": "0-28",
                "birth_weight_g": weight,
                "px_mode": "any",
            }
        if row["sheet"] == "tumour":
            asks["px_mode"] = "anywhere"
        if row["sheet"] == "tuberculosis":
            condition = "耐药（其他诊断）" if row["principal_dx"] in {"A17", "A18"} else "耐药"
            asks["flag"] = condition if row["resistant"] == "是" else f"!{condition}"
        groups[f"{layer}-{row['number']}"] = asks
    return groups


def test_every_core_group_asks_what_its_row_says(pack: DipPack) -> None:
    expected = expected_core()
    found = {row["code"]: row for row in pack.table("core").iter_rows(named=True)}
    assert len(expected) == 132
    assert found.keys() == expected.keys()
    for code, asks in expected.items():
        assert {column: found[code][column] for column in asks} == asks, code


def test_layers_are_tried_in_the_published_order(pack: DipPack) -> None:
    assert pack.table("layer").select("code", "order", "precedence", "ties").rows() == [
        ("XQ", "1", "number", "number"), ("BX", "2", "specific", "number"), ("FZ", "3", "specific", "number"),
        ("JC", "4", "specific", "number"),
    ]  # fmt: skip
    assert [layer.name for layer in pack.layers.values()] == ["先期分组", "并项规则", "诊断辅助细分", "基础规则"]


def test_lists_of_codes_and_primary_care(pack: DipPack) -> None:
    rows = all_rows()
    assert pack.table("excluded_dx")["code"].to_list() == [
        row["principal_dx"] for row in rows if row["sheet"] == "excluded_dx"
    ]
    remarks = {"按保守治疗入组": "conservative", "不可作为主要手术操作": "not_principal", CONDITIONAL: "with_principal"}
    assert sorted(pack.table("excluded_px").select("code", "rule").rows()) == sorted(
        (row["px"], remarks[row["remark"]]) for row in rows if row["sheet"] == "excluded_px"
    )
    conditional = pack.table("excluded_px").filter(pl.col("rule") == "with_principal")
    assert set(conditional["principal_dx"]) == {"A00-A09|C15-C26|D01|D12|D13|D37|I85|K20-K93"}
    assert conditional["code"].to_list() == ["45.1300", "45.2300"]
    others = pack.table("excluded_px").filter(pl.col("rule") != "with_principal")
    assert set(others["principal_dx"]) == {""}
    care = [(row["number"], row["principal_dx"], row["px"]) for row in rows if row["sheet"] == "primary_care"]
    assert pack.table("primary_care").rows() == sorted(care, key=lambda row: int(row[0]))
    assert ("78", "K64", "17.98330") in care


def test_drug_resistance_follows_the_remark_of_each_row(pack: DipPack) -> None:
    assert pack.table("flag").rows() == [
        *(("耐药", "principal", code) for code in ANNEX),
        ("耐药", "other", "U84.300"),
        ("耐药（其他诊断）", "other", "U84.300"),
    ]


def test_names_are_those_of_the_group_or_of_what_it_asks(pack: DipPack) -> None:
    name = dict(pack.table("core").select("code", "name").iter_rows())
    assert name["XQ-17"] == "先期17"
    assert name["BX-1475"] == "诊断O34，手术74.1x01，手术38.8609"
    assert name["FZ-1745"] == "二度，<10%，保守治疗"
    assert name["FZ-1771"] == "诊断Z51.1，诊断C00-C75，手术99.2503+99.2800x005"
    assert name["FZ-1837"] == "诊断A15-A16，非耐药，保守治疗"
    assert name["JC-1882"] == "诊断A41，保守治疗"


def test_lines_are_the_rows_excel_shows(pack: DipPack) -> None:
    line = dict(pack.tables["core"].select("code", "line").iter_rows())
    assert (line["XQ-1"], line["XQ-15"], line["XQ-16"], line["XQ-19"]) == (4, 18, 20, 23)
    assert (line["BX-20"], line["FZ-1745"], line["FZ-1770"], line["FZ-1812"], line["JC-1858"]) == (3, 4, 3, 3, 3)
    assert pack.tables["excluded_dx"]["line"][0] == 4


def in_cells(old: str, new: str, *, header: bool = False) -> Callable[[int, Cells], None]:
    def change(at: int, row: Cells) -> None:
        is_header = any(cell in {"分类", "序号", "主要诊断编码"} for cell in row)
        for column, cell in enumerate(row):
            if isinstance(cell, str) and is_header == header and at > 1:
                row[column] = cell.replace(old, new)

    return change


def plain_numbers(at: int, row: Cells) -> None:
    if len(row) > 1 and isinstance(row[1], str) and re.fullmatch(r"[A-Z]{2}-[0-9]+", row[1]):
        row[1] = int(row[1].split("-")[1])


ODDITIES = {
    "burn header without the slash": ("burn", in_cells("/", "", header=True)),
    "line breaks in headers": ("merged", in_cells("操作", "\r\n操 作", header=True)),
    "full-width signs in headers": ("pre", in_cells("/", "／", header=True)),
    "headers of names in full": ("base", in_cells("主要诊断名称", "名称", header=True)),
    "no-break and ideographic blanks": ("merged", in_cells("|", "\u00a0|\u3000")),
    "line breaks in cells": ("burn", in_cells("|", "|\n")),
    "escapes of control characters": ("excluded_dx", in_cells("I", "_x000D_I")),
    "full-width codes": ("tumour", in_cells("Z51.1", "Ｚ５１．１")),
    "full-width separators": ("burn", in_cells("|", "｜")),
    "full-width plus": ("tumour", in_cells("+", "＋")),
    "long dashes in ranges": ("tumour", in_cells("-", "—")),
    "dagger signs": ("primary_care", in_cells("+", "†")),
    "numbers without the layer": ("merged", plain_numbers),
    "numbers without the layer, before newborns": ("pre", plain_numbers),
    "line breaks in remarks": ("excluded_px", in_cells("可作为", "可\n作为")),
    "remarks in a few more words": ("excluded_px", in_cells("作为主要诊断", "作为主要诊断时")),
    "half-width comma in remarks": ("excluded_px", in_cells("，", ",")),
    "age and weight in other words": ("pre", in_cells("<29天", "天龄＜29 天")),
    "weight with a long dash": ("pre", in_cells("-999克", "～999 克")),
    "yes in words": ("tuberculosis", in_cells("是", " 是 ")),
    "conservative in words": ("base", lambda at, row: row.__setitem__(4, row[4] or "保守治疗") if at > 2 else None),
    "any principal diagnosis in words": (
        "pre", lambda at, row: row.__setitem__(3, row[3] or "所有诊断") if at in range(4, 19) else None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
def test_oddities_of_cells_change_nothing(
    tmp_path: Path, pack: DipPack, oddity: tuple[str, Callable[[int, Cells], None]]
) -> None:
    name, change = oddity
    contents = sheets()
    odd = changed(contents[name], change)
    assert odd != Sheet(odd.name, [tuple(row) for row in contents[name].rows])
    again = read_dip_workbook(write(tmp_path / "w.xlsx", (contents | {name: odd}).values()))
    for table in again.tables:
        columns = [column for column in pack.table(table).columns if column != "name"]
        assert again.table(table).select(columns).rows() == pack.table(table).select(columns).rows(), table


def test_shape_of_sheets_changes_nothing(tmp_path: Path, pack: DipPack) -> None:
    contents = sheets()
    shifted = [(None, None, *row) for row in contents["tumour"].rows]
    base = contents["base"].rows
    swapped = [(*row[:2], *row[4:6], *row[2:4]) if len(row) == 6 else row for row in base]
    odd = {
        **contents,
        "notes": Sheet("说明", [("本表说明",)]),
        "pre": Sheet(" 一、先期分组 ", [(None,), *contents["pre"].rows]),
        "tumour": Sheet("三、诊断辅助细分—肿瘤类病种", shifted),
        "tuberculosis": Sheet("结核类病种（2026）", contents["tuberculosis"].rows),
        "base": Sheet(
            "四、基础规则下的核心病种", [*swapped[:9], (), base[1], *base[9:], ("注：保守治疗指无手术操作",)]
        ),
        "excluded_dx": Sheet(contents["excluded_dx"].name, [*contents["excluded_dx"].rows, (None, "以上编码另行说明")]),
    }
    again = read_dip_workbook(write(tmp_path / "w.xlsx", odd.values()))
    same_tables(again, pack)
    notes = [(problem.row, problem.args["text"]) for problem in told(again, "DW08")]
    assert notes == [(25, "注：保守治疗指无手术操作"), (14, "以上编码另行说明")]


def test_merged_cells_hold_for_every_row_they_span(tmp_path: Path, pack: DipPack) -> None:
    """XQ-13 and 14 share one remark, newborns one diagnosis and one age, tuberculosis one principal diagnosis."""
    spans = {
        "pre": [(16, 7, 17, 7), (20, 3, 23, 3), (20, 5, 23, 5), (20, 7, 23, 7), (4, 0, 18, 0)],
        "tuberculosis": [(3, 2, 12, 2), (3, 7, 12, 7), (13, 7, 16, 7)],
    }
    path = tmp_path / "w.xlsx"
    book = xlsxwriter.Workbook(str(path))
    for name, content in sheets().items():
        sheet = book.add_worksheet(content.name)
        inside = {(row, column) for top, column, bottom, _ in spans.get(name, []) for row in range(top, bottom + 1)}
        for at, row in enumerate(content.rows, start=1):
            for column, cell in enumerate(row):
                if (at, column) not in inside and cell is not None:
                    sheet.write(at - 1, column, cell)
        for top, left, bottom, right in spans.get(name, []):
            sheet.merge_range(top - 1, left, bottom - 1, right, content.rows[top - 1][left])
    book.close()
    same_tables(read_dip_workbook(path), pack)


def test_repeated_exclusions_keep_the_first_and_are_counted(tmp_path: Path, pack: DipPack) -> None:
    contents = sheets()
    contents["excluded_dx"].rows.append(("I10.X00", "又一次"))
    contents["excluded_px"].rows.extend(
        [("00.0300", "又一次", "按保守治疗入组"), ("99.6000", "又", "不可作为主要手术操作")]
    )
    again = read_dip_workbook(write(tmp_path / "w.xlsx", contents.values()))
    same_tables(again, pack)
    assert again.manifest is not None
    assert again.manifest.workbook is not None
    assert again.manifest.workbook.duplicates == 3
    assert [(problem.args["sheet"], problem.args["count"]) for problem in told(again, "TB87")] == [
        (NAMES["excluded_dx"], 1), (NAMES["excluded_px"], 2),
    ]  # fmt: skip
    (differs,) = told(again, "DW11")
    assert (differs.value, differs.row, differs.args["first"]) == ("99.6000", 16, 10)


def test_resistance_without_a_remark_is_read_as_usual_and_told(tmp_path: Path, pack: DipPack) -> None:
    contents = sheets()
    rows = contents["tuberculosis"].rows
    bare = [row if at < 2 else (*row[:7], None if row[2] != "A17" else row[7]) for at, row in enumerate(rows)]
    again = read_dip_workbook(
        write(tmp_path / "w.xlsx", (contents | {"tuberculosis": Sheet(NAMES["tuberculosis"], bare)}).values())
    )
    flags = dict(again.table("core").select("code", "flag").iter_rows())
    assert (flags["FZ-1812"], flags["FZ-1813"], flags["FZ-1840"], flags["FZ-1853"]) == (
        "耐药", "!耐药", "耐药（其他诊断）", "!耐药",
    )  # fmt: skip
    assert [problem.row for problem in told(again, "DW10")] == [3, 17, 19]
    assert again.table("flag").filter(pl.col("role") == "other").rows() == [
        ("耐药", "other", "U84.300"), ("耐药（其他诊断）", "other", "U84.300"),
    ]  # fmt: skip


def test_published_counts_make_it_the_official_scheme(tmp_path: Path) -> None:
    contents = published()
    contents["excluded_dx"].rows.append(contents["excluded_dx"].rows[-1])  # a repeated row does not count
    path = write(tmp_path / "按病种分值（DIP）付费3.0版分组方案.xlsx", contents.values())
    pack = read_dip_workbook(path)
    assert (pack.id, pack.version, pack.data_level, pack.newborn_weight) == ("dip-3.0", "3.0", "official", "birth")
    assert pack.tables["core"].height == 5125
    manifest = pack.manifest
    assert manifest is not None
    assert manifest.workbook is not None
    assert (manifest.scheme, str(manifest.effective_from)) == ("DIP", "2027-01-01")
    assert manifest.workbook.file == "按病种分值（DIP）付费3.0版分组方案.xlsx"
    expected = PUBLISHED | {"excluded_dx": PUBLISHED["excluded_dx"] + 1}
    assert manifest.workbook.rows == {NAMES[name]: count for name, count in expected.items()}
    assert (manifest.workbook.duplicates, pack.tables["excluded_dx"].height) == (1, PUBLISHED["excluded_dx"])
    assert any("综合病种" in question for question in manifest.open_questions)
    assert not told(pack, "TB86")
    del contents["primary_care"].rows[-1]
    short = read_dip_workbook(write(tmp_path / "short.xlsx", contents.values()))
    assert (short.data_level, short.version) == ("reference", short.id.removeprefix("workbook-"))
    (count,) = told(short, "TB86")
    assert (count.args["sheet"], count.args["actual"], count.args["expected"]) == (NAMES["primary_care"], 126, 127)


def test_imported_pack_writes_and_reads_back_byte_for_byte(tmp_path: Path, pack: DipPack) -> None:
    path = write(tmp_path / "w.xlsx")
    for name in ("a", "b"):
        write_pack(read_dip_workbook(path), tmp_path / name)
    files = sorted(item.name for item in (tmp_path / "a").iterdir())
    assert {"manifest.toml", "core.csv", "mixed.csv", "flag.csv", "excluded_px.csv"} <= set(files)
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    again = read_pack(tmp_path / "a")
    assert isinstance(again, DipPack)
    same_tables(again, pack)
    assert again.sha256 == pack.sha256
    write_pack(replace(again, problems=()), tmp_path / "c")
    for name in files:
        assert (tmp_path / "c" / name).read_bytes() == (tmp_path / "a" / name).read_bytes(), name
    assert str(tmp_path) not in (tmp_path / "a" / "manifest.toml").read_text(encoding="utf-8")


def test_workbooks_are_told_apart(tmp_path: Path) -> None:
    dip = write(tmp_path / "dip.xlsx")
    drg = save(tmp_path / "drg.xlsx", drg_sheets(read_pack(write_small(tmp_path / "small"))).values())
    (tmp_path / "none.xlsx").write_bytes(b"no workbook")
    assert [is_dip_workbook(path) for path in (dip, drg, tmp_path / "none.xlsx")] == [True, False, False]
    assert type(find_pack(dip)).__name__ == "DipPack"
    assert type(find_pack(str(drg))).__name__ == "DrgPack"
    assert RESISTANT_BY_ANNEX in {cell for row in sheets()["tuberculosis"].rows for cell in row}
