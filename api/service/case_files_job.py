"""Case files of the office checked by the quality rules, or priced case by case, as jobs: the commands' own lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa

from api.core.clearing_files import run_id_of
from api.core.pay import pay_files, summary_dict
from api.core.payable import PayableFiles
from api.service.audit import Actor
from api.service.context import Service
from api.service.history_terms import check_scheme, scheme_of
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    Kept,
    all_needed,
    asked_with,
    deciding,
    documents_for,
    ending,
    lay_cases,
    plain_args,
    working,
)
from api.service.runs import DONE, PAY, VALIDATE, Made, kept_folder
from api.service.told import counted
from api.service.values import new_id
from api.service.worker import JobContext
from grouper.intake import IntakeError
from grouper.output import ResultWriter
from grouper.pipeline import validate_files
from grouper.proof import file_sha256
from grouper.worklist import write_worklist


def ask(connection: sa.Connection, actor: Actor, kind: str, args: Mapping[str, Any]) -> str:
    """The id of a job that checks (VALIDATE) or prices (PAY) case documents. Raises NotTaken (SV03)."""
    all_needed(connection, CASES, args["cases"])
    check_scheme(str(args.get("scheme", "")))
    used = documents_for(connection, cases=args["cases"])
    return enqueue(connection, actor, kind, f"{kind} {new_id('ask')}", {**args, "documents": used})


def check(service: Service, context: JobContext) -> Any:
    """The handler of checks: the worklist of a coder."""
    args, problems = context.held.args, Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        paths = lay_cases(service, stand, folder, args["cases"])
        scheme = scheme_of(basis, str(args["scheme"]))
        summary, not_applied = validate_files(
            paths, problems, scheme=scheme, progress=lambda _, rows: context.tell(rows, 0)
        )
        if summary.unusable:
            raise IntakeError([problem for _, error in summary.unusable for problem in error.problems])
        out = folder / "out"
        out.mkdir()
        for name in ("worklist.xlsx", "worklist.csv"):
            write_worklist(problems.frame, out / name)
        told = {
            "cases": summary.rows, "problems": counted(problems.frame),
            "not_applied": {rule: list(item.missing) for rule, item in sorted(not_applied.items())},
        }  # fmt: skip
        made = _made(service, VALIDATE, int(args["year"]), paths, args, told, out)
    return ending(context, made, stand, basis)


def price(service: Service, context: JobContext) -> Any:
    """The handler of pricing: every case with its standard, kind and payment."""
    args, problems = context.held.args, Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        paths = lay_cases(service, stand, folder, args["cases"])
        files = PayableFiles(
            paths, basis.scheme, basis.policy, basis.values, hospitals=basis.hospitals, separate=basis.separate,
            threads=1, progress=lambda _, rows: context.tell(rows, 0),
        )  # fmt: skip
        out = folder / "out"
        out.mkdir()
        results = ResultWriter.open(str(out / "cases.csv"))
        try:
            summary = pay_files(files, basis.policy, basis.values, results, problems=problems, month=str(args["month"]))
        except BaseException:
            results.abort()
            raise
        results.close()
        if files.unusable:
            raise IntakeError([problem for _, error in files.unusable for problem in error.problems])
        problems.write_csv(out)
        told = summary_dict(summary, basis.policy, basis.scheme) | {"problems": counted(problems.frame)}
        plain = orjson.loads(orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS, default=str))
        made = _made(service, PAY, int(args["year"]), paths, args, plain, out)
    return ending(context, made, stand, basis)


def _made(
    service: Service, kind: str, year: int, paths: list[str], args: Mapping[str, Any], told: Mapping[str, Any],
    out: Path,
) -> Made:  # fmt: skip
    cases = [{"name": Path(path).name, "sha256": file_sha256(Path(path))} for path in paths]
    proof = deciding(kind, None, asked=plain_args(args), cases=cases)
    return Made(kind, year, "", DONE, run_id_of(proof), told, proof, kept_folder(service.files, out))
