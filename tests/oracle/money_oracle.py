"""A slow second reading of case pricing: one case at a time, in plain fractions, straight from what a policy file says.

Written from the published rules (formula vocabulary, multiples and kinds of case of the fact sheet, and the meaning
beside each parameter in policy_schema.toml). It shares no code with budget/. A policy is the mapping that a TOML file
holds; values are `(group, tier, insurance) -> {weight, coefficient, peer_average}` with "" for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from tests.oracle.money_policy import Case, Lacking, PlainPolicy

MISSING = "a parameter is missing"
Earned = tuple[str, str, Fraction, Fraction | None, Fraction | None]
"""Kind, formula, unrounded fen, points, multiple."""
NOTHING: Earned = ("unpaid", "NONE", Fraction(0), None, None)


@dataclass(frozen=True)
class Price:
    """`points` None where money is paid; amounts in fen; `multiple` None without a reference."""

    kind: str
    formula: str
    package: int
    fund: int | None
    points: Fraction | None
    multiple: Fraction | None


def half_up(value: Fraction) -> int:
    return int((abs(value) + Fraction(1, 2)) // 1) * (1 if value >= 0 else -1)


class MoneyOracle(PlainPolicy):
    """Prices cases of one policy, all of them together because yearly numbers are counted over them."""

    # ---- which way
    def unfit(self, case: Case) -> bool:
        since, until = self.policy["effective_from"], self.policy.get("effective_until")
        if case["status"] == "DUPLICATE" or not case["hospital"] or not case["month"] or not case["insurance"]:
            return True
        first = date.fromisoformat(f"{case['month']}-01")
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        if (
            after <= since
            or (until is not None and first >= until)
            or case["insurance"] not in self.policy["insurances"]
        ):
            return True
        by_tier = any("tier" in item.get("for", {}) for item in self.policy["set"])
        by_tier |= any(item["key"] == "basic_rule" and item["value"].get("only") for item in self.policy["set"])
        by_tier |= any(tier for _, tier, _ in self.values)
        if by_tier and case["tier"] not in self.policy["tiers"]:
            return True
        total = case["total"]
        if total is None or total < 0 or total - case["separate"] < 0 or total > 1 << 44:
            return True
        by_days = {"by_item_days_up_to", "by_item_days_from"} & set(self.by_key)
        return bool(by_days or case["group"] in self.groups("bed_day_groups", case)) and case["days"] is None

    def way(self, case: Case) -> str:
        if case["status"] == "INVALID" or self.unfit(case):
            return "unpaid"
        if case["group"] in self.groups("bed_day_groups", case):
            return "bed_day"
        up_to, since = self.number("by_item_days_up_to", case), self.number("by_item_days_from", case)
        if (up_to is not None and case["days"] <= up_to) or (since is not None and case["days"] >= since):
            return "by_item"
        if case["group"] in self.groups("tcm_groups", case):
            part, base = case["tcm"], case["tcm_base"]
            enough = part is not None and base and Fraction(part, base) >= self.want("tcm_min_ratio", case)
            least = self.number("tcm_min_days", case)
            if least is not None and (case["days"] is None or case["days"] < least):
                enough = False
            return "tcm" if enough else "fallback"
        return ""

    def price_all(self, cases: list[dict[str, Any]]) -> list[Price | str]:
        """A price, or MISSING, for every case."""
        ways = [self.way(case) for case in cases]
        counted = [at for at, way in enumerate(ways) if way in {"", "tcm", "fallback"}]
        counted.sort(
            key=lambda at: tuple((cases[at][k] is None, cases[at][k]) for k in ("discharge", "id", "hospital"))
        )
        had: dict[tuple[str, str], int] = {}
        for at in counted:
            case = cases[at]
            cap = self.number("volume_cap", case)
            key = case["group"], case["month"][:4]
            had[key] = had.get(key, 0) + 1
            if cap is not None and had[key] > cap:
                ways[at] = "over"
        return [self.price(case, way) for case, way in zip(cases, ways, strict=True)]

    # ---- one case
    def price(self, case: Case, way: str) -> Price | str:
        try:
            kind, formula, amount, points, multiple = self.earned(case, way)
            package = half_up(amount)
            fund = 0 if kind == "unpaid" else self.fund(case, kind, formula, package, amount)
        except Lacking:
            return MISSING
        return Price(kind, formula, package, fund, points, multiple)

    def fund(self, case: Case, kind: str, formula: str, package: int, amount: Fraction) -> int | None:
        mode = self.find("fund_share_mode", case)
        if mode is None:
            raise Lacking("fund_share_mode")
        ratio = Fraction(0) if mode == "STANDARD_MINUS_PATIENT" else self.want("payment_ratio", case)
        if formula in {"COST", "L_COST", "H_COST"} and case["billed"] is not None and not case["separate"]:
            return int(case["billed"])
        if mode == "STANDARD_MINUS_PATIENT":
            return None if case["patient"] is None else max(0, package - case["patient"] - (case["other"] or 0))
        if mode == "RATIO_ON_STANDARD":
            parts = [case[name] for name in ("own", "prior", "deductible")]
            return None if None in parts else half_up(max(0, package - sum(parts)) * ratio)
        return half_up(max(Fraction(0), (Fraction(package) if kind == "bed_day" else amount) * ratio))

    def earned(self, case: Case, way: str) -> Earned:
        """What a case earns by the way it is priced."""
        if way == "unpaid":
            return NOTHING
        if way == "fallback":
            other = self.find("tcm_fallback_group", case)
            if other is None:
                raise Lacking("tcm_fallback_group")
            case, way = {**case, "group": other}, ""
        cost = Fraction(case["total"] - case["separate"])
        by_item = ("by_item", "COST", cost, None, None)
        group = case["group"]
        if way == "bed_day":
            return "bed_day", "BED_DAY", self.bed_days(case), None, None
        if way == "by_item" or group in self.groups("by_item_groups", case):
            return by_item
        fixed = self.number("single_disease_price", case)
        if fixed is not None:
            return "single_disease", "FIXED", fixed * 100, None, None
        if way == "over":
            rule = self.find("volume_cap_rule", case)
            if rule is None:
                raise Lacking("volume_cap_rule")
            if rule != "low_weight":
                return by_item if rule == "by_item" else NOTHING
        unstable = group in self.groups("unstable_groups", case)
        for met, key in (
            (case["status"] == "UNGROUPED", "ungrouped_rule"), (case["status"] == "AMBIGUOUS", "ambiguous_rule"),
            (self.method == "dip" and case["kind"] == "mixed", "mixed_rule"), (unstable, "unstable_rule"),
        ):  # fmt: skip
            if met:
                rule = self.find(key, case)
                if rule is None:
                    raise Lacking(key)
                if rule in {"by_item", "none"}:
                    return by_item if rule == "by_item" else NOTHING
        return self.weighted(case, way, cost, unstable=unstable)

    def bed_days(self, case: Case) -> Fraction:
        tariff = self.find("bed_day_price", case)
        if tariff is None:
            raise Lacking("bed_day_price")
        if not isinstance(tariff, list):
            tariff = [{"price": tariff}]
        fen = Fraction(0)
        for day in range(1, max(1, case["days"]) + 1):
            segment = next(item for item in tariff if item.get("up_to") is None or day <= item["up_to"])
            fen += Fraction(str(segment["price"])) * 100
        return fen

    def weight(self, case: Case, way: str) -> Fraction | None:
        group = self.find("substitute", case) or case["group"]
        weight = self.number("weight", case, group=group)
        if weight is None:
            weight = self.value(case, group, "weight")
        if way == "tcm" and self.number("tcm_weight", case) is not None:
            weight = self.number("tcm_weight", case)
        if way == "over" or self.listed_least(case) is not None:
            return self.want("minimum_weight", case)
        if weight is None:
            return None
        share = self.number("weight_share", case)
        weight = weight if share is None else weight * share
        return max(weight, self.number("minimum_weight", case) or Fraction(0))

    def listed_least(self, case: Case) -> Fraction | None:
        """The minimum weight at which all cases of a list that the group is in are paid."""
        for item in self.by_key.get("minimum_weight", ()):
            name = item.get("for", {}).get("list")
            if name is not None and case["group"] in self.policy["lists"][name]["codes"]:
                return Fraction(str(item["value"]))
        return None

    def basic(self, case: Case) -> Mapping[str, Any]:
        """The rule of basic groups when it holds for the case."""
        primary = self.method == "dip" and case["primary"]
        if not primary and case["group"] not in self.groups("basic_groups", case):
            return {}
        rule = self.find("basic_rule", case)
        if rule is None:
            return {"kind": "coefficient", "value": "1"} if primary else {}
        if rule.get("only") and case["tier"] not in rule["only"]:
            return {}
        return dict(rule)

    def coefficient(self, case: Case, rule: Mapping[str, Any]) -> Fraction:
        kind = rule.get("kind")
        if kind in {"coefficient", "score"}:
            return Fraction(str(rule.get("value", "1")))
        if kind == "tier_coefficient":
            return self.coefficient({**case, "tier": rule["tier"], "hospital": ""}, {})
        published = self.value(case, case["group"], "coefficient")
        if kind == "own_coefficient":
            return self.want("coefficient", case) if published is None else published
        own, item = published, self.item("coefficient", case)
        if own is None or (item is not None and {"group", "list"} & set(item.get("for", {}))):
            own = self.number("coefficient", case)
        if own is None and any(row.get("coefficient") for row in self.values.values()):
            own = Fraction(1)
        if own is None:
            raise Lacking("coefficient")
        return own * (self.number("hospital_factor", case) or Fraction(1))

    def weighted(self, case: Case, way: str, cost: Fraction, *, unstable: bool) -> Earned:
        weight = self.weight(case, way)
        young = case["age"] is not None and case["age"] < (self.number("age_factor_below", case) or 0)
        factor = (self.number("age_factor", case) or Fraction(1)) if young else Fraction(1)
        rate_method = self.method == "drg-rate"
        blank = case["status"] == "UNGROUPED" and self.find("ungrouped_rule", case) == "blank_share"
        cost_points = case["group"] in self.groups("always_cost_points", case) or (
            unstable and self.find("unstable_rule", case) == "cost_points"
        )
        if not weight and cost_points:
            points = cost / 100 / self.want("average_cost", case) * self.want("point_scale", case) * factor
            return "negotiated", "L_POINT_COST", points * self.want("point_value", case) * 100, points, None
        if weight is None:
            if not blank:
                return NOTHING
            points = cost / 100 / self.want("score_unit", case) * self.want("blank_share", case) * factor
            return "ungrouped", "BLANK", points * self.want("point_value", case) * 100, points, None
        if weight == 0 and self.method == "dip":
            rule = self.find("zero_score_rule", case)
            if rule is None:
                raise Lacking("zero_score_rule")
            return ("by_item", "COST", cost, None, None) if rule == "by_item" else NOTHING
        if self.method == "dip" and case["aux"] is not None:
            weight *= Fraction(case["aux"])
        basic = self.basic(case)
        k = self.coefficient(case, basic)
        normal = self.find("normal_formula", case)
        scale = self.number("point_scale", case)
        value = Fraction(0)
        if rate_method:
            rate = self.want("base_rate", case)
            if basic.get("kind") == "rate":
                rate = Fraction(str(basic["value"]))
            elif basic.get("kind") == "tier_rate":
                rate = self.want("base_rate", case, tier=basic["tier"], hospital="")
        else:
            value = self.want("point_value", case)
            rate = value * self.want("point_scale", case) if normal == "N_POINT" else value
        average = self.number("average_cost", case) or Fraction(0)
        standard = weight * rate * k
        name = self.find("reference", case)
        if name is None:
            raise Lacking("reference")
        if name in {"AVG", "AVGK"}:
            average = self.want("average_cost", case)
            reference = average * weight * (k if name == "AVGK" else 1)
        elif name == "SCORE":
            reference = self.want("score_unit", case) * weight * k
        elif name == "PEER":
            peer = self.value(case, case["group"], "peer_average")
            peer = self.number("peer_average", case) if peer is None else peer
            if peer is None and self.number("score_unit", case) is not None:
                reference = self.want("score_unit", case) * weight
            else:
                peer = self.want("peer_average", case) if peer is None else peer
                reference = peer
            reference *= self.number("reference_factor", case) or Fraction(1)
        else:
            reference = standard
        reference /= self.number("reference_divisor", case) or Fraction(1)
        if reference <= 0:
            return NOTHING
        yuan = cost / 100
        m = yuan / reference

        def by_points(kind: str, formula: str, points: Fraction) -> Earned:
            return kind, formula, points * value * 100, points, m

        plain = {"UNGROUPED": "ungrouped", "AMBIGUOUS": "ambiguous"}.get(case["status"], "normal")
        plain = "tcm" if way == "tcm" else plain  # a case that meets the conditions stays one where no limits hold
        listed = case["group"] in self.groups("no_outlier_groups", case) and not cost_points and not blank
        if way == "over" or self.listed_least(case) is not None or listed:  # whatever the stay cost
            if normal is None:
                raise Lacking("normal_formula")
            if normal == "N_RATE":
                return plain, normal, standard * factor * 100, None, m
            points = weight * k * factor * (self.want("point_scale", case) if normal == "N_POINT" else 1)
            return by_points(plain, normal, points)
        if cost_points:
            if scale is None:
                raise Lacking("point_scale")
            return by_points("negotiated", "L_POINT_COST", yuan / self.want("average_cost", case) * scale * factor)
        if blank:
            return by_points("ungrouped", "BLANK", weight * m * self.want("blank_share", case) * factor)
        bands = self.find("bands", case)
        if bands is not None:
            for band in bands:
                edge = band.get("up_to")
                if edge is None or m < Fraction(edge) or (m == Fraction(edge) and band.get("inclusive")):
                    break
            scored = weight * k * (factor if band.get("age_factor", True) else 1)
            v = Fraction(band.get("value", "0"))
            if band["formula"] == "COST":
                per = self.number("score_unit", case) or value
                return band["kind"], "COST", cost, yuan / per, m
            times = {"SCORE": Fraction(1), "SCORE_MULTIPLE": m, "SCORE_SUB": m - v, "SCORE_TIMES": v}
            points = scored * times[band["formula"]]
            return by_points(band["kind"], band["formula"], points)
        low, inside_low = self.want("low_limit", case), self.find("low_inclusive", case)
        limits = self.find("high_limit", case)
        limits = limits if isinstance(limits, list) else [{"limit": limits}]
        ends = [(None if item.get("up_to") is None else Fraction(item["up_to"]), item["limit"]) for item in limits]
        high = Fraction(next(limit for end, limit in ends if end is None or weight <= end))
        inside_high = self.find("high_inclusive", case)
        top, inside_top = self.number("extreme_limit", case), bool(self.find("extreme_inclusive", case))
        p, b = self.number("high_percent", case), self.number("high_step", case)
        high_name = self.find("high_formula", case)

        def amount(formula: str) -> tuple[str, Fraction, bool]:
            """The formula's name, what it gives, and whether that is points."""
            formula = normal if formula == "NORMAL" else formula
            w, t, s = weight, high, scale or Fraction(0)
            a = average or Fraction(1)
            table: dict[str, tuple[Fraction, bool]] = {
                "N_RATE": (standard, False), "N_POINT": (s * w * k, True), "N_SCORE": (w * k, True),
                "L_COST": (yuan, False), "H_COST": (yuan, False),
                "L_POINT_COST": (yuan / a * s, True), "L_RATE_COST": (yuan / a * rate, False),
                "H_ADD_K": (s * (w * k + (yuan / (a * w) - t) * w), True),
                "H_SUB_K": (s * (yuan / a - (t - k) * w), True),
                "H_SUB_1": (s * (yuan / a - (t - 1) * w * k), True),
                "H_RATE_SUB_1": ((yuan / a - (t - 1) * w) * rate, False),
                "H_RATE_ADD_1": ((w * k + (yuan / (a * w) - 1) * w) * rate, False),
                "H_PCT": (standard * (1 + (p or 0) * (m - t)), False),
                "H_STEP": (standard * ((b or 0) + (p or 0) * (m - t)), False),
                "L_SCORE_MULTIPLE_K": (w * m * k, True), "L_SCORE_MULTIPLE": (w * m, True),
                "H_SCORE_NATIONAL": (w * (m - t + 1) * k, True), "H_SCORE_K_IN_EXCESS": (w * (m - t + k), True),
            }  # fmt: skip
            found, points = table[formula]
            if formula in {"L_COST", "H_COST"}:
                return formula, found, False
            if not points and not rate_method:
                found, points = found / value, True
            return formula, found * factor, points

        def answer(kind: str, formula: str) -> Earned:
            shown, found, points = amount(formula)
            if kind in {"high", "extreme"}:
                usual, least, usual_points = amount(normal)
                yuans = [found * value if points else found, least * value if usual_points else least]
                if self.find("high_floor", case) and yuans[0] < yuans[1]:
                    shown, found, points = usual, least, usual_points
                elif found < 0:
                    found = Fraction(0)
            return by_points(kind, shown, found) if points else (kind, shown, found * 100, None, m)

        self.needs(case, {normal, self.find("low_formula", case), high_name})
        if m < low or (m == low and inside_low):
            return answer("low", self.find("low_formula", case))
        if m < high or (m == high and not inside_high):
            return answer(plain, normal)
        if top is None or m < top or (m == top and not inside_top):
            return answer("high", high_name)
        last = self.find("extreme_formula", case)
        return answer("extreme", high_name if last == "REVIEW" else last)

    def needs(self, case: Case, formulas: set[str]) -> None:
        """What the three formulas work with must all be there."""
        for names, key in (
            ({"L_POINT_COST", "L_RATE_COST", "H_ADD_K", "H_SUB_K", "H_SUB_1", "H_RATE_SUB_1", "H_RATE_ADD_1"},
             "average_cost"),
            ({"N_POINT", "L_POINT_COST", "H_ADD_K", "H_SUB_K", "H_SUB_1"}, "point_scale"),
            ({"H_PCT", "H_STEP"}, "high_percent"),
            ({"H_STEP"}, "high_step"),
        ):  # fmt: skip
            if names & formulas:
                self.want(key, case)
