"""The yearly parameters of a policy, as they hold on the last day of the year that the policy covers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from reference_tables.policy import Policy
from reference_tables.problems import Problem


@dataclass(frozen=True)
class YearTerms:
    """Looks yearly parameters up for one command; `problems` collects what is missing (PL30), each once."""

    policy: Policy
    year: int
    command: str
    problems: list[Problem] = field(default_factory=list)

    @property
    def day(self) -> date:
        """The day whose values count."""
        last, until = date(self.year, 12, 31), self.policy.header.effective_until
        return last if until is None or last < until else until - timedelta(days=1)

    def look(self, key: str, **scope: str) -> Any:
        """The value of a parameter, None when it is not set."""
        found = self.policy.get(key, self.day, **_given(scope))
        return None if found is None else found.value

    def want(self, key: str, **scope: str) -> Any:
        """The same, a missing one noted as a problem."""
        found = self.policy.need(key, self.command, on=self.day, problems=self.problems, **_given(scope))
        return None if found is None else found.value


def _given(scope: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in scope.items() if value}
