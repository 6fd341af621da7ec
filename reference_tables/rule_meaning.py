"""Whether two formulas say the same, however they are written.

A formula is taken apart into elementary conditions (one field in one set, one comparison, one count), which
are then treated as independent. So "same" is certain; "different" may still be a formula whose conditions
happen to exclude each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from reference_tables.rule_ast import And, Atom, Compare, Const, Member, Node, Not, Or

_FRACTIONAL = frozenset({"ICUXS"})
_MOST = 20  # conditions of a truth table: 2^20 bits
_Key = tuple[str, ...]


def same_meaning(left: Node, right: Node) -> bool:
    """True when both formulas are true for exactly the same cases.

    Order and repetition of conditions, brackets, `{A, B} in {S, T}` against its parts, `not in` against
    `not`, and `< 70` against `<= 69` of a whole number make no difference.
    """
    if left == right:
        return True
    keys = sorted(_keys(left) | _keys(right))
    if len(keys) > _MOST:
        return _sorted(left) == _sorted(right)
    rows = 1 << len(keys)
    columns = {key: _column(at, rows) for at, key in enumerate(keys)}
    every = (1 << rows) - 1
    return _truth(left, columns, every) == _truth(right, columns, every)


def _column(at: int, rows: int) -> int:
    """The truth-table column of condition `at`: bit k is bit `at` of k."""
    half = 1 << at
    column = ((1 << half) - 1) << half
    width = half * 2
    while width < rows:
        column |= column << width
        width *= 2
    return column


def _compare_key(field: str, operator: str, value: int) -> _Key:
    if field not in _FRACTIONAL and operator in {"<", ">"}:
        operator, value = ("<=", value - 1) if operator == "<" else (">=", value + 1)
    return ("compare", field, operator, str(value))


def _atom_keys(atom: Atom) -> list[_Key]:
    """The elementary conditions one atom is the `or` of."""
    if isinstance(atom, Member):
        return [("member", field, name) for field in atom.fields for name in atom.sets]
    if isinstance(atom, Compare):
        return [_compare_key(atom.field, atom.operator, atom.value)]
    kind, _, operator, value = _compare_key("", atom.operator, atom.value)
    if (operator, value) == (">=", "1"):
        return [("member", field, atom.set) for field in atom.fields]
    return [(kind, "length", atom.set, *sorted(atom.fields), operator, value)]


def _keys(node: Node) -> set[_Key]:
    if isinstance(node, And | Or):
        return set().union(*(_keys(item) for item in node.items))
    if isinstance(node, Not):
        return _keys(node.item)
    return set() if isinstance(node, Const) else set(_atom_keys(node))


def _truth(node: Node, columns: Mapping[_Key, int], every: int) -> int:
    if isinstance(node, Const):
        return every if node.value else 0
    if isinstance(node, Not):
        return every ^ _truth(node.item, columns, every)
    if isinstance(node, And):
        result = every
        for item in node.items:
            result &= _truth(item, columns, every)
        return result
    result = 0
    if isinstance(node, Or):
        for item in node.items:
            result |= _truth(item, columns, every)
        return result
    for key in _atom_keys(node):
        result |= columns[key]
    return every ^ result if isinstance(node, Member) and node.negated else result


def _sorted(node: Node) -> tuple[object, ...]:
    """A formula with its parts in a fixed order, for those too wide for a truth table."""
    if isinstance(node, Const):
        return ("const", node.value)
    if isinstance(node, Not):
        return ("not", _sorted(node.item))
    if isinstance(node, And | Or):
        return (type(node).__name__, *sorted({_sorted(item) for item in node.items}, key=repr))
    parts = ("some", *sorted(_atom_keys(node)))
    return ("not", parts) if isinstance(node, Member) and node.negated else parts
