"""One rule put to one case: every condition of the syntax tree evaluated by itself, and which of them decided.

A plain interpreter over dictionaries, kept apart from the kernel and its context words on purpose.
Source: rule language of the CHS-DRG configuration workbook; pack model, "vars in sets", "QTZD in MCC".
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grouper.scheme_tables import SchemeTables
from grouper.trace_model import (
    AtomResult,
    AtomStep,
    CompareResult,
    CountResult,
    ExcludedCode,
    Hit,
    MemberResult,
)
from reference_tables.rule_ast import LEVEL_SETS, And, Compare, Const, Count, Member, Node, Not, Or
from reference_tables.rule_language import parse_rule

_OPERATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlacedCode:
    """A code at its place in the case's list, as given and folded."""

    place: int
    code: str
    folded: str


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """What rules may ask of one case: codes by field (ZYZD … KS), numbers by field (None = unknown)."""

    codes: Mapping[str, tuple[PlacedCode, ...]]
    numbers: Mapping[str, int | float | None]

    @property
    def principal(self) -> str:
        """The folded principal diagnosis, "" = none."""
        return self.codes["ZYZD"][0].folded if self.codes["ZYZD"] else ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's truth from the truth of its conditions. `holds`: it came out as wanted; `grounds`: places of the
    conditions that decided, of several true alternatives only the first; `support`: the same for all true
    alternatives, empty when it does not hold; `alternatives`: size of the first choice where none of several
    would do, else 0; `met`: how many conditions came out as wanted."""

    holds: bool
    grounds: tuple[int, ...]
    support: tuple[int, ...]
    alternatives: int
    met: int


def judge(rule: str, truths: Sequence[bool]) -> Verdict:
    """A published rule and the truth of each of its conditions, left to right -> whether it is true, and why."""
    verdict, end = _judge(parse_rule(rule), truths, 0, wanted=True)
    assert end == len(truths), "one truth per condition"
    return verdict


def _judge(node: Node, truths: Sequence[bool], at: int, *, wanted: bool) -> tuple[Verdict, int]:
    if isinstance(node, Const):
        return Verdict(node.value is wanted, (), (), 0, 0), at
    if isinstance(node, Not):
        return _judge(node.item, truths, at, wanted=not wanted)
    if not isinstance(node, And | Or):
        holds = truths[at] is wanted
        return Verdict(holds, (at,), (at,) if holds else (), 0, int(holds)), at + 1
    parts: list[Verdict] = []
    for item in node.items:
        verdict, at = _judge(item, truths, at, wanted=wanted)
        parts.append(verdict)
    met = sum(part.met for part in parts)
    held, failed = [part for part in parts if part.holds], [part for part in parts if not part.holds]
    support = tuple(place for part in held for place in part.support)
    if isinstance(node, And) is wanted:
        if failed:
            return Verdict(False, failed[0].grounds, (), failed[0].alternatives, met), at
        return Verdict(True, tuple(place for part in parts for place in part.grounds), support, 0, met), at
    if held:
        return Verdict(True, held[0].grounds, support, 0, met), at
    nearest = max(parts, key=lambda part: part.met)
    return Verdict(False, nearest.grounds, (), len(parts), met), at


class RuleReader:
    """Evaluates rules of one scheme on one case."""

    def __init__(self, tables: SchemeTables, facts: RuleFacts) -> None:
        self.tables = tables
        self.facts = facts

    def atoms(self, rule: str) -> tuple[AtomResult, ...]:
        """Every condition of a published rule on this case, left to right."""
        found: list[AtomResult] = []
        self._visit(parse_rule(rule), found, wanted=True)
        return tuple(found)

    def _visit(self, node: Node, found: list[AtomResult], *, wanted: bool) -> None:
        if isinstance(node, And | Or):
            for item in node.items:
                self._visit(item, found, wanted=wanted)
        elif isinstance(node, Not):
            self._visit(node.item, found, wanted=not wanted)
        elif isinstance(node, Member):
            found.append(self._member(node, asked=node.negated is not wanted))
        elif isinstance(node, Compare):
            found.append(self._compare(node, asked=wanted))
        elif isinstance(node, Count):
            found.append(self._count(node, asked=wanted))

    def _member(self, atom: Member, *, asked: bool) -> MemberResult:
        hits: list[Hit] = []
        excluded: list[ExcludedCode] = []
        empty = True
        for field in atom.fields:
            for item in self.facts.codes[field]:
                empty = False
                for name in atom.sets:
                    if name in LEVEL_SETS:
                        counts, barred = self.level(item, name)
                        excluded += barred
                    else:
                        counts = item.folded in self.tables.sets.get(name, frozenset())
                    if counts:
                        hits.append(Hit(field, item.place, item.code, name))
        if hits:
            step = AtomStep.IN_SET
        elif excluded:
            step = AtomStep.EXCLUDED
        else:
            step = AtomStep.NO_CODE if empty else AtomStep.NOT_IN_SET
        return MemberResult(
            step=step,
            result=bool(hits) is not atom.negated,
            asked=asked,
            fields=atom.fields,
            sets=atom.sets,
            negated=atom.negated,
            hits=tuple(hits),
            excluded=tuple(excluded),
        )

    def level(self, item: PlacedCode, level: str) -> tuple[bool, list[ExcludedCode]]:
        """Does the code count at the level beside the principal, and which rows of the list are excluded?"""
        counts, excluded = False, []
        for listed, table in self.tables.complications.get(item.folded, ()):
            if listed != level:
                continue
            if self.tables.excludes(table, self.facts.principal):
                excluded.append(ExcludedCode(item.place, item.code, level, table))
            else:
                counts = True
        return counts, excluded

    def _compare(self, atom: Compare, *, asked: bool) -> CompareResult:
        value = self.facts.numbers[atom.field]
        result = value is not None and _OPERATIONS[atom.operator](value, atom.value)
        step = AtomStep.NUMBER_MET if result else AtomStep.NUMBER_NOT_MET
        return CompareResult(
            step=AtomStep.NUMBER_UNKNOWN if value is None else step,
            result=result,
            asked=asked,
            field=atom.field,
            operator=atom.operator,
            threshold=atom.value,
            value=value,
        )

    def _count(self, atom: Count, *, asked: bool) -> CountResult:
        members = self.tables.sets.get(atom.set, frozenset())
        hits: list[Hit] = []
        different: set[str] = set()
        for field in atom.fields:
            for item in self.facts.codes[field]:
                if item.folded in members:
                    hits.append(Hit(field, item.place, item.code, atom.set))
                    different.add(item.folded)
        result = _OPERATIONS[atom.operator](len(different), atom.value)
        return CountResult(
            step=AtomStep.COUNT_MET if result else AtomStep.COUNT_NOT_MET,
            result=result,
            asked=asked,
            set=atom.set,
            fields=atom.fields,
            operator=atom.operator,
            threshold=atom.value,
            count=len(different),
            hits=tuple(hits),
        )
