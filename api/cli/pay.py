"""`drgdip pay`: what every case is paid under a policy."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from api.cli.console import DATA_LEVEL_ZH, SHOWN, Exit, err, fail, load_scheme, print_json, print_problems
from api.cli.group import (
    Edition,
    EditionOption,
    Files,
    Format,
    FormatOption,
    JsonOption,
    ProblemsOption,
    ThreadsOption,
    all_threads,
    check_paths,
    result_writer,
)
from api.cli.pay_options import (
    HospitalsOption,
    PolicyOption,
    PolicySchemeOption,
    WeightsOption,
    check_files,
)
from api.cli.progress import progress_bar
from api.core.pay import PaySummary, Totals, pay_files, pay_proof, summary_dict
from api.core.pay_inputs import group_values, read_decisions, read_hospitals, read_separate
from api.core.payable import PayableFiles
from budget.frames import CASE_KIND_ZH
from budget.money import decimal_text, yuan_text
from grouper.pipeline import most_frequent
from grouper.schemes import Scheme
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import LEVEL_ZH, PROBLEM_SCHEMA, Level, TablesRefused

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_REFUSED = {Level.ERROR.value, Level.REJECT.value}


def pay(
    cases: Files,
    policy: PolicyOption,
    scheme: PolicySchemeOption = None,
    hospitals: HospitalsOption = None,
    weights: WeightsOption = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            help="特例单议评议结果：首行列名 case_id,decision,amount（元），可有 hospital_id",
            metavar="FILE.csv",
        ),
    ] = None,
    separate: Annotated[
        Path | None,
        typer.Option(
            "--separate",
            help="单独支付的药品、耗材：首行列名 case_id,amount（元），可有 hospital_id",
            metavar="FILE.csv",
        ),
    ] = None,
    month: Annotated[str, typer.Option("--month", help="只定价这个结算月份的病例", metavar="YYYY-MM")] = "",
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="结果文件 .csv .parquet .xlsx；- 为标准输出（CSV）")
    ] = None,
    problems: ProblemsOption = None,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """按支付政策为病例定价：先分组，再逐例给出支付标准、倍率、病例类型和统筹基金应付金额。"""
    check_paths(cases, output, problems)
    beside = {"hospitals": hospitals, "decisions": decisions, "separate": separate}
    given = {name: path for name, path in beside.items() if path is not None}
    check_files(*given.values())
    if month and not _MONTH.fullmatch(month):
        fail(f"--month 应为 YYYY-MM，如 2026-03：{month}", Exit.USAGE)
    if json and "-" in {output, problems}:
        fail("--json 与写到标准输出（-）不能同时使用", Exit.USAGE)
    try:
        rules = load_policy(policy)
        name = scheme or rules.header.scheme
        if not name:
            fail(f"政策 {rules.id} 没有指明分组方案，请用 --scheme 给出", Exit.USAGE)
        compiled = load_scheme(name)
        values, table = group_values(rules, compiled, weights)
        register = read_hospitals(given["hospitals"], rules) if "hospitals" in given else None
        apart = read_separate(given["separate"]) if "separate" in given else None
        decided = read_decisions(given["decisions"], rules) if "decisions" in given else None
        files: PayableFiles | None = None
        with result_writer(output) as results, result_writer(problems) as listed, progress_bar(cases) as progress:
            if listed is not None:
                listed.write(pl.DataFrame(schema=PROBLEM_SCHEMA))
            files = PayableFiles(
                cases, compiled, rules, values, hospitals=register, separate=apart, fmt=format_.value,
                edition=edition.value, threads=threads, progress=progress,
            )  # fmt: skip
            lists = {
                given[key].name: rows for key, rows in (("separate", apart), ("decisions", decided)) if key in given
            }
            summary = pay_files(
                files, rules, values, results, problems=listed, decisions=decided,
                lists={key: rows for key, rows in lists.items() if rows is not None}, month=month,
            )  # fmt: skip
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"不能定价：{error.what}，共 {len(error.problems)} 个问题", Exit.TABLES)
    written = summary.total.cases or summary.other_months  # without a case there is no result
    if output is not None and output != "-" and written:
        # Files by their names alone: what they hold stands in the proof by content.
        named = {
            "policy": policy,
            "scheme": name,
            "weights": weights,
            **{key: str(path) for key, path in given.items()},
        }
        options = {key: Path(value).name for key, value in named.items() if value}
        options |= {"edition": edition.value} | ({"month": month} if month else {})
        proof = pay_proof(files, compiled, rules, table, options, given, Path(output))
        place = Path(output)
        place.with_name(place.name + ".proof.json").write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n")
    for _, unusable in files.unusable:
        print_problems(unusable.problems)
    if json:
        print_json(summary_dict(summary, rules, compiled))
    else:
        _print(summary, rules, compiled, files)
    if any(level in _REFUSED for _, level in summary.problems):
        raise typer.Exit(Exit.PROBLEMS)


def _print(summary: PaySummary, policy: Policy, scheme: Scheme, files: PayableFiles) -> None:
    """Totals by kind and by tier, reasons and problems, in Chinese on standard error."""
    console = err()
    level = DATA_LEVEL_ZH.get(policy.header.data_level, policy.header.data_level)
    console.print(
        f"支付政策 [bold]{escape(policy.id)}[/] {escape(policy.name)}（{level}）  校验值 {policy.sha256[:12]}"
    )
    console.print(f"分组方案 [bold]{escape(scheme.pack.id)}[/] {escape(scheme.pack.version)}")
    for source in files.sources:
        console.print(f"文件 {escape(source.path)}  格式 {source.format}")
    console.print(f"病例 {summary.rows:,}    {summary.seconds:.2f} 秒")
    if summary.other_months:
        console.print(f"另有其他月份的病例 {summary.other_months:,} 例，未定价")
    kinds = {text: summary.by_kind[kind] for kind, text in CASE_KIND_ZH.items() if kind in summary.by_kind}
    console.print(_table("病例类型", kinds | {"合计": summary.total}))
    tiers = {tier or "（级别不详）": totals for tier, totals in sorted(summary.by_tier.items())}
    console.print(_table("机构级别", tiers))
    unknown = summary.total.unknown_fund
    if unknown:
        console.print(f"[yellow]其中 {unknown:,} 例缺少个人支付等金额，统筹基金应付部分不详，未计入[/]")
    for title, rows in (
        ("未按病组支付的原因", [(count, text) for text, count in most_frequent(summary.reasons, SHOWN)]),
        (
            "主要问题",
            [
                (count, f"{LEVEL_ZH[Level(key[1])]} {key[0]}  如：{summary.examples[key]}")
                for key, count in most_frequent(summary.problems, SHOWN)
            ],
        ),
    ):
        if rows:
            console.print(f"[bold]{title}[/]")
        for count, text in rows:
            console.print(f"  {count:>9,}  {escape(text)}")


def _table(title: str, rows: dict[str, Totals]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title=None)
    table.add_column(title)
    for name in ("例数", "总费用（元）", "应付总额（元）", "应付/费用", "统筹基金（元）"):
        table.add_column(name, justify="right")
    for name, totals in rows.items():
        share = (
            f"{decimal_text(Fraction(totals.package_fen * 100, totals.cost_fen), 2)}%" if totals.cost_fen > 0 else ""
        )
        amounts = [f"{yuan_text(value)}" for value in (totals.cost_fen, totals.package_fen)]
        table.add_row(escape(name), f"{totals.cases:,}", *amounts, share, yuan_text(totals.fund_fen))
    return table
