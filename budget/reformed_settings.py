"""Puts a change into force exactly: whatever the scopes of the values before it, each case in its scope and days has
f(the value it had), and nothing else moves.

For every combination of scopes that some cases may meet at once (the closure under unions of the scopes that fit
together, joined with the change's own) one value is put: of all that hold for a case it names the most scopes and wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from typing import Any

from budget.group_values import GroupValue, GroupValues, Key
from budget.reform_scope import Reach, in_month
from budget.reform_values import changed_value, written
from reference_tables.policy import Policy
from reference_tables.policy_schema import Parameter, policy_schema
from reference_tables.policy_settings import Scope, Setting, ordered_scope
from reference_tables.reform_parts import Change

Pairs = frozenset[tuple[str, str]]
Span = tuple[date | None, date | None]
PUBLISHED = {"weight": "weight", "coefficient": "coefficient", "peer_average": "peer_average"}
"""Parameters that are also published by group, and where."""
_BEFORE_PLAIN = frozenset({"coefficient", "peer_average"})
"""Of those, the ones of which what is published goes before a value of the policy that is not by group."""


@dataclass(frozen=True)
class Origin:
    """What a changed value says of itself: a source that the policy's head has, and a confidence."""

    source: str
    confidence: str


def new_settings(
    policy: Policy, values: GroupValues, change: Change, reach: Reach, origin: Origin, *, published: bool
) -> list[Setting]:
    """The values that put a change of one parameter into force; with `published` also those that say of published
    values of groups what the change makes of them, and on the policy's other days what they are."""
    parameter = policy_schema().parameters[change.key]
    own = _value_scopes(values, parameter) if published or change.key in _BEFORE_PLAIN else {}
    if not published:
        # A value by group goes before a published coefficient, so that where one is put it must be what is published.
        settled = _settled_groups(policy, change.key)
        own = {group: scopes for group, scopes in own.items() if group in settled}
    cut, whole = _spans(policy, change.key, reach), _whole_spans(policy, change.key, reach)
    found: list[Setting] = []
    scopes = list(closure(policy, change.key, reach, own))
    # What is paid at 1 for want of any coefficient is written as 1 on the days that the change is not for.
    defaults = change.key == "coefficient" and values.has_coefficients
    at_one = defaults and any(_lacking(policy, change.key, dict(scope), cut) for scope in scopes)
    for scope in scopes:
        given = dict(scope)
        of_values = given.get("group") in own
        for since, until in whole if of_values or at_one else cut:
            if not in_month(given.get("month", ""), since, until):
                continue
            day = since or policy.header.effective_from
            inside = reach.since <= day and (reach.until is None or day < reach.until)
            setting, before = effective_value(policy, values, change.key, day, given, published=of_values)
            if before is None and (change.action != "set" or not inside):
                continue
            value = changed_value(parameter, change, before) if inside else before
            if setting is None or (inside and value != before):
                found.append(_setting(parameter, change, policy.lists, origin, value, scope, (since, until)))
            else:
                found.append(replace(setting, scope=scope, since=since, until=until, place=change.place))
    return _joined(found)


def _lacking(policy: Policy, key: str, scope: Mapping[str, str], spans: Iterable[Span]) -> bool:
    """Is there no value at all for a scope in some of the spans?"""
    first = policy.header.effective_from
    return any(standing(policy, key, since or first, scope) is None for since, _ in spans)


def standing(policy: Policy, key: str, day: date, scope: Mapping[str, str]) -> Setting | None:
    """The value that holds on a day for exactly a scope; one that names no month is not that of the day's month."""
    return policy.get(key, day, **{"month": "", **scope})


def effective_value(
    policy: Policy, values: GroupValues, key: str, day: date, scope: Mapping[str, str], *, published: bool
) -> tuple[Setting | None, Any]:
    """The setting that decides, None when none does, and the value that holds, as pricing looks it up; `published`: the
    scope names a group, whose published value counts too. Where groups have published coefficients, one without any is
    paid at 1."""
    setting = standing(policy, key, day, scope)
    old = None
    if published:
        of = values.get(scope["group"], scope.get("tier", ""), scope.get("insurance", ""))
        old = getattr(of, PUBLISHED[key])
    if old is not None and (setting is None or (key in _BEFORE_PLAIN and not setting.by_group)):
        return None, old
    if setting is None and key == "coefficient" and values.has_coefficients:
        return None, Fraction(1)
    return setting, None if setting is None else setting.value


def _settled_groups(policy: Policy, key: str) -> set[str]:
    """Groups that some value of the parameter names, alone or in a list."""
    found: set[str] = set()
    for setting in policy.all(key):
        for name, value in setting.scope:
            found |= {value} if name == "group" else set(policy.lists.get(value, ())) if name == "list" else set()
    return found


def _value_scopes(values: GroupValues, parameter: Parameter) -> dict[str, set[Pairs]]:
    """The tiers and insurances that published values of a part are told apart by, by group."""
    part, found = PUBLISHED[parameter.key], dict[str, set[Pairs]]()
    for (group, tier, insurance), value in values.values.items():
        if getattr(value, part) is not None:
            pairs = [("tier", tier)] if tier and "tier" in parameter.scope else []
            pairs += [("insurance", insurance)] if insurance else []
            found.setdefault(group, set()).add(frozenset(pairs))
    return found


def closure(policy: Policy, key: str, reach: Reach, more: Mapping[str, set[Pairs]]) -> Iterator[Scope]:
    """Every combination of scopes within the reach that needs a value of its own; `more` scopes by group beside those
    of the policy's values."""
    lists = {name: frozenset(codes) for name, codes in policy.lists.items()}
    plain: set[Pairs] = set()
    by_group: dict[str, set[Pairs]] = {}
    for setting in policy.all(key):
        pairs = dict(setting.scope)
        group = pairs.pop("group", None)
        if group is None:
            plain.add(frozenset(setting.scope))
        else:
            by_group.setdefault(group, set()).add(frozenset(pairs.items()))
    for group, scopes in more.items():
        by_group.setdefault(group, set()).update(scopes)
    base = frozenset(reach.rest)
    bases = [base | {("list", name)} for name in reach.lists] or [base]
    whole: set[Pairs] = set()
    if reach.groups is None or reach.lists:
        for start in bases:
            whole |= _unions(start, plain)
    one_by_one = by_group if reach.groups is None else reach.groups
    for group in () if reach.lists else sorted(one_by_one):
        own = {_without(pairs, "list") for pairs in plain if _fits(pairs, group, lists)} | by_group.get(group, set())
        for start in bases:
            if not _fits(start, group, lists):
                continue
            whole |= {pairs | {("group", group)} for pairs in _unions(_without(start, "list"), own)}
    yield from sorted(ordered_scope(dict(pairs)) for pairs in whole)


def _unions(start: Pairs, others: Iterable[Pairs]) -> set[Pairs]:
    """`start` joined with every set of the others that fit it and each other."""
    found = {start}
    for other in others:
        found |= {pairs | other for pairs in found if _together(pairs, other)}
    return found


def _together(one: Pairs, other: Pairs) -> bool:
    named = dict(one)
    return all(named.get(name, value) == value for name, value in other)


def _fits(pairs: Pairs, group: str, lists: dict[str, frozenset[str]]) -> bool:
    return all(name != "list" or group in lists.get(value, frozenset()) for name, value in pairs)


def _without(pairs: Pairs, name: str) -> Pairs:
    return frozenset(pair for pair in pairs if pair[0] != name)


def _spans(policy: Policy, key: str, reach: Reach) -> list[Span]:
    """The reach's days cut where any value of the parameter begins or ends; None = as the policy."""
    cuts = {day for setting in policy.all(key) for day in (setting.since, setting.until) if day is not None}
    inside = sorted(day for day in cuts if reach.since < day < (reach.until or date.max))
    return _between(policy, [reach.since, *inside, reach.until])


def _whole_spans(policy: Policy, key: str, reach: Reach) -> list[Span]:
    """All of the policy's days, cut likewise and where the reach begins and ends."""
    first, last = policy.header.effective_from, policy.header.effective_until
    cuts = {day for setting in policy.all(key) for day in (setting.since, setting.until) if day is not None}
    cuts |= {day for day in (reach.since, reach.until) if day is not None}
    return _between(policy, [first, *sorted(day for day in cuts if first < day < (last or date.max)), last])


def _between(policy: Policy, edges: Sequence[date | None]) -> list[Span]:
    first, last = policy.header.effective_from, policy.header.effective_until
    return [
        (None if start == first else start, None if end == last or end is None else end)
        for start, end in pairwise(edges)
    ]


def _setting(
    parameter: Parameter,
    change: Change,
    lists: Mapping[str, Sequence[str]],
    origin: Origin,
    value: Any,
    scope: Scope,
    span: Span,
) -> Setting:
    """A value as the reformed policy would write it: as the change does where that says the same without the reform's
    own lists."""
    raw = written(parameter, value)
    if change.action == "set" and value == change.value and not isinstance(change.raw, str):
        raw = change.raw
    if parameter.type in {"groups", "steps"}:
        named = isinstance(change.raw, str) and tuple(lists.get(change.raw, ())) == tuple(value)
        raw = change.raw if named else list(value)
    return Setting(
        change.key, value, raw, scope, *span, source=origin.source, article=change.article,
        confidence=origin.confidence, note=change.note, place=change.place,
    )  # fmt: skip


def _joined(settings: Iterable[Setting]) -> list[Setting]:
    """Neighbouring days of the same value as one."""
    found: list[Setting] = []
    for setting in settings:
        last = found[-1] if found else None
        same = last is not None and (last.scope, last.value) == (setting.scope, setting.value)
        if last is not None and same and last.until == setting.since and last.until is not None:
            found[-1] = replace(last, until=setting.until)
        else:
            found.append(setting)
    return found


def published_by_values(policy: Policy, change: Change, reach: Reach) -> bool:
    """Do the published values of groups take the change up themselves?"""
    own = change.key in _BEFORE_PLAIN and reach.groups is not None  # a setting by group goes before what is published
    return fits_values(policy, reach) and not own


def fits_values(policy: Policy, reach: Reach) -> bool:
    """Can published values express the reach? They know tiers and insurances, no days and no hospitals."""
    header = policy.header
    whole = reach.since == header.effective_from and reach.until == header.effective_until
    return whole and {name for name, _ in reach.rest} <= {"tier", "insurance"} and not reach.lists


def new_values(values: GroupValues, change: Change, reach: Reach) -> GroupValues:
    """The published values after a change of theirs."""
    part = PUBLISHED[change.key]
    parameter = policy_schema().parameters[change.key]
    rest = dict(reach.rest)
    start = (rest.get("tier", ""), rest.get("insurance", ""))
    by_group: dict[str, set[tuple[str, str]]] = {}
    for group, tier, insurance in values.values:
        by_group.setdefault(group, set()).add((tier, insurance))
    made = dict(values.values)
    for group, keys in by_group.items():
        if reach.groups is not None and group not in reach.groups:
            continue
        for tier, insurance in _value_keys(start, keys):
            old = getattr(values.get(group, tier, insurance), part)
            if old is None:
                continue
            key: Key = (group, tier, insurance)
            have = made.get(key, GroupValue(None, None, None))
            made[key] = replace(have, **{part: changed_value(parameter, change, old)})
    return GroupValues(made)


def _value_keys(start: tuple[str, str], keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The (tier, insurance) that need an entry of their own."""
    found = {start}
    for tier, insurance in keys:
        found |= {
            (tier or at[0], insurance or at[1])
            for at in found
            if (not tier or not at[0] or tier == at[0]) and (not insurance or not at[1] or insurance == at[1])
        }
    return found
