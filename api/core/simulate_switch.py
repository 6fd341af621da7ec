"""The switch of a reform (1.1 to 3.0, DRG to DIP, another policy or weight table): the same cases under what is used
after it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from api.core.pay_inputs import group_values
from api.core.simulate_cases import Read, SimulationRequest, read_base
from grouper.pipeline import Progress
from grouper.schemes import open_scheme
from reference_tables.group_weights import built_in_weights
from reference_tables.packs import built_in_packs
from reference_tables.policy import find_policies, load_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Reform
from reference_tables.year_file import YearFile

PARTS = {"policy": "支付政策", "scheme": "分组方案", "weights": "权重表"}
_KNOWN: Mapping[str, Callable[[], Sequence[str] | Mapping[str, object]]] = {
    "policy": find_policies, "scheme": built_in_packs, "weights": built_in_weights,
}  # fmt: skip
_NEAR = 0.4
"""How alike an id must be to what was written, from 0 to 1."""


@dataclass(frozen=True)
class Named:
    """One thing that a reform switches to: as it is `written` there, and `to` what (an id or a path)."""

    part: str
    written: str
    to: str
    reform: Reform

    @property
    def line(self) -> int:
        assert self.reform.switch is not None
        return dict(self.reform.switch.lines).get(self.part, 1)

    @property
    def place(self) -> str:
        """file:line"""
        return f"{self.reform.file}:{self.line}"

    def problem(self, code: str, **args: str | int) -> Problem:
        """A problem at this line of the reform."""
        told = {"what": PARTS[self.part], **args}
        return Problem(code, told, file=self.reform.file, row=self.line, field=f"switch.{self.part}")


@dataclass(frozen=True)
class Switched:
    """What is used after the reforms, by part (PARTS); a part that stays is absent."""

    named: Mapping[str, Named]

    def to(self, part: str) -> str:
        """Id or path; "" = as before."""
        return self.named[part].to if part in self.named else ""

    @property
    def label(self) -> str:
        """In Chinese."""
        return "，".join(f"{PARTS[part]}换为 {Path(item.to).name}" for part, item in self.named.items())

    def __bool__(self) -> bool:
        return bool(self.named)


def switch_of(reforms: Sequence[Reform]) -> Switched:
    """The switches of all reforms together. Raises TablesRefused with every problem: SI01 two want different things,
    RF29 something that is not there."""
    found: dict[str, Named] = {}
    problems = []
    for item in _switches(reforms):
        first = found.setdefault(item.part, item)
        if first.to != item.to:
            ends = {"one": Path(first.to).name, "other": Path(item.to).name}
            problems.append(item.problem("SI01", first=first.reform.id, second=item.reform.id, **ends))
        known = list(_KNOWN[item.part]())
        if item.to not in known and not os.path.exists(item.to):
            near = get_close_matches(item.written, known, n=3, cutoff=_NEAR) or known
            problems.append(item.problem("RF29", name=item.written, near="、".join(near)))
    if problems:
        raise TablesRefused("、".join(reform.id for reform in reforms), problems)
    return Switched({part: found[part] for part in PARTS if part in found})


def _switches(reforms: Sequence[Reform]) -> Iterator[Named]:
    for reform in reforms:
        for part in PARTS if reform.switch is not None else ():
            if written := getattr(reform.switch, part):
                yield Named(part, written, _place(reform, written), reform)


def _place(reform: Reform, name: str) -> str:
    """A path beside the reform's file where there is one of that name, else the name itself."""
    beside = Path(reform.folder) / name
    return str(beside) if reform.folder and os.path.exists(beside) else name


def read_switched(
    request: SimulationRequest, before: Read, switch: Switched, year_file: YearFile | None, progress: Progress | None
) -> Read:
    """The same cases, row for row, under what the switch names. They are grouped anew for another scheme only.

    Raises TablesRefused: a policy, scheme or weight table that cannot be used, SI03 a policy without a scheme.
    """
    base = before.base
    to_policy, to_scheme, to_weights = (switch.to(part) for part in ("policy", "scheme", "weights"))
    policy = load_policy(to_policy) if to_policy else base.policy
    name = to_scheme or (policy.header.scheme if to_policy else "")
    if to_policy and not name and policy.method != base.policy.method:
        raise TablesRefused(policy.id, [switch.named["policy"].problem("SI03", policy=policy.id)])
    scheme = open_scheme(name) if name else base.scheme
    weights = to_weights or (None if to_policy or to_scheme else request.weights)
    if scheme.pack.sha256 != base.scheme.pack.sha256 or to_policy:
        return read_base(request, policy, scheme, weights, year_file, progress)
    values, table = group_values(policy, scheme, weights)
    return replace(before, base=replace(base, values=values, weights=table))
