"""Numbers for texts: the same number for the same text, whatever the column's type, its chunks and its length."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget.text_codes import TextCodes, WordCodes

texts = st.lists(st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["H0001", "x" * 12, "x" * 13, "三级"])))


def read_back(coder: TextCodes, column: pl.Series) -> list[str | None]:
    codes = np.broadcast_to(coder.codes(column), len(column))
    return [coder.texts[code] for code in codes]


@given(texts, texts)
def test_a_number_stands_for_its_text_in_every_block(first: list[str | None], second: list[str | None]) -> None:
    coder = TextCodes()
    for block in (first, second, first):
        assert read_back(coder, pl.Series(block, dtype=pl.String)) == block
    together = pl.concat([pl.Series(part, dtype=pl.String) for part in (first, second)], rechunk=False)
    assert read_back(coder, together) == [*first, *second]
    assert len(set(coder.texts)) == len(coder)


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["", "c", "b", "a", "x" * 20])])
def test_columns_of_any_type_have_the_same_numbers(dtype: pl.DataType) -> None:
    coder = TextCodes()
    plain = [coder.code(text) for text in ("a", "b", None, "", "x" * 20)]
    column = pl.Series(["b", None, "a", "", "x" * 20, "b"], dtype=dtype)
    assert list(coder.codes(column)) == [plain[at] for at in (1, 2, 0, 3, 4, 1)]
    assert len(coder) == 5


def test_slices_begin_where_they_begin() -> None:
    column = pl.Series([f"H{at % 7}" for at in range(100)])
    coder = TextCodes()
    assert read_back(coder, column.slice(13, 50)) == column.slice(13, 50).to_list()
    assert read_back(coder, column.slice(14, 1)) == ["H0"]
    assert list(coder.codes(column.slice(0, 0))) == []


def test_pairs_that_share_a_place_are_told_apart() -> None:
    rng = np.random.default_rng(7)
    first, second = (rng.integers(0, 1 << 63, 5000, dtype=np.uint64) for _ in range(2))
    coder = WordCodes()
    for at in range(0, 5000, 1250):
        coder.add(first[at : at + 1250], second[at : at + 1250])
    code, unknown = coder.find(first, second)
    assert not unknown.size
    assert (code == np.arange(5000)).all()
    _, unknown = coder.find(first, second ^ np.uint64(1))
    assert (unknown == np.arange(5000)).all()


def test_a_pair_without_a_second_word_is_the_one_with_zero() -> None:
    first = np.arange(3000, dtype=np.uint64) << np.uint64(20)
    coder = WordCodes()
    coder.add(first, np.zeros(3000, np.uint64))
    code, unknown = coder.find(first)
    assert not unknown.size
    assert (code == np.arange(3000)).all()
