"""One change of a reform tried at many numbers before clearing: exact totals by hospital, no case priced anew.

A change of a weight, coefficient, rate or point value moves the effective value of the cases in its scope, and so does
a move of scenarios; what a change does beyond that (a number to be added, a value put where there was none, the 1 that
is paid for want of any published coefficient) is not told here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from itertools import product

import polars as pl

from budget.group_values import GroupValues
from budget.pricing import Pricer
from budget.scenario_moves import KEYS, SCOPES, Scenarios, move_of
from budget.scenario_sums import ScenarioSums
from reference_tables.policy import Policy
from reference_tables.reform_parts import Change

_GROUPWISE = frozenset({"group", "list", "mdc", "type"})
_SET = frozenset({"base_rate", "point_value"})
"""What every case that is paid by it has a value of, so that setting it moves that value."""


class ChangeSums:
    """Cases (PAYABLE, with their decisions) under a policy and its group values, ready for one change at many numbers.

    `groups`: those that the change is limited to, None = all. Raises TablesRefused when the cases cannot be priced.
    """

    def __init__(
        self, cases: pl.DataFrame, decisions: pl.DataFrame | None, policy: Policy, values: GroupValues,
        change: Change, groups: Collection[str] | None,
    ) -> None:  # fmt: skip
        assert moves_alone(change, values), "a change that a move is the same as"
        rest = [(name, value) for name, value in change.scope if name not in _GROUPWISE]
        self._key, self._action = change.key, change.action
        self._by = (*(name for name, _ in rest), *(() if groups is None else ("group",)))
        named = [(value,) for _, value in rest] + ([] if groups is None else [tuple(sorted(groups))])
        self._names = tuple(product(*named))
        pricer = Pricer(policy, values)
        priced = pricer.price(cases, decisions, display=False)
        scopes = {"tier", *self._by} - {"group", "insurance"}
        self._sums = ScenarioSums(cases, priced, pricer, sorted(scopes))

    def totals(self, numbers: Sequence[Fraction]) -> list[dict[str | None, tuple[int, int]]]:
        """Package and fund's part by hospital with the change at each number, fen; a fund's part that is not known
        counts 0. Raises TablesRefused for parameters that the policy lacks."""
        factors = [dict.fromkeys(self._names, number) for number in numbers]
        move = move_of(self._key, factors, self._by, self._action)
        found = self._sums.totals(Scenarios((move,), len(numbers)), ("hospital_id",), kinds=False)
        hospitals = found.owners["hospital_id"].to_list()
        return [
            dict(zip(hospitals, zip(package.tolist(), fund.tolist(), strict=True), strict=True))
            for package, fund in zip(found.package_fen, found.fund_fen, strict=True)
        ]


def moves_alone(change: Change, values: GroupValues) -> bool:
    """Does the change do to every case what a move of the values that are found for it does?"""
    plain = change.since is None and change.until is None
    scoped = all(name in SCOPES or name in _GROUPWISE for name, _ in change.scope)
    acts = change.action == "scale" or (change.action == "set" and change.key in _SET)
    ones = change.key == "coefficient" and values.has_coefficients
    return plain and scoped and acts and change.key in KEYS and not ones
