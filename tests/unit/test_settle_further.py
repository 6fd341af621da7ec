"""Further runs of a month: cases that came late are taken, each once, and a month is closed when that is asked for.

A case of G1 is a package of 1,000 yuan, the patient paid 300: the fund is due 700. 90 % are paid, 5 % held, 5 % left
for clearing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api.core.book import Book, BookRefused, new_book, open_book
from api.core.book_check import verify_book
from api.core.settle import PLACED_DECISION_SCHEMA, InputFile, MonthInput, Settled, settle_month
from tests.unit.settlement_examples import VALUES, case, payable, policy_text, region_policy

POLICY = region_policy()
DECEMBER = "2026-12"


def settle(book: Book, month: str, **given: Any) -> Settled:
    """Settle; the content of the frames stands for the files. Every posting of the book sums to zero."""
    frames = {name: value for name, value in given.items() if isinstance(value, pl.DataFrame)}
    files = tuple(InputFile(name, frame.write_csv()) for name, frame in frames.items())
    asked = MonthInput(month, files=files, policy_text=policy_text(POLICY), **given)
    settled = settle_month(book, POLICY, VALUES, asked)
    assert verify_book(settled.book) == []
    legs = settled.book.ledger().select(pl.when(side="debit").then("amount_fen").otherwise(-pl.col("amount_fen")))
    assert legs.to_series().sum() == 0
    return settled


def paid(book: Book) -> list[tuple[str, int, int]]:
    """hospital, due, paid of the whole book, fen."""
    found = book.paid().group_by("hospital_id").agg(pl.col("due_fen", "paid_fen").sum()).sort("hospital_id")
    return found.rows()


def december(*ids: str, month: str = DECEMBER) -> pl.DataFrame:
    return payable(*(case(name, month=month) for name in ids))


@pytest.fixture
def closed(tmp_path: Path) -> Book:
    """December settled with case 1 of H1, and closed; November was skipped."""
    return settle(new_book(tmp_path / "book", 2026), DECEMBER, cases=december("1"), close=True).book


def test_a_case_that_comes_late_to_december_is_paid_once(closed: Book) -> None:
    with pytest.raises(BookRefused) as refused:
        settle(closed, DECEMBER, cases=december("1", "2"))
    assert [problem.code for problem in refused.value.problems] == ["ST23"]
    late = settle(closed, DECEMBER, cases=december("1", "2"), reopen="漏报")
    assert late.problems.select("code", "case_id").rows() == [("ST30", "1")]
    assert (late.closed, late.book.closed_until) == (True, DECEMBER)
    assert late.statement["paid_fen"].to_list() == [63_000]
    assert paid(late.book) == [("H1", 140_000, 126_000)]
    again = settle(late.book, DECEMBER, cases=december("1", "2"), reopen="漏报")
    assert (again.repeated, again.book.runs) == (True, late.book.runs)


def test_a_case_of_a_skipped_month_comes_with_the_last(closed: Book) -> None:
    late = settle(closed, DECEMBER, cases=december("2", month="2026-11"), reopen="漏报")
    assert late.run is not None
    assert (late.run.totals["cases"], late.run.totals["late"]) == (1, 1)
    assert paid(late.book) == [("H1", 140_000, 126_000)]


def test_an_open_month_takes_a_further_run_when_that_is_asked_for(tmp_path: Path) -> None:
    book = settle(new_book(tmp_path / "book", 2026), DECEMBER, cases=december("1")).book
    with pytest.raises(BookRefused) as refused:
        settle(book, DECEMBER, cases=december("2"))
    assert [problem.code for problem in refused.value.problems] == ["ST11"]
    assert "--reopen" in refused.value.problems[0].fix
    plain = settle(book, DECEMBER, cases=december("2"), further=True)
    assert (plain.closed, paid(plain.book)) == (False, [("H1", 140_000, 126_000)])
    told = settle(plain.book, DECEMBER, cases=december("2", "3"), reopen="漏报", close=True)
    assert told.problems["code"].to_list() == ["ST30"]
    assert (told.closed, paid(told.book)) == (True, [("H1", 210_000, 189_000)])


def decision(name: str) -> pl.DataFrame:
    return pl.DataFrame([("H1", name, "by_item", None, "d.csv", 2)], schema=PLACED_DECISION_SCHEMA, orient="row")


@pytest.mark.parametrize("name", ["", "9"], ids=["nothing new", "case not there"])
def test_a_month_is_closed_though_no_decision_applies(tmp_path: Path, name: str) -> None:
    book = settle(new_book(tmp_path / "book", 2026), "2026-01", cases=payable(case("1"))).book
    listed = decision("9") if name else decision("9").clear()
    left = settle(book, "2026-01", decisions=listed)
    assert (left.run, left.closed, left.book.runs) == (None, False, book.runs)
    done = settle(book, "2026-01", decisions=listed, close=True)
    assert (done.run, done.closed, open_book(tmp_path / "book").closed_until) == (None, True, "2026-01")
    assert paid(done.book) == [("H1", 70_000, 63_000)]


def test_a_month_of_which_no_case_was_taken_is_not_closed(tmp_path: Path) -> None:
    book = settle(new_book(tmp_path / "book", 2026), "2026-01", cases=payable(case("1"))).book
    nothing = settle(book, "2026-02", cases=payable(case("1")), close=True)
    assert (nothing.run, nothing.closed, nothing.book.runs) == (None, False, book.runs)


def test_a_repetition_says_what_is_closed(closed: Book) -> None:
    again = settle(closed, DECEMBER, cases=december("1"), close=True)
    assert (again.repeated, again.closed, again.book.runs) == (True, True, closed.runs)
