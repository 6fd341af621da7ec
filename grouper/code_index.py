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

from grouper.arrow_views import INLINE, Buffers, Views, list_views
from reference_tables.codes import fold

NONE, UNKNOWN, FIRST = 0, 1, 2
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))
_LENGTH = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MISS = np.int32(-1)
_UPPER_X, _LOWER_X = ord("X"), ord("x")

Ids = NDArray[np.unsignedinteger[Any]]
Words = NDArray[np.uint64]


class _Table:
    """Open addressing from keys of a fixed number of 64-bit words to ids; a miss is -1."""

    def __init__(self, keys: Words, values: NDArray[np.int32]) -> None:
        bits = max(4, (2 * len(keys)).bit_length())
        self._shift = np.uint64(64 - bits)
        self._slots = np.zeros((1 << bits) + 64, np.int32)
        # Key 0 is a sentinel that no text equals: no text has so great a length.
        sentinel = np.full((1, keys.shape[1]), _LENGTH, np.uint64)
        self._keys = np.ascontiguousarray(np.concatenate([sentinel, keys]).T)
        self._values = np.concatenate([np.array([_MISS]), values]).astype(np.int32)
        for at, slot in enumerate(self._slot(keys.T).tolist(), start=1):
            while self._slots[slot]:
                slot += 1
            self._slots[slot] = at

    def _slot(self, words: Words) -> NDArray[np.int64]:
        mixed = words[0] * _MIX[0]
        for word in words[1:]:
            mixed ^= word
            mixed *= _MIX[1]
        mixed ^= mixed >> _HALF
        mixed *= _MIX[0]
        mixed >>= self._shift
        return np.asarray(mixed.view(np.int64))

    def find(self, words: Words) -> NDArray[np.int32]:
        """Ids of the keys `words` (uint64 [words of a key, n])."""
        slot = self._slot(words)
        key = self._slots.take(slot)
        found = self._values.take(key)
        open_ = np.flatnonzero(self._differs(key, words))
        found[open_] = _MISS
        open_ = open_[key[open_] != 0]
        while open_.size:
            slot[open_] += 1
            key = self._slots[slot[open_]]
            differs = self._differs(key, words[:, open_])
            found[open_[~differs]] = self._values[key[~differs]]
            open_ = open_[differs & (key != 0)]
        return found

    def _differs(self, key: NDArray[np.int32], words: Words) -> NDArray[np.bool_]:
        differs: NDArray[np.bool_] = self._keys[0].take(key) != words[0]
        for at in range(1, len(words)):
            differs |= self._keys[at].take(key) != words[at]
        return differs


class CodeIndex:
    """An immutable dictionary code -> id for one kind of code (diagnosis, procedure, discharge way, department).

    `spelling` is the Series of official spellings by id (ids 0 and 1 are null); `dtype` is uint16 when all
    ids fit, else uint32.
    """

    def __init__(self, codes: Iterable[str], book: Iterable[str] = ()) -> None:
        """`book` are the official spellings, which win over how a pack spells the same code."""
        official = {fold(code): code for code in book}
        spelling: dict[str, str] = {}
        for code in sorted({*codes, *official.values()}):
            if code:
                spelling.setdefault(fold(code), official.get(fold(code), code))
        self.by_fold: dict[str, int] = {key: FIRST + at for at, key in enumerate(spelling)}
        self.spelling = pl.Series("code", [None, None, *spelling.values()], dtype=pl.String)
        self.size = FIRST + len(spelling)
        self.dtype: type[np.uint16] | type[np.uint32] = np.uint16 if self.size <= 1 << 16 else np.uint32
        keys = {"": NONE, **self.by_fold}
        for key, code in spelling.items():
            keys.setdefault(code, self.by_fold[key])
        self._build(keys)

    def id_of(self, code: str | None) -> int:
        """The id of one code as given."""
        if not code:
            return NONE
        return self.by_fold.get(fold(code), UNKNOWN)

    def ids(self, codes: Iterable[str]) -> NDArray[np.int64]:
        """Ids of some codes (an unknown one gives 1), for building tables."""
        return self.encode_column(pl.Series(list(codes), dtype=pl.String)).astype(np.int64)

    def _build(self, keys: dict[str, int]) -> None:
        raw = [(key.encode(), value) for key, value in keys.items()]
        short = [(key, value) for key, value in raw if len(key) <= INLINE]
        long = [(key, value) for key, value in raw if len(key) > INLINE]
        self._short = _Table(_packed([key for key, _ in short], INLINE, 4), _values(short))
        width = max((len(key) for key, _ in long), default=INLINE)
        self._long_words = -(-width // 8)
        self._long = _Table(_packed([key for key, _ in long], 8 * self._long_words, 8), _values(long))

    def _long_keys(self, views: Words, buffers: Buffers) -> Words:
        """Keys (length, text in 8-byte words) of texts longer than 12 bytes; too long ones get a key of no code."""
        length = (views[:, 0] & _LENGTH).astype(np.int64)
        which = views[:, 1] & _LENGTH
        start = (views[:, 1] >> _HALF).astype(np.int64)
        keys = np.zeros((1 + self._long_words, len(views)), np.uint64)
        keys[0] = length
        width = 8 * self._long_words
        rows = np.flatnonzero(length <= width)
        rows = rows[np.argsort(which[rows], kind="stable")]
        ends = np.flatnonzero(np.diff(which[rows], append=_LENGTH))
        for segment in np.split(rows, ends[:-1] + 1) if rows.size else ():
            buffer = buffers[int(which[segment[0]])]
            if start[segment].max() + width > len(buffer):
                buffer = np.concatenate([buffer, np.zeros(width, np.uint8)])
            # A view that starts a 64-bit word at every byte, so that a word is one gather.
            anywhere = np.ndarray((len(buffer) - 7,), "<u8", buffer, strides=(1,))
            for word in range(self._long_words):
                inside = np.clip(length[segment] - 8 * word, 0, 8)
                keys[1 + word, segment] = anywhere[start[segment] + 8 * word] & _KEEP[inside]
        return keys

    def _encode(self, views: Views) -> NDArray[np.int32]:
        words = views.words.T
        found = self._short.find(words)
        missed = np.flatnonzero(found == _MISS)
        if missed.size:
            rest = words[:, missed]
            inline = (rest[0] & _LENGTH) <= INLINE
            found[missed[inline]] = _folded(self._short, rest[:, inline], 4)
            keys = self._long_keys(rest[:, ~inline].T, views.buffers)
            first = self._long.find(keys)
            again = np.flatnonzero(first == _MISS)
            first[again] = _folded(self._long, keys[:, again], 8)
            found[missed[~inline]] = first
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
        return self.encode_lists(column.fill_null("").implode())[0]


_KEEP = np.array([(1 << (8 * count)) - 1 for count in range(9)], np.uint64)


def _packed(keys: list[bytes], width: int, length_bytes: int) -> Words:
    """uint64 [keys, words]: the length in `length_bytes`, then the text filled up with zeros to `width`."""
    packed = b"".join(len(key).to_bytes(length_bytes, "little") + key.ljust(width, b"\0") for key in keys)
    return np.frombuffer(packed, "<u8").astype(np.uint64).reshape(-1, (width + length_bytes) // 8)


def _values(pairs: list[tuple[bytes, int]]) -> NDArray[np.int32]:
    return np.array([value for _, value in pairs], np.int32)


def _folded(table: _Table, words: Words, length_bytes: int) -> NDArray[np.int32]:
    """A second look with X folded to x in the text; UNKNOWN where that misses too."""
    folded = np.ascontiguousarray(words.T)
    text = folded.view(np.uint8).reshape(folded.shape[0], 8 * folded.shape[1])[:, length_bytes:]
    text[text == _UPPER_X] = _LOWER_X
    found = table.find(np.ascontiguousarray(folded.T))
    return np.where(found == _MISS, UNKNOWN, found).astype(np.int32)
