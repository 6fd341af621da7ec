"""`drgdip settle`, `drgdip advance` and `drgdip book`: the year's payments, month by month."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from api.cli import settle_text
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
from api.cli.progress import progress_bar
from api.core.advance import fund_states, pay_advances
from api.core.book import Book, BookRefused, open_book
from api.core.book_check import month_totals, sound, verify_book
from api.core.book_seals import readable
from api.core.settle_files import SettleRequest, settle_files
from api.core.settle_report import write_settlement
from api.core.settle_statements import write_hospital_statements
from budget.money import exact
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import Level, TablesRefused

app = typer.Typer(
    help="年度账册：查看、核验。",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
PolicyOption = Annotated[str, typer.Option("--policy", help="支付政策编号或政策文件", metavar="NAME|FILE.toml")]
MonthOption = Annotated[str, typer.Option("--month", help="结算月份，如 2026-03", metavar="YYYY-MM")]
BookOption = Annotated[Path, typer.Option("--book", help="年度账册的文件夹；第一次结算时建立", metavar="DIR")]
BookArgument = Annotated[Path, typer.Argument(help="年度账册的文件夹", metavar="DIR")]
_UNFIT = {Level.ERROR.value, Level.REJECT.value}


@app.callback()
def _root() -> None:
    pass


def _policy(name: str) -> Policy:
    try:
        return load_policy(name)
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"支付政策 {name} 不可用，共 {len(error.problems)} 个问题", Exit.TABLES)


def settle(
    policy: PolicyOption,
    month: MonthOption,
    book: BookOption,
    cases: Annotated[list[str] | None, typer.Argument(help="当月病例文件，可多个", metavar="CASES...")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="结算单、分录、问题清单和证明写到的文件夹", metavar="DIR")
    ] = None,
    correct: Annotated[
        list[str] | None,
        typer.Option("--correct", help="更正以前已结算的病例，文件格式同病例文件，可多次", metavar="FILE"),
    ] = None,
    withdraw: Annotated[
        Path | None,
        typer.Option("--withdraw", help="撤销已结算的病例（.csv：hospital_id,case_id,reason）", metavar="FILE"),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="更正或撤销的原因")] = "",
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions", help="特例单议结果（.csv：case_id,decision,amount,hospital_id,reason）", metavar="FILE"
        ),
    ] = None,
    hospitals: Annotated[
        Path | None,
        typer.Option("--hospitals", help="医疗机构名录（.csv：hospital_id,name,tier,county_group）", metavar="FILE"),
    ] = None,
    separate: Annotated[
        Path | None,
        typer.Option("--separate", help="单列支付的金额（.csv：case_id,amount,hospital_id）", metavar="FILE"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", help="权重（分值）表；默认为政策所写的", metavar="NAME|FILE.csv")
    ] = None,
    scheme: Annotated[
        str | None, typer.Option("--scheme", help="分组方案；默认为政策所写的", metavar="NAME|DIR|XLSX")
    ] = None,
    close: Annotated[bool, typer.Option("--close", help="结算后关账；关账后该月及以前各月不再改动")] = False,
    new_policy: Annotated[
        str, typer.Option("--new-policy", help="政策与账册所记的不同时，写明变动的原因", metavar="REASON")
    ] = "",
    new_tiers: Annotated[
        str,
        typer.Option(
            "--new-tiers",
            help="已结算月份的病例（更正、迟报）改按名录现在的机构级别计价时，写明原因",
            metavar="REASON",
        ),
    ] = "",
    reopen: Annotated[
        str,
        typer.Option(
            "--reopen",
            help="年度已清算、末月已关账或该月已结算，而确需再结算、更正时，写明原因；清算的分录冲回",
            metavar="REASON",
        ),
    ] = "",
    format_: FormatOption = Format.AUTO,
    edition: EditionOption = Edition.INSURANCE,
    threads: ThreadsOption = all_threads(),
    json: JsonOption = False,
) -> None:
    """月度结算：分组、定价、拨付、留存保证金，记入年度账册，给出每家医疗机构的结算单。

    同样的文件再次结算不改变账册；已支付的病例不再支付；更正、撤销的差额记入本月。
    """
    paths, corrections = list(cases or ()), list(correct or ())
    lists = [str(path) for path in (withdraw, decisions, hospitals, separate) if path is not None]
    check_paths([*paths, *corrections, *lists])
    if output is not None and output.is_file():
        fail(f"{output} 是文件，应为文件夹", Exit.USAGE)
    found = _policy(policy)
    name = scheme or found.header.scheme
    if not name:
        fail(f"政策 {found.id} 没有写明分组方案，请用 --scheme 给出", Exit.USAGE)
    request = SettleRequest(
        book=book, month=month, cases=paths, corrections=corrections, withdrawals=withdraw, decisions=decisions,
        hospitals=hospitals, separate=separate, weights=weights, reason=reason, close=close, policy_reason=new_policy,
        tier_reason=new_tiers, reopen=reopen, policy_name=policy, scheme_name=Path(name).name,
        fmt=format_.value, edition=edition.value, threads=threads,
    )  # fmt: skip
    try:
        with progress_bar([*paths, *corrections]) as progress:
            settled = settle_files(request, found, load_scheme(name), progress)
        if output is not None:
            write_settlement(settled, output)
            write_hospital_statements(settled, output / "statements")
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"{error.what} 不可用，账册没有改动", Exit.TABLES)
    except BookRefused as error:
        _refused(error)
    except OSError as error:
        fail(f"不能写入 {error.filename or book}（{error.strerror or error}）", Exit.ENVIRONMENT)
    if json:
        print_json(settle_text.settled_row(settled))
    else:
        settle_text.print_settled(settled, output)
    if settled.problems["level"].is_in(_UNFIT).any():
        raise typer.Exit(Exit.PROBLEMS)


def advance(
    spend: Annotated[
        Path,
        typer.Argument(
            help="申请预付金的医疗机构各年统筹支出（.csv：hospital_id,insurance,year,spend）", metavar="SPEND"
        ),
    ],
    policy: PolicyOption,
    month: MonthOption,
    book: BookOption,
    balance: Annotated[
        list[str],
        typer.Option("--balance", help="基金累计结余可支付月数，如 职工=15.2，各险种一次", metavar="险种=月数"),
    ],
    deficit: Annotated[
        list[str] | None, typer.Option("--deficit", help="上年或预计当年赤字的险种", metavar="险种")
    ] = None,
    json: JsonOption = False,
) -> None:
    """年初预付金：按政策判断各险种能否预付、预付多少，分到申请的医疗机构，记入账册；每年每险种一次。"""
    check_paths([str(spend)])
    found = _policy(policy)
    months = _balances(balance, found)
    strange = [name for name in deficit or () if name not in found.insurances]
    if strange:
        fail(f"政策没有险种：{'、'.join(strange)}；可用：{'、'.join(found.insurances)}", Exit.USAGE)
    try:
        paid = pay_advances(book, month, found, spend, fund_states(months, frozenset(deficit or ())))
    except TablesRefused as error:
        print_problems(error.problems)
        fail(f"{error.what} 不可用，账册没有改动", Exit.TABLES)
    except BookRefused as error:
        _refused(error)
    except OSError as error:
        fail(f"不能写入 {error.filename or book}（{error.strerror or error}）", Exit.ENVIRONMENT)
    if json:
        print_json(settle_text.advanced_row(paid))
    else:
        settle_text.print_advanced(paid)


def _balances(texts: list[str], policy: Policy) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            months = exact(number)
        except ValueError:
            months = Fraction(-1)
        if name not in policy.insurances or months < 0 or name in found:
            fail(f"--balance 应如 {policy.insurances[0]}=15.2，每个险种一次：{text}", Exit.USAGE)
        found[name] = months
    return found


def _refused(error: BookRefused) -> None:
    print_problems(error.problems)
    fail(f"未执行，账册没有改动，共 {len(error.problems)} 个问题", Exit.PROBLEMS)


def _open(folder: Path) -> Book:
    try:
        return open_book(folder)
    except BookRefused as error:
        print_problems(error.problems)
        fail(f"账册 {folder} 不可用", Exit.TABLES)


@app.command()
def show(book: BookArgument, json: JsonOption = False) -> None:
    """查看账册：各月的运行、合计、是否关账，各医疗机构已付、留存和结转，借贷是否平衡。"""
    found = _open(book)
    problems = verify_book(found)
    if not readable(problems):
        print_problems(problems)
        fail(f"账册 {book} 的文件缺失或被改动过", Exit.PROBLEMS)
    if json:
        print_json(settle_text.book_row(found, month_totals(found), balanced=sound(problems)))
    else:
        settle_text.print_book(found, month_totals(found), balanced=sound(problems))
    if not sound(problems):
        raise typer.Exit(Exit.PROBLEMS)


@app.command()
def verify(book: BookArgument, json: JsonOption = False) -> None:
    """核验账册：文件校验值、运行的封印、借贷平衡、病例不重复、病例合计与账一致。"""
    found = _open(book)
    problems = verify_book(found)
    if json:
        rows = [problem.as_row() for problem in problems]
        print_json({"sound": sound(problems), "seal": found.seal, "problems": rows})
    else:
        print_problems(problems)
        settle_text.print_verified(found, sound=sound(problems))
    if not sound(problems):
        raise typer.Exit(Exit.PROBLEMS)
