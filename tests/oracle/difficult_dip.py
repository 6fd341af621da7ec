"""Difficult cases for any DIP catalog, drawn around the codes and numbers of its own rows.

A case aims at one core group and then things go wrong with it: another row's procedure, another order, a code that
begins right and is in no book, a code in small letters, a blank, a code twice, a number across a boundary or unknown.
What a case aims at says nothing about its answer: only the oracle and the engine answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.oracle.dip_case import DipCase
from tests.oracle.dip_oracle import DipOracle
from tests.oracle.dip_tables import CoreRow, Item, Span

STRANGE_DIAGNOSES = ("ZZZ.999", "A41.9", "K35.9", "x", "-", "A1", "A01", "A01.0", "5", "Q99.999", "A01.0Z9", "E11.900")
STRANGE_PROCEDURES = ("99.9999", "96.7", "x", "-", "38.02ZZ", "00.0100", "54.5904")
ENDINGS = ("", "00", "00x001", "99", "Z9", "01+G01*", "00+J17.0*", "00*", "9")
AGE_YEARS = (0, 0, 0, 1, 5, 60, 67, 75, 90)
AGE_DAYS = (0, 1, 27, 28, 29, 30, 364, 365, 366, 401)
WEIGHTS = (-1, 0, 1, 999, 1000, 1499, 1500, 2499, 2500, 4200, 9999, 10000)
COSTS = (None, 0, 50_000, 99_999, 100_000, 100_001, 299_999, 300_000, 333_333, 999_999, 1_000_000)
FEES = (None, 0, 25_000, 33_333, 49_999, 50_000, 50_001, 150_000)
Codes = tuple[str | None, ...] | None

SPOILERS: tuple[Callable[[str], str | None], ...] = (
    str.lower,
    str.upper,
    lambda code: f" {code} ",
    lambda code: f"{code}\t",
    lambda code: code[:-1],
    lambda code: code + "x001",
    lambda code: "",
    lambda code: "  ",
    lambda code: None,
)


class DifficultDipCases:
    """An endless supply of difficult cases for the pack in `folder`."""

    def __init__(self, folder: str | Path) -> None:
        oracle = DipOracle(folder)
        self.rows = [row for layer in oracle.layers for row in layer.rows]
        self.flags = oracle.flags
        self.excluded_dx = sorted(oracle.excluded_dx)
        self.excluded_px = sorted(oracle.excluded_px)
        self.care = oracle.primary_care
        items = {item for row in self.rows for item in (*(row.principal or ()), *row.other, *row.anywhere)}
        items |= {item for listed in oracle.mixed.values() for mixed in listed for item in mixed.scope}
        items |= {item for listed in oracle.flags.values() for _, item in listed}
        self.items = sorted(items, key=str)
        auxiliary = {item for disease in oracle.auxiliary.diseases.values() for item in disease.items}
        auxiliary |= {item for members in oracle.auxiliary.sets.values() for item in members.beginnings}
        self.complications = sorted(auxiliary, key=str)
        self.book_codes = _by_category(oracle.diagnosis_book.spelling)
        sets = {alternative for row in self.rows for alternative in (*row.px, *row.related)}
        self.procedures = sorted({code for alternative in sets for code in alternative}) or list(STRANGE_PROCEDURES)
        self.numbers = {
            "age_days": _edges([row.age_days for row in self.rows], AGE_DAYS),
            "weight": _edges([row.birth_weight_g for row in self.rows], WEIGHTS),
        }

    def cases(self, count: int, seed: int) -> Iterator[DipCase]:
        """`count` cases, the same for the same seed."""
        rng = random.Random(seed)
        for number in range(1, count + 1):
            yield self._case(f"{seed}-{number}", rng)

    def _case(self, case_id: str, rng: random.Random) -> DipCase:
        goal = rng.choice(self.rows)
        diagnoses = self._diagnoses(goal, rng)
        procedures = self._procedures(goal, rng)
        days, weight = self._age(goal, rng), self._weight(goal, rng)
        years = rng.choice(AGE_YEARS) if days is None else days // 365
        if rng.random() < 0.1:
            years = rng.choice((None, 1, 3))
        return DipCase(
            case_id=case_id,
            diagnoses=diagnoses,
            procedures=procedures,
            age_years=years,
            age_days=days,
            newborn_birth_weight_g=weight,
            los_days=rng.choice((None, 0, 1, 2, 3, 14, 61)),
            icu_hours=rng.choice((None, 0.0, 47.5, 48.0, 200.0)),
            discharge_way=rng.choice(("1", "1", "1", "2", "5", "", None)),
            defect="GE01" if rng.random() < 0.01 else None,
            sex=rng.choice((1, 2, 9, None)),
            total_cost_fen=rng.choice(COSTS),
            fee_treatment_fen=rng.choice(FEES),
            fee_western_drug_fen=rng.choice(FEES),
            fee_herbal_fen=rng.choice((None, None, 0, 1)),
            fee_patent_drug_fen=rng.choice((None, None, 0, 12_500)),
        )

    # --- codes ---

    def _code_of(self, items: Sequence[Item], rng: random.Random) -> str:
        """A code under one of the items: one of the book, or one that only begins like it."""
        item = rng.choice(items)
        if item.whole:
            return item.first
        start = rng.choice((item.first, item.last))
        if item.first[:3] != item.last[:3] and rng.random() < 0.5:
            start = f"{item.first[0]}{rng.randint(int(item.first[1:3]), 99):02d}"
        book = [code for code in self.book_codes.get(start[:3], ()) if code.startswith(start)]
        if item.mark:
            book = [code for code in book if item.mark in code] or [f"{start}{item.mark}"]
        if book and rng.random() < 0.6:
            return rng.choice(book)
        return (start if "." in start else f"{start}.{rng.choice('0189X')}") + rng.choice(ENDINGS)

    def _diagnoses(self, goal: CoreRow, rng: random.Random) -> Codes:
        principal = self._code_of(goal.principal or self.items or (Item("A01", "A01", "", whole=False),), rng)
        others = [self._code_of(asked, rng) for asked in (goal.other, goal.anywhere) if asked and rng.random() < 0.9]
        flag = self.flags.get(goal.flag.removeprefix("!"), [])
        if flag and rng.random() < 0.5:
            role, item = rng.choice(flag)
            if role == "other":
                others.append(self._code_of([item], rng))
            elif rng.random() < 0.5:
                principal = self._code_of([item], rng)
        if goal.anywhere and rng.random() < 0.3:
            principal = self._code_of(goal.anywhere, rng)
        if rng.random() < 0.05:
            principal = rng.choice([*self.excluded_dx, *STRANGE_DIAGNOSES])
        if self.care and rng.random() < 0.08 and (items := rng.choice(self.care)[0]):
            principal = self._code_of(items, rng)
        for _ in range(rng.choice((0, 0, 0, 1, 1, 3))):
            pool = self.complications if self.complications and rng.random() < 0.5 else self.items
            noise = rng.choice(STRANGE_DIAGNOSES) if rng.random() < 0.2 else self._code_of(pool, rng)
            others.insert(rng.randint(0, len(others)), noise)
        return self._spoiled([principal, *others], rng)

    def _procedures(self, goal: CoreRow, rng: random.Random) -> Codes:
        chosen: list[str] = []
        for cell in (goal.px, goal.related):
            if cell and rng.random() < 0.93:
                chosen += sorted(rng.choice(cell))
        if goal.px and rng.random() < 0.08:
            chosen = chosen[1:]
        if self.care and rng.random() < 0.08 and (px := rng.choice(self.care)[1]):
            chosen = sorted(rng.choice(px))
        if rng.random() < 0.25:
            rng.shuffle(chosen)
        for _ in range(rng.choice((0, 0, 0, 0, 1, 1, 2))):
            pool = rng.choice(
                (self.procedures, self.procedures, self.excluded_px or self.procedures, STRANGE_PROCEDURES)
            )
            chosen.insert(rng.choice((0, len(chosen))), rng.choice(pool))
        return self._spoiled(chosen, rng)

    def _spoiled(self, codes: list[str], rng: random.Random) -> Codes:
        """The list as recorded: letters of the other case, blanks, nulls, codes twice, no list at all."""
        recorded: list[str | None] = list(codes)
        if codes and rng.random() < 0.07:
            recorded.append(rng.choice(codes))
        if codes and rng.random() < 0.15:
            place = rng.randrange(len(codes))
            recorded[place] = rng.choice(SPOILERS)(codes[place])
        if rng.random() < 0.03:
            recorded.insert(rng.randint(0, len(recorded)), rng.choice(("", None, " ")))
        return rng.choice((None, ())) if rng.random() < 0.01 else tuple(recorded)

    # --- numbers ---

    def _age(self, goal: CoreRow, rng: random.Random) -> int | None:
        if goal.age_days is None:
            return rng.choice(self.numbers["age_days"]) if rng.random() < 0.3 else None
        return self._number(goal.age_days, self.numbers["age_days"], rng)

    def _weight(self, goal: CoreRow, rng: random.Random) -> int | None:
        if goal.birth_weight_g is None:
            return rng.choice(self.numbers["weight"]) if rng.random() < 0.5 else None
        return self._number(goal.birth_weight_g, self.numbers["weight"], rng)

    def _number(self, span: Span, usual: Sequence[int], rng: random.Random) -> int | None:
        """Mostly inside the range, also at its ends and past them, sometimes unknown."""
        low, high = span
        inside = [value for value in usual if (low is None or value >= low) and (high is None or value <= high)]
        kind = rng.random()
        if kind < 0.15:
            return None
        return rng.choice(inside or usual) if kind < 0.85 else rng.choice(usual)


def _edges(spans: Sequence[Span | None], usual: Sequence[int]) -> list[int]:
    """The ends of the ranges, the numbers beside them, and the usual ones."""
    ends = {end for span in spans if span is not None for end in span if end is not None}
    return sorted({end + step for end in ends for step in (-1, 0, 1) if end + step >= 0} | set(usual))


def _by_category(spelling: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for code in spelling.values():
        found.setdefault(code[:3], []).append(code)
    return found
