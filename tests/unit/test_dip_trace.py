"""What a DIP trace records, step by step, on a pack small enough to follow by eye."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import orjson
import polars as pl
import pytest

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.trace import explain_dip_case, replay
from grouper.dip.trace_model import ConditionResult, DipTrace, LayerWalk, PrincipalStep, RowStep, TriedRow
from tests.unit.explained_dip_pack import case, pack_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    return compile_dip(pack_in(tmp_path_factory.mktemp("pack") / "示例"))


def rows_of(layer: LayerWalk) -> list[tuple[str, str, str]]:
    return [(row.code, row.step.value, row.beaten_by) for row in layer.rows]


def row_of(trace: DipTrace, code: str) -> TriedRow:
    (found,) = [row for layer in trace.layers for row in layer.rows if row.code == code]
    return found


def condition(trace: DipTrace, code: str, column: str) -> ConditionResult:
    (found,) = [item for item in row_of(trace, code).conditions if item.column == column]
    return found


def test_layers_are_asked_up_to_the_one_that_takes_the_case(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.200", "74.1x01|38.8609"), scheme)
    assert [(layer.code, layer.step.value, layer.rows_fit, layer.precedence) for layer in trace.layers] == [
        ("XQ", "NOTHING_FITS", 0, "number"), ("BX", "WON", 3, "specific"),
    ]  # fmt: skip
    assert rows_of(trace.layers[1]) == [
        ("BX-11", "BEATEN", "NARROWER_DIAGNOSIS"), ("BX-12", "BEATEN", "NARROWER_DIAGNOSIS"), ("BX-13", "WON", ""),
    ]  # fmt: skip
    assert [layer.first for layer in trace.layers] == [None, row_of(trace, "BX-13").place]
    assert (trace.no_core, trace.mixed) == ("", None)


def test_what_decided_between_rows_that_fit(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.300", "74.1x01|38.8609"), scheme)
    assert rows_of(trace.layers[1])[:2] == [("BX-11", "BEATEN", "MORE_PROCEDURES"), ("BX-12", "WON", "")]
    ranks = {row.code: (row.item_length, row.procedure_codes) for row in trace.layers[1].rows}
    assert ranks == {"BX-11": (3, 1), "BX-12": (3, 2), "BX-13": (0, 0)}
    by_number = explain_dip_case(case("K35.900", "96.7201|39.9500x007"), scheme)
    assert rows_of(by_number.layers[0])[:2] == [("XQ-1", "WON", ""), ("XQ-2", "BEATEN", "LOWER_NUMBER")]


def test_every_condition_with_its_cell_and_the_codes_that_met_it(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.300", "74.1X01|38.8609|54.5904"), scheme)
    conditions = [
        (item.column, item.asked, item.step.value, [(hit.field, hit.place, hit.code, hit.set) for hit in item.hits])
        for item in row_of(trace, "BX-12").conditions
    ]
    assert conditions == [
        ("principal_dx", "O34", "MET", [("ZYZD", 0, "O34.300", "O34")]),
        ("px", "74.1x01|74.1x02", "MET", [("ZYSS", 0, "74.1X01", "74.1x01")]),
        ("related_px", "38.8609", "MET", [("QTSS", 1, "38.8609", "38.8609")]),
    ]
    failed = [(item.column, item.step.value) for item in row_of(trace, "BX-13").conditions]
    assert failed == [("principal_dx", "NOT_MET"), ("px", "MET")]
    assert (row_of(trace, "BX-13").listed, row_of(trace, "XQ-1").listed) == (False, False)


def test_flags_numbers_and_combinations(scheme: CompiledDip) -> None:
    resistant = explain_dip_case(case("A16.000|U84.300"), scheme)
    assert [(hit.place, hit.set) for hit in condition(resistant, "BX-14", "flag").hits] == [(1, "U84.300")]
    assert condition(resistant, "BX-15", "flag").step.value == "NOT_MET"
    newborn = explain_dip_case(case("P07.000", age_years=0, age_days=5, newborn_birth_weight_g=1500), scheme)
    assert [(condition(newborn, "XQ-3", name).value, condition(newborn, "XQ-3", name).step.value) for name in (
        "age_days", "birth_weight_g",
    )] == [(5, "MET"), (1500, "NOT_MET")]  # fmt: skip
    both = explain_dip_case(case("K35.900", "47.0100|54.5904"), scheme)
    assert {(hit.place, hit.set) for hit in condition(both, "JC-21", "px").hits} == {
        (0, "47.0100+54.5904"), (1, "47.0100+54.5904"),
    }  # fmt: skip


def test_an_unknown_number_leaves_a_row_open(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("P07.000|K35.900", age_years=0, age_days=3), scheme)
    assert [(layer.code, layer.step.value) for layer in trace.layers] == [("XQ", "UNDECIDED")]
    assert (row_of(trace, "XQ-3").step, trace.layers[0].first) == (RowStep.OPEN, row_of(trace, "XQ-3").place)
    assert (trace.answer.status, trace.answer.reason, trace.answer.dip) == ("INVALID", "WEIGHT_UNKNOWN", "")
    assert replay(trace) == ("INVALID", "", "")
    earlier = explain_dip_case(case("P07.000", "96.7201", age_years=0, age_days=3), scheme)
    assert rows_of(earlier.layers[0]) == [("XQ-1", "FAILED", ""), ("XQ-2", "WON", ""), ("XQ-3", "OPEN", "")]
    assert replay(earlier) == ("GROUPED", "core", "XQ-2")


def test_a_row_behind_an_open_one_is_beaten_by_it(tmp_path: Path) -> None:
    pack = pack_in(tmp_path)
    numbers = pl.when(pl.col("code") == "XQ-2").then(pl.lit("9")).otherwise("number").alias("number")
    changed = replace(pack, tables={**pack.tables, "core": pack.tables["core"].with_columns(numbers)})
    trace = explain_dip_case(case("P07.000", "96.7201", age_years=0, age_days=3), compile_dip(changed))
    assert rows_of(trace.layers[0]) == [
        ("XQ-1", "FAILED", ""),
        ("XQ-2", "BEATEN", "LOWER_NUMBER"),
        ("XQ-3", "OPEN", ""),
    ]
    assert (trace.layers[0].rows_fit, trace.answer.rows_fit, replay(trace)[0]) == (0, 0, "INVALID")


@pytest.mark.parametrize(
    ("diagnoses", "procedures", "why"),
    [
        ("K36.x00", "47.0100", "DIAGNOSIS_NOT_LISTED"),
        ("K35.900", "47.0900", "PROCEDURE_NOT_LISTED"),
        ("C34.900", "00.0100|32.4100", "NO_CONSERVATIVE_ROW"),
        ("C34.900", "40.3x00|47.0100", "CONDITIONS_NOT_MET"),
        ("C34.900", "47.0100|40.3x00", "PROCEDURE_NOT_LISTED"),
        ("T20.200", "", "CONDITIONS_NOT_MET"),
        ("T20.200", "47.0100", "PROCEDURE_NOT_LISTED"),
    ],
)
def test_why_no_core_group(scheme: CompiledDip, diagnoses: str, procedures: str, why: str) -> None:
    trace = explain_dip_case(case(diagnoses, procedures), scheme)
    assert trace.no_core == why
    assert [layer.step.value for layer in trace.layers] == ["NOTHING_FITS"] * 3


def test_the_mixed_group_and_the_nature_of_the_treatment(scheme: CompiledDip) -> None:
    given = [("A09.000", ""), ("A09.900", "00.0901"), ("K35.900", "47.0900"), ("K36.x00", "ZZ"), ("A17.000+G01*", "")]
    found = [explain_dip_case(case(*one), scheme).mixed for one in given]
    assert [
        (one.code, one.level, one.scope, one.nature, one.label, one.nature_from.value, one.category, one.tried)
        for one in found
        if one
    ] == [
        ("A09.0-1", "subcategory", "A09.0", 1, "保守治疗", "NO_PROCEDURE", "", ("subcategory",)),
        ("A09-3", "category", "A09", 3, "治疗性操作", "SCHEME", "治疗性操作", ("subcategory", "category")),
        ("K-4", "chapter", "K00-K93", 4, "相关手术", "BOOK", "手术", ("subcategory", "category", "chapter")),
        ("", "", "", 1, "保守治疗", "DEFAULT", "", ("subcategory", "category", "chapter")),
        ("A17+-1", "category", "A17+", 1, "保守治疗", "NO_PROCEDURE", "", ("subcategory", "category")),
    ]


def test_procedures_cleaned(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.300", "00.4000|45.2302|74.1X01|00.0100"), scheme)
    assert [(item.place, item.code, item.step.value, item.asked) for item in trace.procedures] == [
        (0, "00.4000", "NOT_PRINCIPAL", ""), (1, "45.2302", "OTHER_PRINCIPAL", "A00-A09|K20-K93"),
        (2, "74.1X01", "EFFECTIVE", ""), (3, "00.0100", "NOT_REACHED", ""),
    ]  # fmt: skip
    assert trace.effective == 2
    assert explain_dip_case(case("O34.300", "00.0100|74.1X01"), scheme).effective is None


@pytest.mark.parametrize(
    ("diagnoses", "step", "reason"),
    [
        ("|K35.900", PrincipalStep.MISSING, "PRINCIPAL_MISSING"),
        ("I10.x00|K35.900", PrincipalStep.EXCLUDED, "PRINCIPAL_BLOCKED"),
    ],
)
def test_a_principal_diagnosis_that_opens_nothing(
    scheme: CompiledDip, diagnoses: str, step: PrincipalStep, reason: str
) -> None:
    trace = explain_dip_case(case(diagnoses, "47.0100"), scheme)
    assert (trace.principal, trace.layers, trace.mixed, trace.answer.reason) == (step, (), None, reason)
    assert replay(trace) == ("UNGROUPED", "", "")


def test_an_unreadable_record_is_not_tried(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("K35.900", "47.0100", defect="IN07"), scheme)
    assert (trace.answer.status, trace.answer.reason, trace.layers, trace.mixed) == ("INVALID", "IN07", (), None)
    assert replay(trace) == ("INVALID", "", "")


def test_what_each_code_did(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.300|J18.900", "74.1X01|38.8609|ZZ|38.8609"), scheme)
    facts = [*trace.case.diagnoses, *trace.case.procedures]
    assert [(fact.code, fact.known, [(use.row, use.role, use.set) for use in fact.uses]) for fact in facts] == [
        ("O34.300", True, [("BX-12", "ZYZD", "O34")]), ("J18.900", True, []),
        ("74.1X01", True, [("BX-12", "ZYSS", "74.1x01")]), ("38.8609", True, [("BX-12", "QTSS", "38.8609")]),
        ("ZZ", False, []), ("38.8609", True, [("BX-12", "QTSS", "38.8609")]),
    ]  # fmt: skip
    assert [fact.official for fact in trace.case.procedures] == ["74.1x01", "38.8609", "", "38.8609"]
    assert trace.answer.used_codes == ("O34.300", "74.1x01", "38.8609")


def test_codes_used_without_a_principal_item(scheme: CompiledDip) -> None:
    anywhere = explain_dip_case(case("K35.900", "47.0100|96.7201"), scheme)
    assert (anywhere.answer.dip, anywhere.answer.used_codes) == ("XQ-2", ("K35.900", "96.7201"))
    mixed = explain_dip_case(case("A09.900|J18.900", "00.0901"), scheme)
    assert (mixed.answer.dip, mixed.answer.used_codes) == ("A09-3", ("A09.900", "00.0901"))
    assert explain_dip_case(case("Z99.000", "47.0100"), scheme).answer.used_codes == ()


def test_auxiliary_levels_with_their_factors(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("K35.900|E11.900|A41.900", "47.0100", age_years=75), scheme)
    assert [(one.dimension, one.level, one.factor, one.own, one.applied) for one in trace.levels] == [
        ("CCI", "轻", Decimal("1.05"), True, False), ("年龄", "老", Decimal("1.2345"), False, True),
        ("次诊", "有", None, False, False),
    ]  # fmt: skip
    assert (trace.answer.auxiliary, trace.answer.factor) == ("CCI:轻|年龄:老|次诊:有", Decimal("1.2345"))
    assert trace.answer.score == Decimal("123.4501")
    assert explain_dip_case(case("A09.900|E11.900", age_years=75), scheme).levels == ()


def test_the_primary_care_rows_that_mark_a_case(scheme: CompiledDip) -> None:
    given = [("K35.900", "47.0100"), ("K35.900", "47.0900"), ("A09.900", ""), ("A09.900", "00.0901")]
    assert [explain_dip_case(case(*one), scheme).primary_care for one in given] == [("7",), (), ("8",), ()]


def test_replay_reads_the_recorded_conditions(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("O34.200", "74.1x01|38.8609"), scheme)
    assert replay(trace) == ("GROUPED", "core", "BX-13")
    layer = trace.layers[1]
    unmet = replace(layer.rows[2].conditions[1], step=layer.rows[2].conditions[1].step.__class__("NOT_MET"))
    beaten = replace(layer.rows[2], conditions=(layer.rows[2].conditions[0], unmet))
    forged = replace(trace, layers=(trace.layers[0], replace(layer, rows=(*layer.rows[:2], beaten))))
    assert replay(forged) == ("GROUPED", "core", "BX-12")


def test_a_trace_is_json(scheme: CompiledDip) -> None:
    trace = explain_dip_case(case("K35.900|E11.900", "47.0100"), scheme)
    plain = trace.to_dict()
    assert orjson.loads(orjson.dumps(plain)) == plain
    answer = {name: plain["answer"][name] for name in ("dip", "base_score", "factor", "score", "primary_care")}
    assert answer == {
        "dip": "JC-22", "base_score": "100.0001", "factor": "1.0500", "score": "105.0001", "primary_care": True,
    }  # fmt: skip


@pytest.mark.parametrize("height", [0, 2])
def test_only_one_case_is_explained(scheme: CompiledDip, height: int) -> None:
    with pytest.raises(ValueError, match=f"got {height}"):
        explain_dip_case(pl.concat([case("K35.900")] * 2).head(height), scheme)


def test_missing_columns_are_unknown(scheme: CompiledDip) -> None:
    trace = explain_dip_case(pl.DataFrame({"diagnoses": [["K35.900"]]}), scheme)
    assert (trace.case.row, trace.case.case_id, trace.answer.dip) == (None, None, "JC-23")
