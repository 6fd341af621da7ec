"""Pricing by whole columns against the oracle that prices one case at a time in plain fractions."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import polars as pl
import pytest

from budget.group_values import GroupValues
from budget.pricing import PricedCases, Pricer
from reference_tables.policy import Policy, policy_of
from reference_tables.problems import TablesRefused
from tests.oracle.money_oracle import MISSING, MoneyOracle, Price, half_up
from tests.oracle.random_money import Values, payable, random_cases, random_policy

POLICIES, CASES = 100, 200
LONG_POLICIES, LONG_CASES = 1500, 400


def values_of(values: Values) -> GroupValues:
    return GroupValues.of_rows(
        {"group": group, "tier": tier, "insurance": insurance, **parts}
        for (group, tier, insurance), parts in values.items()
    )


def sound_policy(rng: random.Random) -> tuple[Policy, dict[str, Any], Values]:
    """The first random policy that is one: values that overlap or contradict each other are refused."""
    while True:
        data, values = random_policy(rng)
        try:
            return policy_of(data), data, values
        except TablesRefused:
            continue


def said(row: dict[str, Any]) -> tuple[object, ...]:
    points = None if row["points"] is None else str(row["points"])
    multiple = None if row["multiple"] is None else str(row["multiple"])
    return row["case_kind"], row["formula"], row["package_fen"], row["fund_fen"], points, multiple


def expected(price: Price) -> tuple[object, ...]:
    def shown(value: Any) -> str | None:
        if value is None:
            return None
        millionths = half_up(value * 10**6)
        return f"{millionths // 10**6}.{millionths % 10**6:06d}"

    return price.kind, price.formula, price.package, price.fund, shown(price.points), shown(price.multiple)


def compare(seed: int, count: int) -> Counter[str]:
    """Kinds of the cases compared; cases for which the policy lacks a parameter must be refused, all others agree."""
    rng = random.Random(seed)
    policy, data, values = sound_policy(rng)
    oracle = MoneyOracle(data, values)
    cases = random_cases(rng, oracle, count)
    prices = oracle.price_all(cases)
    pricer = Pricer(policy, values_of(values))
    while any(price == MISSING for price in prices):
        with pytest.raises(TablesRefused) as refused:
            Pricer(policy, values_of(values)).price(payable(cases))
        assert {problem.code for problem in refused.value.problems} == {"PL30"}
        # Those that can be priced are. Without the others the yearly numbers are counted anew.
        cases = [case for case, price in zip(cases, prices, strict=True) if price != MISSING]
        prices = oracle.price_all(cases)
    found: PricedCases = pricer.price(payable(cases))
    kinds: Counter[str] = Counter()
    for case, price, row in zip(cases, prices, found.frame.iter_rows(named=True), strict=True):
        assert isinstance(price, Price), case
        assert said(row) == expected(price), (seed, case)
        kinds[f"{policy.method} {price.kind} {price.formula}"] += 1
    amounts = Pricer(policy, values_of(values)).price(payable(cases), display=False)
    assert amounts.frame.equals(found.frame.select(amounts.frame.columns))
    chosen = found.paid_by_points
    whole = sum((price.points for price, one in zip(prices, chosen, strict=True) if one), 0)  # type: ignore[union-attr,misc]
    assert found.table.total_points(found.sums(chosen)) == whole
    return kinds


@pytest.mark.parametrize("part", [0, 1, 2, pytest.param(3, marks=pytest.mark.long)])
def test_random_policies(part: int) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(part * POLICIES // 4, (part + 1) * POLICIES // 4):
        kinds += compare(seed, CASES)
    assert kinds.total() > 0.8 * POLICIES // 4 * CASES


def test_the_random_policies_reach_every_kind_and_formula() -> None:
    """Counted over fewer cases of the same policies, so that no kind goes untested unseen."""
    kinds: Counter[str] = Counter()
    for seed in range(0, POLICIES, 2):
        kinds += compare(seed, 60)
    reached = {name.split()[1] for name in kinds}
    assert reached >= {
        "normal", "low", "high", "extreme", "bed_day", "single_disease", "by_item", "tcm", "negotiated", "ungrouped",
        "ambiguous", "unpaid",
    }  # fmt: skip
    formulas = {name.split()[2] for name in kinds}
    assert formulas >= {
        "N_RATE", "N_POINT", "N_SCORE", "L_COST", "L_POINT_COST", "L_RATE_COST", "H_COST", "H_ADD_K", "H_SUB_K",
        "H_SUB_1", "H_RATE_SUB_1", "H_RATE_ADD_1", "H_PCT", "H_STEP", "L_SCORE_MULTIPLE_K", "L_SCORE_MULTIPLE",
        "H_SCORE_NATIONAL", "H_SCORE_K_IN_EXCESS", "BLANK", "SCORE_MULTIPLE", "SCORE", "SCORE_SUB", "SCORE_TIMES",
        "COST", "FIXED", "BED_DAY", "NONE",
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_random_policies_long(part: int) -> None:
    for seed in range(1000 + part * LONG_POLICIES // 10, 1000 + (part + 1) * LONG_POLICIES // 10):
        compare(seed, LONG_CASES)


def test_an_empty_frame_has_no_prices() -> None:
    policy, _, values = sound_policy(random.Random(1))
    found = Pricer(policy, values_of(values)).price(payable([]))
    assert found.frame.is_empty()
    assert found.sums(found.paid_by_points).cases.size == 0
    assert isinstance(found.frame, pl.DataFrame)
