"""What the indicators are called and mean: `indicators.toml`, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Literal

SchemeKind = Literal["DRG", "DIP"]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator. `places`: its decimals, None = a whole number; `priced`: it needs priced cases; `target`: what
    the plan asks for at least."""

    name: str
    label: str
    unit: str
    meaning: str
    source: str
    places: int | None = None
    priced: bool = False
    schemes: tuple[str, ...] = ("DRG", "DIP")
    target: Decimal | None = None


@dataclass(frozen=True, slots=True)
class IndicatorRules:
    """`indicators` by name, in their order; `scale`: points of a mean case by kind of scheme; `case_based`: kinds of
    priced case that are paid by group or disease; `partition`: surgical, nonoperative, medical -> second letters."""

    indicators: Mapping[str, Indicator]
    scale: Mapping[str, int]
    case_based: tuple[str, ...]
    partition: Mapping[str, str]

    def of(self, scheme: SchemeKind, *, priced: bool) -> tuple[Indicator, ...]:
        """The indicators that a scheme's cases have, with or without their prices."""
        return tuple(
            found for found in self.indicators.values() if scheme in found.schemes and (priced or not found.priced)
        )


@cache
def indicator_rules() -> IndicatorRules:
    """What `indicators.toml` says."""
    text = (resources.files("reference_tables") / "indicators.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    sources: dict[str, str] = data["sources"]
    found = {}
    for name, body in data["indicators"].items():
        target = Decimal(body.pop("target")) if "target" in body else None
        schemes = tuple(body.pop("schemes", ("DRG", "DIP")))
        source = sources[body.pop("source")]
        found[name] = Indicator(name, **body, source=source, schemes=schemes, target=target)
    settings = data["settings"]
    return IndicatorRules(found, settings["scale"], tuple(settings["case_based"]), data["partition"])
