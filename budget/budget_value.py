"""What one unit is worth at the start of a year: the base rate, or the budget point value, of each pool.

By the policy's formula from the budget and the expected units: those of the history in the year file, or those of given
cases. Source: DRG 点数法 and 费率法, DIP 技术规范 (预算点值).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from budget.point_value import dip_budget_value, drg_point_value, grossed_up_value
from budget.total_budget import COMMAND, PoolBudget
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.problems import Problem
from reference_tables.year_file import YearFile, YearRow


@dataclass(frozen=True, slots=True)
class ExpectedUnits:
    """Units (points, scores or weights) and what patients pay (fen) in a pool; `source` says where they come from."""

    units: Fraction
    patient_fen: int
    source: str


@dataclass(frozen=True, slots=True)
class BudgetValue:
    """Yuan per unit of a pool, exact, by `formula`, from `units`; `source` of the units."""

    pool: str
    formula: str
    value: Fraction
    units: Fraction
    source: str


def budget_values(
    policy: Policy,
    year: YearFile,
    pools: Sequence[PoolBudget],
    of_cases: Mapping[str, ExpectedUnits],
    problems: list[Problem],
) -> list[BudgetValue]:
    """The budget value of every pool whose units are known; `of_cases` by pool goes before the history.

    `problems` takes what the policy lacks (PL30) and history that DIP_BUDGET asks for and is not there (CL28).
    """
    terms = YearTerms(policy, year.year, COMMAND, problems)
    # Only the rate method can do without: its rates are then fixed, and nothing has to be worked out.
    formula = (terms.look if policy.method == "drg-rate" else terms.want)("point_value_formula")
    if formula is None:
        return []
    found = []
    for pool in pools:
        expected = of_cases.get(pool.pool) or _of_history(year, pool)
        if expected is None or expected.units <= 0:
            continue
        value = _value(terms, year, pool, formula, expected)
        if value is not None:
            found.append(BudgetValue(pool.pool, formula, value, expected.units, expected.source))
    return found


def pool_ratio(terms: YearTerms, insurances: Sequence[str]) -> Fraction | None:
    """The payment ratio of a pool, where all its insurances have the same at every tier; else None."""
    tiers = terms.policy.tiers or ("",)
    ratios = {terms.look("payment_ratio", insurance=name, tier=tier) for name in insurances for tier in tiers}
    return ratios.pop() if len(ratios) == 1 else None


def _value(
    terms: YearTerms, year: YearFile, pool: PoolBudget, formula: str, expected: ExpectedUnits
) -> Fraction | None:
    if formula == "DRG_TOTAL":
        return drg_point_value(pool.distributable, expected.patient_fen, expected.units)
    if formula == "DIP_BUDGET":
        return _of_years(terms, year, pool, expected)
    ratio = pool_ratio(terms, pool.insurances)
    if not ratio:
        terms.want("payment_ratio", insurance=pool.insurances[0])
        return None
    return grossed_up_value(pool.distributable, ratio, expected.units)


def _of_years(terms: YearTerms, year: YearFile, pool: PoolBudget, expected: ExpectedUnits) -> Fraction | None:
    weights = terms.want("year_weights")
    if weights is None:
        return None
    parts = [part for _, part in weights]
    costs = [0] * len(parts)
    for insurance in pool.insurances:
        rows = _years(year, insurance)[-len(parts) :]
        if len(rows) < len(parts) or any(row["total_cost"] is None for row in rows):
            what = f"需要 {len(parts)} 年的住院总费用，有 {sum(row['total_cost'] is not None for row in rows)} 年"
            args: dict[str, str | int] = {"insurance": insurance, "what": what}
            terms.problems.append(Problem("CL28", args, file=year.file, field="history"))
            return None
        costs = [cost + row["total_cost"] for cost, row in zip(costs, rows, strict=True)]
    return dip_budget_value(costs, parts, expected.units)


def _years(year: YearFile, insurance: str) -> list[YearRow]:
    return sorted(year.rows("history", insurance=insurance), key=lambda row: int(row["year"]))


def _of_history(year: YearFile, pool: PoolBudget) -> ExpectedUnits | None:
    """Units and patients' payments of the last year before the budget's, all insurances of the pool together."""
    units, patients, last = Fraction(0), 0, 0
    for insurance in pool.insurances:
        rows = [row for row in _years(year, insurance) if row["units"] is not None and row["year"] < year.year]
        if not rows:
            return None
        units += rows[-1]["units"]
        patients += rows[-1]["patient_paid"] or 0
        last = max(last, rows[-1]["year"])
    return ExpectedUnits(units, patients, f"{last} 年")
