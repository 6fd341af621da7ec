"""The region's total budget: from the fund's income, deduction by deduction, to what hospitals can be paid.

Income of the year less the policy's deductions in the policy's order is the inpatient pool; less the regulation fund,
what is distributable. All in fen; a share is rounded half up once where it is taken, a split loses nothing. Source:
以收定支 rules of the cities; 吕梁 plan for sub-budgets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from budget.county_group import Heads
from budget.money import apportion, round_half_up, yuan_text
from budget.pools import pool_name
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem, TablesRefused
from reference_tables.year_file import YearFile, YearRow

COMMAND = "budget"
ITEMS_ZH = {**policy_schema().parameters["budget_deductions"].labels, "adjustment": "年中调整"}
_OF_THE_FILE = frozenset({"catastrophic", "offsite", "outpatient", "pharmacy", "separate_drugs", "by_item"})


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the waterfall, fen: `amount` taken (negative) or added, `left` after it."""

    item: str
    amount: int
    left: int

    @property
    def label(self) -> str:
        return ITEMS_ZH[self.item]


@dataclass(frozen=True, slots=True)
class InsuranceBudget:
    """One insurance's year, fen. `income` None when its inpatient budget was given; `reserve` and `regulation` are the
    lines that may pay for overruns; `inpatient` what is for stays paid by case, `distributable` = it less
    `regulation`. `quotas` by hospital, in the order of their ids; `unallotted` what the quotas leave. `parts`:
    sub-budgets of `distributable` by name."""

    insurance: str
    income: int | None
    steps: tuple[Step, ...]
    reserve: int
    regulation: int
    inpatient: int
    distributable: int
    quotas: tuple[tuple[str, int], ...]
    unallotted: int
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PoolBudget:
    """What a pool holds, fen: the insurances' parts added up. `quotas` empty where none are given."""

    pool: str
    insurances: tuple[str, ...]
    distributable: int
    regulation: int
    reserve: int
    quotas: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class TotalBudget:
    """The region's budget, by insurance and by pool, in the policy's order of insurances."""

    insurances: tuple[InsuranceBudget, ...]
    pools: tuple[PoolBudget, ...]


def total_budget(policy: Policy, year: YearFile) -> TotalBudget:
    """The budget of a policy's region for a year.

    Raises TablesRefused with every problem: parameters that are missing (PL30), amounts that are missing or do not fit
    (CL20-CL29).
    """
    terms = YearTerms(policy, year.year, COMMAND)
    problems = terms.problems
    pools = terms.want("pools")
    order = _order(terms, year, problems)
    found = [budget for name in policy.insurances if (budget := _insurance(terms, year, name, order, problems))]
    if problems or pools is None:
        raise TablesRefused(f"{policy.id} {year.file}".strip(), problems)
    return TotalBudget(tuple(found), tuple(_pools(pools, found)))


def _order(terms: YearTerms, year: YearFile, problems: list[Problem]) -> tuple[str, ...]:
    if all(row["income"] is None for row in year.rows("fund")):
        return terms.look("budget_deductions") or ()
    found = terms.want("budget_deductions")
    order: tuple[str, ...] = found or ()
    for row in year.rows("deduction") if found is not None else ():
        if row["item"] not in order:
            args: dict[str, str | int] = {"item": ITEMS_ZH[row["item"]]}
            problems.append(Problem("CL23", args, file=year.file, row=row.line, field="deduction.item"))
    return order


def bundle_heads(year: YearFile, insurance: str, group: str = "") -> list[Heads]:
    """The insured of county groups (of one, when named) and what is paid for each."""
    chosen = {"insurance": insurance} | ({"county_group": group} if group else {})
    return [Heads(row["insurance"], row["heads"], row["per_head"]) for row in year.rows("heads", **chosen)]


def _insurance(
    terms: YearTerms, year: YearFile, insurance: str, order: Sequence[str], problems: list[Problem]
) -> InsuranceBudget | None:
    fund = year.row("fund", insurance=insurance)
    if fund is None:
        args: dict[str, str | int] = {"insurance": insurance, "known": "、".join(terms.policy.insurances)}
        problems.append(Problem("CL20", args, file=year.file, field="fund"))
        return None
    before = len(problems)
    chain = _Chain(terms, year, insurance, problems)
    if fund["income"] is None:
        chain.left, chain.reserve = fund["inpatient_budget"], fund["reserve"] or 0
        order = [item for item in order if item == "regulation"]
    else:
        chain.left = fund["income"]
    chain.income = chain.left
    for at, item in enumerate(order):
        if item == "regulation" and "regulation" not in order[:at]:
            chain.adjust()
        chain.take(item)
    if "regulation" not in order:
        chain.adjust()
    if fund["income"] is None or "bundles" not in order:
        chain.check_bundles("budget_deductions" if fund["income"] is not None else "")
    chain.settle()
    if len(problems) > before:
        return None
    distributable = chain.left
    quotas, unallotted = _quotas(terms, year, insurance, distributable, problems)
    parts = terms.look("sub_budgets", insurance=insurance) or ()
    amounts = apportion(distributable, [part for _, part in parts]) if parts else []
    return InsuranceBudget(
        insurance, fund["income"], tuple(chain.steps), chain.reserve, chain.regulation,
        distributable + chain.regulation, distributable, quotas, unallotted,
        tuple((name, amount) for (name, _), amount in zip(parts, amounts, strict=True)),
    )  # fmt: skip


class _Chain:
    """Takes one deduction after the other from what is left."""

    def __init__(self, terms: YearTerms, year: YearFile, insurance: str, problems: list[Problem]) -> None:
        self.terms, self.year, self.insurance, self.problems = terms, year, insurance, problems
        self.left = self.income = self.reserve = self.regulation = 0
        self.short = ""
        self.steps: list[Step] = []

    def take(self, item: str) -> None:
        amount = self._amount(item)
        if item == "reserve":
            self.reserve = amount
        elif item == "regulation":
            self.regulation = amount
        self._step(item, -amount)

    def adjust(self) -> None:
        """Add what was granted or cut during the year."""
        for row in self.year.rows("adjustment", insurance=self.insurance):
            self._step("adjustment", row["amount"])

    def check_bundles(self, missing_in: str) -> None:
        """Bundles that are not taken off here must have been set aside: by the policy's deductions where there is an
        income (`missing_in`: the parameter that leaves them out), else before the inpatient budget that is given."""
        row = None if missing_in else self.year.row("deduction", insurance=self.insurance, item="bundles")
        needed = self._bundles(row)
        if needed and row is None:
            reason = f"政策的 {missing_in} 没有 bundles" if missing_in else "住院总额直接给定，年度文件没有打包的扣除"
            args: dict[str, str | int] = {
                "insurance": self.insurance, "needed": yuan_text(needed), "missing": yuan_text(needed),
                "reason": reason,
            }  # fmt: skip
            self.problems.append(Problem("CL29", args, file=self.year.file, field="deduction"))

    def settle(self) -> None:
        """Refuse a budget that is less than nothing, with the sum that is missing."""
        if not self.short:
            return
        if self.short == "adjustment":
            args: dict[str, str | int] = {"insurance": self.insurance, "left": yuan_text(self.left)}
            self.problems.append(Problem("CL26", args, file=self.year.file, field="adjustment"))
            return
        taken = self.income - self.left
        args = {
            "insurance": self.insurance, "deducted": yuan_text(taken), "income": yuan_text(self.income),
            "missing": yuan_text(-self.left), "item": ITEMS_ZH[self.short],
        }  # fmt: skip
        self.problems.append(Problem("CL21", args, file=self.year.file, field="deduction"))

    def _step(self, item: str, amount: int) -> None:
        self.left += amount
        self.steps.append(Step(item, amount, self.left))
        if self.left < 0 and not self.short:
            self.short = item
        elif self.left >= 0:
            self.short = ""

    def _amount(self, item: str) -> int:
        if item in {"reserve", "regulation"}:
            base = self.income if item == "reserve" else max(0, self.left)
            return round_half_up(base * self._share(f"{item}_share"))
        row = self.year.row("deduction", insurance=self.insurance, item=item)
        if item == "bundles":
            needed = self._bundles(row)
            return needed if row is None else int(row["amount"])
        assert item in _OF_THE_FILE, item
        if row is None:
            args: dict[str, str | int] = {"item": ITEMS_ZH[item], "insurance": self.insurance}
            self.problems.append(Problem("CL22", args, file=self.year.file, field="deduction"))
            return 0
        return int(row["amount"])

    def _bundles(self, row: YearRow | None) -> int:
        """What the insurance's bundles come to; a deduction (`row`) that is less is noted."""
        needed = sum(part.heads * part.per_head for part in bundle_heads(self.year, self.insurance))
        if row is not None and row["amount"] < needed:
            args: dict[str, str | int] = {
                "insurance": self.insurance, "given": yuan_text(row["amount"]), "needed": yuan_text(needed),
                "missing": yuan_text(needed - row["amount"]),
            }  # fmt: skip
            self.problems.append(Problem("CL25", args, file=self.year.file, row=row.line, field="deduction.amount"))
        return needed

    def _share(self, key: str) -> Fraction:
        found = self.terms.want(key, insurance=self.insurance)
        return Fraction(0) if found is None else Fraction(found)


def _quotas(
    terms: YearTerms, year: YearFile, insurance: str, distributable: int, problems: list[Problem]
) -> tuple[tuple[tuple[str, int], ...], int]:
    """The hospitals' quotas where the policy gives them, and what they leave."""
    if terms.want("hospital_budget") != "quota":
        return (), 0
    rows = sorted(year.rows("quota", insurance=insurance), key=lambda row: str(row["hospital"]))
    if not rows:
        problems.append(Problem("CL27", {"insurance": insurance}, file=year.file, field="quota"))
        return (), 0
    names = [str(row["hospital"]) for row in rows]
    amounts = _allotted(rows, distributable)
    total = sum(amounts)
    if total > distributable:
        args: dict[str, str | int] = {
            "insurance": insurance, "total": yuan_text(total), "pool": yuan_text(distributable),
            "missing": yuan_text(total - distributable),
        }  # fmt: skip
        problems.append(Problem("CL24", args, file=year.file, field="quota.amount"))
    return tuple(zip(names, amounts, strict=True)), distributable - total


def _allotted(rows: Sequence[Any], distributable: int) -> list[int]:
    if rows[0]["part"] is None:
        return [row["amount"] for row in rows]
    parts = [row["part"] for row in rows]
    return apportion(distributable, parts) if any(parts) else [0] * len(parts)


def _pools(pools: str, budgets: Sequence[InsuranceBudget]) -> Iterator[PoolBudget]:
    by_pool: dict[str, list[InsuranceBudget]] = {}
    for budget in budgets:
        by_pool.setdefault(pool_name(pools, budget.insurance), []).append(budget)
    for pool, members in by_pool.items():
        quotas: dict[str, int] = {}
        for budget in members:
            for hospital, amount in budget.quotas:
                quotas[hospital] = quotas.get(hospital, 0) + amount
        yield PoolBudget(
            pool,
            tuple(budget.insurance for budget in members),
            sum(budget.distributable for budget in members),
            sum(budget.regulation for budget in members),
            sum(budget.reserve for budget in members),
            tuple(sorted(quotas.items())),
        )
