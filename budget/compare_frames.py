"""The tables that a policy simulation gives: what each column means, so that pages and files read them alike.

Money is Int64 fen, a rate or share a Decimal with six decimals rounded half up (0.05 = 5 %). "before" is the policy as
it stands, "after" the policy with its reforms, for the same cases.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl

from budget.frames import CASE_KIND_ZH
from budget.money import decimal_text

FEN = pl.Int64()
RATE = pl.Decimal(18, 6)
UNITS = pl.Decimal(28, 6)
VALUE = pl.Decimal(28, 10)
TEXT = pl.String()
COUNT = pl.Int64()

DIMENSIONS = {
    "hospital": "医疗机构", "tier": "机构级别", "county_group": "医共体", "department": "科室", "mdc": "主要诊断大类",
    "group": "病组", "insurance": "险种", "kind": "病例类型", "pool": "基金池",
}  # fmt: skip
"""What gain and loss are told by. `kind`: as the case was classed before the reform (CASE_KIND_ZH); `mdc`, `group`: as
grouped before it."""
KIND_LABELS = CASE_KIND_ZH

GAIN_SCHEMA: dict[str, pl.DataType] = {
    "dimension": TEXT,
    "key": TEXT,
    "label": TEXT,
    "cases": COUNT,
    "cost_fen": FEN,
    "package_before_fen": FEN,
    "package_after_fen": FEN,
    "fund_before_fen": FEN,
    "fund_after_fen": FEN,
    "cleared_before_fen": FEN,
    "cleared_after_fen": FEN,
}
"""One row per dimension and key ("" = not known). `package` what the cases earn, `fund` the fund's part as priced,
`cleared` what the fund pays after clearing (entitlement and shared), null without a year file. Every dimension sums to
the same totals."""

WINNERS_SCHEMA: dict[str, pl.DataType] = {
    "hospital": TEXT,
    "name": TEXT,
    "tier": TEXT,
    "cases": COUNT,
    "fund_before_fen": FEN,
    "fund_after_fen": FEN,
    "fund_gain_fen": FEN,
    "fund_rate": RATE,
    "cleared_before_fen": FEN,
    "cleared_after_fen": FEN,
    "cleared_gain_fen": FEN,
    "cleared_rate": RATE,
    "gain_fen": FEN,
    "rate": RATE,
    "outcome": TEXT,
}
"""One row per hospital, the largest gain first. `gain_fen`, `rate`: after clearing where there is a year file, else
before it; a rate is the gain over what it was before, null where that is not above 0. `outcome`: gain, loss, same."""
OUTCOMES = {"gain": "增加", "loss": "减少", "same": "不变"}

DECILES_SCHEMA: dict[str, pl.DataType] = {
    "stage": TEXT,
    "decile": COUNT,
    "hospitals": COUNT,
    "cases": COUNT,
    "low_rate": RATE,
    "high_rate": RATE,
    "rate": RATE,
    "before_fen": FEN,
    "after_fen": FEN,
}
"""Hospitals in ten parts as equal as can be by their rate of gain, 1 the lowest, at each stage (fund as priced, cleared
after clearing). `low_rate`, `high_rate` of its hospitals, `rate` of the part's sums."""

LORENZ_SCHEMA: dict[str, pl.DataType] = {
    "stage": TEXT,
    "side": TEXT,
    "place": COUNT,
    "hospitals_share": RATE,
    "amount_share": RATE,
    "total_fen": FEN,
    "gini": RATE,
}
"""Who the gains (`side` gained) and the losses (lost) fall on: of the hospitals with any, the smallest first, the share
of hospitals and of the amount up to each, from 0 to 1; `gini` 0 = all alike."""

FUND_SCHEMA: dict[str, pl.DataType] = {
    "pool": TEXT,
    "state": TEXT,
    "cases": COUNT,
    "budget_fen": FEN,
    "distributable_fen": FEN,
    "regulation_fen": FEN,
    "reserve_fen": FEN,
    "fixed_fen": FEN,
    "bundled_fen": FEN,
    "units": TEXT,
    "point_value": TEXT,
    "price_unit": TEXT,
    "value_basis": TEXT,
    "entitlement_fen": FEN,
    "shared_fen": FEN,
    "kept_fen": FEN,
    "paid_fen": FEN,
    "received_fen": FEN,
    "bundles_fen": FEN,
    "bundle_others_fen": FEN,
    "bundle_reserve_fen": FEN,
    "bundle_unkept_fen": FEN,
    "line": TEXT,
    "line_fen": FEN,
    "back_fen": FEN,
    "other_spend_fen": FEN,
    "balance_fen": FEN,
    "accumulated_fen": FEN,
    "reserve_months": RATE,
}
"""One row per pool and `state` (before, after), and pool "合计" for all. `budget` inpatient money with the regulation
fund, `point_value` settled in `price_unit` (元/权重, 元/点, 元/分; both "" where prices do not move) of what
`value_basis` tells; `kept` withheld
deposit and deductions; `paid` what the fund pays for the cases, `received` what hospitals receive: of a pool paid +
bundled; of all, paid + bundles = received + bundle_others + bundle_reserve + bundle_unkept, where `bundles` is the
money of county groups, `bundle_others` what it paid beside the cases, `bundle_reserve` and `bundle_unkept` what stays
in the fund of reserves and surpluses (null in pools: a group's money is of several); `line` that pays for overruns and
what it paid; `back` to the fund; `other_spend` other deductions from the income; `balance` of the year: what was set
aside (distributable, regulation, reserve) and what bundles leave, less paid and less what was granted during the year;
`accumulated` at the year's end;
`reserve_months` that it lasts (累计结余可支付月数)."""
ALL_POOLS = "合计"
TIERS = ("三级", "二级", "一级")
"""Tiers in the order in which they are drawn, others after them."""

CHANGES_SCHEMA: dict[str, pl.DataType] = {
    "reform": TEXT,
    "place": TEXT,
    "key": TEXT,
    "label": TEXT,
    "action": TEXT,
    "value": TEXT,
    "scope": TEXT,
    "since": TEXT,
    "until": TEXT,
    "settings": COUNT,
    "groups": COUNT,
    "cases": COUNT,
    "hospitals": COUNT,
    "moved": COUNT,
    "cleared": COUNT,
    "before": TEXT,
    "after": TEXT,
}
"""One row per thing that a reform switches (key `switch.policy`, `switch.scheme`, `switch.weights`) and per change, in
order: values put (`settings`, null for a scheme), groups, cases and hospitals in its scope, and cases there whose
payment its reform as a whole moved; `cleared`: hospitals whose money after clearing it moved, null without a year file;
`before` and `after`: the value or range of values that held for these cases, in Chinese."""

STEPS_SCHEMA: dict[str, pl.DataType] = {
    "step": COUNT,
    "label": TEXT,
    "cases": COUNT,
    "package_fen": FEN,
    "fund_fen": FEN,
    "cleared_fen": FEN,
    "balance_fen": FEN,
}
"""The way from before (step 0) to after, reform by reform: totals at each step; the last two null without a year file.
Only then the years of growth follow, which `growth` has otherwise."""

TRANSITION_SCHEMA: dict[str, pl.DataType] = {
    "group_before": TEXT,
    "name_before": TEXT,
    "group_after": TEXT,
    "name_after": TEXT,
    "cases": COUNT,
    "cost_fen": FEN,
    "package_before_fen": FEN,
    "package_after_fen": FEN,
    "fund_before_fen": FEN,
    "fund_after_fen": FEN,
}
"""One row per pair of groups that some case moved between, when the scheme or the coding changes."""

BOOTSTRAP_SCHEMA: dict[str, pl.DataType] = {
    "what": TEXT,
    "key": TEXT,
    "label": TEXT,
    "value": VALUE,
    "low": VALUE,
    "high": VALUE,
    "unit": TEXT,
    "chance": RATE,
    "left_out": COUNT,
}
"""95 % intervals from resampled cases. `what`: point_value (by pool), balance (of the fund's year by pool; `chance` of
an overrun), both after the reform; the same before it with _before; hospital (what the reform changes for it; `chance`
of a loss; not of members of county groups, whose bundles are not resampled). `unit`: fen, of a point value 元/权重,
元/点 or 元/分. `left_out` resamples could not be cleared and count in neither interval nor chance."""

FAN_SCHEMA: dict[str, pl.DataType] = {
    "year": COUNT,
    "pool": TEXT,
    "low95": FEN,
    "low50": FEN,
    "median": FEN,
    "high50": FEN,
    "high95": FEN,
}
"""The fund's balance of the year and of each year of growth after the reform, the budget as it is, fen: median, and the
middle 50 % and 95 % of resamples; without resamples all of them the same."""

GROWTH_SCHEMA: dict[str, pl.DataType] = {
    "year": COUNT,
    "pool": TEXT,
    "cases": COUNT,
    "cost_fen": FEN,
    "package_fen": FEN,
    "fund_fen": FEN,
    "point_value": TEXT,
    "price_unit": TEXT,
    "paid_fen": FEN,
    "balance_fen": FEN,
    "accumulated_fen": FEN,
}
"""The year after the reform and each year of growth, the budget as it is, by pool and all together: cases, their cost,
what they are paid (`package`, and the fund's part) and, with a year file, what the fund pays after clearing, its
balance of the year and the balance accumulated by then. `year` 0, 1, … without a year file."""

SOLVED_SCHEMA: dict[str, pl.DataType] = {
    "kind": TEXT,
    "place": TEXT,
    "what": TEXT,
    "value": TEXT,
    "before": TEXT,
    "reached": TEXT,
    "target": TEXT,
    "residual": TEXT,
    "iterations": COUNT,
    "problem": TEXT,
}
"""What was solved for, how near the exact run comes to the target, and what stands in the way of one not reached."""

SWEEP_SCHEMA: dict[str, pl.DataType] = {
    "sweep": TEXT,
    "value": VALUE,
    "package_fen": FEN,
    "fund_fen": FEN,
    "cleared_fen": FEN,
    "balance_fen": FEN,
    "winners": COUNT,
    "losers": COUNT,
}
"""One change (`sweep` in words) tried at many values: totals, and hospitals that gain and that lose against before;
cleared and balance null without a year file."""

TABLES = {
    "gain": GAIN_SCHEMA, "winners": WINNERS_SCHEMA, "deciles": DECILES_SCHEMA, "lorenz": LORENZ_SCHEMA,
    "fund": FUND_SCHEMA, "changes": CHANGES_SCHEMA, "steps": STEPS_SCHEMA, "transition": TRANSITION_SCHEMA,
    "bootstrap": BOOTSTRAP_SCHEMA, "fan": FAN_SCHEMA, "growth": GROWTH_SCHEMA, "solved": SOLVED_SCHEMA,
    "sweep": SWEEP_SCHEMA,
}  # fmt: skip
"""Every table by its name; a part that was not asked for has none."""

RATE_PLACES, VALUE_PLACES = 6, 10


def rounded(value: Fraction, places: int = RATE_PLACES) -> Decimal:
    """A fraction as a cell of a RATE, UNITS (six decimals) or VALUE (ten) column, half up."""
    return Decimal(decimal_text(value, places))


def rate_of(gain: int, before: int) -> Decimal | None:
    """A gain over what it was before; None where that is not above 0, so that nothing can be told of it in per cent."""
    return rounded(Fraction(gain, before)) if before > 0 else None
