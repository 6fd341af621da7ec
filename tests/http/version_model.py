"""What counts of every case, as plain lists and dicts: a second reading of the rules for submissions, corrections,
withdrawals and settlements, one case after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

Case = tuple[int, int]
"""Month and cost (yuan) of a version of a case."""
NEW, CORRECTION, WITHDRAWAL = "new", "correction", "withdrawal"
LAST = 12
"""The year's last month."""


@dataclass
class Handed:
    """A submission: `rows` of the file as (case, month, cost) in order, 0 and 0 of a withdrawal; `holds`: its accepted
    cases; `barred_by`: others that held cases of it; `ended_by`: withdrawals that waited with settled cases of it;
    `open_months`: of cases that were too early for it; `worked`: when it was worked on, 0 before; `lost`: did a later
    change take a case from it?"""

    at: int
    hospital: str
    month: int
    kind: str
    rows: list[tuple[str, int, int]]
    supersedes: int | None = None
    reason: str = ""
    state: str = "received"
    holds: dict[str, Case] = field(default_factory=dict)
    barred_by: set[int] = field(default_factory=set)
    ended_by: set[int] = field(default_factory=set)
    open_months: set[int] = field(default_factory=set)
    worked: int = 0
    lost: bool = False

    def again(self, at: int) -> Handed:
        """The same bytes, asked for in the same words."""
        return Handed(at, self.hospital, self.month, self.kind, self.rows, self.supersedes, self.reason)

    @property
    def by_case(self) -> bool:
        return self.kind != NEW and self.supersedes is None

    @property
    def ends_whole(self) -> bool:
        return self.kind == WITHDRAWAL and self.supersedes is not None


@dataclass
class Model:
    """`book`: the version that counts, by hospital and case; `closed`, `posted`: the last closed month and the last one
    with a run, 0 for none."""

    handed: list[Handed] = field(default_factory=list)
    book: dict[tuple[str, str], Case] = field(default_factory=dict)
    closed: int = 0
    posted: int = 0
    works: int = 0

    def receive(self, given: Handed) -> str | int:
        """The number of the submission, of an earlier one with the same content, or the code of the refusal."""
        for old in reversed(self.handed):
            same = (old.hospital, old.month, old.kind) == (given.hospital, given.month, given.kind)
            counts = old.state in {"received", "accepted"} or (old.state == "done" and old.kind == NEW)
            content = old.rows == given.rows and (not given.ends_whole or old.supersedes == given.supersedes)
            if same and counts and content and old.ends_whole == given.ends_whole and self._as_told(old):
                return old.at if old.supersedes == given.supersedes else "SV69"
        if given.supersedes is not None:
            old = self.handed[given.supersedes]
            if old.state == "done" and not old.by_case and not old.ends_whole:
                return "SV71"
            if old.state != "accepted":
                ended = {"superseded": "SV16", "withdrawn": "SV17", "refused": "SV17"}
                return ended.get(old.state, "SV11")
            if old.by_case and given.kind == CORRECTION:
                return "SV70"
        elif given.kind != NEW and self.posted < given.month:
            return "SV39"
        elif given.kind == NEW and given.month <= self.closed and not given.reason:
            return "SV10" if self.closed < LAST else "SV19"
        self.handed.append(given)
        return given.at

    def _as_told(self, old: Handed) -> bool:
        """Has nothing come since by which the same file would be answered otherwise?"""
        if old.state == "received" or old.supersedes is not None:
            return True
        if old.by_case:
            return not old.lost
        if any(self.handed[at].state not in {"accepted", "done"} for at in old.barred_by):
            return False
        if any(self.handed[at].state != "accepted" for at in old.ended_by):
            return False
        if any(month <= self.closed for month in old.open_months):
            return False
        cases = {case for case, _, _ in old.rows}
        changes = [each for each in self.handed if each.by_case and each.hospital == old.hospital]
        later = [each for each in changes if each.state in {"accepted", "done"} and each.worked > old.worked]
        waits = any(each.state == "received" for each in changes)
        return not waits and not any(cases & each.holds.keys() for each in later)

    def work(self) -> None:
        """Everything received is worked on, in the order of its coming."""
        for given in self.handed:
            if given.state == "received":
                self._work(given)

    def _work(self, given: Handed) -> None:
        self.works += 1
        given.worked = self.works
        ended = None if given.supersedes is None else self.handed[given.supersedes]
        if given.ends_whole:
            assert ended is not None
            given.state = "done" if ended.state == "accepted" else "refused"
            ended.state = "withdrawn" if given.state == "done" else ended.state
            return
        for case in {case for case, _, _ in given.rows}:
            versions = {(month, cost) for other, month, cost in given.rows if other == case}
            standing = [version for version in versions if self._stands(given, case, version)]
            if len(versions) == 1 and standing:
                given.holds[case] = standing[0]
        open_still = ended is None or ended.state == "accepted"
        given.state = "accepted" if given.holds and open_still else "refused"
        if given.state == "refused":
            given.holds = {}
            return
        if ended is not None:
            ended.state = "superseded"
        for old in self.handed[: given.at] if given.by_case else []:
            if old.by_case and old.hospital == given.hospital and old.state == "accepted":
                for case in given.holds.keys() & old.holds.keys():
                    del old.holds[case]
                    old.lost = True
                old.state = old.state if old.holds else "superseded"

    def _stands(self, given: Handed, case: str, version: Case) -> bool:
        settled = (given.hospital, case) in self.book
        month = version[0]
        if given.by_case:
            return settled and (given.kind == WITHDRAWAL or month == given.month or self._may_move(given, case, month))
        elsewhere = {
            old.at for old in self.handed if old.at not in {given.at, given.supersedes}
            and case in old.holds and old.state == "accepted" and not old.by_case and old.hospital == given.hospital
        }  # fmt: skip
        in_time = month == given.month or (month < given.month and month <= self.closed)
        if in_time and not settled:
            given.barred_by |= elsewhere
        if not in_time and month < given.month:
            given.open_months.add(month)
        if in_time and settled:
            given.ended_by |= {
                old.at for old in self.handed
                if old.by_case and old.kind == WITHDRAWAL and old.state == "accepted" and case in old.holds
                and old.hospital == given.hospital
            }  # fmt: skip
        return in_time and not settled and not elsewhere

    def _may_move(self, given: Handed, case: str, month: int) -> bool:
        """Is the case of the correction's month, and does the next settlement, whichever it is, take the other one?"""
        next_one = max(self.posted, min(self.closed + 1, LAST))
        return self.book[given.hospital, case][0] == given.month and month <= next_one

    def settle(self, month: int) -> None:
        """What has been accepted for a month and those before it goes into the book."""
        for given in self.handed:
            if given.state == "accepted" and given.month <= month:
                given.state = "done"
                self._enter(self.book, given)

    def standing(self) -> dict[tuple[str, str], Case]:
        """What would count if all that waits were settled."""
        found = dict(self.book)
        for given in self.handed:
            if given.state == "accepted":
                self._enter(found, given)
        return found

    @staticmethod
    def _enter(book: dict[tuple[str, str], Case], given: Handed) -> None:
        for case, version in given.holds.items():
            if given.kind == WITHDRAWAL:
                del book[given.hospital, case]
            else:
                book[given.hospital, case] = version
