"""Auxiliary tables that are wrong: each fault is told with its line, all of them in one pass."""

from __future__ import annotations

import polars as pl
import pytest

from reference_tables.auxiliary_checks import check_auxiliary
from reference_tables.dip_build import build_dip_pack
from reference_tables.pack_build import PackIdentity
from reference_tables.problems import Level, Problem, TablesRefused
from tests.unit.auxiliary_pack import Rows, tables

LEVEL: Rows = (("年龄", "老", "", "1", "NL >= 65"),)
SETS: Rows = (("S", "I10"),)
DISEASES: Rows = (("A", "甲", "1", "I10", "B"), ("B", "乙", "3", "I11", ""))


def found(**changed: Rows) -> list[Problem]:
    given = {"aux_level": LEVEL, "aux_set": (), "cci": DISEASES, "aux_factor": ()} | changed
    return check_auxiliary(tables(**given))


def told(**changed: Rows) -> list[tuple[str, str, int, str]]:
    """(code, file, line, value) of every problem."""
    return [(problem.code, problem.file, problem.row, problem.value) for problem in found(**changed)]


def test_what_is_right_has_no_problem() -> None:
    assert found() == []
    assert check_auxiliary({}) == []
    assert check_auxiliary(tables()) == []
    factors = [("*", "年龄", "老", "1"), ("A09", "年龄", "老", "0.0001"), ("C34", "年龄", "老", "999999.9999")]
    assert found(aux_factor=factors) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"aux_level": [("年龄", "老", "", "1", "NL >= ")]}, ("AU01", "aux_level.csv", 2, "NL >= ")),
        ({"aux_level": [("D", "是", "", "1", "QTZDX in S")]}, ("AU02", "aux_level.csv", 2, "QTZDX in S")),
        ({"aux_level": [("", "老", "", "1", "NL >= 65")]}, ("AU03", "aux_level.csv", 2, "")),
        ({"aux_level": [("年龄", "", "", "1", "NL >= 65")]}, ("AU03", "aux_level.csv", 2, "")),
        ({"aux_factor": [("*", "年龄", "老", "")]}, ("AU03", "aux_factor.csv", 2, "")),
        ({"cci": [("A", "甲", "", "I10", "")]}, ("AU03", "cci.csv", 2, "")),
        ({"aux_level": [("年龄", "老", "", "一", "NL >= 65")]}, ("AU04", "aux_level.csv", 2, "一")),
        ({"aux_level": [*LEVEL, ("年龄", "小", "", "01", "NL < 7")]}, ("AU05", "aux_level.csv", 3, "01")),
        ({"aux_level": [*LEVEL, ("年龄", "老", "", "2", "NL < 7")]}, ("AU06", "aux_level.csv", 3, "老")),
        ({"aux_factor": [("*", "年龄", "老", "1"), ("*", "年龄", "老", "2")]}, ("AU06", "aux_factor.csv", 3, "老")),
        ({"cci": [*DISEASES, ("B", "乙", "3", "I11", "")]}, ("AU06", "cci.csv", 4, "I11")),
        ({"aux_level": [("年:龄", "老", "", "1", "NL >= 65")]}, ("AU07", "aux_level.csv", 2, "年:龄")),
        ({"aux_level": [("年龄", "老|", "", "1", "NL >= 65")]}, ("AU07", "aux_level.csv", 2, "老|")),
        ({"cci": [("A", "甲", "0", "I10", "")]}, ("AU09", "cci.csv", 2, "0")),
        ({"cci": [("A", "甲", "1.5", "I10", "")]}, ("AU09", "cci.csv", 2, "1.5")),
        ({"cci": [("A", "甲", "1", "高血压", "")]}, ("AU10", "cci.csv", 2, "高血压")),
        ({"cci": [("A", "甲", "1", "*", "")]}, ("AU10", "cci.csv", 2, "*")),
        ({"cci": [("A", "甲", "1", "I10", "C")]}, ("AU11", "cci.csv", 2, "C")),
        ({"cci": [("A", "甲", "1", "I10", "A")]}, ("AU12", "cci.csv", 2, "A")),
        ({"cci": [*DISEASES, ("B", "乙", "2", "I12", "")]}, ("AU13", "cci.csv", 4, "2")),
        ({"cci": [*DISEASES, ("B", "丙", "3", "I12", "")]}, ("AU13", "cci.csv", 4, "丙")),
        ({"aux_factor": [("*", "年龄", "中", "1.1")]}, ("AU14", "aux_factor.csv", 2, "中")),
        ({"aux_factor": [("*", "性别", "老", "1.1")]}, ("AU14", "aux_factor.csv", 2, "老")),
        ({"aux_factor": [("A09-1", "年龄", "老", "1.1")]}, ("AU15", "aux_factor.csv", 2, "A09-1")),
        *[
            ({"aux_factor": [("A09", "年龄", "老", value)]}, ("AU16", "aux_factor.csv", 2, value))
            for value in ("0", "0.0000", "-1.1", "1.12345", "1e2", "1,1", "110%", "1234567", ".5", "nan")
        ],
    ],
)
def test_one_fault(changed: dict[str, Rows], problem: tuple[str, str, int, str]) -> None:
    (error,) = found(**changed)
    assert (error.code, error.file, error.row, error.value) == problem
    assert error.level is Level.ERROR


@pytest.mark.parametrize(
    ("rule", "item", "wrong"),
    [
        ("QTZD in S", "高血压", True), ("QTZD in S", "36.0700", True), ("QTZD in S", "*", True),
        ("QTZD in S", "I10|I11", False), ("QTSS in S", "I10", True),
        ("QTSS in S", "36.0700", False), ("QTSS in S", "36.0700+39.6100", True),
        ("QTSS in S", "36.0700|39.6100", True), ("{QTZD, QTSS} in S", "I10", False),
        ("{QTZD, QTSS} in S", "36.0700", False),
        ("{QTZD, QTSS} in S", "高血压", True), ("LYFS in S", "5", False), ("KS in S", "重症医学科", False),
        ("length(S ∩ QTZDX) > 2", "？", True),
    ],
)  # fmt: skip
def test_members_are_what_the_rule_takes_them_for(rule: str, item: str, wrong: bool) -> None:
    problems = told(aux_level=[("D", "是", "", "1", rule)], aux_set=[("S", item)])
    assert problems == ([("AU08", "aux_set.csv", 2, item)] if wrong else [])


def test_diseases_that_cover_each_other_are_both_told() -> None:
    ring = [("A", "甲", "1", "I10", "B"), ("B", "乙", "1", "I11", "C"), ("C", "丙", "1", "I12", "B")]
    assert told(cci=ring) == [("AU12", "cci.csv", 3, "B、C"), ("AU12", "cci.csv", 4, "B、C")]


def test_warnings_do_not_refuse() -> None:
    levels = [("D", "是", "", "1", "CCI > 0"), ("E", "是", "", "1", "not FYBL > 300")]
    given = tables(aux_level=levels, aux_set=SETS, cci=(), score=[("A09", "100")])
    codes = {problem.code for problem in build_dip_pack(given, PackIdentity("x", "1", "x", None), None).problems}
    assert {"AU50", "AU51", "AU52"} <= codes


def test_a_pack_is_refused_with_every_fault_at_once() -> None:
    given = tables(
        aux_level=[("年龄", "老", "", "1", "NL >>= 65")],
        cci=[("A", "甲", "重", "I10", "")],
        aux_factor=[("X", "年龄", "少", "一")],
        aux_set=SETS,
    )
    with pytest.raises(TablesRefused) as refused:
        build_dip_pack(given, PackIdentity("x", "1", "x", None), None)
    codes = [problem.code for problem in refused.value.problems if problem.code.startswith("AU")]
    assert codes == ["AU01", "AU09", "AU14", "AU15", "AU16"]


def test_the_place_of_a_row_is_told_when_it_is_known() -> None:
    given = tables(aux_level=[("年龄", "老", "", "x", "NL >= 65")], cci=(), aux_set=())
    given["aux_level"] = given["aux_level"].with_columns(pl.lit("工作表 辅助").alias("place"))
    (problem,) = check_auxiliary(given)
    assert (problem.file, problem.row) == ("工作表 辅助", 2)
