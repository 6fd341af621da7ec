"""The tables of a simulation as a workbook: one sheet each, Chinese headers, amounts in yuan as exact numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl

from api.core.sheets import Cell, open_sheets
from budget.compare_frames import DIMENSIONS, OUTCOMES
from reference_tables.reform_schema import reform_schema

SHEETS = {
    "gain": "增减", "winners": "机构增减", "deciles": "十等分", "lorenz": "集中程度", "fund": "基金", "changes": "改动",
    "steps": "逐步", "transition": "病组转移", "bootstrap": "置信区间", "fan": "今后各年结余", "growth": "增长各年",
    "solved": "求解", "sweep": "逐值试算",
}  # fmt: skip
COLUMNS = {
    "dimension": "维度", "key": "代码", "label": "名称", "cases": "例数", "cost_fen": "总费用",
    "package_before_fen": "病组支付（前）", "package_after_fen": "病组支付（后）", "fund_before_fen": "统筹支付（前）",
    "fund_after_fen": "统筹支付（后）", "cleared_before_fen": "清算后（前）", "cleared_after_fen": "清算后（后）",
    "hospital": "机构编号", "name": "机构名称", "tier": "级别", "fund_gain_fen": "统筹增减", "fund_rate": "统筹增减率",
    "cleared_gain_fen": "清算后增减", "cleared_rate": "清算后增减率",
    "gain_fen": "增减", "rate": "增减率",
    "outcome": "结果", "stage": "阶段", "decile": "第几等分", "hospitals": "机构数", "low_rate": "最低增减率",
    "high_rate": "最高增减率", "before_fen": "改革前", "after_fen": "改革后", "side": "方向", "place": "位置",
    "hospitals_share": "机构累计占比", "amount_share": "金额累计占比", "total_fen": "合计", "gini": "基尼系数",
    "pool": "基金池", "state": "前后", "budget_fen": "住院总额", "distributable_fen": "可分配",
    "regulation_fen": "调剂金", "reserve_fen": "风险储备金", "fixed_fen": "固定支付", "bundled_fen": "医共体打包",
    "units": "点数（权重）", "point_value": "点值（费率）",
    "value_basis": "点值（费率）口径", "entitlement_fen": "应得",
    "shared_fen": "分担与补差", "kept_fen": "扣减与未返还",
    "received_fen": "医院实得", "bundles_fen": "医共体打包总额", "bundle_others_fen": "打包病例以外的支出",
    "bundle_reserve_fen": "总额预留（未动用）", "bundle_unkept_fen": "结余未留用（考核扣留等）",
    "paid_fen": "基金支付", "line": "承担资金", "line_fen": "承担金额", "back_fen": "回到基金",
    "other_spend_fen": "其他支出", "balance_fen": "当年结余", "accumulated_fen": "累计结余",
    "reserve_months": "可支付月数", "reform": "改革", "action": "方式", "value": "取值", "scope": "范围", "since": "起",
    "until": "止", "settings": "改动的值", "groups": "病组数", "moved": "支付变化例数", "cleared": "清算变化机构数",
    "before": "改前", "after": "改后", "step": "步骤", "package_fen": "病组支付", "fund_fen": "统筹支付",
    "cleared_fen": "清算后支付", "group_before": "原病组", "name_before": "原名称", "group_after": "现病组",
    "name_after": "现名称",
    "what": "项目", "low": "95% 下限", "high": "95% 上限", "unit": "单位", "price_unit": "点值（费率）单位",
    "chance": "可能性", "left_out": "无法清算而未计的重抽样", "year": "年度", "low95": "95% 下限（元）",
    "low50": "50% 下限（元）", "median": "中位数（元）", "high50": "50% 上限（元）", "high95": "95% 上限（元）",
    "kind": "类型", "reached": "达到", "target": "目标", "residual": "相差", "iterations": "试算次数",
    "problem": "障碍", "sweep": "试算", "winners": "增加的机构", "losers": "减少的机构",
}  # fmt: skip
WORDS: dict[str, dict[str, str]] = {
    "dimension": DIMENSIONS,
    "outcome": OUTCOMES,
    "stage": {"fund": "清算前", "cleared": "清算后"},
    "side": {"gained": "增加", "lost": "减少"},
    "state": {"before": "改革前", "after": "改革后"},
    "kind": {name: kind.label for name, kind in reform_schema().solve.items()},
    "what": {
        "point_value": "点值（费率）", "point_value_before": "点值（费率），改革前", "balance": "当年结余",
        "balance_before": "当年结余，改革前", "hospital": "机构增减",
    },
    "unit": {"fen": "元"},
}  # fmt: skip
_FAN = frozenset({"low95", "low50", "median", "high50", "high95"})
_TEXT_NUMBERS = frozenset({"units", "point_value"})
"""Columns that hold the text of a decimal."""
_SOLVED_NUMBERS = frozenset({"value", "before", "reached", "target", "residual"})
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_BOUNDS = ["value", "low", "high"]
_WIDE = frozenset({"label", "name", "scope", "before", "after", "name_before", "name_after", "place", "problem"})


def write_sheets(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Every table that there is. OSError when the workbook cannot be written."""
    with open_sheets(path) as book:
        for name, title in SHEETS.items():
            if name not in tables:
                continue
            frame = _in_yuan(tables[name]) if name == "bootstrap" else tables[name]
            cell = _solved_cell if name == "solved" else _cell
            columns = frame.columns
            header = [f"{COLUMNS[column]}（元）" if column.endswith("_fen") else COLUMNS[column] for column in columns]
            widths = [30 if column in _WIDE else 16 for column in columns]
            rows = ([cell(column, value) for column, value in row.items()] for row in frame.iter_rows(named=True))
            book.table(title, header, widths, rows, [_places(column) for column in columns])


def _in_yuan(bootstrap: pl.DataFrame) -> pl.DataFrame:
    """The intervals with amounts in yuan instead of fen."""
    scale = pl.when(pl.col("unit") == "fen").then(pl.lit(Decimal("0.01"))).otherwise(pl.lit(Decimal(1)))
    return bootstrap.with_columns((pl.col(name) * scale).alias(name) for name in _BOUNDS)


def _cell(column: str, value: object) -> Cell:
    if value is None:
        return None
    if isinstance(value, int):
        return Fraction(value, 100) if column.endswith("_fen") or column in _FAN else value
    if isinstance(value, Decimal):
        return Fraction(value)
    if column in _TEXT_NUMBERS and value != "":
        return Fraction(str(value))
    return WORDS.get(column, {}).get(str(value), str(value))


def _solved_cell(column: str, value: object) -> Cell:
    """A number that was solved for has as many decimals as its text; words stay words."""
    plain = column in _SOLVED_NUMBERS and isinstance(value, str) and _NUMBER.fullmatch(value)
    return Decimal(value) if plain and isinstance(value, str) else _cell(column, value)


def _places(column: str) -> int:
    return 2 if column.endswith("_fen") or column in _FAN else 6
