"""The kernel for layers of core groups: the first true term of a case, and how many rows of its layer fit.

The first term alone is not enough here: a person wants to know whether the order of precedence had to decide. So a
program goes on to the end of the layer of its first true term, and what it gives is an outcome: that term and the
number of rows.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from grouper.dip.axis import spans
from grouper.kernel import NO_PATH, Evaluator, Kernel
from grouper.term_tables import WORD, TermMasks, TermTables, Words

_COUNT_BITS = 32
_PAIRS_AT_ONCE = 1 << 16


class Outcomes:
    """Numbers for (term, rows that fit) as they turn up; `term`, `rows_fit` int32 by number. What number a pair gets
    depends on the order of cases, what it stands for does not."""

    def __init__(self) -> None:
        self.term = np.zeros(0, np.int32)
        self.rows_fit = np.zeros(0, np.int32)
        self._known: dict[int, int] = {}
        self._lock = threading.Lock()

    def numbers(self, term: NDArray[np.int64], rows_fit: NDArray[np.int64]) -> NDArray[np.int32]:
        """The number of each pair, int32."""
        pairs, inverse = np.unique(term << _COUNT_BITS | rows_fit, return_inverse=True)
        with self._lock:
            fresh = [pair for pair in pairs.tolist() if pair not in self._known]
            for pair in fresh:
                self._known[pair] = len(self._known)
            more = np.array(fresh, np.int64)
            self.term = np.append(self.term, (more >> _COUNT_BITS).astype(np.int32))
            self.rows_fit = np.append(self.rows_fit, (more & ((1 << _COUNT_BITS) - 1)).astype(np.int32))
            numbers = np.array([self._known[pair] for pair in pairs.tolist()], np.int32)
        return np.asarray(numbers[inverse.ravel()])


class LayerEvaluator(Evaluator):
    """Answers programs with outcomes: `term_path` of the first true term, and how many rows of its layer fit.

    `row` int32 [T]: the row of each term, -1 for a term that only says what the record lacks; `layer` int32 [T],
    ascending.
    """

    def __init__(self, terms: TermMasks, row: NDArray[np.int32], layer: NDArray[np.int32], outcomes: Outcomes) -> None:
        super().__init__(terms)
        self.row = row
        self.layer = layer
        self.outcomes = outcomes

    def _evaluate(self, program: NDArray[np.int32], keys: Words) -> NDArray[np.int32]:
        """The outcome of each program in its context, NO_PATH when no term is true."""
        table = self.programs
        first = np.full(len(program), NO_PATH, np.int64)
        layer = np.full(len(program), NO_PATH, np.int32)
        fitting: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        at, end = table.start[program], table.start[program + 1]
        rows = np.flatnonzero(at < end)
        at, end = at[rows], end[rows]
        width = int(self.row.max(initial=0)) + 1
        while rows.size:
            term = table.steps[at]
            met = self.meets(term, keys, rows)
            fresh = met & (layer[rows] == NO_PATH)
            first[rows[fresh]] = self.terms.term_path[term[fresh]]
            layer[rows[fresh]] = self.layer[term[fresh]]
            known = met & (self.row[term] >= 0)
            fitting.append(rows[known] * width + self.row[term[known]])
            at = at + 1
            going = at < end
            of_row = layer[rows[going]]
            going[going] = (of_row == NO_PATH) | (of_row == self.layer[table.steps[at[going]]])
            rows, at, end = rows[going], at[going], end[going]
        # A row of several terms counts once.
        rows_fit = np.bincount(np.unique(np.concatenate(fitting)) // width, minlength=len(program))
        found = np.full(len(program), NO_PATH, np.int32)
        some = first != NO_PATH
        found[some] = self.outcomes.numbers(first[some], rows_fit[some])
        return found


class LayerKernel(LayerEvaluator, Kernel):
    """A kernel whose answers are outcomes. A pair of classes allows few of very many terms, so programs are put
    together from the words of term bits that are not empty."""

    def __init__(self, terms: TermTables, row: NDArray[np.int32], layer: NDArray[np.int32], outcomes: Outcomes) -> None:
        super().__init__(terms, row, layer, outcomes)
        owner, self._word = np.nonzero(terms.dx_terms)
        self._bits = terms.dx_terms[owner, self._word]
        self._start = np.searchsorted(owner, np.arange(self.dx_classes + 1))
        # Where the layer of each term ends: no case comes to a later layer than that of a term that asks nothing.
        self._layer_end = np.searchsorted(layer, layer, side="right")

    def _add_pairs(self, pairs: NDArray[np.int64]) -> None:
        for at in range(0, len(pairs), _PAIRS_AT_ONCE):
            block = pairs[at : at + _PAIRS_AT_ONCE]
            owner, word, bits = self._cut_words(*self._allowed(block), len(block))
            with self._lock:
                self.pairs[block] = self._numbers(owner, word, bits, len(block)) + 1

    def _allowed(self, pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], Words]:
        """(pair, word, bits) of the terms that each pair of classes allows, ascending."""
        of_dx, of_px = np.divmod(pairs, self.px_classes)
        starts = self._start[of_dx]
        lengths = self._start[of_dx + 1] - starts
        places = spans(starts, lengths)
        owner = np.repeat(np.arange(len(pairs)), lengths)
        word = self._word[places]
        bits = self._bits[places] & self.tables.px_terms[of_px[owner], word]
        some = bits != 0
        return owner[some], word[some], bits[some]

    def _cut_words(
        self, owner: NDArray[np.int64], word: NDArray[np.int64], bits: Words, size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Words]:
        """The same without the terms that no case comes to."""
        free = bits & self.tables.free[word]
        places = np.flatnonzero(free)
        places = places[np.diff(owner[places], prepend=-1) != 0]
        lowest = free[places] & (~free[places] + np.uint64(1))
        term = word[places] * WORD + np.bitwise_count(lowest - np.uint64(1))
        limit = np.full(size, len(self._layer_end), np.int64)
        limit[owner[places]] = self._layer_end[term]
        left = np.clip(limit[owner] - word * WORD, 0, WORD).astype(np.uint64)
        bits = np.where(left == WORD, bits, bits & ((np.uint64(1) << (left % np.uint64(WORD))) - np.uint64(1)))
        some = bits != 0
        return owner[some], word[some], bits[some]

    def _numbers(self, owner: NDArray[np.int64], word: NDArray[np.int64], bits: Words, size: int) -> NDArray[np.int32]:
        """The program of each pair, adding those not known: int32 [pairs]."""
        numbers = np.zeros(size, np.int32)
        count = np.bincount(owner, minlength=size)
        starts = np.cumsum(count) - count
        entries = np.stack([word.astype(np.uint64), bits], axis=1)
        fresh: list[NDArray[np.uint64]] = []
        for length in np.unique(count).tolist():
            chosen = np.flatnonzero(count == length)
            if length == 0:
                numbers[chosen] = self._number(b"", entries[:0], fresh)
                continue
            programs = entries[starts[chosen][:, None] + np.arange(length)]
            flat = programs.reshape(len(chosen), -1).view([("", np.void, length * 16)]).ravel()
            different, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
            known = [
                self._number(key.tobytes(), program, fresh)
                for key, program in zip(different, programs[first], strict=True)
            ]
            numbers[chosen] = np.array(known, np.int32)[inverse.ravel()]
        if fresh:
            self._append(fresh)
        return numbers

    def _number(self, key: bytes, program: NDArray[np.uint64], fresh: list[NDArray[np.uint64]]) -> int:
        if key not in self._known:
            self._known[key] = len(self._known)
            fresh.append(program)
        return self._known[key]

    def _append(self, fresh: list[NDArray[np.uint64]]) -> None:
        owner = np.repeat(np.arange(len(fresh)), [len(program) for program in fresh])
        word, bits = np.concatenate(fresh).T
        inside = np.unpackbits(np.ascontiguousarray(bits)[:, None].view(np.uint8), axis=1, bitorder="little")
        entry, place = np.nonzero(inside)
        steps = word[entry].astype(np.int64) * WORD + place
        self.add_programs(np.bincount(owner[entry], minlength=len(fresh)), steps.astype(np.int32))
