"""The tables in the page of a policy simulation: exact amounts in yuan, what each change touched, what was solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

import polars as pl

from api.web.simulation_tables import STAGES, STATES, UNKNOWN, apart, at_stage, stages
from budget.compare_frames import DIMENSIONS, OUTCOMES
from budget.money import FEN
from reference_tables.problems import LEVEL_ZH, Level, Problem

MOST_ROWS = 300
"""A dimension with more keys shows those with the largest changes; the table files hold all."""
_EMPTY = "—"
_FUND_ITEMS = {
    "cases": "病例", "budget_fen": "住院预算", "distributable_fen": "可分配总额", "regulation_fen": "调剂金",
    "reserve_fen": "风险储备金", "fixed_fen": "其中不按单价的支付", "bundled_fen": "其中医共体包干",
    "units": "点数（分值、权重）合计", "point_value": "点值（费率）",
    "value_basis": "点值（费率）口径", "entitlement_fen": "医院应得",
    "shared_fen": "基金分担与补差", "kept_fen": "留存与扣减", "paid_fen": "基金支付",
    "bundles_fen": "医共体打包总额", "received_fen": "医院实得（清算后支付）",
    "bundle_others_fen": "医共体打包：病例以外的支出", "bundle_reserve_fen": "医共体打包：总额预留（未动用）",
    "bundle_unkept_fen": "医共体打包：结余未留用（考核扣留等）", "line": "超支动用",
    "line_fen": "动用金额", "back_fen": "结余回基金", "other_spend_fen": "其他支出", "balance_fen": "当年结余",
    "accumulated_fen": "累计结余", "reserve_months": "可支付月数",
}  # fmt: skip
_RECONCILED = (
    "各基金池：基金支付＋其中医共体包干＝医院实得。合计：基金支付＋医共体打包总额＝医院实得＋病例以外的支出＋总额预留"
    "＋结余未留用；后两项留在基金，计入当年结余。"
)
_DECIMALS = frozenset({"units", "point_value"})
"""Items whose cells are the text of a decimal."""
_WHAT = {"point_value": "点值（费率）", "balance": "基金当年结余，元"}
_BOUNDS = ("value", "low", "high")
_KINDS = {"neutral": "保持不变", "corridor": "增减限幅", "target": "达到目标", "shrink": "权重收缩"}
_SOLVED_NUMBERS = ("value", "before", "reached", "target", "residual")
Cell = str | tuple[str, str]
"""Text of a cell, or text and class."""
Row = list[Cell]


def yuan(fen: int | None, *, sign: bool = False) -> str:
    """Fen as yuan with two decimals and thousands apart; with its sign where a change is meant."""
    if fen is None:
        return _EMPTY
    whole, part = divmod(abs(fen), FEN)
    mark = "-" if fen < 0 else "+" if sign and fen else ""
    return f"{mark}{whole:,}.{part:02d}"


def decimal(cell: Decimal | float | None, places: int, *, sign: bool = False) -> str:
    """An exact decimal with thousands apart."""
    return _EMPTY if cell is None else f"{cell:{'+' if sign and cell else ''},.{places}f}"


def percent(rate: Decimal | None) -> str:
    """A rate (0.05 = 5 %) in per cent with its sign."""
    return _EMPTY if rate is None else f"{decimal(100 * rate, 2, sign=True)}%"


def html_table(head: Sequence[str], rows: Sequence[Row], kind: str = "") -> str:
    """A table of texts, or texts with a class. The class `warn` colours its row, `left` goes for the heading too."""
    made, lefts = [], {0}
    for row in rows:
        cells = [(cell, "") if isinstance(cell, str) else cell for cell in row]
        lefts |= {at for at, (_, name) in enumerate(cells) if "left" in name}
        line = ' class="warn"' if any(name == "warn" for _, name in cells) else ""
        made.append(f"<tr{line}>" + "".join(_cell(text, name) for text, name in cells) + "</tr>")
    heads = "".join(f"<th{' class=left' if at in lefts else ''}>{escape(name)}</th>" for at, name in enumerate(head))
    named = f' class="{kind}"' if kind else ""
    return f"<table{named}><thead><tr>{heads}</tr></thead><tbody>{''.join(made)}</tbody></table>"


def _cell(text: str, name: str) -> str:
    named = f' class="{name}"' if name and name != "warn" else ""
    return f"<td{named}>{escape(text)}</td>"


def change_cell(fen: int | None) -> Cell:
    """A change with its sign, coloured by it."""
    return yuan(fen, sign=True), "" if not fen else "positive" if fen > 0 else "negative"


def card(title: str, inner: str, note: str = "") -> str:
    """A card with a heading; nothing of nothing."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<section class="card"><h3>{escape(title)}</h3>{said}<div class="wide">{inner}</div></section>'


def folded(title: str, inner: str) -> str:
    """A part that opens on a click; it is open in print."""
    return f'<details><summary>{escape(title)}</summary><div class="wide">{inner}</div></details>'


def changes_card(changes: pl.DataFrame) -> str:
    """What each change did and touched; what touched nothing is marked."""
    rows: list[Row] = []
    for row in changes.iter_rows(named=True):
        idle = not row["cases"] or row["settings"] == 0
        days = "—".join(part for part in (row["since"], row["until"]) if part) or "政策全期"
        rows.append([
            (("⚠ " if idle else "") + row["reform"], "warn" if idle else ""), (row["label"] or row["key"], "left"),
            (f"{row['action']} {row['value']}", "left"),
            (row["scope"] or "全部", "left wrap"), (days, "left"),
            (f"{row['before'] or _EMPTY} → {row['after'] or _EMPTY}", "left wrap"),
            _EMPTY if row["settings"] is None else f"{row['settings']:,}",
            *(f"{row[name] or 0:,}" for name in ("groups", "cases", "hospitals", "moved")),
            (_change_note(row), "left wrap"),
        ])  # fmt: skip
    head = (
        "改革", "参数", "做法", "范围", "日期", "之前 → 之后", "参数值", "病组", "病例", "医疗机构",
        "支付变动病例", "提示",
    )  # fmt: skip
    return card("改了什么，触及多少", html_table(head, rows))


def _change_note(row: Mapping[str, Any]) -> str:
    """What is to be known of a change that moved no case's payment; of clearing only what it really did."""
    if row["settings"] == 0:
        return "没有改动任何值"
    if not row["cases"]:
        return "未触及任何病例"
    if row["moved"]:
        return ""
    if row["cleared"] is None:
        return "病例定价不变"
    return "病例定价不变；影响见清算后的增减" if row["cleared"] else "病例定价不变，各机构的清算结果也不变"


def problems_card(problems: Sequence[Problem], *, served: bool = False) -> str:
    """Every problem with how to mend it, over HTTP where it is `served`; errors first."""
    order = list(Level)
    ordered = sorted(problems, key=lambda problem: order.index(problem.level))
    rows: list[Row] = [
        [
            (LEVEL_ZH[one.level], "warn" if one.level in {Level.ERROR, Level.REJECT, Level.WARN} else ""), one.code,
            (_place(one), "left"), (one.message, "left wrap"),
            (one.service_fix if served else one.fix, "left wrap"),
        ]
        for one in ordered
    ]  # fmt: skip
    return card("提示与不可行的约束", html_table(("级别", "代码", "位置", "说明", "处理"), rows))


def _place(problem: Problem) -> str:
    return problem.file + (f":{problem.row}" if problem.row else "")


def solved_card(solved: pl.DataFrame) -> str:
    """What was solved for, how near the exact run comes, and what stands in the way of a target not reached."""
    rows: list[Row] = []
    for row in solved.iter_rows(named=True):
        problem = row["problem"] or ""
        line: Row = [(_KINDS.get(row["kind"], row["kind"]), "warn" if problem else ""), (row["place"] or "", "left")]
        line += [(row["what"] or "", "left wrap"), *(row[name] or _EMPTY for name in _SOLVED_NUMBERS)]
        line += [_EMPTY if row["iterations"] is None else f"{row['iterations']:,}"]
        rows.append([*line, (f"⚠ {problem}" if problem else "已达到", "left wrap")])
    head = ("求解", "位置", "求什么", "解", "改革前", "达到", "目标", "相差", "迭代次数", "结果")
    note = "解按规定位数取整后，全部病例重新精确定价；相差是重新定价的结果与目标之差。"
    return card("求解结果", html_table(head, rows), note)


def fund_card(fund: pl.DataFrame) -> str:
    """Each pool before and after, exact."""
    pools = fund["pool"].unique(maintain_order=True).to_list()
    rows = {(row["pool"], row["state"]): row for row in fund.iter_rows(named=True)}
    head = ["项目", *(f"{pool} {word}" for pool in pools for word in ("改革前", "改革后", "增减"))]
    made: list[Row] = []
    for item, label in _FUND_ITEMS.items():
        found = [[rows.get((pool, state), {}) for state in STATES] for pool in pools]
        if not any(row.get(item) for sides in found for row in sides):
            continue
        line: Row = [label + ("，元" if item.endswith("_fen") else "")]
        for before, after in found:
            line += [_fund_text(item, before), _fund_text(item, after)]
            line.append(_fund_change(item, before.get(item), after.get(item)))
        made.append(line)
    grouped = any(row.get("bundles_fen") for row in rows.values())
    return card("各基金池：改革前后", html_table(head, made, "plain"), _RECONCILED if grouped else "")


def _fund_text(item: str, row: Mapping[str, Any]) -> str:
    cell = row.get(item)
    if cell is None or cell == "":
        return _EMPTY
    if isinstance(cell, Decimal):
        return decimal(cell, 2)
    if isinstance(cell, int):
        return yuan(cell) if item.endswith("_fen") else f"{cell:,}"
    if item not in _DECIMALS:
        return str(cell)
    # The two sides may count in points and in weights: each number has its own unit.
    unit = row["price_unit"] or ""
    return f"{Decimal(str(cell)):,} {unit if item == 'point_value' else unit.partition('/')[2]}".rstrip()


def _fund_change(item: str, before: object, after: object) -> Cell:
    if isinstance(before, Decimal) and isinstance(after, Decimal):
        change = round(after - before, 2)
        return decimal(change, 2, sign=bool(change)) if change else "0.00"
    if isinstance(before, int) and isinstance(after, int):
        if item in {"balance_fen", "accumulated_fen"}:
            return change_cell(after - before)
        return (
            yuan(after - before, sign=True)
            if item.endswith("_fen")
            else f"{after - before:+,}"
            if after != before
            else "0"
        )
    return ""


def chances_card(bootstrap: pl.DataFrame) -> str:
    """Intervals of the point value and of the fund's balance, and the chance of an overrun."""
    rows: list[Row] = []
    for row in bootstrap.iter_rows(named=True):
        what, earlier = row["what"].removesuffix("_before"), row["what"].endswith("_before")
        if what not in _WHAT:
            continue
        # Amounts are in fen, point values in yuan.
        scale, places = (1, 4) if what == "point_value" else (FEN, 2)
        unit = f"，{row['unit']}" if what == "point_value" else ""
        line: Row = [(_WHAT[what] + unit, "left"), (row["label"] or row["key"] or UNKNOWN, "left")]
        line.append((STATES["before" if earlier else "after"], "left"))
        line += [_EMPTY if row[name] is None else decimal(row[name] / scale, places) for name in _BOUNDS]
        chance = _EMPTY if row["chance"] is None else f"{decimal(100 * row['chance'], 1)}%"
        rows.append([*line, chance + (f"（另有 {row['left_out']:,} 次无法清算）" if row["left_out"] else "")])
    head = ("项目", "基金池", "状态", "结果", "95% 区间下限", "上限", "超支的可能性")
    return card("点值与结余的区间", html_table(head, rows)) if rows else ""


def winners_part(winners: pl.DataFrame) -> str:
    """Every hospital before and after, exact."""
    cleared = winners["cleared_after_fen"].null_count() < winners.height
    known = list(STAGES) if cleared else ["fund"]
    rows: list[Row] = []
    for row in winners.iter_rows(named=True):
        line: Row = [(row["hospital"], "left"), (row["name"], "left"), (row["tier"] or UNKNOWN, "left")]
        line.append(f"{row['cases']:,}")
        for stage in known:
            line += [yuan(row[f"{stage}_before_fen"]), yuan(row[f"{stage}_after_fen"])]
            line += [change_cell(row[f"{stage}_gain_fen"]), percent(row[f"{stage}_rate"])]
        rows.append([*line, OUTCOMES.get(row["outcome"], row["outcome"])])
    words = ("改革前", "改革后", "增减", "增减率")
    head = [
        "编号",
        "医疗机构",
        "级别",
        "病例",
        *(f"{STAGES[stage]}{word}" for stage in known for word in words),
        "结果",
    ]
    return folded(f"各医疗机构明细（元，{winners.height} 家）", html_table(head, rows))


def gain_part(gain: pl.DataFrame, dimension: str) -> str:
    """One dimension before and after, exact; of very many keys those with the largest changes."""
    known = stages(gain)
    ordered = at_stage(gain, dimension, known[-1])
    shown = ordered
    if ordered.height > MOST_ROWS:
        largest = ordered.with_columns(pl.col("change_fen").abs().alias("size"))
        shown = largest.sort(["size", "key"], descending=[True, False]).head(MOST_ROWS)
    rows: list[Row] = []
    for label, row in zip(apart(shown), shown.iter_rows(named=True), strict=True):
        line: Row = [(row["key"] or UNKNOWN, "left"), (label, "left"), f"{row['cases']:,}"]
        line += [yuan(row["cost_fen"]), change_cell(row["package_after_fen"] - row["package_before_fen"])]
        for stage in known:
            before, after = row[f"{stage}_before_fen"], row[f"{stage}_after_fen"]
            change = None if before is None or after is None else after - before
            line += [yuan(before), yuan(after), change_cell(change)]
        rows.append(line)
    head = ["代码", "名称", "病例", "住院费用", "病组支付增减"]
    head += [f"{STAGES[stage]}{word}" for stage in known for word in ("改革前", "改革后", "增减")]
    count = (
        f"{ordered.height} 行" if len(shown) == len(ordered) else f"增减最大的 {len(shown)} 行，共 {len(ordered)} 行"
    )
    return folded(f"按{DIMENSIONS[dimension]}明细（元，{count}）", html_table(head, rows))
