"""Settlement examples about single cases, answered by the product's pricing with a policy made of their rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl

from budget.bed_day import bed_day_fen
from budget.frames import PAYABLE_SCHEMA
from budget.fund_share import less_patient, ratio_on_standard
from budget.group_values import GroupValues
from budget.money import FEN
from budget.pricing import PricedCases, price_cases
from reference_tables.policy import policy_of
from reference_tables.policy_bands import Segment
from tests.differential.settlement_vectors import fen, number, places, yuan

Inputs = Mapping[str, Any]
Answer = dict[str, Any]
OTHER_TIERS = "其他"


def made_policy(method: str, settings: list[dict[str, Any]]) -> Any:
    """A policy of these values, valid in every other respect."""
    named = [item["for"]["tier"] for item in settings if "tier" in item.get("for", {})]
    base = [{"key": "fund_share_mode", "value": "STANDARD_MINUS_PATIENT"}]
    return policy_of(
        {
            "id": "example", "name": "算例", "region": "算例", "method": method, "insurances": ["职工"],
            "tiers": sorted({"其他级别", "三级", "二级", "一级", *named}),
            "effective_from": date(2025, 1, 1), "data_level": "synthetic", "statement": "算例",
            "sources": {"example": {"title": "算例", "publisher": "drgdip"}},
            "set": [item | {"source": "example", "confidence": "synthetic"} for item in [*settings, *base]],
        }
    )  # fmt: skip


def one_case(**values: Any) -> pl.DataFrame:
    """A PAYABLE frame of one case; what is not given is plain."""
    plain = {
        "case_id": "1", "hospital_id": "H1", "tier": "其他级别", "month": "2025-03", "insurance": "职工", "group": "G1",
        "name": "", "status": "GROUPED", "kind": "", "primary_care": False, "separate_fen": 0, "patient_paid_fen": 0,
        "other_funds_fen": 0, "self_funded_fen": 0, "prior_self_pay_fen": 0, "deductible_fen": 0,
    }  # fmt: skip
    row = {name: (plain | values).get(name) for name in PAYABLE_SCHEMA}
    return pl.DataFrame([row], schema=PAYABLE_SCHEMA)


_CLASSES = {"negotiated": "negotiated-group"}


def _answer(priced: PricedCases, cost: int, *, high: bool = True) -> Answer:
    row = priced.frame.row(0, named=True)
    answer: Answer = {
        "class": _CLASSES.get(row["case_kind"], row["case_kind"]),
        "multiple": str(row["multiple"]),
        "payment": yuan(row["package_fen"]),
        "balance_vs_cost": yuan(row["package_fen"] - cost),
    }
    if row["limit"] is not None and high:
        answer["threshold_high"] = _plain(row["limit"])
    if row["points"] is not None:
        answer["points"] = str(row["points"])
    return answer


def _plain(value: Any) -> str:
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _bands(bands: list[list[str | None]]) -> list[dict[str, str]]:
    return [{"limit": limit} if up_to is None else {"up_to": up_to, "limit": limit} for up_to, limit in bands]  # type: ignore[misc]


def drg_case(inputs: Inputs) -> Answer:
    rule, case = inputs["rule"], inputs["case"]
    settings = [
        {"key": "reference", "value": rule["denominator"]},
        {"key": "low_limit", "value": rule["low"]},
        {"key": "low_inclusive", "value": rule["low_incl"]},
        {"key": "high_inclusive", "value": rule["high_incl"]},
        {"key": "normal_formula", "value": rule["normal"]},
        {"key": "low_formula", "value": rule["low_formula"]},
        {"key": "high_formula", "value": rule["high_formula"]},
        {"key": "coefficient", "value": case["coef"]},
    ]
    tiers = rule["high"] if isinstance(rule["high"], dict) else {OTHER_TIERS: rule["high"]}
    settings += [
        {"key": "high_limit", "value": _bands(bands)} | ({} if tier == OTHER_TIERS else {"for": {"tier": tier}})
        for tier, bands in tiers.items()
    ]
    names = {
        "rate": "base_rate", "avg_cost": "average_cost", "scale": "point_scale", "point_value": "point_value",
        "pct": "high_percent", "base": "high_step",
    }  # fmt: skip
    settings += [{"key": key, "value": rule[name]} for name, key in names.items() if name in rule]
    if case.get("always_cost_points"):
        settings.append({"key": "always_cost_points", "value": ["G1"]})
    values = GroupValues.of_rows([{"group": "G1", "weight": case["rw"]}])
    method = {"DRG-rate": "drg-rate", "DRG-point": "drg-point"}[rule["method"]]
    cost = fen(case["cost"])
    tier = {"tier": case["tier"]} if "tier" in case else {}
    found = price_cases(one_case(total_cost_fen=cost, **tier), made_policy(method, settings), values)
    return _answer(found, cost)


# 银川: bands of the multiple and their formulas, score x unit x coefficient as reference.
_FIVE_BANDS = [
    {"up_to": "0.4", "inclusive": True, "name": "ultra-low", "kind": "low", "formula": "COST", "age_factor": False},
    {"up_to": "0.8", "inclusive": False, "name": "low", "kind": "low", "formula": "SCORE_MULTIPLE"},
    {"up_to": "1.4", "inclusive": True, "name": "normal", "kind": "normal", "formula": "SCORE"},
    {"up_to": "2.5", "inclusive": True, "name": "high", "kind": "high", "formula": "SCORE_SUB", "value": "0.4"},
    {"name": "ultra-high", "kind": "extreme", "formula": "SCORE_TIMES", "value": "2.1"},
]


def band5_case(inputs: Inputs) -> Answer:
    rule, case = inputs["rule"], inputs["case"]
    settings = [
        {"key": "reference", "value": "SCORE"},
        {"key": "score_unit", "value": rule["unit_std"]},
        {"key": "point_value", "value": rule["point_value"]},
        {"key": "bands", "value": _FIVE_BANDS},
        {"key": "normal_formula", "value": "N_SCORE"},
        {"key": "coefficient", "value": case["coef"]},
        {"key": "age_factor", "value": "1.03"},
        {"key": "age_factor_below", "value": 6},
    ]
    values = GroupValues.of_rows([{"group": "G1", "weight": case["score"]}])
    cost = fen(case["cost"])
    found = price_cases(
        one_case(total_cost_fen=cost, age_years=int(case["age"])), made_policy("drg-point", settings), values
    )
    answer = _answer(found, cost)
    band = found.band[0] - found.table.first[found.row[0]]
    return answer | {"class": _FIVE_BANDS[int(band)]["name"]}


def dip_case(inputs: Inputs) -> Answer:
    rule, case = inputs["rule"], inputs["case"]
    variant = rule["variant"]
    settings = [
        {"key": "reference", "value": "PEER"},
        {"key": "peer_average", "value": case["peer_avg"]},
        {"key": "point_value", "value": rule["point_value"]},
        {"key": "low_limit", "value": "0.5"},
        {"key": "low_inclusive", "value": variant != "NATIONAL"},
        {"key": "high_limit", "value": "2"},
        {"key": "high_inclusive", "value": False},
        {"key": "normal_formula", "value": "N_SCORE"},
        {"key": "coefficient", "value": case.get("coef", "1")},
    ]
    formulas = ("L_SCORE_MULTIPLE_K", "H_SCORE_NATIONAL")
    if variant == "K_IN_EXCESS":
        formulas = ("L_SCORE_MULTIPLE", "H_SCORE_K_IN_EXCESS")
        settings += [{"key": "extreme_limit", "value": "5"}, {"key": "extreme_formula", "value": "NORMAL"}]
    settings += [
        {"key": key, "value": value} for key, value in zip(("low_formula", "high_formula"), formulas, strict=True)
    ]
    status = "GROUPED"
    if variant == "BLANK":
        status = "UNGROUPED"
        settings += [
            {"key": "ungrouped_rule", "value": "blank_share"},
            {"key": "blank_share", "value": rule["blank_share"]},
        ]
    values = GroupValues.of_rows([{"group": "G1", "weight": case["score"]}])
    cost = fen(case["cost"])
    frame = one_case(total_cost_fen=cost, status=status).with_columns(
        pl.lit(case.get("aux", "1")).cast(PAYABLE_SCHEMA["aux_factor"]).alias("aux_factor")
    )
    return _answer(price_cases(frame, made_policy("dip", settings), values), cost, high=False)


def fund_share(inputs: Inputs) -> Answer:
    mode = inputs["mode"]
    if mode == "POINTS_RATIO":
        value = {"base": inputs["points"], "rate": inputs["point_value"], "ratio": inputs["ratio"]}
        return {"fund": _points_ratio(value)}
    package = np.array([fen(inputs["standard"])], np.int64)
    frame = one_case(
        patient_paid_fen=fen(inputs.get("patient_paid")), other_funds_fen=fen(inputs.get("other_funds")),
        self_funded_fen=fen(inputs.get("self_funded")), prior_self_pay_fen=fen(inputs.get("prior_self_pay")),
        deductible_fen=fen(inputs.get("deductible")),
    )  # fmt: skip
    if mode == "STANDARD_MINUS_PATIENT":
        return {"fund": yuan(int(less_patient(package, frame)[0]))}
    ratio = [number(inputs["ratio"])]
    return {"fund": yuan(int(ratio_on_standard(package, frame, ratio, np.zeros(1, np.int64))[0]))}


def _points_ratio(value: Mapping[str, str]) -> str:
    """A case of so many points at a point value, its fund part by the ratio."""
    settings = [
        {"key": "reference", "value": "PEER"}, {"key": "peer_average", "value": "10000"},
        {"key": "point_value", "value": value["rate"]}, {"key": "low_limit", "value": "0.1"},
        {"key": "low_inclusive", "value": False}, {"key": "high_limit", "value": "9"},
        {"key": "high_inclusive", "value": False}, {"key": "normal_formula", "value": "N_SCORE"},
        {"key": "low_formula", "value": "NORMAL"}, {"key": "high_formula", "value": "NORMAL"},
        {"key": "coefficient", "value": "1"}, {"key": "payment_ratio", "value": value["ratio"]},
        {"key": "fund_share_mode", "value": "POINTS_RATIO", "for": {"insurance": "职工"}},
    ]  # fmt: skip
    values = GroupValues.of_rows([{"group": "G1", "weight": value["base"]}])
    found = price_cases(one_case(total_cost_fen=1_000_000), made_policy("dip", settings), values)
    return yuan(found.frame["fund_fen"][0])


def bedday(inputs: Inputs) -> Answer:
    segments = [Segment(None if end is None else int(end), number(price)) for end, price in inputs["segments"]]
    days = np.array([int(inputs["days"])], np.int64)
    quota = int(bed_day_fen(days, [segments], np.zeros(1, np.int64))[0])
    answer: Answer = {"payment": yuan(quota)}
    if "points_per_day" in inputs:
        points = number(inputs["points_per_day"]) * int(inputs["days"])
        earned = fen(str(0)) + int(points * number(inputs["point_value"]) * FEN)
        answer |= {"points": places(points, 4), "by_points": yuan(earned), "top_up": yuan(max(0, quota - earned))}
    return answer


def tcm_ratio(inputs: Inputs) -> Answer:
    costs = {name: fen(amount) for name, amount in inputs["costs"].items()}
    own = sum(costs[name] for name in ("tcm_treatment", "tcm_patent", "tcm_decoction"))
    base = sum(costs.values())
    settings = [
        {"key": "reference", "value": "STD"}, {"key": "low_limit", "value": "0"},
        {"key": "low_inclusive", "value": False}, {"key": "high_limit", "value": "100"},
        {"key": "high_inclusive", "value": False}, {"key": "normal_formula", "value": "N_RATE"},
        {"key": "low_formula", "value": "L_COST"}, {"key": "high_formula", "value": "H_COST"},
        {"key": "coefficient", "value": inputs["coef"]}, {"key": "base_rate", "value": inputs["rate"]},
        {"key": "tcm_groups", "value": ["G1"]}, {"key": "tcm_min_ratio", "value": inputs["min_ratio"]},
        {"key": "tcm_weight", "value": inputs["rw_tcm"], "for": {"group": "G1"}},
        {"key": "tcm_fallback_group", "value": "G2", "for": {"group": "G1"}},
    ]  # fmt: skip
    values = GroupValues.of_rows([{"group": "G2", "weight": inputs["rw_fallback"]}])
    frame = one_case(total_cost_fen=base, tcm_fen=own, tcm_base_fen=base)
    row = price_cases(frame, made_policy("drg-rate", settings), values).frame.row(0, named=True)
    return {
        "tcm_ratio": places(Fraction(own, base), 6),
        "rw_used": f"{row['weight']:.4f}",
        "payment": yuan(row["package_fen"]),
    }


KINDS: dict[str, Callable[[Inputs], Answer]] = {
    "drg_case": drg_case,
    "band5_case": band5_case,
    "dip_case": dip_case,
    "fund_share": fund_share,
    "bedday": bedday,
    "tcm_ratio": tcm_ratio,
}
