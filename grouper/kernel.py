"""The hot loop: principal classes and context words -> path, by whole columns.

Two exact look-ups a case. (diagnosis class, procedure class) gives a program: the ordered terms those two
classes allow, cut after the first that asks nothing more. (program, the context bits that program reads)
gives the path. Both tables are filled the first time a combination is seen, by evaluating the terms
themselves; they are caches of a pure function, so what they hold never changes an answer.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grouper.term_tables import TermMasks, TermTables

NO_PATH = -1
_MIX = np.uint64(0x9E3779B97F4A7C15)
_MIX2 = np.uint64(0xD6E8FEB86659FD93)
_FULL = 1 << 21  # entries after which the answers' cache starts anew: bounds memory, not results


@dataclass(frozen=True)
class _Programs:
    """`reads` uint64 [W, P]: context bits a program looks at; its terms are `steps[start[p]:start[p + 1]]`."""

    reads: NDArray[np.uint64]
    start: NDArray[np.int64]
    steps: NDArray[np.int32]


class _Answers:
    """An open-addressing table (program, masked context) -> path; a new one replaces the old, readers never wait."""

    def __init__(self, words: int, bits: int) -> None:
        self.bits = bits
        self.shift = np.uint64(64 - bits)
        self.count = 0
        size = (1 << bits) + 1024
        self.programs = np.full(size, -1, np.int32)
        self.keys = np.zeros((words, size), np.uint64)
        self.paths = np.full(size, NO_PATH, np.int32)

    def slot(self, programs: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        mixed = (programs.astype(np.uint64) + np.uint64(1)) * _MIX
        for word in keys:
            mixed ^= word
            mixed *= _MIX2
            mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX
        return (mixed >> self.shift).astype(np.int64)

    def _differs(
        self, slot: NDArray[np.int64], programs: NDArray[np.int32], keys: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        differs: NDArray[np.bool_] = self.programs.take(slot) != programs
        for at, word in enumerate(keys):
            differs |= self.keys[at].take(slot) != word
        return differs

    def find(
        self, programs: NDArray[np.int32], keys: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Paths, and the rows whose combination is not in the table yet."""
        slot = self.slot(programs, keys)
        paths = self.paths.take(slot)
        open_ = np.flatnonzero(self._differs(slot, programs, keys))
        missing: list[NDArray[np.int64]] = []
        slot = slot[open_]
        while open_.size:
            empty = self.programs[slot] < 0
            missing.append(open_[empty])
            open_, slot = open_[~empty], slot[~empty] + 1
            differs = self._differs(slot, programs[open_], keys[:, open_])
            paths[open_[~differs]] = self.paths[slot[~differs]]
            open_, slot = open_[differs], slot[differs]
        return paths, np.sort(np.concatenate(missing)) if missing else open_

    def grown(self, programs: NDArray[np.int32], keys: NDArray[np.uint64], paths: NDArray[np.int32]) -> _Answers:
        """A table with these new, different entries too."""
        held = np.flatnonzero(self.programs >= 0)
        if self.count + len(programs) > _FULL:
            held = held[:0]
        programs = np.concatenate([self.programs[held], programs])
        keys = np.concatenate([self.keys[:, held], keys], axis=1)
        paths = np.concatenate([self.paths[held], paths])
        bits = self.bits
        while True:
            while len(programs) * 2 > 1 << bits:
                bits += 1
            table = _Answers(len(keys), bits)
            if table._fill(programs, keys, paths):
                return table
            bits += 1

    def _fill(self, programs: NDArray[np.int32], keys: NDArray[np.uint64], paths: NDArray[np.int32]) -> bool:
        self.count = len(programs)
        slot = self.slot(programs, keys)
        rest = np.arange(len(programs))
        while rest.size:
            if int(slot.max()) >= len(self.programs) - 1:
                return False
            empty = self.programs[slot] < 0
            _, first = np.unique(slot, return_index=True)
            placed = np.zeros(len(rest), np.bool_)
            placed[first] = True
            placed &= empty
            self.programs[slot[placed]] = programs[rest[placed]]
            self.keys[:, slot[placed]] = keys[:, rest[placed]]
            self.paths[slot[placed]] = paths[rest[placed]]
            rest, slot = rest[~placed], slot[~placed] + 1
        return True


class Evaluator:
    """Answers programs of terms and keeps what it has seen. Safe to share between threads."""

    def __init__(self, terms: TermMasks) -> None:
        self.terms = terms
        words = terms.words
        self.programs = _Programs(np.zeros((words, 0), np.uint64), np.zeros(1, np.int64), np.zeros(0, np.int32))
        self.answers = _Answers(words, 12)
        self._lock = threading.Lock()

    def answer(self, program: NDArray[np.int32], words: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The path that each case's program leads to, NO_PATH when none of its terms is true: int32 [cases].

        `program` int32 [cases]; `words`: context, uint64 [W, cases].
        """
        reads = self.programs.reads
        keys = np.empty_like(words)
        for at in range(len(words)):
            np.bitwise_and(reads[at].take(program), words[at], out=keys[at])
        paths, missing = self.answers.find(program, keys)
        if missing.size:
            paths[missing] = self._add_answers(program[missing], keys[:, missing])
        return paths

    def add_programs(self, lengths: NDArray[np.int64], steps: NDArray[np.int32]) -> None:
        """Append programs: `lengths` int64 [programs] how many terms each has, `steps` int32 their terms in order."""
        old, terms = self.programs, self.terms
        owner = np.repeat(np.arange(len(lengths)), lengths)
        reads = np.zeros((len(lengths), terms.words), np.uint64)
        np.bitwise_or.at(reads, owner, terms.required[steps] | terms.forbidden[steps])
        self.programs = _Programs(
            reads=np.concatenate([old.reads, reads.T], axis=1),
            start=np.concatenate([old.start, old.start[-1] + np.cumsum(lengths)]),
            steps=np.concatenate([old.steps, steps]),
        )

    def _add_answers(self, program: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """Evaluate combinations not seen before and keep them; returns the path of each row."""
        rows = np.concatenate([program[None, :].astype(np.uint64), keys]).T
        flat = np.ascontiguousarray(rows).view([("", np.void, rows.shape[1] * 8)]).ravel()
        _, first, inverse = np.unique(flat, return_index=True, return_inverse=True)
        programs, different = program[first], np.ascontiguousarray(keys[:, first])
        paths = self._evaluate(programs, different)
        with self._lock:
            _, missing = self.answers.find(programs, different)  # another thread may have come first
            if missing.size:
                self.answers = self.answers.grown(programs[missing], different[:, missing], paths[missing])
        return paths[inverse.ravel()]

    def _evaluate(self, program: NDArray[np.int32], keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The first term of each program that its context meets, step by step over all rows at once."""
        table = self.programs
        paths = np.full(len(program), NO_PATH, np.int32)
        at, end = table.start[program], table.start[program + 1]
        rows = np.flatnonzero(at < end)
        at, end = at[rows], end[rows]
        while rows.size:
            term = table.steps[at]
            met = self.meets(term, keys, rows)
            paths[rows[met]] = self.terms.term_path[term[met]]
            going = ~met
            going[going] = at[going] + 1 < end[going]
            rows, at, end = rows[going], at[going] + 1, end[going]
        return paths

    def meets(self, term: NDArray[np.int32], keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the context of each row meets its term: bool [rows]."""
        terms = self.terms
        met = np.ones(len(rows), np.bool_)
        for word in range(terms.words):
            context = keys[word, rows]
            required = terms.required[term, word]
            met &= (context & required) == required
            met &= (context & terms.forbidden[term, word]) == 0
        return met


class Kernel(Evaluator):
    """Finds the path of each case for one compiled scheme; safe to share between threads."""

    def __init__(self, terms: TermTables) -> None:
        super().__init__(terms)
        self.tables = terms
        self.dx_classes, self.px_classes = len(terms.dx_terms), len(terms.px_terms)
        # program + 1 of every pair of classes, 0 = not seen yet; untouched pages cost no memory.
        self.pairs = np.zeros(self.dx_classes * self.px_classes, np.int32)
        self._known: dict[bytes, int] = {}

    def paths(
        self,
        dx_class: NDArray[np.int32],
        px_class: NDArray[np.int32],
        words: NDArray[np.uint64],
    ) -> NDArray[np.int32]:
        """The first true path of each case, NO_PATH when none is true.

        `dx_class`, `px_class`: classes of the principal codes, int32 [cases]; `words`: context, uint64
        [W, cases]. Returns int32 [cases].
        """
        pair = dx_class.astype(np.int64)
        pair *= self.px_classes
        pair += px_class
        program = self.pairs.take(pair)
        program -= 1
        new = np.flatnonzero(program < 0)
        if new.size:
            self._add_pairs(np.unique(pair[new]))
            program[new] = self.pairs[pair[new]] - 1
        return self.answer(program, words)

    def _add_pairs(self, pairs: NDArray[np.int64]) -> None:
        terms = self.tables
        for block in np.array_split(pairs, -(-len(pairs) // 16384)):
            allowed = terms.dx_terms[block // self.px_classes] & terms.px_terms[block % self.px_classes]
            _cut_after_first(allowed, terms.free)
            rows = np.ascontiguousarray(allowed).view([("", np.void, allowed.shape[1] * 8)]).ravel()
            _, first, inverse = np.unique(rows, return_index=True, return_inverse=True)
            with self._lock:
                numbers = np.array(self._intern(allowed[first]), np.int32)
                self.pairs[block] = numbers[inverse.ravel()] + 1

    def _intern(self, rows: NDArray[np.uint64]) -> list[int]:
        """Numbers of these programs, adding those not known; one row of term bits each."""
        numbers: list[int] = []
        fresh: list[NDArray[np.uint64]] = []
        for row in rows:
            key = row.tobytes()
            if key not in self._known:
                self._known[key] = len(self._known)
                fresh.append(row)
            numbers.append(self._known[key])
        if fresh:
            bits = np.unpackbits(np.array(fresh).view(np.uint8), axis=1, bitorder="little")
            owner, term = np.nonzero(bits)
            self.add_programs(np.bincount(owner, minlength=len(fresh)), term.astype(np.int32))
        return numbers


def _cut_after_first(allowed: NDArray[np.uint64], free: NDArray[np.uint64]) -> None:
    """Clear, in each row of term bits, every bit after the first that is also in `free`. In place."""
    ends = allowed & free
    filled = ends != 0
    rows = np.flatnonzero(filled.any(axis=1))
    word = filled[rows].argmax(axis=1)
    last = ends[rows, word]
    lowest = last & (~last + np.uint64(1))
    allowed[rows, word] &= lowest | (lowest - np.uint64(1))
    place = np.arange(allowed.shape[1])
    allowed[rows] = np.where(place > word[:, None], np.uint64(0), allowed[rows])
