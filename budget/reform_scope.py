"""Whom a change concerns: its scope resolved against policy, scheme and hospitals, every unknown word told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from budget.group_values import GroupValues
from reference_tables.policy import Policy
from reference_tables.policy_schema import METHODS, policy_schema
from reference_tables.policy_shown import groups_shown
from reference_tables.problems import Level, Problem
from reference_tables.reform_parts import Change, Pairs, Reform
from reference_tables.reform_schema import reform_schema
from reference_tables.reform_shown import scope_shown

FACTS_SCHEMA: dict[str, pl.DataType] = {"group": pl.String(), "mdc": pl.String(), "type": pl.String()}
_GROUPWISE = ("group", "list", "mdc", "type")
_FEW_HOSPITALS = 8
_MDC = "MDC"


@dataclass(frozen=True)
class GroupFacts:
    """What the grouping scheme says of its groups.

    `frame`: FACTS_SCHEMA, one row a group; `mdc` "" where the scheme has none, `type` surgical, procedure, medical or
    "" (not told).
    """

    frame: pl.DataFrame

    @staticmethod
    def none() -> GroupFacts:
        """Of a scheme that nothing is known of."""
        return GroupFacts(pl.DataFrame(schema=FACTS_SCHEMA))

    @cached_property
    def groups(self) -> frozenset[str]:
        return frozenset(self.frame["group"])

    @cached_property
    def classes(self) -> Mapping[str, Mapping[str, frozenset[str]]]:
        """mdc and type: word -> its groups."""
        return {
            name: {
                str(word): frozenset(groups)
                for word, groups in self.frame.filter(pl.col(name) != "").group_by(name).agg("group").iter_rows()
            }
            for name in ("mdc", "type")
        }


@dataclass(frozen=True)
class Reach:
    """A resolved scope. `rest`: pairs but those that stand for groups; `groups`: it is limited to (None: not by group);
    `lists`: names of the lists it is limited to, where the parameter differs by list alone; `since`, `until`: its days
    inside the policy's, `until` None = open."""

    rest: Pairs
    groups: frozenset[str] | None
    lists: tuple[str, ...]
    since: date
    until: date | None
    text: str

    def meets(self, other: Reach) -> bool:
        """May one case on one day be in both?"""
        mine = dict(self.rest)
        if any(mine.get(name, value) != value for name, value in other.rest):
            return False
        if self.groups is not None and other.groups is not None and not self.groups & other.groups:
            return False
        return self.since < (other.until or date.max) and other.since < (self.until or date.max)


@dataclass
class Resolver:
    """Resolves scopes for one policy; `problems` takes what is unknown or does not fit."""

    policy: Policy
    values: GroupValues
    facts: GroupFacts
    hospitals: Collection[str] | None
    problems: list[Problem] = field(default_factory=list)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists of the reforms by which a parameter is to differ that knows groups by list alone."""

    @cached_property
    def known(self) -> frozenset[str]:
        """Every group that scheme, weights or policy know."""
        named = {value for setting in self.policy.settings for name, value in setting.scope if name == "group"}
        listed = {code for codes in self.policy.lists.values() for code in codes}
        return self.facts.groups | named | listed | {group for group, _, _ in self.values.values}

    def resolve(self, change: Change, reform: Reform) -> tuple[Change, Reach] | None:
        """The change, its value no longer the name of a list, and whom it concerns; None with at least one problem."""
        before = len(self.problems)
        self._method(change)
        self._words(change)
        groups = self._groups(change, reform)
        change = self._listed_value(change)
        span = self._span(change)
        by_group = "group" in policy_schema().parameters[change.key].scope
        lists = tuple(value for name, value in change.scope if name == "list" and not by_group)
        for name in lists:
            self._add_list(change, reform, name)
        if span is None or any(problem.level is Level.ERROR for problem in self.problems[before:]):
            return None
        rest = tuple((name, value) for name, value in change.scope if name not in _GROUPWISE)
        return change, Reach(rest, groups, lists, *span, _scope_shown(change))

    def check(self, change: Change, reform: Reform) -> None:
        """Note every word of a scope that is unknown, of what is no change of a parameter (growth)."""
        self._words(change)
        self._groups(change, reform)

    def _listed_value(self, change: Change) -> Change:
        """A change whose value is a list of groups by the name of one of the policy's lists, with the groups."""
        if policy_schema().parameters[change.key].type != "groups" or change.action != "set":
            return change
        if isinstance(change.value, str):
            codes = self.policy.lists.get(change.value)
            if codes is None:
                label, known = policy_schema().parameters[change.key].label, "、".join(self.policy.lists) or "无"
                args: dict[str, str | int] = {
                    "key": change.key, "label": label, "list": change.value, "policy": self.policy.id, "known": known,
                }  # fmt: skip
                self._note(change, "RF33", args)
                return change
            return replace(change, value=tuple(codes))
        unknown = [code for code in change.value if code not in self.known]
        if unknown and self.facts.groups:
            self._unknown(change, unknown)
        return change

    def _add_list(self, change: Change, reform: Reform, name: str) -> None:
        """Take a reform's own list into `lists`, so that the policy can have values for it."""
        own = reform.lists.get(name)
        if own is None or name in self.policy.lists:
            return
        if set(self.lists.setdefault(name, own)) != set(own):
            self._note(change, "RF30", {"name": name})

    def _note(self, change: Change, code: str, args: dict[str, str | int]) -> None:
        file = change.place.rpartition(":")[0] if change.line else change.place
        self.problems.append(Problem(code, args, file=file, row=change.line, field=change.key))

    def _method(self, change: Change) -> None:
        parameter = policy_schema().parameters[change.key]
        if self.policy.method not in parameter.methods:
            args: dict[str, str | int] = {
                "key": change.key, "label": parameter.label, "method": METHODS[self.policy.method],
                "policy": self.policy.id, "methods": "、".join(METHODS[name] for name in parameter.methods),
            }  # fmt: skip
            self._note(change, "RF20", args)

    def _words(self, change: Change) -> None:
        known = {"insurance": self.policy.insurances, "tier": self.policy.tiers, "hospital": self.hospitals}
        for name, value in change.scope:
            words = known.get(name)
            if words is not None and value not in words:
                shown = "、".join(sorted(words)[:_FEW_HOSPITALS] if name == "hospital" else words) or "无"
                more = f" … 共 {len(words)} 家" if name == "hospital" and len(words) > _FEW_HOSPITALS else ""
                args: dict[str, str | int] = {
                    "policy": self.policy.id, "scope": reform_schema().scopes[name], "value": value,
                    "known": shown + more,
                }  # fmt: skip
                self._note(change, "RF21", args)

    def _groups(self, change: Change, reform: Reform) -> frozenset[str] | None:
        """The groups of the change: those that all the names of its scope allow."""
        found: frozenset[str] | None = None
        named = [*change.groups, *(value for name, value in change.scope if name == "group")]
        unknown = [code for code in named if code not in self.known]
        if unknown:
            self._unknown(change, unknown)
        parts = [frozenset(change.groups)] if change.groups else []
        for name, value in change.scope:
            if name == "group":
                parts.append(frozenset({value}))
            elif name == "list":
                parts.append(self._list(change, reform, value))
            elif name in {"mdc", "type"}:
                parts.append(self._class(change, name, value))
        for part in parts:
            found = part if found is None else found & part
        if found is not None and not found and all(parts):
            self._note(change, "RF24", {"what": _scope_shown(change), "reason": "范围内没有病组"})
        return found

    def _unknown(self, change: Change, codes: list[str]) -> None:
        self._note(change, "RF22", {"codes": groups_shown(codes)})

    def _list(self, change: Change, reform: Reform, name: str) -> frozenset[str]:
        own, given = reform.lists.get(name), self.policy.lists.get(name)
        if own is None and given is None:
            known = "、".join(dict.fromkeys([*reform.lists, *self.policy.lists])) or "无"
            args: dict[str, str | int] = {
                "policy": self.policy.id, "scope": reform_schema().scopes["list"], "value": name, "known": known,
            }  # fmt: skip
            self._note(change, "RF21", args)
            return frozenset()
        if own is not None and given is not None and set(own) != set(given):
            self._note(change, "RF30", {"name": name})
        unknown = [code for code in own or () if code not in self.known]
        if unknown:
            self._unknown(change, unknown)
        return frozenset(own if own is not None else given or ())

    def _class(self, change: Change, name: str, value: str) -> frozenset[str]:
        known = self.facts.classes[name]
        found = known.get(value) or (known.get(_MDC + value) if name == "mdc" else None)
        if found is None:
            args: dict[str, str | int] = {
                "scope": reform_schema().scopes[name], "value": value, "known": "、".join(sorted(known)) or "无",
            }  # fmt: skip
            self._note(change, "RF23", args)
        return found or frozenset()

    def _span(self, change: Change) -> tuple[date, date | None] | None:
        """The days of the change inside the policy's; None when there are none."""
        first, last = self.policy.header.effective_from, self.policy.header.effective_until
        since = max(change.since or first, first)
        until = min(change.until or date.max, last or date.max)
        month = dict(change.scope).get("month", "")
        if since >= until or not in_month(month, since, until):
            day = timedelta(days=1)
            args: dict[str, str | int] = {
                "policy": self.policy.id, "since": month or str(change.since or first),
                "until": month or (str(change.until - day) if change.until else "今"),
                "first": str(first), "last": str(last - day) if last else "今",
            }  # fmt: skip
            self._note(change, "RF25", args)
            return None
        label = policy_schema().parameters[change.key].label
        for edge, held, limit in (("开始", "改动前", change.since), ("停止", "改动后", change.until)):
            if limit is not None and limit.day != 1 and first < limit < (last or date.max):
                args = {
                    "key": change.key, "label": label, "day": str(limit), "month": f"{limit:%Y-%m}", "edge": edge,
                    "held": held,
                }  # fmt: skip
                self._note(change, "RF55", args)
        return since, None if until == date.max else until


def in_month(month: str, since: date | None, until: date | None) -> bool:
    """Has a month (2026-01, "" = any) a day from `since` to before `until`, None = open?"""
    if not month:
        return True
    first = date.fromisoformat(f"{month}-01")
    after = (first + timedelta(days=31)).replace(day=1)
    return (since is None or since < after) and (until is None or first < until)


def _scope_shown(change: Change) -> str:
    return scope_shown(change.scope, change.groups, change.since, change.until)
