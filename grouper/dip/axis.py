"""Classes of codes that no condition tells apart, and which terms each class allows, built from sparse lists."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from grouper.term_tables import WORD, Words

ANY = -1


class Axis:
    """The principal codes of one kind, sorted into classes by the conditions that hold them.

    `of_id` int32 [ids]: the class of each code; class 0 is held by no condition. Condition c holds the classes
    `classes[start[c]:start[c + 1]]`.
    """

    def __init__(self, size: int, held: Sequence[NDArray[np.int64]]) -> None:
        """`size`: how many ids there are; `held`: for each condition the ids that it holds, each once."""
        lengths = np.array([len(ids) for ids in held], np.int64)
        ids = np.concatenate([np.zeros(0, np.int64), *held])
        conditions = np.repeat(np.arange(len(held), dtype=np.int32), lengths)
        order = np.lexsort((conditions, ids))
        ids, conditions = ids[order], conditions[order]
        different, starts, counts = np.unique(ids, return_index=True, return_counts=True)
        number: dict[bytes, int] = {b"": 0}
        raw = conditions.tobytes()
        width = conditions.itemsize
        self.of_id = np.zeros(size, np.int32)
        self.of_id[different] = [
            number.setdefault(raw[start * width : (start + count) * width], len(number))
            for start, count in zip(starts.tolist(), counts.tolist(), strict=True)
        ]
        self.size = len(number)
        members = [np.frombuffer(key, conditions.dtype) for key in number]
        of_class = np.repeat(np.arange(self.size), [len(found) for found in members])
        holding = np.concatenate(members)
        by_condition = np.argsort(holding, kind="stable")
        self.classes = of_class[by_condition]
        self.start = np.concatenate([[0], np.cumsum(np.bincount(holding, minlength=len(held)))])

    def pairs(self, asked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(term, class) of every class that a term allows; `asked` int64 [terms]: each term's condition or ANY."""
        chosen = np.flatnonzero(asked != ANY)
        starts = self.start[asked[chosen]]
        lengths = self.start[asked[chosen] + 1] - starts
        some = spans(starts, lengths)
        free = np.flatnonzero(asked == ANY)
        terms = np.concatenate([np.repeat(chosen, lengths), np.repeat(free, self.size)])
        return terms, np.concatenate([self.classes[some], np.tile(np.arange(self.size), len(free))])

    def term_bits(self, asked: NDArray[np.int64]) -> Words:
        """uint64 [classes, words over terms]: which terms each class allows."""
        table = np.zeros((self.size, max(1, -(-len(asked) // WORD))), np.uint64)
        terms, classes = self.pairs(asked)
        bits = np.uint64(1) << (terms % WORD).astype(np.uint64)
        np.bitwise_or.at(table, (classes, terms // WORD), bits)
        return table


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of several spans one after the other: start, start + 1, … for each."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)
