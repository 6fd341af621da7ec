"""Codes to ids: exact, whole, whatever their length, and the same however the column is cut."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grouper.arrow_views import list_views
from grouper.code_index import NONE, UNKNOWN, CodeIndex

BOOK = ["A00.100", "A00.100x001", "X16.x00", "17.912A0", "A01.002+G01*", "A52.106+H48.0*", "J10.801+G94.8*", "x" * 31]
LISTS = pl.List(pl.String)


def encoded(index: CodeIndex, rows: list[list[str | None] | None]) -> list[list[int]]:
    flat, offsets = index.encode_lists(pl.Series("codes", rows, dtype=LISTS))
    return [flat[start:end].tolist() for start, end in itertools.pairwise(offsets)]


@pytest.fixture(scope="module")
def index() -> CodeIndex:
    return CodeIndex(BOOK)


def test_known_codes_get_the_ids_of_their_order(index: CodeIndex) -> None:
    ids = {code: 2 + at for at, code in enumerate(sorted(BOOK))}
    assert encoded(index, [[code] for code in BOOK]) == [[ids[code]] for code in BOOK]
    assert [index.spelling[ids[code]] for code in BOOK] == BOOK


@pytest.mark.parametrize(
    "code",
    [
        "a00.100", "A00.1", "A00.100 ", "A00.100x", "A00.100x0011", "j10.801+G94.8*",
        "x" * 30, "x" * 32, "y" * 400, "霍乱", "\0",
    ],
)  # fmt: skip
def test_nothing_is_guessed(index: CodeIndex, code: str) -> None:
    assert encoded(index, [[code]]) == [[UNKNOWN]]
    assert index.id_of(code) == UNKNOWN


@pytest.mark.parametrize(
    ("given", "official"), [("A00.100X001", "A00.100x001"), ("x16.X00", "X16.x00"), ("X" * 31, "x" * 31)]
)
def test_only_the_case_of_x_is_folded(index: CodeIndex, given: str, official: str) -> None:
    assert encoded(index, [[given]]) == [[index.id_of(official)]] != [[UNKNOWN]]


def test_blanks_and_nulls_are_no_code(index: CodeIndex) -> None:
    known = index.id_of("A00.100")
    rows: list[list[str | None] | None] = [[], None, ["", "A00.100"], [None, "A00.100"], [""]]
    assert encoded(index, rows) == [[], [], [NONE, known], [NONE, known], [NONE]]


def test_an_empty_column_and_an_empty_book() -> None:
    assert encoded(CodeIndex([]), []) == []
    assert encoded(CodeIndex([]), [["A00.100", ""]]) == [[UNKNOWN, NONE]]


def test_a_book_beyond_sixteen_bits_gets_wider_ids() -> None:
    codes = [f"{number:07d}" for number in range(70_000)]
    wide = CodeIndex(codes)
    assert (CodeIndex(BOOK).dtype, wide.dtype) == (np.uint16, np.uint32)
    assert encoded(wide, [["0069999", "0070000"]]) == [[70_001, UNKNOWN]]


TEXTS = st.one_of(
    st.sampled_from(BOOK), st.sampled_from(BOOK).map(str.upper), st.text(max_size=40), st.text("AX01.x+*", max_size=20)
)


@given(st.lists(st.lists(TEXTS, max_size=5), max_size=30), st.integers(0, 30), st.booleans())
def test_columns_agree_with_single_codes(rows: list[list[str]], cut: int, rechunk: bool) -> None:
    index = CodeIndex(BOOK)
    expected = [[index.id_of(code) for code in row] for row in rows]
    column = pl.Series("codes", rows, dtype=LISTS)
    parts = pl.concat([column.slice(0, cut), column.slice(cut)], rechunk=rechunk)
    flat, offsets = index.encode_lists(parts)
    assert [flat[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    flat, offsets = index.encode_lists(column.slice(cut))
    assert [flat[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected[cut:]


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="List"), list_views(pl.Series(["A00.100"])):
        pass
