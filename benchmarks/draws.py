"""Random draws that come out the same on every machine: PCG64 bits, whole numbers, no transcendental function."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
PER_MILLE = 1000


class Draws:
    """A stream of draws of its own for every tuple of seeds."""

    def __init__(self, *seeds: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seeds))

    def below(self, limit: int | Ints, count: int | None = None) -> Ints:
        """Whole numbers from 0 to `limit` - 1, one for each limit, or `count` of them (limits up to 2**53)."""
        size = count if count is not None else len(np.atleast_1d(limit))
        words = self._bits.random_raw(size) >> np.uint64(11)
        unit = words.astype(np.float64) * 2.0**-53
        return (unit * limit).astype(np.int64)

    def between(self, low: int | Ints, high: int | Ints, count: int) -> Ints:
        """Whole numbers from `low` to `high`, both included."""
        return low + self.below(np.broadcast_to(np.asarray(high) - low + 1, (count,)), count)

    def chance(self, share: int | Ints, count: int) -> Flags:
        """True in `share` per mille of the cases."""
        flags: Flags = self.below(PER_MILLE, count) < share
        return flags

    def order(self, count: int) -> Ints:
        """A random order of `count` things."""
        return np.argsort(self._bits.random_raw(count), kind="stable")

    def weighted(self, weights: Iterable[int], count: int) -> Ints:
        """Places 0, 1, 2 … drawn in proportion to whole weights."""
        upto = np.cumsum(np.fromiter(weights, dtype=np.int64))
        return np.searchsorted(upto, self.below(int(upto[-1]), count), side="right")


class Pools:
    """Many weighted lists of numbers; a draw takes one number from the list of each row at once."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, Ints]] = []
        self._known: dict[Hashable, int] = {}
        self._flat: tuple[Ints, Ints, Ints, Ints] | None = None

    def add(self, key: Hashable, items: Ints, weights: Ints) -> int:
        """Number of the list `key`, added on first sight. At least one weight must be positive."""
        if key not in self._known:
            assert self._flat is None, "all lists come before the first draw"
            kept = weights > 0
            assert kept.any(), f"list {key} has nothing to draw"
            self._known[key] = len(self._parts)
            self._parts.append((items[kept], weights[kept]))
        return self._known[key]

    def known(self, key: Hashable) -> int | None:
        """Number of a list added before."""
        return self._known.get(key)

    def items_of(self, pool: int) -> Ints:
        """The items of one list."""
        return self._parts[pool][0]

    def total(self, pool: int) -> int:
        """Sum of the weights of one list."""
        return int(self._parts[pool][1].sum())

    def draw(self, draws: Draws, pools: NDArray[Any]) -> Ints:
        """One item of each list named in `pools`."""
        items, upto, start, total = self._laid_out()
        drawn: Ints = items[np.searchsorted(upto, start[pools] + draws.below(total[pools]), side="right")]
        return drawn

    def _laid_out(self) -> tuple[Ints, Ints, Ints, Ints]:
        if self._flat is None:
            items = np.concatenate([items for items, _ in self._parts])
            upto = np.cumsum(np.concatenate([weights for _, weights in self._parts]))
            ends = upto[np.cumsum([len(items) for items, _ in self._parts]) - 1]
            start = np.concatenate([[0], ends[:-1]]).astype(np.int64)
            self._flat = (items, upto, start, ends - start)
        return self._flat


def rank_weights(count: int, draws: Draws, scale: int, flattening: int) -> Ints:
    """Heavy-tailed whole weights `scale / (rank + flattening)`, ranks in random order."""
    ranks = np.empty(count, dtype=np.int64)
    ranks[draws.order(count)] = np.arange(count)
    weights: Ints = scale // (ranks + flattening)
    return np.maximum(weights, 1)
