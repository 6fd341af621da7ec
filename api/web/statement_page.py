"""A hospital's clearing statement as one print-ready page: A4, totals, how each figure came about, the proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from api.core.clearing_statement import KIND_HEADER, HospitalStatement, PoolStatement
from budget.money import yuan_text

WATERMARK = "合成数据"
STYLE = """
@page { size: A4; margin: 16mm 14mm; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.5 "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", sans-serif;
  color: #1c2733; margin: 0 auto; max-width: 182mm; padding: 6mm 0; }
h1 { font-size: 16pt; text-align: center; margin: 0 0 2mm; }
h2 { font-size: 12pt; margin: 7mm 0 2mm; padding-bottom: 1mm; border-bottom: 1.5pt solid #1f4e79; color: #1f4e79; }
p.head { text-align: center; color: #55606b; margin: 0 0 5mm; }
table { width: 100%; border-collapse: collapse; margin: 2mm 0 4mm; page-break-inside: auto; }
tr { page-break-inside: avoid; }
th, td { border-bottom: 0.5pt solid #c8d0d8; padding: 1.2mm 2mm; text-align: left; vertical-align: top; }
th { background: #eaf1f7; font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.how { color: #55606b; font-size: 9pt; }
tr.total td { font-weight: 700; background: #f4f7fa; border-top: 1pt solid #1f4e79; }
.sum { display: flex; justify-content: space-between; border: 1.2pt solid #1f4e79; padding: 3mm 4mm; margin: 4mm 0;
  font-size: 12pt; font-weight: 700; }
.sign { display: flex; justify-content: space-between; margin-top: 14mm; page-break-inside: avoid; }
footer { margin-top: 8mm; border-top: 0.5pt solid #c8d0d8; padding-top: 2mm; font-size: 7.5pt; color: #6b7680;
  overflow-wrap: anywhere; }
.watermark { position: fixed; inset: 0; display: flex; align-items: center; justify-content: center;
  font-size: 80pt; color: rgba(192, 57, 43, 0.10); transform: rotate(-30deg); pointer-events: none; z-index: 9; }
@media print { body { padding: 0; max-width: none; } th, tr.total td { print-color-adjust: exact; } }
"""
SIGN = "".join(
    f"<span>{text}</span>" for text in ("医保经办机构（盖章）：", "医疗机构（盖章）：", "日期：　　年　　月　　日")
)


@dataclass(frozen=True, slots=True)
class PageContext:
    """What stands on every page of a run: region, year, policy, the proof's rows, and whether anything is made up."""

    region: str
    year: int
    policy: str
    proof: Sequence[tuple[str, str]]
    synthetic: bool


def statement_page(statement: HospitalStatement, context: PageContext) -> str:
    """The page as HTML text."""
    title = f"{context.region} {context.year} 年度医保支付清算单"
    mark = f'<div class="watermark" aria-hidden="true">{WATERMARK}</div>' if context.synthetic else ""
    head = escape(f"{statement.name}（{statement.hospital}）　支付政策：{context.policy}　单位：元")
    pools = "".join(_pool(pool) for pool in statement.pools)
    proof = "".join(f"<div>{escape(name)}：{escape(text)}</div>" for name, text in context.proof)
    owed = "应付医院" if statement.balance >= 0 else "医院应退"
    level = f"<p class='head'><strong>{WATERMARK}，不得用于实际支付</strong></p>" if context.synthetic else ""
    return f"""<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<title>{escape(title)} {escape(statement.name)}</title>
<style>{STYLE}</style>
</head>
<body>
{mark}
<h1>{escape(title)}</h1>
<p class="head">{head}</p>
{level}
{pools}
<div class="sum"><span>清算余额合计（{owed}）</span><span>{yuan_text(abs(statement.balance))}</span></div>
<div class="sign">{SIGN}</div>
<footer>{proof}</footer>
</body>
</html>
"""


def _pool(pool: PoolStatement) -> str:
    rows = "".join(
        f"<tr{' class=total' if item.total else ''}><td>{escape(item.label)}</td>"
        f'<td class="number">{escape(item.value)}</td><td class="how">{escape(item.how)}</td></tr>'
        for item in pool.items
    )
    table = (
        '<table><thead><tr><th>项目</th><th class="number">金额（数量）</th><th>说明</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return f"<h2>{escape(pool.pool)}</h2>{table}{_kinds(pool)}"


def _kinds(pool: PoolStatement) -> str:
    if not pool.kinds:
        return ""
    head = "".join(f"<th{_number(at)}>{escape(name)}</th>" for at, name in enumerate(KIND_HEADER))
    rows = "".join(
        "<tr>" + "".join(f"<td{_number(at)}>{escape(cell)}</td>" for at, cell in enumerate(row)) + "</tr>"
        for row in pool.kinds
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _number(at: int) -> str:
    return ' class="number"' if at else ""
