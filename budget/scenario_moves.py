"""Scenarios of a policy: weights, coefficients, rates and point values moved, many ways side by side.

A move says for one parameter what factor or value every scenario gives it, by group, tier, insurance, hospital or
month. What is moved is the effective value: what the policy, or the table of groups, gives at that place before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from functools import cached_property
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from budget.group_values import GroupValue, GroupValues
from reference_tables.policy import Policy
from reference_tables.policy_settings import Setting
from reference_tables.problems import Problem

KEYS = ("weight", "coefficient", "base_rate", "point_value")
SCOPES = ("group", "tier", "insurance", "hospital", "month")
LARGEST = 1 << 61
"""Numerators stay below this, so that sums and comparisons of them fit in 64 bits."""
Ints = NDArray[np.int64]
Address = Mapping[str, str]


@dataclass(frozen=True)
class Move:
    """One parameter (KEYS) in every scenario. `by`: the scopes that it goes by, () = everywhere; `names`: the places
    that move, each with a text for every scope of `by`; other places stay. `values` int64 [scenarios, names] over
    `denominator`: factors (action scale) or values (action set)."""

    key: str
    values: Ints
    denominator: int
    by: tuple[str, ...] = ()
    names: tuple[tuple[str, ...], ...] = ((),)
    action: str = "scale"

    def place(self, address: Address | None) -> int:
        """The place that an address lies in; -1 when it is not moved."""
        if address is None:
            return -1
        return self._places.get(tuple(address.get(name, "") for name in self.by), -1)

    def __post_init__(self) -> None:
        assert self.key in KEYS, "a parameter that moves"
        assert set(self.by) <= set(SCOPES), "known scopes"
        assert self.action in {"scale", "set"}, "a known action"
        assert self.values.ndim == 2, "scenarios x names"
        assert self.values.shape[1] == len(self.names), "a value for each name"
        assert self.denominator > 0, "a positive denominator"

    @cached_property
    def by_place(self) -> Ints:
        """int64 [names, scenarios]."""
        return np.ascontiguousarray(self.values.T)

    @cached_property
    def _places(self) -> dict[tuple[str, ...], int]:
        return {name: at for at, name in enumerate(self.names)}


def move_of(
    key: str, factors: Sequence[Mapping[tuple[str, ...], Fraction]], by: tuple[str, ...] = (), action: str = "scale"
) -> Move:
    """A move of exact fractions, one mapping from place to factor (or value) for each scenario.

    A place that a scenario does not name keeps its value; with action `set` every scenario must name all places.
    """
    names = tuple(sorted({name for scenario in factors for name in scenario}))
    assert action == "scale" or all(len(scenario) == len(names) for scenario in factors), "a value for each place"
    rows = [[scenario.get(name, Fraction(1)) for name in names] for scenario in factors]
    denominator = lcm(1, *(value.denominator for row in rows for value in row))
    numerators = [[int(value * denominator) for value in row] for row in rows]
    return Move(key, np.array(numerators, np.int64).reshape(len(rows), len(names)), denominator, by, names, action)


@dataclass(frozen=True)
class Scenarios:
    """`count` scenarios; in each of them the moves of one parameter are taken in their order."""

    moves: tuple[Move, ...]
    count: int

    def __post_init__(self) -> None:
        assert all(len(move.values) == self.count for move in self.moves), "a value of each move for each scenario"

    def of(self, key: str) -> list[Move]:
        """The moves of one parameter, in order."""
        return [move for move in self.moves if move.key == key]

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that any move goes by."""
        return frozenset(name for move in self.moves for name in move.by)

    def moved(self, key: str, address: Address, value: Fraction, scenario: int) -> Fraction:
        """One value at one place in one scenario."""
        for move in self.of(key):
            place = move.place(address)
            if place >= 0:
                number = Fraction(int(move.values[scenario, place]), move.denominator)
                value = number if move.action == "set" else value * number
        return value

    def column(self, key: str, places: Places, value: tuple[Ints, int], factor: tuple[Ints, int]) -> tuple[Ints, int]:
        """factor x what the values at many places become, int64 [places, scenarios] over one denominator; one column
        when the parameter does not move. `value`, `factor` [places] over a denominator each. Raises OverflowError for
        numbers too fine for 64 bits."""
        found, denominator = value[0].reshape(-1, 1), value[1]
        moves = self.of(key)
        early = all(move.action == "scale" for move in moves)  # before there is a column for every scenario
        if early:
            found, denominator = _times(found, denominator, factor)
        for move in moves:
            place = places.within(move)
            here = (place >= 0).reshape(-1, 1)
            if not here.any():
                continue
            largest = float(np.abs(move.values).max())
            numbers = move.by_place.take(np.maximum(place, 0), axis=0)
            if move.action == "scale":
                by = numbers if here.all() else np.where(here, numbers, move.denominator)
                check_range(found, max(largest, move.denominator))
                found, denominator = found * by, denominator * move.denominator
            else:
                common = lcm(denominator, move.denominator)
                check_range(found, common // denominator)
                check_range(move.values, common // move.denominator)
                kept, given = found * (common // denominator), numbers * (common // move.denominator)
                found, denominator = np.where(here, given, kept), common
        return (found, denominator) if early else _times(found, denominator, factor)


def _times(found: Ints, denominator: int, factor: tuple[Ints, int]) -> tuple[Ints, int]:
    """Numbers over one denominator, those of each place times its factor."""
    numbers, below = factor
    if below == 1 and (numbers == 1).all():
        return found, denominator
    check_range(found, float(np.abs(numbers).max(initial=1)))
    return found * numbers.reshape(-1, 1), denominator * below


class Places:
    """Addresses of many values (None: never moved), ready to be found in any move."""

    def __init__(self, addresses: Sequence[Address | None]) -> None:
        self.addresses = addresses
        self._names: dict[tuple[str, ...], tuple[list[Address | None], Ints]] = {}

    def within(self, move: Move) -> Ints:
        """int64 [addresses]: the place of each in a move, -1 where it does not move."""
        if move.by not in self._names:
            first: dict[tuple[str, ...] | None, int] = {}
            different: list[Address | None] = []
            which = np.empty(len(self.addresses), np.int64)
            for at, address in enumerate(self.addresses):
                name = None if address is None else tuple(address.get(scope, "") for scope in move.by)
                if name not in first:
                    first[name] = len(different)
                    different.append(address)
                which[at] = first[name]
            self._names[move.by] = (different, which)
        different, which = self._names[move.by]
        return np.array([move.place(address) for address in different], np.int64)[which]


def check_range(values: Ints, factor: float) -> None:
    """Raises OverflowError unless all values times a factor stay in 64 bits."""
    if float(np.abs(values).max(initial=0)) * factor >= LARGEST:
        raise OverflowError("the numbers of the scenarios are too fine for 64 bits")


class Mover:
    """How one scenario, or a probe, changes a value that has been found."""

    def moved(self, key: str, address: Address, value: Fraction) -> Fraction:
        raise NotImplementedError


@dataclass(frozen=True)
class OfScenario(Mover):
    """The values of one scenario."""

    scenarios: Scenarios
    scenario: int

    def moved(self, key: str, address: Address, value: Fraction) -> Fraction:
        return self.scenarios.moved(key, address, value, self.scenario)


class MovedPolicy:
    """A policy whose values are moved as they are found; everything else is the policy's own."""

    def __init__(self, policy: Policy, mover: Mover) -> None:
        self._policy, self._mover = policy, mover

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def get(self, key: str, on: date | None = None, **scope: str) -> Setting | None:
        """As Policy.get, the value moved."""
        return self._moved(key, self._policy.get(key, on, **scope), scope)

    def need(
        self, key: str, command: str, *, on: date | None = None, problems: list[Problem] | None = None, **scope: str
    ) -> Setting | None:
        """As Policy.need, the value moved."""
        return self._moved(key, self._policy.need(key, command, on=on, problems=problems, **scope), scope)

    def _moved(self, key: str, found: Setting | None, scope: Address) -> Setting | None:
        if found is None or key not in KEYS or found.value is None:
            return found
        return replace(found, value=self._mover.moved(key, scope, Fraction(found.value)))


class MovedValues(GroupValues):
    """What is published of groups, weights and coefficients moved as they are found."""

    def __init__(self, values: GroupValues, mover: Mover) -> None:
        super().__init__(values.values)
        self._mover = mover

    def get(self, group: str, tier: str, insurance: str) -> GroupValue:
        found = super().get(group, tier, insurance)
        scope = {"group": group, "tier": tier, "insurance": insurance}
        parts = {
            name: self._mover.moved(name, scope, value)
            for name in ("weight", "coefficient")
            if (value := getattr(found, name)) is not None
        }
        return replace(found, **parts) if parts else found
