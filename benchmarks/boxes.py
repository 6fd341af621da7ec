"""All the ways to make a formula true: boxes of single values with list codes wanted and refused.

Every case that satisfies the formula lies in one of its boxes, and every case of a box satisfies it, so a
formula none of whose boxes can be filled is unreachable: the boxes are an exhaustive search over code classes
(codes that no rule in question can tell apart are one class).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.formula import (
    FALSE,
    PARTNER,
    Algebra,
    All,
    AnyOf,
    Facts,
    Formula,
    In,
    Level,
    Negative,
    Some,
    Truth,
    literals,
)

DECIDED_FIRST = ("ZYZD", "ZYSS")
"""Variables decided class by class: most rules ask them, so the rest of the formula falls apart at once."""
ListLiteral = Some | Level


@dataclass(frozen=True, slots=True)
class Box:
    """`inside`: single variable -> mask of the values allowed (absent: any); `wanted`, `refused`: list
    literals that must hold, or must not."""

    inside: Mapping[str, int]
    wanted: tuple[ListLiteral, ...]
    refused: tuple[ListLiteral, ...]


class BoxSearch:
    """Finds the boxes of formulas over one algebra; what many classes of codes leave open is searched once."""

    def __init__(self, algebra: Algebra) -> None:
        self.algebra = algebra
        self._clauses: dict[Formula, _Replayed] = {}

    def boxes(self, formula: Formula) -> Iterator[Box]:
        """The boxes of a formula, in an order that does not depend on the run."""
        yield from self._by_class(formula, DECIDED_FIRST, {})

    def _by_class(self, formula: Formula, variables: tuple[str, ...], inside: dict[str, int]) -> Iterator[Box]:
        if formula == FALSE:
            return
        if not variables:
            if formula not in self._clauses:
                self._clauses[formula] = _Replayed(_by_clause(formula, self.algebra))
            for box in self._clauses[formula]:
                yield Box({**inside, **box.inside}, box.wanted, box.refused)
            return
        variable, later = variables[0], variables[1:]
        masks, start = _masks(formula, variable, self.algebra.full[variable])
        if not masks:
            yield from self._by_class(formula, later, inside)
            return
        alike: dict[Formula, int] = {}
        for block in partition(start, masks):
            rest = self.algebra.decide(formula, variable, block)
            if rest != FALSE:
                alike[rest] = alike.get(rest, 0) | block
        for rest, block in alike.items():
            yield from self._by_class(rest, later, {**inside, variable: block})


class _Replayed:
    """An iterator that can be walked again; it is driven no further than somebody walked."""

    def __init__(self, source: Iterator[Box]) -> None:
        self._source = source
        self._passed: list[Box] = []

    def __iter__(self) -> Iterator[Box]:
        at = 0
        while True:
            if at == len(self._passed):
                found = next(self._source, None)
                if found is None:
                    return
                self._passed.append(found)
            yield self._passed[at]
            at += 1


def partition(start: int, masks: list[int]) -> list[int]:
    """`start` cut along every mask: the classes that the masks cannot tell apart."""
    blocks = [start]
    for mask in masks:
        blocks = [part for block in blocks for part in (block & mask, block & ~mask) if part]
    return blocks


def _masks(formula: Formula, variable: str, full: int) -> tuple[list[int], int]:
    """Every mask that the formula holds against `variable`, and the values it allows at most."""
    found: set[int] = set()
    for literal in literals(formula):
        asked = isinstance(literal, In) and literal.variable == variable
        beside = isinstance(literal, Some) and literal.beside and PARTNER[literal.slot] == variable
        if (asked or beside) and not isinstance(literal, Level):
            found.add(literal.mask)
    start = full
    for item in _conjuncts(formula):
        if isinstance(item, In) and item.variable == variable:
            start = item.mask
    return sorted(found), start


def _conjuncts(formula: Formula) -> tuple[Formula, ...]:
    return formula.items if isinstance(formula, All) else (formula,)


def _by_clause(formula: Formula, algebra: Algebra) -> Iterator[Box]:
    """Settle what stands alone, then take one of the shortest alternatives after the other."""
    formula = _settled(formula, algebra)
    if formula == FALSE:
        return
    items = _conjuncts(formula)
    clauses = [item for item in items if isinstance(item, AnyOf)]
    if not clauses:
        facts = _facts(items)
        refused = [item.item for item in items if isinstance(item, Negative)]
        wanted = [item for item in items if isinstance(item, Some | Level)]
        yield Box(facts.inside, tuple(wanted), tuple(refused))
        return
    shortest = min(clauses, key=lambda clause: len(clause.items))
    rest: list[Formula] = [item for item in items if item is not shortest]
    for item in sorted(shortest.items, key=_effort):
        yield from _by_clause(algebra.all_of([*rest, item]), algebra)
        # What is refused in one box need not be wanted in the next: a code for its own sake is never asked.
        if isinstance(item, In | Some | Level):
            rest.append(algebra.negate(item))


def _effort(item: Formula) -> int:
    """Numbers first, then codes refused, then codes wanted, then several things at once."""
    order = (In, Negative, Some, Level, All, AnyOf, Truth)
    return order.index(type(item))


def _settled(formula: Formula, algebra: Algebra) -> Formula:
    while True:
        items = _conjuncts(formula)
        if not any(isinstance(item, AnyOf | Some) for item in items):
            return formula
        facts = _facts(items)
        alone = [item for item in items if not isinstance(item, All | AnyOf)]
        kept = [_weighed(item, algebra, facts) for item in alone]
        rest = [algebra.given(item, facts) for item in items if isinstance(item, AnyOf)]
        simpler = algebra.all_of([*kept, *rest])
        if simpler == formula:
            return formula
        formula = simpler


def _weighed(item: Formula, algebra: Algebra, facts: Facts) -> Formula:
    """A literal that stands alone, less what the others refuse it."""
    if isinstance(item, Some):
        return algebra.some(item.slot, item.mask & ~facts.refused.get(item.slot, 0), item.count, beside=item.beside)
    return item


def _facts(items: tuple[Formula, ...]) -> Facts:
    inside: dict[str, int] = {}
    refused: dict[str, int] = {}
    levels: dict[Level, bool] = {}
    wanted: list[Some] = []
    for item in items:
        match item:
            case In(variable, mask):
                inside[variable] = mask
            case Some():
                wanted.append(item)
            case Level():
                levels[item] = True
            case Negative(Level() as level):
                levels[level] = False
            case Negative(Some(slot, mask, 1, False)):
                refused[slot] = refused.get(slot, 0) | mask
            case _:
                continue
    return Facts(inside, refused, tuple(wanted), levels)
