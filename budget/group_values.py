"""What a region publishes of each group: weight or score, its own coefficient, last year's mean cost at the same tier.

A value may hold for one tier or one insurance only; the narrowest one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from budget.money import exact

COLUMNS = ("group", "tier", "insurance", "weight", "coefficient", "peer_average")
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class GroupValue:
    """`weight` RW or score; `coefficient` of the group, `peer_average` yuan; None = not published."""

    weight: Fraction | None
    coefficient: Fraction | None
    peer_average: Fraction | None


_NOTHING = GroupValue(None, None, None)


class GroupValues:
    """Values by group; "" for tier or insurance stands for all of them."""

    def __init__(self, values: Mapping[Key, GroupValue]) -> None:
        self.values = dict(values)
        self.by_tier = any(tier for _, tier, _ in self.values)
        self.by_insurance = any(insurance for _, _, insurance in self.values)
        self.has_averages = any(value.peer_average is not None for value in self.values.values())
        self.has_coefficients = any(value.coefficient is not None for value in self.values.values())

    @staticmethod
    def of_rows(rows: Iterable[Mapping[str, str | None]]) -> GroupValues:
        """Rows with COLUMNS as text, absent or "" where nothing is published. Raises ValueError for what is no
        decimal."""
        values: dict[Key, GroupValue] = {}
        for row in rows:
            numbers = [exact(text) if (text := row.get(name)) else None for name in COLUMNS[3:]]
            key = (row["group"] or "", row.get("tier") or "", row.get("insurance") or "")
            values[key] = GroupValue(*numbers)
        return GroupValues(values)

    @staticmethod
    def of_frame(frame: pl.DataFrame) -> GroupValues:
        """A frame with `group` and any of the other COLUMNS, String."""
        return GroupValues.of_rows(
            frame.select(name for name in COLUMNS if name in frame.columns).iter_rows(named=True)
        )

    def get(self, group: str, tier: str, insurance: str) -> GroupValue:
        """The value of a group, part by part from the narrowest row that has it."""
        keys = ((group, tier, insurance), (group, tier, ""), (group, "", insurance), (group, "", ""))
        found = [self.values[key] for key in dict.fromkeys(keys) if key in self.values]
        if len(found) <= 1:
            return found[0] if found else _NOTHING
        parts = (
            next((part for value in found if (part := getattr(value, name)) is not None), None)
            for name in ("weight", "coefficient", "peer_average")
        )
        return GroupValue(*parts)
