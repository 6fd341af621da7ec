"""Difficult cases for any pack, made out of its own rules and sets, so that rules are nearly satisfied.

A case aims at one DRG of the pack: its draft is given what the formulas of the path MDC -> ADRG -> DRG ask
for. Then things go wrong with it, as in life and at the edges: a second goal, an excluding principal, a
number on the other side of a boundary, an unknown code, a blank principal procedure, a repeated code.
What a case is meant to reach says nothing about its answer: only the oracle and the engine answer.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle.oracle import Oracle
from tests.oracle.rules import NUMBER_FIELDS, OPERATORS, All, Any, Compare, Const, Count, Member, Not, Rule

FlatRow = dict[str, str]
Codes = frozenset[str]

UNKNOWN_CODES = ("ZZZ.999", "99.9999", "K30", "x", "0", "-", "A00.000+", "MCC", "5")
AGES = (0, 0, 1, 5, 6, 7, 17, 18, 45, 69, 70, 71, 99)
AGE_DAYS = (0, 1, 27, 28, 29, 30, 364, 365, 366)
WEIGHTS_G = (0, 1, 499, 999, 1000, 1499, 1500, 1999, 2000, 2499, 2500, 4200)
LOS_DAYS = (0, 1, 2, 7, 30, 60, 61, 365)
ICU_HOURS = (0.0, 0.5, 23.5, 24.0, 95.9, 96.0, 300.25)
SEXES = (1, 2)
WRONG_SEXES = ("0", "9", "", "3")
DEPARTMENTS = ("", "心内科", "0301")
DISCHARGE_WAYS = ("1", "1", "1", "2", "3", "4", "5", "9", "")


@dataclass
class Draft:
    """A case in the making: what its goals ask for, before anything is chosen."""

    principal_of: list[Codes] = field(default_factory=list)
    procedure_of: list[Codes] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    other_procedures: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    discharge_way: str = ""
    department: str = ""
    bounds: dict[str, list[Compare]] = field(default_factory=lambda: defaultdict(list))


class DifficultCases:
    """An endless supply of difficult cases for the pack in `folder`."""

    def __init__(self, folder: str | Path) -> None:
        oracle = Oracle.from_folder(folder)
        self.paths = [
            (mdc.rule, adrg.rule, drg.rule) for mdc in oracle.mdcs for adrg in mdc.children for drg in adrg.children
        ]
        rules = {rule for path in self.paths for rule in path}
        atoms = [atom for rule in sorted(rules, key=repr) for atom in _atoms(rule)]
        # Sorted lists, so that the same seed gives the same cases whatever the order inside a set.
        self.listed = {codes: sorted(codes) for codes in _sets_of(atoms)}
        self.sets_holding = Counter(code for codes in self.listed.values() for code in codes)
        compared = [atom for atom in atoms if isinstance(atom, Compare)]
        self.boundaries = {name: _around([a for a in compared if a.field == name]) for name in NUMBER_FIELDS}
        self.boundaries["XB"] = []
        self.shared_diagnoses = self._shared(atoms, "ZYZD")
        self.shared_procedures = self._shared(atoms, "ZYSS")
        self._index_severity(oracle)
        self.common: dict[frozenset[Codes], list[str]] = {}

    def rows(self, count: int, seed: int, *, two_weights: bool = False) -> Iterator[FlatRow]:
        """`count` rows of the flat form, the same for the same seed.

        `two_weights` adds newborn_birth_weight_g and newborn_admission_weight_g, which then differ.
        """
        rng = random.Random(seed)
        for number in range(1, count + 1):
            row = self._case(rng)
            row["case_id"] = f"{seed}-{number}"
            if two_weights:
                row["newborn_birth_weight_g"] = row["weight"]
                row["newborn_admission_weight_g"] = str(rng.choice((*WEIGHTS_G, "")))
            yield row

    def _case(self, rng: random.Random) -> FlatRow:
        draft = Draft()
        # Now and then only the MDC is aimed at: what no ADRG takes ends in its x00.
        for rule in rng.choice(self.paths)[: rng.choice((1, 3, 3, 3, 3, 3, 3, 3))]:
            self._want(draft, rule, rng, truth=rng.random() < 0.97)
        if rng.random() < 0.2:
            for rule in rng.choice(self.paths)[rng.randrange(3) :]:
                self._want(draft, rule, rng, truth=rng.random() < 0.8)
        diagnoses = self._diagnoses(draft, rng)
        procedures = self._procedures(draft, rng)
        row = {"case_id": "", **self._numbers(draft, rng)}
        row["discharge_way"] = draft.discharge_way or rng.choice(DISCHARGE_WAYS)
        row["diagnoses"] = "|".join(diagnoses)
        row["procedures"] = "|".join(procedures)
        row["department"] = draft.department or rng.choice(DEPARTMENTS)
        return row

    # --- what a formula asks for ---

    def _want(self, draft: Draft, rule: Rule, rng: random.Random, *, truth: bool) -> None:
        """Note in the draft something that makes the rule true (or false), without a promise."""
        if isinstance(rule, Not):
            self._want(draft, rule.part, rng, truth=not truth)
        elif isinstance(rule, All | Any):
            everything = isinstance(rule, All) is truth
            for part in rule.parts if everything else [rng.choice(rule.parts)]:
                self._want(draft, part, rng, truth=truth)
        elif isinstance(rule, Compare):
            op = rule.op if truth else OPPOSITE[rule.op]
            draft.bounds[rule.field].append(Compare(rule.field, op, rule.value))
        elif isinstance(rule, Count):
            fitting = [n for n in range(rule.value + 3) if OPERATORS[rule.op](n, rule.value) is truth] or [0]
            members = self.listed[rule.members]
            for code in rng.sample(members, min(rng.choice(fitting), len(members))):
                self._put(draft, rng.choice(rule.fields), code, rng)
        elif isinstance(rule, Member) and (truth is not rule.negated or rng.random() < 0.1):
            self._want_member(draft, rule, rng)

    def _want_member(self, draft: Draft, rule: Member, rng: random.Random) -> None:
        name = rng.choice(rule.fields)
        wanted = rng.choice((*rule.sets, *rule.levels))
        if isinstance(wanted, str):
            draft.levels.append(wanted)
        elif name == "ZYZD":
            draft.principal_of.append(wanted)
        elif name == "ZYSS":
            draft.procedure_of.append(wanted)
        elif self.listed[wanted]:
            self._put(draft, name, rng.choice(self.listed[wanted]), rng)

    def _put(self, draft: Draft, name: str, code: str, rng: random.Random) -> None:
        if name in ("ZYZD", "ZYSS"):
            target = draft.principal_of if name == "ZYZD" else draft.procedure_of
            self.listed.setdefault(frozenset({code}), [code])
            target.append(frozenset({code}))
        elif name in ("QTZD", "QTSS"):
            target = draft.others if name == "QTZD" else draft.other_procedures
            target.insert(rng.randint(0, len(target)), code)
        elif name == "LYFS":
            draft.discharge_way = code
        else:
            draft.department = code

    # --- choosing, and spoiling ---

    def _diagnoses(self, draft: Draft, rng: random.Random) -> list[str]:
        principal = self._pick_from(draft.principal_of, rng)
        if self.shared_diagnoses and (not principal or rng.random() < 0.06):
            principal = rng.choice(self.shared_diagnoses)
        others = draft.others + [self._severe(level, principal, rng) for level in draft.levels]
        others += [self._noise(principal, rng) for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2, 5)))]
        if rng.random() < 0.5:
            rng.shuffle(others)
        if rng.random() < 0.05:
            others.append(rng.choice([principal, *others]))
        return self._spoiled([principal, *others], rng)

    def _procedures(self, draft: Draft, rng: random.Random) -> list[str]:
        principal = self._pick_from(draft.procedure_of, rng)
        others = list(draft.other_procedures)
        if self.shared_procedures:
            if rng.random() < 0.08:
                principal = rng.choice(self.shared_procedures)
            others += [rng.choice(self.shared_procedures) for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 2)))]
        if others and not principal and rng.random() < 0.8:
            principal = others.pop(0)
        if others and rng.random() < 0.08:
            others.append(rng.choice([principal, *others]))
        if others and rng.random() < 0.1:
            place = rng.randrange(len(others))
            principal, others[place] = others[place], principal
        return self._spoiled([principal, *others], rng)

    def _spoiled(self, codes: list[str], rng: random.Random) -> list[str]:
        """The list as recorded: sometimes the principal is missing or a code is not quite the book's."""
        if rng.random() < 0.02:
            codes = ["", *codes] if rng.random() < 0.5 else ["", *codes[1:]]
        if rng.random() < 0.12:
            place = rng.randrange(len(codes))
            codes[place] = rng.choice(SPOILERS)(codes[place], rng)
        # Empty places after the first are no entries; the first stays, even empty, if others follow.
        codes = codes[:1] + [code for code in codes[1:] if code]
        return [] if codes == [""] else codes

    def _pick_from(self, wanted: list[Codes], rng: random.Random) -> str:
        """A code in all the sets if there is one, else in one of them."""
        if not wanted:
            return ""
        key = frozenset(wanted)
        if key not in self.common:
            self.common[key] = sorted(frozenset.intersection(*key))
        codes = self.common[key] or self.listed[rng.choice(wanted)]
        if not codes:
            return ""
        # Codes in a single set fall through to the last rows, codes in many sets compete for the first.
        extreme = rng.choice((None, None, None, min, max))
        if extreme is None:
            return rng.choice(codes)
        return extreme(rng.choices(codes, k=40), key=self.sets_holding.__getitem__)

    def _severe(self, level: str, principal: str, rng: random.Random) -> str:
        """A complication of the level, now and then one that the principal excludes."""
        if rng.random() < 0.2 and (excluded := self.excluded_by.get(principal)):
            return rng.choice(excluded)
        return rng.choice(self.severe.get(level) or UNKNOWN_CODES)

    def _noise(self, principal: str, rng: random.Random) -> str:
        kind = rng.random()
        if kind < 0.4:
            return self._severe(rng.choice(("MCC", "CC")), principal, rng)
        if kind < 0.9 and self.shared_diagnoses:
            return rng.choice(self.shared_diagnoses)
        return rng.choice(UNKNOWN_CODES)

    def _numbers(self, draft: Draft, rng: random.Random) -> FlatRow:
        age = self._number(draft, "NL", AGES, rng)
        infant = age == "0"
        days = self._number(draft, "XSRTL", AGE_DAYS, rng, wanted=infant or rng.random() < 0.1)
        newborn = infant and days.isdigit() and int(days) <= 28
        sex = self._number(draft, "XB", SEXES, rng)
        return {
            "sex": rng.choice(WRONG_SEXES) if rng.random() < 0.02 else sex,
            "age": age,
            "age_days": days,
            "weight": self._number(draft, "XSRTZ", WEIGHTS_G, rng, wanted=newborn or rng.random() < 0.3),
            "los_days": self._number(draft, "ZYTS", LOS_DAYS, rng),
            "icu_hours": self._number(draft, "ICUXS", ICU_HOURS, rng, wanted=rng.random() < 0.7),
        }

    def _number(
        self, draft: Draft, name: str, usual: Sequence[float], rng: random.Random, *, wanted: bool = True
    ) -> str:
        """A number within the bounds the goals ask for, near one of them; sometimes across it, or unknown."""
        bounds = draft.bounds.get(name, [])
        if rng.random() < 0.02 or not (wanted or bounds):
            return ""
        if rng.random() < 0.1 or not bounds:
            edges = [value for value in self.boundaries[name] if value >= 0]
            return str(rng.choice(edges if edges and rng.random() < 0.3 else usual))
        near = [value for value in _around(bounds) if value >= 0 and name != "XB"] + list(usual)
        fitting = [value for value in near if all(OPERATORS[b.op](value, b.value) for b in bounds)]
        return str(rng.choice(fitting or near))

    # --- what the pack offers ---

    def _shared(self, atoms: Sequence[Rule], name: str) -> list[str]:
        """Codes that rules look for in this field, those in more sets more often."""
        sets = {codes for atom in atoms if name in getattr(atom, "fields", ()) for codes in _sets_of([atom])}
        return sorted(code for codes in sets for code in self.listed[codes][:: max(1, len(codes) // 400)])

    def _index_severity(self, oracle: Oracle) -> None:
        severe: defaultdict[str, list[str]] = defaultdict(list)
        excluded: defaultdict[Codes, list[str]] = defaultdict(list)
        for code, rows in sorted(oracle.cc_rows.items()):
            for row in rows:
                severe[row.level].append(code)
                excluded[row.excluding_principals].append(code)
        self.severe = dict(severe)
        self.excluded_by: dict[str, list[str]] = {}
        for principals, codes in excluded.items():
            for principal in sorted(principals):
                self.excluded_by[principal] = self.excluded_by.get(principal, []) + codes


OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}

SPOILERS: tuple[Callable[[str, random.Random], str], ...] = (
    lambda code, rng: code.replace("x", "X"),
    lambda code, rng: code.lower(),
    lambda code, rng: code.upper(),
    lambda code, rng: code[:-1],
    lambda code, rng: code[: rng.randint(0, 5)],
    lambda code, rng: code + rng.choice(("x001", "*", "0", "+G01*")),
    lambda code, rng: code.split("+")[-1],
    lambda code, rng: rng.choice(UNKNOWN_CODES),
)


def _around(compared: Sequence[Compare]) -> list[int]:
    """The numbers compared with, and those one below and one above."""
    return sorted({comparison.value + step for comparison in compared for step in (-1, 0, 1)})


def _atoms(rule: Rule) -> list[Rule]:
    if isinstance(rule, All | Any):
        return [atom for part in rule.parts for atom in _atoms(part)]
    if isinstance(rule, Not):
        return _atoms(rule.part)
    return [] if isinstance(rule, Const) else [rule]


def _sets_of(atoms: Sequence[Rule]) -> set[Codes]:
    found: set[Codes] = set()
    for atom in atoms:
        if isinstance(atom, Member):
            found.update(atom.sets)
        elif isinstance(atom, Count):
            found.add(atom.members)
    return found
