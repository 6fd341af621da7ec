"""What hospitals get after clearing under factors of their own, measured or worked out nearly, for a corridor's steps.

Worked out: what a hospital's cases come to in the pool moves as their priced money does, which sums of cases tell
exactly; the pools are then cleared by the policy's own rules, and each hospital's money is corrected by what it was off
at the factors measured last. Nothing that is told rests on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property

from api.core.clearing import COMMAND, Clearing
from api.core.simulate_stage import clear_base, cleared_by_hospital
from api.core.simulate_task import Task
from budget.clearing_accounts import PoolClearing
from budget.hospital_units import Tally
from budget.pricing import Pricer
from budget.scenario_moves import Scenarios, move_of
from budget.scenario_sums import HOSPITAL, NotMovable, ScenarioSums
from budget.solve_kinds import Evaluate
from budget.solve_rows import FactorRows
from budget.year_terms import YearTerms

_E6 = 10**6
Priced = Mapping[tuple[str, str], tuple[int, int]]
"""Package and fund's part by hospital and pool, fen."""


class ClearedFactors:
    """The year of a task under factors on `key` of its hospitals, on top of everything that holds; `owners`: hospitals
    and whose factor (`by`: hospital or tier) each has."""

    def __init__(self, task: Task, key: str, owners: Sequence[tuple[str, str]], by: str) -> None:
        reformed, year_file = task.reformed, task.trials.year_file
        assert year_file is not None, "asked for before"
        self.key, self._by = key, by
        self.hospitals = [hospital for hospital, _ in owners]
        self._owners = [owner for _, owner in owners]
        self._policy, self._values, self._year_file = reformed.policy, reformed.values, year_file
        self._base = task.trials.in_pools(reformed.policy)
        self._rows = FactorRows(reformed.policy, reformed.values, key)
        self._plain: Clearing | None = None

    def measured(self, factors: Sequence[Fraction]) -> list[int]:
        """What each hospital gets with a factor of its own, exactly, fen."""
        return self._by_hospital(cleared_by_hospital(self._clear(factors)))

    def near(self, factors: Sequence[Fraction], reached: Sequence[int]) -> Evaluate:
        """What other factors come to, worked out from what was measured with these."""
        here = self._worked_out(factors)

        def guess(others: Sequence[Fraction]) -> list[int]:
            there = self._worked_out(others)
            if here is None or there is None:
                return list(reached)
            sides = zip(reached, there, here, strict=True)
            return [fen * new // old if old else fen for fen, new, old in sides]

        return guess

    def _clear(self, factors: Sequence[Fraction]) -> Clearing:
        named = dict(zip(self.hospitals, factors, strict=True))
        done = clear_base(self._base, self._year_file, self._rows.pricer(named))
        if all(factor == 1 for factor in factors):
            self._plain = done
        return done

    def _by_hospital(self, money: Mapping[str, int]) -> list[int]:
        return [money.get(name, 0) for name in self.hospitals]

    @cached_property
    def _sums(self) -> ScenarioSums:
        pricer = Pricer(self._policy, self._values)
        priced = pricer.price(self._base.cases, self._base.decisions, display=False)
        return ScenarioSums(self._base.cases, priced, pricer, ("tier", "hospital"))

    @cached_property
    def _priced_plain(self) -> Priced:
        return self._priced([Fraction(1)] * len(self.hospitals))

    def _priced(self, factors: Sequence[Fraction]) -> Priced:
        """Raises NotMovable."""
        named: dict[tuple[str, ...], Fraction] = {
            (name,): factor for name, factor in zip(self._owners, factors, strict=True)
        }
        found = self._sums.totals(Scenarios((move_of(self.key, [named], (self._by,)),), 1), HOSPITAL, kinds=False)
        money = zip(found.package_fen[0].tolist(), found.fund_fen[0].tolist(), strict=True)
        return dict(zip(found.owners.iter_rows(), money, strict=True))

    def _worked_out(self, factors: Sequence[Fraction]) -> list[int] | None:
        """None where it cannot be told."""
        plain = self._plain or self._clear([Fraction(1)] * len(self.hospitals))
        try:
            tallies = self._moved(plain, self._priced(factors))
        except NotMovable:
            return None
        given = plain.given
        terms = YearTerms(self._policy, given.year, COMMAND)
        this = PoolClearing(terms, given.year_file, plain.tallies, given.paid_to_pools, trial=True).of(tallies)
        money = dict.fromkeys(self.hospitals, 0)
        for budget in plain.budget.pools:
            pool = this.clear(budget)
            if pool is None:
                return None
            for line in pool.cleared.lines:
                money[line.hospital] = money.get(line.hospital, 0) + line.received
        return self._by_hospital(money)

    def _moved(self, plain: Clearing, priced: Priced) -> dict[tuple[str, str], Tally]:
        """The tallies moved as the priced money of their cases is."""
        found = dict(plain.tallies.tallies)
        for key, (package, fund) in priced.items():
            item, (package_plain, fund_plain) = found.get(key), self._priced_plain[key]
            if item is None or not package_plain or not fund_plain:
                continue
            found[key] = Tally(
                item.cases, Fraction(round(item.units * package * _E6 / package_plain), _E6), item.patient_fen,
                item.priced_fen * fund // fund_plain, item.quota_units, item.quota_fen, item.quota_patient_fen,
                item.fixed_fen, item.actual_fen,
            )  # fmt: skip
        return found
