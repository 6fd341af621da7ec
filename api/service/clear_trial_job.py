"""Clearing tried out over case documents, as a job: the command's own result without a year book. Nothing is entered
anywhere, hospitals see nothing of it, and it is never approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.core.clear_inputs import read_inputs
from api.core.clear_request import ClearRequest, clear_request
from api.core.clearing_files import write_clearing
from api.service.audit import Actor
from api.service.basis import Basis
from api.service.batches import served
from api.service.chosen import source_of
from api.service.clear_job import summary_of
from api.service.context import Service
from api.service.documents import IN_FORCE, DocumentInfo, Stand, laid_out, standing
from api.service.history_terms import check_scheme
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    DECISIONS,
    PREPAID,
    YEAR_FILE,
    all_needed,
    asked_with,
    chosen_documents,
    chosen_in,
    ending,
    lay,
    lay_cases,
    lay_source,
    lay_year_file,
    needed,
    reading,
    reading_options,
    working,
    year_file_name,
)
from api.service.runs import CLEAR_TRIAL, DONE, Made, kept_folder
from api.service.values import new_id
from api.service.worker import JobContext
from grouper.repeat_command import command_line, file_words

_LISTS = {"decisions": DECISIONS, "prepaid": PREPAID}


def ask(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job that clears a year's case documents. Raises NotTaken, TablesRefused (SV03)."""
    year = year_file_name(int(args["year"]))
    needed(connection, YEAR_FILE, year)
    all_needed(connection, CASES, args["cases"])
    for field, kind in _LISTS.items():
        if args[field]:
            needed(connection, kind, str(args[field]))
    for name in args["policies"]:
        source_of(standing(connection), "policy", name)
    scheme = check_scheme(service, connection, str(args["scheme"]))
    chosen = chosen_in({**args, "scheme": scheme}, *IN_FORCE)
    used = chosen_documents(
        service, connection, chosen, cases=args["cases"], year_file=[year], decisions=None,
        prepaid=[args["prepaid"]] if args["prepaid"] else [], policy=args["policies"], policy_aside=args["policies"],
    )  # fmt: skip
    asked = {**args, "scheme": scheme, "chosen": chosen, "documents": used}
    return enqueue(connection, actor, CLEAR_TRIAL, f"{CLEAR_TRIAL} {new_id('ask')}", asked)


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of clearings that are tried out."""
    args = context.held.args
    year = int(args["year"])
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        lay_year_file(service, stand, folder, year)
        policies = [_clearing_policy(basis, folder / "clearing"), *_earlier(service, stand, folder, args["policies"])]
        request = _request(service, stand, basis, folder, args)
        given = read_inputs(policies, str(folder / year_file_name(year)), year, request.lists)
        done = clear_request(request, given, basis.scheme, None, lambda _, rows: context.tell(rows, 0))
        told = replace(done.clearing, problems=served(done.clearing.problems))
        command = _command(request, policies, basis.scheme.pack.id, args)
        run_id = write_clearing(told, folder / "out", done.deciding, command, done.levels)
        proof = {**done.deciding, "run_id": run_id, "recompute": command}
        made = Made(
            CLEAR_TRIAL, year, "", DONE, run_id, summary_of(replace(done, clearing=told)), proof,
            kept_folder(service.files, folder / "out"),
        )  # fmt: skip
    return ending(context, made, stand, basis)


def _clearing_policy(basis: Basis, folder: Path) -> str:
    folder.mkdir()
    path = folder / "policy.toml"
    path.write_text(basis.policy_text, encoding="utf-8")
    return str(path)


def _earlier(service: Service, stand: Stand, folder: Path, names: list[str]) -> list[str]:
    """Policies of the months before the clearing one begins: files, or built-in names."""
    found = [source_of(stand, "policy", name) for name in names]
    return [
        str(laid_out(service.files, item, folder / "earlier")) if isinstance(item, DocumentInfo) else item
        for item in found
    ]


def _request(
    service: Service, stand: Stand, basis: Basis, folder: Path, args: Mapping[str, Any]
) -> ClearRequest:  # fmt: skip
    """The clearing asked for, its files laid out."""
    lists = {name: lay(service, stand, folder / name, kind, args[name]) for name, kind in _LISTS.items() if args[name]}
    beside = {kind: lay_source(service, basis, folder, kind) for kind in ("weights", "hospitals", "separate")}
    lists |= {kind: Path(path) for kind, path in beside.items() if path is not None}
    return ClearRequest(
        int(args["year"]), tuple(lay_cases(service, stand, folder, args["cases"])), weights=beside["weights"],
        prepaid=lists.get("prepaid"), decisions=lists.get("decisions"), hospitals=lists.get("hospitals"),
        separate=lists.get("separate"), **reading(args),
    )  # fmt: skip


def _command(request: ClearRequest, policies: list[str], scheme: str, args: Mapping[str, Any]) -> str:
    """The command that repeats the run beside its files."""
    options = [*(("policy", name) for name in policies), ("year-file", year_file_name(request.year))]
    options += [("scheme", scheme), *([("weights", request.weights)] if request.weights else [])]
    options += [(name, str(path)) for name, path in request.lists.items()]
    words = file_words([*request.cases, *(value for _, value in options)])
    parts = ["drgdip", "clear", *sorted(words[name] for name in request.cases), "--year", str(request.year)]
    for name, value in options:
        parts += [f"--{name}", words[value]]
    return command_line([*parts, *reading_options(args), "-o", "DIR"])
