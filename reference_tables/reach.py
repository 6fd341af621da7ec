"""Rows of the three group tables that no case can ever reach, as far as the rules alone can tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from reference_tables.drg_pack import GROUP_TABLES, PARENT, pack_schema
from reference_tables.problems import Problem
from reference_tables.rule_ast import FALSE, TRUE, Node
from reference_tables.table_checks import Tables
from reference_tables.table_files import LINE

_CHILD = {"mdc": "adrg", "adrg": "drg"}


def check_reach(tables: Tables, trees: Mapping[str, Sequence[Node]]) -> list[Problem]:
    """Warnings about the order of the walk; `tables` and `trees` stand in evaluation order.

    TB55: a row after a sibling that keeps every case (its rule is always true and below it some row always
    answers), a row whose rule is that of an earlier sibling that keeps what it takes, a rule that is always
    false. TB56: a group without children. TB57: two siblings with the same order.
    """
    keeping: set[str] = set()
    problems: list[Problem] = []
    for name in reversed(GROUP_TABLES):
        kept: set[str] = set()
        for parent, siblings in _families(tables, name, trees[name]).items():
            found, always = _one_family(tables, name, siblings, keeping)
            problems += found
            if always:
                kept.add(parent)
        if name in PARENT:
            problems += _childless(tables, PARENT[name])
        keeping = kept
    return sorted(problems, key=lambda problem: (GROUP_TABLES.index(_table_of(tables, problem)), problem.row))


def _table_of(tables: Tables, problem: Problem) -> str:
    return next(name for name in GROUP_TABLES if tables.places[name] == problem.file)


_Row = tuple[str, int, int, Node]


def _families(tables: Tables, name: str, trees: Iterable[Node]) -> dict[str, list[_Row]]:
    frame = tables.frames[name]
    parents = frame.get_column(PARENT[name]).to_list() if name in PARENT else [""] * frame.height
    families: dict[str, list[_Row]] = {}
    rows = frame.select("code", "order", LINE).iter_rows()
    for parent, (code, order, line), tree in zip(parents, rows, trees, strict=True):
        families.setdefault(parent, []).append((code, order, line, tree))
    return families


def _one_family(tables: Tables, name: str, siblings: list[_Row], keeping: set[str]) -> tuple[list[Problem], bool]:
    """Problems among the children of one parent, and whether together they keep every case."""
    problems: list[Problem] = []
    keeps_all = ""
    taken: dict[Node, str] = {}
    orders: dict[int, str] = {}
    for code, order, line, tree in siblings:
        reason = ""
        if keeps_all:
            reason = f"前面的 {keeps_all} 已收下全部病例"
        elif tree == FALSE:
            reason = "规则恒为假"
        elif tree in taken:
            reason = f"规则与前面的 {taken[tree]} 相同"
        if reason:
            problems.append(tables.problem(name, "TB55", line, "rule", code, code=code, reason=reason))
        if order in orders and re.fullmatch(pack_schema().last[name], code) is None:
            args: dict[str, str | int] = {"code": code, "first": orders[order], "order": order}
            problems.append(tables.problem(name, "TB57", line, "order", str(order), **args))
        orders.setdefault(order, code)
        if name == "drg" or code in keeping:
            taken.setdefault(tree, code)
            if tree == TRUE and not keeps_all:
                keeps_all = code
    return problems, bool(keeps_all)


def _childless(tables: Tables, name: str) -> list[Problem]:
    child = _CHILD[name]
    parents = set(tables.frames[child].get_column(name).to_list())
    return [
        tables.problem(name, "TB56", line, "code", code, code=code, child=child.upper(), table=tables.places[child])
        for code, line in tables.frames[name].select("code", LINE).iter_rows()
        if code not in parents
    ]
