"""How often each caller may ask: requests of the last minute, counted by all server processes of a service together.

The counts lie in memory that the processes share: it is made before they are forked, and each request is counted under
one lock. They are kept by the second of the machine's monotonic clock, 61 of them, so that in no minute, wherever it
begins, more than the limit gets through; a caller may have to wait up to a second longer than a minute.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from typing import Any

_SECONDS = 61
_CALLERS = 8192
_FIELDS = 2 + _SECONDS
"""Of a caller: who it is, the second it asked last, and its requests by second."""
_HELD_SECONDS = 0.1
"""Far longer than anybody holds the lock who lives."""


class Rates:
    """Requests of each caller in the last minute; as many callers are remembered as there is room for."""

    def __init__(self, limit: int, processes: int = 1, callers: int = _CALLERS) -> None:
        self.limit = limit
        self._callers = callers
        self._cells: Any = memoryview(mmap.mmap(-1, callers * _FIELDS * 8)).cast("q")
        self._places: dict[str, tuple[int, int]] = {}
        self._lock = get_context("fork").Lock() if processes > 1 else None

    def wait(self, caller: str, at: float) -> float:
        """Seconds until the caller may ask again; 0 when it may now, and then the request counts. `at`: monotonic."""
        second = int(at)
        with self._locked():
            cells = self._cells
            base = self._place(caller, second)
            first, last = base + 2, cells[base + 1]
            if last < second:
                for passed in range(max(last + 1, second - _SECONDS + 1), second + 1):
                    cells[first + passed % _SECONDS] = 0
                cells[base + 1] = second
            if sum(cells[first : first + _SECONDS]) < self.limit:
                cells[first + second % _SECONDS] += 1
                return 0.0
            oldest = next(
                (passed for passed in range(second - _SECONDS + 1, second + 1) if cells[first + passed % _SECONDS]),
                second,
            )
        return oldest + _SECONDS - at

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among the processes; one that died while it counted is not waited for for long, and lets go so."""
        if self._lock is None:
            yield
            return
        self._lock.acquire(timeout=_HELD_SECONDS)
        try:
            yield
        finally:
            with suppress(ValueError):  # it was not dead, and has let go meanwhile
                self._lock.release()

    def _place(self, caller: str, second: int) -> int:
        """Where a caller's counts are; a new one gets a free place, else that of who has been silent for longest."""
        cells = self._cells
        found = self._places.get(caller)
        if found is not None and cells[found[0]] == found[1]:
            return found[0]
        (name,) = struct.unpack_from("q", hashlib.sha256(caller.encode("utf-8", "replace")).digest())
        name = name or 1  # 0: nobody
        names: list[int] = cells[::_FIELDS].tolist()
        if name in names:
            base = names.index(name) * _FIELDS
        else:
            asked = cells[1::_FIELDS].tolist()
            base = (names.index(0) if 0 in names else asked.index(min(asked))) * _FIELDS
            cells[base : base + _FIELDS] = array("q", [name, second, *[0] * _SECONDS])
        if len(self._places) >= self._callers:
            self._places.clear()
        self._places[caller] = base, name
        return base
