"""Rows under factors that hospitals share are those of the policy with the factors as changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import polars as pl
import pytest

from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.pricing import AMOUNTS, Pricer
from budget.reformed import GroupFacts, apply_reforms
from budget.solve_rows import FactorRows
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy, load_policy
from reference_tables.policy_settings import Setting
from tests.unit.simulated_city import POINT, RATE, change, reform

VALUES = GroupValues.of_frame(find_group_weights("synthetic-city-drg").frame)
HOSPITALS = {"H1": "三级", "H2": "三级", "H3": "二级", "H4": "一级"}
FACTORS = {"H1": Fraction("1.037"), "H2": Fraction(1), "H3": Fraction("0.61"), "H4": Fraction("1.037")}


def own_coefficients(policy: Policy, values: GroupValues) -> tuple[Policy, GroupValues]:
    """Basic groups at a published coefficient of their own; other groups have one now and then."""
    rng = random.Random(3)
    basic = set(policy.lists["basic"])
    made = {
        key: value.__class__(value.weight, Fraction(rng.randint(80, 120), 100), value.peer_average)
        if key[0] in basic or rng.random() < 0.2
        else value
        for key, value in values.values.items()
    }
    rule = reform(change("basic_rule", "set", {"kind": "own_coefficient"}))
    return apply_reforms(policy, values, [rule], GroupFacts.none()).policy, GroupValues(made)


def own_rate(policy: Policy, values: GroupValues) -> tuple[Policy, GroupValues]:
    """A value of one hospital beside the coefficient."""
    key, value = ("base_rate", "9000") if policy.has("base_rate") else ("point_value", "80")
    return policy.overlay([Setting(key, Fraction(value), value, (("hospital", "H3"),), source="synthetic",
                                   confidence="synthetic")]), values  # fmt: skip


def as_it_is(policy: Policy, values: GroupValues) -> tuple[Policy, GroupValues]:
    return policy, values


def cases() -> pl.DataFrame:
    rng = random.Random(5)
    groups = sorted({group for group, _, _ in VALUES.values})
    listed = sorted({code for codes in load_policy(POINT).lists.values() for code in codes})
    rows = []
    for at in range(1500):
        hospital = rng.choice(list(HOSPITALS))
        cost = rng.randint(50_000, 9_000_000)
        rows.append({
            "case_id": str(at), "hospital_id": hospital, "tier": HOSPITALS[hospital],
            "month": f"2026-{rng.randint(1, 12):02d}", "insurance": rng.choice(["职工", "居民"]),
            "group": rng.choice(listed if rng.random() < 0.3 else groups),
            "status": rng.choice(["GROUPED"] * 8 + ["UNGROUPED", "AMBIGUOUS"]), "total_cost_fen": cost,
            "patient_paid_fen": cost // 5, "fund_by_item_fen": cost - cost // 5, "los_days": rng.randint(1, 90),
            "age_years": rng.randint(0, 90),
        })  # fmt: skip
    return pl.DataFrame(rows, schema=dict(PAYABLE_SCHEMA), orient="row")


@pytest.mark.parametrize("made", [as_it_is, own_coefficients, own_rate])
@pytest.mark.parametrize(("name", "key"), [(RATE, "coefficient"), (POINT, "coefficient"), (RATE, "base_rate")])
def test_prices_are_those_of_the_changes(
    name: str, key: str, made: Callable[[Policy, GroupValues], tuple[Policy, GroupValues]]
) -> None:
    policy, values = made(load_policy(name), VALUES)
    body = "".join(
        change(key, "scale", str(float(factor)), f'for = {{ hospital = "{hospital}" }}')
        for hospital, factor in FACTORS.items()
        if factor != 1
    )
    changed = apply_reforms(policy, values, [reform(body)], GroupFacts.none())
    frame = cases()
    expected = Pricer(changed.policy, changed.values).price(frame, display=False)
    rows = FactorRows(policy, values, key)
    rows.pricer({"H1": Fraction(2)}).price(frame, display=False)  # the rows of a step before
    found = rows.pricer(FACTORS).price(frame, display=False)
    assert found.frame.equals(expected.frame.select(AMOUNTS))
    units = [
        [[band.points for band in priced.table.rows[row].bands] for row in priced.row.tolist()]
        for priced in (found, expected)
    ]
    assert units[0] == units[1]
    before = Pricer(policy, values).price(frame, display=False)
    assert not found.frame.equals(before.frame)
