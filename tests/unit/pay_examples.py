"""A small policy, weights and case files to price with the small packs, as texts."""

from __future__ import annotations

from pathlib import Path

from tests.unit.small_pack import FILES as DRG_FILES

_SET = '[[set]]\nkey = "{key}"\nvalue = {value}\nsource = "doc"\nconfidence = "synthetic"\n'
HEAD = """\
id = "small"
name = "试验政策"
region = "某市"
method = "{method}"
insurances = ["职工", "居民"]
tiers = ["三级", "二级"]
effective_from = 2025-01-01
effective_until = 2026-01-01
data_level = "synthetic"
statement = "试验"
[sources.doc]
title = "某文件"
"""
RATE = {
    "base_rate": '"10000"', "reference": '"STD"', "low_limit": '"0.4"', "low_inclusive": "false",
    "high_limit": '"2"', "high_inclusive": "false", "normal_formula": '"N_RATE"', "low_formula": '"L_COST"',
    "high_formula": '"H_PCT"', "high_percent": '"0.7"', "ungrouped_rule": '"by_item"', "ambiguous_rule": '"by_item"',
    "fund_share_mode": '"STANDARD_MINUS_PATIENT"', "special_rule": '"by_item"',
}  # fmt: skip
TIERS = {"三级": '"1.1"', "二级": '"0.9"'}
WEIGHTS = "group,weight\nBR19,1.5\nBB11,4\n"
HEADER = (
    "case_id,hospital_id,hospital_level,sex,age_years,los_days,discharge_way,insurance_type,discharge_date,"
    "principal_dx,other_dx,principal_px,total_cost,fund_pay,self_pay,own_pay\n"
)


def policy_text(method: str = "drg-rate", values: dict[str, str] | None = None, more: str = "") -> str:
    """A policy file; `values`: key -> TOML."""
    blocks = [_SET.format(key=key, value=value) for key, value in (RATE if values is None else values).items()]
    tiers = [
        _SET.format(key="coefficient", value=value) + f'for = {{ tier = "{tier}" }}\n' for tier, value in TIERS.items()
    ]
    return HEAD.format(method=method) + "".join([*blocks, *tiers]) + more


def row(case: str, cost: str = "16000", **other: str) -> str:
    """A case of group BR19 (I61.000), well told unless `other` says otherwise."""
    told = {
        "case_id": case, "hospital_id": "H1", "hospital_level": "3", "sex": "1", "age_years": "60", "los_days": "8",
        "discharge_way": "1", "insurance_type": "310", "discharge_date": "2025-03-09", "principal_dx": "I61.000",
        "total_cost": cost, "fund_pay": "11000", "self_pay": "4000", "own_pay": "1000",
    } | other  # fmt: skip
    return ",".join(told.get(name, "") for name in HEADER.strip().split(",")) + "\n"


def write_examples(folder: Path, cases: str) -> Path:
    """Pack `pack`, `p.toml`, `w.csv` and `cases.csv` in a folder."""
    (folder / "pack").mkdir()
    for name, text in DRG_FILES.items():
        (folder / "pack" / name).write_text(text, encoding="utf-8")
    (folder / "p.toml").write_text(policy_text(), encoding="utf-8")
    (folder / "w.csv").write_text(WEIGHTS, encoding="utf-8")
    (folder / "cases.csv").write_text(HEADER + cases, encoding="utf-8")
    return folder
