"""Levels, rules that cannot be applied, records that cannot be read, the scheme's own rules."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from grouper.engine import group_cases
from grouper.schemes import open_scheme
from grouper.validate import BatchValidator, SchemeRules, missing_label, rules_of_pack, validate_blocks, validate_cases
from reference_tables.columns import case_schema
from tests.unit.quality_examples import base, frame

PLAIN = base()["plain"]


def case(**changes: Any) -> dict[str, Any]:
    return {**PLAIN, **changes}


def codes(cases: pl.DataFrame, **options: Any) -> list[str]:
    return validate_cases(cases, **options).problems["code"].to_list()


def test_a_region_can_relevel_a_rule_or_switch_it_off() -> None:
    cases = frame([case(los_days=61, discharge_way="9")])
    levels = {"C11": "reject", "A12": "off"}
    assert validate_cases(cases).problems.select("code", "level").rows() == [("A12", "warn"), ("C11", "warn")]
    changed = validate_cases(cases, levels=levels)
    assert changed.problems.select("code", "level").rows() == [("C11", "reject")]
    assert changed.rejected.to_list() == [2]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ({}, ["reject", "warn"]),
        ({"E01": "warn"}, ["warn", "warn"]),
        ({"E01": "info"}, ["info", "info"]),
        ({"E01": "reject"}, ["reject", "warn"]),
        ({"E01:other": "reject"}, ["reject", "reject"]),
        ({"E01": "warn", "E01:other": "info"}, ["warn", "info"]),
        ({"E01": "off"}, []),
    ],
)
def test_principal_and_other_codes_have_their_own_level(levels: dict[str, str], expected: list[str]) -> None:
    cases = frame([case(diagnoses=["K80.199", "E11.999"])])
    assert validate_cases(cases, levels=levels).problems["level"].to_list() == expected


@pytest.mark.parametrize("levels", [{"Z99": "warn"}, {"E01": "loud"}, {"Z99:other": "warn"}])
def test_levels_of_unknown_rules_are_refused(levels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown rule or level"):
        BatchValidator(levels=levels)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="shoe_size"):
        BatchValidator(parameters={"shoe_size": 43})


def test_a_minimal_file_is_not_blamed_for_columns_it_has_not() -> None:
    cases = frame([{"case_id": "C1", "sex": 1, "age_years": 45, "diagnoses": ["K80.101"], "procedures": []}])
    found = validate_cases(cases)
    assert found.problems.rows() == []
    assert found.not_applied["A10"] == ("los_days",)
    assert found.not_applied["A11"] == ("discharge_way",)
    assert found.not_applied["A08"] == ("admission_time", "discharge_time")
    assert found.not_applied["C13"] == ("person_id", "admission_time", "discharge_time", "readmission_days")
    assert found.not_applied["K01"] == ("grouped",)
    assert found.not_applied["D07"] == ("*_fen",)
    assert found.partly_applied["A06"] == ("hospital_id",)
    assert not {"A01", "A03", "A04", "E01", "F05", "G01", "A21", "I15"} & found.not_applied.keys()
    assert all(missing_label(name) for names in found.not_applied.values() for name in names)


def test_a_column_without_any_value_is_a_column_the_file_has_not() -> None:
    without = [case(case_id=f"C{at}", los_days="null") for at in range(3)]
    late = [*without, case(case_id="C9", los_days=4)]
    assert "A10" in validate_cases(frame(without)).not_applied
    for block_rows in (1, 2, 4):
        found = validate_blocks(frame(late).iter_slices(block_rows))
        assert found.problems.select("row", "code").rows() == [(2, "A10"), (3, "A10"), (4, "A10")]
        assert "A10" not in found.not_applied


def test_charge_sets_must_be_complete() -> None:
    cases = frame([case(total_cost_fen=100000, fee_bed_fen=1, fee_operation_fen=2)])
    found = validate_cases(cases)
    assert "D03" not in found.problems["code"].to_list()
    assert "fee_other_fen" in found.not_applied["D03"]
    assert len(found.not_applied["D03"]) == 12


def test_records_that_cannot_be_read_are_left_to_intake() -> None:
    broken = frame([case(sex="null", diagnoses=[]), case(case_id="C1", sex=9)]).with_columns(
        defect=pl.Series(["IN20", None])
    )
    found = validate_cases(broken)
    assert found.problems.select("row", "code").rows() == [(3, "A03")]


def test_results_of_unreadable_records_are_left_out_too() -> None:
    cases = frame([case(), case(case_id="C2")]).with_columns(defect=pl.Series(["IN20", None]))
    statuses = pl.Series(["AMBIGUOUS", "UNGROUPED"])
    grouped = cases.select("row").with_columns(status=statuses, reason=pl.lit("NO_ADRG"), mdc=pl.lit("MDCH"))
    grouped = grouped.with_columns(adrg=pl.lit("H00"), drg=pl.lit("H000"))
    assert validate_cases(cases, grouped=grouped).problems.select("row", "code").rows() == [(3, "K04")]


def test_no_cases_no_problems() -> None:
    empty = pl.DataFrame(schema=case_schema(base()["full"]))
    assert validate_cases(empty).problems.is_empty()
    assert validate_blocks([]).problems.is_empty()


def test_the_schemes_own_list_decides_about_principal_diagnoses() -> None:
    cases = frame([case(diagnoses=["Z80.000"]), case(case_id="C2", diagnoses=["B95.600"])])
    assert codes(cases) == ["F05", "F01"]
    own = SchemeRules(not_principal=frozenset({"Z80.000"}))
    assert codes(cases, scheme_rules=own) == ["F05"]
    assert codes(cases, scheme_rules=own, levels={"F05": "off"}) == ["F16"]
    dip = SchemeRules(kind="dip", not_principal=frozenset({"Z80.000"}))
    assert codes(cases, scheme_rules=dip, levels={"F05": "off"}) == ["F17"]


def test_rules_read_off_the_national_scheme() -> None:
    rules = rules_of_pack(open_scheme("chs-drg-1.1").pack)
    assert rules.newborn_weight == "birth"
    assert {"N40.x00", "N80.000"} <= rules.sex_bound
    assert "K80.101" not in rules.sex_bound
    assert "51.2300" in rules.operations
    assert rules.levels.columns == ["code", "level", "exclusion"]


def test_grouping_results_become_notes_of_the_gate() -> None:
    scheme = open_scheme("chs-drg-1.1")
    cases = frame(
        [
            case(case_id="QY", diagnoses=["J18.900"]),
            case(case_id="0000", diagnoses=["Z34.000"]),
            case(case_id="sex", sex=2, diagnoses=["N40.x00"], procedures=[]),
            case(case_id="x00", sex=2, diagnoses=["O80.000"], procedures=[]),
            case(case_id="fine"),
        ]
    )
    grouped = group_cases(cases, scheme)
    assert grouped["status"].to_list()[0] == "AMBIGUOUS"
    found = validate_cases(cases, grouped=grouped, scheme_rules=rules_of_pack(scheme.pack)).problems
    gate = found.filter(pl.col("code").str.starts_with("K")).select("case_id", "code")
    assert {row for row in gate.rows() if row[1] != "K06"} == {
        ("QY", "K01"), ("sex", "K03"), ("x00", "K04"), ("0000", "K02"),
    }  # fmt: skip


def test_results_must_belong_to_the_cases() -> None:
    cases = frame([case(), case(case_id="C2")])
    other = pl.DataFrame({"row": [2, 4], "status": ["GROUPED"] * 2}, schema_overrides={"row": pl.UInt32})
    with pytest.raises(AssertionError, match="row for row"):
        validate_cases(cases, grouped=other)
