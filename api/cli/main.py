"""The command `drgdip`."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer
from rich.markup import escape

from api.cli import (
    backup,
    budget,
    catalog,
    clear,
    explain,
    group,
    indicators,
    pack,
    pay,
    policy,
    reform,
    report,
    serve,
    settle,
    simulate,
    weights,
)
from api.cli.console import Exit, err
from api.cli.help_text import chinese_help
from grouper.proof import program_version

chinese_help()
app = typer.Typer(
    name="drgdip",
    help="DRG/DIP 分组与医保预算：准确、可解释、可复算。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("group")(group.group)
app.command("validate")(group.validate)
app.command("explain")(explain.explain)
app.command("whatif")(explain.whatif)
app.command("weights")(weights.weights)
app.command("indicators")(indicators.indicators)
app.command("pay")(pay.pay)
app.command("budget")(budget.budget)
app.command("settle")(settle.settle)
app.command("advance")(settle.advance)
app.command("clear")(clear.clear)
app.command("report")(report.report)
app.command("simulate")(simulate.simulate)
app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.add_typer(pack.app, name="pack")
app.add_typer(catalog.app, name="catalog")
app.add_typer(policy.app, name="policy")
app.add_typer(reform.app, name="reform")
app.add_typer(settle.app, name="book")
app.add_typer(serve.tokens, name="token")
app.add_typer(serve.audits, name="audit")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drgdip {program_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="显示版本")] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the command line."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")
    try:
        app()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        err().print(f"[bold red]错误[/] 文件名太长：{escape(str(error.filename))}")
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
