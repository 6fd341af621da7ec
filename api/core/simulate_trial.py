"""Trying reforms on a base: the policy they make, and the cases priced and cleared under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from api.core.simulate_cases import Base, with_pools
from api.core.simulate_stage import Stage, pools_of, run_stage
from budget.reformed import GroupFacts, Reformed, apply_reforms
from reference_tables.reform import Reform
from reference_tables.year_file import YearFile


@dataclass(frozen=True)
class Trial:
    """A base after its switch, with what a reform may name: `groups` facts of the scheme's groups, `hospitals` ids;
    without a year file nothing is cleared."""

    base: Base
    year_file: YearFile | None
    groups: GroupFacts
    hospitals: frozenset[str]

    def reformed(self, reforms: Sequence[Reform]) -> Reformed:
        """The policy and group values with reforms. Raises TablesRefused."""
        return apply_reforms(self.base.policy, self.base.values, reforms, self.groups, self.hospitals)

    def stage(self, label: str, reforms: Sequence[Reform], cases: pl.DataFrame | None = None) -> Stage:
        """The cases (those of the base, unless others are given) under the policy with reforms. Raises
        TablesRefused."""
        made = self.reformed(reforms)
        base = self.base if cases is None else replace(self.base, cases=cases)
        pools = pools_of(made.policy, None if self.year_file is None else self.year_file.year)
        base, _ = with_pools(base, pools)
        return run_stage(label, base, self.year_file, made.policy, made.values)

    def uncleared(self) -> Trial:
        """The same without a year file, so that nothing is cleared."""
        return replace(self, year_file=None)
