"""A small region for settlement tests: two hospitals, a rate of 1,000 yuan, prices that can be worked out by head.

职工 and 居民 are paid by rate: weight x 1000 x 1. G1 weighs 1, G2 weighs 2: packages of 1,000 and 2,000 yuan. The fund
pays the package less what the patient paid.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from budget.frames import PAYABLE_SCHEMA
from budget.group_values import GroupValues
from reference_tables.policy import Policy, policy_of

VALUES = GroupValues.of_rows([{"group": "G1", "weight": "1"}, {"group": "G2", "weight": "2"}])
_SETTINGS: dict[str, Any] = {
    "base_rate": "1000", "coefficient": "1", "reference": "STD", "low_limit": "0.1", "low_inclusive": False,
    "high_limit": [{"limit": "10"}], "high_inclusive": False, "normal_formula": "N_RATE", "low_formula": "L_COST",
    "high_formula": "H_COST", "fund_share_mode": "STANDARD_MINUS_PATIENT", "pools": "insurance",
    "prepay_share": "0.9", "prepay_period": "month", "deposit_share": "0.05",
}  # fmt: skip


def region_policy(
    more: list[dict[str, Any]] | None = None,
    method: str = "drg-rate",
    since: date = date(2026, 1, 1),
    until: date | None = None,
    tiers: tuple[str, ...] = ("三级",),
    **changed: Any,
) -> Policy:
    """The policy; `changed` values by key, None takes one away; `more` further settings."""
    wanted = {key: value for key, value in (_SETTINGS | changed).items() if value is not None}
    settings = [{"key": key, "value": value} for key, value in wanted.items()] + (more or [])
    return policy_of(
        {
            "id": "small", "name": "小区", "region": "小区", "method": method, "insurances": ["职工", "居民"],
            "tiers": list(tiers), "effective_from": since, "data_level": "synthetic", "statement": "试验",
            "sources": {"example": {"title": "试验", "publisher": "drgdip"}},
            "set": [item | {"source": "example", "confidence": "synthetic"} for item in settings],
            **({} if until is None else {"effective_until": until}),
        }
    )  # fmt: skip


def policy_text(policy: Policy) -> str:
    """The TOML file of a policy that `region_policy` made."""
    head = policy.header
    words = {name: getattr(head, name) for name in ("id", "name", "region", "method", "data_level", "statement")}
    lines = [f"{name} = {_toml(value)}" for name, value in words.items()]
    lines += [f"insurances = {_toml(list(head.insurances))}", f"tiers = {_toml(list(head.tiers))}"]
    lines += [f"effective_from = {head.effective_from}"]
    lines += [f"effective_until = {head.effective_until}"] if head.effective_until else []
    lines += ['[sources.example]\ntitle = "试验"\npublisher = "drgdip"']
    for item in policy.settings:
        lines += ["[[set]]", f"key = {_toml(item.key)}", f"value = {_toml(item.raw)}"]
        lines += [f"for = {_toml(dict(item.scope))}"] if item.scope else []
        lines += ['source = "example"', 'confidence = "synthetic"']
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else f'"{value}"'


def case(case_id: str, hospital: str = "H1", month: str = "2026-01", **values: Any) -> dict[str, Any]:
    """A case of group G1 that cost 800 yuan and of which the patient paid 300: the fund is due 700 yuan."""
    plain = {
        "case_id": case_id, "hospital_id": hospital, "hospital_name": f"{hospital}医院", "tier": "三级", "month": month,
        "insurance": "职工", "group": "G1", "name": "病组", "status": "GROUPED", "kind": "", "primary_care": False,
        "total_cost_fen": 80_000, "separate_fen": 0, "patient_paid_fen": 30_000, "other_funds_fen": 0,
        "self_funded_fen": 0, "prior_self_pay_fen": 0, "deductible_fen": 0, "los_days": 5,
        "discharge": date.fromisoformat(f"{month}-15"),
    }  # fmt: skip
    return plain | values


def payable(*cases: dict[str, Any]) -> pl.DataFrame:
    """Cases as PAYABLE_SCHEMA."""
    rows = [{name: row.get(name) for name in PAYABLE_SCHEMA} for row in cases]
    return pl.DataFrame(rows, schema=PAYABLE_SCHEMA)
