"""The kernel's caches never change an answer: when they grow, start anew, collide or are shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grouper.kernel as kernel_module
import grouper.terms as terms_module
from grouper.compile import compile_scheme
from grouper.encode import encode_cases
from grouper.engine import Grouper, group_cases
from grouper.kernel import NO_PATH, Kernel, _Answers, _cut_after_first
from reference_tables.packs import read_pack
from reference_tables.rule_language import parse_rule
from tests.differential.compare import frame_of
from tests.oracle.difficult import DifficultCases
from tests.unit.small_pack import edited, write_small


def test_answers_are_found_again_after_growing_and_colliding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "_MIX2", np.uint64(0))  # keys no longer spread: every program's keys collide
    table = _Answers(1, 4)
    seen: dict[tuple[int, int], int] = {}
    rng = np.random.default_rng(1)
    for _ in range(20):
        program = rng.integers(0, 40, 50).astype(np.int32)
        keys = rng.integers(0, 6, (1, 50)).astype(np.uint64)
        paths, missing = table.find(program, keys)
        fresh: dict[tuple[int, int], int] = {}
        for at in range(50):
            pair = (int(program[at]), int(keys[0, at]))
            if at in missing:
                assert pair not in seen
                fresh[pair] = len(seen) + len(fresh)
            else:
                assert paths[at] == seen[pair]
        if fresh:
            new = np.array(list(fresh), np.uint64)
            table = table.grown(new[:, 0].astype(np.int32), new[None, :, 1], np.array(list(fresh.values()), np.int32))
            seen |= fresh
    assert table.count == len(seen) > 100


def test_a_full_cache_starts_anew_with_the_same_answers(
    built_in: Grouper, difficult: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = group_cases(difficult, built_in.scheme)
    monkeypatch.setattr(kernel_module, "_FULL", 50)
    fresh = Grouper(built_in.scheme)
    again = pl.concat([fresh.block(difficult.slice(at, 100)) for at in range(0, difficult.height, 100)])
    assert again.equals(expected)
    assert fresh.kernel.answers.count < 400


def test_threads_share_one_cold_kernel(built_in: Grouper, difficult: pl.DataFrame) -> None:
    expected = group_cases(difficult, built_in.scheme)
    fresh = Grouper(built_in.scheme)
    blocks = [difficult.slice(at, 37) for at in range(0, difficult.height, 37)]
    with ThreadPoolExecutor(8) as pool:
        assert pl.concat(list(pool.map(fresh.block, blocks))).equals(expected)


def test_terms_are_cut_after_the_first_that_asks_nothing() -> None:
    allowed = np.array([[0b1111, 0b1], [0b0011, 0b110], [0b0011, 0b001], [0, 0]], np.uint64)
    _cut_after_first(allowed, np.array([0b0100, 0b010], np.uint64))
    assert allowed.tolist() == [[0b0111, 0], [0b0011, 0b010], [0b0011, 0b001], [0, 0]]


def test_a_scheme_without_any_path_answers_nothing(tmp_path: Path) -> None:
    scheme = compile_scheme(read_pack(write_small(tmp_path, edited("mdc.csv", "MDCA,先期,1,1", "MDCA,先期,0,1"))))
    kernel = Kernel(scheme)
    none = np.zeros(1, np.int32)
    assert kernel.paths(none, none, np.zeros((scheme.words, 1), np.uint64)).tolist() == [NO_PATH]


def test_rules_too_wide_to_multiply_out_answer_the_same(
    built_in: Grouper, difficult: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = group_cases(difficult, built_in.scheme)
    monkeypatch.setattr(terms_module, "TERM_LIMIT", 3)
    narrow = compile_scheme(built_in.scheme.pack)
    assert any(isinstance(condition, terms_module.Derived) for condition in narrow.conditions)
    assert Grouper(narrow).block(difficult).equals(expected)


def test_a_wide_rule_stays_small() -> None:
    pairs = " and ".join(f"(NL = {n} or XSRTL = {n})" for n in range(40))
    assert len(terms_module.to_terms(terms_module.plain(parse_rule(pairs)))) <= terms_module.TERM_LIMIT


def test_missing_columns_are_unknown(built_in: Grouper) -> None:
    frame = pl.DataFrame({"row": pl.Series([2], dtype=pl.UInt32), "case_id": ["1"], "sex": [1]})
    cases = encode_cases(frame, built_in.scheme.indexes, "birth")
    assert (cases.dx.lengths.tolist(), cases.px.principal.tolist()) == ([0], [0])
    assert built_in.block(frame)["reason"].to_list() == ["AGE_UNKNOWN"]


@pytest.fixture(scope="module")
def built_in() -> Grouper:
    return Grouper(compile_scheme(read_pack(BUILT_IN)))


@pytest.fixture(scope="module")
def difficult() -> pl.DataFrame:
    return frame_of(list(DifficultCases(BUILT_IN).rows(3000, 5)))


BUILT_IN = Path(__file__).resolve().parents[2] / "reference_tables" / "packs" / "chs-drg-1.1"
