"""What must hold of pricing whatever the policy and the cases: order, splits and units of money do not matter."""

from __future__ import annotations

import copy
import random
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from budget.group_values import GroupValues
from budget.pricing import Pricer
from reference_tables.policy import Policy, policy_of
from reference_tables.problems import TablesRefused
from tests.oracle.money_oracle import MISSING, MoneyOracle
from tests.oracle.random_money import Values, payable, random_cases, random_policy

CASES = 40
seeds = st.integers(min_value=0, max_value=10**6)


def values_of(values: Values) -> GroupValues:
    return GroupValues.of_rows(
        {"group": group, "tier": tier, "insurance": insurance, **parts}
        for (group, tier, insurance), parts in values.items()
    )


def drawn(seed: int, *, caps: bool = True) -> tuple[dict[str, Any], Policy, Values, list[dict[str, Any]]]:
    """A sound random policy and cases that it can price; without yearly numbers when `caps` is false."""
    rng = random.Random(seed)
    while True:
        data, values = random_policy(rng)
        if not caps:
            data["set"] = [item for item in data["set"] if not item["key"].startswith("volume_cap")]
        try:
            policy = policy_of(data)
        except TablesRefused:
            continue
        oracle = MoneyOracle(data, values)
        cases = random_cases(rng, oracle, CASES)
        while MISSING in (prices := oracle.price_all(cases)):
            cases = [case for case, price in zip(cases, prices, strict=True) if price != MISSING]
        if cases:
            return data, policy, values, cases


@settings(max_examples=12)
@given(seed=seeds)
def test_the_order_of_cases_does_not_matter(seed: int) -> None:
    _, policy, values, cases = drawn(seed)
    frame = payable(cases)
    order = np.random.default_rng(seed).permutation(frame.height)
    straight = Pricer(policy, values_of(values)).price(frame)
    mixed = Pricer(policy, values_of(values)).price(frame[order])
    assert mixed.frame.equals(straight.frame[order])
    # Exact points add up to the same, too.
    assert mixed.table.total_points(mixed.sums(mixed.paid_by_points)) == straight.table.total_points(
        straight.sums(straight.paid_by_points)
    )


@settings(max_examples=12)
@given(seed=seeds, cut=st.integers(min_value=0, max_value=CASES))
def test_any_split_into_frames_gives_the_same(seed: int, cut: int) -> None:
    _, policy, values, cases = drawn(seed, caps=False)
    frame = payable(cases)
    whole = Pricer(policy, values_of(values)).price(frame).frame
    pricer = Pricer(policy, values_of(values))
    parts = [pricer.price(part).frame for part in (frame[:cut], frame[cut:])]
    assert pl.concat(parts).equals(whole)


@settings(max_examples=12)
@given(seed=seeds)
def test_ten_times_the_money_is_ten_times_the_amount(seed: int) -> None:
    """With every price, reference and cost ten times as high, each case is classed alike and earns ten times as much,
    but for the rounding of the smaller one."""
    data, policy, values, cases = drawn(seed)
    prices = {"base_rate", "point_value", "average_cost", "score_unit", "peer_average", "single_disease_price"}
    larger = copy.deepcopy(data)
    for item in larger["set"]:
        if item["key"] in prices:
            item["value"] = _ten_times(item["value"])
        elif item["key"] == "basic_rule" and item["value"]["kind"] == "rate":
            item["value"] = item["value"] | {"value": _ten_times(item["value"]["value"])}
        elif item["key"] == "bed_day_price":
            tens = {"320.00": "3200.00", "280.55": "2805.50", "230.00": "2300.00", "300.00": "3000.00"}
            value = item["value"]
            item["value"] = (
                [segment | {"price": tens[segment["price"]]} for segment in value]
                if isinstance(value, list)
                else tens.get(value, "2503.33")
            )
    money = ("total", "separate", "billed", "patient", "other", "own", "prior", "deductible", "tcm", "tcm_base")
    usual = [case for case in cases if case["total"] is None or case["total"] <= 1 << 40]
    more = [case | {name: None if case[name] is None else case[name] * 10 for name in money} for case in usual]
    averages = {
        key: parts | ({"peer_average": _ten_times(parts["peer_average"])} if "peer_average" in parts else {})
        for key, parts in values.items()
    }
    once = Pricer(policy, values_of(values)).price(payable(usual)).frame
    ten = Pricer(policy_of(larger), values_of(averages)).price(payable(more)).frame
    same = ["case_kind", "formula", "points", "multiple", "weight", "coefficient", "limit", "reason"]
    assert ten.select(same).equals(once.select(same))
    assert (ten["package_fen"] - once["package_fen"] * 10).abs().max() <= 5
    assert ((ten["fund_fen"] - once["fund_fen"] * 10).abs().max() or 0) <= 10


def _ten_times(text: str) -> str:
    whole, _, part = text.partition(".")
    return f"{whole}{part[:1] or 0}.{part[1:] or 0}"


@settings(max_examples=12)
@given(seed=seeds)
def test_no_amount_is_negative_and_the_patient_is_left_alone(seed: int) -> None:
    _, policy, values, cases = drawn(seed)
    frame = payable(cases)
    found = Pricer(policy, values_of(values)).price(frame).frame
    assert found["case_id"].equals(frame["case_id"])
    assert (found["package_fen"] >= 0).all()
    assert (found["fund_fen"].fill_null(0) >= 0).all()
    assert found["patient_fen"].equals(frame["patient_paid_fen"].alias("patient_fen"))
    unpaid = found.filter(pl.col("case_kind") == "unpaid")
    assert unpaid["package_fen"].sum() == unpaid["fund_fen"].sum() == 0
    assert (unpaid["reason"] != "").all()


@settings(max_examples=12)
@given(seed=seeds)
def test_decisions_touch_the_cases_decided_and_no_other(seed: int) -> None:
    _, policy, values, cases = drawn(seed)
    frame = payable(cases)
    rng = random.Random(seed)
    chosen = rng.sample(cases, min(3, len(cases)))
    words = ["by_item", "adjusted", "refused"]
    rows = [
        {"case_id": case["id"], "decision": word, "amount_fen": 123_456}
        for case, word in zip(chosen, words, strict=False)
    ]
    decisions = pl.DataFrame(rows, schema={"case_id": pl.String, "decision": pl.String, "amount_fen": pl.Int64})
    before = Pricer(policy, values_of(values)).price(frame).frame
    after = Pricer(policy, values_of(values)).price(frame, decisions).frame
    touched = {row["case_id"]: row["decision"] for row in rows if row["decision"] != "refused"}
    for old, new in zip(before.iter_rows(named=True), after.iter_rows(named=True), strict=True):
        decided = touched.get(old["case_id"])
        if decided is None or old["case_kind"] == "unpaid":
            assert new == old
            continue
        assert new["case_kind"] == "special"
        assert new["package_fen"] == (old["cost_fen"] if decided == "by_item" else 123_456)
        assert new["points"] is None
