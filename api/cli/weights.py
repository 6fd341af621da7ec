"""`drgdip weights`: the weights (RW) or scores of a scheme's groups from a region's history."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import orjson
import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from api.cli.console import DATA_LEVEL_ZH, SHOWN, Exit, err, fail, load_scheme, print_json, print_problems
from api.cli.group import (
    SCHEME,
    Edition,
    EditionOption,
    Files,
    Format,
    FormatOption,
    JsonOption,
    ProblemsOption,
    SchemeOption,
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
from api.cli.pay_options import HospitalsOption, check_files
from api.cli.progress import progress_bar
from api.core.catalog_plan import ratio_text
from api.core.catalog_scores import QuotaUnfit
from api.core.pay_inputs import read_hospitals
from api.core.peer_averages import PeerTiers
from api.core.weight_comparison import Comparison, compare
from api.core.weight_report import write_weight_report
from api.core.weights import MEAN_COST, RELATIVE, STABILITY_ZH, WeightPlan, Weights, about, weigh, weight_table
from budget.money import decimal_text, exact, yuan_text
from grouper.catalog.history import HistoryRefused
from grouper.dip.compile import CompiledDip
from grouper.proof import file_sha256, proof_of
from grouper.result import STATUS_ZH
from reference_tables.catalog_rules import catalog_rules
from reference_tables.policy import load_policy
from reference_tables.problems import LEVEL_ZH, PROBLEM_SCHEMA, Level, TablesRefused, catalogue, problem_frame

_RULES = catalog_rules()
_UNFIT = frozenset({Level.ERROR.value, Level.REJECT.value})
_PASSES = 2
_NO_RIV = "（费用没有差异，无从解释）"
XLSX, CSV = ".xlsx", ".csv"


class WeightMethod(StrEnum):
    RELATIVE_WEIGHT = RELATIVE
    MEAN_COST = MEAN_COST
    BENCHMARK = "benchmark"
    STANDARD_QUOTA = "standard-quota"


def weights(
    history: Files,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="权重表 .csv（可用于 pay --weights），或只写报告 .xlsx", metavar="OUT"),
    ],
    scheme: SchemeOption = SCHEME,
    years: YearsOption = None,
    year_weights: YearWeightsOption = YEAR_WEIGHTS,
    trim: TrimOption = _RULES.trimming,
    min_cases: Annotated[int, typer.Option("--min-cases", min=1, help="稳定病组最少病例数")] = _RULES.min_cases,
    cv_limit: Annotated[str, typer.Option("--cv", help="稳定病组变异系数上限")] = str(_RULES.cv_high),
    method: Annotated[
        WeightMethod | None,
        typer.Option(
            "--method", help="相对权重、平均费用法、基准病种法、固定额度法；DRG 默认相对权重，DIP 默认平均费用法"
        ),
    ] = None,
    benchmark: BenchmarkOption = "",
    quota: QuotaOption = None,
    compared_with: Annotated[
        str | None,
        typer.Option("--compare", help="对照的权重表：内置编号、地区-年份或文件", metavar="苏州-2023|NAME|FILE.csv"),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help="按此政策的机构级别另给最后一年的同级别次均费用（倍率分母 PEER 用）",
            metavar="NAME|FILE.toml",
        ),
    ] = None,
    hospitals: HospitalsOption = None,
    report: Annotated[
        str | None, typer.Option("--report", help="报告 .xlsx；默认在权重表旁边", metavar="FILE.xlsx")
    ] = None,
    problems: ProblemsOption = None,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """由历年病例测算病组权重（RW）或病种分值，并给出变异系数、RIV、稳定性和与公布表的对照。"""
    place, book = _places(history, output, report, problems)
    check_files(hospitals)
    tiers = _tiers(policy, hospitals)
    chosen = years_of(years)
    compiled = load_scheme(scheme)
    usual = MEAN_COST if isinstance(compiled, CompiledDip) else RELATIVE
    how = usual if method is None else method.value
    plan = WeightPlan(
        how, chosen, year_weights_of(year_weights, chosen), trimming_of(trim), min_cases, _cv(cv_limit),
        benchmark_of(benchmark, how), quota_of(quota, how), format_.value, edition.value,
    )  # fmt: skip
    with result_writer(problems) as listed, progress_bar(history * _PASSES) as progress:
        if listed is not None:
            listed.write(pl.DataFrame(schema=PROBLEM_SCHEMA))  # a list of no problems is a list too
        try:
            if compared_with is not None:
                compare({}, {}, compared_with)  # a table that is not there is said before the long work
            found = weigh(
                history, compiled, plan, threads=threads, problems=listed, progress=progress, tiers=tiers
            )  # fmt: skip
            numbers = {code: Fraction(score) for code, score in found.scores.scores.items()}
            cases = {code: costs.cases for code, costs in found.scores.costs.items()}
            beside = compare(numbers, cases, compared_with) if compared_with is not None else None
        except HistoryRefused as error:
            if listed is not None:
                listed.write(problem_frame(error.problems))
            print_problems(error.problems)
            refused = True
        except QuotaUnfit as error:
            fail(f"--quota {quota} 元过大，{error} 的分值为 0.0000", Exit.USAGE)
        except TablesRefused as error:
            print_problems(error.problems)
            fail(f"对照的权重表不可用：{compared_with}", Exit.TABLES)
        else:
            refused = False
    if refused:
        raise typer.Exit(Exit.PROBLEMS)
    try:
        write_weight_report(found, beside, book)
    except OSError as error:
        fail(f"不能写入 {book}（{error.strerror or error}），请换一个可写的文件夹", Exit.ENVIRONMENT)
    if place is not None:
        with result_writer(str(place)) as results:
            assert results is not None
            results.write(weight_table(found))
    beside_it = {"compare": compared_with, "policy": policy, "hospitals": hospitals}
    tables = {"compare": beside.sha256} if beside is not None else {}
    tables |= {"policy": tiers.policy.sha256} if tiers is not None else {}
    tables |= {"hospitals": file_sha256(hospitals)} if hospitals is not None else {}
    named = {option: Path(value).name for option, value in beside_it.items() if value}
    _prove(found, scheme, named, tables, place or book)
    if json:
        print_json(_values(found, beside, place or book, book))
    else:
        _print(found, beside, place, book)
    if any(level in _UNFIT for _, level in found.history.problems):
        raise typer.Exit(Exit.PROBLEMS)


def _places(history: list[str], output: str, report: str | None, problems: str | None) -> tuple[Path | None, Path]:
    """The table (None = the report alone) and the report. Leaves with code 2 when a name will not do."""
    if STDIN in {*history, output}:
        fail("历史病例要读多遍，不能从标准输入读取；结果不能写到标准输出，请给出文件", Exit.USAGE)
    ending = Path(output).suffix.lower()
    if ending not in {CSV, XLSX}:
        fail(f"权重表须以 .csv 结尾，只写报告时以 .xlsx 结尾：{output}", Exit.USAGE)
    if ending == XLSX and report is not None:
        fail("-o 已是 .xlsx 报告，不需要 --report", Exit.USAGE)
    if report is not None and Path(report).suffix.lower() != XLSX:
        fail(f"报告文件须以 .xlsx 结尾：{report}", Exit.USAGE)
    place = Path(output)
    book = place if ending == XLSX else Path(report) if report else place.with_name(f"{place.stem}-report.xlsx")
    check_paths(history, *dict.fromkeys([output, str(book)]), problems)
    return (None if ending == XLSX else place), book


def _tiers(policy: str | None, hospitals: Path | None) -> PeerTiers | None:
    """How the tiers of the history are known; None when no policy is given. Leaves with code 3 when it cannot be."""
    if policy is None:
        if hospitals is not None:
            fail("--hospitals 须与 --policy 一起用", Exit.USAGE)
        return None
    try:
        rules = load_policy(policy)
        return PeerTiers(rules, None if hospitals is None else read_hospitals(hospitals, rules))
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"不可用：{error.what}，共 {len(error.problems)} 个问题", Exit.TABLES)


def _cv(text: str) -> Fraction:
    """The most that the coefficient of variation of a stable group may be."""
    try:
        limit = exact(text)
    except ValueError:
        limit = Fraction(0)
    if limit <= 0:
        fail(f"--cv 应为正数，如 1：{text}", Exit.USAGE)
    return limit


def _prove(found: Weights, scheme: str, named: Mapping[str, str], tables: Mapping[str, str], output: Path) -> None:
    """Write the proof; `named`: options that name a table, `tables`: what these hold, by checksum."""
    plan = found.plan
    options: dict[str, str | bool] = {
        "scheme": Path(scheme).name,
        "years": ",".join(map(str, found.years)),
        "year-weights": ratio_text(plan.year_weights),
        "trim": plan.trimming,
        "min-cases": str(plan.min_cases),
        "cv": ratio_text([plan.cv_limit]),
        "method": plan.method,
        "edition": plan.edition,
    }
    given = {"benchmark": plan.benchmark, "quota": yuan_text(plan.quota_fen) if plan.quota_fen else "",
             **named, "format": plan.fmt if plan.fmt != "auto" else ""}  # fmt: skip
    options |= {name: value for name, value in given.items() if value}
    ordered = sorted(found.sources, key=lambda source: source.path)
    proof = proof_of(ordered, found.scheme, options, output, "weights", tables)
    output.with_name(output.name + ".proof.json").write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n")


def _percent(part: int, whole: int) -> str:
    return decimal_text(Fraction(100 * part, max(whole, 1)), 2) + "%"


def _print(found: Weights, beside: Comparison | None, place: Path | None, book: Path) -> None:
    """What was weighed, in Chinese on standard error."""
    console = err()
    pack, history = found.scheme.pack, found.history
    level = DATA_LEVEL_ZH.get(pack.data_level, pack.data_level)
    console.print(f"分组方案 [bold]{escape(pack.id)}[/] {escape(pack.version)}（{level}）  校验值 {pack.sha256[:12]}")
    rows, counted = history.cases.height, found.scores.whole.cases
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("病例", f"{rows:,}", "", f"计入统计 {counted:,}")
    for status, text in STATUS_ZH.items():
        if history.status[status]:
            table.add_row(text, f"{history.status[status]:,}", _percent(history.status[status], rows), status.value)
    for kind, (groups, cases) in found.by_stability().items():
        table.add_row(STABILITY_ZH[kind], f"{groups:,} 个", _percent(cases, counted), f"病例 {cases:,}")
    console.print(table)
    for label, value in about(found):
        if label not in {"分组方案", "分组方案校验值"}:
            console.print(f"{label}：{escape(value)}")
    shares = (found.explained.text or _NO_RIV, found.explained_trimmed.text or _NO_RIV)
    console.print(f"费用变异解释程度（RIV）：全部病例 {shares[0]}，裁剪后 {shares[1]}")
    if beside is not None:
        level_text = "" if beside.level is None else decimal_text(beside.level, 4)
        console.print(
            f"对照 {escape(beside.title)}：共有 {len(beside.groups):,} 组，仅本次 {len(beside.only_ours):,} 组，"
            f"仅对照表 {len(beside.only_theirs):,} 组；总体水平 {level_text}，秩相关 {beside.rank_correlation}"
        )
    problems = history.foremost(SHOWN)
    if problems:
        console.print("[bold]主要问题[/]")
    kinds: Mapping[str, Any] = catalogue()
    for (code, problem_level), count in problems:
        example = history.listed.filter(history.listed["code"] == code)["message"][0]
        shown = f"如：{example}" if kinds[code].arguments else example
        console.print(f"  {count:>9,}  {LEVEL_ZH[Level(problem_level)]} {code}  {escape(shown)}")
    if place is not None:
        console.print(f"权重表写到 {escape(str(place))}")
    console.print(f"报告写到 {escape(str(book))}")


def _values(found: Weights, beside: Comparison | None, place: Path, book: Path) -> dict[str, Any]:
    pack, history, scores = found.scheme.pack, found.history, found.scores
    compared = None if beside is None else {
        "title": beside.title, "common": len(beside.groups), "only_ours": len(beside.only_ours),
        "only_theirs": len(beside.only_theirs),
        "level": None if beside.level is None else decimal_text(beside.level, 4),
        "rank_correlation": beside.rank_correlation or None,
    }  # fmt: skip
    return {
        "output": place.name, "report": book.name,
        "scheme": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "years": found.years,
        "method": found.plan.method,
        "trimming": found.plan.trimming,
        "cases": history.cases.height,
        "counted": scores.whole.cases,
        "status": dict(sorted(history.status.items())),
        "groups": {kind: {"groups": groups, "cases": cases} for kind, (groups, cases) in found.by_stability().items()},
        "reference_fen": decimal_text(scores.reference_fen, 2),
        "riv": found.explained.text or None,
        "riv_trimmed": found.explained_trimmed.text or None,
        "comparison": compared,
        "problems": [
            {"code": code, "level": level, "count": count} for (code, level), count in sorted(history.problems.items())
        ],
    }  # fmt: skip
