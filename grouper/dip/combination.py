"""The set of procedures of a case as one number, exactly: a trie over ascending procedure ids.

Catalogs grown from history ask for thousands of combinations of procedures (术式组合); a case is compared with all
of them at once, one procedure after the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from grouper.dip.axis import spans
from grouper.encode import CodeLists

NO_COMBINATION = 0


class Combinations:
    """Tells which combination of procedures a case has. `number`: each combination -> its number, 1 and up; every
    other set of procedures is NO_COMBINATION."""

    def __init__(self, sets: Iterable[tuple[int, ...]], left_out: NDArray[np.bool_]) -> None:
        """`sets`: each the ids of one combination, ascending; `left_out` bool [ids]: codes that do not count."""
        self.number = {ids: at for at, ids in enumerate(dict.fromkeys(sets), start=1)}
        self._longest = max(map(len, self.number), default=0)
        self._ids = len(left_out)
        self._counts = ~left_out
        # A procedure of no combination keeps the whole case out.
        self._foreign = self._counts.copy()
        self._foreign[[code for ids in self.number for code in ids]] = False
        nodes: dict[tuple[int, ...], int] = {(): 0}
        for ids in self.number:
            for length in range(1, len(ids) + 1):
                nodes.setdefault(ids[:length], len(nodes))
        self._nowhere = len(nodes)
        steps = sorted((nodes[ids[:-1]] * self._ids + ids[-1], node) for ids, node in nodes.items() if ids)
        self._keys = np.array([key for key, _ in steps], np.int64)
        self._nodes = np.array([node for _, node in steps], np.int64)
        self._number_at = np.zeros(len(nodes) + 1, np.int32)
        self._number_at[[nodes[ids] for ids in self.number]] = list(self.number.values())

    def of(self, procedures: CodeLists, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """int32 [rows]: the combination of each of some cases (ascending `rows`)."""
        lengths = procedures.lengths[rows]
        ids = procedures.flat[spans(procedures.offsets[rows], lengths)].astype(np.int64)
        owner = np.repeat(np.arange(len(rows)), lengths)
        foreign = np.zeros(len(rows), np.bool_)
        foreign[owner[self._foreign.take(ids)]] = True
        kept = self._counts.take(ids)
        kept &= ~foreign.take(owner)
        owner, ids = owner[kept], ids[kept]
        count = np.bincount(owner, minlength=len(rows))
        node = np.full(len(rows), self._nowhere, np.int64)
        alone = count.take(owner) == 1
        node[owner[alone]] = self._step(np.zeros(int(alone.sum()), np.int64), ids[alone])
        self._walk(node, owner[~alone], ids[~alone])
        return self._number_at.take(node)

    def _walk(self, node: NDArray[np.int64], owner: NDArray[np.int64], ids: NDArray[np.int64]) -> None:
        """Set the node of every case that `owner` names to where its different procedures lead. In place."""
        different = np.unique(owner * self._ids + ids)
        owner, ids = np.divmod(different, self._ids)
        cases, starts, count = np.unique(owner, return_index=True, return_counts=True)
        fits = count <= self._longest
        cases, starts, count = cases[fits], starts[fits], count[fits]
        node[cases] = 0
        depth = 0
        while cases.size:
            node[cases] = self._step(node[cases], ids[starts + depth])
            depth += 1
            going = (count > depth) & (node[cases] != self._nowhere)
            cases, starts, count = cases[going], starts[going], count[going]

    def _step(self, node: NDArray[np.int64], code: NDArray[np.int64]) -> NDArray[np.int64]:
        """The node that a procedure leads to from each node."""
        wanted = node * self._ids + code
        place = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return np.where(self._keys[place] == wanted, self._nodes[place], self._nowhere)
