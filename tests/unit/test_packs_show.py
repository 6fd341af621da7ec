"""What a pack says about one code, of every kind a code can be."""

from pathlib import Path

import pytest

from reference_tables.drg_pack import DrgPack
from reference_tables.pack_show import (
    CodeView,
    GroupView,
    LevelView,
    MembershipView,
    Named,
    SetSize,
    SetView,
    show_code,
    verify_pack,
)
from reference_tables.packs import find_pack, read_pack
from tests.unit.small_pack import FILES, edited, write_small


@pytest.fixture
def small(tmp_path: Path) -> DrgPack:
    return read_pack(write_small(tmp_path / "p", {"not_principal.csv": "code\nA41.900\n"}))


def test_a_drg_with_its_parents_rule_and_sets(small: DrgPack) -> None:
    (view,) = show_code(small, "bb13")
    assert isinstance(view, GroupView)
    assert (view.kind, view.code, view.name, view.rule) == ("DRG", "BB13", "开颅 一般", "QTZD in {MCC, CC}")
    assert (view.place, view.siblings) == (2, 3)
    assert view.parents == (Named("MDCB", "神经"), Named("BB1", "开颅"))
    assert view.children == ()
    assert view.sets == (SetSize("MCC", 1), SetSize("CC", 1))
    assert view.fields == (Named("QTZD", "其他诊断"),)


def test_an_adrg_with_its_children_in_evaluation_order(small: DrgPack) -> None:
    (view,) = show_code(small, "PS1")
    assert isinstance(view, GroupView)
    assert view.children == (Named("PS19", "极低体重"),)
    assert view.sets == (SetSize("DI_PS1", 1),)
    assert [field.code for field in view.fields] == ["ZYZD", "QTZD", "XSRTZ"]
    (mdc,) = show_code(small, "MDCB")
    assert isinstance(mdc, GroupView)
    assert [child.code for child in mdc.children] == ["BB1", "BR1", "B00"]
    assert mdc.parents == ()


def test_a_code_that_is_adrg_and_drg_gives_both() -> None:
    views = show_code(find_pack("chs-drg-1.1"), "BQY")
    assert [(view.kind, view.rule) for view in views if isinstance(view, GroupView)] == [
        ("ADRG", "ZYSS in OP_ALL"), ("DRG", "1"),
    ]  # fmt: skip


def test_weights_of_a_drg_are_the_published_ones() -> None:
    (view,) = show_code(find_pack("chs-drg-1.1"), "AF19")
    assert isinstance(view, GroupView)
    jilin = [item for item in view.weights if item.region == "吉林"]
    assert [(item.year, item.tier, item.rw_e6, item.standard_e6) for item in jilin] == [
        (2022, "三级", 928_000, 8_426_759_680),
    ]  # fmt: skip


def test_a_diagnosis_with_level_exclusions_sets_and_crosswalk(small: DrgPack) -> None:
    (view,) = show_code(small, "A41.900")
    assert isinstance(view, CodeView)
    assert (view.kind, view.name, view.known, view.gray, view.not_principal) == (
        "diagnosis", "脓毒症", True, False, True,
    )  # fmt: skip
    assert view.levels == (LevelView("MCC", "EX_1", 1),)
    assert view.excludes == ("EX_1",)
    assert view.sets == ()
    assert view.clinical == ("A41.900", "A41.901")
    (grey,) = show_code(small, "I10.X00")
    assert isinstance(grey, CodeView)
    assert (grey.code, grey.gray, grey.levels) == ("I10.x00", True, (LevelView("CC", "", 0),))


def test_a_procedure_with_category_and_sets(small: DrgPack) -> None:
    (view,) = show_code(small, "33.6X00")
    assert isinstance(view, CodeView)
    assert (view.kind, view.code, view.category) == ("procedure", "33.6x00", "手术")
    assert view.sets == (MembershipView("OP_AA1", 1, ("AA1",)),)
    assert view.levels == ()


def test_a_clinical_code_says_where_it_maps(small: DrgPack) -> None:
    (view,) = show_code(small, "P78.300x004")
    assert isinstance(view, CodeView)
    assert (view.known, view.as_clinical) == (True, "K30.x00x002")
    (amended,) = show_code(small, "K30.x00x002")
    assert isinstance(amended, CodeView)
    assert (amended.known, amended.clinical) == (True, ("P78.300x004",))


def test_a_code_only_the_pack_knows_is_shown_as_unknown(tmp_path: Path) -> None:
    pack = read_pack(write_small(tmp_path / "q", edited("cc.csv", "A41.900", "A41.9")))
    (view,) = show_code(pack, "A41.9")
    assert isinstance(view, CodeView)
    assert (view.known, view.name, view.levels) == (False, "", (LevelView("MCC", "EX_1", 1),))


def test_sets_and_exclusion_tables(small: DrgPack) -> None:
    assert show_code(small, "DI_B00") == [SetView("set", "DI_B00", ("I61.000", "I61.100"), ("MDCB",))]
    assert show_code(small, "EX_1") == [SetView("exclusion", "EX_1", ("A41.900",), ("A41.900",))]


def test_what_nobody_knows_is_empty(small: DrgPack) -> None:
    assert show_code(small, "QQQ") == []


def test_verify_lists_errors_and_warnings(tmp_path: Path) -> None:
    assert verify_pack("chs-drg-1.1") == []
    warned = write_small(tmp_path / "warned", {"sets.csv": FILES["sets.csv"] + "DI_ZZZ,I61.000\n"})
    assert [problem.code for problem in verify_pack(warned)] == ["TB50", "TB53"]
    refused = write_small(tmp_path / "refused", edited("mdc.csv", "1,1\n", "1,eins\n"))
    assert [problem.code for problem in verify_pack(refused)] == ["TB50", "TB09"]
    assert [problem.code for problem in verify_pack(tmp_path / "none")] == ["TB01"]
