"""The context of a case: one bit for every condition that is not about a principal code alone.

Conditions on numbers are read from small tables, conditions on lists are the bitwise `or` over the codes
that take part in any of them, MCC/CC come from the level table. A condition is false when its number is
unknown (pack model, "A comparison is false when the value is unknown").
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.compile import KIND_OF_FIELD, CompiledScheme
from grouper.context_words import or_others, or_table, other_places, runs, set_bit
from grouper.encode import UNKNOWN_NUMBER, CodeLists, EncodedCases
from grouper.levels import LEVEL_BIT
from grouper.term_tables import WORD, Words, bit_mask
from grouper.terms import Condition, Derived
from reference_tables.codes import fold
from reference_tables.rule_ast import LEVEL_SETS, And, Compare, Const, Count, Member, Node, Not, Or

OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_WIDEST_TABLE = 1 << 16
_CODE_BITS = 32
_OF_PRINCIPAL = {"ZYZD": "dx", "ZYSS": "px"}
_OF_OTHERS = {"QTZD": "dx", "QTSS": "px"}
_SINGLE = {"LYFS": "way", "KS": "department"}


@dataclass(frozen=True)
class Context:
    """`words` uint64 [W, cases]; `other_levels` uint8 [cases]: MCC (bit 0) and CC (bit 1) among the other
    diagnoses after exclusion."""

    words: Words
    other_levels: NDArray[np.uint8]


class _NumberTable:
    """Context words by the value of one number: a direct table, or classes between thresholds."""

    def __init__(self, compares: list[tuple[int, Compare]], words: int, *, whole: bool) -> None:
        self.thresholds = np.array(sorted({compare.value for _, compare in compares}), np.int64)
        self.low = int(self.thresholds[0]) - 1
        span = int(self.thresholds[-1]) + 1 - self.low
        self.direct = whole and span < _WIDEST_TABLE
        if self.direct:
            values: NDArray[Any] = np.arange(self.low, self.low + span + 1)
        else:
            # Every threshold itself and one value in each gap: 2k + 1 classes in ascending order.
            between = (self.thresholds[:-1] + self.thresholds[1:]) / 2
            values = np.sort(np.concatenate([[self.low], self.thresholds, between, [self.thresholds[-1] + 1]]))
            values = values.astype(np.float64)
        # The first entry stands for an unknown number: no condition on it is true.
        self.table = np.zeros((words, len(values) + 1), np.uint64)
        for bit, compare in compares:
            true = OPERATIONS[compare.operator](values, compare.value)
            self.table[bit // WORD, 1:][true] |= bit_mask(bit)

    def places(self, numbers: NDArray[Any]) -> NDArray[np.int64]:
        """The table's column for each number."""
        if self.direct:
            place = np.clip(numbers, self.low, self.low + self.table.shape[1] - 2).astype(np.int64)
            place -= self.low - 1
            place[numbers == UNKNOWN_NUMBER] = 0
            return np.asarray(place)
        left = np.searchsorted(self.thresholds, numbers, "left")
        place = left + np.searchsorted(self.thresholds, numbers, "right") + 1
        unknown = np.isnan(numbers) if numbers.dtype.kind == "f" else numbers == UNKNOWN_NUMBER
        place[unknown] = 0
        return place


class ContextPlan:
    """Everything about a scheme's context that does not depend on the cases."""

    def __init__(self, scheme: CompiledScheme) -> None:
        self.scheme = scheme
        self.words = scheme.words
        bits = list(enumerate(scheme.conditions))
        compares: dict[str, list[tuple[int, Compare]]] = {}
        for bit, condition in bits:
            if isinstance(condition, Compare):
                compares.setdefault(condition.field, []).append((bit, condition))
        self.numbers = {
            name: _NumberTable(found, self.words, whole=name != "ICUXS") for name, found in compares.items()
        }
        plain_members = [
            (bit, condition)
            for bit, condition in bits
            if isinstance(condition, Member) and not LEVEL_SETS & set(condition.sets)
        ]
        self.principal = self._tables(plain_members, _OF_PRINCIPAL)
        self.others = self._tables(plain_members, _OF_OTHERS)
        self.single = self._tables(plain_members, _SINGLE)
        self.other_flags = {kind: np.any(table != 0, axis=0) for kind, table in self.others.items()}
        self.level_words = self._level_words(bits)
        self.principal_levels = any(
            isinstance(condition, Member) and "ZYZD" in condition.fields and LEVEL_SETS & set(condition.sets)
            for condition in scheme.conditions
        )
        self.counts = [(bit, condition) for bit, condition in bits if isinstance(condition, Count)]
        self.derived = [(bit, condition) for bit, condition in bits if isinstance(condition, Derived)]

    def _tables(self, members: list[tuple[int, Member]], fields: Mapping[str, str]) -> dict[str, Words]:
        """uint64 [W, ids] by kind: the bits that a code sets when it stands in one of `fields`."""
        tables: dict[str, Words] = {}
        for bit, member in members:
            for name in fields.keys() & set(member.fields):
                kind = fields[name]
                inside = self.scheme.membership(kind, member.sets)
                table = tables.setdefault(kind, np.zeros((self.words, len(inside)), np.uint64))
                table[bit // WORD, inside] |= bit_mask(bit)
        return tables

    def _level_words(self, bits: list[tuple[int, Condition]]) -> Words:
        """uint64 [W, 16]: bits by levels of the others (2 bits) and of the principal (2 bits above)."""
        table = np.zeros((self.words, 16), np.uint64)
        place = np.arange(16)
        for bit, condition in bits:
            if isinstance(condition, Member) and LEVEL_SETS & set(condition.sets):
                true = _level_true(condition, place & 3, place >> 2)
                table[bit // WORD, true] |= bit_mask(bit)
        return table

    def of(self, cases: EncodedCases) -> Context:
        """The context of every case of a block."""
        words = np.zeros((self.words, cases.size), np.uint64)
        for name, number_table in self.numbers.items():
            or_table(words, number_table.table, number_table.places(cases.numbers[name]))
        for kind, table in self.principal.items():
            or_table(words, table, _lists(cases, kind).principal)
        for kind, table in self.single.items():
            or_table(words, table, cases.way if kind == "way" else cases.department)
        other_levels = self._others(cases, words)
        level_places: NDArray[Any] = other_levels
        if self.principal_levels:
            first = cases.dx.principal
            level_places = other_levels | (self.scheme.levels.of(first, first) << 2)
        or_table(words, self.level_words, level_places)
        for bit, count in self.counts:
            true = OPERATIONS[count.operator](self._different(cases, count), count.value)
            set_bit(words, bit, true)
        for bit, condition in self.derived:
            true = self._evaluate(condition.node, cases, other_levels)
            set_bit(words, bit, true)
        return Context(words, other_levels)

    def _others(self, cases: EncodedCases, words: Words) -> NDArray[np.uint8]:
        for kind, table in self.others.items():
            or_others(words, table, self.other_flags[kind], _lists(cases, kind))
        levels = np.zeros(cases.size, np.uint8)
        places = other_places(cases.dx, self.scheme.levels.listed != 0)
        if places.size:
            row_of = cases.dx.row_of(places)
            found = self.scheme.levels.of(cases.dx.principal[row_of], cases.dx.flat[places])
            rows, starts = runs(row_of)
            levels[rows] = np.bitwise_or.reduceat(found, starts)
        return levels

    def _different(self, cases: EncodedCases, count: Count) -> NDArray[np.int64]:
        """How many different codes of the count's fields are in its set, by case."""
        kinds = dict.fromkeys(KIND_OF_FIELD[name] for name in count.fields)
        pairs: list[NDArray[np.int64]] = []
        numbers: dict[str, int] = {}
        for kind in kinds:
            inside = self.scheme.membership(kind, (count.set,))
            rows, codes = _taking_part(cases, kind, set(count.fields), inside)
            number = np.zeros(len(inside), np.int64)
            members = np.flatnonzero(inside)
            # One code text is one code, also when it stands among diagnoses and procedures.
            spelt = self.scheme.indexes[kind].spelling.gather(pl.Series(members)).to_list()
            number[members] = [numbers.setdefault(fold(code), len(numbers)) for code in spelt]
            pairs.append(rows << _CODE_BITS | number[codes])
        different = np.unique(np.concatenate(pairs)) >> _CODE_BITS
        return np.bincount(different, minlength=cases.size)

    def _evaluate(self, node: Node, cases: EncodedCases, other_levels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """A whole sub-rule over all cases, one column for every part of it."""
        if isinstance(node, Const):
            return np.full(cases.size, node.value)
        if isinstance(node, Not):
            return ~self._evaluate(node.item, cases, other_levels)
        if isinstance(node, And | Or):
            parts = [self._evaluate(item, cases, other_levels) for item in node.items]
            joined: NDArray[np.bool_] = (np.logical_and if isinstance(node, And) else np.logical_or).reduce(parts)
            return joined
        if isinstance(node, Compare):
            numbers = cases.numbers[node.field]
            known = ~np.isnan(numbers) if numbers.dtype.kind == "f" else numbers != UNKNOWN_NUMBER
            return np.asarray(known & OPERATIONS[node.operator](numbers, node.value))
        if isinstance(node, Count):
            return np.asarray(OPERATIONS[node.operator](self._different(cases, node), node.value))
        if LEVEL_SETS & set(node.sets):
            first = cases.dx.principal
            return np.asarray(_level_true(node, other_levels, self.scheme.levels.of(first, first)))
        true = np.zeros(cases.size, np.bool_)
        for kind in dict.fromkeys(KIND_OF_FIELD[name] for name in node.fields):
            inside = self.scheme.membership(kind, node.sets)
            true[_taking_part(cases, kind, set(node.fields), inside)[0]] = True
        return true


def _level_true(member: Member, of_others: NDArray[Any], of_principal: NDArray[Any]) -> NDArray[np.bool_]:
    wanted = 0
    for name in member.sets:
        wanted |= int(LEVEL_BIT[name])
    true = np.zeros(len(of_others), np.bool_)
    if "QTZD" in member.fields:
        true |= (of_others & wanted) != 0
    if "ZYZD" in member.fields:
        true |= (of_principal & wanted) != 0
    return true


def _lists(cases: EncodedCases, kind: str) -> CodeLists:
    return cases.dx if kind == "dx" else cases.px


def _taking_part(
    cases: EncodedCases, kind: str, fields: set[str], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(case, code id) of every code of `kind` that stands in one of `fields` of that kind and is in the set."""
    fields = {name for name in fields if KIND_OF_FIELD[name] == kind}
    if kind in _SINGLE.values():
        codes = cases.way if kind == "way" else cases.department
        rows = np.flatnonzero(inside[codes])
        return rows, codes[rows].astype(np.int64)
    lists = _lists(cases, kind)
    wanted = inside[lists.flat]
    is_principal = np.zeros(len(lists.flat), np.bool_)
    is_principal[lists.principal_positions] = True
    if not fields & set(_OF_PRINCIPAL):
        wanted &= ~is_principal
    if not fields & set(_OF_OTHERS):
        wanted &= is_principal
    places = np.flatnonzero(wanted)
    return lists.row_of(places), lists.flat[places].astype(np.int64)
