"""One HTML file of charts and tables with everything in it, to be opened without a network and printed as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import plotly.io
from plotly.offline import get_plotlyjs

from api.web.figures import FONT, Chart

MARK = "合成数据"
_CONFIG = (
    '{"displaylogo":false,"responsive":true,"plotlyServerURL":"","showSendToCloud":false,"locale":"zh-CN",'
    '"modeBarButtonsToRemove":["select2d","lasso2d","autoScale2d","zoomIn2d","zoomOut2d"]}'
)
"""Nothing of a figure may be sent anywhere, nor a button offer it."""
_WORDS = {
    "Download plot as a PNG": "下载图片", "Download plot": "下载图片", "Zoom": "框选放大", "Pan": "平移",
    "Reset axes": "还原坐标轴", "Reset": "还原", "Double-click to zoom back out": "双击还原",
    "Taking snapshot - this may take a few seconds": "正在生成图片", "Snapshot succeeded": "图片已生成",
    "Sorry, there was a problem downloading your snapshot!": "图片未能生成", "Reset view": "还原",
    "Double-click on legend to isolate one trace": "双击图例只看一项",
}  # fmt: skip
"""What Plotly's own buttons say."""
_SHEET_WIDTH, _SHEET_CHART, _SHEET_SCALE = 1485, 850, 0.7
"""In print the page is laid out so wide and no chart is higher (pixels); scaled down it fits A4 across."""
_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0; background: #f4f6f8; color: #243447; font: 15px/1.6 {FONT}; }}
main {{ max-width: 1480px; margin: 0 auto; padding: 24px 28px 60px; }}
h1 {{ font-size: 26px; margin: 0 0 4px; }}
h2 {{ font-size: 18px; margin: 0; }}
.about {{ color: #5b6b7a; margin: 0 0 18px; }}
.parts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; margin-bottom: 16px; }}
.pair {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; margin-bottom: 16px; }}
.card {{ background: #fff; border: 1px solid #e3e8ee; border-radius: 8px; padding: 16px 20px; margin-bottom: 16px; }}
.parts .card, .pair .card {{ margin: 0; }}
.numbers {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px 16px; margin: 10px 0 6px; }}
.numbers b {{ display: block; font-size: 19px; font-variant-numeric: tabular-nums; }}
.numbers span, .note {{ color: #5b6b7a; font-size: 13px; }}
.note {{ margin: 2px 0 6px; }}
details {{ overflow-x: auto; }}
summary {{ cursor: pointer; font-weight: 600; padding: 4px 0; }}
table {{ border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 4px 8px; border-bottom: 1px solid #e3e8ee; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
.negative {{ color: #b3402a; }}
.mark {{ position: fixed; inset: 0; pointer-events: none; z-index: 9; overflow: hidden; }}
.mark span {{ position: absolute; transform: rotate(-28deg); font-size: 64px; white-space: nowrap; }}
.mark span {{ color: #b3402a; opacity: .07; }}
@media screen and (max-width: 1300px) {{ .pair {{ grid-template-columns: minmax(0, 1fr); }} }}
@page {{ size: A4 landscape; margin: 10mm; }}
@media print {{ .modebar {{ display: none; }} body {{ background: #fff; }} h2, h3 {{ break-after: avoid; }}
  main {{ padding: 0; width: {_SHEET_WIDTH}px; zoom: {_SHEET_SCALE}; }}
  .card {{ break-inside: avoid; padding: 8px 0; border: none; }} }}
"""
_SHEET = f"""
let opened = [];
const sheet = on => {{ for (const chart of document.querySelectorAll(".js-plotly-plot")) {{
  chart.full ??= chart.layout.height;
  const width = chart.closest(".pair") ? {_SHEET_WIDTH // 2 - 8} : {_SHEET_WIDTH};
  const size = on ? {{autosize: false, width: width, height: Math.min(chart.full, {_SHEET_CHART})}}
    : {{autosize: true, width: null, height: chart.full}};
  if (chart.querySelector(".sankey")) Plotly.newPlot(chart, chart.data, {{...chart.layout, ...size}}, {_CONFIG});
  else Plotly.relayout(chart, size); }} }};
addEventListener("beforeprint", () => {{ sheet(true);
  opened = [...document.querySelectorAll("details:not([open])")]; for (const part of opened) part.open = true; }});
addEventListener("afterprint", () => {{ sheet(false); for (const part of opened) part.open = false; }});
"""
"""For print the charts are as wide as the paper and folded tables open; a flow chart is drawn anew, as it would move to
its new size too slowly."""


def chart_page(
    title: str, body: Sequence[str], drawn: Sequence[Chart], *, synthetic: bool, style: str = "", script: str = ""
) -> str:
    """The page as HTML text: `body` is HTML with a `chart_section` for each chart of `drawn`; `style` is added to the
    common one, `script` runs after the charts. What is synthetic carries a mark. The same parts give the same text."""
    mark = _watermark() if synthetic else ""
    words = _inline(json.dumps(_WORDS, ensure_ascii=False))
    locale = f'Plotly.register({{moduleType: "locale", name: "zh-CN", dictionary: {words}}});'
    scripts = "\n".join([locale, *(_draw(chart) for chart in drawn), _SHEET.strip(), *([script] if script else [])])
    return (
        '<!DOCTYPE html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n"
        f"<script>{_inline(get_plotlyjs())}</script>\n</head>\n<body>\n{mark}<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>\n{scripts}\n</script>\n</body>\n</html>\n"
    )


def chart_section(chart: Chart) -> str:
    """The card that a chart is drawn into."""
    return (
        f'<section class="card"><h2>{escape(chart.title)}</h2><p class="note">{escape(chart.note)}</p>'
        f'<div id="chart-{chart.key}"></div></section>'
    )


def _draw(chart: Chart) -> str:
    figure = _inline(plotly.io.to_json(chart.figure, engine="json", validate=False))
    return f'{{const f = {figure}; Plotly.newPlot("chart-{chart.key}", f.data, f.layout, {_CONFIG});}}'


def _inline(script: str) -> str:
    """Script text that cannot end the element it stands in."""
    return script.replace("</", "<\\/").replace("<!--", "<\\!--")


def _watermark() -> str:
    places = [(top, left) for top in range(8, 100, 30) for left in range(2 + top % 20, 100, 34)]
    spans = "".join(f'<span style="top:{top}%;left:{left}%">{MARK}</span>' for top, left in places)
    return f'<div class="mark" aria-hidden="true">{spans}</div>\n'
