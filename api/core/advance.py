"""Pay a year's working-capital advances (预付金) out of the year book: once for each insurance, to the fen.

Who applied stands in the list of spend; the policy says how much and under what condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import polars as pl

from api.core.book import Book, BookRefused, Run, locked
from api.core.book_seals import SHOWN_RUN
from api.core.settle import check_month, check_open, check_year, hash_of
from api.core.settle_files import book_for
from budget.advances import MOST_YEARS, AdvanceRule, FundState, InsuranceAdvance, share_advance
from budget.ledger import AMOUNT_SCHEMA, POSTING_SCHEMA, postings_of
from budget.money import exact, to_fen
from budget.pools import pool_name
from budget.settlement import COMMAND, first_day
from grouper.proof import file_sha256, program_version
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table

ADVANCE = "advance"
COLUMNS = ("hospital_id", "insurance", "year", "spend")
ADVANCE_SCHEMA: dict[str, pl.DataType] = {
    "insurance": pl.String(), "pool": pl.String(), "hospital_id": pl.String(), "advance_fen": pl.Int64(),
}  # fmt: skip
Spend = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True)
class Advanced:
    """Advances of a year: `rows` ADVANCE_SCHEMA by insurance and hospital, `found` by insurance with eligibility and
    size. `run` None: nobody may have one and the book is as it was; `repeated`: paid before from the same list.
    `problems`: years of spend that a hospital lacks (ST55)."""

    book: Book
    run: Run | None
    repeated: bool
    found: Mapping[str, InsuranceAdvance]
    rows: pl.DataFrame
    postings: pl.DataFrame
    problems: tuple[Problem, ...] = ()


def pay_advances(
    folder: Path, month: str, policy: Policy, spend_file: Path, funds: Mapping[str, FundState]
) -> Advanced:
    """Pay the advances of the insurances that the list names, in `month`.

    `funds`: state of each insurance's fund. Raises BookRefused (ST05, ST06, ST10, ST12, ST16, ST17 paid already, ST18
    the list or a fund's state does not do, ST20 a policy the book is not kept by), TablesRefused when the policy lacks
    a parameter or does not hold in the month.
    """
    with locked(folder):
        book = book_for(folder, month)
        _check(book, month, policy)
        spend = read_spend(spend_file, policy)
        told = tuple(_lacking(spend, spend_file.name))
        rules = _rules(policy, month, spend)
        found = {}
        for insurance, hospitals in spend.items():
            if insurance not in funds:
                fix, over_http = f"加 --balance {insurance}=月数", f"在 balances 写明{insurance}的月数"
                raise _refused(f"没有给出{insurance}基金累计结余可支付月数", fix, over_http)
            years = sorted({year for of in hospitals.values() for year in of})
            if len(years) > MOST_YEARS:
                raise _refused(
                    f"{insurance}有 {len(years)} 个年度的支出，至多 {MOST_YEARS} 年", "只保留最近一至三年的支出"
                )
            amounts = {name: [of.get(year, 0) for year in years] for name, of in hospitals.items()}
            found[insurance] = share_advance(amounts, rules[insurance], funds[insurance])
        pools = policy.get("pools")
        merged = "insurance" if pools is None else str(pools.value)
        rows = pl.DataFrame(
            [
                (insurance, pool_name(merged, insurance), hospital, amount)
                for insurance, each in found.items()
                for hospital, amount in each.hospitals.items()
            ],
            schema=ADVANCE_SCHEMA,
            orient="row",
        )
        identity: dict[str, object] = {
            "command": ADVANCE,
            "year": book.year,
            "policy": {"id": policy.id, "sha256": policy.sha256},
            "inputs": [{"role": "spend", "sha256": file_sha256(spend_file)}],
            "funds": {
                name: [str(funds[name].months_of_balance), funds[name].deficit] for name in sorted(spend)
            },
        }  # fmt: skip
        input_id = hash_of(identity)
        before = book.with_input(input_id)
        if before is not None:
            postings = book.frame("postings", POSTING_SCHEMA, before).select(*POSTING_SCHEMA)
            return Advanced(book, before, True, found, rows, postings, told)
        check_month(book, month)
        check_open(book)
        _not_twice(book, rows)
        if not rows["advance_fen"].sum():
            return Advanced(book, None, False, found, rows, pl.DataFrame(schema=POSTING_SCHEMA), told)
        record = {**identity, "program": program_version(), "month": month, "book": {"before": book.last_run}}
        run_id = hash_of(record)
        amounts_posted = rows.with_columns(
            pl.lit(ADVANCE).alias("what"), pl.col("advance_fen").alias("amount_fen"), pl.lit("").alias("supersedes")
        ).select(*AMOUNT_SCHEMA)
        postings = postings_of(run_id, month, amounts_posted)
        totals = {"advance_fen": int(rows["advance_fen"].sum())}
        run = Run(run_id, input_id, ADVANCE, month, False, "", totals)
        book = book.append(run, {"advances": rows, "postings": postings}, {"proof": {"run_id": run_id, **record}})
        return Advanced(book, book.runs[-1], False, found, rows, postings, told)


def _check(book: Book, month: str, policy: Policy) -> None:
    """A month of the book's year in which the policy holds, and the policy that the book is kept by."""
    check_year(book, month)
    last = book.policies[-1] if book.policies else None
    if last is not None and (last.id, last.sha256) != (policy.id, policy.sha256):
        args: dict[str, str | int] = {
            "known": last.id, "known_sha": last.sha256[:SHOWN_RUN],
            "given": policy.id, "given_sha": policy.sha256[:SHOWN_RUN],
        }  # fmt: skip
        raise BookRefused([Problem("ST20", args)])
    day = first_day(month)
    if (outside := policy.outside(day, day)) is not None:
        raise TablesRefused(policy.id, [outside])


def _lacking(spend: Spend, file: str) -> Iterator[Problem]:
    """Hospitals without spend in a year that others of their insurance have: it counts as none."""
    for insurance, hospitals in spend.items():
        years = sorted({year for of in hospitals.values() for year in of})
        for hospital, of in sorted(hospitals.items()):
            lacking = [year for year in years if year not in of]
            if lacking:
                args: dict[str, str | int] = {
                    "hospital": hospital, "insurance": insurance, "years": "、".join(lacking),
                }  # fmt: skip
                yield Problem("ST55", args, file=file, value=hospital)


def _not_twice(book: Book, rows: pl.DataFrame) -> None:
    """An insurance that has had its advance gets no second one."""
    problems = []
    for run in book.runs:
        if run.kind == ADVANCE:
            paid = book.frame("advances", ADVANCE_SCHEMA, run).filter(pl.col("advance_fen") != 0)["insurance"].unique()
            for insurance in rows.filter(pl.col("advance_fen") != 0)["insurance"].unique().sort():
                if insurance in paid:
                    args: dict[str, str | int] = {
                        "year": book.year, "pool": insurance, "run": run.run_id[:SHOWN_RUN],
                    }  # fmt: skip
                    problems.append(Problem("ST17", args, value=insurance))
    if problems:
        raise BookRefused(problems)


def _rules(policy: Policy, month: str, insurances: Mapping[str, object]) -> dict[str, AdvanceRule]:
    problems: list[Problem] = []
    rules = {}
    on = first_day(month)
    for insurance in insurances:
        months = policy.need("advance_months", COMMAND, on=on, problems=problems, insurance=insurance)
        least = policy.need("advance_min_months", COMMAND, on=on, problems=problems, insurance=insurance)
        if months is not None and least is not None:
            rules[insurance] = AdvanceRule(months.value, least.value)
    if problems:
        raise TablesRefused(policy.id, problems)
    return rules


def read_spend(path: Path, policy: Policy) -> Spend:
    """insurance -> hospital -> year -> fen, from hospital_id, insurance, year, spend (yuan; the fund's yearly spend at
    the hospital). Raises BookRefused (ST18) with every fault of the file, TablesRefused when it is no such file."""
    table = read_table(path, dict.fromkeys(COLUMNS, "code"))
    errors = [problem for problem in table.problems if problem.level.value == "error"]
    if table.frame is None or errors:
        raise TablesRefused(path.name, errors)
    spend: Spend = {}
    problems = []
    for row in table.frame.iter_rows(named=True):
        hospital, insurance, year = row["hospital_id"], row["insurance"], row["year"]
        fen = _fen(row["spend"])
        faults = []
        if not hospital:
            faults.append(("没有医疗机构编码", "改正这一行"))
        if insurance not in policy.insurances:
            faults.append((f"政策没有险种“{insurance}”", f"可用：{'、'.join(policy.insurances)}"))
        if not (len(year) == 4 and year.isascii() and year.isdigit()):
            faults.append((f"年度“{year}”无法识别", "写四位数字的年度"))
        if fen is None:
            faults.append((f"支出“{row['spend']}”无法识别", "金额以元为单位，不为负，至多两位小数"))
        if year in spend.get(insurance, {}).get(hospital, {}):
            faults.append((f"{hospital} {insurance} {year} 年重复", "改正这一行"))
        for reason, fix in faults:
            args: dict[str, str | int] = {"reason": f"第 {row[LINE]} 行：{reason}", "fix": fix, "over_http": fix}
            problems.append(Problem("ST18", args, file=path.name, row=row[LINE]))
        if fen is not None and not faults:
            spend.setdefault(insurance, {}).setdefault(hospital, {})[year] = fen
    if problems:
        raise BookRefused(problems)
    if not spend:
        raise _refused("支出清单中没有一行", "写明申请预付金的医疗机构及其各年支出")
    return {insurance: spend[insurance] for insurance in policy.insurances if insurance in spend}


def _fen(text: str) -> int | None:
    try:
        value = exact(text)
    except ValueError:
        return None
    return to_fen(value) if value >= 0 and (value * 100).denominator == 1 else None


def _refused(reason: str, fix: str, over_http: str = "") -> BookRefused:
    return BookRefused([Problem("ST18", {"reason": reason, "fix": fix, "over_http": over_http or fix})])


def fund_states(balances: Mapping[str, Fraction], deficits: frozenset[str]) -> dict[str, FundState]:
    """The state of each insurance's fund: months its balance lasts, and whether it is in deficit."""
    return {name: FundState(months, name in deficits) for name, months in balances.items()}
