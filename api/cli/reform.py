"""`drgdip reform`: reform files looked at, checked and begun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api.cli.console import DATA_LEVEL_ZH, Exit, err, fail, out, print_problems
from api.core.resolved_reform import reform_toml
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import TablesRefused
from reference_tables.reform import Change, Reform, find_reforms, load_reform
from reference_tables.reform_schema import reform_schema
from reference_tables.reform_shown import change_shown, scope_shown
from reference_tables.reform_template import REFORM_TEMPLATE

app = typer.Typer(help="改革方案：查看、校验、模板。", no_args_is_help=True)
ReformArgument = Annotated[str, typer.Argument(help="内置编号，或方案文件（.toml）", metavar="NAME|FILE.toml")]


@app.command("list")
def list_reforms() -> None:
    """列出内置的改革方案。"""
    console = out()
    for name in find_reforms():
        reform = load_reform(name)
        level = DATA_LEVEL_ZH.get(reform.data_level, reform.data_level)
        console.print(f"[bold]{escape(name)}[/]  {escape(reform.name)}（{level}）")


@app.command()
def show(
    reform: ReformArgument,
    toml: Annotated[bool, typer.Option("--toml", help="输出方案文件，可存为自己的方案再改")] = False,
) -> None:
    """一个方案改什么、求解什么、试算什么。"""
    found = _load(reform)
    if toml:
        if found.solves:
            fail("方案有 [[solve]]，请直接复制方案文件", Exit.USAGE)
        typer.echo(reform_toml(found), nl=False)
        return
    console = out()
    console.print(f"[bold]{escape(found.id)}[/]  {escape(found.name)}  校验值 {found.sha256[:12]}")
    if found.statement:
        console.print(escape(found.statement))
    if found.policies:
        console.print(f"适用政策 {escape('、'.join(found.policies))}")
    for line in _lines(found):
        console.print(f"  {escape(line)}")


@app.command()
def check(reform: ReformArgument) -> None:
    """校验方案文件，一次指出所有问题。退出码：0 可用，3 不可用。"""
    found = _load(reform)
    print_problems(found.problems)
    err().print(f"方案 [bold]{escape(found.id)}[/] 可用，{len(found.changes)} 处改动，校验值 {found.sha256[:12]}")


@app.command()
def template(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="写到文件；不写则输出到屏幕", metavar="FILE.toml")
    ] = None,
) -> None:
    """一份可以填写的改革方案。"""
    if output is None:
        typer.echo(REFORM_TEMPLATE, nl=False)
        return
    if output.exists():
        fail(f"{output} 已存在，请换一个文件名", Exit.USAGE)
    try:
        output.write_text(REFORM_TEMPLATE, encoding="utf-8", newline="\n")
    except OSError as error:
        fail(f"不能写入 {output}（{error.strerror or error}）", Exit.ENVIRONMENT)


def _load(name: str) -> Reform:
    try:
        return load_reform(name)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"{error.what} 不可用，共 {len(error.problems)} 个问题", Exit.TABLES)


def _lines(reform: Reform) -> list[str]:
    schema, parameters = reform_schema(), policy_schema().parameters
    lines = [_change(change) for change in reform.changes]
    if reform.switch is not None:
        named = {"政策": reform.switch.policy, "分组方案": reform.switch.scheme, "权重表": reform.switch.weights}
        lines += [f"切换 {label}：{name}" for label, name in named.items() if name]
    for solve in reform.solves:
        key = solve.fields.get("key")
        label = f"：{parameters[key].label}" if key else ""
        lines.append(f"求解 {schema.solve[solve.kind].label}{label}")
    lines += [f"增长 {schema.growth[item.kind].label}，{item.years} 年" for item in reform.growths]
    lines += [f"试算 {parameters[item.key].label}，{item.steps} 个值" for item in reform.sweeps]
    return lines or ["不作任何改动"]


def _change(change: Change) -> str:
    label = policy_schema().parameters[change.key].label
    where = scope_shown(change.scope, change.groups, change.since, change.until)
    return f"{label}（{change.key}）{change_shown(change)}，范围：{where}"
