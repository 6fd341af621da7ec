"""The workbook of a simulation: amounts in yuan, whatever unit their table has."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import fastexcel
from simulation_examples import frame

from api.core.simulation_sheets import write_sheets


def test_intervals_are_in_yuan_and_point_values_stay(tmp_path: Path) -> None:
    rows = [
        ("point_value", "9869.2302", "9389.3127", "10339.7933"), ("balance", "1219722146", "1147716749.3", "-5"),
        ("balance_before", "100", "0", "250"), ("hospital", "-325", "-650.5", "0"),
    ]  # fmt: skip
    bootstrap = frame("bootstrap", [
        {"what": what, "key": "K", "label": "K", "value": Decimal(value), "low": Decimal(low), "high": Decimal(high)}
        for what, value, low, high in rows
    ])  # fmt: skip
    write_sheets(tmp_path / "t.xlsx", {"bootstrap": bootstrap})
    shown = fastexcel.read_excel(tmp_path / "t.xlsx").load_sheet("置信区间").to_polars()
    assert list(shown.select("项目", "取值", "95% 下限", "95% 上限").iter_rows()) == [
        ("点值（元）", 9869.2302, 9389.3127, 10339.7933), ("当年结余（元）", 12197221.46, 11477167.493, -0.05),
        ("当年结余，改革前（元）", 1.0, 0.0, 2.5), ("机构增减（元）", -3.25, -6.505, 0.0),
    ]  # fmt: skip
