"""A change put into force against brute force: for every insurance, tier, hospital, group and month the effective value
is f(the value before) inside the change's scope and days, and the same outside."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from itertools import product
from typing import Any

import polars as pl
import pytest

from budget.group_values import GroupValues
from budget.reformed import FACTS_SCHEMA, GroupFacts, Reformed, apply_reforms
from reference_tables.policy import Policy, policy_of
from reference_tables.problems import TablesRefused
from reference_tables.reform import Reform, parse_reform
from tests.unit.clearing_region import COMMON, METHODS

GROUPS = ["BA11", "BA13", "BR11", "CR15"]
MDC = {"BA11": "MDCB", "BA13": "MDCB", "BR11": "MDCB", "CR15": "MDCC"}
TYPE = {"BA11": "surgical", "BA13": "surgical", "BR11": "medical", "CR15": "medical"}
FACTS = GroupFacts(pl.DataFrame([(name, MDC[name], TYPE[name]) for name in GROUPS], schema=FACTS_SCHEMA, orient="row"))
LISTS = {"one": ["BA11", "CR15"], "two": ["BR11"]}
INSURANCES, TIERS, HOSPITALS = ["职工", "居民"], ["三级", "二级"], ["H1", "H2"]
MONTHS = [date(2026, month, 1) for month in (1, 4, 7, 10)]
CHOICES = {
    "insurance": INSURANCES, "tier": TIERS, "hospital": HOSPITALS, "group": GROUPS, "list": list(LISTS),
    "month": [f"{day:%Y-%m}" for day in MONTHS],
}  # fmt: skip
OWN_LISTS = {"own": ["BA13"]}
SCOPES = {
    "coefficient": ("insurance", "tier", "hospital", "group", "list"),
    "weight": ("insurance", "tier", "group", "list"),
    "peer_average": ("insurance", "tier", "group", "list"),
    "base_rate": ("insurance", "tier", "hospital"),
    "point_value": ("insurance", "tier", "hospital", "month"),
    "minimum_weight": ("list",),
}
PUBLISHED = ("weight", "coefficient", "peer_average")
POLICIES = 70


def decimal(rng: random.Random) -> str:
    return f"{rng.randint(50, 300) / 100:.2f}"


def scope(rng: random.Random, names: tuple[str, ...]) -> dict[str, str]:
    chosen = {name: rng.choice(CHOICES[name]) for name in names if rng.random() < 0.35}
    if "group" in chosen:
        chosen.pop("list", None)
    return chosen


def made_policy(rng: random.Random, key: str) -> Policy:
    """A policy with random values of `key`, some dated, those that overlap left out."""
    method = "drg-point" if key == "point_value" else "drg-rate"
    given = {**COMMON, **METHODS[method]} | ({"reference": "PEER"} if key == "peer_average" else {})
    blocks = [{"key": name, "value": value} for name, value in given.items() if name != key]
    if key != "coefficient":
        blocks.append({"key": "coefficient", "value": "1"})
    bare = key in {"weight", "peer_average"} or (key == "coefficient" and rng.random() < 0.4)
    own: list[dict[str, Any]] = [] if bare else [{"key": key, "value": decimal(rng)}]
    seen: list[dict[str, str]] = [{}]
    for _ in range(rng.randint(0, 6)):
        where = scope(rng, SCOPES[key])
        if where in seen:
            continue
        seen.append(where)
        block: dict[str, Any] = {"key": key, "value": decimal(rng), "for": where}
        if not bare and rng.random() < 0.3:
            block["from"] = rng.choice(MONTHS[1:3])
            if rng.random() < 0.5:
                block["until"] = MONTHS[3]
        own.append(block)
    return policy_of(
        {
            "id": "p", "name": "试验", "region": "某市", "method": method, "insurances": INSURANCES,
            "tiers": TIERS, "effective_from": date(2026, 1, 1), "data_level": "local", "statement": "试验",
            "sources": {"doc": {"title": "某文件"}}, "lists": {name: {"codes": codes} for name, codes in LISTS.items()},
            "set": [{**block, "source": "doc", "confidence": "project"} for block in [*blocks, *own]],
        }
    )  # fmt: skip


def made_values(rng: random.Random) -> GroupValues:
    rows = []
    for group in GROUPS:
        for tier, insurance in product(["", *TIERS], ["", *INSURANCES]):
            if rng.random() < (0.8 if tier == insurance == "" else 0.15):
                rows.append({
                    "group": group, "tier": tier, "insurance": insurance,
                    "weight": decimal(rng) if not tier or rng.random() < 0.7 else None,
                    "coefficient": decimal(rng) if rng.random() < 0.4 else None,
                    "peer_average": decimal(rng) if rng.random() < 0.4 else None,
                })  # fmt: skip
    return GroupValues.of_rows(rows)


Made = tuple[str, dict[str, Any], str, Fraction]
"""A change as TOML, its scope and days, action and number."""
HEAD = 'id = "{0}"\nname = "{0}"\ndata_level = "local"\nstatement = "r"\n'
LISTED = "".join(f"[lists.{name}]\ncodes = {codes}\n".replace("'", '"') for name, codes in OWN_LISTS.items())


def made_change(rng: random.Random, key: str) -> Made:
    where: dict[str, Any] = scope(rng, SCOPES[key])
    if "list" in where and rng.random() < 0.4:
        where["list"] = "own"
    if "group" in SCOPES[key] and "group" not in where and "list" not in where and rng.random() < 0.5:
        name = rng.choice(["mdc", "type", "groups"])
        of = {"mdc": "MDCB", "type": "medical", "groups": ["BA11", "BR11"]}
        where[name] = of[name]
    action, number = rng.choice(["set", "scale", "add"]), decimal(rng)
    days = {"from": rng.choice(MONTHS[:3])} if rng.random() < 0.3 else {}
    if rng.random() < 0.3:
        days["until"] = rng.choice([MONTHS[3], date(2027, 1, 1)])
    told = ", ".join(f'{name} = "{value}"' if isinstance(value, str) else f'{name} = ["BA11", "BR11"]'
                     for name, value in where.items())  # fmt: skip
    text = (
        "[[change]]\n"
        f'key = "{key}"\naction = "{action}"\nvalue = "{number}"\n'
        + (f"for = {{ {told} }}\n" if told else "")
        + "".join(f"{name} = {day}\n" for name, day in days.items())
    )
    return text, {**where, **days}, action, Fraction(number)


def made_reforms(rng: random.Random, changes: list[Made]) -> list[Reform]:
    """The changes one after the other, in one reform or each in its own."""
    texts = [text for text, *_ in changes]
    bodies = ["".join(texts)] if rng.random() < 0.7 else texts
    return [parse_reform(HEAD.format(f"r{at}") + LISTED + body) for at, body in enumerate(bodies)]


def inside(where: dict[str, Any], case: dict[str, str], day: date) -> bool:
    group = case["group"]
    known = {**case, "mdc": MDC[group], "type": TYPE[group], "month": f"{day:%Y-%m}"}
    for name, value in where.items():
        if name == "groups" and group not in value:
            return False
        if name == "list" and group not in {**LISTS, **OWN_LISTS}[value]:
            return False
        if (name == "from" and day < value) or (name == "until" and day >= value):
            return False
        if name in known and known[name] != value:
            return False
    return True


def effective(policy: Policy, values: GroupValues, key: str, case: dict[str, str], day: date) -> Fraction | None:
    """What a case is paid by: a weight of the policy goes before a published one; a published coefficient or mean cost
    before one of the policy that is not by group; 1 where others have a published coefficient and it has none."""
    setting = policy.get(key, day, **case)
    published = values.get(case["group"], case["tier"], case["insurance"])
    if key == "weight":
        return published.weight if setting is None else setting.value
    by_group = setting is not None and any(name in {"group", "list"} for name, _ in setting.scope)
    old = getattr(published, key) if key in {"coefficient", "peer_average"} else None
    if old is not None and not by_group:
        return Fraction(old)
    if setting is None and key == "coefficient" and values.has_coefficients:
        return Fraction(1)
    return None if setting is None else setting.value


def every_case() -> Iterator[dict[str, str]]:
    for insurance, tier, hospital, group in product(INSURANCES, TIERS, HOSPITALS, GROUPS):
        yield {"insurance": insurance, "tier": tier, "hospital": hospital, "group": group}


def applied(policy: Policy, values: GroupValues, reforms: list[Reform]) -> Reformed | None:
    """None when nothing is there to scale (RF26), the result is out of range (RF27), no group is in the scope (RF24), a
    value that was not there holds on some days only (RF32), no day of the month is among the days (RF25), or two
    reforms set different values (RF28)."""
    try:
        return apply_reforms(policy, values, reforms, FACTS, HOSPITALS)
    except TablesRefused as error:
        codes = {problem.code for problem in error.problems if problem.level.value == "error"}
        if codes <= {"RF24", "RF25", "RF26", "RF27", "RF28", "RF32"}:
            return None
        raise


@pytest.mark.parametrize("key", list(SCOPES))
def test_a_change_is_exact_for_every_case(key: str) -> None:
    rng, done = random.Random(key), 0
    while done < POLICIES:
        policy, values = made_policy(rng, key), made_values(rng)
        if key not in PUBLISHED:
            values = GroupValues({})
        changes = [made_change(rng, key) for _ in range(rng.randint(1, 3))]
        made = applied(policy, values, made_reforms(rng, changes))
        if made is None:
            continue
        done += 1
        for case, day in product(every_case(), MONTHS):
            expected = effective(policy, values, key, case, day)
            for _, where, action, number in changes:
                if inside(where, case, day):
                    if action == "set":
                        expected = number
                    elif expected is not None:
                        expected = expected * number if action == "scale" else expected + number
            found = effective(made.policy, made.values, key, case, day)
            assert found == expected, (case, day, changes)
