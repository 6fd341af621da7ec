"""Gain and loss by hand: cells of cleared money, dimensions that add up, winners, tenths, Lorenz curve."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from budget.compare import COMPARED_SCHEMA, Cleared, cleared_by, gains, owed, totals, transitions
from budget.compare_frames import DIMENSIONS, rate_of
from budget.compare_winners import deciles, lorenz, winners


def case(hospital: str, group: str, fund: tuple[int, int], **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "hospital": hospital, "tier": "三级", "county_group": "", "department": "", "mdc": "MDCB", "group": group,
        "group_name": f"{group} 名", "insurance": "职工", "kind": "normal", "pool": "职工", "pool_after": "职工",
        "group_after": group, "group_after_name": f"{group} 名", "cases": 1, "cost_fen": 1000,
        "package_before_fen": fund[0] + 100, "package_after_fen": fund[1] + 100, "fund_before_fen": fund[0],
        "fund_after_fen": fund[1],
    }  # fmt: skip
    return given | more


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=COMPARED_SCHEMA)


CASES = frame(
    case("A", "G1", (300, 330)),
    case("A", "G2", (300, 300), kind="low"),
    case("A", "G2", (300, 300), insurance="居民", pool="居民", pool_after="居民", department="内科"),
    case("B", "G1", (100, 110), tier="二级", county_group="Y1"),
    case("B", "G3", (0, 0), tier="二级", county_group="Y1", kind="unpaid"),
)
BEFORE = Cleared({("A", "职工"): 601, ("A", "居民"): 250, ("B", "职工"): 90, ("C", "居民"): 7}, {("B", "Y1"): 11})
AFTER = Cleared({("A", "职工"): 640, ("A", "居民"): 250, ("B", "职工"): 101, ("C", "居民"): 7}, {("B", "Y1"): -3})


def cells(gain: pl.DataFrame, dimension: str, column: str) -> dict[str, int]:
    return dict(gain.filter(pl.col("dimension") == dimension).select("key", column).iter_rows())


def test_every_dimension_has_the_same_totals() -> None:
    gain = gains(CASES, BEFORE, AFTER)
    expected = {
        "cases": 5, "cost_fen": 5000, "package_before_fen": 1500, "package_after_fen": 1540, "fund_before_fen": 1000,
        "fund_after_fen": 1040, "cleared_before_fen": 959, "cleared_after_fen": 995,
    }  # fmt: skip
    for dimension in DIMENSIONS:
        rows = gain.filter(pl.col("dimension") == dimension)
        assert {name: rows[name].sum() for name in expected} == expected, dimension
    assert totals(gain) == expected


def test_cleared_money_of_a_hospital_goes_to_its_cells_by_the_fund_as_priced() -> None:
    gain = gains(CASES, BEFORE, AFTER)
    # A/职工 601 over G1 300 and G2 300: 300.5 each, the odd fen to the earlier group; A/居民 250 all G2.
    # B/职工 90 over G1 100 and G3 0; B's bundle 11 likewise; C without cases has no group.
    assert cells(gain, "group", "cleared_before_fen") == {"": 7, "G1": 301 + 90 + 11, "G2": 300 + 250, "G3": 0}
    # After: 640 over 330 and 300 = 335.238 and 304.762: 335 + 305.
    assert cells(gain, "group", "cleared_after_fen") == {"": 7, "G1": 335 + 101 - 3, "G2": 305 + 250, "G3": 0}
    assert cells(gain, "hospital", "cleared_after_fen") == {"A": 890, "B": 98, "C": 7}
    assert cells(gain, "pool", "cleared_before_fen") == {"职工": 601 + 90 + 11, "居民": 257}
    assert cells(gain, "county_group", "cleared_before_fen") == {"": 601 + 250 + 7, "Y1": 101}
    assert cells(gain, "department", "cleared_before_fen") == {"": 601 + 90 + 11 + 7, "内科": 250}


def test_without_any_fund_part_the_cost_decides_and_without_cost_the_number_of_cells() -> None:
    unpaid = frame(
        case("A", "G1", (0, 0), cost_fen=100), case("A", "G2", (0, 0), cost_fen=300),
        case("B", "G1", (0, 0), cost_fen=0), case("B", "G2", (0, 0), cost_fen=0),
    )  # fmt: skip
    cleared = Cleared({("A", "职工"): 8, ("B", "职工"): 8})
    assert cleared_by(unpaid, "group", cleared, "before") == {"G1": 2 + 4, "G2": 6 + 4}


def test_money_moves_to_the_pool_after_but_is_told_by_the_pool_before() -> None:
    merged = CASES.with_columns(pl.lit("合并").alias("pool_after"))
    after = Cleared({("A", "合并"): 930, ("B", "合并"): 55})
    gain = gains(merged, BEFORE, after)
    # A: 930 over 职工 630 and 居民 300.
    assert cells(gain, "pool", "cleared_after_fen") == {"职工": 630 + 55, "居民": 300}


def test_without_clearing_the_cleared_columns_are_null() -> None:
    gain = gains(CASES)
    assert gain["cleared_before_fen"].null_count() == gain["cleared_after_fen"].null_count() == gain.height
    assert totals(gain)["cleared_before_fen"] is None
    assert totals(gain)["fund_after_fen"] == 1040


def test_labels_and_order_of_keys() -> None:
    gain = gains(CASES, labels={"hospital": {"A": "甲医院"}}, orders={"tier": ("二级", "三级")})
    label = {key: text for dimension, key, text in gain.select("dimension", "key", "label").iter_rows()
             if dimension in {"hospital", "group", "kind", "county_group"}}  # fmt: skip
    assert label["A"] == "甲医院"
    assert label["B"] == "B"
    assert label["G1"] == "G1 G1 名"
    assert label["low"] == "低倍率"
    assert label[""] == "（不属医共体）"
    assert gain.filter(pl.col("dimension") == "tier")["key"].to_list() == ["二级", "三级"]


def test_order_of_cases_decides_nothing() -> None:
    assert gains(CASES[::-1], BEFORE, AFTER).equals(gains(CASES, BEFORE, AFTER))


def test_transitions_sum_to_both_runs() -> None:
    moved = CASES.with_columns(
        pl.when(pl.col("group") == "G1").then(pl.lit("H9")).otherwise("group").alias("group_after")
    )
    found = transitions(moved)
    columns = ("group_before", "group_after", "cases", "fund_before_fen", "fund_after_fen")
    assert list(found.select(columns).iter_rows()) == [
        ("G1", "H9", 2, 400, 440), ("G2", "G2", 2, 600, 600), ("G3", "G3", 1, 0, 0),
    ]  # fmt: skip


def test_lines_of_unknown_pools_are_bundles() -> None:
    lines = [("职工", "A", 5), ("Y1", "B", 3), ("职工", "A", 2)]
    assert owed(lines, {"职工"}) == Cleared({("A", "职工"): 7}, {("B", "Y1"): 3})


@pytest.fixture
def won() -> pl.DataFrame:
    return winners(gains(CASES, BEFORE, AFTER), {"A": "甲医院"}, {"A": "三级"})


def test_winners_are_measured_after_clearing_when_there_is_one(won: pl.DataFrame) -> None:
    rows = list(won.select("hospital", "name", "gain_fen", "fund_gain_fen", "outcome").iter_rows())
    assert rows == [
        ("A", "甲医院", 39, 30, "gain"), ("C", "C", 0, 0, "same"), ("B", "B", 98 - 101, 10, "loss"),
    ]  # fmt: skip
    assert won["rate"].to_list() == [Decimal("0.045828"), Decimal(0), Decimal("-0.029703")]  # 39/851, -3/101
    assert winners(gains(CASES), {}, {})["gain_fen"].to_list() == [30, 10]


def test_tenths_leave_out_who_had_nothing(won: pl.DataFrame) -> None:
    found = deciles(won).filter(pl.col("stage") == "fund")
    assert list(found.select("decile", "hospitals", "before_fen", "after_fen").iter_rows()) == [
        (1, 1, 900, 930), (6, 1, 100, 110),
    ]  # fmt: skip
    assert deciles(won).filter(pl.col("stage") == "cleared")["decile"].to_list() == [1, 4, 7]


def test_nothing_is_told_in_per_cent_of_nothing_or_less(won: pl.DataFrame) -> None:
    assert [rate_of(5, before) for before in (10, 0, -10)] == [Decimal("0.500000"), None, None]
    owing = won.with_columns(fund_before_fen=pl.when(pl.col("hospital") == "A").then(-900).otherwise("fund_before_fen"))
    found = deciles(owing).filter(pl.col("stage") == "fund")
    assert found.select("decile", "hospitals", "rate").rows() == [(1, 1, Decimal("0.100000"))]  # B: 100 to 110


def test_lorenz_and_gini_of_gains() -> None:
    rows = [case(name, "G1", (100, 100 + gain)) for name, gain in (("A", 10), ("B", 30), ("C", 60), ("D", -5))]
    found = lorenz(winners(gains(frame(*rows)), {}, {}))
    gained = found.filter(pl.col("side") == "gained")
    assert gained["amount_share"].to_list() == [Decimal(text) for text in ("0", "0.1", "0.4", "1")]
    assert gained["gini"][0] == Decimal("0.333333")  # (-2*10 + 0*30 + 2*60) / (3*100)
    lost = found.filter(pl.col("side") == "lost")
    assert lost["total_fen"].to_list() == [5, 5]
    assert lost["gini"][0] == 0
