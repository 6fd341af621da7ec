"""The payment formulas by name: what a case earns as slope x cost + intercept, in yuan or in points.

Cost and reference are in yuan. The names are those of the policies; each says what it computes with
w weight, k coefficient, R rate, A average cost per weight, S points per weight, T the limit that applies,
s score (with the auxiliary factor), m = cost / reference. Source: the cities' rules as published, one formula name for
each distinct arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from budget.affine import Affine

_ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the formulas may ask for; 0 where the policy has no such parameter and no formula of it asks.

    `weight`: RW, or for scores the score times the auxiliary factor. `reference`: yuan that multiple 1 stands for.
    `limit`: the high limit T that applies to the case. `percent`, `step`: of H_PCT and H_STEP.
    """

    weight: Fraction
    coefficient: Fraction
    reference: Fraction
    rate: Fraction = Fraction(0)
    average: Fraction = Fraction(0)
    scale: Fraction = Fraction(0)
    limit: Fraction = Fraction(0)
    percent: Fraction = Fraction(0)
    step: Fraction = Fraction(0)
    blank_share: Fraction = Fraction(0)

    @property
    def standard(self) -> Fraction:
        """STD: weight x rate x coefficient, yuan."""
        return self.weight * self.rate * self.coefficient


@dataclass(frozen=True, slots=True)
class Formula:
    """`amount` of the terms; `points`: the result is points, else yuan. `needs`: terms that must not be 0."""

    amount: Callable[[Terms], Affine]
    points: bool
    needs: tuple[str, ...]


def _constant(value: Fraction) -> Affine:
    return Affine(Fraction(0), value)


def _cost(_: Terms) -> Affine:
    return Affine(_ONE, Fraction(0))


def _over_average(terms: Terms, less: Fraction, factor: Fraction) -> Affine:
    """factor x (cost / A - less)."""
    return Affine(factor / terms.average, -less * factor)


def _over_reference(terms: Terms, factor: Fraction, plus: Fraction) -> Affine:
    """factor x (m + plus)."""
    return Affine(factor / terms.reference, factor * plus)


def _above_limit(terms: Terms, start: Fraction) -> Affine:
    """STD x [start + p x (m - T)]."""
    standard, percent = terms.standard, terms.percent
    return Affine(standard * percent / terms.reference, standard * (start - percent * terms.limit))


FORMULAS: Mapping[str, Formula] = {
    # normal: w R k; S w k; s k
    "N_RATE": Formula(lambda t: _constant(t.standard), points=False, needs=("rate",)),
    "N_POINT": Formula(lambda t: _constant(t.scale * t.weight * t.coefficient), points=True, needs=("scale",)),
    "N_SCORE": Formula(lambda t: _constant(t.weight * t.coefficient), points=True, needs=()),
    # paid by item
    "L_COST": Formula(_cost, points=False, needs=()),
    "H_COST": Formula(_cost, points=False, needs=()),
    # S cost / A; R cost / A
    "L_POINT_COST": Formula(lambda t: _over_average(t, Fraction(0), t.scale), points=True, needs=("average", "scale")),
    "L_RATE_COST": Formula(lambda t: _over_average(t, Fraction(0), t.rate), points=False, needs=("average", "rate")),
    # S [w k + (cost / (A w) - T) w], and the same written as S [cost / A - (T - k) w]
    "H_ADD_K": Formula(
        lambda t: _over_average(t, (t.limit - t.coefficient) * t.weight, t.scale),
        points=True,
        needs=("average", "scale", "limit"),
    ),
    "H_SUB_K": Formula(
        lambda t: _over_average(t, (t.limit - t.coefficient) * t.weight, t.scale),
        points=True,
        needs=("average", "scale", "limit"),
    ),
    # S [cost / A - (T - 1) w k]
    "H_SUB_1": Formula(
        lambda t: _over_average(t, (t.limit - 1) * t.weight * t.coefficient, t.scale),
        points=True,
        needs=("average", "scale", "limit"),
    ),
    # [cost / A - (T - 1) w] R
    "H_RATE_SUB_1": Formula(
        lambda t: _over_average(t, (t.limit - 1) * t.weight, t.rate),
        points=False,
        needs=("average", "rate", "limit"),
    ),
    # [w k + (cost / (A w) - 1) w] R
    "H_RATE_ADD_1": Formula(
        lambda t: _over_average(t, (1 - t.coefficient) * t.weight, t.rate),
        points=False,
        needs=("average", "rate"),
    ),
    # the standard and a share p of what lies above the limit; the same from b times the standard on
    "H_PCT": Formula(lambda t: _above_limit(t, _ONE), points=False, needs=("rate", "percent", "limit")),
    "H_STEP": Formula(lambda t: _above_limit(t, t.step), points=False, needs=("rate", "percent", "step", "limit")),
    # s m k; s m; s (m - T + 1) k; s (m - T + k)
    "L_SCORE_MULTIPLE_K": Formula(
        lambda t: _over_reference(t, t.weight * t.coefficient, Fraction(0)), points=True, needs=()
    ),
    "L_SCORE_MULTIPLE": Formula(lambda t: _over_reference(t, t.weight, Fraction(0)), points=True, needs=()),
    "H_SCORE_NATIONAL": Formula(
        lambda t: _over_reference(t, t.weight * t.coefficient, 1 - t.limit), points=True, needs=("limit",)
    ),
    "H_SCORE_K_IN_EXCESS": Formula(
        lambda t: _over_reference(t, t.weight, t.coefficient - t.limit), points=True, needs=("limit",)
    ),
    # blank disease: s m x share
    "BLANK": Formula(
        lambda t: _over_reference(t, t.weight * t.blank_share, Fraction(0)), points=True, needs=("blank_share",)
    ),
}


def reference_cost(name: str, terms: Terms, *, peer: Fraction | None = None, unit: Fraction | None = None) -> Fraction:
    """The denominator of the multiple, yuan: STD = w R k, AVG = A w, AVGK = A w k, PEER = last year's mean cost of
    the disease at the same tier, SCORE = unit x s x k. Raises ValueError for another name or a missing part."""
    found: dict[str, Fraction | None] = {
        "STD": terms.standard,
        "AVG": terms.average * terms.weight,
        "AVGK": terms.average * terms.weight * terms.coefficient,
        "PEER": peer,
        "SCORE": None if unit is None else unit * terms.weight * terms.coefficient,
    }
    reference = found.get(name)
    if reference is None:
        raise ValueError(f"no reference {name} without its parameter")
    return reference
