"""Codes as small integers: 0 for no code, 1 for a code nobody knows, 2 and up for known codes in sorted order.

Codes are compared whole, as the code book writes them, with `X` folded to `x`; nothing is truncated and
nothing is guessed (pack model, "Codes are compared whole").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.arrow_views import INLINE, Views, list_views
from reference_tables.codes import fold

NONE, UNKNOWN, FIRST = 0, 1, 2
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0xD6E8FEB86659FD93))
_LENGTH = np.uint64(0xFFFFFFFF)
_MISS = np.int32(-1)
_UPPER_X, _LOWER_X = ord("X"), ord("x")

Ids = NDArray[np.unsignedinteger[Any]]


class CodeIndex:
    """An immutable dictionary code -> id for one kind of code (diagnosis, procedure, discharge way, department).

    `spelling` is the Series of official spellings by id (ids 0 and 1 are empty); `dtype` is uint16 when all
    ids fit, else uint32.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        spelling: dict[str, str] = {}
        for code in sorted(codes):
            if code:
                spelling.setdefault(fold(code), code)
        self.by_fold: dict[str, int] = {key: FIRST + at for at, key in enumerate(spelling)}
        self.spelling = pl.Series("code", ["", "", *spelling.values()], dtype=pl.String)
        self.size = FIRST + len(spelling)
        self.dtype: type[np.uint16] | type[np.uint32] = np.uint16 if self.size <= 1 << 16 else np.uint32
        keys = {"": NONE, **self.by_fold}
        for key, official in spelling.items():
            keys.setdefault(official, self.by_fold[key])
        self._build(keys)

    def id_of(self, code: str | None) -> int:
        """The id of one code as given."""
        if not code:
            return NONE
        return self.by_fold.get(fold(code), UNKNOWN)

    def ids(self, codes: Iterable[str]) -> NDArray[np.int64]:
        """Ids of many known codes (an unknown one gives 1), for building tables."""
        return np.array([self.id_of(code) for code in codes], dtype=np.int64)

    def _build(self, keys: dict[str, int]) -> None:
        raw = {key.encode(): value for key, value in keys.items()}
        short = [(key, value) for key, value in raw.items() if len(key) <= INLINE]
        packed = b"".join(len(key).to_bytes(4, "little") + key.ljust(INLINE, b"\0") for key, _ in short)
        words = np.frombuffer(packed, np.uint64).reshape(-1, 2)
        bits = max(4, (2 * len(short)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._slots = np.zeros((1 << bits) + 64, np.int32)
        # Key 0 is a sentinel that no view equals (a length that no inline text has).
        sentinel = np.array([[_LENGTH, 0]], np.uint64)
        self._keys = np.ascontiguousarray(np.concatenate([sentinel, words]).T)
        self._values = np.array([_MISS, *(value for _, value in short)], np.int32)
        for at, slot in enumerate(self._slot(words).tolist(), start=1):
            while self._slots[slot]:
                slot += 1
            self._slots[slot] = at
        long = sorted((key, value) for key, value in raw.items() if len(key) > INLINE)
        self._long_width = max((len(key) for key, _ in long), default=INLINE) + 1
        self._long_keys = np.array([key for key, _ in long], dtype=f"S{self._long_width}")
        self._long_values = np.array([value for _, value in long], np.int32)

    def _slot(self, words: NDArray[np.uint64]) -> NDArray[np.int64]:
        mixed = words[:, 0] * _MIX[0]
        mixed ^= words[:, 1] * _MIX[1]
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX[2]
        return (mixed >> self._shift).astype(np.int64)

    def _find(self, words: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Ids of inline views, -1 where the table has no such key."""
        slot = self._slot(words)
        key = self._slots.take(slot)
        found = self._values.take(key)
        wrong = self._keys[0].take(key) != words[:, 0]
        wrong |= self._keys[1].take(key) != words[:, 1]
        open_ = np.flatnonzero(wrong)
        while open_.size:
            found[open_] = _MISS
            open_ = open_[key[open_] != 0]
            slot[open_] += 1
            key[open_] = self._slots[slot[open_]]
            wrong_here = (self._keys[0][key[open_]] != words[open_, 0]) | (self._keys[1][key[open_]] != words[open_, 1])
            right = open_[~wrong_here]
            found[right] = self._values[key[right]]
            open_ = open_[wrong_here]
        return found

    def _find_long(self, words: NDArray[np.uint64], buffers: tuple[NDArray[np.uint8], ...]) -> NDArray[np.int32]:
        """Ids of texts longer than 12 bytes, folded; 1 where unknown."""
        found = np.full(len(words), UNKNOWN, np.int32)
        length = (words[:, 0] & _LENGTH).astype(np.int64)
        which = (words[:, 1] & _LENGTH).astype(np.int64)
        start = (words[:, 1] >> np.uint64(32)).astype(np.int64)
        if not len(self._long_keys):
            return found
        for at, buffer in enumerate(buffers):
            rows = np.flatnonzero((which == at) & (length < self._long_width))
            if not rows.size:
                continue
            place = np.arange(self._long_width)
            inside = place < length[rows, None]
            taken = buffer[np.where(inside, start[rows, None] + place, 0)]
            taken = np.where(inside, taken, 0).astype(np.uint8)
            taken[taken == _UPPER_X] = _LOWER_X
            text = np.ascontiguousarray(taken).view(f"S{self._long_width}").ravel()
            near = np.minimum(np.searchsorted(self._long_keys, text), len(self._long_keys) - 1)
            same = (self._long_keys[near] == text) & (np.char.str_len(self._long_keys[near]) == length[rows])
            found[rows[same]] = self._long_values[near[same]]
        return found

    def _encode(self, views: Views) -> NDArray[np.int32]:
        words = views.words
        found = self._find(words)
        missed = np.flatnonzero(found == _MISS)
        if missed.size:
            rest = words[missed]
            inline = (rest[:, 0] & _LENGTH) <= INLINE
            short = missed[inline]
            folded = np.ascontiguousarray(words[short])
            text = folded.view(np.uint8).reshape(-1, 16)[:, 4:]
            text[text == _UPPER_X] = _LOWER_X
            second = self._find(folded)
            found[short] = np.where(second == _MISS, UNKNOWN, second)
            found[missed[~inline]] = self._find_long(rest[~inline], views.buffers)
        return found

    def encode_lists(self, column: pl.Series) -> tuple[Ids, NDArray[np.int64]]:
        """Encode a List(String) column.

        Returns flat ids (`dtype`) and int64 offsets [rows + 1]; a null list is empty, a null or blank item is 0.
        """
        if column.null_count():
            column = column.fill_null([])
        ids: list[NDArray[np.int32]] = []
        offsets: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
        total = 0
        with list_views(column) as chunks:
            for views in chunks:
                if views.nulls:
                    return self.encode_lists(column.list.eval(pl.element().fill_null("")))
                ids.append(self._encode(views))
                offsets.append(views.offsets[1:] + total)
                total += int(views.offsets[-1])
        flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
        return flat.astype(self.dtype), np.concatenate(offsets)

    def encode_column(self, column: pl.Series) -> Ids:
        """Encode a String column (one code a row), null as 0."""
        return self.encode_lists(column.fill_null("").reshape((-1, 1)).cast(pl.List(pl.String)))[0]
