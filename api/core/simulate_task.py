"""One `[[solve]]` with what it works on: trials of a policy with further changes, priced and cleared exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from api.core.simulate_cases import Base
from api.core.simulate_stage import Stage
from budget.reformed import Reformed
from reference_tables.policy import Policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Change, Reform, Solve
from reference_tables.year_file import YearFile

MEASURES_ZH = {
    "fund": "统筹基金支付", "package": "按病组支付总额", "cleared": "清算后基金支付", "balance": "基金当年结余",
    "point_value": "点值", "reserve_months": "累计结余可支付月数",
}  # fmt: skip


class Trials(Protocol):
    """Runs a base under reforms."""

    @property
    def base(self) -> Base: ...

    @property
    def year_file(self) -> YearFile | None: ...

    def reformed(self, reforms: Sequence[Reform]) -> Reformed:
        """The policy and group values with reforms. Raises TablesRefused."""

    def stage(self, label: str, reforms: Sequence[Reform]) -> Stage:
        """The cases under the policy with reforms. Raises TablesRefused."""

    def in_pools(self, policy: Policy) -> Base:
        """The base, what was paid in the year in the policy's pools."""

    def uncleared(self) -> Trials:
        """The same without a year file, so that nothing is cleared."""


@dataclass(frozen=True)
class Task:
    """One solve. `reform` with all that was solved before; `before`: the stage before all reforms; `earlier`: reforms
    that hold already."""

    solve: Solve
    reform: Reform
    before: Stage
    trials: Trials
    earlier: tuple[Reform, ...]

    @property
    def reformed(self) -> Reformed:
        """The policy and values with all that holds before this solve."""
        return self.trials.reformed([*self.earlier, self.reform])

    def stage(self, changes: Sequence[Change], *, cleared: bool) -> Stage:
        """The cases with these changes as well; the year cleared only where that is asked for."""
        tried = replace(self.reform, changes=(*self.reform.changes, *changes))
        trials = self.trials if cleared else self.trials.uncleared()
        return trials.stage("", [*self.earlier, tried])

    def problem(self, code: str, args: dict[str, str | int]) -> Problem:
        """A problem at the solve's place."""
        return Problem(code, {"place": self.solve.place, **args}, file=self.reform.file, row=self.solve.line)

    def needs_year(self, what: str) -> None:
        """Raises TablesRefused (SO05) without a year file."""
        if self.trials.year_file is None:
            field = 'measure = "fund"' if self.solve.kind == "target" else 'on = "fund"'
            raise TablesRefused(self.reform.file, [self.problem("SO05", {"what": MEASURES_ZH[what], "field": field})])
