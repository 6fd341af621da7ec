"""Trying reforms on a base: the policy they make, and the cases priced and cleared under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from api.core.simulate_cases import Base, with_pools
from api.core.simulate_stage import Stage, pools_of, run_stage
from budget.reformed import GroupFacts, Reformed, apply_reforms
from reference_tables.policy import Policy
from reference_tables.reform import Reform
from reference_tables.reform_file import content_checksum
from reference_tables.year_file import YearFile


@dataclass(frozen=True)
class Trial:
    """A base after its switch, with what a reform may name: `groups` facts of the scheme's groups, `hospitals` ids;
    without a year file nothing is cleared. The last stage is kept, for what was solved is asked for once more."""

    base: Base
    year_file: YearFile | None
    groups: GroupFacts
    hospitals: frozenset[str]
    _last: dict[tuple[str, ...], Stage] = field(default_factory=dict, repr=False)

    def reformed(self, reforms: Sequence[Reform]) -> Reformed:
        """The policy and group values with reforms. Raises TablesRefused."""
        return apply_reforms(self.base.policy, self.base.values, reforms, self.groups, self.hospitals)

    def stage(self, label: str, reforms: Sequence[Reform], cases: pl.DataFrame | None = None) -> Stage:
        """The cases (those of the base, unless others are given) under the policy with reforms. Raises
        TablesRefused."""
        same = (str(self.year_file is None), *(f"{reform.folder} {content_checksum(reform)}" for reform in reforms))
        if cases is None and same in self._last:
            return replace(self._last[same], label=label)
        made = self.reformed(reforms)
        found = run_stage(label, self.in_pools(made.policy, cases), self.year_file, made.policy, made.values)
        if cases is None:
            self._last.clear()
            self._last[same] = found
        return found

    def in_pools(self, policy: Policy, cases: pl.DataFrame | None = None) -> Base:
        """The base (with other cases, where they are given), what was paid in the year in the policy's pools."""
        base = self.base if cases is None else replace(self.base, cases=cases)
        return with_pools(base, pools_of(policy, None if self.year_file is None else self.year_file.year))[0]

    def uncleared(self) -> Trial:
        """The same without a year file, so that nothing is cleared."""
        return replace(self, year_file=None)
