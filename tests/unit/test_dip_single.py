"""The single-case path of a DIP pack at its edges; that it agrees with the batch everywhere is a property test."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from grouper.dip import reader, single
from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.single import SingleDip, SingleDipAnswer, group_one_dip, single_of_dip
from grouper.single import group_one
from tests.unit.explained_dip_pack import pack_in, record


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    return compile_dip(pack_in(tmp_path_factory.mktemp("pack") / "示例"))


def test_the_whole_answer_of_a_core_group(scheme: CompiledDip) -> None:
    given = record("K35.900|E11.900|A41.900", "47.0100", age_years=70, total_cost_fen=1_500_000)
    assert group_one(given, scheme) == SingleDipAnswer(
        status="GROUPED", reason="", reason_zh="", kind="core", layer="JC", dip="JC-22", name="病种 JC-22",
        base_score=Decimal("100.0001"), auxiliary="CCI:轻|年龄:老|费用:高|次诊:有", factor=Decimal(2),
        score=Decimal("200.0002"), primary_care=True, rows_fit=1,
    )  # fmt: skip


def test_the_whole_answer_of_a_mixed_group(scheme: CompiledDip) -> None:
    # A mixed group has no correction factor, whatever the auxiliary catalog says of the case.
    assert group_one(record("A09.900|E11.900", age_years=80), scheme) == SingleDipAnswer(
        status="GROUPED", reason="", reason_zh="", kind="mixed", layer="category", dip="A09-1", name="类目组",
        base_score=Decimal(55), auxiliary="", factor=Decimal(1), score=Decimal(55), primary_care=True, rows_fit=0,
    )  # fmt: skip


def test_the_whole_answer_without_a_group(scheme: CompiledDip) -> None:
    assert group_one(record("Z99.000"), scheme) == SingleDipAnswer(
        status="UNGROUPED", reason="NO_DIP_GROUP", reason_zh="目录中没有对应的核心病种或综合病种", kind="", layer="",
        dip="", name="", base_score=None, auxiliary="", factor=None, score=None, primary_care=False, rows_fit=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "dip", "rows_fit"),
    [
        (record("O34.200", "74.1x01|38.8609"), "BX-13", 3),
        (record("O34.300", "74.1X01|38.8609"), "BX-12", 2),
        (record(" o34.300 ", "74.1x01"), "BX-11", 1),
        (record("O34.300", "00.4000|74.1x02"), "BX-11", 1),
        (record("K35.900", "47.0100|54.5904"), "JC-21", 2),
        (record("K35.900", "00.0100|47.0100"), "JC-23", 1),
        (record("K35.900", "47.0900"), "K-4", 0),
        (record("K35.900", "96.7201"), "XQ-2", 1),
        (record("K35.900", "47.0100|96.7201|39.9500X007"), "XQ-1", 2),
        (record("C34.900", "32.4100|40.3x00"), "JC-24", 1),
        (record("A16.000|U84.300"), "BX-14", 1),
        (record("A16.000"), "BX-15", 1),
        (record("A17.000+G01*"), "A17+-1", 0),
        (record("A09.900", "00.0901"), "A09-3", 0),
        (record("P07.000", age_years=0, age_days=5, newborn_birth_weight_g=1200), "XQ-3", 1),
    ],
)
def test_groups(scheme: CompiledDip, given: dict[str, Any], dip: str, rows_fit: int) -> None:
    answer = group_one_dip(given, scheme)
    assert (answer.dip, answer.rows_fit, answer.status) == (dip, rows_fit, "GROUPED")


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (record("|K35.900"), "UNGROUPED", "PRINCIPAL_MISSING"),
        (record("I10.X00"), "UNGROUPED", "PRINCIPAL_BLOCKED"),
        (record("ZZZ"), "UNGROUPED", "PRINCIPAL_UNKNOWN"),
        (record("A00.000"), "UNGROUPED", "PRINCIPAL_GRAY"),
        (record("P07.000", age_years=0), "INVALID", "AGE_DAYS_UNKNOWN"),
        (record("P07.000", age_years=None), "INVALID", "AGE_UNKNOWN"),
        (record("P07.000", age_years=0, age_days=28), "INVALID", "WEIGHT_UNKNOWN"),
        (record("K35.900", defect="IN07"), "INVALID", "IN07"),
        ({}, "UNGROUPED", "PRINCIPAL_MISSING"),
        ({"diagnoses": None, "procedures": None}, "UNGROUPED", "PRINCIPAL_MISSING"),
    ],
)
def test_cases_without_a_group(scheme: CompiledDip, given: dict[str, Any], status: str, reason: str) -> None:
    answer = group_one_dip(given, scheme)
    assert (answer.status, answer.reason, answer.dip, answer.primary_care) == (status, reason, "", False)


def test_an_unknown_number_matters_only_before_the_answer(scheme: CompiledDip) -> None:
    newborn = {"age_years": 0, "age_days": 3}
    assert group_one_dip(record("K35.900|P07.000", "96.7201", **newborn), scheme).dip == "XQ-2"
    assert group_one_dip(record("K35.900|P07.000", "47.0100", **newborn), scheme).reason == "WEIGHT_UNKNOWN"


def test_blank_and_missing_items_are_no_codes(scheme: CompiledDip) -> None:
    given = {"diagnoses": ["K35.900", None, ""], "procedures": [None, "", "47.0100"], "age_years": 40}
    assert group_one_dip(given, scheme).dip == "JC-22"
    assert group_one_dip({**given, "diagnoses": ("K35.900",), "procedures": ("47.0100",)}, scheme).dip == "JC-22"


@pytest.mark.parametrize(
    ("diagnoses", "auxiliary", "factor"),
    [
        ("K35.900|E11.900|E11.900", "CCI:轻", "1.05"),
        ("K35.900|E11.900|E11.200", "CCI:轻", "1.05"),
        ("K35.900|E11.200|C78.000", "CCI:重", "1"),
        ("K35.900|K35.000", "", "1"),
        ("K35.900|K36.x00|a41.900", "次诊:有", "1"),
    ],
)
def test_levels_of_the_auxiliary_catalog(scheme: CompiledDip, diagnoses: str, auxiliary: str, factor: str) -> None:
    answer = group_one_dip(record(diagnoses, "47.0100"), scheme)
    assert (answer.auxiliary, answer.factor) == (auxiliary, Decimal(factor))


@pytest.mark.parametrize(("cost", "level"), [(1_499_999, ""), (1_500_000, "费用:高"), (None, ""), (10**15, "费用:高")])
def test_cost_beside_the_mean_of_the_group(scheme: CompiledDip, cost: int | None, level: str) -> None:
    assert group_one_dip(record("K35.900", "47.0100", total_cost_fen=cost), scheme).auxiliary == level
    assert group_one_dip(record("O34.300", "74.1x01", total_cost_fen=cost), scheme).auxiliary == ""


def test_the_caches_are_bounded_and_change_nothing(scheme: CompiledDip, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [record(dx, px) for dx in ("K35.900", "O34.200", "A09.000", "ZZZ") for px in ("47.0100", "74.1x01", "")]
    before = [group_one_dip(one, scheme) for one in given]
    monkeypatch.setattr(single, "_PROGRAMS_KEPT", 2)
    monkeypatch.setattr(reader, "_PRINCIPALS_KEPT", 1)
    bounded = SingleDip(scheme)
    assert [bounded.group(one) for one in given * 2] == before * 2
    assert len(bounded.programs) <= 2 < len(single_of_dip(scheme).programs)


def test_threads_share_one_scheme(scheme: CompiledDip) -> None:
    given = [record(dx, px) for dx in ("K35.900", "O34.200", "A09.000") for px in ("47.0100", "74.1x01", "")] * 20
    expected = [group_one_dip(one, scheme).dip for one in given]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: group_one_dip(one, scheme).dip, given)) == expected


def test_the_newborn_weight_is_the_one_the_pack_means(tmp_path: Path) -> None:
    scheme = compile_dip(pack_in(tmp_path))
    given = {"age_years": 0, "age_days": 5, "newborn_birth_weight_g": 1200, "newborn_admission_weight_g": 2000}
    assert group_one_dip(record("P07.000", **given), scheme).dip == "XQ-3"
    swapped = {**given, "newborn_birth_weight_g": 2000, "newborn_admission_weight_g": 1200}
    assert group_one_dip(record("P07.000", **swapped), scheme).dip == ""
