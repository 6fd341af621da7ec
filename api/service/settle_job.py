"""Monthly settlement of what hospitals have submitted: the book's own settlement, its run entered with the job's end.

Which submissions a settlement takes is fixed when it is asked for, so that a job that is done again after a crash
settles the same ones; the book answers it then with what it has already entered. So are the documents it goes by: a
submission that was read by others is read anew. A case that the settlement refuses goes out of its submission, with
the reason: the hospital is told what the office is told.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa

from api.core.book import Book, Run, locked
from api.core.pay_inputs import registered
from api.core.settle import (
    CORRECT,
    WITHDRAWAL_SCHEMA,
    InputFile,
    MonthInput,
    Settled,
    repeated,
    settle_month,
    settled_by,
)
from api.core.settle_files import SettleRequest, book_for, placed_decisions, recompute
from api.core.settle_report import write_settlement
from api.core.settle_statements import statement_rows, write_hospital_statements
from api.service.audit import Actor, record
from api.service.basis import Basis, basis_of, made_with
from api.service.batches import served
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.decisions import applying, list_in_use
from api.service.documents import DocumentInfo, laid_out, stand_of
from api.service.jobs import DONE as JOB_DONE
from api.service.jobs import QUEUED, RUNNING, enqueue
from api.service.office_work import documents_for, year_file_name
from api.service.progress import Progress
from api.service.runs import DONE, REOPENED, Made, add_run, entered, holding_clearing, kept_folder
from api.service.settle_checks import check_asked, check_in_order, check_named, is_settled_month, taken_back
from api.service.settle_refusals import refusals
from api.service.submission_rows import CASE_SCHEMA, as_settled
from api.service.submissions import (
    ACCEPTED,
    CORRECTION,
    NEW,
    ROLES,
    SETTLE,
    WITHDRAWAL,
    NotTaken,
    SubmissionInfo,
    find_all,
)
from api.service.submissions import DONE as SETTLED
from api.service.values import canonical, checksum
from api.service.worker import JobContext
from api.store.faults import point
from api.store.tables import job, submission
from reference_tables.problems import Problem

_LISTS = ("hospitals", "separate")
"""Lists beside the cases that decide what they are paid."""
_NOTHING = {
    False: "没有新的病例、更正或撤回，账册没有新增结算",
    True: "所取的提交没有一例需要入账（未变动或未受理，见各提交的问题），账册没有新增结算",
}  # fmt: skip
"""Why there is no run: nothing was waiting, or nothing of what was."""


def ask(
    service: Service, connection: sa.Connection, actor: Actor, month: str, *, close: bool, reason: str,
    policy_reason: str, tier_reason: str, reopen: str, supersedes: str,
) -> str:  # fmt: skip
    """The id of a settlement job of all that has been accepted for the month, and of corrections and withdrawals of
    earlier months, by the documents as they stand. `reopen`, `supersedes`: why a year is settled on whose clearing is
    locked, and which clearing that is.

    A month without cases is settled as one, and closed, when it is said why (`reason`), together with what waits of
    earlier months. What has taken a clearing back is not done again while nothing has come since: it is answered with
    the last settlement that was asked for so.

    Raises NotTaken: SV11 while another settlement is under way, SV46 no case to settle, SV56 the clearing not named,
    SV57 it is being entered, SV93 months passed over; BookRefused for a month that the book cannot post in.
    """
    check_asked(service, connection, month, reopen, supersedes)
    chosen, has_own = _chosen(connection, month)
    corrected = bool(chosen["corrections"] or chosen["withdrawals"])
    settled = is_settled_month(service, month)
    empty = not chosen["cases"] and ((not corrected and bool(supersedes)) if settled else close or not corrected)
    closed_without_own = close and not settled and not has_own
    if (empty or closed_without_own) and not supersedes and not reason.strip():
        raise NotTaken(Problem("SV46", {"month": month}, field="month", value=month))
    holding = holding_clearing(connection, int(month[:4]))
    reopened = holding is not None and holding.state == REOPENED
    if reopened and supersedes and not any(chosen.values()):  # the clearing is taken back, and nothing has come since
        said = {"month": month, "close": close, "reason": reason, "reopen": reopen, "supersedes": supersedes}
        before = _last_done(connection, {**said, "policy_reason": policy_reason, "tier_reason": tier_reason})
        if before is not None:
            return before
    check_in_order(service, connection, month, reason)
    year = [year_file_name(int(month[:4]))]
    args: dict[str, Any] = {
        "month": month, "close": close, "reason": reason, "policy_reason": policy_reason,
        "tier_reason": tier_reason, "reopen": reopen,
        "supersedes": supersedes, "documents": documents_for(connection, year_file=year, decisions=None), **chosen,
        "empty": empty,
    }  # fmt: skip
    key = f"{SETTLE} {month} {checksum(canonical(args))}"
    active = sa.select(job.c.id).where(job.c.kind == SETTLE, job.c.state.in_([QUEUED, RUNNING]), job.c.key != key)
    other = connection.execute(active).scalar()
    if other is not None:
        raise NotTaken(Problem("SV11", {"what": f"任务 {other}", "state": "进行中", "action": "再次结算"}))
    _renew(connection, key)
    return enqueue(connection, actor, SETTLE, key, args)


def _last_done(connection: sa.Connection, said: Mapping[str, object]) -> str | None:
    """The last settlement that was done as it is said."""
    query = sa.select(job.c.id, job.c.args).where(job.c.kind == SETTLE, job.c.state == JOB_DONE)
    for row in connection.execute(query.order_by(job.c.finished_at.desc(), job.c.id)):
        args = orjson.loads(row.args)
        if all(args.get(name, "") == value for name, value in said.items()):
            return str(row.id)
    return None


def _renew(connection: sa.Connection, key: str) -> None:
    """What was asked and done before other settlements were done is asked anew: its answer may hold no more."""
    query = sa.select(job.c.key).where(job.c.kind == SETTLE, job.c.state == JOB_DONE)
    last = connection.execute(query.order_by(job.c.finished_at.desc(), job.c.id).limit(1)).scalar()
    if last is not None and last != key:
        connection.execute(job.update().where(job.c.key == key, job.c.state == JOB_DONE).values(key=job.c.id))


def _chosen(connection: sa.Connection, month: str) -> tuple[dict[str, list[str]], bool]:
    """Ids of accepted submissions by what they are to the settlement, and whether cases of the month itself are among
    them; those of earlier months come late."""
    query = sa.select(submission.c.id, submission.c.kind, submission.c.month, submission.c.supersedes).where(
        submission.c.state == ACCEPTED, submission.c.month <= month, submission.c.month.like(f"{month[:4]}-%")
    )
    chosen: dict[str, list[str]] = {role: [] for role in ROLES}
    has_own = False
    for name, kind, of, supersedes in connection.execute(query.order_by(submission.c.id)):
        whole = kind == NEW or (kind == CORRECTION and supersedes)
        if whole and of <= month:
            chosen["cases"].append(name)
            has_own = has_own or of == month
        elif kind == CORRECTION and not supersedes:
            chosen["corrections"].append(name)
        elif kind == WITHDRAWAL and not supersedes:
            chosen["withdrawals"].append(name)
    return chosen, has_own


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of settlements."""
    args = context.held.args
    month = str(args["month"])
    names = [name for role in ROLES for name in args[role]]
    with service.database.read() as connection:
        stand = stand_of(connection, args["documents"])
        basis = basis_of(service, connection, stand)
        rows = find_all(connection, names)
    decisions = list_in_use(service, stand, int(month[:4]))
    hospitals = {row.hospital_id for row in rows.values()}
    progress = Progress(context, len(names) + 1 + len(hospitals))
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        listed = None if decisions is None else laid_out(service.files, decisions, folder)
        read, rows = rows, _read_by(service, basis, args, rows, folder)
        given = _input(service, basis, args, rows, listed, progress, context.held.id)
        settled, waiting = _settled(service, context, basis, month, given)
        point("book written")
        done = len(names) + 1
        progress.of = done + settled.statement["hospital_id"].n_unique()
        progress.tell(done)
        write_settlement(replace(settled, problems=served(settled.problems)), folder / "out")
        write_hospital_statements(settled, folder / "out" / "statements", lambda made: progress.tell(done + made))
        refused = refusals(service, settled, rows, {name: _file_of(name, row) for name, row in rows.items()}, month)
        left = {**_anew(read, rows), **refused.left}
        files = kept_folder(service.files, folder / "out")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    asker = Actor(context.held.created_by, "office")

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        connection.execute(submission.update().where(submission.c.id.in_(names)).values(state=SETTLED))
        for name, values in left.items():
            connection.execute(submission.update().where(submission.c.id == name).values(values))
            told = {key: values[key] for key in ("state", "accepted", "rejected", "cases_sha256")}
            record(connection, asker, "submission.settle", name, told)
        progress.whole(connection)
        taken_back(connection, asker, settled.book, str(args["supersedes"]), str(args["reopen"]))
        of_all = {"refused": refused.told} if refused.told else {}
        if settled.run is None:  # nothing of it could be taken
            note = _NOTHING[bool(names)]
            return {"month": month, "run": None, "closed": settled.closed, "note": note, **of_all}
        again = entered(connection, SETTLE, settled.run.run_id) is not None
        made = Made(
            SETTLE, int(month[:4]), month, DONE, settled.run.run_id, _summary(settled, waiting, again=again),
            settled.proof, files, made_with=made_with(basis, stand),
        )  # fmt: skip
        name = add_run(connection, asker, context.held.id, made)
        return {"month": month, "run": name, "closed": settled.closed, **of_all}

    return change


def _input(
    service: Service,
    basis: Basis,
    args: Mapping[str, Any],
    rows: Mapping[str, SubmissionInfo],
    decisions: Path | None,
    progress: Progress,
    job_id: str,
) -> MonthInput:
    """What is settled. A file of every submission stands for it, and the submissions in the run's identity: the same
    content may be handed in again after another."""
    named = {name: _file_of(name, row) for name, row in rows.items()}

    def frames(role: str, schema: Mapping[str, pl.DataType]) -> pl.DataFrame | None:
        parts = [pl.DataFrame(schema=schema)]
        for name in args[role]:
            whole = pl.read_parquet(service.files.path(str(rows[name].cases_sha256)))
            if "reason" in schema and "reason" not in whole.columns:
                whole = whole.with_columns(reason=pl.lit(rows[name].reason))
            parts.append(whole.with_columns(file=pl.lit(named[name])).select(*schema))
            progress.tell(progress.done + 1)
        return pl.concat(parts) if args[role] else None

    files = [InputFile(word, rows[name].sha256, named[name]) for role, word in ROLES.items() for name in args[role]]
    beside = {kind: item for kind in _LISTS if isinstance(item := basis.sources.get(kind), DocumentInfo)}
    files += [InputFile(kind, item.sha256, item.name) for kind, item in beside.items()]
    cases = frames("cases", CASE_SCHEMA)
    if args.get("empty"):  # as a file with a header alone would say; the job stands for it
        cases = pl.DataFrame(schema=CASE_SCHEMA)
        files.append(InputFile(ROLES["cases"], checksum(job_id.encode()), f"{job_id}-empty"))
    listed = None
    if decisions is not None:
        listed = placed_decisions(decisions, basis.policy)
        files.append(InputFile("decisions", checksum(decisions.read_bytes()), decisions.name))
    pack, table = basis.scheme.pack, basis.weights
    return MonthInput(
        str(args["month"]), cases=cases, corrections=frames("corrections", {**CASE_SCHEMA, "reason": pl.String()}),
        withdrawals=frames("withdrawals", WITHDRAWAL_SCHEMA), decisions=listed, reason=str(args["reason"]),
        close=bool(args["close"]), policy_reason=str(args["policy_reason"]), policy_text=basis.policy_text,
        registered=registered(basis.hospitals), tier_reason=str(args.get("tier_reason", "")),
        reopen=str(args["reopen"]), further=True, files=tuple(files),
        made_with={
            "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
            "weights": {} if table is None else {"id": table.id, "sha256": table.sha256},
            "options": {"format": "auto", "edition": "insurance", "submissions": checksum(canonical(sorted(rows)))},
        },
        recompute=_command(args, basis, files),
    )  # fmt: skip


def _command(args: Mapping[str, Any], basis: Basis, files: Sequence[InputFile]) -> str:
    """The command that settles the same, beside the files of the run's inputs. What several submissions withdraw is one
    list there, `withdrawals.csv`."""
    names: dict[str, list[str]] = {}
    for file in files:
        names.setdefault(file.role, []).append(file.name)
    lists = {role: Path(found[0] if len(found) == 1 else "withdrawals.csv") for role, found in names.items()}
    used = {kind: item.name if isinstance(item, DocumentInfo) else item for kind, item in basis.sources.items()}
    request = SettleRequest(
        Path("BOOK"), str(args["month"]), names.get(ROLES["cases"], ()), names.get(ROLES["corrections"], ()),
        lists.get(ROLES["withdrawals"]), lists.get("decisions"), lists.get("hospitals"), lists.get("separate"),
        used.get("weights"), str(args["reason"]), bool(args["close"]), str(args["policy_reason"]),
        str(args.get("tier_reason", "")), str(args["reopen"]), used["policy"],
        used.get("scheme", basis.scheme.pack.id),
    )  # fmt: skip
    return recompute(request)


def _file_of(name: str, row: SubmissionInfo) -> str:
    """How a submission's file is called in a settlement: no two are called alike."""
    return f"{name}-{row.file_name}"


def _read_by(
    service: Service, basis: Basis, args: Mapping[str, Any], rows: Mapping[str, SubmissionInfo], folder: Path
) -> dict[str, SubmissionInfo]:
    """The submissions with their cases as they are by the settlement's own basis."""
    with_cases = {name for role in ("cases", "corrections") for name in args[role]}
    book = None if args.get("tier_reason") else year_book(service, str(args["month"])[:4])
    return {
        name: as_settled(service, row, basis, args["documents"], folder / "read" / name, book)
        if name in with_cases
        else row
        for name, row in rows.items()
    }


def _anew(
    before: Mapping[str, SubmissionInfo], rows: Mapping[str, SubmissionInfo]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """What the catalogue says of submissions that were read anew."""
    names = ("accepted", "rejected", "cases_sha256", "results_sha256", "problems_sha256")
    return {
        name: {**{key: getattr(row, key) for key in names}, "summary": canonical(row.summary), "state": SETTLED}
        for name, row in rows.items()
        if row is not before[name]
    }


def _settled(service: Service, context: JobContext, basis: Basis, month: str, given: MonthInput) -> tuple[Settled, int]:
    """Settle into the year's book, locked from beginning to end; and how many decisions wait for their case."""
    folder = service.books / month[:4]
    folder.mkdir(exist_ok=True)
    with locked(folder):
        check_named(service, month[:4], str(context.held.args["supersedes"]))
        context.hold()
        year_book(service, month[:4])  # refused where it is older than the catalogue
        book = book_for(folder, month)
        chosen, waiting = None, 0
        if given.decisions is not None:
            chosen, waiting = applying(given.decisions, book, given.cases)
        made = _made(book, given)
        before = repeated(book, basis.policy, given) if made is None else settled_by(book, made, given)
        if before is not None:
            return before, waiting
        new = chosen is not None and not chosen.is_empty()
        given = replace(given, decisions=chosen if new or not given.close else None)
        return settle_month(book, basis.policy, basis.values, given), waiting


def _made(book: Book, given: MonthInput) -> Run | None:
    """The run that was made from these very submissions, whatever has become of policy and lists since: a job that died
    between the book and the catalogue finds what it wrote."""
    wanted = sorted((file.role, file.name) for file in given.files if file.role in ROLES.values())
    for run in book.runs if wanted else ():
        inputs = book.document(run, "proof")["inputs"] if run.kind in {SETTLE, CORRECT} else []
        if wanted == sorted((item["role"], item["name"]) for item in inputs if item["role"] in ROLES.values()):
            return run
    return None


def _summary(settled: Settled, waiting: int, *, again: bool) -> dict[str, Any]:
    """What a run came to. `again`: it had been entered before, not only written into the book."""
    assert settled.run is not None
    problems = settled.problems.group_by("code", "level").agg(pl.len().alias("count"), pl.col("message").first())
    return {
        "statement": statement_rows(settled), "totals": dict(settled.run.totals), "closed": settled.closed,
        "repeated": again, "decisions_waiting": waiting,
        "problems": problems.sort("code", "level").to_dicts(),
    }  # fmt: skip
