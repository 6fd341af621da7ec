"""Settlement examples about pools, sharing and clearing, answered by the budget package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from budget.assessment import ScoreBand, assessed_amount, assessed_share
from budget.clearing import Account, ClearingRule, clear_pool
from budget.county_group import BundleRule, Heads, clear_bundle, control_total
from budget.entitlement import HospitalUnits, entitle
from budget.point_value import dip_budget_value, drg_point_value, grossed_up_value
from budget.sharing import Band, SharingRule, flat, share, share_region
from tests.differential.settlement_vectors import fen, number, places, yuan

Inputs = Mapping[str, Any]
Answer = dict[str, Any]


def _bands(value: str | Sequence[Sequence[str | None]]) -> tuple[Band, ...]:
    if isinstance(value, str):
        return flat(number(value))
    return tuple(Band(number(start), None if end is None else number(end), number(part)) for start, end, part in value)


def sharing(inputs: Inputs) -> Answer:
    rule = inputs["rule"]
    entitlement, actual = fen(inputs["entitlement"]), fen(inputs["actual"])
    found = share(
        entitlement,
        actual,
        SharingRule(
            retain=_bands(rule["retain"]),
            overrun=_bands(rule["overrun"]),
            low_ratio=number(rule["low_ratio"]) if "low_ratio" in rule else None,
            retain_cap=number(rule["retain_cap_of_entitlement"]) if "retain_cap_of_entitlement" in rule else None,
        ),
    )
    answer = {
        "zone": found.zone,
        "ratio": places(Fraction(actual, entitlement), 6),
        "fund_pays": yuan(found.fund_pays),
    }
    if found.zone == "overrun":
        names = ("overrun", "fund_share", "hospital_bears")
    else:
        names = ("surplus", "retained", "to_fund")
    return answer | {name: yuan(getattr(found, name)) for name in names}


def region_sharing(inputs: Inputs) -> Answer:
    found = share_region(fen(inputs["budget"]), fen(inputs["due_total"]), number(inputs["hospital_share"]))
    names = ("surplus", "hospitals_keep", "fund_keeps") if found.difference >= 0 else (
        "overrun", "hospitals_bear", "fund_adds",
    )  # fmt: skip
    amounts = (abs(found.difference), abs(found.hospitals), abs(found.fund))
    return {"distributable": yuan(found.distributable)} | {
        name: yuan(amount) for name, amount in zip(names, amounts, strict=True)
    }


def point_value(inputs: Inputs) -> Answer:
    kind = inputs["type"]
    if kind == "DRG_TOTAL":
        value = drg_point_value(
            fen(inputs["fund_budget"]), fen(inputs["patient_payments"]), number(inputs["total_points"])
        )
    elif kind == "DIP_BUDGET":
        weights = [number(weight) for weight in inputs["weights"]]
        costs = [fen(cost) for cost in inputs["yearly_total_cost"]]
        value = dip_budget_value(costs, weights, number(inputs["total_score"]))
    else:
        units = number(inputs["total_score"] if kind == "DIP_SETTLEMENT" else inputs["total_rw"])
        value = grossed_up_value(fen(inputs["fund_budget"]), number(inputs["payment_ratio"]), units)
    return {"point_value": places(value, 4)}


def capitation(inputs: Inputs) -> Answer:
    rule = BundleRule(
        reserve=number(inputs["reserve_pct"]),
        retain=number(inputs["retain"]),
        overrun_share=number(inputs["overrun_fund_share"]),
        overrun_cap=number(inputs["overrun_cap_pct"]) if "overrun_cap_pct" in inputs else None,
    )
    found = clear_bundle(
        [Heads(item["insurance"], int(item["heads"]), fen(item["per_head"])) for item in inputs["groups"]],
        inside=fen(inputs["inside_spend"]),
        outside=fen(inputs["outside_spend"]),
        rule=rule,
        assessment=number(inputs["assessment"]),
        parts=[(name, number(part)) for name, part in inputs["split"]],
    )
    names = ["gross", "reserve", "budget", "used"]
    names += ["overrun", "fund_share", "group_bears"] if found.overrun else ["surplus", "retained"]
    answer: Answer = {name: yuan(getattr(found, name)) for name in names}
    if not found.overrun:
        answer["split"] = {name: yuan(amount) for name, amount in found.split}
    return answer


def unit_control(inputs: Inputs) -> Answer:
    total = control_total(int(inputs["heads"]), number(inputs["visits_per_head"]), fen(inputs["unit_quota"]))
    over = fen(inputs["actual"]) - total
    return {"control_total": yuan(total), "surplus": yuan(max(0, -over)), "overrun": yuan(max(0, over))}


# 宁波 2013: 90 and above +5 points, 80 to 90 +3, 70 to 80 +1, 65 to 70 -3, 60 to 65 -5, below 60 nothing.
_NINGBO = [
    ScoreBand(number(score), shift=number(shift))
    for score, shift in (("90", "0.05"), ("80", "0.03"), ("70", "0.01"), ("65", "-0.03"), ("60", "-0.05"))
]


def assessed(inputs: Inputs) -> Answer:
    part = assessed_share(number(inputs["base_share"]), number(inputs["score"]), _NINGBO)
    return {"share": places(part, 4), "pays": yuan(assessed_amount(fen(inputs["amount"]), part))}


def clearing(inputs: Inputs) -> Answer:
    """A pool shared by points, deposits withheld and returned by assessment, violations deducted."""
    hospitals = inputs["hospitals"]
    units = [HospitalUnits(item["id"], 0, number(item["points"]), 0, 0, 0) for item in hospitals]
    due = entitle(fen(inputs["pool"]), units, "DIP_SETTLEMENT").due
    accounts = [
        Account(
            item["id"], points=number(item["points"]), due=amount, deposit_share=number(inputs["deposit_pct"]),
            returned_share=number(item["assessment"]), violations=fen(item["violation"]), prepaid=fen(item["prepaid"]),
        )
        for item, amount in zip(hospitals, due, strict=True)
    ]  # fmt: skip
    rule = ClearingRule("none", None, "", ("entitlement", "assessment", "prepaid", "balance"))
    found = clear_pool(accounts, rule, 0, 0)
    net = [line.balance + line.prepaid for line in found.lines]
    return {
        "hospitals": [
            {
                "id": line.hospital, "due": yuan(line.entitlement), "deposit": yuan(line.deposit),
                "deposit_returned": yuan(line.assessment), "violation": yuan(line.deductions), "net": yuan(amount),
                "prepaid": yuan(line.prepaid), "balance": yuan(line.balance),
            }
            for line, amount in zip(found.lines, net, strict=True)
        ],
        "sum_due": yuan(sum(due)),
        "sum_net": yuan(sum(net)),
        "returned_to_fund": yuan(found.withheld + sum(line.deductions for line in found.lines)),
    }  # fmt: skip


def simulate(inputs: Inputs) -> Answer:
    """The same pool shared with the coefficients before and after."""
    pool, hospitals = fen(inputs["pool"]), sorted(inputs["hospitals"], key=lambda item: item["id"])
    names = [item["id"] for item in hospitals]
    answer: Answer = {}
    amounts = {}
    for when in ("before", "after"):
        coefficients = inputs[f"coef_{when}"]
        units = [
            HospitalUnits(item["id"], 0, number(item["rw_sum"]) * number(coefficients[item["id"]]) * 100, 0, 0, 0)
            for item in hospitals
        ]
        found = entitle(pool, units, "DIP_SETTLEMENT")
        amounts[when] = dict(zip(names, found.due, strict=True))
        answer[when] = {name: yuan(amount) for name, amount in amounts[when].items()}
        answer[f"point_value_{when}"] = places(found.value or Fraction(0), 4)
    answer["delta"] = {name: yuan(amounts["after"][name] - amounts["before"][name]) for name in names}
    return answer


KINDS: dict[str, Callable[[Inputs], Answer]] = {
    "sharing": sharing,
    "region_sharing": region_sharing,
    "point_value": point_value,
    "capitation": capitation,
    "unit_control": unit_control,
    "assessed_share": assessed,
    "clearing": clearing,
    "simulate": simulate,
}
