"""Every fault that refuses a DIP pack: its code, file and line; and all faults of a folder in one answer."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_tables.packs import read_pack
from reference_tables.problems import Level, Problem, TablesRefused
from tests.unit.small_dip_pack import FILES, Changes, edited, write_small_dip


def refused(folder: Path) -> list[Problem]:
    with pytest.raises(TablesRefused) as caught:
        read_pack(folder)
    return [problem for problem in caught.value.problems if problem.level is Level.ERROR]


CASES = {
    "layers missing": ("TB02", "layer.csv", 0, "layer.csv", {"layer.csv": None}),
    "column missing": ("TB03", "core.csv", 1, "px_mode", edited("core.csv", ("px_mode", "mode"))),
    "empty group code": ("TB06", "core.csv", 4, "code", edited("core.csv", ("BX-3,", ",")) | {"score.csv": None}),
    "no principal diagnosis": ("TB06", "core.csv", 4, "principal_dx", edited("core.csv", ("BX,3,K35", "BX,3,"))),
    "empty score": ("TB06", "score.csv", 5, "score", edited("score.csv", ("BX-4,700", "BX-4,"))),
    "no groups at all": ("TB25", "core.csv", 0, "core.csv", {
        "core.csv": FILES["core.csv"].splitlines()[0] + "\n", "mixed.csv": None, "score.csv": None,
    }),
    "diagnosis unreadable": ("DP02", "core.csv", 4, "K3|5", edited("core.csv", ("BX,3,K35", "BX,3,K3|5"))),
    "range backwards": ("DP02", "core.csv", 7, "A16-A15", edited(
        "core.csv", ("耐药结核,BX,6,A15-A16", "耐药结核,BX,6,A16-A15")
    )),
    "any as other diagnosis": ("DP02", "core.csv", 3, "不能写 *", edited("core.csv", ("P07", "*"))),
    "procedure unreadable": ("DP02", "core.csv", 4, "47.0901", edited(
        "core.csv", ("47.0100|47.0901", "47.0100、47.0901")
    )),
    "related unreadable": ("DP02", "core.csv", 5, "54,5904", edited("core.csv", ("54.5904", '"54,5904"'))),
    "age unreadable": ("DP02", "core.csv", 3, "<29", edited("core.csv", ("0-28", "<29"))),
    "weight backwards": ("DP02", "core.csv", 3, "1499-1000", edited("core.csv", ("1000-1499", "1499-1000"))),
    "flag item unreadable": ("DP02", "flag.csv", 3, "U84.3000.1/", edited("flag.csv", ("U84.300", "U84.3000.1/"))),
    "admitting diagnosis unreadable": ("DP02", "excluded_px.csv", 3, "K-", edited(
        "excluded_px.csv", ("K20-K93", "K-")
    )),
    "primary care procedure unreadable": ("DP02", "primary_care.csv", 2, "4", edited(
        "primary_care.csv", ("1,A09,", "1,A09,4")
    )),
    "unknown precedence": ("DP03", "layer.csv", 3, "number、specific", edited("layer.csv", ("specific", "narrow"))),
    "unknown ties": ("DP03", "layer.csv", 3, "refused", edited("layer.csv", ("refuse", "refused"))),
    "unknown mode": ("DP03", "core.csv", 2, "somewhere", edited("core.csv", ("anywhere", "somewhere"))),
    "unknown level": ("DP03", "mixed.csv", 4, "section", edited("mixed.csv", ("chapter,A00", "section,A00"))),
    "unknown nature": ("DP03", "mixed.csv", 3, "1、2、3、4", edited("mixed.csv", ("K35,4", "K35,5"))),
    "unknown nature of a procedure": ("DP03", "nature.csv", 2, "手术", edited("nature.csv", (",3", ",手术"))),
    "unknown role": ("DP03", "flag.csv", 3, "others", edited("flag.csv", ("other", "others"))),
    "unknown rule": ("DP03", "excluded_px.csv", 2, "保守", edited("excluded_px.csv", ("conservative", "保守"))),
    "principal without procedures": ("DP04", "core.csv", 4, "px", edited("core.csv", ("47.0100|47.0901", ""))),
    "none with procedures": ("DP04", "core.csv", 8, "47.0100", edited(
        "core.csv", ("!耐药,,,none,", "!耐药,,,none,47.0100")
    )),
    "related without principal": ("DP04", "core.csv", 2, "相关手术操作", edited(
        "core.csv", ("96.7201,", "96.7201,54.5904")
    )),
    "group code twice": ("DP05", "core.csv", 5, "core.csv 第 4 行", edited(
        "core.csv", ("BX-4", "BX-3")
    ) | {"score.csv": None}),
    "group code core and mixed": ("DP05", "mixed.csv", 4, "core.csv 第 4 行", edited("mixed.csv", ("Z1-1", "BX-3")) | {
        "score.csv": None,
    }),
    "unknown layer": ("TB08", "core.csv", 4, "ZZ", edited("core.csv", ("切除,BX", "切除,ZZ"))),
    "unknown flag": ("DP06", "core.csv", 8, "多耐药", edited("core.csv", ("!耐药", "!多耐药"))),
    "number no number": ("TB09", "core.csv", 4, "三", edited("core.csv", ("BX,3,", "BX,三,"))),
    "order no number": ("TB09", "layer.csv", 3, "1.5", edited("layer.csv", ("并项,2", "并项,1.5"))),
    "layer twice": ("TB07", "layer.csv", 4, "第 3 行", {"layer.csv": FILES["layer.csv"] + "BX,基础,3,number,number\n"}),
    "layer orders alike": ("DP15", "layer.csv", 3, "XQ", edited("layer.csv", ("并项,2", "并项,01"))),
    "score zero": ("DP07", "score.csv", 5, "大于 0", edited("score.csv", ("BX-4,700", "BX-4,0.000"))),
    "score negative": ("DP07", "score.csv", 5, "-700", edited("score.csv", ("BX-4,700", "BX-4,-700"))),
    "score of five decimals": ("DP07", "score.csv", 4, "小数至多 4 位", edited("score.csv", ("512.3456", "512.34567"))),
    "score with separators": ("DP07", "score.csv", 2, "5,000", edited("score.csv", ("5000,20", '"5,000",20'))),
    "cases no number": ("DP07", "score.csv", 2, "20.5", edited("score.csv", ("5000,20", "5000,20.5"))),
    "score twice": ("TB07", "score.csv", 6, "第 5 行", edited("score.csv", ("BX-5,600", "BX-4,600"))),
    "score of no group": ("DP09", "score.csv", 6, "BX-55", edited("score.csv", ("BX-5,600", "BX-55,600"))),
    "category scope of a chapter": ("DP10", "mixed.csv", 4, "A09", edited("mixed.csv", ("A00-B99", "A09.0"))),
    "range scope of a category": ("DP10", "mixed.csv", 2, "K35-K36", edited("mixed.csv", ("K35,1", "K35-K36,1"))),
    "two scopes": ("DP10", "mixed.csv", 2, "K35|K36", edited("mixed.csv", ("K35,1", "K35|K36,1"))),
    "whole code as scope": ("DP10", "mixed.csv", 2, "K35.900", edited("mixed.csv", ("K35,1", "K35.900,1"))),
    "category for a subcategory": ("DP10", "mixed.csv", 2, "A09.0", edited(
        "mixed.csv", ("category,K35,1", "subcategory,K35,1")
    )),
    "mixed group twice": ("DP11", "mixed.csv", 3, "第 2 行", edited("mixed.csv", ("K35,4", "k35,1"))),
    "chapters overlap": ("DP12", "mixed.csv", 5, "Z1-1", edited("mixed.csv", ("C00-D48", "B99-D48"))),
    "admitting diagnoses missing": ("DP13", "excluded_px.csv", 3, "45.1300", edited(
        "excluded_px.csv", ("K20-K93", "")
    )),
    "admitting diagnoses too many": ("DP13", "excluded_px.csv", 2, "留空", edited(
        "excluded_px.csv", ("conservative,", "conservative,A09")
    )),
    "same conditions": ("DP16", "core.csv", 6, "BX-4（core.csv 第 5 行）", edited(
        "core.csv", ("principal,74.1x01,\n", "principal,74.1X01,54.5904\n")
    )),
    "fit a case equally": ("DP17", "core.csv", 6, "主要诊断 O34，手术操作 74.1x01、54.5904、54.5905", edited(
        "core.csv", ("principal,74.1x01,\n", "principal,74.1x01,54.5905\n")
    )),
    "natures at odds": ("DP18", "nature.csv", 3, "第 2 行为 3", {"nature.csv": FILES["nature.csv"] + "96.7201,4\n"}),
    "setting of no such value": ("TB15", "meta.csv", 2, "5", edited("meta.csv", ("nature,1", "nature,5"))),
    "setting empty": ("TB15", "meta.csv", 2, "unknown_nature", edited("meta.csv", ("nature,1", "nature,"))),
    "setting twice": ("TB23", "meta.csv", 3, "第 2 行", {"meta.csv": FILES["meta.csv"] + "unknown_nature,2\n"}),
    "flag with a negation": ("DP02", "flag.csv", 4, "!", {"flag.csv": FILES["flag.csv"] + "!耐药,other,U85\n"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fault_is_named_with_file_and_line(tmp_path: Path, case: tuple[str, str, int, str, Changes]) -> None:
    code, file, row, shown, changes = case
    found = refused(write_small_dip(tmp_path / "p", changes))
    assert [(problem.code, problem.file, problem.row) for problem in found] == [(code, file, row)]
    assert shown in found[0].message + found[0].fix
    assert found[0].fix


def test_all_faults_of_a_folder_come_in_one_answer(tmp_path: Path) -> None:
    changes = (
        edited(
            "core.csv",
            ("BX,3,K35", "BX,3,K3"),
            ("!耐药", "!多耐药"),
            ("0-28", "28"),
            ("74.1x01,\n", "74.1x01,54.5905\n"),
        )
        | edited("mixed.csv", ("K35,4", "K36-K37,4"), ("C00-D48", "B00-D48"))
        | edited("score.csv", ("BX-7,300", "BX-7,viel"), ("BX-6", "BX-66"))
        | edited("excluded_px.csv", ("with_principal", "sometimes"))
    )
    found = refused(write_small_dip(tmp_path / "p", changes))
    assert {(problem.code, problem.file, problem.row) for problem in found} == {
        ("DP02", "core.csv", 3), ("DP02", "core.csv", 4), ("DP17", "core.csv", 6), ("DP06", "core.csv", 8),
        ("DP10", "mixed.csv", 3), ("DP12", "mixed.csv", 5), ("DP07", "score.csv", 8), ("DP09", "score.csv", 7),
        ("DP03", "excluded_px.csv", 3), ("DP13", "excluded_px.csv", 3),
    }  # fmt: skip


def test_chapters_of_different_natures_may_overlap(tmp_path: Path) -> None:
    pack = read_pack(write_small_dip(tmp_path / "p", edited("mixed.csv", ("C00-D48,1", "B00-D48,2"))))
    assert [problem.code for problem in pack.problems] == ["TB50"]


def test_a_table_that_cannot_be_read_is_not_blamed_on_those_that_refer_to_it(tmp_path: Path) -> None:
    for name in ("layer.csv", "core.csv", "flag.csv", "mixed.csv"):
        found = refused(write_small_dip(tmp_path / name, {name: "new_" + FILES[name]}))
        assert {(problem.code, problem.file) for problem in found} == {("TB03", name)}


@st.composite
def damages(draw: st.DrawFn) -> Changes:
    """One to four files with some cells replaced by others, emptied, or filled with rubbish."""
    changes: dict[str, str | None] = {}
    rubbish = st.sampled_from(
        ["", "*", "?", "!", "-", "|", "+", "A", "A09", "1", "-1", "99999999999", '"', "x" * 300, "\x00"]
    )
    for name in draw(st.lists(st.sampled_from(sorted(FILES)), min_size=1, max_size=4, unique=True)):
        rng = random.Random(draw(st.integers(0, 2**32)))
        text = changes.get(name) or FILES[name]
        rows = [line.split(",") for line in text.splitlines()]
        everything = [cell for other in FILES.values() for line in other.splitlines() for cell in line.split(",")]
        for _ in range(draw(st.integers(1, 6))):
            row = rng.choice(rows)
            row[rng.randrange(len(row))] = draw(rubbish) if rng.random() < 0.5 else rng.choice(everything)
        changes[name] = "\n".join(map(",".join, rows)) + "\n"
    return changes


@given(changes=damages())
@settings(max_examples=40)
def test_a_damaged_folder_loads_or_is_refused_and_never_fails_otherwise(
    tmp_path_factory: pytest.TempPathFactory, changes: Changes
) -> None:
    folder = write_small_dip(tmp_path_factory.mktemp("p"), changes)
    try:
        pack = read_pack(folder)
    except TablesRefused as refusal:
        problems, usable, rows = refusal.problems, False, 0
    else:
        problems, usable, rows = pack.problems, True, len(pack.rows) - pack.table("core").height
    assert usable is all(problem.level is Level.WARN for problem in problems)
    assert all(problem.message and problem.file for problem in problems)
    assert rows == 0


def test_a_folder_of_dip_tables_lacks_its_core_groups(tmp_path: Path) -> None:
    write_small_dip(tmp_path)
    (tmp_path / "core.csv").unlink()
    with pytest.raises(TablesRefused) as caught:
        read_pack(tmp_path)
    assert [problem.file for problem in caught.value.problems if problem.code == "TB02"] == ["core.csv"]
    assert not any("mdc.csv" in str(problem) for problem in caught.value.problems)
