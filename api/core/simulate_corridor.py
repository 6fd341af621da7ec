"""Factors on coefficients that keep every hospital's gain within a corridor (`[[solve]] kind = "corridor"`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

import polars as pl

from api.core.simulate_solve_near import ClearedFactors
from api.core.simulate_stage import Stage, cleared_by_hospital
from api.core.simulate_task import Task
from api.core.solved import Solved, factor_text, percent, signed, yuan
from budget.money import round_half_up
from budget.pricing import Pricer
from budget.scenario_moves import KEYS, Scenarios, move_of
from budget.scenario_sums import NotMovable, ScenarioSums
from budget.solve import Grid, factor_grid
from budget.solve_corridor import Balanced, Corridor, Evaluate, Member, Slack, keep_corridor
from budget.solve_rows import FACTORED
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem
from reference_tables.reform import Change

_SIDES = {"low": "低于", "high": "高于"}
_LEFT = frozenset({"short", "over"})


def solve_corridor(task: Task) -> Solved:
    """One factor for each hospital or tier. Raises TablesRefused (SO05) for `cleared` without a year file."""
    fields = task.solve.fields
    on, by, key = fields["on"], fields["by"], fields["key"]
    if on == "cleared":
        task.needs_year("cleared")
    before = _by_hospital(task.before, on)
    owners = _owners(task.before, by)
    members = tuple(Member(name, owners[name], before[name]) for name in sorted(before))
    grid = factor_grid(int(fields["digits"]))
    total = sum(before.values()) if fields["total"] == "neutral" else None
    corridor = Corridor(members, fields["low"], fields["high"], grid, total)

    def changes(factors: Sequence[tuple[str, Fraction]], scope: str) -> list[Change]:
        return [
            Change(key, "scale", factor, factor_text(factor, grid.digits), ((scope, name),), place=task.solve.place,
                   line=task.solve.line)
            for name, factor in factors if factor != 1
        ]  # fmt: skip

    def anew(factors: Sequence[Fraction]) -> list[int]:
        named = [(member.hospital, factor) for member, factor in zip(members, factors, strict=True)]
        stage = task.stage(changes(named, "hospital"), cleared=on == "cleared")
        money = _by_hospital(stage, on)
        return [money.get(member.hospital, 0) for member in members]

    coupled = on == "cleared"
    quick = ClearedFactors(task, key, [member.hospital for member in members]) if coupled and key in FACTORED else None
    evaluate = _evaluation(task, key, members, on, anew) if quick is None else quick.measured
    near = None if quick is None else quick.near
    found = keep_corridor(corridor, evaluate, coupled=coupled, near=near)
    final = [found.factors[member.owner] for member in members]
    if evaluate is not anew and list(found.reached) != anew(final):
        # What is told is always as all cases are paid.
        found = keep_corridor(corridor, anew, coupled=coupled, near=near)
    label = policy_schema().parameters[key].label
    reached = sum(found.reached)
    return Solved(
        "corridor", task.solve.place, f"{label}（{'逐家' if by == 'hospital' else '逐级'}）", _summary(found, grid),
        yuan(Fraction(sum(before.values()))), yuan(Fraction(reached)), _asked(corridor),
        yuan(Fraction(0 if total is None else reached - total)), found.tried,
        tuple(_problems(task, corridor, found)),
        tuple(changes(sorted(found.factors.items()), by)),
    )  # fmt: skip


def _evaluation(task: Task, key: str, members: Sequence[Member], on: str, anew: Evaluate) -> Evaluate:
    """The quickest way to what hospitals get under factors: sums of cases before clearing; `anew` prices all cases
    under the factors as changes."""
    if on == "cleared" or key not in KEYS:
        return anew
    summed = _sums(task)

    def evaluate(factors: Sequence[Fraction]) -> Sequence[int]:
        try:
            return _moved(summed, key, members, factors, on)
        except NotMovable:
            return anew(factors)

    return evaluate


def _sums(task: Task) -> ScenarioSums:
    """The cases under everything that holds before this solve, ready to be added up with other factors."""
    reformed, base = task.reformed, task.trials.base
    pricer = Pricer(reformed.policy, reformed.values)
    priced = pricer.price(base.cases, base.decisions, display=False)
    return ScenarioSums(base.cases, priced, pricer, ("tier", "hospital"))


def _moved(
    summed: ScenarioSums, key: str, members: Sequence[Member], factors: Sequence[Fraction], on: str
) -> list[int]:
    """Money by hospital with a factor for each, fen. Raises NotMovable."""
    moved: dict[tuple[str, ...], Fraction] = {
        (member.hospital,): factor for member, factor in zip(members, factors, strict=True)
    }
    scenarios = Scenarios((move_of(key, [moved], ("hospital",)),), 1)
    found = summed.totals(scenarios, ("hospital_id",), kinds=False)
    amounts = found.package_fen if on == "package" else found.fund_fen
    money = dict(zip(found.owners["hospital_id"], amounts[0].tolist(), strict=True))
    return [money.get(member.hospital, 0) for member in members]


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
    return f"{percent(corridor.low)}% 至 {percent(corridor.high)}%"


def _problems(task: Task, corridor: Corridor, found: Balanced) -> Iterator[Problem]:
    """What stands in the way; hospitals that the steps after clearing left outside in one."""
    left = [slack for slack in found.slacks if slack.what in _LEFT]
    if left:
        yield _unsettled(task, corridor, found, left)
    yield from (_problem(task, corridor.grid, slack) for slack in found.slacks if slack.what not in _LEFT)


def _unsettled(task: Task, corridor: Corridor, found: Balanced, left: Sequence[Slack]) -> Problem:
    """SO15, with the hospital that is farthest from the corridor and what it got."""
    far = max(left, key=lambda slack: abs(slack.share))
    at = [member.hospital for member in corridor.members].index(far.hospital)
    member, has = corridor.members[at], found.reached[at]
    moved = round_half_up(Fraction(has - member.before, member.before or 1) * 10**6)
    args: dict[str, str | int] = {
        "tried": found.tried, "count": len(left), "all": len(corridor.members), "corridor": _asked(corridor),
        "hospital": far.hospital, "factor": factor_text(found.factors[member.owner], corridor.grid.digits),
        "reached": yuan(Fraction(has)), "moved": signed(percent(Fraction(moved, 10**6))),
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
