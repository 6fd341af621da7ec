"""What must hold of grouping by DIP whatever the catalog."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import polars as pl
import pytest

from grouper import engine
from grouper.engine import group_cases
from tests.differential.dip_compare import engine_answers, frame_of, oracle_of, scaled, scheme_of
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipAnswer
from tests.oracle.dip_pack_folder import DipText, Row
from tests.oracle.dip_sample_pack import sample_pack
from tests.oracle.dip_tables import spelled
from tests.oracle.random_dip_packs import random_dip_pack

CASES = 800
PACKS = ("national", "3", "4", "8")
IMPOSSIBLE: Row = {
    "code": "IMPOSSIBLE", "number": 0, "principal_dx": "A98.9ZZZZ", "other_dx": "A00-Z99", "px_mode": "exact",
    "px": "38.77ZZ+38.78ZZ",
}  # fmt: skip


def text_of(name: str) -> DipText:
    return sample_pack() if name == "national" else random_dip_pack(int(name))


@pytest.fixture(scope="module", params=PACKS)
def text(request: pytest.FixtureRequest) -> DipText:
    """A catalog: the national list in small, or a random one."""
    return text_of(request.param)


@pytest.fixture(scope="module")
def folder(text: DipText, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(text.write(tmp_path_factory.mktemp("pack")))


@pytest.fixture(scope="module")
def cases(folder: str) -> list[DipCase]:
    return list(DifficultDipCases(folder).cases(CASES, 21))


@pytest.fixture(scope="module")
def whole(cases: list[DipCase], folder: str) -> pl.DataFrame:
    """The result for all cases at once."""
    result = group_cases(frame_of(cases), scheme_of(folder))
    assert result["dip"].n_unique() > 10
    return result


def unordered(answers: list[DipAnswer]) -> list[DipAnswer]:
    """Answers whose used codes stand in alphabetical order behind the principal diagnosis."""
    return [answer._replace(used_codes="|".join(sorted(answer.used_codes.split("|")))) for answer in answers]


def groups(answers: list[DipAnswer]) -> list[DipAnswer]:
    """Answers without what the auxiliary catalog adds: its rules ask for the first recorded procedure as such."""
    return [answer._replace(auxiliary="", factor=None, score=None) for answer in unordered(answers)]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block", [1, 101, 1_000])
def test_any_block_size_and_thread_count_give_the_same_rows(
    cases: list[DipCase], folder: str, whole: pl.DataFrame, monkeypatch: pytest.MonkeyPatch, block: int, threads: int
) -> None:
    monkeypatch.setattr(engine, "BLOCK_ROWS", block)
    some = cases if block > 1 else cases[:60]
    assert group_cases(frame_of(some), scheme_of(folder), threads=threads).equals(whole.head(len(some)))


def test_grouping_two_files_is_grouping_them_as_one(cases: list[DipCase], folder: str, whole: pl.DataFrame) -> None:
    frame = frame_of(cases)
    apart = [group_cases(part, scheme_of(folder)) for part in (frame.head(300), frame.tail(CASES - 300))]
    assert pl.concat(apart).equals(whole)


def test_the_order_of_cases_does_not_matter(cases: list[DipCase], folder: str, whole: pl.DataFrame) -> None:
    places = list(range(CASES))
    random.Random(5).shuffle(places)
    assert group_cases(frame_of(cases)[places], scheme_of(folder)).equals(whole[places])


def test_the_order_of_other_diagnoses_does_not_matter(cases: list[DipCase], folder: str) -> None:
    rng = random.Random(6)
    turned = []
    for case in cases:
        first, others = (case.diagnoses or ())[:1], list((case.diagnoses or ())[1:])
        rng.shuffle(others)
        turned.append(dataclasses.replace(case, diagnoses=(*first, *others)))
    assert turned != cases
    assert unordered(engine_answers(turned, folder)) == unordered(engine_answers(cases, folder))


def leading_place(case: DipCase, folder: str) -> int | None:
    """Place of the procedure that decides what the effective principal procedure is: that one itself, else the one
    that makes the case conservative, else none."""
    oracle = oracle_of(folder)
    facts = oracle.facts_of(case)
    if facts.principal_px is not None:
        return facts.principal_px
    rules = [oracle.excluded_px.get(code, ("", ()))[0] for code in facts.procedures]
    return rules.index("conservative") if "conservative" in rules else None


def test_procedures_have_no_order_but_for_which_of_them_is_the_effective_principal_one(
    cases: list[DipCase], folder: str
) -> None:
    """The procedure that decides comes first and all others in any order: the same group."""
    rng = random.Random(7)
    turned = []
    for case in cases:
        place, codes = leading_place(case, folder), list(case.procedures or ())
        first = [] if place is None else [codes.pop(place)]
        rng.shuffle(codes)
        turned.append(dataclasses.replace(case, procedures=(*first, *codes)))
    assert sum(one.procedures != other.procedures for one, other in zip(turned, cases, strict=True)) > 50
    assert groups(engine_answers(turned, folder)) == groups(engine_answers(cases, folder))


def test_repeating_what_is_not_principal_does_not_matter(cases: list[DipCase], folder: str) -> None:
    """Other diagnoses, and procedures other than the effective principal one, count once however often they stand."""
    longer = []
    for case in cases:
        place, codes = leading_place(case, folder), case.procedures or ()
        deciding = "" if place is None else spelled(codes[place])
        again = tuple(code for code in codes if spelled(code) != deciding)
        repeated = (case.diagnoses or ()) + (case.diagnoses or ())[1:]
        longer.append(dataclasses.replace(case, diagnoses=repeated, procedures=codes + again))
    assert groups(engine_answers(longer, folder)) == groups(engine_answers(cases, folder))


def test_sex_department_and_money_are_not_asked(cases: list[DipCase], folder: str, whole: pl.DataFrame) -> None:
    dressed = frame_of(cases).with_columns(sex=pl.lit(9, pl.Int8), department=pl.lit("0301"), total_fen=pl.lit(1))
    assert group_cases(dressed, scheme_of(folder)).equals(whole)


def changed(text: DipText, tmp_path: Path, **tables: list[Row]) -> str:
    """The catalog with some tables replaced, as a folder."""
    return str(dataclasses.replace(text, tables={**text.tables, **tables}).write(tmp_path))


def test_a_row_that_no_case_fits_changes_nothing(
    text: DipText, tmp_path: Path, cases: list[DipCase], folder: str
) -> None:
    layers = [row["code"] for row in text.tables["layer"]]
    impossible: list[Row] = [{**IMPOSSIBLE, "code": f"IMPOSSIBLE-{code}", "layer": code} for code in layers]
    other = changed(text, tmp_path, core=[*impossible, *text.tables["core"]])
    assert engine_answers(cases, other) == engine_answers(cases, folder)


def test_scaling_all_scores_scales_the_results(text: DipText, tmp_path: Path, cases: list[DipCase]) -> None:
    # Whole scores times factors of four decimals are not rounded, so the results scale exactly.
    codes = [str(row["code"]) for name in ("core", "mixed") for row in text.tables.get(name, ())]
    tens: list[Row] = [{"code": code, "score": 10 * place} for place, code in enumerate(codes, start=1)]
    ones: list[Row] = [{"code": code, "score": place} for place, code in enumerate(codes, start=1)]
    small = engine_answers(cases, changed(text, tmp_path / "small", score=ones))
    large = engine_answers(cases, changed(text, tmp_path / "large", score=tens))
    assert sum(answer.score is not None for answer in small) > 100
    assert [scaled(answer, 10) for answer in small] == large


def test_the_order_of_the_tables_does_not_matter(
    text: DipText, tmp_path: Path, cases: list[DipCase], folder: str
) -> None:
    """Rows of different numbers are told apart by them, wherever they stand in the file."""
    rng = random.Random(8)
    tables = {name: list(rows) for name, rows in text.tables.items() if name != "excluded_px"}
    numbered: list[Row] = [
        {**row, "number": place} for place, row in enumerate(sorted(tables["core"], key=_number), start=1)
    ]
    tables["core"] = list(numbered)
    straight = engine_answers(cases, changed(text, tmp_path / "straight", **tables))
    for rows in tables.values():
        rng.shuffle(rows)
    assert tables["core"] != numbered
    assert engine_answers(cases, changed(text, tmp_path / "turned", **tables)) == straight


def _number(row: Row) -> int:
    return int(row.get("number", 0))


def test_no_case_is_no_row(folder: str, whole: pl.DataFrame) -> None:
    nothing = group_cases(frame_of([]), scheme_of(folder))
    assert nothing.height == 0
    assert nothing.schema == whole.schema
