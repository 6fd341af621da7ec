"""The rule language: every published formula parses and prints back; a wrong one says where and why."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_tables.packs import built_in_packs
from reference_tables.rule_ast import (
    FALSE,
    TRUE,
    And,
    Compare,
    Count,
    Member,
    Node,
    Not,
    Or,
    conjunction,
    disjunction,
    set_names,
    to_text,
)
from reference_tables.rule_language import MAX_DEPTH, RuleError, parse_rule

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def published() -> list[str]:
    rules: list[str] = []
    for folder in built_in_packs().values():
        for name in ("mdc", "adrg", "drg"):
            with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
                rules += [row["rule"] for row in csv.DictReader(stream)]
    with (GOLDEN / "rules_3_0.csv").open(encoding="utf-8", newline="") as stream:
        rules += [row["rule"] for row in csv.DictReader(stream)]
    return rules


def test_every_published_formula_prints_back_to_the_same_meaning() -> None:
    rules = published()
    assert len(rules) == 1120 + 1433
    for rule in rules:
        tree = parse_rule(rule)
        assert parse_rule(to_text(tree)) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", TRUE),
        ("  \n", TRUE),
        ("1", TRUE),
        ("0", FALSE),
        ("ZYZD in DI_A", Member(("ZYZD",), ("DI_A",))),
        ("zyzd NOT IN {DI_A, DI_B}", Member(("ZYZD",), ("DI_A", "DI_B"), True)),
        ("{ZYSS, QTSS} in OP1_AC1", Member(("ZYSS", "QTSS"), ("OP1_AC1",))),
        ("NL>=70", Compare("NL", ">=", 70)),
        ("XB ≠ 1", Compare("XB", "!=", 1)),
        ("XSRTL == 0", Compare("XSRTL", "=", 0)),
        ("ICUXS > -1", Compare("ICUXS", ">", -1)),
        ("length(OP_IC2 ∩ {ZYSS, QTSS})>=2", Count("OP_IC2", ("ZYSS", "QTSS"), ">=", 2)),
        ("LYFS in 死亡离院", Member(("LYFS",), ("死亡离院",))),
        ("ZYZD in {A/B, Ａ+Ｂ, #1:*, Ⅱ期}", Member(("ZYZD",), ("A/B", "A+B", "#1:*", "II期"))),
        ("not (NL < 1 or NL > 5)", Not(Or((Compare("NL", "<", 1), Compare("NL", ">", 5))))),
        ("NL=1 or NL=2 and XB=1", Or((Compare("NL", "=", 1), And((Compare("NL", "=", 2), Compare("XB", "=", 1)))))),
        ("(NL=1 and (XB=1 and NL<9))", And((Compare("NL", "=", 1), Compare("XB", "=", 1), Compare("NL", "<", 9)))),
        (
            "（ＮＬ＝１）_x000D_\u3000ａｎｄ\u200b ｛ＺＹＺＤ，ＱＴＺＤ｝ in DI＿A",
            And((Compare("NL", "=", 1), Member(("ZYZD", "QTZD"), ("DI_A",)))),
        ),
    ],
)
def test_what_a_formula_means(text: str, tree: Node) -> None:
    assert parse_rule(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "found"),
    [
        ("ZYZD in", 7, "规则结尾"),
        ("ZYZD on DI_A", 5, "on"),
        ("ZYZD not DI_A", 9, "DI_A"),
        ("NL >= ", 6, "规则结尾"),
        ("NL >= 7.5", 6, "7.5"),
        ("NL 7", 3, "7"),
        ("(NL=1", 5, "规则结尾"),
        ("NL=1)", 4, ")"),
        ("NL=1 NL=2", 5, "NL"),
        ("{ZYZD,} in A", 6, "}"),
        ("{ZYZD, NL} in A", 7, "NL"),
        ("ZYZD in {A,B", 12, "规则结尾"),
        ("ZYZD in and", 8, "and"),
        ("foo = 1", 0, "foo"),
        ("a $ b", 0, "a"),
        ("（NL=1） or ￥", 10, "¥"),
        ("NL ! 1", 3, "'!'"),
        ("not", 3, "规则结尾"),
        ("length(OP {ZYSS})", 10, "{"),
        ("length(OP ∩ ZYSS)", 17, "规则结尾"),
    ],
)
def test_a_wrong_formula_says_where_and_what_was_expected(text: str, position: int, found: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert (caught.value.position, caught.value.found) == (position, found)
    assert caught.value.expected in str(caught.value)
    assert f"第{position + 1}个字符" in str(caught.value)


def test_endless_brackets_are_an_error_not_a_crash() -> None:
    assert parse_rule("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH) == TRUE
    with pytest.raises(RuleError):
        parse_rule("(" * 5000 + "1" + ")" * 5000)


def test_set_names_are_found_in_order_of_appearance() -> None:
    rule = parse_rule("ZYZD in {A, B} and (QTZD in MCC or length(C ∩ ZYSS) = 1) and not ZYSS in A")
    assert list(set_names(rule)) == ["A", "B", "MCC", "C", "A"]


def trees() -> st.SearchStrategy[Node]:
    names = st.sampled_from(["DI_A", "OP1_B", "MCC", "全部手术"])
    sets = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
    fields = st.sampled_from(["ZYZD", "QTZD", "ZYSS", "QTSS", "LYFS", "KS"])
    codes = st.lists(fields, min_size=1, max_size=3, unique=True).map(tuple)
    numbers = st.sampled_from(["NL", "XB", "XSRTL", "XSRTZ", "ZYTS", "ICUXS"])
    signs = st.sampled_from(["<", "<=", ">", ">=", "=", "!="])
    leaves = st.one_of(
        st.sampled_from([TRUE, FALSE]),
        st.builds(Member, codes, sets, st.booleans()),
        st.builds(Compare, numbers, signs, st.integers(-9, 9999)),
        st.builds(Count, names, codes, signs, st.integers(0, 9)),
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.lists(inner, min_size=2, max_size=3).map(conjunction),
            st.lists(inner, min_size=2, max_size=3).map(disjunction),
        ),
        max_leaves=12,
    )


@given(trees())
def test_any_tree_prints_and_parses_back(tree: Node) -> None:
    assert parse_rule(to_text(tree)) == tree
