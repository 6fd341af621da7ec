"""Settlements, advances and year books as Chinese text, and as rows for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.cli.console import SHOWN, err, print_problems
from api.cli.console import out as standard_output
from api.core.advance import Advanced
from api.core.book import CLEAR, Book, Run
from api.core.book_seals import SHOWN_RUN
from api.core.settle import Settled
from api.core.settle_report import STATEMENT_ZH
from budget.money import yuan_text
from reference_tables.problems import LEVEL_ZH, Level

KIND_ZH = {
    "settle": "结算", "correct": "更正", "advance": "预付金", "close": "关账", "clear": "清算",
}  # fmt: skip
_AMOUNTS = ("due_fen", "corrections_fen", "carried_in_fen", "paid_fen", "held_fen", "deferred_fen", "carried_out_fen")
_MONTH_ZH = {
    "due_fen": "本月应付", "corrections_fen": "更正", "paid_fen": "拨付", "held_fen": "保证金",
    "deferred_fen": "待清算款", "advance_fen": "预付金",
}  # fmt: skip
_PAID_ZH = {
    "due_fen": "累计应付", "paid_fen": "已拨付", "held_fen": "保证金", "deferred_fen": "待清算款", "owed_fen": "未拨付",
    "advance_fen": "预付金",
}  # fmt: skip
_FEN = "_fen"
_WIDTH = 180  # a line of amounts is not cut, whatever the terminal
_FEW = 24


def _out() -> Console:
    return standard_output(_WIDTH)


def _table(names: list[str], texts: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for at, name in enumerate(names):
        table.add_column(name, justify="left" if at < texts else "right", no_wrap=True)
    return table


def _money(row: dict[str, Any]) -> dict[str, Any]:
    """Amounts in fen as yuan text, without the ending of their names."""
    return {name.removesuffix(_FEN): yuan_text(value) if name.endswith(_FEN) else value for name, value in row.items()}


def print_settled(settled: Settled, output: Path | None) -> None:
    """What a settlement did: totals, a line for each hospital and pool, the commonest problems."""
    out, run = _out(), settled.run
    if settled.repeated:
        assert run is not None
        out.print(f"同样的文件已结算过（{run.month}，运行 {run.run_id[:SHOWN_RUN]}），账册没有改动")
    elif run is None and not settled.closed:
        out.print("没有可结算或更正的内容，账册没有改动")
    if settled.closed:
        out.print(f"已关账到 {settled.book.closed_until}")
    if run is not None:
        totals = run.totals
        out.print(
            f"[bold]{run.month} 月度{KIND_ZH[run.kind]}[/]  运行 {run.run_id[:SHOWN_RUN]}  病例 {totals['cases']:,}"
            f"（其中迟报 {totals['late']:,}）  更正 {totals['changed']:,}  不结算 {totals['refused']:,}"
        )
        table = _table(["医疗机构", "基金池", "病例", *(STATEMENT_ZH[name] for name in _AMOUNTS)], 2)
        for row in settled.statement.head(_FEW).iter_rows(named=True):
            name = escape(row["hospital_name"] or row["hospital_id"])
            amounts = [yuan_text(row[column]) for column in _AMOUNTS]
            table.add_row(name, escape(row["pool"]), f"{row['cases']:,}", *amounts)
        sums = [yuan_text(int(settled.statement[column].sum())) for column in _AMOUNTS]
        table.add_row("合计", "", f"{totals['cases']:,}", *sums, style="bold")
        out.print(table)
        if settled.statement.height > _FEW:
            out.print(f"只列出前 {_FEW} 行，共 {settled.statement.height} 行；全部见 -o 文件夹中的结算单")
    _problems(settled)
    if output is not None:
        what = "问题清单" if run is None else "结算单、分录、问题清单和证明"
        out.print(f"{what}：{escape(str(output))}")


def _problems(settled: Settled) -> None:
    counted = settled.problems.group_by("code", "level", maintain_order=True).len().sort("len", descending=True)
    for code, level, count in counted.head(SHOWN).iter_rows():
        message = settled.problems.filter(settled.problems["code"] == code)["message"][0]
        err().print(f"  {count:>7,}  {LEVEL_ZH[Level(level)]} {code}  如：{escape(message)}")


def settled_row(settled: Settled) -> dict[str, Any]:
    """A settlement for JSON; amounts in yuan."""
    run = settled.run
    return {
        "run": None if run is None else _run_row(run),
        "repeated": settled.repeated,
        "closed_until": settled.book.closed_until,
        "seal": settled.book.seal,
        "statement": [_money(row) for row in settled.statement.iter_rows(named=True)],
        "corrections": [_money(row) for row in settled.details.iter_rows(named=True)],
        "problems": settled.problems.to_dicts(),
    }


def _run_row(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.run_id, "kind": run.kind, "month": run.month, "closes": run.closes, "note": run.note,
        "totals": _money(dict(run.totals)),
    }  # fmt: skip


def print_advanced(paid: Advanced) -> None:
    """Each insurance's advance, why there is none, and the hospitals' parts."""
    out = _out()
    if paid.repeated:
        out.print("同样的清单已预付过，账册没有改动")
    for insurance, found in paid.found.items():
        size = yuan_text(found.of.advance)
        why = f"预付 {size} 元" if found.of.eligible else "不符合预付条件（结余可支付月数不足，或有赤字）"
        out.print(f"[bold]{escape(insurance)}[/]  前几年平均月支出 {yuan_text(found.of.base_month)} 元  {why}")
    table = _table(["险种", "医疗机构", "预付金"], 2)
    for row in paid.rows.filter(paid.rows["advance_fen"] != 0).iter_rows(named=True):
        table.add_row(escape(row["insurance"]), escape(row["hospital_id"]), yuan_text(row["advance_fen"]))
    if table.row_count:
        out.print(table)
    if paid.run is None:
        out.print("没有可预付的险种，账册没有改动")
    print_problems(paid.problems)


def advanced_row(paid: Advanced) -> dict[str, Any]:
    """Advances for JSON; amounts in yuan."""
    return {
        "run": None if paid.run is None else _run_row(paid.run),
        "repeated": paid.repeated,
        "insurances": {
            name: {
                "eligible": found.of.eligible,
                "base_month": yuan_text(found.of.base_month),
                "advance": yuan_text(found.of.advance),
            }
            for name, found in paid.found.items()
        },
        "hospitals": [_money(row) for row in paid.rows.iter_rows(named=True)],
        "problems": [problem.as_row() for problem in paid.problems],
    }


def print_book(book: Book, months: list[dict[str, str | int | bool]], *, balanced: bool) -> None:
    """A book: policies, months, hospitals, whether it is sound."""
    out = _out()
    out.print(f"[bold]{book.year} 年账册[/]  运行 {len(book.runs)} 次  封印 {book.seal[:SHOWN_RUN]}")
    for policy in book.policies:
        reason = f"（{escape(policy.reason)}）" if policy.reason else ""
        out.print(
            f"政策 {escape(policy.id)}  校验值 {policy.sha256[:SHOWN_RUN]}  自 {policy.since} 起{reason}"
            f"  保存在 policies/{policy.key}"
        )
    for run in (run for run in book.runs if run.kind == CLEAR):
        out.print(_cleared(book, run))
    table = _table(["月份", "状态", "运行", "病例", "更正病例", *_MONTH_ZH.values()], 2)
    for row in months:
        counts = [f"{row[name]:,}" for name in ("runs", "cases", "changed")]
        amounts = [yuan_text(int(row[name])) for name in _MONTH_ZH]
        table.add_row(str(row["month"]), "已关账" if row["closed"] else "未关账", *counts, *amounts)
    out.print(table)
    paid = book.paid()
    table = _table(["医疗机构", "基金池", *_PAID_ZH.values()], 2)
    for hospital in paid.iter_rows(named=True):
        amounts = [yuan_text(hospital[name]) for name in _PAID_ZH]
        table.add_row(escape(hospital["hospital_id"]), escape(hospital["pool"]), *amounts)
    sums = [yuan_text(int(paid[name].sum())) for name in _PAID_ZH]
    table.add_row("合计", "", *sums, style="bold")
    out.print(table)
    out.print("借贷平衡，账与病例一致" if balanced else "[red]账册有问题，见 drgdip book verify[/]")


def _cleared(book: Book, run: Run) -> str:
    """A clearing in one line: which one holds, and what became of the others."""
    supersedes = str(book.document(run, "proof")["supersedes"])
    what = "已清算" if run is book.cleared else "清算已被取代或冲回"
    reason = f"（{escape(run.note)}）" if run.note else ""
    before = f"，取代 {supersedes[:SHOWN_RUN]}" if supersedes else ""
    figures = f"应得合计 {yuan_text(run.totals['entitlement_fen'])}，余额合计 {yuan_text(run.totals['balance_fen'])}"
    return f"{what}  运行 {run.run_id[:SHOWN_RUN]}，批次 {run.input_id[:SHOWN_RUN]}{before}：{figures}{reason}"


def book_row(book: Book, months: list[dict[str, str | int | bool]], *, balanced: bool) -> dict[str, Any]:
    """A book for JSON; amounts in yuan."""
    return {
        "year": book.year,
        "seal": book.seal,
        "closed_until": book.closed_until,
        "cleared": None if book.cleared is None else book.cleared.run_id,
        "sound": balanced,
        "policies": [
            {"id": policy.id, "sha256": policy.sha256, "since": policy.since, "reason": policy.reason}
            for policy in book.policies
        ],
        "months": [_money(dict(row)) for row in months],
        "runs": [_run_row(run) for run in book.runs],
        "hospitals": [_money(row) for row in book.paid().iter_rows(named=True)],
    }


def print_verified(book: Book, *, sound: bool) -> None:
    """The verdict."""
    files = sum(len(run.files) for run in book.runs)
    if sound:
        _out().print(f"账册无误：{len(book.runs)} 次运行、{files} 个文件的校验值和封印相符，借贷平衡，没有重复病例")
        _out().print(f"封印 {book.seal}")
    else:
        _out().print("[red]账册有问题[/]")
