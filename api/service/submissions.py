"""Submissions: a hospital's file of one month, taken once, with an id at once and its result when it is worked out.

The bytes are kept as they came, then the catalogue row and the job that works on it, together. The same bytes for the
same month are one submission, unless that was refused, cancelled or ended by another: then they may come again; so may
a correction or withdrawal that has been settled, and a file of which a case was corrected or withdrawn since.
Before its settlement a submission is corrected or withdrawn as a
whole, by one that names it; settled cases are corrected or withdrawn one by one, in the next settlement. New cases of
a closed month come late: it is said why, and the next settlement takes them. A year whose clearing is locked takes
nothing that would have to be settled.

A submission is worked on by the office's documents as they stood when it was received.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl
import sqlalchemy as sa

from api.core.file_names import LONGEST_NAME
from api.service.absent import absent
from api.service.audit import Actor, record
from api.service.book_cases import closed_until, comes_late, is_settled, next_posted
from api.service.documents import standing
from api.service.hospitals import ID_ZH, is_hospital_id, registered
from api.service.jobs import QUEUED, RUNNING, enqueue
from api.service.runs import LOCKED, approved_clearing, holding_clearing, lock_key
from api.service.values import new_id, now
from api.store.files import Stored
from api.store.tables import job, submission
from reference_tables.problems import Problem

if TYPE_CHECKING:
    from api.service.context import Service

NEW, CORRECTION, WITHDRAWAL = "new", "correction", "withdrawal"
KINDS_ZH = {NEW: "新提交", CORRECTION: "更正", WITHDRAWAL: "撤回"}
RECEIVED, ACCEPTED, REFUSED, SUPERSEDED, WITHDRAWN, DONE, CANCELLED = (
    "received", "accepted", "refused", "superseded", "withdrawn", "done", "cancelled",
)  # fmt: skip
STATES_ZH = {
    RECEIVED: "已接收", ACCEPTED: "已受理", REFUSED: "不能受理", SUPERSEDED: "已被取代", WITHDRAWN: "已撤回",
    DONE: "已办理", CANCELLED: "已取消",
}  # fmt: skip
JOB, SETTLE = "submission", "settle"
ROLES = {"cases": "cases", "corrections": "correct", "withdrawals": "withdraw"}
"""What a submission is to a settlement, as the settlement's own inputs call it."""
MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_UNSAFE = re.compile(r"[^\w.\-()（）]+")


class NotTaken(Exception):
    """A submission cannot be taken: `problem` says why."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.code)


@dataclass(frozen=True, slots=True)
class Given:
    """What is handed in. `fmt` a case format or auto; `reason` of a correction or withdrawal; `supersedes` the earlier
    submission that it ends, "" when it is for the cases of a closed month."""

    hospital_id: str
    month: str
    kind: str
    file_name: str
    fmt: str = "auto"
    reason: str = ""
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class SubmissionInfo:
    """A submission as told to people."""

    id: str
    hospital_id: str
    month: str
    kind: str
    state: str
    file_name: str
    format: str
    sha256: str
    bytes: int
    reason: str
    supersedes: str | None
    rows: int | None
    accepted: int | None
    rejected: int | None
    cases_sha256: str | None
    results_sha256: str | None
    problems_sha256: str | None
    summary: Any
    job_id: str
    created_at: str
    created_by: str
    finished_at: str | None

    @property
    def by_case(self) -> bool:
        """Does it correct or withdraw settled cases one by one, in the next settlement?"""
        return self.kind != NEW and not self.supersedes

    @property
    def ends_whole(self) -> bool:
        """Does it only withdraw another submission, with no cases of its own?"""
        return self.kind == WITHDRAWAL and bool(self.supersedes)


def safe_name(text: str) -> str:
    """A file name without folders and without anything a system might take for more than a name."""
    last = text.replace("\\", "/").rsplit("/", 1)[-1]
    return _UNSAFE.sub("_", last).encode()[-LONGEST_NAME:].decode(errors="ignore").lstrip(".") or "cases"


def receive(
    service: Service, connection: sa.Connection, actor: Actor, given: Given, stored: Stored
) -> tuple[SubmissionInfo, bool]:
    """Take a file that is in the store; the submission, and whether it is a new one. Raises NotTaken."""
    stand = standing(connection)
    known = registered(service, stand)
    _check_who(given.hospital_id, known)
    before = _earlier(service, connection, given, stored)
    if before is not None:
        if (before.supersedes or "") != given.supersedes:
            args: dict[str, str | int] = {"value": before.id, "action": KINDS_ZH[given.kind]}
            raise NotTaken(Problem("SV69", args, value=before.id))
        return info_of(before), False
    _check(service, connection, given)
    name = new_id("sub")
    asked = {"submission": name, "documents": stand.used({})}
    job = enqueue(connection, actor, JOB, f"{JOB} {name}", asked, given.hospital_id)
    row = {
        "id": name, "hospital_id": given.hospital_id, "month": given.month, "kind": given.kind,
        "sha256": stored.sha256, "file_name": safe_name(given.file_name), "format": given.fmt, "bytes": stored.size,
        "state": RECEIVED, "reason": given.reason, "supersedes": given.supersedes or None, "job_id": job,
        "created_at": now(), "created_by": actor.id,
    }  # fmt: skip
    connection.execute(submission.insert().values(row))
    details = {
        "hospital": given.hospital_id, "month": given.month, "kind": given.kind, "sha256": stored.sha256,
        "bytes": stored.size, "reason": given.reason, "supersedes": given.supersedes,
    }  # fmt: skip
    record(connection, actor, "submission.receive", name, details)
    found = find(connection, name)
    assert found is not None
    return found, True


def _earlier(service: Service, connection: sa.Connection, given: Given, stored: Stored) -> Any:
    """The submission that the same bytes are already: the last one that stands as it was told. None for bytes that are
    to be looked at."""
    counting = submission.c.state.in_([RECEIVED, ACCEPTED]) | (
        (submission.c.state == DONE) & (submission.c.kind == NEW)
    )  # fmt: skip
    query = sa.select(submission).where(
        submission.c.hospital_id == given.hospital_id, submission.c.month == given.month,
        submission.c.kind == given.kind, submission.c.sha256 == stored.sha256, counting,
    )  # fmt: skip
    rows = connection.execute(query.order_by(submission.c.created_at.desc(), submission.c.id.desc())).all()
    return next((row for row in rows if _stands(service, connection, row)), None)


def _stands(service: Service, connection: sa.Connection, row: Any) -> bool:
    """Does a submission stand as it was told? Not once a later correction or withdrawal, settled or waiting, speaks of
    a case of its file, a submission that held one of them (SV32) has ended, one that withdraws one (SV29) waits no
    more, or the month of one (SV31) is closed now: looked at anew it may come in."""
    if row.state == RECEIVED or row.supersedes is not None:
        return True  # as a whole: no case of it goes or comes by itself
    told = pl.read_parquet(service.files.path(row.problems_sha256), columns=["code", "case_id", "value"])
    if row.kind != NEW:
        return not (told["code"] == "SV63").any()
    too_early = told.filter(pl.col("code") == "SV31")
    if not too_early.filter(comes_late("value", row.month, closed_until(service, row.month[:4]))).is_empty():
        return False
    named = {code: told.filter(pl.col("code") == code)["value"].unique().to_list() for code in ("SV32", "SV29")}
    gone = submission.c.id.in_(named["SV32"]) & submission.c.state.not_in([ACCEPTED, DONE])
    gone |= submission.c.id.in_(named["SV29"]) & (submission.c.state != ACCEPTED)
    if connection.execute(sa.select(submission.c.id).where(gone)).first() is not None:
        return False
    later = sa.select(submission.c.cases_sha256).where(
        submission.c.hospital_id == row.hospital_id, submission.c.month.like(f"{row.month[:4]}-%"),
        submission.c.kind != NEW, submission.c.supersedes.is_(None),
        submission.c.state.in_([RECEIVED, ACCEPTED, DONE]),
        submission.c.finished_at.is_(None) | (submission.c.finished_at > row.finished_at),
    )  # fmt: skip
    files = connection.execute(later).scalars().all()
    own = pl.concat([_ids(service, row.cases_sha256), told["case_id"]]) if files else told["case_id"]
    return not any(sha256 is None or _ids(service, sha256).is_in(own.implode()).any() for sha256 in files)


def _ids(service: Service, sha256: str) -> pl.Series:
    return pl.read_parquet(service.files.path(sha256), columns=["case_id"])["case_id"]


def _check_who(hospital: str, known: frozenset[str] | None) -> None:
    """Is it a hospital, and one that the office's register (`known`) holds? Raises NotTaken."""
    if not is_hospital_id(hospital):
        raise _unfit("hospital", ID_ZH)
    if known is not None and hospital not in known:
        raise NotTaken(Problem("SV68", {"value": hospital}, field="hospital", value=hospital))


def _check(service: Service, connection: sa.Connection, given: Given) -> None:
    """Does what is handed in fit the month and the submission it ends? Raises NotTaken."""
    if MONTH.fullmatch(given.month) is None:
        raise _unfit("month", "应为 YYYY-MM")
    if given.kind != NEW and not given.reason.strip():
        raise _unfit("reason", "更正和撤回须写明理由")
    if given.supersedes:
        _check_ends(service, connection, given)
    elif given.kind != NEW and not is_settled(service, given.month):
        raise NotTaken(Problem("SV39", {"month": given.month, "action": KINDS_ZH[given.kind]}, field="supersedes"))
    elif given.kind == NEW and closed_unsaid(closed_until(service, given.month[:4]), given.month, given.reason):
        raise NotTaken(_closed(service, given.month))
    if given.kind != WITHDRAWAL or not given.supersedes:
        locked = locked_year(service, connection, given.month)
        if locked is not None:
            raise NotTaken(locked)


def _closed(service: Service, month: str) -> Problem:
    """Why a closed month takes no new cases without a reason, and where they go: into a later file of the year, too, as
    long as it has an open month."""
    year = month[:4]
    return Problem("SV10" if closed_until(service, year) < f"{year}-12" else "SV19", {
        "month": month, "next": next_posted(service, year),
    })  # fmt: skip


def closed_unsaid(until: str, month: str, reason: str) -> bool:
    """Is a month closed (`until`: the last closed one), and is it not said why new cases of it come late?"""
    return month <= until and not reason.strip()


def locked_year(service: Service, connection: sa.Connection, month: str) -> Problem | None:
    """Why nothing of a month can be settled: the year's clearing is locked, until a settlement takes it back (SV76)."""
    holding = holding_clearing(connection, int(month[:4]))
    if holding is None or holding.state != LOCKED:
        return None
    args: dict[str, str | int] = {
        "year": month[:4], "value": holding.id, "month": month, "next": next_posted(service, month[:4]),
    }  # fmt: skip
    return Problem("SV76", args, field="month", value=month)


def _check_ends(service: Service, connection: sa.Connection, given: Given) -> None:
    """Can the submission that is named be ended by this one? Raises NotTaken."""
    if given.kind == NEW:
        raise _unfit("supersedes", "只用于更正（correction）和撤回（withdrawal）")
    old = find(connection, given.supersedes)
    if old is None or old.hospital_id != given.hospital_id:
        raise NotTaken(absent("提交", given.supersedes))
    if old.month != given.month:
        raise _unfit("month", f"提交 {old.id} 的月份是 {old.month}")
    if old.state == DONE and not old.by_case and not old.ends_whole:
        named: dict[str, str | int] = {"value": old.id, "month": old.month, "action": KINDS_ZH[given.kind]}
        raise NotTaken(Problem("SV71", named, field="supersedes", value=old.id))
    if old.state in {SUPERSEDED, WITHDRAWN, REFUSED, CANCELLED}:
        raise NotTaken(_ended(service, connection, old, KINDS_ZH[given.kind]))
    if old.state != ACCEPTED or old.id in _being_settled(connection):
        args: dict[str, str | int] = {
            "what": f"提交 {old.id}",
            "state": "正在结算" if old.state == ACCEPTED else STATES_ZH[old.state],
            "action": KINDS_ZH[given.kind],
        }  # fmt: skip
        raise NotTaken(Problem("SV11", args))
    if old.by_case and given.kind == CORRECTION:
        raise NotTaken(Problem("SV70", {"value": old.id}, field="supersedes", value=old.id))


def _ended(service: Service, connection: sa.Connection, old: SubmissionInfo, action: str) -> Problem:
    """Why a submission that does not count any more cannot be ended, and what can be done instead: what took its place
    is named (SV16); what was withdrawn, refused or cancelled comes as new (SV17)."""
    args: dict[str, str | int] = {"value": old.id, "action": action, "state": STATES_ZH[old.state]}
    if old.state != SUPERSEDED:
        return Problem("SV17", args, field="supersedes", value=old.id)
    if old.by_case:
        told = pl.read_parquet(service.files.path(str(old.problems_sha256)), columns=["code", "value"])
        by = told.filter(pl.col("code") == "SV63")["value"].unique().sort().to_list()
    else:
        by = [_standing_for(connection, old.id)]
    return Problem("SV16", {**args, "by": "、".join(by)}, field="supersedes", value=old.id)


def _standing_for(connection: sa.Connection, name: str) -> str:
    """The last of the corrections that took a submission's place one after the other; one that was refused took it only
    where no other did, and was refused at its settlement."""
    after = sa.select(submission.c.id).where(
        submission.c.supersedes == name, submission.c.kind == CORRECTION,
        submission.c.state.in_([ACCEPTED, SUPERSEDED, WITHDRAWN, DONE, REFUSED]),
    )  # fmt: skip
    last = after.order_by(sa.case((submission.c.state == REFUSED, 1), else_=0), submission.c.created_at.desc())
    following = connection.execute(last.limit(1)).scalar()
    return name if following is None else _standing_for(connection, following)


def _unfit(field: str, reason: str) -> NotTaken:
    return NotTaken(Problem("SV04", {"field": field, "reason": reason}, field=field))


def _being_settled(connection: sa.Connection) -> frozenset[str]:
    """Submissions that a settlement under way takes: they cannot be corrected or withdrawn meanwhile."""
    return frozenset(name for args in _settlements(connection).values() for role in ROLES for name in args[role])


def settlement_first(connection: sa.Connection, found: SubmissionInfo) -> str | None:
    """The settlement under way (its job) whose end a submission must wait for: one that may close its month, takes what
    it ends, or changes the book whose cases it speaks of."""
    for name, args in _settlements(connection).items():
        month = str(args["month"])
        of_year = month[:4] == found.month[:4] and (found.by_case or (found.kind == NEW and found.month <= month))
        if of_year or any(found.supersedes in args[role] for role in ROLES):
            return name
    return None


def entry_first(connection: sa.Connection, found: SubmissionInfo) -> str | None:
    """The job that enters the year's approved clearing into the book: a submission waits for its end, and is accepted
    only when it came to nothing."""
    run = approved_clearing(connection, int(found.month[:4]))
    key = "" if run is None else lock_key(run.id)
    query = sa.select(job.c.id).where(job.c.key == key, job.c.state.in_([QUEUED, RUNNING]))
    return connection.execute(query).scalar()


def _settlements(connection: sa.Connection) -> dict[str, dict[str, Any]]:
    """What settlements under way were asked for, by their jobs."""
    rows = connection.execute(
        sa.select(job.c.id, job.c.args).where(job.c.kind == SETTLE, job.c.state.in_([QUEUED, RUNNING]))
    )
    return {row.id: orjson.loads(row.args) for row in rows}


def find(connection: sa.Connection, name: str) -> SubmissionInfo | None:
    """A submission by its id."""
    return find_all(connection, [name]).get(name)


def find_all(connection: sa.Connection, names: Sequence[str]) -> dict[str, SubmissionInfo]:
    """Submissions by their ids."""
    rows = connection.execute(sa.select(submission).where(submission.c.id.in_(names)))
    return {row.id: info_of(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Unsettled:
    """What of a hospital no settlement has taken yet: ids of its submissions in the order of their coming, and how many
    cases of theirs were accepted (none, as long as a submission is being worked on)."""

    hospital: str
    submissions: tuple[str, ...]
    cases: int

    @property
    def plain(self) -> dict[str, str | int]:
        """As it is told: numbers."""
        return {"hospital": self.hospital, "submissions": len(self.submissions), "cases": self.cases}


def unsettled(connection: sa.Connection, year: int) -> list[Unsettled]:
    """A year's submissions that no settlement has taken yet, by hospital."""
    named = submission.c
    query = sa.select(named.hospital_id, named.id, named.accepted).where(
        named.month.like(f"{year}-%"), named.state.in_([RECEIVED, ACCEPTED]),
        (named.kind != WITHDRAWAL) | named.supersedes.is_(None),
    )  # fmt: skip
    rows = connection.execute(query.order_by(named.hospital_id, named.created_at, named.id)).all()
    return [
        Unsettled(hospital, tuple(row.id for row in own), sum(row.accepted or 0 for row in own))
        for hospital, found in groupby(rows, key=lambda row: row.hospital_id) for own in [list(found)]
    ]  # fmt: skip


def info_of(row: Any) -> SubmissionInfo:
    """A row of the catalogue as told to people."""
    values = {name: getattr(row, name) for name in SubmissionInfo.__dataclass_fields__}
    values["summary"] = None if row.summary is None else orjson.loads(row.summary)
    return SubmissionInfo(**values)
