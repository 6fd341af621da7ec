"""Blocks through a function on a few threads, in order, a bounded number of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 2, ahead: int = 2
) -> Iterator[Result]:
    """`function` of every item, in the order of the items.

    Polars leaves the interpreter lock while it works, so blocks are read side by side, and while the
    consumer works on one the next is on its way. At most `workers + ahead` results wait: memory is bounded.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="intake") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= workers + ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
