"""Clearing of random regions: no fen appears or is lost, and neither order nor months nor files change anything."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import polars as pl
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from api.core.clearing import UNPAID_FOR, Clearing, PaidInYear
from budget.clearing import Line
from budget.hospital_units import add_tallies, rated, tally_cases, tally_rule
from budget.ledger import balances, unbalanced
from budget.pricing import price_cases
from budget.year_terms import YearTerms
from reference_tables.policy import Policy
from reference_tables.problems import TablesRefused
from reference_tables.year_file import YearFile
from tests.unit.clearing_region import (
    ASSESSED,
    REGULATION,
    SHARING,
    YEAR,
    case,
    cases,
    clear,
    group_values,
    region_policy,
    table,
    year_file,
)

amounts = st.integers(0, 4_000_000)
percent = st.integers(0, 100).map(lambda part: f"{part / 100:.2f}")


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """One case of any class: normal, low, high, by item, bed days, unknown money."""
    cost, share = draw(amounts), draw(st.integers(0, 100))
    patient = cost * share // 100
    found = case(
        draw(st.sampled_from("ABC")) + draw(st.text("0123456789", min_size=6, max_size=6)),
        draw(st.sampled_from(["G1", "G1", "G2", "G9", "0000"])),
        f"{cost // 100}.{cost % 100:02d}",
        f"{patient // 100}.{patient % 100:02d}",
        month=f"{YEAR}-{draw(st.integers(1, 12)):02d}",
        los_days=draw(st.integers(0, 90)),
    )
    if draw(st.integers(0, 9)) == 0:
        found["patient_paid_fen"] = None
        found["fund_by_item_fen"] = None
    return found


regions = st.lists(rows(), min_size=1, max_size=12, unique_by=lambda row: str(row["case_id"]))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy of any method with any way of sharing, assessment, deposits and top-ups."""
    method = draw(st.sampled_from(["dip", "drg-point", "drg-rate"]))
    values: dict[str, Any] = {"bed_day_groups": ["G9"], "bed_day_price": "300"}
    basis = draw(st.sampled_from(["none", "hospital", "region"]))
    if basis == "hospital":
        values |= {**SHARING, "retain_cap": draw(percent), "bands_are": draw(st.sampled_from(["marginal", "cliff"]))}
        values["sharing_low_ratio"] = draw(percent)
    elif basis == "region":
        values |= {"sharing_basis": "region", "region_share": draw(percent)}
    if draw(st.booleans()):
        assessed = ["deposit", "retained"] if basis == "region" else ["deposit", "retained", "share"]
        rewarded = [{"from": start, "value": value} for start, value in (("95", "1.3"), ("80", "0.9"), ("0", "0"))]
        values |= {**ASSESSED, "assessment_on": draw(st.sampled_from(assessed)), "assessment_bands": rewarded}
    values["deposit_share"] = draw(percent)
    if method == "drg-rate":
        values["point_value_formula"] = draw(st.sampled_from([None, "RATE"]))
    elif draw(st.booleans()):
        values |= {"top_up": True, "bed_day_points": draw(st.sampled_from(["0", "3.2", "40"]))}
        values["point_value_formula"] = draw(st.sampled_from(["DRG_TOTAL", "DIP_SETTLEMENT"]))
    values["overrun_from"] = draw(st.sampled_from(["regulation", "reserve"]))
    return region_policy(method, REGULATION, values)


def figures(draw: st.DrawFn) -> YearFile:
    budget, reserve, fine = draw(st.integers(0, 20_000_000)), draw(st.integers(0, 20_000_000)), draw(amounts)
    violation = f'[[violation]]\nhospital = "B"\ninsurance = "职工"\namount = "{fine}.00"\nreason = "x"\n'
    return year_file(f'{budget}.00"\nreserve = "{reserve}.00', violation if fine else "")


@st.composite
def cleared(draw: st.DrawFn) -> Clearing:
    policy, year, given_cases = draw(policies()), figures(draw), cases(*draw(regions))
    prepaid = {(name, "职工"): PaidInYear(paid=draw(amounts), advance=draw(amounts)) for name in "AB"}
    try:
        return clear(policy, given_cases, year, prepaid)
    except TablesRefused as refused:
        # Money that nothing pays for is the only reason to refuse a sound policy.
        if any(
            problem.code not in UNPAID_FOR or str(problem.args["missing"])[0] == "-" for problem in refused.problems
        ):
            raise
        reject()


def parts(found: Clearing) -> tuple[list[Line], int]:
    """The statement's lines, and what hospitals, fund lines and deposits take of the pool together."""
    lines = [line for _, line in found.lines]
    return lines, sum(line.balance + line.prepaid + line.deposit - line.assessment + line.deductions for line in lines)


@settings(max_examples=80)
@given(cleared())
def test_what_hospitals_get_with_deposits_and_deductions_is_the_pool(found: Clearing) -> None:
    lines, taken = parts(found)
    [pool] = found.pools
    shared, given_up = sum(line.shared for line in lines), sum(line.given_up for line in lines)
    assert taken - shared == sum(line.entitlement for line in lines)
    # The pool, what the fund's line added, and nothing else: what stays in the fund beside what hospitals gave up.
    stays = pool.cleared.to_fund - given_up
    assert taken + stays == pool.budget.distributable + pool.cleared.line_used
    assert pool.cleared.line_used <= getattr(pool.budget, pool.line)
    assert pool.cleared.withheld == sum(line.deposit - line.assessment for line in lines)
    for line in lines:
        assert 0 <= line.assessment <= line.deposit
        assert min(line.shared, line.retained, line.given_up, line.deductions) >= 0


@settings(max_examples=30)
@given(cleared())
def test_postings_sum_to_zero_and_leave_the_balance_owed(found: Clearing) -> None:
    postings = found.postings("run")
    assert unbalanced(postings).is_empty()
    owed = dict(balances(postings).filter(pl.col("account") == "2201").select("hospital_id", "balance_fen").iter_rows())
    assert all(owed.get(line.hospital, 0) == line.balance for _, line in found.lines)
    held = balances(postings).filter(pl.col("account") == "2202")
    assert not held["balance_fen"].abs().sum()


@settings(max_examples=30)
@given(cleared(), st.randoms(use_true_random=False))
def test_neither_order_nor_months_change_anything(found: Clearing, random: Any) -> None:
    given_cases = found.given.cases
    places = list(range(given_cases.height))
    random.shuffle(places)
    months = pl.Series("month", [f"{YEAR}-{random.randint(1, 12):02d}" for _ in places])
    other = given_cases[places].with_columns(months)
    again = clear(found.given.policy, other, found.given.year_file, found.given.paid)
    assert table(again) == table(found)


@settings(max_examples=30)
@given(policies(), regions, st.integers(0, 12))
def test_tallies_of_parts_add_up_and_are_the_sums_case_by_case(
    policy: Policy, given_rows: list[dict[str, Any]], cut: int
) -> None:
    whole = cases(*given_rows)
    rule = rated(tally_rule(YearTerms(policy, YEAR, "clear")), policy, whole)
    values = group_values(policy.method)

    def tally(frame: pl.DataFrame) -> Any:
        return tally_cases(frame, price_cases(frame, policy, values), policy, rule)

    together = tally(whole).tallies
    apart = add_tallies(tally(part) for part in (whole[:cut], whole[cut:]) if part.height).tallies
    assert apart == together
    single = add_tallies(tally(whole[at : at + 1]) for at in range(whole.height)).tallies
    assert single == together


@settings(max_examples=30)
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=6), st.integers(0, 10**9))
def test_shares_of_the_pool_differ_from_the_exact_ones_by_less_than_a_fen(costs: list[int], pool: int) -> None:
    names = "ABC"
    given_rows = [
        case(f"{names[at % 3]}{at}", "G2", f"{cost // 100}.{cost % 100:02d}", "0") for at, cost in enumerate(costs)
    ]
    given_rows += [case(f"{name}9", "G1", "9000", "0") for name in names]
    year = year_file(f"{pool // 100}.{pool % 100:02d}")
    try:
        found = clear(region_policy("drg-point", point_value_formula="DIP_SETTLEMENT"), cases(*given_rows), year)
    except TablesRefused:
        reject()
    units = {account.hospital: account.points for account in found.pools[0].accounts}
    whole = sum(units.values(), Fraction(0))
    for account in found.pools[0].accounts:
        exact = units[account.hospital] * found.pools[0].due.distributable / whole
        assert abs(account.due - exact) < 1
