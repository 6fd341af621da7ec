"""The data of the quality rules: how each is applied, its code families, pairs, value sets and limits.

The tables stand in `quality/`; every one is checked on loading, and a fault in them is a programmer's error
(ValueError naming file and row). Levels, messages and remedies stand in the problem catalogue.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, cast

from reference_tables.code_family import CodeFamily, System, parse_family
from reference_tables.problems import Level, catalogue

RULE_ID = re.compile(r"[A-K][0-9]{2}")
STATES = frozenset({"on", "off", "unavailable"})
INPUTS = frozenset({"scheme", "grouped", "standards", "as_of"})
_NAME_LISTS = ("needs", "each", "optional", "any", "charges", "inputs", "parameters")
_RULE_KEYS = frozenset({*_NAME_LISTS, "asked_level", "other_level", "state", "reason", "source"})
_ROLES = frozenset({"registration", "service", "care", "operation", "material", "drug", "other", "part"})
_UNITS = frozenset({"", "years", "days", "minutes", "g", "fen", "count", "percent", "ratio"})

ParameterValue = int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleApplication:
    """How one rule is applied: see the head of `quality/rules.toml`. `asked_level`, `other_level` None = as the
    catalogue."""

    rule: str
    needs: tuple[str, ...]
    each: tuple[str, ...]
    optional: tuple[str, ...]
    any: tuple[str, ...]
    charges: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    asked_level: Level | None
    other_level: Level | None
    state: str
    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A limit or word list of the rules. `value` None = a policy choice that nobody has made yet."""

    name: str
    value: ParameterValue | None
    unit: str
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class CodePair:
    """Two families that should be one code (`result`), or that exclude each other (`result` "")."""

    rule: str
    first: CodeFamily
    second: CodeFamily
    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Companion:
    """A code of `family` asks for one of `companion` (`label` in Chinese) in the same record."""

    rule: str
    family: CodeFamily
    companion: CodeFamily
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Charge:
    """One charge column of a set (settlement list or front page). `role`: what was paid for; a `part` is
    contained in `part_of` and does not count towards the total."""

    column: str
    role: str
    part_of: str


@dataclass(frozen=True)
class QualityData:
    """Everything the quality rules read, by rule id. `principal`: families barred or doubtful as principal
    diagnosis; `families`: (rule, part); `value_sets`: column -> value -> Chinese label; `charges`: by set."""

    rules: Mapping[str, RuleApplication]
    parameters: Mapping[str, Parameter]
    principal: Mapping[str, CodeFamily]
    pairs: tuple[CodePair, ...]
    companions: tuple[Companion, ...]
    families: Mapping[tuple[str, str], CodeFamily]
    value_sets: Mapping[str, Mapping[str, str]]
    charges: Mapping[str, tuple[Charge, ...]]
    sources: Mapping[str, str]


def _text(name: str) -> str:
    return (resources.files("reference_tables") / "quality" / name).read_text(encoding="utf-8")


def _rows(name: str, columns: tuple[str, ...], sources: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of one table with the line they stand on; the header, the width and `source` are checked."""
    lines = csv.reader(_text(name).splitlines(), strict=True)
    if tuple(next(lines)) != columns:
        raise ValueError(f"quality/{name}: the header must be {','.join(columns)}")
    for number, cells in enumerate(lines, start=2):
        row = dict(zip(columns, cells, strict=True))
        if row["source"] not in sources:
            raise ValueError(f"quality/{name}:{number}: source {row['source']!r} is not in sources.toml")
        yield number, row


def _family(place: str, text: str, system: str) -> CodeFamily:
    if system not in {"diagnosis", "procedure"}:
        raise ValueError(f"quality/{place}: system {system!r}")
    try:
        return parse_family(text, cast(System, system))
    except ValueError as error:
        raise ValueError(f"quality/{place}: {error}") from None


def _rule(rule: str, body: Mapping[str, Any], sources: Mapping[str, str]) -> RuleApplication:
    """One table of rules.toml, checked against the catalogue and the list of sources."""
    state = body.get("state", "on")
    wrong = [f"unknown key {key}" for key in body.keys() - _RULE_KEYS]
    if rule not in catalogue():
        wrong.append("is not in the problem catalogue")
    if state not in STATES or (state == "on") == ("reason" in body):
        wrong.append("needs a known state, and a reason exactly when it is not on")
    if body.get("source") not in sources:
        wrong.append("needs a source of sources.toml")
    if not INPUTS.issuperset(body.get("inputs", ())):
        wrong.append("has an unknown input")
    if wrong:
        raise ValueError(f"quality/rules.toml: [{rule}] {'; '.join(wrong)}")
    asked, other = (None if body.get(key) is None else Level(body[key]) for key in ("asked_level", "other_level"))
    return RuleApplication(
        rule=rule,
        **{name: tuple(body.get(name, ())) for name in _NAME_LISTS},
        asked_level=asked,
        other_level=other,
        state=state,
        reason=body.get("reason", ""),
        source=body["source"],
    )


def _parameter(name: str, body: Mapping[str, Any], sources: Mapping[str, str]) -> Parameter:
    given = body.keys()
    if not {"label", "source"} <= given <= {"value", "unit", "label", "source"}:
        raise ValueError(f"quality/parameters.toml: [{name}] needs label and source, and nothing unknown")
    unit = body.get("unit", "")
    if unit not in _UNITS or body["source"] not in sources:
        raise ValueError(f"quality/parameters.toml: [{name}] has an unknown unit or source")
    value = body.get("value")
    if isinstance(value, list):
        value = tuple(value)
    return Parameter(name, value, unit, body["label"], body["source"])


def _rules_and_parameters(
    sources: Mapping[str, str],
) -> tuple[dict[str, RuleApplication], dict[str, Parameter]]:
    declared = tomllib.loads(_text("parameters.toml"))
    parameters = {name: _parameter(name, body, sources) for name, body in declared.items()}
    rules = {rule: _rule(rule, body, sources) for rule, body in tomllib.loads(_text("rules.toml")).items()}
    of_catalogue = {code for code in catalogue() if RULE_ID.fullmatch(code)}
    if rules.keys() != of_catalogue:
        raise ValueError(f"quality/rules.toml and the catalogue differ: {sorted(rules.keys() ^ of_catalogue)}")
    read = {name for rule in rules.values() for name in rule.parameters}
    if read != parameters.keys():
        raise ValueError(f"quality/parameters.toml and rules.toml differ: {sorted(read ^ parameters.keys())}")
    return rules, parameters


def _value_sets(sources: Mapping[str, str]) -> dict[str, dict[str, str]]:
    sets: dict[str, dict[str, str]] = {}
    for number, row in _rows("value_sets.csv", ("column", "value", "label", "source"), sources):
        values = sets.setdefault(row["column"], {})
        if row["value"] in values or not row["label"]:
            raise ValueError(f"quality/value_sets.csv:{number}: value stands twice or has no label")
        values[row["value"]] = row["label"]
    return sets


def _charges(sources: Mapping[str, str]) -> dict[str, tuple[Charge, ...]]:
    sets: dict[str, tuple[Charge, ...]] = {}
    for number, row in _rows("charges.csv", ("set", "column", "role", "part_of", "source"), sources):
        before = sets.get(row["set"], ())
        known = {charge.column for charge in before}
        if row["role"] not in _ROLES or (row["role"] == "part") != (row["part_of"] in known):
            raise ValueError(f"quality/charges.csv:{number}: unknown role, or part_of that stands not above")
        sets[row["set"]] = (*before, Charge(row["column"], row["role"], row["part_of"]))
    return sets


def _principal(sources: Mapping[str, str]) -> dict[str, CodeFamily]:
    columns = ("rule", "codes", "reason", "source")
    return {
        row["rule"]: _family(f"principal.csv:{number}", row["codes"], "diagnosis")
        for number, row in _rows("principal.csv", columns, sources)
    }


def _families(sources: Mapping[str, str]) -> dict[tuple[str, str], CodeFamily]:
    columns = ("rule", "part", "system", "codes", "source")
    found: dict[tuple[str, str], CodeFamily] = {}
    for number, row in _rows("families.csv", columns, sources):
        key = (row["rule"], row["part"])
        if key in found:
            raise ValueError(f"quality/families.csv:{number}: {key} stands twice")
        found[key] = _family(f"families.csv:{number}", row["codes"], row["system"])
    return found


def _pairs(sources: Mapping[str, str]) -> tuple[CodePair, ...]:
    columns = ("rule", "system", "first", "second", "result", "source")
    return tuple(
        CodePair(
            row["rule"],
            _family(f"pairs.csv:{number}", row["first"], row["system"]),
            _family(f"pairs.csv:{number}", row["second"], row["system"]),
            row["result"],
            row["source"],
        )
        for number, row in _rows("pairs.csv", columns, sources)
    )


def _companions(sources: Mapping[str, str]) -> tuple[Companion, ...]:
    columns = ("rule", "system", "codes", "companion", "label", "source")
    return tuple(
        Companion(
            row["rule"],
            _family(f"companions.csv:{number}", row["codes"], row["system"]),
            _family(f"companions.csv:{number}", row["companion"], row["system"]),
            row["label"],
            row["source"],
        )
        for number, row in _rows("companions.csv", columns, sources)
    )


@cache
def quality_data() -> QualityData:
    """Read and check everything under `quality/`, once; ValueError names the file and the row at fault."""
    sources: dict[str, str] = tomllib.loads(_text("sources.toml"))
    rules, parameters = _rules_and_parameters(sources)
    data = QualityData(
        rules=rules,
        parameters=parameters,
        principal=_principal(sources),
        pairs=_pairs(sources),
        companions=_companions(sources),
        families=_families(sources),
        value_sets=_value_sets(sources),
        charges=_charges(sources),
        sources=sources,
    )
    named = {*data.principal, *(rule for rule, _ in data.families)}
    named |= {pair.rule for pair in data.pairs} | {companion.rule for companion in data.companions}
    if not named <= rules.keys():
        raise ValueError(f"quality: tables name unknown rules {sorted(named - rules.keys())}")
    return data
