"""The yearly page: one HTML file with everything in it, to be opened without a network and printed as it is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.io
import polars as pl
from plotly.offline import get_plotlyjs

from api.core.report import STATEMENT_AMOUNTS, ReportPart
from api.web.charts import FONT, WAN, Chart, charts
from budget.money import yuan_text

MARK = "合成数据"
LABELS = {
    "hospital": "医疗机构", "pool": "基金池", "cases": "病例", "points": "点数（分值）", "entitlement": "应得",
    "retained": "其中留用结余", "shared": "超支分担", "deposit": "保证金", "assessment": "考核返还",
    "deductions": "扣减", "prepaid": "已付", "balance": "清算差额",
}  # fmt: skip
_AMOUNTS = "金额单位见各图；逐例和逐项结果见账册与清算结果。"
_SYNTHETIC = f"{MARK}，不代表任何地区。{_AMOUNTS}"
_CONFIG = '{"displaylogo":false,"responsive":true,"plotlyServerURL":""}'
_STYLE = f"""
:root {{ color-scheme: light; }}
body {{ margin: 0; background: #f4f6f8; color: #243447; font: 15px/1.6 {FONT}; }}
main {{ max-width: 1480px; margin: 0 auto; padding: 24px 28px 60px; }}
h1 {{ font-size: 26px; margin: 0 0 4px; }}
h2 {{ font-size: 18px; margin: 0; }}
.about {{ color: #5b6b7a; margin: 0 0 18px; }}
.parts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 16px; margin-bottom: 16px; }}
.card {{ background: #fff; border: 1px solid #e3e8ee; border-radius: 8px; padding: 16px 20px; margin-bottom: 16px; }}
.parts .card {{ margin: 0; }}
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
@media print {{ body {{ background: #fff; }} .card {{ break-inside: avoid; }} details > * {{ display: table; }} }}
"""


def report_page(title: str, parts: Sequence[ReportPart]) -> str:
    """The page as HTML text. The same parts give the same text."""
    made = charts(parts)
    synthetic = any(part.synthetic for part in parts)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">{escape(_SYNTHETIC if synthetic else _AMOUNTS)}</p>',
        '<div class="parts">' + "".join(_numbers(part) for part in parts) + "</div>",
        *(_section(chart) for chart in made),
        *(_statement(part) for part in parts if part.statement.height),
    ]
    mark = _watermark() if synthetic else ""
    script = "\n".join(_draw(chart) for chart in made)
    return (
        '<!DOCTYPE html>\n<html lang="zh-CN">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n"
        f"<script>{_inline(get_plotlyjs())}</script>\n</head>\n<body>\n{mark}<main>\n"
        + "\n".join(body)
        + f"\n</main>\n<script>\n{script}\n</script>\n</body>\n</html>\n"
    )


def _wan(fen: int) -> str:
    scaled = round(fen / WAN, 2)
    return f"{scaled:,.2f}"


def _numbers(part: ReportPart) -> str:
    sums = part.totals
    paid_share = 100 * sums["package_fen"] / sums["cost_fen"] if sums["cost_fen"] else 0.0
    cells = [
        ("病例", f"{sums['cases']:,}"),
        ("住院费用（万元）", _wan(sums["cost_fen"])),
        ("病组支付（万元）", _wan(sums["package_fen"])),
        ("支付与费用之比", f"{paid_share:.2f}%"),
        ("按项目统筹支付（万元）", _wan(sums["actual_fen"])),
        ("定价统筹支付（万元）", _wan(sums["fund_fen"])),
    ]
    if part.statement.height:
        cells += [
            ("清算应得（万元）", _wan(int(part.statement["entitlement"].sum()))),
            ("年内已付（万元）", _wan(int(part.statement["prepaid"].sum()))),
            ("清算差额（万元）", _wan(int(part.statement["balance"].sum()))),
        ]
    numbers = "".join(f"<div><span>{escape(name)}</span><b>{escape(value)}</b></div>" for name, value in cells)
    about = "　".join(f"{name}：{text}" for name, text in part.about.items())
    note = f'<p class="note">{escape(about)}</p>'
    return f'<div class="card"><h2>{escape(part.label)}</h2><div class="numbers">{numbers}</div>{note}</div>'


def _section(chart: Chart) -> str:
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


def _statement(part: ReportPart) -> str:
    names = dict(part.hospitals.select("hospital_id", "name").iter_rows())
    head = "".join(f"<th>{escape(label)}</th>" for label in LABELS.values())
    rows = []
    for row in part.statement.select(*LABELS).iter_rows(named=True):
        shown = {
            name: yuan_text(value) if name in STATEMENT_AMOUNTS else str(value) for name, value in row.items()
        }  # fmt: skip
        shown["hospital"] = names.get(row["hospital"], row["hospital"])
        negative = {name for name in STATEMENT_AMOUNTS if row[name] < 0}
        cells = "".join(
            f'<td class="negative">{escape(text)}</td>' if name in negative else f"<td>{escape(text)}</td>"
            for name, text in shown.items()
        )
        rows.append(f"<tr>{cells}</tr>")
    summary = f"{escape(part.label)} 清算表（元，{part.statement.height} 行）"
    return (
        f'<section class="card"><details><summary>{summary}</summary>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></details></section>"
    )


def _watermark() -> str:
    places = [(top, left) for top in range(8, 100, 30) for left in range(2 + top % 20, 100, 34)]
    spans = "".join(f'<span style="top:{top}%;left:{left}%">{MARK}</span>' for top, left in places)
    return f'<div class="mark" aria-hidden="true">{spans}</div>\n'


def statement_fen(statement: pl.DataFrame) -> pl.DataFrame:
    """A statement as it is written (yuan as text) with its amounts in fen."""
    fen = [pl.col(name).str.replace(".", "", literal=True).cast(pl.Int64) for name in STATEMENT_AMOUNTS]
    return statement.with_columns(*fen, pl.col("cases").cast(pl.Int64))
