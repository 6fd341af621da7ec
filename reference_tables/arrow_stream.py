"""Reach the memory of a polars column through the public Arrow C stream interface, without copying a text.

A string view of at most 12 bytes holds its text itself: two 64-bit words are the whole code. Source of the layout:
Apache Arrow columnar format, "Variable-size Binary View Layout", C data interface, C stream interface.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

INLINE = 12
"""Texts of at most so many bytes stand in their view."""


class Schema(ctypes.Structure):
    """struct ArrowSchema."""


class Array(ctypes.Structure):
    """struct ArrowArray."""


class _Stream(ctypes.Structure):
    pass


_Release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Schema._fields_ = [
    ("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64), ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(Schema))), ("dictionary", ctypes.c_void_p),
    ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip
Array._fields_ = [
    ("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64), ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.POINTER(ctypes.POINTER(Array))),
    ("dictionary", ctypes.c_void_p), ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip
_Stream._fields_ = [
    ("get_schema", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Schema))),
    ("get_next", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(Array))),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)),
    ("release", _Release), ("private_data", ctypes.c_void_p),
]  # fmt: skip

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


def memory(address: int | None, count: int, dtype: Any) -> NDArray[Any]:
    """`count` values at an address as an array that owns nothing."""
    if not address or count == 0:
        return np.zeros(0, dtype)
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype=dtype)


def view_words(array: Array, first: int, last: int) -> NDArray[np.uint64]:
    """uint64 [last - first, 2]: the views of the texts from `first` to `last` of a string view array. The low half of
    the first word is the length in bytes."""
    words = memory(array.buffers[1], 2 * (array.offset + last), np.uint64).reshape(-1, 2)
    return words[array.offset + first :]


@contextmanager
def arrow_arrays(column: pl.Series, *layout: bytes) -> Iterator[Iterator[Array]]:
    """The chunks of a column, in order, valid inside the context only.

    `layout`: the Arrow format expected of the column and, when it is a list, of its items. Raises TypeError when polars
    exports another one.
    """
    capsule = column.__arrow_c_stream__()
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
    address = ctypes.addressof(stream)
    schema = Schema()
    if stream.get_schema(address, ctypes.byref(schema)):
        raise TypeError("the column cannot be exported as Arrow")
    found = (schema.format, *(schema.children[at].contents.format for at in range(schema.n_children)))
    schema.release(ctypes.addressof(schema))
    if found != layout:
        raise TypeError(f"unexpected Arrow layout {found!r}")
    taken: list[Array] = []

    def chunks() -> Iterator[Array]:
        while True:
            array = Array()
            if stream.get_next(address, ctypes.byref(array)):
                raise RuntimeError("reading the Arrow stream failed")
            if not array.release:
                return
            taken.append(array)
            yield array

    try:
        yield chunks()
    finally:
        for array in taken:
            array.release(ctypes.addressof(array))


@contextmanager
def text_views(column: pl.Series) -> Iterator[Iterator[NDArray[np.uint64]]]:
    """The views of a String column chunk by chunk, uint64 [rows, 2]; the view of a null says nothing.

    Valid inside the context only. Raises TypeError when polars exports another layout.
    """
    with arrow_arrays(column, b"vu") as arrays:
        yield (view_words(array, 0, array.length) for array in arrays)
