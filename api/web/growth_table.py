"""The table of the years of growth in the page of a policy simulation: cases, cost, and what the fund has left."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from api.web.simulation_page_tables import Row, card, html_table, yuan

_COLUMNS = {
    "cases": "病例", "cost_fen": "总费用，元", "package_fen": "病组支付，元", "fund_fen": "统筹支付，元",
    "point_value": "点值（费率）", "paid_fen": "清算后基金支付，元", "balance_fen": "当年结余，元",
    "accumulated_fen": "累计结余，元",
}  # fmt: skip


def growth_card(growth: pl.DataFrame) -> str:
    """Every year and pool, exact; columns that say nothing without a year file are left out."""
    shown = [name for name in _COLUMNS if growth[name].null_count() < growth.height]
    rows: list[Row] = [
        [str(row["year"]), (row["pool"], "left"), *(_text(name, row) for name in shown)]
        for row in growth.iter_rows(named=True)
    ]
    head = ("年度", "基金池", *(_COLUMNS[name] for name in shown))
    return card(
        "增长后的各年",
        html_table(head, rows),
        "基金收入、预算和其他条件不变；病例整例增减，费用的变化与系数相近。第一行的年度为改革当年，累计结余逐年相加。",
    )


def _text(name: str, row: Mapping[str, object]) -> str:
    cell = row[name]
    if isinstance(cell, int):
        return yuan(cell) if name.endswith("_fen") else f"{cell:,}"
    return f"{cell} {row['price_unit'] or ''}".rstrip() if cell else "—"
