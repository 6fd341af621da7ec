"""Which factor a case gets, and the fields of auxiliary rules in every kind of condition."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from grouper.dip.result import FACTOR
from reference_tables.auxiliary import default_auxiliary, read_auxiliary
from reference_tables.rule_ast import AUXILIARY_CODE_FIELDS, AUXILIARY_NUMBER_FIELDS
from reference_tables.rule_language import RuleError, parse_auxiliary_rule, parse_rule
from tests.unit.auxiliary_pack import Catalog, Rows, pack, tables

LEVELS: Rows = (
    ("CCI", "高", "", "1", "CCI >= 3"),
    ("CCI", "低", "", "2", "CCI >= 1"),
    ("年龄", "老", "", "3", "NL >= 65"),
)
CCI: Rows = (
    ("A", "甲", "3", "I21", ""),
    ("B", "乙", "1", "I10|E11.9", ""),
    ("B", "乙", "1", "J44", ""),
)
FACTORS: Rows = (
    ("*", "CCI", "高", "1.2"),
    ("*", "CCI", "低", "1.05"),
    ("*", "年龄", "老", "1.1"),
    ("A09", "CCI", "高", "0.9"),
    ("A09", "年龄", "老", "0.95"),
)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(pack(aux_level=LEVELS, aux_set=(), cci=CCI, aux_factor=FACTORS))


@pytest.mark.parametrize(
    ("group", "others", "age", "text", "factor"),
    [
        ("C34", [], 40, "", "1.0000"),
        ("C34", ["J44.900"], 40, "CCI:低", "1.0500"),
        ("C34", ["J44.900"], 65, "CCI:低|年龄:老", "1.1000"),  # the highest of several
        ("C34", ["I21.900"], 65, "CCI:高|年龄:老", "1.2000"),
        ("A09", ["I21.900"], 40, "CCI:高", "0.9000"),  # the group's own row, though that for all is higher
        ("A09", ["I21.900"], 65, "CCI:高|年龄:老", "0.9500"),  # own rows only, both below 1
        ("A09", ["J44.900"], 65, "CCI:低|年龄:老", "1.0500"),  # no own row for this level: that for all
        ("A09-1", ["I21.900"], 65, "", "1.0000"),  # a mixed group
        (None, ["I21.900"], 65, "", "1.0000"),
        ("", ["I21.900"], 65, "", "1.0000"),
    ],
)
def test_factor(catalog: Catalog, group: str | None, others: list[str], age: int, text: str, factor: str) -> None:
    found = catalog.of(group, diagnoses=["A09.900", *others], age_years=age)
    assert found == (text, Decimal(factor))
    assert str(found[1]) == factor


def test_the_columns_have_the_types_of_a_result(catalog: Catalog) -> None:
    frame, dx, px = catalog.encoded([{"diagnoses": ["A09.900"]}])
    text, factor = catalog.catalog.of(frame, dx, px, pl.Series([None], dtype=pl.String))
    assert (text.name, text.dtype, factor.name, factor.dtype) == ("auxiliary", pl.String, "factor", FACTOR)
    empty = catalog.catalog.of(*catalog.encoded([]), pl.Series([], dtype=pl.String))
    assert [len(column) for column in empty] == [0, 0]


def test_without_factors_the_levels_are_still_told() -> None:
    catalog = Catalog(pack(aux_level=LEVELS, aux_set=(), cci=CCI))
    assert catalog.of("C34", diagnoses=["C34.900", "I21.900"], age_years=70) == ("CCI:高|年龄:老", Decimal(1))


def test_the_order_of_rows_in_the_file_means_nothing() -> None:
    turned = Catalog(pack(aux_level=LEVELS[::-1], aux_set=(), cci=CCI[::-1], aux_factor=FACTORS[::-1]))
    assert turned.of("C34", diagnoses=["C34.900", "I21.900"], age_years=70) == ("CCI:高|年龄:老", Decimal("1.2"))


def test_many_dimensions_are_written_out_like_few() -> None:
    """40 dimensions of 3 levels: more combinations than a number holds."""
    levels = [
        (f"D{at}", str(level), "", str(3 * at + level), f"NL = {level}") for at in range(40) for level in (1, 2, 3)
    ]
    catalog = Catalog(pack(aux_level=levels, aux_set=(), cci=()))
    for age in (1, 3, 4):
        wanted = "|".join(f"D{at}:{age}" for at in range(40)) if age < 4 else ""
        assert catalog.of("A09", diagnoses=["A09.900"], age_years=age)[0] == wanted
    eleven = Catalog(pack(aux_level=levels[: 11 * 3], aux_set=(), cci=()))
    assert eleven.of("A09", diagnoses=["A09.900"], age_years=2)[0] == "|".join(f"D{at}:2" for at in range(11))


def test_what_covers_a_disease_covers_through_a_third() -> None:
    diseases = [("MILD", "轻", "1", "I10", "FAIR"), ("FAIR", "中", "2", "I11", "BAD"), ("BAD", "重", "4", "I12", "")]
    levels = [("CCI", str(score), "", str(score), f"CCI = {score}") for score in range(1, 8)]
    catalog = Catalog(pack(aux_level=levels, aux_set=(), cci=diseases))
    for others, score in (
        (["I10.x00"], "1"), (["I10.x00", "I11.900"], "2"), (["I10.x00", "I12.900"], "4"),
        (["I11.900", "I12.900"], "4"), (["I10.x00", "I11.900", "I12.900"], "4"),
    ):  # fmt: skip
        assert catalog.levels({"diagnoses": ["A09.900", *others]}) == [{"CCI": score}]


_CASE = {
    "diagnoses": ["I21.900", "I21.100", "J44.900", "j44.900 ", "A09.900"],
    "procedures": ["36.0700", "39.9500x007", "96.7201"],
    "discharge_way": "2", "department": "03", "sex": 1, "age_years": 70, "newborn_birth_weight_g": 900,
}  # fmt: skip
_SETS: Rows = (
    ("心梗", "I21"), ("肺", "J44.9"), ("肺", "J96.000"), ("支架", "36.0700"), ("透析", "39.9500X007"), ("转院", "2"),
    ("内科", "03"), ("混合", "I21.100"), ("混合", "96.7201"), ("全角", "A09.900"),
)  # fmt: skip


CONDITIONS = (
    ("", True), ("0", False), ("ZYZD in 心梗", True), ("ZYZD in 肺", False), ("QTZD in 心梗", True),
    ("QTZDX in 心梗", False), ("QTZDX in 肺", True), ("QTZDX not in 心梗", True), ("ZYSS in 支架", True),
    ("QTSS in 支架", False), ("QTSS in 透析", True), ("{ZYSS, QTSS} in {支架, 透析}", True), ("LYFS in 转院", True),
    ("KS in 内科", True), ("XB = 1", True), ("XSRTZ < 1000", True), ("XSRTZ > 900", False), ("NL != 70", False),
    ("ZYTS != 4", False), ("not ZYTS = 4", True), ("ICUXS < 48", False), ("FYBL < 100", False),
    # Different codes, as spelt: I21.100 and, once, J44.900.
    ("length(心梗 ∩ QTZD) = 1", True), ("length(心梗 ∩ {ZYZD, QTZD}) = 2", True), ("length(肺 ∩ QTZD) = 1", True),
    ("length(心梗 ∩ QTZDX) = 0", True), ("length(肺 ∩ QTZDX) >= 1", True),
    ("length(混合 ∩ {QTZD, QTSS}) = 2", True), ("length(混合 ∩ {QTZDX, QTSS}) = 1", True),
    ("length(转院 ∩ LYFS) = 1", True), ("{QTZD, QTSS} in 混合", True), ("{QTZDX, ZYSS} in 混合", False),
    ("ZYZD in 心梗 and (QTZDX in 肺 or NL < 3) and not QTSS in 支架", True),
)  # fmt: skip


@pytest.fixture(scope="module")
def true_rules() -> dict[str, bool]:
    """Every rule of CONDITIONS as a dimension of its own: is it true for `_CASE`?"""
    levels = [(f"D{at}", "是", "", str(at), rule) for at, (rule, _) in enumerate(CONDITIONS)]
    catalog = Catalog(pack(aux_level=levels, aux_set=_SETS, cci=()))
    # A neighbour on either side shows that lists are not mixed up between cases.
    bare = {"diagnoses": ["A09.900"], "procedures": []}
    found = catalog.levels(bare, _CASE, {}, bare)[1]
    return {rule: f"D{at}" in found for at, (rule, _) in enumerate(CONDITIONS)}


@pytest.mark.parametrize(("rule", "true"), CONDITIONS)
def test_conditions(true_rules: dict[str, bool], rule: str, true: bool) -> None:
    assert true_rules[rule] is true


@pytest.mark.parametrize(("other", "true"), [("U9X.12345", False), ("U8X.12345", True)])
def test_the_category_of_a_principal_diagnosis_that_nobody_knows(other: str, true: bool) -> None:
    sets = [("S", "U9X.12345"), ("S", "U8X.12345")]
    catalog = Catalog(pack(aux_level=[("D", "是", "", "1", "QTZDX in S")], aux_set=sets, cci=()))
    before, after = {"diagnoses": ["J18.900", "U9X.12345"]}, {"diagnoses": ["J18.900"]}
    found = catalog.levels(before, {"diagnoses": ["u9x.777 ", "J18.900", other]}, after)
    assert found == [{"D": "是"}, {"D": "是"} if true else {}, {}]


def test_set_names_are_read_half_width() -> None:
    catalog = Catalog(pack(aux_level=[("D", "是", "", "1", "QTZD in ＡＢ")], aux_set=[("AB", "I10")], cci=()))
    assert catalog.levels({"diagnoses": ["A09.900", "I10.x00"]}) == [{"D": "是"}]
    wide = Catalog(pack(aux_level=[("D", "是", "", "1", "QTZD in AB")], aux_set=[("ＡＢ", "I10")], cci=()))
    assert wide.levels({"diagnoses": ["A09.900", "I10.x00"]}) == [{"D": "是"}]


@pytest.mark.parametrize(
    ("cost_fen", "true"),
    [
        # Exactly 150 % of the mean of 500,000 fen, and 150.0002 %: between two whole percentages.
        (750_000, {">= 150", "= 150", "< 151", "<= 150", "!= 151"}),
        (750_001, {">= 150", "> 150", "< 151", "!= 150", "!= 151"}),
    ],
)
def test_a_share_compares_like_the_exact_fraction(cost_fen: int, true: set[str]) -> None:
    asked = [f"{sign} {value}" for sign in ("<", "<=", "=", "!=", ">=", ">") for value in (150, 151)]
    levels = [(word, "是", "", str(at), f"FYBL {word}") for at, word in enumerate(asked)]
    catalog = Catalog(pack(aux_level=levels, aux_set=(), cci=()))
    text = catalog.of("A09", diagnoses=["A09.900"], total_cost_fen=cost_fen)[0]
    assert {pair.removesuffix(":是") for pair in text.split("|")} == true | {"<= 151"}


def test_each_group_is_measured_by_its_own_mean() -> None:
    catalog = Catalog(pack(aux_level=[("D", "贵", "", "1", "FYBL >= 300")], aux_set=(), cci=()))
    case = {"diagnoses": ["A09.900"], "total_cost_fen": 2_000_000}
    assert catalog.of("A09", **case)[0] == "D:贵"
    assert catalog.of("C34", **case)[0] == ""


def test_missing_cost_columns_are_told_once() -> None:
    default = Catalog(pack()).catalog
    (problem,) = default.unanswered(["case_id", "diagnoses", "total_cost_fen", "fee_herbal_fen"], "三月.csv")
    assert (problem.code, problem.file) == ("AU80", "三月.csv")
    assert problem.message == "病例没有治疗费，用到ZLZB的辅助目录档次未判"
    assert default.unanswered(["total_cost_fen", "fee_treatment_fen", "fee_herbal_fen"]) == []
    (nothing,) = default.unanswered([])
    assert nothing.args["fields"] == "FYBL、YPZB、ZLZB"
    assert Catalog(pack(aux_level=LEVELS, cci=CCI, aux_set=())).catalog.unanswered([]) == []


@pytest.mark.parametrize(
    "field", ["QTZDX in S", "CCI >= 3", "FYBL > 300", "ZLZB < 50", "YPZB = 1", "length(S ∩ QTZDX) > 1"]
)
def test_a_drg_rule_has_none_of_the_further_fields(field: str) -> None:
    parse_auxiliary_rule(field)
    with pytest.raises(RuleError):
        parse_rule(field)


def test_every_field_has_a_name_for_people() -> None:
    assert all(AUXILIARY_CODE_FIELDS.values())
    assert all(AUXILIARY_NUMBER_FIELDS.values())


def test_what_the_indexes_must_know() -> None:
    auxiliary = read_auxiliary(tables(aux_level=[("D", "是", "", "1", "QTSS in 支架 or QTZDX in 心梗")], aux_set=_SETS))
    assert auxiliary.procedure_codes() == ("36.0700",)
    items = set(map(str, auxiliary.diagnosis_items()))
    assert {"I21", "C77-C80"} <= items
    assert "J44.9" not in items
    assert len(read_auxiliary(default_auxiliary()).diagnosis_items()) > 20_000
