"""What a cleared year leaves of the fund: balance of the year, accumulated balance and the months that it lasts.

Source: 累计结余可支付月数 = accumulated balance / mean monthly spend, as fund supervision reports it; what is set aside
for cases and what is deducted before as in `total_budget`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import polars as pl

from budget.bundle_clearing import ClearedBundle
from budget.clearing import Line
from budget.clearing_accounts import LINES_ZH, ClearedPool
from budget.compare_frames import ALL_POOLS, FUND_SCHEMA, rounded
from budget.money import FEN, decimal_text
from budget.total_budget import InsuranceBudget, TotalBudget
from reference_tables.year_file import YearFile

UNIT_PLACES = 4
_NOT_SPENT = frozenset({"reserve", "regulation", "adjustment"})


@dataclass(frozen=True, slots=True)
class FundYear:
    """One pool's year, fen. `held` set aside for its cases, `granted` added during the year to a budget made from
    income, `paid` for the cases; `other_spend` other deductions from the income, `opening` accumulated before the year;
    None where the year file does not tell. `left`: what stays in the fund of county groups' bundles, which are other
    spending."""

    held: int
    granted: int
    paid: int
    other_spend: int | None
    opening: int | None
    left: int = 0

    @property
    def balance(self) -> int:
        """Of the year; negative: more was spent than came in."""
        return self.held - self.granted - self.paid + self.left

    @property
    def accumulated(self) -> int | None:
        """At the end of the year."""
        return None if self.opening is None else self.opening + self.balance

    @property
    def months(self) -> Fraction | None:
        """Months of the year's mean spend that the accumulated balance lasts; None where nothing is spent or known."""
        spent = self.paid + (self.other_spend or 0) - self.left
        if self.accumulated is None or spent <= 0:
            return None
        return Fraction(self.accumulated * 12, spent)

    def __add__(self, other: FundYear) -> FundYear:
        return FundYear(
            self.held + other.held, self.granted + other.granted, self.paid + other.paid,
            _both(self.other_spend, other.other_spend), _both(self.opening, other.opening), self.left + other.left,
        )  # fmt: skip


def fund_years(
    pools: Sequence[ClearedPool], budget: TotalBudget, year: YearFile, bundles: Sequence[ClearedBundle] = ()
) -> dict[str, FundYear]:
    """The year of each pool, in the order of the budget, and of ALL_POOLS, which also bears what the fund adds to
    county groups' bundles and has what is left of them."""
    parts = {part.insurance: part for part in budget.insurances}
    found: dict[str, FundYear] = {}
    for pool in pools:
        members = [parts[name] for name in pool.budget.insurances]
        found[pool.budget.pool] = FundYear(
            pool.budget.distributable + pool.budget.regulation + pool.budget.reserve,
            sum(_granted(part) for part in members),
            sum(line.received for line in pool.cleared.lines) - pool.bundled,
            _sum([_other_spend(part) for part in members]),
            _sum([_opening(year, part.insurance) for part in members]),
        )
    left = sum(item.bundle.reserve_left + item.bundle.not_retained for item in bundles)
    whole = FundYear(0, 0, sum(item.beyond for item in bundles), 0, 0, left)
    for part_of in found.values():
        whole += part_of
    return {**found, ALL_POOLS: whole}


def fund_frame(
    pools: Sequence[ClearedPool],
    budget: TotalBudget,
    year: YearFile,
    state: str,
    price_unit: str,
    bundles: Sequence[ClearedBundle] = (),
) -> pl.DataFrame:
    """FUND_SCHEMA of one clearing; `price_unit` of its point values."""
    years = fund_years(pools, budget, year, bundles)
    rows = [_row(pool, state, price_unit, years[pool.budget.pool]) for pool in pools]
    whole: dict[str, object] = {"pool": ALL_POOLS, "state": state, **_of_year(years[ALL_POOLS])}
    whole |= _of_bundles(pools, bundles)
    summed = [name for name in FUND_SCHEMA if name.endswith("_fen") and name not in whole]
    whole |= {name: sum(row[name] for row in rows) for name in ["cases", *summed]}
    whole["received_fen"] = sum(row["received_fen"] for row in rows) + sum(
        line.received for item in bundles for line in item.lines
    )
    return pl.DataFrame(
        [{name: row.get(name) for name in FUND_SCHEMA} for row in [*rows, whole]], schema=FUND_SCHEMA, orient="row"
    )


def _row(pool: ClearedPool, state: str, price_unit: str, year: FundYear) -> dict[str, Any]:
    budget, lines = pool.budget, pool.cleared.lines
    return {
        "pool": budget.pool,
        "state": state,
        "cases": sum(line.cases for line in lines),
        "budget_fen": budget.distributable + budget.regulation,
        "distributable_fen": budget.distributable,
        "regulation_fen": budget.regulation,
        "reserve_fen": budget.reserve,
        "fixed_fen": sum(account.fixed for account in pool.accounts),
        "bundled_fen": pool.bundled,
        "units": decimal_text(sum((account.points for account in pool.accounts), Fraction(0)), UNIT_PLACES),
        "point_value": "" if pool.due.value is None else decimal_text(pool.due.value, UNIT_PLACES),
        "price_unit": "" if pool.due.value is None else price_unit,
        "value_basis": value_basis(pool),
        "entitlement_fen": sum(line.entitlement for line in lines),
        "shared_fen": sum(line.shared for line in lines),
        "kept_fen": sum(_kept(line) for line in lines),
        "line": LINES_ZH.get(pool.line, ""),
        "line_fen": pool.cleared.line_used,
        "back_fen": pool.cleared.to_fund,
        "received_fen": sum(line.received for line in lines),
        **_of_year(year),
    }


def value_basis(pool: ClearedPool) -> str:
    """What a settled point value or rate is made of, in Chinese; "" where prices do not move. A merged pool of
    insurances with different payment ratios has none of its own: its value is of the fund's money alone."""
    value = pool.due.value
    if value is None:
        return ""
    if pool.formula == "DRG_TOTAL":
        return "统筹基金＋个人等支付"
    ratio = pool.due.per_unit / FEN / value if value else Fraction(1)
    return "只计统筹基金" if ratio == 1 else f"统筹基金÷支付比例 {decimal_text(ratio * 100, 2)}%"


def _of_bundles(pools: Sequence[ClearedPool], bundles: Sequence[ClearedBundle]) -> dict[str, object]:
    """Where the bundles' money goes, beside what members receive."""
    used = sum(item.bundle.used for item in bundles)
    return {
        "bundles_fen": sum(item.bundle.gross for item in bundles),
        "bundle_others_fen": used - sum(pool.bundled for pool in pools),
        "bundle_reserve_fen": sum(item.bundle.reserve_left for item in bundles),
        "bundle_unkept_fen": sum(item.bundle.not_retained for item in bundles),
    }


def _of_year(year: FundYear) -> dict[str, object]:
    months = year.months
    return {
        "paid_fen": year.paid,
        "other_spend_fen": year.other_spend,
        "balance_fen": year.balance,
        "accumulated_fen": year.accumulated,
        "reserve_months": None if months is None else rounded(months),
    }


def _kept(line: Line) -> int:
    """What the fund keeps of a line: deposit not returned, and deductions."""
    return line.deposit - line.assessment + line.deductions


def _granted(part: InsuranceBudget) -> int:
    """Added during the year to a budget that was made from income; a budget given as such holds it already."""
    return 0 if part.income is None else sum(step.amount for step in part.steps if step.item == "adjustment")


def _other_spend(part: InsuranceBudget) -> int | None:
    """What the income was spent on before hospitals are paid by case; None when only their budget is known."""
    if part.income is None:
        return None
    return -sum(step.amount for step in part.steps if step.item not in _NOT_SPENT)


def _opening(year: YearFile, insurance: str) -> int | None:
    fund = year.row("fund", insurance=insurance)
    balance = None if fund is None else fund["balance"]
    return None if balance is None else int(balance)


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None
