"""`drgdip indicators`: case mix, consumption indices, rates and the share of case-based payment."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import orjson
import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from api.cli.console import SHOWN, Exit, err, fail, load_scheme, print_json, print_problems
from api.cli.group import (
    SCHEME,
    Edition,
    EditionOption,
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
    PolicySchemeOption,
    WeightsOption,
    check_files,
)
from api.cli.problem_count import CountedProblems
from api.cli.progress import progress_bar
from api.core.book import BookRefused, open_book
from api.core.indicator_report import label_of, targets, write_indicator_report
from api.core.indicators import Indicators, of_book, of_grouped, of_priced
from api.core.pay_inputs import group_values, read_hospitals
from api.core.payable import PayableFiles
from budget.group_values import GroupValues
from grouper.dip.compile import CompiledDip
from grouper.intake import IntakeError
from grouper.proof import file_sha256, program_version, proof_of
from grouper.repeat_command import command_line
from grouper.schemes import Scheme
from reference_tables.group_weights import GroupWeights, find_group_weights
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused

XLSX, CSV = ".xlsx", ".csv"
_TOLD = {
    "cases": "病例", "cmi": "CMI", "cost_index": "费用指数", "time_index": "时间指数", "mean_cost": "次均费用",
    "mean_stay": "住院日",
}  # fmt: skip


def indicators(
    output: Annotated[
        str, typer.Option("--output", "-o", help="结果 .csv（各层次依次排列）或 .xlsx（带图的报告）", metavar="OUT")
    ],
    cases: Annotated[
        list[str] | None, typer.Argument(help="病例文件，可多个；或用 --book 给出账册", metavar="FILES...")
    ] = None,
    book: Annotated[Path | None, typer.Option("--book", help="年度账册的文件夹", metavar="DIR")] = None,
    policy: Annotated[
        str | None,
        typer.Option("--policy", help="支付政策；给出后另有倍率病例和支付方式占比等指标", metavar="NAME|FILE.toml"),
    ] = None,
    scheme: PolicySchemeOption = None,
    weights: WeightsOption = None,
    hospitals: HospitalsOption = None,
    problems: ProblemsOption = None,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """按全区、医疗机构、科室和病组给出 CMI、费用与时间消耗指数、各类占比和按病组付费的比例。

    退出码：0 正常，1 有病例被拒收或文件不可用（指标照给，拒收的病例仍计入病例数），2 用法，3 方案或政策不可用，4 环境。
    """
    files = list(cases or ())
    place = Path(output)
    if place.suffix.lower() not in {CSV, XLSX}:
        fail(f"结果文件须以 .csv 或 .xlsx 结尾：{output}", Exit.USAGE)
    if bool(files) == (book is not None):
        fail("请给出病例文件，或用 --book 给出年度账册，二者取一", Exit.USAGE)
    check_paths(files, output, problems)
    options: dict[str, str | bool] = {"edition": edition.value}
    if book is not None:
        given = {"--policy": policy, "--scheme": scheme, "--weights": weights, "--hospitals": hospitals}
        if any(value is not None for value in given.values()):
            fail(
                "账册中的病例已分组、已定价，不再需要 " + "、".join(name for name, value in given.items() if value),
                Exit.USAGE,
            )
        if not book.is_dir():
            fail(f"找不到文件夹：{book}", Exit.USAGE)
        try:
            opened = open_book(book)
            found = of_book(opened)
        except BookRefused as error:
            print_problems(error.problems)
            fail("账册不可用", Exit.PROBLEMS)
        _write(found, place)
        _prove_book(opened.seal, book, place)
        _tell(found, place, CountedProblems(), as_json=json)
        return
    try:
        rules = load_policy(policy) if policy is not None else None
        name = scheme or (rules.header.scheme if rules is not None else SCHEME)
        if not name:
            fail(f"政策 {policy} 没有指明分组方案，请用 --scheme 给出", Exit.USAGE)
        if hospitals is not None and rules is None:
            fail("--hospitals 须与 --policy 一起用", Exit.USAGE)
        check_files(hospitals)
        compiled = load_scheme(name)
        values, table = group_values(rules, compiled, weights) if rules else _values_of(compiled, weights)
        with result_writer(problems) as listed, progress_bar(files) as progress:
            counted = CountedProblems(listed)
            counted.write(pl.DataFrame(schema=PROBLEM_SCHEMA))
            if rules is None:
                found = of_grouped(
                    files, compiled, values, fmt=format_.value, edition=edition.value, threads=threads,
                    problems=counted, progress=progress,
                )  # fmt: skip
            else:
                register = read_hospitals(hospitals, rules) if hospitals is not None else None
                payable = PayableFiles(
                    files, compiled, rules, values, hospitals=register, fmt=format_.value, edition=edition.value,
                    threads=threads, progress=progress,
                )  # fmt: skip
                found = of_priced(payable, rules, counted)
                _all_read(payable)
    except IntakeError as error:
        print_problems(error.problems)
        fail("有文件不可用，不给出指标", Exit.PROBLEMS)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"不能计算：{error.what}，共 {len(error.problems)} 个问题", Exit.TABLES)
    _write(found, place)
    options |= {"scheme": Path(name).name} | ({"policy": Path(policy).name} if policy else {})
    options |= {"weights": Path(weights).name} if weights else {}
    options |= {"hospitals": hospitals.name} if hospitals else {}
    _prove_files(found, compiled, rules, table, options, hospitals, place)
    _tell(found, place, counted, as_json=json)
    if counted.refused:
        raise typer.Exit(Exit.PROBLEMS)


def _values_of(scheme: Scheme, weights: str | None) -> tuple[GroupValues, GroupWeights | None]:
    """Weights given, else the scores of a DIP pack, else none: then there is no CMI."""
    if weights is not None:
        table = find_group_weights(weights)
        return GroupValues.of_frame(table.frame), table
    if isinstance(scheme, CompiledDip):
        scores = scheme.pack.table("score")
        return GroupValues.of_frame(scores.select(group="code", weight="score")), None
    return GroupValues({}), None


def _all_read(files: PayableFiles) -> None:
    """Indicators of a part of the region would mislead."""
    found: list[Problem] = [problem for _, error in files.unusable for problem in error.problems]
    if found:
        raise IntakeError(found)


def _write(found: Indicators, place: Path) -> None:
    if place.suffix.lower() == XLSX:
        try:
            write_indicator_report(found, place)
        except OSError as error:
            fail(f"不能写入 {place}（{error.strerror or error}），请换一个可写的文件夹", Exit.ENVIRONMENT)
        return
    with result_writer(str(place)) as results:
        assert results is not None
        results.write(found.table)


def _prove_files(
    found: Indicators,
    scheme: Scheme,
    policy: Policy | None,
    table: GroupWeights | None,
    options: dict[str, str | bool],
    hospitals: Path | None,
    place: Path,
) -> None:
    tables = {} if policy is None else {"policy": policy.sha256}
    tables |= {} if table is None else {"weights": table.sha256}
    tables |= {} if hospitals is None else {"hospitals": file_sha256(hospitals)}
    _save(proof_of(found.sources, scheme, options, place, "indicators", tables), place)


def _prove_book(seal: str, book: Path, place: Path) -> None:
    """The seal of a book's last run stands for everything in it."""
    deciding = {"program": {"name": "drgdip", "version": program_version()}, "book": {"name": book.name, "seal": seal}}
    run_id = hashlib.sha256(orjson.dumps(deciding, option=orjson.OPT_SORT_KEYS)).hexdigest()
    written = {"name": place.name, "sha256": file_sha256(place)}
    again = command_line(["drgdip", "indicators", "--book", book.name, "-o", place.name])
    _save({"run_id": run_id, **deciding, "output": written, "recompute": again}, place)


def _save(proof: dict[str, Any], place: Path) -> None:
    place.with_name(place.name + ".proof.json").write_bytes(orjson.dumps(proof, option=orjson.OPT_INDENT_2) + b"\n")


def _tell(found: Indicators, place: Path, counted: CountedProblems, *, as_json: bool) -> None:
    """The region and its largest hospitals in Chinese on standard error, or the region as JSON."""
    chosen = found.rules.of(found.scheme, priced=found.priced)
    (region,) = found.tables["region"].iter_rows(named=True)
    if as_json:
        counts = {level: table.height for level, table in found.tables.items() if level != "region"}
        values = {indicator.name: region[indicator.name] for indicator in chosen}
        print_json(
            {
                "scheme": found.scheme,
                "output": place.name,
                "region": values,
                "units": counts,
                "problems": counted.rows(),
            }
        )
        return
    console = err()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for indicator in chosen:
        value = region[indicator.name]
        table.add_row(label_of(indicator), "" if value is None else f"{value:,}" if isinstance(value, int) else value)
    console.print(table)
    for indicator, value, target, reached in targets(found):
        console.print(f"{indicator.label} {value}，目标不低于 {target}：{'已达到' if reached else '[yellow]未达到[/]'}")
    hospitals = found.tables["hospital"].sort("cases", "hospital_id", descending=[True, False]).head(SHOWN)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("医疗机构")
    for label in _TOLD.values():
        table.add_column(label, justify="right")
    for row in hospitals.iter_rows(named=True):
        cells = ["" if row[name] is None else str(row[name]) for name in _TOLD]
        table.add_row(escape(row["hospital_name"] or row["hospital_id"] or "（未写明）"), *cells)
    console.print(table)
    counted.tell()
    console.print(f"指标写到 {escape(str(place))}")
