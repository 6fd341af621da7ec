"""Who calls, remembered for a moment, and how often each may.

A token that holds is looked up in the database once in `KNOWN_SECONDS`: a revocation is in force after that time at the
latest, an expiry too. Tokens that do not hold are never remembered. Rates are counted in each process of its own.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque

from api.service.audit import Actor
from api.service.context import Service
from api.service.tokens import actor_of

KNOWN_SECONDS = 1.0
_MINUTE = 60.0
_MOST = 10_000


class Rates:
    """Requests of each caller in the last minute."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times: dict[str, deque[float]] = {}
        self._swept = 0.0

    def wait(self, caller: str, at: float) -> float:
        """Seconds until the caller may ask again; 0 when it may now, and then the request counts. `at`: monotonic."""
        times = self._times.get(caller)
        if times is None:
            self._sweep(at)
            times = self._times[caller] = deque()
        while times and at - times[0] >= _MINUTE:
            times.popleft()
        if len(times) >= self.limit:
            return _MINUTE - (at - times[0])
        times.append(at)
        return 0.0

    def _sweep(self, at: float) -> None:
        """Forget who has not asked for a minute; not oftener than once in a second, however many there are."""
        if len(self._times) > _MOST and at - self._swept >= 1.0:
            self._swept = at
            self._times = {name: times for name, times in self._times.items() if times and at - times[-1] < _MINUTE}


class Callers:
    """Who a token stands for, and the rates of all who ask."""

    def __init__(self, service: Service) -> None:
        self._database = service.database
        self._known: dict[bytes, tuple[Actor, float]] = {}
        self.rates = Rates(service.settings.requests_per_minute)

    def known(self, text: str) -> Actor | None:
        """Whom the token stood for within the last second; None when it has to be looked up."""
        found = self._known.get(_key(text))
        return found[0] if found is not None and time.monotonic() < found[1] else None

    def looked_up(self, text: str) -> Actor | None:
        """Whom the token stands for now, from the database; None when it does not hold. Raises Unavailable."""
        until = time.monotonic() + KNOWN_SECONDS
        with self._database.read() as connection:
            found = actor_of(connection, text)
        if found is None:
            self._known.pop(_key(text), None)
        else:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[_key(text)] = found, until
        return found


def _key(text: str) -> bytes:
    """A token's own hash, so that tokens themselves are not kept in memory."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
