"""Schemes of random formulas over few codes: shapes nobody would write, so that no habit of writers hides a bug.

With few codes and small sets almost every condition is true for some cases and false for others.
"""

from __future__ import annotations

import random

from tests.oracle.pack_folder import PackText
from tests.oracle.rules import CODE_FIELDS, OPERATORS
from tests.oracle.synthetic_packs import codes

# Some codes differ late or only in the case of a letter, and some are of more than one kind.
DIAGNOSES = [
    *codes("A01", 1, 8),
    *codes("B02", 1, 6),
    "J10.801x001+G94.8*",
    "J10.801x001+G94.9*",
    "J10.801x001",
    "c03.900",
    "C03.900",
    "C03.9X0",
    "38.010",
    "5",
]
PROCEDURES = [*codes("38", 1, 8), *codes("39", 1, 6), "39.7900x00112", "39.7900x00113", "5"]
DISCHARGE_WAYS = ["1", "2", "5", "9"]
DEPARTMENTS = ["心内科", "心内科重症监护室一", "心内科重症监护室二", "0301", "03X1", "5"]
NUMBERS = {
    "NL": (0, 1, 6, 18, 70),
    "XB": (1, 2),
    "XSRTL": (0, 28, 29, 365),
    "XSRTZ": (0, 999, 1500, 2500),
    "ZYTS": (0, 2, 30, 60),
    "ICUXS": (0, 24, 96),
}
FALL_BACK_ANSWERS = ("0000", "", "QQQ9")


def random_pack(seed: int) -> PackText:
    """A pack of 4 MDCs, 24 ADRGs and 60 DRGs with random rules, orders, complications and meta."""
    rng = random.Random(seed)
    universes = {"DI": DIAGNOSES, "OP": PROCEDURES, "LY": DISCHARGE_WAYS, "KS": DEPARTMENTS}
    sets = {
        f"{kind}_{number}": rng.sample(universe, rng.randint(1, max(2, len(universe) // 2)))
        for kind, universe in universes.items()
        for number in range(8 if kind in ("DI", "OP") else 2)
    }
    write = _Writer(rng, sorted(sets))
    mdcs = ["MDCB", "MDCC", "MDCD", "MDCE"]
    adrgs = [f"{mdc[3]}{letter}1" for mdc in mdcs for letter in "ABCRS"] + [f"{mdc[3]}00" for mdc in mdcs]
    drgs = [(f"{adrg}{last}", adrg) for adrg in adrgs if adrg[1:] != "00" for last in "135"]
    drgs += [(f"{adrg}0", adrg) for adrg in adrgs if adrg[1:] == "00"]
    exclusions = {f"EX_{n}": rng.sample(DIAGNOSES, rng.randint(1, 8)) for n in range(5)}
    complications = {
        (rng.choice(DIAGNOSES), rng.choice(("MCC", "CC")), rng.choice(("", *exclusions))) for _ in range(16)
    }
    return PackText(
        mdc=[(mdc, write.narrow(2), rng.randint(1, 4)) for mdc in mdcs],
        adrg=[
            (adrg, f"MDC{adrg[0]}", write.rule(1) if adrg[1:] == "00" else write.narrow(2), rng.randint(1, 5))
            for adrg in adrgs
        ],
        drg=[(drg, adrg, write.narrow(rng.randint(0, 2)), rng.randint(1, 3)) for drg, adrg in drgs],
        sets=sets,
        cc=sorted(complications),
        exclusion=exclusions,
        meta=_random_meta(rng),
    )


def _random_meta(rng: random.Random) -> dict[str, str]:
    meta = {}
    for kind in ("ungrouped", "invalid"):
        for level in ("mdc", "adrg", "drg"):
            if rng.random() < 0.3:
                meta[f"{kind}_{level}"] = rng.choice(FALL_BACK_ANSWERS)
    if rng.random() < 0.5:
        meta["retry"] = "each_other_procedure_alone"
    if rng.random() < 0.5:
        meta["newborn_weight"] = rng.choice(("birth", "admission"))
    return meta


class _Writer:
    """Writes random formulas of a given depth."""

    def __init__(self, rng: random.Random, sets: list[str]) -> None:
        self.rng = rng
        self.sets = sets

    def narrow(self, depth: int) -> str:
        """A formula with one plain condition that must hold, so that later rows get their cases too."""
        kind = self.rng.choice(("DI", "OP"))
        fields = ["ZYZD", "QTZD"] if kind == "DI" else ["ZYSS", "QTSS"]
        return f"{self.rng.choice(fields)} in {self.rng.choice(self.of_kind(kind))} and ({self.rule(depth)})"

    def rule(self, depth: int) -> str:
        kind = self.rng.random()
        if depth == 0 or kind < 0.15:
            return self.condition()
        if kind < 0.3:
            return f"not ({self.rule(depth - 1)})"
        word = self.rng.choice(("and", "or", "or", "OR"))
        parts = [self.rule(depth - 1) for _ in range(self.rng.choice((2, 2, 3)))]
        if self.rng.random() < 0.5:
            parts = [f"({part})" for part in parts]
        return f" {word} ".join(parts)

    def condition(self) -> str:
        kind = self.rng.random()
        if kind < 0.03:
            return self.rng.choice(("1", "0", "not 0"))
        if kind < 0.06:
            return self.condition_of_all_kinds()
        if kind < 0.2:
            name = self.rng.choice(sorted(NUMBERS))
            return f"{name} {self.rng.choice(sorted(OPERATORS))} {self.rng.choice(NUMBERS[name])}"
        if kind < 0.35:
            fields = self.some(["ZYSS", "QTSS"], 2) if self.rng.random() < 0.7 else self.some(["ZYZD", "QTZD"], 2)
            members = self.of_kind("OP" if "SS" in fields else "DI")
            operator = self.rng.choice(sorted(OPERATORS))
            return f"length({self.rng.choice(members)} ∩ {fields}) {operator} {self.rng.randint(0, 3)}"
        word = self.rng.choice(("in", "in", "in", "not in"))
        if kind < 0.5:
            fields = self.rng.choice(("QTZD", "QTZD", "QTZD", "QTZD", "{ZYZD, QTZD}", "ZYZD"))
            return f"{fields} {word} {self.some(['MCC', 'CC', *self.of_kind('DI')[:2]], 2)}"
        if kind < 0.6:
            return f"{self.some(['LYFS', 'KS'], 2)} {word} {self.some(self.of_kind('LY') + self.of_kind('KS'), 3)}"
        if kind < 0.8:
            return f"{self.some(['ZYZD', 'QTZD'], 2)} {word} {self.some(self.of_kind('DI'), 3)}"
        return f"{self.some(['ZYSS', 'QTSS'], 2)} {word} {self.some(self.of_kind('OP'), 3)}"

    def condition_of_all_kinds(self) -> str:
        """A condition whose variables, or whose sets, are of more than one kind."""
        fields = self.some(list(CODE_FIELDS), 4)
        return f"{fields} {self.rng.choice(('in', 'not in'))} {self.some(self.sets, 4)}"

    def of_kind(self, kind: str) -> list[str]:
        return [name for name in self.sets if name.startswith(kind)]

    def some(self, names: list[str], most: int) -> str:
        """One name, or several in braces."""
        chosen = self.rng.sample(names, self.rng.randint(1, most))
        return chosen[0] if len(chosen) == 1 else "{" + ", ".join(chosen) + "}"
