"""Which way a case is priced when its codes alone do not say: by its length of stay, its place in a yearly count, its
share of Chinese medicine, or a decision of the payment office.

Every route is worked out by whole columns before a price is looked up. Source: meaning of each parameter in
policy_schema.toml (庆阳, 重庆: days; 烟台: volume caps; TCM-advantage groups).
"""

from __future__ import annotations

import polars as pl

from budget.price_terms import COMMAND
from reference_tables.policy import Policy
from reference_tables.problems import Problem

ORDINARY = ""
BY_ITEM_DAYS, BED_DAY, OVER_CAP, TCM, TCM_FALLBACK = "by_item_days", "bed_day", "over_cap", "tcm", "tcm_fallback"


def route_cases(cases: pl.DataFrame, policy: Policy, problems: list[Problem]) -> pl.Series:
    """String [cases]: the route of each case of a PAYABLE frame, "" for the ordinary one.

    The first that applies: stays too short or too long (by item), bed days, groups beyond their yearly number
    (in the order of discharge, then case id), TCM-advantage groups. `problems` takes the parameters that are missing.
    """
    route = pl.lit(ORDINARY)
    for made in (_tcm(policy, problems), _over_cap(policy), _bed_day(policy), _by_days(policy)):
        if made is not None:
            condition, name = made
            route = pl.when(condition.fill_null(value=False)).then(name).otherwise(route)
    return cases.select(route.alias("route")).to_series()


Route = tuple[pl.Expr, pl.Expr]


def _by_days(policy: Policy) -> Route | None:
    short, long = policy.get("by_item_days_up_to"), policy.get("by_item_days_from")
    days = pl.col("los_days")
    parts = [days <= short.value] if short is not None else []
    parts += [days >= long.value] if long is not None else []
    return (pl.any_horizontal(parts), pl.lit(BY_ITEM_DAYS)) if parts else None


def _bed_day(policy: Policy) -> Route | None:
    groups = policy.get("bed_day_groups")
    return None if groups is None else (pl.col("group").is_in(list(groups.value)), pl.lit(BED_DAY))


def _over_cap(policy: Policy) -> Route | None:
    caps: dict[str, int] = {}
    for setting in reversed(policy.all("volume_cap")):
        scope = dict(setting.scope)
        groups = policy.lists[scope["list"]] if "list" in scope else (scope["group"],)
        caps.update(dict.fromkeys(groups, setting.value))
    if not caps:
        return None
    # The place of a case among those of its group and year, earlier discharges first.
    at = pl.struct("discharge", "case_id").rank("ordinal").over("group", pl.col("month").str.head(4))
    cap = pl.col("group").replace_strict(caps, default=None, return_dtype=pl.Int64)
    return at > cap, pl.lit(OVER_CAP)


def _tcm(policy: Policy, problems: list[Problem]) -> Route | None:
    groups = policy.get("tcm_groups")
    if groups is None:
        return None
    least = policy.need("tcm_min_ratio", COMMAND, problems=problems)
    if least is None:
        return None
    ratio = least.value
    # tcm / base >= n / d, in whole fen on both sides.
    enough = (pl.col("tcm_fen") * ratio.denominator >= pl.col("tcm_base_fen") * ratio.numerator) & (
        pl.col("tcm_base_fen") > 0
    )
    days = {}
    for group in groups.value:
        setting = policy.get("tcm_min_days", group=group)
        if setting is not None:
            days[group] = setting.value
    if days:
        least_days = pl.col("group").replace_strict(days, default=0, return_dtype=pl.Int64)
        enough &= pl.col("los_days") >= least_days
    name = pl.when(enough.fill_null(value=False)).then(pl.lit(TCM)).otherwise(pl.lit(TCM_FALLBACK))
    return pl.col("group").is_in(list(groups.value)), name
