"""`drgdip budget`: a region's total budget, from the fund's income to what hospitals can be paid."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from api.cli.clear import TABLE_WIDTH, YearFileOption, refuse, unusable
from api.cli.console import DATA_LEVEL_ZH, Exit, err, fail, load_scheme, print_json
from api.cli.group import (
    Edition,
    EditionOption,
    Format,
    FormatOption,
    JsonOption,
    ThreadsOption,
    all_threads,
    check_paths,
)
from api.cli.pay_options import PolicyWeightsOption, RegisterOption
from api.cli.progress import progress_bar
from api.core.budget import BudgetRun, make_budget, tally_files, write_budget
from api.core.clear_inputs import budget_inputs
from api.core.clear_request import ClearRequest
from api.core.clearing_files import BUDGET_HEADER, budget_rows
from budget.money import decimal_text
from reference_tables.policy import Policy
from reference_tables.problems import TablesRefused


def budget(
    policy: Annotated[str, typer.Option("--policy", help="支付政策：内置编号或文件", metavar="NAME|FILE.toml")],
    year_file: YearFileOption,
    cases: Annotated[
        list[str] | None,
        typer.Option(
            "--cases", help="一年的历史病例文件，按政策定价得出总点数，可多次；默认用年度文件的历年数据", metavar="FILE"
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option("--scheme", help="病例的分组方案；默认为政策所指的", metavar="NAME|DIR|XLSX"),
    ] = None,
    hospitals: RegisterOption = None,
    weights: PolicyWeightsOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="结果文件夹：budget.csv、budget.xlsx、budget.json", metavar="DIR"),
    ] = None,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """总额预算：从基金收入按政策的顺序逐项扣除，得出住院总额、调剂金、可分配总额，以及医院总额、预算点值或费率。

    扣除超过收入时拒绝并给出缺口（退出码 1）。
    """
    paths = list(cases or ())
    check_paths([*paths, *([str(hospitals)] if hospitals is not None else [])])
    if output is not None and output.is_file():
        fail(f"{output} 是文件，应为文件夹", Exit.USAGE)
    try:
        rules, figures, register = budget_inputs(policy, year_file, hospitals)
    except TablesRefused as error:
        unusable(error)
    try:
        tallies = None
        if paths:
            name = scheme or rules.header.scheme
            if not name:
                fail(f"政策 {rules.id} 没有指明分组方案，请用 --scheme 给出", Exit.USAGE)
            request = ClearRequest(
                figures.year, tuple(paths), weights=weights, fmt=format_.value, edition=edition.value, threads=threads,
            )  # fmt: skip
            with progress_bar(paths) as progress:
                tallies = tally_files(request, rules, load_scheme(name), register, progress)
        run = make_budget(rules, figures, tallies)
        if output is not None:
            write_budget(run, output)
    except TablesRefused as error:
        refuse("不能编制预算", error)
    except OSError as error:
        fail(f"不能写入 {error.filename or output}（{error.strerror or error}）", Exit.ENVIRONMENT)
    if json:
        print_json(run.as_json())
    else:
        _print(run, rules, output)


def _print(run: BudgetRun, policy: Policy, output: Path | None) -> None:
    console, figures = err(), run.year_file
    console.width = max(console.width, TABLE_WIDTH)  # amounts are never cut off
    level = DATA_LEVEL_ZH.get(figures.data_level, figures.data_level)
    console.print(f"{escape(figures.region)} {figures.year} 年度总额预算  政策 [bold]{escape(policy.id)}[/]（{level}）")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("险种", "项目"):
        table.add_column(name)
    for name in ("金额（元）", "余额（元）"):
        table.add_column(name, justify="right")
    for row in budget_rows(run.budget):
        told = dict(zip(BUDGET_HEADER, row, strict=True))
        style = "bold" if told["item"] in {"inpatient", "distributable"} else ""
        table.add_row(escape(told["insurance"]), escape(told["label"]), told["amount"], told["left"], style=style)
    console.print(table)
    for value in run.values:
        console.print(
            f"{escape(value.pool)}  {run.value_label} [bold]{decimal_text(value.value, 4)}[/] 元"
            f"（{escape(value.formula)}，总量 {decimal_text(value.units, 4)}，{escape(value.source)}）"
        )
    if not run.values:
        console.print("没有历年总点数（分值、权重），不计算预算点值或费率")
        console.print("可在年度文件的 history 中写 units，或用 --cases 给出病例")
    if output is not None:
        console.print(f"结果 {escape(str(output))}")
