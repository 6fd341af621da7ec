"""`drgdip policy`: list, show and check payment policies."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli import policy_text
from api.cli.console import Exit, fail, print_json, print_problems
from reference_tables.policy import Policy, find_policies, load_policy, policy_source
from reference_tables.policy_readiness import all_readiness
from reference_tables.policy_schema import policy_schema
from reference_tables.policy_template import TEMPLATE_METHODS, policy_template
from reference_tables.problems import TablesRefused

app = typer.Typer(
    help="支付政策：列出、查看、校验，给出空白模板。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

PolicyArgument = Annotated[str, typer.Argument(help="内置政策编号，或政策文件（.toml）", metavar="NAME|FILE.toml")]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出")]


class TemplateMethod(StrEnum):
    DRG_RATE, DRG_POINT, DIP = TEMPLATE_METHODS


def _write(text: str) -> None:
    """A file's text on standard output, as it is."""
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.flush()


def _load(name: str) -> Policy:
    """A policy, or every problem of it and exit code 3."""
    try:
        return load_policy(name)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"支付政策 {name} 不可用，共 {len(error.problems)} 个问题", Exit.TABLES)


@app.command("list")
def list_(
    parameters: Annotated[bool, typer.Option("--parameters", help="列出政策可以规定的全部参数")] = False,
    json: JsonOption = False,
) -> None:
    """列出内置的支付政策，以及每个政策能运行的命令。"""
    if parameters:
        known = policy_schema().parameters.values()
        if json:
            print_json([policy_text.parameter_row(parameter) for parameter in known])
        else:
            policy_text.print_parameters(known)
        return
    policies = [_load(name) for name in find_policies()]
    if json:
        print_json([policy_text.policy_row(policy, all_readiness(policy)) for policy in policies])
    else:
        policy_text.print_list((policy, all_readiness(policy)) for policy in policies)


@app.command()
def show(
    policy: PolicyArgument,
    key: Annotated[str, typer.Option("--key", help="只看一个参数", metavar="KEY")] = "",
    toml: Annotated[bool, typer.Option("--toml", help="输出政策文件本身，可存为自己的政策再改")] = False,
    json: JsonOption = False,
) -> None:
    """查看政策：每个值的范围、期间、来源和可信度，能运行的命令和还缺的参数。"""
    found = _load(policy)
    if toml:
        if json or key:
            fail("--toml 不能与 --json、--key 同时使用", Exit.USAGE)
        _write(policy_source(policy)[0])
        return
    schema = policy_schema()
    if key and key not in schema.parameters:
        fail(f"没有参数“{key}”，全部参数见 drgdip policy list --parameters", Exit.USAGE)
    keys = [key] if key else list(schema.parameters)
    if json:
        answer = policy_text.policy_row(found, all_readiness(found))
        answer["settings"] = [policy_text.setting_row(setting) for each in keys for setting in found.all(each)]
        print_json(answer)
    elif key:
        policy_text.print_parameter(found, schema.parameters[key])
    else:
        policy_text.print_policy(found, all_readiness(found))
    if key and not found.has(key):
        raise typer.Exit(Exit.PROBLEMS)


@app.command()
def template(
    method: Annotated[TemplateMethod, typer.Option("--method", help="支付方式")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="写到文件；不写则输出到屏幕", metavar="FILE.toml")
    ] = None,
) -> None:
    """给出空白的政策模板：每个参数的含义、写法、单位、范围和何时必填；填好后用 check 校验。"""
    text = policy_template(method.value)
    if output is None:
        _write(text)
        return
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{output} 已存在，请换一个文件名，以免覆盖已填的内容", Exit.USAGE)
    except OSError as error:
        fail(f"不能写入 {output}（{error.strerror or error}）", Exit.ENVIRONMENT)


@app.command()
def check(
    policy: Annotated[str, typer.Argument(help="政策文件（.toml）或内置政策编号", metavar="FILE.toml|NAME")],
    json: JsonOption = False,
) -> None:
    """校验政策文件，一次报出全部问题；没有问题时说明能运行哪些命令、还缺哪些参数。

    退出码：0 无问题，1 有警告，3 政策不可用。
    """
    try:
        found = load_policy(policy)
    except TablesRefused as error:
        if json:
            print_json({"policy": policy, "usable": False, "problems": [item.as_row() for item in error.problems]})
        else:
            print_problems(error.problems)
            policy_text.print_refused(Path(policy).name, len(error.problems))
        raise typer.Exit(Exit.TABLES) from None
    if json:
        answer = policy_text.policy_row(found, all_readiness(found))
        print_json({**answer, "usable": True, "problems": [item.as_row() for item in found.problems]})
    else:
        print_problems(found.problems)
        policy_text.print_checked(found, all_readiness(found))
    raise typer.Exit(Exit.PROBLEMS if found.problems else Exit.OK)
