"""Simulations of the made-up city of `clearing_city`, and a policy in memory written out as a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from api.core.resolved_reform import decimal, literal
from api.core.simulate import Simulation, simulate
from api.core.simulate_cases import SimulationRequest
from budget.group_values import GroupValues
from grouper.schemes import Scheme, open_scheme
from reference_tables.policy import Policy, load_policy
from reference_tables.reform import Reform, parse_reform
from reference_tables.year_file import load_year_file
from tests.unit.clearing_city import City

YEAR = 2026
SCHEME = "chs-drg-1.1"
RATE, POINT = "synthetic-city-drg-rate", "synthetic-city-drg-point"
HEAD = 'id = "{id}"\nname = "试验改革"\ndata_level = "synthetic"\nstatement = "试验"\n'


@cache
def scheme() -> Scheme:
    return open_scheme(SCHEME)


def reform(body: str = "", name: str = "trial", folder: Path | None = None) -> Reform:
    """A reform with this body after its head."""
    return parse_reform(HEAD.format(id=name) + body, f"{name}.toml", folder)


def change(key: str, action: str, value: Any, more: str = "") -> str:
    """A change as TOML."""
    return f'[[change]]\nkey = "{key}"\naction = "{action}"\nvalue = {literal(value)}\n{more}\n'


def run(
    city: City,
    *reforms: Reform,
    policy: str | Policy = POINT,
    cleared: bool = True,
    cases: Sequence[Path] | None = None,
    **more: Any,
) -> Simulation:
    """The city's year under reforms."""
    paths = tuple(str(path) for path in (city.months if cases is None else cases))
    given = SimulationRequest(paths, reforms, YEAR if cleared else None, hospitals=city.register, **more)
    rules = load_policy(policy) if isinstance(policy, str) else policy
    return simulate(given, rules, scheme(), load_year_file(str(city.year_file)) if cleared else None)


def amounts(frame: pl.DataFrame, dimension: str, column: str) -> dict[str, int]:
    """One column of the gain table by key."""
    return dict(frame.filter(pl.col("dimension") == dimension).select("key", column).iter_rows())


def policy_toml(policy: Policy) -> str:
    """A policy file with the header and the values of a policy."""
    head = policy.header
    lines = [
        f"{name} = {literal(value)}"
        for name in ("id", "name", "region", "method", "scheme", "weights", "insurances", "tiers", "effective_from",
                     "effective_until", "data_level", "statement")
        if (value := getattr(head, name))
    ]  # fmt: skip
    for name, source in head.sources.items():
        lines += ["", f"[sources.{literal(name)}]", f"title = {literal(source.title)}"]
    for name, codes in head.lists.items():
        lines += ["", f"[lists.{literal(name)}]", f"codes = {literal(list(codes))}"]
    for item in policy.settings:
        lines += ["", "[[set]]", f"key = {literal(item.key)}", f"value = {literal(item.raw)}"]
        lines += [f"for = {literal(dict(item.scope))}"] if item.scope else []
        lines += [f"from = {item.since}"] if item.since else []
        lines += [f"until = {item.until}"] if item.until else []
        lines += [f"source = {literal(item.source)}", f"confidence = {literal(item.confidence)}"]
    return "\n".join(lines) + "\n"


def weights_csv(values: GroupValues) -> str:
    """A weight file with the values of groups."""
    lines = ["group,tier,weight,coefficient,peer_average"]
    for (group, tier, _), value in values.values.items():
        parts = (value.weight, value.coefficient, value.peer_average)
        lines.append(",".join([group, tier, *("" if part is None else decimal(part) for part in parts)]))
    return "\n".join(lines) + "\n"
