"""The oracle's own auxiliary catalog (辅助目录): which level one case stands in, and its correction factor.

The rules are read by the oracle's reader of formulas with the further names QTZDX, CCI, FYBL, ZLZB and YPZB. A code
carries its kind, since a set holds diagnosis items for diagnoses, whole codes for procedures and values for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from tests.oracle.dip_case import DipCase
from tests.oracle.dip_tables import Item, items_of, read_rows, spelled
from tests.oracle.oracle import fold
from tests.oracle.rules import CODE_FIELDS, NUMBER_FIELDS, Facts, Fields, Rule, parse_rule

FIELDS = Fields((*CODE_FIELDS, "QTZDX"), (*NUMBER_FIELDS, "CCI", "FYBL", "ZLZB", "YPZB"))
DRUG_COLUMNS = ("fee_western_drug_fen", "fee_herbal_fen", "fee_patent_drug_fen")
EVERY_GROUP = "*"


class Code(str):
    """A code or a value of a case that knows what it is: dx, px or text."""

    kind: str

    @classmethod
    def of(cls, kind: str, text: str) -> Code:
        code = cls(text)
        code.kind = kind
        return code


class Members:
    """The members of one set as written; what they mean depends on the kind of what is looked for."""

    def __init__(self, cells: Sequence[str]) -> None:
        items = [item for cell in cells for item in items_of(cell)]
        self.beginnings = [item for item in items if not item.whole]
        self.whole = {spelled(cell) for cell in cells}
        self.texts = {fold(cell) for cell in cells}

    def __contains__(self, code: object) -> bool:
        assert isinstance(code, Code)
        if code.kind == "dx":
            return code in self.whole or any(item.holds(code) for item in self.beginnings)
        return code in (self.whole if code.kind == "px" else self.texts)


@dataclass(frozen=True)
class Level:
    """A level of a dimension."""

    dimension: str
    level: str
    rule: Rule


@dataclass(frozen=True)
class Disease:
    """A disease of the Charlson index; `covered_by` as written, not yet through other diseases."""

    weight: int
    items: tuple[Item, ...]
    covered_by: tuple[str, ...]


class DipAuxiliary:
    """The auxiliary tables of a pack folder."""

    def __init__(self, folder: Path) -> None:
        cells: dict[str, list[str]] = {}
        for row in read_rows(folder, "aux_set"):
            cells.setdefault(row["set"], []).append(row["item"])
        self.sets = {name: Members(listed) for name, listed in cells.items()}
        self.dimensions: dict[str, list[Level]] = {}
        for row in sorted(read_rows(folder, "aux_level"), key=lambda row: (int(row["order"]), row["dimension"])):
            level = Level(row["dimension"], row["level"], parse_rule(row["rule"], self.sets, FIELDS))
            self.dimensions.setdefault(level.dimension, []).append(level)
        self.diseases: dict[str, Disease] = {}
        for row in read_rows(folder, "cci"):
            known = self.diseases.get(row["disease"])
            items = (known.items if known else ()) + items_of(row["item"])
            covered_by = tuple(name.strip() for name in row["covered_by"].split("|") if name.strip())
            self.diseases[row["disease"]] = Disease(int(row["weight"]), items, covered_by)
        self.factors = {
            (row["code"], row["dimension"], row["level"]): Decimal(row["factor"])
            for row in read_rows(folder, "aux_factor")
        }
        self.mean_costs = {row["code"]: row["mean_cost_fen"] for row in read_rows(folder, "score")}

    def of(self, case: DipCase, diagnoses: Sequence[str], procedures: Sequence[str], group: str) -> tuple[str, Decimal]:
        """The levels of a case of a core group as DIMENSION:LEVEL joined by |, and its factor. The codes are those of
        the case as `spelled`."""
        facts = self._facts(case, diagnoses, procedures, group)
        reached = [
            next((level for level in levels if level.rule.holds(facts)), None) for levels in self.dimensions.values()
        ]
        levels = [level for level in reached if level is not None]
        factors = [self._factor(group, level) for level in levels]
        highest = max((factor for factor in factors if factor is not None), default=Decimal(1))
        return "|".join(f"{level.dimension}:{level.level}" for level in levels), highest

    def _factor(self, group: str, level: Level) -> Decimal | None:
        own = self.factors.get((group, level.dimension, level.level))
        return self.factors.get((EVERY_GROUP, level.dimension, level.level)) if own is None else own

    def charlson(self, others: Sequence[str]) -> int:
        """Weights of the diseases of the other diagnoses, each once, without those that a graver one there covers."""
        here = {
            name
            for name, disease in self.diseases.items()
            if any(item.holds(code) for item in disease.items for code in others)
        }
        return sum(self.diseases[name].weight for name in here if not self._covers(name) & here)

    def _covers(self, name: str) -> set[str]:
        found: set[str] = set()
        left = [*self.diseases[name].covered_by]
        while left:
            cover = left.pop()
            if cover not in found:
                found.add(cover)
                left += self.diseases[cover].covered_by
        return found

    def _facts(self, case: DipCase, diagnoses: Sequence[str], procedures: Sequence[str], group: str) -> Facts:
        principal, others = diagnoses[:1], diagnoses[1:]
        outside = [code for code in others if code[:3] != diagnoses[0][:3]]
        mean = int(self.mean_costs.get(group) or 0)
        total = case.total_cost_fen
        drugs = [getattr(case, name) for name in DRUG_COLUMNS]
        return Facts(
            codes={
                "ZYZD": _codes("dx", principal),
                "QTZD": _codes("dx", others),
                "QTZDX": _codes("dx", outside),
                "ZYSS": _codes("px", procedures[:1]),
                "QTSS": _codes("px", procedures[1:]),
                "LYFS": _codes("text", [fold(case.discharge_way or "")]),
                "KS": _codes("text", [fold(case.department or "")]),
            },
            numbers={
                "NL": case.age_years,
                "XB": case.sex,
                "XSRTL": case.age_days,
                "XSRTZ": case.newborn_birth_weight_g,
                "ZYTS": case.los_days,
                "ICUXS": case.icu_hours,
                "CCI": self.charlson(others),
                "FYBL": _percent(total, mean),
                "ZLZB": _percent(case.fee_treatment_fen, total),
                "YPZB": _percent(_sum_of_given(drugs), total),
            },
            cc_rows={},
        )


def _codes(kind: str, codes: Sequence[str]) -> tuple[Code, ...]:
    return tuple(Code.of(kind, code) for code in codes if code)


def _sum_of_given(parts: Sequence[int | None]) -> int | None:
    """What is given adds up; nothing given is unknown."""
    given = [part for part in parts if part is not None]
    return sum(given) if given else None


def _percent(part: int | None, whole: int | None) -> Fraction | None:
    """Exact; unknown when one of the two is, or when the whole is not above 0."""
    return None if part is None or not whole or whole < 0 else Fraction(100 * part, whole)
