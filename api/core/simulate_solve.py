"""What reforms ask to be solved for (`[[solve]]`): numbers found, put in as plain changes, and told with how near they
come.

A solver proposes numbers of the stated decimals; what each of them brings about is priced (and, where asked, cleared)
exactly. A target that cannot be reached is told with what stands in the way and by how much, and the run goes on with
what comes nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

from api.core.simulate_corridor import solve_corridor
from api.core.simulate_shrink import solve_shrink
from api.core.simulate_solve_left import left_by_clearing
from api.core.simulate_solve_sums import change_sums
from api.core.simulate_stage import Stage
from api.core.simulate_task import MEASURES_ZH, Task, Trials
from api.core.solved import MILLIONTH, Proposal, Solved, change_of, factor_text, tolerance_of, yuan
from budget.compare_frames import ALL_POOLS
from budget.money import FEN, decimal_text
from budget.solve import Found, Grid, Measure, OutOfReach, factor_grid, solve_for
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import Problem, TablesRefused
from reference_tables.reform import Change, Reform

_WIDER = 4
_MORE_BY_SUMS, _MORE_IN_FULL = 64, 16
"""How many numbers more are tried past a jump: many where cases are added up, few where each is priced and cleared."""
_MONTH_PLACES, _VALUE_PLACES = 6, 10
_OTHER = frozenset({"point_value", "reserve_months"})
"""Measures that are no money."""


@dataclass(frozen=True)
class SolvedReform:
    """A reform with what was solved put in as plain changes, no solve left; `solved` in order."""

    reform: Reform
    solved: tuple[Solved, ...]


def solve_reform(
    reform: Reform, before: Stage, trials: Trials, earlier: Sequence[Reform], told: Callable[[str], None]
) -> SolvedReform:
    """Solve for everything a reform asks, in its order, each with what was found before it in place.

    `before`: the stage before all reforms; `earlier`: reforms that hold already. Raises TablesRefused: SO05, SO06,
    SO09, or what the changes themselves are refused for.
    """
    found: list[Proposal] = []
    plain = replace(reform, solves=())
    for solve in reform.solves:
        task = Task(solve, plain, before, trials, tuple(earlier))
        label = policy_schema().parameters[solve.fields["key"]].label if "key" in solve.fields else "权重"
        told(f"求解 {label}（{solve.place}）")
        if solve.kind == "corridor":
            found.append(solve_corridor(task))
        elif solve.kind == "shrink":
            found.append(solve_shrink(task))
        else:
            found.append(_one_number(task, label, told))
        plain = replace(plain, changes=(*plain.changes, *found[-1].changes))
    if not found:
        return SolvedReform(plain, ())
    # What is told is as the cases are paid with all that was found, whatever led there.
    stage = trials.stage("", [*earlier, plain])
    done = tuple(proposal.judged(stage) for proposal in found)
    if trials.year_file is None:
        return SolvedReform(plain, done)
    left = [left_by_clearing(Task(solve, plain, before, trials, tuple(earlier))) for solve in reform.solves]
    return SolvedReform(
        plain, tuple(replace(item, problems=(*item.problems, *told)) for item, told in zip(done, left, strict=True))
    )


def _one_number(task: Task, label: str, told: Callable[[str], None]) -> Proposal:
    """neutral and target: one factor or value."""
    fields = task.solve.fields
    neutral = task.solve.kind == "neutral"
    what = fields["on"] if neutral else fields["measure"]
    cleared = what not in {"fund", "package"}
    if cleared:
        task.needs_year(what)
    pool = _pool(task) if cleared and not neutral else ALL_POOLS
    action = "scale" if neutral else fields["action"]
    grid = _grid(task, label, action)
    target = _measured(task.before, what, pool) if neutral else _of_text(what, fields["value"])

    start = Fraction(1) if action == "scale" else grid.value(grid.nearest((grid.low + grid.high) / 2))
    first = change_of(task.solve, fields["key"], action, start, grid.digits)

    def exactly(number: Fraction) -> Fraction:
        return _measured(task.stage([_at(first, number, grid)], cleared=cleared), what, pool)

    tolerance = _tolerance(task, what, target)
    measure = (None if cleared else _summed(task, first, what)) or exactly
    more = _MORE_IN_FULL if measure is exactly else _MORE_BY_SUMS
    found, out = _nearest(_counting(measure, label, told), target, grid, start, tolerance, more)
    if measure is not exactly and exactly(found.value) != found.reached:
        found, out = _nearest(_counting(exactly, label, told), target, grid, start, tolerance, more)

    def judged(stage: Stage) -> Solved:
        reached = _measured(stage, what, pool)
        of_pool = "" if pool == ALL_POOLS else f"{pool}："
        problems = [] if abs(reached - target) <= tolerance else [_missed(reached)]
        return Solved(
            task.solve.kind, task.solve.place, f"{label}（{of_pool}{MEASURES_ZH[what]}）",
            factor_text(found.value, grid.digits),
            _told(what, _measured(task.before, what, pool)), _told(what, reached), _told(what, target),
            _told(what, reached - target), found.tried, tuple(problems),
            (_at(first, found.value, grid),),
        )  # fmt: skip

    def _missed(reached: Fraction) -> Problem:
        missing, limit = _told(what, abs(reached - target)), _told(what, tolerance)
        if reached != found.reached:
            return task.problem("SO18", {"missing": missing, "then": _told(what, found.reached)})
        if out is not None:
            return _out_of_reach(task, label, what, action, out)
        if found.jumped:
            return task.problem("SO12", {"measure": MEASURES_ZH[what], "missing": missing, "tolerance": limit})
        return task.problem("SO08", {"missing": missing, "tolerance": limit})

    return Proposal((_at(first, found.value, grid),), judged)


def _tolerance(task: Task, what: str, target: Fraction) -> Fraction:
    """How far it may be off: of money a share of what is paid, of other measures of the target itself."""
    given = task.solve.fields.get("tolerance")
    if what in _OTHER:
        return abs(target) * MILLIONTH if given is None else given
    paid = task.before.cleared_fen or 0 if what == "balance" else _measured(task.before, what, ALL_POOLS)
    return tolerance_of(task.solve, Fraction(paid))


def _at(change: Change, number: Fraction, grid: Grid) -> Change:
    """The change with another number of the grid."""
    return replace(change, value=number, raw=factor_text(number, grid.digits))


def _summed(task: Task, change: Change, what: str) -> Measure | None:
    """The money before clearing at a number of the change, by sums of cases; None where they cannot tell it."""
    sums = change_sums(task.trials, (*task.earlier, task.reform), change)
    if sums is None:
        return None

    def measure(number: Fraction) -> int:
        (totals,) = sums.totals([number])
        return sum(package if what == "package" else fund for package, fund in totals.values())

    return measure


def _counting(measure: Measure, label: str, told: Callable[[str], None]) -> Measure:
    """The same, each number that is tried told with its place."""
    tries = count(1)

    def counted(number: Fraction) -> Fraction | int:
        told(f"求解 {label}：第 {next(tries)} 次试算")
        return measure(number)

    return counted


def _nearest(
    measure: Measure, target: Fraction, grid: Grid, start: Fraction, least: Fraction, more: int
) -> tuple[Found, OutOfReach | None]:
    """What comes nearest to the target, and why it is out of reach where it is."""
    try:
        return solve_for(measure, target, grid, start, least, more), None
    except OutOfReach as error:
        return error.nearest, error


def _out_of_reach(task: Task, label: str, what: str, action: str, error: OutOfReach) -> Problem:
    digits = error.grid.digits
    args: dict[str, str | int] = {
        "what": f"{label}{'的系数' if action == 'scale' else ''}",
        "low": factor_text(error.grid.value(error.grid.first), digits),
        "high": factor_text(error.grid.value(error.grid.last), digits),
        "measure": MEASURES_ZH[what], "at_low": _told(what, error.lowest),
        "at_high": _told(what, error.highest),
        "target": _told(what, error.target), "missing": _told(what, abs(error.missing)), "tried": error.nearest.tried,
        "nearest": _told(what, error.nearest.reached), "number": factor_text(error.nearest.value, digits),
    }  # fmt: skip
    return task.problem("SO01", args)


def _pool(task: Task) -> str:
    """The pool that the target is of; all pools together when none is named, for a point value the only one. Raises
    TablesRefused (SO06, SO14)."""
    named = task.solve.fields.get("pool")
    known = list(task.before.fund_years)
    if task.solve.fields["measure"] == "point_value":
        assert task.before.clearing is not None, "the point value is one of clearing"
        known = [done.budget.pool for done in task.before.clearing.pools]
        if not named and len(known) > 1:
            raise TablesRefused(task.reform.file, [task.problem("SO14", {"known": "、".join(known)})])
        named = named or known[0]
    if not named:
        return ALL_POOLS
    if named not in known:
        raise TablesRefused(task.reform.file, [task.problem("SO06", {"value": named, "known": "、".join(known)})])
    return str(named)


def _grid(task: Task, label: str, action: str) -> Grid:
    """Where to look: factors from a half to the double; values around those that hold, and within the schema's."""
    digits = int(task.solve.fields["digits"])
    if action == "scale":
        return factor_grid(digits)
    key = task.solve.fields["key"]
    parameter = policy_schema().parameters[key]
    given = task.reformed.policy.all(key)
    values = [Fraction(setting.value) for setting in given if isinstance(setting.value, int | Fraction)]
    if not values:
        raise TablesRefused(task.reform.file, [task.problem("SO09", {"label": label})])
    low, high = min(values) / _WIDER, max(values) * _WIDER
    low = low if parameter.minimum is None else max(low, parameter.minimum)
    high = high if parameter.maximum is None else min(high, parameter.maximum)
    return Grid(low, high, digits)


def _measured(stage: Stage, what: str, pool: str) -> Fraction:
    """What a stage comes to: fen, yuan per point, or months."""
    if what == "fund":
        return Fraction(stage.fund_fen)
    if what == "package":
        return Fraction(stage.package_fen)
    if what == "cleared":
        return Fraction(stage.cleared_fen or 0)
    if what == "balance":
        return Fraction(stage.fund_years[pool].balance)
    if what == "reserve_months":
        return stage.fund_years[pool].months or Fraction(0)
    assert stage.clearing is not None, "the point value is one of clearing"
    values = {done.budget.pool: done.due.value for done in stage.clearing.pools}
    return values.get(pool) or Fraction(0)


def _of_text(what: str, value: Fraction) -> Fraction:
    """A target as written (yuan, yuan per point, months) in the unit of the measure."""
    return value if what in _OTHER else value * FEN


def _told(what: str, value: Fraction) -> str:
    """A measure as people read it: yuan with two decimals, yuan per point, months."""
    places: Mapping[str, int] = {"point_value": _VALUE_PLACES, "reserve_months": _MONTH_PLACES}
    return decimal_text(value, places[what]) if what in places else yuan(value)
