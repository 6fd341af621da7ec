"""The same bytes however cases are cut and whoever shares the caches; ids and combinations against plain readings."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import grouper.dip.layers as layers_module
import grouper.engine as engine_module
import grouper.kernel as kernel_module
from grouper.dip.codes import DiagnosisCodes
from grouper.dip.combination import NO_COMBINATION, Combinations
from grouper.dip.compile import CompiledDip, compile_dip
from grouper.dip.engine import DipGrouper
from grouper.dip.result import DIP_RESULT_SCHEMA
from grouper.encode import CodeLists
from grouper.engine import group_cases, grouper_of
from reference_tables.codes import load_code_books
from reference_tables.dip_cells import DiagnosisItem, diagnosis_items, spelled
from tests.differential.dip_compare import frame_of
from tests.oracle.difficult_dip import DifficultDipCases
from tests.oracle.random_dip_packs import random_dip_pack
from tests.unit.dip_engine_cases import catalog, compiled

SEED = 7


@pytest.fixture(scope="module")
def scheme(tmp_path_factory: pytest.TempPathFactory) -> CompiledDip:
    return compiled(tmp_path_factory.mktemp("pack"), random_dip_pack(SEED))


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = random_dip_pack(SEED).write(tmp_path_factory.mktemp("cases"))
    return frame_of(list(DifficultDipCases(str(folder)).cases(2_500, SEED)))


def test_any_cut_and_any_number_of_threads(
    scheme: CompiledDip, cases: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = group_cases(cases, scheme)
    assert expected.schema == DIP_RESULT_SCHEMA
    assert expected["kind"].n_unique() == 3
    for rows in (1_000, 37):
        monkeypatch.setattr(engine_module, "BLOCK_ROWS", rows)
        assert group_cases(cases, scheme).equals(expected, null_equal=True)
        assert group_cases(cases, scheme, threads=4).equals(expected, null_equal=True)
    backwards = group_cases(cases.reverse(), scheme).reverse()
    assert backwards.equals(expected, null_equal=True)
    assert group_cases(cases, scheme, used_codes=False).equals(expected.drop("used_codes"), null_equal=True)


def test_no_cases(scheme: CompiledDip, cases: pl.DataFrame) -> None:
    assert group_cases(cases.clear(), scheme).schema == DIP_RESULT_SCHEMA


def test_threads_share_one_cold_grouper(scheme: CompiledDip, cases: pl.DataFrame) -> None:
    expected = group_cases(cases, scheme)
    fresh = DipGrouper(scheme)
    blocks = [cases.slice(at, 41) for at in range(0, cases.height, 41)]
    with ThreadPoolExecutor(8) as pool:
        assert pl.concat(list(pool.map(fresh.block, blocks))).equals(expected, null_equal=True)


def test_caches_that_start_anew_or_fill_in_parts_answer_the_same(
    scheme: CompiledDip, cases: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = group_cases(cases, scheme)
    monkeypatch.setattr(kernel_module, "_FULL", 20)
    monkeypatch.setattr(layers_module, "_PAIRS_AT_ONCE", 3)
    fresh = DipGrouper(scheme)
    again = pl.concat([fresh.block(cases.slice(at, 90)) for at in range(0, cases.height, 90)])
    assert again.equals(expected, null_equal=True)
    assert 0 < fresh.kernel.answers.count < 200


def test_a_scheme_that_nobody_holds_is_let_go(scheme: CompiledDip, cases: pl.DataFrame) -> None:
    other = compile_dip(scheme.pack)
    group_cases(cases.head(10), other)
    assert grouper_of(other) is grouper_of(other)
    held = weakref.ref(other)
    del other
    gc.collect()
    assert held() is None


def test_a_catalog_without_any_row_of_one_kind(tmp_path: Path, cases: pl.DataFrame) -> None:
    for name, core in (
        ("exact", {"code": "1", "principal_dx": "K35", "px_mode": "exact", "px": "47.0100"}),
        ("kernel", {"code": "1", "principal_dx": "K35", "px_mode": "none"}),
    ):
        assert group_cases(cases, compiled(tmp_path / name, catalog(core))).height == cases.height


def _cells() -> Iterator[DiagnosisItem]:
    for cell in (
        "A09|A09.0|A09.X|A15-A17|A17.0-A17.5|A16.9-A18.1|B20+|B20*|B20.0+|B20.1*|B21.0-B21.0|B95.Z|C00-D48|A09.000x001",
        "K35.9|K35.900|U84.300|A17.000+G01*|B20.9-B22",
    ):
        yield from diagnosis_items(cell)


def test_ids_fall_under_what_their_codes_fall_under() -> None:
    items = list(_cells())
    codes = DiagnosisCodes(load_code_books(), items)
    members = [codes.members([item]) for item in items]
    draw = random.Random(5)
    starts = [
        "A08",
        "A09",
        "A15",
        "A16",
        "A17",
        "A18",
        "A19",
        "B20",
        "B21",
        "B22",
        "B95",
        "C50",
        "K35",
        "U84",
        "X99",
        "AB",
        "9",
    ]
    middles = ["", ".0", ".1", ".5", ".9", ".X", ".x", ".Z", ".[", ".", "0", "/5", ".:", ".中", "-"]
    ends = ["", "00", "00x001", "+", "*", "*+", "+G01*", "*+A17", "*G01", "zz"]
    texts = {draw.choice(starts) + draw.choice(middles) + draw.choice(ends) for _ in range(4_000)}
    texts |= set(load_code_books().diagnosis.frame["code"].sample(500, seed=1)) | {"", " ", "a09.0", " A17.000 "}
    wrong = [
        (text, str(item))
        for text in texts
        for item, inside in zip(items, members, strict=True)
        if inside[codes.id_of(text)] != item.matches(spelled(text))
    ]
    assert wrong == []
    column = pl.Series([[text] for text in sorted(texts)])
    lists, unlisted = codes.encode_lists(column)
    assert lists.flat.tolist() == [codes.id_of(text) for text in sorted(texts)]
    official = {spelled(code) for code in load_code_books().diagnosis.frame["code"]} | {
        item.low for item in items if item.whole
    }
    assert unlisted.tolist() == [spelled(text) not in official | {""} for text in sorted(texts)]


def test_combinations_are_sets_of_procedures() -> None:
    wanted = [(2,), (2, 3), (2, 3, 5), (3, 5), (4, 5, 6, 7)]
    left_out = np.array([True, False, False, False, False, False, False, False, False, True])
    table = Combinations(wanted, left_out)
    given = [
        list(order) for size in range(5) for chosen in combinations(range(10), size) for order in permutations(chosen)
    ]
    given += [[2, 2], [3, 2, 3], [5, 9, 0, 5, 3], [4, 4, 5, 6, 7, 7], [1, 2], [4, 5, 6, 7, 2]]
    lists = CodeLists(
        np.array([code for codes in given for code in codes], np.uint16), np.cumsum([0, *map(len, given)])
    )
    number = {frozenset(ids): table.number[ids] for ids in wanted}
    expected = [number.get(frozenset(codes) - {0, 9}, NO_COMBINATION) for codes in given]
    assert table.of(lists, np.arange(len(given))).tolist() == expected
    some = np.arange(3, len(given), 7)
    assert table.of(lists, some).tolist() == [expected[at] for at in some]
    assert sorted(set(expected)) == [NO_COMBINATION, *sorted(table.number.values())]
