"""What a reform is made of: changes of parameters, a switch of policy or scheme, what is to be solved, grown, tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from reference_tables.policy_file import PolicySource
from reference_tables.policy_settings import canonical
from reference_tables.problems import Problem

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a parameter: after it, every case in its scope and days has f(the value it had before).

    `action` set, scale or add; `value`: of set as the parameter's type says (a list of groups that the reform itself
    does not know stays the list's name), else a Fraction (of money: yuan); `raw` as written. `scope`: (name, value)
    pairs in the order of the schema's scopes, also mdc and type; `groups`: groups named one by one, () = not by group.
    `since`, `until`: first day, and first day no more; None = as the policy.
    """

    key: str
    action: str
    value: Any
    raw: Any
    scope: Pairs = ()
    groups: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    source: str = ""
    article: str = ""
    note: str = ""
    place: str = ""
    line: int = 0

    def canonical(self) -> list[object]:
        """What counts of it: everything but where it stands and how its numbers are spelled."""
        return [
            self.key, self.action, canonical(self.value), [list(pair) for pair in self.scope], list(self.groups),
            str(self.since), str(self.until), self.source, self.article, self.note,
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Switch:
    """What is used after the reform instead: id or path of a policy, a grouping scheme, a weight table; "" = as
    before. `lines`: where each of them is named."""

    policy: str = ""
    scheme: str = ""
    weights: str = ""
    lines: tuple[tuple[str, int], ...] = ()

    def canonical(self) -> list[object]:
        """What counts of it."""
        names = (self.policy, self.scheme, self.weights)
        return [name.replace("\\", "/").rsplit("/", 1)[-1] for name in names]


@dataclass(frozen=True, slots=True)
class Growth:
    """What happens to the cases each year: `kind` volume, price, mix or coding; `factor` of a year (of coding: the
    share of the lighter cases that is coded higher); `scope` and `groups` as of a change."""

    kind: str
    factor: Fraction
    scope: Pairs = ()
    groups: tuple[str, ...] = ()
    years: int = 1
    place: str = ""
    line: int = 0

    def canonical(self) -> list[object]:
        """What counts of it."""
        pairs = [list(pair) for pair in self.scope]
        return [self.kind, canonical(self.factor), pairs, list(self.groups), self.years]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One change tried at `steps` values from `start` to `stop`, both among them, at equal distances."""

    key: str
    action: str
    start: Fraction
    stop: Fraction
    steps: int
    scope: Pairs = ()
    groups: tuple[str, ...] = ()
    place: str = ""
    line: int = 0

    @property
    def values(self) -> tuple[Fraction, ...]:
        """The values tried, in order."""
        span = self.stop - self.start
        return tuple(self.start + span * Fraction(at, self.steps - 1) for at in range(self.steps))

    def canonical(self) -> list[object]:
        """What counts of it."""
        numbers = [canonical(self.start), canonical(self.stop)]
        return [self.key, self.action, *numbers, self.steps, [list(pair) for pair in self.scope], list(self.groups)]


@dataclass(frozen=True, slots=True)
class Solve:
    """A number to be found. `kind` neutral, target, corridor or shrink; `fields` by name as reform_schema.toml declares
    them, defaults filled in: decimals Fraction, `for` as `scope` (pairs) and `groups`, absent ones without a default
    None."""

    kind: str
    fields: Mapping[str, Any]
    place: str = ""
    line: int = 0

    def canonical(self) -> list[object]:
        """What counts of it."""
        return [self.kind, [[name, canonical(value)] for name, value in sorted(self.fields.items())]]


@dataclass(frozen=True, eq=False)
class Reform:
    """A reform file. `policies`: ids of the policies it is meant for, () = any; `lists`: its own lists of groups;
    `sha256` over the content; `problems`: warnings found on loading. `folder`: where the files it names lie; `lines`:
    those of the keys of its head."""

    id: str
    name: str
    file: str
    sha256: str
    data_level: str
    statement: str
    policies: tuple[str, ...] = ()
    sources: Mapping[str, PolicySource] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    switch: Switch | None = None
    solves: tuple[Solve, ...] = ()
    growths: tuple[Growth, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    problems: tuple[Problem, ...] = ()
    folder: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
