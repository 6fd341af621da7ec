"""A pack's rules as formulas: for every DRG, exactly the cases that are answered by it.

The walk of a scheme (MDCs by order, inside them ADRGs, inside them DRGs, the first true row answers, a row
without a match below it is passed over) is the formula "its own three rules, and none of the rows before it
answers". Input that the scheme calls invalid answers nothing and is excluded by the same formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from operator import eq, ge, gt, le, lt, ne

import numpy as np

from benchmarks.formula import FALSE, TRUE, Algebra, Formula, Level
from reference_tables.codes import fold
from reference_tables.packs import DrgPack
from reference_tables.rule_ast import (
    DIAGNOSIS_FIELDS,
    LEVEL_SETS,
    PROCEDURE_FIELDS,
    And,
    Atom,
    Compare,
    Const,
    Count,
    Member,
    Node,
    Not,
    atoms,
)
from reference_tables.rule_language import parse_rule

NEWBORN_DAYS = 28
"""A newborn's weight is asked up to this age in days (CHS-DRG grouping, input check)."""
_CUTS = {"NL": (1,), "XSRTL": (NEWBORN_DAYS + 1, 366), "XSRTZ": (1,), "XB": (1, 2, 3), "ZYTS": (), "ICUXS": ()}
_HOLDS: dict[str, Callable[[int, int], bool]] = {
    "<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "!=": ne,
}  # fmt: skip
_STEPS = {"ICUXS": 2}
_LISTS = {"QTZD", "QTSS"}
_KINDS = (DIAGNOSIS_FIELDS, PROCEDURE_FIELDS, frozenset({"LYFS"}), frozenset({"KS"}))


@dataclass(frozen=True)
class Codes:
    """The codes one kind of variable can take, numbered from the plainest to the oddest.

    The last number stands for every code in no list, or none; its name is "". Codes that fold alike are one.
    """

    names: tuple[str, ...]
    number: Mapping[str, int]

    @classmethod
    def of(cls, codes: Iterable[str], plainness: Callable[[str], object] | None = None) -> Codes:
        spelled: dict[str, str] = {}
        for code in sorted(set(codes)):
            spelled.setdefault(fold(code), code)
        names = sorted(spelled.values(), key=lambda code: (plainness(code) if plainness else 0, code))
        return cls((*names, ""), {fold(code): at for at, code in enumerate(names)})

    @property
    def unlisted(self) -> int:
        """The bit of "in no list, or none"."""
        return 1 << len(self.names) - 1

    def mask(self, codes: Iterable[str]) -> int:
        flags = bytearray(len(self.names) // 8 + 1)
        for code in codes:
            at = self.number.get(fold(code))
            if at is not None:
                flags[at >> 3] |= 1 << (at & 7)
        return int.from_bytes(flags, "little")


def bits(mask: int) -> list[int]:
    """Numbers of the set bits, rising."""
    flags = np.frombuffer(mask.to_bytes(mask.bit_length() // 8 + 1, "little"), dtype=np.uint8)
    return [int(at) for at in np.flatnonzero(np.unpackbits(flags, bitorder="little"))]


def lowest(mask: int) -> int:
    """Number of the lowest set bit: the plainest code, the lowest interval."""
    return (mask & -mask).bit_length() - 1


@dataclass(frozen=True)
class Numbers:
    """A number's range cut into the intervals that rules can tell apart; interval 0 is "unknown".

    `starts`: rising from 0, in steps of 1 / `steps` (hours may be broken, everything else is whole).
    """

    starts: tuple[int, ...]
    steps: int = 1

    def interval(self, at: int) -> tuple[int, int | None]:
        """Lowest and highest value (None: open) of interval `at` >= 1, in steps."""
        high = self.starts[at] - 1 if at < len(self.starts) else None
        return self.starts[at - 1], high

    def compare(self, operator: str, value: int) -> int:
        """Mask of the intervals in which the comparison with a whole `value` holds."""
        value *= self.steps
        holds = _HOLDS[operator]
        return sum(1 << at for at, start in enumerate(self.starts, start=1) if holds(start, value))


@dataclass
class SchemeFormulas:
    """Formulas of one pack.

    `diagnoses`, `procedures`, `ways`, `departments`: the codes of each kind; `numbers`: the cut ranges;
    `valid`: the scheme's input check; `lifelike`: what besides is true of every person. `drg`: DRG code ->
    formula of the cases answered by it; `mdc_rule`, `adrg_answer`: what opens an MDC, and what an ADRG takes
    if the walk gets there (both in evaluation order); `unanswered`: the valid cases answered by no row.
    """

    diagnoses: Codes
    procedures: Codes
    ways: Codes
    departments: Codes
    numbers: Mapping[str, Numbers]
    algebra: Algebra
    valid: Formula
    lifelike: Formula
    drg: dict[str, Formula] = field(default_factory=dict)
    mdc_rule: dict[str, Formula] = field(default_factory=dict)
    adrg_answer: dict[str, Formula] = field(default_factory=dict)
    adrg_of: dict[str, str] = field(default_factory=dict)
    mdc_of: dict[str, str] = field(default_factory=dict)
    unanswered: Formula = FALSE

    def codes_of(self, variable: str) -> Codes:
        if variable in DIAGNOSIS_FIELDS:
            return self.diagnoses
        if variable in PROCEDURE_FIELDS:
            return self.procedures
        return self.ways if variable == "LYFS" else self.departments


def scheme_formulas(pack: DrgPack, plainness: Callable[[str], object] | None = None) -> SchemeFormulas:
    """Formulas of every DRG of a pack that the loader accepted.

    `plainness`: sort key of codes, the codes to prefer in examples first.
    """
    rules = {
        level: [parse_rule(rule or "") for rule in frame["rule"]]
        for level, frame in (("mdc", pack.mdc), ("adrg", pack.adrg), ("drg", pack.drg))
    }
    every = [atom for nodes in rules.values() for node in nodes for atom in atoms(node)]
    members: dict[str, list[str]] = {}
    for name, code in pack.sets.select("set", "code").iter_rows():
        members.setdefault(name, []).append(code)
    scheme = _domains(pack, every, members, plainness)
    build = _Builder(scheme, members, _own_levels(pack, scheme.diagnoses))
    drgs: dict[str, list[tuple[str, Formula]]] = {}
    for code, adrg, node in zip(pack.drg["code"], pack.drg["adrg"], rules["drg"], strict=True):
        drgs.setdefault(adrg, []).append((code, build.formula(node)))
    adrgs: dict[str, list[tuple[str, Formula]]] = {}
    for code, mdc, node in zip(pack.adrg["code"], pack.adrg["mdc"], rules["adrg"], strict=True):
        adrgs.setdefault(mdc, []).append((code, build.formula(node)))
    mdcs = [(code, build.formula(node)) for code, node in zip(pack.mdc["code"], rules["mdc"], strict=True)]
    _walk(scheme, mdcs, adrgs, drgs)
    return scheme


def _walk(
    scheme: SchemeFormulas,
    mdcs: list[tuple[str, Formula]],
    adrgs: dict[str, list[tuple[str, Formula]]],
    drgs: dict[str, list[tuple[str, Formula]]],
) -> None:
    algebra = scheme.algebra
    open_so_far = scheme.valid
    for mdc, mdc_rule in mdcs:
        scheme.mdc_rule[mdc] = mdc_rule
        in_mdc = algebra.all_of([open_so_far, mdc_rule])
        answers: list[Formula] = []
        left = in_mdc
        for adrg, adrg_rule in adrgs.get(mdc, []):
            rows = drgs.get(adrg, [])
            rest = algebra.all_of([left, adrg_rule])
            for drg, drg_rule in rows:
                scheme.drg[drg] = algebra.all_of([rest, drg_rule])
                scheme.adrg_of[drg], scheme.mdc_of[adrg] = adrg, mdc
                rest = algebra.all_of([rest, algebra.negate(drg_rule)])
            answer = algebra.all_of([adrg_rule, algebra.any_of(rule for _, rule in rows)])
            answers.append(answer)
            scheme.adrg_answer[adrg] = answer
            left = algebra.all_of([left, algebra.negate(answer)])
        taken = algebra.all_of([mdc_rule, algebra.any_of(answers)])
        open_so_far = algebra.all_of([open_so_far, algebra.negate(taken)])
    scheme.unanswered = open_so_far


def _domains(
    pack: DrgPack,
    every: list[Atom],
    members: Mapping[str, list[str]],
    plainness: Callable[[str], object] | None,
) -> SchemeFormulas:
    used: dict[str, set[str]] = {"dx": set(), "px": set(), "LYFS": set(), "KS": set()}
    cuts: dict[str, set[int]] = {name: {0, *starts} for name, starts in _CUTS.items()}
    for atom in every:
        if isinstance(atom, Compare):
            value = atom.value * _STEPS.get(atom.field, 1)
            cuts[atom.field].update(at for at in (value, value + 1) if at > 0)
            continue
        names = (atom.set,) if isinstance(atom, Count) else atom.sets
        for name in atom.fields:
            kind = "dx" if name in DIAGNOSIS_FIELDS else "px" if name in PROCEDURE_FIELDS else name
            used[kind].update(names)
    listed = {kind: [code for name in names for code in members.get(name, ())] for kind, names in used.items()}
    graded = [*pack.cc["code"], *pack.exclusion["code"]]
    diagnoses = Codes.of([*listed["dx"], *graded], plainness)
    procedures, ways, departments = (Codes.of(listed[kind], plainness) for kind in ("px", "LYFS", "KS"))
    numbers = {name: Numbers(tuple(sorted(starts)), _STEPS.get(name, 1)) for name, starts in cuts.items()}
    full = {name: (1 << len(ranges.starts) + 1) - 1 for name, ranges in numbers.items()}
    for variable, codes in (("ZYZD", diagnoses), ("ZYSS", procedures), ("LYFS", ways), ("KS", departments)):
        full[variable] = (1 << len(codes.names)) - 1
    algebra = Algebra(full)
    valid, lifelike = _input_check(algebra, numbers)
    return SchemeFormulas(diagnoses, procedures, ways, departments, numbers, algebra, valid, lifelike)


def _input_check(algebra: Algebra, numbers: Mapping[str, Numbers]) -> tuple[Formula, Formula]:
    """What a scheme asks of every case, and what besides is true of every real person."""

    def compare(name: str, operator: str, value: int) -> Formula:
        return algebra.member(name, numbers[name].compare(operator, value))

    unknown = {name: algebra.member(name, 1) for name in numbers}
    known = {name: algebra.negate(formula) for name, formula in unknown.items()}
    infant = compare("NL", "=", 0)
    newborn = algebra.all_of([infant, compare("XSRTL", "<=", NEWBORN_DAYS)])
    valid = algebra.all_of(
        [
            algebra.any_of([compare("XB", "=", 1), compare("XB", "=", 2)]),
            known["NL"],
            algebra.any_of([algebra.negate(infant), known["XSRTL"]]),
            algebra.any_of([algebra.negate(newborn), known["XSRTZ"]]),
        ]
    )
    lifelike = algebra.all_of(
        [
            algebra.any_of([infant, unknown["XSRTL"]]),
            algebra.any_of([algebra.negate(infant), compare("XSRTL", "<", 366)]),
            algebra.any_of([unknown["XSRTZ"], compare("XSRTZ", ">", 0)]),
        ]
    )
    return valid, lifelike


def _own_levels(pack: DrgPack, diagnoses: Codes) -> dict[str, int]:
    """For a level asked of the principal diagnosis itself: the codes listed there that no table of theirs holds."""
    excluded: dict[str, set[str]] = {}
    for table, code in pack.exclusion.select("exclusion", "code").iter_rows():
        excluded.setdefault(table, set()).add(fold(code))
    levels: dict[str, set[str]] = {name: set() for name in LEVEL_SETS}
    for code, level, table in pack.cc.select("code", "level", "exclusion").iter_rows():
        if fold(code) not in excluded.get(table or "", set()):
            levels[level].add(code)
    return {level: diagnoses.mask(codes) for level, codes in levels.items()}


class _Builder:
    def __init__(self, scheme: SchemeFormulas, members: Mapping[str, list[str]], levels: dict[str, int]) -> None:
        self.scheme = scheme
        self.algebra = scheme.algebra
        self.members = members
        self.levels = levels
        self._masks: dict[tuple[str, str], int] = {}

    def mask(self, variable: str, name: str) -> int:
        kind = "dx" if variable in DIAGNOSIS_FIELDS else "px" if variable in PROCEDURE_FIELDS else variable
        key = (kind, name)
        if key not in self._masks:
            self._masks[key] = self.scheme.codes_of(variable).mask(self.members.get(name, ()))
        return self._masks[key]

    def formula(self, node: Node) -> Formula:
        match node:
            case Const(value):
                return TRUE if value else FALSE
            case Not(item):
                return self.algebra.negate(self.formula(item))
            case And(items):
                return self.algebra.all_of(self.formula(item) for item in items)
            case Compare(name, operator, value):
                return self.algebra.member(name, self.scheme.numbers[name].compare(operator, value))
            case Member():
                found = self.algebra.any_of(self.one(name, at) for name in node.fields for at in node.sets)
                return self.algebra.negate(found) if node.negated else found
            case Count():
                return self.count(node)
        return self.algebra.any_of(self.formula(item) for item in node.items)

    def one(self, variable: str, name: str) -> Formula:
        if name in LEVEL_SETS:
            return Level(name) if variable == "QTZD" else self.algebra.member(variable, self.levels[name])
        mask = self.mask(variable, name)
        return self.algebra.some(variable, mask) if variable in _LISTS else self.algebra.member(variable, mask)

    def count(self, node: Count) -> Formula:
        value = node.value
        match node.operator:
            case ">=":
                return self.at_least(node, value)
            case ">":
                return self.at_least(node, value + 1)
            case "<":
                return self.algebra.negate(self.at_least(node, value))
            case "<=":
                return self.algebra.negate(self.at_least(node, value + 1))
        exactly = self.algebra.all_of([self.at_least(node, value), self.algebra.negate(self.at_least(node, value + 1))])
        return exactly if node.operator == "=" else self.algebra.negate(exactly)

    def at_least(self, node: Count, number: int) -> Formula:
        """`number` different codes, shared out over the kinds of fields in every way (a diagnosis is never a
        procedure, nor either of them a discharge way or a department)."""
        if number <= 0:
            return TRUE
        kinds = [[name for name in node.fields if name in kind] for kind in _KINDS]
        shares = product(*(range(number + 1) if names else (0,) for names in kinds))
        return self.algebra.any_of(
            self.algebra.all_of(
                self.of_one_kind(names, node.set, share) for names, share in zip(kinds, split, strict=True)
            )
            for split in shares
            if sum(split) == number
        )

    def of_one_kind(self, names: list[str], set_name: str, number: int) -> Formula:
        if number <= 0:
            return TRUE
        slots = [name for name in names if name in _LISTS]
        singles = [name for name in names if name not in _LISTS]
        if number == 1:
            return self.algebra.any_of(self.one(name, set_name) for name in names)
        if not slots:
            return FALSE
        return self.algebra.some(slots[0], self.mask(slots[0], set_name), number, beside=bool(singles))
