"""What a clearing leaves behind: statements, postings, the budget's waterfall, what was left out, and the proof.

    statement.csv            one row per hospital and pool, STATEMENT_COLUMNS, yuan with two decimals
    statements/H1.html ...   the statement of each hospital, for print, as a workbook (.xlsx) and for programs (.json)
    pools.csv, budget.csv    the pools with their settlement values, and how their money came about
    postings.csv             double-entry postings, which sum to zero
    problems.csv             cases and decisions left out, refused or merged, and why
    proof.json               checksums of all that decided the result, run_id over them, the command that repeats it

The folder appears only when it is complete. The same inputs give the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import orjson
import xlsxwriter

from api.core.clearing import Clearing
from api.core.clearing_statement import (
    KIND_HEADER,
    UNIT_PLACES,
    VALUE_PLACES,
    HospitalStatement,
    hospital_statements,
    is_synthetic,
    statement_json,
)
from api.core.file_names import statement_name
from api.core.whole_folder import write_proved
from api.web.statement_page import WATERMARK, PageContext, statement_page
from budget.clearing import statement_row
from budget.frames import STATEMENT_COLUMNS
from budget.money import decimal_text, yuan_text
from budget.total_budget import TotalBudget
from reference_tables.accounts import ledger_accounts, ledger_events
from reference_tables.formula_cells import guarded_rows

_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same statement gives the same bytes
_NUMBER = re.compile(r"-?[0-9][0-9,]*(\.[0-9]+)?")
POOL_HEADER = (
    "pool", "distributable", "fixed", "bundled", "shared_out", "units", "value", "regulation", "reserve", "line",
    "line_used", "to_fund", "withheld", "unallotted",
)  # fmt: skip
BUDGET_HEADER = ("insurance", "item", "label", "amount", "left")
POSTING_HEADER = (
    "run_id", "entry", "month", "hospital", "pool", "account", "account_label", "side", "amount", "what", "label",
)  # fmt: skip


def run_id_of(deciding: Mapping[str, object]) -> str:
    """sha256 over everything that decides a result."""
    return hashlib.sha256(orjson.dumps(deciding, option=orjson.OPT_SORT_KEYS)).hexdigest()


def write_clearing(
    clearing: Clearing, folder: Path, deciding: Mapping[str, object], recompute: str, levels: Sequence[str] = ()
) -> str:
    """Write everything into `folder`, which must not exist or be empty; the run's id.

    `deciding`: what decides the result, by content; `recompute`: the command; `levels`: data levels of pack and
    weights. Raises OSError when the place cannot be written; then nothing is there.
    """
    run_id = run_id_of(deciding)

    def write(place: Path) -> Mapping[str, object]:
        (place / "statements").mkdir()
        _write_tables(clearing, place, run_id)
        synthetic = is_synthetic(clearing, *levels)
        _write_statements(clearing, place / "statements", deciding, run_id, recompute, synthetic=synthetic)
        return {"synthetic": synthetic, "steps": list(clearing.pools[0].steps) if clearing.pools else []}

    write_proved(folder, run_id, deciding, recompute, write)
    return run_id


def statement_rows(clearing: Clearing) -> list[dict[str, str]]:
    """The rows of statement.csv, sorted by hospital and pool."""
    return [statement_row(line, pool) for pool, line in clearing.lines]


def budget_rows(budget: TotalBudget) -> list[tuple[str, ...]]:
    """The waterfall of every insurance from income to quotas and sub-budgets, as BUDGET_HEADER."""
    rows: list[tuple[str, ...]] = []
    for part in budget.insurances:
        name, start = part.insurance, part.income
        if start is None:
            given = part.steps[0].left - part.steps[0].amount if part.steps else part.distributable
            rows.append((name, "inpatient_budget", "给定的住院总额", yuan_text(given), yuan_text(given)))
        else:
            rows.append((name, "income", "基金收入", yuan_text(start), yuan_text(start)))
        rows += [(name, step.item, step.label, yuan_text(step.amount), yuan_text(step.left)) for step in part.steps]
        left = yuan_text(part.distributable)
        rows.append((name, "inpatient", "住院按病组付费总额", yuan_text(part.inpatient), left))
        rows.append((name, "distributable", "可分配总额", left, left))
        rows += [(name, "sub_budget", label, yuan_text(amount), "") for label, amount in part.parts]
        rows += [(name, "quota", hospital, yuan_text(amount), "") for hospital, amount in part.quotas]
        if part.quotas:
            rows.append((name, "unallotted", "未下达的总额", yuan_text(part.unallotted), ""))
    return rows


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV file, UTF-8, lines ended by a line feed; a text that looks like a formula stays a text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(guarded_rows(rows))
    return text.getvalue().encode("utf-8")


def _write_tables(clearing: Clearing, folder: Path, run_id: str) -> None:
    statement = [tuple(row[name] for name in STATEMENT_COLUMNS) for row in statement_rows(clearing)]
    (folder / "statement.csv").write_bytes(csv_bytes(STATEMENT_COLUMNS, statement))
    (folder / "pools.csv").write_bytes(csv_bytes(POOL_HEADER, pool_rows(clearing)))
    (folder / "budget.csv").write_bytes(csv_bytes(BUDGET_HEADER, budget_rows(clearing.budget)))
    (folder / "problems.csv").write_bytes(csv_bytes(clearing.problems.columns, clearing.problems.iter_rows()))
    accounts, events = ledger_accounts(), ledger_events()
    names = ("run_id", "entry", "month", "hospital_id", "pool", "account", "side", "amount_fen", "what")
    postings = [
        (run, entry, month, hospital, pool, account, accounts[account].label, side, yuan_text(fen), what,
         events[what].label)
        for run, entry, month, hospital, pool, account, side, fen, what
        in clearing.postings(run_id).select(names).iter_rows()
    ]  # fmt: skip
    (folder / "postings.csv").write_bytes(csv_bytes(POSTING_HEADER, postings))


def pool_rows(clearing: Clearing) -> list[tuple[str, ...]]:
    """The pools with their money and settlement values, as POOL_HEADER."""
    rows: list[tuple[str, ...]] = []
    for pool in clearing.pools:
        budget, due, cleared = pool.budget, pool.due, pool.cleared
        fixed = sum(account.fixed for account in pool.accounts)
        units = sum((account.points for account in pool.accounts), Fraction(0))
        rows.append((
            budget.pool, yuan_text(budget.distributable), yuan_text(fixed), yuan_text(pool.bundled),
            yuan_text(sum(due.due)), decimal_text(units, UNIT_PLACES),
            "" if due.value is None else decimal_text(due.value, VALUE_PLACES), yuan_text(budget.regulation),
            yuan_text(budget.reserve), pool.line, yuan_text(cleared.line_used), yuan_text(cleared.to_fund),
            yuan_text(cleared.withheld), yuan_text(pool.unallotted),
        ))  # fmt: skip
    return rows


def _write_statements(
    clearing: Clearing, folder: Path, deciding: Mapping[str, object], run_id: str, recompute: str, *, synthetic: bool
) -> None:
    given = clearing.given
    program = deciding.get("program")
    version = program.get("version", "") if isinstance(program, Mapping) else ""
    context = PageContext(
        given.year_file.region, given.year, given.policy.name,
        (
            ("清算批次", run_id), ("政策校验值", given.policy.sha256), ("年度文件校验值", given.year_file.sha256),
            ("程序版本", f"drgdip {version}"), ("复算命令", recompute),
        ),
        synthetic,
    )  # fmt: skip
    for statement in hospital_statements(clearing):
        name = statement_name(statement.hospital)
        (folder / f"{name}.html").write_text(statement_page(statement, context), encoding="utf-8", newline="\n")
        _workbook(folder / f"{name}.xlsx", statement, context)
        told = {"region": context.region, "year": context.year, "run_id": run_id, **statement_json(statement)}
        (folder / f"{name}.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def _workbook(path: Path, statement: HospitalStatement, context: PageContext) -> None:
    with xlsxwriter.Workbook(str(path), {"strings_to_urls": False, "strings_to_formulas": False}) as book:
        book.set_properties({"created": _CREATED})
        bold = book.add_format({"bold": True})
        head = book.add_format({"bold": True, "bg_color": "#DDEBF7", "bottom": 1})
        text = book.add_format({"num_format": "@", "text_wrap": True, "valign": "top"})
        formats = {
            (places, total): book.add_format(
                {"num_format": "#,##0." + "0" * places if places else "#,##0", "bold": total, "valign": "top"}
            )
            for places in range(5) for total in (False, True)
        }  # fmt: skip
        for at, pool in enumerate(statement.pools, 1):
            sheet = book.add_worksheet(re.sub(r"[\[\]:*?/\\']", " ", f"{at} {pool.pool}")[:31])
            sheet.set_column(0, 0, 26)
            sheet.set_column(1, 4, 20)
            sheet.set_paper(9)
            sheet.fit_to_pages(1, 0)
            mark = f"（{WATERMARK}）" if context.synthetic else ""
            title = f"{context.region} {context.year} 年度医保支付清算单{mark}"
            sheet.write_string(0, 0, title, bold)
            sheet.write_string(1, 0, f"{statement.name}（{statement.hospital}）  {pool.pool}  {context.policy}", text)
            for column, name in enumerate(("项目", "金额（数量）", "说明")):
                sheet.write_string(3, column, name, head)
            row = 4
            for item in pool.items:
                sheet.write_string(row, 0, item.label, bold if item.total else text)
                _cell(sheet, row, 1, item.value, formats, total=item.total)
                sheet.write_string(row, 2, item.how)
                row += 1
            row += 1
            for line in (KIND_HEADER, *pool.kinds) if pool.kinds else ():
                for column, cell in enumerate(line):
                    if line is KIND_HEADER:
                        sheet.write_string(row, column, cell, head)
                    else:
                        _cell(sheet, row, column, cell, formats, total=False)
                row += 1
            for name, value in context.proof:
                row += 1
                sheet.write_string(row, 0, name, text)
                sheet.write_string(row, 1, value)


def _cell(
    sheet: xlsxwriter.worksheet.Worksheet,
    row: int,
    column: int,
    value: str,
    formats: Mapping[tuple[int, bool], object],
    *,
    total: bool,
) -> None:
    """A figure as a number with the decimals it is told with, other text as text."""
    if _NUMBER.fullmatch(value):
        places = len(value.partition(".")[2])
        sheet.write_number(row, column, float(value.replace(",", "")), formats[places, total])
    else:
        sheet.write_string(row, column, value)
