"""Boolean formulas over one inpatient case, simplified while they are built.

A case is a handful of single-valued variables (principal diagnosis, principal procedure, age …) and two
lists (other diagnoses, other procedures). Two kinds of literal are enough for every rule of a pack:

- `In(variable, mask)`: the variable's value is one of the values whose bit is set;
- `Some(slot, mask, count)`: at least `count` different codes of the list are in the mask.

`Level(level)` stands for `QTZD in MCC` and `QTZD in CC`, whose mask depends on the principal diagnosis.
Masks are Python integers, so union, intersection and complement of code lists are single operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

SINGLE = ("ZYZD", "NL", "XSRTL", "XSRTZ", "XB", "ZYTS", "ICUXS", "LYFS", "KS", "ZYSS")
"""Single-valued variables, in the order in which a search decides them."""
PARTNER = {"QTZD": "ZYZD", "QTSS": "ZYSS"}
"""List variable -> the single variable of its principal item."""


@dataclass(frozen=True, slots=True)
class Truth:
    value: bool


@dataclass(frozen=True, slots=True)
class In:
    """The value of `variable` has its bit in `mask`."""

    variable: str
    mask: int


@dataclass(frozen=True, slots=True)
class Some:
    """At least `count` different codes of list `slot` are in `mask`.

    `beside`: the principal item of the same kind counts as well (`length(S ∩ {ZYSS, QTSS})`). Once the
    principal item is decided it still says that a code equal to it adds nothing.
    """

    slot: str
    mask: int
    count: int = 1
    beside: bool = False

    def implies(self, other: Some) -> bool:
        """Every list with this has the other too."""
        inside = self.mask & ~other.mask == 0
        return inside and self.count >= other.count and (self.beside or not other.beside)


@dataclass(frozen=True, slots=True)
class Level:
    """Some other diagnosis is listed at `level` and not excluded by the principal diagnosis."""

    level: str


@dataclass(frozen=True, slots=True)
class Negative:
    """The negation of a list literal; single-valued literals are negated by their mask instead."""

    item: Some | Level


@dataclass(frozen=True, slots=True)
class All:
    items: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    items: tuple[Formula, ...]


Formula = Truth | In | Some | Level | Negative | All | AnyOf
TRUE = Truth(True)
FALSE = Truth(False)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is settled about a case: allowed values, list codes refused altogether, list literals that hold,
    levels known to be there or not."""

    inside: Mapping[str, int]
    refused: Mapping[str, int]
    wanted: tuple[Some, ...]
    levels: Mapping[Level, bool]


class Algebra:
    """Builds simplified formulas over given domains.

    `full`: single-valued variable -> mask of its whole domain.
    """

    def __init__(self, full: Mapping[str, int]) -> None:
        self.full = dict(full)

    def member(self, variable: str, mask: int) -> Formula:
        mask &= self.full[variable]
        if mask == 0:
            return FALSE
        return TRUE if mask == self.full[variable] else In(variable, mask)

    def some(self, slot: str, mask: int, count: int = 1, *, beside: bool = False) -> Formula:
        if count <= 0:
            return TRUE
        return Some(slot, mask, count, beside) if mask.bit_count() >= count else FALSE

    def negate(self, formula: Formula) -> Formula:
        match formula:
            case Truth(value):
                return Truth(not value)
            case In(variable, mask):
                return self.member(variable, self.full[variable] & ~mask)
            case Some() | Level():
                return Negative(formula)
            case Negative(item):
                return item
            case All(items):
                return self.any_of(self.negate(item) for item in items)
            case AnyOf(items):
                return self.all_of(self.negate(item) for item in items)

    def all_of(self, items: Iterable[Formula]) -> Formula:
        """Conjunction: masks of one variable intersect, refused list codes are pooled."""
        inside: dict[str, int] = {}
        refused: dict[str, int] = {}
        rest: dict[Formula, None] = {}
        for item in _flat(items, All):
            match item:
                case Truth(False):
                    return FALSE
                case Truth():
                    continue
                case In(variable, mask):
                    inside[variable] = inside.get(variable, mask) & mask
                case Negative(Some(slot, mask, 1, False)):
                    refused[slot] = refused.get(slot, 0) | mask
                case _:
                    rest[item] = None
        for variable, mask in inside.items():
            if mask == 0:
                return FALSE
            rest[In(variable, mask)] = None
        for slot, mask in refused.items():
            rest[Negative(Some(slot, mask))] = None
        if _opposed(rest):
            return FALSE
        if not rest:
            return TRUE
        return next(iter(rest)) if len(rest) == 1 else All(tuple(rest))

    def any_of(self, items: Iterable[Formula]) -> Formula:
        """Disjunction: masks of one variable and of one list are united."""
        inside: dict[str, int] = {}
        wanted: dict[str, int] = {}
        rest: dict[Formula, None] = {}
        for item in _flat(items, AnyOf):
            match item:
                case Truth(True):
                    return TRUE
                case Truth():
                    continue
                case In(variable, mask):
                    inside[variable] = inside.get(variable, 0) | mask
                case Some(slot, mask, 1, False):
                    wanted[slot] = wanted.get(slot, 0) | mask
                case _:
                    rest[item] = None
        for variable, mask in inside.items():
            if mask == self.full[variable]:
                return TRUE
            rest[In(variable, mask)] = None
        for slot, mask in wanted.items():
            rest[Some(slot, mask)] = None
        if _opposed(rest):
            return TRUE
        if not rest:
            return FALSE
        return next(iter(rest)) if len(rest) == 1 else AnyOf(tuple(rest))

    def decide(self, formula: Formula, variable: str, block: int) -> Formula:
        """The formula once `variable` lies in `block`, which no mask of the formula may cut in two."""
        match formula:
            case In(name, mask) if name == variable:
                return FALSE if block & mask == 0 else TRUE
            case Some(slot, mask, count, True) if PARTNER[slot] == variable:
                inside = block & mask != 0
                return self.some(slot, mask, count - inside, beside=inside)
            case Negative(item):
                return self.negate(self.decide(item, variable, block))
            case All(items):
                return self.all_of(self.decide(item, variable, block) for item in items)
            case AnyOf(items):
                return self.any_of(self.decide(item, variable, block) for item in items)
            case _:
                return formula

    def given(self, formula: Formula, facts: Facts) -> Formula:
        """The formula where the facts hold: literals that they settle become true or false."""
        match formula:
            case In(variable, mask) if variable in facts.inside:
                allowed = facts.inside[variable]
                return TRUE if allowed & ~mask == 0 else self.member(variable, mask & allowed)
            case Some(slot, mask, count, beside):
                left = mask & ~facts.refused.get(slot, 0)
                if any(literal.slot == slot and literal.implies(formula) for literal in facts.wanted):
                    return TRUE
                return self.some(slot, left, count, beside=beside)
            case Level() if formula in facts.levels:
                return Truth(facts.levels[formula])
            case Negative(item):
                return self.negate(self.given(item, facts))
            case All(items):
                return self.all_of(self.given(item, facts) for item in items)
            case AnyOf(items):
                return self.any_of(self.given(item, facts) for item in items)
            case _:
                return formula


def _opposed(items: dict[Formula, None]) -> bool:
    """Some list literal stands beside its own negation."""
    return any(isinstance(item, Negative) and item.item in items for item in items)


def _flat(items: Iterable[Formula], kind: type[All] | type[AnyOf]) -> Iterator[Formula]:
    for item in items:
        if isinstance(item, kind):
            yield from item.items
        else:
            yield item


def literals(formula: Formula) -> Iterator[In | Some | Level]:
    """Every literal of the formula, repeats included, negation stripped."""
    if isinstance(formula, All | AnyOf):
        for item in formula.items:
            yield from literals(item)
    elif isinstance(formula, Negative):
        yield formula.item
    elif not isinstance(formula, Truth):
        yield formula
