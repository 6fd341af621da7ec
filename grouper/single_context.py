"""The context of a single case: the same bits as the batch context, as one Python integer.

Numbers are read from short tables between thresholds, codes from dictionaries of the few codes that any
condition asks for, MCC/CC from the level table; counts and derived conditions are evaluated as functions.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from grouper.code_index import NONE, UNKNOWN
from grouper.compile import KIND_OF_FIELD, CompiledScheme
from grouper.encode import NUMBER_COLUMNS, WEIGHT_COLUMN
from grouper.levels import LEVEL_BIT
from grouper.terms import Condition, Derived, derived_atoms
from reference_tables.codes import fold
from reference_tables.rule_ast import LEVEL_SETS, And, Compare, Const, Count, Member, Node, Not, Or

_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
Bit = tuple[int, Condition]  # the context bit as an integer with that bit set, and its condition


class SingleCase(NamedTuple):
    """One case as the context reads it: the record, its code lists, and the ids of the two principal codes."""

    record: Mapping[str, Any]
    diagnoses: Sequence[str]
    procedures: Sequence[str]
    principal: int
    operation: int


class _View(NamedTuple):
    """What counts and derived conditions are evaluated on: folded codes by field, numbers, levels of the others
    and of the principal (bit 0 MCC, bit 1 CC)."""

    codes: Mapping[str, frozenset[str]]
    numbers: Mapping[str, float | None]
    other_levels: int
    principal_levels: int


_Evaluation = Callable[[_View], bool]


def find_id(by_fold: Mapping[str, int], code: str) -> int:
    """The id of a code as given: 0 for none, 1 for one nobody knows."""
    found = by_fold.get(code)
    if found is not None:
        return found
    return by_fold.get(fold(code), UNKNOWN) if code else NONE


class SingleContext:
    """Everything about a scheme's context that does not depend on the case."""

    def __init__(self, scheme: CompiledScheme) -> None:
        self.scheme = scheme
        self.columns = {**NUMBER_COLUMNS, "XSRTZ": WEIGHT_COLUMN[scheme.pack.newborn_weight]}
        bits: list[Bit] = [(1 << at, condition) for at, condition in enumerate(scheme.conditions)]
        level = [(bit, item) for bit, item in bits if isinstance(item, Member) and LEVEL_SETS & set(item.sets)]
        member = [(bit, item) for bit, item in bits if isinstance(item, Member) and not LEVEL_SETS & set(item.sets)]
        self._prepare_numbers(bits)
        self._prepare_codes(member)
        self._prepare_levels(level)
        whole = [(bit, item) for bit, item in bits if isinstance(item, Count | Derived)]
        self.whole = [(bit, self._evaluation(item)) for bit, item in whole]
        self.whole_bits = _joined(bit for bit, _ in whole)
        asked = [atom for _, item in whole for atom in derived_atoms(item) if not isinstance(atom, Compare)]
        self.whole_fields = tuple(dict.fromkeys(name for atom in asked for name in atom.fields))

    def _prepare_numbers(self, bits: list[Bit]) -> None:
        compares: dict[str, list[tuple[int, Compare]]] = {}
        for bit, item in bits:
            if isinstance(item, Compare):
                compares.setdefault(self.columns[item.field], []).append((bit, item))
        self.numbers = [(column, *_number_table(found)) for column, found in compares.items()]
        self.number_bits = _joined(bit for found in compares.values() for bit, _ in found)

    def _prepare_codes(self, members: list[tuple[int, Member]]) -> None:
        tables: dict[str, dict[int, int]] = {name: {} for name in KIND_OF_FIELD}
        for bit, item in members:
            for name in item.fields:
                inside = np.flatnonzero(self.scheme.membership(KIND_OF_FIELD[name], item.sets))
                for code_id in inside.tolist():
                    tables[name][code_id] = tables[name].get(code_id, 0) | bit
        self.principal, self.operation = tables["ZYZD"], tables["ZYSS"]
        self.single = [
            (column, self.scheme.indexes[KIND_OF_FIELD[name]].by_fold, tables[name])
            for name, column in (("LYFS", "discharge_way"), ("KS", "department"))
            if tables[name]
        ]
        self.other_procedures = {
            key: tables["QTSS"][code_id]
            for key, code_id in self.scheme.indexes["px"].by_fold.items()
            if code_id in tables["QTSS"]
        }
        listed = self.scheme.levels.listed.tolist()
        self.other_diagnoses = {
            key: (tables["QTZD"].get(code_id, 0), listed[code_id])
            for key, code_id in self.scheme.indexes["dx"].by_fold.items()
            if code_id in tables["QTZD"] or listed[code_id]
        }

    def _prepare_levels(self, members: list[tuple[int, Member]]) -> None:
        levels = self.scheme.levels
        self.effective: list[list[int]] = levels.effective.tolist()
        self.level_class: list[int] = levels.principal.tolist()
        self.listed: list[int] = levels.listed.tolist()
        self.principal_levels = any("ZYZD" in item.fields for _, item in members)
        # By levels of the others (2 bits) and of the principal (2 bits above).
        self.level_bits = [
            _joined(bit for bit, item in members if _level_true(item, place & 3, place >> 2)) for place in range(16)
        ]

    def of(self, case: SingleCase, reads: int) -> tuple[int, int]:
        """The context bits of a case, at least those in `reads`, and the levels of its other diagnoses."""
        context = self.principal.get(case.principal, 0) | self.operation.get(case.operation, 0)
        if reads & self.number_bits:
            record = case.record
            for column, thresholds, bits in self.numbers:
                value = record.get(column)
                if value is not None and value == value:  # noqa: PLR0124 - nan is unknown
                    context |= bits[bisect_left(thresholds, value) + bisect_right(thresholds, value)]
        levels = 0
        if len(case.diagnoses) > 1:
            effective = self.effective[self.level_class[case.principal]]
            others = self.other_diagnoses
            for code in case.diagnoses[1:]:
                found = others.get(code) or (code and "X" in code and others.get(fold(code)))
                if found:
                    context |= found[0]
                    levels |= effective[found[1]]
        if len(case.procedures) > 1:
            procedures = self.other_procedures
            for code in case.procedures[1:]:
                context |= procedures.get(code) or (code and "X" in code and procedures.get(fold(code))) or 0
        for column, by_fold, table in self.single:
            context |= table.get(find_id(by_fold, case.record.get(column) or ""), 0)
        of_principal = 0
        if self.principal_levels:
            of_principal = self.effective[self.level_class[case.principal]][self.listed[case.principal]]
        context |= self.level_bits[levels | of_principal << 2]
        if reads & self.whole_bits:
            view = self._view(case, levels, of_principal)
            for bit, evaluation in self.whole:
                if reads & bit and evaluation(view):
                    context |= bit
        return context, levels

    def _view(self, case: SingleCase, levels: int, of_principal: int) -> _View:
        lists = {
            "ZYZD": case.diagnoses[:1], "QTZD": case.diagnoses[1:],
            "ZYSS": case.procedures[:1], "QTSS": case.procedures[1:],
            "LYFS": (case.record.get("discharge_way") or "",), "KS": (case.record.get("department") or "",),
        }  # fmt: skip
        codes = {name: frozenset(map(fold, filter(None, lists[name]))) for name in self.whole_fields}
        numbers = {field: case.record.get(column) for field, column in self.columns.items()}
        return _View(codes, numbers, levels, of_principal)

    def _evaluation(self, condition: Condition) -> _Evaluation:
        return self._function(condition.node if isinstance(condition, Derived) else condition)

    def _function(self, node: Node) -> _Evaluation:
        """A rule, or part of one, as a function of a case's view."""
        if isinstance(node, Const):
            value = node.value
            return lambda _: value
        if isinstance(node, Not):
            inner = self._function(node.item)
            return lambda view: not inner(view)
        if isinstance(node, And | Or):
            parts = [self._function(item) for item in node.items]
            join = all if isinstance(node, And) else any
            return lambda view: join(part(view) for part in parts)
        if isinstance(node, Compare):
            return _comparison(node)
        if isinstance(node, Count):
            return self._counting(node)
        if LEVEL_SETS & set(node.sets):
            return lambda view: _level_true(node, view.other_levels, view.principal_levels)
        insides = [(name, self._inside(name, node.sets)) for name in node.fields]
        return lambda view: any(not inside.isdisjoint(view.codes[name]) for name, inside in insides)

    def _counting(self, count: Count) -> _Evaluation:
        compare = _OPERATIONS[count.operator]
        insides = [(name, self._inside(name, (count.set,))) for name in count.fields]

        def evaluate(view: _View) -> bool:
            different = frozenset().union(*(inside & view.codes[name] for name, inside in insides))
            return compare(len(different), count.value)

        return evaluate

    def _inside(self, field: str, sets: tuple[str, ...]) -> frozenset[str]:
        """The folded codes of some sets, as far as they are codes of the field's kind."""
        inside = self.scheme.membership(KIND_OF_FIELD[field], sets)
        by_fold = self.scheme.indexes[KIND_OF_FIELD[field]].by_fold
        return frozenset(code for code, code_id in by_fold.items() if inside[code_id])


def _joined(bits: Iterable[int]) -> int:
    joined = 0
    for bit in bits:
        joined |= bit
    return joined


def _number_table(compares: Sequence[tuple[int, Compare]]) -> tuple[list[int], list[int]]:
    """Thresholds in order, and the bits of a number by how many of them lie below it plus how many are not
    above it: even places are gaps between thresholds, odd ones the thresholds themselves."""
    thresholds = sorted({compare.value for _, compare in compares})
    values = [value for threshold in thresholds for value in (threshold - 0.5, threshold)]
    values.append(thresholds[-1] + 0.5)
    return thresholds, [
        _joined(bit for bit, compare in compares if _OPERATIONS[compare.operator](value, compare.value))
        for value in values
    ]


def _comparison(compare: Compare) -> _Evaluation:
    operation = _OPERATIONS[compare.operator]

    def evaluate(view: _View) -> bool:
        number = view.numbers[compare.field]
        known = number is not None and number == number  # noqa: PLR0124 - nan is unknown
        return known and operation(number, compare.value)

    return evaluate


def _level_true(member: Member, of_others: int, of_principal: int) -> bool:
    wanted = _joined(int(LEVEL_BIT[name]) for name in member.sets)
    found = of_others if "QTZD" in member.fields else 0
    if "ZYZD" in member.fields:
        found |= of_principal
    return found & wanted != 0
