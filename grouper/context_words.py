"""Filling the context words of cases from tables by code: the steps that every kind of scheme shares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grouper.encode import CodeLists
from grouper.term_tables import WORD, Words, bit_mask


def or_table(words: Words, table: Words, places: NDArray[Any]) -> None:
    """Add to each case (uint64 [W, cases]) the bits of one column of `table` (uint64 [W, entries]). In place."""
    for at in range(len(words)):
        if table[at].any():
            words[at] |= table[at].take(places)


def or_others(words: Words, table: Words, flags: NDArray[np.bool_], lists: CodeLists) -> None:
    """Add to each case the bits of all its other codes; `flags` bool [ids]: codes that have any. In place."""
    places = other_places(lists, flags)
    if not places.size:
        return
    rows, starts = runs(lists.row_of(places))
    codes = lists.flat[places]
    for at in range(len(words)):
        words[at, rows] |= np.bitwise_or.reduceat(table[at].take(codes), starts)


def set_bit(words: Words, bit: int, true: NDArray[np.bool_]) -> None:
    """Set one context bit where `true` (bool [cases]). In place."""
    words[bit // WORD] |= true * bit_mask(bit)


def other_places(lists: CodeLists, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places in `lists.flat` of other codes that carry a flag, ascending."""
    flagged = flags.take(lists.flat)
    flagged[lists.principal_positions] = False
    return np.flatnonzero(flagged)


def runs(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending rows with repeats -> the different rows and where each run starts."""
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    return rows[starts], starts
