"""What a solver of policy simulation found, and the plain changes that put it into force."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import polars as pl

from api.core.simulate_stage import Stage
from budget.compare_frames import SOLVED_SCHEMA
from budget.money import FEN, decimal_text
from reference_tables.problems import Level, Problem
from reference_tables.reform import Change, Solve

MISSED = frozenset({"SO01", "SO02", "SO03", "SO04", "SO07", "SO08", "SO12", "SO13", "SO15", "SO18", "SO19"})
"""Codes of solves that did not reach what was asked for."""

MILLIONTH = Fraction(1, 10**6)


@dataclass(frozen=True)
class Solved:
    """One `[[solve]]` solved. `value` what was found; `before` the measure before all reforms, `reached` with the
    value, `target`, `residual` what is missed of it; `iterations` numbers tried; `problems` what stands in the way."""

    kind: str
    place: str
    what: str
    value: str
    before: str
    reached: str
    target: str
    residual: str
    iterations: int
    problems: tuple[Problem, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Proposal:
    """What a solver found: the `changes` that put it into force, and what it comes to at a stage (`judged`): the stage
    of its reform once all that this asks for holds, so that what is told is always what the cases are paid."""

    changes: tuple[Change, ...]
    judged: Callable[[Stage], Solved]


def missed(told: Iterable[Problem]) -> bool:
    """Is any solve told not to have reached its target?"""
    return any(problem.code in MISSED for problem in told)


def solved_frame(solved: tuple[Solved, ...]) -> pl.DataFrame:
    """SOLVED_SCHEMA, one row each."""
    rows = [
        {name: getattr(item, name) for name in SOLVED_SCHEMA if name != "problem"}
        | {"problem": "；".join(problem.message for problem in item.problems if problem.level is not Level.INFO)}
        for item in solved
    ]
    return pl.DataFrame(rows, schema=SOLVED_SCHEMA)


def tolerance_of(solve: Solve, money: Fraction) -> Fraction:
    """How far a solve may be off its target, fen: as it says, else a millionth of the money before the reform, at least
    a yuan. What is off by no more is reached, whatever is solved for."""
    given = solve.fields.get("tolerance")
    return max(money * MILLIONTH, Fraction(FEN)) if given is None else given * FEN


def change_of(solve: Solve, key: str, action: str, value: Fraction, digits: int) -> Change:
    """The change that puts a number in force where the solve says."""
    fields = solve.fields
    return Change(
        key, action, value, factor_text(value, digits), fields.get("scope") or (), fields.get("groups") or (),
        place=solve.place, line=solve.line,
    )  # fmt: skip


def factor_text(value: Fraction, digits: int) -> str:
    """A number of the grid as a reform file writes it."""
    return decimal_text(value, digits)


def yuan(fen: Fraction) -> str:
    """Fen as yuan with two decimals."""
    return decimal_text(fen / FEN, 2)


def percent(share: Fraction) -> str:
    """A share in per cent with up to four decimals."""
    return decimal_text(share * 100, 4).rstrip("0").rstrip(".")


def corridor_text(low: Fraction, high: Fraction) -> str:
    """The limits of a corridor in per cent."""
    return f"{percent(low)}% 至 {percent(high)}%"


def signed(text: str) -> str:
    """A number with its sign."""
    return text if text.startswith("-") else f"+{text}"
