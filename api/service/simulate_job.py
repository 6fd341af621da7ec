"""Policy simulations as jobs: what a reform does to hospitals and to the fund, over submitted cases or case documents.

The result holds sums alone; what names single cases (the list of problems) is for the office.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from api.core.settle_tiers import otherwise_settled
from api.core.simulate import Simulation, simulate
from api.core.simulate_cases import SimulationRequest
from api.core.simulation_files import told_problems, write_simulation
from api.service.absent import absent
from api.service.audit import Actor
from api.service.basis import Basis
from api.service.batches import served
from api.service.book_cases import year_book
from api.service.chosen import CURRENT
from api.service.context import Service
from api.service.documents import ASIDE, IN_FORCE, Stand, laid_out
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
    only_of_cases,
    reading,
    reading_options,
    unfit,
    working,
    year_file_name,
)
from api.service.runs import DONE, Made, kept_folder
from api.service.submissions import NotTaken
from api.service.submitted_cases import lay_submitted, standing
from api.service.told import counted, told
from api.service.values import new_id
from api.service.worker import JobContext
from grouper.repeat_command import command_line, file_words
from reference_tables.problems import Problem, TablesRefused, problem_frame
from reference_tables.reform import Reform, find_reforms, load_reform, parse_reform

JOB, REFORM = "simulate", "reform"
_TOLD = ("changes", "steps", "winners", "fund", "solved")
_LISTS = {"decisions": DECISIONS, "prepaid": PREPAID}


def read_reform(data: bytes, name: str) -> Reform:
    """A reform as it is handed in. Raises TablesRefused with all its problems; SV04 where it names a file elsewhere."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise TablesRefused(name, [Problem("RF02", {"reason": "不是 UTF-8 编码"}, file=name, row=row)]) from None
    found = parse_reform(text, name)
    switch = tomllib.loads(text.replace("\r\n", "\n")).get("switch", {})
    if any("/" in str(value) or "\\" in str(value) for value in switch.values()):
        raise TablesRefused(name, [unfit("switch", "只能写内置编号或文件名，不能写文件夹")])
    return found


def ask(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job that simulates. Raises NotTaken (SV03, SV04)."""
    if bool(args["cases"]) == bool(args["submitted"]):
        raise NotTaken(unfit("cases", "给出病例文件（cases）或已提交病例的年度（submitted），二者取一"))
    if args["submitted"] and not standing(connection, int(args["submitted"])):
        how = "先由医疗机构提交该年的病例（POST /v1/submissions），或在 cases 写明病例文件"
        raise NotTaken(absent("已受理的提交，年度", str(args["submitted"]), how))
    all_needed(connection, CASES, args["cases"])
    for name in args["reforms"]:
        if name not in find_reforms():
            needed(connection, REFORM, name)
    if args["year"]:
        needed(connection, YEAR_FILE, year_file_name(int(args["year"])))
    if args["prepaid"] and not args["year"]:
        raise NotTaken(unfit("prepaid", "只用于清算，须同时给出 year"))
    for field, kind in _LISTS.items():
        if args[field]:
            needed(connection, kind, str(args[field]))
    if args["submitted"]:
        only_of_cases(args, ("format", "edition"), "已受理的提交按提交时的读法")
    scheme = check_scheme(service, connection, str(args["scheme"]))
    chosen = chosen_in({**args, "scheme": scheme}, *IN_FORCE)
    used = _used(service, connection, args, chosen)
    asked = {**args, "scheme": scheme, "chosen": chosen, "documents": used}
    return enqueue(connection, actor, JOB, f"{JOB} {new_id('ask')}", asked)


def _used(
    service: Service, connection: sa.Connection, args: Mapping[str, Any], chosen: Mapping[str, str]
) -> list[list[str | int]]:  # fmt: skip
    """The documents a simulation goes by; what a reform may switch to is among them."""
    year = [year_file_name(int(args["year"]))] if args["year"] else []
    return chosen_documents(
        service, connection, chosen, cases=args["cases"], reform=args["reforms"], year_file=year, decisions=None,
        prepaid=[args["prepaid"]] if args["prepaid"] else [], **dict.fromkeys([*ASIDE, *ASIDE.values()]),
    )  # fmt: skip


def work_on(service: Service, context: JobContext) -> Any:
    """The handler of simulations."""
    args = context.held.args
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        reforms = tuple(_reform(service, stand, folder, name) for name in args["reforms"])
        year = int(args["year"]) if args["year"] else None
        figures = None if year is None else lay_year_file(service, stand, folder, year)
        cases = (
            lay_submitted(service, folder, int(args["submitted"]))
            if args["submitted"]
            else lay_cases(service, stand, folder, args["cases"])
        )
        lists = {
            name: lay(service, stand, folder / name, kind, args[name]) for name, kind in _LISTS.items() if args[name]
        }
        beside = {kind: lay_source(service, basis, folder, kind) for kind in ("weights", "hospitals", "separate")}
        register, separate = (None if path is None else Path(path) for path in list(beside.values())[1:])
        request = SimulationRequest(
            tuple(cases), reforms, year, hospitals=register, separate=separate, weights=beside["weights"],
            bootstrap=int(args["bootstrap"]), seed=int(args["seed"]), threads=1, decisions=lists.get("decisions"),
            prepaid=lists.get("prepaid"), **reading(args),
        )  # fmt: skip
        steps = _Steps(context)
        done = simulate(request, basis.policy, basis.scheme, figures, steps.rows, steps.next)
        of_tiers = _of_tiers(service, basis, int(args["submitted"] or 0))
        done = replace(done, problems=pl.concat([done.problems, of_tiers]))
        command = _command(request, args, figures is not None)
        told_here = replace(done, problems=served(done.problems), reading=served(done.reading))
        run_id = write_simulation(told_here, folder / "out", command, served=True)
        proof = {**done.deciding, "run_id": run_id, "recompute": command}
        made = Made(
            JOB, year or int(args["submitted"] or 0) or _year(done), "", DONE, run_id, _summary(done), proof,
            kept_folder(service.files, folder / "out"),
        )  # fmt: skip
    return ending(context, made, stand, basis)


def _of_tiers(service: Service, basis: Basis, year: int) -> pl.DataFrame:
    """What is told (PROBLEM_SCHEMA) where submitted cases were settled at other tiers than they are simulated at."""
    book = year_book(service, str(year)) if year else None
    if book is None or basis.hospitals is None:
        return problem_frame([])
    return problem_frame(otherwise_settled(book, basis.hospitals))


class _Steps:
    """Tells the job how far it is: rows read, then parts done; hears of a cancelled job in between."""

    def __init__(self, context: JobContext) -> None:
        self.context, self.read = context, 0

    def rows(self, _source: object, rows: int) -> None:
        self.read = rows
        self.context.tell(rows, 0)

    def next(self, _text: str) -> None:
        self.context.tell(self.read, 0)


def _reform(service: Service, stand: Stand, folder: Path, name: str) -> Reform:
    """A reform among the documents, else a built-in one; what it switches to lies beside it."""
    found = stand.latest(REFORM, name)
    if found is None:
        return load_reform(name)
    place = folder / "reforms"
    path = laid_out(service.files, found, place)
    switch = read_reform(path.read_bytes(), name).switch
    for kind, wanted in (("policy", switch.policy), ("weights", switch.weights)) if switch else ():
        if wanted and (item := stand.named(kind, Path(wanted).name)) is not None:
            laid_out(service.files, item, place)
    return load_reform(path)


def _command(request: SimulationRequest, args: Mapping[str, Any], cleared: bool) -> str:
    """The command that repeats the run beside its files."""
    words = file_words([*request.cases, *request.lists.values()])
    parts = ["drgdip", "simulate", *sorted(words[name] for name in request.cases), "--policy", "policy.toml"]
    for name in args["reforms"]:
        parts += ["--reform", name]
    parts += ["--year-file", f"{args['year']}.toml"] if cleared else []
    parts += ["--scheme", args["scheme"]] if args["scheme"] not in {"", CURRENT} else []
    parts += ["--weights", Path(request.weights).name] if request.weights else []
    for name, path in request.lists.items():
        parts += [f"--{name}", words[str(path)]]
    parts += reading_options(args)
    parts += ["--bootstrap", str(request.bootstrap), "--seed", str(request.seed)] if request.bootstrap else []
    return command_line([*parts, "-o", "DIR"])


def _year(done: Simulation) -> int:
    """The last year that a case was settled in."""
    return int(str(done.before.cases["month"].drop_nulls().max() or "0000")[:4])


def _summary(done: Simulation) -> dict[str, Any]:
    """What changed, step by step, for whom, and the fund; everything else stands in the files."""
    tables = {name: _plain(done.tables[name]) for name in _TOLD if name in done.tables}
    return {
        "policy": {"before": done.before.policy.id, "after": done.after.policy.id},
        "reforms": [item.id for item in done.request.reforms], "cases": done.before.cases.height,
        "synthetic": done.synthetic, **tables,
        "told": [told(item) for item in told_problems(done)],
        "problems": counted(pl.concat([done.problems, done.reading])),
    }  # fmt: skip


def _plain(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; decimals as text."""
    decimals = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.Decimal)]
    return table.with_columns(pl.col(decimals).cast(pl.String)).to_dicts()
