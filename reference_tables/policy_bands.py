"""What the composite values of a policy are: bands, segments and the rule of basic groups, all in exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class LimitBand:
    """The limit for weights up to and including `up_to` (None: all above)."""

    up_to: Fraction | None
    limit: Fraction


@dataclass(frozen=True, slots=True)
class ShareBand:
    """The share of the slice from `start` to `end` (None: without end), both as parts of the entitlement."""

    start: Fraction
    end: Fraction | None
    share: Fraction


@dataclass(frozen=True, slots=True)
class ScoreBand:
    """The value from score `start` up to the next band; None = nothing is given."""

    start: Fraction
    value: Fraction | None


@dataclass(frozen=True, slots=True)
class Segment:
    """The price in yuan of each day up to and including `up_to` (None: all further days)."""

    up_to: int | None
    price: Fraction


@dataclass(frozen=True, slots=True)
class BasicRule:
    """What basic groups are priced by: `kind` as in the schema, the tier or value it names, and the tiers it holds
    for (`only` empty: all)."""

    kind: str
    tier: str
    value: Fraction | None
    only: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FormulaBand:
    """A band of the multiple up to `up_to` (itself in it when `inclusive`; None: all above), what it is called, the
    kind of case (normal, low, high, extreme), its formula and that one's value; `age_factor`: does it apply here."""

    up_to: Fraction | None
    inclusive: bool
    name: str
    kind: str
    formula: str
    value: Fraction | None
    age_factor: bool
