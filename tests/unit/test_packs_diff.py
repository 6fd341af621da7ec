"""Differences between packs: each kind, told apart by whether it can change an answer."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_tables.drg_pack import DrgPack
from reference_tables.pack_diff import Changed, ExclusionChange, Members, PackDiff, Reordered, diff_packs
from reference_tables.packs import find_pack, read_pack
from reference_tables.rule_ast import And, Compare, Count, Member, Node, Not, Or
from reference_tables.rule_language import parse_rule
from reference_tables.rule_meaning import same_meaning
from tests.unit.small_pack import FILES, edited, write_small


@pytest.fixture
def old(tmp_path: Path) -> DrgPack:
    return read_pack(write_small(tmp_path / "old"))


def compare(old: DrgPack, folder: Path, changes: dict[str, str | None]) -> PackDiff:
    return diff_packs(old, read_pack(write_small(folder / "new", changes)))


def filled(diff: PackDiff) -> set[str]:
    return {name for name, value in vars(diff).items() if value and name not in {"old", "new"}}


def test_a_pack_does_not_differ_from_itself(old: DrgPack) -> None:
    for pack in (old, find_pack("chs-drg-1.1")):
        diff = diff_packs(pack, pack)
        assert diff.empty
        assert not diff.changes_grouping


def test_groups_added_removed_and_renamed(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("drg.csv", "BR19,脑出血,BR1,1,1", "BR11,脑出血 重,BR1,QTZD in MCC,1\nBR15,脑出血,BR1,,2")
    changes |= edited("adrg.csv", "AA1,心脏移植", "AA1,心脏移植术")
    diff = compare(old, tmp_path, changes)
    assert [row.code for row in diff.groups_added] == ["BR11", "BR15"]
    assert [(row.table, row.code, row.parent) for row in diff.groups_removed] == [("drg", "BR19", "BR1")]
    assert diff.renamed == [Changed("adrg", "AA1", "心脏移植", "心脏移植术")]
    assert filled(diff) == {"groups_added", "groups_removed", "renamed"}
    assert diff.changes_grouping


def test_names_alone_change_no_answer(old: DrgPack, tmp_path: Path) -> None:
    diff = compare(old, tmp_path, edited("mdc.csv", "MDCB,神经", "MDCB,神经系统"))
    assert filled(diff) == {"renamed"}
    assert not diff.changes_grouping


def test_moved_and_reordered(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("adrg.csv", "BB1,开颅,MDCB,ZYSS in OP_BB1,1", "BB1,开颅,MDCB,ZYSS in OP_BB1,5")
    changes["adrg.csv"] = str(changes["adrg.csv"]).replace("PS1,极低体重,MDCP", "PS1,极低体重,MDCA")
    diff = compare(old, tmp_path, changes)
    assert diff.moved == [Changed("adrg", "PS1", "MDCP", "MDCA")]
    assert diff.reordered == [Reordered("adrg", "MDCB", ("BB1", "BR1", "B00"), ("BR1", "BB1", "B00"))]


def test_new_numbers_in_the_same_order_are_no_difference(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("mdc.csv", "1,1\n", "1,10\n")
    changes["mdc.csv"] = str(changes["mdc.csv"]).replace("DI_B00,2", "DI_B00,20").replace("29,3", "29,30")
    assert compare(old, tmp_path, changes).empty


def test_rules_changed_or_only_reworded(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("drg.csv", '"QTZD in {MCC, CC}"', "qtzd IN CC or (QTZD in MCC)")
    changes |= edited("mdc.csv", "NL = 0 and XSRTL < 29", "NL = 0 and XSRTL <= 29")
    diff = compare(old, tmp_path, changes)
    assert diff.rules_reworded == [Changed("drg", "BB13", "QTZD in {MCC, CC}", "QTZD in CC or QTZD in MCC")]
    assert diff.rules_changed == [Changed("mdc", "MDCP", "NL = 0 and XSRTL < 29", "NL = 0 and XSRTL <= 29")]
    assert filled(diff) == {"rules_reworded", "rules_changed"}


def test_sets_added_removed_renamed_and_changed(old: DrgPack, tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "sets.csv": FILES["sets.csv"].replace("OP_AA1", "OP_HEART").replace("DI_B00,I61.100", "DI_B00,I61.200")
        + "DI_NEW,I61.300\n",
        "adrg.csv": FILES["adrg.csv"].replace("OP_AA1", "OP_HEART").replace("ZYZD in DI_BR1", "ZYZD in DI_NEW"),
    }
    changes["sets.csv"] = str(changes["sets.csv"]).replace("DI_BR1,I61.000\n", "")
    diff = compare(old, tmp_path, changes)
    assert diff.sets_renamed == [Changed("sets", "OP_AA1", "OP_AA1", "OP_HEART")]
    assert diff.rules_reworded == [Changed("adrg", "AA1", "ZYSS in OP_AA1", "ZYSS in OP_HEART")]
    assert (diff.sets_added, diff.sets_removed) == (["DI_NEW"], ["DI_BR1"])
    assert diff.members_changed == [Members("DI_B00", ("I61.200",), ("I61.100",))]
    assert [item.code for item in diff.rules_changed] == ["BR1"]


def test_spelling_of_x_is_no_difference(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("sets.csv", "33.6x00", "33.6X00") | edited("cc.csv", "I10.x00", "I10.X00")
    assert compare(old, tmp_path, changes).empty


def test_complications_levels_and_exclusions(old: DrgPack, tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "cc.csv": "code,level,exclusion\nA41.900,CC,EX_7\nJ96.900,MCC,\n",
        "exclusion.csv": "exclusion,code\nEX_7,A41.900\nEX_7,A40.900\n",
    }
    diff = compare(old, tmp_path, changes)
    assert diff.complications_added == [("J96.900", "MCC")]
    assert diff.complications_removed == [("I10.x00", "CC")]
    assert diff.levels_changed == [Changed("cc", "A41.900", "MCC", "CC")]
    assert diff.exclusions_changed == [ExclusionChange("EX_1", "EX_7", ("A41.900",), ("A40.900",), ())]


def test_a_renumbered_exclusion_table_is_no_difference(old: DrgPack, tmp_path: Path) -> None:
    changes = edited("cc.csv", "EX_1", "EX_9") | edited("exclusion.csv", "EX_1", "EX_9")
    assert compare(old, tmp_path, changes).empty


def test_settings(old: DrgPack, tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        "meta.csv": "key,value\nnewborn_weight,admission\nungrouped_drg,9999\n",
        "not_principal.csv": "code\nI61.000\n",
    }
    diff = compare(old, tmp_path, changes)
    assert diff.settings_changed == [
        Changed("meta", "newborn_weight", "birth", "admission"),
        Changed("meta", "ungrouped_drg", "（无）", "9999"),
        Changed("not_principal", "I61.000", "允许", "不允许"),
    ]
    assert diff.changes_grouping


SAME = [
    ("ZYSS in A and ZYZD in B", "ZYZD in B and (ZYSS in A)"),
    ("{ZYZD, QTZD} in {A, B}", "ZYZD in A or ZYZD in B or QTZD in B or QTZD in A"),
    ("ZYSS not in A", "not ZYSS in A"),
    ("not not NL = 0", "NL = 0"),
    ("NL < 7", "NL <= 6"),
    ("XSRTZ > 2499", "XSRTZ >= 2500"),
    ("length(A ∩ {ZYSS, QTSS}) >= 1", "{QTSS, ZYSS} in A"),
    ("length(A ∩ {ZYSS, QTSS}) > 1", "length(A ∩ {QTSS, ZYSS}) >= 2"),
    ("ZYZD in A and (ZYSS in B or ZYSS in C)", "ZYZD in A and ZYSS in B or ZYZD in A and ZYSS in C"),
    ("ZYZD in A or ZYZD in A and NL = 0", "ZYZD in A"),
    ("", "1"),
]
DIFFERENT = [
    ("ZYSS in A", "QTSS in A"),
    ("ZYSS in A", "ZYSS in B"),
    ("ZYSS in A and ZYSS in B", "ZYSS in A or ZYSS in B"),
    ("ICUXS > 96", "ICUXS >= 97"),
    ("not NL < 70", "NL >= 70"),
    ("length(A ∩ {ZYSS, QTSS}) >= 2", "length(A ∩ QTSS) >= 2"),
    ("QTZD in MCC", "QTZD in {MCC, CC}"),
    ("1", "0"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_same_meaning(left: str, right: str) -> None:
    assert same_meaning(parse_rule(left), parse_rule(right))


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_meaning(left: str, right: str) -> None:
    assert not same_meaning(parse_rule(left), parse_rule(right))


def test_formulas_too_wide_for_a_truth_table_are_compared_part_by_part() -> None:
    names = [f"S{at}" for at in range(30)]
    left = parse_rule(" or ".join(f"ZYZD in {name} and NL > 5" for name in names))
    right = parse_rule(" or ".join(f"NL >= 6 and ZYZD in {name}" for name in reversed(names)))
    assert same_meaning(left, right)
    assert not same_meaning(left, parse_rule(" or ".join(f"ZYZD in {name} and NL > 6" for name in names)))


ATOMS: list[Node] = [
    Member(("ZYSS",), ("A",)), Member(("ZYSS", "QTSS"), ("A", "B")), Member(("ZYZD",), ("C",), True),
    Compare("NL", ">=", 70), Compare("NL", "<", 7), Count("A", ("ZYSS", "QTSS"), ">=", 2),
]  # fmt: skip


def trees() -> st.SearchStrategy[Node]:
    def grow(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        pairs = st.lists(children, min_size=2, max_size=3).map(tuple)
        return st.one_of(pairs.map(And), pairs.map(Or), children.map(Not))

    return st.recursive(st.sampled_from(ATOMS), grow, max_leaves=8)


def opposite(node: Node) -> Node:
    """The negation by De Morgan, written out."""
    if isinstance(node, And):
        return Or(tuple(opposite(item) for item in node.items))
    if isinstance(node, Or):
        return And(tuple(opposite(item) for item in node.items))
    if isinstance(node, Not):
        return node.item
    if isinstance(node, Member):
        return Member(node.fields, node.sets, not node.negated)
    return Not(node)


@settings(max_examples=150, deadline=None)
@given(trees(), trees())
def test_laws_of_logic_keep_the_meaning(left: Node, right: Node) -> None:
    assert same_meaning(And((left, right)), And((right, left, left)))
    assert same_meaning(Not(left), opposite(left))
    assert same_meaning(Or((left, And((left, right)))), left)
    assert not same_meaning(left, Not(left))
