"""The parts of a grouping rule: a small, immutable syntax tree, and its canonical text.

Source: formulas of the CHS-DRG 3.0 configuration workbook (医保发〔2026〕22号), with the variables that
regional schemes add. Every node is a pure value: equal trees mean the same and print the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CODE_FIELDS: dict[str, str] = {
    "ZYZD": "主要诊断",
    "QTZD": "其他诊断",
    "ZYSS": "主要手术操作",
    "QTSS": "其他手术操作",
    "LYFS": "离院方式",
    "KS": "科室",
}
NUMBER_FIELDS: dict[str, str] = {
    "NL": "年龄（岁）",
    "XB": "性别",
    "XSRTL": "天龄（天）",
    "XSRTZ": "新生儿体重（克）",
    "ZYTS": "住院天数",
    "ICUXS": "重症监护小时数",
}
# Further fields that only the rules of an auxiliary catalog (辅助目录) of a DIP pack may use.
AUXILIARY_CODE_FIELDS: dict[str, str] = {
    **CODE_FIELDS,
    "QTZDX": "其他诊断（主要诊断所属类目以外）",
}
AUXILIARY_NUMBER_FIELDS: dict[str, str] = {
    **NUMBER_FIELDS,
    "CCI": "查尔森合并症指数（其他诊断的得分）",
    "FYBL": "总费用占本病种次均费用的百分比",
    "ZLZB": "治疗费占总费用的百分比",
    "YPZB": "药品费占总费用的百分比",
}
DIAGNOSIS_FIELDS = frozenset({"ZYZD", "QTZD"})
PROCEDURE_FIELDS = frozenset({"ZYSS", "QTSS"})
LEVEL_SETS = frozenset({"MCC", "CC"})
OPERATORS = ("<=", ">=", "!=", "<", ">", "=")


@dataclass(frozen=True, slots=True)
class Const:
    """`1` or an empty rule (true), `0` (false)."""

    value: bool


@dataclass(frozen=True, slots=True)
class Member:
    """`vars in sets`: some code of some variable is in some of the sets; `negated` is its exact negation."""

    fields: tuple[str, ...]
    sets: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """`number op value`; false when the number is unknown, whatever the operator."""

    field: str
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Count:
    """`length(SET ∩ vars) op value`: how many DIFFERENT codes of the variables are in the set."""

    set: str
    fields: tuple[str, ...]
    operator: str
    value: int


@dataclass(frozen=True, slots=True)
class Not:
    item: Node


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Node, ...]


Atom = Member | Compare | Count
Node = Const | Atom | Not | And | Or

TRUE = Const(True)
FALSE = Const(False)


def conjunction(items: list[Node]) -> Node:
    """The `and` of one or more nodes; nested `and`s are laid flat, so that brackets never change a tree."""
    return _join(And, items)


def disjunction(items: list[Node]) -> Node:
    """The `or` of one or more nodes, laid flat likewise."""
    return _join(Or, items)


def _join(kind: type[And] | type[Or], items: list[Node]) -> Node:
    flat: list[Node] = []
    for item in items:
        flat.extend(item.items if isinstance(item, kind) else (item,))
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def atoms(node: Node) -> Iterator[Atom]:
    """Every atom of the tree, left to right, repeats included."""
    if isinstance(node, And | Or):
        for item in node.items:
            yield from atoms(item)
    elif isinstance(node, Not):
        yield from atoms(node.item)
    elif not isinstance(node, Const):
        yield node


def set_names(node: Node) -> Iterator[str]:
    """Every set the rule refers to, MCC and CC included, in order of appearance."""
    for atom in atoms(node):
        if isinstance(atom, Member):
            yield from atom.sets
        elif isinstance(atom, Count):
            yield atom.set


def to_text(node: Node) -> str:
    """The rule in canonical form: parsing it gives the same tree again."""
    if isinstance(node, Const):
        return "1" if node.value else "0"
    if isinstance(node, Member):
        word = "not in" if node.negated else "in"
        return f"{_braced(node.fields)} {word} {_braced(node.sets)}"
    if isinstance(node, Compare):
        return f"{node.field} {node.operator} {node.value}"
    if isinstance(node, Count):
        return f"length({node.set} ∩ {_braced(node.fields)}) {node.operator} {node.value}"
    if isinstance(node, Not):
        inner = to_text(node.item)
        return f"not ({inner})" if isinstance(node.item, And | Or) else f"not {inner}"
    if isinstance(node, And):
        parts = [to_text(item) for item in node.items]
        return " and ".join(
            f"({text})" if isinstance(item, Or) else text for item, text in zip(node.items, parts, strict=True)
        )
    return " or ".join(to_text(item) for item in node.items)


def _braced(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "{" + ", ".join(names) + "}"
