"""The yearly page: one HTML file with everything in it, to be opened without a network and printed as it is."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from api.core.report import STATEMENT_AMOUNTS, ReportPart
from api.web.chart_page import MARK, chart_page, chart_section
from api.web.charts import charts
from api.web.figures import WAN
from budget.money import yuan_text

LABELS = {
    "hospital": "医疗机构", "pool": "基金池", "cases": "病例", "points": "点数（分值）", "entitlement": "应得",
    "retained": "其中留用结余", "shared": "超支分担", "deposit": "保证金", "assessment": "考核返还",
    "deductions": "扣减", "borne": "医共体超支分担", "prepaid": "已付", "balance": "清算差额",
}  # fmt: skip
_AMOUNTS = "金额单位见各图；逐例和逐项结果见账册与清算结果。"
_SYNTHETIC = f"{MARK}，不代表任何地区。{_AMOUNTS}"


def report_page(title: str, parts: Sequence[ReportPart]) -> str:
    """The page as HTML text. The same parts give the same text."""
    made = charts(parts)
    synthetic = any(part.synthetic for part in parts)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="about">{escape(_SYNTHETIC if synthetic else _AMOUNTS)}</p>',
        '<div class="parts">' + "".join(_numbers(part) for part in parts) + "</div>",
        *(chart_section(chart) for chart in made),
        *(_statement(part) for part in parts if part.statement.height),
    ]
    return chart_page(title, body, made, synthetic=synthetic)


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
    if not part.hospitals.height:  # a clearing without its book tells nothing of the cases but how many there were
        cells = [("清算病例", f"{sums['cleared_cases']:,}")]
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
