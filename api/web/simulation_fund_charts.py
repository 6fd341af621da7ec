"""Charts of what a reform does to the fund: its balance, months of reserve, coming years, flows between groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go
import polars as pl

from api.web.figures import (
    FONT,
    GAIN,
    INK,
    LOSS,
    MODEBAR,
    WAN,
    YI,
    Chart,
    hatched,
    panels,
    per_cent,
    short,
    signed,
    step_text,
    wan,
    wrapped,
)
from api.web.simulation_tables import STATES, at_stage, numbers, plain, stages
from budget.compare_frames import ALL_POOLS, TIERS

LINKS = 30
"""So many of the largest flows between groups are drawn one by one."""
OTHER = "其他"
_NARROW_STEPS = 4
_FAR = 5
"""An interval so many times its width away from 0 is shown from nearby."""
_BEFORE, _AFTER = "#9aa9b8", "#1f77b4"
_MORE, _LESS, _TOTAL = "#e08e36", "#5aa9d6", "#6b7a89"
_MOVED = {1: "rgba(58,143,92,.42)", -1: "rgba(200,85,61,.42)", 0: "rgba(150,160,170,.35)"}
_GAP_BESIDE = "\u2002" * 8
_FAN_95, _FAN_50 = "rgba(31,119,180,.16)", "rgba(31,119,180,.34)"


def fund_charts(tables: Mapping[str, pl.DataFrame]) -> list[Chart]:
    """Every chart of the fund that the tables have numbers for."""
    made: list[Chart | None] = []
    if "gain" in tables:
        made.append(_by_tier(tables["gain"], tables.get("fund")))
    if "steps" in tables:
        made.append(_by_step(tables["steps"]))
    if "fund" in tables:
        made += [_balances(tables["fund"]), _months(tables["fund"])]
    if "fan" in tables:
        pools = tables["fan"]["pool"].unique(maintain_order=True).to_list()
        bounds = [fen for name in ("low95", "high95") for fen in tables["fan"][name].drop_nulls()]
        made += [_fan(tables["fan"], pool, at, *money_unit(bounds)) for at, pool in enumerate(pools, 1)]
    if "transition" in tables:
        made.append(_transition(tables["transition"]))
    return [chart for chart in made if chart is not None]


def money_unit(fen: Sequence[int]) -> tuple[int, str]:
    """The unit in which the largest of the amounts is easy to read, in fen and by name."""
    return (YI, "亿元") if max((abs(amount) for amount in fen), default=0) >= YI else (WAN, "万元")


def _by_tier(gain: pl.DataFrame, fund: pl.DataFrame | None) -> Chart | None:
    """From the fund's balance before to the balance after by tier; from its spending where nothing is cleared."""
    stage = stages(gain)[-1]
    rows = at_stage(gain, "tier", stage)
    if rows.is_empty():
        return None
    places = {tier: at for at, tier in enumerate(TIERS)}
    told = rows.sort("label").select("key", "label", "change_fen").iter_rows()
    parts = [(label, change) for _, label, change in sorted(told, key=lambda row: places.get(row[0], len(TIERS)))]
    ends = None if fund is None or stage == "fund" else _balance_of(fund)
    if ends is None:
        first, last, sign = int(rows["before_fen"].sum()), int(rows["after_fen"].sum()), 1
    else:
        (first, last), sign = ends, -1
    steps = [(label, sign * change) for label, change in parts if change]
    rest = last - first - sum(change for _, change in steps)
    # Deductions kept and what is granted during the year move the balance, but nobody's payment.
    steps += [("扣减与调剂", rest)] if rest else []
    title = "从改革前到改革后：按医院级别"
    return _waterfall("waterfall", title, (first, last), steps, balance=ends is not None)


def _balance_of(fund: pl.DataFrame) -> tuple[int, int] | None:
    """The fund's balance before and after: of all pools together, else the sum of the pools."""
    found = []
    for state in STATES:
        rows = fund.filter(pl.col("state") == state)
        whole = rows.filter(pl.col("pool") == ALL_POOLS)
        rows = whole if whole.height else rows
        if rows.is_empty() or rows["balance_fen"].null_count():
            return None
        found.append(int(rows["balance_fen"].sum()))
    return found[0], found[1]


def _by_step(steps: pl.DataFrame) -> Chart | None:
    """The same way reform by reform, where there is more than one step."""
    rows = steps.sort("step")
    balance = rows["balance_fen"].null_count() == 0
    levels = rows["balance_fen" if balance else "fund_fen"].to_list()
    if len(levels) < 3:
        return None
    changes = [after - before for before, after in pairwise(levels)]
    parts = list(zip(rows["label"].to_list()[1:], changes, strict=True))
    return _waterfall("steps", "从改革前到改革后：逐项改革", (levels[0], levels[-1]), parts, balance=balance)


def _waterfall(
    key: str, title: str, ends: tuple[int, int], steps: Sequence[tuple[str, int]], *, balance: bool
) -> Chart:
    what = "当年结余" if balance else "基金支出"
    first, last = ends
    level, levels = first, [first]
    for _, change in steps:
        level += change
        levels.append(level)
    assert level == last, f"{title}: the steps sum to {level}, not {last}"
    unit, name = money_unit(levels)
    spread = max(levels) - min(levels)
    # Small changes of a large amount: the axis begins near them, the two ends would hide them.
    near = bool(spread) and 10 * spread < min(abs(level) for level in levels) and min(levels) * max(levels) > 0
    low, high = (min(levels), max(levels)) if near else (min(0, *levels), max(0, *levels))
    pad = 0.16 * ((high - low) or 1)
    texts = [_text(first, unit), *(f"{'+' if change > 0 else ''}{_text(change, unit)}" for _, change in steps)]
    figure = panels([""], 460)
    figure.add_waterfall(
        x=list(range(len(steps) + 2)), y=[round(fen / unit, 4) for fen in (first, *(c for _, c in steps), last)],
        measure=["absolute", *("relative" for _ in steps), "total"], text=[*texts, _text(last, unit)],
        textposition="outside", constraintext="none", cliponaxis=False, showlegend=False,
        connector={"line": {"color": "#aab4bf", "width": 1}}, totals={"marker": {"color": _TOTAL}},
        increasing={"marker": {"color": GAIN if balance else _MORE}},
        decreasing={"marker": {"color": LOSS if balance else _LESS}},
        customdata=[plain(f"改革前{what}"), *(plain(label) for label, _ in steps), plain(f"改革后{what}")],
        hovertemplate="%{customdata}<br>%{y:,.4f} " + name + "<extra></extra>",
    )  # fmt: skip
    wide = len(steps) > _NARROW_STEPS
    fits = max(8, (130 if wide else 60) // (len(steps) + 2))
    # Labels do not lean; they are broken into lines.
    words = [f"改革前<br>{what}", *(wrapped(label, fits) for label, _ in steps), f"改革后<br>{what}"]
    figure.update_xaxes(tickmode="array", tickvals=list(range(len(words))), ticktext=words, tickfont={"size": 12})
    figure.update_xaxes(zeroline=False, showgrid=False, tickangle=0)
    figure.update_yaxes(title_text=name, range=[(low - pad) / unit if low < 0 or near else 0, (high + pad) / unit])
    colours = "绿色为结余增加，红色为减少" if balance else "橙色为支出增加，浅蓝为减少"
    small = "，小额注明万、元" if unit == YI else ""
    note = f"{what}，{name}{small}；{colours}。" + ("纵轴不从 0 起。" if near else "")
    return Chart(key, title, note, figure, narrow=not wide)


def _text(fen: int, unit: int) -> str:
    """An amount in the unit of the axis; where 亿元 would show as nothing, in 万元 or 元."""
    return step_text(fen) if unit == YI else f"{fen / unit:,.2f}"


def _pairs(fund: pl.DataFrame, column: str) -> tuple[list[str], dict[str, list[float | None]]]:
    """Pools and, before and after, the numbers of one column; pools that know neither are left out."""
    known = fund.filter(pl.col(column).is_not_null())
    pools = known["pool"].unique(maintain_order=True).to_list()
    found: dict[str, list[float | None]] = {}
    for state in STATES:
        cells = dict(known.filter(pl.col("state") == state).select("pool", column).iter_rows())
        found[state] = [None if pool not in cells else float(cells[pool]) for pool in pools]
    return pools, found


def _balances(fund: pl.DataFrame) -> Chart | None:
    pools, found = _pairs(fund, "balance_fen")
    if not pools:
        return None
    unit, name = money_unit([int(cell) for cells in found.values() for cell in cells if cell is not None])
    scaled = {state: [None if cell is None else round(cell / unit, 4) for cell in found[state]] for state in STATES}
    figure = _before_after(pools, scaled, lambda value: f"{value:,.2f}", name)
    return Chart("balances", "基金当年结余", f"{name}；0 以下为当年超支。", figure, narrow=True)


def _months(fund: pl.DataFrame) -> Chart | None:
    pools, found = _pairs(fund, "reserve_months")
    if not pools:
        return None
    shown = {state: [None if cell is None else round(cell, 2) for cell in found[state]] for state in STATES}
    figure = _before_after(pools, shown, lambda value: f"{value:.1f}", "个月")
    return Chart("months", "累计结余可支付月数", "年末累计结余除以当年月均支出。", figure, narrow=True)


def _before_after(
    pools: Sequence[str], found: Mapping[str, list[float | None]], text: Callable[[float], str], unit: str
) -> go.Figure:
    """Bars of each pool before (pale, hatched) and after (full)."""
    figure = panels([""], 420)
    for state, colour in (("before", _BEFORE), ("after", _AFTER)):
        figure.add_bar(
            x=[plain(pool) for pool in pools], y=found[state], name=STATES[state],
            marker={"color": colour, "pattern": hatched([state == "before"] * len(pools))},
            text=["" if value is None else text(value) for value in found[state]], textposition="outside",
            textfont={"size": 12, "color": INK}, cliponaxis=False, constraintext="none",
            hovertemplate="%{x}<br>" + STATES[state] + " %{y:,.2f} " + unit + "<extra></extra>",
        )  # fmt: skip
    values = [value for cells in found.values() for value in cells if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    pad = 0.12 * ((high - low) or 1.0)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text=unit, range=[low - pad * (low < 0), high + pad * (high > 0 or low == 0)])
    return figure


def _fan(fan: pl.DataFrame, pool: str, at: int, unit: int, name: str) -> Chart:
    """The fund's balance of the coming years: middle 50 % and 95 % of the resamples about the median."""
    rows = fan.filter(pl.col("pool") == pool).sort("year")
    if rows.height == 1:
        return _one_year(rows, pool, at, unit, name)
    years = [str(year) for year in rows["year"]]
    figure = panels([""], 420)
    for low, high, colour, share in (("low95", "high95", _FAN_95, "95%"), ("low50", "high50", _FAN_50, "50%")):
        figure.add_scatter(
            x=[*years, *reversed(years)], mode="lines", fill="toself", fillcolor=colour, hoverinfo="skip",
            y=[*numbers(rows[low], unit, 4), *reversed(numbers(rows[high], unit, 4))],
            line={"width": 0}, name=f"{share} 区间",
        )  # fmt: skip
    told = list(zip(*(numbers(rows[name_of], unit, 4) for name_of in ("low95", "high95")), strict=True))
    figure.add_scatter(
        x=years, y=numbers(rows["median"], unit, 4), mode="lines+markers", name="中位数",
        line={"color": _AFTER, "width": 2.5}, customdata=told,
        hovertemplate="%{x} 年<br>中位数 %{y:,.2f} " + name
        + "<br>95% 区间 %{customdata[0]:,.2f} 到 %{customdata[1]:,.2f}<extra></extra>",
    )  # fmt: skip
    figure.add_hline(y=0, line={"color": LOSS, "width": 1.2})
    figure.update_xaxes(type="category", title_text="年度")
    figure.update_yaxes(title_text=f"当年结余，{name}")
    note = "改革后；由重抽样和增长情景推算；红线以下为当年超支。"
    return Chart(f"fan-{at}", f"基金结余展望：{pool}", note, figure, narrow=True)


def _one_year(rows: pl.DataFrame, pool: str, at: int, unit: int, name: str) -> Chart:
    """The fan of a single year, which has no width: the median and two spans across it."""
    year, figure = str(rows["year"][0]), panels([""], 420)
    middle = numbers(rows["median"], unit, 4)[0]
    for low, high, colour, share in (("low95", "high95", _FAN_95, "95%"), ("low50", "high50", _FAN_50, "50%")):
        ends = [numbers(rows[end], unit, 4)[0] for end in (low, high)]
        figure.add_bar(
            x=[year], base=[ends[0]], y=[round(ends[1] - ends[0], 4)], width=0.12, marker={"color": colour},
            name=f"{share} 区间", customdata=[ends],
            hovertemplate=f"{share} 区间 %{{customdata[0]:,.2f}} 到 %{{customdata[1]:,.2f}} {name}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=[year], y=[middle], mode="markers+text", name="中位数", text=[_GAP_BESIDE + f"{middle:,.2f}"],
        textposition="middle right", textfont={"size": 12, "color": INK}, marker={"color": _AFTER, "size": 9},
        hovertemplate="%{x} 年<br>中位数 %{y:,.2f} " + name + "<extra></extra>",
    )  # fmt: skip
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(type="category", title_text="年度")
    figure.update_yaxes(title_text=f"当年结余，{name}")
    bottom, top = (numbers(rows[end], unit, 4)[0] for end in ("low95", "high95"))
    far = 0 < _FAR * (top - bottom) < max(bottom, -top)
    if far:
        # Seen from 0 the intervals would be a line.
        figure.update_yaxes(range=[round(1.5 * bottom - 0.5 * top, 4), round(1.5 * top - 0.5 * bottom, 4)])
    else:
        figure.add_hline(y=0, line={"color": LOSS, "width": 1.2})
    sign = "当年结余" if bottom > 0 else "当年超支"
    note = "改革后；由重抽样推算；" + (f"纵轴不从 0 起，都为{sign}。" if far else "红线以下为当年超支。")
    return Chart(f"fan-{at}", f"基金结余展望：{pool}", note, figure, narrow=True)


def _transition(transition: pl.DataFrame) -> Chart:
    """Which group the cases of each group move to: the largest flows by cost, what is left of each group as 其他. What
    stays in a group of the same code is drawn only where nothing moves."""
    order = ["cost_fen", "group_before", "group_after"]
    other = transition.filter(pl.col("group_before") != pl.col("group_after"))
    rows = (other if other.height else transition).sort(order, descending=[True, False, False])
    top, rest = rows.head(LINKS), rows.slice(LINKS)
    left, right = (top[name].unique(maintain_order=True).to_list() for name in ("group_before", "group_after"))
    own = pl.when(pl.col("group_before").is_in(left)).then("group_before").alias("group_before")
    own_after = pl.when(pl.col("group_after").is_in(right)).then("group_after").alias("group_after")
    sums = [pl.col(name).sum() for name in ("cases", "cost_fen", "package_before_fen", "package_after_fen")]
    merged = rest.with_columns(own, own_after).group_by("group_before", "group_after", maintain_order=True).agg(sums)
    neither = pl.col("group_before").is_null() & pl.col("group_after").is_null()
    unseen, whole = merged.filter(neither), int(transition["cost_fen"].sum())
    # Where much of the money is in small flows they would leave no room for the ones that are named.
    crowded = 4 * int(unseen["cost_fen"].sum()) > int(rows["cost_fen"].sum())
    drawn = pl.concat([top.select(merged.columns), merged.filter(~neither) if crowded else merged])
    note = f"住院费用最多的 {top.height} 条流向，宽度为费用；其余并入“{OTHER}”；" if rest.height else "宽度为住院费用；"
    note += "绿色为支付增加，红色为减少，灰色变动不到 0.1%；右侧病组名后为支付增减（万元）。"
    if 0 < other.height < transition.height:
        cases = int(transition["cases"].sum()) - int(rows["cases"].sum())
        part = per_cent(whole - int(rows["cost_fen"].sum()), whole)
        note += f"前后病组编码相同的 {cases:,} 例（费用的 {part:.1f}%）未画。"
    if crowded:
        cases, cost = int(unseen["cases"][0]), int(unseen["cost_fen"][0])
        note += f"另有 {cases:,} 例（费用的 {per_cent(cost, whole):.1f}%）两头都在未列出的病组，未画，见表格文件。"
    return Chart("transition", "分组变化：病例从哪个病组到哪个病组", note, _sankey(drawn, rows))


def _sign(change: int, before: int) -> int:
    """1 more, -1 less, 0 where it moved by less than a thousandth."""
    return 0 if 1000 * abs(change) < abs(before) or not change else 1 if change > 0 else -1


def _sankey(drawn: pl.DataFrame, rows: pl.DataFrame) -> go.Figure:
    """The diagram; a null group is the rest of its side."""
    sides = []
    for state in STATES:
        names = dict(rows.select(f"group_{state}", f"name_{state}").unique(maintain_order=True).iter_rows())
        codes = drawn[f"group_{state}"].unique(maintain_order=True).to_list()
        sides.append({code: f"{code} {names.get(code) or ''}".strip() if code else OTHER for code in codes})
    before, after = sides
    place_before = {code: at for at, code in enumerate(before)}
    place_after = {code: at for at, code in enumerate(after, len(before))}
    change = drawn["package_after_fen"] - drawn["package_before_fen"]
    moved = drawn.with_columns(change.alias("change"))
    gained = dict(moved.group_by("group_after").agg(pl.col("change").sum()).iter_rows())
    labels = [plain(short(text)) for text in before.values()]
    labels += [f"{plain(short(text))}　{signed(gained[code] / WAN, 1)}" for code, text in after.items()]
    money = [wan(moved[name]) for name in ("package_before_fen", "package_after_fen")]
    figure = go.Figure()
    figure.update_layout(
        template="none", height=140 + 30 * max(len(before), len(after)), margin={"l": 20, "r": 20, "t": 30, "b": 20},
        font={"family": FONT, "size": 12, "color": INK}, paper_bgcolor="rgba(0,0,0,0)", modebar=MODEBAR,
    )  # fmt: skip
    figure.add_sankey(
        arrangement="snap", valueformat=",.2f", valuesuffix=" 万元", textfont={"size": 12, "color": INK},
        node={"label": labels, "pad": 18, "thickness": 14, "color": "#6b7a89", "line": {"width": 0},
              "hovertemplate": "%{label}<br>住院费用 %{value}<extra></extra>"},
        link={
            "source": [place_before[code] for code in moved["group_before"]],
            "target": [place_after[code] for code in moved["group_after"]],
            "value": wan(moved["cost_fen"]),
            "color": [_MOVED[_sign(*pair)] for pair in moved.select("change", "package_before_fen").iter_rows()],
            "customdata": list(zip(moved["cases"].to_list(), *money, wan(moved["change"]), strict=True)),
            "hovertemplate": "%{source.label} → %{target.label}<br>%{customdata[0]:,} 例，费用 %{value}<br>"
            "支付 %{customdata[1]:,.2f} → %{customdata[2]:,.2f} 万元（%{customdata[3]:+,.2f}）<extra></extra>",
        },
    )  # fmt: skip
    return figure
