"""What commands over a history of several years ask for in the same words: years, their weights, trimming, method."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

import typer

from api.cli.console import Exit, fail
from budget.money import FEN, exact
from budget.trimming import read_trimming
from grouper.catalog.history import share_text
from reference_tables.catalog_rules import catalog_rules

STDIN = "-"
_YEARS = (
    "统计年度，如 2023,2024,2025 或 2023-2025；默认为最近连续的几年（年数同 --year-weights），"
    f"每年病例数不少于最多一年的 {share_text()}"
)
YearsOption = Annotated[str | None, typer.Option("--years", help=_YEARS)]
YearWeightsOption = Annotated[str, typer.Option("--year-weights", help="年度权重，由早到晚，如 1:2:7；个数即年数")]
YEAR_WEIGHTS = ":".join(map(str, catalog_rules().year_weights))
TrimOption = Annotated[str, typer.Option("--trim", help="费用裁剪：percentile:2.5:97.5、iqr:1.5、lognormal:3 或 none")]
BenchmarkOption = Annotated[str, typer.Option("--benchmark", help="基准病种编码（--method benchmark）", metavar="CODE")]
QuotaOption = Annotated[
    str | None, typer.Option("--quota", help="固定额度，元（--method standard-quota）", metavar="YUAN")
]


def years_of(text: str | None) -> tuple[int, ...] | None:
    """2023,2024,2025 or 2023-2025 as years, ascending."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{4})-(\d{4})", text.strip())
    parts = [*range(int(found[1]), int(found[2]) + 1)] if found else text.split(",")
    try:
        years = sorted(int(part) for part in parts)
    except ValueError:
        years = []
    if not years or len(set(years)) < len(years) or not all(1000 <= year <= 9999 for year in years):
        fail(f"--years 应如 2023,2024,2025 或 2023-2025：{text}", Exit.USAGE)
    return tuple(years)


def year_weights_of(text: str, years: tuple[int, ...] | None) -> tuple[Fraction, ...]:
    """1:2:7 or 0.1:0.2:0.7 as positive numbers, as many as there are years."""
    try:
        weights = tuple(exact(part) for part in text.split(":"))
    except ValueError:
        weights = ()
    if not weights or any(weight <= 0 for weight in weights):
        fail(f"--year-weights 应为冒号分开的正数，如 1:2:7：{text}", Exit.USAGE)
    if years is not None and len(years) != len(weights):
        fail(f"--years 有 {len(years)} 年，--year-weights 有 {len(weights)} 个权重，应相等", Exit.USAGE)
    return weights


def quota_of(text: str | None, method: str) -> int:
    """The fixed amount in fen, 0 when the method has none."""
    if (method == "standard-quota") != (text is not None):
        fail("--method standard-quota 与 --quota 金额 须同时给出", Exit.USAGE)
    try:
        fen = exact(text) * FEN if text is not None else Fraction(0)
    except ValueError:
        fen = Fraction(-1)
    if fen.denominator != 1 or (text is not None and fen <= 0):
        fail(f"--quota 应为正的金额（元，至多两位小数）：{text}", Exit.USAGE)
    least, most = catalog_rules().quota_fen
    if text is not None and not least <= fen <= most:
        fail(f"--quota 应在 {least // FEN} 至 {most // FEN} 元之间：{text}", Exit.USAGE)
    return int(fen)


def benchmark_of(code: str, method: str) -> str:
    """The benchmark disease, "" when the method has none."""
    if (method == "benchmark") != bool(code):
        fail("--method benchmark 与 --benchmark 编码 须同时给出", Exit.USAGE)
    return code


def trimming_of(text: str) -> str:
    """A rule of trimming, checked."""
    try:
        read_trimming(text)
    except ValueError:
        fail(f"--trim 应为 percentile:低:高（0 至 100）、iqr:倍数、lognormal:倍数 或 none：{text}", Exit.USAGE)
    return text
