"""The DIP engine answers every difficult case as the oracle does: all columns, batch and one case at a time."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from grouper.engine import group_cases
from tests.differential.dip_compare import (
    assert_same_answers,
    assert_same_single_answers,
    engine_answers,
    frame_of,
    oracle_answers,
    scheme_of,
    smallest_case,
)
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipAnswer
from tests.oracle.dip_pack_folder import DipText, Row
from tests.oracle.dip_sample_pack import sample_pack
from tests.oracle.dip_tables import read_rows
from tests.oracle.dip_worked_cases import worked_cases
from tests.oracle.random_dip_packs import random_dip_pack

AUXILIARY = Path(__file__).resolve().parents[2] / "reference_tables" / "auxiliary"
RANDOM_PACKS = 12
CASES_PER_RANDOM_PACK = 1_300
CASES_OF_THE_NATIONAL_LIST = 4_000
CASES_WITH_AUXILIARY = 1_500
SINGLE_CASES = 300
LONG_PACKS = 120
LONG_CASES_PER_PACK = 1_500
LONG_CASES_OF_THE_NATIONAL_LIST = 20_000


@pytest.fixture(scope="module")
def national(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(sample_pack().write(tmp_path_factory.mktemp("national")))


def test_worked_cases(national: str) -> None:
    worked = worked_cases()
    answers = engine_answers([one.case for one in worked], national)
    wrong = [(one.case.case_id, answer) for one, answer in zip(worked, answers, strict=True) if not one.agrees(answer)]
    assert wrong == []


def test_worked_cases_one_at_a_time(national: str) -> None:
    assert_same_single_answers([one.case for one in worked_cases()], national)


def test_national_list(national: str) -> None:
    cases = list(DifficultDipCases(national).cases(CASES_OF_THE_NATIONAL_LIST, 1))
    assert_same_answers(cases, national)
    assert_same_single_answers(cases[:SINGLE_CASES], national)


@pytest.mark.parametrize("seed", range(RANDOM_PACKS))
def test_random_packs(tmp_path: Path, seed: int) -> None:
    folder = str(random_dip_pack(seed).write(tmp_path))
    cases = list(DifficultDipCases(folder).cases(CASES_PER_RANDOM_PACK, seed))
    assert_same_answers(cases, folder)
    assert_same_single_answers(cases[:SINGLE_CASES], folder)


def with_default_auxiliary(text: DipText) -> DipText:
    """A catalog with the default auxiliary catalog, scores with mean costs, and a factor of every second level."""
    tables = {name: read_rows(AUXILIARY, name) for name in ("aux_level", "aux_set", "cci")}
    levels = [(row["dimension"], row["level"]) for row in tables["aux_level"]]
    codes = [str(row["code"]) for row in text.tables["core"]]
    factors: list[Row] = [
        {
            "code": code,
            "dimension": dimension,
            "level": level,
            "factor": f"{1 + place % 7 / 10 + place % 3 / 10000:.4f}",
        }
        for place, (code, (dimension, level)) in enumerate(product(("*", *codes), levels))
        if place % 2
    ]
    scores: list[Row] = [
        {"code": code, "score": f"{place}.{place:04d}", "mean_cost_fen": 100_000 + 3 * place}
        for place, code in enumerate(codes, start=1)
    ]
    return DipText({**text.tables, **tables, "aux_factor": factors, "score": scores}, text.meta)


def test_default_auxiliary_catalog(tmp_path: Path) -> None:
    folder = str(with_default_auxiliary(sample_pack()).write(tmp_path))
    cases = list(DifficultDipCases(folder).cases(CASES_WITH_AUXILIARY, 4))
    assert_same_answers(cases, folder)
    assert_same_single_answers(cases[:SINGLE_CASES], folder)
    answers = oracle_answers(cases, folder)
    reached = {pair for answer in answers for pair in answer.auxiliary.split("|")}
    assert len(reached) > 20
    assert len({answer.factor for answer in answers}) > 8


@pytest.mark.long
def test_national_list_long(national: str) -> None:
    assert_same_answers(list(DifficultDipCases(national).cases(LONG_CASES_OF_THE_NATIONAL_LIST, 2)), national)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1000 + LONG_PACKS))
def test_random_packs_long(tmp_path: Path, seed: int) -> None:
    folder = str(random_dip_pack(seed).write(tmp_path))
    cases = list(DifficultDipCases(folder).cases(LONG_CASES_PER_PACK, seed))
    assert_same_answers(cases, folder)
    assert_same_single_answers(cases, folder)


def test_random_packs_and_cases_reach_every_kind_of_answer(tmp_path: Path) -> None:
    seen: set[tuple[str, ...]] = set()
    ambiguous = marked = 0
    for seed in range(RANDOM_PACKS):
        folder = str(random_dip_pack(seed).write(tmp_path / str(seed)))
        answers = oracle_answers(list(DifficultDipCases(folder).cases(400, seed)), folder)
        seen |= {(answer.status, answer.reason, answer.kind) for answer in answers}
        seen |= {("level", answer.layer) for answer in answers if answer.kind == "mixed"}
        ambiguous += sum(answer.rows_fit > 1 for answer in answers)
        marked += sum(answer.primary_care for answer in answers)
    assert seen == {
        ("GROUPED", "", "core"), ("GROUPED", "", "mixed"), ("UNGROUPED", "PRINCIPAL_MISSING", ""),
        ("UNGROUPED", "PRINCIPAL_BLOCKED", ""), ("UNGROUPED", "PRINCIPAL_UNKNOWN", ""),
        ("UNGROUPED", "PRINCIPAL_GRAY", ""), ("UNGROUPED", "NO_DIP_GROUP", ""), ("INVALID", "AGE_UNKNOWN", ""),
        ("INVALID", "AGE_DAYS_UNKNOWN", ""), ("INVALID", "WEIGHT_UNKNOWN", ""), ("INVALID", "GE01", ""),
        ("level", "subcategory"), ("level", "category"), ("level", "chapter"),
    }  # fmt: skip
    assert min(ambiguous, marked) > 100


def test_columns_that_the_cases_lack_are_unknown_for_all(national: str) -> None:
    cases = list(DifficultDipCases(national).cases(300, 3))
    bare = [DipCase(case_id=case.case_id, diagnoses=case.diagnoses, procedures=case.procedures) for case in cases]
    frame = frame_of(cases).select("row", "case_id", "diagnoses", "procedures")
    result = group_cases(frame, scheme_of(national))
    assert [DipAnswer(*row) for row in result.select(DipAnswer._fields).iter_rows()] == oracle_answers(bare, national)


def test_a_difference_is_found_and_reduced_to_its_core(tmp_path: Path) -> None:
    folder = random_dip_pack(5).write(tmp_path)
    cases = list(DifficultDipCases(folder).cases(600, 5))
    scheme_of(str(folder))
    core = (folder / "core.csv").read_text(encoding="utf-8")
    (folder / "core.csv").write_text(core.replace("\n", ",\n", 1).replace("principal,", "anywhere,"), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"cases differ, reduced to DipCase"):
        assert_same_answers(cases, str(folder))


def test_reducing_keeps_what_matters() -> None:
    case = DipCase("1", ("A", "B", "C"), ("P", "Q"), age_years=3, age_days=7, defect="GE01")

    def differs(case: DipCase) -> bool:
        return ("C" in (case.diagnoses or ()) and case.procedures == ("Q",)) or case.procedures == ("P", "Q")

    assert smallest_case(case, differs) == DipCase("1", (), ("P", "Q"))
