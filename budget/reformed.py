"""A policy as it stands after reforms: every change put into force exactly."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from budget.group_values import GroupValues, Key
from budget.reform_scope import FACTS_SCHEMA, GroupFacts, Reach, Resolver
from budget.reform_values import limits_text, out_of_range
from budget.reformed_effect import AppliedChange, Place, Rules
from budget.reformed_settings import (
    PUBLISHED,
    Origin,
    fits_values,
    new_settings,
    new_values,
    published_by_values,
    standing,
)
from reference_tables.policy import Policy
from reference_tables.policy_file import Header, PolicySource
from reference_tables.policy_schema import policy_schema
from reference_tables.policy_settings import Setting, ordered_scope, scope_text, together
from reference_tables.policy_shown import groups_shown, value_shown
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.reform_parts import Change, Reform
from reference_tables.reform_shown import change_shown, change_value_shown

__all__ = ["FACTS_SCHEMA", "AppliedChange", "GroupFacts", "Reformed", "apply_reforms"]


@dataclass(frozen=True)
class Reformed:
    """Policy and group values after reforms, the changes in the order they were applied, and warnings."""

    policy: Policy
    values: GroupValues
    changes: tuple[AppliedChange, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Resolved:
    change: Change
    reform: Reform
    reach: Reach

    @property
    def place(self) -> dict[str, Any]:
        file = self.change.place.rpartition(":")[0] if self.change.line else self.change.place
        return {"file": file, "row": self.change.line, "field": self.change.key}

    def args(self, **more: str | int) -> dict[str, str | int]:
        label = policy_schema().parameters[self.change.key].label
        return {"label": label, "key": self.change.key, "scope": self.reach.text, **more}

    @property
    def said(self) -> str:
        """The change in Chinese."""
        return change_shown(self.change)


def apply_reforms(
    policy: Policy,
    values: GroupValues,
    reforms: Sequence[Reform],
    facts: GroupFacts,
    hospitals: Collection[str] | None = None,
) -> Reformed:
    """The policy after the changes of the reforms, in the order given; what their growth names is checked too.

    `policy`, `values` and `facts` are those after a reform's switch; `hospitals`: ids that are known, None = any.
    Raises TablesRefused with every problem.
    """
    resolver = Resolver(policy, values, facts, hospitals)
    resolved = [
        _Resolved(found[0], reform, found[1])
        for reform in reforms
        for change in reform.changes
        if (found := resolver.resolve(change, reform)) is not None
    ]
    for reform in reforms:
        for growth in reform.growths:
            where = Change("growth", "", None, None, growth.scope, growth.groups, place=growth.place, line=growth.line)
            resolver.check(where, reform)
    problems = [*_same_ids(reforms), *resolver.problems, *_conflicts(resolved), *_not_meant(policy, reforms)]
    _refuse(policy, problems)
    if resolver.lists:
        header = replace(policy.header, lists={**policy.lists, **resolver.lists})
        policy = Policy(header, policy.settings, policy.problems)
    applied: list[AppliedChange] = []
    for item in resolved:
        policy, values, done = _applied(policy, values, item, problems)
        applied.append(done)
    _refuse(policy, problems)
    return Reformed(policy, values, tuple(applied), tuple(problems))


def _refuse(policy: Policy, problems: list[Problem]) -> None:
    if any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(policy.id, problems)


def _same_ids(reforms: Sequence[Reform]) -> Iterator[Problem]:
    """RF35: two reforms of one id, or one reform twice."""
    for one, other in combinations(reforms, 2):
        if one.id == other.id:
            yield Problem("RF35", {"id": one.id, "first": one.file, "second": other.file}, **_head(other, "id"))


def _head(reform: Reform, key: str) -> dict[str, Any]:
    """The place of a key in the head of a reform."""
    return {"file": reform.file, "row": reform.lines.get(key, 1), "field": key}


def _conflicts(resolved: Sequence[_Resolved]) -> Iterator[Problem]:
    """Changes of two reforms that meet: two different values refuse the run (RF28); where their order counts, it is
    told (RF53). Within one reform the order is its author's, but a value set twice in one scope is refused, too."""
    for one, other in combinations(resolved, 2):
        if one.change.key != other.change.key or not one.reach.meets(other.reach):
            continue
        if one.reform is other.reform and (one.change.action != "set" or _scope(one.change) != _scope(other.change)):
            continue
        where = {"first": one.change.place, "second": other.change.place}
        if one.change.action == other.change.action == "set":
            if one.change.value != other.change.value:
                told = {**where, "one": change_value_shown(one.change), "other": change_value_shown(other.change)}
                yield Problem("RF28", other.args(**told), **other.place)
            continue
        if one.change.action == other.change.action and (one.change.action == "add" or not _rounded(one.change)):
            continue
        yield Problem("RF53", other.args(**where, one=one.said, other=other.said), **other.place)


def _scope(change: Change) -> tuple[object, ...]:
    """Where and when a change holds."""
    return (change.scope, change.groups, change.since, change.until)


def _rounded(change: Change) -> bool:
    """Is the value a whole number of something, rounded after every change?"""
    return policy_schema().parameters[change.key].type in {"money", "integer"}


def _not_meant(policy: Policy, reforms: Sequence[Reform]) -> Iterator[Problem]:
    for reform in reforms:
        if reform.policies and policy.id not in reform.policies:
            args: dict[str, str | int] = {
                "id": reform.id, "policies": "、".join(reform.policies), "policy": policy.id,
            }  # fmt: skip
            yield Problem("RF54", args, **_head(reform, "policies"))


def _applied(
    policy: Policy, values: GroupValues, item: _Resolved, problems: list[Problem]
) -> tuple[Policy, GroupValues, AppliedChange]:
    """The policy and values after one change, and what was put."""
    change, reach = item.change, item.reach
    parameter = policy_schema().parameters[change.key]
    published = change.key in PUBLISHED
    by_values = published and published_by_values(policy, change, reach)
    header, origin = _origin(policy, item)
    made = new_settings(policy, values, change, reach, origin, published=published and not by_values)
    was = Rules(policy, values)
    nothing = policy, values, AppliedChange(change, item.reform.id, 0, reach.text, reach.groups, was, was)
    basic = _basic(policy, values, item, made)
    movable = basic if fits_values(policy, reach) else frozenset[str]()
    if by_values:
        after_values = new_values(values, change, reach)
    else:
        after_values = new_values(values, change, replace(reach, groups=movable)) if movable else values
    moved_values = [key for key, value in after_values.values.items() if values.values.get(key) != value]
    differing = [setting for setting in made if _before(policy, setting) != setting.value]
    if not made and not moved_values and change.action != "set" and not _same_values(by_values, values, item):
        problems.append(Problem("RF26", item.args(policy=policy.id, action=item.said), **item.place))
        return nothing
    for setting in differing:
        if out_of_range(parameter, setting.value):
            problems.append(
                Problem("RF27", {
                    **item.args(before=value_shown(parameter, _before(policy, setting)),
                                after=value_shown(parameter, setting.value), limits=limits_text(parameter)),
                    "scope": scope_text(setting.scope),
                }, **item.place)
            )  # fmt: skip
            return nothing
    if not differing and not moved_values:
        problems.append(Problem("RF51", item.args(), **item.place))
        return nothing
    unfit = [*_shared_lists(policy, item), *_basic_kept(item, basic - movable)]
    problems += unfit
    if any(problem.level is Level.ERROR for problem in unfit):
        return nothing
    try:
        after = policy.overlay(made, header) if differing else policy
    except TablesRefused as error:
        problems += _refused(error.problems, item)
        return nothing
    places = tuple(_places(policy, differing, moved_values))
    now = Rules(after, after_values)
    done = AppliedChange(change, item.reform.id, len(places), reach.text, reach.groups, was, now, places)
    return after, after_values, done


def _places(policy: Policy, settings: Sequence[Setting], moved: Sequence[Key]) -> Iterator[Place]:
    """Where values were put, and from which day."""
    first = policy.header.effective_from
    for setting in settings:
        yield setting.scope, setting.since or first
    for group, tier, insurance in moved:
        named = {"group": group, "tier": tier, "insurance": insurance}
        yield ordered_scope({name: value for name, value in named.items() if value}), first


def _origin(policy: Policy, item: _Resolved) -> tuple[Header, Origin]:
    """The head of the policy with the source that values of a change name, its own or the reform, and their origin."""
    change, reform, header = item.change, item.reform, policy.header
    own = reform.sources.get(change.source)
    name, source = (change.source, own) if own is not None else (reform.id, PolicySource(f"改革方案：{reform.name}"))
    while name in header.sources and header.sources[name] != source:
        name = f"{reform.id}-{name}"
    if name not in header.sources:
        header = replace(header, sources={**header.sources, name: source})
    return header, Origin(name, "synthetic" if header.data_level == "synthetic" else "project")


def _shared_lists(policy: Policy, item: _Resolved) -> Iterator[Problem]:
    """RF31: a list of the change has groups in common with another that has a value of its own, where the parameter
    differs by list alone."""
    reach, told = item.reach, set[tuple[str, str]]()
    for setting in policy.all(item.change.key) if reach.lists else ():
        pairs = dict(setting.scope)
        other = pairs.pop("list", "")
        apart = any(dict(reach.rest).get(name, value) != value for name, value in pairs.items())
        span = Setting(setting.key, None, None, since=reach.since, until=reach.until)
        if apart or not together(setting, span):
            continue
        for name in reach.lists:
            shared = name != other and set(policy.lists[name]) & set(policy.lists.get(other, ()))
            if shared and (name, other) not in told:
                told.add((name, other))
                yield Problem("RF31", item.args(one=name, other=other), **item.place)


def _basic(policy: Policy, values: GroupValues, item: _Resolved, made: Sequence[Setting]) -> frozenset[str]:
    """Basic groups for which coefficients by group are put, though they are paid by the published one of their own."""
    rules = [setting.value for setting in policy.all("basic_rule") if setting.value.kind == "own_coefficient"]
    if item.change.key != "coefficient" or not rules:
        return frozenset()
    basic = {group for setting in policy.all("basic_groups") for group in setting.value}
    put = {value for setting in made for name, value in setting.scope if name == "group"}
    own = {group for (group, _, _), value in values.values.items() if value.coefficient is not None}
    return frozenset(basic & put & own)


def _basic_kept(item: _Resolved, groups: Collection[str]) -> Iterator[Problem]:
    """What a change that published values cannot take up leaves as it is: refused where it is for groups (RF34), else
    told (RF56)."""
    if groups:
        code = "RF56" if item.reach.groups is None else "RF34"
        yield Problem(code, item.args(codes=groups_shown(sorted(groups))), **item.place)


def _refused(problems: Sequence[Problem], item: _Resolved) -> Iterator[Problem]:
    """Why the policy with the change would be none, at the place of the change; PL15, days without a value, as RF32."""
    for problem in problems:
        if problem.level is not Level.ERROR:
            continue
        if problem.code == "PL15":
            yield Problem("RF32", {**item.args(), "scope": problem.args["scope"]}, **item.place)
        else:
            yield Problem(problem.code, problem.args, **item.place)


def _same_values(by_values: bool, values: GroupValues, item: _Resolved) -> bool:
    """Are there published values in the reach, though the change leaves them as they are?"""
    if not by_values:
        return False
    part, groups = PUBLISHED[item.change.key], item.reach.groups
    return any(
        getattr(value, part) is not None for (group, _, _), value in values.values.items()
        if groups is None or group in groups
    )  # fmt: skip


def _before(policy: Policy, setting: Setting) -> Any:
    """What held in the scope and from the first day of a setting before it was put; None when nothing did."""
    found = standing(policy, setting.key, setting.since or policy.header.effective_from, dict(setting.scope))
    return None if found is None else found.value
