"""`drgdip simulate`: what a reform of the policy does to hospitals and to the fund, before anyone is paid by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.console import Exit, fail, load_scheme, print_json, print_problems
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
from api.cli.pay_options import RegisterOption, SeparateOption
from api.cli.simulate_text import phases_shown, print_simulation, summary
from api.core.clearing import UNPAID_FOR
from api.core.simulate import simulate as run_simulation
from api.core.simulate_cases import SimulationRequest
from api.core.simulation_files import write_simulation
from api.core.solved import missed
from grouper.repeat_command import command_line, file_words
from reference_tables.policy import load_policy
from reference_tables.problems import Level, TablesRefused
from reference_tables.reform import load_reform
from reference_tables.year_file import load_year_file

_FAULTS = {Level.ERROR.value, Level.REJECT.value}


def simulate(
    cases: Annotated[list[str], typer.Argument(help="病例文件，可多个", metavar="CASES...")],
    policy: Annotated[str, typer.Option("--policy", help="现行支付政策：内置编号或文件", metavar="NAME|FILE.toml")],
    reform: Annotated[
        list[str],
        typer.Option("--reform", help="改革方案：内置编号或文件，可多个，按次序生效", metavar="NAME|FILE.toml"),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="结果的文件夹，须不存在或为空", metavar="DIR")],
    year_file: Annotated[
        str | None, typer.Option("--year-file", help="年度文件；给出时连清算一起模拟", metavar="FILE.toml")
    ] = None,
    year: Annotated[
        int | None, typer.Option("--year", help="年度；默认为年度文件的", min=2000, max=2100, metavar="YYYY")
    ] = None,
    scheme: Annotated[
        str | None, typer.Option("--scheme", help="改革前的分组方案；默认为政策所指的", metavar="NAME|DIR|XLSX")
    ] = None,
    hospitals: RegisterOption = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="改革前的权重（分值）表；默认为政策所指的", metavar="NAME|FILE.csv")
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option("--decisions", help="特例单议评议结果：case_id,decision,amount（元）", metavar="FILE.csv"),
    ] = None,
    separate: SeparateOption = None,
    prepaid: Annotated[
        Path | None, typer.Option("--prepaid", help="年内已付：hospital,pool,prepaid（元）", metavar="FILE.csv")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option("--bootstrap", help="重抽样次数：给出 95% 区间和超支的可能性；0 为不做", min=0, max=100_000)
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="重抽样的种子；同一种子同一结果", min=0)] = 1,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """政策模拟：改革前后同一批病例各支付一遍（有年度文件时连年终清算），谁增谁减、增减多少、基金是否收支平衡。

    输出网页 simulation.html、tables.xlsx、Parquet 表、resolved.toml（求解后的方案）、问题清单和可复算的证明。
    退出码：0 完成，1 有要处理的问题或求解达不到目标，2 用法，3 政策、方案等不可用，4 环境。
    """
    check_paths([path for path in cases if path != "-"])
    if "-" in cases:
        fail("模拟要按内容记录病例文件，不能读标准输入（-）", Exit.USAGE)
    if year is not None and year_file is None:
        fail("--year 要与 --year-file 同时给出", Exit.USAGE)
    if prepaid is not None and year_file is None:
        fail("--prepaid 只用于清算，请同时给出 --year-file", Exit.USAGE)
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        fail(f"{output} 不是空文件夹，请换一个位置", Exit.USAGE)
    named = {"prepaid": prepaid, "decisions": decisions, "hospitals": hospitals, "separate": separate}
    absent = [str(path) for path in named.values() if path is not None and not path.is_file()]
    if absent:
        fail("找不到文件：" + "、".join(absent), Exit.USAGE)
    try:
        rules = load_policy(policy)
        figures = None if year_file is None else load_year_file(year_file)
        reforms = tuple(load_reform(name) for name in reform)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"{error.what} 不可用，共 {len(error.problems)} 个问题", Exit.TABLES)
    request = SimulationRequest(
        tuple(cases), reforms, None if figures is None else year or figures.year, prepaid, decisions, hospitals,
        separate, weights, bootstrap, seed, format_.value, edition.value, threads,
    )  # fmt: skip
    name = scheme or rules.header.scheme
    if not name:
        fail(f"政策 {rules.id} 没有指明分组方案，请用 --scheme 给出", Exit.USAGE)
    compiled = load_scheme(name)
    try:
        with phases_shown(cases) as (progress, told):
            done = run_simulation(request, rules, compiled, figures, progress, told)
            told("写出网页和表格")
            command = _command(request, policy, reform, year_file, name, output)
            given = [("policy", policy), *(("reform", one) for one in reform), ("scheme", name)]
            given += [("year-file", year_file)] if year_file else []
            run_id = write_simulation(done, output, command, given)
    except TablesRefused as error:
        print_problems(error.problems)
        money = {problem.code for problem in error.problems} <= UNPAID_FOR
        code = Exit.PROBLEMS if money else Exit.TABLES
        fail(f"不能模拟：{error.what}，共 {len(error.problems)} 个问题", code)
    except OSError as error:
        fail(f"不能写入 {error.filename or output}（{error.strerror or error}）", Exit.ENVIRONMENT)
    if json:
        print_json(summary(done, run_id))
    else:
        print_simulation(done, run_id, output)
    faults = any(problem.level.value in _FAULTS for problem in done.told) or done.reading["level"].is_in(_FAULTS).any()
    if faults or missed(done.told):
        raise typer.Exit(Exit.PROBLEMS)


def _command(
    request: SimulationRequest, policy: str, reforms: list[str], year_file: str | None, scheme: str, output: Path
) -> str:
    """The command that repeats the run beside its files."""
    options = [("policy", policy), *(("reform", name) for name in reforms)]
    named = {"year-file": year_file, "scheme": scheme, "weights": request.weights}
    options += [(name, value) for name, value in named.items() if value]
    options += [(name, str(path)) for name, path in request.lists.items()]
    words = file_words([*request.cases, *(value for _, value in options)])
    parts = ["drgdip", "simulate", *sorted(words[name] for name in request.cases)]
    for name, value in options:
        parts += [f"--{name}", words[value]]
    parts += ["--bootstrap", str(request.bootstrap), "--seed", str(request.seed)] if request.bootstrap else []
    parts += ["--format", request.fmt] if request.fmt != "auto" else []
    parts += ["--edition", request.edition] if request.edition != "insurance" else []
    return command_line([*parts, "-o", output.name])
