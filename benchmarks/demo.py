"""`make demo`: a synthetic city's month in the three formats hospitals send, grouped by DRG and by a DIP catalog grown
from the city's own three years, shown and explained; then its year, paid, settled and cleared (`demo_year`).

Every step is an ordinary command, printed before it runs, so that it can be typed again with other files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.demo_year import show_year
from benchmarks.hospitals import city_hospitals
from benchmarks.make_cases import make_cases
from benchmarks.make_city import make_city_month
from benchmarks.write_cases import write_cases
from grouper.result import STATUS_ZH
from reference_tables.packs import find_drg_pack

ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path("out") / "demo"
SCHEME = "chs-drg-1.1"
MONTH, HOSPITALS, CASES, SEED = "2026-10", 12, 30_000, 2026
YEAR, HISTORY = 2026, 20_000
BAR = 24
console = Console(width=118, highlight=False)


def command(*words: str, shown: tuple[int, int] | None = None) -> int:
    """Print a drgdip command and run it; 0 and 1 (problems found) are both expected of real files.

    `shown`: so many lines of its output from the beginning and from the end; all of them without it.
    """
    console.print(f"\n[bold cyan]$ drgdip {' '.join(words)}[/]", soft_wrap=True)
    run = [sys.executable, "-m", "api.cli.main", *words]
    if shown is None:
        code = subprocess.run(run, cwd=ROOT, check=False).returncode
    else:
        env = {**os.environ, "COLUMNS": str(console.width)}
        done = subprocess.run(
            run, cwd=ROOT, check=False, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        first, last = shown
        lines, code = done.stdout.splitlines(), done.returncode
        whole = len(lines) <= first + last + 1
        cut = [f"  …（共 {len(lines)} 行）"]
        for line in lines if whole else [*lines[:first], *cut, *lines[-last:]]:
            print(line)
    if code not in {0, 1}:
        sys.exit(code)
    return code


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold")
    for at, name in enumerate(columns):
        made.add_column(name, justify="right" if at and name not in {"名称", "分组率", "占比"} else "left")
    return made


def show_hospitals(groups: pl.DataFrame) -> None:
    """How each hospital's file came out."""
    made = table("各医院分组情况", "文件", "病例", "正常入组", "歧义组", "未入组", "数据无效", "分组率")
    counted = groups.group_by("file", maintain_order=True).agg(
        pl.len(), *((pl.col("status") == name).sum().alias(name) for name in STATUS_ZH)
    )
    for file, cases, grouped, ambiguous, ungrouped, invalid in counted.iter_rows():
        share = grouped / cases
        bar = "█" * round(share * BAR)
        made.add_row(
            Path(file).name,
            f"{cases:,}",
            f"{grouped:,}",
            f"{ambiguous:,}",
            f"{ungrouped:,}",
            f"{invalid:,}",
            f"{bar} {share:.1%}",
        )
    console.print(made)


def show_groups(groups: pl.DataFrame) -> None:
    """The most frequent groups of the city."""
    made = table("病例最多的病组", "DRG", "名称", "病例", "占比")
    real = groups.filter(pl.col("status") == "GROUPED")
    top = real.group_by("drg", "name").len().sort(["len", "drg"], descending=[True, False]).head(10)
    most = top["len"].max()
    assert isinstance(most, int)
    for drg, name, count in top.iter_rows():
        made.add_row(drg, name, f"{count:,}", f"{'█' * round(count / most * BAR)} {count / groups.height:.1%}")
    console.print(made)


def telling_case(groups: pl.DataFrame) -> tuple[str, str]:
    """A case worth explaining: an operation whose group a complication decided, in the first file."""
    first = groups.filter(pl.col("file") == groups["file"][0])
    worth = first.filter((pl.col("severity") == "MCC") & pl.col("used_codes").str.contains(r"\|\d\d\."))
    return str(FOLDER / worth["file"][0]), worth["case_id"][0]


def show_dip(files: list[str]) -> str:
    """The same city by DIP: a catalog from three made-up years, the month grouped by it, one mixed case
    explained. Returns the catalog's folder."""
    pack, years = find_drg_pack(SCHEME), range(YEAR - 3, YEAR)
    console.print(f"\n[bold]DIP 病种目录[/]：由 {years[0]} 至 {years[-1]} 年合成病例各 {HISTORY:,} 例生成")
    history = [str(FOLDER / f"history-{year}.csv") for year in years]
    for year, path in zip(years, history, strict=True):
        cases = make_cases(pack, HISTORY, SEED + year, month=f"{year}-06", hospitals=city_hospitals(HOSPITALS))
        write_cases([cases], "flat", ROOT / path)
    catalog, output = str(FOLDER / "dip-catalog"), str(FOLDER / "dip-groups.csv")
    command(
        "catalog", "build", *history, "-o", catalog, "--id", "synthetic-city-dip", "--name", "合成市病种目录",
        "--region", "合成市", "--data-level", "synthetic",
    )  # fmt: skip
    command("group", *files, "--scheme", catalog, "-o", output)
    groups = pl.read_csv(ROOT / output, infer_schema=False).with_columns(pl.all().fill_null(""))
    first = groups.filter((pl.col("file") == groups["file"][0]) & (pl.col("kind") == "core"))
    telling = first.filter(pl.col("factor").cast(pl.Float64) != 1)
    case = (telling if telling.height else first)["case_id"][0]
    command("explain", files[0], "--case", case, "--scheme", catalog)
    console.print(f"目录 [bold]{catalog}[/]，报告 [bold]{catalog}-report.xlsx[/]，逐例结果 [bold]{output}[/]")
    return catalog


def main() -> None:
    folder = ROOT / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    console.print(f"[bold]合成城市[/] {MONTH}，{HOSPITALS} 家医院，{CASES:,} 例，三种格式（数据均为合成，种子 {SEED}）")
    make_city_month(folder, pack=find_drg_pack(SCHEME), hospitals=HOSPITALS, cases=CASES, seed=SEED, month=MONTH)
    files = sorted(str(FOLDER / path.name) for path in folder.iterdir())
    output, listed = str(FOLDER / "groups.csv"), str(FOLDER / "worklist.xlsx")
    command("group", *files, "--scheme", SCHEME, "-o", output)
    groups = pl.read_csv(ROOT / output, infer_schema=False).with_columns(pl.all().fill_null(""))
    show_hospitals(groups)
    show_groups(groups)
    file, case = telling_case(groups)
    command("explain", file, "--case", case, "--scheme", SCHEME)
    command("whatif", file, "--case", case, "--scheme", SCHEME)
    command("validate", *files, "--scheme", SCHEME, "-o", listed)
    catalog = show_dip(files)
    console.print(f"\n逐例结果 [bold]{output}[/]（校验 {output}.proof.json），编码员问题清单 [bold]{listed}[/]")
    show_year(ROOT, FOLDER, SCHEME, catalog, command, console)


if __name__ == "__main__":
    main()
