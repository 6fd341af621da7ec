"""Charts of how sure a simulated result is and how it answers to the size of a change."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from plotly.subplots import make_subplots

from api.web.figures import ENDS, GAIN, INK, LOSS, MOST_BARS, PAID, WAN, Chart, layout, panels
from api.web.simulation_fund_charts import money_unit
from api.web.simulation_gain_charts import SAME, ends_of, row_axis
from api.web.simulation_tables import apart, numbers, plain

_SWEPT = {
    "fund_fen": ("统筹基金支付（清算前）", PAID, "solid", "circle"),
    "cleared_fen": ("统筹基金支付（清算后）", "#e08e36", "dash", "square"),
    "balance_fen": ("基金当年结余", "#8e63b5", "solid", "diamond"),
    "winners": ("增加的医疗机构", GAIN, "solid", "triangle-up"),
    "losers": ("减少的医疗机构", LOSS, "dash", "triangle-down"),
}
"""Name, colour, line and mark of each curve of a sweep."""
_SURE = (
    ("区间全在 0 以上", GAIN, "triangle-right"), ("区间全在 0 以下", LOSS, "triangle-left"),
    ("区间跨 0，方向不定", SAME, "circle-open"),
)  # fmt: skip
NARROW = "重抽样在同一机构的同一病组内进行，该组只有一例时不变动，这样的病例多则区间偏窄。"
"""Resampling within hospital and group holds a case that is alone there: with many of them intervals are too narrow."""


def chance_charts(tables: Mapping[str, pl.DataFrame]) -> list[Chart]:
    """Every chart of intervals and response curves that the tables have numbers for."""
    made = []
    if "bootstrap" in tables and (chart := _intervals(tables["bootstrap"])) is not None:
        made.append(chart)
    if "sweep" in tables:
        sweeps = tables["sweep"].partition_by("sweep", maintain_order=True)
        made += [_sweep(rows.sort("value"), at) for at, rows in enumerate(sweeps, 1)]
    return made


def _intervals(bootstrap: pl.DataFrame) -> Chart | None:
    """The gain of each hospital with its interval, the chance of a loss beside it."""
    rows = bootstrap.filter(pl.col("what") == "hospital").sort(["value", "key"], descending=[True, False])
    if rows.is_empty() or not rows.select(pl.any_horizontal((pl.col("value", "low", "high") != 0).any())).item():
        return None
    shown = ends_of(rows, MOST_BARS, ENDS)
    labels = apart(shown)
    value, low, high = (numbers(shown[name], WAN) for name in ("value", "low", "high"))
    figure = panels([""], 130 + 20 * shown.height)
    kinds = [0 if bottom > 0 else 1 if top < 0 else 2 for bottom, top in zip(low, high, strict=True)]
    for kind, (name, colour, symbol) in enumerate(_SURE):
        at = [place for place, found in enumerate(kinds) if found == kind]
        if not at:
            continue
        figure.add_scatter(
            x=[value[place] for place in at], y=at, mode="markers", name=name,
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"width": 1.5, "color": colour}},
            error_x={
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 4,
                "array": [round(high[place] - value[place], 2) for place in at],
                "arrayminus": [round(value[place] - low[place], 2) for place in at],
            },
            customdata=[[plain(labels[place]), low[place], high[place]] for place in at],
            hovertemplate="%{customdata[0]}<br>增减 %{x:+,.2f} 万元<br>"
            "95% 区间 %{customdata[1]:+,.2f} 到 %{customdata[2]:+,.2f}<extra></extra>",
        )  # fmt: skip
    chances = shown["chance"].to_list()
    ends = min([0.0, *low]), max([0.0, *high])
    spread = (ends[1] - ends[0]) or 1.0
    figure.add_scatter(
        x=[round(ends[1] + 0.02 * spread, 4)] * shown.height, y=list(range(shown.height)), mode="text",
        text=["" if chance is None else f"{100 * float(chance):.0f}%" for chance in chances], hoverinfo="skip",
        textposition="middle right", textfont={"size": 11, "color": INK}, showlegend=False, cliponaxis=False,
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dash"})
    figure.update_xaxes(
        title_text="增减，万元", range=[ends[0] - 0.03 * spread, ends[1] + 0.1 * spread], zeroline=False
    )
    figure.update_yaxes(**row_axis(labels), gridcolor="#eef1f4")
    which = "" if shown.height == rows.height else f"增减最多的两头各 {ENDS} 家，共 {rows.height} 家。"
    note = f"{which}点为模拟结果，横线为重抽样的 95% 区间；右侧为减少的可能性。{NARROW}"
    return Chart("intervals", "各医疗机构增减有多确定", note, figure)


def _sweep(rows: pl.DataFrame, at: int) -> Chart:
    """What the fund pays at each value tried, its balance where known, and how many hospitals gain and lose."""
    tried, label = numbers(rows["value"], places=10), str(rows["sweep"][0])
    known = [name for name in _SWEPT if rows[name].null_count() < rows.height]
    balance = [name for name in known if name == "balance_fen"]
    money = [name for name in known if name in {"fund_fen", "cleared_fen"}]
    shown = [names for names in (money, balance, ["winners", "losers"]) if names]
    figure = make_subplots(rows=len(shown), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    layout(figure, 120 + 180 * len(shown))
    for row, names in enumerate(shown, 1):
        amounts = [fen for name in names for fen in rows[name].drop_nulls()]
        scale, unit = (1, "家") if names[0] == "winners" else money_unit(amounts)
        for name in names:
            word, colour, dash, symbol = _SWEPT[name]
            figure.add_scatter(
                x=tried, y=[None if cell is None else round(cell / scale, 4) for cell in rows[name]],
                mode="lines+markers", name=word, line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": symbol, "size": 7}, row=row, col=1,
                hovertemplate=f"取值 %{{x}}<br>{word} %{{y:,}} {unit}<extra></extra>",
            )  # fmt: skip
        figure.update_yaxes(title_text=unit, rangemode="tozero" if scale == 1 else "normal", row=row, col=1)
    figure.update_xaxes(title_text="取值", row=len(shown), col=1)
    note = "横轴为试算的取值；金额的纵轴不从 0 起。"
    return Chart(f"sweep-{at}", f"逐值试算：{label}", note, figure, narrow=True)
