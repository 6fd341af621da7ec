"""Year-end clearing from the year book: a draft that changes nothing, and the entry into the book once it is approved.

The entry clears anew and must come to the draft's own result (the same run id over the same inputs); a book that has
changed meanwhile asks for a new draft.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.core.book import locked
from api.core.book_clearing import record_clearing
from api.core.clear_inputs import ClearInputs, read_inputs
from api.core.clear_request import Cleared, ClearRequest, clear_request
from api.core.clearing_files import POOL_HEADER, pool_rows, run_id_of, statement_rows, write_clearing
from api.core.clearing_notes import other_names
from api.service.absent import absent
from api.service.approval import changed_inputs, check_approval, draft_outdated, some_left
from api.service.audit import Actor
from api.service.basis import Basis, basis_of, made_with
from api.service.batches import served
from api.service.context import Service
from api.service.documents import ASIDE, Stand, laid_out, stand_of, standing
from api.service.jobs import enqueue
from api.service.office_work import DECISIONS, YEAR_FILE, book_of, there, year_file_name
from api.service.runs import (
    APPROVED,
    DRAFT,
    LOCK_JOB,
    LOCKED,
    STATES_ZH,
    Made,
    RunInfo,
    add_run,
    approve_run,
    drafts,
    find_run,
    holding_clearing,
    kept_folder,
    lock_key,
    set_state,
    supersede,
)
from api.service.submissions import NotTaken, Unsettled, unsettled
from api.service.told import counted
from api.service.values import new_id
from api.service.worker import JobContext, JobRefused
from api.store.faults import point
from grouper.repeat_command import command_line, file_words
from reference_tables.problems import Problem, problem_frame

JOB, EARLIER = "clear", "policy"
APPROVE, ANSWER = "批准", "确认或提出异议"
_STEPS = {APPROVE: "approve", ANSWER: "answer"}
"""What may be done with a draft, and the last part of its route."""


def ask(
    connection: sa.Connection, actor: Actor, year: int, *, policies: list[str], supersedes: str, policy_reason: str
) -> str:  # fmt: skip
    """The id of a job that makes a draft. `policies`: names of earlier policies that price the months before the one
    that holds now; `supersedes` the locked run that the draft is to take the place of. Raises NotTaken (SV03, SV52,
    SV53)."""
    stand = standing(connection)
    there(stand, YEAR_FILE, year_file_name(year))
    for name in policies:
        if stand.named(EARLIER, name) is None:
            there(stand, ASIDE[EARLIER], name)
    holding = holding_clearing(connection, year)
    if holding is None and supersedes:
        raise NotTaken(Problem("SV53", {"year": year, "value": supersedes}, field="supersedes", value=supersedes))
    if holding is not None and holding.id != supersedes:
        raise NotTaken(_held(holding))
    used = stand.used({YEAR_FILE: [year_file_name(year)], DECISIONS: None, **dict.fromkeys(ASIDE.values(), policies)})
    used += [[item.kind, item.name, item.version] for name in policies if (item := stand.named(EARLIER, name))]
    args = {
        "year": year, "policies": policies, "supersedes": supersedes, "policy_reason": policy_reason,
        "documents": [item for at, item in enumerate(used) if item not in used[:at]],
    }  # fmt: skip
    return enqueue(connection, actor, JOB, f"{JOB} {new_id('ask')}", args)


def approve(
    service: Service, connection: sa.Connection, actor: Actor, name: str, reason: str, *, anyway: bool,
    unsettled_reason: str,
) -> str:  # fmt: skip
    """Approve a draft: the id of the job that enters it into the book and locks it. Raises NotTaken (SV03, SV52, SV72,
    SV73), and as `check_approval`."""
    found = find_run(connection, name, lock=True)
    if found is None or found.kind != JOB:
        raise NotTaken(absent("清算", name))
    if found.state not in {DRAFT, APPROVED}:
        raise NotTaken(not_open(found, APPROVE))
    other = holding_clearing(connection, found.year)
    if other is not None and other.id != found.supersedes:
        raise NotTaken(_held(other))
    if found.state == DRAFT:
        left = check_approval(
            service, connection, found, reason, anyway=anyway, unsettled_reason=unsettled_reason
        )  # fmt: skip
        more = {"anyway": anyway, "unsettled_reason": unsettled_reason, "unsettled": [item.plain for item in left]}
        approve_run(connection, actor, name, reason, more)
    return enqueue(connection, actor, LOCK_JOB, lock_key(name), {"run": name})


def not_open(found: RunInfo, action: str) -> Problem:
    """Why a clearing that is no draft any more is not to be confirmed, disputed or approved."""
    args: dict[str, str | int] = {"value": found.id, "action": action}
    if found.superseded_by is not None:
        return Problem("SV72", args | {"by": found.superseded_by, "step": _STEPS[action]}, value=found.id)
    return Problem("SV73", args | {"state": STATES_ZH[found.state]}, value=found.id)


def _held(holding: RunInfo) -> Problem:
    args: dict[str, str | int] = {"year": holding.year, "value": holding.id, "state": STATES_ZH[holding.state]}
    return Problem("SV52", args, field="supersedes", value=holding.id)


@dataclass(frozen=True)
class _Asked:
    """A clearing as it is asked for, its files laid out."""

    request: ClearRequest
    given: ClearInputs
    basis: Basis
    stand: Stand
    command: str


def make_draft(service: Service, context: JobContext) -> Any:
    """The handler of drafts."""
    args = context.held.args
    year = int(args["year"])
    with service.database.read() as connection:
        left = unsettled(connection, year)
    with _laid_out(service, context, args) as (folder, asked):
        done = clear_request(asked.request, asked.given, asked.basis.scheme, book_of(service, year))
        named = problem_frame([*other_names(asked.given.year_file, asked.basis.hospitals), *map(_waiting, left)])
        clearing = replace(done.clearing, problems=served(pl.concat([done.clearing.problems, named])))
        done = replace(done, clearing=clearing)
        run_id = write_clearing(clearing, folder / "out", done.deciding, asked.command, done.levels)
        files = kept_folder(service.files, folder / "out")
    proof = {**done.deciding, "run_id": run_id, "recompute": asked.command, "asked": dict(args)}
    made = Made(
        JOB, year, "", DRAFT, run_id, summary_of(done) | {"unsettled": [item.plain for item in left]}, proof, files,
        str(args["supersedes"]), made_with(asked.basis, asked.stand),
    )  # fmt: skip
    asker = Actor(context.held.created_by, "office")

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        name = add_run(connection, asker, context.held.id, made)
        for old in drafts(connection, year):
            if old.id == name:
                break
            supersede(connection, asker, old.id, name)
        note = {"note": f"没有结算、不在清算内的提交：{some_left(left)}"} if left else {}
        return {"run": name, **note}

    return change


def _waiting(left: Unsettled) -> Problem:
    """What a draft does not hold, as no settlement has taken it."""
    args: dict[str, str | int] = {"hospital": left.hospital, "count": len(left.submissions), "cases": left.cases}
    return Problem("SV91", args, value=left.hospital)


def lock(service: Service, context: JobContext) -> Any:
    """The handler of approved drafts: clear anew, compare, enter, lock."""
    with service.database.read() as connection:
        found = find_run(connection, str(context.held.args["run"]))
    assert found is not None, "a run is never deleted"
    args = found.proof["asked"]
    asker = Actor(context.held.created_by, "office")
    book_folder = service.books / str(found.year)
    with _laid_out(service, context, args) as (_, asked), locked(book_folder):
        context.hold()
        book = book_of(service, found.year)
        done = clear_request(asked.request, asked.given, asked.basis.scheme, book)
        if run_id_of(done.deciding) != found.run_id:
            raise JobRefused([draft_outdated(found, changed_inputs(found.proof, done.deciding))])
        record_clearing(book, done, asked.request.policy_reason)
        point("clearing recorded")

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        set_state(connection, asker, found.id, LOCKED)
        if found.supersedes:
            supersede(connection, asker, found.supersedes, found.id)
        for other in drafts(connection, found.year):
            supersede(connection, asker, other.id, found.id)
        return {"run": found.id, "state": LOCKED}

    return change


@contextmanager
def _laid_out(service: Service, context: JobContext, args: Mapping[str, Any]) -> Iterator[tuple[Path, _Asked]]:
    """A folder with the year file and what it names beside it, and the clearing asked for."""
    year = int(args["year"])
    with service.database.read() as connection:
        stand = stand_of(connection, args["documents"])
        basis = basis_of(service, connection, stand)
    weights = stand.latest("weights")
    earlier = [item for name in args["policies"] if (item := stand.named(EARLIER, name)) is not None]
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for item in (*stand.all(YEAR_FILE), *stand.all(DECISIONS)):
            laid_out(service.files, item, folder)
        policy = folder / "policy.toml"
        policy.write_text(basis.policy_text, encoding="utf-8")
        names = [str(policy), *(str(laid_out(service.files, item, folder / "earlier")) for item in earlier)]
        table = None if weights is None else str(laid_out(service.files, weights, folder / "weights"))
        request = ClearRequest(
            year, (), service.books / str(year), weights=table,
            policy_reason=str(args["policy_reason"]),
        )  # fmt: skip
        given = read_inputs(names, str(folder / f"{year}.toml"), year, request.lists)
        options = [*(("policy", name) for name in names), *([("weights", table)] if table else [])]
        words = file_words(path for _, path in options)
        parts = ["drgdip", "clear", "--year", year, "--year-file", f"{year}.toml", "--book", year, "--dry-run"]
        for option, path in options:
            parts += [f"--{option}", words[path]]
        parts += ["--new-policy", request.policy_reason] if request.policy_reason else []
        yield folder, _Asked(request, given, basis, stand, command_line([*parts, "-o", "DIR"]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def summary_of(done: Cleared) -> dict[str, Any]:
    """What is told of a clearing: every hospital's row, the pools, how many problems of which kind."""
    clearing = done.clearing
    return {
        "policy": clearing.given.policy.id, "statement": statement_rows(clearing),
        "pools": [dict(zip(POOL_HEADER, row, strict=True)) for row in pool_rows(clearing)],
        "problems": counted(clearing.problems),
    }  # fmt: skip
