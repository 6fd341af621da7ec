"""The workbook of a simulation: amounts in yuan, whatever unit their table has."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from zipfile import ZipFile

import fastexcel
from simulation_examples import frame

from api.core.simulation_sheets import write_sheets


def test_intervals_are_in_yuan_and_point_values_stay(tmp_path: Path) -> None:
    rows = [
        ("point_value", "9869.2302", "9389.3127", "10339.7933"), ("balance", "1219722146", "1147716749.3", "-5"),
        ("balance_before", "100", "0", "250"), ("hospital", "-325", "-650.5", "0"),
    ]  # fmt: skip
    bootstrap = frame("bootstrap", [
        {"what": what, "key": "K", "label": "K", "value": Decimal(value), "low": Decimal(low), "high": Decimal(high),
         "unit": "元/权重" if what == "point_value" else "fen"}
        for what, value, low, high in rows
    ])  # fmt: skip
    write_sheets(tmp_path / "t.xlsx", {"bootstrap": bootstrap})
    shown = fastexcel.read_excel(tmp_path / "t.xlsx").load_sheet("置信区间").to_polars()
    assert list(shown.select("项目", "取值", "95% 下限", "95% 上限", "单位").iter_rows()) == [
        ("点值（费率）", 9869.2302, 9389.3127, 10339.7933, "元/权重"),
        ("当年结余", 12197221.46, 11477167.493, -0.05, "元"), ("当年结余，改革前", 1.0, 0.0, 2.5, "元"),
        ("机构增减", -3.25, -6.505, 0.0, "元"),
    ]  # fmt: skip


def test_what_was_solved_is_numbers_with_all_their_decimals(tmp_path: Path) -> None:
    texts = [("1.000123456", "-12.30", "3"), ("3 家医疗机构", "平均权重 1.02", "")]
    solved = frame("solved", [
        {"kind": "neutral", "place": "r.toml:7", "what": "系数", "value": value, "before": before, "reached": reached,
         "iterations": 4}
        for value, before, reached in texts
    ])  # fmt: skip
    write_sheets(tmp_path / "t.xlsx", {"solved": solved})
    with ZipFile(tmp_path / "t.xlsx") as book:
        cells = re.findall(
            r'<c r="([D-F])2" s="([0-9]+)"><v>([^<]+)</v>', book.read("xl/worksheets/sheet1.xml").decode()
        )
        styles = book.read("xl/styles.xml").decode()
    assert [(column, value) for column, _, value in cells] == [("D", "1.000123456"), ("E", "-12.3"), ("F", "3")]
    assert {'formatCode="0.000000000"', 'formatCode="0.00"'} <= set(re.findall(r'formatCode="[0.]+"', styles))
    shown = fastexcel.read_excel(tmp_path / "t.xlsx").load_sheet("求解").to_polars()
    assert shown["取值"].to_list()[1] == "3 家医疗机构"
