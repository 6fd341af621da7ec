"""Plan rows as scenarios see them: what each row's weight, coefficient and price are made of, and its bands.

A row is found by asking the same look-ups that pricing asks, once as they are and twice with everything moved, so that
no rule of weights, minimum weights or basic groups is written a second time. Rows whose bands are not the three or four
of the high and low limits, or that follow a move in another way, are left to the planner, scenario by scenario.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from typing import Any, cast

from budget.affine import Affine
from budget.formulas import FORMULAS, Terms, reference_cost
from budget.group_values import GroupValues
from budget.money import FEN
from budget.price_plan import BY_COST_FORMULAS, PlanRow
from budget.price_terms import ORDINARY, TCM, TCM_FALLBACK, PriceKey, PriceTerms, band_limit
from budget.scenario_lines import NotLinear, Poly, poly, variable
from budget.scenario_moves import Address, MovedPolicy, MovedValues, Mover
from reference_tables.policy import Policy
from reference_tables.policy_bands import LimitBand

BANDS = 4
"""Low, normal, high, extreme; a row without an extreme limit has an empty last band."""
_FIXED_KINDS = frozenset({"bed_day", "single_disease", "by_item", "unpaid"})
_LACKING = frozenset({"NO_WEIGHT", "ZERO_SCORE", "NO_REFERENCE"})
_LARGE = 10**9
ANY_HOSPITAL = "\n"
"""Stands in a key for every hospital, where nothing of the policy differs by hospital; no id is this."""
_KINDS = {"UNGROUPED": "ungrouped", "AMBIGUOUS": "ambiguous"}


@dataclass(frozen=True)
class Shape:
    """Bands of a row: `ends` the multiples of cost in fen below which a band ends, with whether the end belongs to it
    (extreme None: no such band); `slope`, `intercept` of the amount in fen; `by_cost` where the cost itself is paid.
    `floored`: above the high limit no less is paid than for a normal case; else no less than nothing."""

    ends: tuple[tuple[Poly, bool] | None, ...]
    slope: tuple[Poly, ...]
    intercept: tuple[Poly, ...]
    by_cost: tuple[bool, ...]
    kinds: tuple[str, ...]
    formulas: tuple[str, ...]
    floored: bool

    @property
    def plain(self) -> bool:
        """Is every slope a number of its own, that nothing moves, and not below 0?"""
        return all(slope.constant and slope.number >= 0 for slope in self.slope)

    @cached_property
    def whole(self) -> tuple[tuple[Poly, int, int], ...]:
        """Of each band of a plain shape: rounded down, the polynomial is what (`rise` x cost + it) // `over` rounds the
        amount half up with; rise and over."""
        numbers = [slope.number for slope in self.slope]
        halves = [intercept + Fraction(1, 2) for intercept in self.intercept]
        return tuple(
            (half * number.denominator, number.numerator, number.denominator)
            for half, number in zip(halves, numbers, strict=True)
        )

    def same(self, one: int, two: int) -> bool:
        """Do two bands pay by the same line?"""
        return (self.slope[one], self.intercept[one]) == (self.slope[two], self.intercept[two])


@dataclass(frozen=True)
class Part:
    """A number of a row: `value` as found at `address` (None: it never moves); the number is `factor` x what `value`
    becomes, at least `least`."""

    value: Fraction
    address: Address | None
    factor: Fraction
    least: Fraction = Fraction(0)

    @property
    def now(self) -> Fraction:
        """The number as nothing moves."""
        return max(self.factor * self.value, self.least)

    def at_hospital(self, hospital: str) -> Part:
        """The same at one hospital, where it was found at any."""
        if self.address is None or self.address.get("hospital") != ANY_HOSPITAL:
            return self
        return Part(self.value, {**self.address, "hospital": hospital}, self.factor, self.least)


@dataclass(frozen=True)
class OrdinaryRow:
    """A row in the usual bands. `limits`: the high limit by weight."""

    shape: Shape
    weight: Part
    coefficient: Part
    price: Part
    limits: tuple[LimitBand, ...]

    def at_hospital(self, hospital: str) -> OrdinaryRow:
        """A row read for any hospital (ANY_HOSPITAL), as it is at one of them."""
        moving = (self.weight, self.coefficient, self.price)
        weight, coefficient, price = (part.at_hospital(hospital) for part in moving)
        return OrdinaryRow(self.shape, weight, coefficient, price, self.limits)

    def agrees(self, row: PlanRow) -> bool:
        """Are the bands, as nothing moves, those that the planner made?"""
        weight, coefficient, price = (part.now for part in (self.weight, self.coefficient, self.price))
        values = (weight, coefficient, price, band_limit(self.limits, weight))
        shape = self.shape
        uppers = [_last_fen(end[0].at(values), inclusive=end[1]) for end in shape.ends if end is not None]
        uppers[2:] = [max(uppers[1], upper) for upper in uppers[2:]]
        found = [
            (
                upper,
                shape.kinds[at],
                shape.formulas[at],
                Affine(shape.slope[at].at(values), shape.intercept[at].at(values)),
            )
            for at, upper in enumerate([*uppers, None])
        ]
        expected = found[:2]
        for at, upper in enumerate([*uppers, None][2:], 2):
            _, kind, formula, line = found[at]
            least, paid = (
                (found[1][3], shape.formulas[1]) if shape.floored else (Affine(Fraction(0), Fraction(0)), formula)
            )
            rises = line.least_cost_reaching(least.intercept)
            lower = uppers[at - 1]
            if rises is not None and rises - 1 > lower:
                cut = rises - 1 if upper is None else min(rises - 1, upper)
                expected.append((cut, kind, paid, least))
                if cut == upper:
                    continue
            expected.append(found[at])
        return expected == [(band.upper, band.case_kind, band.formula, band.package) for band in row.bands]


def _last_fen(edge: Fraction, *, inclusive: bool) -> int:
    return floor(edge) if inclusive else ceil(edge) - 1


@dataclass
class _Probe(Mover):
    """Moves every value by a factor of its parameter, and remembers where each parameter was found."""

    factor: Mapping[str, Fraction] = field(default_factory=dict)
    found: dict[str, list[tuple[Fraction, dict[str, str]]]] = field(default_factory=dict)

    def moved(self, key: str, address: Address, value: Fraction) -> Fraction:
        self.found.setdefault(key, []).append((value, dict(address)))
        return value * self.factor.get(key, 1)


class RowReader:
    """Reads the rows of one policy and its group values."""

    def __init__(self, policy: Policy, values: GroupValues) -> None:
        self.policy = policy
        plain = {
            "weight": Fraction(0),
            "coefficient": Fraction(2),
            "base_rate": Fraction(2),
            "point_value": Fraction(2),
        }
        self._plain = _Probe()
        self._base = _terms(policy, values, self._plain)
        self._moved = _terms(policy, values, _Probe(plain))
        self._far = _terms(policy, values, _Probe({"weight": Fraction(_LARGE)}))
        self._shapes: dict[object, Shape | None] = {}

    def moves(self, row: PlanRow) -> bool:
        """May the row's amounts be moved by a scenario? What is paid by item, by the day or by contract does not."""
        return row.bands[0].case_kind not in _FIXED_KINDS or row.reason in _LACKING

    def ordinary(self, key: PriceKey, row: PlanRow) -> OrdinaryRow | None:
        """The row in the usual bands; None when the planner has to make it in each scenario."""
        if row.weight is None or row.limit is None or row.reason or self._base.look("bands", key) is not None:
            return None
        if key.route == TCM_FALLBACK:
            key = replace(key, group=self._base.look("tcm_fallback_group", key), route=ORDINARY)
        weight, coefficient, price = self._weight(key), self._coefficient(key), self._price(key)
        limits = self._base.look("high_limit", key)
        shape = self._shape(key)
        if weight is None or coefficient is None or price is None or shape is None or limits is None:
            return None
        found = OrdinaryRow(shape, weight, coefficient, price, limits)
        return found if found.agrees(row) else None

    def _weight(self, key: PriceKey) -> Part | None:
        aux = Fraction(key.aux) if key.aux else Fraction(1)
        self._plain.found.pop("weight", None)
        now, none, far = (terms.weight(key) for terms in (self._base, self._moved, self._far))
        if now is None or none is None or far is None or now <= 0:
            return None
        if none == far:
            return Part(now * aux, None, Fraction(1))
        found = self._plain.found.get("weight")
        if not found or found[-1][0] <= 0 or far <= none:
            return None
        value, address = found[-1]
        factor = far / _LARGE / value
        if max(factor * value, none) != now:
            return None
        return Part(value, address, factor * aux, none * aux)

    def _coefficient(self, key: PriceKey) -> Part | None:
        self._plain.found.pop("coefficient", None)
        now, twice = self._base.coefficient(key), self._moved.coefficient(key)
        more = self._base.look("hospital_factor", key)
        return self._proportional("coefficient", now, twice, () if more is None else (more,))

    def _price(self, key: PriceKey) -> Part | None:
        if self.policy.method == "drg-rate":
            self._plain.found.pop("base_rate", None)
            return self._proportional("base_rate", self._base.rate(key), self._moved.rate(key))
        self._plain.found.pop("point_value", None)
        return self._proportional("point_value", self._base.point_value(key), self._moved.point_value(key))

    def _proportional(
        self, name: str, now: Fraction | None, twice: Fraction | None, more: tuple[Fraction, ...] = ()
    ) -> Part | None:
        """A number that is a multiple of what is moved, or does not move at all."""
        if now is None or now <= 0:
            return None
        if now == twice:
            return Part(now, None, Fraction(1))
        if twice != 2 * now:
            return None
        # Where the group's own coefficient and the policy's are both looked up, the one that counted.
        factors = {Fraction(1), *more}
        for value, address in self._plain.found.get(name, ()):
            if value and now / value in factors:
                return Part(value, address, now / value)
        return None

    def _shape(self, key: PriceKey) -> Shape | None:
        look, method = self._base.look, self.policy.method
        names = ("normal_formula", "low_formula", "high_formula")
        formulas = tuple(look(name, key) for name in names)
        extreme = look("extreme_limit", key)
        extremes = (extreme, look("extreme_inclusive", key), look("extreme_formula", key)) if extreme else (None,)
        age = (look("age_factor", key) if key.young else None) or Fraction(1)
        scale = look("point_scale", key) if method == "drg-point" else None
        numbers = tuple(look(name, key) for name in ("average_cost", "high_percent", "high_step"))
        limits = tuple(look(name, key) for name in ("low_limit", "low_inclusive", "high_inclusive", "high_floor"))
        reference = (look("reference", key), look("reference_divisor", key), *self._reference_parts(key))
        kind = "tcm" if key.route == TCM else _KINDS.get(key.status, "normal")
        given = (formulas, extremes, age, scale, numbers, limits, reference, kind)
        if given not in self._shapes:
            try:
                self._shapes[given] = _shape_of(method, *given)
            except (NotLinear, ZeroDivisionError):
                self._shapes[given] = None
        return self._shapes[given]

    def _reference_parts(self, key: PriceKey) -> tuple[Fraction | None, ...]:
        """Last year's mean cost, the factor on it, and the unit of a score, where the reference asks for them."""
        name = self._base.look("reference", key)
        if name not in {"PEER", "SCORE"}:
            return (None, None, None)
        peer = self._base.peer_average(key)
        return (peer, self._base.look("reference_factor", key), self._base.look("score_unit", key))


def _terms(policy: Policy, values: GroupValues, mover: Mover) -> PriceTerms:
    return PriceTerms(cast("Policy", MovedPolicy(policy, mover)), MovedValues(values, mover))


def _shape_of(
    method: str, formulas: Any, extremes: Any, age: Fraction, scale: Fraction | None, numbers: Any, limits: Any,
    reference: Any, kind: str,
) -> Shape:  # fmt: skip
    """The shape that parameters make; see price_plan, which does the same with numbers."""
    weight, coefficient, price, limit = (variable(name) for name in ("w", "k", "p", "t"))
    normal, low, high = formulas
    average, percent, step = (number or Fraction(0) for number in numbers)
    rate = price * scale if method != "drg-rate" and normal == "N_POINT" and scale else price
    parts: dict[str, Any] = {"weight": weight, "coefficient": coefficient, "limit": limit, "rate": rate}
    terms = Terms(
        **parts, reference=Fraction(0), average=average, scale=scale or Fraction(0), percent=percent, step=step
    )
    name, divisor, peer, factor, unit = reference
    if name == "PEER":
        peer = cast("Any", unit * weight if peer is None else poly(peer)) * (1 if factor is None else factor)
    basis: Any = poly(cast("Any", reference_cost(name, terms, peer=peer, unit=unit))) / (divisor or 1)
    terms = Terms(**{**_fields(terms), "reference": basis})
    low_limit, low_in, high_in, floored = limits
    has_extreme = extremes[0] is not None
    names = [low, normal, high, (high if extremes[2] == "REVIEW" else extremes[2]) if has_extreme else high]
    names = [normal if item == "NORMAL" else item for item in names]
    lines = [_line(item, terms, age, price) for item in names]
    ends = [(basis * low_limit * FEN, bool(low_in)), (basis * limit * FEN, not high_in)]
    last = (basis * extremes[0] * FEN, not extremes[1]) if has_extreme else None
    shape = Shape(
        (*ends, last), tuple(slope for slope, _ in lines), tuple(intercept for _, intercept in lines),
        tuple(item in BY_COST_FORMULAS for item in names), ("low", kind, "high", "extreme"), tuple(names),
        bool(floored),
    )  # fmt: skip
    every = [*shape.slope, *shape.intercept, *(end[0] for end in shape.ends if end is not None)]
    if not all(item.linear for item in every) or shape.slope[1].parts:
        raise NotLinear("a band that follows its variables in another way")
    for band in (2, 3):
        steady = not shape.slope[band].parts and shape.intercept[band] != shape.intercept[1]
        if shape.floored and (shape.by_cost[band] or steady):
            raise NotLinear("a floor under what is paid by item, or under an amount that does not follow the cost")
    return shape


def _fields(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in Terms.__dataclass_fields__}


def _line(name: str, terms: Terms, age: Fraction, price: Poly) -> tuple[Poly, Poly]:
    """Slope and intercept of a formula's amount in fen."""
    formula = FORMULAS[name]
    amount: Affine = formula.amount(terms)
    slope, intercept = poly(cast("Any", amount.slope)), poly(cast("Any", amount.intercept))
    if name in BY_COST_FORMULAS:
        return slope, intercept
    value: Any = price if formula.points else Fraction(1)
    return slope * age * value, intercept * age * value * FEN
