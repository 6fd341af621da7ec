"""Payment policies as data: what a region pays by, each value with its scope, dates, source and confidence.

A policy is one TOML file, built in or a user's own. It says nothing that its source does not say: a value that is
not there is absent, and a command that needs it names it (PL30) instead of making one up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from hashlib import sha256
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from reference_tables.policy_checks import check_settings
from reference_tables.policy_file import Answer, Header, read_policy_data, read_policy_text
from reference_tables.policy_schema import policy_schema
from reference_tables.policy_settings import Scope, Setting, precedence, scope_text
from reference_tables.problems import Level, Problem, TablesRefused

__all__ = ["Policy", "Setting", "find_policies", "load_policy", "parse_policy", "policy_of", "policy_source"]


@dataclass(frozen=True, eq=False)
class Policy:
    """A payment policy: `header` (identity, dates, insurances, tiers, lists, sources) and `settings` as written.

    `problems`: warnings found on loading. Two policies of the same content have the same `sha256`.
    """

    header: Header
    settings: tuple[Setting, ...]
    problems: tuple[Problem, ...] = ()
    _index: dict[str, list[Setting]] = field(default_factory=dict, repr=False)
    _by_scope: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], list[Setting]]]] = field(
        default_factory=dict, repr=False
    )
    _found: dict[tuple[object, ...], Setting | None] = field(default_factory=dict, repr=False)
    _names: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    _dated: dict[str, bool] = field(default_factory=dict, repr=False)
    _lists_of: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for setting in self.settings:
            self._index.setdefault(setting.key, []).append(setting)
        for key, settings in self._index.items():
            settings.sort(key=precedence)
            patterns = self._by_scope.setdefault(key, {})
            for setting in settings:
                names = tuple(name for name, _ in setting.scope)
                values = tuple(value for _, value in setting.scope)
                patterns.setdefault(names, {}).setdefault(values, []).append(setting)
            used = {name for names in patterns for name in names}
            self._names[key] = frozenset("group" if name == "list" else name for name in used)
            self._dated[key] = any(setting.dated for setting in settings)
        for name, codes in self.header.lists.items():
            for code in codes:
                self._lists_of[code] = (*self._lists_of.get(code, ()), name)

    @property
    def id(self) -> str:
        return self.header.id

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def region(self) -> str:
        return self.header.region

    @property
    def method(self) -> str:
        """drg-rate, drg-point or dip."""
        return self.header.method

    @property
    def weights(self) -> str:
        """The id of the built-in weight table, or the path of a weight file; "" when there is none."""
        return self.header.weights

    @property
    def insurances(self) -> tuple[str, ...]:
        return self.header.insurances

    @property
    def tiers(self) -> tuple[str, ...]:
        """Tier words in order, highest first; empty when the policy names none."""
        return self.header.tiers

    @property
    def lists(self) -> Mapping[str, tuple[str, ...]]:
        return self.header.lists

    @property
    def sha256(self) -> str:
        """Of the content: not of comments, order, spelling of numbers or the place of the file."""
        settings = sorted(json.dumps(setting.canonical(), ensure_ascii=False) for setting in self.settings)
        content = [self.header.canonical(), settings]
        return sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode("utf-8")).hexdigest()

    def all(self, key: str) -> Sequence[Setting]:
        """Every value of a parameter, the one that wins first."""
        return tuple(self._index.get(key, ()))

    def has(self, key: str) -> bool:
        """Is there any value of this parameter?"""
        return key in self._index

    def names(self, key: str) -> frozenset[str]:
        """The scope names an answer for `key` depends on: only these have to be given to `get`."""
        return self._names.get(key, frozenset())

    def dated(self, key: str) -> bool:
        """Does the value of `key` change within the policy's time, by date or month?"""
        return self._dated.get(key, False) or "month" in self.names(key)

    def get(self, key: str, on: date | None = None, **scope: str) -> Setting | None:
        """The value of a parameter for a case: group, hospital, month, tier, insurance (list = a list by its name).

        The value that names the most scopes wins, of as many the one that names the narrower. A parameter that is
        not set gives its default where the schema has one, else None. `on` also stands for its month. Raises
        KeyError for an unknown parameter, ValueError when the value is dated and no day is given.
        """
        parameter = policy_schema().parameters[key]
        settings = self._index.get(key)
        if not settings:
            return None if parameter.default is None else Setting(key, parameter.default, parameter.default)
        names, dated = self._names[key], self._dated[key]
        given = {name: value for name, value in scope.items() if name in names or name == "list"}
        if on is not None and "month" in names:
            given.setdefault("month", f"{on:%Y-%m}")
        if dated and on is None:
            raise ValueError(f"{key} changes within the policy's time: say the day")
        cache_key = (key, on if dated else None, *sorted(given.items()))
        if cache_key not in self._found:
            self._found[cache_key] = self._first(key, given, on if dated else None)
        return self._found[cache_key]

    def _first(self, key: str, given: Mapping[str, str], on: date | None) -> Setting | None:
        """The value that wins. A list holds for the groups in it; two lists with a group in common never both have a
        value (PL14), so that the first found is the only one."""
        lists = (given["list"],) if "list" in given else self._lists_of.get(given.get("group", ""), ())
        for names, by_value in self._by_scope[key].items():
            choices = [lists if name == "list" else (given[name],) if name in given else () for name in names]
            for values in product(*choices):
                for setting in by_value.get(values, ()):
                    if on is None or setting.on(on):
                        return setting
        return None

    def need(
        self, key: str, command: str, *, on: date | None = None, problems: list[Problem] | None = None, **scope: str
    ) -> Setting | None:
        """As `get`, but a missing value is a problem (PL30): noted in `problems`, once, and None given back, or raised
        as TablesRefused when there is no list to note it in. It names the scopes by which the policy's other values of
        the parameter differ; all, when there is no value."""
        found = self.get(key, on, **scope)
        if found is not None:
            return found
        wanted = [(name, scope[name]) for name in policy_schema().scopes if name in self.names(key) and name in scope]
        problem = self.missing_problem(key, command, scope_text(wanted))
        if problems is None:
            raise TablesRefused(self.id, [problem])
        if problem not in problems:
            problems.append(problem)
        return None

    def missing_problem(self, key: str, command: str, scope: str = "全部") -> Problem:
        """PL30: the parameter `key` is missing for a command."""
        schema = policy_schema()
        label = schema.commands[command].label if command in schema.commands else command
        args: dict[str, str | int] = {
            "label": schema.parameters[key].label, "key": key, "scope": scope, "policy": self.id, "command": label,
        }  # fmt: skip
        return Problem("PL30", args, file=self.header.file, field=key)

    def outside(self, first: date, last: date) -> Problem | None:
        """PL31 when the policy does not hold on all days from `first` to `last`."""
        since, until = self.header.effective_from, self.header.effective_until
        if since <= first and (until is None or last < until):
            return None
        args: dict[str, str | int] = {
            "policy": self.id, "since": str(since), "until": str(until or "今"), "first": str(first), "last": str(last),
        }  # fmt: skip
        return Problem("PL31", args, file=self.header.file)

    def overlay(self, settings: Iterable[Setting], header: Header | None = None) -> Policy:
        """The policy with other values: each replaces those of its key and scope on its days. `header`: its head with
        more sources or lists, when the values name some.

        An overlay of values it has already is the same policy. Raises TablesRefused when the result is no sound
        policy.
        """
        whole: dict[tuple[str, Scope], list[Setting]] = {}
        for old in self.settings:
            whole.setdefault((old.key, old.scope), []).append(old)
        for new in settings:
            same = whole.setdefault((new.key, new.scope), [])
            same[:] = [*(part for old in same for part in _outside(old, new)), new]
        kept = [setting for same in whole.values() for setting in same]
        header = header or self.header
        problems = check_settings(header, kept)
        if any(problem.level is Level.ERROR for problem in problems):
            raise TablesRefused(self.id, problems)
        return Policy(header, tuple(kept), tuple(problems))


def _outside(old: Setting, new: Setting) -> list[Setting]:
    """What is left of `old`, of the same key and scope, on the days that `new` does not take."""
    parts = []
    if new.since is not None and (old.since is None or old.since < new.since):
        end = new.since if old.until is None or old.until > new.since else old.until
        parts.append(replace(old, until=end))
    if new.until is not None and (old.until is None or old.until > new.until):
        start = new.until if old.since is None or old.since < new.until else old.since
        parts.append(replace(old, since=start))
    return parts


def _made(answer: Answer, what: str) -> Policy:
    header, settings, problems, unread = answer
    found = list(problems)
    if header is not None:
        found += check_settings(header, settings, unread)
    found.sort(key=lambda problem: problem.row)
    if header is None or any(problem.level is Level.ERROR for problem in found):
        raise TablesRefused(what, found)
    return Policy(header, tuple(settings), tuple(found))


def parse_policy(text: str, file: str = "policy.toml", folder: Path | None = None) -> Policy:
    """A policy from TOML text; `folder`: where its weight file is looked for.

    Raises TablesRefused with every problem: file, key, line, what was expected.
    """
    return _made(read_policy_text(text, file, folder), file)


def policy_of(data: Mapping[str, Any], file: str = "") -> Policy:
    """A policy from what a TOML file would hold (decimals as text). Raises TablesRefused with every problem."""
    return _made(read_policy_data(data, file), file or str(data.get("id", "")))


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "policies"))


@cache
def find_policies() -> Sequence[str]:
    """Ids of the built-in policies, in order."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def load_policy(name: str | Path) -> Policy:
    """A built-in policy by its id, or a policy file by its path.

    Raises TablesRefused: PL01 not found, PL02 not readable, else every problem of the file at once.
    """
    text, path = policy_source(name)
    return parse_policy(text, path.name, path.parent)


def policy_source(name: str | Path) -> tuple[str, Path]:
    """The TOML text of a built-in policy or policy file, and where it lies. Raises TablesRefused: PL01, PL02."""
    built_in = str(name) in find_policies()
    path = _folder() / f"{name}.toml" if built_in else Path(name)
    try:
        data = path.read_bytes()
    except OSError:
        args: dict[str, str | int] = {"name": str(name), "known": "、".join(find_policies())}
        raise TablesRefused(str(name), [Problem("PL01", args, value=str(name))]) from None
    try:
        return data.decode("utf-8-sig"), path
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        problem = Problem("PL02", {"reason": f"第 {line} 行起不是 UTF-8 编码"}, file=path.name, row=line)
        raise TablesRefused(str(name), [problem]) from None
