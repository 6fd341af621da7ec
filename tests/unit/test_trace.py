"""What a trace records, step by step, on a pack small enough to follow by eye."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from grouper.compile import CompiledScheme
from grouper.trace import answering_walk, explain_case, leading_rows, replay
from grouper.trace_model import (
    AtomStep,
    CompareResult,
    CountResult,
    MemberResult,
    RowStep,
    Trace,
    TriedRow,
    Walk,
    WalkStep,
)
from tests.unit.explained_pack import RETRYING, case, scheme_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledScheme:
    return scheme_in(tmp_path_factory.mktemp("pack") / "示例")


def steps(walk: Walk) -> list[tuple[str, str]]:
    return [(row.code, row.step.value) for row in walk.rows]


def row_of(trace: Trace, code: str, *, level: str = "") -> TriedRow:
    (found,) = [row for row in trace.walks[0].rows if row.code == code and level in ("", row.level)]
    return found


def test_an_opened_row_without_a_group_inside_is_passed_over(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|M1", "P1|P2X3", los_days=2), scheme)
    assert steps(trace.walks[0]) == [
        ("MDCA", "PASSED_OVER"), ("AA1", "FAILED"),
        ("MDCB", "OPENED"), ("BB1", "PASSED_OVER"), ("BB11", "FAILED"),
        ("BC1", "OPENED"), ("BC11", "TAKEN"),
    ]  # fmt: skip
    assert trace.walks[0].step is WalkStep.ANSWERED
    assert [row.code for row in leading_rows(trace.walks[0])] == ["MDCB", "BC1", "BC11"]
    assert answering_walk(trace) is trace.walks[0]


def test_a_row_keeps_its_rule_as_published_and_all_its_conditions(scheme: CompiledScheme) -> None:
    row = row_of(explain_case(case("D2", "P1", los_days=2), scheme), "BB1")
    assert row.rule == "(ZYZD in DI_B1 and ZYSS in OP_B) or (QTZD in DI_B2 and NL >= 70)"
    assert (row.level, row.parent, row.name) == ("adrg", "MDCB", "name of BB1")
    assert [atom.step for atom in row.atoms] == [
        AtomStep.NOT_IN_SET, AtomStep.IN_SET, AtomStep.NO_CODE, AtomStep.NUMBER_NOT_MET,
    ]  # fmt: skip
    assert [atom.result for atom in row.atoms] == [False, True, False, False]


def test_the_first_failing_condition_of_the_nearest_alternative_decides(scheme: CompiledScheme) -> None:
    near_first = row_of(explain_case(case("D2", "P1"), scheme), "BB1")
    assert (near_first.grounds, near_first.alternatives) == ((0,), 2)
    near_second = row_of(explain_case(case("D2|D5", "P9"), scheme), "BB1")
    assert (near_second.grounds, near_second.alternatives) == ((3,), 2)


def test_of_two_true_alternatives_the_first_is_given_and_both_count_as_uses(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|D5|M2", "P1", age_years=71), scheme)
    assert row_of(trace, "BB1").grounds == (0, 1)
    uses = {fact.code: [(use.row, use.set) for use in fact.uses] for fact in trace.case.diagnoses}
    assert uses["D5"] == [("BB1", "DI_B2")]
    assert trace.answer.used_codes == ("D1", "D5", "M2", "P1")


def test_an_alternative_that_failed_is_no_use_of_its_codes(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|D5|M2", "P1"), scheme)
    assert trace.answer.drg == "BB11"
    assert [bool(fact.uses) for fact in trace.case.diagnoses] == [True, False, True]
    assert trace.answer.used_codes == ("D1", "D5", "M2", "P1")


def test_a_negated_condition_without_a_code_is_true(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D2|M2", los_days=4), scheme)
    atom, _ = row_of(trace, "BR1").atoms
    assert isinstance(atom, MemberResult)
    assert (atom.step, atom.negated, atom.result, atom.asked) == (AtomStep.NO_CODE, True, True, False)


def test_a_condition_under_not_stands_against_its_row(scheme: CompiledScheme) -> None:
    row = row_of(explain_case(case("D3", "P1|P7"), scheme), "MDCC")
    assert (row.result, row.grounds) == (False, (1,))
    atom = row.atoms[1]
    assert isinstance(atom, MemberResult)
    assert (atom.result, atom.asked, atom.hits[0].field, atom.hits[0].place) == (True, False, "QTSS", 1)


def test_a_count_counts_different_codes_and_shows_every_place(scheme: CompiledScheme) -> None:
    atom = row_of(explain_case(case("D2", "P1|P1|P2X3"), scheme), "BC1").atoms[0]
    assert isinstance(atom, CountResult)
    assert (atom.step, atom.count, atom.threshold) == (AtomStep.COUNT_MET, 2, 2)
    assert [(hit.field, hit.place, hit.code) for hit in atom.hits] == [
        ("ZYSS", 0, "P1"), ("QTSS", 1, "P1"), ("QTSS", 2, "P2X3"),
    ]  # fmt: skip


def test_an_unknown_number_is_named_as_such(scheme: CompiledScheme) -> None:
    row = row_of(explain_case(case("D2"), scheme), "BR1")
    atom = row.atoms[row.grounds[0]]
    assert isinstance(atom, CompareResult)
    assert (atom.step, atom.field, atom.value, atom.result) == (AtomStep.NUMBER_UNKNOWN, "ZYTS", None, False)


def test_complications_row_by_row(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|M1|C1|M1", "P1|P2x3"), scheme)
    assert [
        (item.place, item.code, item.level, item.table, item.excluded, item.decided) for item in trace.complications
    ] == [
        (1, "M1", "MCC", "EX_1", True, False),
        (1, "M1", "CC", "", False, True),
        (2, "C1", "CC", "EX_1", True, False),
        (3, "M1", "MCC", "EX_1", True, False),
        (3, "M1", "CC", "", False, True),
    ]
    assert (trace.answer.drg, trace.answer.severity) == ("BC11", "CC")


def test_an_excluded_level_is_told_from_none(scheme: CompiledScheme) -> None:
    excluded = row_of(explain_case(case("D1|M1", "P1"), scheme), "BB11").atoms[0]
    assert isinstance(excluded, MemberResult)
    assert excluded.step is AtomStep.EXCLUDED
    assert [(item.place, item.level, item.table) for item in excluded.excluded] == [(1, "MCC", "EX_1")]
    none = row_of(explain_case(case("D1|C1", "P1"), scheme), "BB11").atoms[0]
    assert none.step is AtomStep.NOT_IN_SET


def test_ambiguous_and_ungrouped_rows_end_the_walk(scheme: CompiledScheme) -> None:
    ambiguous = explain_case(case("D3", "P9"), scheme)
    assert (ambiguous.answer.status, ambiguous.answer.drg) == ("AMBIGUOUS", "CQY")
    assert [row.code for row in ambiguous.walks[0].rows[-2:]] == ["CQY", "CQY"]
    rest = explain_case(case("D3", "P1", discharge_way="2"), scheme)
    assert (rest.answer.status, rest.answer.reason, rest.answer.drg) == ("UNGROUPED", "NO_ADRG", "C000")
    assert row_of(rest, "CB1").step is RowStep.PASSED_OVER


@pytest.mark.parametrize(
    ("diagnoses", "reason"),
    [
        ("", "PRINCIPAL_MISSING"),
        ("|D1", "PRINCIPAL_MISSING"),
        ("Z9", "PRINCIPAL_UNKNOWN"),
        ("A00.000", "PRINCIPAL_GRAY"),
        ("A00.000x001", "NO_MDC"),
        ("D1", "CONDITION_NOT_MET"),
    ],
)
def test_why_nothing_matched(scheme: CompiledScheme, diagnoses: str, reason: str) -> None:
    trace = explain_case(case(diagnoses, los_days=1), scheme)
    assert (trace.answer.status, trace.answer.reason) == ("UNGROUPED", reason)
    assert trace.walks[0].step is WalkStep.NOTHING_MATCHED
    assert replay(trace) == ("0000", "00", "0000")


@pytest.mark.parametrize(
    ("values", "reason", "passed"),
    [
        ({"sex": 9}, "SEX_INVALID", [False, True, True, True]),
        ({"sex": None, "age_years": None}, "SEX_INVALID", [False, False, True, True]),
        ({"age_years": 0}, "AGE_DAYS_UNKNOWN", [True, True, False, True]),
        ({"age_years": 0, "age_days": 28}, "WEIGHT_UNKNOWN", [True, True, True, False]),
    ],
)
def test_the_input_check(scheme: CompiledScheme, values: dict[str, object], reason: str, passed: list[bool]) -> None:
    trace = explain_case(case("D1", "P1", **values), scheme)
    assert [check.passed for check in trace.checks] == passed
    assert (trace.answer.status, trace.answer.reason, trace.walks) == ("INVALID", reason, ())
    assert replay(trace) == ("0000", "00", "0000")


def test_an_unreadable_record_is_not_walked(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1", "P1", defect="IN07"), scheme)
    assert (trace.answer.status, trace.answer.reason, trace.walks) == ("INVALID", "IN07", ())
    assert replay(trace) == ("0000", "00", "0000")


def test_a_barred_principal_is_not_walked(tmp_path: Path) -> None:
    scheme = scheme_in(tmp_path, barred=("D1",), meta=RETRYING)
    trace = explain_case(case("D1|M2", "P9|P1"), scheme)
    assert [walk.step for walk in trace.walks] == [WalkStep.BARRED]
    assert (trace.barred, trace.answer.reason) == (True, "PRINCIPAL_BLOCKED")
    assert replay(trace) == ("0000", "00", "0000")


def test_a_retry_with_each_other_procedure_alone(tmp_path: Path) -> None:
    scheme = scheme_in(tmp_path, meta=RETRYING)
    trace = explain_case(case("D1|M2", "P8|P9|P1|P1", los_days=1), scheme)
    assert [(walk.trial, walk.place, walk.procedure, walk.step.value) for walk in trace.walks] == [
        (0, 0, "", "NOTHING_MATCHED"), (1, 1, "P9", "NOTHING_MATCHED"), (2, 2, "P1", "ANSWERED"),
    ]  # fmt: skip
    assert trace.answer.drg == "BB11"
    assert replay(trace) == ("MDCB", "BB1", "BB11")
    (use,) = trace.case.procedures[2].uses
    assert (use.row, use.role) == ("BB1", "ZYSS")
    assert trace.case.procedures[2].role == "QTSS"
    assert trace.answer.used_codes == ("D1", "M2", "P1")


def test_a_retry_needs_a_second_procedure(tmp_path: Path) -> None:
    trace = explain_case(case("D1|M2", "P8", los_days=1), scheme_in(tmp_path, meta=RETRYING))
    assert len(trace.walks) == 1


def test_answers_of_the_schemes_own(tmp_path: Path) -> None:
    meta = {"ungrouped_drg": "KBBZ", "invalid_mdc": "", "invalid_adrg": "", "invalid_drg": ""}
    scheme = scheme_in(tmp_path, meta=meta)
    assert replay(explain_case(case("Z9"), scheme)) == ("0000", "00", "KBBZ")
    assert replay(explain_case(case("D1", sex=3), scheme)) == ("", "", "")


def test_codes_carry_names_and_flags(scheme: CompiledScheme) -> None:
    trace = explain_case(case("P07.200X021|Z9|A00.000|Z9|p07.200x021"), scheme)
    facts = [
        (fact.place, fact.role, fact.code, fact.official, fact.known, fact.gray, fact.repeated)
        for fact in trace.case.diagnoses
    ]
    assert facts == [
        (0, "ZYZD", "P07.200X021", "P07.200x021", True, False, False),
        (1, "QTZD", "Z9", "", False, False, False),
        (2, "QTZD", "A00.000", "A00.000", True, True, False),
        (3, "QTZD", "Z9", "", False, False, True),
        (4, "QTZD", "p07.200x021", "", False, False, False),
    ]
    assert trace.case.diagnoses[0].name == "未成熟儿(孕期等于或大于24整周以上 但小于28整周)"


def test_the_newborn_weight_is_that_of_the_edition(tmp_path: Path) -> None:
    weights = {"newborn_birth_weight_g": 900, "newborn_admission_weight_g": 1100}
    birth = explain_case(case("D1", **weights), scheme_in(tmp_path / "a"))
    admission = explain_case(case("D1", **weights), scheme_in(tmp_path / "b", meta={"newborn_weight": "admission"}))
    for trace, column, value in (
        (birth, "newborn_birth_weight_g", 900),
        (admission, "newborn_admission_weight_g", 1100),
    ):
        (fact,) = [fact for fact in trace.case.numbers if fact.field == "XSRTZ"]
        assert (fact.column, fact.value) == (column, value)


def test_replay_reads_the_recorded_results(scheme: CompiledScheme) -> None:
    trace = explain_case(case("D1|M2", "P1"), scheme)
    assert replay(trace) == ("MDCB", "BB1", "BB11")
    walk = trace.walks[0]
    rows = [
        replace(row, atoms=tuple(replace(atom, result=False) for atom in row.atoms)) if row.code == "BB11" else row
        for row in walk.rows
    ]
    forged = replace(trace, walks=(replace(walk, rows=tuple(rows)),))
    assert replay(forged) == ("0000", "00", "0000")


@pytest.mark.parametrize("height", [0, 2])
def test_only_one_case_is_explained(scheme: CompiledScheme, height: int) -> None:
    frame = pl.concat([case("D1")] * 2).head(height)
    with pytest.raises(ValueError, match=f"got {height}"):
        explain_case(frame, scheme)


def test_missing_columns_are_unknown(scheme: CompiledScheme) -> None:
    frame = pl.DataFrame({"sex": [1], "age_years": [40]})
    trace = explain_case(frame, scheme)
    assert (trace.case.row, trace.case.case_id, trace.case.diagnoses) == (None, None, ())
    assert trace.answer.reason == "PRINCIPAL_MISSING"
