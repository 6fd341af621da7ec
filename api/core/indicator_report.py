"""Indicators as a workbook: the region beside its target, a sheet per level, a chart of hospitals, and what each
indicator means and where its definition comes from."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl

from api.core.indicators import Indicators
from api.core.sheets import Cell, Sheets, open_sheets
from budget.indicators import LEVEL_ZH
from reference_tables.indicator_rules import Indicator

HEAD_ZH = {
    "hospital_id": "医疗机构编码", "hospital_name": "医疗机构名称", "department": "科室", "group": "编码",
    "name": "名称",
}  # fmt: skip
_HOSPITAL = ("hospital_id", "hospital_name")
HEADS: dict[str, tuple[str, ...]] = {
    "region": (), "hospital": _HOSPITAL, "department": (*_HOSPITAL, "department"), "group": ("group", "name"),
}  # fmt: skip
_WIDTHS = {"hospital_name": 30, "name": 50}
_MOST_POINTS = 200


def label_of(indicator: Indicator) -> str:
    """The label with its unit."""
    return f"{indicator.label}（{indicator.unit}）" if indicator.unit else indicator.label


def targets(found: Indicators) -> Iterator[tuple[Indicator, Decimal, Decimal, bool]]:
    """Indicators of the region that the plan sets a target for: value, target, reached."""
    region = found.tables["region"]
    for indicator in found.rules.of(found.scheme, priced=found.priced):
        value = region[indicator.name][0]
        if indicator.target is not None and value is not None:
            yield indicator, Decimal(value), indicator.target, Decimal(value) >= indicator.target


def write_indicator_report(found: Indicators, path: Path) -> None:
    """Write the workbook, whole or not at all. OSError when it cannot be written."""
    chosen = found.rules.of(found.scheme, priced=found.priced)
    with open_sheets(path) as sheets:
        summary = sheets.sheet(LEVEL_ZH["region"])
        for level in ("hospital", "department", "group"):
            heads = HEADS[level]
            header = [*(HEAD_ZH[name] for name in heads), *map(label_of, chosen)]
            widths = [*(_WIDTHS.get(name, 16) for name in heads), *[14] * len(chosen)]
            places = [*[4] * len(heads), *(indicator.places or 4 for indicator in chosen)]
            sheets.table(LEVEL_ZH[level], header, widths, _rows(found.tables[level], heads, chosen), places)
        _region(sheets, summary, found, chosen)
        meanings = [(label_of(indicator), indicator.name, indicator.meaning, indicator.source) for indicator in chosen]
        sheets.table("指标说明", ("指标", "列名", "算法", "来源"), (34, 24, 80, 60), meanings, [4] * 4)


def _rows(table: pl.DataFrame, heads: tuple[str, ...], chosen: tuple[Indicator, ...]) -> Iterator[tuple[Cell, ...]]:
    for row in table.iter_rows(named=True):
        yield (*(row[name] for name in heads), *(_cell(row[indicator.name], indicator) for indicator in chosen))


def _cell(value: int | str | None, indicator: Indicator) -> Cell:
    return value if value is None or indicator.places is None else Fraction(value)


def _region(sheets: Sheets, sheet: Any, found: Indicators, chosen: tuple[Indicator, ...]) -> None:
    """The region's own indicators, the targets, and hospitals by case mix and cost."""
    sheet.set_column(0, 0, 38, sheets.text)
    sheet.set_column(1, 3, 16)
    (row,) = found.tables["region"].iter_rows(named=True)
    line = -1
    for line, indicator in enumerate(chosen):
        places = indicator.places or 4
        sheets.row(sheet, line, (label_of(indicator), _cell(row[indicator.name], indicator)), (4, places))
    for indicator, value, target, reached in targets(found):
        line += 2
        word = "已达到" if reached else "未达到"
        sheets.row(sheet, line, (f"{indicator.label}（目标不低于 {target}）", Fraction(value), word))
    names = [indicator.name for indicator in chosen]
    hospitals = min(found.tables["hospital"].height, _MOST_POINTS)
    if not hospitals:
        return
    first = len(HEADS["hospital"])
    across, up = first + names.index("cmi"), first + names.index("cost_index")
    name = LEVEL_ZH["hospital"]
    chart = sheets.book.add_chart({"type": "scatter"})
    chart.add_series(
        {
            "name": name,
            "categories": [name, 1, across, hospitals, across],
            "values": [name, 1, up, hospitals, up],
            "marker": {"type": "circle", "size": 6},
        }
    )
    chart.set_title({"name": "病例组合指数与费用消耗指数"})
    chart.set_x_axis({"name": "病例组合指数（CMI）"})
    chart.set_y_axis({"name": "费用消耗指数（全区为 1）"})
    chart.set_legend({"none": True})
    sheet.insert_chart(line + 2, 0, chart, {"x_scale": 1.6, "y_scale": 1.3})
