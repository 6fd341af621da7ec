"""A change of a reform as people read it: what it does, and whom it is for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from reference_tables.policy_schema import policy_schema
from reference_tables.policy_shown import groups_shown, value_shown
from reference_tables.reform_parts import Change, Pairs
from reference_tables.reform_schema import reform_schema


def change_value_shown(change: Change) -> str:
    """The value of a change in Chinese: what is set, with the name of a list as it is; a factor, or what is added."""
    parameter = policy_schema().parameters[change.key]
    if change.action == "set":
        named = isinstance(change.raw, str) and parameter.type == "groups"
        return str(change.raw) if named else value_shown(parameter, change.value)
    added = change.action == "add" and parameter.unit
    return f"{change.raw} {parameter.unit}" if added else str(change.raw)


def change_shown(change: Change) -> str:
    """What a change does, in Chinese."""
    return f"{reform_schema().actions[change.action]} {change_value_shown(change)}"


def scope_shown(scope: Pairs, groups: Sequence[str] = (), since: date | None = None, until: date | None = None) -> str:
    """A scope and its days in Chinese; 全部 when it has none."""
    schema = reform_schema()
    parts = [f"{schema.scopes[name]} {schema.types.get(value, value)}" for name, value in scope]
    if groups:
        parts.append(f"病组 {groups_shown(groups)}")
    if since or until:
        start = f"{since} 起" if since else ""
        end = f"至 {until - timedelta(days=1)}" if until else ""
        parts.append(f"{start}{end}")
    return "，".join(parts) or "全部"
