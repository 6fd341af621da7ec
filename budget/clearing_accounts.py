"""From tallies, budget, policy and year file to the accounts of every pool, and the pools cleared.

What the policy or the year file lacks is told, all of it at once; money that nothing pays for refuses the run with the
sum that is missing. Source: clearing rules as published, one form for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from fractions import Fraction

from budget.assessment import ScoreBand, assessed_factor, assessed_share
from budget.budget_value import pool_ratio
from budget.clearing import Account, Cleared, ClearingRule, Uncovered, clear_pool
from budget.entitlement import Due, HospitalUnits, entitle
from budget.hospital_units import CaseTallies, Tally
from budget.money import round_half_up, yuan_text
from budget.pools import MERGED
from budget.sharing import Band, SharingRule
from budget.total_budget import PoolBudget
from budget.year_terms import YearTerms
from reference_tables.policy_bands import ShareBand
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem
from reference_tables.year_file import YearFile

LINES_ZH = {"regulation": "调剂金", "reserve": "风险储备金"}
STEPS_ZH = policy_schema().parameters["clearing_steps"].labels


@dataclass(frozen=True, slots=True)
class Paid:
    """What a hospital had in the year in one pool, fen: `prepaid` paid out, `held` as deposit (None: not known),
    `advance` still out, `due` as settled by month."""

    prepaid: int = 0
    held: int | None = None
    advance: int = 0
    due: int = 0


_NO_CASES, _NOTHING_PAID = Tally(), Paid()


@dataclass(frozen=True)
class ClearedPool:
    """One pool cleared. `accounts` and `cleared.lines` in the order of hospital ids; `due` with the settlement value;
    `bundled` the part of the fixed money that bundles pay, `line` the fund line that paid `cleared.line_used`,
    `unallotted` what quotas leave of the pool, `steps` in the order they were taken."""

    budget: PoolBudget
    formula: str
    accounts: tuple[Account, ...]
    due: Due
    cleared: Cleared
    bundled: int
    line: str
    unallotted: int
    steps: tuple[str, ...]


@dataclass(frozen=True)
class _Standing:
    """What of a pool the sums of its cases do not decide: its hospitals, what bundles pay them, the rule of clearing,
    the payment ratio, and the accounts looked up so far, by hospital and whether its score counts."""

    hospitals: tuple[str, ...]
    bundled: Mapping[str, int]
    rule: ClearingRule
    ratio: Fraction | None
    accounts: dict[tuple[str, bool], Account] = field(default_factory=dict)


class PoolClearing:
    """Clears pool after pool; `terms.problems` collects what is missing or does not fit. On `trial` a pool whose money
    does not suffice is cleared nevertheless, the missing sum noted (CL30) and in `line_used`."""

    def __init__(
        self,
        terms: YearTerms,
        year: YearFile,
        found: CaseTallies,
        paid: Mapping[tuple[str, str], Paid],
        *,
        trial: bool = False,
    ) -> None:
        self.terms, self.year, self.found, self.paid, self.trial = terms, year, found, paid, trial
        self.quota = terms.want("hospital_budget") == "quota"
        self.formula: str = "" if self.quota else self._formula()
        self.assessed_on: str = terms.want("assessment_on") or "none"
        self.bands = self._bands()
        self.steps: tuple[str, ...] = terms.want("clearing_steps") or ()
        self.basis: str = terms.want("sharing_basis") or "none"
        self._standing: dict[str, _Standing] = {}

    def of(self, tallies: Mapping[tuple[str, str], Tally]) -> PoolClearing:
        """The same year with other sums of the same hospitals and pools: what they do not decide is looked up once for
        all, problems are collected anew."""
        other = copy(self)
        other.terms = replace(self.terms, problems=[])
        other.found = replace(self.found, tallies=tallies)
        return other

    def _formula(self) -> str:
        """The formula of the settlement value; "" for fixed rates, which only the rate method has."""
        ask = self.terms.look if self.terms.policy.method == "drg-rate" else self.terms.want
        return ask("point_value_formula") or ""

    def clear(self, budget: PoolBudget) -> ClearedPool | None:
        """One pool; None when a problem was found."""
        before = len(self.terms.problems)
        standing = self._stands(budget)
        tallies = {name: self.found.tallies.get((name, budget.pool), _NO_CASES) for name in standing.hospitals}
        due = self._due(budget, tallies, standing)
        if due is None:
            return None
        accounts = [
            self._account(budget, standing, name, tallies[name], amount, due)
            for name, amount in zip(standing.hospitals, due.due, strict=True)
        ]
        self._check_steps(accounts)
        if len(self.terms.problems) > before:
            return None
        rule = standing.rule
        line_budget = {"regulation": budget.regulation, "reserve": budget.reserve}.get(rule.line, 0)
        try:
            cleared = clear_pool(accounts, rule, due.difference, line_budget)
        except Uncovered as error:
            self._uncovered(budget.pool, error)
            if not self.trial:
                return None
            rule = replace(rule, line=rule.line or "reserve")
            cleared = clear_pool(accounts, rule, due.difference, line_budget + error.missing)
        bundled = sum(standing.bundled.values())
        return ClearedPool(
            budget, self.formula, tuple(accounts), due, cleared, bundled, rule.line,
            budget.distributable - sum(amount for _, amount in budget.quotas) if self.quota else 0, self.steps,
        )  # fmt: skip

    def _stands(self, budget: PoolBudget) -> _Standing:
        """What stands in a pool whatever its cases sum up to; kept unless something is missing for it."""
        found = self._standing.get(budget.pool)
        if found is None:
            before = len(self.terms.problems)
            found = _Standing(
                tuple(self._hospitals(budget)), self._bundled(budget), self._rule(budget),
                None if self.formula == "DRG_TOTAL" else pool_ratio(self.terms, budget.insurances),
            )  # fmt: skip
            if len(self.terms.problems) == before:
                self._standing[budget.pool] = found
        return found

    def _hospitals(self, budget: PoolBudget) -> list[str]:
        """Everyone with cases, money paid, a violation or a quota in the pool, in the order of ids."""
        names = {hospital for hospital, pool in self.found.tallies if pool == budget.pool}
        names |= {hospital for hospital, pool in self.paid if pool == budget.pool}
        names |= {hospital for hospital, _ in budget.quotas}
        names |= {row["hospital"] for name in budget.insurances for row in self.year.rows("violation", insurance=name)}
        return sorted(names)

    def _bundled(self, budget: PoolBudget) -> dict[str, int]:
        """What county groups' bundles pay of the fixed money, by hospital."""
        found: dict[str, int] = {}
        for (_, hospital, insurance), amount in self.found.bundled.items():
            if insurance in budget.insurances:
                found[hospital] = found.get(hospital, 0) + amount
        return found

    def _due(self, budget: PoolBudget, tallies: Mapping[str, Tally], standing: _Standing) -> Due | None:
        bundled = standing.bundled
        fixed = sum(tally.fixed_fen for tally in tallies.values()) - sum(bundled.values())
        if self.quota:
            return self._by_quota(budget, tallies, bundled)
        if fixed > budget.distributable and self.formula:
            args: dict[str, str | int] = {
                "pool": budget.pool, "fixed": yuan_text(fixed), "budget": yuan_text(budget.distributable),
                "missing": yuan_text(fixed - budget.distributable),
            }  # fmt: skip
            self._note("CL31", args)
            return None
        units = [
            HospitalUnits(
                name, tally.cases, tally.units, tally.patient_fen, tally.priced_fen,
                tally.fixed_fen - bundled.get(name, 0),
            )
            for name, tally in tallies.items()
        ]  # fmt: skip
        if self.formula and not any(item.units for item in units):
            left = budget.distributable - fixed
            return Due(tuple(0 for _ in units), None, left, left)
        return entitle(budget.distributable, units, self.formula or None, standing.ratio or None)

    def _by_quota(self, budget: PoolBudget, tallies: Mapping[str, Tally], bundled: Mapping[str, int]) -> Due | None:
        """Each hospital is due its quota, fixed money inside but what bundles pay; one whose cases only bundles pay, or
        nobody, needs none."""
        quotas = dict(budget.quotas)
        for name, tally in tallies.items():
            own = tally.units or tally.priced_fen or tally.quota_fen or tally.fixed_fen != bundled.get(name, 0)
            if own and name not in quotas:
                self._note("CL33", {"hospital": name, "insurance": budget.pool})
                return None
        due = tuple(quotas.get(name, 0) - tally.fixed_fen + bundled.get(name, 0) for name, tally in tallies.items())
        return Due(due, None, sum(due), 0)

    def _account(
        self, budget: PoolBudget, standing: _Standing, hospital: str, tally: Tally, amount: int, due: Due
    ) -> Account:
        paid = self.paid.get((hospital, budget.pool), _NOTHING_PAID)
        scored = bool(tally.cases or paid.held)
        known = standing.accounts.get((hospital, scored))
        if known is None:
            before = len(self.terms.problems)
            known = self._empty(budget, hospital, paid, standing.bundled.get(hospital, 0), scored=scored)
            if len(self.terms.problems) == before:
                standing.accounts[hospital, scored] = known
        return Account(
            hospital, tally.cases, tally.units, amount, tally.fixed_fen, tally.actual_fen, known.recognised,
            known.sharing, known.returned_share, self._top_up(tally, due), known.deposit_share, known.held,
            known.violations, known.prepaid, known.advance, known.bundled, known.settled,
        )  # fmt: skip

    def _empty(self, budget: PoolBudget, hospital: str, paid: Paid, bundled: int, *, scored: bool) -> Account:
        """A hospital's account before its cases count."""
        scope = self._scope(budget, hospital)
        deposit = Fraction(0)
        if "assessment" in self.steps:
            ask = self.terms.want if paid.held is None else self.terms.look
            deposit = ask("deposit_share", **scope) or Fraction(0)
        score = self._score(hospital) if scored else Fraction(0)
        recognised = None
        if self.terms.look("overrun_review"):
            recognised = self._year_total("recognised_overrun", budget, hospital)
        return Account(
            hospital, recognised=recognised, sharing=self._sharing(scope, score), returned_share=self._returned(score),
            deposit_share=deposit, held=paid.held, violations=self._year_total("violation", budget, hospital),
            prepaid=paid.prepaid, advance=paid.advance, bundled=bundled, settled=paid.due,
        )  # fmt: skip

    def _year_total(self, table: str, budget: PoolBudget, hospital: str) -> int:
        return sum(self.year.total(table, hospital=hospital, insurance=name) for name in budget.insurances)

    def _scope(self, budget: PoolBudget, hospital: str) -> dict[str, str]:
        row = self.year.row("hospital", id=hospital)
        tier = "" if row is None else row["tier"] or ""
        insurance = "" if budget.pool == MERGED else budget.pool
        return {"hospital": hospital, "insurance": insurance, "tier": tier}

    def _top_up(self, tally: Tally, due: Due) -> int:
        """What the fund's part of fixed quotas exceeds what their units earn in the pool (连云港)."""
        if not tally.quota_units:
            return 0
        earned = due.per_unit * tally.quota_units
        if self.formula == "DRG_TOTAL":
            earned -= tally.quota_patient_fen
        return max(0, tally.quota_fen - round_half_up(earned))

    def _rule(self, budget: PoolBudget) -> ClearingRule:
        insurance = "" if budget.pool == MERGED else budget.pool
        share = self.terms.want("region_share", insurance=insurance) if self.basis == "region" else None
        line = self.terms.look("overrun_from") or ""
        moves, top_up = bool(self.formula) or self.quota, bool(self.terms.look("top_up"))
        return ClearingRule(self.basis, share, line, self.steps, self.assessed_on, top_up, moves)

    def _bands(self) -> tuple[ScoreBand, ...]:
        """What scores do, from the highest down: shares moved or multiplied."""
        if self.assessed_on == "none":
            return ()
        bands, use = self.terms.want("assessment_bands") or (), self.terms.want("assessment_is")
        made = []
        for band in bands:
            none, value = band.value is None, band.value or Fraction(0)
            made.append(
                ScoreBand(band.start, shift=value, none=none)
                if use == "shift"
                else ScoreBand(band.start, factor=value, none=none)
            )
        return tuple(made)

    def _score(self, hospital: str) -> Fraction:
        """The hospital's score, noted when the policy asks for it and there is none."""
        score = self.year.score(hospital)
        if score is None and self.assessed_on != "none":
            self._note("CL32", {"hospital": hospital})
        return score or Fraction(0)

    def _returned(self, score: Fraction) -> Fraction:
        if self.assessed_on in {"none", "share"} or not self.bands:
            return Fraction(1)
        if self.assessed_on == "retained":
            return assessed_factor(score, self.bands)
        return assessed_share(Fraction(1), score, self.bands)

    def _sharing(self, scope: Mapping[str, str], score: Fraction) -> SharingRule | None:
        """The hospital's rule of sharing, its shares moved by the assessment where that is what is assessed."""
        if self.basis != "hospital":
            return None
        look, want = self.terms.look, self.terms.want
        retain = look("retain_bands", **scope)
        if retain is None:
            flat = want("retain_share", **scope)
            retain = () if flat is None else (ShareBand(Fraction(0), None, flat),)
        overrun = want("overrun_bands", **scope) or ()
        cliff = want("bands_are") == "cliff"
        return SharingRule(
            self._moved(retain, score), self._moved(overrun, score),
            look("sharing_low_ratio", **scope), look("retain_cap", **scope), cliff,
        )  # fmt: skip

    def _moved(self, bands: Sequence[ShareBand], score: Fraction) -> tuple[Band, ...]:
        moved = [Band(band.start, band.end, band.share) for band in bands]
        if self.assessed_on != "share":
            return tuple(moved)
        return tuple(replace(band, share=assessed_share(band.share, score, self.bands)) for band in moved)

    def _check_steps(self, accounts: Sequence[Account]) -> None:
        """No money may fall through because the policy leaves out its step."""
        top_up = sum(item.quota_top_up for item in accounts) if self.terms.look("top_up") else 0
        held = sum(item.held or 0 for item in accounts)
        amounts = {
            "prepaid": sum(item.prepaid + item.advance for item in accounts), "assessment": held, "top_ups": top_up,
        }  # fmt: skip
        for step, amount in amounts.items():
            if amount and step not in self.steps:
                self._note("CL34", {"step": STEPS_ZH[step], "amount": yuan_text(amount)})

    def _uncovered(self, pool: str, error: Uncovered) -> None:
        line = f"{LINES_ZH[error.line]}不足以承担" if error.line else "政策没有写明由哪项资金承担"
        self._note("CL30", {"pool": pool, "missing": yuan_text(error.missing), "line": line})

    def _note(self, code: str, args: dict[str, str | int]) -> None:
        problem = Problem(code, args, file=self.year.file)
        if problem not in self.terms.problems:
            self.terms.problems.append(problem)
