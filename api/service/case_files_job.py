"""Case files of the office grouped, checked by the quality rules, or priced case by case, as jobs: the commands' own
results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.core.clearing_files import run_id_of
from api.core.pay import pay_files
from api.core.pay import summary_dict as pay_dict
from api.core.pay_inputs import read_decisions
from api.core.payable import PayableFiles
from api.service.audit import Actor
from api.service.context import Service
from api.service.decisions import list_in_use
from api.service.documents import IN_FORCE, DocumentInfo, laid_out
from api.service.history_terms import check_scheme, scheme_of
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    DECISIONS,
    Kept,
    all_needed,
    asked_with,
    chosen_documents,
    chosen_in,
    deciding,
    documents_for,
    ending,
    lay_cases,
    needed,
    plain_args,
    reading,
    there,
    working,
    year_file_name,
)
from api.service.runs import DONE, GROUP, PAY, VALIDATE, Made, kept_folder
from api.service.told import counted
from api.service.values import new_id, plain
from api.service.worker import JobContext
from grouper.intake import IntakeError
from grouper.output import ResultWriter
from grouper.pipeline import group_files, summary_dict, validate_files
from grouper.proof import file_sha256
from grouper.worklist import write_worklist

SEPARATE = "separate"
_OF_THIS_RUN = frozenset({"seconds", "cases_per_second", "unusable_files"})
"""What a summary says of the machine's moment, not of the cases."""


def ask(service: Service, connection: sa.Connection, actor: Actor, kind: str, args: Mapping[str, Any]) -> str:
    """The id of a job that groups (GROUP), checks (VALIDATE) or prices (PAY) case documents. Raises NotTaken,
    TablesRefused (SV03)."""
    all_needed(connection, CASES, args["cases"])
    if kind != PAY:
        scheme = check_scheme(service, connection, str(args["scheme"]))
        used = documents_for(connection, cases=args["cases"], scheme=[scheme])
        asked = {**args, "scheme": scheme, "documents": used}
        return enqueue(connection, actor, kind, f"{kind} {new_id('ask')}", asked)
    chosen, listed = chosen_in(args, *IN_FORCE), args["decisions"]
    if listed:
        needed(connection, DECISIONS, listed)
    year = [year_file_name(int(args["year"]))]
    used = chosen_documents(
        service, connection, chosen, cases=args["cases"], year_file=year, decisions=[listed] if listed else None
    )
    return enqueue(connection, actor, kind, f"{kind} {new_id('ask')}", {**args, "chosen": chosen, "documents": used})


def group(service: Service, context: JobContext) -> Any:
    """The handler of groupings: every case's group, reason and deciding codes."""
    args, problems = context.held.args, Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        paths = lay_cases(service, stand, folder, args["cases"])
        scheme = scheme_of(service, stand, basis, str(args["scheme"]))
        out = folder / "out"
        out.mkdir()
        with _written(out, "groups.csv", "groups.parquet") as results:
            summary = group_files(
                paths, scheme, results, problems=problems, **reading(args), strict=bool(args["strict"]), threads=1,
                progress=lambda _, rows: context.tell(rows, 0),
            )  # fmt: skip
            _check_usable(summary.unusable)
        problems.write_csv(out)
        told = {name: value for name, value in summary_dict(summary, scheme).items() if name not in _OF_THIS_RUN}
        told |= {"scheme": scheme.pack.id, "scheme_sha256": scheme.pack.sha256, "problems": counted(problems.frame)}
        made = _made(service, GROUP, paths, args, told, out, scheme_sha256=scheme.pack.sha256)
    return ending(context, made, stand, basis)


def check(service: Service, context: JobContext) -> Any:
    """The handler of checks: the worklist of a coder."""
    args, problems = context.held.args, Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        paths = lay_cases(service, stand, folder, args["cases"])
        scheme = scheme_of(service, stand, basis, str(args["scheme"])) if args.get("by_scheme", True) else None
        summary, not_applied = validate_files(
            paths, problems, **reading(args), scheme=scheme, progress=lambda _, rows: context.tell(rows, 0)
        )
        _check_usable(summary.unusable)
        out = folder / "out"
        out.mkdir()
        for name in ("worklist.xlsx", "worklist.csv"):
            write_worklist(problems.frame, out / name)
        told = {
            "cases": summary.rows, "problems": counted(problems.frame),
            "not_applied": {rule: list(item.missing) for rule, item in sorted(not_applied.items())},
        }  # fmt: skip
        decided = {} if scheme is None else {"scheme_sha256": scheme.pack.sha256}
        made = _made(service, VALIDATE, paths, args, told, out, **decided)
    return ending(context, made, stand, basis)


def price(service: Service, context: JobContext) -> Any:
    """The handler of pricing: every case with its standard, kind and payment; what the request does not name is what
    the year's settlements go by."""
    args, problems = context.held.args, Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        paths = lay_cases(service, stand, folder, args["cases"])
        files = PayableFiles(
            paths, basis.scheme, basis.policy, basis.values, hospitals=basis.hospitals, separate=basis.separate,
            threads=1, progress=lambda _, rows: context.tell(rows, 0), **reading(args),
        )  # fmt: skip
        out = folder / "out"
        out.mkdir()
        named = args.get("decisions")
        listed = there(stand, DECISIONS, str(named)) if named else list_in_use(service, stand, int(args["year"]))
        decisions = None
        if listed is not None:
            decisions = read_decisions(laid_out(service.files, listed, folder / DECISIONS), basis.policy)
        beside = ((listed, decisions), (basis.sources.get(SEPARATE), basis.separate))
        lists = {item.name: rows for item, rows in beside if isinstance(item, DocumentInfo) and rows is not None}
        with _written(out, "cases.csv") as results:
            summary = pay_files(
                files, basis.policy, basis.values, results, problems=problems, decisions=decisions, lists=lists,
                month=str(args["month"]),
            )  # fmt: skip
            _check_usable(files.unusable)
        problems.write_csv(out)
        told = pay_dict(summary, basis.policy, basis.scheme) | {"problems": counted(problems.frame)}
        summed = plain(told) | {"decisions": None if listed is None else listed.name}
        decided = {} if listed is None else {"decisions_sha256": listed.sha256}
        made = _made(service, PAY, paths, args, summed, out, basis=basis.about, **decided)
    return ending(context, made, stand, basis)


class _Tables:
    """A sink that writes several files of the same rows."""

    def __init__(self, writers: Sequence[ResultWriter]) -> None:
        self._writers = writers

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        for writer in self._writers:
            writer.write(frame)


@contextmanager
def _written(folder: Path, *names: str) -> Iterator[_Tables]:
    """A sink that leaves nothing behind when the work inside fails."""
    writers = [ResultWriter.open(str(folder / name)) for name in names]
    try:
        yield _Tables(writers)
    except BaseException:
        for writer in writers:
            writer.abort()
        raise
    for writer in writers:
        writer.close()


def _check_usable(unusable: Sequence[tuple[str, IntakeError]]) -> None:
    """Raises IntakeError with the problems of files that cannot be read at all."""
    if unusable:
        raise IntakeError([problem for _, error in unusable for problem in error.problems])


def _made(
    service: Service, kind: str, paths: list[str], args: Mapping[str, Any], told: Mapping[str, Any], out: Path,
    **decided: Any,
) -> Made:  # fmt: skip
    """`decided`: what besides the request and the files decides the result, by content."""
    cases = [{"name": Path(path).name, "sha256": file_sha256(Path(path))} for path in paths]
    proof = deciding(kind, None, asked=plain_args(args), cases=cases) | decided
    year = int(args["year"])
    return Made(kind, year, "", DONE, run_id_of(proof), told, proof, kept_folder(service.files, out))
