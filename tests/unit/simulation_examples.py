"""Tables of a made-up simulation, as large as asked for: consistent sums, no meaning."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from budget.compare_frames import DIMENSIONS, TABLES

TIERS = ("三级", "二级", "一级")
SURNAMES = "东西南北中山水林江河湖海城关新安平和永康"


def frame(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A table of its schema; a column that a row does not give is null."""
    schema = TABLES[name]
    return pl.DataFrame([{column: row.get(column) for column in schema} for row in rows], schema=schema, orient="row")


def gain_row(dimension: str, key: str, label: str, money: tuple[int, ...], cases: int = 10) -> dict[str, Any]:
    """`money`: cost, package, fund and (when cleared) cleared, each before and after; cost once."""
    names = list(TABLES["gain"])[4:]
    return {"dimension": dimension, "key": key, "label": label, "cases": cases, **dict(zip(names, money, strict=False))}


def city_tables(hospitals: int, seed: int = 1) -> dict[str, pl.DataFrame]:
    """Every table, for a city of so many hospitals."""
    rng = np.random.default_rng(seed)
    sizes = np.sort(rng.lognormal(22.2, 1.35, hospitals))[::-1].astype(np.int64) + 10_000
    rates = rng.normal(0.004, 0.03, hospitals)
    tiers = [TIERS[0] if at < hospitals * 0.15 else TIERS[1] if at < hospitals * 0.5 else TIERS[2]
             for at in range(hospitals)]  # fmt: skip
    names = [f"{SURNAMES[at % 20]}{SURNAMES[at // 20 % 20]}市第{at + 1}人民医院" for at in range(hospitals)]
    before, after = sizes, (sizes * (1 + rates)).astype(np.int64)
    cleared = (after * (before.sum() / after.sum()) * (1 + rng.normal(0, 0.004, hospitals))).astype(np.int64)
    rows = [
        gain_row(
            "hospital", f"H{at:03d}", names[at],
            tuple(int(value) for value in (
                sizes[at] * 1.4, sizes[at] * 1.3, after[at] + sizes[at] * 0.3, before[at], after[at],
                before[at], cleared[at],
            )),
            int(sizes[at] // 1_000_000) + 1,
        )
        for at in range(hospitals)
    ]  # fmt: skip
    whole = frame("gain", rows)
    money = list(TABLES["gain"])[3:]
    parts = [whole]
    for dimension, keys in _keys(rng).items():
        of_hospital = tiers if dimension == "tier" else [keys[at] for at in rng.integers(0, len(keys), hospitals)]
        labelled = whole.with_columns(pl.lit(dimension).alias("dimension"), pl.Series("label", of_hospital))
        grouped = labelled.group_by("dimension", "label").agg(pl.col(name).sum() for name in money)
        parts.append(grouped.with_columns(pl.col("label").str.split(" ").list.first().alias("key")))
    gain = pl.concat([part.select(list(TABLES["gain"])) for part in parts])
    change = [int(value) for value in cleared - before]
    return {
        "gain": gain.sort(pl.col("dimension").cast(pl.Enum(list(DIMENSIONS))), "key"),
        "winners": _winners(names, tiers, before, after, cleared),
        "deciles": pl.concat([_deciles("fund", before, after), _deciles("cleared", before, cleared)]),
        "lorenz": _lorenz(change),
        "fund": _fund(sum(change)),
        "changes": _changes(hospitals),
        "steps": _steps(int(before.sum()), sum(change)),
        "transition": _transition(rng),
        "bootstrap": _bootstrap(names, change, rng),
        "fan": _fan(),
        "solved": frame("solved", [{
            "kind": "neutral", "place": "surgical.toml:12", "what": "基金支付不变的权重系数", "value": "0.9871",
            "before": "182345.67", "reached": "182345.71", "target": "182345.67", "residual": "0.04", "iterations": 9,
            "problem": "",
        }, {
            "kind": "corridor", "place": "surgical.toml:20", "what": "各医院系数，增减不超过 2%", "value": "",
            "before": "",
            "reached": "", "target": "", "residual": "12000.00", "iterations": 20,
            "problem": "东山市第1人民医院的下限与总额不变的约束矛盾，差 12000.00 元（0.31%）",
        }]),
        "sweep": _sweeps(),
    }  # fmt: skip


def _keys(rng: np.random.Generator) -> dict[str, list[str]]:
    parts = (
        "胆道大手术",
        "肺部感染及胸膜炎症",
        "脑缺血性疾患",
        "冠状动脉支架置入",
        "剖宫产",
        "恶性增生性疾患的化学治疗",
    )
    return {
        "tier": list(TIERS),
        "insurance": ["职工", "居民"],
        "kind": ["正常", "高倍率", "低倍率", "床日", "按项目"],
        "pool": ["职工", "居民"],
        "county_group": [f"{name}县医共体" for name in "东西南北"],
        "department": [f"{name}科" for name in ("心内", "普外", "骨", "呼吸与危重症医学", "妇产", "儿")],
        "mdc": [f"MDC{letter} 系统疾病及功能障碍{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
        "group": [
            f"{chr(65 + at % 26)}{'BCRSZ'[at % 5]}{at % 9 + 1}{(1, 3, 5, 9)[at % 4]} "
            f"{parts[int(rng.integers(0, len(parts)))]}，伴并发症或合并症"
            for at in range(200)
        ],
    }  # fmt: skip


def _rate(part: int, whole: int) -> Decimal | None:
    return round(Decimal(part) / Decimal(whole), 6) if whole else None


def _winners(names: list[str], tiers: list[str], before: Any, after: Any, cleared: Any) -> pl.DataFrame:
    rows = []
    for at, name in enumerate(names):
        old, priced, paid = int(before[at]), int(after[at]), int(cleared[at])
        rows.append({
            "hospital": f"H{at:03d}", "name": name, "tier": tiers[at], "cases": 100,
            "fund_before_fen": old, "fund_after_fen": priced, "fund_gain_fen": priced - old,
            "fund_rate": _rate(priced - old, old), "cleared_before_fen": old, "cleared_after_fen": paid,
            "cleared_gain_fen": paid - old, "cleared_rate": _rate(paid - old, old), "gain_fen": paid - old,
            "rate": _rate(paid - old, old), "outcome": "gain" if paid > old else "loss" if paid < old else "same",
        })  # fmt: skip
    rows.sort(key=lambda row: -int(row["gain_fen"]))
    return frame("winners", rows)


def _deciles(stage: str, before: Any, after: Any) -> pl.DataFrame:
    order = np.argsort((after - before) / before)
    rows = []
    for at, part in enumerate(np.array_split(order, 10), 1):
        old, new = int(before[part].sum()), int(after[part].sum())
        rates = [_rate(int(after[one] - before[one]), int(before[one])) for one in part]
        known = [rate for rate in rates if rate is not None]
        rows.append({
            "stage": stage, "decile": at, "hospitals": len(part), "cases": 100, "before_fen": old, "after_fen": new,
            "rate": _rate(new - old, old), "low_rate": min(known), "high_rate": max(known),
        })  # fmt: skip
    return frame("deciles", rows)


def _lorenz(change: list[int]) -> pl.DataFrame:
    rows = []
    for side, sign in (("gained", 1), ("lost", -1)):
        amounts = sorted(sign * amount for amount in change if sign * amount > 0)
        total, level, area = sum(amounts), 0, Decimal(0)
        shares = []
        for at, amount in enumerate(amounts, 1):
            area += Decimal(2 * level + amount) / (total * len(amounts))
            level += amount
            shares.append((at, _rate(at, len(amounts)), _rate(level, total)))
        rows += [
            {"stage": "cleared", "side": side, "place": at, "hospitals_share": across, "amount_share": up,
             "total_fen": total,
             "gini": round(1 - area, 6)}
            for at, across, up in shares
        ]  # fmt: skip
    return frame("lorenz", rows)


def _fund(change: int) -> pl.DataFrame:
    rows = []
    for when, moved in (("before", 0), ("after", change)):
        parts = [("职工", 180_000_000_000, 9_200_000_000, "8.4"), ("居民", 120_000_000_000, -2_100_000_000, "5.1")]
        for at, (pool, paid, balance, months) in enumerate(parts):
            share = moved * 3 // 5 if at == 0 else moved - moved * 3 // 5
            rows.append({
                "pool": pool, "state": when, "cases": 100_000, "budget_fen": paid + balance,
                "distributable_fen": paid + balance, "regulation_fen": 0, "reserve_fen": 0, "fixed_fen": paid // 20,
                "units": "1234567.89", "point_value": "9876.5432",
                "entitlement_fen": paid + share, "shared_fen": 0, "kept_fen": 0, "paid_fen": paid + share, "line": "",
                "line_fen": 0, "back_fen": 0, "balance_fen": balance - share,
                "accumulated_fen": 10 * paid // 12,
                "reserve_months": Decimal(months) - Decimal(at) / 10 * (when == "after"),
            })  # fmt: skip
        pair = rows[-2:]
        summed: dict[str, Any] = {
            name: pair[0][name] + pair[1][name] for name in pair[0] if name.endswith("_fen") or name == "cases"
        }
        rows.append({"pool": "合计", "state": when, **summed, "reserve_months": Decimal("7.1")})
    return frame("fund", rows)


def _changes(hospitals: int) -> pl.DataFrame:
    common = {"reform": "surgical-weights-5pct", "action": "乘以", "settings": 412, "before": "AE19 1.2300"}
    return frame("changes", [
        {**common, "place": "surgical.toml:8", "key": "weight", "label": "权重", "value": "1.05",
         "scope": "手术组", "groups": 412, "cases": 81_234, "hospitals": hospitals, "moved": 80_001,
         "after": "AE19 1.2915"},
        {**common, "place": "surgical.toml:15", "key": "weight", "label": "权重", "value": "1.02", "settings": 3,
         "scope": "主要诊断大类 MDCP，2026-07-01 起", "since": "2026-07-01", "groups": 3, "cases": 0, "hospitals": 0,
         "moved": 0, "after": "AE19 1.2546"},
    ])  # fmt: skip


def _steps(before: int, change: int) -> pl.DataFrame:
    parts = [0, change // 2 - 900_000_000, change - 300_000_000, change]
    labels = ("改革前", "手术组权重上调 5%", "二级医院系数下调", "病例增长")
    return frame("steps", [
        {"step": at, "label": label, "cases": 200_000, "package_fen": before, "fund_fen": before + part,
         "cleared_fen": before + part, "balance_fen": 7_100_000_000 - part}
        for at, (label, part) in enumerate(zip(labels, parts, strict=True))
    ])  # fmt: skip


def _transition(rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for at in range(300):
        left, right = f"{chr(65 + at % 26)}B{at % 9 + 1}{at % 4 + 1}", f"{chr(65 + at % 24)}C{at % 7 + 1}9"
        cost = int(rng.lognormal(18 if at > 20 else 22, 0.8))
        moved = int(cost * rng.normal(0, 0.05))
        rows.append({
            "group_before": left, "name_before": f"{left}组：胆囊切除手术，伴严重并发症或合并症", "group_after": right,
            "name_after": "腹腔镜下胆囊切除手术", "cases": cost // 1_000_000 + 1, "cost_fen": cost,
            "package_before_fen": cost, "package_after_fen": cost + moved, "fund_before_fen": cost // 2,
            "fund_after_fen": cost // 2 + moved,
        })  # fmt: skip
    keys = ["group_before", "group_after"]
    return frame("transition", rows).unique(subset=keys, keep="first", maintain_order=True)


def _bootstrap(names: list[str], change: list[int], rng: np.random.Generator) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for at, name in enumerate(names):
        value = Decimal(change[at])
        wide = abs(value) * Decimal(str(round(0.3 + float(rng.random()) * 1.2, 3)))
        chance = Decimal("0.02") if value - wide > 0 else Decimal("0.97") if value + wide < 0 else Decimal("0.4")
        rows.append({"what": "hospital", "key": f"H{at:03d}", "label": name, "value": value, "low": value - wide,
                     "high": value + wide, "chance": chance})  # fmt: skip
    for pool, text in (("职工", "9876.5432"), ("居民", "7654.3210")):
        for suffix in ("_before", ""):
            point = Decimal(text)
            rows.append({"what": f"point_value{suffix}", "key": pool, "label": pool, "value": point,
                         "low": point - 20, "high": point + 21})  # fmt: skip
            rows.append({"what": f"balance{suffix}", "key": pool, "label": pool, "value": Decimal(2_100_000_050),
                         "low": Decimal(-300_000_000), "high": Decimal(4_500_000_025), "chance": Decimal("0.061"),
                         })  # fmt: skip
    return frame("bootstrap", rows)


def _fan() -> pl.DataFrame:
    rows = []
    for pool, start in (("职工", 9_200_000_000), ("居民", -2_100_000_000), ("合计", 7_100_000_000)):
        for at in range(4):
            median, wide = start - at * 1_700_000_000, 600_000_000 * (at + 1)
            rows.append({"year": 2026 + at, "pool": pool, "low95": median - 2 * wide, "low50": median - wide // 2,
                         "median": median, "high50": median + wide // 2, "high95": median + 2 * wide})  # fmt: skip
    return frame("fan", rows)


def _sweeps() -> pl.DataFrame:
    return frame("sweep", [
        {"sweep": "高倍率界限（倍），三级", "value": Decimal(20 + at) / 10, "package_fen": 30_000_000_000,
         "fund_fen": 20_000_000_000 - at * at * 20_000_000, "cleared_fen": 19_900_000_000 - at * at * 15_000_000,
         "balance_fen": 500_000_000 + at * at * 15_000_000,
         "winners": 30 - 2 * at, "losers": 2 * at + 5}
        for at in range(11)
    ])  # fmt: skip
