"""Prices of groups with rules of their own, worked out by hand: minimum weight, cost points, TCM fallback, same price.

One policy throughout: 10000 yuan a weight (point method: 100 points of 100 yuan), low below 0.4, high above 2 times,
high cases at their cost; coefficient 1.1 at tier 三级, 0.9 at 二级.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.pricing import price_cases
from reference_tables.policy import Policy, policy_of

RATE = {
    "base_rate": "10000", "reference": "STD", "low_limit": "0.4", "low_inclusive": False, "high_limit": "2",
    "high_inclusive": False, "normal_formula": "N_RATE", "low_formula": "L_COST", "high_formula": "H_COST",
    "fund_share_mode": "STANDARD_MINUS_PATIENT",
}  # fmt: skip
POINT = {key: value for key, value in RATE.items() if key != "base_rate"} | {
    "point_value": "100", "point_scale": "100", "average_cost": "9000", "reference": "AVG",
    "normal_formula": "N_POINT", "low_formula": "L_POINT_COST", "high_formula": "H_ADD_K",
}  # fmt: skip
Scoped = tuple[str, Any, dict[str, str]]


def policy(values: dict[str, Any], *scoped: Scoped, method: str = "drg-rate") -> Policy:
    tiers = [("coefficient", "1.1", {"tier": "三级"}), ("coefficient", "0.9", {"tier": "二级"})]
    settings: list[Scoped] = [*((key, value, {}) for key, value in values.items()), *tiers, *scoped]
    return policy_of(
        {
            "id": "p", "name": "试验", "region": "某市", "method": method, "insurances": ["职工"],
            "tiers": ["三级", "二级"], "effective_from": date(2026, 1, 1), "data_level": "synthetic",
            "statement": "试验", "sources": {"doc": {"title": "某文件"}}, "lists": {"few": {"codes": ["G1"]}},
            "set": [
                {"key": key, "value": value, "source": "doc", "confidence": "synthetic"}
                | ({"for": scope} if scope else {})
                for key, value, scope in settings
            ],
        }
    )  # fmt: skip


def cases(*given: dict[str, Any]) -> pl.DataFrame:
    plain = {
        "hospital_id": "H1", "tier": "三级", "month": "2026-03", "insurance": "职工", "group": "G1", "name": "",
        "status": "GROUPED", "kind": "", "primary_care": False, "separate_fen": 0, "patient_paid_fen": 0,
        "other_funds_fen": 0, "discharge": date(2026, 3, 9), "los_days": 8, "total_cost_fen": 1_400_000,
    }  # fmt: skip
    rows = [{"case_id": str(at)} | plain | case for at, case in enumerate(given)]
    return pl.DataFrame([{name: row.get(name) for name in PAYABLE_SCHEMA} for row in rows], schema=PAYABLE_SCHEMA)


WEIGHTS = GroupValues.of_rows([{"group": "G1", "weight": "1.5"}, {"group": "G2", "weight": "0.9"}])


def paid(made: Policy, given: pl.DataFrame, values: GroupValues = WEIGHTS) -> list[tuple[str, int]]:
    frame = price_cases(given, made, values).frame
    return list(frame.select("case_kind", "package_fen").iter_rows())


def test_beyond_the_cap_the_minimum_weight_is_paid_whatever_the_stay_cost() -> None:
    made = policy(RATE | {"volume_cap_rule": "low_weight", "minimum_weight": "0.1"}, ("volume_cap", 1, {"group": "G1"}))
    dear, cheap = {"total_cost_fen": 1_400_000}, {"total_cost_fen": 30_000}
    # Within the cap 1.5 x 10000 x 1.1; beyond it 0.1 x 10000 x 1.1, of which 14000 is 12.7 times and 300 is 0.27 times.
    assert paid(made, cases({}, dear, cheap)) == [("normal", 1_650_000), ("normal", 110_000), ("normal", 110_000)]


def test_groups_listed_at_the_minimum_weight_are_paid_it_whatever_the_stay_cost() -> None:
    made = policy(RATE, ("minimum_weight", "0.1", {"list": "few"}))
    assert paid(made, cases({}, {"group": "G2", "total_cost_fen": 900_000})) == [
        ("normal", 110_000),
        ("normal", 990_000),  # 0.9 x 10000 x 1.1: not in the list
    ]


@pytest.mark.parametrize(
    "rule", [{"always_cost_points": ["G3"]}, {"unstable_groups": ["G3"], "unstable_rule": "cost_points"}]
)
def test_cost_points_need_no_weight(rule: dict[str, Any]) -> None:
    made = policy(POINT | rule, method="drg-point")
    values = GroupValues.of_rows([{"group": "G1", "weight": "1.5"}, {"group": "G3", "weight": None}])
    # 18000 / 9000 x 100 points of 100 yuan.
    given = cases({"group": "G3", "total_cost_fen": 1_800_000}, {"group": "G4", "total_cost_fen": 1_800_000})
    priced = price_cases(given, made, values)
    assert [tuple(row) for row in priced.frame.select("case_kind", "package_fen").iter_rows()] == [
        ("negotiated", 2_000_000),
        ("unpaid", 0),  # a group that is in no list and has no weight
    ]
    assert priced.paid_by_points.tolist() == [True, False]
    zero = GroupValues.of_rows([{"group": "G1", "weight": "1.5"}, {"group": "G3", "weight": "0"}])
    assert paid(made, given, zero)[0] == ("negotiated", 2_000_000)


def test_a_case_that_falls_back_is_priced_as_the_other_group_in_every_respect() -> None:
    tcm = {"tcm_groups": ["G1"], "tcm_min_ratio": "0.6"}
    back: Scoped = ("tcm_fallback_group", "G2", {"group": "G1"})
    enough, less = {"tcm_fen": 600_000, "tcm_base_fen": 1_000_000}, {"tcm_fen": 599_999, "tcm_base_fen": 1_000_000}
    values = GroupValues.of_rows(
        [{"group": "G1", "weight": "1.5", "coefficient": "1.3"}, {"group": "G2", "weight": "0.9", "coefficient": "0.8"}]
    )
    # 1.5 x 10000 x 1.3 at exactly the ratio; a fen below it 0.9 x 10000 x 0.8.
    assert paid(policy(RATE | tcm, back), cases(enough, less), values) == [("tcm", 1_950_000), ("normal", 720_000)]
    basic = {"basic_groups": ["G2"], "basic_rule": {"kind": "coefficient", "value": "1"}}
    limit: Scoped = ("high_limit", "1.5", {"group": "G2"})
    # The other group is a basic one (0.9 x 10000), high above 1.5 times: 13500 is on that limit, a fen more beyond.
    on, beyond = less | {"total_cost_fen": 1_350_000}, less | {"total_cost_fen": 1_350_001}
    assert paid(policy(RATE | tcm | basic, back, limit), cases(on, beyond)) == [
        ("normal", 900_000),
        ("high", 1_350_001),
    ]
    fixed: Scoped = ("single_disease_price", "6800.00", {"group": "G2"})
    assert paid(policy(RATE | tcm, back, fixed), cases(less)) == [("single_disease", 680_000)]


def test_the_coefficient_of_a_tier_is_the_groups_own_at_that_tier() -> None:
    basic = {"basic_groups": ["G1"], "basic_rule": {"kind": "tier_coefficient", "tier": "二级"}}
    values = GroupValues.of_rows(
        [
            {"group": "G1", "weight": "1.5"},
            {"group": "G1", "tier": "三级", "coefficient": "1.3"},
            {"group": "G1", "tier": "二级", "coefficient": "1.21"},
        ]
    )
    # Both tiers 1.5 x 10000 x 1.21: what the group's own table says of 二级, not the 0.9 that holds for other groups.
    given = cases({"tier": "三级"}, {"tier": "二级"})
    assert paid(policy(RATE | basic), given, values) == [("normal", 1_815_000)] * 2
    assert paid(policy(RATE | basic), given) == [("normal", 1_350_000)] * 2  # no table of coefficients: 0.9


def test_bed_days_are_paid_by_the_day_however_long_the_stay() -> None:
    tariff = [{"up_to": 30, "price": "320.00"}, {"up_to": 60, "price": "280.00"}, {"price": "230.00"}]
    days = {"by_item_days_up_to": 2, "by_item_days_from": 60}
    made = policy(RATE | days | {"bed_day_groups": ["G1"], "bed_day_price": tariff})
    given = cases({"los_days": 2}, {"los_days": 75}, {"los_days": 75, "group": "G2"})
    # 2 x 320; 30 x 320 + 30 x 280 + 15 x 230; another group by item.
    assert paid(made, given) == [("bed_day", 64_000), ("bed_day", 2_145_000), ("by_item", 1_400_000)]


def test_ungrouped_cases_at_their_own_weight_may_be_exempt_from_the_limits() -> None:
    own: Scoped = ("weight", "0.2", {"group": "0000"})
    rules = RATE | {"ungrouped_rule": "weight"}
    ungrouped = {"group": "0000", "status": "UNGROUPED"}
    given = cases(ungrouped | {"total_cost_fen": 1_800_000}, ungrouped | {"total_cost_fen": 50_000}, {})
    # 0.2 x 10000 x 1.1 = 2200; 18000 is 8.2 times that and else paid at its cost, 500 is 0.23 times.
    assert paid(policy(rules, own), given)[:2] == [("high", 1_800_000), ("low", 50_000)]
    exempt = policy(rules | {"no_outlier_groups": ["0000"]}, own)
    assert paid(exempt, given) == [("ungrouped", 220_000), ("ungrouped", 220_000), ("normal", 1_650_000)]


def test_primary_care_diseases_take_the_coefficient_1_unless_a_rule_says_otherwise() -> None:
    dip = {key: value for key, value in RATE.items() if key != "base_rate"} | {
        "point_value": "10", "reference": "SCORE", "score_unit": "10", "normal_formula": "N_SCORE",
        "low_formula": "L_SCORE_MULTIPLE_K", "high_formula": "H_SCORE_NATIONAL", "zero_score_rule": "by_item",
    }  # fmt: skip
    values = GroupValues.of_rows([{"group": "G1", "weight": "1000"}])
    primary = {"primary_care": True, "kind": "core", "total_cost_fen": 900_000}
    given = cases(primary, primary | {"tier": "二级"}, primary | {"primary_care": False})

    def amounts(**rule: Any) -> list[int]:
        found = paid(policy(dip | ({"basic_rule": rule} if rule else {}), method="dip"), given, values)
        return [fen for _, fen in found]

    assert amounts() == [1_000_000, 1_000_000, 1_100_000]
    assert amounts(kind="coefficient", value="0.8") == [800_000, 800_000, 1_100_000]
    # For 三级 only: 二级 keeps its own 0.9.
    assert amounts(kind="coefficient", value="0.8", only=["三级"]) == [800_000, 900_000, 1_100_000]
