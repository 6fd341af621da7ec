"""Year-end clearing (年终清算) of one pool: from what hospitals are due to what is still owed to them, or by them.

The steps run in the order the policy writes. Every fen has an owner: what hospitals get, what is withheld and returned,
what goes back to the fund and what the regulation or reserve line pays. Source: national clearing procedure (2025) and
the cities' rules, steps freeze to balance as in policy_schema.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from budget.money import apportion, decimal_text, part_of, round_half_up, yuan_text
from budget.sharing import RegionShared, SharingRule, share, share_region


class Uncovered(Exception):
    """The policy hands out more than the pool and no line pays for it. `missing` fen; `line` that should have paid, ""
    when the policy names none."""

    def __init__(self, missing: int, line: str) -> None:
        self.missing = missing
        self.line = line
        super().__init__(f"{missing} fen are handed out beyond the pool and not paid for")


class Account(NamedTuple):
    """One hospital and pool on its way through clearing, money in fen.

    `due` from the pool and `fixed` money are its entitlement; `actual` the fund cost of its cases by item, of which
    `recognised` overrun may be shared (None: all). `sharing` after assessment, `returned_share` of deposit (or of what
    is retained, where that is what is assessed: then it may be above 1). `quota_top_up`: what fixed quotas lack
    (定额病种补差). `held`: deposit withheld in the year; None: `deposit_share` of the entitlement. `violations`
    deducted; `prepaid` paid during the year, `advance` still out. `bundled`: the part of `fixed` that county groups'
    bundles pay; it takes part in no sharing, nor does `actual` hold those cases. `settled`: due as settled by month,
    of which deposits were held."""

    hospital: str
    cases: int = 0
    points: Fraction = Fraction(0)
    due: int = 0
    fixed: int = 0
    actual: int = 0
    recognised: int | None = None
    sharing: SharingRule | None = None
    returned_share: Fraction = Fraction(1)
    quota_top_up: int = 0
    deposit_share: Fraction = Fraction(0)
    held: int | None = None
    violations: int = 0
    prepaid: int = 0
    advance: int = 0
    bundled: int = 0
    settled: int = 0

    @property
    def entitlement(self) -> int:
        return self.due + self.fixed

    @property
    def own(self) -> int:
        """The entitlement but what bundles pay: what is shared by the pool's rules."""
        return self.entitlement - self.bundled


class Line(NamedTuple):
    """One row of the statement, fen. `retained` is the part of the surplus that stays (information, inside the
    entitlement); `given_up` the surplus that does not; `shared` the overrun the fund bears and quota top-ups;
    `deposit` withheld, `assessment` returned of it; `deductions` violations and what is given up; `borne` a
    member's part of its county group's overrun; `balance` may be negative.
    received = entitlement + shared - deposit + assessment - deductions - borne; balance = received - prepaid."""

    hospital: str
    cases: int
    points: Fraction
    entitlement: int
    retained: int
    given_up: int
    shared: int
    deposit: int
    assessment: int
    deductions: int
    prepaid: int
    borne: int = 0

    @property
    def received(self) -> int:
        """What the fund pays for the year in the end."""
        return self.entitlement + self.shared - self.deposit + self.assessment - self.deductions - self.borne

    @property
    def balance(self) -> int:
        return self.received - self.prepaid


@dataclass(slots=True)
class _Draft:
    """A line on its way through the steps; see Line."""

    account: Account
    entitlement: int
    deductions: int
    retained: int = 0
    given_up: int = 0
    shared: int = 0
    deposit: int = 0
    assessment: int = 0
    prepaid: int = 0

    def line(self) -> Line:
        item = self.account
        return Line(
            item.hospital, item.cases, item.points, self.entitlement, self.retained, self.given_up, self.shared,
            self.deposit, self.assessment, self.deductions, self.prepaid,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClearingRule:
    """What a policy says of clearing. `basis` none, hospital or region; `region_share` for region; `moves`: the pool is
    shared out whole, so that the region's result is what it differs from the actual cost; else from what was priced.
    `line` regulation or reserve pays what goes beyond the pool, "" when nothing does; `steps` in order; `assessed_on`
    deposit, retained, share or none."""

    basis: str
    region_share: Fraction | None
    line: str
    steps: tuple[str, ...]
    assessed_on: str = "deposit"
    top_up: bool = False
    moves: bool = True


@dataclass(frozen=True, slots=True)
class Cleared:
    """A pool cleared. `lines` in the given order; `to_fund` surplus that goes back, `line_used` what the regulation or
    reserve line paid, `withheld` deposit that is not returned, fen."""

    lines: tuple[Line, ...]
    to_fund: int
    line_used: int
    withheld: int


def clear_pool(accounts: Sequence[Account], rule: ClearingRule, difference: int, line_budget: int) -> Cleared:
    """Clear the accounts of one pool, given in the order of hospital ids.

    `difference`: the pool less what is due, where prices do not move (negative: an overrun); `line_budget`: what the
    policy's line holds. Raises Uncovered when more is handed out than pool and line hold.
    """
    drafts = [_Draft(item, item.entitlement, item.violations) for item in accounts]
    left = difference
    for step in rule.steps:
        if step == "sharing":
            left = _share(drafts, accounts, rule, left)
        elif step == "top_ups" and rule.top_up:
            for draft in drafts:
                draft.shared += draft.account.quota_top_up
        elif step == "assessment":
            for draft in drafts:
                _assess(draft, rule)
        elif step == "prepaid":
            for draft in drafts:
                draft.prepaid = draft.account.prepaid + draft.account.advance
    handed_out = sum(draft.shared for draft in drafts) + max(0, -left)
    covered = line_budget if rule.line else 0
    if handed_out > covered:
        raise Uncovered(handed_out - covered, rule.line)
    given_up = sum(draft.given_up for draft in drafts)
    withheld = sum(draft.deposit - draft.assessment for draft in drafts)
    return Cleared(tuple(draft.line() for draft in drafts), given_up + max(0, left), handed_out, withheld)


def _share(drafts: Sequence[_Draft], accounts: Sequence[Account], rule: ClearingRule, difference: int) -> int:
    """Share; what is left of the pool's difference for the fund (negative: it must pay)."""
    if rule.basis == "hospital":
        for draft in drafts:
            _share_one(draft, rule)
    elif rule.basis == "region" and rule.region_share is not None:
        if rule.moves:
            _share_against_cost(drafts, accounts, rule)
            return difference
        due = sum(draft.entitlement for draft in drafts) - sum(item.bundled for item in accounts)
        region = share_region(due + difference, due, rule.region_share)
        parts = _spread(region.hospitals, accounts)
        if region.difference > 0:
            parts = [kept for kept, _ in _kept(region, accounts, rule)]
        for draft, part in zip(drafts, parts, strict=True):
            draft.entitlement += part
        return region.difference - sum(parts)
    return difference


def _share_one(draft: _Draft, rule: ClearingRule) -> None:
    """A hospital's own surplus or overrun."""
    item = draft.account
    if item.sharing is None:
        return
    entitlement, actual = max(0, draft.entitlement - item.bundled), item.actual
    if item.recognised is not None:
        actual = min(actual, entitlement + item.recognised)
    found = share(entitlement, actual, item.sharing)
    most = found.surplus
    if item.sharing.retain_cap is not None:
        most = min(most, part_of(entitlement, item.sharing.retain_cap))
    draft.retained = _assessed(found.retained, most, item, rule)
    draft.given_up = found.surplus - draft.retained
    draft.shared += found.fund_share
    draft.deductions += draft.given_up


def _assessed(retained: int, most: int, item: Account, rule: ClearingRule) -> int:
    """What a hospital retains after assessment, where that is what is assessed; a reward may raise it to `most`."""
    if rule.assessed_on != "retained":
        return retained
    return min(part_of(retained, item.returned_share), most)


def _share_against_cost(drafts: Sequence[_Draft], accounts: Sequence[Account], rule: ClearingRule) -> None:
    """The region's result is what was shared out less the actual cost; the fund's part of a surplus is given up, its
    part of an overrun is added, both by what hospitals are due (浙江省级, 杭州 2020)."""
    budget = sum(draft.entitlement for draft in drafts) - sum(item.bundled for item in accounts)
    region = share_region(budget, sum(item.actual for item in accounts), rule.region_share or Fraction(0))
    if region.difference < 0:
        for draft, part in zip(drafts, _spread(-region.fund, accounts), strict=True):
            draft.shared += part
        return
    for draft, (kept, surplus) in zip(drafts, _kept(region, accounts, rule), strict=True):
        draft.retained, draft.given_up = kept, surplus - kept
        draft.deductions += draft.given_up


def _kept(region: RegionShared, accounts: Sequence[Account], rule: ClearingRule) -> list[tuple[int, int]]:
    """Of a region's surplus: what each hospital keeps of its part after assessment, and its whole part."""
    parts = zip(_spread(region.hospitals, accounts), _spread(region.fund, accounts), accounts, strict=True)
    return [(_assessed(own, own + fund, item, rule), own + fund) for own, fund, item in parts]


def _spread(amount: int, accounts: Sequence[Account]) -> list[int]:
    """An amount split by what hospitals are due from the pool; by their own entitlement where nobody is due any."""
    for weights in ([max(0, item.due) for item in accounts], [max(0, item.own) for item in accounts]):
        if any(weights):
            return apportion(amount, weights)
    return apportion(amount, [1] * len(accounts)) if accounts else []


_ROUNDINGS = 12
"""Fen by which a year's deposits may differ from the policy's share of what was settled: half a fen for each time that
a month was settled. Within it what is kept is worked out of the exact share, so that months' rounding moves nothing."""


def _assess(draft: _Draft, rule: ClearingRule) -> None:
    """Withhold the deposit and return the part that the assessment leaves."""
    item = draft.account
    deposit = part_of(max(0, draft.entitlement), item.deposit_share) if item.held is None else item.held
    draft.deposit = draft.assessment = deposit
    if rule.assessed_on != "deposit":
        return
    if item.held is not None:
        exact = item.deposit_share * item.settled
        if abs(exact - deposit) <= _ROUNDINGS:
            draft.assessment = deposit - round_half_up(exact * (1 - item.returned_share))
            return
    draft.assessment = part_of(deposit, item.returned_share)


def statement_row(line: Line, pool: str) -> dict[str, str]:
    """A line in STATEMENT_COLUMNS: amounts in yuan with two decimals, points with four."""
    amounts = {
        "entitlement": line.entitlement, "retained": line.retained, "shared": line.shared, "deposit": line.deposit,
        "assessment": line.assessment, "deductions": line.deductions, "borne": line.borne, "prepaid": line.prepaid,
        "balance": line.balance,
    }  # fmt: skip
    shown = {name: yuan_text(amount) for name, amount in amounts.items()}
    points = decimal_text(line.points, 4)
    return {"hospital": line.hospital, "pool": pool, "cases": str(line.cases), "points": points, **shown}
