"""`drgdip group` and `drgdip validate`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import orjson
import polars as pl
import typer

from api.cli.console import Exit, fail, load_scheme, print_json, print_problems, print_summary
from api.cli.progress import progress_bar
from grouper.intake import IntakeError
from grouper.output import ResultWriter
from grouper.pipeline import NotApplied, Summary, group_files, summary_dict, validate_files
from grouper.proof import proof_of
from grouper.schemes import Scheme
from grouper.validate import missing_label
from grouper.worklist import write_worklist
from reference_tables.problems import PROBLEM_SCHEMA, Level

SCHEME = "chs-drg-1.1"
ENDINGS = (".csv", ".parquet", ".xlsx")


class Format(StrEnum):
    AUTO = "auto"
    FLAT = "flat"
    HQMS = "hqms"
    SETTLEMENT = "4101"


class Edition(StrEnum):
    INSURANCE = "insurance"
    CLINICAL = "clinical"


Files = Annotated[list[str], typer.Argument(help="病例文件，可多个；- 为标准输入", metavar="FILES...")]
SchemeOption = Annotated[
    str,
    typer.Option(
        "--scheme", help="DRG 或 DIP 分组方案：内置名称、方案文件夹或官方工作簿（.xlsx）", metavar="NAME|DIR|XLSX"
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="文件格式；auto 自动识别")]
EditionOption = Annotated[Edition, typer.Option("--edition", help="编码版本：insurance 医保版2.0，clinical 国临版")]
ProblemsOption = Annotated[str | None, typer.Option("--problems", help="问题清单文件 .csv .parquet .xlsx")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, help="并行线程数；结果与线程数无关")]
JsonOption = Annotated[bool, typer.Option("--json", help="以 JSON 输出汇总")]


def all_threads() -> int:
    """As many threads as there are processors to run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


class _Collected:
    """A sink that keeps problem frames in memory."""

    def __init__(self) -> None:
        self.frames: list[pl.DataFrame] = []

    def write(self, frame: pl.DataFrame) -> None:
        self.frames.append(frame)

    def frame(self) -> pl.DataFrame:
        return pl.concat(self.frames) if self.frames else pl.DataFrame(schema=PROBLEM_SCHEMA)


@contextmanager
def result_writer(output: str | None) -> Iterator[ResultWriter | None]:
    """A writer that leaves nothing behind when the work inside fails."""
    if output is None:
        yield None
        return
    try:
        writer = ResultWriter.open(output)
    except OSError as error:
        fail(f"不能写入 {output}（{error.strerror or error}），请换一个存在且可写的文件夹", Exit.ENVIRONMENT)
    try:
        yield writer
    except BaseException:
        writer.abort()
        raise
    writer.close()


def check_paths(files: list[str], *outputs: str | None) -> None:
    """Leave with code 2 when a case file is missing or a folder, or an output has no usable name or is an input."""
    folders = [name for name in files if name != "-" and Path(name).is_dir()]
    if folders:
        fail("是文件夹，不是病例文件：" + "、".join(folders), Exit.USAGE)
    missing = [name for name in files if name != "-" and not Path(name).is_file()]
    if missing:
        fail("找不到文件：" + "、".join(missing), Exit.USAGE)
    for output in outputs:
        if output is None or output == "-":
            continue
        if not output.lower().endswith(ENDINGS):
            fail(f"输出文件须以 {'、'.join(ENDINGS)} 结尾：{output}", Exit.USAGE)
        if any(name != "-" and Path(name).resolve() == Path(output).resolve() for name in files):
            fail(f"输出文件不能与输入文件相同：{output}", Exit.USAGE)
    places = [output if output == "-" else str(Path(output).resolve()) for output in outputs if output is not None]
    if len(set(places)) < len(places):
        fail("结果文件与问题清单文件不能相同", Exit.USAGE)


def group(
    files: Files,
    scheme: SchemeOption = SCHEME,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="结果文件 .csv .parquet .xlsx；- 为标准输出（CSV）")
    ] = None,
    problems: ProblemsOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="质控规则拒收的病例记为数据无效")] = False,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """对病例分组（DRG 或 DIP，由分组方案决定），逐例给出分组、原因和所用编码。"""
    check_paths(files, output, problems)
    if json and "-" in {output, problems}:
        fail("--json 与写到标准输出（-）不能同时使用", Exit.USAGE)
    compiled = load_scheme(scheme)
    with result_writer(output) as results, result_writer(problems) as listed, progress_bar(files) as progress:
        if listed is not None:
            listed.write(pl.DataFrame(schema=PROBLEM_SCHEMA))  # a list of no problems is a list too
        summary = group_files(
            files, compiled, results, problems=listed, fmt=format_.value, edition=edition.value,
            strict=strict, threads=threads, progress=progress,
        )  # fmt: skip
    if output is not None and output != "-" and summary.rows:  # without a case nothing was written
        _write_proof(summary, compiled, Path(output), {"scheme": scheme, "edition": edition.value, "strict": strict})
    _report(summary, compiled, as_json=json)
    if output is None and not json:
        typer.echo("提示：加 -o 文件名 保存逐例结果，加 --problems 文件名 保存问题清单", err=True)
    refused = summary.levels.get(Level.ERROR, 0) + summary.levels.get(Level.REJECT, 0)
    if refused or summary.status.get("INVALID", 0):
        raise typer.Exit(Exit.PROBLEMS)


def _write_proof(summary: Summary, scheme: Scheme, output: Path, options: dict[str, str | bool]) -> None:
    proof = proof_of(summary.sources, scheme, options, output)
    place = output.with_name(output.name + ".proof.json")
    place.write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n")


def _report(summary: Summary, scheme: Scheme | None, *, as_json: bool) -> None:
    for _, error in summary.unusable:
        print_problems(error.problems)
    if as_json:
        print_json(summary_dict(summary, scheme))
    else:
        print_summary(summary, scheme)


def validate(
    files: Files,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    scheme: Annotated[
        str | None, typer.Option("--scheme", help="另按该分组方案检查（不作主诊断的编码、歧义组、未入组等）")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="问题清单文件 .xlsx（供编码员逐条处理）或 .csv")
    ] = None,
    all_rules: Annotated[bool, typer.Option("--all-rules", help="列出每条未执行的规则及其缺少的内容")] = False,
    json: JsonOption = False,
) -> None:
    """按质控规则检查病例，一次列出所有问题。"""
    check_paths(files, output)
    if output is not None and not output.lower().endswith((".xlsx", ".csv")):
        fail("问题清单只写 .xlsx 或 .csv 文件", Exit.USAGE)
    collected = _Collected()
    compiled = load_scheme(scheme) if scheme is not None else None
    try:
        with progress_bar(files) as progress:
            summary, not_applied = validate_files(
                files, collected, fmt=format_.value, edition=edition.value, scheme=compiled, progress=progress
            )
        if output is not None:
            write_worklist(collected.frame(), Path(output))
    except IntakeError as error:
        print_problems(error.problems)
        raise typer.Exit(Exit.PROBLEMS) from None
    except OSError as error:
        fail(f"不能写入 {output}（{error.strerror or error}），请换一个存在且可写的文件夹", Exit.ENVIRONMENT)
    _report(summary, compiled, as_json=json)
    if not json:
        _say_not_applied(not_applied, len(summary.sources), each=all_rules)
    if summary.levels.get(Level.ERROR, 0) + summary.levels.get(Level.REJECT, 0):
        raise typer.Exit(Exit.PROBLEMS)


def _say_not_applied(not_applied: Mapping[str, NotApplied], files: int, *, each: bool) -> None:
    """Rules left out for want of a column or a parameter, once, by what was missing."""
    if not_applied and not each:
        typer.echo(f"另有 {len(not_applied)} 条规则因文件或参数中没有所需内容而未执行，加 --all-rules 查看", err=True)
        return
    by_missing: dict[str, list[str]] = {}
    for rule, left_out in sorted(not_applied.items()):
        part = "" if left_out.files == files else f"（{left_out.files}个文件）"
        by_missing.setdefault("、".join(missing_label(name) for name in left_out.missing), []).append(rule + part)
    if by_missing:
        typer.echo("未执行的规则（文件或参数中没有所需内容）：", err=True)
    for missing, rules in sorted(by_missing.items()):
        typer.echo(f"  缺 {missing}：{' '.join(rules)}", err=True)
