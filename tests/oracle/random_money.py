"""Random policies and cases for pricing: every parameter that a price depends on, costs on and around every limit."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import polars as pl

from budget.frames import PAYABLE_SCHEMA
from tests.oracle.money_oracle import MoneyOracle

Values = dict[tuple[str, str, str], dict[str, str]]
GROUPS = [f"G{at}" for at in range(1, 13)]
HOSPITALS = ["H1", "H2", "H3"]
TIERS = ["三级", "二级", "一级"]
INSURANCES = ["职工", "居民"]
MONTHS = ["2025-01", "2025-02", "2025-03", "2025-06"]
DAYS = [0, 1, 2, 3, 9, 10, 11, 30, 31, 59, 60, 75]
_LOW = {
    "drg-rate": ["L_COST", "L_RATE_COST", "NORMAL"],
    "drg-point": ["L_COST", "L_POINT_COST", "L_SCORE_MULTIPLE_K", "L_SCORE_MULTIPLE", "NORMAL"],
    "dip": ["L_COST", "L_SCORE_MULTIPLE_K", "L_SCORE_MULTIPLE", "NORMAL"],
}
_HIGH = {
    "drg-rate": ["H_COST", "H_RATE_SUB_1", "H_RATE_ADD_1", "H_PCT", "H_STEP", "NORMAL"],
    "drg-point": [
        "H_COST", "H_ADD_K", "H_SUB_K", "H_SUB_1", "H_PCT", "H_STEP", "H_SCORE_NATIONAL", "H_SCORE_K_IN_EXCESS",
        "NORMAL",
    ],
    "dip": ["H_COST", "H_PCT", "H_STEP", "H_SCORE_NATIONAL", "H_SCORE_K_IN_EXCESS", "NORMAL"],
}  # fmt: skip
_FIVE_BANDS = [
    {"up_to": "0.4", "inclusive": True, "name": "a", "kind": "low", "formula": "COST", "age_factor": False},
    {"up_to": "0.8", "inclusive": False, "name": "b", "kind": "low", "formula": "SCORE_MULTIPLE"},
    {"up_to": "1.4", "inclusive": True, "name": "c", "kind": "normal", "formula": "SCORE"},
    {"up_to": "2.5", "inclusive": True, "name": "d", "kind": "high", "formula": "SCORE_SUB", "value": "0.4"},
    {"name": "e", "kind": "extreme", "formula": "SCORE_TIMES", "value": "2.1"},
]


class _Maker:
    def __init__(self, rng: random.Random, method: str) -> None:
        self.rng, self.method = rng, method
        self.items: list[dict[str, Any]] = []
        self.lists: dict[str, dict[str, list[str]]] = {}

    def number(self, low: float, high: float, places: int = 2) -> str:
        whole = self.rng.randint(int(low * 10**places), int(high * 10**places))
        return f"{whole // 10**places}.{whole % 10**places:0{places}d}" if places else str(whole)

    def maybe(self, share: float) -> bool:
        return self.rng.random() < share

    def put(self, key: str, value: Any, **scope: str) -> None:
        self.items.append({"key": key, "value": value} | ({"for": scope} if scope else {}))

    def listed(self, name: str, count: int) -> str:
        self.lists[name] = {"codes": self.rng.sample(GROUPS, count)}
        return name

    def some(self, count: int) -> list[str]:
        return self.rng.sample(GROUPS, count)

    def scoped(self, key: str, make: Any, scopes: list[str]) -> None:
        """A value for all and, sometimes, others for tiers, insurances, hospitals, groups, or months of it."""
        self.put(key, make())
        for scope in scopes:
            if self.maybe(0.4):
                words = {"tier": TIERS, "insurance": INSURANCES, "hospital": HOSPITALS, "group": GROUPS,
                         "month": ["2025-02"]}[scope]  # fmt: skip
                for word in self.rng.sample(words, min(2, len(words))):
                    self.put(key, make(), **{scope: word})
        if len(self.items[-1].get("for", {})) == 1 and self.maybe(0.3) and {"tier", "insurance"} <= set(scopes):
            self.put(key, make(), tier="三级", insurance="居民")

    def dated(self, key: str, make: Any) -> None:
        """A value that changes on 1 March."""
        day = date(2025, 3, 1)
        self.items.append({"key": key, "value": make(), "until": day})
        self.items.append({"key": key, "value": make(), "from": day})


def random_policy(rng: random.Random) -> tuple[dict[str, Any], Values]:
    """A policy (as a TOML file holds it) and the values of its groups; the policy may lack what some cases need."""
    method = rng.choice(["drg-rate", "drg-point", "drg-point", "dip"])
    make = _Maker(rng, method)
    normal = {"drg-rate": "N_RATE", "drg-point": rng.choice(["N_POINT", "N_POINT", "N_SCORE"]), "dip": "N_SCORE"}[
        method
    ]
    make.put("normal_formula", normal)
    _prices(make, normal)
    if method == "drg-point" and normal == "N_SCORE" and make.maybe(0.5):
        make.put("bands", _FIVE_BANDS)
    else:
        _limits(make)
    _special_groups(make)
    _funds(make)
    data: dict[str, Any] = {
        "id": "random", "name": "随机", "region": "随机", "method": method, "insurances": INSURANCES, "tiers": TIERS,
        "effective_from": date(2025, 1, 1), "effective_until": date(2025, 7, 1), "data_level": "synthetic",
        "statement": "随机", "sources": {"random": {"title": "随机"}}, "lists": make.lists,
        "set": [item | {"source": "random", "confidence": "synthetic"} for item in make.items],
    }  # fmt: skip
    return data, _values(make)


def _prices(make: _Maker, normal: str) -> None:
    if make.method == "drg-rate":
        make.scoped("base_rate", lambda: make.number(5000, 13000), ["insurance", "tier", "hospital"])
    elif make.maybe(0.2):
        make.dated("point_value", lambda: make.number(5, 120, 4))
    else:
        make.scoped("point_value", lambda: make.number(5, 120, 4), ["insurance", "tier", "month"])
    if normal == "N_POINT":
        make.put("point_scale", make.rng.choice(["100", "1000"]))
    references = {
        "N_RATE": ["STD", "STD", "AVG", "AVGK"], "N_POINT": ["AVG", "AVGK", "STD"], "N_SCORE": ["SCORE", "PEER", "STD"],
    }  # fmt: skip
    make.put("reference", make.rng.choice(references[normal]))
    if make.method != "dip" and make.maybe(0.9):
        make.scoped("average_cost", lambda: make.number(6000, 14000), ["insurance", "tier"])
    if make.method != "drg-rate" and make.maybe(0.8):
        make.put("score_unit", make.number(2, 12))
    if make.maybe(0.3):
        make.scoped("peer_average", lambda: make.number(2000, 30000), ["tier", "group"])
    if make.maybe(0.2):
        make.put("reference_factor", make.number(0.8, 1.2))
    if make.maybe(0.2):
        make.put("reference_divisor", "1.1", list=make.listed("children", 3))
    make.scoped("coefficient", lambda: make.number(0.5, 1.4, 4), ["tier", "insurance", "hospital", "group"])
    if make.maybe(0.2):
        make.put("hospital_factor", make.number(0.9, 1.1), hospital="H2")
    if make.maybe(0.3):
        make.put("age_factor", "1.03")
        make.put("age_factor_below", make.rng.choice([6, 14]))
    if make.maybe(0.2):
        make.scoped("weight", lambda: make.number(0.1, 5, 4), ["group", "insurance"])
        del make.items[next(at for at, item in enumerate(make.items) if item["key"] == "weight")]
    if make.maybe(0.2):
        make.put("minimum_weight", "0.15")
    if make.maybe(0.2):
        make.put("minimum_weight", "0.1", list=make.listed("least", 2))
    if make.maybe(0.2):
        make.put("weight_share", "0.5", group=make.rng.choice(GROUPS))
    if make.maybe(0.2):
        one, other = make.some(2)
        make.put("substitute", other, group=one)


def _bands_of_limits(make: _Maker) -> Any:
    if make.maybe(0.4):
        return make.rng.choice(["2", "3", "1.5", "2.5"])
    count = make.rng.randint(1, 4)
    ends = sorted(make.rng.sample(["0.5", "1", "2", "3", "5"], count), key=Fraction)
    limits = ["3", "2.5", "2", "1.5", "1.3"]
    return [{"up_to": end, "limit": limit} for end, limit in zip(ends, limits, strict=False)] + [
        {"limit": limits[count]}
    ]


def _limits(make: _Maker) -> None:
    make.scoped("low_limit", lambda: make.rng.choice(["0.3", "0.4", "0.35", "0.5", "0.8", "0"]), ["tier", "group"])
    make.put("low_inclusive", make.maybe(0.5))
    make.scoped("high_limit", lambda: _bands_of_limits(make), ["tier", "insurance"])
    make.put("high_inclusive", make.maybe(0.5))
    if make.maybe(0.4):
        make.put("extreme_limit", make.rng.choice(["4", "5", "8"]))
        make.put("extreme_inclusive", make.maybe(0.5))
        make.put("extreme_formula", make.rng.choice(["NORMAL", "H_COST", "REVIEW"]))
    make.scoped("low_formula", lambda: make.rng.choice(_LOW[make.method]), ["tier"])
    make.scoped("high_formula", lambda: make.rng.choice(_HIGH[make.method]), ["tier"])
    make.scoped("high_percent", lambda: make.number(0.3, 1), ["tier"])
    make.put("high_step", make.number(1.2, 2.5, 1))
    if make.maybe(0.4):
        make.put("high_floor", True)


def _special_groups(make: _Maker) -> None:
    kinds: list[dict[str, Any]] = [
        {"kind": "tier_coefficient", "tier": "二级"}, {"kind": "tier_rate", "tier": "一级"},
        {"kind": "coefficient", "value": "0.806"}, {"kind": "coefficient", "value": "1"},
        {"kind": "rate", "value": "10000"}, {"kind": "score"}, {"kind": "own_coefficient"},
        {"kind": "tier_coefficient", "tier": "二级", "only": ["三级"]},
        {"kind": "tier_rate", "tier": "二级", "only": ["三级"]},
    ]  # fmt: skip
    if make.maybe(0.7):
        make.put("basic_groups", make.listed("basic", 4))
        make.put("basic_rule", make.rng.choice(kinds))
        if make.maybe(0.2):
            make.put("basic_rule", make.rng.choice(kinds), insurance="居民")
    if make.maybe(0.4):
        make.put("unstable_groups", make.some(2))
        rules = ["by_item", "normal"] + (["cost_points"] if make.method == "drg-point" else [])
        make.put("unstable_rule", make.rng.choice(rules))
    if make.method == "drg-point" and make.maybe(0.2):
        make.put("always_cost_points", make.some(2))
    if make.maybe(0.3):
        make.put("no_outlier_groups", make.some(3))
    scores = ["blank_share", "blank_share"] if make.method != "drg-rate" else []
    make.put("ungrouped_rule", make.rng.choice(["weight", "by_item", "none", *scores]))
    make.put("blank_share", "0.7")
    make.put("ambiguous_rule", make.rng.choice(["weight", "weight", "by_item", "none"]))
    if make.method == "dip":
        make.put("mixed_rule", make.rng.choice(["score", "score", "by_item"]))
        make.put("zero_score_rule", make.rng.choice(["by_item", "none"]))
    if make.maybe(0.3):
        make.put("volume_cap", make.rng.randint(0, 20), group=make.rng.choice(GROUPS))
        make.put("volume_cap_rule", make.rng.choice(["none", "low_weight", "by_item"]))
    if make.maybe(0.3):
        tcm = make.some(2)
        make.put("tcm_groups", tcm)
        make.put("tcm_min_ratio", make.rng.choice(["0.6", "0.333"]))
        make.put("tcm_min_days", 10, group=tcm[0])
        for group in tcm:
            make.put("tcm_fallback_group", make.rng.choice(GROUPS), group=group)
        if make.maybe(0.5):
            make.put("tcm_weight", make.number(0.4, 2, 4), group=tcm[1])
    if make.maybe(0.3):
        make.put("by_item_days_up_to", 2)
    if make.maybe(0.3):
        make.put("by_item_days_from", 60)
    if make.maybe(0.2):
        make.put("by_item_groups", make.some(1))
    if make.maybe(0.4):
        make.put("bed_day_groups", make.some(2))
        segments = [{"up_to": 10, "price": "320.00"}, {"up_to": 30, "price": "280.55"}, {"price": "230.00"}]
        make.put("bed_day_price", make.rng.choice(["300.00", segments]))
        if make.maybe(0.5):
            make.put("bed_day_price", "250.333", hospital="H1")
    if make.maybe(0.3):
        make.put("single_disease_price", "6800.00", group=make.rng.choice(GROUPS))


def _funds(make: _Maker) -> None:
    modes = ["STANDARD_MINUS_PATIENT", "RATIO_ON_STANDARD", "POINTS_RATIO"]
    if make.maybe(0.5):
        for insurance in INSURANCES:
            make.put("fund_share_mode", make.rng.choice(modes), insurance=insurance)
    else:
        make.put("fund_share_mode", make.rng.choice(modes))
    make.scoped("payment_ratio", lambda: make.number(0.5, 0.9, 3), ["insurance", "tier"])


def _values(make: _Maker) -> Values:
    rng = make.rng
    scores = make.method == "dip" or any(item["value"] == "N_SCORE" for item in make.items)
    own, peers, by_tier = make.maybe(0.3), make.maybe(0.6) and scores, make.maybe(0.3)
    values: Values = {}
    for group in GROUPS[:-1]:
        weight = make.number(50, 3000, 4) if scores else make.number(0.1, 6, 4)
        values[group, "", ""] = {"weight": "0" if make.method == "dip" and make.maybe(0.05) else weight}
        if peers and make.maybe(0.8):
            values[group, "", ""]["peer_average"] = make.number(2000, 30000)
        for tier in TIERS if by_tier else ():
            if own and make.maybe(0.7):
                values[group, tier, ""] = {"coefficient": make.number(0.7, 1.3, 4)}
        if own and make.maybe(0.5):
            values[group, "", ""]["coefficient"] = make.number(0.7, 1.3, 4)
        if rng.random() < 0.1:
            values[group, "", "居民"] = {"weight": weight, "coefficient": "1.05"}
    return values


def random_cases(rng: random.Random, oracle: MoneyOracle, count: int) -> list[dict[str, Any]]:
    """Cases with all that may be unknown sometimes unknown, most costs near a limit of the case's own."""
    return [_case(rng, oracle, at) for at in range(count)]


def _case(rng: random.Random, oracle: MoneyOracle, at: int) -> dict[str, Any]:
    rare = rng.random
    case: dict[str, Any] = {
        "id": f"C{at:06d}", "hospital": rng.choice(HOSPITALS) if rare() > 0.005 else None,
        "tier": rng.choice(TIERS) if rare() > 0.01 else rng.choice([None, "特级"]),
        "month": rng.choice(MONTHS) if rare() > 0.01 else rng.choice([None, "2025-07"]),
        "insurance": rng.choice(INSURANCES) if rare() > 0.01 else rng.choice([None, "其他"]),
        "group": rng.choice(GROUPS),
        "status": rng.choices(["GROUPED", "UNGROUPED", "AMBIGUOUS", "INVALID", "DUPLICATE"], [90, 4, 4, 1, 1])[0],
        "kind": rng.choice(["core", "core", "mixed"]) if oracle.method == "dip" else "",
        "aux": rng.choice([None, "1.0000", "1.0350", "0.8000"]) if oracle.method == "dip" else None,
        "primary": oracle.method == "dip" and rare() < 0.2,
        "separate": 0 if rare() < 0.9 else rng.randint(1, 300_000),
        "billed": None if rare() < 0.3 else rng.randint(0, 2_000_000),
        "patient": None if rare() < 0.05 else rng.randint(0, 1_500_000), "other": rng.choice([0, 0, 12_345]),
        "own": None if rare() < 0.05 else rng.randint(0, 200_000),
        "prior": rng.choice([0, 5_000, None]) if rare() < 0.2 else 0,
        "deductible": rng.choice([0, 60_000, 80_000]), "days": None if rare() < 0.02 else rng.choice(DAYS),
        "age": None if rare() < 0.05 else rng.choice([0, 5, 6, 13, 14, 40, 80]),
        "discharge": None if rare() < 0.01 else date(2025, 1, 1) + timedelta(rng.randrange(180)),
    }  # fmt: skip
    base = rng.randint(0, 3_000_000)
    case["tcm_base"] = rng.choice([None, 0, base, 1000])
    case["tcm"] = rng.choice([None, 0, 600, 333, 334, base * 3 // 5, base * 3 // 5 + 1])
    case["total"] = 1_000_000 + case["separate"]
    case["total"] = _cost(rng, oracle, case)
    return case


def _cost(rng: random.Random, oracle: MoneyOracle, case: Mapping[str, Any]) -> int | None:
    kind = rng.random()
    if kind < 0.01:
        return rng.choice([None, -1, -100_000, 1 << 50])
    if kind < 0.03:
        return rng.choice([0, 1, 2, 1 << 40])
    if kind < 0.3:
        return rng.randint(1, 30_000_000)
    way = oracle.way(case)
    found = oracle.price(case, way)
    if isinstance(found, str) or not found.multiple:
        return rng.randint(1, 30_000_000)
    reference = Fraction(case["total"] - case["separate"]) / found.multiple  # fen
    multiples = ["0.3", "0.35", "0.4", "0.5", "0.8", "1.3", "1.4", "1.5", "2", "2.5", "3", "4", "5", "8", "1"]
    edge = Fraction(rng.choice(multiples)) * reference
    return max(0, int(edge // 1) + rng.choice([-1, 0, 0, 1, 1, 2])) + case["separate"]


_COLUMNS = {
    "case_id": "id", "hospital_id": "hospital", "tier": "tier", "month": "month", "insurance": "insurance",
    "group": "group", "status": "status", "kind": "kind", "primary_care": "primary", "total_cost_fen": "total",
    "separate_fen": "separate", "fund_by_item_fen": "billed", "patient_paid_fen": "patient", "other_funds_fen": "other",
    "self_funded_fen": "own", "prior_self_pay_fen": "prior", "deductible_fen": "deductible", "los_days": "days",
    "age_years": "age", "discharge": "discharge", "tcm_fen": "tcm", "tcm_base_fen": "tcm_base",
}  # fmt: skip


def payable(cases: list[dict[str, Any]]) -> pl.DataFrame:
    """The cases as pricing takes them."""
    columns = [
        pl.Series(
            name, [case[_COLUMNS[name]] for case in cases] if name in _COLUMNS else [None] * len(cases), dtype=dtype
        )
        for name, dtype in PAYABLE_SCHEMA.items()
        if name != "aux_factor"
    ]
    aux = pl.Series("aux_factor", [case["aux"] for case in cases], dtype=pl.String).cast(PAYABLE_SCHEMA["aux_factor"])
    return pl.DataFrame([*columns, aux]).select(*PAYABLE_SCHEMA)
