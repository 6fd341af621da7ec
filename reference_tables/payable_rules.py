"""How case files speak of what a payment policy asks for: `payable.toml`, read once and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from reference_tables.columns import columns

PARTS = ("drug", "consumable", "tcm", "tcm_base")
_HEAD = {"insurance", "tier", "decision", "patient_paid", "cost_set"}
_DECISIONS = {"by_item", "adjusted", "refused", "rule"}


@dataclass(frozen=True, slots=True)
class CostSet:
    """Charge columns (fen) that make up each of PARTS, by one way of writing a bill."""

    name: str
    parts: Mapping[str, tuple[str, ...]]

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(name for names in self.parts.values() for name in names)


@dataclass(frozen=True, slots=True)
class PayableRules:
    """`insurance`, `tier`, `decision`: word or code -> what it means. `whole_self_pay`: formats whose self-paid amount
    is all that the patient paid. `cost_sets`: in the order in which they are looked for."""

    insurance: Mapping[str, str]
    tier: Mapping[str, str]
    decision: Mapping[str, str]
    whole_self_pay: frozenset[str]
    cost_sets: tuple[CostSet, ...]


def _meanings(data: Mapping[str, list[str]], name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for meaning, words in data.items():
        for word in words:
            if found.setdefault(word, meaning) != meaning or words.count(word) > 1:
                raise ValueError(f"payable.toml [{name}]: {word!r} stands twice")
    return found


def _cost_set(data: Mapping[str, Any]) -> CostSet:
    if set(data) != {"name", *PARTS}:
        raise ValueError(f"payable.toml [[cost_set]]: the keys are name, {', '.join(PARTS)}")
    known = columns()
    for name in (name for part in PARTS for name in data[part]):
        if name not in known or known[name].unit != "fen":
            raise ValueError(f"payable.toml [[cost_set]] {data['name']}: {name} is no column of money")
    return CostSet(data["name"], {part: tuple(data[part]) for part in PARTS})


def read_payable_rules(text: str) -> PayableRules:
    """The rules of a TOML text. ValueError for what is not as it must be: a programmer's error."""
    data: dict[str, Any] = tomllib.loads(text)
    if set(data) != _HEAD or set(data["decision"]) != _DECISIONS or set(data["patient_paid"]) != {"whole"}:
        raise ValueError(f"payable.toml: the tables are {', '.join(sorted(_HEAD))}, decisions {sorted(_DECISIONS)}")
    return PayableRules(
        insurance=_meanings(data["insurance"], "insurance"),
        tier=_meanings(data["tier"], "tier"),
        decision=_meanings(data["decision"], "decision"),
        whole_self_pay=frozenset(data["patient_paid"]["whole"]),
        cost_sets=tuple(_cost_set(item) for item in data["cost_set"]),
    )


@cache
def payable_rules() -> PayableRules:
    """What `payable.toml` says."""
    return read_payable_rules((resources.files("reference_tables") / "payable.toml").read_text(encoding="utf-8"))
