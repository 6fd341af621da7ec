"""What a settlement hands over: statements as CSV and workbook, postings, corrections, problems and the proof.

Chinese headers, yuan with two decimals, every file whole or not at all, the same settlement the same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import xlsxwriter

from api.core.book import write_whole
from api.core.settle import Settled
from budget.case_fit import yuan_of
from budget.frames import CASE_KIND_ZH
from grouper.output import table_csv
from reference_tables.accounts import ledger_accounts, ledger_events
from reference_tables.problems import PROBLEM_SCHEMA

STATEMENT_ZH = {
    "hospital_id": "医疗机构编码", "hospital_name": "医疗机构名称", "month": "月份", "pool": "基金池",
    "cases": "病例数", "points": "点数（分值）", "cost_fen": "纳入费用", "package_fen": "支付标准合计",
    "due_fen": "本月应付", "corrections_fen": "以前月份更正", "carried_in_fen": "上期结转",
    "basis_fen": "本期应付合计", "paid_fen": "本期拨付", "held_fen": "质量保证金", "deferred_fen": "待清算款",
    "carried_out_fen": "结转下期",
}  # fmt: skip
KIND_ZH = {
    "hospital_id": "医疗机构编码", "pool": "基金池", "case_kind": "病例类型", "cases": "病例数", "cost_fen": "纳入费用",
    "package_fen": "支付标准合计", "fund_fen": "统筹支付",
}  # fmt: skip
DETAIL_ZH = {
    "hospital_id": "医疗机构编码", "case_id": "病例编号", "action": "处理", "reason": "原因",
    "first_month": "原入账月份", "before_fen": "原统筹支付", "now_fen": "更正后统筹支付", "difference_fen": "差额",
    "from_run": "原运行",
}  # fmt: skip
POSTING_ZH = {
    "run_id": "运行", "entry": "分录号", "month": "月份", "hospital_id": "医疗机构编码", "pool": "基金池",
    "account": "科目", "account_zh": "科目名称", "side": "借贷", "amount_fen": "金额", "what": "业务",
    "supersedes": "更正的运行",
}  # fmt: skip
ACTION_ZH = {"replace": "更正", "decide": "特例单议", "withdraw": "撤销"}
SIDE_ZH = {"debit": "借", "credit": "贷"}
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same statement gives the same bytes
_FEN = "_fen"
_WIDTH = 14
_SHEET = 31
_SUMMARY, _CHANGES = "汇总", "更正"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Block:
    """A table on a sheet, under its title; cells are text, "12.00" where `money` says so."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    numbers: frozenset[int]


def write_settlement(settled: Settled, folder: Path) -> list[Path]:
    """Write a settlement's files into a folder: statement.csv, kinds.csv, corrections.csv, postings.csv, problems.csv,
    statement.xlsx, proof.json; problems.csv alone when nothing was settled. Raises OSError when it cannot be
    written."""
    if settled.run is None:
        write_whole(folder / "problems.csv", table_csv(settled.problems.select(*PROBLEM_SCHEMA)))
        return [folder / "problems.csv"]
    tables = {
        "statement.csv": statement_table(settled.statement),
        "kinds.csv": kind_table(settled.kinds),
        "corrections.csv": detail_table(settled.details),
        "postings.csv": posting_table(settled.postings),
        "problems.csv": settled.problems.select(*PROBLEM_SCHEMA),
    }
    contents = {name: table_csv(table) for name, table in tables.items()}
    contents["statement.xlsx"] = workbook(settled)
    contents["proof.json"] = orjson.dumps(settled.proof, option=orjson.OPT_INDENT_2) + b"\n"
    for name, data in contents.items():
        write_whole(folder / name, data)
    return [folder / name for name in contents]


def statement_table(statement: pl.DataFrame) -> pl.DataFrame:
    """STATEMENT_SCHEMA in Chinese, yuan."""
    return _shown(statement, STATEMENT_ZH)


def kind_table(kinds: pl.DataFrame) -> pl.DataFrame:
    """KIND_SCHEMA in Chinese, yuan."""
    return _shown(kinds.with_columns(pl.col("case_kind").replace(CASE_KIND_ZH)), KIND_ZH)


def detail_table(details: pl.DataFrame) -> pl.DataFrame:
    """DETAIL_SCHEMA in Chinese, yuan."""
    return _shown(details.with_columns(pl.col("action").replace(ACTION_ZH)), DETAIL_ZH)


def posting_table(postings: pl.DataFrame) -> pl.DataFrame:
    """POSTING_SCHEMA in Chinese, yuan, with the names of accounts."""
    accounts = {code: account.label for code, account in ledger_accounts().items()}
    events = {name: event.label for name, event in ledger_events().items()}
    named = postings.with_columns(
        pl.col("account").replace(accounts).alias("account_zh"),
        pl.col("what").replace(events),
        pl.col("side").replace(SIDE_ZH),
    )
    return _shown(named, POSTING_ZH)


def _shown(frame: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    return frame.select(
        (yuan_of(pl.col(name)) if name.endswith(_FEN) else pl.col(name)).alias(label) for name, label in names.items()
    )


def workbook(settled: Settled) -> bytes:
    """The statements as a workbook: 汇总, 更正 when there is any, and a sheet for each hospital."""
    statement, kinds = statement_table(settled.statement), kind_table(settled.kinds)
    details = detail_table(settled.details)
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": _CREATED})
    formats = _Formats(book)
    taken: set[str] = set()
    _sheet(book, formats, _name(_SUMMARY, taken), [_block("月度结算汇总", statement)])
    if details.height:
        _sheet(book, formats, _name(_CHANGES, taken), [_block("以前月份病例的更正", details)])
    key = STATEMENT_ZH["hospital_id"]
    for hospital in statement[key].unique(maintain_order=True):
        own = [frame.filter(pl.col(key) == hospital) for frame in (statement, kinds, details)]
        name = own[0][STATEMENT_ZH["hospital_name"]][0] or ""
        title = f"{name}（{hospital}）月度结算单" if name else f"{hospital} 月度结算单"
        blocks = [_upright(title, own[0]), _block("病例类型", own[1].drop(key))]
        blocks += [_block("以前月份病例的更正", own[2].drop(key))] if own[2].height else []
        _sheet(book, formats, _name(hospital, taken), blocks)
    book.close()
    return buffer.getvalue()


def _block(title: str, frame: pl.DataFrame) -> Block:
    numbers = frozenset(at for at, name in enumerate(frame.columns) if name in _NUMBERS)
    return Block(title, tuple(frame.columns), tuple(frame.iter_rows()), numbers)


_NUMBERS = {
    label
    for names in (STATEMENT_ZH, KIND_ZH, DETAIL_ZH)
    for name, label in names.items()
    if name.endswith(_FEN) or name in {"cases", "points"}
}


def _upright(title: str, statement: pl.DataFrame) -> Block:
    """One hospital's statement with a line for each amount and a column for each pool."""
    pools = statement[STATEMENT_ZH["pool"]].to_list()
    labels = [label for label in STATEMENT_ZH.values() if label in _NUMBERS]
    rows = [("月份", *statement[STATEMENT_ZH["month"]].to_list())]
    rows += [(label, *statement[label].to_list()) for label in labels]
    return Block(title, ("项目", *pools), tuple(rows), frozenset(range(1, len(pools) + 1)))


class _Formats:
    def __init__(self, book: Any) -> None:
        self.title = book.add_format({"bold": True, "font_size": 14})
        self.header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True})
        self.text = book.add_format({"num_format": "@"})
        self.count = book.add_format({"num_format": "#,##0"})
        self.money = book.add_format({"num_format": "#,##0.00"})


def _sheet(book: Any, formats: _Formats, name: str, blocks: Sequence[Block]) -> None:
    sheet = book.add_worksheet(name)
    sheet.set_column(0, max(len(block.header) for block in blocks), _WIDTH)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    at = 0
    for block in blocks:
        sheet.write_string(at, 0, block.title, formats.title)
        sheet.write_row(at + 1, 0, block.header, formats.header)
        for row in block.rows:
            for column, value in enumerate(row):
                text = "" if value is None else str(value)
                if column in block.numbers and _NUMBER.fullmatch(text):
                    shown = formats.money if "." in text else formats.count
                    sheet.write_number(at + 2, column, float(text), shown)
                else:
                    sheet.write_string(at + 2, column, text, formats.text)
            at += 1
        at += 3


def _name(wanted: str, taken: set[str]) -> str:
    """A name a sheet may have, of its own: without the signs a workbook forbids, at most 31 long."""
    bare = re.sub(r"[\[\]:*?/\\']", "_", wanted)[:_SHEET] or "_"
    name, number = bare, 1
    while name.lower() in taken:
        number += 1
        ending = f"~{number}"
        name = bare[: _SHEET - len(ending)] + ending
    taken.add(name.lower())
    return name
