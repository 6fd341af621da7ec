"""What must hold of grouping whatever the scheme: each case stands alone, and other diagnoses have no order."""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from grouper import engine
from grouper.compile import CompiledScheme
from grouper.engine import group_cases
from tests.differential.compare import engine_answers, folder_of, frame_of, scheme_of
from tests.oracle.difficult import DifficultCases, FlatRow
from tests.oracle.random_packs import random_pack
from tests.oracle.synthetic_packs import build_synthetic_pack

CASES = 1_500
SCHEMES = ("chs-drg-1.1", "retry", "severity", "random")


@pytest.fixture(scope="module", params=SCHEMES)
def pack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A built-in pack's id, or the folder of a made-up one."""
    if request.param == "chs-drg-1.1":
        return str(request.param)
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "random":
        return str(random_pack(77).write(folder))
    return str(build_synthetic_pack(request.param, folder))


@pytest.fixture(scope="module")
def rows(pack: str) -> list[FlatRow]:
    return list(DifficultCases(folder_of(pack)).rows(CASES, 21, two_weights=True))


@pytest.fixture(scope="module")
def scheme(pack: str) -> CompiledScheme:
    return scheme_of(pack)


@pytest.fixture(scope="module")
def whole(rows: list[FlatRow], scheme: CompiledScheme) -> pl.DataFrame:
    """The result for all cases at once."""
    result = group_cases(frame_of(rows), scheme)
    assert result["drg"].n_unique() > 5
    return result


@pytest.mark.parametrize("size", [1, 37, 500, CASES])
def test_any_chunking_gives_the_same_rows(
    rows: list[FlatRow], scheme: CompiledScheme, whole: pl.DataFrame, size: int
) -> None:
    cases = frame_of(rows)
    starts = range(0, CASES if size > 1 else 60, size)
    chunks = pl.concat([group_cases(cases.slice(start, size), scheme) for start in starts])
    assert chunks.equals(whole.head(chunks.height))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("block", [101, 1_000])
def test_any_block_size_and_thread_count_give_the_same_rows(
    rows: list[FlatRow],
    scheme: CompiledScheme,
    whole: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    block: int,
    threads: int,
) -> None:
    monkeypatch.setattr(engine, "BLOCK_ROWS", block)
    assert group_cases(frame_of(rows), scheme, threads=threads).equals(whole)


def test_the_order_of_cases_does_not_matter(rows: list[FlatRow], scheme: CompiledScheme, whole: pl.DataFrame) -> None:
    places = list(range(CASES))
    random.Random(5).shuffle(places)
    shuffled = group_cases(frame_of(rows)[places], scheme)
    assert shuffled.equals(whole[places])


def test_grouping_two_files_is_grouping_them_as_one(
    rows: list[FlatRow], scheme: CompiledScheme, whole: pl.DataFrame
) -> None:
    cases = frame_of(rows)
    first, second = cases.head(400), cases.tail(CASES - 400)
    apart = pl.concat([group_cases(first, scheme), group_cases(second, scheme)])
    assert apart.equals(whole)


def test_the_order_of_other_diagnoses_does_not_matter(rows: list[FlatRow], pack: str) -> None:
    rng = random.Random(6)
    turned = []
    for row in rows:
        first, *others = row["diagnoses"].split("|")
        rng.shuffle(others)
        turned.append({**row, "diagnoses": "|".join([first, *others])})
    assert [row["diagnoses"] for row in turned] != [row["diagnoses"] for row in rows]
    assert engine_answers(turned, pack) == engine_answers(rows, pack)


def test_repeating_an_other_diagnosis_does_not_matter(rows: list[FlatRow], pack: str) -> None:
    doubled = []
    for row in rows:
        first, *others = row["diagnoses"].split("|")
        doubled.append({**row, "diagnoses": "|".join([first, *others, *others])})
    assert engine_answers(doubled, pack) == engine_answers(rows, pack)


def test_an_unknown_other_diagnosis_does_not_matter(rows: list[FlatRow], pack: str) -> None:
    longer = [{**row, "diagnoses": row["diagnoses"] + "|ZZZ.999"} for row in rows]
    assert engine_answers(longer, pack) == engine_answers(rows, pack)


def test_no_case_is_no_row(scheme: CompiledScheme, whole: pl.DataFrame) -> None:
    nothing = group_cases(frame_of([]), scheme)
    assert nothing.height == 0
    assert nothing.schema == whole.schema
