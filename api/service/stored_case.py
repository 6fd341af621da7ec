"""One case of a submission, read again out of the file as it was handed in, with what the submission was grouped by:
the documents of when it came, or of its settlement where that read it anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import polars as pl
import sqlalchemy as sa

from api.service.absent import absent
from api.service.basis import Basis, basis_of
from api.service.context import Service
from api.service.documents import stand_of
from api.service.office_work import unfit
from api.service.submissions import WITHDRAWAL, NotTaken, SubmissionInfo
from api.service.unpack import unpack
from api.store.tables import job
from grouper.engine import grouper_of
from grouper.find_case import find_cases
from grouper.pipeline import columns_asked

_ROWS_SHOWN = 20


@dataclass(frozen=True)
class StoredCase:
    """`frame`: one canonical row; `problems`: what reading told of it (PROBLEM_SCHEMA)."""

    frame: pl.DataFrame
    problems: pl.DataFrame
    basis: Basis

    @property
    def case_id(self) -> str:
        return str(self.frame["case_id"][0] or "")

    @property
    def row(self) -> int:
        return int(self.frame["row"][0])


def stored_case(service: Service, found: SubmissionInfo, case_id: str | None, row: int | None) -> StoredCase:
    """The case of a submission with this id, at this row (as a person sees it); one of both may be None.

    Raises NotTaken (SV03 no such case, SV04 several of them, or neither id nor row), IntakeError and Unpackable for a
    file without cases, TablesRefused when the documents of that time cannot be used any more.
    """
    if case_id is None and row is None:
        raise NotTaken(unfit("case_id", "写明病例号 case_id 或行号 row"))
    meant = "，".join([*([case_id] if case_id is not None else []), *([f"第 {row} 行"] if row is not None else [])])
    nothing = NotTaken(absent(f"提交 {found.id} 的病例", meant, _where(found)))
    if found.kind == WITHDRAWAL:
        raise nothing
    with service.database.read() as connection:
        args = orjson.loads(connection.execute(sa.select(job.c.args).where(job.c.id == found.job_id)).scalar_one())
        used = (found.summary or {}).get("documents", args["documents"])
        basis = basis_of(service, connection, stand_of(connection, used))
    with TemporaryDirectory(dir=service.work) as folder:
        limit = service.settings.max_unpacked_bytes
        path = unpack(service.files.path(found.sha256), Path(folder), found.file_name, limit)
        columns = columns_asked(grouper_of(basis.scheme))
        read = find_cases(str(path), case_id=case_id, row=row, fmt=found.format, columns=columns)
    if read.cases.is_empty():
        raise nothing
    if read.cases.height > 1:
        rows = "、".join(str(at) for at in read.cases["row"].head(_ROWS_SHOWN))
        raise NotTaken(unfit("row", f"病例号 {case_id} 有 {read.cases.height} 例，在第 {rows} 行，用行号指明一例"))
    return StoredCase(read.cases, read.problems, basis)


def _where(found: SubmissionInfo) -> str:
    """How many cases a submission has, and how they are counted."""
    if found.kind == WITHDRAWAL:
        return "撤回的提交没有病例；看它撤回的那一次提交"
    return f"核对病例号和行号：这份提交共 {found.rows or 0} 例，行号按所见文件计（有表头的，第一例在第 2 行）"
