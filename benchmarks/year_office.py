"""What a made-up city's payment office knows beside the cases: hospitals, decisions, the year's money, assessment."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from benchmarks.draws import Draws
from benchmarks.hospitals import Hospital

TIERS = {3: "三级", 2: "二级", 1: "一级"}
INSURANCE = {"310": "职工", "390": "居民"}
SPECIAL_PER_10000 = 15
YUAN = 100
DEDUCTIONS_PER_MILLE = (
    ("catastrophic", 40), ("offsite", 90), ("outpatient", 120), ("pharmacy", 50), ("separate_drugs", 15),
    ("by_item", 5),
)  # fmt: skip
RESERVE_PER_MILLE, REGULATION_PER_MILLE = 30, 50
COVER_PER_MILLE = 1002
"""What is left for inpatient care, of what the fund would have paid by item."""
VIOLATIONS = ("分解住院", "超限定支付范围用药", "重复收费", "串换诊疗项目")
_ROUND = 10_000 * YUAN


def write_register(path: Path, city: Sequence[Hospital]) -> Path:
    """The register of hospitals: hospital_id, name, tier."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("hospital_id", "name", "tier"))
        rows.writerows((item.id, item.name, TIERS[item.level]) for item in city)
    return path


def write_decisions(path: Path, cases: pl.DataFrame, draws: Draws) -> Path:
    """The dearest of the `known` cases as special cases: most paid by item, some at an agreed amount, some refused."""
    wanted = max(1, cases.height * SPECIAL_PER_10000 // 10_000)
    order = pl.col("total_cost_fen").rank("ordinal", descending=True)
    chosen = cases.filter("known").sort("case_id").filter(order <= wanted)
    drawn = draws.below(100, chosen.height)
    kind = pl.Series(drawn)
    decision = pl.when(kind < 75).then(pl.lit("by_item")).when(kind < 90).then(pl.lit("adjusted"))
    fen = pl.col("total_cost_fen") * 9 // 10
    amount = (fen // YUAN).cast(pl.String) + "." + (fen % YUAN).cast(pl.String).str.zfill(2)
    table = chosen.with_columns(decision.otherwise(pl.lit("refused")).alias("decision"))
    table.select(
        "case_id",
        "hospital_id",
        "decision",
        pl.when(pl.col("decision") == "adjusted").then(amount).alias("amount"),
    ).write_csv(path)
    return path


def write_year_file(path: Path, cases: pl.DataFrame, city: Sequence[Hospital], year: int, draws: Draws) -> Path:
    """The year file: what comes into the fund and goes out of it before hospitals are paid, scores and violations.

    The income is such that what is left for inpatient care comes near to what the fund would have paid by item.
    """
    by_item = {
        INSURANCE[code]: (cost, fund)
        for code, cost, fund in cases.group_by("insurance_type")
        .agg(pl.col("total_cost_fen", "fund_pay_fen").sum())
        .sort("insurance_type")
        .iter_rows()
    }
    lines = [
        f"# Made-up year {year} of a made-up city.",
        "",
        f"year = {year}",
        'region = "合成市"',
        'data_level = "synthetic"',
        'statement = "合成数据，不代表任何地区。"',
        'decisions = "decisions.csv"',
    ]
    left = (1000 - RESERVE_PER_MILLE - sum(part for _, part in DEDUCTIONS_PER_MILLE)) * (1000 - REGULATION_PER_MILLE)
    for insurance, (cost, fund) in by_item.items():
        income = fund * COVER_PER_MILLE * 1000 // left // _ROUND * _ROUND
        lines += _table("fund", insurance=insurance, income=_yuan(income), balance=_yuan(income * 15 // 12))
        for item, part in DEDUCTIONS_PER_MILLE:
            taken = _yuan(income * part // 1000)
            lines += _table("deduction", insurance=insurance, item=item, amount=taken)
        for before, percent in ((3, 84), (2, 90), (1, 95)):
            lines += _table(
                "history", insurance=insurance, year=year - before, total_cost=_yuan(cost * percent // 100),
                fund_paid=_yuan(fund * percent // 100),
            )  # fmt: skip
    scores = draws.between(780, 995, len(city))
    for hospital, score in zip(city, scores.tolist(), strict=True):
        whole, tenth = divmod(score, 10)
        lines += _table(
            "hospital", id=hospital.id, name=hospital.name, tier=TIERS[hospital.level], score=f"{whole}.{tenth}"
        )
    for at, place in enumerate(draws.order(len(city))[: max(1, len(city) // 8)].tolist()):
        fine = int(draws.between(20_000, 300_000, 1)[0]) * YUAN
        lines += _table(
            "violation", hospital=city[place].id, insurance=list(by_item)[at % len(by_item)], amount=_yuan(fine),
            reason=VIOLATIONS[at % len(VIOLATIONS)],
        )  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_quota_file(path: Path, year_file: Path, cases: pl.DataFrame) -> Path:
    """The year file with a part of each pool for every hospital, as policies with budgets of hospitals ask for: what
    the fund paid by item for its cases."""
    sums = cases.group_by("hospital_id", "insurance_type").agg(pl.col("fund_pay_fen").sum())
    lines = [year_file.read_text(encoding="utf-8").rstrip("\n")]
    for hospital, code, fund in sums.sort("hospital_id", "insurance_type").iter_rows():
        lines += _table("quota", hospital=hospital, insurance=INSURANCE[code], part=_yuan(fund))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _table(name: str, /, **values: str | int) -> list[str]:
    rows = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in values.items()]
    return ["", f"[[{name}]]", *rows]


def _yuan(fen: int) -> str:
    return f"{fen // YUAN}.{fen % YUAN:02d}"
