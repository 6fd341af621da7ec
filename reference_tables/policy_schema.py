"""The parameters a payment policy may set, as `policy_schema.toml` declares them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

METHODS = {
    "drg-rate": "DRG 费率法",
    "drg-point": "DRG 点数法",
    "dip": "DIP 分值法",
    "quota": "总额预付（不按病组定价）",
}
PRICE_UNITS = {"drg-rate": "元/权重", "drg-point": "元/点", "dip": "元/分"}
"""What a point value or rate is the price of, by payment method."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds while the parameter `key` has one of `values`; with no values: while it is set at all."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `minimum`, `maximum`: bounds of every number in its value. `scope`: by what it may differ.

    `needed`: commands that cannot run without it under the methods `needed_under` (while one of `needed_if` holds, or
    always when there is none), unless one of `unless` or `rivals` is there, of which the latter must not be set beside
    it; `on_demand`: commands that need it only when such a case comes up.
    `companion`: leaving it out while `needed_if` holds is an error of the policy itself. `labels`: Chinese of each of
    `values`.
    """

    key: str
    section: str
    label: str
    meaning: str
    type: str
    unit: str
    minimum: Fraction | None
    maximum: Fraction | None
    values: tuple[str, ...]
    scope: tuple[str, ...]
    methods: tuple[str, ...]
    needed: tuple[str, ...]
    on_demand: tuple[str, ...]
    needed_if: tuple[Condition, ...]
    unless: tuple[str, ...]
    rivals: tuple[str, ...]
    companion: bool
    default: bool | None
    needed_under: tuple[str, ...] = tuple(METHODS)
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that runs on a policy; it also needs what the commands in `after` need."""

    key: str
    label: str
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicySchema:
    """`scopes`: name -> label, narrowest first. `confidences`, `types`, `basic_kinds`, `band_formulas`, `formulas`:
    word -> Chinese text. `formula_methods`: formula -> the payment methods it belongs to."""

    parameters: Mapping[str, Parameter]
    commands: Mapping[str, Command]
    scopes: Mapping[str, str]
    confidences: Mapping[str, str]
    types: Mapping[str, str]
    basic_kinds: Mapping[str, str]
    band_formulas: Mapping[str, str]
    formulas: Mapping[str, str]
    formula_methods: Mapping[str, tuple[str, ...]]


_KEYS = {
    "section", "label", "meaning", "type", "unit", "min", "max", "values", "scope", "methods", "needed", "needed_under",
    "on_demand", "needed_if", "unless", "rivals", "companion", "default",
}  # fmt: skip
_WORDED = frozenset({"choice", "steps"})
"""Types whose values are words."""


def _labels(key: str, body: Mapping[str, Any], formulas: Mapping[str, str]) -> dict[str, str]:
    """Every word that a choice or steps may use with its Chinese label; a list holds formulas, told once for all."""
    given = body.get("values", {})
    labels = dict(given) if isinstance(given, Mapping) else {word: formulas.get(word, "") for word in given}
    unsaid = sorted(word for word, label in labels.items() if not isinstance(label, str) or not label.strip())
    if unsaid or bool(labels) != (body["type"] in _WORDED):
        raise ValueError(f"policy_schema.toml: [parameters.{key}] values need a label each, lacking: {unsaid}")
    return labels


def read_parameter(key: str, body: Mapping[str, Any], formulas: Mapping[str, str]) -> Parameter:
    """One parameter as the file declares it. Raises ValueError: unknown keys, a choice without a label."""
    if not set(body) <= _KEYS:
        raise ValueError(f"policy_schema.toml: [parameters.{key}] has unknown keys {sorted(set(body) - _KEYS)}")
    labels = _labels(key, body, formulas)
    return Parameter(
        key=key,
        section=body["section"],
        label=body["label"],
        meaning=body["meaning"],
        type=body["type"],
        unit=body.get("unit", ""),
        minimum=Fraction(body["min"]) if "min" in body else None,
        maximum=Fraction(body["max"]) if "max" in body else None,
        values=tuple(labels),
        labels=labels,
        scope=tuple(body["scope"]),
        methods=tuple(body.get("methods", METHODS)),
        needed=tuple(body.get("needed", ())),
        needed_under=tuple(body.get("needed_under", METHODS)),
        on_demand=tuple(body.get("on_demand", ())),
        needed_if=tuple(Condition(item["key"], tuple(item["values"])) for item in body.get("needed_if", ())),
        unless=tuple(body.get("unless", ())),
        rivals=tuple(body.get("rivals", ())),
        companion=body.get("companion", False),
        default=body.get("default"),
    )


@cache
def policy_schema() -> PolicySchema:
    """The schema that comes with the program."""
    text = (resources.files("reference_tables") / "policy_schema.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return PolicySchema(
        parameters={key: read_parameter(key, body, data["formulas"]) for key, body in data["parameters"].items()},
        commands={key: Command(key, body["label"], tuple(body["after"])) for key, body in data["commands"].items()},
        scopes=data["scopes"],
        confidences=data["confidences"],
        types=data["types"],
        basic_kinds=data["basic_kinds"],
        band_formulas=data["band_formulas"],
        formulas=data["formulas"],
        formula_methods={formula: tuple(methods) for formula, methods in data["formula_methods"].items()},
    )
