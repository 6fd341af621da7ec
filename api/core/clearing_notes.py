"""What a clearing tells beside its figures: money without cases, violations beyond what is due, deposits that were not
withheld, months that a year
book has not settled or closed, months that clearing prices by another policy than they were settled by, scores that are
none, names that the register has otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Protocol

import polars as pl

from api.core.book import Book
from budget.clearing import Line
from budget.clearing_accounts import ClearedPool
from budget.hospital_units import Tally
from budget.money import yuan_text
from budget.year_terms import YearTerms
from reference_tables.policy_values import shown
from reference_tables.problems import Problem
from reference_tables.year_file import YearFile
from reference_tables.year_schema import year_schema

Owner = tuple[str, str]
_MONTHS = 12


class HadInYear(Protocol):
    """What a hospital had in the year in one pool, fen: `paid` out, `held` as deposit (None: not known)."""

    @property
    def paid(self) -> int: ...

    @property
    def held(self) -> int | None: ...


def money_without_cases(
    paid: Mapping[Owner, HadInYear], tallies: Mapping[Owner, Tally], year_file: YearFile
) -> Iterator[Problem]:
    """Payments to hospitals without cases in the pool (CL54), violations of hospitals without any (CL59)."""
    for (hospital, pool), item in sorted(paid.items()):
        if item.paid and (hospital, pool) not in tallies:
            yield Problem("CL54", {"hospital": hospital, "pool": pool, "amount": yuan_text(item.paid)})
    known = {hospital for hospital, _ in tallies}
    for row in year_file.rows("violation"):
        if row["hospital"] not in known:
            args: dict[str, str | int] = {"hospital": row["hospital"], "amount": yuan_text(row["amount"])}
            yield Problem("CL59", args, file=year_file.file, row=row.line, field="violation.hospital")


def violations_beyond_due(lines: Iterable[tuple[str, Line]]) -> Iterator[Problem]:
    """Violations of a hospital that take more from it than it is entitled to in the pool (CL65), most likely a slip of
    the pen. `lines`: (pool, line)."""
    for pool, line in lines:
        violations = line.deductions - line.given_up
        if violations > max(0, line.entitlement):
            args: dict[str, str | int] = {
                "hospital": line.hospital, "pool": pool, "amount": yuan_text(violations),
                "entitlement": yuan_text(line.entitlement),
            }  # fmt: skip
            yield Problem("CL65", args, value=yuan_text(violations))


def deposits_from_entitlement(paid: Mapping[Owner, HadInYear], pools: Sequence[ClearedPool]) -> Iterator[Problem]:
    """Where it is not known what was withheld in the year, the deposit is the policy's share of the entitlement: the
    sum of each pool is told (CL58)."""
    for pool in pools:
        of_policy = [
            line.deposit
            for line in pool.cleared.lines
            if (item := paid.get((line.hospital, pool.budget.pool))) is None or item.held is None
        ]
        if any(of_policy):
            args: dict[str, str | int] = {"pool": pool.budget.pool, "amount": yuan_text(sum(of_policy))}
            yield Problem("CL58", args)


def book_notes(book: Book) -> Iterator[Problem]:
    """Months of the year that the book has not settled: such as may still be (CL60), and such as were passed over or
    closed with a later one, which takes their cases (CL66); months that are settled and not closed (CL61)."""
    months = [f"{book.year}-{month:02d}" for month in range(1, _MONTHS + 1)]
    settled = {run.month for run in book.runs if run.kind == "settle"}
    last = max(book.closed_until, *settled, "")
    for code, found in (
        ("CL60", [month for month in months if month > last]),
        ("CL66", [month for month in months if month not in settled and month <= last]),
        ("CL61", [month for month in months if month in settled and month > book.closed_until]),
    ):
        if found:
            yield Problem(code, {"months": "、".join(found)}, file=book.path.name)


def policy_notes(priced: pl.DataFrame, policy: str) -> Iterator[Problem]:
    """`priced`: month, `by` the policy that settled it, `was` and `now` the keys it was settled and is cleared by, one
    row a kind of case. Months cleared by another policy or other group values than they were settled by (CL57), and
    months before the policy, cleared by what they were settled by (CL62)."""
    for code, chosen in (("CL57", pl.col("was") != pl.col("now")), ("CL62", pl.col("was") == pl.col("now"))):
        for (kept,), rows in priced.filter(chosen & ~pl.col("own")).sort("month").group_by("by", maintain_order=True):
            months = "、".join(rows["month"].unique(maintain_order=True))
            yield Problem(code, {"months": months, "kept": str(kept), "policy": policy})


def wrong_scores(terms: YearTerms, year_file: YearFile) -> Iterator[Problem]:
    """Scores of hospitals and county groups above the full score (CL63): the year file's own, unless the policy's bands
    begin above it. A policy without bands asks for no score."""
    bands = terms.look("assessment_bands") or ()
    top = max((band.start for band in bands), default=Fraction(0))
    for table in ("hospital", "county_group") if bands else ():
        full = year_schema().tables[table].fields["score"].full
        for row in year_file.rows(table) if full is not None and top <= full else ():
            if row["score"] is not None and row["score"] > full:
                args: dict[str, str | int] = {
                    "name": row["id"], "value": shown(row["score"]), "full": shown(full), "policy": terms.policy.id,
                    "top": shown(top),
                }  # fmt: skip
                yield Problem(
                    "CL63", args, file=year_file.file, row=row.line, field=f"{table}.score", value=shown(row["score"])
                )  # fmt: skip


def other_names(year_file: YearFile, register: pl.DataFrame | None) -> Iterator[Problem]:
    """Hospitals that the year file and the register (hospital_id, name) call by different names (CL64)."""
    rows = [] if register is None else register.select("hospital_id", "name").iter_rows()
    named = {hospital: name for hospital, name in rows if name}
    for row in year_file.rows("hospital"):
        name = named.get(row["id"])
        if name and row["name"] and row["name"] != name:
            args: dict[str, str | int] = {"hospital": row["id"], "year_name": row["name"], "name": name}
            yield Problem("CL64", args, file=year_file.file, row=row.line, field="hospital.name", value=row["name"])
