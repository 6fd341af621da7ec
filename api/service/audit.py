"""The audit: who did what, when, to what, with which inputs. Entries are only added, each with the hash of the one
before, so that a change, a gap or a cut shows.

An entry is written in the transaction of what it tells of: neither is there without the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from api.service.values import canonical, checksum, now
from api.store.database import Unavailable
from api.store.tables import audit, audit_head
from reference_tables.problems import Problem

_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: token id, role, and for hospitals their id."""

    id: str
    role: str
    hospital_id: str = ""


SYSTEM = Actor("system", "system")
COMMAND = Actor("command", "admin")
"""Who acts at the command line of the service's own machine."""
BROKEN_ZH = {
    "content": "内容被改动", "gap": "缺少一条", "chain": "与上一条不相接", "end": "末尾被截去",
    "head": "末条是哪一条的记录不见了",
}  # fmt: skip
"""What does not fit, by `Verdict.why`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the audit; `details` canonical JSON without personal data."""

    seq: int
    at: str
    actor: str
    role: str
    action: str
    object: str
    details: str
    before: str
    hash: str

    @property
    def expected(self) -> str:
        """The hash that its content and the entry before give."""
        return _hash(self.seq, self.at, self.actor, self.role, self.action, self.object, self.details, self.before)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole audit found: `entries` read; `broken` the number of the first entry that does not fit,
    None when all do; `why`: content, gap, chain, end or head (nothing says which entry is the last)."""

    entries: int
    broken: int | None = None
    why: str = ""


class EndLost(Unavailable):
    """Nothing says which entry of the audit is the last one, and nothing is written until something does: `problem`
    (SV81) tells it."""

    def __init__(self, entry: int) -> None:
        self.problem = Problem("SV81", {"entry": entry, "reason": BROKEN_ZH["head"]})
        super().__init__(self.problem.message)


def _hash(*parts: object) -> str:
    return checksum(canonical(list(parts)))


def record(
    connection: sa.Connection, actor: Actor, action: str, thing: str, details: Mapping[str, object] | None = None
) -> None:
    """Add an entry within a writing transaction. `details`: plain values, ids and checksums, no personal data. Raises
    EndLost."""
    head = end_of(connection, writes=True)
    seq, at, text = head.seq + 1, now(), canonical(dict(details or {}))
    row = (seq, at, actor.id, actor.role, action, thing, text, head.hash)
    hashed = _hash(*row)
    connection.execute(audit.insert().values(dict(zip(audit.c.keys(), (*row, hashed), strict=True))))
    connection.execute(audit_head.update().values(seq=seq, hash=hashed))


def end_of(connection: sa.Connection, *, writes: bool = False) -> sa.Row[tuple[int, int, str]]:
    """Number and hash of the last entry as the audit has them beside its entries; held for a transaction that writes.
    Raises EndLost."""
    query = sa.select(audit_head)
    found = connection.execute(query.with_for_update() if writes else query).all()
    if len(found) != 1:
        raise EndLost(1 + (connection.execute(sa.select(sa.func.max(audit.c.seq))).scalar() or 0))
    return found[0]


def entries(
    connection: sa.Connection, after: int = 0, limit: int | None = None, *, action: str = "", actor: str = "",
    thing: str = "",
) -> Iterator[Entry]:  # fmt: skip
    """Entries in their order, those after a number, at most `limit` of them; only those of an action, an actor, a
    thing, where that is asked for."""
    wanted = {audit.c.action: action, audit.c.actor: actor, audit.c.object: thing}
    chosen = sa.select(audit).where(*(column == value for column, value in wanted.items() if value))
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(left, _PAGE)
        rows = connection.execute(chosen.where(audit.c.seq > after).order_by(audit.c.seq).limit(size)).all()
        for row in rows:
            yield Entry(*row)
        if len(rows) < size:
            return
        after = rows[-1].seq
        left = None if left is None else left - len(rows)


def verify(connection: sa.Connection) -> Verdict:
    """Read the whole audit and say where it does not fit, if anywhere."""
    seq, hashed = 0, ""
    for entry in entries(connection):
        if entry.seq != seq + 1:
            return Verdict(seq, seq + 1, "gap")
        if entry.before != hashed:
            return Verdict(seq, entry.seq, "chain")
        if entry.hash != entry.expected:
            return Verdict(seq, entry.seq, "content")
        seq, hashed = entry.seq, entry.hash
    try:
        head = end_of(connection)
    except EndLost:
        return Verdict(seq, seq + 1, "head")
    if (head.seq, head.hash) != (seq, hashed):
        return Verdict(seq, seq + 1, "end")
    return Verdict(seq)
