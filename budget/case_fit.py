"""Which cases can be priced at all: those whose record says who treated whom, when, insured how, and at what cost.

A case that lacks one of these comes out unpaid with the reason; it never stops a run and is never priced by a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import polars as pl

from budget.affine import LARGEST_COST
from budget.group_values import GroupValues
from reference_tables.policy import Policy

UNFIT = "unfit:"
DUPLICATE = "DUPLICATE"
"""Status of a case that stands a second time in what is to be paid."""
_BY_DAYS = ("by_item_days_up_to", "by_item_days_from")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a case cannot be priced: `reason` (PRICE_... in the catalogue without its head), the `problem` of its row,
    the field at fault, the rows and the value shown of it."""

    reason: str
    problem: str
    field: str
    met: pl.Expr
    value: pl.Expr


def faults(policy: Policy, values: GroupValues) -> Iterator[Fault]:
    """What may be wrong with a PAYABLE row under a policy, in the order in which one is told."""
    nothing = pl.lit("")
    hospital, month, insurance, tier = (pl.col(name) for name in ("hospital_id", "month", "insurance", "tier"))
    total = pl.col("total_cost_fen")
    package = total - pl.col("separate_fen").fill_null(0)
    yield Fault("DUPLICATE", "PA11", "case_id", pl.col("status") == DUPLICATE, pl.col("case_id"))
    yield Fault("NO_HOSPITAL", "PA04", "hospital_id", _blank(hospital), nothing)
    yield Fault("NO_MONTH", "PA08", "discharge_time", _blank(month), nothing)
    yield Fault("OUTSIDE_POLICY", "PA09", "discharge_time", ~_within(policy, month), month)
    yield Fault("NO_INSURANCE", "PA06", "insurance_type", _blank(insurance), nothing)
    yield Fault("NOT_INSURED", "PA07", "insurance_type", ~insurance.is_in(list(policy.insurances)), insurance)
    if asks_tier(policy, values):
        unknown = ~tier.is_in(list(policy.tiers)) if policy.tiers else pl.lit(value=False)
        yield Fault("NO_TIER", "PA05", "hospital_level", _blank(tier) | unknown, tier)
    yield Fault("NO_COST", "PA01", "total_cost_fen", total.is_null(), nothing)
    yield Fault("NEGATIVE_COST", "PA02", "total_cost_fen", (package < 0) | (total < 0), yuan_of(package))
    too_large = (total > LARGEST_COST) | (package > LARGEST_COST)
    yield Fault("COST_TOO_LARGE", "PA03", "total_cost_fen", too_large, yuan_of(total))
    days = _asks_days(policy)
    if days is not None:
        unknown_days = pl.col("los_days").is_null() | (pl.col("los_days") < 0)
        yield Fault("NO_DAYS", "PA10", "los_days", days & unknown_days, pl.col("los_days").cast(pl.String))


def asks_tier(policy: Policy, values: GroupValues) -> bool:
    """Does any price depend on the hospital's tier?"""
    keys = {setting.key for setting in policy.settings}
    basic = policy.all("basic_rule")
    return values.by_tier or any("tier" in policy.names(key) for key in keys) or any(item.value.only for item in basic)


def _asks_days(policy: Policy) -> pl.Expr | None:
    """Rows whose price depends on the length of stay."""
    if any(policy.has(key) for key in _BY_DAYS):
        return pl.lit(value=True)
    groups = sorted({group for setting in policy.all("bed_day_groups") for group in setting.value})
    return pl.col("group").is_in(groups) if groups else None


def _within(policy: Policy, month: pl.Expr) -> pl.Expr:
    """Months with a day on which the policy holds."""
    since, until = policy.header.effective_from, policy.header.effective_until
    held = month >= f"{since:%Y-%m}"
    if until is None:
        return held
    # A policy that ends on the first of a month does not hold in that month.
    last = date.fromordinal(until.toordinal() - 1)
    return held & (month <= f"{last:%Y-%m}")


def _blank(column: pl.Expr) -> pl.Expr:
    return column.is_null() | (column == "")


def yuan_of(fen: pl.Expr) -> pl.Expr:
    """Fen as yuan with two decimals, as text."""
    whole, part = fen.abs() // 100, fen.abs() % 100
    sign = pl.when(fen < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return pl.format("{}{}.{}", sign, whole, part.cast(pl.String).str.zfill(2))


def unfit_reason(found: list[Fault]) -> pl.Expr:
    """String: the reason of the first fault of a row, null for a fit case."""
    reason = pl.lit(None, dtype=pl.String)
    for fault in reversed(found):
        reason = pl.when(fault.met.fill_null(value=False)).then(pl.lit(fault.reason)).otherwise(reason)
    return reason
