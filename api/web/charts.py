"""The charts of the yearly page as Plotly figures: one panel for each payment method, side by side.

Amounts are shown in 万元 or 亿元 with two decimals; the numbers in a figure are for the eye, sums are made in fen.
Nothing in a figure depends on the run: the same parts give the same JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import plotly.graph_objects as go
import polars as pl

from api.core.report import KIND_ZH, OUTLIERS, ReportPart
from api.web.figures import (
    COLOURS,
    DECADE,
    ENDS,
    GAIN,
    INK,
    LOSS,
    MOST_BARS,
    PAID,
    YI,
    Chart,
    log_ticks,
    panels,
    per_cent,
    short,
    step_text,
    wan,
)

KIND_COLOURS = {"low": "#5aa9d6", "high": "#e08e36", "extreme": "#c8553d", "other": "#9aa5b1"}
TOP = 15
_WHAT_IS_PAID = "支付为清算应得和超支分担加上个人及其他支付。"


def charts(parts: Sequence[ReportPart]) -> list[Chart]:
    """Every chart that the parts have data for, in the order of the page."""
    made: list[Callable[[Sequence[ReportPart]], Chart | None]] = [
        _hospitals, _scatter, _waterfall, _outliers, _losses, _volumes, _months,
    ]  # fmt: skip
    return [chart for make in made if (chart := make(parts)) is not None]


def _hospitals(parts: Sequence[ReportPart]) -> Chart | None:
    """By how much the payment of each hospital's cases differs from their cost, both amounts beside the bar."""
    count = max(part.hospitals.height for part in parts)
    if not count:
        return None
    shown = [_ends(part.compared) for part in parts]
    rows = max(frame.height for frame in shown)
    figure = panels([part.label for part in parts], 110 + 20 * rows, horizontal_spacing=0.16)
    for at, frame in enumerate(shown, 1):
        percent = [round(100 * value, 2) for value in (frame["ratio"] - 1).to_list()]
        amounts = list(zip(wan(frame["paid_fen"]), wan(frame["cost_fen"]), frame["cases"].to_list(), strict=True))
        figure.add_bar(
            x=percent, y=frame["label"].to_list(), orientation="h", showlegend=False, row=1, col=at,
            marker={"color": [GAIN if value >= 0 else LOSS for value in percent]}, customdata=amounts,
            text=[f"{p:+.1f}%　{paid:,.0f} / {cost:,.0f}" for p, (paid, cost, _) in zip(percent, amounts, strict=True)],
            textposition="outside", textfont={"size": 11}, cliponaxis=False,
            hovertemplate="%{y}<br>支付 %{customdata[0]:,.2f} 万元<br>费用 %{customdata[1]:,.2f} 万元<br>"
            "相差 %{x:+.2f}%<br>%{customdata[2]:,} 例<extra></extra>",
        )  # fmt: skip
        low, high = min([0.0, *percent]), max([0.0, *percent])
        # Room for the text beside the longest bar of each direction.
        room = max(high - low, 1.0)
        ends = [low - 0.75 * room * (low < 0), high + 0.75 * room * (high > 0)]
        figure.update_xaxes(title_text="支付较费用，%", range=ends, row=1, col=at)
        figure.update_yaxes(autorange="reversed", tickfont={"size": 11}, type="category", dtick=1, row=1, col=at)
    which = "全部" if count <= MOST_BARS else f"支付与费用之比最高、最低的各 {ENDS} 家，共 {count} 家中的"
    note = f"{which}医疗机构；绿色为支付高于费用，红色为低于费用；条旁为支付 / 费用，万元。"
    note += _WHAT_IS_PAID if any(part.cleared for part in parts) else ""
    return Chart("hospitals", "各医疗机构：支付与住院费用", note, figure)


def _ends(hospitals: pl.DataFrame) -> pl.DataFrame:
    """Hospitals from the highest ratio of payment to cost to the lowest, the middle left out when there are many."""
    ratio = pl.col("paid_fen") / pl.col("cost_fen")
    ordered = hospitals.filter(pl.col("cost_fen") > 0).with_columns(ratio.alias("ratio"))
    ordered = ordered.sort(["ratio", "hospital_id"], descending=[True, False])
    if ordered.height > MOST_BARS:
        ordered = pl.concat([ordered.head(ENDS), ordered.tail(ENDS)])
    twice = pl.col("name").is_duplicated()
    label = pl.when(twice).then(pl.format("{} {}", "name", "hospital_id")).otherwise("name")
    return ordered.with_columns(label.alias("label"))


def _scatter(parts: Sequence[ReportPart]) -> Chart | None:
    """Payment against cost, one dot a hospital, with the line where both are the same."""
    if not any(part.hospitals.height for part in parts):
        return None
    figure = panels([part.label for part in parts], 560, horizontal_spacing=0.1)
    tiers = list(dict.fromkeys(tier for part in parts for tier in part.tiers["tier"]))
    for at, part in enumerate(parts, 1):
        positive = part.compared.filter((pl.col("cost_fen") > 0) & (pl.col("paid_fen") > 0))
        if positive.is_empty():
            continue
        ends = wan(pl.Series([positive["cost_fen"].min(), positive["cost_fen"].max()]))
        figure.add_scatter(
            x=ends, y=ends, mode="lines", line={"color": INK, "dash": "dash", "width": 1}, name="支付 = 费用",
            legendgroup="same", showlegend=at == 1, hoverinfo="skip", row=1, col=at,
        )  # fmt: skip
        for tier, colour in zip(tiers, COLOURS * len(tiers), strict=False):
            frame = positive.filter(pl.col("tier") == tier)
            figure.add_scatter(
                x=wan(frame["cost_fen"]), y=wan(frame["paid_fen"]), mode="markers", name=tier, legendgroup=tier,
                showlegend=at == 1, text=frame["name"].to_list(), row=1, col=at,
                marker={"color": colour, "size": 9, "opacity": 0.75, "line": {"color": "white", "width": 1}},
                hovertemplate="%{text}<br>费用 %{x:,.2f} 万元<br>支付 %{y:,.2f} 万元<extra></extra>",
            )  # fmt: skip
        wide = ends[0] * DECADE < ends[1]
        ticks, unit = (log_ticks(*ends), "万元（对数刻度）") if wide else ({}, "万元")
        figure.update_xaxes(title_text=f"住院费用，{unit}", row=1, col=at, **ticks)
        figure.update_yaxes(title_text=f"支付，{unit}", row=1, col=at, **ticks)
    note = "虚线以上支付高于费用，以下低于费用；一点为一家医疗机构。"
    note += _WHAT_IS_PAID if any(part.cleared for part in parts) else ""
    return Chart("scatter", "支付与费用散点", note, figure)


def _waterfall(parts: Sequence[ReportPart]) -> Chart | None:
    shown = [part for part in parts if part.flows]
    if not shown:
        return None
    figure = panels([part.label for part in shown], 520, horizontal_spacing=0.08)
    for at, part in enumerate(shown, 1):
        amounts = [round(flow.amount / YI, 4) for flow in part.flows]
        level, levels = 0.0, [0.0]
        for flow, amount in zip(part.flows, amounts, strict=True):
            level = amount if flow.total else level + amount
            levels.append(level)
        figure.add_waterfall(
            x=[flow.label for flow in part.flows],
            y=amounts,
            measure=["total" if flow.total else "relative" for flow in part.flows],
            text=[step_text(flow.amount) for flow in part.flows],
            textposition="outside",
            constraintext="none",
            cliponaxis=False,
            connector={"line": {"color": "#aab4bf", "width": 1}},
            increasing={"marker": {"color": GAIN}},
            decreasing={"marker": {"color": LOSS}},
            totals={"marker": {"color": PAID}},
            hovertemplate="%{x}<br>%{y:.4f} 亿元<extra></extra>",
            showlegend=False,
            row=1,
            col=at,
        )
        figure.update_xaxes(tickangle=-40, tickfont={"size": 12}, type="category", row=1, col=at)
        # Room for the texts above the highest bar and below the lowest.
        room = 0.08 * (max(levels) - min(levels))
        ends = [min(levels) - room, max(levels) + room]
        figure.update_yaxes(title_text="亿元" if at == 1 else "", range=ends, row=1, col=at)
    return Chart("waterfall", "从预算到清算差额", "亿元，小额注明万、元；蓝色为余额，绿色为加，红色为减。", figure)


def _outliers(parts: Sequence[ReportPart]) -> Chart | None:
    if not any(part.tiers.height for part in parts):
        return None
    figure = panels([part.label for part in parts], 430, horizontal_spacing=0.08)
    for at, part in enumerate(parts, 1):
        all_cases = dict(part.tiers.group_by("tier").agg(pl.col("cases").sum()).iter_rows())
        normal = dict(part.tiers.filter(pl.col("case_kind") == "normal").select("tier", "cases").iter_rows())
        order = list(dict.fromkeys(part.tiers["tier"].to_list()))
        labels = [f"{tier}<br>正常 {per_cent(normal.get(tier, 0), all_cases[tier]):.1f}%" for tier in order]
        for kind in (*OUTLIERS, "other"):
            cases = dict(part.tiers.filter(pl.col("case_kind") == kind).select("tier", "cases").iter_rows())
            if kind == "extreme" and not any(p.tiers.filter(pl.col("case_kind") == kind)["cases"].sum() for p in parts):
                continue
            shares = [per_cent(cases.get(tier, 0), all_cases[tier]) for tier in order]
            figure.add_bar(
                x=labels, y=shares, name=KIND_ZH[kind], legendgroup=kind, showlegend=at == 1, row=1, col=at,
                marker={"color": KIND_COLOURS[kind]}, text=[f"{share:.2f}%" if share else "" for share in shares],
                textposition="outside", cliponaxis=False, customdata=[cases.get(tier, 0) for tier in order],
                hovertemplate=KIND_ZH[kind] + " %{y:.2f}%<br>%{customdata:,} 例<extra></extra>",
            )  # fmt: skip
        figure.update_yaxes(title_text="占病例 %" if at == 1 else "", rangemode="tozero", row=1, col=at)
        figure.update_xaxes(type="category", row=1, col=at)
    note = "各级别病例中低倍率、高倍率和不按病组支付的占比；横轴下为正常倍率的占比。"
    return Chart("outliers", "倍率分布", note, figure)


def _losses(parts: Sequence[ReportPart]) -> Chart | None:
    loss = pl.col("package_fen") - pl.col("cost_fen")
    made = [part.groups.with_columns(loss.alias("value")).filter(pl.col("value") < 0) for part in parts]
    tops = [frame.sort(["value", "group"]).head(TOP) for frame in made]
    if not any(frame.height for frame in tops):
        return None
    figure = _bars(parts, tops, lambda frame: wan(frame["value"]), LOSS, "万元", "%{x:,.2f} 万元")
    return Chart("losses", "亏损最多的病组（病种）", f"按月结时的价格，支付减费用，亏损最多的 {TOP} 个。", figure)


def _volumes(parts: Sequence[ReportPart]) -> Chart | None:
    tops = [part.groups.sort(["cases", "group"], descending=[True, False]).head(TOP) for part in parts]
    if not any(frame.height for frame in tops):
        return None
    figure = _bars(parts, tops, lambda frame: frame["cases"].to_list(), PAID, "例", "%{x:,} 例")
    return Chart("volumes", "病例最多的病组（病种）", f"病例最多的 {TOP} 个。", figure)


def _bars(
    parts: Sequence[ReportPart],
    tops: Sequence[pl.DataFrame],
    values: Callable[[pl.DataFrame], list[float]],
    colour: str,
    unit: str,
    hover: str,
) -> go.Figure:
    figure = panels(
        [part.label for part in parts], 110 + 26 * max(frame.height for frame in tops), horizontal_spacing=0.22
    )
    for at, frame in enumerate(tops, 1):
        labels = [short(f"{group} {name}".strip()) for group, name in frame.select("group", "name").iter_rows()]
        figure.add_bar(
            x=values(frame), y=labels, orientation="h", marker={"color": colour}, showlegend=False, row=1, col=at,
            text=frame["name"].to_list(), textposition="none", customdata=frame["cases"].to_list(),
            hovertemplate="%{y}<br>%{text}<br>" + hover + "<br>%{customdata:,} 例<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(autorange="reversed", tickfont={"size": 11}, type="category", row=1, col=at)
        figure.update_xaxes(title_text=unit, row=1, col=at)
    return figure


def _months(parts: Sequence[ReportPart]) -> Chart | None:
    shown = [part for part in parts if part.months.height]
    if not shown:
        return None
    figure = panels([part.label for part in shown], 420, horizontal_spacing=0.08)
    lines = (("paid_fen", "已拨付", PAID), ("held_fen", "质量保证金", COLOURS[1]))
    for at, part in enumerate(shown, 1):
        months = part.months["month"].to_list()
        due = part.months["due_fen"] + part.months["correction_fen"]
        figure.add_bar(
            x=months, y=wan(due), name="结算应付", legendgroup="due", showlegend=at == 1, row=1, col=at,
            marker={"color": "#d5dde5"}, hovertemplate="%{x}<br>结算应付 %{y:,.2f} 万元<extra></extra>",
        )  # fmt: skip
        for column, name, colour in lines:
            figure.add_scatter(
                x=months, y=wan(part.months[column]), name=name, legendgroup=column, showlegend=at == 1, row=1, col=at,
                mode="lines+markers", line={"color": colour, "width": 2},
                hovertemplate="%{x}<br>" + name + " %{y:,.2f} 万元<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(type="category", tickangle=-40, row=1, col=at)
        figure.update_yaxes(title_text="万元" if at == 1 else "", rangemode="tozero", row=1, col=at)
    note = "柱为当月结算应付（含更正），线为当月拨付和留存的质量保证金。"
    return Chart("months", "月度结算与拨付", note, figure)
