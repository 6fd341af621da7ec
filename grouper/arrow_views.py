"""Read a polars List(String) column as flat 16-byte string views and offsets, without copying a string.

A string view of at most 12 bytes holds its text itself; code books are almost entirely that short, so two
64-bit words are the whole code. The column is reached through the public Arrow C stream interface.
Source of the layout: Apache Arrow columnar format, "Variable-size Binary View Layout", C stream interface.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

INLINE = 12


class _Schema(ctypes.Structure):
    pass


class _Array(ctypes.Structure):
    pass


class _Stream(ctypes.Structure):
    pass


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_Schema._fields_ = [
    ("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64), ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))), ("dictionary", ctypes.c_void_p),
    ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip
_Array._fields_ = [
    ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64), ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.c_void_p), ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
    ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Buffers:
    """The texts longer than 12 bytes: uint8 arrays by number, made when asked for."""

    def __init__(self, array: _Array) -> None:
        self._array = array
        self._count = array.n_buffers - 3
        self._sizes = _view(array.buffers[array.n_buffers - 1], self._count, np.int64)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        assert 0 <= number < self._count
        return _view(self._array.buffers[2 + number], int(self._sizes[number]), np.uint8)


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


def _view(address: int | None, count: int, dtype: Any) -> NDArray[Any]:
    if not address or count == 0:
        return np.zeros(0, dtype)
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype=dtype)


def _chunk(array: _Array) -> Views:
    rows, start = array.length, array.offset
    raw = _view(array.buffers[1], start + rows + 1, np.int64)[start:]
    child = array.children[0].contents
    first, last = (int(raw[0]), int(raw[-1])) if rows else (0, 0)
    words = _view(child.buffers[1], 2 * (child.offset + last), np.uint64).reshape(-1, 2)
    words = words[child.offset + first : child.offset + last]
    offsets = raw - first if rows else np.zeros(1, np.int64)
    return Views(offsets, words, Buffers(child), child.null_count != 0)


@contextmanager
def list_views(column: pl.Series) -> Iterator[Iterator[Views]]:
    """The chunks of a List(String) column without nulls, in order.

    Raises TypeError when the column is not List(String) or polars exports another layout.
    """
    if column.dtype != pl.List(pl.String):
        raise TypeError(f"expected List(String), got {column.dtype}")
    capsule = column.__arrow_c_stream__()
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
    address = ctypes.addressof(stream)
    schema = _Schema()
    if stream.get_schema(address, ctypes.byref(schema)):
        raise TypeError("the column cannot be exported as Arrow")
    layout = (schema.format, schema.children[0].contents.format)
    schema.release(ctypes.addressof(schema))
    if layout != (b"+L", b"vu"):
        raise TypeError(f"unexpected Arrow layout {layout!r}")
    taken: list[_Array] = []

    def chunks() -> Iterator[Views]:
        while True:
            array = _Array()
            if stream.get_next(address, ctypes.byref(array)):
                raise RuntimeError("reading the Arrow stream failed")
            if not array.release:
                return
            taken.append(array)
            yield _chunk(array)

    try:
        yield chunks()
    finally:
        for array in taken:
            array.release(ctypes.addressof(array))
