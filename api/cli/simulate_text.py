"""What `drgdip simulate` tells on the console: progress, what changed and touched, winners and losers, the fund."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.cli.console import DATA_LEVEL_ZH, err
from api.cli.progress import expected_rows
from api.core.simulate import Simulation
from api.core.simulation_files import counted
from budget.compare import totals
from budget.compare_frames import ALL_POOLS
from budget.money import yuan_text
from grouper.intake import SourceInfo
from grouper.pipeline import Progress as Report
from reference_tables.problems import LEVEL_ZH, Level

_AFTER = 2.0  # seconds
_WIDTH = 150
_SHOWN = 5
_MOST = 12
_CALENDAR = 1000
"""Years of the growth table are years of the calendar from here on, else the number of years ahead."""
_JSON = ("changes", "steps", "winners", "fund", "growth", "sweep", "solved")
Told = Callable[[str], None]


@contextmanager
def phases_shown(paths: Sequence[str]) -> Iterator[tuple[Report, Told]]:
    """A bar for reading and for every part after it, once the run lasts longer than two seconds; nothing off a
    terminal."""
    console = err()
    if not console.is_terminal:
        yield (lambda _source, _rows: None), (lambda _text: None)
        return
    guesses = [expected_rows(path) for path in paths]
    rows = sum(guess or 0 for guess in guesses) if None not in guesses else None
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=None, done="")
    timer = threading.Timer(_AFTER, bar.start)
    timer.daemon = True
    started = time.monotonic()

    def show(source: SourceInfo, read: int) -> None:
        rate = read / max(time.monotonic() - started, 0.001)
        name = escape(Path(source.path).name)
        bar.update(task, total=rows, completed=read, description=f"读入 {name}", done=f"{read:,} 例  {rate:,.0f} 例/秒")

    def tell(text: str) -> None:
        bar.update(task, total=None, description=escape(text), done="")

    timer.start()
    try:
        yield show, tell
    finally:
        timer.cancel()
        bar.stop()


def summary(done: Simulation, run_id: str) -> dict[str, object]:
    """The result as plain values for JSON; amounts in fen, rates and point values as text."""
    tables = done.tables
    shown = {name: _plain(tables[name]) for name in _JSON if name in tables}
    return {
        "run_id": run_id,
        "policy": {"before": done.before.policy.id, "after": done.after.policy.id},
        "reforms": [reform.id for reform in done.request.reforms],
        "totals": totals(tables["gain"]),
        **shown,
        "problems": [
            {"code": code, "level": level, "count": count, "message": message}
            for (code, level), (count, message) in counted(pl.concat([done.problems, done.reading])).items()
        ],
    }


def _plain(frame: pl.DataFrame) -> list[dict[str, object]]:
    return [
        {name: str(value) if isinstance(value, Decimal) else value for name, value in row.items()}
        for row in frame.iter_rows(named=True)
    ]


def print_simulation(done: Simulation, run_id: str, output: Path) -> None:
    """In Chinese on standard error."""
    console, tables = err(), done.tables
    console.width = max(console.width, _WIDTH)  # amounts are never cut off
    policy = done.before.policy
    level = DATA_LEVEL_ZH.get(policy.header.data_level, policy.header.data_level)
    names = "，".join(reform.name for reform in done.request.reforms)
    console.print(f"政策模拟  政策 [bold]{escape(policy.id)}[/]（{level}）  改革 [bold]{escape(names)}[/]")
    hospitals = tables["winners"].height
    console.print(f"病例 {done.before.cases.height:,}  医疗机构 {hospitals:,}")
    if tables["changes"].height:
        console.print(_changes(tables["changes"]))
    if "solved" in tables:
        console.print(_solved(tables["solved"]))
    console.print(_steps(tables["steps"]))
    console.print(_winners(tables["winners"]))
    if "fund" in tables:
        console.print(_fund(tables["fund"]))
        for text in _reconciled(tables["fund"]):
            console.print(text)
    if "growth" in tables:
        console.print(_growth(tables["growth"]))
    if "sweep" in tables:
        console.print(_sweep(tables["sweep"]))
    if "bootstrap" in tables:
        console.print(_chances(tables["bootstrap"]))
    for (code, kind), (count, example) in counted(pl.concat([done.problems, done.reading])).items():
        console.print(f"  {LEVEL_ZH[Level(kind)]} {code}  {count:,}  如：{escape(example)}")
    console.print(f"模拟批次 {run_id[:12]}  网页 {escape(str(output / 'simulation.html'))}")


def _table(*columns: str, text: int = 1) -> Table:
    """A table whose first `text` columns are words, the others numbers."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for at, name in enumerate(columns):
        table.add_column(name, justify="left" if at < text else "right", overflow="fold")
    return table


def _changes(frame: pl.DataFrame) -> Table:
    table = _table("改动", "范围", "改前", "改后", "改动的值", "病组", "病例", "机构", "支付变化", text=4)
    for row in frame.iter_rows(named=True):
        counts = [_cell(name, row[name]) for name in ("settings", "groups", "cases", "hospitals", "moved")]
        colour = "" if row["cases"] else "[yellow]"
        label = (
            f"{colour}{escape(row['label'])} {escape(row['action'])} {escape(row['value'])}{'[/]' if colour else ''}"
        )
        table.add_row(label, escape(row["scope"]), escape(row["before"]), escape(row["after"]), *counts)
    return table


def _solved(frame: pl.DataFrame) -> Table:
    table = _table("求解", "结果", "改革前", "达到", "目标", "相差", text=1)
    for row in frame.iter_rows(named=True):
        names = ("value", "before", "reached", "target", "residual")
        table.add_row(escape(row["what"]), *(escape(row[name]) for name in names))
        if row["problem"]:
            table.add_row(f"[red]{escape(row['problem'])}[/]")
    return table


def _steps(frame: pl.DataFrame) -> Table:
    table = _table("逐步（元）", "病组支付", "统筹支付", "清算后支付", "基金当年结余")
    for row in frame.iter_rows(named=True):
        amounts = [row[name] for name in ("package_fen", "fund_fen", "cleared_fen", "balance_fen")]
        table.add_row(escape(row["label"]), *("—" if fen is None else yuan_text(fen) for fen in amounts))
    return table


def _winners(frame: pl.DataFrame) -> Table:
    """The hospitals that gain and lose most."""
    counts = dict(frame.group_by("outcome").len().iter_rows())
    title = f"增加 {counts.get('gain', 0)} 家，减少 {counts.get('loss', 0)} 家，不变 {counts.get('same', 0)} 家（元）"
    if max(counts.get("gain", 0), counts.get("loss", 0)) > _SHOWN:
        title += f"（列出前 {_SHOWN} 家）"
    table = _table(title, "级别", "例数", "清算前增减", "清算后增减", "增减率", text=2)
    moved = frame.filter(pl.col("outcome") != "same")
    head = moved.filter(pl.col("outcome") == "gain").head(_SHOWN)
    tail = moved.filter(pl.col("outcome") == "loss").tail(_SHOWN)
    for row in pl.concat([head, tail]).iter_rows(named=True):
        colour = "red" if row["outcome"] == "loss" else "green"
        cleared = "—" if row["cleared_gain_fen"] is None else yuan_text(row["cleared_gain_fen"])
        table.add_row(
            escape(row["name"]), escape(row["tier"]), f"{row['cases']:,}", yuan_text(row["fund_gain_fen"]),
            f"[{colour}]{cleared}[/]", _percent(row["rate"]),
        )  # fmt: skip
    return table


def _percent(rate: Decimal | None) -> str:
    return "—" if rate is None else f"{rate * 100:+.3f}%"


def _fund(frame: pl.DataFrame) -> Table:
    table = _table(
        "基金池", "点值（费率，前）", "点值（费率，后）", "基金支付（前，元）", "基金支付（后）", "当年结余（前）",
        "当年结余（后）", "可支付月数（前）", "（后）",
    )  # fmt: skip
    state: dict[str, dict[str, dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        state.setdefault(row["pool"], {})[row["state"]] = row
    for pool, sides in state.items():
        pairs: list[str] = []
        for name in ("point_value", "paid_fen", "balance_fen", "reserve_months"):
            for side in ("before", "after"):
                row = sides.get(side, {})
                text = _cell(name, row.get(name))
                pairs.append(f"{text} {row['price_unit']}" if name == "point_value" and row.get(name) else text)
        table.add_row(escape(pool), *pairs)
    return table


def _reconciled(frame: pl.DataFrame) -> Iterator[str]:
    """Where county groups are: how what hospitals receive comes of what the fund pays."""
    for row in frame.filter((pl.col("pool") == ALL_POOLS) & (pl.col("bundles_fen") != 0)).iter_rows(named=True):
        terms = (
            ("清算后支付 ", "received_fen"), (" ＝ 基金支付 ", "paid_fen"), (" ＋ 医共体打包总额 ", "bundles_fen"),
            (" － 打包病例以外的支出 ", "bundle_others_fen"), (" － 总额预留（未动用） ", "bundle_reserve_fen"),
            (" － 结余未留用（考核扣留等） ", "bundle_unkept_fen"),
        )  # fmt: skip
        sums = "".join(f"{label}{yuan_text(row[name])}" for label, name in terms)
        yield f"  改革{'前' if row['state'] == 'before' else '后'}：{sums}（元；后两项留在基金）"


def _growth(frame: pl.DataFrame) -> Table:
    """All pools together, year by year."""
    names = ("cases", "cost_fen", "fund_fen", "paid_fen", "balance_fen", "accumulated_fen")
    table = _table("增长各年（元）", "病例", "总费用", "统筹支付", "清算后基金支付", "当年结余", "累计结余")
    for row in frame.filter(pl.col("pool") == ALL_POOLS).iter_rows(named=True):
        year = (
            f"{row['year']} 年"
            if row["year"] >= _CALENDAR
            else f"增长后第 {row['year']} 年"
            if row["year"]
            else "改革后"
        )
        table.add_row(year, *(_cell(name, row[name]) for name in names))
    return table


def _sweep(frame: pl.DataFrame) -> Table:
    """Every value tried; of many those at equal distances, first and last among them."""
    names = ("package_fen", "fund_fen", "cleared_fen", "balance_fen")
    few = frame.height > _MOST
    title = f"逐值试算（元）（列出 {_MOST} 个，共 {frame.height} 个）" if few else "逐值试算（元）"
    table = _table(title, "取值", "病组支付", "统筹支付", "清算后支付", "基金当年结余", "增加", "减少")
    places = [at * (frame.height - 1) // (_MOST - 1) for at in range(_MOST)] if few else list(range(frame.height))
    for row in frame[places].iter_rows(named=True):
        amounts = [_cell(name, row[name]) for name in names]
        counts = [f"{row[name]} 家" for name in ("winners", "losers")]
        table.add_row(escape(row["sweep"]), f"{row['value'].normalize():f}", *amounts, *counts)
    return table


def _cell(name: str, value: Any) -> str:
    if value is None or value == "":
        return "—"
    return (
        yuan_text(value) if name.endswith("_fen") else f"{value:.2f}" if isinstance(value, Decimal) else _count(value)
    )


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _chances(frame: pl.DataFrame) -> Table:
    table = _table("基金当年结余（元）", "估计", "95% 区间", "超支的可能性")
    for row in frame.filter(pl.col("what") == "balance").iter_rows(named=True):
        value, low, high = (yuan_text(round(row[name])) for name in ("value", "low", "high"))
        left = f"（另有 {row['left_out']:,} 次无法清算）" if row["left_out"] else ""
        table.add_row(escape(row["label"]), value, f"{low} 至 {high}", f"{row['chance']:.1%}{left}")
    return table
