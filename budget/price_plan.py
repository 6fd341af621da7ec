"""The price plan: for one kind of case, the bands of its cost in whole fen and what each band pays.

The multiple never has to be computed to class a case: `cost < limit x reference` is a comparison with a whole number of
fen, worked out once in exact fractions, with the limit itself on the side that the policy writes. Every amount is
linear in the cost (`formulas`), so a band is its upper end, its case kind and one or two lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from budget.affine import Affine
from budget.case_routes import BED_DAY
from budget.formulas import FORMULAS, Terms
from budget.money import FEN
from budget.price_terms import PriceKey, PriceTerms
from reference_tables.policy_bands import FormulaBand

BY_COST = Affine(Fraction(1), Fraction(0))
NOTHING = Affine(Fraction(0), Fraction(0))


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


class PricePlanner:
    """Makes plan rows for one policy; `terms.problems` tells which parameters it lacked."""

    def __init__(self, terms: PriceTerms) -> None:
        self.terms = terms
        self.policy = terms.policy

    def row(self, key: PriceKey) -> PlanRow:
        """The plan of one key. A case that has no price is unpaid, with the reason."""
        special = self._without_weight(key)
        if special is not None:
            return special
        weight = self.terms.weight(key)
        if weight is None:
            return _unpaid("NO_WEIGHT")
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
        if key.route == "by_item_days" or key.group in (look("by_item_groups", key) or ()):
            return _by_item("BY_ITEM_DAYS" if key.route == "by_item_days" else "BY_ITEM_GROUP")
        price = look("single_disease_price", key)
        if price is not None:
            return single_band("single_disease", "FIXED", Affine(Fraction(0), Fraction(price)))
        if key.route == "over_cap" and look("volume_cap_rule", key) != "low_weight":
            over = look("volume_cap_rule", key)
            return _by_item("OVER_CAP") if over == "by_item" else _unpaid("OVER_CAP")
        rule = self._status_rule(key)
        if rule in {"by_item", "none"}:
            reason = key.status if key.status != "GROUPED" else "MIXED"
            return _by_item(reason) if rule == "by_item" else _unpaid(reason)
        return None

    def _status_rule(self, key: PriceKey) -> Any:
        if key.status == "UNGROUPED":
            return self.terms.want("ungrouped_rule", key)
        if key.status == "AMBIGUOUS":
            return self.terms.want("ambiguous_rule", key)
        if key.kind == "mixed":
            return self.terms.want("mixed_rule", key)
        unstable = key.group in (self.terms.look("unstable_groups", key) or ())
        return self.terms.want("unstable_rule", key) if unstable else None

    def _weighted(self, key: PriceKey, weight: Fraction) -> PlanRow:
        terms = self.terms.terms(key, weight)
        value = self.terms.point_value(key)
        if terms is None or value is None:
            return _unpaid("MISSING_PARAMETER")
        if terms.reference <= 0:
            return _unpaid("NO_REFERENCE")
        factor = (self.terms.look("age_factor", key) if key.young else None) or Fraction(1)
        maker = _Bands(terms, value, factor, self.terms.look("score_unit", key))
        shown = PlanRow((), weight, terms.coefficient, terms.reference, None, value)
        if self._cost_points(key):
            limits = self.terms.limits(key, weight) if self.terms.look("high_limit", key) is not None else None
            band = maker.band(None, "negotiated", "L_POINT_COST")
            return replace(shown, bands=(band,), limit=None if limits is None else limits.high, reason="COST_POINTS")
        if key.status == "UNGROUPED" and self.terms.look("ungrouped_rule", key) == "blank_share":
            return replace(shown, coefficient=None, bands=(maker.band(None, "ungrouped", "BLANK"),))
        formula_bands = self.terms.look("bands", key)
        if formula_bands is not None:
            return replace(shown, bands=tuple(maker.of_bands(formula_bands)))
        return self._outliers(key, shown, maker)

    def _cost_points(self, key: PriceKey) -> bool:
        if key.group in (self.terms.look("always_cost_points", key) or ()):
            return True
        unstable = key.group in (self.terms.look("unstable_groups", key) or ())
        return unstable and self.terms.look("unstable_rule", key) == "cost_points"

    def _outliers(self, key: PriceKey, shown: PlanRow, maker: _Bands) -> PlanRow:
        limits = self.terms.limits(key, shown.weight or Fraction(0))
        formulas = [self.terms.want(name, key) for name in ("normal_formula", "low_formula", "high_formula")]
        extreme = "NORMAL" if limits is None or limits.extreme is None else self.terms.want("extreme_formula", key)
        if limits is None or None in formulas or extreme is None:
            return _unpaid("MISSING_PARAMETER")
        normal, low, high = formulas
        maker.start(normal, limits.high, floor_at_normal=bool(self.terms.look("high_floor", key)))
        top = maker.below(limits.high, inclusive=not limits.high_inclusive)
        kinds = {"UNGROUPED": "ungrouped", "AMBIGUOUS": "ambiguous"}
        kind = "tcm" if key.route == "tcm" else kinds.get(key.status, "normal")
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
        by_cost = name in {"L_COST", "H_COST"}
        return self._made(upper, kind, name, amount if by_cost else amount.times(self.factor), points=formula.points)

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
        normal = self.band(None, kind, self.normal)
        least = normal if self.floor_at_normal else replace(normal, package=NOTHING, points=normal.points and NOTHING)
        if (high.points is None) == (least.points is None):
            line, bottom = (high.points or high.package), (least.points or least.package).intercept
            rises = line.least_cost_reaching(bottom)
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
                points = Affine(1 / (unit * FEN), Fraction(0))
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


def _by_item(reason: str) -> PlanRow:
    return single_band("by_item", "COST", BY_COST, reason)


def _unpaid(reason: str) -> PlanRow:
    return single_band("unpaid", UNPAID_FORMULA, NOTHING, reason)
