"""Charts of who gains and who loses by a reform: hospitals, groups and other dimensions, how large, how concentrated.

Money in figures is 万元 for the eye. A gain is green and plain, a loss red and hatched, so that they differ without
colour too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import plotly.graph_objects as go
import polars as pl

from api.web.figures import (
    COLOURS,
    DECADE,
    ENDS,
    GAIN,
    INK,
    LOSS,
    MOST_BARS,
    WAN,
    Chart,
    hatched,
    log_ticks,
    panels,
    short,
    signed,
    text_width,
    wan,
)
from api.web.simulation_tables import STAGES, apart, at_stage, numbers, plain, stages
from budget.compare_frames import DIMENSIONS

SAME = "#6b7a89"
SYMBOLS = ("circle", "square", "diamond", "cross", "x", "star")
TOP_GROUPS = 15
_NARROW = ("tier", "insurance", "kind", "pool", "county_group", "department", "mdc")
_HALF, _MARK, _NARROW_PIXELS, _WIDE_PIXELS = 5.9, 12, 600, 1240
"""Pixels: half a character of the texts, half a mark with some air, a chart in a pair and one of its own."""
_LABEL, _LONG_LABEL = 34, 52
_SIZE = itemgetter(0)
_NOTHING = "改革前后完全相同，没有增减；增减各图略去。"
_GAP = "\u2002"
"""A space that browsers keep at the beginning of a text too."""
_MANY = 100
_OUTCOMES = (("增加", GAIN, "triangle-up", 1), ("减少", LOSS, "triangle-down", -1), ("不变", SAME, "circle", 0))
_COLOUR_NOTE = "绿色为增加，红色斜纹为减少；条旁为金额（万元）和增减率。"
_RECEIVED = "清算后为实得：应得与分担，减未留用的结余、违规扣款、未返还的保证金和医共体自担部分。"
_BAR_HOVER = (
    "%{customdata[0]}<br>改革前 %{customdata[1]:,.2f} 万元<br>改革后 %{customdata[2]:,.2f} 万元<br>"
    "增减 %{x:+,.2f} 万元（%{customdata[3]}）<br>%{customdata[4]:,} 例<extra></extra>"
)


def gain_charts(tables: Mapping[str, pl.DataFrame]) -> list[Chart]:
    """Every chart of gains that the tables have numbers for."""
    made: list[Chart | None] = []
    if "gain" in tables:
        gain = tables["gain"]
        if not _moved(gain):
            return [chart] if (chart := _scatter(gain, _NOTHING)) is not None else []
        made += [_hospitals(gain), _scatter(gain), _sizes(gain, tables.get("winners"))]
        made += [_dimension(gain, name, wide=wide) for name, wide in _in_pairs(gain)]
        made.append(_dimension(gain, "group", wide=True))
    made += [_deciles(tables["deciles"])] if "deciles" in tables else []
    made += [_lorenz(tables["lorenz"])] if "lorenz" in tables else []
    return [chart for chart in made if chart is not None]


def _moved(gain: pl.DataFrame) -> bool:
    """Is any amount another one after the reform?"""
    ends = ((pl.col(f"{stage}_before_fen"), pl.col(f"{stage}_after_fen")) for stage in stages(gain))
    return bool(gain.select(pl.any_horizontal(before.ne_missing(after).any() for before, after in ends)).item())


def _in_pairs(gain: pl.DataFrame) -> list[tuple[str, bool]]:
    """The narrow dimensions by their number of rows, so that charts side by side are about as tall; one more than fits
    in pairs is as wide as the page (True) and comes last: the one without which the pairs differ least."""
    counted = dict(gain.group_by("dimension").len().iter_rows())
    sizes = sorted(((counted.get(name, 0), name) for name in _NARROW if counted.get(name, 0) > 1), key=_SIZE)
    if len(sizes) % 2 == 0:
        return [(name, False) for _, name in sizes]

    def uneven(without: int) -> int:
        rest = [size for at, (size, _) in enumerate(sizes) if at != without]
        return sum(other - one for one, other in zip(rest[::2], rest[1::2], strict=True))

    alone = min(range(len(sizes)), key=uneven)
    paired = [(name, False) for at, (_, name) in enumerate(sizes) if at != alone]
    return [*paired, (sizes[alone][1], True)]


def change_texts(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """Amount in 万元 and rate in per cent of each change, both with the sign of the exact one, which may be less than
    what is shown; 0 where nothing changes, a dash where there was nothing before."""
    texts = []
    for fen, rate in rows.select("change_fen", "rate").iter_rows():
        sign = "-" if fen < 0 else "+" if fen else ""
        amount = f"{sign}{abs(fen) / WAN:,.2f}" if fen else "0"
        texts.append((amount, "—" if rate is None else f"{sign}{abs(rate):,.2f}%" if fen else "0"))
    return texts


def row_axis(labels: Sequence[str], most: int = _LABEL) -> dict[str, Any]:
    """One line of the vertical axis for each label, from top to bottom; equal labels stay apart."""
    return {
        "tickmode": "array", "tickvals": list(range(len(labels))),
        "ticktext": [plain(short(text, most)) for text in labels], "range": [len(labels) - 0.4, -0.6],
        "tickfont": {"size": 11}, "showgrid": False, "zeroline": False,
    }  # fmt: skip


def room_beside(drawn: Sequence[tuple[float, str]], pixels: float) -> list[float]:
    """The range of an axis so many pixels long where each text has room beyond its value, on the side of its sign."""
    if not any(value for value, _ in drawn):
        return [-1.0, 1.0]
    low, high = (pick([0.0, *(value for value, _ in drawn)]) for pick in (min, max))
    below, above = (
        max([_MARK, *(_HALF * text_width(text) for value, text in drawn if text and (value < 0) == negative)])
        for negative in (True, False)
    )
    scale = (high - low) / max(pixels - below - above, pixels / 4)
    return [round(low - below * scale, 4), round(high + above * scale, 4)]


def _pixels(labels: Sequence[str], most: int, whole: float, columns: int = 1) -> float:
    """About how long the horizontal axis of each panel is beside such labels."""
    beside = _HALF * max(min(text_width(label), most) for label in labels)
    return (whole - beside - 60 * columns) / columns


def ends_of(rows: pl.DataFrame, most: int, ends: int) -> pl.DataFrame:
    """All rows, or those at both ends when there are more than `most`."""
    return rows if rows.height <= most else pl.concat([rows.head(ends), rows.tail(ends)])


def _add_bars(
    figure: go.Figure,
    rows: pl.DataFrame,
    labels: Sequence[str],
    column: int,
    beside: Sequence[float] = (),
    pixels: float = 1.0,
) -> list[tuple[float, str]]:
    """Bars of the change in 万元, amount and rate as text at the end of each, or beyond the mark `beside` it where the
    mark leaves no room on an axis so many pixels long; every text and where it begins."""
    change = wan(rows["change_fen"])
    texts = change_texts(rows)
    rates = [rate for _, rate in texts]
    beyond = [f"{amount}（{rate}）" if amount != "0" else amount for amount, rate in texts]
    gap = _GAP * 2 if beside else _GAP
    before, after = wan(rows["before_fen"]), wan(rows["after_fen"])
    told = [plain(text) for text in labels]
    places = list(range(len(change)))
    figure.add_bar(
        x=change, y=places, orientation="h", showlegend=False, row=1, col=column,
        marker={"color": [GAIN if value >= 0 else LOSS for value in change],
                "pattern": hatched([value < 0 for value in change])},
        customdata=list(zip(told, before, after, rates, rows["cases"].to_list(), strict=True)),
        hovertemplate=_BAR_HOVER,
    )  # fmt: skip
    ends = [
        max(value, mark, 0.0) if value >= 0 else min(value, mark, 0.0)
        for value, mark in zip(change, beside or change, strict=True)
    ]
    said = [f"{gap}{text}" if value >= 0 else f"{text}{gap}" for value, text in zip(change, beyond, strict=True)]
    if beside:
        low, high = room_beside([*zip(ends, said, strict=True), *((mark, "") for mark in beside)], pixels)
        room = [abs(end - value) * pixels / (high - low) - 2 * _MARK for end, value in zip(ends, change, strict=True)]
        ends = [
            value if _HALF * text_width(text) < free else end
            for end, value, text, free in zip(ends, change, said, room, strict=True)
        ]
    figure.add_scatter(
        x=ends, y=places, mode="text", showlegend=False, hoverinfo="skip", cliponaxis=False, row=1, col=column,
        text=said,
        textposition=["middle right" if value >= 0 else "middle left" for value in change],
        textfont={"size": 11, "color": INK},
    )  # fmt: skip
    figure.update_xaxes(title_text="增减，万元", row=1, col=column)
    return list(zip(ends, said, strict=True))


def _hospitals(gain: pl.DataFrame) -> Chart | None:
    """The change of each hospital's money, before clearing and after it side by side in one order."""
    known = stages(gain)
    ordered = at_stage(gain, "hospital", known[-1])
    if ordered.is_empty():
        return None
    shown = ends_of(ordered, MOST_BARS, ENDS)
    labels = apart(shown)
    titles = [f"{STAGES[stage]}：统筹基金支付" for stage in known]
    figure = panels(titles, 130 + 20 * shown.height, horizontal_spacing=0.04, shared_yaxes=True)
    drawn: list[tuple[float, str]] = []
    for at, stage in enumerate(known, 1):
        rows = shown.select("key").join(at_stage(gain, "hospital", stage), on="key", maintain_order="left")
        drawn += _add_bars(figure, rows, labels, at)
    # One scale for both, so that the bars can be compared.
    figure.update_xaxes(range=room_beside(drawn, _pixels(labels, _LABEL, _WIDE_PIXELS, len(known))))
    figure.update_yaxes(**row_axis(labels))
    which = "全部" if shown.height == ordered.height else f"增加、减少最多的各 {ENDS} 家，共 {ordered.height} 家中的"
    note = f"{which}医疗机构，按{STAGES[known[-1]]}的增减排列。{_COLOUR_NOTE}{_RECEIVED if 'cleared' in known else ''}"
    return Chart("hospitals", "各医疗机构增减", note, figure)


def _scatter(gain: pl.DataFrame, said: str = "") -> Chart | None:
    """What each hospital gets after the reform against before, with the line where both are the same."""
    known = stages(gain)
    every = {stage: at_stage(gain, "hospital", stage) for stage in known}
    shown = {
        stage: rows.filter((pl.col("before_fen") > 0) & (pl.col("after_fen") > 0)) for stage, rows in every.items()
    }
    amounts = [fen for rows in shown.values() for fen in (*rows["before_fen"], *rows["after_fen"])]
    if not amounts:
        return None
    wide = min(amounts) * DECADE < max(amounts)
    ticks = log_ticks(min(amounts) / WAN, max(amounts) / WAN)
    axis, unit = (ticks, "万元（对数刻度）") if wide else ({}, "万元")
    figure = panels([STAGES[stage] for stage in known], 600, horizontal_spacing=0.09)
    for at, rows in enumerate(shown.values(), 1):
        ends = [round(fen / WAN, 2) for fen in (min(amounts), max(amounts))]
        figure.add_scatter(
            x=ends, y=ends, mode="lines", line={"color": INK, "dash": "dash", "width": 1}, name="前后相同",
            legendgroup="same", showlegend=at == 1, hoverinfo="skip", row=1, col=at,
        )  # fmt: skip
        for name, colour, symbol, sign in _OUTCOMES:
            part = rows.filter(pl.col("change_fen").sign() == sign)
            if part.is_empty():
                continue
            told = [[plain(label), rate] for label, (_, rate) in zip(apart(part), change_texts(part), strict=True)]
            figure.add_scatter(
                x=wan(part["before_fen"]), y=wan(part["after_fen"]), mode="markers", name=name, legendgroup=name,
                showlegend=at == 1 or name not in {trace.name for trace in figure.data}, customdata=told, row=1, col=at,
                marker={"color": colour, "symbol": symbol, "size": 9 if rows.height < _MANY else 7,
                        "opacity": 0.75, "line": {"color": "white", "width": 0.5}},
                hovertemplate="%{customdata[0]}<br>改革前 %{x:,.2f} 万元<br>改革后 %{y:,.2f} 万元<br>"
                "%{customdata[1]}<extra></extra>",
            )  # fmt: skip
        figure.update_xaxes(title_text=f"改革前统筹基金支付，{unit}", row=1, col=at, **axis)
        figure.update_yaxes(title_text=f"改革后，{unit}" if at == 1 else "", row=1, col=at, **axis)
    note = said or "虚线上的医疗机构前后相同；▲ 在线上方为增加，▼ 在下方为减少。"
    note += "".join(
        f"{STAGES[stage]}有 {lacking} 家改革前或改革后不大于 0，未画。"
        for stage in known
        if (lacking := every[stage].height - shown[stage].height)
    )
    return Chart("scatter", "改革前后对照", note, figure)


def _sizes(gain: pl.DataFrame, winners: pl.DataFrame | None) -> Chart | None:
    """The rate of each hospital's change against its size, by tier."""
    stage = stages(gain)[-1]
    every = at_stage(gain, "hospital", stage)
    rows = every.filter((pl.col("before_fen") > 0) & pl.col("rate").is_not_null())
    if rows.is_empty():
        return None
    tiers = {} if winners is None else dict(winners.select("hospital", "tier").iter_rows())
    rows = rows.with_columns(pl.Series("tier", [tiers.get(key) or "" for key in rows["key"]], dtype=pl.String))
    by_weight = rows.group_by("tier").agg(pl.col("before_fen").mean()).sort(["before_fen", "tier"], descending=True)
    sizes = rows["before_fen"].to_list()
    ticks = log_ticks(min(sizes) / WAN, max(sizes) / WAN)
    axis, unit = (ticks, "万元（对数刻度）") if min(sizes) * DECADE < max(sizes) else ({}, "万元")
    figure = panels([""], 460)
    for at, tier in enumerate(by_weight["tier"]):
        part = rows.filter(pl.col("tier") == tier)
        told = list(zip([plain(text) for text in apart(part)], wan(part["change_fen"]), strict=True))
        figure.add_scatter(
            x=wan(part["before_fen"]), y=part["rate"].to_list(), mode="markers", name=plain(tier) or "医疗机构",
            showlegend=len(by_weight) > 1, customdata=told,
            marker={"color": COLOURS[at % len(COLOURS)], "symbol": SYMBOLS[at % len(SYMBOLS)], "size": 9,
                    "opacity": 0.75, "line": {"color": "white", "width": 0.5}},
            hovertemplate="%{customdata[0]}<br>改革前 %{x:,.2f} 万元<br>增减 %{y:+.2f}%<br>"
            "%{customdata[1]:+,.2f} 万元<extra></extra>",
        )  # fmt: skip
    figure.add_hline(y=0, line={"color": INK, "width": 1, "dash": "dash"})
    figure.update_xaxes(title_text=f"改革前统筹基金支付，{unit}", **axis)
    figure.update_yaxes(title_text="增减率，%", ticksuffix="%")
    note = f"一点为一家医疗机构，{STAGES[stage]}；虚线以上为增加，以下为减少。"
    note += f"{every.height - rows.height} 家改革前不大于 0，未画。" if rows.height < every.height else ""
    return Chart("sizes", "增减率与规模", note, figure)


def _dimension(gain: pl.DataFrame, dimension: str, *, wide: bool) -> Chart | None:
    """The change by the keys of one dimension: bars of the last known stage, a diamond where it was before clearing;
    `wide` as the page or in a pair."""
    known = stages(gain)
    ordered = at_stage(gain, dimension, known[-1])
    if ordered.height < 2:
        return None
    if dimension == "group":
        ordered = ordered.filter(pl.col("change_fen") != 0)
    shown = ends_of(ordered, 2 * TOP_GROUPS, TOP_GROUPS)
    if shown.is_empty():
        return None
    labels = _coded(shown) if dimension in {"group", "mdc"} else apart(shown)
    figure = panels([""], 130 + max(24 * shown.height, 60))
    earlier: list[float] = []
    if len(known) > 1:
        rows = shown.select("key").join(at_stage(gain, dimension, "fund"), on="key", maintain_order="left")
        earlier = wan(rows["change_fen"])
    most, whole = (_LONG_LABEL, _WIDE_PIXELS) if wide else (_LABEL, _NARROW_PIXELS)
    pixels = _pixels(labels, most, whole)
    drawn = _add_bars(figure, shown, labels, 1, earlier, pixels)
    if earlier:
        figure.add_scatter(
            x=earlier, y=list(range(len(earlier))), mode="markers", name="清算前", showlegend=True,
            marker={"symbol": "diamond-open", "size": 9, "color": INK, "line": {"width": 1.5}},
            customdata=[plain(text) for text in labels],
            hovertemplate="%{customdata}<br>清算前 %{x:+,.2f} 万元<extra></extra>",
        )  # fmt: skip
    marks = [(value, "") for value in earlier]
    figure.update_xaxes(range=room_beside([*drawn, *marks], pixels))
    figure.update_yaxes(**row_axis(labels, most))
    figure.update_layout(margin={"t": 40})
    word = DIMENSIONS[dimension]
    which = (
        f"增加、减少最多的各 {TOP_GROUPS} 个，共 {ordered.height} 个有增减。" if shown.height < ordered.height else ""
    )
    diamond = "条为清算后，◇ 为清算前。" if len(known) > 1 else ""
    return Chart(dimension, f"按{word}增减", f"{which}{diamond}{_COLOUR_NOTE}", figure, narrow=not wide)


def _coded(rows: pl.DataFrame) -> list[str]:
    """Code and name of groups, the code once."""
    pairs = rows.select("key", "label").iter_rows()
    return [label if not key or label.startswith(key) else f"{key} {label}" for key, label in pairs]


def last_stage(table: pl.DataFrame) -> str:
    """The stage furthest along the chain that a table tells of."""
    return [stage for stage in STAGES if stage in set(table["stage"].to_list())][-1]


def _deciles(deciles: pl.DataFrame) -> Chart:
    """The rate of gain of ten parts of the hospitals."""
    stage = last_stage(deciles)
    rows = deciles.filter(pl.col("stage") == stage).sort("decile")
    shown, lows, highs = (
        [round(100 * rate, 2) for rate in numbers(rows[name], places=6)] for name in ("rate", "low_rate", "high_rate")
    )
    amounts = wan(rows["after_fen"] - rows["before_fen"])
    figure = panels([""], 420)
    figure.add_bar(
        x=[f"第{decile}组" for decile in rows["decile"]], y=shown, showlegend=False,
        marker={"color": [GAIN if value >= 0 else LOSS for value in shown],
                "pattern": hatched([value < 0 for value in shown])},
        text=[f"{signed(value)}%<br>{signed(amount, 1)}" for value, amount in zip(shown, amounts, strict=True)],
        textposition="outside", textfont={"size": 11, "color": INK}, cliponaxis=False, constraintext="none",
        customdata=list(zip(lows, highs, amounts, rows["hospitals"].to_list(), strict=True)),
        hovertemplate="%{x}：%{customdata[3]} 家<br>增减率 %{y:+.2f}%<br>"
        "%{customdata[0]:+.2f}% 到 %{customdata[1]:+.2f}%<br>%{customdata[2]:+,.2f} 万元<extra></extra>",
    )  # fmt: skip
    figure.update_xaxes(type="category")
    pad = 0.2 * ((max([0.0, *shown]) - min([0.0, *shown])) or 1.0)
    figure.update_yaxes(
        title_text="增减率，%", ticksuffix="%", range=[min([0.0, *shown]) - pad, max([0.0, *shown]) + pad]
    )
    note = f"医疗机构按{STAGES[stage]}增减率从低到高分为十组；柱上为全组的增减率和增减金额（万元）；"
    note += "改革前不大于 0 的没有增减率，不列入。"
    return Chart("deciles", "十分组", note, figure, narrow=True)


def _lorenz(lorenz: pl.DataFrame) -> Chart:
    """On how many hospitals gains and losses fall."""
    stage, told = last_stage(lorenz), []
    figure = panels([""], 420)
    figure.add_scatter(
        x=[0, 100], y=[0, 100], mode="lines", name="平均分摊", hoverinfo="skip",
        line={"color": SAME, "width": 1, "dash": "dot"},
    )  # fmt: skip
    for side, word, colour, dash in (("gained", "增加", GAIN, "solid"), ("lost", "减少", LOSS, "dash")):
        rows = lorenz.filter((pl.col("stage") == stage) & (pl.col("side") == side)).sort("place")
        if rows.is_empty():
            continue
        across, up = ([0.0, *numbers(rows[name], places=6)] for name in ("hospitals_share", "amount_share"))
        if across[:2] == [0.0, 0.0]:
            across, up = across[1:], up[1:]
        told.append(f"{word}合计 {rows['total_fen'][0] / WAN:,.2f} 万元，基尼系数 {float(rows['gini'][0]):.3f}")
        figure.add_scatter(
            x=[round(100 * share, 2) for share in across], y=[round(100 * share, 2) for share in up], mode="lines",
            name=word, line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"{word}较少的 %{{x:.1f}}% 医疗机构<br>占{word}金额的 %{{y:.1f}}%<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="医疗机构占比（从少到多），%", range=[0, 100])
    figure.update_yaxes(title_text="金额占比，%", range=[0, 101])
    note = f"{STAGES[stage]}；曲线离点线越远，越集中在少数医疗机构。{'；'.join(told)}。"
    return Chart("lorenz", "增减的集中程度（洛伦兹曲线）", note, figure, narrow=True)
