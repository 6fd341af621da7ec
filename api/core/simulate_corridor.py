"""Factors on coefficients that keep every hospital's gain within a corridor (`[[solve]] kind = "corridor"`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import ceil

import polars as pl

from api.core.simulate_solve_near import ClearedFactors
from api.core.simulate_stage import Stage, cleared_by_hospital
from api.core.simulate_task import Task
from api.core.solved import Proposal, Solved, corridor_text, factor_text, percent, signed, tolerance_of, yuan
from budget.pricing import Pricer
from budget.scenario_moves import KEYS, Scenarios, move_of
from budget.scenario_sums import NotMovable, ScenarioSums
from budget.solve import Grid, factor_grid
from budget.solve_corridor import keep_corridor, keep_tiers
from budget.solve_kinds import Balanced, Corridor, Member, Slack, outside
from budget.solve_rows import FACTORED
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem
from reference_tables.reform import Change

_SIDES = {"low": "低于", "high": "高于"}
_LEFT = frozenset({"short", "over"})


def solve_corridor(task: Task) -> Proposal:
    """One factor for each hospital or tier. Raises TablesRefused (SO05) for `cleared` without a year file."""
    fields = task.solve.fields
    on, by, key = fields["on"], fields["by"], fields["key"]
    if on == "cleared":
        task.needs_year("cleared")
    before = _by_hospital(task.before, on)
    owners = _owners(task.before, by)
    members = tuple(Member(name, owners[name], before[name]) for name in sorted(before))
    whole = sum(before.values())
    total = whole if fields["total"] == "neutral" else None
    corridor = Corridor(
        members, fields["low"], fields["high"], factor_grid(int(fields["digits"])), total,
        tolerance_of(task.solve, Fraction(whole)),
    )  # fmt: skip
    found = _Search(task, corridor, by).found()
    changes = tuple(_changes(task, corridor, sorted(found.factors.items()), by))

    def judged(stage: Stage) -> Solved:
        money = _by_hospital(stage, on)
        reached = [money.get(member.hospital, 0) for member in members]
        residual = 0 if total is None else sum(reached) - total
        label = policy_schema().parameters[key].label
        return Solved(
            "corridor", task.solve.place, f"{label}（{'逐家' if by == 'hospital' else '逐级'}）",
            _summary(found, corridor.grid), yuan(Fraction(whole)), yuan(Fraction(sum(reached))), _asked(corridor),
            yuan(Fraction(residual)), found.tried, tuple(_problems(task, corridor, found, reached)), changes,
        )  # fmt: skip

    return Proposal(changes, judged)


class _Search:
    """What hospitals get under factors of a corridor, the quickest way that tells it; in the end always as the changes
    that are written out are paid."""

    def __init__(self, task: Task, corridor: Corridor, by: str) -> None:
        self.task, self.corridor, self.by = task, corridor, by
        self.on, self.key = task.solve.fields["on"], task.solve.fields["key"]
        self.members = corridor.members
        self._summed: ScenarioSums | None = None

    def found(self) -> Balanced:
        """The factors that keep the corridor, measured as they are written out."""
        if self.on == "cleared":
            return self._cleared()
        quick = self.key in KEYS
        found = self._kept(quick=quick)
        if quick and list(found.reached) != self._anew([found.factors[member.owner] for member in self.members]):
            found = self._kept(quick=False)
        return found

    def _kept(self, *, quick: bool) -> Balanced:
        def own(factors: Sequence[Fraction]) -> Sequence[int]:
            return self._by(factors, "hospital", quick=quick)

        if self.by == "hospital":
            return keep_corridor(self.corridor, own)
        return keep_tiers(self.corridor, own, lambda factors: self._by(factors, self.by, quick=quick))

    def _cleared(self) -> Balanced:
        if self.key not in FACTORED:
            return keep_corridor(self.corridor, self._anew, coupled=True)
        near = ClearedFactors(
            self.task, self.key, [(member.hospital, member.owner) for member in self.members], self.by
        )
        if self.by == "tier":  # few factors, and rules that pay others by them: each step is paid anew
            return keep_corridor(self.corridor, self._anew, coupled=True, near=near.near)
        found = keep_corridor(self.corridor, near.measured, coupled=True, near=near.near)
        if list(found.reached) == self._anew([found.factors[member.owner] for member in self.members]):
            return found
        return keep_corridor(self.corridor, self._anew, coupled=True, near=near.near)

    def _by(self, factors: Sequence[Fraction], scope: str, *, quick: bool) -> Sequence[int]:
        """By sums of cases before clearing, where they can tell it (`quick`)."""
        if quick:
            try:
                return self._moved(factors, scope)
            except NotMovable:
                pass
        return self._anew(factors, scope)

    def _anew(self, factors: Sequence[Fraction], scope: str = "") -> list[int]:
        """All cases paid with the factors as changes of a scope, that of the solve when none is given."""
        scope = scope or self.by
        named = dict(zip(self._names(scope), factors, strict=True))
        changes = list(_changes(self.task, self.corridor, named.items(), scope))
        money = _by_hospital(self.task.stage(changes, cleared=self.on == "cleared"), self.on)
        return [money.get(member.hospital, 0) for member in self.members]

    def _moved(self, factors: Sequence[Fraction], scope: str) -> list[int]:
        """Money by hospital, fen. Raises NotMovable."""
        if self._summed is None:
            self._summed = _sums(self.task)
        moved: dict[tuple[str, ...], Fraction] = {
            (name,): factor for name, factor in zip(self._names(scope), factors, strict=True)
        }
        found = self._summed.totals(
            Scenarios((move_of(self.key, [moved], (scope,)),), 1), ("hospital_id",), kinds=False
        )
        amounts = found.package_fen if self.on == "package" else found.fund_fen
        money = dict(zip(found.owners["hospital_id"], amounts[0].tolist(), strict=True))
        return [money.get(member.hospital, 0) for member in self.members]

    def _names(self, scope: str) -> list[str]:
        return [member.hospital if scope == "hospital" else member.owner for member in self.members]


def _changes(task: Task, corridor: Corridor, factors: Iterable[tuple[str, Fraction]], scope: str) -> Iterator[Change]:
    """The changes that put factors into force; one of 1 needs none."""
    digits = corridor.grid.digits
    for name, factor in factors:
        if factor != 1:
            text = factor_text(factor, digits)
            yield Change(task.solve.fields["key"], "scale", factor, text, ((scope, name),), place=task.solve.place,
                         line=task.solve.line)  # fmt: skip


def _sums(task: Task) -> ScenarioSums:
    """The cases under everything that holds before this solve, ready to be added up with other factors."""
    reformed, base = task.reformed, task.trials.base
    pricer = Pricer(reformed.policy, reformed.values)
    priced = pricer.price(base.cases, base.decisions, display=False)
    return ScenarioSums(base.cases, priced, pricer, ("tier", "hospital"))


def _by_hospital(stage: Stage, on: str) -> dict[str, int]:
    """Money by hospital, fen."""
    if on == "cleared":
        assert stage.clearing is not None
        return cleared_by_hospital(stage.clearing)
    name = f"{on}_fen"
    sums = stage.priced.filter(pl.col("hospital_id").is_not_null()).group_by("hospital_id").agg(pl.col(name).sum())
    return dict(sums.iter_rows())


def _owners(stage: Stage, by: str) -> dict[str, str]:
    """Whose factor a hospital has: its own, or that of its tier."""
    rows = stage.cases.select("hospital_id", pl.col("tier").fill_null("")).drop_nulls("hospital_id").unique()
    return {hospital: hospital if by == "hospital" else tier for hospital, tier in rows.sort(pl.all()).iter_rows()}


def _summary(found: Balanced, grid: Grid) -> str:
    """How many factors differ from 1, and between which they lie."""
    moved = [factor for factor in found.factors.values() if factor != 1]
    if not moved:
        return "不必调整"
    low, high = (factor_text(value, grid.digits) for value in (min(moved), max(moved)))
    return f"{len(moved)} 个系数，{low} 至 {high}"


def _asked(corridor: Corridor) -> str:
    return corridor_text(corridor.low, corridor.high)


def _problems(task: Task, corridor: Corridor, found: Balanced, reached: Sequence[int]) -> Iterator[Problem]:
    """What stands in the way; hospitals that the steps after clearing left outside in one, and who is outside with all
    that was solved (`reached`)."""
    left = [slack for slack in found.slacks if slack.what in _LEFT]
    as_found = list(found.reached) == list(reached)
    if left and as_found:
        yield _unsettled(task, corridor, found, left)
    told = [slack for slack in found.slacks if slack.what not in _LEFT]
    yield from (_problem(task, corridor.grid, slack) for slack in told)
    missed = 0 if corridor.total is None else abs(sum(reached) - corridor.total)
    if missed > corridor.tolerance and not any(slack.what in {"total", "beyond"} for slack in told):
        args: dict[str, str | int] = {"missing": yuan(Fraction(missed)), "tolerance": yuan(corridor.tolerance)}
        yield (
            task.problem("SO08", args)
            if as_found
            else task.problem("SO18", {"missing": args["missing"], "then": yuan(Fraction(sum(found.reached)))})
        )
    if any(outside(corridor, reached)) and not (left and as_found):
        yield _outside_in_the_end(task, corridor, reached)


def _outside_in_the_end(task: Task, corridor: Corridor, reached: Sequence[int]) -> Problem:
    """SO19, with the hospital that is farthest from the corridor for its size."""
    beyond = outside(corridor, reached)
    far = max(range(len(reached)), key=lambda at: Fraction(beyond[at], corridor.members[at].before or 1))
    member = corridor.members[far]
    return task.problem("SO19", {
        "all": len(reached), "count": sum(fen > 0 for fen in beyond), "corridor": _asked(corridor),
        "hospital": member.hospital, "moved": _moved_by(member, reached[far]),
    })  # fmt: skip


def _moved_by(member: Member, has: int) -> str:
    """What a hospital has more or less than before, per cent with a sign."""
    return signed(percent(Fraction(has - member.before, member.before or 1)))


def _unsettled(task: Task, corridor: Corridor, found: Balanced, left: Sequence[Slack]) -> Problem:
    """SO15, with the hospital that is farthest from the corridor and what it got."""
    far = max(left, key=lambda slack: abs(slack.share))
    at = [member.hospital for member in corridor.members].index(far.hospital)
    member, has = corridor.members[at], found.reached[at]
    args: dict[str, str | int] = {
        "tried": found.tried, "count": len(left), "all": len(corridor.members), "corridor": _asked(corridor),
        "hospital": far.hospital, "factor": factor_text(found.factors[member.owner], corridor.grid.digits),
        "reached": yuan(Fraction(has)), "moved": _moved_by(member, has),
        "missing": yuan(Fraction(abs(far.missing))), "share": _told_share(far),
    }  # fmt: skip
    return task.problem("SO15", args)


def _told_share(slack: Slack) -> str:
    """A share in per cent, rounded up so that a corridor so much wider is wide enough."""
    return percent(Fraction(ceil(abs(slack.share) * 10**6), 10**6))


def _problem(task: Task, grid: Grid, slack: Slack) -> Problem:
    args: dict[str, str | int] = {
        "hospital": slack.hospital, "other": slack.other,
        "low": factor_text(grid.low, grid.digits), "high": factor_text(grid.high, grid.digits),
        "missing": yuan(Fraction(abs(slack.missing))), "share": _told_share(slack),
        "side": _SIDES.get(slack.what, "上限" if slack.missing > 0 else "下限"),
    }  # fmt: skip
    code = {"low": "SO02", "high": "SO02", "conflict": "SO03", "total": "SO04", "beyond": "SO13"}[slack.what]
    return task.problem(code, args)
