"""Plan rows under a factor on each hospital's coefficient or base rate, for solvers that try many: exactly those of the
policy with the factors as changes, but what does not differ by hospital is looked up once for all.

Hospitals of one factor share their rows where nothing else of the policy differs by hospital, and the rows of the step
before are kept for whoever has the same factor in the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from budget.group_values import GroupValues
from budget.price_keys import pricing_keys
from budget.price_plan import PlanRow, PricePlanner
from budget.price_terms import PriceKey, PriceTerms
from budget.pricing import Pricer
from reference_tables.policy import Policy

FACTORED = ("coefficient", "base_rate")
"""What a factor by hospital can be on."""
_ONE = Fraction(1)
_ANY = "*"
_OF = "\n"
"""Between a hospital and its factor in a shared key; no id has it."""


class FactorRows:
    """The rows of one policy; `pricer` for the factors of a step (hospital -> factor, 1 where none is named) on the
    values of `key`, one of FACTORED."""

    def __init__(self, policy: Policy, values: GroupValues, key: str = "coefficient") -> None:
        assert key in FACTORED, "a value that factors by hospital can be on"
        self.policy = policy
        self.values = values
        self.terms = _FactorTerms(policy, values, key)
        self._planner = PricePlanner(self.terms)
        self._by_hospital = any("hospital" in policy.names(key) for key in pricing_keys(policy))
        self._factors: dict[str, Fraction] = {}
        self._before: dict[PriceKey, PlanRow] = {}
        self._now: dict[PriceKey, PlanRow] = {}

    def pricer(self, factors: Mapping[str, Fraction]) -> Pricer:
        """A pricer of the policy with these factors; its rows take the place of those before last."""
        self._before, self._now = self._now, {}
        return _FactorPricer(self, factors)

    def shared(self, key: PriceKey, factors: Mapping[str, Fraction]) -> PriceKey:
        """The key of the row that a case's key has: its factor, and its hospital where that counts beside."""
        if not key.hospital:
            return key
        factor = factors.get(key.hospital, _ONE)
        self._factors.setdefault(text := str(factor), factor)
        return replace(key, hospital=f"{key.hospital if self._by_hospital else _ANY}{_OF}{text}")

    def row(self, shared: PriceKey) -> PlanRow:
        """The row of a shared key."""
        found = self._now.get(shared) or self._before.get(shared)
        if found is None:
            hospital, _, factor = shared.hospital.partition(_OF)
            self.terms.factor = self._factors.get(factor, _ONE)
            found = self._planner.row(replace(shared, hospital=hospital))
        self._now[shared] = found
        return found


class _FactorTerms(PriceTerms):
    """Terms with `factor` on the coefficient or base rate (`key`) of every key that names a hospital; each value is
    looked up once."""

    def __init__(self, policy: Policy, values: GroupValues, key: str) -> None:
        super().__init__(policy, values)
        self.key = key
        self.factor = _ONE
        self._known: dict[tuple[Any, ...], Any] = {}

    def look(self, key: str, of: PriceKey, **other: str) -> Any:
        at = (key, of, *other.items())
        if at not in self._known:
            self._known[at] = super().look(key, of, **other)
        return self._known[at]

    def want(self, key: str, of: PriceKey, **other: str) -> Any:
        found = self.look(key, of, **other)
        if found is None:
            return super().want(key, of, **other)
        # A tier's rate that a basic group is paid by is no hospital's, and asked for without one.
        factored = key == self.key == "base_rate" and other.get("hospital", of.hospital)
        return found * self.factor if factored else found

    def weight(self, of: PriceKey) -> Fraction | None:
        at = ("weight of", of)
        if at not in self._known:
            self._known[at] = super().weight(of)
        found: Fraction | None = self._known[at]
        return found

    def coefficient(self, of: PriceKey) -> Fraction | None:
        rule = self._basic_rule(of)
        if rule is not None and rule.kind == "own_coefficient":
            own = self.value_of(of, of.group).coefficient
            return own if own is not None else self._moved(of, self.want("coefficient", of))
        return super().coefficient(of)

    def _own_coefficient(self, of: PriceKey) -> Fraction | None:
        at = ("coefficient of", of)
        if at not in self._known:
            self._known[at] = super()._own_coefficient(of)
        return self._moved(of, self._known[at])

    def _moved(self, of: PriceKey, found: Fraction | None) -> Fraction | None:
        return found if found is None or not of.hospital or self.key != "coefficient" else found * self.factor


class _FactorPricer(Pricer):
    """Asks for the hospital of every case, and shares rows."""

    def __init__(self, rows: FactorRows, factors: Mapping[str, Fraction]) -> None:
        super().__init__(cast("Policy", _AskingHospital(rows.policy)), rows.values)
        self.terms = rows.terms
        self.planner = cast("PricePlanner", rows)
        self._rows, self._factors = rows, factors

    def _places(self, keys: list[PriceKey]) -> NDArray[np.int64]:
        return super()._places([self._rows.shared(key, self._factors) for key in keys])


class _AskingHospital:
    """A policy of which every value may differ by hospital; everything else is the policy's own."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    def names(self, key: str) -> frozenset[str]:
        """As Policy.names, and the hospital."""
        return self._policy.names(key) | {"hospital"}
