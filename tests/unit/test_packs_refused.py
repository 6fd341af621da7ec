"""Every fault that refuses a pack: its code, file and line; and all faults of a pack in one answer."""

from pathlib import Path

import pytest

from reference_tables.packs import find_pack, read_pack
from reference_tables.problems import Level, Problem, TablesRefused
from tests.unit.small_pack import FILES, edited, write_small


def refused(folder: Path) -> list[Problem]:
    with pytest.raises(TablesRefused) as caught:
        read_pack(folder)
    return [problem for problem in caught.value.problems if problem.level is Level.ERROR]


CASES = {
    "file missing": ("TB02", "cc.csv", 0, "cc.csv", {"cc.csv": None}),
    "column missing": ("TB03", "mdc.csv", 1, "order", edited("mdc.csv", ",rule,order", ",rule,rank")),
    "ragged line": ("TB05", "sets.csv", 3, "有 3 个", edited("sets.csv", "OP_BB1,01.2403\n", "OP_BB1,01.2403,x\n")),
    "ragged line in a quoted file": (
        "TB05", "drg.csv", 5, "有 4 个", edited("drg.csv", "BB15,开颅,BB1,,3", "BB15,开颅,BB1,3"),
    ),
    "empty code": ("TB06", "adrg.csv", 3, "code", edited("adrg.csv", "BB1,开颅", ",开颅")),
    "empty set name": ("TB06", "sets.csv", 2, "set", edited("sets.csv", "OP_AA1,33.6x00", ",33.6x00")),
    "duplicate code": ("TB07", "mdc.csv", 4, "第 3 行", edited("mdc.csv", "MDCP,新生儿", "MDCB,新生儿")),
    "unknown parent": ("TB08", "adrg.csv", 4, "MDCX", edited("adrg.csv", "脑出血,MDCB", "脑出血,MDCX")),
    "order is a fraction": ("TB09", "drg.csv", 2, "1.5", edited("drg.csv", "AA1,1,1", "AA1,1,1.5")),
    "order empty": ("TB09", "mdc.csv", 2, "MDCA", edited("mdc.csv", "1,1\n", "1,\n")),
    "rule unreadable": ("TB10", "adrg.csv", 2, "第 6 个字符", edited("adrg.csv", "ZYSS in OP_AA1", "ZYSS of OP_AA1")),
    "unknown set": ("TB11", "adrg.csv", 3, "OP_BB2", edited("adrg.csv", "OP_BB1", "OP_BB2")),
    "unknown exclusion table": ("TB12", "cc.csv", 3, "EX_2", edited("cc.csv", "I10.x00,CC,", "I10.x00,CC,EX_2")),
    "bad level": ("TB13", "cc.csv", 3, "mcc", edited("cc.csv", "I10.x00,CC,", "I10.x00,mcc,")),
    "meta value": ("TB15", "meta.csv", 2, "入院", edited("meta.csv", "birth", "入院")),
    "reserved set": ("TB20", "sets.csv", 8, "MCC", edited("sets.csv", "DI_PS1,P07", "MCC,P07")),
    "quote not closed": ("TB21", "adrg.csv", 6, "", edited("adrg.csv", 'XSRTZ < 1500"', "XSRTZ < 1500")),
    "column twice": ("TB22", "sets.csv", 1, "code", edited("sets.csv", "set,code", "code,code")),
    "meta key twice": ("TB23", "meta.csv", 3, "第 2 行", {
        "meta.csv": FILES["meta.csv"] + "newborn_weight,birth\n",
    }),
    "header only": ("TB25", "drg.csv", 0, "drg.csv", {"drg.csv": "code,name,adrg,rule,order\n"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_fault_is_named_with_file_and_line(
    tmp_path: Path, case: tuple[str, str, int, str, dict[str, str | None]]
) -> None:
    code, file, row, shown, changes = case
    found = [problem for problem in refused(write_small(tmp_path / "p", changes)) if problem.code == code]
    assert [(problem.file, problem.row) for problem in found] == [(file, row)]
    assert shown in found[0].message
    assert found[0].fix


def test_other_encodings_are_named_with_the_line(tmp_path: Path) -> None:
    for encoding, line, guess in (("gb18030", 2, "GB18030"), ("utf-16", 1, "UTF-16")):
        folder = write_small(tmp_path / encoding)
        (folder / "mdc.csv").write_bytes(FILES["mdc.csv"].encode(encoding))
        (problem,) = refused(folder)
        assert (problem.code, problem.file, problem.row) == ("TB04", "mdc.csv", line)
        assert guess in problem.fix


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    changes = {
        **edited("mdc.csv", "DI_B00", "DI_X00"),
        **edited("adrg.csv", "脑出血,MDCB", "脑出血,MDCX"),
        **edited("drg.csv", "QTZD in MCC,1", "QTZD in,1"),
        **edited("cc.csv", "EX_1", "EX_9"),
        "exclusion.csv": "table,code\nEX_1,A41.900\n",
    }
    found = refused(write_small(tmp_path / "p", changes))
    assert {(problem.code, problem.file, problem.row) for problem in found} == {
        ("TB11", "mdc.csv", 3),
        ("TB08", "adrg.csv", 4),
        ("TB10", "drg.csv", 3),
        ("TB03", "exclusion.csv", 1),
    }


def test_a_missing_table_hides_no_other_problem_and_causes_no_false_one(tmp_path: Path) -> None:
    changes = {"sets.csv": None, **edited("drg.csv", "AA1,1,1", "AA1,1,eins")}
    found = refused(write_small(tmp_path / "p", changes))
    assert {(problem.code, problem.file) for problem in found} == {("TB02", "sets.csv"), ("TB09", "drg.csv")}


def test_line_numbers_count_lines_inside_quoted_rules(tmp_path: Path) -> None:
    rule = '"ZYSS in OP_AA1\nor ZYSS in OP_AA1"'
    changes = edited("adrg.csv", "ZYSS in OP_AA1", rule)
    changes["adrg.csv"] = str(changes["adrg.csv"]).replace("BR1,脑出血,MDCB,", "BR1,脑出血,MDCX,")
    (problem,) = refused(write_small(tmp_path / "p", changes))
    assert (problem.code, problem.row) == ("TB08", 5)


def test_unknown_pack_names_the_built_in_ones(tmp_path: Path) -> None:
    for name in ("chs-drg-9.9", str(tmp_path / "nowhere")):
        with pytest.raises(TablesRefused) as caught:
            find_pack(name)
        (problem,) = caught.value.problems
        assert problem.code == "TB01"
        assert "chs-drg-1.1" in problem.message
