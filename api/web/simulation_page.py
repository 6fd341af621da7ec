"""The page of a policy simulation: what a reform does to hospitals and to the fund, how sure that is, what it touched;
one HTML file to be opened without a network and printed as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import polars as pl

from api.web.chart_page import MARK, chart_page, chart_section
from api.web.figures import Chart
from api.web.growth_table import growth_card
from api.web.simulation_charts import SECTIONS, simulation_charts
from api.web.simulation_page_tables import (
    card,
    chances_card,
    changes_card,
    decimal,
    fund_card,
    gain_part,
    problems_card,
    solved_card,
    winners_part,
    yuan,
)
from api.web.simulation_tables import SimulationHead, readable, stages
from budget.compare_frames import ALL_POOLS, DIMENSIONS

_SYNTHETIC = f"{MARK}，不代表任何地区，不得用于实际支付。"
_ABOUT = "图中金额为万元或亿元，供查看；表中金额为元，精确到分。"
_STYLE = """
nav { display: flex; flex-wrap: wrap; gap: 6px 18px; margin: 0 0 16px; font-size: 14px; }
nav a { color: #1f5f99; text-decoration: none; }
h2.part { font-size: 20px; margin: 26px 0 10px; padding-left: 10px; border-left: 4px solid #1f77b4; }
h3 { font-size: 17px; margin: 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 10px 16px; margin: 4px 0; }
.facts b { display: block; font-size: 19px; font-variant-numeric: tabular-nums; }
.facts span, .facts small { color: #5b6b7a; font-size: 13px; }
.facts small { display: block; }
.note { overflow-wrap: anywhere; }
.pair .card:last-child:nth-child(odd) { grid-column: 1 / -1; }
.wide { overflow-x: auto; }
.positive { color: #2c7a4b; }
td.left, th.left { text-align: left; }
td.wrap { white-space: normal; min-width: 9em; max-width: 28em; }
table.plain th:nth-child(2), table.plain td:nth-child(2) { text-align: right; }
tr.warn td { background: #fdf0d5; }
@media print { nav { display: none; } .wide { overflow: visible; } table { font-size: 12px; }
  .card:has(table) { break-inside: auto; } tr { break-inside: avoid; } }
"""


def simulation_page(head: SimulationHead, tables: Mapping[str, pl.DataFrame]) -> str:
    """The page as HTML text from the tables of `budget.compare_frames`; a missing table leaves its part out. The same
    head and tables give the same text. ValueError where a table lacks a column."""
    found = readable(tables)
    placed = simulation_charts(found)
    parts = {
        section: _cards([one.chart for one in placed if one.section == section]) + _tables(section, found)
        for section in SECTIONS
    }
    parts = {section: cards for section, cards in parts.items() if cards}
    links = "".join(f'<a href="#{section}">{escape(SECTIONS[section])}</a>' for section in parts)
    told = "".join(f'<p class="note">{escape(name)}：{escape(text)}</p>' for name, text in head.about.items())
    body = [
        f"<h1>{escape(head.title)}</h1>",
        f'<p class="about">{escape((_SYNTHETIC if head.synthetic else "") + _ABOUT)}</p>',
        f"<nav>{links}</nav>",
        f'<section class="card">{_facts(found)}{told}</section>',
        problems_card(head.problems, served=head.served) if head.problems else "",
        changes_card(found["changes"]) if "changes" in found else "",
    ]
    for section, cards in parts.items():
        body += [f'<h2 class="part" id="{section}">{escape(SECTIONS[section])}</h2>', *cards]
    drawn = [one.chart for one in placed]
    return chart_page(head.title, [part for part in body if part], drawn, synthetic=head.synthetic, style=_STYLE)


def _cards(made: Sequence[Chart]) -> list[str]:
    """Wide charts one by one, narrow ones that follow each other in pairs."""
    cards = []
    for narrow, run in groupby(made, key=lambda chart: chart.narrow):
        sections = [chart_section(chart) for chart in run]
        cards += [f'<div class="pair">{"".join(sections)}</div>'] if narrow else sections
    return cards


def _tables(section: str, tables: Mapping[str, pl.DataFrame]) -> list[str]:
    made = []
    if section == "gain" and "gain" in tables:
        counted = tables["gain"].group_by("dimension").len().filter(pl.col("len") > 1)
        known = set(counted["dimension"].to_list()) - ({"hospital"} if "winners" in tables else set())
        parts = [winners_part(tables["winners"])] if "winners" in tables else []
        parts += [gain_part(tables["gain"], name) for name in DIMENSIONS if name in known]
        made += [card("明细", "".join(parts))] if parts else []
    elif section == "sure" and "bootstrap" in tables:
        made.append(chances_card(tables["bootstrap"]))
    elif section == "fund":
        made += [fund_card(tables["fund"])] if "fund" in tables else []
        made += [growth_card(tables["growth"])] if "growth" in tables else []
    elif section == "solve" and "solved" in tables:
        made.append(solved_card(tables["solved"]))
    return [text for text in made if text]


def _facts(tables: Mapping[str, pl.DataFrame]) -> str:
    """The few numbers that are read first."""
    facts: list[tuple[str, str, str]] = []
    if "gain" in tables:
        rows = tables["gain"].filter(pl.col("dimension") == "hospital")
        facts.append(("病例", f"{rows['cases'].sum():,}", f"{rows.height:,} 家医疗机构"))
        for stage in stages(rows):
            before, after = (int(rows[f"{stage}_{state}_fen"].sum()) for state in ("before", "after"))
            what = "统筹基金支付（清算前）" if stage == "fund" else "医院实得（清算后支付）"
            facts.append((f"{what}增减，元", yuan(after - before, sign=True),
                          f"{yuan(before)} → {yuan(after)}"))  # fmt: skip
    if "winners" in tables:
        counted = dict(tables["winners"].group_by("outcome").len().iter_rows())
        text = f"{counted.get('gain', 0)} 增　{counted.get('loss', 0)} 减"
        facts.append(("医疗机构", text, f"{counted.get('same', 0)} 家不变"))
    if "fund" in tables:
        whole = tables["fund"].filter(pl.col("pool") == ALL_POOLS)
        rows_of = {row["state"]: row for row in whole.iter_rows(named=True)}
        if {"before", "after"} <= set(rows_of):
            before_row, after_row = rows_of["before"], rows_of["after"]
            facts.append(
                ("基金当年结余，元", yuan(after_row["balance_fen"]), f"改革前 {yuan(before_row['balance_fen'])}")
            )
            if after_row["reserve_months"] is not None:
                facts.append(("累计结余可支付月数", decimal(after_row["reserve_months"], 1),
                              f"改革前 {decimal(before_row['reserve_months'], 1)}"))  # fmt: skip
    cells = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(text)}</b><small>{escape(more)}</small></div>"
        for name, text, more in facts
    )
    return f'<div class="facts">{cells}</div>'
