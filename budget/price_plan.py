"""The price plan: for one kind of case, the bands of its cost in whole fen and what each band pays.

The multiple never has to be computed to class a case: `cost < limit x reference` is a comparison with a whole number of
fen, worked out once in exact fractions, with the limit itself on the side that the policy writes. Every amount is
linear in the cost (`formulas`), so a band is its upper end, its case kind and one or two lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from budget.affine import Affine
from budget.case_fit import UNFIT
from budget.formulas import FORMULAS, Terms
from budget.money import FEN
from budget.price_terms import (
    BED_DAY,
    BY_ITEM_DAYS,
    ORDINARY,
    OVER_CAP,
    TCM,
    TCM_FALLBACK,
    Limits,
    PriceKey,
    PriceTerms,
)
from reference_tables.policy_bands import FormulaBand

BY_COST = Affine(Fraction(1), Fraction(0))
NOTHING = Affine(Fraction(0), Fraction(0))
BY_COST_FORMULAS = frozenset({"COST", "L_COST", "H_COST"})
"""Formulas that pay the cost itself: the fund's part then is what it pays by item."""


@dataclass(frozen=True, slots=True)
class PlanBand:
    """A band of cost up to and including `upper` fen (None = no end). `package`: fen as a line of the cost in fen.
    `points`: the same for points, None when the band pays money; points are worth `point_value` yuan each."""

    upper: int | None
    case_kind: str
    formula: str
    package: Affine
    points: Affine | None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """How cases of one key are paid. `bands` ascending, the last without end. `weight`, `coefficient`, `limit` and
    `reference` (yuan) for display, None when they play no part; `reason`: code of why there is no ordinary price."""

    bands: tuple[PlanBand, ...]
    weight: Fraction | None = None
    coefficient: Fraction | None = None
    reference: Fraction | None = None
    limit: Fraction | None = None
    point_value: Fraction = Fraction(0)
    reason: str = ""


def single_band(kind: str, formula: str, package: Affine, reason: str = "") -> PlanRow:
    """A row that pays the same way whatever the cost."""
    return PlanRow((PlanBand(None, kind, formula, package, None),), reason=reason)


UNPAID_FORMULA = "NONE"
_PARAMETERS = {
    "average": "average_cost", "scale": "point_scale", "percent": "high_percent", "step": "high_step",
    "blank_share": "blank_share",
}  # fmt: skip
"""The parameter that gives each term of a formula; rate and limit are asked for by every row."""


class PricePlanner:
    """Makes plan rows for one policy; `terms.problems` tells which parameters it lacked."""

    def __init__(self, terms: PriceTerms) -> None:
        self.terms = terms
        self.policy = terms.policy

    def row(self, key: PriceKey) -> PlanRow:
        """The plan of one key. A case that has no price is unpaid, with the reason."""
        if key.status != "INVALID" and key.route.startswith(UNFIT):
            return _unpaid(key.route.removeprefix(UNFIT))
        if key.route == TCM_FALLBACK:
            group = self.terms.want("tcm_fallback_group", key)
            if group is None:
                return _unpaid("MISSING_PARAMETER")
            key = replace(key, group=group, route=ORDINARY)  # priced as that group is, in every respect
        special = self._without_weight(key)
        if special is not None:
            return special
        weight = self.terms.weight(key)
        if not weight and self._cost_points(key):
            return self._points_of_cost(key)
        if weight is None:
            return self._blank(key) or _unpaid("NO_WEIGHT")
        if weight == 0 and self.policy.method == "dip":
            by_item = self.terms.want("zero_score_rule", key) == "by_item"
            return _by_item("ZERO_SCORE") if by_item else _unpaid("ZERO_SCORE")
        if key.aux:
            weight *= Fraction(key.aux)
        return self._weighted(key, weight)

    def _without_weight(self, key: PriceKey) -> PlanRow | None:
        """Rows for cases that are not paid by weight or score."""
        look = self.terms.look
        if key.status == "INVALID":
            return _unpaid("INVALID_CASE")
        if key.route == BED_DAY:
            return single_band("bed_day", "BED_DAY", NOTHING)  # the amount goes by the days
        if key.route == BY_ITEM_DAYS or key.group in (look("by_item_groups", key) or ()):
            return _by_item("BY_ITEM_DAYS" if key.route == BY_ITEM_DAYS else "BY_ITEM_GROUP")
        price = look("single_disease_price", key)
        if price is not None:
            return single_band("single_disease", "FIXED", Affine(Fraction(0), Fraction(price)))
        over = self.terms.want("volume_cap_rule", key) if key.route == OVER_CAP else "low_weight"
        if over != "low_weight":
            return _by_item("OVER_CAP") if over == "by_item" else _unpaid("OVER_CAP")
        return self._by_status(key)

    def _by_status(self, key: PriceKey) -> PlanRow | None:
        """Ungrouped, ambiguous, mixed and unstable groups that are not paid by weight or score."""
        want = self.terms.want
        rules = {
            "UNGROUPED": want("ungrouped_rule", key) if key.status == "UNGROUPED" else None,
            "AMBIGUOUS": want("ambiguous_rule", key) if key.status == "AMBIGUOUS" else None,
            "MIXED": want("mixed_rule", key) if key.kind == "mixed" else None,
            "UNSTABLE": want("unstable_rule", key) if self._unstable(key) else None,
        }
        for reason, rule in rules.items():
            if rule in {"by_item", "none"}:
                return _by_item(reason) if rule == "by_item" else _unpaid(reason)
        return None

    def _points_of_cost(self, key: PriceKey) -> PlanRow:
        """A group that is always paid by its cost in points, and has no weight that a reference could come from."""
        value, wanted = self.terms.point_value(key), self._want_terms(key, ["L_POINT_COST"])
        average, scale = wanted["average"], wanted["scale"]
        if value is None or not average or not scale:
            return _unpaid("MISSING_PARAMETER")
        nothing = Fraction(0)
        terms = Terms(weight=nothing, coefficient=nothing, reference=nothing, average=average, scale=scale)
        band = _Bands(terms, value, self._age_factor(key), None).band(None, "negotiated", "L_POINT_COST")
        return PlanRow((band,), point_value=value, reason="COST_POINTS")

    def _unstable(self, key: PriceKey) -> bool:
        return key.group in (self.terms.look("unstable_groups", key) or ())

    def _blank(self, key: PriceKey) -> PlanRow | None:
        """A blank disease without a score of its own: its cost in points by the reference cost of a point, and the
        share (score x multiple does not depend on the score)."""
        if key.status != "UNGROUPED" or self.terms.look("ungrouped_rule", key) != "blank_share":
            return None
        unit, share = self.terms.want("score_unit", key), self.terms.want("blank_share", key)
        value = self.terms.point_value(key)
        if not unit or share is None or value is None:
            return None
        points = Affine(share * self._age_factor(key) / (unit * FEN), Fraction(0))
        return PlanRow((PlanBand(None, "ungrouped", "BLANK", points.times(value * FEN), points),), point_value=value)

    def _age_factor(self, key: PriceKey) -> Fraction:
        return (self.terms.look("age_factor", key) if key.young else None) or Fraction(1)

    def _weighted(self, key: PriceKey, weight: Fraction) -> PlanRow:
        terms = self.terms.terms(key, weight)
        value = self.terms.point_value(key)
        if terms is None or value is None:
            if self.terms.look("bands", key) is None:
                _, formulas, extreme = self._want_outliers(key, weight)
                self._want_terms(key, [*formulas, extreme])  # so that all that is missing is told at once
            return _unpaid("MISSING_PARAMETER")
        if terms.reference <= 0:
            return _unpaid("NO_REFERENCE")
        maker = _Bands(terms, value, self._age_factor(key), self.terms.look("score_unit", key))
        shown = PlanRow((), weight, terms.coefficient, terms.reference, None, value)
        if self.terms.at_minimum_weight(key):
            return self._without_outliers(key, shown, maker)
        if self._cost_points(key):
            if not self._has_terms(key, terms, ["L_POINT_COST"]):
                return _unpaid("MISSING_PARAMETER")
            limits = self.terms.limits(key, weight) if self.terms.look("high_limit", key) is not None else None
            band = maker.band(None, "negotiated", "L_POINT_COST")
            return replace(shown, bands=(band,), limit=None if limits is None else limits.high, reason="COST_POINTS")
        if key.status == "UNGROUPED" and self.terms.look("ungrouped_rule", key) == "blank_share":
            if not self._has_terms(key, terms, ["BLANK"]):
                return _unpaid("MISSING_PARAMETER")
            return replace(shown, coefficient=None, bands=(maker.band(None, "ungrouped", "BLANK"),))
        if key.group in (self.terms.look("no_outlier_groups", key) or ()):
            return self._without_outliers(key, shown, maker)
        formula_bands = self.terms.look("bands", key)
        if formula_bands is not None:
            return replace(shown, bands=tuple(maker.of_bands(formula_bands)))
        return self._outliers(key, shown, maker)

    def _without_outliers(self, key: PriceKey, shown: PlanRow, maker: _Bands) -> PlanRow:
        """Cases that earn the normal amount whatever they cost: at the lowest weight, where nearly every cost would be
        high, or of groups that the policy exempts."""
        normal = self.terms.want("normal_formula", key)
        if normal is None or not self._has_terms(key, maker.terms, [normal]):
            return _unpaid("MISSING_PARAMETER")
        reason = "OVER_CAP" if key.route == OVER_CAP else ""
        return replace(shown, bands=(maker.band(None, _ordinary_kind(key), normal),), reason=reason)

    def _cost_points(self, key: PriceKey) -> bool:
        if key.group in (self.terms.look("always_cost_points", key) or ()):
            return True
        return self._unstable(key) and self.terms.look("unstable_rule", key) == "cost_points"

    def _has_terms(self, key: PriceKey, terms: Terms, formulas: Iterable[str]) -> bool:
        """Are all parameters there that these formulas ask for? A missing one is noted as a problem."""
        wanted = self._want_terms(key, formulas)
        return None not in wanted.values() and not ("average" in wanted and terms.average == 0)

    def _want_terms(self, key: PriceKey, formulas: Iterable[str | None]) -> dict[str, Any]:
        """What these formulas ask for beside rate and limit, by term."""
        known = [FORMULAS[name] for name in formulas if name is not None and name in FORMULAS]
        needs = dict.fromkeys(need for formula in known for need in formula.needs if need in _PARAMETERS)
        return {need: self.terms.want(_PARAMETERS[need], key) for need in needs}

    def _want_outliers(self, key: PriceKey, weight: Fraction) -> tuple[Limits | None, list[Any], Any]:
        """Limits, the formulas of normal, low and high cases, and that of extreme ones; what is missing is noted."""
        limits = self.terms.limits(key, weight)
        formulas = [self.terms.want(name, key) for name in ("normal_formula", "low_formula", "high_formula")]
        has_extreme = self.terms.look("extreme_limit", key) is not None
        return limits, formulas, self.terms.want("extreme_formula", key) if has_extreme else "NORMAL"

    def _outliers(self, key: PriceKey, shown: PlanRow, maker: _Bands) -> PlanRow:
        limits, formulas, extreme = self._want_outliers(key, shown.weight or Fraction(0))
        if limits is None or None in formulas or extreme is None:
            return _unpaid("MISSING_PARAMETER")
        normal, low, high = formulas
        assert shown.weight is not None, "only weighted rows have outliers"
        if not self._has_terms(key, maker.terms, [*formulas, extreme]):
            return _unpaid("MISSING_PARAMETER")
        maker.start(normal, limits.high, floor_at_normal=bool(self.terms.look("high_floor", key)))
        top = maker.below(limits.high, inclusive=not limits.high_inclusive)
        kind = _ordinary_kind(key)
        bands = [maker.band(maker.below(limits.low, inclusive=limits.low_inclusive), "low", low)]
        bands.append(maker.band(top, kind, normal))
        if limits.extreme is None:
            bands += maker.high(top, None, "high", high)
        else:
            end = max(top, maker.below(limits.extreme, inclusive=not limits.extreme_inclusive))
            bands += maker.high(top, end, "high", high)
            bands += maker.high(end, None, "extreme", high if extreme == "REVIEW" else extreme)
        return replace(shown, bands=tuple(bands), limit=limits.high)


class _Bands:
    """Makes the bands of one row from its terms."""

    def __init__(self, terms: Terms, value: Fraction, factor: Fraction, unit: Fraction | None) -> None:
        self.terms, self.value, self.factor, self.unit = terms, value, factor, unit
        self.normal = "N_RATE"
        self.floor_at_normal = False

    def start(self, normal: str, limit: Fraction, *, floor_at_normal: bool) -> None:
        """The normal formula, the high limit, and whether a high case is paid at least as a normal one."""
        self.normal, self.floor_at_normal = normal, floor_at_normal
        self.terms = replace(self.terms, limit=limit)

    def below(self, multiple: Fraction, *, inclusive: bool) -> int:
        """The greatest cost in fen that lies below a multiple, or on it when that belongs below."""
        edge = multiple * self.terms.reference * FEN
        return floor(edge) if inclusive else ceil(edge) - 1

    def band(self, upper: int | None, kind: str, name: str) -> PlanBand:
        """A band by a formula's name; NORMAL is the normal one."""
        name = self.normal if name == "NORMAL" else name
        formula = FORMULAS[name]
        amount = formula.amount(self.terms)
        if name in BY_COST_FORMULAS:
            return self._made(upper, kind, name, amount, points=False)
        if formula.points or not self.value:
            return self._made(upper, kind, name, amount.times(self.factor), points=formula.points)
        # A formula over the standard, where a standard is so many points.
        return self._made(upper, kind, name, amount.times(self.factor / self.value), points=True)

    def _made(self, upper: int | None, kind: str, name: str, yuan: Affine, *, points: bool) -> PlanBand:
        """`yuan`: the amount (yuan or points) as a line of the cost in yuan."""
        if not points:
            return PlanBand(upper, kind, name, Affine(yuan.slope, yuan.intercept * FEN), None)
        line = Affine(yuan.slope / FEN, yuan.intercept)
        return PlanBand(upper, kind, name, line.times(self.value * FEN), line)

    def high(self, lower: int, upper: int | None, kind: str, name: str) -> Iterator[PlanBand]:
        """The bands above `lower` fen, beyond the high limit: cut where the formula would pay less than nothing, or
        less than a normal case when the policy forbids that. Published formulas can: where the limit is measured
        otherwise than the excess."""
        high = self.band(upper, kind, name)
        nothing = replace(high, package=NOTHING, points=None if high.points is None else NOTHING)
        least = self.band(None, kind, self.normal) if self.floor_at_normal else nothing
        both = high.points is not None and least.points is not None
        line, bottom = (high.points, least.points) if both else (high.package, least.package)
        assert line is not None
        assert bottom is not None
        rises = line.least_cost_reaching(bottom.intercept)
        cut = None if rises is None else rises - 1
        if cut is not None and cut > lower:
            if upper is not None and cut >= upper:
                yield replace(least, upper=upper)
                return
            yield replace(least, upper=cut)
        yield high

    def of_bands(self, bands: tuple[FormulaBand, ...]) -> Iterator[PlanBand]:
        """Bands of the multiple with formulas of their own."""
        for band in bands:
            upper = None if band.up_to is None else self.below(band.up_to, inclusive=band.inclusive)
            if band.formula == "COST":
                unit = self.unit or self.value
                points = Affine(1 / (unit * FEN), Fraction(0)) if unit else None
                yield PlanBand(upper, band.kind, band.formula, BY_COST, points)
                continue
            score = self.terms.weight * self.terms.coefficient * (self.factor if band.age_factor else 1)
            per_yuan = score / self.terms.reference
            line = {
                "SCORE": Affine(Fraction(0), score),
                "SCORE_MULTIPLE": Affine(per_yuan, Fraction(0)),
                "SCORE_SUB": Affine(per_yuan, -(band.value or 0) * score),
                "SCORE_TIMES": Affine(Fraction(0), (band.value or 0) * score),
            }[band.formula]
            yield self._made(upper, band.kind, band.formula, line, points=True)


def _ordinary_kind(key: PriceKey) -> str:
    """The kind of a case that is no outlier."""
    kinds = {"UNGROUPED": "ungrouped", "AMBIGUOUS": "ambiguous"}
    return "tcm" if key.route == TCM else kinds.get(key.status, "normal")


def _by_item(reason: str) -> PlanRow:
    return single_band("by_item", "COST", BY_COST, reason)


def _unpaid(reason: str) -> PlanRow:
    return single_band("unpaid", UNPAID_FORMULA, NOTHING, reason)
