"""What every command shares: messages on standard error, progress, summaries, exit codes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from enum import IntEnum
from typing import NoReturn

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grouper.dip.compile import CompiledDip
from grouper.dip.result import KINDS, PRIMARY_CARE, dip_reason_text
from grouper.pipeline import Summary, most_frequent, scores_lacking
from grouper.result import STATUS_ZH, GroupStatus, reason_text
from grouper.schemes import Scheme, open_scheme
from reference_tables.problems import LEVEL_ZH, Level, Problem, ProblemKind, TablesRefused, catalogue

DATA_LEVEL_ZH = {
    "official": "官方发布",
    "reference": "参考实现（非官方）",
    "local": "本地测算",
    "synthetic": "合成数据",
    "unverified": "未经核验",
}
SHOWN = 8


class Exit(IntEnum):
    """0 ok, 1 problems found, 2 usage, 3 pack or policy unusable, 4 environment."""

    OK = 0
    PROBLEMS = 1
    USAGE = 2
    TABLES = 3
    ENVIRONMENT = 4


def err() -> Console:
    """The console on standard error, made anew so that a redirected stream is honoured."""
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def out(width: int | None = None) -> Console:
    """The console on standard output, made anew likewise; `width` of a table's lines where the terminal's will not
    do. No console reads text such as :x: as an emoji."""
    return Console(soft_wrap=True, highlight=False, emoji=False, width=width)


def fail(message: str, code: Exit) -> NoReturn:
    """Say why on standard error and leave with an exit code."""
    err().print(f"[bold red]错误[/] {escape(message)}")
    raise typer.Exit(code)


def load_scheme(name: str) -> Scheme:
    """Open a scheme or leave with code 3 and every problem found."""
    try:
        return open_scheme(name)
    except TablesRefused as error:
        err().print(f"[bold red]分组方案不可用[/] {escape(error.what)}")
        print_problems(error.problems)
        raise typer.Exit(Exit.TABLES) from None


def print_problems(problems: Iterable[Problem]) -> None:
    """Every problem on a line of its own, errors before warnings."""
    console = err()
    ranked = sorted(problems, key=lambda problem: list(Level).index(problem.level))
    for problem in ranked:
        colour = "red" if problem.level in {Level.ERROR, Level.REJECT} else "yellow"
        console.print(f"  [{colour}]{escape(str(problem))}[/]")


def print_json(value: object) -> None:
    """A value as JSON on standard output."""
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n")
    sys.stdout.flush()


def print_summary(summary: Summary, scheme: Scheme | None) -> None:
    """Counts, top reasons and top problems of a run, in Chinese, on standard error."""
    console = err()
    if scheme is not None:
        pack = scheme.pack
        level = DATA_LEVEL_ZH.get(pack.data_level, pack.data_level)
        console.print(
            f"分组方案 [bold]{escape(pack.id)}[/] {escape(pack.version)}（{level}）  校验值 {pack.sha256[:12]}"
        )
    for source in summary.sources:
        encoding = f"  编码 {source.encoding}" if source.encoding else ""
        console.print(f"文件 {escape(source.path)}  格式 {source.format}{encoding}")
    for path, _ in summary.unusable:
        console.print(f"[red]文件不可用[/] {escape(path)}")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("病例", f"{summary.rows:,}", "", f"{summary.seconds:.2f} 秒，{summary.rate:,.0f} 例/秒")

    def add_share(text: str, count: int, code: str) -> None:
        table.add_row(text, f"{count:,}", f"{count / max(1, summary.rows):.2%}", code)

    dip, lacking = isinstance(scheme, CompiledDip), scores_lacking(summary, scheme)
    for status, text in STATUS_ZH.items():
        if summary.status and not (dip and status is GroupStatus.AMBIGUOUS):
            add_share(text, summary.status.get(status, 0), status.value)
        if summary.status and dip and status is GroupStatus.GROUPED:
            for kind, kind_zh in KINDS.items():
                add_share(f"  {kind_zh}", summary.kinds.get(kind, 0), kind)
            add_share(f"  {PRIMARY_CARE}", summary.primary_care, "primary_care")
            if lacking:
                add_share("  没有分值", lacking.total(), "without_score")
    console.print(table)
    said = dip_reason_text if dip else reason_text
    _top(console, "未正常入组的原因", ((said(code), n) for code, n in most_frequent(summary.reasons, SHOWN)))
    _top(console, "没有分值的病种", most_frequent(lacking or Counter(), SHOWN))
    known = catalogue()
    _top(
        console,
        "主要问题",
        (
            (f"{LEVEL_ZH[Level(key[1])]} {key[0]}  {_with_example(known[key[0]], summary.examples[key])}", n)
            for key, n in most_frequent(summary.problems, SHOWN)
        ),
    )


def _with_example(kind: ProblemKind, example: str) -> str:
    return f"如：{example}" if kind.arguments else example


def _top(console: Console, title: str, rows: Iterable[tuple[str, int]]) -> None:
    lines = [f"  {count:>9,}  {escape(text)}" for text, count in rows]
    if lines:
        console.print(f"[bold]{title}[/]")
    for line in lines:
        console.print(line)
