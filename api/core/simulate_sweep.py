"""The response curve of one change (`[[sweep]]`): the same cases under each of its values, exactly, on top of all
reforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from api.core.resolved_reform import decimal
from api.core.simulate_stage import Stage, hospital_totals
from api.core.simulate_trial import Trial
from budget.compare_frames import SWEEP_SCHEMA, VALUE_PLACES, rounded
from reference_tables.policy_schema import policy_schema
from reference_tables.reform import Change, Reform, Sweep
from reference_tables.reform_schema import reform_schema
from reference_tables.reform_shown import scope_shown


def sweep_table(
    before: Stage, trial: Trial, reforms: Sequence[Reform], told: Callable[[str], None]
) -> pl.DataFrame | None:
    """SWEEP_SCHEMA of every sweep of the reforms, in order; None when there is none. Raises TablesRefused."""
    rows = []
    for reform in reforms:
        for sweep in reform.sweeps:
            label = sweep_label(sweep)
            for at, value in enumerate(sweep.values, 1):
                told(f"{label}：第 {at} 个值，共 {sweep.steps} 个")
                change = Change(
                    sweep.key, sweep.action, value, decimal(value), sweep.scope, sweep.groups, place=sweep.place,
                    line=sweep.line,
                )  # fmt: skip
                tried = replace(reforms[-1], changes=(*reforms[-1].changes, change))
                stage = trial.stage("", [*reforms[:-1], tried])
                rows.append({"sweep": label, "value": rounded(value, VALUE_PLACES), **_measures(before, stage)})
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA, orient="row") if rows else None


def sweep_label(sweep: Sweep) -> str:
    """What is tried, in Chinese."""
    parameter, action = policy_schema().parameters[sweep.key], reform_schema().actions[sweep.action]
    unit = f" {parameter.unit}" if parameter.unit and sweep.action != "scale" else ""
    where = f"（{scope_shown(sweep.scope, sweep.groups)}）" if sweep.scope or sweep.groups else ""
    return f"{parameter.label}{where}{action} {decimal(sweep.start)} 至 {decimal(sweep.stop)}{unit}"


def _measures(before: Stage, stage: Stage) -> dict[str, Any]:
    """Totals of a stage, and who gains and loses by it."""
    had, has = hospital_totals(before), hospital_totals(stage)
    moved = [has.get(name, 0) - had.get(name, 0) for name in {*had, *has}]
    return {
        "package_fen": stage.package_fen, "fund_fen": stage.fund_fen, "cleared_fen": stage.cleared_fen,
        "balance_fen": stage.balance_fen, "winners": sum(fen > 0 for fen in moved),
        "losers": sum(fen < 0 for fen in moved),
    }  # fmt: skip
