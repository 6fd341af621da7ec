"""Which way a case is priced when its codes alone do not say: by its length of stay, its place in a yearly count, its
share of Chinese medicine, or not at all because its record lacks what a price needs.

Every route is worked out by whole columns before a price is looked up. Source: meaning of each parameter in
policy_schema.toml (庆阳, 重庆: days; 烟台: volume caps; TCM-advantage groups).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import polars as pl

from budget.case_fit import UNFIT, faults, unfit_reason
from budget.group_values import GroupValues
from budget.price_terms import BED_DAY, BY_ITEM_DAYS, COMMAND, ORDINARY, OVER_CAP, TCM, TCM_FALLBACK
from reference_tables.policy import Policy
from reference_tables.problems import Problem

_ROUTE_KEYS = (
    "by_item_days_up_to", "by_item_days_from", "bed_day_groups", "tcm_groups", "tcm_min_ratio", "tcm_min_days",
)  # fmt: skip
_LONGEST = 1 << 31
_COUNTED = (ORDINARY, TCM, TCM_FALLBACK)


def route_cases(cases: pl.DataFrame, policy: Policy, values: GroupValues, problems: list[Problem]) -> pl.Series:
    """String [cases]: the route of each case of a PAYABLE frame, "" for the ordinary one.

    The first that applies: no price for want of data (UNFIT and the reason), bed days (however long the stay), stays
    too short or too long (by item), groups beyond their yearly number, TCM-advantage groups. The yearly number counts
    the cases that would else be paid by their group, in the order of discharge, case id and hospital. `problems` takes
    the parameters that are missing.
    """

    def on_day(day: date | None) -> pl.Expr:
        route = pl.lit(ORDINARY)
        for made in (_tcm(policy, day, problems), _by_days(policy, day), _bed_day(policy, day)):
            if made is not None:
                condition, name = made
                route = pl.when(condition.fill_null(value=False)).then(name).otherwise(route)
        return route

    reason = unfit_reason(list(faults(policy, values)))
    unfit = pl.when(pl.col("status") != "INVALID").then(pl.lit(UNFIT) + reason)
    found = pl.coalesce(unfit, by_month(policy, _ROUTE_KEYS, cases, on_day, pl.lit(ORDINARY)))
    return _beyond_caps(cases, cases.select(found.alias("route")).to_series(), policy)


def young_cases(cases: pl.DataFrame, policy: Policy) -> pl.Expr:
    """Boolean: below the age that the age factor is for; an unknown age is not."""

    def on_day(day: date | None) -> pl.Expr:
        below = policy.get("age_factor_below", day)
        return pl.lit(value=False) if below is None else (pl.col("age_years") < below.value).fill_null(value=False)

    return by_month(policy, ("age_factor_below",), cases, on_day, pl.lit(value=False))


def by_month(
    policy: Policy,
    keys: Sequence[str],
    cases: pl.DataFrame,
    on_day: Callable[[date | None], pl.Expr],
    without: pl.Expr,
) -> pl.Expr:
    """An expression that may differ from month to month, because one of `keys` does; `without` month."""
    if not any(policy.dated(key) for key in keys):
        return on_day(None)
    found = without
    for month in cases["month"].unique().drop_nulls().sort():
        if month:
            here = on_day(date.fromisoformat(f"{month}-01"))
            found = pl.when(pl.col("month") == month).then(here).otherwise(found)
    return found


def days_that_decide(policy: Policy) -> tuple[int, int] | None:
    """The shortest and the longest stay that is ordinary at any time and needs no second look; None when no price
    depends on the days."""
    short, long = (
        [int(setting.value) for setting in policy.all(key)] for key in ("by_item_days_up_to", "by_item_days_from")
    )
    if not short and not long and not policy.has("bed_day_groups"):
        return None
    return max([-1, *short]) + 1, min([_LONGEST, *long]) - 1


def capped_groups(policy: Policy) -> frozenset[str] | None:
    """Groups with a yearly number; None when every group has one."""
    scopes = [dict(setting.scope) for setting in policy.all("volume_cap")]
    if not all(scopes):
        return None
    lists = [policy.lists[scope["list"]] if "list" in scope else (scope["group"],) for scope in scopes]
    return frozenset(group for codes in lists for group in codes)


Route = tuple[pl.Expr, pl.Expr]


def _by_days(policy: Policy, day: date | None) -> Route | None:
    short, long = policy.get("by_item_days_up_to", day), policy.get("by_item_days_from", day)
    days = pl.col("los_days")
    parts = [days <= short.value] if short is not None else []
    parts += [days >= long.value] if long is not None else []
    return (pl.any_horizontal(parts), pl.lit(BY_ITEM_DAYS)) if parts else None


def _bed_day(policy: Policy, day: date | None) -> Route | None:
    groups = policy.get("bed_day_groups", day)
    return None if groups is None else (pl.col("group").is_in(list(groups.value)), pl.lit(BED_DAY))


def _beyond_caps(cases: pl.DataFrame, route: pl.Series, policy: Policy) -> pl.Series:
    """Routes with OVER_CAP where the case's group has had its number of the year before it."""
    if not policy.has("volume_cap"):
        return route
    names = ["group", "month", "discharge", "case_id", "hospital_id", "status"]
    counted = cases.select(*names, route.alias("route")).with_row_index("at")
    capped = capped_groups(policy)
    if capped is not None:
        counted = counted.filter(pl.col("group").is_in(sorted(capped)))
    counted = counted.filter(pl.col("route").is_in(_COUNTED) & (pl.col("status") != "INVALID"))
    counted = counted.with_columns(pl.col("month").str.head(4).alias("year"))
    caps = [
        (group, year, cap)
        for group, year in counted.select("group", "year").unique().sort("group", "year").iter_rows()
        if (cap := _cap(policy, group, int(year))) is not None
    ]
    table = pl.DataFrame(caps, schema={"group": pl.String, "year": pl.String, "cap": pl.Int64}, orient="row")
    ordered = counted.join(table, on=["group", "year"]).sort(
        "group", "year", "discharge", "case_id", "hospital_id", nulls_last=True
    )
    place = pl.int_range(pl.len()).over("group", "year")
    over = ordered.filter(place >= pl.col("cap"))["at"]
    return route.clone().scatter(over, OVER_CAP) if over.len() else route


def _cap(policy: Policy, group: str, year: int) -> int | None:
    """The yearly number of a group: as it holds at the beginning of the year, or of the policy."""
    day = max(date(year, 1, 1), policy.header.effective_from)
    found = policy.get("volume_cap", day, group=group)
    return None if found is None else int(found.value)


def _tcm(policy: Policy, day: date | None, problems: list[Problem]) -> Route | None:
    groups = policy.get("tcm_groups", day)
    if groups is None:
        return None
    least = policy.need("tcm_min_ratio", COMMAND, on=day, problems=problems)
    if least is None:
        return None
    ratio = least.value
    # tcm / base >= n / d, in whole fen on both sides.
    part, base = (pl.col(name).cast(pl.Int128) for name in ("tcm_fen", "tcm_base_fen"))
    enough = (part * ratio.denominator >= base * ratio.numerator) & (base > 0)
    days = {}
    for group in groups.value:
        setting = policy.get("tcm_min_days", day, group=group)
        if setting is not None:
            days[group] = setting.value
    if days:
        least_days = pl.col("group").replace_strict(days, default=None, return_dtype=pl.Int64)
        enough &= least_days.is_null() | (pl.col("los_days") >= least_days).fill_null(value=False)
    name = pl.when(enough.fill_null(value=False)).then(pl.lit(TCM)).otherwise(pl.lit(TCM_FALLBACK))
    return pl.col("group").is_in(list(groups.value)), name
