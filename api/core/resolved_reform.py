"""A reform written out as a file again, with what was solved as plain changes: it reproduces a run without a solver."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import date
from fractions import Fraction
from typing import Any

from budget.money import decimal_text
from reference_tables.reform import Change, Growth, Reform, Sweep

_PLACES = 12
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def reform_toml(reform: Reform, comment: str = "") -> str:
    """The reform as TOML text; solves are left out, their values stand among the changes."""
    lines = [f"# {line}" for line in comment.splitlines()]
    lines += [f"{name} = {literal(getattr(reform, name))}" for name in ("id", "name", "data_level", "statement")]
    if reform.policies:
        lines.append(f"policies = {literal(list(reform.policies))}")
    for name, source in sorted(reform.sources.items()):
        about = [(item.name, getattr(source, item.name)) for item in fields(source) if item.name != "name"]
        lines += ["", f"[sources.{_key(name)}]", *(f"{key} = {literal(value)}" for key, value in about if value)]
    for name, codes in sorted(reform.lists.items()):
        lines += ["", f"[lists.{_key(name)}]", f"codes = {literal(list(codes))}"]
    if reform.switch is not None:
        named = ((name, getattr(reform.switch, name)) for name in ("policy", "scheme", "weights"))
        lines += ["", "[switch]", *(f"{name} = {literal(value)}" for name, value in named if value)]
    for change in reform.changes:
        lines += ["", "[[change]]", *_change(change)]
    for growth in reform.growths:
        lines += ["", "[[growth]]", *_growth(growth)]
    for sweep in reform.sweeps:
        lines += ["", "[[sweep]]", *_sweep(sweep)]
    return "\n".join(lines) + "\n"


def literal(value: Any) -> str:
    """A value as TOML writes it; decimals are text, so that they stay exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Fraction):
        return literal(decimal(value))
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {literal(item)}" for key, item in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(literal(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else literal(name)


def decimal(value: Fraction) -> str:
    """A decimal number as short as it can be written exactly."""
    text = decimal_text(value, _PLACES)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scope(scope: Sequence[tuple[str, str]], groups: Sequence[str]) -> Iterator[str]:
    named: dict[str, Any] = dict(scope)
    if groups:
        named["groups"] = list(groups)
    if named:
        yield f"for = {literal(named)}"


def _change(change: Change) -> Iterator[str]:
    yield f"key = {literal(change.key)}"
    yield f"action = {literal(change.action)}"
    yield f"value = {literal(change.raw)}"
    yield from _scope(change.scope, change.groups)
    for name, day in (("from", change.since), ("until", change.until)):
        if day is not None:
            yield f"{name} = {literal(day)}"
    for name in ("source", "article", "note"):
        if getattr(change, name):
            yield f"{name} = {literal(getattr(change, name))}"


def _growth(growth: Growth) -> Iterator[str]:
    yield f"kind = {literal(growth.kind)}"
    yield f"{'share' if growth.kind == 'coding' else 'factor'} = {literal(growth.factor)}"
    yield from _scope(growth.scope, growth.groups)
    yield f"years = {growth.years}"


def _sweep(sweep: Sweep) -> Iterator[str]:
    yield f"key = {literal(sweep.key)}"
    yield f"action = {literal(sweep.action)}"
    yield f"start = {literal(sweep.start)}"
    yield f"stop = {literal(sweep.stop)}"
    yield f"steps = {sweep.steps}"
    yield from _scope(sweep.scope, sweep.groups)
