"""`drgdip catalog build`: a region's DIP catalog out of its own history."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from api.cli import catalog_text
from api.cli.console import Exit, fail, load_scheme, print_problems
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
from api.cli.history_options import (
    STDIN,
    YEAR_WEIGHTS,
    BenchmarkOption,
    QuotaOption,
    TrimOption,
    YearsOption,
    YearWeightsOption,
    benchmark_of,
    quota_of,
    trimming_of,
    year_weights_of,
    years_of,
)
from api.cli.progress import progress_bar
from api.core.catalog import build_catalog
from api.core.catalog_auxiliary import DEFAULT, NONE, auxiliary_tables
from api.core.catalog_plan import CatalogIdentity, CatalogPlan
from api.core.catalog_report import write_report
from api.core.catalog_scores import QuotaUnfit
from grouper.catalog.history import HistoryRefused
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from reference_tables.catalog_rules import catalog_rules
from reference_tables.problems import PROBLEM_SCHEMA, Level, TablesRefused, problem_frame

DRG_SCHEME = "chs-drg-1.1"
_RULES = catalog_rules()
_ID = r"[^/\\:*?\"<>|\x00-\x1f\s.][^/\\:*?\"<>|\x00-\x1f]*"
_UNFIT = frozenset({Level.ERROR.value, Level.REJECT.value})

app = typer.Typer(
    help="DIP 病种目录：由历史病例生成。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


class CombinationName(StrEnum):
    ALL = "all"
    PRINCIPAL = "principal"


class Method(StrEnum):
    MEAN_COST = "mean-cost"
    BENCHMARK = "benchmark"
    STANDARD_QUOTA = "standard-quota"


class DataLevelName(StrEnum):
    LOCAL = "local"
    SYNTHETIC = "synthetic"


@app.callback()
def _root() -> None:
    pass


@app.command()
def build(
    history: Files,
    output: Annotated[str, typer.Option("--output", "-o", help="目录写到的文件夹，须不存在或为空", metavar="PACK")],
    years: YearsOption = None,
    year_weights: YearWeightsOption = YEAR_WEIGHTS,
    min_cases: Annotated[int, typer.Option("--min-cases", min=1, help="核心病种最少病例数")] = _RULES.min_cases,
    combination: Annotated[
        CombinationName, typer.Option("--combination", help="all 全部手术操作的组合，principal 只看主要手术操作")
    ] = CombinationName.ALL,
    method: Annotated[
        Method, typer.Option("--method", help="分值方法：平均费用法、基准病种法、固定额度法")
    ] = Method.MEAN_COST,
    benchmark: BenchmarkOption = "",
    quota: QuotaOption = None,
    trim: TrimOption = _RULES.trimming,
    scheme: Annotated[
        str | None,
        typer.Option("--scheme", help="沿用这个 DIP 方案的病种，只测算分值", metavar="NAME|DIR|XLSX"),
    ] = None,
    drg_scheme: Annotated[
        str, typer.Option("--drg-scheme", help="作对照的 DRG 方案", metavar="NAME|DIR|XLSX")
    ] = DRG_SCHEME,
    auxiliary: Annotated[
        str | None,
        typer.Option(
            "--auxiliary",
            help="辅助目录：default 默认维度，none 不用，或放有辅助目录表的文件夹；沿用方案时默认为该方案的",
            metavar="default|none|DIR",
        ),
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", help="目录编号；默认为文件夹名")] = None,
    name: Annotated[str | None, typer.Option("--name", help="目录名称")] = None,
    region: Annotated[str, typer.Option("--region", help="统筹地区")] = "本统筹区",
    data_level: Annotated[
        DataLevelName, typer.Option("--data-level", help="local 本地数据，synthetic 合成数据")
    ] = DataLevelName.LOCAL,
    effective_from: Annotated[
        datetime | None, typer.Option("--effective-from", formats=["%Y-%m-%d"], help="施行日期，如 2027-01-01")
    ] = None,
    report: Annotated[
        str | None, typer.Option("--report", help="报告文件 .xlsx；默认为文件夹名加 -report.xlsx")
    ] = None,
    problems: ProblemsOption = None,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """由历年病例生成 DIP 病种目录：核心病种、综合病种、分值与变异系数，并与 DRG 对照。"""
    folder = Path(output)
    place = Path(report) if report is not None else folder.with_name(f"{folder.name}-report.xlsx")
    _check(history, folder, place, problems)
    if id_ is not None and re.fullmatch(_ID, id_) is None:
        fail(f'--id 不能为空，不能以 . 或空格开头，也不能含有 / \\ : * ? " < > | 等路径字符：{id_}', Exit.USAGE)
    if auxiliary is None and scheme is None:
        auxiliary = DEFAULT
    chosen = years_of(years)
    plan = CatalogPlan(
        years=chosen, year_weights=year_weights_of(year_weights, chosen), min_cases=min_cases,
        combination=combination.value, method=method.value, benchmark=benchmark_of(benchmark, method),
        quota_fen=quota_of(quota, method), trimming=trimming_of(trim), scheme=scheme or "",
        auxiliary=auxiliary or "", fmt=format_.value, edition=edition.value,
    )  # fmt: skip
    identity = CatalogIdentity(
        id_ or folder.resolve().name, name or f"{region}按病种分值付费（DIP）病种目录", region, data_level.value,
        effective_from.date() if effective_from else None,
    )  # fmt: skip
    drg = load_scheme(drg_scheme)
    if not isinstance(drg, CompiledScheme):
        fail(f"--drg-scheme {drg_scheme} 是 DIP 方案，应为 DRG 方案", Exit.TABLES)
    base = load_scheme(scheme) if scheme is not None else None
    if base is not None and not isinstance(base, CompiledDip):
        fail(f"--scheme {scheme} 是 DRG 方案，应为 DIP 方案", Exit.TABLES)
    passes = 2 if auxiliary in {None, NONE} else 3
    with result_writer(problems) as listed, progress_bar(history * passes) as progress:
        if listed is not None:
            listed.write(pl.DataFrame(schema=PROBLEM_SCHEMA))  # a list of no problems is a list too
        try:
            catalog = build_catalog(
                history, folder, plan, identity, drg_scheme=drg, base=base, auxiliary=_auxiliary(auxiliary),
                threads=threads, problems=listed, progress=progress,
            )  # fmt: skip
            write_report(catalog, place)
        except HistoryRefused as error:
            if listed is not None:
                listed.write(problem_frame(error.problems))
            print_problems(error.problems)
            refused = True
        except QuotaUnfit as error:
            fail(f"--quota {quota} 元过大，病种 {error} 的分值为 0.0000", Exit.USAGE)
        except TablesRefused as error:
            print_problems(error.problems)
            fail("目录的表不可用", Exit.TABLES)
        except FileExistsError:
            fail(f"{folder} 不是空文件夹，不写入", Exit.USAGE)
        except OSError as error:
            fail(f"不能写入 {folder} 或 {place}（{error.strerror or error}），请换一个可写的文件夹", Exit.ENVIRONMENT)
        else:
            refused = False
    if refused:
        raise typer.Exit(Exit.PROBLEMS)
    catalog_text.show(catalog, folder, place, as_json=json)
    if any(level in _UNFIT for _, level in catalog.history.problems):
        raise typer.Exit(Exit.PROBLEMS)


def _auxiliary(choice: str | None) -> Mapping[str, pl.DataFrame] | None:
    """The tables of an auxiliary catalog; None = those of the pack whose groups are kept."""
    if choice is None:
        return None
    if choice not in {DEFAULT, NONE} and not Path(choice).is_dir():
        fail(f"--auxiliary 应为 default、none 或一个文件夹：{choice}", Exit.USAGE)
    try:
        return auxiliary_tables(choice)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"辅助目录 {choice} 不可用", Exit.TABLES)


def _check(history: list[str], folder: Path, report: Path, problems: str | None) -> None:
    """Leave with code 2 for anything about the files that would only show after hours of work."""
    if STDIN in history:
        fail("历史病例要读多遍，不能从标准输入读取，请给出文件", Exit.USAGE)
    if report.suffix.lower() != ".xlsx":
        fail(f"报告文件须以 .xlsx 结尾：{report}", Exit.USAGE)
    check_paths(history, str(report), problems)
    if folder.is_file():
        fail(f"{folder} 是文件，应为文件夹", Exit.USAGE)
    if folder.exists() and any(folder.iterdir()):
        fail(f"{folder} 不是空文件夹，不写入", Exit.USAGE)
    for path in (folder, report):
        above = next(parent for parent in path.resolve().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            fail(f"不能写入 {path}，请换一个可写的文件夹", Exit.ENVIRONMENT)
