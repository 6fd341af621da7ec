"""Whatever is settled, corrected, withdrawn or decided, in whatever order: the ledger sums to zero, nothing is paid
twice, and a hospital is due what its cases earn, by a second reckoning in plain Python."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.core.book import Book, BookRefused, new_book, open_book
from api.core.book_check import verify_book
from api.core.settle import PLACED_DECISION_SCHEMA, WITHDRAWAL_SCHEMA, InputFile, MonthInput, settle_month
from budget.ledger import AMOUNT_SCHEMA, balances, postings_of, unbalanced
from budget.settlement import PayShares, split_due
from reference_tables.accounts import ledger_events
from tests.unit.settlement_examples import VALUES, case, payable, policy_text, region_policy

POLICIES = [region_policy(), region_policy(prepay_period="quarter", deposit_share=None)]
HOSPITALS, IDS, PATIENT = ("H1", "H2"), ("1", "2", "3", "4"), (0, 30_000, 250_000)
Key = tuple[str, str]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for a book; what is written need not outlast a power cut here."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield Path(name) / "book"


rows = st.fixed_dictionaries(
    {
        "hospital": st.sampled_from(HOSPITALS),
        "case_id": st.sampled_from(IDS),
        "group": st.sampled_from(("G1", "G2")),
        "insurance": st.sampled_from(("职工", "居民")),
        "patient_paid_fen": st.sampled_from(PATIENT),
    }
)
steps = st.fixed_dictionaries(
    {
        "cases": st.lists(rows, max_size=6),
        "corrections": st.lists(rows, max_size=3),
        "withdrawals": st.lists(st.tuples(st.sampled_from(HOSPITALS), st.sampled_from(IDS)), max_size=2),
        "decisions": st.lists(
            st.tuples(st.sampled_from(HOSPITALS), st.sampled_from(IDS), st.integers(0, 300_000)),
            max_size=2,
            unique_by=lambda row: row[:2],
        ),
    }
)


def frame(made: list[dict[str, Any]], month: str = "2026-01") -> pl.DataFrame:
    return payable(*(case(month=month, **row) for row in made))


def earned(row: dict[str, Any], decided: int | None) -> int:
    """The fund's part: 1,000 yuan a weight or the decided sum, less what the patient paid, never below 0."""
    package = {"G1": 100_000, "G2": 200_000}[row["group"]] if decided is None else decided
    return int(max(0, package - row["patient_paid_fen"]))


def unique(made: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """The rows that stand once, or several times alike."""
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in made:
        found.setdefault((row["hospital"], row["case_id"]), []).append(row)
    return {key: same[0] for key, same in found.items() if all(row == same[0] for row in same)}


class Reckoning:
    """What the book should hold: each case as it counts now, and decisions."""

    def __init__(self) -> None:
        self.cases: dict[Key, dict[str, Any]] = {}
        self.decided: dict[Key, int] = {}

    def step(self, given_step: dict[str, Any]) -> None:
        before = dict(self.cases)
        new = {key: row for key, row in unique(given_step["cases"]).items() if key not in before}
        gone = set(given_step["withdrawals"]) & set(before)
        corrected = {key: row for key, row in unique(given_step["corrections"]).items() if key in before}
        contested = gone & set(corrected)
        gone -= contested
        for key in contested:
            del corrected[key]
        self.cases |= new | corrected
        for hospital, case_id, amount in given_step["decisions"]:
            if (hospital, case_id) in self.cases and (hospital, case_id) not in gone:
                self.decided[hospital, case_id] = amount
        for key in gone:
            del self.cases[key]

    def due(self) -> dict[tuple[str, str], int]:
        sums: dict[tuple[str, str], int] = {}
        for key, row in self.cases.items():
            owner = (row["hospital"], row["insurance"])
            sums[owner] = sums.get(owner, 0) + earned(row, self.decided.get(key))
        return {owner: amount for owner, amount in sums.items() if amount}


def run_step(book: Book, month: str, policy: Any, given_step: dict[str, Any], number: int) -> Book:
    gone = [(*row, "x", "", 0) for row in dict.fromkeys(given_step["withdrawals"])]
    decided = [(hospital, name, "adjusted", amount, "", 0) for hospital, name, amount in given_step["decisions"]]
    asked = MonthInput(
        month,
        cases=frame(given_step["cases"]),
        corrections=frame(given_step["corrections"]),
        withdrawals=pl.DataFrame(gone, schema=WITHDRAWAL_SCHEMA, orient="row"),
        decisions=pl.DataFrame(decided, schema=PLACED_DECISION_SCHEMA, orient="row"),
        reason="x",
        files=(InputFile("cases", str(number)),),
        policy_text=policy_text(policy),
    )
    return settle_month(book, policy, VALUES, asked).book


@settings(max_examples=25)
@given(st.lists(steps, min_size=1, max_size=4), st.sampled_from(POLICIES))
def test_a_year_of_any_steps_adds_up(year: list[dict[str, Any]], policy: Any) -> None:
    with folder() as path:
        book, reckoning = new_book(path, 2026), Reckoning()
        for number, step in enumerate(year, 1):
            earlier = book.ledger()
            book = run_step(book, f"2026-{number:02d}", policy, step, number)
            reckoning.step(step)
            assert book.ledger()[: earlier.height].equals(earlier)
            assert unbalanced(book.ledger()).is_empty()
            assert verify_book(book) == []
        paid = book.paid()
        due = {
            (hospital, pool): amount for hospital, pool, amount in paid.select("hospital_id", "pool", "due_fen").rows()
        }
        assert {owner: amount for owner, amount in due.items() if amount} == reckoning.due()
        whole = paid.select(pl.col("paid_fen") + pl.col("held_fen") + pl.col("deferred_fen") + pl.col("owed_fen"))
        assert whole.to_series().to_list() == paid["due_fen"].to_list()
        assert set(book.cases().select("hospital_id", "case_id").rows()) == set(reckoning.cases)
        if book.runs:
            assert verify_book(open_book(path)) == []


@settings(max_examples=15)
@given(st.lists(rows, min_size=1, max_size=8), st.data())
def test_splitting_cases_into_two_months_changes_no_yearly_total(
    made: list[dict[str, Any]], data: st.DataObject
) -> None:
    cases = list(unique(made).values())
    first = data.draw(st.lists(st.booleans(), min_size=len(cases), max_size=len(cases)))
    parts = [[row for row, chosen in zip(cases, first, strict=True) if chosen is wanted] for wanted in (True, False)]
    totals = []
    for months in ([cases], parts):
        with folder() as path:
            book = new_book(path, 2026)
            for number, part in enumerate(months, 1):
                step = {"cases": part, "corrections": [], "withdrawals": [], "decisions": []}
                book = run_step(book, f"2026-{number:02d}", POLICIES[0], step, number)
            priced = book.priced().drop("book_run", "book_month").sort("hospital_id", "case_id")
            due = book.paid().select("hospital_id", "pool", "due_fen")
            totals.append((priced.rows(), due.filter(pl.col("due_fen") != 0).rows()))
    assert totals[0] == totals[1]


@settings(max_examples=15)
@given(st.lists(rows, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_cases_never_matters(made: list[dict[str, Any]], shuffle: Any) -> None:
    books = []
    for _ in range(2):
        with folder() as path:
            step = {"cases": made, "corrections": [], "withdrawals": [], "decisions": []}
            book = run_step(new_book(path, 2026), "2026-01", POLICIES[0], step, 1)
            books.append((book.seal, sorted(file.sha256 for run in book.runs for file in run.files)))
        made = made[:]
        shuffle.shuffle(made)
    assert books[0] == books[1]


@settings(max_examples=10)
@given(st.lists(rows, min_size=1, max_size=5), st.lists(rows, min_size=1, max_size=5))
def test_a_month_is_settled_once(made: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    with folder() as path:
        step = {"cases": made, "corrections": [], "withdrawals": [], "decisions": []}
        book = run_step(new_book(path, 2026), "2026-01", POLICIES[0], step, 1)
        if not book.runs:
            return
        again = run_step(book, "2026-01", POLICIES[0], step, 1)
        assert again.seal == book.seal
        with pytest.raises(BookRefused):
            run_step(book, "2026-01", POLICIES[0], step | {"cases": more}, 2)
        assert open_book(path).seal == book.seal


shares = st.fractions(0, 1, max_denominator=1000)


@given(st.integers(-(10**12), 10**12), shares, shares)
def test_a_split_never_hands_out_more_than_is_due(due: int, paid: Fraction, rest: Fraction) -> None:
    held = (1 - paid) * rest
    for rule in (PayShares(paid, held), PayShares(paid, None)):
        parts = split_due(due, rule)
        assert min(parts.paid, parts.held, parts.deferred) >= 0
        assert parts.paid + parts.held + parts.deferred == max(0, due)
        if due > 0:
            assert abs(parts.paid - due * paid) <= Fraction(1, 2)


entries = st.tuples(
    st.sampled_from(HOSPITALS),
    st.sampled_from(("职工", "居民")),
    st.sampled_from(sorted(ledger_events())),
    st.integers(-(10**15), 10**15),
    st.sampled_from(("", "r0")),
)


@given(st.lists(entries, max_size=30), st.randoms(use_true_random=False))
def test_any_postings_sum_to_zero(made: list[tuple[str, str, str, int, str]], shuffle: Any) -> None:
    amounts = pl.DataFrame(made, schema=AMOUNT_SCHEMA, orient="row")
    ledger = postings_of("r", "2026-01", amounts)
    assert unbalanced(ledger).is_empty()
    sides = dict(ledger.group_by("side").agg(pl.col("amount_fen").sum()).iter_rows())
    assert sides.get("debit", 0) == sides.get("credit", 0)
    shuffle.shuffle(made)
    assert postings_of("r", "2026-01", pl.DataFrame(made, schema=AMOUNT_SCHEMA, orient="row")).equals(ledger)
    spent = sum(amount for *_, what, amount, _ in made if what in {"due", "correction", "clearing"})
    found = balances(ledger, ["account"]).filter(pl.col("account") == "5001")["balance_fen"].sum()
    assert found == spent
