"""Charts of a simulation at the edges: nothing changes, money below zero, charts of unequal height, far intervals."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from simulation_examples import frame, gain_row

from api.web.figures import Chart
from api.web.simulation_charts import simulation_charts

AS_IT_WAS = (2_000_000, 1_500_000, 1_500_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000)
MORE = (2_000_000, 1_500_000, 1_520_000, 1_000_000, 1_020_000, 1_000_000, 1_015_000)
TO_BE_RETURNED = (2_000_000, 1_500_000, 1_400_000, 1_000_000, 900_000, 1_000_000, -1)


def charts(**tables: pl.DataFrame) -> dict[str, Chart]:
    return {one.chart.key: one.chart for one in simulation_charts(tables)}


def layout(chart: Chart) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(chart.figure.to_json())["layout"]
    return found


def rows(dimension: str, count: int, money: tuple[int, ...]) -> list[dict[str, Any]]:
    return [gain_row(dimension, f"{at:02d}", f"{dimension}{at}", money) for at in range(count)]


def test_where_nothing_changes_there_is_one_chart_that_says_so() -> None:
    gain = frame("gain", [*rows("hospital", 3, AS_IT_WAS), *rows("tier", 3, AS_IT_WAS)])
    bootstrap = frame("bootstrap", [{"what": "hospital", "key": "00", "label": "A", "value": 0, "low": 0, "high": 0}])
    found = charts(gain=gain, bootstrap=bootstrap)
    assert "完全相同" in found["scatter"].note
    assert not {"hospitals", "sizes", "tier", "deciles", "lorenz", "intervals"} & set(found)
    other = charts(gain=frame("gain", [*rows("hospital", 3, AS_IT_WAS), *rows("tier", 3, MORE)]))
    assert {"scatter", "hospitals", "tier"} <= set(other)
    assert "完全相同" not in other["scatter"].note


def test_hospitals_that_no_scale_can_show_are_counted() -> None:
    found = charts(gain=frame("gain", [*rows("hospital", 2, MORE), gain_row("hospital", "N", "N", TO_BE_RETURNED)]))
    assert "清算后有 1 家改革前或改革后不大于 0，未画" in found["scatter"].note
    assert "清算前有" not in found["scatter"].note
    turned = (*TO_BE_RETURNED[:5], -2, 1_000_000)
    before = charts(gain=frame("gain", [*rows("hospital", 2, MORE), gain_row("hospital", "N", "N", turned)]))
    assert "1 家改革前不大于 0，未画" in before["sizes"].note


@pytest.mark.parametrize(
    ("sizes", "order", "wide"),
    [
        ({"tier": 3, "insurance": 2, "kind": 11, "department": 29, "mdc": 27},
         ["insurance", "tier", "mdc", "department", "kind"], {"kind"}),
        ({"tier": 3, "insurance": 2, "kind": 11, "department": 14, "mdc": 1},
         ["insurance", "tier", "kind", "department"], set()),
        ({"tier": 3}, ["tier"], {"tier"}),
    ],
)  # fmt: skip
def test_charts_side_by_side_are_about_as_tall(sizes: dict[str, int], order: list[str], wide: set[str]) -> None:
    every = [row for name, count in {"hospital": 2, **sizes}.items() for row in rows(name, count, MORE)]
    found = charts(gain=frame("gain", every))
    assert [name for name in found if name in sizes] == order
    assert {name for name in order if not found[name].narrow} == wide


@pytest.mark.parametrize(
    ("ends", "near", "said"),
    [
        ((1_000_000_000, 1_100_000_000), True, "都为当年结余"),
        ((-1_100_000_000, -1_000_000_000), True, "都为当年超支"),
        ((1_000_000_000, 1_300_000_000), False, "红线以下"), ((-100_000_000, 100_000_000), False, "红线以下"),
        ((1_000_000_000, 1_000_000_000), False, "红线以下"),
    ],
)  # fmt: skip
def test_an_interval_far_from_zero_is_seen_from_nearby(ends: tuple[int, int], near: bool, said: str) -> None:
    low, high = ends
    row = {"year": 2026, "pool": "职工", "low95": low, "low50": low, "median": low, "high50": high, "high95": high}
    chart = charts(fan=frame("fan", [row]))["fan-1"]
    assert said in chart.note
    axis = layout(chart)["yaxis"]
    assert ("range" in axis) == near
    if near:
        assert axis["range"] == [low / 10**6 - 50, high / 10**6 + 50]
