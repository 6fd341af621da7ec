"""Numbers for the different texts of columns that come block by block, and for combinations of such numbers.

A text of at most 12 bytes is two 64-bit words (`arrow_stream`). A multiplied hash of the words says where in a table
its number would stand; the words kept with that number are then compared, so that a hash can only ever cost time.
Numbers are given in the order of appearance and never change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reference_tables.arrow_stream import INLINE, text_views

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
Codes = Ints | int
"""A number for each row, or the one that all rows have."""

_FACTORS = tuple(np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9))
_SECOND = np.uint64(0xD6E8FEB86659FD93)
_ROOM = 8
_LEAST_BITS = 8
_LENGTH = np.uint64(0xFFFFFFFF)


class WordCodes:
    """Numbers from 0 for pairs of words; `find` looks them up, `add` takes in pairs not there yet."""

    def __init__(self) -> None:
        self.first: Words = np.zeros(0, np.uint64)
        self.second: Words = np.zeros(0, np.uint64)
        self._levels: list[tuple[np.uint64, np.uint64, Ints]] = []

    def __len__(self) -> int:
        return len(self.first)

    def add(self, first: Words, second: Words) -> None:
        """Give the next numbers to pairs, all different and none of them known."""
        self.first = np.concatenate([self.first, first])
        self.second = np.concatenate([self.second, second])
        # Pairs whose place in a table is taken go to the next table.
        self._levels = []
        left = np.arange(len(self))
        while left.size:
            bits = max(_LEAST_BITS, (_ROOM * len(left)).bit_length())
            factor, shift = _FACTORS[len(self._levels) % len(_FACTORS)], np.uint64(64 - bits)
            places = _places(self.first[left], self.second[left], factor, shift)
            table = np.zeros(1 << bits, np.int64)
            table[places[::-1]] = left[::-1]
            self._levels.append((factor, shift, table))
            left = left[table[places] != left]

    def find(self, first: Words, second: Words | None = None) -> tuple[Ints, Ints]:
        """int64 [rows]: the number of each pair, any number for an unknown one; and the rows of these. Without `second`
        it is 0 everywhere."""
        if not len(self):
            return np.zeros(len(first), np.int64), np.arange(len(first))
        code, wrong = self._at(0, first, second)
        rows = np.flatnonzero(wrong) if wrong.any() else np.zeros(0, np.int64)
        for level in range(1, len(self._levels)):
            if not rows.size:
                break
            code[rows], wrong = self._at(level, first[rows], None if second is None else second[rows])
            rows = rows[wrong]
        return code, rows

    def _at(self, level: int, first: Words, second: Words | None) -> tuple[Ints, NDArray[np.bool_]]:
        factor, shift, table = self._levels[level]
        code = table.take(_places(first, second, factor, shift))
        wrong = self.first.take(code) != first
        wrong |= self.second.take(code) != (np.uint64(0) if second is None else second)
        return code, wrong


def _places(first: Words, second: Words | None, factor: np.uint64, shift: np.uint64) -> Ints:
    mixed = first * factor
    if second is not None:
        mixed += second * _SECOND
    mixed *= factor  # once more, so that a difference in any bit reaches the highest ones
    mixed >>= shift
    return mixed.view(np.int64)


def different_pairs(first: Words, second: Words) -> Ints:
    """The first row of each different pair, in the order of the rows."""
    order = np.lexsort((second, first))
    one, two = first[order], second[order]
    fresh = np.concatenate([[True], (one[1:] != one[:-1]) | (two[1:] != two[:-1])])
    return np.sort(np.minimum.reduceat(order, np.flatnonzero(fresh)))


class TextCodes:
    """Numbers for the texts of one column: String, or Categorical or Enum, whose own numbers are translated.

    `texts`: the text of each number; None stands for null.
    """

    def __init__(self) -> None:
        self.texts: list[str | None] = []
        self._code: dict[str | None, int] = {}
        self._words = WordCodes()
        self._of_word: Ints = np.zeros(0, np.int64)
        self._alike = True

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str | None) -> int:
        """The number of one text."""
        found = self._code.get(text)
        if found is None:
            found = self._code[text] = len(self.texts)
            self.texts.append(text)
        return found

    def codes(self, column: pl.Series) -> Codes:
        """The number of each row's text."""
        if not len(column):
            return np.zeros(0, np.int64)
        if column.dtype != pl.String:
            return self._physical(column)
        if not column.null_count():
            return self._views(column)
        if column.null_count() == len(column):
            return self.code(None)
        found = np.array(np.broadcast_to(self._views(column.fill_null("")), len(column)))
        found[column.is_null().to_numpy()] = self.code(None)
        return found

    def _views(self, column: pl.Series) -> Codes:
        parts: list[Codes] = []
        with text_views(column) as chunks:
            for words in chunks:
                if not len(words):
                    continue
                first, second = words[:, 0], words[:, 1]
                one = first[0] == first[-1] and (first == first[0]).all() and (second == second[0]).all()
                found = self._short(first[:1], second[:1]) if one else self._short(first, second)
                if found is None:
                    return self._long(column)
                parts.append(int(found[0]) if one else found)
        return (
            parts[0]
            if len(parts) == 1
            else np.concatenate(
                [
                    np.full(size, part) if isinstance(part, int) else part
                    for size, part in zip(_sizes(column), parts, strict=True)
                ]
            )
        )

    def _short(self, first: Words, second: Words) -> Ints | None:
        """Numbers by the texts' views; None when some text does not stand in its view."""
        place, unknown = self._words.find(first, second)
        if unknown.size:
            if (first[unknown] & _LENGTH > INLINE).any():
                return None
            new = unknown[different_pairs(first[unknown], second[unknown])]
            codes = [self.code(_text(int(one), int(two))) for one, two in zip(first[new], second[new], strict=True)]
            self._words.add(first[new], second[new])
            self._of_word = np.concatenate([self._of_word, np.array(codes, np.int64)])
            self._alike = bool((self._of_word == np.arange(len(self._of_word))).all())
            place, _ = self._words.find(first, second)
        return place if self._alike else self._of_word.take(place)

    def _long(self, column: pl.Series) -> Ints:
        texts = column.unique()
        codes = [self.code(text) for text in texts]
        return column.replace_strict(texts, codes, return_dtype=pl.Int64).to_numpy()

    def _physical(self, column: pl.Series) -> Codes:
        different = column.drop_nulls().unique()
        codes = [self.code(text) for text in different.cast(pl.String)]
        own, numbers = (part.to_physical().cast(pl.UInt32) for part in (column, different))
        # A null's number is the last one.
        none = int(str(numbers.max() or 0)) + 1
        table = np.zeros(none + 1, np.int64)
        table[numbers.to_numpy()] = codes
        if own.null_count():
            table[none] = self.code(None)
            own = own.fill_null(none)
        return table.take(own.to_numpy())


def _sizes(column: pl.Series) -> Sequence[int]:
    return [size for size in column.chunk_lengths() if size]


def _text(first: int, second: int) -> str:
    data = (first >> 32).to_bytes(4, "little") + second.to_bytes(8, "little")
    return data[: first & 0xFFFFFFFF].decode("utf-8")
