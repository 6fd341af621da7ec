"""All charts of a policy simulation, in the sections of its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from api.web.figures import Chart
from api.web.simulation_chance_charts import chance_charts
from api.web.simulation_fund_charts import fund_charts
from api.web.simulation_gain_charts import gain_charts
from api.web.simulation_tables import readable

_BESIDE_TICKS = 16
"""Pixels between the numbers of a vertical axis and its title."""
_FUND = ("waterfall", "steps", "balances", "months", "fan")
_PLACES = {"intervals": "sure", "sweep": "solve", "transition": "transition", **dict.fromkeys(_FUND, "fund")}
SECTIONS = {
    "gain": "谁增谁减", "sure": "有多确定", "fund": "基金是否平衡", "transition": "分组变化", "solve": "求解与试算",
}  # fmt: skip


@dataclass(frozen=True)
class PlacedChart:
    """A chart and the section (SECTIONS) that it stands in."""

    section: str
    chart: Chart


def simulation_charts(tables: Mapping[str, pl.DataFrame]) -> list[PlacedChart]:
    """Every chart whose table is there and not empty, section by section. The same tables give the same figures."""
    found = readable(tables)
    made = [*gain_charts(found), *chance_charts(found), *fund_charts(found)]
    for chart in made:
        chart.figure.update_yaxes(title_standoff=_BESIDE_TICKS)
    placed = [PlacedChart(_PLACES.get(chart.key.split("-")[0], "gain"), chart) for chart in made]
    return sorted(placed, key=lambda one: list(SECTIONS).index(one.section))
