"""Year-end clearing (年终清算) of a region: from a year's cases to what every hospital is still owed, or owes.

Decisions on special cases within their quota, readmissions merged, cases priced anew, exact units by hospital and pool,
the pools cleared in the policy's order of steps, county groups, postings. Neither the order of cases nor the files or
months they came in change anything. Source: 医保发 and city clearing rules, steps as in policy_schema.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from api.core.clearing_notes import deposits_from_entitlement, money_without_cases
from budget.bundle_clearing import ClearedBundle, clear_bundles
from budget.clearing import Line
from budget.clearing_accounts import ClearedPool, Paid, PoolClearing
from budget.group_values import GroupValues
from budget.hospital_units import CaseTallies, add_tallies, tally_cases, tally_rule
from budget.ledger import AMOUNT_SCHEMA, postings_of
from budget.money import yuan_text
from budget.pricing import Pricer
from budget.readmission import merged_stays
from budget.settlement import KIND_SCHEMA, by_kind, pool_of
from budget.special_quota import special_quota
from budget.total_budget import PoolBudget, TotalBudget, total_budget
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.policy_schema import METHODS
from reference_tables.problems import PROBLEM_SCHEMA, Problem, TablesRefused, problem_frame, problem_rows
from reference_tables.year_file import YearFile

COMMAND = "clear"
BLOCK = 1 << 20
UNPAID_FOR = frozenset({"CL21", "CL24", "CL25", "CL29", "CL30", "CL31"})
"""Problems that tell of money that nothing pays for."""
_SUMMED = (
    "total_cost_fen", "separate_fen", "fund_by_item_fen", "patient_paid_fen", "other_funds_fen", "self_funded_fen",
    "prior_self_pay_fen", "deductible_fen", "drug_fen", "consumable_fen", "tcm_fen", "tcm_base_fen", "los_days",
)  # fmt: skip
_STAY = ("person", "hospital_id", "group")
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
    (CL30) and does not refuse the year."""

    year: int
    policy: Policy
    values: GroupValues
    year_file: YearFile
    cases: pl.DataFrame
    decisions: pl.DataFrame | None
    paid: Mapping[Owner, PaidInYear]
    settled: bool = False
    earlier: Mapping[str, PricedBy] = field(default_factory=dict)
    trial: bool = False


@dataclass(frozen=True)
class Clearing:
    """A region's year cleared. `lines`: (pool, line) sorted by hospital and pool, county groups' lines with the group's
    id as pool; `kinds` KIND_SCHEMA; `problems` PROBLEM_SCHEMA: what was left out, refused or merged; `tallies` of all
    cases."""

    given: ClearingInput
    budget: TotalBudget
    pools: tuple[ClearedPool, ...]
    bundles: tuple[ClearedBundle, ...]
    lines: tuple[tuple[str, Line], ...]
    kinds: pl.DataFrame
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
            "share": line.shared,
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
    notes: list[pl.DataFrame] = []
    cases = _of_the_year(given, notes)
    _check_members(given, cases)
    cases = _merged(cases, terms, notes)
    decisions = _within_quota(cases, given.decisions, terms, notes)
    rule = tally_rule(terms, [(row["county_group"], row["insurance"]) for row in year_file.rows("heads")])
    parts: list[CaseTallies] = []
    kinds: list[pl.DataFrame] = []
    for part, pricer in _priced_by(given, cases):
        priced = pricer.price(part, decisions, display=False)
        # Amounts at rates are told in weights at the rates of the policy that clears, points are points.
        parts.append(tally_cases(part, priced, policy if policy.method == "drg-rate" else pricer.policy, rule))
        counted = np.ones(part.height, np.bool_)
        counted[parts[-1].left_out] = False
        kinds.append(by_kind(priced.frame.filter(counted).with_columns(pool_of(policy))))
        out = part[parts[-1].left_out].select(pl.lit(0, dtype=pl.UInt32).alias("row"), "case_id")
        notes.append(problem_rows(out, "CL52"))
    tallies = add_tallies(parts)
    pools, bundles = _cleared(given, terms, budget, tallies, notes)
    notes.append(problem_frame(money_without_cases(given.paid, tallies.tallies, year_file)))
    notes.append(problem_frame(deposits_from_entitlement(given.paid, pools)))
    lines = [(pool.budget.pool, line) for pool in pools for line in pool.cleared.lines]
    lines += [(bundle.group, line) for bundle in bundles for line in bundle.lines]
    return Clearing(
        given, budget, tuple(pools), tuple(bundles), tuple(sorted(lines, key=lambda item: (item[1].hospital, item[0]))),
        _kinds(kinds), tallies, pl.concat([pl.DataFrame(schema=PROBLEM_SCHEMA), *notes]),
    )  # fmt: skip


def _priced_by(given: ClearingInput, cases: pl.DataFrame) -> Iterator[tuple[pl.DataFrame, Pricer]]:
    """The cases in blocks, each with the pricer of its policy; the yearly numbers of capped groups are counted over all
    the cases of one policy."""
    known = {"": PricedBy(given.policy, given.values), **given.earlier}
    of_case = cases["basis"] if "basis" in cases.columns else pl.repeat("", cases.height, eager=True)
    for key in of_case.unique().sort():
        pricer = Pricer(known[key].policy, known[key].values)
        own = cases if (of_case == key).all() else cases.filter(of_case == key)
        for block in [own] if pricer.policy.has("volume_cap") else own.iter_slices(BLOCK):
            yield block, pricer


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
    own = given.cases.filter(pl.col("basis") == "") if "basis" in given.cases.columns else given.cases
    early = own.filter((pl.col("month").str.head(4) == str(given.year)) & (pl.col("month") + "-01" < since))
    if early.height:
        months = "、".join(early["month"].unique().sort())
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


def _of_the_year(given: ClearingInput, notes: list[pl.DataFrame]) -> pl.DataFrame:
    """The cases settled in the year, in the order of hospital and case id; others are listed."""
    year = str(given.year)
    here = (pl.col("month").str.head(4) == year).fill_null(value=False)
    row = pl.lit(0, dtype=pl.UInt32).alias("row")
    notes.append(problem_rows(given.cases.filter(~here).select(row, "case_id"), "CL53", args={"year": year}))
    owned = pl.col("hospital_id").is_not_null() & pl.col("insurance").is_in(list(given.policy.insurances))
    owned = owned.fill_null(value=False)
    notes.append(problem_rows(given.cases.filter(here & ~owned).select(row, "case_id"), "CL56"))
    cases = given.cases.filter(here & owned).sort("hospital_id", "case_id")
    if cases.is_empty():
        raise TablesRefused(given.policy.id, [Problem("CL37", {"year": given.year})])
    return cases


def _check_members(given: ClearingInput, cases: pl.DataFrame) -> None:
    """Year file and cases must agree on which hospitals belong to the county groups that are paid by bundle: else a
    bundle would have spent nothing, or pay for strangers. Raises TablesRefused (CL40) with all that differ."""
    file = given.year_file
    groups = {row["id"] for row in file.rows("county_group")}
    if not groups:
        return
    members = {row["hospital"]: row for row in file.rows("member")}
    problems = []
    for hospital, register in cases.select("hospital_id", "county_group").unique().sort(pl.all()).iter_rows():
        row = members.get(hospital)
        # A group without a bundle in the year file is paid as anybody else.
        if (row is None and register not in groups) or (row is not None and row["county_group"] == register):
            continue
        args: dict[str, str | int] = {
            "hospital": hospital, "member": "无" if row is None else row["county_group"], "register": register or "无",
        }  # fmt: skip
        line = 0 if row is None else row.line
        problems.append(Problem("CL40", args, file=file.file, row=line, field="member.hospital", value=hospital))
    if problems:
        raise TablesRefused(f"{given.policy.id} {file.file}", problems)


def _merged(cases: pl.DataFrame, terms: YearTerms, notes: list[pl.DataFrame]) -> pl.DataFrame:
    """Readmissions within the policy's days added to the stay before them, and listed."""
    days = terms.look("readmission_days")
    if days is None:
        return cases
    exempt = terms.look("readmission_exempt") or ()
    grouped = cases.with_row_index("at").filter(pl.col("status") == "GROUPED")
    merged = merged_stays(grouped.select("case_id", "admission", "discharge", *_STAY), days, exempt)
    if not merged.any():
        return cases
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in (*_STAY, "admission", "discharge"))
    chains = (
        grouped.with_columns(merged=merged)
        .filter(known)
        .sort(*_STAY, "admission", "discharge", "case_id")
        .with_columns((~pl.col("merged")).cum_sum().alias("chain"))
    )
    chains = chains.with_columns(pl.col("case_id").first().over("chain").alias("head"))
    # A sum in which any part is not known is not known.
    sums = chains.group_by("chain").agg(
        pl.col("at").first(),
        *(pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sum()).alias(name) for name in _SUMMED),
        pl.col("discharge").last(),
        pl.len().alias("stays"),
    )
    sums = sums.filter(pl.col("stays") > 1).drop("chain", "stays")
    gone = chains.filter("merged").sort("at")
    row = pl.lit(0, dtype=pl.UInt32).alias("row")
    notes.append(problem_rows(gone.select(row, "case_id", "head"), "CL55", args={"head": pl.col("head")}))
    names = [*_SUMMED, "discharge"]
    joined = cases.with_row_index("at").join(sums, on="at", how="left", maintain_order="left", suffix="_all")
    joined = joined.filter(~pl.col("at").is_in(gone["at"].implode()))
    head = pl.col("at").is_in(sums["at"].implode())
    whole = [pl.when(head).then(pl.col(f"{name}_all")).otherwise(pl.col(name)).alias(name) for name in names]
    return joined.with_columns(whole).select(pl.col(name).cast(cases.schema[name]) for name in cases.columns)


def _within_quota(
    cases: pl.DataFrame, decisions: pl.DataFrame | None, terms: YearTerms, notes: list[pl.DataFrame]
) -> pl.DataFrame | None:
    """The decisions that a hospital's quota of special cases holds, the first ones first; the others are listed."""
    if decisions is None or decisions.is_empty():
        return None
    listed = decisions.with_row_index("place")
    keys = cases.select("hospital_id", "case_id")
    own = listed.filter(pl.col("hospital_id").is_not_null()).join(keys, on=["hospital_id", "case_id"], how="inner")
    free = listed.filter(pl.col("hospital_id").is_null()).drop("hospital_id").join(keys, on="case_id", how="inner")
    known = pl.concat([own, free.select(own.columns)]).sort("place", "hospital_id")
    row = pl.lit(0, dtype=pl.UInt32).alias("row")
    lost = listed.filter(~pl.col("place").is_in(known["place"].implode()))
    notes.append(problem_rows(lost.select(row, "case_id"), "CL51"))
    accepted = known.filter(pl.col("decision") != "refused")
    if accepted.is_empty():
        return None
    share = terms.want("special_quota")
    if share is None:
        raise TablesRefused(terms.policy.id, terms.problems)
    discharges = cases.group_by("hospital_id").len("discharges")
    hospitals = accepted.group_by("hospital_id").len("applied").join(discharges, on="hospital_id")
    quotas = {name: special_quota(count, share, applied).quota for name, applied, count in hospitals.iter_rows()}
    of = pl.col("hospital_id").replace_strict(quotas, return_dtype=pl.Int64).alias("quota")
    ranked = accepted.with_columns(of, pl.int_range(1, pl.len() + 1).over("hospital_id").alias("rank"))
    over = ranked.filter(pl.col("rank") > pl.col("quota"))
    notes.append(problem_rows(over.select(row, "case_id", "quota"), "CL50", args={"quota": pl.col("quota")}))
    return ranked.filter(pl.col("rank") <= pl.col("quota")).drop("rank", "quota", "place")


def _cleared(
    given: ClearingInput, terms: YearTerms, budget: TotalBudget, tallies: CaseTallies, notes: list[pl.DataFrame]
) -> tuple[list[ClearedPool], list[ClearedBundle]]:
    """Every pool and county group, or TablesRefused with all that is wrong."""
    paid = {key: Paid(item.paid, item.held, item.advance) for key, item in given.paid.items()}
    clearing = PoolClearing(terms, given.year_file, tallies, paid, trial=given.trial)
    known = {pool.pool for pool in budget.pools}
    for pool in sorted({pool for _, pool in tallies.tallies} - known):
        args: dict[str, str | int] = {"insurance": pool, "known": "、".join(given.policy.insurances)}
        terms.problems.append(Problem("CL20", args, file=given.year_file.file, field="fund"))
    for pool in sorted({pool for _, pool in given.paid} - known):
        terms.problems.append(Problem("CL44", {"pool": pool, "known": "、".join(sorted(known))}, value=pool))
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


def _kinds(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Cases by hospital, pool and kind over all blocks."""
    owner = ["hospital_id", "pool", "case_kind"]
    whole = pl.concat(parts).group_by(owner, maintain_order=True).agg(pl.all().sum())
    return whole.sort("hospital_id", "pool", maintain_order=True).select(*KIND_SCHEMA)
