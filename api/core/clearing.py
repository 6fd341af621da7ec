"""Year-end clearing (年终清算) of a region: from a year's cases to what every hospital is still owed, or owes.

Decisions on special cases within their quota, readmissions merged, cases priced anew, exact units by hospital and pool,
the pools cleared in the policy's order of steps, county groups, postings. Neither the order of cases nor the files or
months they came in change anything. Source: 医保发 and city clearing rules, steps as in policy_schema.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from api.core.clearing_notes import (
    deposits_from_entitlement,
    money_without_cases,
    violations_beyond_due,
    wrong_scores,
)
from api.core.year_cases import YearCases
from budget.bundle_clearing import ClearedBundle, clear_bundles
from budget.clearing import Line
from budget.clearing_accounts import ClearedPool, Paid, PoolClearing
from budget.group_values import GroupValues
from budget.hospital_units import CaseTallies, tally_rule
from budget.ledger import AMOUNT_SCHEMA, postings_of
from budget.money import yuan_text
from budget.pricing import Pricer
from budget.total_budget import PoolBudget, TotalBudget, total_budget
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.policy_schema import METHODS
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame
from reference_tables.year_file import YearFile

COMMAND = "clear"
UNPAID_FOR = frozenset({"CL21", "CL24", "CL25", "CL29", "CL30", "CL31"})
"""Problems that tell of money that nothing pays for."""
Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PaidInYear:
    """What a hospital had in the year in one pool, fen: `due` as settled by month, `paid` out, `held` as deposit (None:
    not known), `deferred` till clearing, `advance` still out."""

    due: int = 0
    paid: int = 0
    held: int | None = None
    deferred: int = 0
    advance: int = 0


@dataclass(frozen=True)
class PricedBy:
    """A policy with its group values that earlier months of the year are priced by."""

    policy: Policy
    values: GroupValues


@dataclass(frozen=True)
class ClearingInput:
    """What is cleared. `cases` PAYABLE_SCHEMA of any months, and `basis` where some are priced by a policy of `earlier`
    (its key; "" = by `policy`, which must hold at the year's end); `decisions` case_id, hospital_id (null = any),
    decision, amount_fen, in the order in which they were accepted; `paid` by (hospital, pool); `settled`: the payments
    come from a year book, whose postings go before those of clearing; on `trial` money that nothing pays for is told
    (CL30) and does not refuse the year; `pricer` of `policy` and `values` that has priced these cases before (None: one
    is made), so that its rows are not made again."""

    year: int
    policy: Policy
    values: GroupValues
    year_file: YearFile
    cases: pl.DataFrame | pl.LazyFrame
    decisions: pl.DataFrame | None
    paid: Mapping[Owner, PaidInYear]
    settled: bool = False
    earlier: Mapping[str, PricedBy] = field(default_factory=dict)
    trial: bool = False
    pricer: Pricer | None = None

    @property
    def paid_to_pools(self) -> dict[Owner, Paid]:
        """What was paid during the year, as the clearing of a pool takes it."""
        return {key: Paid(item.paid, item.held, item.advance, item.due) for key, item in self.paid.items()}


@dataclass(frozen=True)
class Clearing:
    """A region's year cleared. `lines`: (pool, line) sorted by hospital and pool, county groups' lines with the group's
    id as pool; `kinds` KIND_SCHEMA; `beyond` BEYOND_SCHEMA; `problems` PROBLEM_SCHEMA: what was left out, refused or
    merged; `tallies` of all cases."""

    given: ClearingInput
    budget: TotalBudget
    pools: tuple[ClearedPool, ...]
    bundles: tuple[ClearedBundle, ...]
    lines: tuple[tuple[str, Line], ...]
    kinds: pl.DataFrame
    beyond: pl.DataFrame
    tallies: CaseTallies
    problems: pl.DataFrame

    @property
    def month(self) -> str:
        """The month that clearing posts in: the last of the year."""
        return f"{self.given.year}-12"

    def amounts(self) -> pl.DataFrame:
        """What the clearing posts (AMOUNT_SCHEMA)."""
        rows = [row for pool, line in self.lines for row in self._amounts(pool, line)]
        schema = {name: dtype for name, dtype in AMOUNT_SCHEMA.items() if name != "supersedes"}
        amounts = pl.DataFrame(rows, schema=schema, orient="row").with_columns(supersedes=pl.lit(""))
        return amounts.select(*AMOUNT_SCHEMA)

    def postings(self, run_id: str) -> pl.DataFrame:
        """The clearing's postings (POSTING_SCHEMA); every run's postings sum to zero."""
        return postings_of(run_id, self.month, self.amounts())

    def _amounts(self, pool: str, line: Line) -> list[tuple[str, str, str, int]]:
        """What one line posts. Without a year book the year's payments are posted along with it."""
        paid = self.given.paid.get((line.hospital, pool), PaidInYear())
        found = {
            "clearing": line.entitlement - (paid.due if self.given.settled else 0),
            "release": line.assessment,
            "forfeit": line.deposit - line.assessment,
            "bundle_keep" if pool in {bundle.group for bundle in self.bundles} else "share": line.shared,
            "bundle_bear": line.borne,
            "deduct": line.deductions - line.given_up,
            "give_up": line.given_up,
            "offset": paid.advance,
        }
        if self.given.settled:
            found["undefer"] = paid.deferred
        else:
            found |= {"pay": paid.paid, "hold": line.deposit, "advance": paid.advance}
        return [(line.hospital, pool, what, amount) for what, amount in found.items()]


def clear_year(given: ClearingInput) -> Clearing:
    """Clear a year.

    Raises TablesRefused with everything that is missing, that does not fit, or that nothing pays for (UNPAID_FOR).
    """
    policy, year_file = given.policy, given.year_file
    terms = YearTerms(policy, given.year, COMMAND)
    problems = _wrong_year(given)
    try:
        budget = total_budget(policy, year_file)
    except TablesRefused as error:
        raise TablesRefused(error.what, [*problems, *error.problems]) from None
    if problems:
        raise TablesRefused(policy.id, problems)
    rule = tally_rule(terms, [(row["county_group"], row["insurance"]) for row in year_file.rows("heads")])
    pricers = {"": given.pricer or Pricer(policy, given.values)}
    pricers |= {key: Pricer(item.policy, item.values) for key, item in given.earlier.items()}
    paid = YearCases(terms, pricers, rule, year_file, given.cases, given.decisions).paid()
    tallies, notes = paid.tallies, paid.notes
    pools, bundles = _cleared(given, terms, budget, tallies, notes)
    notes.append(problem_frame(money_without_cases(given.paid, tallies.tallies, year_file)))
    notes.append(problem_frame(deposits_from_entitlement(given.paid, pools)))
    lines = [(pool.budget.pool, line) for pool in pools for line in pool.cleared.lines]
    lines += [(bundle.group, line) for bundle in bundles for line in bundle.lines]
    lines.sort(key=lambda item: (item[1].hospital, item[0]))
    notes.append(problem_frame(violations_beyond_due(lines)))
    return Clearing(
        given, budget, tuple(pools), tuple(bundles), tuple(lines), paid.kinds, paid.beyond, tallies,
        pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *notes]),
    )  # fmt: skip


def _wrong_year(given: ClearingInput) -> list[Problem]:
    problems = []
    if given.year_file.year != given.year:
        args: dict[str, str | int] = {"given": given.year_file.year, "year": given.year}
        problems.append(Problem("CL35", args, file=given.year_file.file, field="year"))
    outside = given.policy.outside(date(given.year, 12, 31), date(given.year, 12, 31))
    problems += [outside] if outside is not None else []
    return [*problems, *_without_policy(given)]


def _without_policy(given: ClearingInput) -> list[Problem]:
    """Months of the year before the policy begins whose cases no other policy prices (CL42), and policies that do not
    pay in the way the year is cleared by (CL43)."""
    problems, since = [], f"{given.policy.header.effective_from:%Y-%m-%d}"
    cases = given.cases.lazy()
    own = cases.filter(pl.col("basis") == "") if "basis" in cases.collect_schema().names() else cases
    month = pl.col("month").cast(pl.String)
    early = pl.DataFrame(schema={"month": pl.String()})
    if since > f"{given.year}-01-01":
        within = own.select(month).filter((month.str.head(4) == str(given.year)) & (month + "-01" < since))
        early = within.unique().sort("month").collect()
    if early.height:
        months = "、".join(early["month"])
        args: dict[str, str | int] = {"policy": given.policy.id, "since": since, "months": months}
        problems.append(Problem("CL42", args, file=given.policy.header.file))
    for other in given.earlier.values():
        if other.policy.method != given.policy.method:
            args = {
                "policy": given.policy.id, "method": METHODS[given.policy.method], "other": other.policy.id,
                "other_method": METHODS[other.policy.method],
            }  # fmt: skip
            problems.append(Problem("CL43", args, file=other.policy.header.file))
    return problems


def _cleared(
    given: ClearingInput, terms: YearTerms, budget: TotalBudget, tallies: CaseTallies, notes: list[pl.DataFrame]
) -> tuple[list[ClearedPool], list[ClearedBundle]]:
    """Every pool and county group, or TablesRefused with all that is wrong."""
    clearing = PoolClearing(terms, given.year_file, tallies, given.paid_to_pools, trial=given.trial)
    known = {pool.pool for pool in budget.pools}
    for pool in sorted({pool for _, pool in tallies.tallies} - known):
        args: dict[str, str | int] = {"insurance": pool, "known": "、".join(given.policy.insurances)}
        terms.problems.append(Problem("CL20", args, file=given.year_file.file, field="fund"))
    for pool in sorted({pool for _, pool in given.paid} - known):
        terms.problems.append(Problem("CL44", {"pool": pool, "known": "、".join(sorted(known))}, value=pool))
    terms.problems.extend(wrong_scores(terms, given.year_file))
    pools = [found for pool in budget.pools if (found := clearing.clear(pool)) is not None]
    bundles = clear_bundles(terms, given.year_file, tallies.bundled, clearing.bands)
    _check_bundles(terms, budget.pools, pools, bundles)
    told = [problem for problem in terms.problems if given.trial and problem.code == "CL30"]
    if len(told) < len(terms.problems):
        raise TablesRefused(f"{given.policy.id} {given.year_file.file}", terms.problems)
    notes.append(problem_frame(told))
    return pools, bundles


def _check_bundles(
    terms: YearTerms, budgets: tuple[PoolBudget, ...], pools: list[ClearedPool], bundles: list[ClearedBundle]
) -> None:
    """What the fund adds to bundles beyond their own reserve must be left in the policy's line."""
    line = terms.look("overrun_from") or ""
    held = sum(getattr(budget, line) for budget in budgets) if line else 0
    left = held - sum(pool.cleared.line_used for pool in pools)
    for bundle in bundles:
        missing = bundle.beyond - max(0, left)
        left -= bundle.beyond
        if missing > 0:
            args: dict[str, str | int] = {
                "pool": f"医共体 {bundle.group}", "missing": yuan_text(missing),
                "line": "打包预留和政策所定的资金不足以承担",
            }  # fmt: skip
            terms.problems.append(Problem("CL30", args))
