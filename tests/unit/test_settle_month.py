"""Months settled into a year book: what is accepted, refused, corrected and paid; amounts worked out by hand.

A case of G1 is a package of 1,000 yuan, the patient paid 300: the fund is due 700. 90 % are paid, 5 % held, 5 % left
for clearing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api.core.book import Book, BookRefused, new_book, open_book
from api.core.book_check import verify_book
from api.core.book_rows import part_of
from api.core.settle import (
    PLACED_DECISION_SCHEMA,
    WITHDRAWAL_SCHEMA,
    InputFile,
    MonthInput,
    Settled,
    settle_month,
)
from reference_tables.policy import Policy
from reference_tables.problems import TablesRefused
from tests.unit.settlement_examples import VALUES, case, payable, policy_text, region_policy

POLICY = region_policy()


def settle(book: Book, month: str, policy: Policy = POLICY, **given: Any) -> Settled:
    """Settle; the content of the frames stands for the files."""
    frames = {name: value for name, value in given.items() if isinstance(value, pl.DataFrame)}
    files = tuple(InputFile(name, frame.write_csv()) for name, frame in frames.items())
    asked = MonthInput(month, files=files, policy_text=policy_text(policy), **given)
    settled = settle_month(book, policy, VALUES, asked)
    assert verify_book(settled.book) == []
    assert verify_book(open_book(book.path)) == [] if settled.book.runs else True
    return settled


def withdrawals(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([(*row, "w.csv", 2) for row in rows], schema=WITHDRAWAL_SCHEMA, orient="row")


def decisions(*rows: tuple[str | None, str, str, int | None]) -> pl.DataFrame:
    return pl.DataFrame([(*row, "d.csv", 2) for row in rows], schema=PLACED_DECISION_SCHEMA, orient="row")


def codes(settled: Settled) -> list[tuple[str, str]]:
    return sorted(settled.problems.select("code", "case_id").rows())


def parts(settled: Settled) -> list[tuple[Any, ...]]:
    names = ["hospital_id", "pool", "cases", "due_fen", "corrections_fen", "paid_fen", "held_fen", "carried_out_fen"]
    return settled.statement.select(names).rows()


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """January settled: H1 has cases 1 (700 yuan) and 2 (of G2, 1,700 yuan), H2 a case 1 of its own."""
    january = payable(case("1"), case("2", group="G2"), case("1", "H2", insurance="居民"))
    return settle(new_book(tmp_path / "book", 2026), "2026-01", cases=january).book


def test_first_month(book: Book, tmp_path: Path) -> None:
    assert book.paid().rows() == [
        # hospital, pool, due, owed, held, deferred, advance, paid
        ("H1", "职工", 240_000, 0, 12_000, 12_000, 0, 216_000),
        ("H2", "居民", 70_000, 0, 3_500, 3_500, 0, 63_000),
    ]
    assert (tmp_path / "book" / "book.json").is_file()
    assert len(list((tmp_path / "book" / "months" / "2026-01").iterdir())) == 1
    assert open_book(tmp_path / "book").runs == book.runs


def test_the_same_files_again_change_nothing(book: Book) -> None:
    again = payable(case("1"), case("2", group="G2"), case("1", "H2", insurance="居民"))
    settled = settle(book, "2026-01", cases=again)
    assert settled.repeated
    assert settled.book.runs == book.runs
    assert parts(settled) == [
        ("H1", "职工", 2, 240_000, 0, 216_000, 12_000, 0),
        ("H2", "居民", 1, 70_000, 0, 63_000, 3_500, 0),
    ]


def test_other_files_for_a_settled_month_are_refused(book: Book) -> None:
    with pytest.raises(BookRefused) as refused:
        settle(book, "2026-01", cases=payable(case("9")))
    (problem,) = refused.value.problems
    assert problem.code == "ST11"
    assert "病例文件" in problem.message
    assert open_book(book.path).runs == book.runs


def test_no_case_is_paid_twice(book: Book) -> None:
    february = payable(
        case("1"),  # paid in January
        case("3", month="2026-02"),
        case("3", month="2026-02"),  # the same row again
        case("4", month="2026-02"),
        case("4", month="2026-02", total_cost_fen=1),  # which one is right?
        case("2", "H2", month="2026-01"),  # another hospital's case 2, reported late
    )
    settled = settle(book, "2026-02", cases=february)
    assert codes(settled) == [("ST30", "1"), ("ST31", "3"), ("ST32", "4"), ("ST32", "4")]
    told = settled.problems.filter(pl.col("code") == "ST30")["message"][0]
    assert "已在 2026-01 结算" in told
    assert book.runs[0].run_id[:12] in told
    assert parts(settled) == [
        ("H1", "职工", 1, 70_000, 0, 63_000, 3_500, 0),
        ("H2", "职工", 1, 70_000, 0, 63_000, 3_500, 0),
    ]
    assert settled.run is not None
    assert settled.run.totals["late"] == 1


def test_cases_of_other_times_and_unfit_cases_can_come_again(book: Book) -> None:
    settled = settle(
        book,
        "2026-02",
        cases=payable(
            case("3", month="2026-03"),
            case("4", month="2025-12"),
            case("5", month="2026-02", total_cost_fen=None),
            case("6", month="2026-02", patient_paid_fen=None),
            case("7", month="2026-02", status="INVALID"),
            case("8", month="2026-02", insurance="其他"),
            case("9", hospital="", month="2026-02"),
            case("10", month="2026-02"),
        ),
    )
    assert codes(settled) == [
        ("ST33", "5"), ("ST33", "7"), ("ST33", "8"), ("ST34", "3"), ("ST35", "4"), ("ST36", "9"), ("ST37", "6"),
    ]  # fmt: skip
    assert parts(settled) == [("H1", "职工", 1, 70_000, 0, 63_000, 3_500, 0)]
    mended = payable(case("3", month="2026-03"), case("5", month="2026-02"), case("6", month="2026-02"))
    assert parts(settle(settled.book, "2026-03", cases=mended)) == [("H1", "职工", 3, 210_000, 0, 189_000, 10_500, 0)]


def test_correction_posts_the_difference_in_the_current_month(book: Book) -> None:
    """Case 2 was G2 (1,700 yuan) and is G1 (700): minus 1,000 yuan; February's own case earns 700."""
    january = book.ledger()
    settled = settle(
        book,
        "2026-02",
        cases=payable(case("3", month="2026-02")),
        corrections=payable(case("2", group="G1"), case("1", "H2", insurance="居民")),
        reason="编码更正",
    )
    assert codes(settled) == [("ST50", "1")]
    assert parts(settled) == [("H1", "职工", 1, 70_000, -100_000, 0, 0, -30_000)]
    assert settled.details.select(
        "case_id", "action", "first_month", "before_fen", "now_fen", "difference_fen"
    ).rows() == [("2", "replace", "2026-01", 170_000, 70_000, -100_000)]
    assert settled.book.ledger()[: january.height].equals(january)
    corrected = settled.postings.filter(pl.col("what") == "correction")
    assert set(corrected["supersedes"]) == {book.runs[0].run_id}
    assert set(corrected["month"]) == {"2026-02"}
    # March: 30,000 owed by the hospital come off before anything is paid.
    march = settle(settled.book, "2026-03", cases=payable(case("4", month="2026-03")))
    assert parts(march) == [("H1", "职工", 1, 70_000, 0, 36_000, 2_000, 0)]


def test_a_correction_can_follow_in_the_same_month_and_move_between_pools(book: Book) -> None:
    settled = settle(book, "2026-01", corrections=payable(case("1", insurance="居民")), reason="险种更正")
    assert parts(settled) == [
        ("H1", "居民", 0, 0, 70_000, 63_000, 3_500, 0),
        ("H1", "职工", 0, 0, -70_000, 0, 0, -70_000),
    ]
    assert settled.book.priced().filter(pl.col("hospital_id") == "H1").sort("case_id")["pool"].to_list() == [
        "居民",
        "职工",
    ]


def test_withdrawal_takes_the_case_out_and_lets_it_come_again(book: Book) -> None:
    gone = settle(book, "2026-02", withdrawals=withdrawals(("H1", "1", "非住院"), ("H1", "77", "不存在")))
    assert codes(gone) == [("ST40", "77")]
    assert parts(gone) == [("H1", "职工", 0, 0, -70_000, 0, 0, -70_000)]
    assert gone.book.cases().height == 2
    again = settle(gone.book, "2026-03", cases=payable(case("1")))
    assert parts(again) == [("H1", "职工", 1, 70_000, 0, 0, 0, 0)]


def test_corrections_need_a_reason_and_an_earlier_case(book: Book) -> None:
    for given in ({"corrections": payable(case("1"))}, {"withdrawals": withdrawals(("H1", "1", None))}):
        with pytest.raises(BookRefused) as refused:
            settle(book, "2026-02", **given)
        assert [problem.code for problem in refused.value.problems] == ["ST14"]
    settled = settle(book, "2026-02", corrections=payable(case("55")), reason="x")
    assert (codes(settled), settled.run) == ([("ST40", "55")], None)
    both = settle(
        book,
        "2026-02",
        corrections=payable(case("1", group="G2")),
        withdrawals=withdrawals(("H1", "1", "x")),
        reason="x",
    )
    assert (codes(both), both.run) == ([("ST41", "1")], None)


def test_decisions_price_new_cases_and_earlier_ones(book: Book) -> None:
    """By item the case earns its cost of 800 yuan, the fund 500; adjusted to 1,500 yuan the fund 1,200."""
    settled = settle(
        book,
        "2026-02",
        cases=payable(case("3", month="2026-02"), case("4", month="2026-02")),
        decisions=decisions(
            (None, "3", "by_item", None), ("H1", "1", "adjusted", 150_000), (None, "99", "by_item", None)
        ),
        reason="特例单议",
    )
    assert codes(settled) == [("ST42", "99")]
    assert parts(settled) == [("H1", "职工", 2, 120_000, 50_000, 153_000, 8_500, 0)]
    assert settled.details.select("hospital_id", "case_id", "action", "now_fen").rows() == [
        ("H1", "1", "decide", 120_000)
    ]
    # A later correction keeps the decision.
    later = settle(settled.book, "2026-03", corrections=payable(case("1", patient_paid_fen=40_000)), reason="自付更正")
    assert later.details["now_fen"].to_list() == [110_000]
    # Each has its own reason, whichever hospital it names; the run's is of those without one.
    given = decisions((None, "3", "refused", None), ("H1", "4", "by_item", None), ("H1", "1", "refused", None))
    given = given.with_columns(reason=pl.Series(["甲", "乙", None]))
    said = settle(later.book, "2026-03", decisions=given, reason="评议会")
    assert dict(said.details.select("case_id", "reason").iter_rows()) == {"1": "评议会", "3": "甲", "4": "乙"}
    assert said.details["first_month"].unique().sort().to_list() == ["2026-02", "2026-03"], "of the run before"


def test_a_closed_month_refuses_and_says_how_to_ask(book: Book) -> None:
    closed = settle(book, "2026-01", close=True)
    assert closed.book.closed_until == "2026-01"
    with pytest.raises(BookRefused) as refused:
        settle(closed.book, "2026-01", corrections=payable(case("1")), reason="x")
    (problem,) = refused.value.problems
    assert problem.code == "ST10"
    assert "--month 2026-02 --correct" in problem.fix
    again = settle(closed.book, "2026-01", close=True)
    assert (again.closed, again.book.runs) == (True, closed.book.runs), "closed once"
    late = settle(closed.book, "2026-02", corrections=payable(case("1", group="G2")), reason="x")
    assert parts(late) == [("H1", "职工", 0, 0, 100_000, 90_000, 5_000, 0)]


def test_settling_and_closing_in_one_step(book: Book) -> None:
    february = payable(case("3", month="2026-02"))
    settled = settle(book, "2026-02", cases=february, close=True)
    assert settled.book.closed_until == "2026-02"
    again = settle(settled.book, "2026-02", cases=february, close=True)
    assert again.repeated
    assert again.book.runs == settled.book.runs


def test_months_run_forwards_and_inside_the_year(book: Book) -> None:
    march = settle(book, "2026-03", cases=payable(case("3", month="2026-03"))).book
    for month, code in (("2026-02", "ST12"), ("2025-12", "ST05"), ("2027-01", "ST05"), ("2026-13", "ST06")):
        with pytest.raises(BookRefused) as refused:
            settle(march, month, cases=payable(case("4")))
        assert [problem.code for problem in refused.value.problems] == [code]
    with pytest.raises(BookRefused) as nothing:
        settle(march, "2026-03")
    assert [problem.code for problem in nothing.value.problems] == ["ST15"]


def test_another_policy_needs_a_reason_and_is_noted(book: Book) -> None:
    dearer = region_policy(base_rate="2000")
    february = payable(case("3", month="2026-02"))
    with pytest.raises(BookRefused) as refused:
        settle(book, "2026-02", dearer, cases=february)
    assert [problem.code for problem in refused.value.problems] == ["ST13"]
    settled = settle(book, "2026-02", dearer, cases=february, policy_reason="年中调整")
    assert [(policy.since, policy.reason) for policy in settled.book.policies] == [
        ("2026-01", ""),
        ("2026-02", "年中调整"),
    ]
    assert parts(settled) == [("H1", "职工", 1, 170_000, 0, 153_000, 8_500, 0)]


def test_quarterly_payment_carries_what_is_due(tmp_path: Path) -> None:
    quarterly = region_policy(prepay_period="quarter")
    book = new_book(tmp_path / "quarter", 2026)
    for month in ("2026-01", "2026-02"):
        settled = settle(book, month, quarterly, cases=payable(case(month, month=month)))
        assert settled.statement["paid_fen"].to_list() == [0]
        book = settled.book
    march = settle(book, "2026-03", quarterly, cases=payable(case("3", "H2", month="2026-03")))
    assert parts(march) == [
        ("H1", "职工", 0, 0, 0, 126_000, 7_000, 0),
        ("H2", "职工", 1, 70_000, 0, 63_000, 3_500, 0),
    ]


def test_a_missing_parameter_stops_the_run_before_anything_is_written(tmp_path: Path) -> None:
    book = new_book(tmp_path / "none", 2026)
    for lacking in ({"prepay_share": None}, {"prepay_period": None}, {"base_rate": None}):
        with pytest.raises(TablesRefused) as refused:
            settle(book, "2026-01", region_policy(**lacking), cases=payable(case("1")))
        assert {problem.code for problem in refused.value.problems} == {"PL30"}
    with pytest.raises(TablesRefused) as early:
        settle(new_book(tmp_path / "old", 2025), "2025-12", cases=payable(case("1", month="2025-12")))
    assert [problem.code for problem in early.value.problems] == ["PL31"]
    assert not (tmp_path / "none").exists()


def test_the_yearly_number_of_a_group_counts_earlier_months(tmp_path: Path) -> None:
    """Two cases of G1 a year at the package price, further ones at cost (800 yuan, the fund 500)."""
    capped = region_policy([{"key": "volume_cap", "value": 2, "for": {"group": "G1"}}], volume_cap_rule="by_item")
    first = settle(new_book(tmp_path / "cap", 2026), "2026-01", capped, cases=payable(case("1")))
    february = payable(case("2", month="2026-02"), case("3", month="2026-02"))
    second = settle(first.book, "2026-02", capped, cases=february)
    assert second.kinds.select("case_kind", "cases", "fund_fen").rows() == [
        ("normal", 1, 70_000),
        ("by_item", 1, 50_000),
    ]


def test_of_earlier_cases_only_those_that_change_are_read_as_a_whole(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def spied(data: bytes, names: Sequence[str], among: pl.DataFrame | None) -> pl.DataFrame:
        found = part_of(data, names, among)
        if {"total_cost_fen", "package_fen"} & set(names):
            read.append(found.height)
        return found

    monkeypatch.setattr("api.core.book.part_of", spied)
    for corrected, rows in ((None, 0), (payable(case("1", cost="900")), 2)):  # the case, and its price
        asked = MonthInput(
            "2026-02",
            cases=payable(case(f"N{rows}", month="2026-02")),
            corrections=corrected,
            reason="录错",
            further=True,
        )
        assert settle_month(open_book(book.path), POLICY, VALUES, asked).run is not None
        assert sum(read) == rows
        read.clear()


def test_an_empty_file_settles_an_empty_month_but_a_refused_one_does_not(book: Book) -> None:
    refused = settle(book, "2026-02", cases=payable(case("1")))
    assert refused.run is None
    empty = settle(refused.book, "2026-02", cases=payable())
    assert empty.run is not None
    assert empty.statement.is_empty()
