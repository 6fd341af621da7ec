"""The auxiliary catalog (辅助目录) for a single case: its rules as plain functions of the record.

A second reading beside the one over whole columns; what the fields mean stands in `reference_tables.auxiliary`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property, reduce
from operator import or_
from typing import Any, NamedTuple

from grouper.dip.conditions import DiagnosisCell, DipCase
from grouper.encode import NUMBER_COLUMNS
from reference_tables.auxiliary import AuxiliaryLevel, cost_fields, read_auxiliary
from reference_tables.codes import fold
from reference_tables.dip_cells import CellError, DiagnosisItem, category_of, diagnosis_items, spelled
from reference_tables.dip_pack import DipPack
from reference_tables.rule_ast import And, Compare, Const, Count, Node, Not, Or

_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_MASKS_KEPT = 1 << 16  # bounds memory, not results
_TEXT_COLUMN = {"LYFS": "discharge_way", "KS": "department"}


class _Seen:
    """A case beside its group: what a rule is a function of. `mean_cost_fen`: the group's, 0 = unknown; `mask_of`: the
    bits of the sets and Charlson diseases that a diagnosis is in."""

    def __init__(self, case: DipCase, mean_cost_fen: int, mask_of: Callable[[str], int]) -> None:
        self.case, self.mean_cost_fen, self.mask_of = case, mean_cost_fen, mask_of

    @cached_property
    def principal(self) -> int:
        return self.mask_of(self.case.principal)

    @cached_property
    def others(self) -> int:
        return reduce(or_, (self.mask_of(item.code) for item in self.case.others), 0)

    @cached_property
    def outside(self) -> int:
        """Of the other diagnoses outside the category of the principal one."""
        return reduce(or_, map(self.mask_of, _of_other_categories(self.case)), 0)


_MASK: Mapping[str, Callable[[_Seen], int]] = {
    "ZYZD": lambda seen: seen.principal,
    "QTZD": lambda seen: seen.others,
    "QTZDX": lambda seen: seen.outside,
}


class StandsIn(NamedTuple):
    """A level in which a case stands, with the factor that its group gives it (None = none)."""

    dimension: str
    level: AuxiliaryLevel
    factor: Decimal | None

    def __str__(self) -> str:
        return f"{self.dimension}:{self.level.code}"


_CREDIBLE: Mapping[str, Callable[[DipCase], int | None]] = {
    "XSRTL": lambda case: case.age_days,
    "XSRTZ": lambda case: case.weight,
}
_Rule = Callable[[_Seen], bool]
_Number = Callable[[_Seen], tuple[Any, int] | None]  # value and what the threshold is multiplied by; None = unknown


class PlainAuxiliary:
    """The auxiliary catalog of a pack; safe to share."""

    def __init__(self, pack: DipPack) -> None:
        self.auxiliary = read_auxiliary(pack.tables)
        self._columns = NUMBER_COLUMNS
        self._bits: dict[tuple[str, str], int] = {}
        self._cells: list[tuple[int, DiagnosisCell]] = []
        self._masks: dict[str, int] = {}
        for disease in self.auxiliary.diseases:
            self._add_bit(("CCI", disease.code), disease.items)
        self._charlson = [
            (self._bits["CCI", one.code], self._joined("CCI", one.covered_by), one.weight)
            for one in self.auxiliary.diseases
        ]
        costs = pack.table("score").select("code", "mean_cost_fen").iter_rows()
        self._mean_costs = {code: int(cost) for code, cost in costs if cost}
        self.dimensions = [
            (dimension.code, [(level, self._function(level.rule)) for level in dimension.levels])
            for dimension in self.auxiliary.dimensions
        ]

    def levels(self, case: DipCase, group: str) -> Iterator[StandsIn]:
        """The level of the case in each dimension, the first whose rule is true; `group`: its core group."""
        seen = _Seen(case, self._mean_costs.get(group, 0), self._mask_of)
        for dimension, levels in self.dimensions:
            for level, rule in levels:
                if rule(seen):
                    yield StandsIn(dimension, level, self.auxiliary.factor(group, dimension, level.code))
                    break

    def _add_bit(self, key: tuple[str, str], items: Iterable[DiagnosisItem]) -> int:
        """The bit of a set of diagnoses or of a disease."""
        if key not in self._bits:
            bit = self._bits[key] = 1 << len(self._bits)
            self._cells.append((bit, DiagnosisCell(tuple(items))))
        return self._bits[key]

    def _joined(self, kind: str, names: Iterable[str]) -> int:
        return reduce(or_, (self._bits[kind, name] for name in names), 0)

    def _mask_of(self, code: str) -> int:
        found = self._masks.get(code)
        if found is None:
            if len(self._masks) >= _MASKS_KEPT:
                self._masks = {}
            found = self._masks[code] = sum(bit for bit, cell in self._cells if cell.length(code) >= 0)
        return found

    def _set_of_diagnoses(self, name: str) -> int:
        return self._add_bit(("set", name), _readable(self.auxiliary.sets.get(name, ())))

    def _function(self, node: Node) -> _Rule:
        if isinstance(node, Const):
            value = node.value
            return lambda _: value
        if isinstance(node, Not):
            inner = self._function(node.item)
            return lambda seen: not inner(seen)
        if isinstance(node, And | Or):
            parts = [self._function(item) for item in node.items]
            return _all_of(parts) if isinstance(node, And) else _any_of(parts)
        if isinstance(node, Compare):
            return self._comparison(node)
        if isinstance(node, Count):
            return self._counting(node)
        met = _any_of([self._member(field, node.sets) for field in node.fields])
        return (lambda seen: not met(seen)) if node.negated else met

    def _member(self, field: str, sets: tuple[str, ...]) -> _Rule:
        """Is some code of the field in some of the sets?"""
        if field in _MASK:
            mask, wanted = _MASK[field], reduce(or_, map(self._set_of_diagnoses, sets), 0)
            return lambda seen: bool(mask(seen) & wanted)
        codes = _codes_of(field)
        inside = frozenset().union(*(self._whole(field, name) for name in sets))
        return lambda seen: any(code in inside for code in codes(seen.case))

    def _counting(self, count: Count) -> _Rule:
        compare, value = _OPERATIONS[count.operator], count.value
        tests = [(_codes_of(field), self._inside(field, count.set)) for field in count.fields]

        def counted(seen: _Seen) -> bool:
            return compare(len({code for codes, inside in tests for code in codes(seen.case) if inside(code)}), value)

        return counted

    def _inside(self, field: str, name: str) -> Callable[[str], bool]:
        """Is a code of this field in the set? Diagnoses by beginning, everything else whole."""
        if field in _MASK:
            bit = self._set_of_diagnoses(name)
            return lambda code: bool(self._mask_of(code) & bit)
        return self._whole(field, name).__contains__

    def _whole(self, field: str, name: str) -> frozenset[str]:
        spelling = fold if field in _TEXT_COLUMN else spelled
        return frozenset(spelling(code) for code in self.auxiliary.sets.get(name, ()))

    def _comparison(self, compare: Compare) -> _Rule:
        operation, threshold, number = _OPERATIONS[compare.operator], compare.value, self._number(compare.field)

        def compared(seen: _Seen) -> bool:
            found = number(seen)
            return found is not None and operation(found[0], threshold * found[1])

        return compared

    def _number(self, field: str) -> _Number:
        if field == "CCI":
            return lambda seen: (_charlson(self._charlson, seen.others), 1)
        fields = cost_fields()
        if field == "FYBL":
            return lambda seen: _percent(seen.case.number(fields.total), seen.mean_cost_fen)
        if field in fields.shares:
            return lambda seen: _percent(_sum(seen.case, fields.shares[field]), seen.case.number(fields.total))
        credible = _CREDIBLE.get(field)
        if credible is not None:
            return lambda seen: None if (value := credible(seen.case)) is None else (value, 1)
        column = self._columns[field]

        def recorded(seen: _Seen) -> tuple[Any, int] | None:
            value = seen.case.number(column)
            return None if value is None else (value, 1)

        return recorded


def _all_of(parts: Sequence[_Rule]) -> _Rule:
    def test(seen: _Seen) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would take most of the time
            if not part(seen):
                return False
        return True

    return test


def _any_of(parts: Sequence[_Rule]) -> _Rule:
    if len(parts) == 1:
        return parts[0]

    def test(seen: _Seen) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would take most of the time
            if part(seen):
                return True
        return False

    return test


def _readable(cells: Iterable[str]) -> Iterator[DiagnosisItem]:
    """The diagnosis items of a set; one that serves procedures as well may hold codes that are none."""
    for cell in cells:
        try:
            yield from diagnosis_items(cell)
        except CellError:
            continue


def _codes_of(field: str) -> Callable[[DipCase], Iterable[str]]:
    """The codes of a field, for comparison; ZYSS and QTSS are the recorded procedures, the first and the others."""
    if field == "ZYZD":
        return lambda case: (case.principal,)
    if field == "QTZD":
        return lambda case: (item.code for item in case.others)
    if field == "QTZDX":
        return _of_other_categories
    if field in ("ZYSS", "QTSS"):
        first = field == "ZYSS"
        return lambda case: (item.code for item in case.procedures if (item.place == 0) is first)
    column = _TEXT_COLUMN[field]
    return lambda case: (fold(case.record.get(column) or ""),)


def _of_other_categories(case: DipCase) -> list[str]:
    own = category_of(case.principal)
    return [item.code for item in case.others if category_of(item.code) != own]


def _charlson(diseases: Iterable[tuple[int, int, int]], there: int) -> int:
    """The weights of the diseases there; (bit, bits of those that cover it, weight) of each."""
    if not there:
        return 0
    return sum(weight for bit, covers, weight in diseases if there & bit and not there & covers)


def _percent(part: int | None, whole: int | None) -> tuple[int, int] | None:
    """part / whole in percent, as a number to compare with a multiple of the whole; unknown without a whole."""
    return None if part is None or whole is None or whole <= 0 else (100 * part, whole)


def _sum(case: DipCase, columns: Iterable[str]) -> int | None:
    """The sum of charges; one left empty counts nothing beside one that is given, all empty are unknown."""
    given = [value for column in columns if (value := case.number(column)) is not None]
    return sum(given) if given else None
