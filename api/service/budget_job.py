"""Total budgets and yearly advances as jobs: the commands' own budget, and advances paid out of the year book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import xlsxwriter

from api.core.advance import Advanced, fund_states, pay_advances
from api.core.budget import make_budget, tally_files, write_budget
from api.core.clear_request import ClearRequest
from api.core.clearing_files import csv_bytes, run_id_of
from api.service.audit import Actor
from api.service.basis import Basis, basis_of
from api.service.book_cases import year_book
from api.service.context import Service
from api.service.jobs import enqueue
from api.service.office_work import (
    CASES,
    YEAR_FILE,
    all_needed,
    asked_with,
    chosen_documents,
    chosen_in,
    deciding,
    documents_for,
    ending,
    lay,
    lay_cases,
    lay_source,
    lay_year_file,
    needed,
    only_of_cases,
    plain_args,
    reading,
    reading_options,
    unfit,
    working,
    year_file_name,
)
from api.service.runs import ADVANCE, DONE, Made, entered, kept_folder
from api.service.submissions import NotTaken
from api.service.told import told
from api.service.values import new_id
from api.service.worker import JobContext
from api.store.faults import point
from budget.money import exact, yuan_text
from grouper.proof import file_sha256
from grouper.repeat_command import command_line

BUDGET, SPEND = "budget", "spend"
ADVANCE_HEADER = ("insurance", "pool", "hospital", "advance")


def ask_budget(service: Service, connection: sa.Connection, actor: Actor, args: Mapping[str, Any]) -> str:
    """The id of a job that makes a year's budget; `cases`: documents whose cases give the expected units, none = the
    year file's history, which needs nothing of what cases are grouped and paid by. Raises NotTaken (SV03, SV04),
    TablesRefused (SV03)."""
    year, cases = [year_file_name(int(args["year"]))], args["cases"]
    needed(connection, YEAR_FILE, *year)
    all_needed(connection, CASES, cases)
    if not cases:
        only_of_cases(args, ("scheme", "weights", "hospitals", "format", "edition"), "没有病例的按年度文件的历年数据")
    chosen = chosen_in(args, "policy", "scheme", "weights", "hospitals")
    used = chosen_documents(service, connection, chosen, year_file=year, decisions=None, cases=cases)
    return enqueue(
        connection, actor, BUDGET, f"{BUDGET} {new_id('ask')}", {**args, "chosen": chosen, "documents": used}
    )


def make(service: Service, context: JobContext) -> Any:
    """The handler of budgets."""
    args = context.held.args
    year, names = int(args["year"]), list(args["cases"])
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        figures = lay_year_file(service, stand, folder, year)
        paths = lay_cases(service, stand, folder, names)
        tallies = None
        if paths:
            request = ClearRequest(
                year, tuple(paths), weights=lay_source(service, basis, folder, "weights"), **reading(args)
            )
            tallies = tally_files(
                request, basis.policy, basis.scheme, basis.hospitals, lambda _, rows: context.tell(rows, 0)
            )
        run = make_budget(basis.policy, figures, tallies)
        write_budget(run, folder / "out")
        cases = [{"name": Path(path).name, "sha256": file_sha256(Path(path))} for path in paths]
        said = {"format": args.get("format", "auto"), "edition": args.get("edition", "insurance")} if cases else {}
        proof = deciding(BUDGET, basis, year_file={"name": figures.file, "sha256": figures.sha256}, cases=cases, **said)
        made = Made(
            BUDGET, year, "", DONE, run_id_of(proof), run.as_json(),
            {**proof, "recompute": _budget_command(args, basis, figures.file, cases)},
            kept_folder(service.files, folder / "out"),
        )  # fmt: skip
    return ending(context, made, stand, basis)


def _budget_command(args: Mapping[str, Any], basis: Basis, year_file: str, cases: Sequence[Mapping[str, str]]) -> str:
    """The command that repeats a budget beside its files."""
    parts = ["drgdip", "budget", "--policy", "policy.toml", "--year-file", year_file]
    for item in cases:
        parts += ["--cases", item["name"]]
    if cases:
        parts += ["--scheme", basis.scheme.pack.id]
        for kind in ("weights", "hospitals"):
            found = basis.sources.get(kind)
            parts += [] if found is None else [f"--{kind}", found if isinstance(found, str) else found.name]
        parts += reading_options(args)
    return command_line([*parts, "-o", "DIR"])


def ask_advance(
    service: Service,
    connection: sa.Connection,
    actor: Actor,
    month: str,
    spend: str,
    balances: Mapping[str, str],
    deficits: Sequence[str],
) -> str:
    """The id of a job that pays a year's advances; `balances`: months that each insurance's balance lasts, decimal
    text. Raises NotTaken (SV03, SV04 for an insurance that the policy has not)."""
    needed(connection, SPEND, spend)
    known = basis_of(service, connection).policy.insurances
    for field, given in (("balances", balances), ("deficits", deficits)):
        strange = [name for name in given if name not in known]
        if strange:
            raise NotTaken(unfit(field, f"政策没有险种 {'、'.join(strange)}，可用：{'、'.join(known)}"))
    args = {
        "month": month, "spend": spend, "balances": dict(balances), "deficits": sorted(deficits),
        "documents": documents_for(connection, spend=[spend]),
    }  # fmt: skip
    return enqueue(connection, actor, ADVANCE, f"{ADVANCE} {new_id('ask')}", args)


def pay(service: Service, context: JobContext) -> Any:
    """The handler of advances. Done again after a crash, the book answers with what it has paid already."""
    args = context.held.args
    month = str(args["month"])
    with working(service, context) as folder:
        stand, basis = asked_with(service, context)
        months: dict[str, Fraction] = {name: exact(text) for name, text in args["balances"].items()}
        spend = lay(service, stand, folder, SPEND, str(args["spend"]))
        book = service.books / month[:4]
        book.mkdir(exist_ok=True)
        context.hold()
        year_book(service, month[:4])  # refused where it is older than the catalogue
        paid = pay_advances(book, month, basis.policy, spend, fund_states(months, frozenset(args["deficits"])))
        point("advance recorded")
        if paid.run is None:
            summary = _summary(paid)
            return lambda _: {"run": None, **summary}
        out = folder / "out"
        _write(paid, out)
        proof = deciding(ADVANCE, basis, spend=file_sha256(spend), asked=plain_args(args))
        made = Made(
            ADVANCE, int(month[:4]), month, DONE, paid.run.run_id, _summary(paid), proof,
            kept_folder(service.files, out),
        )  # fmt: skip
    enter = ending(context, made, stand, basis)

    def change(connection: sa.Connection) -> Mapping[str, Any]:
        before = entered(connection, ADVANCE, made.run_id)
        return enter(connection) if before is None else {"run": before, "repeated": True}

    return change


def _rows(paid: Advanced) -> list[tuple[str, ...]]:
    columns = ("insurance", "pool", "hospital_id", "advance_fen")
    return [(*texts, yuan_text(fen)) for *texts, fen in paid.rows.select(columns).iter_rows()]


def _summary(paid: Advanced) -> dict[str, Any]:
    return {
        "repeated": paid.repeated,
        "insurances": {
            name: {
                "eligible": found.of.eligible, "base_month": yuan_text(found.of.base_month),
                "advance": yuan_text(found.of.advance),
            }
            for name, found in paid.found.items()
        },
        "hospitals": [dict(zip(ADVANCE_HEADER, row, strict=True)) for row in _rows(paid)],
        "problems": [told(problem) for problem in paid.problems],
    }  # fmt: skip


def _write(paid: Advanced, out: Path) -> None:
    """advances.csv and advances.xlsx."""
    out.mkdir()
    rows = _rows(paid)
    (out / "advances.csv").write_bytes(csv_bytes(ADVANCE_HEADER, rows))
    with xlsxwriter.Workbook(str(out / "advances.xlsx"), {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("预付金")
        money = book.add_format({"num_format": "#,##0.00"})
        for column, name in enumerate(("险种", "基金池", "医疗机构编码", "预付金（元）")):
            sheet.write_string(0, column, name)
        for line, (*texts, amount) in enumerate(rows, 1):
            for column, text in enumerate(texts):
                sheet.write_string(line, column, text)
            sheet.write_number(line, len(texts), float(amount), money)
