"""Who calls, remembered for a moment, and how often each may.

A token that holds is looked up in the database once in `KNOWN_SECONDS`: a revocation is in force after that time at the
latest, an expiry too. Tokens that do not hold are never remembered. How often each may is counted by all server
processes together (`api.http.rates`).
"""

from __future__ import annotations

import hashlib
import time

from api.http.rates import Rates
from api.service.audit import Actor
from api.service.context import Service
from api.service.tokens import actor_of

KNOWN_SECONDS = 1.0
_MOST = 10_000


class Callers:
    """Who a token stands for, and the rates of all who ask."""

    def __init__(self, service: Service, rates: Rates) -> None:
        self._database = service.database
        self._known: dict[bytes, tuple[Actor, float]] = {}
        self.rates = rates

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
