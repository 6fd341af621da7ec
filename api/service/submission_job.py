"""The job behind a submission: read, check, group and price every row; accepted cases and problems kept by content.

A row that is another hospital's, of another month, or already in the month stays out, with its problem; so does a
record that cannot be grouped for its faults (INVALID). The rest is accepted. What becomes of it is written with the
job's end: whole or not at all.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.core.pay import in_yuan
from api.core.payable import PayableFiles, file_problems
from api.service.audit import SYSTEM, record
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.submissions import (
    ACCEPTED,
    CORRECTION,
    NEW,
    REFUSED,
    SUPERSEDED,
    WITHDRAWAL,
    WITHDRAWN,
    SubmissionInfo,
    closed_until,
    find,
    waits_for_settlement,
)
from api.service.unpack import Unpackable, unpack
from api.service.values import canonical, now
from api.service.withdrawals import read_withdrawn
from api.service.worker import JobContext, JobRefused, Later
from api.store.tables import submission
from budget.frames import PAYABLE_SCHEMA
from budget.pricing import Pricer
from reference_tables.problems import PROBLEM_SCHEMA, Level, Problem, TablesRefused, problem_frame, problem_rows

CASE_SCHEMA = {**PAYABLE_SCHEMA, "file": pl.String(), "row": pl.UInt32()}
"""An accepted case, and where it came from."""
_TOP = 20


@dataclass(frozen=True)
class Worked:
    """What a submission comes to: accepted cases (CASE_SCHEMA), their results (OUTPUT_COLUMNS), all problems."""

    rows: int
    cases: pl.DataFrame
    results: pl.DataFrame
    problems: pl.DataFrame
    basis: Basis

    @property
    def refused(self) -> bool:
        """Was the file itself refused?"""
        return bool((self.problems["level"] == Level.ERROR.value).any()) or not self.cases.height


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of submissions."""
    name = str(context.held.args["submission"])
    with service.database.read() as connection:
        found = find(connection, name)
        assert found is not None, "the job comes with its submission"
        basis = basis_of(service, connection)
        beside, taken = _taken(service, connection, found)
    folder = service.work / context.held.id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        path = unpack(service.files.path(found.sha256), folder, found.file_name, service.settings.max_unpacked_bytes)
        if found.kind == WITHDRAWAL and not found.supersedes:
            return _withdrawn(service, found, read_withdrawn(path, found), basis)
        worked = _worked(service, context, found, basis, path, taken)
    except Unpackable as error:
        worked = _nothing(basis, error.problem)
    except TablesRefused as error:
        problems = list(error.problems)
        raise JobRefused(problems, lambda connection: _refused(connection, found, problems)) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    kept = {
        "cases_sha256": service.files.put(_parquet(worked.cases)).sha256,
        "results_sha256": service.files.put(_parquet(worked.results)).sha256,
        "problems_sha256": service.files.put(_parquet(worked.problems)).sha256,
    }

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        problem = None if worked.refused else _late(service, connection, found, beside)
        refused = worked.refused or problem is not None
        values = {
            **kept, "state": REFUSED if refused else ACCEPTED, "rows": worked.rows,
            "accepted": 0 if refused else worked.cases.height,
            "rejected": worked.rows if refused else worked.rows - worked.cases.height,
            "summary": canonical(_summary(worked, problem)), "finished_at": now(),
        }  # fmt: skip
        connection.execute(submission.update().where(submission.c.id == found.id).values(values))
        if not refused and found.supersedes:
            ended = WITHDRAWN if found.kind == WITHDRAWAL else SUPERSEDED
            connection.execute(submission.update().where(submission.c.id == found.supersedes).values(state=ended))
        told = {key: values[key] for key in ("state", "rows", "accepted", "rejected", *kept)}
        record(connection, SYSTEM, "submission.finish", found.id, told)
        return {"submission": found.id, **{key: values[key] for key in ("state", "rows", "accepted", "rejected")}}

    return change


def _worked(
    service: Service, context: JobContext, found: SubmissionInfo, basis: Basis, path: Path, taken: pl.DataFrame
) -> Worked:
    files = PayableFiles(
        [str(path)], basis.scheme, basis.policy, basis.values, hospitals=basis.hospitals, separate=basis.separate,
        fmt=found.format, threads=1, progress=lambda _, rows: context.tell(rows, 0),
    )  # fmt: skip
    pricer = Pricer(basis.policy, basis.values)
    cases, results, problems = [], [], []
    limit = service.settings.max_rows
    for block in files.blocks():
        if files.rows > limit:
            return _nothing(basis, Problem("SV33", {"limit": limit}))
        frame = _owned(block.cases, found, basis).with_columns(
            pl.lit(found.file_name).alias("file"), block.place["row"]
        )
        kept, told = _fitting(frame, found, taken)
        priced = pricer.price(kept.select(*PAYABLE_SCHEMA)).frame
        place = kept.select("tier", "file", "row")
        cases.append(kept)
        results.append(in_yuan(pl.concat([priced, place], how="horizontal")))
        problems += [block.problems, *told]
    whole = pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *problems, file_problems(files)])
    whole = whole.with_columns(pl.lit(found.file_name).alias("file")).sort("row", maintain_order=True)
    nothing = pl.DataFrame(schema=CASE_SCHEMA)
    kept = pl.concat([nothing, *(frame.select(*CASE_SCHEMA) for frame in cases)])
    return Worked(files.rows, kept, pl.concat(results) if results else pl.DataFrame(), whole, basis)


def _owned(cases: pl.DataFrame, found: SubmissionInfo, basis: Basis) -> pl.DataFrame:
    """Cases without a hospital are the submitter's, with what the register says of it."""
    blank = pl.col("hospital_id").is_null()
    names = {"hospital_name": "name", "tier": "tier", "county_group": "county_group"}
    register = basis.hospitals
    row = None if register is None else register.filter(pl.col("hospital_id") == found.hospital_id)
    own = {} if row is None or row.is_empty() else {name: row[of].item() for name, of in names.items()}
    filled = [pl.when(blank).then(pl.lit(value)).otherwise(name).alias(name) for name, value in own.items()]
    return cases.with_columns(*filled, pl.col("hospital_id").fill_null(found.hospital_id))


def _fitting(
    frame: pl.DataFrame, found: SubmissionInfo, taken: pl.DataFrame
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The cases that are the hospital's own, of the month, new in it and without a fault that bars them; and the
    problems of the others."""
    foreign = pl.col("hospital_id") != found.hospital_id
    month = (pl.col("month") != found.month).fill_null(value=False)
    closed = found.kind == CORRECTION and not found.supersedes
    joined = frame.join(taken, on="case_id", how="left", maintain_order="left")
    repeated = pl.col("submission").is_not_null() & pl.lit(not closed)
    told, out = [], pl.lit(value=False)
    texts: list[tuple[str, pl.Expr, str, pl.Expr, dict[str, pl.Expr | str]]] = [
        ("SV30", foreign, "hospital_id", pl.col("hospital_id"), {"hospital": found.hospital_id}),
        ("SV31", month, "month", pl.col("month"), {"month": found.month}),
        ("SV32", repeated, "case_id", pl.col("submission"), {}),
    ]
    for code, met, field, value, args in texts:
        rows = joined.filter(met & ~out)
        told.append(
            problem_rows(rows, code, file=found.file_name, field=field, value=value, args={"value": value, **args})
        )
        out = out | met
    invalid = pl.col("status").is_in(["INVALID", "DUPLICATE"])
    return joined.filter(~out & ~invalid).drop("submission"), told


def _beside(connection: sa.Connection, found: SubmissionInfo) -> dict[str, str]:
    """The other submissions of the hospital and month whose cases count: id -> sha256 of them."""
    query = sa.select(submission.c.id, submission.c.cases_sha256).where(
        submission.c.hospital_id == found.hospital_id, submission.c.month == found.month,
        submission.c.state == ACCEPTED, submission.c.kind.in_([NEW, CORRECTION]), submission.c.id != found.id,
    )  # fmt: skip
    rows = connection.execute(query.order_by(submission.c.created_at, submission.c.id))
    return {row.id: row.cases_sha256 for row in rows if row.id != found.supersedes}


def _taken(
    service: Service, connection: sa.Connection, found: SubmissionInfo
) -> tuple[frozenset[str], pl.DataFrame]:  # fmt: skip
    """The submissions beside this one, and what they hold: case_id, submission."""
    beside = _beside(connection, found)
    frames = [
        pl.read_parquet(service.files.path(sha256), columns=["case_id"]).with_columns(pl.lit(name).alias("submission"))
        for name, sha256 in beside.items()
    ]
    schema = {"case_id": pl.String(), "submission": pl.String()}
    whole = pl.concat([pl.DataFrame(schema=schema), *frames]).unique("case_id", keep="first", maintain_order=True)
    return frozenset(beside), whole


def _late(
    service: Service, connection: sa.Connection, found: SubmissionInfo, beside: frozenset[str]
) -> Problem | None:  # fmt: skip
    """What has come between since the submission was received: the month closed, or the one it ends has ended.

    Raises Later when that is not settled yet, or when a submission whose cases were not looked at was accepted."""
    if waits_for_settlement(connection, found):
        raise Later("a settlement is under way")
    if not beside >= _beside(connection, found).keys():
        raise Later("another submission of the month was accepted meanwhile")
    args: dict[str, str | int] = {"month": found.month, "value": found.supersedes or "—"}
    if found.kind == NEW and found.month <= closed_until(service, found.month[:4]):
        return Problem("SV35", args)
    if found.supersedes:
        query = sa.select(submission.c.state).where(submission.c.id == found.supersedes).with_for_update()
        if connection.execute(query).scalar() != ACCEPTED:
            return Problem("SV35", args)
    return None


def _withdrawn(service: Service, found: SubmissionInfo, listed: tuple[pl.DataFrame, pl.DataFrame], basis: Basis) -> Any:
    """Cases of closed months to be withdrawn in the next settlement: a list of case ids."""
    cases, problems = listed
    kept = {
        "cases_sha256": service.files.put(_parquet(cases)).sha256,
        "problems_sha256": service.files.put(_parquet(problems)).sha256,
    }

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        refused = not cases.height or bool((problems["level"] == Level.ERROR.value).any())
        values = {
            **kept, "state": REFUSED if refused else ACCEPTED, "rows": cases.height, "accepted": cases.height,
            "rejected": 0, "summary": canonical({"basis": basis.about, "problems": _counts(problems)}),
            "finished_at": now(),
        }  # fmt: skip
        connection.execute(submission.update().where(submission.c.id == found.id).values(values))
        record(connection, SYSTEM, "submission.finish", found.id, {"state": values["state"], "rows": cases.height})
        return {"submission": found.id, "state": values["state"], "rows": cases.height}

    return change


def _refused(connection: sa.Connection, found: SubmissionInfo, problems: Any) -> Mapping[str, Any]:
    """The policy or a list does not do: the submission cannot be worked on."""
    told = [{"code": item.code, "message": item.message} for item in problems[:_TOP]]
    values = {"state": REFUSED, "summary": canonical({"problems": told}), "finished_at": now()}
    connection.execute(submission.update().where(submission.c.id == found.id).values(values))
    record(connection, SYSTEM, "submission.finish", found.id, {"state": REFUSED})
    return {}


def _nothing(basis: Basis, problem: Problem) -> Worked:
    """A file of which nothing is taken."""
    return Worked(0, pl.DataFrame(schema=CASE_SCHEMA), pl.DataFrame(), problem_frame([problem]), basis)


def _summary(worked: Worked, problem: Problem | None) -> dict[str, Any]:
    results = worked.results
    kinds = {}
    if results.height:
        sums = results.group_by("case_kind").agg(pl.len(), pl.col("package", "fund").sum()).sort("case_kind")
        kinds = {
            kind: {"cases": cases, "package": str(package), "fund": str(fund)}
            for kind, cases, package, fund in sums.iter_rows()
        }
    late = [] if problem is None else [{"code": problem.code, "message": problem.message}]
    return {"basis": worked.basis.about, "by_kind": kinds, "problems": _counts(worked.problems), "late": late}


def _counts(problems: pl.DataFrame) -> list[dict[str, Any]]:
    """Problems by code, with how many and an example."""
    counted = problems.group_by("code", "level").agg(pl.len().alias("count"), pl.col("message").first())
    return counted.sort("code", "level").to_dicts()


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=False)
    return buffer.getvalue()
