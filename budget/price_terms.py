"""From a policy to the numbers that price one kind of case: weight, coefficient, rate, reference, limits.

A `PriceKey` says all that a price may depend on but the cost of the stay. What the policy does not say is a problem
with its name, never a made-up number. Source of each rule: the meaning beside each parameter in policy_schema.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from budget.formulas import Terms, reference_cost
from budget.group_values import GroupValue, GroupValues
from reference_tables.policy import Policy
from reference_tables.policy_bands import BasicRule, LimitBand
from reference_tables.policy_settings import scope_text
from reference_tables.problems import Problem

COMMAND = "pay"
ORDINARY = ""
BY_ITEM_DAYS, BED_DAY, OVER_CAP, TCM, TCM_FALLBACK = "by_item_days", "bed_day", "over_cap", "tcm", "tcm_fallback"


@dataclass(frozen=True, slots=True)
class PriceKey:
    """All that a price depends on but the cost. Parts that no value of the policy asks for are "".

    `route`: how the case is to be priced, see `case_routes`; `aux` the auxiliary factor as text; `young`: below
    the age of the age factor; `primary_care`: marked as a primary-care disease (基层病种).
    """

    hospital: str
    tier: str
    insurance: str
    month: str
    group: str
    status: str
    kind: str
    aux: str
    primary_care: bool
    young: bool
    route: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the multiple and whether a case exactly on one is an outlier; `extreme` None when there is none."""

    low: Fraction
    low_inclusive: bool
    high: Fraction
    high_inclusive: bool
    extreme: Fraction | None
    extreme_inclusive: bool


class PriceTerms:
    """Looks the parameters of a policy up for price keys; `problems` collects what is missing (PL30), each once."""

    def __init__(self, policy: Policy, values: GroupValues) -> None:
        self.policy = policy
        self.values = values
        self.problems: list[Problem] = []

    def look(self, key: str, of: PriceKey, **other: str) -> Any:
        """The value of a parameter for a price key, None when it is not set."""
        found = self.policy.get(key, _day(of), **(_scope(of) | other))
        return None if found is None else found.value

    def want(self, key: str, of: PriceKey, **other: str) -> Any:
        """The same, a missing one noted as a problem."""
        scope = _scope(of) | other
        found = self.policy.need(key, COMMAND, on=_day(of), problems=self.problems, **scope)
        return None if found is None else found.value

    def value_of(self, of: PriceKey, group: str) -> GroupValue:
        """What is published of a group."""
        return self.values.get(group, of.tier, of.insurance)

    def weight(self, of: PriceKey) -> Fraction | None:
        """RW or score that the case is paid by, before auxiliary and age factors; None when the group has none."""
        substitute = self.look("substitute", of)
        group = of.group if substitute is None else str(substitute)
        weight: Fraction | None = self.look("weight", of, group=group)
        if weight is None:
            weight = self.value_of(of, group).weight
        if of.route == TCM:
            own = self.look("tcm_weight", of)
            weight = weight if own is None else own
        least = self.look("minimum_weight", of)
        if self.at_minimum_weight(of):
            lowest: Fraction | None = least if least is not None else self.want("minimum_weight", of)
            return lowest
        if weight is None:
            return None
        share = self.look("weight_share", of)
        if share is not None:
            weight *= share
        return weight if least is None else max(weight, least)

    def at_minimum_weight(self, of: PriceKey) -> bool:
        """Is the case paid at the minimum weight: beyond its group's yearly number, or of a group in a list?"""
        if of.route == OVER_CAP:
            return True
        setting = self.policy.get("minimum_weight", _day(of), **_scope(of))
        return setting is not None and bool(setting.scope)

    def is_basic(self, of: PriceKey) -> bool:
        """Is the case paid the same at all hospitals: a basic group, or a primary-care disease of DIP?"""
        return of.primary_care or of.group in (self.look("basic_groups", of) or ())

    def coefficient(self, of: PriceKey) -> Fraction | None:
        """The hospital's coefficient for the case, after the rule of basic groups."""
        rule = self._basic_rule(of)
        if rule is not None:
            if rule.kind in {"coefficient", "score"}:
                return Fraction(1) if rule.value is None else rule.value
            if rule.kind == "tier_coefficient":
                return self._own_coefficient(replace(of, tier=rule.tier or "", hospital=""))
            if rule.kind == "own_coefficient":
                own = self.value_of(of, of.group).coefficient
                return own if own is not None else self.want("coefficient", of)
        if of.primary_care and self.policy.method == "dip" and self.look("basic_rule", of) is None:
            return Fraction(1)
        return self._own_coefficient(of)

    def _own_coefficient(self, of: PriceKey) -> Fraction | None:
        published = self.value_of(of, of.group).coefficient
        setting = self.policy.get("coefficient", _day(of), **_scope(of))
        if published is not None and (setting is None or not setting.by_group):
            found: Fraction | None = published
        elif setting is not None:
            found = setting.value
        elif self.values.has_coefficients:
            found = Fraction(1)
        else:
            found = self.want("coefficient", of)
        more = self.look("hospital_factor", of)
        return found if found is None or more is None else found * more

    def rate(self, of: PriceKey) -> Fraction | None:
        """Yuan per weight; where cases earn points, what the points of weight or score 1 are worth."""
        if self.policy.method != "drg-rate":
            value = self.point_value(of)
            if value is None or self.look("normal_formula", of) != "N_POINT":
                return value
            scale = self.want("point_scale", of)
            return None if scale is None else Fraction(value * scale)
        rule = self._basic_rule(of)
        if rule is not None and rule.kind == "rate":
            return rule.value
        if rule is not None and rule.kind == "tier_rate":
            found: Fraction | None = self.want("base_rate", of, tier=rule.tier, hospital="")
            return found
        rate: Fraction | None = self.want("base_rate", of)
        return rate

    def point_value(self, of: PriceKey) -> Fraction | None:
        """Yuan per point; 0 where cases are paid by rate."""
        if self.policy.method == "drg-rate":
            return Fraction(0)
        found: Fraction | None = self.want("point_value", of)
        return found

    def _basic_rule(self, of: PriceKey) -> BasicRule | None:
        rule: BasicRule | None = self.look("basic_rule", of) if self.is_basic(of) else None
        return None if rule is None or (rule.only and of.tier not in rule.only) else rule

    def limits(self, of: PriceKey, weight: Fraction) -> Limits | None:
        """The limits of the multiple for a weight; None when one is missing."""
        low, high = self.want("low_limit", of), self.want("high_limit", of)
        low_in, high_in = self.want("low_inclusive", of), self.want("high_inclusive", of)
        if None in (low, high, low_in, high_in):
            return None
        return Limits(
            low, low_in, band_limit(high, weight), high_in,
            self.look("extreme_limit", of), bool(self.look("extreme_inclusive", of)),
        )  # fmt: skip

    def terms(self, of: PriceKey, weight: Fraction) -> Terms | None:
        """The terms of the formulas but the limit; None when a parameter is missing. `weight` as paid."""
        coefficient, rate = self.coefficient(of), self.rate(of)
        if coefficient is None or rate is None:
            self.want("reference", of)  # so that all that is missing is told at once
            return None
        scale = self.look("point_scale", of) if self.policy.method == "drg-point" else None
        terms = Terms(
            weight=weight, coefficient=coefficient, reference=Fraction(0), rate=rate,
            average=self.look("average_cost", of) or Fraction(0), scale=scale or Fraction(0),
            percent=self.look("high_percent", of) or Fraction(0), step=self.look("high_step", of) or Fraction(0),
            blank_share=self.look("blank_share", of) or Fraction(0),
        )  # fmt: skip
        reference = self._reference(of, terms)
        return None if reference is None else replace(terms, reference=reference)

    def _reference(self, of: PriceKey, terms: Terms) -> Fraction | None:
        name = self.want("reference", of)
        if name is None:
            return None
        peer = unit = None
        if name in {"AVG", "AVGK"} and not terms.average:
            self.want("average_cost", of)
            return None
        if name == "SCORE":
            unit = self.want("score_unit", of)
            if unit is None:
                return None
        if name == "PEER":
            peer = self._peer(of, terms.weight)
            if peer is None:
                return None
        return reference_cost(name, terms, peer=peer, unit=unit) / (self.look("reference_divisor", of) or 1)

    def peer_average(self, of: PriceKey) -> Fraction | None:
        """Last year's mean cost of the group at the same tier, yuan: a value of the policy by group goes before what is
        published, that before any other value of the policy; None when there is none."""
        published = self.value_of(of, of.group).peer_average
        setting = self.policy.get("peer_average", _day(of), **_scope(of))
        if setting is None or (published is not None and not setting.by_group):
            return published
        found: Fraction = setting.value
        return found

    def _peer(self, of: PriceKey, weight: Fraction) -> Fraction | None:
        peer = self.peer_average(of)
        if peer is None:
            unit = self.look("score_unit", of)
            peer = None if unit is None else unit * weight
        if peer is None:
            self._lacks_peer(of)
            return None
        factor = self.look("reference_factor", of)
        return peer if factor is None else Fraction(peer * factor)

    def _lacks_peer(self, of: PriceKey) -> None:
        """Note that the reference is missing: of this group and tier, where others have one, else altogether."""
        if not self.values.has_averages:
            self.want("peer_average", of)
            return
        where = scope_text([("group", of.group), ("tier", of.tier)] if of.tier else [("group", of.group)])
        problem = self.policy.missing_problem("peer_average", COMMAND, where)
        if problem not in self.problems:
            self.problems.append(problem)


def band_limit(bands: tuple[LimitBand, ...], weight: Fraction) -> Fraction:
    """The limit of the first band that a weight falls in, its upper end counting."""
    return next(band.limit for band in bands if band.up_to is None or weight <= band.up_to)


def _day(of: PriceKey) -> date | None:
    """The first day of the month the case is priced in: values change with a month, never inside one."""
    return date.fromisoformat(f"{of.month}-01") if of.month else None


def _scope(of: PriceKey) -> dict[str, str]:
    named = {
        "hospital": of.hospital, "tier": of.tier, "insurance": of.insurance, "month": of.month, "group": of.group,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value}
