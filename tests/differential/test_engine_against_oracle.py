"""The engine answers every difficult case as the oracle does, on CHS-DRG 1.1 and on made-up schemes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from grouper.engine import group_cases
from tests.differential.compare import (
    assert_same_answers,
    folder_of,
    frame_of,
    oracle_of,
    scheme_of,
    smallest_case,
)
from tests.oracle.difficult import DifficultCases
from tests.oracle.oracle import Case
from tests.oracle.random_packs import random_pack
from tests.oracle.synthetic_packs import MIXED_COUNTS, SYNTHETIC_PACKS, build_synthetic_pack

BUILT_IN = "chs-drg-1.1"
CASES_PER_PACK = 20_000
CASES_PER_PACK_LONG = 200_000
CASES_PER_SMALL_PACK = 4_000
CASES_PER_RANDOM_PACK = 2_000


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_chs_drg_1_1(seed: int) -> None:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(CASES_PER_PACK // 4, seed))
    assert_same_answers(rows, BUILT_IN)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_chs_drg_1_1_long(seed: int) -> None:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(CASES_PER_PACK_LONG // 10, seed))
    assert_same_answers(rows, BUILT_IN)


@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_synthetic_packs(tmp_path: Path, name: str) -> None:
    folder = build_synthetic_pack(name, tmp_path)
    rows = list(DifficultCases(folder).rows(CASES_PER_SMALL_PACK, 11, two_weights=True))
    assert_same_answers(rows, str(folder))


@pytest.mark.parametrize("seed", range(12))
def test_random_packs(tmp_path: Path, seed: int) -> None:
    folder = random_pack(seed).write(tmp_path)
    rows = list(DifficultCases(folder).rows(CASES_PER_RANDOM_PACK, seed, two_weights=True))
    assert_same_answers(rows, str(folder))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(SYNTHETIC_PACKS))
def test_synthetic_packs_long(tmp_path: Path, name: str) -> None:
    folder = build_synthetic_pack(name, tmp_path)
    rows = list(DifficultCases(folder).rows(CASES_PER_PACK, 12, two_weights=True))
    assert_same_answers(rows, str(folder))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_random_packs_long(tmp_path: Path, seed: int) -> None:
    folder = random_pack(seed).write(tmp_path)
    rows = list(DifficultCases(folder).rows(CASES_PER_RANDOM_PACK, seed, two_weights=True))
    assert_same_answers(rows, str(folder))


def test_counting_over_several_kinds(tmp_path: Path) -> None:
    folder = MIXED_COUNTS.write(tmp_path)
    rows = list(DifficultCases(folder).rows(CASES_PER_SMALL_PACK, 14))
    assert_same_answers(rows, str(folder))


def test_invalid_is_the_status_of_the_input_check_and_of_nothing_else() -> None:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(3_000, 5))
    statuses = group_cases(frame_of(rows), scheme_of(BUILT_IN))["status"].to_list()
    oracle = oracle_of(BUILT_IN)
    expected = [oracle.is_invalid(Case.from_row(row)) for row in rows]
    assert [status == "INVALID" for status in statuses] == expected
    assert 50 < sum(expected) < 1_500


def test_an_unreadable_record_is_invalid_whatever_is_left_of_it() -> None:
    rows = list(DifficultCases(folder_of(BUILT_IN)).rows(200, 6))
    broken = frame_of(rows).with_columns(defect=pl.lit("GE01"))
    result = group_cases(broken, scheme_of(BUILT_IN))
    assert result["status"].unique().to_list() == ["INVALID"]
    assert set(result.select("mdc", "adrg", "drg").iter_rows()) == {("0000", "00", "0000")}


def test_a_difference_is_found_and_reduced_to_its_core(tmp_path: Path) -> None:
    name = "severity"
    folder = build_synthetic_pack(name, tmp_path)
    rows = list(DifficultCases(folder).rows(500, 13))
    scheme_of(str(folder))
    listed = (folder / "cc.csv").read_text(encoding="utf-8")
    (folder / "cc.csv").write_text(listed.replace("N17.100,CC,EX_3\n", ""), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"cases differ, reduced to .*N17\.100"):
        assert_same_answers(rows, str(folder))


def test_reducing_keeps_what_matters() -> None:
    row = {"case_id": "1", "sex": "1", "age": "40", "diagnoses": "A|B|C|D", "procedures": "|P|Q", "weight": "9"}

    def differs(row: dict[str, str]) -> bool:
        return "C" in row["diagnoses"] and "Q" in row["procedures"] and row["age"] == "40"

    assert smallest_case(row, differs) == {
        "case_id": "1", "sex": "", "age": "40", "diagnoses": "C", "procedures": "Q", "weight": "",
    }  # fmt: skip
