"""Weights by group: published, made-up and local tables, exact, and refused with every fault."""

from fractions import Fraction
from pathlib import Path

import pytest

from reference_tables.group_weights import built_in_weights, find_group_weights, read_group_weights
from reference_tables.problems import TablesRefused


def test_published_weights_are_the_printed_ones() -> None:
    suzhou = find_group_weights("suzhou-2023")
    assert suzhou.weight("AA19") == Fraction("29.7")
    assert (suzhou.weight("no such"), suzhou.coefficient("AA19", "三级"), suzhou.peer_average("AA19", "三级")) == (
        None,
    ) * 3
    assert (len(suzhou.rw_e6), suzhou.data_level) == (648, "official")


def test_only_groups_with_coefficients_of_their_own_carry_one() -> None:
    taizhou = find_group_weights("taizhou-jiangsu-2022")
    assert taizhou.coefficient("AH11", "二级") == Fraction("0.8641")
    assert taizhou.coefficient("AH11", "三级") is None
    assert [name for name in built_in_weights() if find_group_weights(name).coefficient_e6] == ["taizhou-jiangsu-2022"]


def test_the_made_up_table_says_so_and_has_a_weight_for_every_group_of_its_scheme() -> None:
    made = find_group_weights("synthetic-city-drg")
    assert (made.data_level, made.weight("0000")) == ("synthetic", Fraction("0.2"))
    assert "虚构" in made.title


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(
        "group,tier,rw,coefficient,peer_average\nBR25,,0.5,,4300.5\nBR25,三级,0.5,1.05,5100\nBR23,二级,1.25,0.9,\nXX99,,,,\n",
        encoding="utf-8",
    )
    table = find_group_weights(str(path))
    assert [table.weight(group) for group in ("BR25", "BR23", "XX99")] == [Fraction("0.5"), Fraction("1.25"), None]
    assert (table.coefficient("BR25", "三级"), table.coefficient("BR25", "二级")) == (Fraction("1.05"), None)
    assert table.peer_average("BR25", "三级") == 5100
    assert table.peer_average("BR25", "二级") == Fraction("4300.5")  # the row without a tier holds for the others
    assert table.frame.rows() == [
        ("BR25", "", "0.500000", None, "4300.50"),
        ("BR23", "", "1.250000", None, None),
        ("BR25", "三级", None, "1.050000", "5100.00"),
        ("BR23", "二级", None, "0.900000", None),
    ]
    path.write_text("group,weight\nA,1.5\n", encoding="utf-8")
    assert read_group_weights(path, "again").weight("A") == Fraction("1.5")


def test_every_fault_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text(
        "group,tier,rw,coefficient\nA,,1.5,\nA,三级,1.6,1\n,,1,\nB,,1.2345678,\nB,,1,\nC,,1e3,\nD,,1.,\n",
        encoding="utf-8",
    )
    with pytest.raises(TablesRefused) as refused:
        read_group_weights(path, "w")
    assert [(item.code, item.row) for item in refused.value.problems] == [
        ("PL28", 3), ("TB06", 4), ("TB26", 5), ("TB07", 6), ("TB26", 7), ("TB26", 8),
    ]  # fmt: skip


def test_a_table_nobody_knows() -> None:
    with pytest.raises(TablesRefused) as refused:
        find_group_weights("suzhou-1999")
    (problem,) = refused.value.problems
    assert problem.code == "PL27"
    assert "suzhou-2023" in problem.message


def test_a_file_is_read_anew_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_text("group,rw\nBR25,0.5\n", encoding="utf-8")
    assert find_group_weights(str(path)).weight("BR25") == Fraction("0.5")
    path.write_text("group,rw\nBR25,0.75\n", encoding="utf-8")
    assert find_group_weights(str(path)).weight("BR25") == Fraction("0.75")
