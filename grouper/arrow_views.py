"""Read a polars List(String) column as flat 16-byte string views and offsets, without copying a string.

A string view of at most 12 bytes holds its text itself; code books are almost entirely that short, so two
64-bit words are the whole code. The column is reached through the public Arrow C stream interface.
Source of the layout: Apache Arrow columnar format, "Variable-size Binary View Layout", C stream interface.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reference_tables.arrow_stream import INLINE, Array, arrow_arrays, memory, view_words

__all__ = ["INLINE", "Buffers", "Views", "list_views"]


class Buffers:
    """The texts longer than 12 bytes: uint8 arrays by number, made when asked for."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self._count = array.n_buffers - 3
        self._sizes = memory(array.buffers[array.n_buffers - 1], self._count, np.int64)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        assert 0 <= number < self._count
        return memory(self._array.buffers[2 + number], int(self._sizes[number]), np.uint8)


@dataclass(frozen=True)
class Views:
    """One chunk of a List(String) column.

    `offsets` int64 [rows + 1], starting at 0; `words` uint64 [items, 2]: the views, so that the low half of
    `words[:, 0]` is the length in bytes; `buffers` hold the texts longer than 12 bytes; `nulls` says whether
    some item may be null. Valid only inside the context that gave it.
    """

    offsets: NDArray[np.int64]
    words: NDArray[np.uint64]
    buffers: Buffers
    nulls: bool


def _chunk(array: Array) -> Views:
    rows, start = array.length, array.offset
    raw = memory(array.buffers[1], start + rows + 1, np.int64)[start:]
    child = array.children[0].contents
    first, last = (int(raw[0]), int(raw[-1])) if rows else (0, 0)
    words = view_words(child, first, last)
    offsets = raw - first if rows else np.zeros(1, np.int64)
    return Views(offsets, words, Buffers(child), child.null_count != 0)


@contextmanager
def list_views(column: pl.Series) -> Iterator[Iterator[Views]]:
    """The chunks of a List(String) column without nulls, in order.

    Raises TypeError when the column is not List(String) or polars exports another layout.
    """
    if column.dtype != pl.List(pl.String):
        raise TypeError(f"expected List(String), got {column.dtype}")
    with arrow_arrays(column, b"+L", b"vu") as arrays:
        yield (_chunk(array) for array in arrays)
