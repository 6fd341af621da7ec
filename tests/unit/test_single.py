"""The single-case path at its edges; that it agrees with the batch everywhere is a property test."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from grouper import single
from grouper.compile import CompiledScheme
from grouper.engine import grouper_of
from grouper.schemes import open_scheme
from grouper.single import SingleAnswer, SingleGrouper, group_one, single_of
from tests.oracle.pack_folder import PackText
from tests.unit.explained_pack import RETRYING, record, scheme_in


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledScheme:
    return scheme_in(tmp_path_factory.mktemp("pack") / "示例")


def test_the_whole_answer(scheme: CompiledScheme) -> None:
    assert group_one(record("D1|M2", "P1"), scheme) == SingleAnswer(
        mdc="MDCB", adrg="BB1", drg="BB11", name="name of BB11", status="GROUPED", reason="", reason_zh="",
        severity="MCC",
    )  # fmt: skip
    assert group_one(record("Z9"), scheme) == SingleAnswer(
        mdc="0000", adrg="00", drg="0000", name="未入组", status="UNGROUPED", reason="PRINCIPAL_UNKNOWN",
        reason_zh="主要诊断编码不在目录，不能进入任何MDC", severity="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "drg", "reason"),
    [
        (record("D3", "P1", discharge_way="1"), "CB19", ""),
        (record("D3", "P1", discharge_way="2"), "C000", "NO_ADRG"),
        (record("D3", "P1"), "C000", "NO_ADRG"),
        (record("D3", "P9"), "CQY", "OPERATION_UNRELATED"),
        (record("D3", "P1|P7"), "0000", "CONDITION_NOT_MET"),
        (record("D2", "P1|P2X3"), "BC15", ""),
        (record("D2", "P1|P1"), "0000", "CONDITION_NOT_MET"),
        (record("D1|M1", "P1|P2x3"), "BC11", ""),
        (record("D2|D5|M2", age_years=70), "BB11", ""),
        (record("D2|D5|M2", age_years=69), "0000", "CONDITION_NOT_MET"),
        (record("D2|M2", los_days=4), "BR11", ""),
        (record("D2|M2", los_days=3), "0000", "CONDITION_NOT_MET"),
        (record("D1", "P9", age_years=0, age_days=28, newborn_birth_weight_g=0), "AA19", ""),
        (record("|D1"), "0000", "PRINCIPAL_MISSING"),
        (record("A00.000"), "0000", "PRINCIPAL_GRAY"),
        (record("D1", sex=None), "0000", "SEX_INVALID"),
        (record("D1", age_years=None), "0000", "AGE_UNKNOWN"),
        (record("D1", age_years=0), "0000", "AGE_DAYS_UNKNOWN"),
        (record("D1", age_years=0, age_days=28), "0000", "WEIGHT_UNKNOWN"),
        (record("D1", defect="IN07"), "0000", "IN07"),
        ({}, "0000", "SEX_INVALID"),
        ({"sex": 1, "age_years": 40}, "0000", "PRINCIPAL_MISSING"),
        ({"sex": 1, "age_years": 40, "diagnoses": None, "procedures": None}, "0000", "PRINCIPAL_MISSING"),
    ],
)  # fmt: skip
def test_answers(scheme: CompiledScheme, given: dict[str, Any], drg: str, reason: str) -> None:
    answer = group_one(given, scheme)
    assert (answer.drg, answer.reason) == (drg, reason)


def test_a_tuple_of_codes_and_a_tuple_of_none_will_do(scheme: CompiledScheme) -> None:
    assert (
        group_one({"sex": 1, "age_years": 40, "diagnoses": ("D1", "M2"), "procedures": ("P1",)}, scheme).drg == "BB11"
    )


def test_blank_and_missing_items_are_no_codes(scheme: CompiledScheme) -> None:
    given = {"sex": 1, "age_years": 40, "diagnoses": ["D2", None, "", "M2"], "procedures": ["P9", None, "P1", "P2X3"]}
    assert group_one(given, scheme)[2:8:5] == ("BC11", "MCC")
    assert group_one({**given, "diagnoses": [None, "D2"]}, scheme).reason == "PRINCIPAL_MISSING"


def test_a_number_that_is_no_number_is_unknown(tmp_path: Path) -> None:
    folder = PackText(
        mdc=[("MDCB", "")],
        adrg=[("BB1", "MDCB", "ICUXS != 5"), ("BB2", "MDCB", "ICUXS = 5"), ("BR1", "MDCB", "")],
        drg=[("BB19", "BB1", ""), ("BB29", "BB2", ""), ("BR19", "BR1", "")],
    ).write(tmp_path)
    scheme = open_scheme(folder)
    found = [group_one(record("D1", icu_hours=hours), scheme).drg for hours in (4.9, 5.0, 5.1, None, float("nan"))]
    assert found == ["BB19", "BB29", "BB19", "BR19", "BR19"]


@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=", "!="])
def test_thresholds(tmp_path: Path, operator: str) -> None:
    folder = PackText(
        mdc=[("MDCB", "")],
        adrg=[("BB1", "MDCB", f"NL {operator} 7"), ("BR1", "MDCB", "NL > 3 or NL <= 3")],
        drg=[("BB19", "BB1", ""), ("BR19", "BR1", "")],
    ).write(tmp_path)
    scheme = open_scheme(folder)
    met = {age for age in (1, 3, 4, 6, 7, 8, 99) if group_one(record("D1", age_years=age), scheme).drg == "BB19"}
    below, above = {1, 3, 4, 6}, {8, 99}
    assert met == {
        "<": below, "<=": below | {7}, ">": above, ">=": above | {7}, "=": {7}, "!=": below | above,
    }[operator]  # fmt: skip


def test_retries(tmp_path: Path) -> None:
    scheme = scheme_in(tmp_path, meta={**RETRYING, "ungrouped_drg": "KBBZ"}, barred=("D2",))
    assert group_one(record("D1|M2", "P8|P9|P1", los_days=1), scheme).drg == "BB11"
    assert group_one(record("D1|M2", "|P1", los_days=1), scheme).drg == "KBBZ"
    assert group_one(record("D2|D5|M2", "P8|P1", age_years=70), scheme)[2:6] == (
        "KBBZ", "未入组", "UNGROUPED", "PRINCIPAL_BLOCKED",
    )  # fmt: skip


def test_the_cache_of_programs_is_bounded_and_changes_nothing(
    scheme: CompiledScheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [record(dx, px) for dx in ("D1", "D2", "D3", "Z9") for px in ("P1", "P2x3", "P9", "P7", "")]
    before = [group_one(one, scheme) for one in given]
    monkeypatch.setattr(single, "_PROGRAMS_KEPT", 2)
    bounded = SingleGrouper(grouper_of(scheme))
    assert [bounded.group(one) for one in given] == before
    assert len(bounded.programs) <= 2 < len(single_of(scheme).programs)


def test_threads_share_one_scheme(scheme: CompiledScheme) -> None:
    given = [record(dx, px) for dx in ("D1", "D2", "D3") for px in ("P1", "P9", "")] * 20
    expected = [group_one(one, scheme).drg for one in given]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda one: group_one(one, scheme).drg, given)) == expected
