"""What the switch of a reform changed and touched: a row each for policy, scheme and weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from api.core.simulate_cases import Base
from api.core.simulate_switch import PARTS, Switched
from budget.group_values import GroupValues
from reference_tables.policy import Policy
from reference_tables.problems import Problem

_OF_SWITCH = "switch."
_GROUP = pl.col("group").fill_null("")
Row = dict[str, Any]


def switch_rows(switch: Switched, before: Base, after: Base, moved: pl.Series, cleared: int | None) -> list[Row]:
    """Rows of CHANGES_SCHEMA for what the switch names and for what comes with it; `moved`: cases, row for row, whose
    payment the switch moved; `cleared`: hospitals whose money after clearing it moved.

    A policy touches every case, a scheme those in another group after it, weights those whose group has other published
    values; groups are those before. `settings`: how many values of the policy or of the weights differ, null for a
    scheme; 0: it is the same.
    """
    frame = before.cases.select(_GROUP, "hospital_id").with_columns(moved.alias("moved"))
    rows = []
    for part, label in PARTS.items():
        sides = [_shown(part, base) for base in (before, after)]
        settings, touched = _PART[part](before, after)
        if part not in switch.named and settings == 0:
            continue
        named = switch.named.get(part) or next(iter(switch.named.values()))
        own = part in switch.named
        here = frame.filter(touched)
        rows.append({
            "reform": named.reform.id, "place": named.place, "key": _OF_SWITCH + part, "label": label,
            "action": "换为" if own else "随之换为", "value": Path(named.to).name if own else _id(part, after),
            "scope": "全部", "since": "", "until": "", "settings": settings, "groups": here["group"].n_unique(),
            "cases": here.height, "hospitals": here["hospital_id"].n_unique(), "moved": int(here["moved"].sum()),
            "cleared": cleared,
            "before": sides[0], "after": sides[1],
        })  # fmt: skip
    return rows


def idle_switches(switch: Switched, rows: list[Row]) -> Iterator[Problem]:
    """RF51 for each thing named that is as before, RF52 for each that touches no case."""
    for row in rows:
        part = row["key"].removeprefix(_OF_SWITCH)
        if part in switch.named and not row["cases"]:
            code = "RF51" if row["settings"] == 0 else "RF52"
            yield switch.named[part].problem(
                code, label=f"{row['label']}换为 {row['value']}", key=row["key"], scope="全部"
            )


def _shown(part: str, base: Base) -> str:
    """What a side is paid by, its id with its Chinese name."""
    name = {"policy": base.policy.name, "scheme": base.scheme.pack.name}.get(part, "")
    if part == "weights":
        name = "" if base.weights is None else base.weights.title
    known = _id(part, base)
    return f"{known}（{name}）" if name and name != known else known


def _id(part: str, base: Base) -> str:
    if part == "policy":
        return base.policy.id
    if part == "scheme":
        return base.scheme.pack.id
    if base.weights is not None:
        return base.weights.id
    return "分组方案自带的分值" if base.policy.method == "dip" and base.values.values else "政策规定的权重"


def _policy(before: Base, after: Base) -> tuple[int | None, pl.Series]:
    held = [_settings(base.policy) for base in (before, after)]
    same = before.policy.sha256 == after.policy.sha256
    count = 0 if same else max(len(held[0] ^ held[1]), 1)
    return count, pl.repeat(not same, before.cases.height, dtype=pl.Boolean(), eager=True)


def _settings(policy: Policy) -> set[tuple[object, ...]]:
    """Everything the policy rules, each as far as it can be told apart."""
    return {(item.key, item.scope, item.since, item.until, repr(item.value)) for item in policy.settings}


def _scheme(before: Base, after: Base) -> tuple[int | None, pl.Series]:
    same = before.scheme.pack.sha256 == after.scheme.pack.sha256
    return 0 if same else None, _groups(before).ne(_groups(after))


def _weights(before: Base, after: Base) -> tuple[int | None, pl.Series]:
    held, new = before.values.values, after.values.values
    count = sum(held.get(key) != new.get(key) for key in {*held, *new})
    of_group = [_by_group(base.values) for base in (before, after)]
    pairs = pl.DataFrame({"group": _groups(before), "after": _groups(after)})
    different = [(one, other, of_group[0].get(one) != of_group[1].get(other)) for one, other in pairs.unique().rows()]
    known = pl.DataFrame(different, schema={"group": pl.String, "after": pl.String, "apart": pl.Boolean}, orient="row")
    return count, pairs.join(known, on=["group", "after"], how="left", maintain_order="left")["apart"]


def _groups(base: Base) -> pl.Series:
    return base.cases.select(_GROUP)["group"]


def _by_group(values: GroupValues) -> dict[str, dict[tuple[str, str], object]]:
    """What is published of each group, by tier and insurance."""
    found: dict[str, dict[tuple[str, str], object]] = {}
    for (group, tier, insurance), value in values.values.items():
        found.setdefault(group, {})[tier, insurance] = value
    return found


_PART = {"policy": _policy, "scheme": _scheme, "weights": _weights}
