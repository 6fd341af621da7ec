"""Year-end clearing from the year book: a draft that changes nothing, and the entry into the book once it is approved.

The entry clears anew and must come to the draft's own result (the same run id over the same inputs); a book that has
changed meanwhile asks for a new draft.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.core.book import BookRefused, locked, open_book
from api.core.book_clearing import record_clearing
from api.core.clear_inputs import ClearInputs, read_inputs
from api.core.clear_request import Cleared, ClearRequest, clear_request
from api.core.clearing_files import POOL_HEADER, pool_rows, run_id_of, statement_rows, write_clearing
from api.service.audit import Actor
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.documents import DocumentInfo, laid_out, latest, list_documents
from api.service.jobs import enqueue
from api.service.runs import (
    APPROVED,
    DRAFT,
    LOCK_JOB,
    LOCKED,
    SUPERSEDED,
    Made,
    RunInfo,
    add_run,
    find_run,
    kept_folder,
    list_runs,
    set_state,
)
from api.service.submissions import NotTaken
from api.service.values import new_id
from api.service.worker import JobContext, JobRefused
from api.store.faults import point
from reference_tables.problems import Problem, TablesRefused

JOB = "clear"
YEAR_FILE, DECISIONS, EARLIER = "year_file", "decisions", "policy"


def ask(
    connection: sa.Connection, actor: Actor, year: int, *, policies: list[str], supersedes: str, policy_reason: str
) -> str:  # fmt: skip
    """The id of a job that makes a draft. `policies`: names of earlier policies that price the months before the one
    that holds now; `supersedes` the locked run that the draft is to take the place of. Raises NotTaken (SV03, SV11)."""
    if latest(connection, YEAR_FILE, f"{year}.toml") is None:
        raise NotTaken(Problem("SV03", {"what": "年度文件", "value": f"{year}.toml"}))
    locked_run = _locked(connection, year)
    if (locked_run is None) != (not supersedes) or (locked_run is not None and locked_run.id != supersedes):
        state = "没有锁定的清算" if locked_run is None else f"已由 {locked_run.id} 锁定"
        raise NotTaken(Problem("SV11", {"what": f"{year} 年清算", "state": state, "action": "这样清算"}))
    args = {"year": year, "policies": policies, "supersedes": supersedes, "policy_reason": policy_reason}
    return enqueue(connection, actor, JOB, f"{JOB} {new_id('ask')}", args)


def approve(connection: sa.Connection, actor: Actor, name: str, reason: str) -> str:
    """Approve a draft: the id of the job that enters it into the book and locks it. Raises NotTaken (SV03, SV11)."""
    found = find_run(connection, name, lock=True)
    if found is None or found.kind != JOB:
        raise NotTaken(Problem("SV03", {"what": "清算", "value": name}))
    if found.state not in {DRAFT, APPROVED}:
        raise NotTaken(Problem("SV11", {"what": f"清算 {name}", "state": found.state, "action": "批准"}))
    other = _locked(connection, found.year)
    if other is not None and other.id != found.supersedes:
        raise NotTaken(
            Problem("SV11", {"what": f"{found.year} 年清算", "state": f"已由 {other.id} 锁定", "action": "批准"})
        )
    if found.state == DRAFT:
        set_state(connection, actor, name, APPROVED, reason)
    return enqueue(connection, actor, LOCK_JOB, f"{LOCK_JOB} {name}", {"run": name})


def _locked(connection: sa.Connection, year: int) -> RunInfo | None:
    runs = list_runs(connection, kind=JOB, year=year, limit=1000)
    return next((item for item in runs if item.state == LOCKED), None)


@dataclass(frozen=True)
class _Asked:
    """A clearing as it is asked for, its files laid out."""

    request: ClearRequest
    given: ClearInputs
    basis: Basis
    command: str


def make_draft(service: Service, context: JobContext) -> Any:
    """The handler of drafts."""
    args = context.held.args
    year = int(args["year"])
    with _laid_out(service, context, args) as (folder, asked):
        done = clear_request(asked.request, asked.given, asked.basis.scheme, open_book(service.books / str(year)))
        run_id = write_clearing(done.clearing, folder / "out", done.deciding, asked.command, done.levels)
        files = kept_folder(service.files, folder / "out")
    proof = {**done.deciding, "run_id": run_id, "recompute": asked.command, "asked": dict(args)}
    made = Made(JOB, year, "", DRAFT, run_id, _summary(done), proof, files, str(args["supersedes"]))
    asker = Actor(context.held.created_by, "office")
    return lambda connection: {"run": add_run(connection, asker, context.held.id, made)}


def lock(service: Service, context: JobContext) -> Any:
    """The handler of approved drafts: clear anew, compare, enter, lock."""
    with service.database.read() as connection:
        found = find_run(connection, str(context.held.args["run"]))
    assert found is not None, "a run is never deleted"
    args = found.proof["asked"]

    def back(connection: sa.Connection) -> Mapping[str, Any]:
        now = find_run(connection, found.id)
        if now is not None and now.state == APPROVED:
            set_state(connection, asker, found.id, DRAFT, "未能入账")
        return {}

    asker = Actor(context.held.created_by, "office")
    book_folder = service.books / str(found.year)
    with _laid_out(service, context, args, back) as (_, asked), locked(book_folder):
        context.hold()
        book = open_book(book_folder)
        done = clear_request(asked.request, asked.given, asked.basis.scheme, book)
        if run_id_of(done.deciding) != found.run_id:
            raise JobRefused([Problem("SV36", {"value": found.id})], back)
        record_clearing(book, done, asked.request.policy_reason)
        point("clearing recorded")

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        set_state(connection, asker, found.id, LOCKED)
        if found.supersedes:
            set_state(connection, asker, found.supersedes, SUPERSEDED, found.id)
        return {"run": found.id, "state": LOCKED}

    return change


@contextmanager
def _laid_out(
    service: Service, context: JobContext, args: Mapping[str, Any], back: Any = None
) -> Iterator[tuple[Path, _Asked]]:
    """A folder with the year file and what it names beside it, and the clearing asked for. Problems end the job."""
    year = int(args["year"])
    with service.database.read() as connection:
        basis = basis_of(service, connection)
        listed = [item for kind in (YEAR_FILE, DECISIONS) for item in _last(connection, kind)]
        weights = latest(connection, "weights")
        earlier = [item for name in args["policies"] if (item := latest(connection, EARLIER, name)) is not None]
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for item in [*listed, *earlier, *([] if weights is None else [weights])]:
            laid_out(service.files, item, folder)
        policy = folder / "policy.toml"
        policy.write_text(basis.policy_text, encoding="utf-8")
        names = [str(policy), *(str(folder / item.name) for item in earlier)]
        request = ClearRequest(
            year, (), service.books / str(year), weights=None if weights is None else str(folder / weights.name),
            policy_reason=str(args["policy_reason"]),
        )  # fmt: skip
        given = read_inputs(names, str(folder / f"{year}.toml"), year, request.lists)
        command = (
            f"drgdip clear --year {year} --policy policy.toml --year-file {year}.toml --book {year} --dry-run -o DIR"
        )
        yield folder, _Asked(request, given, basis, command)
    except (TablesRefused, BookRefused) as error:
        raise JobRefused(list(error.problems), back) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _last(connection: sa.Connection, kind: str) -> list[DocumentInfo]:
    """The latest version of every document of a kind."""
    found: dict[str, DocumentInfo] = {item.name: item for item in list_documents(connection, kind)}
    return list(found.values())


def _summary(done: Cleared) -> dict[str, Any]:
    clearing = done.clearing
    problems = clearing.problems.group_by("code", "level").len("count").sort("code", "level")
    return {
        "policy": clearing.given.policy.id, "statement": statement_rows(clearing),
        "pools": [dict(zip(POOL_HEADER, row, strict=True)) for row in pool_rows(clearing)],
        "problems": problems.to_dicts(),
    }  # fmt: skip
