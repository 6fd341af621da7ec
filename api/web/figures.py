"""What all charts are drawn with: colours that also differ in tone and sign, units, an empty figure, texts that fit.

Amounts are shown in 万元 or 亿元; the numbers in a figure are for the eye, sums are made in fen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

FONT = "'Noto Sans CJK SC','Source Han Sans SC','PingFang SC','Microsoft YaHei','Heiti SC',sans-serif"
WAN, YI = 1_000_000, 10_000_000_000
INK, GRID, PAID, LOSS, GAIN = "#243447", "#e3e8ee", "#1f77b4", "#c8553d", "#3a8f5c"
COLOURS = ("#1f77b4", "#e08e36", "#3a8f5c", "#8e63b5", "#c8553d", "#6b7a89")
MODEBAR = {"bgcolor": "rgba(0,0,0,0)", "color": "#c3ccd5", "activecolor": INK}
MOST_BARS, ENDS = 60, 30
"""Above the first number of bars only so many of both ends are drawn one by one."""
DECADE = 10
"""From this spread between the smallest and the largest amount on, an axis is logarithmic."""
_LABEL_WIDTH = 34


@dataclass(frozen=True)
class Chart:
    """`key` names the chart in the page; `title`, `note` stand above it; a narrow one shares its line with another."""

    key: str
    title: str
    note: str
    figure: go.Figure
    narrow: bool = False


def wan(fen: pl.Series) -> list[float]:
    """Fen as 万元 with two decimals."""
    return [round(value / WAN, 2) for value in fen.to_list()]


def panels(titles: Sequence[str], height: int, **options: Any) -> go.Figure:
    """An empty figure with one panel for each title, side by side; `options` go to Plotly's make_subplots."""
    figure = make_subplots(cols=len(titles), rows=1, subplot_titles=titles, **options)
    layout(figure, height)
    return figure


def layout(figure: go.Figure, height: int) -> None:
    """The look that every figure has; `height` in pixels."""
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        margin={"l": 20, "r": 30, "t": 60, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"family": FONT}},
        modebar=MODEBAR,
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
    )
    plain = {"exponentformat": "none", "separatethousands": True, "automargin": True}
    lines = {"gridcolor": GRID, "linecolor": GRID, "zerolinecolor": "#aab4bf"}
    figure.update_xaxes(**plain, **lines)
    figure.update_yaxes(**plain, **lines)


def hatched(flags: Sequence[bool]) -> dict[str, Any]:
    """The pattern of bars of which the marked ones are hatched, so that they differ without colour too."""
    shapes = ["/" if flag else "" for flag in flags]
    return {"shape": shapes, "fillmode": "overlay", "fgcolor": "#ffffff", "fgopacity": 0.85, "size": 6, "solidity": 0.2}


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis of amounts in 万元 with round numbers at its ticks, fewer where it spans many decades."""
    parts = (1, 2, 5) if high < 1000 * low else (1, 3) if high < 100_000 * low else (1,)
    ticks = [part * 10**power for power in range(-4, 8) for part in parts]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{value:,.10g}" for value in ticks], "tickangle": 0}


def text_width(text: str) -> int:
    """How wide a text is in half characters: a Chinese character is as wide as two others."""
    return sum(1 if ord(letter) < 0x2E80 else 2 for letter in text)


def short(text: str, most: int = _LABEL_WIDTH) -> str:
    """As much of a label as fits beside a panel."""
    width = 0
    for at, letter in enumerate(text):
        width += text_width(letter)
        if width > most:
            return text[:at] + "…"
    return text


def wrapped(text: str, most: int = 12, lines: int = 3) -> str:
    """A label in lines of so much width, the rest of a very long one left out; lines end in Plotly's <br>."""
    made, width = [""], 0
    for letter in text:
        wide = text_width(letter)
        if width + wide > most:
            if len(made) == lines:
                made[-1] += "…"
                break
            made.append("")
            width = 0
        made[-1] += letter
        width += wide
    return "<br>".join(escape(line, quote=False) for line in made)


def step_text(fen: int) -> str:
    """An amount in 亿元, or in 万元 or 元 where that would show as nothing."""
    if abs(fen) >= YI // 50:
        return f"{fen / YI:.2f}"
    if abs(fen) >= 10 * WAN:
        return f"{fen / WAN:.0f}万"
    return f"{fen / WAN:.1f}万" if abs(fen) >= WAN // 10 else f"{fen / 100:.0f}元"


def per_cent(part: int, whole: int) -> float:
    """Per cent with two decimals, 0 of nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def signed(amount: float, places: int = 2) -> str:
    """An amount with its sign; nothing is 0 without one."""
    return f"{amount:+,.{places}f}" if round(amount, places) else "0"
