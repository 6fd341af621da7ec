"""One value of a policy with its scope, dates and source, and which of several values holds for a case."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from reference_tables.policy_schema import Parameter, policy_schema

Scope = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value. `value`: as its type says (policy_schema.toml). `raw`: as the file writes it.

    `scope`: (name, value) pairs in the order of the schema's scopes, empty = everywhere. `since`: the first day it
    holds, `until`: the first day it no longer does; None = as the policy. `suspect`: the source itself is doubtful.
    `line`: in the policy file, 0 when there is none; `place`: file:line.
    """

    key: str
    value: Any
    raw: Any
    scope: Scope = ()
    since: date | None = None
    until: date | None = None
    source: str = ""
    article: str = ""
    confidence: str = ""
    suspect: bool = False
    note: str = ""
    place: str = ""
    line: int = 0

    @property
    def dated(self) -> bool:
        """Holds for a part of the policy's time only."""
        return self.since is not None or self.until is not None

    @property
    def by_group(self) -> bool:
        """Holds for one group or a list of groups only."""
        return any(name in {"group", "list"} for name, _ in self.scope)

    def on(self, day: date) -> bool:
        """Holds on that day."""
        return (self.since is None or self.since <= day) and (self.until is None or day < self.until)

    def canonical(self) -> list[object]:
        """What counts of it: everything but where it stands and how its numbers are spelled."""
        return [
            self.key, canonical(self.value), [list(pair) for pair in self.scope], str(self.since), str(self.until),
            self.source, self.article, self.confidence, self.suspect, self.note,
        ]  # fmt: skip


def canonical(value: object) -> object:
    """A value as JSON types, equal for equal values whatever their spelling."""
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, tuple):
        return [canonical(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: canonical(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value


def ordered_scope(pairs: Mapping[str, str]) -> Scope:
    """Scope pairs in the schema's order, narrowest name first."""
    return tuple((name, pairs[name]) for name in policy_schema().scopes if name in pairs)


def precedence(setting: Setting) -> tuple[int, tuple[int, ...]]:
    """Sorts values that hold at once, the one that wins first: more scope names, then the narrower ones."""
    ranks = {name: rank for rank, name in enumerate(policy_schema().scopes)}
    return -len(setting.scope), tuple(ranks[name] for name, _ in setting.scope)


def scope_text(scope: Iterable[tuple[str, str]]) -> str:
    """A scope in Chinese; 全部 when there is none."""
    labels = policy_schema().scopes
    return "，".join(f"{labels.get(name, name)} {value}" for name, value in scope) or "全部"


def together(one: Setting, other: Setting) -> tuple[date, date] | None:
    """The days on which both hold, first and first no more; None when there are none."""
    start = max(one.since or date.min, other.since or date.min)
    end = min(one.until or date.max, other.until or date.max)
    return (start, end) if start < end else None


def why_needed(parameter: Parameter, by_key: Mapping[str, Sequence[Setting]]) -> str:
    """The first condition of `parameter.needed_if` that the set values meet, as "key = value" (or "key",
    when the value is a table or list); "" when none does."""
    for condition in parameter.needed_if:
        for setting in by_key.get(condition.key, ()):
            words = set(setting.value) if _is_steps(setting) else {_word(setting.value)}
            if not condition.values or words & set(condition.values):
                plain = isinstance(setting.raw, str | int)
                return f"{condition.key} = {_word(setting.raw)}" if plain else condition.key
    return ""


def _is_steps(setting: Setting) -> bool:
    """Is the value a list of words of which each may be a condition?"""
    return policy_schema().parameters[setting.key].type == "steps"


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
