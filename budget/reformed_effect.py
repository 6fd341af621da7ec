"""What a change did: the values that held for the cases it is for, before and after it, and how many it touched.

What holds for a case is looked up for each different place (insurance, tier, hospital, group, month) of the cases, by
the precedence that pricing itself has; a single setting that was put says nothing of the others that it replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

import polars as pl

from budget.group_values import GroupValues
from budget.reformed_settings import PUBLISHED, effective_value
from reference_tables.policy import Policy
from reference_tables.policy_schema import Parameter, policy_schema
from reference_tables.policy_settings import Scope
from reference_tables.policy_shown import value_shown
from reference_tables.reform_parts import Change

TOUCHED_SCHEMA: dict[str, pl.DataType] = {
    "change": pl.Int64(), "groups": pl.Int64(), "cases": pl.Int64(), "hospitals": pl.Int64(), "moved": pl.Int64(),
    "before": pl.String(), "after": pl.String(),
}  # fmt: skip
_COLUMNS = {"insurance": "insurance", "tier": "tier", "hospital": "hospital_id", "group": "group", "month": "month"}
_FEW = 3
_NUMBERS = (int, Fraction)
Place = tuple[Scope, date]


@dataclass(frozen=True)
class Rules:
    """A policy with its group values, at one step of a reform."""

    policy: Policy
    values: GroupValues

    def names(self, key: str) -> frozenset[str]:
        """The scopes by which the value of a parameter may differ."""
        published = {"group", "tier", "insurance"} if key in PUBLISHED and self.values.values else set()
        return self.policy.names(key) | published | ({"month"} if self.policy.dated(key) else set())

    def value(self, key: str, day: date, scope: dict[str, str]) -> Any:
        """What holds on a day at exactly these scopes; None when nothing does."""
        published = key in PUBLISHED and "group" in scope
        return effective_value(self.policy, self.values, key, day, scope, published=published)[1]


@dataclass(frozen=True)
class AppliedChange:
    """A change as it was put into force. `settings`: number of values put (0: it changed nothing); `scope_text` in
    Chinese; `groups` it is limited to, None = not by group; the rules as they `was` before and are `now` after it;
    `places`: scopes and first days of the values put."""

    change: Change
    reform_id: str
    settings: int
    scope_text: str
    groups: frozenset[str] | None
    was: Rules
    now: Rules
    places: tuple[Place, ...] = ()


def touched(
    cases: pl.DataFrame, applied: Sequence[AppliedChange], before: pl.DataFrame, after: pl.DataFrame
) -> pl.DataFrame:
    """TOUCHED_SCHEMA: of each change the groups, cases and hospitals in its scope and days, the cases there whose
    payment moved, and the values that held for them before and after it, in Chinese. `cases` PAYABLE, `before` and
    `after` priced, row for row the same."""
    moved = _moved(before, after, "package_fen") | _moved(before, after, "fund_fen")
    frame = cases.select(*_COLUMNS.values()).with_columns(moved.alias("moved"))
    rows = []
    for at, item in enumerate(applied):
        found = frame.filter(_within(item))
        counts = (found["group"].n_unique(), found.height, found["hospital_id"].n_unique(), int(found["moved"].sum()))
        rows.append((at, *counts, *values_shown(item, found)))
    return pl.DataFrame(rows, schema=TOUCHED_SCHEMA, orient="row")


def values_shown(item: AppliedChange, cases: pl.DataFrame) -> tuple[str, str]:
    """The values that held for the cases of a change before and after it, in Chinese; without cases those at the places
    that it put values for."""
    key, parameter = item.change.key, policy_schema().parameters[item.change.key]
    places = list(_places(item, cases)) if cases.height else [(dict(scope), day) for scope, day in item.places]
    if not places:
        first = item.change.since or item.now.policy.header.effective_from
        places = [(dict(item.change.scope), first)]
    pairs = [_distinct(rules.value(key, day, scope) for scope, day in places) for rules in (item.was, item.now)]
    return told(parameter, pairs[0]), told(parameter, pairs[1])


def _places(item: AppliedChange, cases: pl.DataFrame) -> Iterator[tuple[dict[str, str], date]]:
    """The different places of the cases, as far as the value may differ by them."""
    key, first = item.change.key, item.now.policy.header.effective_from
    names = sorted(item.was.names(key) | item.now.names(key))
    columns = [name for name in names if name in _COLUMNS]
    different = cases.select(_COLUMNS[name] for name in columns).unique().sort(pl.all()) if columns else None
    for row in [()] if different is None else different.iter_rows():
        scope = {name: value for name, value in zip(columns, row, strict=True) if value}
        yield scope, date.fromisoformat(f"{scope['month']}-01") if "month" in scope else first


def _distinct(values: Iterator[Any]) -> list[Any]:
    """The different values, numbers in their order, others as they come; None last."""
    found = list(dict.fromkeys(values))
    some = [value for value in found if value is not None]
    if all(isinstance(value, _NUMBERS) and not isinstance(value, bool) for value in some):
        some.sort()
    return [*some, *([None] if None in found else [])]


def told(parameter: Parameter, values: Sequence[Any]) -> str:
    """One value as it is, the range and number of different numbers, else the first of different values."""
    some = [value for value in values if value is not None]
    lacking = "，部分未规定" if len(some) < len(values) else ""
    if len(some) < 2:
        return value_shown(parameter, some[0] if some else None) + (lacking if some else "")
    if isinstance(some[0], _NUMBERS) and not isinstance(some[0], bool):
        low, high = value_shown(replace(parameter, unit=""), some[0]), value_shown(parameter, some[-1])
        return f"{low} 至 {high}（{len(some)} 个不同的值）{lacking}"
    shown = "；".join(value_shown(parameter, value) for value in some[:_FEW])
    return f"{shown}{' …' if len(some) > _FEW else ''}（{len(some)} 种）{lacking}"


def _moved(before: pl.DataFrame, after: pl.DataFrame, name: str) -> pl.Series:
    return before[name].ne_missing(after[name])


def _within(item: AppliedChange) -> pl.Expr:
    """The cases that a change is for."""
    change = item.change
    parts = [pl.col(_COLUMNS[name]) == value for name, value in change.scope if name in _COLUMNS and name != "group"]
    if item.groups is not None:
        parts.append(pl.col("group").is_in(sorted(item.groups)))
    if change.since is not None:
        parts.append(pl.col("month") + "-01" >= str(change.since))
    if change.until is not None:
        parts.append(pl.col("month") + "-01" < str(change.until))
    return pl.all_horizontal(*parts).fill_null(value=False) if parts else pl.lit(value=True)
