"""Settlement examples about weights, special cases, readmissions and benefits, answered by the budget package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import polars as pl

from budget.benefits import (
    CatastrophicRule,
    HomeBenefit,
    OutpatientRule,
    catastrophic_benefit,
    offsite_benefit,
    outpatient_benefit,
)
from budget.cost_statistics import GroupCosts, weighted_mean, whole_costs
from budget.money import round_half_up
from budget.readmission import merged_stays
from budget.special_quota import special_quota
from budget.trimming import Trimming, read_trimming
from budget.weights import relative_weight
from tests.differential.settlement_vectors import fen, number, yuan

Inputs = Mapping[str, Any]
Answer = dict[str, Any]


def dip_score(inputs: Inputs) -> Answer:
    weights = [number(part) for part in inputs["weights"]]
    group, reference = (
        weighted_mean([Fraction(fen(cost)) for cost in inputs[name]], weights)
        for name in ("yearly_avg_cost", "yearly_reference_cost")
    )
    return {
        "group_cost": yuan(round_half_up(group)),
        "reference_cost": yuan(round_half_up(reference)),
        "score": str(relative_weight(group, reference, number(inputs["base"]))),
    }


def _one_year(costs: Sequence[str], rule: Trimming) -> GroupCosts:
    history = pl.DataFrame({"year": 2025, "cost_fen": [fen(cost) for cost in costs]})
    return whole_costs(history.with_columns(pl.col("year").cast(pl.Int32)), {2025: 1}, rule)


def trimmed_rw(inputs: Inputs) -> Answer:
    rule = read_trimming(f"percentile:{inputs['lower_pct']}:{inputs['upper_pct']}")
    group, overall = _one_year(inputs["group_costs"], rule), _one_year(inputs["all_costs"], rule)
    return {
        "group_kept": group.kept,
        "group_mean": yuan(round_half_up(group.mean_fen)),
        "overall_kept": overall.kept,
        "overall_mean": yuan(round_half_up(overall.mean_fen)),
        "rw": str(relative_weight(group.mean_fen, overall.mean_fen, 1)),
    }


def quota(inputs: Inputs) -> Answer:
    found = special_quota(int(inputs["discharges"]), number(inputs["pct"]), int(inputs["applied"]))
    return {"quota": found.quota, "accepted_for_review": found.accepted, "over_quota": found.over}


def readmission(inputs: Inputs) -> Answer:
    stays = inputs["stays"]
    frame = pl.DataFrame(
        {
            "case_id": [stay["id"] for stay in stays],
            "person": [stay["patient"] for stay in stays],
            "hospital_id": [stay["hospital"] for stay in stays],
            "group": [stay["group"] for stay in stays],
            "admission": [date.fromisoformat(stay["in"]) for stay in stays],
            "discharge": [date.fromisoformat(stay["out"]) for stay in stays],
        }
    )
    merged = merged_stays(frame, int(inputs["days"]), inputs["exempt"])
    return {"counted": int((~merged).sum()), "merged": frame.filter(merged)["case_id"].to_list()}


def outpatient(inputs: Inputs) -> Answer:
    rule = inputs["rule"]
    found = outpatient_benefit(
        OutpatientRule(
            deductible_fen=fen(rule["deductible"]),
            ratio={tier: number(ratio) for tier, ratio in rule["ratio"].items()},
            cap_fen=fen(rule["cap"]),
            retired_bonus=number(rule["retired_bonus"]),
            retired_cap_fen=fen(rule["cap_retired"]),
        ),
        inputs["tier"],
        fen(inputs["in_scope"]),
        retired=inputs["retired"],
        deductible_used_fen=fen(inputs["deductible_used"]),
        paid_so_far_fen=fen(inputs["paid_so_far"]),
    )
    return {
        "deductible_applied": yuan(found.deductible_fen),
        "fund": yuan(found.fund_fen),
        "patient": yuan(found.patient_fen),
    }


def catastrophic(inputs: Inputs) -> Answer:
    rule = inputs["rule"]
    found = catastrophic_benefit(
        CatastrophicRule(
            deductible_fen=fen(rule["deductible"]),
            brackets=[(None if end is None else fen(end), number(ratio)) for end, ratio in rule["brackets"]],
            assist_deductible_cut=number(rule["assist_deductible_cut"]),
            assist_bonus=number(rule["assist_bonus"]),
        ),
        fen(inputs["self_paid_in_scope"]),
        assisted=inputs["assisted"],
    )
    return {
        "deductible": yuan(found.deductible_fen), "excess": yuan(found.excess_fen), "pays": yuan(found.pays_fen),
    }  # fmt: skip


def offsite(inputs: Inputs) -> Answer:
    home = inputs["home_benefit"]
    found = offsite_benefit(
        [(fen(item["amount"]), item["class_at_care"]) for item in inputs["items"]],
        {name: number(part) for name, part in inputs["care_catalogue"].items()},
        HomeBenefit(fen(home["deductible"]), number(home["ratio"]), fen(home["cap"])),
    )
    return {
        "total": yuan(found.total_fen), "in_scope": yuan(found.in_scope_fen), "fund": yuan(found.fund_fen),
        "patient": yuan(found.patient_fen),
    }  # fmt: skip


KINDS: Mapping[str, Callable[[Inputs], Answer]] = {
    "dip_score": dip_score,
    "trimmed_rw": trimmed_rw,
    "special_quota": quota,
    "readmission": readmission,
    "outpatient": outpatient,
    "catastrophic": catastrophic,
    "offsite": offsite,
}
