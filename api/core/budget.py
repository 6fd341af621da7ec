"""The total budget of a region as a run: budget, budget values, and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import orjson
import polars as pl
import xlsxwriter

from api.core.clear_request import ClearRequest, payable_files
from api.core.clearing_files import BUDGET_HEADER, budget_rows, csv_bytes
from api.core.clearing_statement import VALUES_ZH
from api.core.pay_inputs import group_values
from budget.budget_value import BudgetValue, ExpectedUnits, budget_values
from budget.hospital_units import CaseTallies, rated, tally_cases, tally_rule
from budget.money import decimal_text, yuan_text
from budget.pricing import Pricer
from budget.total_budget import COMMAND, PoolBudget, TotalBudget, total_budget
from budget.year_terms import YearTerms
from grouper.pipeline import Progress
from grouper.schemes import Scheme
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.year_file import YearFile

VALUE_PLACES, EXACT_PLACES = 4, 10
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)  # a fixed date, so that the same budget gives the same bytes
OF_CASES = "给出的病例"


@dataclass(frozen=True)
class BudgetRun:
    """A region's budget and the budget value of every pool whose units are known."""

    policy: Policy
    year_file: YearFile
    budget: TotalBudget
    values: tuple[BudgetValue, ...]

    @property
    def value_label(self) -> str:
        """What the value is called under the policy's method."""
        return VALUES_ZH[self.policy.method].replace("结算", "预算").replace("清算", "预算")

    def as_json(self) -> dict[str, object]:
        """The budget as plain values: amounts in yuan as text."""
        return {
            "year": self.year_file.year,
            "region": self.year_file.region,
            "policy": {"id": self.policy.id, "sha256": self.policy.sha256},
            "year_file": {"name": self.year_file.file, "sha256": self.year_file.sha256},
            "waterfall": [dict(zip(BUDGET_HEADER, row, strict=True)) for row in budget_rows(self.budget)],
            "pools": [_pool_row(pool) for pool in self.budget.pools],
            "values": [
                {
                    "pool": value.pool, "formula": value.formula, "value": decimal_text(value.value, VALUE_PLACES),
                    "value_10_places": decimal_text(value.value, EXACT_PLACES),
                    "units": decimal_text(value.units, VALUE_PLACES), "source": value.source,
                }
                for value in self.values
            ],
        }  # fmt: skip


def _pool_row(pool: PoolBudget) -> dict[str, object]:
    return {
        "pool": pool.pool, "insurances": list(pool.insurances), "distributable": yuan_text(pool.distributable),
        "regulation": yuan_text(pool.regulation), "reserve": yuan_text(pool.reserve),
        "quotas": {hospital: yuan_text(amount) for hospital, amount in pool.quotas},
    }  # fmt: skip


def make_budget(policy: Policy, year_file: YearFile, tallies: CaseTallies | None = None) -> BudgetRun:
    """The budget of a year; `tallies` of given cases go before the history for the expected units.

    Raises TablesRefused with everything that is missing or does not fit.
    """
    budget = total_budget(policy, year_file)
    problems: list[Problem] = []
    expected = {} if tallies is None else _expected(tallies)
    values = budget_values(policy, year_file, budget.pools, expected, problems)
    if problems:
        raise TablesRefused(f"{policy.id} {year_file.file}", problems)
    return BudgetRun(policy, year_file, budget, tuple(values))


def _expected(tallies: CaseTallies) -> Mapping[str, ExpectedUnits]:
    units: dict[str, Fraction] = {}
    patients: dict[str, int] = {}
    for (_, pool), tally in tallies.tallies.items():
        units[pool] = units.get(pool, Fraction(0)) + tally.units
        patients[pool] = patients.get(pool, 0) + tally.patient_fen
    return {pool: ExpectedUnits(total, patients[pool], OF_CASES) for pool, total in units.items()}


def tally_files(
    request: ClearRequest,
    policy: Policy,
    scheme: Scheme,
    hospitals: pl.DataFrame | None = None,
    progress: Progress | None = None,
) -> CaseTallies:
    """Price case files under a policy and add their units up, whatever their year; `hospitals`: the register.

    Raises TablesRefused with the parameters the policy lacks, or what is wrong with files that cannot be read: units
    without theirs would be another budget.
    """
    values, _ = group_values(policy, scheme, request.weights)
    files = payable_files(request, policy, scheme, values, progress, hospitals=hospitals)
    blocks = [block.cases for block in files.blocks()]
    if files.unusable:
        raise TablesRefused("cases", [problem for _, error in files.unusable for problem in error.problems])
    cases = pl.concat(blocks)
    owned = pl.col("hospital_id").is_not_null() & pl.col("insurance").is_in(list(policy.insurances))
    cases = cases.filter(owned.fill_null(value=False))
    rule = rated(tally_rule(YearTerms(policy, request.year, COMMAND), clears=False), policy, cases)
    return tally_cases(cases, Pricer(policy, values).price(cases, display=False), policy, rule)


def write_budget(run: BudgetRun, folder: Path) -> None:
    """budget.csv, budget.xlsx and budget.json. OSError when the folder cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = budget_rows(run.budget)
    (folder / "budget.csv").write_bytes(csv_bytes(BUDGET_HEADER, rows))
    (folder / "budget.json").write_bytes(orjson.dumps(run.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    partial = folder / f".budget.{os.getpid()}.partial.xlsx"
    try:
        _workbook(partial, run, rows)
        partial.replace(folder / "budget.xlsx")
    finally:
        partial.unlink(missing_ok=True)


def _workbook(path: Path, run: BudgetRun, rows: list[tuple[str, ...]]) -> None:
    with xlsxwriter.Workbook(str(path), {"strings_to_urls": False, "strings_to_formulas": False}) as book:
        book.set_properties({"created": _CREATED})
        head = book.add_format({"bold": True, "bg_color": "#DDEBF7", "bottom": 1})
        money = book.add_format({"num_format": "#,##0.00"})
        sheet = book.add_worksheet("总额预算")
        sheet.set_column(0, 1, 22)
        sheet.set_column(2, 3, 20)
        mark = "（合成数据）" if "synthetic" in {run.policy.header.data_level, run.year_file.data_level} else ""
        sheet.write_string(0, 0, f"{run.year_file.region} {run.year_file.year} 年度总额预算{mark}  {run.policy.name}")
        for column, name in enumerate(("险种", "项目", "金额（元）", "余额（元）")):
            sheet.write_string(2, column, name, head)
        at = 3
        for insurance, _, label, amount, left in rows:
            sheet.write_string(at, 0, insurance)
            sheet.write_string(at, 1, label)
            for column, cell in ((2, amount), (3, left)):
                if cell:
                    sheet.write_number(at, column, float(cell), money)
            at += 1
        for value in run.values:
            at += 1
            sheet.write_string(at, 0, value.pool)
            sheet.write_string(at, 1, run.value_label)
            places = book.add_format({"num_format": "0.0000"})
            sheet.write_number(at, 2, float(decimal_text(value.value, VALUE_PLACES)), places)
            sheet.write_string(at, 3, f"{value.formula}，{value.source}")
