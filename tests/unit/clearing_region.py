"""Small regions for clearing: a policy, priced groups, a year file and a few cases, all easy to work out by hand.

Group G1 has weight (score) 1 (1000), G2 half of it; hospitals A is of tier 三级, B of tier 二级, C of tier 三级.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from api.core.clearing import Clearing, ClearingInput, PaidInYear, clear_year
from api.core.clearing_files import statement_rows
from budget.frames import FACTOR, PAYABLE_SCHEMA
from budget.group_values import GroupValues
from budget.money import to_fen
from reference_tables.policy import Policy, policy_of
from reference_tables.year_file import YearFile, parse_year_file

YEAR = 2026
TIER = {"A": "三级", "B": "二级", "C": "三级"}
STEPS = [
    "freeze", "decisions", "points", "pool", "point_value", "entitlement", "sharing", "top_ups", "assessment",
    "prepaid", "balance",
]  # fmt: skip
COMMON = {
    "low_limit": "0.5", "low_inclusive": False, "high_limit": "2", "high_inclusive": False,
    "fund_share_mode": "STANDARD_MINUS_PATIENT", "ungrouped_rule": "by_item", "pools": "insurance",
    "hospital_budget": "none", "clearing_steps": STEPS, "sharing_basis": "none", "assessment_on": "none",
    "deposit_share": "0", "payment_ratio": "0.8",
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "dip": {
        "point_value": "10", "reference": "SCORE", "score_unit": "10", "normal_formula": "N_SCORE",
        "low_formula": "L_SCORE_MULTIPLE_K", "high_formula": "H_SCORE_NATIONAL",
        "point_value_formula": "DIP_SETTLEMENT", "zero_score_rule": "by_item", "mixed_rule": "score",
    },
    "drg-point": {
        "point_value": "100", "point_scale": "100", "average_cost": "10000", "reference": "AVG",
        "normal_formula": "N_POINT", "low_formula": "L_POINT_COST", "high_formula": "H_ADD_K",
        "point_value_formula": "DRG_TOTAL", "ambiguous_rule": "by_item",
    },
    "drg-rate": {
        "base_rate": "10000", "reference": "STD", "normal_formula": "N_RATE", "low_formula": "L_COST",
        "high_formula": "H_COST", "ambiguous_rule": "by_item",
    },
}  # fmt: skip
SHARING = {
    "sharing_basis": "hospital", "retain_bands": [{"from": "0", "to": "0.1", "share": "0.7"}],
    "overrun_bands": [{"from": "0", "to": "0.1", "share": "0.6"}], "bands_are": "marginal",
    "overrun_from": "regulation",
}  # fmt: skip
ASSESSED = {
    "assessment_on": "deposit", "assessment_is": "factor", "deposit_share": "0.05",
    "assessment_bands": [{"from": "95", "value": "1"}, {"from": "80", "value": "0.9"}, {"from": "0", "value": "0"}],
}  # fmt: skip
REGULATION = {"regulation_share": "0.05", "budget_deductions": ["regulation"]}


def region_policy(
    method: str,
    *parts: Mapping[str, Any],
    insurances: Sequence[str] = ("职工",),
    scoped: Sequence[Mapping[str, Any]] = (),
    **values: Any,
) -> Policy:
    """A policy of a method; coefficient 1 at tier 三级 and 0.8 at 二级 unless given; None leaves a value out. `scoped`:
    further values with what they are for."""
    settings: dict[str, Any] = {**COMMON, **METHODS[method]}
    for part in (*parts, values):
        settings |= part
    lower = "1" if method == "drg-point" else "0.8"
    blocks = [
        {"key": "coefficient", "value": value, "for": {"tier": tier}}
        for tier, value in (("三级", "1"), ("二级", lower))
    ]
    blocks += [{"key": key, "value": value} for key, value in settings.items() if value is not None]
    blocks += [dict(block) for block in scoped]
    return policy_of(
        {
            "id": "p", "name": "试验政策", "region": "某市", "method": method, "insurances": list(insurances),
            "tiers": ["三级", "二级"], "effective_from": date(2025, 1, 1), "data_level": "local", "statement": "试验",
            "sources": {"doc": {"title": "某文件"}},
            "set": [{**block, "source": "doc", "confidence": "project"} for block in blocks],
        }
    )  # fmt: skip


def group_values(method: str) -> GroupValues:
    weights = ("1000", "500") if method == "dip" else ("1", "0.5")
    return GroupValues.of_rows(
        [{"group": group, "weight": text} for group, text in zip(("G1", "G2"), weights, strict=True)]
    )


def case(number: str, group: str, cost: str, patient: str, **more: Any) -> dict[str, Any]:
    """One case of hospital `number[0]`: its cost and what its patient paid, yuan; the fund paid the rest by item."""
    total, paid = to_fen(cost), to_fen(patient)
    ungrouped = group == "0000"
    found: dict[str, Any] = {
        "case_id": number, "hospital_id": number[0], "tier": TIER[number[0]], "month": "2026-05", "insurance": "职工",
        "group": group, "name": group, "status": "UNGROUPED" if ungrouped else "GROUPED", "kind": "core",
        "primary_care": False, "total_cost_fen": total, "separate_fen": 0, "fund_by_item_fen": total - paid,
        "patient_paid_fen": paid, "other_funds_fen": 0, "self_funded_fen": 0, "prior_self_pay_fen": 0,
        "deductible_fen": 0, "los_days": 7, "age_years": 50,
    }  # fmt: skip
    return found | more


def cases(*rows: Mapping[str, Any]) -> pl.DataFrame:
    """Cases as a PAYABLE frame."""
    schema = {name: pl.String() if dtype == FACTOR else dtype for name, dtype in PAYABLE_SCHEMA.items()}
    frame = pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema)
    return frame.with_columns(pl.col("aux_factor").cast(FACTOR))


def year_file(budget: str = "18000.00", more: str = "", scores: Mapping[str, str] | None = None) -> YearFile:
    """A year file whose inpatient budget is given, with the three hospitals' scores."""
    rows = "".join(
        f'[[hospital]]\nid = "{name}"\nname = "{name} 医院"\ntier = "{TIER[name]}"\nscore = "{score}"\n'
        for name, score in (scores or {"A": "96", "B": "88", "C": "70"}).items()
    )
    fund = f'[[fund]]\ninsurance = "职工"\ninpatient_budget = "{budget}"\n'
    return parse_year_file(f'year = {YEAR}\nregion = "某市"\ndata_level = "local"\n{fund}{rows}{more}')


def clear(
    policy: Policy,
    given: pl.DataFrame,
    year: YearFile | None = None,
    paid: Mapping[tuple[str, str], PaidInYear] | None = None,
    decisions: pl.DataFrame | None = None,
) -> Clearing:
    """The year cleared."""
    values = group_values(policy.method)
    figures = year_file() if year is None else year
    return clear_year(ClearingInput(YEAR, policy, values, figures, given, decisions, paid or {}))


def table(clearing: Clearing) -> list[list[str]]:
    """The statement's rows as lists of cells, as in statement.csv but for what county groups' members bear."""
    return [[cell for name, cell in row.items() if name != "borne"] for row in statement_rows(clearing)]


def borne(clearing: Clearing, *names: str) -> list[tuple[str, ...]]:
    """Hospital, `names` and what it bears of its county group's overrun, of the groups' lines."""
    groups = {bundle.group for bundle in clearing.bundles}
    rows = [row for row in statement_rows(clearing) if row["pool"] in groups]
    return [tuple(row[name] for name in ("hospital", *names, "borne")) for row in rows]
