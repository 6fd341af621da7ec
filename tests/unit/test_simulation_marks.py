"""Details of the page of a simulation: texts that stand where they belong, years and flows that would not be seen."""

from __future__ import annotations

import json

import polars as pl
from simulation_examples import frame, gain_row
from test_simulation_page import decoded, drawn, of_type, transitions

from api.web.simulation_charts import simulation_charts


def test_fan_of_one_year_is_two_spans_about_the_median() -> None:
    row = {"year": 2026, "pool": "职工", "low95": -1_000_000, "low50": 1_000_000, "median": 2_000_000,
           "high50": 3_000_000, "high95": 5_000_000}  # fmt: skip
    figure = drawn({"fan": frame("fan", [row])})["fan-1"]
    spans = [(decoded(bar["base"]), decoded(bar["y"])) for bar in of_type(figure, "bar")]
    assert spans == [([-1.0], [6.0]), ([1.0], [2.0])]
    assert decoded(of_type(figure, "scatter")[0]["y"]) == [2.0]


def test_an_amount_stands_at_its_bar_unless_the_earlier_mark_is_in_the_way() -> None:
    rows = [
        gain_row("tier", "三级", "三级", (0, 0, 0, 0, -400_000_000, 0, -100_000_000)),
        gain_row("tier", "二级", "二级", (0, 0, 0, 0, -110_000_000, 0, -90_000_000)),
    ]
    texts = [trace for trace in of_type(drawn({"gain": frame("gain", rows)})["tier"], "scatter")
             if trace["mode"] == "text"]  # fmt: skip
    # -90 and -110 万元 are too near each other for a text; between -100 and -400 there is room.
    assert decoded(texts[0]["x"]) == [-110.0, -100.0]


def test_cases_that_keep_their_group_leave_the_picture_to_those_that_move() -> None:
    moved = transitions(2, 0)
    same = moved.with_columns(pl.col("group_before").alias("group_after"), pl.lit(600).cast(pl.Int64).alias("cases"),
                              pl.col("cost_fen") * 9)  # fmt: skip
    charts = simulation_charts({"transition": pl.concat([same, moved])})
    chart = next(one.chart for one in charts if one.chart.key == "transition")
    assert len(json.loads(chart.figure.to_json())["data"][0]["link"]["value"]) == 2
    assert "前后病组编码相同的 1,200 例（费用的 90.0%）未画。" in chart.note
    assert len(of_type(drawn({"transition": same})["transition"], "sankey")[0]["link"]["value"]) == 2
