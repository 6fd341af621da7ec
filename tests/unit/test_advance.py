"""Working-capital advances: who may have one, how much, once; amounts worked out by hand."""

from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from api.core.advance import Advanced, fund_states, pay_advances
from api.core.book import BookRefused, open_book
from api.core.book_check import verify_book
from budget.advances import AdvanceRule, FundState, share_advance
from reference_tables.policy import Policy
from reference_tables.problems import TablesRefused
from tests.unit.settlement_examples import region_policy

RULE = AdvanceRule(Fraction(1), Fraction(12))
SOUND = FundState(Fraction(15), deficit=False)
LINES = [
    {"key": "advance_months", "value": "1"},
    {"key": "advance_min_months", "value": "12", "for": {"insurance": "职工"}},
    {"key": "advance_min_months", "value": "6", "for": {"insurance": "居民"}},
]
SPEND = (
    "hospital_id,insurance,year,spend\nH2,职工,2024,1200.00\nH1,职工,2024,2400.00\nH1,职工,2025,3600\n"
    "H2,职工,2025,0.01\nH1,居民,2025,120.00\n"
)


def test_a_month_of_mean_spend_is_shared_by_spend() -> None:
    """36,000 + 24,000.01 yuan in two years: 2,500.00 a month; H1 had 3/5, with the odd fen to the larger remainder."""
    found = share_advance({"H2": [2_400_001, 0], "H1": [0, 3_600_000]}, RULE, SOUND)
    assert (found.of.eligible, found.of.base_month, found.of.advance) == (True, 250_000, 250_000)
    assert found.hospitals == {"H1": 150_000, "H2": 100_000}
    assert list(found.hospitals) == ["H1", "H2"]


@pytest.mark.parametrize(
    "fund",
    [FundState(Fraction("11.99"), deficit=False), FundState(Fraction(20), deficit=True)],
    ids=["the balance lasts too short", "deficit"],
)
def test_none_without_a_sound_fund(fund: FundState) -> None:
    found = share_advance({"H1": [1_200]}, RULE, fund)
    assert (found.of.eligible, dict(found.hospitals)) == (False, {"H1": 0})
    assert share_advance({"H1": [1_200]}, RULE, FundState(Fraction(12), deficit=False)).of.eligible


@pytest.mark.parametrize("spend", [{}, {"H1": []}, {"H1": [1] * 4}, {"H1": [1], "H2": [1, 2]}, {"H1": [-1]}])
def test_spend_that_makes_no_sense_is_refused(spend: dict[str, list[int]]) -> None:
    with pytest.raises(ValueError, match=r"year|spend"):
        share_advance(spend, RULE, SOUND)


def pay(
    tmp_path: Path, text: str = SPEND, policy: Policy | None = None, month: str = "2026-01", **funds: str
) -> Advanced:
    """Pay the advances of a list; `funds`: months that the balance of each insurance lasts."""
    file = tmp_path / "spend.csv"
    file.write_text(text, encoding="utf-8")
    months = {name: Fraction(value) for name, value in (funds or {"职工": "15", "居民": "5.9"}).items()}
    states = fund_states(months, frozenset())
    return pay_advances(tmp_path / "book", month, policy or region_policy(LINES), file, states)


def test_advances_are_posted_once(tmp_path: Path) -> None:
    """职工: (1,200 + 2,400 + 3,600 + 0.01) / 24 = 300.00 yuan a month, H1 6,000.00 of 7,200.01: 249.9997, H2 50.0003.
    居民: the balance lasts 5.9 of 6 months."""
    paid = pay(tmp_path)
    assert paid.rows.rows() == [
        ("职工", "职工", "H1", 25_000),
        ("职工", "职工", "H2", 5_000),
        ("居民", "居民", "H1", 0),
    ]
    assert paid.book.paid().select("hospital_id", "pool", "advance_fen", "paid_fen", "due_fen").rows() == [
        ("H1", "职工", 25_000, 0, 0),
        ("H2", "职工", 5_000, 0, 0),
    ]
    assert verify_book(open_book(tmp_path / "book")) == []
    again = pay(tmp_path)
    assert again.repeated
    assert again.book.runs == paid.book.runs
    with pytest.raises(BookRefused) as refused:
        pay(tmp_path, SPEND.replace("3600", "3700"))
    assert [problem.code for problem in refused.value.problems] == ["ST17"]
    # The other insurance becomes eligible: it has had none yet.
    later = pay(tmp_path, "hospital_id,insurance,year,spend\nH1,居民,2025,120.00\n", month="2026-02", 居民="7")
    assert later.rows.rows() == [("居民", "居民", "H1", 1_000)]


def test_nobody_eligible_leaves_no_run(tmp_path: Path) -> None:
    paid = pay(tmp_path, 职工="3", 居民="3")
    assert paid.run is None
    assert paid.rows["advance_fen"].sum() == 0
    assert not (tmp_path / "book" / "book.json").exists()


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ("H1,职工,2024,x", [2]),
        ("H1,职工,2024,-1\nH1,职工,2025,1.001", [2, 3]),
        (",职工,2024,1\nH1,工伤,2024,1\nH1,职工,24,1", [2, 3, 4]),
        ("H1,职工,2024,1\nH1,职工,2024,1", [3]),
    ],
)
def test_every_fault_of_the_list_is_told(tmp_path: Path, rows: str, lines: list[int]) -> None:
    with pytest.raises(BookRefused) as refused:
        pay(tmp_path, f"hospital_id,insurance,year,spend\n{rows}\n")
    assert [problem.row for problem in refused.value.problems] == lines
    assert {problem.code for problem in refused.value.problems} == {"ST18"}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BookRefused) as no_balance:
        pay(tmp_path, 职工="15")
    assert "居民" in str(no_balance.value)
    rows = "".join(f"H1,职工,{year},1\n" for year in range(2022, 2026))
    with pytest.raises(BookRefused) as four_years:
        pay(tmp_path, "hospital_id,insurance,year,spend\n" + rows)
    assert "有 4 个年度的支出" in str(four_years.value)
    with pytest.raises(TablesRefused) as lacking:
        pay(tmp_path, policy=region_policy(LINES[1:]))
    assert {problem.args["key"] for problem in lacking.value.problems} == {"advance_months"}


def test_a_merged_pool_takes_both_insurances(tmp_path: Path) -> None:
    paid = pay(tmp_path, policy=region_policy(LINES, pools="merged"), 职工="15", 居民="7")
    assert paid.rows.select("insurance", "pool", "advance_fen").rows() == [
        ("职工", "合并", 25_000),
        ("职工", "合并", 5_000),
        ("居民", "合并", 1_000),
    ]
    owed = paid.book.paid().group_by("hospital_id").agg(pl.col("advance_fen").sum()).sort("hospital_id")
    assert owed.rows() == [("H1", 26_000), ("H2", 5_000)]
