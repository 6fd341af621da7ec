"""Indicators and the yearly page as jobs: from the year book, or from case files grouped and priced by the basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import sqlalchemy as sa

from api.core.clearing_files import run_id_of
from api.core.indicator_report import label_of, targets, write_indicator_report
from api.core.indicators import Indicators, of_book, of_grouped, of_priced
from api.core.payable import PayableFiles
from api.core.report_files import NotCleared, part_of
from api.service.absent import absent
from api.service.audit import Actor
from api.service.basis import Basis
from api.service.context import Service
from api.service.documents import Stand
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    Kept,
    all_needed,
    asked_with,
    book_of,
    chosen_documents,
    chosen_in,
    deciding,
    ending,
    lay_cases,
    only_of_cases,
    reading,
    unfit,
    working,
)
from api.service.runs import DONE, LOCKED, Made, RunInfo, find_run, kept_folder, list_runs
from api.service.submissions import NotTaken
from api.service.told import counted
from api.service.values import new_id
from api.service.worker import JobContext, JobRefused
from grouper.intake import IntakeError
from grouper.output import table_csv

INDICATORS, REPORT, CLEAR = "indicators", "report", "clear"


_CHOSEN = ("policy", "scheme", "weights", "hospitals")


def ask_indicators(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job for the indicators of a year: of its book, or of case documents. Raises NotTaken (SV03, SV04),
    TablesRefused (SV03), BookRefused."""
    if args["cases"]:
        all_needed(connection, CASES, args["cases"])
    else:
        only_of_cases(args, (*_CHOSEN, "format", "edition"), "账册中的病例已分组、已定价")
        book_of(service, int(args["year"]))
    for name in () if args["priced"] else ("policy", "hospitals"):
        if args[name]:
            raise NotTaken(unfit(name, "只用于按政策定价（priced 为 true）"))
    chosen = chosen_in(args, *_CHOSEN)
    used = chosen_documents(service, connection, chosen, cases=args["cases"])
    asked = {**args, "chosen": chosen, "documents": used}
    return enqueue(connection, actor, INDICATORS, f"{INDICATORS} {new_id('ask')}", asked)


def count(service: Service, context: JobContext) -> Any:
    """The handler of indicators."""
    args = context.held.args
    year, problems = int(args["year"]), Kept()
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        if args["cases"]:
            paths = lay_cases(service, stand, folder, args["cases"])
            found, proof = _of_cases(context, basis, paths, problems)
        else:
            book = book_of(service, year)
            found, proof = of_book(book), deciding(INDICATORS, None, year=year, book=book.seal)
        out = folder / "out"
        out.mkdir()
        write_indicator_report(found, out / "indicators.xlsx")
        (out / "indicators.csv").write_bytes(table_csv(found.table))
        problems.write_csv(out)
        made = Made(
            INDICATORS, year, "", DONE, run_id_of(proof), _summary(found, problems.frame), proof,
            kept_folder(service.files, out),
        )  # fmt: skip
    return ending(context, made, stand if args["cases"] else Stand(), basis if args["cases"] else None)


def _of_cases(
    context: JobContext, basis: Basis, paths: Sequence[str], problems: Kept
) -> tuple[Indicators, dict[str, Any]]:

    def progress(_: object, rows: int) -> None:
        context.tell(rows, 0)

    args = context.held.args
    if args["priced"]:
        files = PayableFiles(
            list(paths), basis.scheme, basis.policy, basis.values, hospitals=basis.hospitals,
            separate=basis.separate, threads=1, progress=progress, **reading(args),
        )  # fmt: skip
        found = of_priced(files, basis.policy, problems)
        unusable = [problem for _, error in files.unusable for problem in error.problems]
        if unusable:
            raise IntakeError(unusable)  # indicators of a part of the region would mislead
    else:
        found = of_grouped(
            list(paths), basis.scheme, basis.values, problems=problems, progress=progress, **reading(args)
        )
    cases = [{"name": Path(item.path).name, "sha256": item.sha256} for item in found.sources]
    said = {"format": args.get("format", "auto"), "edition": args.get("edition", "insurance")}
    return found, deciding(INDICATORS, basis, cases=cases, priced=found.priced, **said)


def _summary(found: Indicators, problems: pl.DataFrame) -> dict[str, Any]:
    (region,) = found.tables["region"].iter_rows(named=True)
    chosen = found.rules.of(found.scheme, priced=found.priced)
    return {
        "scheme": found.scheme,
        "region": {item.name: {"label": label_of(item), "value": _plain(region[item.name])} for item in chosen},
        "targets": [
            {"indicator": item.name, "value": str(value), "target": str(target), "reached": reached}
            for item, value, target, reached in targets(found)
        ],
        "units": {level: table.height for level, table in found.tables.items() if level != "region"},
        "problems": counted(problems),
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else str(value)


def ask_report(service: Service, connection: sa.Connection, actor: Actor, year: int, clearing: str, title: str) -> str:
    """The id of a job that draws a year's page; `clearing`: a clearing of the year, "" = the locked one if there is
    one. Raises NotTaken (SV03), BookRefused."""
    book_of(service, year)
    if clearing and ((found := find_run(connection, clearing)) is None or (found.kind, found.year) != (CLEAR, year)):
        raise NotTaken(absent(f"{year} 年清算", clearing, f"核对编号，该年的见 GET /v1/runs?kind=clear&year={year}"))
    args = {"year": year, "clearing": clearing, "title": title}
    return enqueue(connection, actor, REPORT, f"{REPORT} {new_id('ask')}", args)


def draw(service: Service, context: JobContext) -> Any:
    """The handler of yearly pages."""
    # Charts take their time to import; no other job needs them.
    from api.web.report_page import report_page

    args = context.held.args
    year = int(args["year"])
    with service.database.read() as connection:
        chosen = _clearing(connection, year, str(args["clearing"]))
    with working(service, context) as folder:
        book = book_of(service, year)
        cleared = None if chosen is None else _laid_run(service, chosen, folder / "cleared")
        try:
            part = part_of(book.path, cleared)
        except NotCleared as error:
            raise JobRefused([unfit("clearing", str(error))]) from None
        out = folder / "out"
        out.mkdir()
        (out / "report.html").write_text(report_page(str(args["title"]), [part]), encoding="utf-8", newline="\n")
        proof = deciding(REPORT, None, book=book.seal, clearing=None if chosen is None else chosen.run_id)
        summary = {"label": part.label, "totals": part.totals, "clearing": None if chosen is None else chosen.id}
        made = Made(
            REPORT, year, "", DONE, run_id_of(proof), orjson.loads(orjson.dumps(summary)), proof,
            kept_folder(service.files, out),
        )  # fmt: skip
    return ending(context, made, Stand(), None)


def _clearing(connection: sa.Connection, year: int, name: str) -> RunInfo | None:
    if name:
        return find_run(connection, name)
    runs = list_runs(connection, kind=CLEAR, year=year, limit=1000)
    return next((item for item in runs if item.state == LOCKED), None)


def _laid_run(service: Service, found: RunInfo, folder: Path) -> Path:
    """The files of a run as they were left behind."""
    for name, sha256 in found.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(service.files.path(sha256))
    return folder
