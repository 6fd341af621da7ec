"""The ledger: every amount twice, zero sums, balances by hospital, pool and account, worked out by hand."""

import polars as pl
import pytest

from budget.ledger import AMOUNT_SCHEMA, POSTING_SCHEMA, balance_of, balances, empty_ledger, postings_of, unbalanced
from reference_tables.accounts import KINDS, ledger_accounts, ledger_events


def amounts(*rows: tuple[str, str, str, int, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=AMOUNT_SCHEMA, orient="row")


MONTH = amounts(
    ("H1", "职工", "due", 100_000, ""),
    ("H1", "职工", "correction", -7_000, "r0"),
    ("H1", "职工", "pay", 83_700, ""),
    ("H1", "职工", "hold", 4_650, ""),
    ("H1", "职工", "defer", 4_650, ""),
    ("H2", "居民", "advance", 50_000, ""),
    ("H2", "居民", "due", 0, ""),
)


def test_every_amount_is_posted_as_debit_and_credit() -> None:
    ledger = postings_of("r1", "2026-03", MONTH)
    assert dict(ledger.schema) == POSTING_SCHEMA
    assert ledger.height == 2 * 6  # what is zero is not posted
    first = ledger.filter(pl.col("entry") == 1)
    assert first.select("hospital_id", "account", "side", "amount_fen", "what", "supersedes").rows() == [
        ("H1", "5001", "debit", 100_000, "due", ""),
        ("H1", "2201", "credit", 100_000, "due", ""),
    ]
    red = ledger.filter(pl.col("what") == "correction")
    assert red.select("account", "side", "amount_fen", "supersedes").rows() == [
        ("5001", "debit", -7_000, "r0"),
        ("2201", "credit", -7_000, "r0"),
    ]
    assert unbalanced(ledger).is_empty()


def test_balances_are_positive_on_the_side_that_makes_an_account_grow() -> None:
    ledger = postings_of("r1", "2026-03", MONTH)
    assert balances(ledger).rows() == [
        ("H1", "职工", "1001", -83_700),
        ("H1", "职工", "2201", 0),
        ("H1", "职工", "2202", 4_650),
        ("H1", "职工", "2203", 4_650),
        ("H1", "职工", "5001", 93_000),
        ("H2", "居民", "1001", -50_000),
        ("H2", "居民", "1201", 50_000),
    ]
    assert balance_of(ledger, "2201").rows() == [("H1", "职工", 0)]
    assert balances(ledger, ["pool", "account"]).filter(pl.col("account") == "1001").rows() == [
        ("居民", "1001", -50_000),
        ("职工", "1001", -83_700),
    ]


def test_order_of_amounts_does_not_matter() -> None:
    straight = postings_of("r1", "2026-03", MONTH)
    assert postings_of("r1", "2026-03", MONTH.reverse()).equals(straight)


@pytest.mark.parametrize(
    "change",
    [
        pl.col("amount_fen").replace(100_000, 100_001).alias("amount_fen"),
        pl.when(pl.col("side") == "credit").then(pl.lit("9999")).otherwise("account").alias("account"),
        pl.when(pl.col("side") == "credit").then(pl.lit("H9")).otherwise("hospital_id").alias("hospital_id"),
        pl.lit("debit").alias("side"),
        pl.lit("left").alias("side"),
    ],
    ids=["amount of both legs differs in one run", "unknown account", "legs of two hospitals", "one side", "no side"],
)
def test_what_is_no_pair_of_legs_is_found(change: pl.Expr) -> None:
    ledger = postings_of("r1", "2026-03", amounts(("H1", "职工", "due", 100_000, "")))
    one_leg = pl.when(pl.int_range(pl.len()) == 0).then(change).otherwise(pl.col(change.meta.output_name()))
    damaged = ledger.with_columns(one_leg.alias(change.meta.output_name()))
    if damaged.equals(ledger):
        damaged = ledger.with_columns(change)
    assert unbalanced(damaged)["entry"].to_list() == [1]


def test_a_lost_leg_is_found() -> None:
    ledger = postings_of("r1", "2026-03", amounts(("H1", "职工", "due", 100_000, ""), ("H1", "职工", "pay", 5, "")))
    assert unbalanced(ledger[:-1]).rows() == [("r1", 2, 5)]


def test_sums_beyond_64_bits_are_exact() -> None:
    large = 9_000_000_000_000_000_000
    ledger = postings_of("r", "2026-01", amounts(("H1", "职工", "due", large, ""), ("H1", "职工", "due", large, "x")))
    assert unbalanced(ledger).is_empty()


def test_unknown_events_are_refused() -> None:
    with pytest.raises(ValueError, match="gift"):
        postings_of("r1", "2026-03", amounts(("H1", "职工", "gift", 1, "")))


def test_an_empty_ledger_is_sound() -> None:
    assert unbalanced(empty_ledger()).is_empty()
    assert balances(empty_ledger()).is_empty()


def test_chart_of_accounts_is_complete() -> None:
    accounts, events = ledger_accounts(), ledger_events()
    assert all(account.kind in KINDS and account.label and account.meaning for account in accounts.values())
    for event in events.values():
        assert {event.debit, event.credit} <= set(accounts)
        assert event.debit != event.credit
    used = {event.debit for event in events.values()} | {event.credit for event in events.values()}
    assert used == set(accounts)
