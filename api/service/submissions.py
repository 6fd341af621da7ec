"""Submissions: a hospital's file of one month, taken once, with an id at once and its result when it is worked out.

The bytes are kept as they came, then the catalogue row and the job that works on it, together. The same bytes for the
same month are one submission, unless that was refused, cancelled or ended by another: then they may come again; so may
a correction or withdrawal that has been settled. Before its settlement a submission is corrected or withdrawn as a
whole, by one that names it; settled cases are corrected or withdrawn one by one, in the next settlement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from api.service.audit import Actor, record
from api.service.book_cases import closed_until, is_settled
from api.service.hospitals import ID_ZH, is_hospital_id, registered
from api.service.jobs import QUEUED, RUNNING, enqueue
from api.service.runs import LOCKED, holding_clearing
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
_LONGEST_NAME = 120


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
    return _UNSAFE.sub("_", last).lstrip(".")[-_LONGEST_NAME:] or "cases"


def receive(
    service: Service, connection: sa.Connection, actor: Actor, given: Given, stored: Stored
) -> tuple[SubmissionInfo, bool]:
    """Take a file that is in the store; the submission, and whether it is a new one. Raises NotTaken."""
    _check_who(service, connection, given.hospital_id)
    counting = submission.c.state.in_([RECEIVED, ACCEPTED]) | (
        (submission.c.state == DONE) & (submission.c.kind == NEW)
    )  # fmt: skip
    query = sa.select(submission).where(
        submission.c.hospital_id == given.hospital_id, submission.c.month == given.month,
        submission.c.kind == given.kind, submission.c.sha256 == stored.sha256, counting,
    )  # fmt: skip
    before = connection.execute(query).first()
    if before is not None:
        if (before.supersedes or "") != given.supersedes:
            args: dict[str, str | int] = {"value": before.id, "action": KINDS_ZH[given.kind]}
            raise NotTaken(Problem("SV69", args, value=before.id))
        return _info(before), False
    _check(service, connection, given)
    name = new_id("sub")
    job = enqueue(connection, actor, JOB, f"{JOB} {name}", {"submission": name}, given.hospital_id)
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


def _check_who(service: Service, connection: sa.Connection, hospital: str) -> None:
    """Is it a hospital, and one that the office's register holds? Raises NotTaken."""
    if not is_hospital_id(hospital):
        raise _unfit("hospital", ID_ZH)
    known = registered(service, connection)
    if known is not None and hospital not in known:
        raise NotTaken(Problem("SV68", {"value": hospital}, field="hospital", value=hospital))


def _check(service: Service, connection: sa.Connection, given: Given) -> None:
    """Does what is handed in fit the month and the submission it ends? Raises NotTaken."""
    if MONTH.fullmatch(given.month) is None:
        raise _unfit("month", "应为 YYYY-MM")
    if given.kind != NEW and not given.reason.strip():
        raise _unfit("reason", "更正和撤回须写明理由")
    closed = given.month <= closed_until(service, given.month[:4])
    if given.supersedes:
        _check_ends(service, connection, given, closed=closed)
    elif given.kind != NEW and not is_settled(service, given.month):
        raise NotTaken(Problem("SV39", {"month": given.month, "action": KINDS_ZH[given.kind]}, field="supersedes"))
    elif given.kind == NEW and closed:
        if not comes_late(service, given.month, given.reason):
            raise NotTaken(Problem("SV10", {"month": given.month, "last": f"{given.month[:4]}-12"}))
        holding = holding_clearing(connection, int(given.month[:4]))
        if holding is not None and holding.state == LOCKED:
            args: dict[str, str | int] = {"year": given.month[:4], "value": holding.id, "month": given.month}
            raise NotTaken(Problem("SV76", args, field="month", value=given.month))


def comes_late(service: Service, month: str, reason: str) -> bool:
    """Do new cases of a closed month come late to a further run of it? Only the year's last month has none after it
    that could take them, and it is said why."""
    return bool(reason.strip()) and month.endswith("-12") and closed_until(service, month[:4]) == month


def _check_ends(service: Service, connection: sa.Connection, given: Given, *, closed: bool) -> None:
    """Can the submission that is named be ended by this one? Raises NotTaken."""
    if given.kind == NEW:
        raise _unfit("supersedes", "只用于更正（correction）和撤回（withdrawal）")
    old = find(connection, given.supersedes)
    if old is None or old.hospital_id != given.hospital_id:
        raise NotTaken(Problem("SV03", {"what": "提交", "value": given.supersedes}, value=given.supersedes))
    if old.month != given.month:
        raise _unfit("month", f"提交 {old.id} 的月份是 {old.month}")
    if old.state == DONE and not old.by_case and not old.ends_whole:
        named: dict[str, str | int] = {"value": old.id, "month": old.month, "action": KINDS_ZH[given.kind]}
        raise NotTaken(Problem("SV71", named, field="supersedes", value=old.id))
    closed = closed and not old.by_case and not comes_late(service, old.month, given.reason)
    if old.state != ACCEPTED or closed or old.id in _being_settled(connection):
        args: dict[str, str | int] = {
            "what": f"提交 {old.id}",
            "state": "已关账" if closed else "正在结算" if old.state == ACCEPTED else STATES_ZH[old.state],
            "action": KINDS_ZH[given.kind],
        }  # fmt: skip
        raise NotTaken(Problem("SV11", args))
    if old.by_case and given.kind == CORRECTION:
        raise NotTaken(Problem("SV70", {"value": old.id}, field="supersedes", value=old.id))


def _unfit(field: str, reason: str) -> NotTaken:
    return NotTaken(Problem("SV04", {"field": field, "reason": reason}, field=field))


def _being_settled(connection: sa.Connection) -> frozenset[str]:
    """Submissions that a settlement under way takes: they cannot be corrected or withdrawn meanwhile."""
    return frozenset(name for args in _settlements(connection) for role in ROLES for name in args[role])


def waits_for_settlement(connection: sa.Connection, found: SubmissionInfo) -> bool:
    """Must a submission wait for the end of a settlement under way: one that may close its month, takes what it ends,
    or changes the book whose cases it speaks of?"""
    if found.supersedes in _being_settled(connection):
        return True
    months = [str(args["month"]) for args in _settlements(connection) if str(args["month"])[:4] == found.month[:4]]
    return bool(months) if found.by_case else found.kind == NEW and any(found.month <= month for month in months)


def _settlements(connection: sa.Connection) -> list[dict[str, Any]]:
    """What settlements under way were asked for."""
    rows = connection.execute(sa.select(job.c.args).where(job.c.kind == SETTLE, job.c.state.in_([QUEUED, RUNNING])))
    return [orjson.loads(text) for (text,) in rows]


def find(connection: sa.Connection, name: str) -> SubmissionInfo | None:
    """A submission by its id."""
    row = connection.execute(sa.select(submission).where(submission.c.id == name)).first()
    return None if row is None else _info(row)


def listed(
    connection: sa.Connection, *, hospital_id: str | None = None, month: str | None = None, state: str | None = None,
    after: str = "", limit: int = 100,
) -> list[SubmissionInfo]:  # fmt: skip
    """Submissions in the order of their coming, those after an id."""
    query = sa.select(submission).order_by(submission.c.created_at, submission.c.id).limit(limit)
    for column, value in (
        (submission.c.hospital_id, hospital_id),
        (submission.c.month, month),
        (submission.c.state, state),
    ):
        if value is not None:
            query = query.where(column == value)
    if after:
        place = sa.select(submission.c.created_at, submission.c.id).where(submission.c.id == after)
        row = connection.execute(place).first()
        if row is not None:
            query = query.where(sa.tuple_(submission.c.created_at, submission.c.id) > sa.tuple_(row.created_at, row.id))
    return [_info(row) for row in connection.execute(query)]


def _info(row: Any) -> SubmissionInfo:
    values = {name: getattr(row, name) for name in SubmissionInfo.__dataclass_fields__}
    values["summary"] = None if row.summary is None else orjson.loads(row.summary)
    return SubmissionInfo(**values)
