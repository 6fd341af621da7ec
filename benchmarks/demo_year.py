"""The second half of `make demo`: the synthetic city's year, paid, settled month by month and cleared, by DRG and by
DIP side by side, down to the statements and one page of charts."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.make_year import make_year
from budget.money import to_fen, yuan_text
from reference_tables.packs import find_drg_pack

HOSPITALS, CASES, YEAR = 40, 200_000, 2026
REFORMED, REFORM, RESAMPLES = "synthetic-city-drg-rate", "synthetic-surgical-neutral", 200
SHOWN = 8
Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to pay the same cases."""

    label: str
    policy: str
    scheme: str
    book: str
    cleared: str


def show_year(root: Path, folder: Path, scheme: str, catalog: str, command: Command, console: Console) -> None:
    """Make the year under `folder` (below `root`) and take it from the budget to the page."""
    year = folder / "year"
    size = f"{YEAR} 年，{HOSPITALS} 家医院，{CASES:,} 例"
    console.print(f"\n[bold]全年支付与清算[/]：{size}，同一批病例分别按 DRG 和 DIP 支付（合成数据）")
    made = make_year(
        root / year, pack=find_drg_pack(scheme), year=YEAR, hospitals=HOSPITALS, cases=CASES, history=0,
        told=lambda text: console.print(f"  {text} 例", style="dim"),
    )  # fmt: skip
    methods = (
        Method("DRG", "synthetic-city-drg-point", scheme, str(year / "book-drg"), str(year / "cleared-drg")),
        Method("DIP", "synthetic-city-dip", catalog, str(year / "book-dip"), str(year / "cleared-dip")),
    )
    year_file, register = str(year / "year.toml"), str(year / "hospitals.csv")
    command("budget", "--policy", methods[0].policy, "--year-file", year_file)
    months = [str(path.relative_to(root)) for path in made.months]
    for method in methods[:1]:
        command(
            "settle", months[0], "--policy", method.policy, "--scheme", method.scheme, "--month", Path(months[0]).stem,
            "--book", method.book, "--hospitals", register, "--close", shown=(9, 10),
        )  # fmt: skip
    _settle_rest(root, methods, register, months, console)
    for method in methods:
        command(
            "clear", "--year", str(YEAR), "--policy", method.policy, "--scheme", method.scheme,
            "--year-file", year_file, "--book", method.book, "-o", method.cleared, shown=(9, 6),
        )  # fmt: skip
    _compare(root, methods, console)
    page = str(folder / "year.html")
    pairs = [word for method in methods for word in ("--book", method.book, "--cleared", method.cleared)]
    command("report", *pairs, "--title", f"合成市 {YEAR} 年住院医保支付与清算", "-o", page)
    console.print(
        f"\n网页 [bold]{page}[/]，各医院清算单 [bold]{methods[0].cleared}/statements[/]、"
        f"[bold]{methods[1].cleared}/statements[/]"
    )
    simulated = str(folder / "simulated")
    console.print("\n[bold]政策模拟[/]：手术组权重上调 5%，清算前基金支付不变，谁增谁减")
    command(
        "simulate", *months, "--policy", REFORMED, "--reform", REFORM, "--year-file", year_file, "--hospitals",
        register, "--bootstrap", str(RESAMPLES), "--seed", "1", "-o", simulated,
    )  # fmt: skip
    console.print(f"\n模拟网页 [bold]{simulated}/simulation.html[/]，表格 [bold]{simulated}/tables.xlsx[/]")


def _settle_rest(root: Path, methods: Sequence[Method], register: str, months: Sequence[str], console: Console) -> None:
    """All months but those shown, both methods at once."""
    console.print("\n[bold]其余各月的月度结算[/]（同一命令，逐月关账）")
    running = []
    threads = max(1, (os.cpu_count() or 1) // len(methods))
    for at, method in enumerate(methods):
        words = [sys.executable, "-m", "benchmarks.settle_year", "--policy", method.policy, "--scheme", method.scheme,
                 "--book", method.book, "--hospitals", register, *(months[1:] if at == 0 else months)]  # fmt: skip
        env = {**os.environ, "POLARS_MAX_THREADS": str(threads)}
        running.append(subprocess.Popen(words, cwd=root, env=env))
    codes = [child.wait() for child in running]
    if any(codes):
        sys.exit("a month could not be settled")


def _compare(root: Path, methods: Sequence[Method], console: Console) -> None:
    """The statements of both methods side by side: the hospitals with the largest balances either way."""
    names = {row["hospital_id"]: row["name"] for row in _rows(root / Path(methods[0].book).parent / "hospitals.csv")}
    sums: dict[str, dict[str, tuple[int, int]]] = {}
    for method in methods:
        for row in _rows(root / method.cleared / "statement.csv"):
            due, balance = sums.setdefault(row["hospital"], {}).get(method.label, (0, 0))
            sums[row["hospital"]][method.label] = (
                due + to_fen(row["entitlement"]) + to_fen(row["shared"]), balance + to_fen(row["balance"]),
            )  # fmt: skip
    table = Table(title="年终清算：DRG 与 DIP（元）", title_justify="left", title_style="bold")
    table.add_column("医院")
    for method in methods:
        table.add_column(f"{method.label} 应得与分担", justify="right")
        table.add_column(f"{method.label} 清算差额", justify="right")
    zero = (0, 0)
    first = methods[0].label
    order = sorted(sums, key=lambda name: (-sums[name].get(first, zero)[1], name))
    for name in [*order[: SHOWN // 2], *order[-SHOWN // 2 :]]:
        cells = [yuan_text(fen) for method in methods for fen in sums[name].get(method.label, zero)]
        table.add_row(names.get(name, name), *cells)
    totals = [sum(parts.get(method.label, zero)[at] for parts in sums.values()) for method in methods for at in (0, 1)]
    table.add_section()
    table.add_row(f"合计（{len(sums)} 家）", *map(yuan_text, totals))
    console.print(table)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
