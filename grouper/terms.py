"""Rules as ordered terms: each path MDC -> ADRG -> DRG becomes conjunctions of literals.

Because a DRG that does not match lets the walk go on to the next DRG, ADRG and MDC, grouping is one
ordered list of paths, each with the rule `MDC and ADRG and DRG`; the first true path is the answer.
Source of the walk: 《按病组（DRG）付费3.0版分组方案》 configuration workbook; pack model, "Grouping" 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reference_tables.rule_ast import (
    LEVEL_SETS,
    And,
    Atom,
    Compare,
    Const,
    Count,
    Member,
    Node,
    Not,
    Or,
    conjunction,
    disjunction,
)

# Above this many conjunctions a rule is kept whole as one derived condition instead of multiplied out:
# the answer is the same, the table stays small.
TERM_LIMIT = 256


@dataclass(frozen=True, slots=True)
class Derived:
    """A whole sub-rule kept as one condition."""

    node: Node


Condition = Member | Compare | Count | Derived
Literal = tuple[Condition, bool]
Term = frozenset[Literal]


def plain(node: Node) -> Node:
    """The rule with every membership in canonical form: fields and sets sorted, level sets apart, no `not in`."""
    if isinstance(node, And):
        return conjunction([plain(item) for item in node.items])
    if isinstance(node, Or):
        return disjunction([plain(item) for item in node.items])
    if isinstance(node, Not):
        return Not(plain(node.item))
    if not isinstance(node, Member):
        return node
    fields = tuple(sorted(node.fields))
    levels = tuple(sorted(name for name in node.sets if name in LEVEL_SETS))
    others = tuple(sorted(name for name in node.sets if name not in LEVEL_SETS))
    parts: list[Node] = [Member(fields, names) for names in (others, levels) if names]
    joined = disjunction(parts)
    return Not(joined) if node.negated else joined


def to_terms(node: Node) -> list[Term]:
    """Disjunctive normal form of a plain rule, contradictions and repeats dropped, order kept."""
    return _terms(node, positive=True)


def _terms(node: Node, *, positive: bool) -> list[Term]:
    if isinstance(node, Const):
        return [frozenset()] if node.value is positive else []
    if isinstance(node, Not):
        return _terms(node.item, positive=not positive)
    if isinstance(node, And | Or):
        if isinstance(node, Or) is positive:
            return _unique(term for item in node.items for term in _terms(item, positive=positive))
        return _product(node.items, positive=positive)
    return [frozenset({(node, positive)})]


def _product(items: Iterable[Node], *, positive: bool) -> list[Term]:
    product: list[Term] = [frozenset()]
    for item in items:
        factors = _terms(item, positive=positive)
        if len(product) * len(factors) > TERM_LIMIT:
            factors = [frozenset({(Derived(item), positive)})]
        product = _unique(left | right for left in product for right in factors)
    return product


def _unique(terms: Iterable[Term]) -> list[Term]:
    kept: dict[Term, None] = {}
    for term in terms:
        if not any((condition, not sign) in term for condition, sign in term):
            kept.setdefault(term)
    return list(kept)


def derived_atoms(condition: Condition) -> list[Atom]:
    """The plain atoms that a condition needs to be evaluated."""
    if not isinstance(condition, Derived):
        return [condition]
    found: list[Atom] = []

    def visit(node: Node) -> None:
        if isinstance(node, And | Or):
            for item in node.items:
                visit(item)
        elif isinstance(node, Not):
            visit(node.item)
        elif not isinstance(node, Const):
            found.append(node)

    visit(condition.node)
    return found
