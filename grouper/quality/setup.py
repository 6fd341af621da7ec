"""What one run of the quality rules is set up with: books, scheme, limits, levels."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from grouper.quality.scheme_rules import SchemeRules
from reference_tables.codes import CodeBooks
from reference_tables.columns import columns
from reference_tables.problems import Level, catalogue
from reference_tables.quality_data import ParameterValue, QualityData, quality_data

OFF = "off"
OTHER = ":other"
_SEVERITY = (Level.INFO, Level.WARN, Level.REJECT, Level.ERROR)


@dataclass(frozen=True)
class RuleLevel:
    """The level of a rule for a principal code (or the case as a whole) and for any other code."""

    principal: Level
    other: Level


@dataclass(frozen=True)
class QualitySetup:
    """`levels`: rule id -> reject, warn, info or off, for this region; `E01:other` sets the level of codes that
    are not principal. `parameters`: values instead of those in the data. `standards`: drg, standard_fen.
    `as_of`: date after which no discharge can lie.
    """

    data: QualityData
    books: CodeBooks
    scheme: SchemeRules | None
    levels: Mapping[str, str]
    parameters: Mapping[str, ParameterValue]
    standards: pl.DataFrame | None
    as_of: datetime.date | None

    def __post_init__(self) -> None:
        rules = {key.removesuffix(OTHER) for key in self.levels}
        levels = set(self.levels.values()) - {OFF}
        if not rules <= self.data.rules.keys() or not levels <= {level.value for level in Level}:
            raise ValueError(f"levels name an unknown rule or level: {dict(self.levels)}")
        unknown = self.parameters.keys() - self.data.parameters.keys()
        if unknown:
            raise ValueError(f"unknown parameters of quality rules: {sorted(unknown)}")

    @cached_property
    def active(self) -> frozenset[str]:
        """Rules that are to be applied as far as the file allows it."""
        return frozenset(rule for rule in self.data.rules if self._is_on(rule))

    def _is_on(self, rule: str) -> bool:
        state = self.data.rules[rule].state
        if state == "unavailable":
            return False
        default = OFF if state == OFF else catalogue()[rule].level.value
        return self.levels.get(rule, default) != OFF

    def level(self, rule: str) -> RuleLevel:
        """Levels of an active rule. A milder level for principal codes makes the others milder too."""
        mine = self.levels.get(rule, OFF)
        principal = self._usual(rule) if mine == OFF else Level(mine)
        own = self.levels.get(rule + OTHER)
        if own is not None and own != OFF:
            return RuleLevel(principal, Level(own))
        usual = self.data.rules[rule].other_level or principal
        return RuleLevel(principal, min(usual, principal, key=_SEVERITY.index))

    def _usual(self, rule: str) -> Level:
        """The level of the catalogue, or the stricter one where the scheme asks for what the rule is about."""
        asked = self.data.rules[rule].asked_level
        if asked is not None and self.scheme is not None and rule in self.scheme.asked:
            return asked
        return catalogue()[rule].level

    def parameter(self, name: str) -> ParameterValue:
        """A limit or word list; asking for one without a value is a programmer's error."""
        value = self.given(name)
        assert value is not None, f"parameter {name} has no value"
        return value

    def given(self, name: str) -> ParameterValue | None:
        """The value of a parameter, None when nobody has chosen one."""
        return self.parameters.get(name, self.data.parameters[name].value)

    def number(self, name: str) -> int | float:
        value = self.parameter(name)
        assert isinstance(value, int | float)
        return value

    def words(self, name: str) -> list[str]:
        value = self.parameter(name)
        return list(value) if isinstance(value, tuple) else [str(value)]

    def label(self, column: str) -> str:
        """The Chinese name of a canonical column."""
        return columns()[column].label


_INPUT_LABELS = {
    "scheme": "分组方案", "grouped": "分组结果", "standards": "病组标准费用", "as_of": "核对日期", "*_fen": "金额",
}  # fmt: skip


def missing_label(name: str) -> str:
    """The Chinese name of what a rule was not applied for: a column, an input or a parameter."""
    if name in columns():
        return columns()[name].label
    parameters = quality_data().parameters
    return f"参数“{parameters[name].label}”" if name in parameters else _INPUT_LABELS[name]
