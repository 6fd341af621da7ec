"""What a region's year file may hold, as `year_schema.toml` declares it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

from reference_tables.policy_schema import METHODS, Parameter


@dataclass(frozen=True, slots=True)
class YearField:
    """One field: how its value is read (`parameter`: label, type, bounds, words), whether it must be given, the (table,
    field) it refers to, ("", "") when it refers to none, and the full score unless a policy says otherwise."""

    parameter: Parameter
    required: bool
    refers: tuple[str, str]
    full: Fraction | None = None


@dataclass(frozen=True, slots=True)
class YearTable:
    """One kind of rows: its Chinese label, its fields, and the fields that together name a row."""

    label: str
    fields: Mapping[str, YearField]
    one_per: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class YearSchema:
    """The fields of the head and the tables."""

    head: Mapping[str, YearField]
    tables: Mapping[str, YearTable]


_FIELD_KEYS = {"label", "meaning", "type", "required", "min", "max", "values", "refers", "full"}


@cache
def year_schema() -> YearSchema:
    """The schema that comes with the program."""
    text = (resources.files("reference_tables") / "year_schema.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return YearSchema(
        head={key: _field(key, body) for key, body in data["head"].items()},
        tables={
            name: YearTable(
                body["label"],
                {key: _field(key, field) for key, field in body["fields"].items()},
                tuple(body["one_per"]),
            )
            for name, body in data["tables"].items()
        },
    )


def _field(key: str, body: Mapping[str, Any]) -> YearField:
    if not set(body) <= _FIELD_KEYS:
        raise ValueError(f"year_schema.toml: {key} has unknown keys {sorted(set(body) - _FIELD_KEYS)}")
    parameter = Parameter(
        key=key,
        section="",
        label=body["label"],
        meaning=body.get("meaning", ""),
        type=body["type"],
        unit="",
        minimum=Fraction(body["min"]) if "min" in body else None,
        maximum=Fraction(body["max"]) if "max" in body else None,
        values=tuple(body.get("values", ())),
        scope=(),
        methods=tuple(METHODS),
        needed=(),
        on_demand=(),
        needed_if=(),
        unless=(),
        rivals=(),
        companion=False,
        default=None,
    )
    table, _, field = body.get("refers", "").partition(".")
    full = Fraction(body["full"]) if "full" in body else None
    return YearField(parameter, bool(body.get("required", False)), (table, field), full)
