"""A policy simulation (政策模拟): what reforms do to everyone before anyone is paid by them.

The cases are priced, and the year cleared, under the policy as it stands and again under the policy with its reforms:
first the switch to another policy or scheme, then every reform in the order given with what it solves for, then what
happens to the cases (growth). Everything that is not a resample is exact to the fen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from api.core.group_facts import group_facts
from api.core.program_code import code_sha256
from api.core.simulate_cases import Base, Read, SimulationRequest, list_hashes, read_base, with_pools
from api.core.simulate_chances import chances, exact_fan, fan_ahead
from api.core.simulate_growth import grown, growth_table, growths_without_cases, years_ahead
from api.core.simulate_notes import UNCOVERED, idle_changes, other_bases, other_counts, part_of_year, uncovered
from api.core.simulate_solve import solve_reform
from api.core.simulate_stage import Stage, compared_frame, hospital_totals, pools_of, run_stage
from api.core.simulate_sweep import sweep_table
from api.core.simulate_switch import read_switched, switch_of
from api.core.simulate_switch_rows import idle_switches, switch_rows
from api.core.simulate_tables import (
    Span,
    changes_table,
    cleared_moved,
    fund_table,
    gain_tables,
    moved_groups,
    moved_payments,
    steps_table,
    touched_by,
)
from api.core.simulate_trial import Trial
from api.core.solved import Solved, solved_frame
from budget.reformed_effect import AppliedChange
from grouper.pipeline import Progress
from grouper.proof import program_version
from grouper.schemes import Scheme
from reference_tables.codes import load_code_books
from reference_tables.policy import Policy
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame
from reference_tables.reform import Reform
from reference_tables.year_file import YearFile

BEFORE_ZH, AFTER_ZH = "改革前", "改革后"
_MOVED = (pl.col("package_before_fen") != pl.col("package_after_fen")) | (
    pl.col("fund_before_fen") != pl.col("fund_after_fen")
)
Told = Callable[[str], None]


@dataclass(frozen=True)
class Simulation:
    """A simulation's result. `before`, `after`, and `steps` from the one to the other; `reforms` with what was solved
    put in as plain changes; `applied` changes; `tables` by the names of `compare_frames.TABLES`, a part not asked for
    absent; `told` of the reforms, `problems` the same with what the clearings left out and `reading` of the case files
    (PROBLEM_SCHEMA); `deciding` everything
    that decides the result, by content; `levels` data levels of packs, weights, policies, reforms and year file."""

    request: SimulationRequest
    year_file: YearFile | None
    before: Stage
    after: Stage
    steps: tuple[Stage, ...]
    reforms: tuple[Reform, ...]
    applied: tuple[AppliedChange, ...]
    tables: Mapping[str, pl.DataFrame]
    told: tuple[Problem, ...]
    problems: pl.DataFrame
    reading: pl.DataFrame
    deciding: Mapping[str, object]
    levels: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Is anything of it made up?"""
        return "synthetic" in self.levels


def simulate(
    request: SimulationRequest,
    policy: Policy,
    scheme: Scheme,
    year_file: YearFile | None = None,
    progress: Progress | None = None,
    told: Told = lambda _: None,
) -> Simulation:
    """Run a simulation; `told` hears of each part as it begins.

    Raises TablesRefused with everything that cannot be used: lists, weights, reforms that contradict each other or name
    what is not there, a year that cannot be cleared.
    """
    if request.bootstrap and year_file is None:
        raise TablesRefused(policy.id, [Problem("SI04", {"what": "重抽样"})])
    switch = switch_of(request.reforms)
    told("读入病例")
    read = read_base(request, policy, scheme, request.weights, year_file, progress)
    told(BEFORE_ZH)
    before = run_stage(BEFORE_ZH, read.base, year_file, policy, read.base.values)
    switched = read
    if switch:
        told(switch.label)
        switched = read_switched(request, read, switch, year_file, progress)
    base = switched.base
    hospitals = frozenset(base.cases["hospital_id"].drop_nulls())
    trial = Trial(base, year_file, group_facts(base.scheme), hospitals)
    steps = [before]
    spans: dict[str, Span] = {}
    if switch:
        steps.append(trial.stage(switch.label, ()))
    resolved: list[Reform] = []
    solved: list[Solved] = []
    for reform in request.reforms:
        told(f"改革 {reform.name}")
        found = solve_reform(reform, before, trial, resolved, told)
        solved += found.solved
        resolved.append(found.reform)
        if switch and not found.reform.changes:
            continue
        steps.append(trial.stage(reform.name, resolved))
        spans[reform.id] = (steps[-2], steps[-1])
    made, after = trial.reformed(resolved), steps[-1]
    told("汇总")
    compared, unknown = compared_frame(before, after)
    start = steps[1] if switch else before
    touches = touched_by(base.cases, made.changes, spans)
    tables = gain_tables(before, after, compared, read.base.scheme)
    tables["steps"] = steps_table(steps)
    switch_moved = moved_payments(before, start)
    switched_to = switch_rows(switch, read.base, base, switch_moved, cleared_moved(before, start)) if switch else []
    tables["changes"] = changes_table(switched_to, made.changes, touches, spans)
    if before.clearing is not None:
        tables["fund"] = fund_table(before, after)
    if (moved := moved_groups(compared)) is not None:
        tables["transition"] = moved
    if (swept := sweep_table(before, trial, resolved, told)) is not None:
        tables["sweep"] = swept
    unsure: list[Problem] = []
    if request.bootstrap:
        drawn, unsure = chances(before, after, request.bootstrap, request.seed, told)
        tables |= drawn
    ahead = _years_ahead(trial, resolved, told)
    if ahead:
        tables["growth"] = growth_table([after, *ahead])
    if ahead and year_file is None:
        tables["steps"] = steps_table([*steps, *ahead])
    elif ahead:
        first = tables["fan"] if request.bootstrap else exact_fan(after, 0)
        later = [_later(request, stage, at, told) for at, stage in enumerate(ahead, 1)]
        tables["fan"] = pl.concat([first, *(fan for fan, _ in later)])
        unsure += [problem for _, found in later for problem in found]
    if solved:
        tables["solved"] = solved_frame(tuple(solved))
    problems = [*(problem for reform in resolved for problem in reform.problems), *made.problems]
    if unknown:
        problems.append(Problem("SI10", {"count": unknown}))
    problems += unsure
    problems += [*idle_switches(switch, switched_to), *idle_changes(made.changes, touches)]
    problems += growths_without_cases(base.cases, resolved, base.policy, trial.groups)
    problems += [problem for item in solved for problem in item.problems]
    only_tries = any(reform.sweeps or reform.growths for reform in resolved) and not made.changes and not switch
    same = compared.select(_MOVED).to_series().sum() == 0 and hospital_totals(before) == hospital_totals(after)
    if same and not only_tries:
        problems.append(Problem("SI12"))
    problems += [*other_counts(before, after), *other_bases(before, after), *part_of_year(before)]
    problems += [*uncovered(before, BEFORE_ZH), *uncovered(after, AFTER_ZH), *with_pools(base, _pools(after))[1]]
    left_out = [] if before.clearing is None else [before.clearing.problems.filter(pl.col("code") != UNCOVERED)]
    return Simulation(
        request, year_file, before, after, tuple(steps), tuple(resolved), made.changes, tables, tuple(problems),
        pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), problem_frame(problems), *left_out]), _reading(read, switched),
        _deciding(request, read.base, base, year_file, read.inputs), _levels(request, read.base, base, year_file),
    )  # fmt: skip


def _later(request: SimulationRequest, stage: Stage, years: int, told: Told) -> tuple[pl.DataFrame, list[Problem]]:
    """The fan of a year to come and what is to be told of it; without resamples its one exact balance."""
    if not request.bootstrap:
        return exact_fan(stage, years), []
    return fan_ahead(stage, years, request.bootstrap, request.seed, told)


def _years_ahead(trial: Trial, reforms: Sequence[Reform], told: Told) -> list[Stage]:
    """The stages of the years to come, the budget and all else as it is; none without growth."""
    cases, found = trial.base.cases, list[Stage]()
    for year in range(1, years_ahead(reforms) + 1):
        label = f"增长后第 {year} 年"
        told(label)
        cases = grown(cases, reforms, year, trial.base.policy, trial.groups, trial.base.scheme)
        found.append(trial.stage(label, reforms, cases))
    return found


def _pools(stage: Stage) -> str:
    return pools_of(stage.policy, None if stage.clearing is None else stage.clearing.given.year)


def _reading(read: Read, switched: Read) -> pl.DataFrame:
    """What reading the cases told, under both schemes."""
    if switched.problems is read.problems:
        return read.problems
    return pl.concat([read.problems, switched.problems]).unique(maintain_order=True)


def _levels(request: SimulationRequest, before: Base, after: Base, year_file: YearFile | None) -> tuple[str, ...]:
    """Data levels of everything that decides the result, each once."""
    found = [item.data_level for item in request.reforms]
    for base in (before, after):
        found += [base.policy.header.data_level, base.scheme.pack.data_level]
        found += [] if base.weights is None else [base.weights.data_level]
    found += [] if year_file is None else [year_file.data_level]
    return tuple(sorted(set(found)))


def _deciding(
    request: SimulationRequest,
    before: Base,
    after: Base,
    year_file: YearFile | None,
    inputs: Sequence[Mapping[str, str]],
) -> dict[str, object]:
    """Everything that decides the result, by content."""
    books = load_code_books()
    return {
        "program": {"name": "drgdip", "version": program_version(), "code_sha256": code_sha256()},
        "reforms": [{"id": item.id, "sha256": item.sha256, "data_level": item.data_level} for item in request.reforms],
        "before": _paid_by(before),
        "after": _paid_by(after),
        "year": request.year,
        "year_file": None if year_file is None else {"name": year_file.file, "sha256": year_file.sha256},
        "code_books": {"diagnosis": books.diagnosis.edition, "procedure": books.procedure.edition},
        "cases": [dict(item) for item in inputs],
        "lists": list_hashes(request, year_file),
        "edition": request.edition,
        "bootstrap": request.bootstrap,
        "seed": request.seed if request.bootstrap else None,
    }


def _paid_by(base: Base) -> dict[str, object]:
    """Policy, pack and weights of one side."""
    policy, pack, weights = base.policy, base.scheme.pack, base.weights
    return {
        "policy": {"id": policy.id, "sha256": policy.sha256, "data_level": policy.header.data_level},
        "pack": {"id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level},
        "weights": None if weights is None else {"id": weights.id, "sha256": weights.sha256},
    }
