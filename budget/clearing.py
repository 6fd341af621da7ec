"""Year-end clearing (年终清算) of one pool: from what hospitals are due to what is still owed to them, or by them.

The steps run in the order the policy writes. Every fen has an owner: what hospitals get, what is withheld and returned,
what goes back to the fund and what the regulation or reserve line pays. Source: national clearing procedure (2025) and
the cities' rules, steps freeze to balance as in policy_schema.toml.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from budget.money import apportion, decimal_text, round_half_up, yuan_text
from budget.sharing import SharingRule, share, share_region

NEUTRAL_STEPS = ("freeze", "decisions", "points", "pool", "point_value", "entitlement")
"""Steps that are done before hospitals' amounts exist; they may stand anywhere before the others."""


class Uncovered(Exception):
    """The policy hands out more than the pool and no line pays for it. `missing` fen; `line` that should have paid, ""
    when the policy names none."""

    def __init__(self, missing: int, line: str) -> None:
        self.missing = missing
        self.line = line
        super().__init__(f"{missing} fen are handed out beyond the pool and not paid for")


@dataclass(frozen=True, slots=True)
class Account:
    """One hospital and pool on its way through clearing, fen. `entitlement` what it is due, fixed money included;
    `actual` the fund cost of its cases by item; `quota_top_up` what fixed quotas lack (定额病种补差);
    `returned_share` of the deposit after assessment; `violations` deducted; `prepaid` paid during the year, `advance`
    still out."""

    hospital: str
    cases: int
    points: Fraction
    entitlement: int
    actual: int
    quota_top_up: int
    deposit_share: Fraction
    returned_share: Fraction
    violations: int
    prepaid: int
    advance: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the statement, fen. `retained` is the part of the surplus that stays (information, inside the
    entitlement); `given_up` the surplus that does not; `shared` the overrun the fund bears and quota top-ups;
    `deposit` withheld, `assessment` returned of it; `deductions` violations and what is given up; `balance` may be
    negative. balance = entitlement + shared - deposit + assessment - deductions - prepaid."""

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

    @property
    def balance(self) -> int:
        return self.entitlement + self.shared - self.deposit + self.assessment - self.deductions - self.prepaid


@dataclass(frozen=True, slots=True)
class ClearingRule:
    """What a policy says of clearing. `basis` none, hospital or region; `sharing` for hospital, `region_share` for
    region; `line` regulation or reserve pays what goes beyond the pool, "" when nothing does; `steps` in order;
    `assessed_on` deposit, retained, share or none."""

    basis: str
    sharing: SharingRule | None
    region_share: Fraction | None
    line: str
    steps: tuple[str, ...]
    assessed_on: str = "deposit"
    top_up: bool = False


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
    lines = [
        Line(item.hospital, item.cases, item.points, item.entitlement, 0, 0, 0, 0, 0, item.violations, 0)
        for item in accounts
    ]
    fund_result = difference
    for step in rule.steps:
        if step == "sharing":
            lines, fund_result = _share(lines, accounts, rule, fund_result)
        elif step == "top_ups" and rule.top_up:
            lines = [
                replace(line, shared=line.shared + item.quota_top_up)
                for line, item in zip(lines, accounts, strict=True)
            ]
        elif step == "assessment":
            lines = [_assess(line, item, rule) for line, item in zip(lines, accounts, strict=True)]
        elif step == "prepaid":
            lines = [
                replace(line, prepaid=item.prepaid + item.advance) for line, item in zip(lines, accounts, strict=True)
            ]
    handed_out = sum(line.shared for line in lines) + max(0, -fund_result)
    if handed_out > (line_budget if rule.line else 0):
        raise Uncovered(handed_out - (line_budget if rule.line else 0), rule.line)
    given_up = sum(line.given_up for line in lines)
    withheld = sum(line.deposit - line.assessment for line in lines)
    return Cleared(tuple(lines), given_up + max(0, fund_result), handed_out, withheld)


def _share(
    lines: list[Line], accounts: Sequence[Account], rule: ClearingRule, difference: int
) -> tuple[list[Line], int]:
    """The lines after sharing, and what is left of the pool's difference for the fund (negative: it must pay)."""
    if rule.basis == "hospital" and rule.sharing is not None:
        shared: list[Line] = []
        for line, item in zip(lines, accounts, strict=True):
            found = share(max(0, line.entitlement), item.actual, rule.sharing)
            retained, borne = found.retained, found.fund_share
            if rule.assessed_on == "retained":
                retained = round_half_up(retained * item.returned_share)
            if rule.assessed_on == "share":
                retained = round_half_up(retained * item.returned_share)
                borne = round_half_up(borne * item.returned_share)
            given_up = found.surplus - retained
            shared.append(
                replace(
                    line,
                    retained=retained,
                    given_up=given_up,
                    shared=line.shared + borne,
                    deductions=line.deductions + given_up,
                )
            )
        return shared, difference
    if rule.basis == "region" and rule.region_share is not None:
        due = sum(line.entitlement for line in lines)
        region = share_region(due + difference, due, rule.region_share)
        parts = _spread(region.hospitals, [max(0, line.entitlement) for line in lines])
        moved = [replace(line, entitlement=line.entitlement + part) for line, part in zip(lines, parts, strict=True)]
        return moved, region.fund
    return lines, difference


def _spread(amount: int, weights: Sequence[int]) -> list[int]:
    return apportion(amount, weights) if any(weights) else [0] * len(weights)


def _assess(line: Line, item: Account, rule: ClearingRule) -> Line:
    """Withhold the deposit and return the part that the assessment leaves."""
    deposit = round_half_up(max(0, line.entitlement) * item.deposit_share)
    returned = round_half_up(deposit * item.returned_share) if rule.assessed_on == "deposit" else deposit
    return replace(line, deposit=deposit, assessment=returned)


def statement_row(line: Line, pool: str) -> dict[str, str]:
    """A line in STATEMENT_COLUMNS: amounts in yuan with two decimals, points with four."""
    amounts = {
        "entitlement": line.entitlement, "retained": line.retained, "shared": line.shared, "deposit": line.deposit,
        "assessment": line.assessment, "deductions": line.deductions, "prepaid": line.prepaid, "balance": line.balance,
    }  # fmt: skip
    shown = {name: yuan_text(amount) for name, amount in amounts.items()}
    points = decimal_text(line.points, 4)
    return {"hospital": line.hospital, "pool": pool, "cases": str(line.cases), "points": points, **shown}
