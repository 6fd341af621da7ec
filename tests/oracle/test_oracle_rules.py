"""The oracle's formulas: one case or more with a known answer for each thing the rule language says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.oracle.oracle import Case
from tests.oracle.rules import RuleError
from tests.oracle.small_scheme import ADULT, SETS, case, scheme


@pytest.fixture
def truth(tmp_path: Path):
    """A function that says whether a formula is true for a case."""

    def ask(rule: str, case: Case, **changes: object) -> bool:
        oracle = scheme(tmp_path, drg=[("BB11", "BB1", rule), ("BB15", "BB1", "1")], **changes)
        answer = oracle.group(case)
        assert answer[:2] == ("MDCB", "BB1")
        return answer[2] == "BB11"

    return ask


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("", True),
        ("   ", True),
        ("1", True),
        ("0", False),
        ("not 0", True),
        ("not 1", False),
        ("not not 1", True),
    ],
)
def test_constants(truth, rule: str, expected: bool) -> None:
    assert truth(rule, ADULT) is expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("1 or 0 and 0", True),
        ("(1 or 0) and 0", False),
        ("0 and 0 or 1", True),
        ("not 0 and 0", False),
        ("not (0 and 0)", True),
        ("not 1 or 1", True),
        ("1 AND not 0 Or 0", True),
        (" (1)\n and\t( 1 ) ", True),
    ],
)
def test_not_binds_before_and_before_or(truth, rule: str, expected: bool) -> None:
    assert truth(rule, ADULT) is expected


@pytest.mark.parametrize(
    ("rule", "codes", "expected"),
    [
        ("ZYZD in DI_A", ("D1", ""), True),
        ("ZYZD in DI_A", ("D9|D1", ""), False),
        ("QTZD in DI_A", ("D1", ""), False),
        ("QTZD in DI_A", ("D9|D8|D2", ""), True),
        ("QTZD in DI_A", ("D1|D1", ""), True),
        ("ZYSS in OP_A", ("D9", "P1"), True),
        ("ZYSS in OP_A", ("D9", "P9|P1"), False),
        ("QTSS in OP_A", ("D9", "P1"), False),
        ("QTSS in OP_A", ("D9", "P9|P1"), True),
        ("{ZYSS, QTSS} in OP_A", ("D9", "P1"), True),
        ("{ZYSS, QTSS} in OP_A", ("D9", "P9|P1"), True),
        ("{ZYZD,QTZD} in {DI_A,DI_B}", ("D9|D4", ""), True),
        ("ZYZD in {DI_A, DI_B}", ("D3", ""), True),
        ("ZYZD in {DI_A, DI_B}", ("D5", ""), False),
        ("{ZYZD, ZYSS} in OP_A", ("D9", "P2"), True),
        # One code may satisfy both halves of a pair.
        ("ZYSS in OP_A and {ZYSS, QTSS} in OP_B", ("D9", "P3"), True),
        ("ZYSS in OP_A and {ZYSS, QTSS} in OP_B", ("D9", "P1|P4"), True),
        ("ZYSS in OP_A and {ZYSS, QTSS} in OP_B", ("D9", "P4|P1"), False),
        # `not in` is the exact negation: true without any code.
        ("ZYSS not in OP_A", ("D9", ""), True),
        ("ZYSS not in OP_A", ("D9", "|P1"), True),
        ("ZYSS not in OP_A", ("D9", "P1"), False),
        ("{ZYSS, QTSS} not in OP_A", ("D9", "P9|P1"), False),
        ("not ZYSS in OP_A", ("D9", ""), True),
        ("not ZYSS not in OP_A", ("D9", "P1"), True),
        # An unknown or missing principal diagnosis is in no set.
        ("ZYZD in DI_A", ("|D1", ""), False),
        ("ZYZD not in DI_A", ("|D1", ""), True),
        ("ZYZD not in DI_A", ("", ""), True),
    ],
)
def test_membership(truth, rule: str, codes: tuple[str, str], expected: bool) -> None:
    assert truth(rule, case(*codes)) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("I10.x00", True),
        ("I10.X00", True),
        ("i10.x00", False),
        ("j96.900", False),
        ("J96.9", False),
        ("J96.900x001", False),
        ("A17.000+G01*", True),
        ("A17.000", False),
        ("G01*", False),
    ],
)
def test_codes_compare_whole_with_only_x_folded(truth, code: str, expected: bool) -> None:
    assert truth("ZYZD in DI_A", case(code)) is expected
    assert truth("QTZD in DI_A", case(f"D9|{code}")) is expected


def test_folding_works_on_the_pack_as_well(truth) -> None:
    sets = {"DI_U": ["I10.X00"], "OP_U": ["33.6X00"]}
    assert truth("ZYZD in DI_U and ZYSS in OP_U", case("I10.x00", "33.6x00"), sets=sets)


@pytest.mark.parametrize(
    ("comparison", "below", "equal", "above"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
        ("=", False, True, False),
        ("!=", True, False, True),
    ],
)
def test_comparisons(truth, comparison: str, below: bool, equal: bool, above: bool) -> None:
    rule = f"NL {comparison} 40"
    for age, expected in ((39, below), (40, equal), (41, above)):
        assert truth(rule, replace(ADULT, age_years=age)) is expected
        assert truth(f"not {rule}", replace(ADULT, age_years=age)) is not expected


@pytest.mark.parametrize("comparison", ["<", "<=", ">", ">=", "=", "!="])
@pytest.mark.parametrize("number", ["XSRTL", "XSRTZ", "ZYTS", "ICUXS"])
def test_a_comparison_with_the_unknown_is_false(truth, number: str, comparison: str) -> None:
    assert not truth(f"{number} {comparison} 3", ADULT)
    assert truth(f"not {number} {comparison} 3", ADULT)


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("XB = 1", {}),
        ("XB != 2", {}),
        ("XSRTL = 12", {"age_days": 12}),
        ("XSRTZ = 900", {"newborn_birth_weight_g": 900, "newborn_admission_weight_g": 950}),
        ("XSRTZ = 0", {"newborn_birth_weight_g": 0}),
        ("ZYTS >= 60", {"los_days": 60}),
        ("ICUXS > 24", {"icu_hours": 24.5}),
        ("LYFS in LY_DEAD", {"discharge_way": "5"}),
        ("LYFS not in LY_DEAD", {"discharge_way": ""}),
        ("KS in KS_ICU", {"department": "重症医学科"}),
        ("KS in KS_ICU", {"department": "0301x"}),
        ("{LYFS, KS} in {LY_DEAD, KS_ICU}", {"discharge_way": "1", "department": "重症医学科"}),
    ],
)
def test_numbers_and_extra_variables(truth, rule: str, values: dict[str, object]) -> None:
    case = replace(ADULT, **values)
    assert truth(rule, case)
    assert not truth(f"not ({rule})", case)


def test_newborn_weight_is_the_one_of_the_edition(truth) -> None:
    newborn = case(age_years=0, age_days=3, newborn_birth_weight_g=900, newborn_admission_weight_g=1100)
    assert truth("XSRTZ = 900", newborn)
    assert truth("XSRTZ = 1100", newborn, meta={"newborn_weight": "admission"})


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ("< 3", True),
        ("<= 2", True),
        ("> 2", False),
        (">= 2", True),
        ("= 2", True),
        ("!= 2", False),
        ("= 3", False),
    ],
)
def test_length_counts_different_codes(truth, comparison: str, expected: bool) -> None:
    twice_in_set = case("D9", "P1|P1|P9|33.6x00|33.6X00|P1")
    assert truth(f"length(OP_A ∩ {{ZYSS, QTSS}}) {comparison}", twice_in_set) is expected


@pytest.mark.parametrize(("rule", "expected"), [("= 0", True), ("< 1", True), ("!= 0", False), ("> 0", False)])
def test_length_of_nothing_is_zero(truth, rule: str, expected: bool) -> None:
    assert truth(f"length(OP_A ∩ ZYSS){rule}", case("D9", "|P1")) is expected


def test_a_set_may_have_any_name(truth) -> None:
    for name in ("手术表_甲", "3级手术", "op-b.2", "KS", "DI_B00x"):
        assert truth(f"ZYZD in {name}", case("D7"), sets={name: ["D7"]})


@pytest.mark.parametrize(
    "rule",
    [
        "ZYZD in DI_NONE", "ZYZD DI_A", "ZYZD in", "NL in DI_A", "NL >= many", "XX > 3", "(1", "1)", "1 and",
        "{ZYZD QTZD} in DI_A", "length(DI_A, ZYZD) > 1", "ZYSS in MCC", "NL ! 3", "NL 3", "ZYZD in {DI_A,}",
    ],
)  # fmt: skip
def test_unreadable_formulas_are_refused(tmp_path: Path, rule: str) -> None:
    with pytest.raises(RuleError):
        scheme(tmp_path, drg=[("BB11", "BB1", rule)])


# --- MCC and CC -----------------------------------------------------------------------------------------

SEVERITY: dict[str, object] = {
    "cc": [
        ("M1", "MCC", "EX_1"),
        ("M2", "MCC", ""),
        ("C1", "CC", "EX_2"),
        ("K10.x00", "CC", "EX_1"),
        ("T1", "MCC", "EX_1"),
        ("T1", "MCC", "EX_2"),
        ("T2", "MCC", "EX_1"),
        ("T2", "CC", "EX_2"),
    ],
    "exclusion": {"EX_1": ["D1", "M1", "B20.X00"], "EX_2": ["D1", "D2"]},
}


@pytest.mark.parametrize(
    ("rule", "diagnoses", "expected"),
    [
        ("QTZD in MCC", "D9|M1", True),
        ("QTZD in CC", "D9|M1", False),
        ("QTZD in MCC", "D1|M1", False),
        ("QTZD in MCC", "D1|M1|M2", True),
        ("QTZD in MCC", "D1|M2", True),
        ("QTZD in MCC", "M2", False),
        ("QTZD in MCC", "M2|M2", True),
        ("QTZD in MCC", "M1|M1", False),
        ("QTZD in CC", "D2|C1", False),
        ("QTZD in CC", "D3|C1", True),
        ("QTZD in {MCC, CC}", "D3|C1", True),
        ("QTZD in {MCC, CC}", "D1|C1|M1", False),
        ("QTZD in {CC, DI_B}", "D1|D3", True),
        ("QTZD not in MCC", "D9|M1", False),
        ("QTZD not in MCC", "D1|M1", True),
        ("QTZD not in {MCC, CC}", "", True),
        ("{ZYZD, QTZD} in MCC", "M2", True),
        ("{ZYZD, QTZD} in MCC", "M1", False),
        ("{ZYZD, QTZD} in MCC", "D9|M1", True),
        ("ZYZD in MCC", "D9|M1", False),
        # The principal is one and the same for all; the exclusion compares folded codes as well.
        ("QTZD in CC", "B20.x00|K10.X00", False),
        ("QTZD in CC", "B20.x01|K10.X00", True),
        # Without a principal diagnosis nothing is excluded.
        ("QTZD in MCC", "|M1", True),
        # A code in several rows: each row counts for itself.
        ("QTZD in MCC", "D2|T1", True),
        ("QTZD in MCC", "M1|T1", True),
        ("QTZD in MCC", "D1|T1", False),
        ("QTZD in MCC", "M1|T2", False),
        ("QTZD in CC", "M1|T2", True),
        ("QTZD in MCC", "D2|T2", True),
        ("QTZD in CC", "D2|T2", False),
    ],
)
def test_severity_with_exclusion(truth, rule: str, diagnoses: str, expected: bool) -> None:
    assert truth(rule, case(diagnoses), **SEVERITY) is expected


def test_the_words_mcc_and_cc_are_no_sets(truth) -> None:
    sets = {**SETS, "MCC": ["D7"]}
    assert not truth("QTZD in MCC", case("D9|D7"), sets=sets)
