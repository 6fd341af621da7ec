"""The tables of a simulation (`budget.compare_frames.TABLES`) from its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from api.core.simulate_stage import Stage, hospital_totals
from budget.compare import gains, transitions
from budget.compare_frames import ALL_POOLS, CHANGES_SCHEMA, STEPS_SCHEMA
from budget.compare_winners import deciles, lorenz, winners
from budget.reformed_effect import TOUCHED_SCHEMA, AppliedChange, touched
from grouper.schemes import Scheme
from reference_tables.drg_pack import DrgPack
from reference_tables.policy_schema import policy_schema
from reference_tables.reform_schema import reform_schema
from reference_tables.reform_shown import change_value_shown

NO_MDC = "0000"
"""The major diagnostic category of a case that is in none."""
Span = tuple[Stage, Stage]
"""The stages before and after a reform."""


def gain_tables(before: Stage, after: Stage, compared: pl.DataFrame, scheme: Scheme) -> dict[str, pl.DataFrame]:
    """gain, winners, deciles and lorenz; `scheme` that the cases were grouped by before."""
    names, tiers = _hospitals(before.cases)
    labels: dict[str, Mapping[str, str]] = {
        "hospital": names, "mdc": _mdc_names(scheme), "county_group": _county_groups(before),
    }  # fmt: skip
    orders = {"tier": before.policy.tiers, "insurance": before.policy.insurances, "pool": before.policy.insurances}
    gain = gains(compared, before.cleared, after.cleared, labels=labels, orders=orders)
    won = winners(gain, names, tiers)
    return {"gain": gain, "winners": won, "deciles": deciles(won), "lorenz": lorenz(won)}


def fund_table(before: Stage, after: Stage) -> pl.DataFrame:
    """FUND_SCHEMA of both clearings, pools of before first, all pools together last."""
    both = pl.concat([before.fund_frame("before"), after.fund_frame("after")])
    whole = pl.col("pool") == ALL_POOLS
    return pl.concat([both.filter(~whole), both.filter(whole)])


def steps_table(steps: Sequence[Stage]) -> pl.DataFrame:
    """STEPS_SCHEMA: totals of every stage."""
    rows = [
        (at, stage.label, stage.cases.height, stage.package_fen, stage.fund_fen, stage.cleared_fen, stage.balance_fen)
        for at, stage in enumerate(steps)
    ]
    return pl.DataFrame(rows, schema=STEPS_SCHEMA, orient="row")


def moved_groups(compared: pl.DataFrame) -> pl.DataFrame | None:
    """TRANSITION_SCHEMA when any case is in another group after, else None."""
    if (compared["group"] == compared["group_after"]).all():
        return None
    return transitions(compared)


def moved_payments(before: Stage, after: Stage) -> pl.Series:
    """Cases, row for row, whose payment is another one after."""
    package, fund = (before.priced[name].ne_missing(after.priced[name]) for name in ("package_fen", "fund_fen"))
    return package | fund


def cleared_moved(before: Stage, after: Stage) -> int | None:
    """Hospitals whose money after clearing is another; None where nothing is cleared."""
    if before.clearing is None or after.clearing is None:
        return None
    had, has = hospital_totals(before), hospital_totals(after)
    return sum(had.get(hospital, 0) != has.get(hospital, 0) for hospital in {*had, *has})


def touched_by(cases: pl.DataFrame, applied: Sequence[AppliedChange], spans: Mapping[str, Span]) -> pl.DataFrame:
    """TOUCHED_SCHEMA of all changes in order; payments moved are those that the reform of a change moved."""
    found = [
        touched(cases, [item for item in applied if item.reform_id == name], before.priced, after.priced)
        for name, (before, after) in spans.items()
    ]
    return pl.concat([pl.DataFrame(schema=TOUCHED_SCHEMA), *found])


def changes_table(
    switched: Sequence[Mapping[str, object]],
    applied: Sequence[AppliedChange],
    touches: pl.DataFrame,
    spans: Mapping[str, Span],
) -> pl.DataFrame:
    """CHANGES_SCHEMA: the rows of what was `switched`, then what each change put, and what it touched (`touches`
    TOUCHED_SCHEMA); `spans`: the stages before and after each reform by its id."""
    parameters, actions = policy_schema().parameters, reform_schema().actions
    cleared = {name: cleared_moved(*span) for name, span in spans.items()}
    rows = list(switched)
    for item, count in zip(applied, touches.iter_rows(named=True), strict=True):
        change = item.change
        rows.append({
            "reform": item.reform_id, "place": change.place, "key": change.key,
            "label": parameters[change.key].label, "action": actions[change.action],
            "value": change_value_shown(change),
            "scope": item.scope_text, "since": str(change.since or ""), "until": str(change.until or ""),
            "settings": item.settings, "cleared": cleared[item.reform_id],
            **{name: count[name] for name in ("before", "after", "groups", "cases", "hospitals", "moved")},
        })  # fmt: skip
    return pl.DataFrame(rows, schema=CHANGES_SCHEMA, orient="row")


def _hospitals(cases: pl.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Name and tier of every hospital, as its cases tell them."""
    of = cases.filter(pl.col("hospital_id").is_not_null()).group_by("hospital_id")
    told = of.agg(pl.col("hospital_name", "tier").drop_nulls().max()).sort("hospital_id")
    names = {number: name or number for number, name in told.select("hospital_id", "hospital_name").iter_rows()}
    tiers = {number: tier or "" for number, tier in told.select("hospital_id", "tier").iter_rows()}
    return names, tiers


def _mdc_names(scheme: Scheme) -> dict[str, str]:
    """Code and name of every MDC; none in a DIP scheme."""
    pack = scheme.pack
    if not isinstance(pack, DrgPack):
        return {}
    found = {code: f"{code} {name}" for code, name in pack.mdc.select("code", "name").iter_rows()}
    return {NO_MDC: f"{NO_MDC} 未入主要诊断大类", **found}


def _county_groups(stage: Stage) -> dict[str, str]:
    """Id and name of the county groups of the year file; none without clearing."""
    if stage.clearing is None:
        return {}
    rows = stage.clearing.given.year_file.rows("county_group")
    return {row["id"]: f"{row['id']} {row['name']}" for row in rows}
