"""The page of a simulation: each chart with its table, numbers as in the tables, names escaped, no network."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from html import escape
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from plotly.offline import get_plotlyjs
from simulation_examples import city_tables, frame, gain_row

from api.web.chart_page import MARK
from api.web.simulation_charts import simulation_charts
from api.web.simulation_page import simulation_page
from api.web.simulation_tables import SimulationHead
from reference_tables.problems import Problem, catalogue

CHARTS = {
    "gain": {
        "hospitals", "scatter", "sizes", "tier", "insurance", "kind", "pool", "county_group", "department", "mdc",
        "group", "waterfall",
    },
    "deciles": {"deciles"},
    "lorenz": {"lorenz"},
    "bootstrap": {"intervals"},
    "steps": {"steps"},
    "fund": {"balances", "months"},
    "fan": {"fan-1", "fan-2", "fan-3"},
    "transition": {"transition"},
    "sweep": {"sweep-1"},
}  # fmt: skip
"""The charts that each table makes, by their keys."""
NAMES = {"A": "甲<b>院</b>", "B": "乙&院", "C": "丙院"}


def small_gain(*, cleared: bool = True) -> pl.DataFrame:
    """Three hospitals: A +200 and B -100 yuan before clearing, C as it was; after clearing +150, -150, 0."""
    money = {
        "A": (2_000_000, 1_500_000, 1_520_000, 1_000_000, 1_020_000, 1_000_000, 1_015_000),
        "B": (900_000, 700_000, 690_000, 500_000, 490_000, 500_000, 485_000),
        "C": (80_000, 60_000, 60_000, 40_000, 40_000, 40_000, 40_000),
    }
    used = {key: amounts if cleared else amounts[:5] for key, amounts in money.items()}
    rows = [gain_row("hospital", key, NAMES[key], used[key]) for key in money]
    rows += [gain_row("tier", tier, tier, used[key]) for key, tier in (("A", "三级"), ("B", "二级"), ("C", "一级"))]
    return frame("gain", rows)


def small_fund(after: int) -> pl.DataFrame:
    rows = [("before", 3_000_000, "6.5"), ("after", after, "6.25")]
    return frame("fund", [
        {"pool": pool, "state": state, "balance_fen": balance, "reserve_months": Decimal(months), "units": "12.5000"}
        for pool in ("职工", "合计") for state, balance, months in rows
    ])  # fmt: skip


def drawn(tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """Every figure as JSON, by its key."""
    return {one.chart.key: json.loads(one.chart.figure.to_json()) for one in simulation_charts(tables)}


def decoded(values: Any) -> list[Any]:
    assert isinstance(values, list), "numbers are written as they are, not packed"
    return values


def of_type(figure: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["type"] == kind]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def own_text(page: str) -> str:
    """The page without Plotly's own text."""
    own = page.replace(get_plotlyjs().replace("</", "<\\/").replace("<!--", "<\\!--"), "")
    assert len(own) < len(page) - 1_000_000
    return own


@pytest.mark.parametrize("hospitals", [40, 400])
def test_every_table_makes_its_charts(hospitals: int) -> None:
    tables = city_tables(hospitals)
    assert set(drawn(tables)) == set().union(*CHARTS.values())


@pytest.mark.parametrize(
    "missing", ["gain", *(pytest.param(name, marks=pytest.mark.long) for name in sorted({*CHARTS} - {"gain"}))]
)
def test_a_chart_is_left_out_without_its_table(missing: str) -> None:
    tables = city_tables(12)
    expected = set().union(*(keys for name, keys in CHARTS.items() if name != missing))
    without = {name: table for name, table in tables.items() if name != missing}
    emptied = {**tables, missing: tables[missing].clear()}
    assert set(drawn(without)) == set(drawn(emptied)) == expected
    page = simulation_page(SimulationHead("一"), without)
    ids = re.findall(r'<div id="chart-([\w-]+)"', page)
    assert set(ids) == expected
    assert len(ids) == len(expected)


def test_nothing_to_show_is_a_page_too() -> None:
    page = simulation_page(SimulationHead("空"), {})
    assert "chart-" not in own_text(page)


def test_a_table_without_a_column_is_told() -> None:
    with pytest.raises(ValueError, match="gain lacks cleared_after_fen"):
        simulation_page(SimulationHead("一"), {"gain": small_gain().drop("cleared_after_fen")})


def test_hospital_bars_have_the_changes_of_the_table() -> None:
    bars = of_type(drawn({"gain": small_gain()})["hospitals"], "bar")
    # Sorted by what is after clearing: A +150, C 0, B -150 yuan, in 万元; before clearing in the same order.
    assert [decoded(bar["x"]) for bar in bars] == [[0.02, 0.0, -0.01], [0.01, 0.0, -0.01]]
    texts = of_type(drawn({"gain": small_gain()})["hospitals"], "scatter")
    assert [text.strip("\u2002") for text in texts[0]["text"]] == ["+0.02（+2.00%）", "0", "-0.01（-2.00%）"]
    assert [text.strip("\u2002") for text in texts[1]["text"]] == ["+0.01（+1.50%）", "0", "-0.01（-3.00%）"]
    assert decoded(bars[1]["marker"]["pattern"]["shape"]) == ["", "", "/"]


def test_names_are_shown_as_they_are() -> None:
    figure = drawn({"gain": small_gain()})["hospitals"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["甲&lt;b&gt;院&lt;/b&gt;", "丙院", "乙&amp;院"]
    page = own_text(simulation_page(SimulationHead("<i>题</i>", {"说明": "<u>"}), {"gain": small_gain()}))
    for raw in ("甲<b>院", "<i>题", "<u>"):
        assert raw not in page
    assert "甲&lt;b&gt;院&lt;/b&gt;" in page


def test_hospitals_of_one_name_keep_their_own_bars() -> None:
    gain = small_gain().with_columns(
        pl.when(pl.col("dimension") == "hospital").then(pl.lit("同名医院")).otherwise("label").alias("label")
    )
    figure = drawn({"gain": gain})["hospitals"]
    assert figure["layout"]["yaxis"]["ticktext"] == ["同名医院 A", "同名医院 C", "同名医院 B"]
    assert [decoded(bar["x"]) for bar in of_type(figure, "bar")][1] == [0.01, 0.0, -0.01]


def test_before_clearing_there_is_one_end_only() -> None:
    figures = drawn({"gain": small_gain(cleared=False)})
    assert [decoded(bar["x"]) for bar in of_type(figures["hospitals"], "bar")] == [[0.02, 0.0, -0.01]]
    assert [note["text"] for note in figures["scatter"]["layout"]["annotations"]] == ["清算前"]
    page = simulation_page(SimulationHead("一"), {"gain": small_gain(cleared=False)})
    assert "清算后" not in own_text(page)


def test_of_many_hospitals_both_ends_are_drawn_and_the_axis_follows_the_spread() -> None:
    rows = [
        gain_row("hospital", f"H{at:03d}", f"医院{at}", (9, 9, 9, 10**8, 10**8 + (at - 200) * 10**5))
        for at in range(400)
    ]
    figures = drawn({"gain": frame("gain", rows)})
    bar = of_type(figures["hospitals"], "bar")[0]
    assert decoded(bar["x"]) == [at / 10 for at in (*range(199, 169, -1), *range(-171, -201, -1))]
    assert figures["hospitals"]["layout"]["yaxis"]["ticktext"][0] == "医院399"
    # From 80 to 120 万元: less than a power of ten apart.
    assert "type" not in figures["scatter"]["layout"]["xaxis"]
    assert drawn({"gain": small_gain()})["scatter"]["layout"]["xaxis"]["type"] == "log"


def test_scatter_tells_gain_from_loss_by_shape() -> None:
    traces = of_type(drawn({"gain": small_gain()})["scatter"], "scatter")
    cleared = {trace["name"]: trace for trace in traces if trace["mode"] == "markers" and trace["xaxis"] == "x2"}
    assert {name: (decoded(one["x"]), decoded(one["y"])) for name, one in cleared.items()} == {
        "增加": ([1.0], [1.01]), "减少": ([0.5], [0.48]), "不变": ([0.04], [0.04]),
    }  # fmt: skip
    assert len({trace["marker"]["symbol"] for trace in cleared.values()}) == 3


def test_waterfall_of_the_balance_ends_where_the_fund_does() -> None:
    # Tiers take 150 and give 150 yuan, C nothing: what is left over, 400 yuan, is not paid to hospitals.
    tables = {"gain": small_gain(), "fund": small_fund(3_040_000)}
    trace = of_type(drawn(tables)["waterfall"], "waterfall")[0]
    assert [text[0] for text in zip(trace["customdata"], strict=True)] == [
        "改革前当年结余", "三级", "二级", "扣减与调剂", "改革后当年结余",
    ]  # fmt: skip
    assert decoded(trace["y"]) == [3.0, -0.015, 0.015, 0.04, 3.04]
    assert trace["measure"] == ["absolute", "relative", "relative", "relative", "total"]


def test_waterfall_without_a_year_is_of_what_the_fund_pays() -> None:
    trace = of_type(drawn({"gain": small_gain(cleared=False)})["waterfall"], "waterfall")[0]
    assert decoded(trace["y"]) == [1.54, 0.02, -0.01, 1.55]
    assert trace["customdata"][0] == "改革前基金支出"


def test_steps_lead_from_the_first_to_the_last() -> None:
    rows = [{"step": at, "label": f"第{at}步", "fund_fen": fen} for at, fen in enumerate((10**8, 3 * 10**8, 2 * 10**8))]
    trace = of_type(drawn({"steps": frame("steps", rows)})["steps"], "waterfall")[0]
    assert decoded(trace["y"]) == [100.0, 200.0, -100.0, 200.0]


def test_balances_and_months_before_and_after() -> None:
    figures = drawn({"fund": small_fund(2_500_000)})
    assert [decoded(bar["y"]) for bar in of_type(figures["balances"], "bar")] == [[3.0, 3.0], [2.5, 2.5]]
    months = of_type(figures["months"], "bar")
    assert [decoded(bar["y"]) for bar in months] == [[6.5, 6.5], [6.25, 6.25]]
    assert months[0]["x"] == ["职工", "合计"]


def test_fan_bands_run_there_and_back() -> None:
    rows = [
        {"year": 2026, "pool": "职工", "low95": -1_000_000, "low50": 1_000_000, "median": 2_000_000,
         "high50": 3_000_000, "high95": 5_000_000},
        {"year": 2027, "pool": "职工", "low95": -3_000_000, "low50": 0, "median": 1_000_000,
         "high50": 2_000_000, "high95": 4_000_000},
    ]  # fmt: skip
    bands = of_type(drawn({"fan": frame("fan", rows)})["fan-1"], "scatter")
    assert decoded(bands[0]["x"]) == ["2026", "2027", "2027", "2026"]
    assert decoded(bands[0]["y"]) == [-1.0, -3.0, 4.0, 5.0]
    assert decoded(bands[1]["y"]) == [1.0, 0.0, 2.0, 3.0]
    assert decoded(bands[2]["y"]) == [2.0, 1.0]


def test_intervals_and_their_chances() -> None:
    rows = [
        ("A", 30_000_000, 10_000_000, 50_000_000, "0.01"), ("B", -20_000_000, -30_000_000, -5_000_000, "0.99"),
        ("C", 1_000_000, -2_000_000, 4_000_000, "0.355"),
    ]  # fmt: skip
    bootstrap = frame("bootstrap", [
        {"what": "hospital", "key": key, "label": NAMES[key], "value": Decimal(value), "low": Decimal(low),
         "high": Decimal(high), "chance": Decimal(chance)}
        for key, value, low, high, chance in rows
    ])  # fmt: skip
    traces = of_type(drawn({"bootstrap": bootstrap})["intervals"], "scatter")
    (note,) = (one.chart.note for one in simulation_charts({"bootstrap": bootstrap}) if one.chart.key == "intervals")
    assert "只有一例" in note
    assert "区间偏窄" in note
    marks = {trace["name"]: trace for trace in traces if trace["mode"] == "markers"}
    assert {name: decoded(one["x"]) for name, one in marks.items()} == {
        "区间全在 0 以上": [30.0], "区间全在 0 以下": [-20.0], "区间跨 0，方向不定": [1.0],
    }  # fmt: skip
    above = marks["区间全在 0 以上"]["error_x"]
    assert (above["array"], above["arrayminus"]) == ([20.0], [20.0])
    assert [trace["text"] for trace in traces if trace["mode"] == "text"] == [["1%", "36%", "99%"]]


def transitions(count: int, small: int) -> pl.DataFrame:
    """`count` flows of 100 万元 each and one more of `small` 万元 between groups of their own."""
    amounts = [(f"A{at:02d}", f"B{at:02d}", 100_000_000) for at in range(count)]
    amounts += [("Y", "Z", small * 1_000_000)] if small else []
    return frame("transition", [
        {"group_before": before, "name_before": "前", "group_after": after, "name_after": "后", "cases": 7,
         "cost_fen": cost, "package_before_fen": cost, "package_after_fen": cost + 2_000_000, "fund_before_fen": cost,
         "fund_after_fen": cost}
        for before, after, cost in amounts
    ])  # fmt: skip


def test_flows_beyond_the_largest_are_others() -> None:
    sankey = of_type(drawn({"transition": transitions(30, 5)})["transition"], "sankey")[0]
    link, labels = sankey["link"], sankey["node"]["label"]
    assert decoded(link["value"]) == [100.0] * 30 + [5.0]
    assert (labels[link["source"][0]], labels[link["target"][0]]) == ("A00 前", "B00 后　+2.0")
    assert (labels[link["source"][-1]], labels[link["target"][-1]]) == ("其他", "其他　+2.0")
    assert link["customdata"][0] == [7, 100.0, 102.0, 2.0]


def test_a_rest_that_would_fill_the_picture_is_told_instead() -> None:
    many = transitions(70, 0)
    chart = next(one.chart for one in simulation_charts({"transition": many}) if one.chart.key == "transition")
    sankey = json.loads(chart.figure.to_json())["data"][0]
    assert len(sankey["link"]["value"]) == 30
    assert "另有 280 例（费用的 57.1%）" in chart.note


def test_deciles_and_lorenz_are_of_the_last_stage() -> None:
    deciles = frame("deciles", [
        {"stage": stage, "decile": at, "hospitals": 4, "before_fen": 10**8, "after_fen": 10**8 + change,
         "rate": Decimal(change) / 10**8, "low_rate": Decimal("-0.03"), "high_rate": Decimal("0.04")}
        for stage, changes in (("fund", (0, 0)), ("cleared", (-2_000_000, 1_000_000)))
        for at, change in enumerate(changes, 1)
    ])  # fmt: skip
    bar = of_type(drawn({"deciles": deciles})["deciles"], "bar")[0]
    assert decoded(bar["y"]) == [-2.0, 1.0]
    assert bar["text"] == ["-2.00%<br>-2.0", "+1.00%<br>+1.0"]
    lorenz = frame("lorenz", [
        {"stage": "fund", "side": "lost", "place": at, "hospitals_share": Decimal(at) / 2,
         "amount_share": Decimal(share), "total_fen": 12_345_600, "gini": Decimal("0.25")}
        for at, share in ((1, "0.25"), (2, "1"))
    ])  # fmt: skip
    chart = next(one.chart for one in simulation_charts({"lorenz": lorenz}))
    line = json.loads(chart.figure.to_json())["data"][1]
    assert (decoded(line["x"]), decoded(line["y"])) == ([0.0, 50.0, 100.0], [0.0, 25.0, 100.0])
    assert "减少合计 12.35 万元，基尼系数 0.250" in chart.note


def test_sweep_curves_are_the_values_tried() -> None:
    rows = [
        {
            "sweep": "高倍率界限",
            "value": Decimal(value),
            "package_fen": 1,
            "fund_fen": fen,
            "winners": at,
            "losers": 9 - at,
        }
        for at, (value, fen) in enumerate((("2.5", 30_000_000), ("3", 20_000_000)))
    ]
    lines = of_type(drawn({"sweep": frame("sweep", rows)})["sweep-1"], "scatter")
    assert {line["name"]: decoded(line["y"]) for line in lines} == {
        "统筹基金支付（清算前）": [30.0, 20.0], "增加的医疗机构": [0, 1], "减少的医疗机构": [9, 8],
    }  # fmt: skip
    assert all(decoded(line["x"]) == [2.5, 3.0] for line in lines)


def test_tables_are_exact_to_the_fen() -> None:
    page = own_text(simulation_page(SimulationHead("一"), city_tables(12)))
    winner = city_tables(12)["winners"].row(0, named=True)
    whole, part = divmod(winner["cleared_after_fen"], 100)
    assert f"<td>{whole:,}.{part:02d}</td>" in page
    fund = simulation_page(SimulationHead("一"), {"fund": small_fund(2_999_999)})
    assert "<td>29,999.99</td>" in fund
    assert '<td class="negative">-0.01</td>' in fund


def test_what_touched_nothing_is_marked() -> None:
    elements = Elements()
    elements.feed(simulation_page(SimulationHead("一"), {"changes": city_tables(12)["changes"]}))
    marked = [attrs for tag, attrs in elements.found if tag == "tr" and attrs.get("class") == "warn"]
    assert len(marked) == 1
    assert "⚠ surgical-weights-5pct" in elements.text
    assert elements.text.count("未触及任何病例") == 1


def test_what_could_not_be_solved_says_why() -> None:
    page = own_text(simulation_page(SimulationHead("一"), {"solved": city_tables(12)["solved"]}))
    assert '<tr class="warn"><td>增减限幅</td>' in page
    assert "差 12000.00 元（0.31%）" in page
    assert "<tr><td>保持不变</td>" in page


def test_problems_stand_in_the_page_with_their_remedy() -> None:
    arguments = dict.fromkeys(catalogue()["PL30"].arguments, "某值")
    problem = Problem("PL30", arguments, file="x<y>.toml", row=3)
    page = own_text(simulation_page(SimulationHead("一", problems=[problem]), {}))
    assert "x&lt;y&gt;.toml:3" in page
    assert escape(problem.message) in page
    assert escape(problem.fix) in page


def test_a_page_made_over_http_speaks_of_routes_and_fields() -> None:
    problem = Problem("SI11", dict.fromkeys(catalogue()["SI11"].arguments, "某值"))
    told = {
        served: simulation_page(SimulationHead("一", problems=[problem], served=served), {}) for served in (False, True)
    }
    assert ("--prepaid" in told[False], "PUT /v1/documents/prepaid" in told[False]) == (True, False)
    assert ("--prepaid" in told[True], "PUT /v1/documents/prepaid" in told[True]) == (False, True)


def test_the_page_is_offline_and_always_the_same() -> None:
    head = SimulationHead("合成 & 页", {"政策": "甲"}, synthetic=True)
    page = simulation_page(head, city_tables(40))
    assert page == simulation_page(head, city_tables(40))
    elements = Elements()
    elements.feed(page)
    tags = [tag for tag, _ in elements.found]
    assert tags.count("script") == 2
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(tags)
    loading = [attrs for _, attrs in elements.found if {"src", "srcset", "data"} & set(attrs)]
    assert loading == []
    assert all(str(attrs["href"]).startswith("#") for _, attrs in elements.found if "href" in attrs)
    own = own_text(page)
    assert not re.search(r"https?://|url\(|@import", own)
    assert '"showSendToCloud":false' in own
    assert '"Zoom": "框选放大"' in own
    ids = [attrs["id"] for _, attrs in elements.found if "id" in attrs]
    assert len(set(ids)) == len(ids)
    assert {str(attrs["href"])[1:] for _, attrs in elements.found if "href" in attrs} <= set(ids)


def test_only_what_is_made_up_is_marked() -> None:
    assert own_text(simulation_page(SimulationHead("一", synthetic=True), {})).count(MARK) > 3
    assert MARK not in simulation_page(SimulationHead("一"), city_tables(12))
