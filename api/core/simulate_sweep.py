"""The response curve of one change (`[[sweep]]`): the same cases under each of its values, exactly, on top of all
reforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from api.core.resolved_reform import decimal
from api.core.simulate_solve_sums import change_sums
from api.core.simulate_stage import Stage, hospital_totals
from api.core.simulate_trial import Trial
from budget.compare_frames import SWEEP_SCHEMA, VALUE_PLACES, rounded
from reference_tables.policy_schema import policy_schema
from reference_tables.reform import Change, Reform, Sweep
from reference_tables.reform_schema import reform_schema
from reference_tables.reform_shown import scope_shown

_FEW = 5
"""So few values are priced in full."""


def sweep_table(
    before: Stage, trial: Trial, reforms: Sequence[Reform], told: Callable[[str], None]
) -> pl.DataFrame | None:
    """SWEEP_SCHEMA of every sweep of the reforms, in order; None when there is none. Raises TablesRefused."""
    rows = []
    for reform in reforms:
        for sweep in reform.sweeps:
            label = sweep_label(sweep)
            for value, measures in zip(sweep.values, _responses(before, trial, reforms, sweep, told), strict=True):
                rows.append({"sweep": label, "value": rounded(value, VALUE_PLACES), **measures})
    return pl.DataFrame(rows, schema=SWEEP_SCHEMA, orient="row") if rows else None


def _responses(
    before: Stage, trial: Trial, reforms: Sequence[Reform], sweep: Sweep, told: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The measures at each value of a sweep: before clearing by sums of cases where they agree with the first and the
    last value in full, else all in full."""
    changes = [
        Change(sweep.key, sweep.action, value, decimal(value), sweep.scope, sweep.groups, place=sweep.place,
               line=sweep.line)
        for value in sweep.values
    ]  # fmt: skip
    known: dict[int, dict[str, Any]] = {}

    def in_full(at: int) -> dict[str, Any]:
        if at not in known:
            told(f"{sweep_label(sweep)}：第 {at + 1} 个值，共 {sweep.steps} 个")
            tried = replace(reforms[-1], changes=(*reforms[-1].changes, changes[at]))
            stage = trial.stage("", [*reforms[:-1], tried])
            known[at] = _measures(before, hospital_totals(stage), stage.package_fen, stage.fund_fen, stage)
        return known[at]

    last = len(changes) - 1
    if trial.year_file is None and last >= _FEW and (sums := change_sums(trial, reforms, changes[last])) is not None:
        found = []
        for totals in sums.totals(sweep.values):
            has = {hospital or "": fund for hospital, (_, fund) in totals.items()}
            found.append(_measures(before, has, sum(package for package, _ in totals.values()), sum(has.values())))
        if all(found[at] == in_full(at) for at in (0, last)):
            return found
    return [in_full(at) for at in range(last + 1)]


def sweep_label(sweep: Sweep) -> str:
    """What is tried, in Chinese."""
    parameter, action = policy_schema().parameters[sweep.key], reform_schema().actions[sweep.action]
    unit = f" {parameter.unit}" if parameter.unit and sweep.action != "scale" else ""
    where = f"（{scope_shown(sweep.scope, sweep.groups)}）" if sweep.scope or sweep.groups else ""
    return f"{parameter.label}{where}{action} {decimal(sweep.start)} 至 {decimal(sweep.stop)}{unit}"


def _measures(
    before: Stage, has: Mapping[str, int], package: int, fund: int, stage: Stage | None = None
) -> dict[str, Any]:
    """Totals, and who gains and loses of what hospitals have; `stage` the one that may be cleared."""
    had = hospital_totals(before)
    moved = [has.get(name, 0) - had.get(name, 0) for name in {*had, *has}]
    return {
        "package_fen": package, "fund_fen": fund, "cleared_fen": None if stage is None else stage.cleared_fen,
        "balance_fen": None if stage is None else stage.balance_fen, "winners": sum(fen > 0 for fen in moved),
        "losers": sum(fen < 0 for fen in moved),
    }  # fmt: skip
