"""`drgdip clear`: a year cleared, hospital by hospital and pool by pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.markup import escape
from rich.table import Table

from api.cli.console import DATA_LEVEL_ZH, Exit, err, fail, load_scheme, print_json, print_problems
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
from api.cli.pay_options import PolicySchemeOption, PolicyWeightsOption, RegisterOption, SeparateOption
from api.cli.progress import progress_bar
from api.core.book import BookRefused, Run, open_book
from api.core.book_clearing import clear_book
from api.core.clear_inputs import read_inputs
from api.core.clear_request import Cleared, ClearRequest, clear_request
from api.core.clearing import UNPAID_FOR, Clearing
from api.core.clearing_files import POOL_HEADER, pool_rows, statement_rows, write_clearing
from budget.money import yuan_text
from grouper.repeat_command import command_line, file_words
from reference_tables.problems import LEVEL_ZH, Level, TablesRefused

TABLE_WIDTH = 160
_FAULTS = {Level.ERROR.value, Level.REJECT.value}
_TO_LOOK_AT = frozenset({"CL51", "CL52", "CL54", "CL56", "CL57", "CL59", "CL60", "CL61", "CL65"})
YearFileOption = Annotated[
    str,
    typer.Option("--year-file", help="年度文件：基金收入、扣除、考核得分、违规等；或内置的名称", metavar="FILE.toml"),
]


def clear(
    year: Annotated[int, typer.Option("--year", help="清算年度", min=2000, max=2100, metavar="YYYY")],
    policy: Annotated[
        list[str],
        typer.Option(
            "--policy",
            help="支付政策：内置编号或文件。年末有效的为清算政策；年中才开始的，再给以前各月的（从账册清算时可不给）",
            metavar="NAME|FILE.toml",
        ),
    ],
    year_file: YearFileOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="清算结果的文件夹，须不存在或为空", metavar="DIR")],
    cases: Annotated[
        list[str] | None, typer.Argument(help="全年病例文件，可多个；与 --book 二选一", metavar="CASES...")
    ] = None,
    book: Annotated[
        Path | None, typer.Option("--book", help="年度账册：病例和已付金额都取自账册，清算记入账册", metavar="DIR")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="试算：只写出结果，不记入账册")] = False,
    new_policy: Annotated[
        str, typer.Option("--new-policy", help="用账册没有用过的政策清算时，写明原因", metavar="REASON")
    ] = "",
    prepaid: Annotated[
        Path | None,
        typer.Option(
            "--prepaid", help="年内已付（.csv：hospital,pool,prepaid，可有 deposit,advance，元）", metavar="FILE"
        ),
    ] = None,
    scheme: PolicySchemeOption = None,
    hospitals: RegisterOption = None,
    weights: PolicyWeightsOption = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions", help="特例单议评议结果，按通过的先后：case_id,decision,amount（元）", metavar="FILE.csv"
        ),
    ] = None,
    separate: SeparateOption = None,
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """年终清算：按政策的步骤算出每家医疗机构各基金池的应得、分担、考核、已付和余额。

    输出 statement.csv、每家机构的清算单（HTML、XLSX）、分录、问题清单和可复算的证明。
    从账册清算的记入账册；再次清算取代前一次。
    退出码：0 完成，1 有要处理的问题或资金不足，2 用法，3 政策、年度文件等不可用，4 环境。
    """
    paths = list(cases or ())
    if bool(paths) == (book is not None):
        fail("病例文件与 --book 须给出其一", Exit.USAGE)
    if book is not None and any(item is not None for item in (prepaid, hospitals, separate)):
        fail("用 --book 时已付金额、名册和单列支付都取自账册，不能再给 --prepaid、--hospitals、--separate", Exit.USAGE)
    request = ClearRequest(
        year, tuple(paths), book, prepaid, decisions, hospitals, separate, weights, format_.value, edition.value,
        threads, new_policy,
    )  # fmt: skip
    check_paths([*paths, *(str(path) for path in request.lists.values())])
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        fail(f"{output} 不是空文件夹，请换一个位置", Exit.USAGE)
    try:
        given = read_inputs(policy, year_file, year, request.lists)
    except TablesRefused as error:
        unusable(error)
    name = scheme or given.policy.header.scheme
    if not name:
        fail(f"政策 {given.policy.id} 没有指明分组方案，请用 --scheme 给出", Exit.USAGE)
    compiled = load_scheme(name)
    superseded = None
    try:
        with progress_bar(paths) as progress:
            if book is None or dry_run:
                kept = None if book is None else open_book(book)
                done = clear_request(request, given, compiled, kept, progress)
            else:
                done, superseded = clear_book(request, given, compiled)
        command = _command(request, policy, year_file, name, output)
        run_id = write_clearing(done.clearing, output, done.deciding, command, done.levels)
    except TablesRefused as error:
        refuse("不能清算", error)
    except BookRefused as error:
        print_problems(error.problems)
        fail("账册不可用", Exit.TABLES)
    except OSError as error:
        fail(f"不能写入 {error.filename or output}（{error.strerror or error}）", Exit.ENVIRONMENT)
    if json:
        print_json(_summary(done, run_id))
    else:
        _print(done, run_id, output)
        if book is not None:
            _print_book(book, superseded, dry_run=dry_run)
    problems = done.clearing.problems
    if problems["code"].is_in(_TO_LOOK_AT).any() or problems["level"].is_in(_FAULTS).any():
        raise typer.Exit(Exit.PROBLEMS)


def unusable(error: TablesRefused) -> NoReturn:
    """Every problem of what a run reads beside the cases; exit code 3."""
    print_problems(error.problems)
    fail(f"{error.what} 不可用，共 {len(error.problems)} 个问题", Exit.TABLES)


def refuse(what: str, error: TablesRefused) -> NoReturn:
    """Every problem of a refused run; exit code 1 when money is missing, whatever else is, else 3."""
    print_problems(error.problems)
    money = not UNPAID_FOR.isdisjoint(problem.code for problem in error.problems)
    fail(f"{what}：{error.what}，共 {len(error.problems)} 个问题", Exit.PROBLEMS if money else Exit.TABLES)


def _command(request: ClearRequest, policies: list[str], year_file: str, scheme: str, output: Path) -> str:
    """The command that repeats the run beside its files."""
    options = [("policy", policy) for policy in policies]
    named = {"year-file": year_file, "scheme": scheme, "weights": request.weights}
    options += [(name, value) for name, value in named.items() if value]
    options += [(name, str(path)) for name, path in request.lists.items()]
    words = file_words([*request.cases, *(value for _, value in options)])
    parts = ["drgdip", "clear", *sorted(words[name] for name in request.cases), "--year", str(request.year)]
    for name, value in options:
        parts += [f"--{name}", words[value]]
    parts += ["--book", request.book.name, "--dry-run"] if request.book is not None else []
    parts += ["--new-policy", request.policy_reason] if request.policy_reason else []
    parts += ["--format", request.fmt] if request.fmt != "auto" else []
    parts += ["--edition", request.edition] if request.edition != "insurance" else []
    return command_line([*parts, "-o", output.name])


def _summary(done: Cleared, run_id: str) -> dict[str, object]:
    clearing = done.clearing
    problems = clearing.problems.group_by("code", "level").len().sort("code")
    return {
        "run_id": run_id,
        "year": clearing.given.year,
        "policy": clearing.given.policy.id,
        "statement": statement_rows(clearing),
        "pools": [dict(zip(POOL_HEADER, row, strict=True)) for row in pool_rows(clearing)],
        "problems": [{"code": code, "level": level, "count": count} for code, level, count in problems.iter_rows()],
    }


def _print(done: Cleared, run_id: str, output: Path) -> None:
    """Pools, hospitals and problems, in Chinese on standard error."""
    console, clearing = err(), done.clearing
    console.width = max(console.width, TABLE_WIDTH)  # amounts are never cut off
    policy, figures = clearing.given.policy, clearing.given.year_file
    level = DATA_LEVEL_ZH.get(figures.data_level, figures.data_level)
    head = f"{escape(figures.region)} {clearing.given.year} 年度清算"
    console.print(f"{head}  政策 [bold]{escape(policy.id)}[/]（{level}）")
    console.print(_pools(clearing))
    console.print(_hospitals(clearing))
    for code, kind, count, example in _counted(clearing):
        console.print(f"  {LEVEL_ZH[Level(kind)]} {code}  {count:,}  如：{escape(example)}")
    console.print(f"清算批次 {run_id[:12]}  结果 {escape(str(output))}")


def _print_book(book: Path, superseded: Run | None, *, dry_run: bool) -> None:
    if dry_run:
        err().print(f"试算，没有记入账册 {escape(str(book))}")
        return
    err().print(f"已记入账册 {escape(str(book))}")
    if superseded is not None:
        err().print(f"取代账册中以前的清算 {superseded.input_id[:12]}（运行 {superseded.run_id[:12]}）")


def _counted(clearing: Clearing) -> list[tuple[str, str, int, str]]:
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for code, level, message in clearing.problems.select("code", "level", "message").iter_rows():
        count, example = found.get((code, level), (0, message))
        found[code, level] = (count + 1, example)
    return [(code, level, count, example) for (code, level), (count, example) in sorted(found.items())]


def _pools(clearing: Clearing) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("基金池")
    for name in ("可分配（元）", "固定支付", "点数（权重）", "点值（费率）", "分担与补差", "回到基金"):
        table.add_column(name, justify="right")
    for row in pool_rows(clearing):
        told = dict(zip(POOL_HEADER, row, strict=True))
        names = ("distributable", "fixed", "units", "value", "line_used", "to_fund")
        table.add_row(escape(told["pool"]), *(told[name] or "—" for name in names))
    return table


def _hospitals(clearing: Clearing) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("医疗机构")
    table.add_column("基金池")
    for name in ("例数", "应得", "分担", "保证金未返还", "扣款", "医共体超支分担", "已付", "余额"):
        table.add_column(name, justify="right")
    for pool, line in clearing.lines:
        amounts = (
            line.entitlement,
            line.shared,
            line.deposit - line.assessment,
            line.deductions,
            line.borne,
            line.prepaid,
        )
        colour = "red" if line.balance < 0 else "green"
        table.add_row(
            escape(line.hospital), escape(pool), f"{line.cases:,}", *map(yuan_text, amounts),
            f"[{colour}]{yuan_text(line.balance)}[/]",
        )  # fmt: skip
    return table
