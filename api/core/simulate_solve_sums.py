"""What a change brings about at many numbers before clearing, the quick way: by sums of cases, none priced anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from api.core.simulate_task import Trials
from budget.scenario_change import ChangeSums, moves_alone
from reference_tables.problems import TablesRefused
from reference_tables.reform import Change, Reform


def change_sums(trials: Trials, reforms: Sequence[Reform], change: Change) -> ChangeSums | None:
    """The cases under the reforms, ready for one more change of the last of them, whose number is not used; None where
    sums of cases cannot tell what it does, or the cases cannot be priced without it. Raises TablesRefused for a change
    that cannot be made."""
    base, before = trials.base, trials.reformed(reforms)
    if not moves_alone(change, before.values):
        return None
    changed = replace(reforms[-1], changes=(*reforms[-1].changes, change))
    groups = trials.reformed([*reforms[:-1], changed]).changes[-1].groups
    try:
        return ChangeSums(base.cases, base.decisions, before.policy, before.values, change, groups)
    except TablesRefused:
        return None
