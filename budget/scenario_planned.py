"""Rows that the planner has to make in each scenario: bands of their own, or numbers too fine for the usual way."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import numpy as np

from budget.affine import AffineColumn
from budget.group_values import GroupValues
from budget.plan_table import PlanTable
from budget.price_plan import BY_COST_FORMULAS, PlanRow, PricePlanner
from budget.price_terms import PriceKey, PriceTerms
from budget.scenario_cases import KINDS, MINUS, RATIO, FundMode, Ints, SortedCases, ranges, share_of
from budget.scenario_edges import Totals
from budget.scenario_moves import MovedPolicy, MovedValues, OfScenario, Scenarios
from reference_tables.policy import Policy
from reference_tables.problems import TablesRefused


class PlannedRows:
    """Some rows of sorted cases: `keys` [rows of the cases] their keys, `rows` which of them."""

    def __init__(self, cases: SortedCases, keys: Sequence[PriceKey], rows: Ints) -> None:
        self.cases = cases
        self.keys = [keys[row] for row in rows.tolist()]
        ends = np.cumsum(cases.counts)[rows]
        self.at = ranges(ends - cases.counts[rows], ends)
        self.row = np.repeat(np.arange(len(rows)), cases.counts[rows])
        modes: list[FundMode] = [cases.modes[row] for row in rows.tolist()]
        self.mode = np.array([item.mode for item in modes], np.int64)
        self.ratios = [item.ratio for item in modes]
        self.ratio = whole_ratios(self.ratios)

    def add(self, policy: Policy, values: GroupValues, scenarios: Scenarios, owner: Ints, found: Totals) -> None:
        """Price these cases in every scenario and add them up by owner. Raises TablesRefused for what is missing."""
        if not self.at.size:
            return
        whose = owner[self.at]
        for scenario in range(scenarios.count):
            table = PlanTable(self._plan(policy, values, scenarios, scenario))
            package, fund, kind = self._price(table)
            np.add.at(found.package[:, scenario], whose, package)
            np.add.at(found.fund[:, scenario], whose, fund)
            if found.cases is not None:
                np.add.at(found.cases[:, :, scenario], (whose, kind), 1)

    def _plan(self, policy: Policy, values: GroupValues, scenarios: Scenarios, scenario: int) -> list[PlanRow]:
        mover = OfScenario(scenarios, scenario)
        terms = PriceTerms(cast("Policy", MovedPolicy(policy, mover)), MovedValues(values, mover))
        planner = PricePlanner(terms)
        rows = [planner.row(key) for key in self.keys]
        if terms.problems:
            raise TablesRefused(policy.id, terms.problems)
        return rows

    def _price(self, table: PlanTable) -> tuple[Ints, Ints, Ints]:
        """Package, fund's part and kind of each case."""
        cases, at, row = self.cases, self.at, self.row
        cost = cases.cost[at]
        band = table.band_of(row, cost)
        package = table.package_fen(band, cost)
        mode = self.mode[row]
        shares = share_of(package, cases.deducted[at], self.ratio, row)
        bands = [(item, self.ratios[at]) for at, made in enumerate(table.rows) for item in made.bands]
        points = AffineColumn([item.package.times(ratio) for item, ratio in bands]).rounded(band, cost)
        minus = np.maximum(0, package - cases.paid[at])
        fund = np.where(mode == MINUS, minus, np.where(mode == RATIO, shares, np.maximum(0, points))) * cases.known[at]
        by_cost = np.array([item.formula in BY_COST_FORMULAS for item, _ in bands], np.bool_)[band]
        unpaid = np.array([item.case_kind == "unpaid" for item, _ in bands], np.bool_)[band]
        fund = np.where(unpaid, 0, np.where(by_cost, cases.fund_at_cost[at], fund))
        kind = np.array([KINDS.index(item.case_kind) for item, _ in bands], np.int64)[band]
        return package, fund, kind


def whole_ratios(ratios: Sequence[Fraction]) -> tuple[Ints, Ints]:
    """Numerators and denominators."""
    return (
        np.array([ratio.numerator for ratio in ratios], np.int64),
        np.array([ratio.denominator for ratio in ratios], np.int64),
    )
