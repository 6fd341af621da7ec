"""Ordered terms as tables of bits: what the kernel evaluates, whatever kind of scheme they were made from.

A term is a conjunction of a set of principal diagnoses, a set of principal procedures and some bits of a case's
context. Codes that no term tells apart share a class.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WORD = 64
Words = NDArray[np.uint64]


class TermMasks(Protocol):
    """What T terms ask of a context of W words: `required`, `forbidden` uint64 [T, W] the bits a term needs and those
    it must not have; `term_path` int32 [T] what a term leads to."""

    @property
    def required(self) -> Words: ...
    @property
    def forbidden(self) -> Words: ...
    @property
    def term_path(self) -> NDArray[np.int32]: ...
    @property
    def words(self) -> int:
        """W, how many 64-bit words a case's context takes."""


class TermTables(TermMasks, Protocol):
    """The same with what terms ask of the principal codes; D diagnosis classes, Q procedure classes, N words over
    terms: `dx_terms` uint64 [D, N] and `px_terms` [Q, N] say which terms a class allows, `free` uint64 [N] marks
    terms that ask nothing of the context."""

    @property
    def dx_terms(self) -> Words: ...
    @property
    def px_terms(self) -> Words: ...
    @property
    def free(self) -> Words: ...


def context_masks(
    terms: Sequence[Iterable[tuple[Hashable, bool]]], conditions: Iterable[Hashable]
) -> tuple[Words, Words]:
    """Required and forbidden context bits of each term: uint64 [terms, W] each.

    A term is its (condition, sign) pairs; bit b stands for `conditions[b]`, a condition not listed has no bit.
    """
    bit_of = {condition: at for at, condition in enumerate(conditions)}
    words = max(1, -(-len(bit_of) // WORD))
    masks = np.zeros((2, len(terms), words), np.uint64)
    for at, term in enumerate(terms):
        for condition, sign in term:
            bit = bit_of.get(condition)
            if bit is not None:
                masks[0 if sign else 1, at, bit // WORD] |= bit_mask(bit)
    return masks[0], masks[1]


def bit_mask(bit: int) -> np.uint64:
    """The mask of a context bit within its word."""
    return np.uint64(1 << (bit % WORD))


def pack_bits(table: NDArray[np.bool_]) -> Words:
    """bool [rows, bits] -> uint64 [rows, words], bit b of a row in word b // 64 at place b % 64."""
    rows, bits = table.shape
    padded = np.zeros((rows, -(-max(1, bits) // WORD) * WORD), np.bool_)
    padded[:, :bits] = table
    packed = np.packbits(padded, axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u8").reshape(rows, -1).astype(np.uint64, copy=False)
