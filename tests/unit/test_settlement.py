"""Monthly statements: shares, quarters, what is carried; every amount worked out by hand."""

from fractions import Fraction

import polars as pl
import pytest

from budget.frames import PRICED_SCHEMA
from budget.pricing import price_cases
from budget.settlement import (
    DIFFERENCE_SCHEMA,
    MONTH_SCHEMA,
    Parts,
    PayShares,
    amounts_of,
    by_kind,
    exact_points,
    monthly_statement,
    pays_in,
    pool_of,
    shares_of,
    split_due,
)
from reference_tables.problems import Problem
from tests.unit.settlement_examples import VALUES, case, payable, region_policy

NO_DIFFERENCE = pl.DataFrame(schema=DIFFERENCE_SCHEMA)
OWED = {"hospital_id": pl.String(), "pool": pl.String(), "balance_fen": pl.Int64()}


def shares(paid: str, held: str | None) -> PayShares:
    return PayShares(Fraction(paid), None if held is None else Fraction(held))


@pytest.mark.parametrize(
    ("due", "rule", "parts"),
    [
        (100_000, shares("0.95", "0.05"), Parts(95_000, 5_000, 0)),
        (100_000, shares("0.95", None), Parts(95_000, 5_000, 0)),
        (100_000, shares("0.9", "0.05"), Parts(90_000, 5_000, 5_000)),
        (10, shares("0.95", "0.05"), Parts(10, 0, 0)),  # 9.5 is rounded up, the rest is held: no fen twice
        (30, shares("0.95", "0.05"), Parts(29, 1, 0)),  # 28.5 and 1.5 would both round up
        (30, shares("0.95", "0.03"), Parts(29, 1, 0)),
        (11, shares("0.9", "0.05"), Parts(10, 1, 0)),
        (100_000, shares("1", None), Parts(100_000, 0, 0)),
        (100_000, shares("0", "0"), Parts(0, 0, 100_000)),
        (0, shares("0.9", "0.05"), Parts(0, 0, 0)),
        (-100, shares("0.9", "0.05"), Parts(0, 0, 0)),
    ],
)
def test_what_is_due_is_split_without_losing_a_fen(due: int, rule: PayShares, parts: Parts) -> None:
    assert split_due(due, rule) == parts


def test_shares_are_looked_up_by_insurance_and_hospital() -> None:
    policy = region_policy(
        [
            {"key": "prepay_share", "value": "0.8", "for": {"insurance": "居民"}},
            {"key": "prepay_share", "value": "0.97", "for": {"hospital": "H9"}},
        ],
        deposit_share=None,
    )
    problems: list[Problem] = []
    assert shares_of(policy, "2026-03", "H1", "职工", problems) == shares("0.9", None)
    assert shares_of(policy, "2026-03", "H1", "居民", problems) == shares("0.8", None)
    assert shares_of(policy, "2026-03", "H9", "职工", problems) == shares("0.97", None)
    assert not problems


def test_a_missing_share_is_named_and_not_made_up() -> None:
    problems: list[Problem] = []
    assert shares_of(region_policy(prepay_share=None), "2026-03", "H1", "职工", problems) is None
    assert [problem.code for problem in problems] == ["PL30"]
    assert "prepay_share" in problems[0].message


def test_quarters_pay_in_their_last_month() -> None:
    monthly, quarterly = region_policy(), region_policy(prepay_period="quarter")
    months = [f"2026-{number:02d}" for number in range(1, 13)]
    assert all(pays_in(monthly, month, []) for month in months)
    assert [month[5:] for month in months if pays_in(quarterly, month, [])] == ["03", "06", "09", "12"]


def priced(*rows: tuple[str, str, str, int]) -> pl.DataFrame:
    """Cases as (hospital, pool, kind, fund)."""
    blank = dict.fromkeys(PRICED_SCHEMA)
    made = [
        blank | {"hospital_id": hospital, "case_kind": kind, "cost_fen": 900, "package_fen": 1_000, "fund_fen": fund}
        for hospital, _, kind, fund in rows
    ]
    pools = pl.Series("pool", [pool for _, pool, _, _ in rows], dtype=pl.String)
    return pl.DataFrame(made, schema=PRICED_SCHEMA).with_columns(pools)


def test_statement_of_a_month() -> None:
    cases = priced(("H1", "职工", "normal", 600), ("H1", "职工", "high", 400), ("H2", "居民", "normal", 700))
    differences = pl.DataFrame(
        [("H1", "职工", "r1", -150), ("H1", "职工", "r2", 50), ("H3", "职工", "r1", -80)],
        schema=DIFFERENCE_SCHEMA,
        orient="row",
    )
    owed = pl.DataFrame([("H2", "居民", -900), ("H4", "居民", 20), ("H5", "居民", 0)], schema=OWED, orient="row")
    found = monthly_statement(
        cases, {("H1", "职工"): Fraction("12.5")}, differences, owed, lambda *_: shares("0.9", "0.05"), pays=True
    )
    names = ["hospital_id", "pool", "cases", "points", "due_fen", "corrections_fen", "carried_in_fen", "basis_fen"]
    assert dict(found.schema) == MONTH_SCHEMA
    assert found.select(names).rows() == [
        ("H1", "职工", 2, "12.5000", 1_000, -100, 0, 900),
        ("H2", "居民", 1, "0.0000", 700, 0, -900, -200),
        ("H3", "职工", 0, "0.0000", 0, -80, 0, -80),
        ("H4", "居民", 0, "0.0000", 0, 0, 20, 20),
    ]
    assert found.select("paid_fen", "held_fen", "deferred_fen", "carried_out_fen").rows() == [
        (810, 45, 45, 0),
        (0, 0, 0, -200),
        (0, 0, 0, -80),
        (18, 1, 1, 0),
    ]
    posted = amounts_of(found, differences)
    corrected = posted.filter(pl.col("what") == "correction").sort("hospital_id", "supersedes")
    assert corrected.select("hospital_id", "amount_fen", "supersedes").rows() == [
        ("H1", -150, "r1"),
        ("H1", 50, "r2"),
        ("H3", -80, "r1"),
    ]


def test_nothing_is_paid_between_the_ends_of_quarters() -> None:
    def never(*_: str) -> PayShares | None:
        raise AssertionError("no share is asked for")

    owed = pl.DataFrame(schema=OWED)
    found = monthly_statement(priced(("H1", "职工", "normal", 600)), {}, NO_DIFFERENCE, owed, never, pays=False)
    assert found.select("basis_fen", "paid_fen", "held_fen", "carried_out_fen").rows() == [(600, 0, 0, 600)]


def test_cases_by_kind_stand_in_the_order_of_kinds() -> None:
    found = by_kind(
        priced(
            ("H1", "职工", "high", 400),
            ("H1", "职工", "normal", 600),
            ("H1", "职工", "normal", 1),
            ("H1", "居民", "low", 7),
        )
    )
    assert found.select("pool", "case_kind", "cases", "cost_fen", "fund_fen").rows() == [
        ("居民", "low", 1, 900, 7),
        ("职工", "normal", 2, 1_800, 601),
        ("职工", "high", 1, 900, 400),
    ]


def test_points_are_summed_exactly_and_rounded_once() -> None:
    """Low cases earn cost / average x 100: 100 / 3000 x 100 = 3.333... points; three of them are 10 points."""
    policy = region_policy(
        method="drg-point", base_rate=None, point_value="10", point_scale="100", average_cost="3000", reference="AVG",
        normal_formula="N_POINT", low_formula="L_POINT_COST",
    )  # fmt: skip
    low = {"total_cost_fen": 10_000}
    cases = payable(
        *(case(str(number), **low) for number in range(3)),
        case("4", "H2", total_cost_fen=300_000),
        case("5", "H2", **low),
        case("6", "H2", insurance="居民", total_cost_fen=300_000, group="G2"),
    )
    found = price_cases(cases, policy, VALUES)
    assert exact_points(found, [True] * 6, pool_of(policy)) == {
        ("H1", "职工"): Fraction(10),
        ("H2", "职工"): Fraction(310, 3),
        ("H2", "居民"): Fraction(200),
    }
    assert exact_points(found, [False] * 4 + [True] * 2, pool_of(policy))["H2", "职工"] == Fraction(10, 3)


def test_a_merged_pool_has_one_name() -> None:
    frame = payable(case("1"), case("2", insurance="居民"))
    assert frame.select(pool_of(region_policy()))["pool"].to_list() == ["职工", "居民"]
    assert set(frame.with_columns(pool_of(region_policy(pools="merged")))["pool"]) == {"合并"}
