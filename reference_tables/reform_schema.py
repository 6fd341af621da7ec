"""What a reform file may hold, as `reform_schema.toml` declares it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

from reference_tables.policy_schema import policy_schema


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a block. `type` as the file explains; `minimum`, `maximum` bound a number."""

    name: str
    label: str
    type: str
    required: bool = False
    default: Any = None
    minimum: Fraction | None = None
    maximum: Fraction | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of solve or growth block, or the sweep block: its label, meaning and fields by name."""

    name: str
    label: str
    meaning: str
    fields: Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class ReformSchema:
    """`actions`, `scalable`, `types`: word -> Chinese text; `scopes`: those of a policy and a reform's own, with their
    labels; `solve`, `growth`: kinds of block by name."""

    actions: Mapping[str, str]
    scalable: Mapping[str, str]
    scopes: Mapping[str, str]
    types: Mapping[str, str]
    solve: Mapping[str, BlockKind]
    growth: Mapping[str, BlockKind]
    sweep: BlockKind


def _kind(name: str, body: Mapping[str, Any]) -> BlockKind:
    fields = {}
    for key, given in body["fields"].items():
        bounds: dict[str, Any] = {
            to: Fraction(given[of]) for of, to in (("min", "minimum"), ("max", "maximum")) if of in given
        }
        rest: dict[str, Any] = {of: given[of] for of in ("required", "default") if of in given}
        fields[key] = Field(key, given["label"], given["type"], values=tuple(given.get("values", ())), **rest, **bounds)
    return BlockKind(name, body["label"], body["meaning"], fields)


@cache
def reform_schema() -> ReformSchema:
    """The schema that comes with the program."""
    text = (resources.files("reference_tables") / "reform_schema.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return ReformSchema(
        actions=data["actions"],
        scalable=data["scalable"],
        scopes={**policy_schema().scopes, **data["scopes"]},
        types=data["types"],
        solve={name: _kind(name, body) for name, body in data["solve"].items()},
        growth={name: _kind(name, body) for name, body in data["growth"].items()},
        sweep=_kind("sweep", data["sweep"]),
    )
