"""The job behind a submission: read, check, group and price every row; accepted cases and problems kept by content.

A row that does not stand (`api.service.fitting`) stays out, with its problem; so does a record that cannot be grouped
for its faults (INVALID). The rest is accepted. What becomes of it is written with the job's end: whole or not at all.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa

from api.core.book import Book
from api.core.book_policies import KeptPolicies
from api.core.payable import file_problems
from api.service.audit import SYSTEM, record
from api.service.basis import Basis, as_priced, basis_of
from api.service.batches import Batch, kept
from api.service.book_cases import book_cases, year_book
from api.service.changes import (
    Replaced,
    Waiting,
    as_looked_at,
    ending_cases,
    later_cases,
    replace,
    replacing,
    waiting,
)
from api.service.context import Service
from api.service.documents import stand_of
from api.service.fitting import ELSEWHERE_SCHEMA, Around, fitting, once
from api.service.mendable import PART_UNKNOWN, REPEATED, barring, own_bases, part_unknown, unpaid
from api.service.progress import Progress, rows_in
from api.service.submission_rows import BLOCK_ROWS, CASE_SCHEMA, as_paid, cases_of, files_of, results_of
from api.service.submissions import (
    ACCEPTED,
    CORRECTION,
    DONE,
    NEW,
    REFUSED,
    SUPERSEDED,
    WITHDRAWN,
    SubmissionInfo,
    closed_unsaid,
    entry_first,
    find,
    locked_year,
    settlement_first,
)
from api.service.unpack import Unpackable, unpack
from api.service.values import canonical, now
from api.service.withdrawals import read_withdrawn
from api.service.worker import JobContext, JobRefused, Later
from api.store.tables import submission
from budget.pricing import Pricer
from grouper.going_on import asked
from reference_tables.problems import PROBLEM_SCHEMA, Level, Problem, TablesRefused, problem_frame, problem_rows

_TOP = 20


@dataclass(frozen=True)
class _Looked:
    """What a submission was measured against when it was worked on. `beside`: the submissions of the year with cases to
    be settled; `waiting`: those that correct or withdraw case by case."""

    basis: Basis
    beside: Mapping[str, str]
    waiting: Sequence[Waiting]
    around: Around


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of submissions."""
    name = str(context.held.args["submission"])
    with service.database.read() as connection:
        found = find(connection, name)
        assert found is not None, "the job comes with its submission"
        _settlement_over(connection, found)  # what is done meanwhile would be dropped
        if found.ends_whole:
            return _ending(found)
        looked = _look(service, connection, found, context.held.args["documents"])
    progress = Progress(context)
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with asked(progress.look):
            batch = _worked(service, progress, found, looked, folder)
    except Unpackable as error:
        batch = _nothing(error.problem)
    except TablesRefused as error:
        problems = list(error.problems)
        raise JobRefused(problems, lambda connection: _refused(connection, found, problems)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    refused = bool((batch.problems["level"] == Level.ERROR.value).any()) or batch.cases.is_empty()
    documents = context.held.args["documents"]
    summary = {"basis": looked.basis.about, "documents": documents, "late": [], "of_closed_months": {}}
    values = kept(service, batch, summary)
    replaced = replacing(service, found, batch.cases, looked.waiting) if found.by_case and not refused else []

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        book = year_book(service, found.month[:4])
        problem = None if refused else _late(service, connection, found, looked, batch.cases, book)
        told = dict(values)
        if problem is not None:
            late = [{"code": problem.code, "message": problem.message}]
            whole = pl.concat([problem_frame([dataclasses.replace(problem, file=found.file_name)]), batch.problems])
            told = kept(service, dataclasses.replace(batch, problems=whole), {**summary, "late": late})
        elif not refused and not found.by_case:
            closed = _of_closed_months(book, batch.cases)
            told["summary"] = canonical({**orjson.loads(values["summary"]), "of_closed_months": closed})
        progress.whole(connection, batch.rows)
        return _written(connection, found, told, refused=refused or problem is not None, replaced=replaced)

    return change


def _written(
    connection: sa.Connection, found: SubmissionInfo, told: dict[str, Any], *, refused: bool, replaced: list[Replaced]
) -> Mapping[str, Any]:
    """Write what became of a submission, and of those that it ends."""
    told |= {"state": REFUSED if refused else ACCEPTED, "finished_at": now()}
    if refused:
        told |= {"accepted": 0, "rejected": told["rows"]}
    connection.execute(submission.update().where(submission.c.id == found.id).values(told))
    if not refused:
        replace(connection, found, replaced)
        if found.supersedes:
            old = submission.update().where(submission.c.id == found.supersedes)
            connection.execute(old.values(state=SUPERSEDED))
    counts = {key: told[key] for key in ("state", "rows", "accepted", "rejected")}
    files = {key: told[key] for key in ("cases_sha256", "results_sha256", "problems_sha256")}
    record(connection, SYSTEM, "submission.finish", found.id, counts | files)
    return {"submission": found.id, **counts}


def _look(
    service: Service, connection: sa.Connection, found: SubmissionInfo, documents: Sequence[Sequence[Any]]
) -> _Looked:
    basis = basis_of(service, connection, stand_of(connection, documents))
    beside, others = _beside(connection, found), waiting(service, connection, found)
    book = book_cases(service, found.month[:4], found.hospital_id)
    bases = None if book.book is None or not found.by_case else KeptPolicies(book.book, as_priced(basis))
    around = Around(book, _elsewhere(service, beside), later_cases(found, others), ending_cases(others), bases)
    return _Looked(basis, beside, others, around)


def _worked(
    service: Service, progress: Progress, found: SubmissionInfo, looked: _Looked, folder: Path
) -> Batch:  # fmt: skip
    path = unpack(service.files.path(found.sha256), folder, found.file_name, service.settings.max_unpacked_bytes)
    if found.by_case and found.kind != CORRECTION:
        return read_withdrawn(path, found, looked.around)
    return _read(service, progress, found, looked, path)


def _read(service: Service, progress: Progress, found: SubmissionInfo, looked: _Looked, path: Path) -> Batch:
    basis = looked.basis
    files = files_of(path, found, basis, progress.tell, BLOCK_ROWS)
    progress.of = rows_in(path)
    progress.tell(0)
    if progress.of > BLOCK_ROWS:
        progress.show()
    pricer, codes = Pricer(basis.policy, basis.values), barring(basis)
    cases, barred, results = pl.DataFrame(schema=CASE_SCHEMA), [pl.DataFrame(schema=CASE_SCHEMA)], []
    problems, frames = [pl.DataFrame(schema=PROBLEM_SCHEMA)], [cases]
    limit = service.settings.max_rows
    for block in files.blocks():
        if files.rows > limit:
            return _nothing(Problem("SV33", {"limit": limit}))
        frame = unpaid(cases_of(block, found), block.problems, codes)
        fit, out, told = fitting(frame, found, looked.around)
        at_tiers, of_tiers = as_paid(looked.around.book.book, basis, fit)
        paid = results_of(pricer, at_tiers)
        told.append(of_tiers)
        lost = _part_unknown(fit, paid, block.problems, looked)
        told.append(problem_rows(fit.filter(lost), "SV27", field="self_pay_fen"))
        results.append(paid.filter(~lost))
        frames.append(fit.filter(~lost))
        barred += [out, fit.filter(lost)]
        again = (pl.col("code") == PART_UNKNOWN) & pl.col("row").is_in(fit.filter(lost)["row"].implode())
        problems += [block.problems.filter(~again), *told]
    cases = pl.concat(frames)
    gone, told = once(cases, pl.concat(barred), found)
    standing = ~pl.col("row").is_in(gone.implode())
    listed = pl.concat([*problems, file_problems(files)])
    if told:  # SV65, SV67 say more of a repetition than pricing does
        listed = listed.filter((pl.col("code") != REPEATED) | ~pl.col("case_id").is_in(told[0]["case_id"].implode()))
    whole = pl.concat([listed, *told])
    whole = whole.with_columns(pl.lit(found.file_name).alias("file")).sort("row", maintain_order=True)
    paid = pl.concat(results).filter(standing) if results else pl.DataFrame()
    return Batch(files.rows, cases.filter(standing), paid, whole)


def _part_unknown(
    cases: pl.DataFrame, paid: pl.DataFrame, problems: pl.DataFrame, looked: _Looked
) -> pl.Series:  # fmt: skip
    """bool [cases]: no settlement can compute the fund's part of the case."""
    around = looked.around
    own = None if around.bases is None else own_bases(cases, around.book.counting, around.bases)
    return part_unknown(cases, paid["fund"], problems, looked.basis, own, around.bases)


def _beside(connection: sa.Connection, found: SubmissionInfo) -> dict[str, str]:
    """The other submissions of the hospital and year whose new cases are to be settled: id -> sha256 of them."""
    query = sa.select(submission.c.id, submission.c.cases_sha256).where(
        submission.c.hospital_id == found.hospital_id, submission.c.month.like(f"{found.month[:4]}-%"),
        submission.c.state == ACCEPTED, submission.c.id != found.id,
        (submission.c.kind == NEW) | ((submission.c.kind == CORRECTION) & submission.c.supersedes.is_not(None)),
    )  # fmt: skip
    rows = connection.execute(query.order_by(submission.c.created_at, submission.c.id))
    return {row.id: row.cases_sha256 for row in rows if row.id != found.supersedes}


def _elsewhere(service: Service, beside: Mapping[str, str]) -> pl.DataFrame:
    """What submissions hold: ELSEWHERE_SCHEMA."""
    frames = [
        pl.read_parquet(service.files.path(sha256), columns=["case_id"]).with_columns(pl.lit(name).alias("submission"))
        for name, sha256 in beside.items()
    ]
    return pl.concat([pl.DataFrame(schema=ELSEWHERE_SCHEMA), *frames])


def _late(
    service: Service, connection: sa.Connection, found: SubmissionInfo, looked: _Looked, cases: pl.DataFrame,
    book: Book | None,
) -> Problem | None:  # fmt: skip
    """What has come between since the submission was received: the month closed, unless it is late with a reason, the
    year's clearing locked, or the one it ends has ended. `book`: the year's, as it is now.

    Raises Later when that is not settled yet, when it is not decided whether the year's clearing is locked, or when its
    cases have come up elsewhere since they were looked at."""
    _settlement_over(connection, found)
    entry = entry_first(connection, found)
    if entry is not None:
        raise Later(f"the year's clearing is being entered by {entry}", entry)
    locked = locked_year(service, connection, found.month)
    if locked is not None:
        return locked
    moved = book is not None and book.seal != looked.around.book.seal
    if found.by_case:
        if moved or not as_looked_at(connection, found, looked.waiting):
            raise Later("the book or other corrections have changed meanwhile")
        return None
    new = {name: sha256 for name, sha256 in _beside(connection, found).items() if name not in looked.beside}
    met = [_elsewhere(service, new)["case_id"]]
    met += [book_cases(service, found.month[:4], found.hospital_id).counting["case_id"]] if moved else []
    settled = looked.around.book.counting["case_id"].implode()
    if any(cases["case_id"].is_in(ids.filter(~ids.is_in(settled)).implode()).any() for ids in met):
        raise Later("a case of it was accepted or settled elsewhere meanwhile")
    args: dict[str, str | int] = {"month": found.month, "value": found.supersedes or "—"}
    if found.kind == NEW and closed_unsaid(_closed_until(book), found.month, found.reason):
        return Problem("SV35", args)
    return None if _still(connection, found.supersedes) else Problem("SV35", args)


def _settlement_over(connection: sa.Connection, found: SubmissionInfo) -> None:
    """Raises Later while a settlement is under way that has to end first."""
    first = settlement_first(connection, found)
    if first is not None:
        raise Later(f"settlement {first} is under way", first)


def _closed_until(book: Book | None) -> str:
    return "" if book is None else book.closed_until


def _of_closed_months(book: Book | None, cases: pl.DataFrame) -> dict[str, int]:
    """How many of the cases come late, by their closed month: the next settlement takes them."""
    late = cases.filter(pl.col("month") <= _closed_until(book))
    return dict(late.group_by("month").len().sort("month").iter_rows())


def _still(connection: sa.Connection, name: str | None) -> bool:
    """May the submission that is named still be ended?"""
    if not name:
        return True
    query = sa.select(submission.c.state).where(submission.c.id == name).with_for_update()
    return connection.execute(query).scalar() == ACCEPTED


def _ending(found: SubmissionInfo) -> Any:
    """Another submission withdrawn as a whole."""

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        _settlement_over(connection, found)
        late: list[dict[str, str]] = []
        if not _still(connection, found.supersedes):
            problem = Problem("SV35", {"month": found.month, "value": found.supersedes or "—"})
            late = [{"code": problem.code, "message": problem.message}]
        values: dict[str, Any] = {
            "state": REFUSED if late else DONE, "rows": 0, "accepted": 0, "rejected": 0, "finished_at": now(),
            "summary": canonical({"withdrawn": found.supersedes, "problems": [], "late": late}),
        }  # fmt: skip
        connection.execute(submission.update().where(submission.c.id == found.id).values(values))
        if not late:
            old = submission.update().where(submission.c.id == found.supersedes)
            connection.execute(old.values(state=WITHDRAWN))
        record(connection, SYSTEM, "submission.finish", found.id, {"state": values["state"]})
        return {"submission": found.id, "state": values["state"], "withdrawn": found.supersedes}

    return change


def _refused(connection: sa.Connection, found: SubmissionInfo, problems: Any) -> Mapping[str, Any]:
    """The policy or a list does not do: the submission cannot be worked on."""
    told = [{"code": item.code, "message": item.message} for item in problems[:_TOP]]
    values = {"state": REFUSED, "summary": canonical({"problems": told}), "finished_at": now()}
    connection.execute(submission.update().where(submission.c.id == found.id).values(values))
    record(connection, SYSTEM, "submission.finish", found.id, {"state": REFUSED})
    return {}


def _nothing(problem: Problem) -> Batch:
    """A file of which nothing is taken."""
    return Batch(0, pl.DataFrame(schema=CASE_SCHEMA), pl.DataFrame(), problem_frame([problem]))
