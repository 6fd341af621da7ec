"""The oracle's auxiliary catalog: levels and factors that a person wrote down."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle
from tests.oracle.dip_pack_folder import DipText, Row, layer

LEVELS: list[Row] = [
    {"dimension": "CCI", "level": "有", "order": 2, "rule": "CCI >= 3"},
    {"dimension": "CCI", "level": "无", "order": 9, "rule": "CCI = 0"},
    {"dimension": "费用", "level": "高", "order": 1, "rule": "FYBL >= 300 and (ZLZB >= 50 or YPZB >= 50)"},
    {"dimension": "严重", "level": "重", "order": 4, "rule": "QTZDX in 重症 and ZYTS >= 3"},
    {"dimension": "严重", "level": "死亡", "order": 3, "rule": "LYFS in 死亡 or ICUXS >= 48"},
    {"dimension": "操作", "level": "两种", "order": 5, "rule": "length(操作 ∩ {ZYSS, QTSS}) >= 2"},
]
SETS: list[Row] = [
    {"set": "重症", "item": "A40-A41"}, {"set": "重症", "item": "J96.0"}, {"set": "死亡", "item": "5"},
    {"set": "操作", "item": "39.9500x007"}, {"set": "操作", "item": "96.7201"},
]  # fmt: skip
DISEASES: list[Row] = [
    {"disease": "肝轻", "weight": 1, "item": "K73", "covered_by": "肝中"},
    {"disease": "肝中", "weight": 2, "item": "K74|K75", "covered_by": "肝重"},
    {"disease": "肝重", "weight": 4, "item": "I85.0", "covered_by": ""},
    {"disease": "心", "weight": 1, "item": "I50", "covered_by": ""},
]
FACTORS: list[Row] = [
    {"code": "*", "dimension": "CCI", "level": "有", "factor": "1.2"},
    {"code": "ROW", "dimension": "CCI", "level": "有", "factor": "1.05"},
    {"code": "ROW", "dimension": "严重", "level": "重", "factor": "1.1234"},
    {"code": "*", "dimension": "操作", "level": "两种", "factor": "0.8"},
]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> DipOracle:
    tables: dict[str, list[Row]] = {
        "layer": [layer("L", 1)],
        "core": [{"code": "ROW", "layer": "L", "principal_dx": "J18", "px_mode": "any"},
                 {"code": "OTHER", "layer": "L", "principal_dx": "A41", "px_mode": "any"}],
        "mixed": [{"code": "MIXED", "name": "", "level": "category", "scope": "Z51", "nature": 1}],
        "score": [{"code": "ROW", "score": "100.0001", "mean_cost_fen": "100000"}, {"code": "OTHER", "score": "7.5"}],
        "aux_level": LEVELS, "aux_set": SETS, "cci": DISEASES, "aux_factor": FACTORS,
    }  # fmt: skip
    folder: Path = tmp_path_factory.mktemp("auxiliary")
    return DipOracle(DipText(tables).write(folder))


def levels(oracle: DipOracle, *diagnoses: str, **values: object) -> tuple[str, str]:
    """The levels and the factor of a case."""
    answer = oracle.group(DipCase(diagnoses=diagnoses, **values))  # type: ignore[arg-type]
    return answer.auxiliary, str(answer.factor)


@pytest.mark.parametrize(
    ("others", "score"),
    [
        (("K73.0",), 1), (("K73.0", "K73.9", "K73.0"), 1), (("K73.0", "K74.0"), 2), (("K73.0", "I85.0"), 4),
        (("K73.0", "K75.0", "I85.0", "I50.0"), 5), (("K74.0", "I50"), 3), (("E11",), 0), ((), 0),
    ],
)  # fmt: skip
def test_charlson_score(oracle: DipOracle, others: tuple[str, ...], score: int) -> None:
    assert oracle.auxiliary.charlson(others) == score


def test_the_charlson_score_is_that_of_the_other_diagnoses(oracle: DipOracle) -> None:
    assert levels(oracle, "J18.9", "I85.000") == ("CCI:有", "1.05")
    assert levels(oracle, "J18.9", "I50.900") == ("", "1")
    assert levels(oracle, "J18.9") == ("CCI:无", "1")


def test_the_groups_own_factor_wins_in_a_dimension_and_the_highest_over_all(oracle: DipOracle) -> None:
    assert levels(oracle, "A41.9", "I85.0") == ("CCI:有", "1.2")
    assert levels(oracle, "J18.9", "I85.0", "j96.000", los_days=3) == ("CCI:有|严重:重", "1.1234")
    assert levels(oracle, "J18.9", "J96.0", los_days=2) == ("CCI:无", "1")


def test_other_diagnoses_of_another_category_only(oracle: DipOracle) -> None:
    assert levels(oracle, "A41.9", "A41.0", los_days=9) == ("CCI:无", "1")
    assert levels(oracle, "A41.9", "A40.0", los_days=9) == ("CCI:无|严重:重", "1")


def test_a_factor_below_one_counts(oracle: DipOracle) -> None:
    both = ("96.7201", "39.9500X007")
    assert levels(oracle, "J18.9", procedures=both) == ("CCI:无|操作:两种", "0.8")
    assert levels(oracle, "J18.9", procedures=("96.7201", "96.7201")) == ("CCI:无", "1")


def test_the_first_level_that_holds(oracle: DipOracle) -> None:
    assert levels(oracle, "J18.9", "J96.0", los_days=3, discharge_way="5") == ("CCI:无|严重:死亡", "1")
    assert levels(oracle, "J18.9", "J96.0", los_days=3, icu_hours=48.0) == ("CCI:无|严重:死亡", "1")
    assert levels(oracle, "J18.9", "J96.0", los_days=3, icu_hours=47.9) == ("CCI:无|严重:重", "1.1234")


@pytest.mark.parametrize(
    ("total", "treatment", "drug", "herbal", "high"),
    [
        (300_000, 150_000, None, None, True), (299_999, 299_999, None, None, False),
        (300_000, 149_999, None, None, False), (300_001, 150_000, None, None, False),
        (300_000, None, 100_000, 50_000, True), (300_000, None, 150_000, None, True),
        (300_000, None, None, None, False), (None, 150_000, 150_000, None, False),
    ],
)  # fmt: skip
def test_shares_of_cost_are_exact(
    oracle: DipOracle, total: int | None, treatment: int | None, drug: int | None, herbal: int | None, high: bool
) -> None:
    money = {
        "total_cost_fen": total, "fee_treatment_fen": treatment, "fee_western_drug_fen": drug,
        "fee_herbal_fen": herbal,
    }  # fmt: skip
    assert levels(oracle, "J18.9", **money)[0] == ("费用:高|CCI:无" if high else "CCI:无")
    assert levels(oracle, "A41.9", **money)[0] == "CCI:无"


def test_scores_are_rounded_half_up_and_mixed_groups_have_no_factor(oracle: DipOracle) -> None:
    case = DipCase(diagnoses=("J18.9", "I85.0", "J96.0"), los_days=3)
    assert oracle.group(case).score == Decimal("112.3401")
    assert oracle.group(DipCase(diagnoses=("J18.9", "I85.0"))).score == Decimal("105.0001")
    assert levels(oracle, "Z51.8", "I85.0") == ("", "1")
