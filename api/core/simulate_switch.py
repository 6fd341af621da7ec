"""The switch of a reform (1.1 to 3.0, DRG to DIP, another policy or weight table): the same cases under what is used
after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from api.core.pay_inputs import group_values
from api.core.simulate_cases import Read, SimulationRequest, read_base
from grouper.pipeline import Progress
from grouper.schemes import open_scheme
from reference_tables.policy import load_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Reform
from reference_tables.year_file import YearFile

_PARTS = {"policy": "政策", "scheme": "分组方案", "weights": "权重表"}


@dataclass(frozen=True)
class Switched:
    """What is used after the reforms: names or paths, "" = as before."""

    policy: str = ""
    scheme: str = ""
    weights: str = ""

    @property
    def label(self) -> str:
        """In Chinese."""
        return "，".join(
            f"{_PARTS[name]}换为 {Path(getattr(self, name)).name}" for name in _PARTS if getattr(self, name)
        )

    def __bool__(self) -> bool:
        return bool(self.label)


def switch_of(reforms: Sequence[Reform]) -> Switched:
    """The switches of all reforms together. Raises TablesRefused (SI01) when two want different things."""
    found: dict[str, tuple[str, Reform]] = {}
    problems = []
    for reform in reforms:
        for name, what in _PARTS.items():
            given = "" if reform.switch is None else getattr(reform.switch, name)
            if not given:
                continue
            to = _place(reform, given)
            if name in found and found[name][0] != to:
                args: dict[str, str | int] = {
                    "first": found[name][1].id, "second": reform.id, "what": what,
                    "one": Path(found[name][0]).name, "other": Path(to).name,
                }  # fmt: skip
                problems.append(Problem("SI01", args, file=reform.file, field="switch"))
            found.setdefault(name, (to, reform))
    if problems:
        raise TablesRefused("、".join(reform.id for reform in reforms), problems)
    return Switched(**{name: to for name, (to, _) in found.items()})


def _place(reform: Reform, name: str) -> str:
    """A path beside the reform's file where there is one of that name, else the name itself."""
    beside = Path(reform.folder) / name
    return str(beside) if reform.folder and beside.exists() else name


def read_switched(
    request: SimulationRequest, before: Read, switch: Switched, year_file: YearFile | None, progress: Progress | None
) -> Read:
    """The same cases, row for row, under what the switch names. They are grouped anew for another scheme only.

    Raises TablesRefused: a policy, scheme or weight table that cannot be used, SI03 a policy without a scheme.
    """
    base = before.base
    policy = load_policy(switch.policy) if switch.policy else base.policy
    name = switch.scheme or (policy.header.scheme if switch.policy else "")
    if switch.policy and not name and policy.method != base.policy.method:
        raise TablesRefused(policy.id, [Problem("SI03", {"policy": policy.id}, file=policy.header.file)])
    scheme = open_scheme(name) if name else base.scheme
    weights = switch.weights or (None if switch.policy or switch.scheme else request.weights)
    if scheme.pack.sha256 != base.scheme.pack.sha256 or switch.policy:
        return read_base(request, policy, scheme, weights, year_file, progress)
    values, table = group_values(policy, scheme, weights)
    return replace(before, base=replace(base, values=values, weights=table))
