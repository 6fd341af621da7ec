"""Totals of scenarios equal those of pricing every case anew under a policy written with the moved values."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.grouped_cases import grouped_blocks
from budget.group_values import GroupValues
from budget.pools import pool_name
from budget.pricing import Pricer
from budget.reformed import GroupFacts, apply_reforms
from budget.scenario_change import ChangeSums, moves_alone
from budget.scenario_moves import Scenarios, move_of
from budget.scenario_sums import GROUP, HOSPITAL, ScenarioSums, ScenarioTotals
from reference_tables.group_weights import find_group_weights
from reference_tables.policy import Policy, load_policy, policy_of
from reference_tables.problems import TablesRefused
from reference_tables.reform import parse_reform
from tests.oracle.money_oracle import MISSING, MoneyOracle
from tests.oracle.random_money import GROUPS, HOSPITALS, INSURANCES, TIERS, Values, payable, random_cases, random_policy

CASES, SCENARIOS = 120, 3
seeds = st.integers(min_value=0, max_value=10**6)
Factors = dict[str, str]


def values_of(values: Values) -> GroupValues:
    return GroupValues.of_rows(
        {"group": group, "tier": tier, "insurance": insurance, **parts}
        for (group, tier, insurance), parts in values.items()
    )


def drawn(rng: random.Random) -> tuple[dict[str, Any], Values, list[dict[str, Any]]]:
    """A sound random policy, as its file has it, and cases that it can price."""
    while True:
        data, values = random_policy(rng)
        try:
            policy_of(data)
        except TablesRefused:
            continue
        oracle = MoneyOracle(data, values)
        cases = random_cases(rng, oracle, CASES)
        while MISSING in (prices := oracle.price_all(cases)):
            cases = [case for case, price in zip(cases, prices, strict=True) if price != MISSING]
        if cases:
            return data, values, cases


def factor(rng: random.Random) -> str:
    return rng.choice(["1", "1.05", "0.9", "1.2", "0.805", "1.003", "0.5", "2", "0.97"])


def times(text: str, by: str) -> str:
    return str(Decimal(text) * Decimal(by))


def scaled(data: Mapping[str, Any], values: Values, plain: Factors, groups: Factors) -> tuple[Policy, GroupValues]:
    """The policy as a file with every value of the keys of `plain` multiplied, and the weights of `groups`."""
    data, values = copy.deepcopy(dict(data)), copy.deepcopy(values)
    for item in data["set"]:
        if item["key"] in plain:
            item["value"] = times(item["value"], plain[item["key"]])
        if item["key"] == "weight" and "group" in item["for"]:
            item["value"] = times(item["value"], groups.get(item["for"]["group"], "1"))
    for (group, _, _), parts in values.items():
        for key in ("weight", "coefficient"):
            if key in parts:
                more = groups.get(group, "1") if key == "weight" else "1"
                parts[key] = times(times(parts[key], plain.get(key, "1")), more)
    return policy_of(data), values_of(values)


def check(found: ScenarioTotals, scenario: int, by: tuple[str, ...], cases: pl.DataFrame, frame: pl.DataFrame) -> None:
    """Every total of one scenario against the cases priced."""
    amounts = frame.select("case_kind", "package_fen", pl.col("fund_fen").fill_null(0))
    whole = cases.select(pl.col(name) for name in by).hstack(amounts)
    for at, owner in enumerate(found.owners.iter_rows()):
        same = [pl.col(name).eq_missing(pl.lit(value, pl.String)) for name, value in zip(by, owner, strict=True)]
        own = whole.filter(pl.all_horizontal(same))
        assert found.package_fen[scenario, at] == own["package_fen"].sum()
        assert found.fund_fen[scenario, at] == own["fund_fen"].sum()
        assert found.cases is not None
        counts = dict(own["case_kind"].value_counts().iter_rows())
        shown = dict(zip(found.kinds, found.cases[scenario, at].tolist(), strict=True))
        assert {kind: count for kind, count in shown.items() if count} == counts
    assert found.owners.height == whole.select(by).n_unique()


@settings(max_examples=8)
@given(seed=seeds)
def test_factors_of_all_parameters_equal_pricing_anew(seed: int) -> None:
    rng = random.Random(seed)
    data, values, cases = drawn(rng)
    data["set"] = [item for item in data["set"] if item["key"] != "weight"]
    frame = payable(cases)
    policy, given_values = policy_of(data), values_of(values)
    try:
        pricer = Pricer(policy, given_values)
        priced = pricer.price(frame)
    except TablesRefused:  # a group whose weight stood in the policy alone
        return
    plain = [{key: factor(rng) for key in ("coefficient", "base_rate", "point_value")} for _ in range(SCENARIOS)]
    groups = [{group: factor(rng) for group in rng.sample(GROUPS, 8)} for _ in range(SCENARIOS)]
    moves = [
        move_of(key, [{(): Fraction(item[key])} for item in plain])
        for key in ("coefficient", "base_rate", "point_value")
    ]
    moves.append(
        move_of("weight", [{(name,): Fraction(by) for name, by in item.items()} for item in groups], ("group",))
    )
    sums = ScenarioSums(frame, priced, pricer)
    scenarios = Scenarios(tuple(moves), SCENARIOS)
    pools = policy.get("pools")
    pooled = frame.with_columns(
        pl.Series(
            "pool",
            [pool_name("insurance" if pools is None else pools.value, name) for name in frame["insurance"]],
            pl.String,
        )
    )
    for by in (HOSPITAL, GROUP):
        found = sums.totals(scenarios, by)
        for at in range(SCENARIOS):
            again = Pricer(*scaled(data, values, plain[at], groups[at])).price(frame)
            check(found, at, by, pooled, again.frame)


def moved(
    found: Mapping[str, Any], key: str, by: tuple[str, ...], names: Mapping[tuple[str, ...], str], how: str
) -> Any:
    """A parameter's values as a policy file has them, those at the named places multiplied or set."""
    item = dict(found)
    place = tuple(item.get("for", {}).get(name, "") for name in by)
    if item["key"] == key and place in names:
        item["value"] = names[place] if how == "set" else times(item["value"], names[place])
    return item


@settings(max_examples=4)
@given(seed=seeds)
def test_moves_by_tier_hospital_and_set_equal_pricing_anew(seed: int) -> None:
    """Values of the policy that stand at every tier, or at every hospital, moved there one by one."""
    rng = random.Random(seed)
    data, values, cases = drawn(rng)
    scope, column = rng.choice([("tier", "tier"), ("hospital", "hospital_id")])
    key = "base_rate" if data["method"] == "drg-rate" else "point_value"
    how = rng.choice(["scale", "set"])
    frame = payable(cases)
    names = sorted(set(frame[column].drop_nulls()))
    plain = {"source": "random", "confidence": "synthetic"}
    written = {**data, "set": [item for item in data["set"] if item["key"] != key]}
    written["set"] += [{"key": key, "value": "9.5", **plain}]
    written["set"] += [
        {"key": key, "value": rng.choice(["8", "9.5", "100"]), "for": {scope: name}, **plain} for name in names
    ]
    given_values = values_of(values)
    try:
        pricer = Pricer(policy_of(written), given_values)
        priced = pricer.price(frame)
    except TablesRefused:
        return
    drawn_names: list[dict[tuple[str, ...], str]] = [{(name,): factor(rng) for name in names} for _ in range(SCENARIOS)]
    factors: list[Mapping[tuple[str, ...], Fraction]] = [
        {name: Fraction(text) for name, text in item.items()} for item in drawn_names
    ]
    scenarios = Scenarios((move_of(key, factors, (scope,), how),), SCENARIOS)
    found = ScenarioSums(frame, priced, pricer, (scope,)).totals(scenarios, HOSPITAL[:1])
    for at, item in enumerate(drawn_names):
        again = {**written, "set": [moved(one, key, (scope,), item, how) for one in written["set"]]}
        check(found, at, HOSPITAL[:1], frame, Pricer(policy_of(again), given_values).price(frame).frame)


def test_a_point_policy_with_a_floor_above_the_high_limit_needs_no_planner() -> None:
    """Weights of all groups moved under the point policy, whose high cases are paid at least as normal ones."""
    policy = load_policy("synthetic-city-drg-point")
    assert policy.weights
    weights = find_group_weights(policy.weights)
    (frame,) = grouped_blocks(weights, 6000, 6, 5)
    pricer = Pricer(policy, GroupValues.of_frame(weights.frame))
    sums = ScenarioSums(frame, pricer.price(frame), pricer)
    factors = ["0.7", "1.3"]
    # The policy itself has a weight for 0000, which stays.
    groups = sorted(set(weights.frame["group"]) - {"0000"})
    move = move_of("weight", [{(group,): Fraction(by) for group in groups} for by in factors], ("group",))
    for by in (HOSPITAL[:1], GROUP):
        found = sums.totals(Scenarios((move,), len(factors)), by)
        assert found.planned == 0
        for at, text in enumerate(factors):
            changed = weights.frame.with_columns(
                pl.Series("weight", [times(weight, text) for weight in weights.frame["weight"]], dtype=pl.String)
            )
            again = Pricer(policy, GroupValues.of_frame(changed)).price(frame)
            check(found, at, by, frame, again.frame)


def test_cases_far_from_every_limit_need_no_look() -> None:
    """Where no case lies near a limit there is nothing to look at, and normal cases alone move the totals."""
    policy = load_policy("synthetic-city-drg-point")
    assert policy.weights
    weights = find_group_weights(policy.weights)
    (frame,) = grouped_blocks(weights, 300, 2, 5)
    pricer = Pricer(policy, GroupValues.of_frame(weights.frame))
    paid = pl.col("patient_paid_fen", "other_funds_fen")
    frame = frame.with_columns(paid * 0)
    kinds = pricer.price(frame).frame["case_kind"]
    frame = frame.filter(kinds == "normal").sort("total_cost_fen").head(20)
    move = move_of("weight", [{("",): Fraction(1)}], ("group",))
    found = ScenarioSums(frame, pricer.price(frame), pricer).totals(Scenarios((move,), 1), GROUP)
    assert found.looked_at == 0
    check(found, 0, GROUP, frame, pricer.price(frame).frame)


HEAD = 'id = "r"\nname = "r"\ndata_level = "local"\nstatement = "r"\n[[change]]\n'
PLACES = {"tier": TIERS, "insurance": INSURANCES, "hospital": HOSPITALS, "group": GROUPS}
SCOPED = {
    "weight": ("tier", "insurance", "group"), "coefficient": ("tier", "insurance", "hospital", "group"),
    "base_rate": ("tier", "insurance", "hospital"), "point_value": ("tier", "insurance", "hospital"),
}  # fmt: skip


@settings(max_examples=8)
@given(seed=seeds)
def test_a_change_at_many_numbers_equals_pricing_under_the_reform(seed: int) -> None:
    """Whatever the change is for: what hospitals get at each number is what they get when it is put into force."""
    rng = random.Random(seed)
    data, values, cases = drawn(rng)
    frame, policy, given_values = payable(cases), policy_of(data), values_of(values)
    price = "base_rate" if policy.method == "drg-rate" else "point_value"
    key = rng.choice(["weight", price] if given_values.has_coefficients else ["weight", "coefficient", price])
    action = rng.choice(["scale", "set"]) if key == price else "scale"
    numbers = [factor(rng) for _ in range(SCENARIOS)]
    places = {name: rng.choice(PLACES[name]) for name in SCOPED[key] if rng.random() < 0.4}
    scope = ", ".join(f'{name} = "{place}"' for name, place in places.items())
    texts = [
        f'{HEAD}key = "{key}"\naction = "{action}"\nvalue = "{number}"\n' + (f"for = {{ {scope} }}\n" if scope else "")
        for number in numbers
    ]
    try:
        made = [
            apply_reforms(policy, given_values, [parse_reform(text)], GroupFacts.none(), HOSPITALS) for text in texts
        ]
        change, groups = made[0].changes[0].change, made[0].changes[0].groups
        assert moves_alone(change, given_values)
        sums = ChangeSums(frame, None, policy, given_values, change, groups)
    except TablesRefused:  # the policy has nothing that the change could move, or lacks what the cases need
        return
    found = sums.totals([Fraction(number) for number in numbers])
    for item, totals in zip(made, found, strict=True):
        priced = Pricer(item.policy, item.values).price(frame, display=False).frame
        sums_of = priced.group_by("hospital_id").agg(pl.col("package_fen", "fund_fen").sum())
        assert totals == {hospital: (package, fund) for hospital, package, fund in sums_of.iter_rows()}
