"""Runs of the office: budgets, settlements, clearings, simulations, with their files by content and their state.

A clearing is a draft until hospitals have confirmed or disputed it and the office approves; approved it is entered into
the year book and locked, and only a new run that names it can take its place. A draft gives way to the next one of its
year, and to one that is locked. A settlement on a cleared year names the clearing that it takes back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from api.service.audit import Actor, record
from api.service.jobs import following
from api.service.values import canonical, new_id, now
from api.store.files import FileStore
from api.store.tables import answer, run

DRAFT, APPROVED, LOCKED, SUPERSEDED, DONE = "draft", "approved", "locked", "superseded", "done"
REOPENED = "reopened"
"""A clearing that was locked and taken back by a later settlement, which named it; a new clearing takes its place."""
CONFIRMED, DISPUTED = "confirmed", "disputed"
CLEAR, GROUP, VALIDATE, PAY = "clear", "group", "validate", "pay"
CLEAR_TRIAL = "clear_trial"
"""The job, and its run, that clears case files without a year book."""
ADVANCE = "advance"
"""The job, and its run, that pays advances out of the book."""
LOCK_JOB = "lock"
"""The job that enters an approved clearing into the book."""
STATES_ZH = {
    DRAFT: "草稿", APPROVED: "已批准，正在入账", LOCKED: "已锁定", SUPERSEDED: "已被取代", DONE: "已完成",
    REOPENED: "已重新打开，待重新清算",
    CONFIRMED: "已确认", DISPUTED: "有异议",
}  # fmt: skip
KINDS_ZH = {
    "budget": "总额预算", "advance": "预付金", "settle": "月度结算", "clear": "年终清算", "clear_trial": "年终清算试算",
    "indicators": "运行指标",
    "report": "年度报告", "group": "病例分组", "validate": "病例质控", "pay": "病例定价",
    "simulate": "政策模拟", "weights": "权重（分值）测算", "catalog": "病种目录",
}  # fmt: skip
POLICY_KINDS = ("simulate", "weights", "catalog", "indicators")
"""What policy staff ask for and see: sums alone, no single case."""
FULL_REPORT = "report-cases.xlsx"
"""The report of a history with the cases that were put aside; report.xlsx beside it names none."""
CASE_FILES = frozenset({"problems.csv", "postings.csv", "corrections.csv", FULL_REPORT})
"""Files of a run that name single cases."""
_MADE_WITH, _BY, _APPROVAL = "made_with", "superseded_by", "approval"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run. `files`: name -> sha256; `summary`, `proof`, `made_with`: plain values; `superseded_by`: the run that took
    its place; `approval` of a clearing: how it was approved, None where it is not."""

    id: str
    kind: str
    year: int
    month: str
    state: str
    run_id: str
    supersedes: str | None
    summary: Any
    proof: Any
    files: Mapping[str, str]
    job_id: str
    created_at: str
    created_by: str
    made_with: Any
    superseded_by: str | None
    approval: Any


@dataclass(frozen=True, slots=True)
class Made:
    """What a job has made and the catalogue does not know yet."""

    kind: str
    year: int
    month: str
    state: str
    run_id: str
    summary: Mapping[str, Any]
    proof: Mapping[str, Any]
    files: Mapping[str, str]
    supersedes: str = ""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """Policy, scheme, documents with their versions, program: by name and checksum."""


def kept_folder(files: FileStore, folder: Path) -> dict[str, str]:
    """Every file of a folder put into the store: path within it -> sha256."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): files.put_file(path).sha256 for path in paths}


def add_run(connection: sa.Connection, actor: Actor, job_id: str, made: Made) -> str:
    """Enter a run; the job's own, should it have been entered before."""
    before = connection.execute(sa.select(run.c.id).where(run.c.job_id == job_id, run.c.kind == made.kind)).scalar()
    if before is not None:
        return str(before)
    name = new_id("run")
    row = {
        "id": name, "kind": made.kind, "year": made.year, "month": made.month, "state": made.state,
        "run_id": made.run_id, "supersedes": made.supersedes or None, "summary": canonical(dict(made.summary)),
        "proof": canonical({**made.proof, _MADE_WITH: made.made_with}), "files": canonical(dict(made.files)),
        "job_id": job_id, "created_at": now(), "created_by": actor.id,
    }  # fmt: skip
    connection.execute(run.insert().values(row))
    details = {"kind": made.kind, "year": made.year, "month": made.month, "run_id": made.run_id}
    record(connection, actor, f"run.{made.kind}", name, details | {"supersedes": made.supersedes})
    return name


def entered(connection: sa.Connection, kind: str, run_id: str) -> str | None:
    """The first run by which a run of the book was entered into the catalogue."""
    query = sa.select(run.c.id).where(run.c.kind == kind, run.c.run_id == run_id)
    return connection.execute(query.order_by(run.c.created_at, run.c.id)).scalar()


def set_state(
    connection: sa.Connection, actor: Actor, name: str, state: str, reason: str = "",
    more: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """Give a run another state; the audit is told the reason, and what `more` there is to say of it."""
    connection.execute(run.update().where(run.c.id == name).values(state=state))
    record(connection, actor, f"run.{state}", name, {"reason": reason, **(more or {})})


def supersede(connection: sa.Connection, actor: Actor, name: str, by: str) -> None:
    """A run gives way to another one."""
    _note(connection, name, _BY, by)
    set_state(connection, actor, name, SUPERSEDED, by)


def approve_run(
    connection: sa.Connection, actor: Actor, name: str, reason: str, more: Mapping[str, object]
) -> None:  # fmt: skip
    """A clearing is approved: why, and what `more` was said of it, is kept with it and told the audit."""
    _note(connection, name, _APPROVAL, {"at": now(), "reason": reason, **more})
    set_state(connection, actor, name, APPROVED, reason, more)


def disapprove(connection: sa.Connection, name: str) -> None:
    """The approval of a clearing has come to nothing; the audit keeps it."""
    _note(connection, name, _APPROVAL, None)


def _note(connection: sa.Connection, name: str, key: str, value: object) -> None:
    """Keep something with a run, beside its proof."""
    proof = orjson.loads(connection.execute(sa.select(run.c.proof).where(run.c.id == name)).scalar_one())
    connection.execute(run.update().where(run.c.id == name).values(proof=canonical({**proof, key: value})))


def drafts(connection: sa.Connection, year: int) -> list[RunInfo]:
    """The drafts of a year's clearing that still stand, the oldest first; nobody else changes them in the meantime."""
    query = sa.select(run).where(run.c.kind == CLEAR, run.c.year == year, run.c.state == DRAFT)
    return [_info(row) for row in connection.execute(query.order_by(run.c.created_at, run.c.id).with_for_update())]


def find_run(connection: sa.Connection, name: str, *, lock: bool = False) -> RunInfo | None:
    """A run by its id; `lock`: nobody else changes it in the meantime."""
    query = sa.select(run).where(run.c.id == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _info(row)


def list_runs(
    connection: sa.Connection, *, kind: str | None = None, year: int | None = None, kinds: Sequence[str] | None = None,
    after: str = "", limit: int = 100,
) -> list[RunInfo]:  # fmt: skip
    """The latest runs first; of one kind, of some kinds, or of all; those that follow a run."""
    query = following(sa.select(run), run, after).limit(limit)
    for column, value in ((run.c.kind, kind), (run.c.year, year)):
        if value is not None:
            query = query.where(column == value)
    if kinds is not None:
        query = query.where(run.c.kind.in_(kinds))
    return [_info(row) for row in connection.execute(query)]


def holding_clearing(connection: sa.Connection, year: int) -> RunInfo | None:
    """The clearing of a year that holds, or held until a settlement took it back: what a new one has to name."""
    return next(iter(clearings(connection, year, LOCKED, REOPENED)), None)


def lock_key(name: str) -> str:
    """The key of the job that enters an approved clearing into the book."""
    return f"{LOCK_JOB} {name}"


def approved_clearing(connection: sa.Connection, year: int) -> RunInfo | None:
    """The clearing of a year that is approved and being entered into the book."""
    return next(iter(clearings(connection, year, APPROVED)), None)


def clearings(connection: sa.Connection, year: int, *states: str) -> list[RunInfo]:
    """The clearings of a year that are in one of the states, the latest first."""
    query = sa.select(run).where(run.c.kind == CLEAR, run.c.year == year, run.c.state.in_(states))
    return [_info(row) for row in connection.execute(query.order_by(run.c.created_at.desc()))]


def say(connection: sa.Connection, actor: Actor, name: str, hospital_id: str, state: str, comment: str) -> None:
    """What a hospital says of a draft; the last word counts."""
    key = (answer.c.run == name) & (answer.c.hospital_id == hospital_id)
    values = {"state": state, "comment": comment, "created_at": now(), "created_by": actor.id}
    if connection.execute(answer.update().where(key).values(values)).rowcount == 0:
        connection.execute(answer.insert().values(run=name, hospital_id=hospital_id, **values))
    record(connection, actor, f"run.{state}", name, {"hospital": hospital_id, "comment": comment})


def answers(connection: sa.Connection, name: str) -> list[dict[str, str]]:
    """What hospitals said of a run, by hospital."""
    query = sa.select(answer).where(answer.c.run == name).order_by(answer.c.hospital_id)
    names = ("hospital_id", "state", "comment", "created_at")
    return [{key: getattr(row, key) for key in names} for row in connection.execute(query)]


def _info(row: Any) -> RunInfo:
    noted = {_MADE_WITH, _BY, _APPROVAL}
    values = {name: getattr(row, name) for name in RunInfo.__dataclass_fields__ if name not in noted}
    for name in ("summary", "proof", "files"):
        values[name] = orjson.loads(values[name])
    proof = values["proof"]
    return RunInfo(
        **values, made_with=proof.pop(_MADE_WITH, {}), superseded_by=proof.pop(_BY, None),
        approval=proof.pop(_APPROVAL, None),
    )  # fmt: skip
