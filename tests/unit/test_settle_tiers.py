"""A hospital is raised to another tier within the year: what settled months were paid by stays.

At 二级 a case of G1 is a package of 1,000 yuan, at 三级 of 1,200; the patient paid 300: 700 and 900 are due.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from api.core.book import Book, new_book
from api.core.settle import Settled
from api.core.settle_tiers import otherwise_settled
from tests.unit.settlement_examples import case, payable, region_policy
from tests.unit.test_settle_month import settle

OF_TIER = [{"key": "coefficient", "value": "1.2", "for": {"tier": "三级"}}]
POLICY = region_policy(OF_TIER, tiers=("二级", "三级"))
REGISTER = frozenset({"H1"})


def cases(*names: str, tier: str = "三级", **values: Any) -> pl.DataFrame:
    return payable(*(case(name, tier=tier, **values) for name in names))


@pytest.fixture
def january(tmp_path: Path) -> Book:
    """Two cases of January, settled when the hospital was 二级."""
    folder = tmp_path / "book"
    folder.mkdir()
    made = settle(new_book(folder, 2026), "2026-01", POLICY, cases=cases("a", "b", tier="二级"), registered=REGISTER)
    return made.book


def due(settled: Settled) -> dict[str, int]:
    """Of every case that counts, what the fund is due."""
    return dict(settled.book.priced().select("case_id", "fund_fen").rows())


def told(settled: Settled) -> list[str]:
    return settled.problems.filter(pl.col("code") == "ST56")["message"].to_list()


def test_a_correction_does_not_move_a_case_to_another_tier(january: Book) -> None:
    dearer = cases("a", total_cost_fen=90_000)
    settled = settle(january, "2026-02", POLICY, corrections=dearer, reason="改费用", registered=REGISTER)
    assert due(settled) == {"a": 70_000, "b": 70_000}
    assert settled.book.cases().sort("case_id")["tier"].to_list() == ["二级", "二级"]
    assert told(settled) == ["医疗机构 H1 2026-01 的 1 例按该月结算时的机构级别 二级 计价，名录现为 三级"]


def test_the_same_rows_again_change_nothing(january: Book) -> None:
    settled = settle(january, "2026-02", POLICY, corrections=cases("a", "b"), reason="重报", registered=REGISTER)
    assert settled.run is None
    assert settled.problems["code"].unique().sort().to_list() == ["ST50", "ST56"]


def test_a_late_case_is_paid_as_its_month_was_and_a_new_month_by_the_register(january: Book) -> None:
    both = pl.concat([cases("c"), cases("d", month="2026-02")])
    settled = settle(january, "2026-02", POLICY, cases=both, registered=REGISTER)
    assert due(settled) == {"a": 70_000, "b": 70_000, "c": 70_000, "d": 90_000}
    assert [text.split()[1:4] for text in told(settled)] == [["H1", "2026-01", "的"]]


def test_a_case_corrected_into_another_month_goes_by_that_month(january: Book) -> None:
    book = settle(january, "2026-02", POLICY, cases=cases("d", month="2026-02"), registered=REGISTER).book
    moved = cases("a", month="2026-02")
    settled = settle(book, "2026-03", POLICY, corrections=moved, reason="月份有误", registered=REGISTER)
    assert due(settled) == {"a": 90_000, "b": 70_000, "d": 90_000}


def test_said_why_settled_months_go_by_the_register_of_now(january: Book) -> None:
    asked = {"corrections": cases("a"), "reason": "级别登记有误", "tier_reason": "级别登记有误", "registered": REGISTER}
    settled = settle(january, "2026-02", POLICY, **asked)
    assert due(settled) == {"a": 90_000, "b": 70_000}
    assert told(settled) == []
    assert settled.proof["tier_reason"] == "级别登记有误"
    kept = settle(settled.book, "2026-02", POLICY, corrections=cases("a", total_cost_fen=90_000), reason="x")
    assert due(kept)["a"] == 90_000


def test_a_tier_that_the_record_gives_is_corrected_with_it(january: Book) -> None:
    settled = settle(
        january, "2026-02", POLICY, corrections=cases("a"), reason="级别填错", registered=frozenset({"H2"})
    )
    assert due(settled) == {"a": 90_000, "b": 70_000}


def test_settled_cases_at_other_tiers_than_the_register_s_are_counted(january: Book) -> None:
    register = pl.DataFrame({"hospital_id": ["H1", "H2", "H3"], "tier": ["三级", "三级", None]})
    (problem,) = otherwise_settled(january, register)
    assert (problem.code, problem.args) == ("SI20", {"count": 2, "hospitals": "H1"})
    assert otherwise_settled(january, register.with_columns(tier=pl.lit("二级"))) == []
