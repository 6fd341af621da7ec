"""All that clearing reads beside the cases, every fault of all of it told at once: policies, year file, payments made,
decisions, register, separately paid amounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import polars as pl

from api.core.clearing import PaidInYear
from api.core.pay_inputs import read_decisions, read_hospitals, read_separate
from budget.pools import pool_name
from reference_tables.policy import Policy, load_policy
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table
from reference_tables.year_file import YearFile, load_year_file

PAID_COLUMNS = ("hospital", "pool", "prepaid")
PAID_OPTIONAL = ("deposit", "advance")
_DIGITS = 13
_Read = TypeVar("_Read")
BESIDE_CASES = ("prepaid", "decisions", "hospitals", "separate")
"""The lists that a year's cases may come with, by their option."""


def beside_cases(request: object) -> dict[str, Path]:
    """The lists that a request gives (its attributes BESIDE_CASES, None = not given), by their option."""
    named = {name: getattr(request, name) for name in BESIDE_CASES}
    return {name: path for name, path in named.items() if path is not None}


@dataclass(frozen=True)
class ClearInputs:
    """`policy` clears the year, `earlier` price months before it begins, the latest first. Lists None where not
    given; `decisions` of the file given, else of the year file."""

    policy: Policy
    earlier: tuple[Policy, ...]
    year_file: YearFile
    paid: Mapping[tuple[str, str], PaidInYear] | None
    decisions: pl.DataFrame | None
    hospitals: pl.DataFrame | None
    separate: pl.DataFrame | None


class _Attempts:
    """Reads one thing after the other; `problems` of all of them, each once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def __call__(self, read: Callable[[], _Read]) -> _Read | None:
        try:
            return read()
        except TablesRefused as error:
            self.problems += [item for item in error.problems if item not in self.problems]
            return None

    def check(self, *names: str | Path) -> None:
        """Raise TablesRefused when there is any problem."""
        if self.problems:
            raise TablesRefused(" ".join(dict.fromkeys(Path(name).name for name in names)), self.problems)


def read_inputs(policies: Sequence[str], year_file: str, year: int, lists: Mapping[str, Path]) -> ClearInputs:
    """Read everything for clearing a year; `lists`: prepaid, decisions, hospitals, separate, of what is given.

    Raises TablesRefused with every problem of every file.
    """
    attempt = _Attempts()
    found = [attempt(partial(load_policy, name)) for name in policies]
    figures = attempt(lambda: load_year_file(year_file))
    sound = [policy for policy in found if policy is not None]
    in_order = attempt(lambda: _in_order(sound, year)) if len(sound) == len(policies) else None
    main = in_order[0] if in_order else sound[0] if sound else None
    paid = separate = decisions = hospitals = None
    if "prepaid" in lists:
        paid = attempt(lambda: read_prepaid(lists["prepaid"], () if main is None else pools_of(main)))
    if "separate" in lists:
        separate = attempt(lambda: read_separate(lists["separate"]))
    path = lists.get("decisions") or (None if figures is None else figures.decisions_path)
    if main is not None and path is not None:
        decisions = attempt(lambda: read_decisions(path, main))
    if main is not None and "hospitals" in lists:
        hospitals = attempt(lambda: read_hospitals(lists["hospitals"], main))
    attempt.check(*policies, year_file, *lists.values())
    assert in_order is not None
    assert figures is not None
    return ClearInputs(in_order[0], tuple(in_order[1:]), figures, paid, decisions, hospitals, separate)


def budget_inputs(policy: str, year_file: str, hospitals: Path | None) -> tuple[Policy, YearFile, pl.DataFrame | None]:
    """Policy, year file and register (None when not given) of a budget. Raises TablesRefused with every problem."""
    attempt = _Attempts()
    rules, figures = attempt(lambda: load_policy(policy)), attempt(lambda: load_year_file(year_file))
    register = None
    if rules is not None and hospitals is not None:
        register = attempt(lambda: read_hospitals(hospitals, rules))
    attempt.check(policy, year_file, *([] if hospitals is None else [hospitals]))
    assert rules is not None
    assert figures is not None
    return rules, figures, register


def _in_order(policies: Sequence[Policy], year: int) -> list[Policy]:
    """The policy that holds on the year's last day first, then the earlier ones, the latest first. Raises TablesRefused
    (CL45) for two that begin on the same day, PL31 when none holds at the year's end."""
    ordered = sorted(policies, key=lambda policy: policy.header.effective_from, reverse=True)
    problems = []
    for one, other in pairwise(ordered):
        if one.header.effective_from == other.header.effective_from:
            args: dict[str, str | int] = {
                "first": one.id, "second": other.id, "since": str(one.header.effective_from),
            }  # fmt: skip
            problems.append(Problem("CL45", args, file=other.header.file))
    end = date(year, 12, 31)
    holding = [policy for policy in ordered if policy.outside(end, end) is None]
    if not holding and (outside := ordered[0].outside(end, end)) is not None:
        problems.append(outside)
    if problems:
        raise TablesRefused(" ".join(policy.id for policy in ordered), problems)
    return [holding[0], *(policy for policy in ordered if policy is not holding[0])]


def pools_of(policy: Policy) -> tuple[str, ...]:
    """The fund pools of a policy; nothing when it does not say how pools are divided."""
    pools = policy.get("pools")
    return (
        () if pools is None else tuple(dict.fromkeys(pool_name(str(pools.value), name) for name in policy.insurances))
    )


def read_prepaid(path: Path, pools: Sequence[str] | None = None) -> dict[tuple[str, str], PaidInYear]:
    """What hospitals had in the year, from hospital, pool, prepaid and, if there are any, deposit (held) and advance
    (still out); yuan. `pools` that there are, None or none: any.

    Raises TablesRefused with every fault: TB02-TB05, PA20 no amount, PA25 twice, PA27 no hospital or pool, CL44 no
    such pool.
    """
    try:
        with path.open("rb") as stream:
            header = stream.readline().decode("utf-8-sig", "replace")
    except OSError:
        header = ""
    names = {cell.strip() for cell in header.split(",")}
    columns = [*PAID_COLUMNS, *(name for name in PAID_OPTIONAL if name in names)]
    table = read_table(path, dict.fromkeys(columns, "code"))
    problems = [problem for problem in table.problems if problem.level.value == "error"]
    found: dict[tuple[str, str], PaidInYear] = {}
    first: dict[tuple[str, str], int] = {}
    for row in [] if table.frame is None else table.frame.iter_rows(named=True):
        line, key = int(row[LINE]), (row["hospital"], row["pool"])
        problems += [
            Problem("PA27", {"row": line, "column": name}, file=path.name, row=line, field=name)
            for name in PAID_COLUMNS[:2] if not row[name]
        ]  # fmt: skip
        if pools and row["pool"] and row["pool"] not in pools:
            args: dict[str, str | int] = {"pool": row["pool"], "known": "、".join(pools)}
            problems.append(Problem("CL44", args, file=path.name, row=line, field="pool", value=row["pool"]))
        if key in first:
            args = {"value": " ".join(key), "first": first[key]}
            problems.append(Problem("PA25", args, file=path.name, row=line, value=key[0]))
        first.setdefault(key, line)
        amounts = {name: _fen(path, row, name, problems) for name in columns[2:] if row[name] or name == "prepaid"}
        found[key] = PaidInYear(
            paid=amounts["prepaid"], held=amounts.get("deposit"), advance=amounts.get("advance", 0)
        )  # fmt: skip
    if problems:
        raise TablesRefused(path.name, problems)
    return found


def _fen(path: Path, row: Mapping[str, str | int], name: str, problems: list[Problem]) -> int:
    """An amount in yuan, at most two decimals, as fen."""
    text, line = str(row[name]), int(row[LINE])
    whole, point, part = text.partition(".")
    good = whole.isascii() and whole.isdigit() and len(whole) <= _DIGITS and len(part) <= 2
    if not good or (point and not (part.isascii() and part.isdigit())):
        problems.append(Problem("PA20", {"row": line, "value": text}, file=path.name, row=line, field=name, value=text))
        return 0
    return int(whole) * 100 + int(part.ljust(2, "0"))
