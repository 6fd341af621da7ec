"""The oracle: groups one case at a time, by the letter of the pack format, with only the standard library.

It is the reference the engine is compared with, and the baseline of the benchmarks. It walks
MDC -> ADRG -> DRG in order and evaluates each formula as written. It must never import the engine or the
pack loader: what both share, the comparison cannot test.
"""

from __future__ import annotations

import csv
import math
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.oracle.rules import CcRow, Facts, Rule, parse_rule

Answer = tuple[str, str, str]

UNGROUPED: Answer = ("0000", "00", "0000")
FALL_BACK_CODE = re.compile(r"[A-Z0]00|[A-Z0]000")
NEWBORN_LAST_DAY = 28


@dataclass(frozen=True)
class Case:
    """One case. None is unknown. The first diagnosis and procedure are the principal ones, "" if missing."""

    sex: int | None = None
    age_years: int | None = None
    age_days: int | None = None
    newborn_birth_weight_g: int | None = None
    newborn_admission_weight_g: int | None = None
    los_days: int | None = None
    icu_hours: float | None = None
    discharge_way: str = ""
    department: str = ""
    diagnoses: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Case:
        """A case from a row of the flat form (sex, age, age_days, weight, ..., codes joined with |).

        `weight` is both newborn weights, unless the row has columns of their own for the two.
        """
        weight = row["weight"]
        return cls(
            sex=_whole(row["sex"]),
            age_years=_whole(row["age"]),
            age_days=_whole(row["age_days"]),
            newborn_birth_weight_g=_whole(row.get("newborn_birth_weight_g", weight)),
            newborn_admission_weight_g=_whole(row.get("newborn_admission_weight_g", weight)),
            los_days=_whole(row["los_days"]),
            icu_hours=_number(row.get("icu_hours", "")),
            discharge_way=row["discharge_way"].strip(),
            department=row.get("department", "").strip(),
            diagnoses=tuple(code.strip() for code in row["diagnoses"].split("|")),
            procedures=tuple(code.strip() for code in row["procedures"].split("|")),
        )


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None


def _whole(text: str) -> int | None:
    number = _number(text)
    return None if number is None else math.floor(number)


def fold(code: str) -> str:
    """Upper and lower case of x are the same letter in a code; of all other letters they are not."""
    return code.replace("X", "x")


def codes_of(values: Iterable[str]) -> tuple[str, ...]:
    """The codes among the values, folded: a blank is no code."""
    return tuple(fold(value) for value in values if value)


@dataclass(frozen=True)
class Row:
    """A row of mdc.csv, adrg.csv or drg.csv, with the rows below it in the order of the walk."""

    code: str
    rule: Rule
    children: tuple[Row, ...]


class Oracle:
    """A grouping scheme read from a pack folder, asked for one case at a time."""

    def __init__(
        self,
        mdcs: tuple[Row, ...],
        sets: Mapping[str, frozenset[str]],
        cc_rows: Mapping[str, tuple[CcRow, ...]],
        meta: Mapping[str, str],
        newborn_weight: str,
    ) -> None:
        self.mdcs = mdcs
        self.sets = sets
        self.cc_rows = cc_rows
        self.newborn_weight = newborn_weight
        self.ungrouped = _answer_from(meta, "ungrouped")
        self.invalid = _answer_from(meta, "invalid")
        self.retries = meta.get("retry", "") == "each_other_procedure_alone"

    @classmethod
    def from_folder(cls, path: str | Path) -> Oracle:
        """Read a pack folder. Raises RuleError on an unreadable formula, KeyError on a missing column."""
        folder = Path(path)
        sets = read_sets(folder)
        drgs = _rows_by_parent(folder / "drg.csv", "adrg", {}, sets)
        adrgs = _rows_by_parent(folder / "adrg.csv", "mdc", drgs, sets)
        mdcs = _rows_by_parent(folder / "mdc.csv", None, adrgs, sets)
        meta = {row["key"]: row["value"] for row in _read(folder / "meta.csv")}
        return cls(mdcs[""], sets, read_cc(folder), meta, _newborn_weight_edition(folder, meta))

    def group(self, case: Case) -> Answer:
        """The (mdc, adrg, drg) of one case: input check, walk, retry if the scheme has it, ungrouped."""
        if self.is_invalid(case):
            return self.invalid
        answer = self.walk(case)
        if self.retries and _is_0000(answer):
            answer = self.retry(case) or answer
        return answer or self.ungrouped

    def retry(self, case: Case) -> Answer | None:
        """Point 4: the first answer other than 0000 with one of the other procedures as the only one."""
        # A lone procedure has nothing to be tried instead of it.
        if len(codes_of(case.procedures)) < 2:
            return None
        # Each trial sees one procedure and no other; the principal one has had its turn.
        for procedure in codes_of(case.procedures[1:]):
            answer = self.walk(replace(case, procedures=(procedure,)))
            if not _is_0000(answer):
                return answer
        return None

    def is_invalid(self, case: Case) -> bool:
        """Point 5 of the grouping: the case cannot be grouped because a needed value is not known."""
        # Sex: male is 1, female is 2, and nothing else (nor an unknown sex) will do.
        if case.sex not in (1, 2):
            return True
        # Age in whole years must be known.
        if case.age_years is None:
            return True
        if case.age_years != 0:
            return False
        # Below one year the age in days must be known too.
        if case.age_days is None:
            return True
        # Up to 28 days the newborn weight must be known; a weight of 0 is a known weight.
        return case.age_days <= NEWBORN_LAST_DAY and self.newborn_weight_of(case) is None

    def walk(self, case: Case) -> Answer | None:
        """Points 1 and 2: the first DRG that is true inside a true ADRG inside a true MDC, else None."""
        facts = self.facts_of(case)
        for mdc in self.mdcs:
            if not mdc.rule.holds(facts):
                continue
            for adrg in mdc.children:
                if not adrg.rule.holds(facts):
                    continue
                for drg in adrg.children:
                    if drg.rule.holds(facts):
                        return mdc.code, adrg.code, drg.code
                # An opened ADRG in which no DRG is true does not end the walk: on to its next sister.
            # Nor does an opened MDC: on to the next MDC.
        return None

    def facts_of(self, case: Case) -> Facts:
        """The values of the case under the names the formulas use."""
        return Facts(
            codes={
                "ZYZD": codes_of(case.diagnoses[:1]),
                "QTZD": codes_of(case.diagnoses[1:]),
                "ZYSS": codes_of(case.procedures[:1]),
                "QTSS": codes_of(case.procedures[1:]),
                "LYFS": codes_of((case.discharge_way,)),
                "KS": codes_of((case.department,)),
            },
            numbers={
                "NL": case.age_years,
                "XB": case.sex,
                "XSRTL": case.age_days,
                "XSRTZ": self.newborn_weight_of(case),
                "ZYTS": case.los_days,
                "ICUXS": case.icu_hours,
            },
            cc_rows=self.cc_rows,
        )

    def newborn_weight_of(self, case: Case) -> int | None:
        """XSRTZ: the weight at birth or at admission, whichever the edition of the scheme means."""
        if self.newborn_weight == "admission":
            return case.newborn_admission_weight_g
        return case.newborn_birth_weight_g


def read_sets(folder: Path) -> dict[str, frozenset[str]]:
    """sets.csv: the folded codes of each set; a row without a code only says that the set is there."""
    members: defaultdict[str, set[str]] = defaultdict(set)
    for row in _read(folder / "sets.csv"):
        members[row["set"]].update(codes_of([row["code"]]))
    return {name: frozenset(codes) for name, codes in members.items()}


def read_cc(folder: Path) -> dict[str, tuple[CcRow, ...]]:
    """cc.csv with exclusion.csv: the rows of each folded code."""
    tables: defaultdict[str, set[str]] = defaultdict(set)
    for row in _read(folder / "exclusion.csv"):
        tables[row["exclusion"]].update(codes_of([row["code"]]))
    # A row without a table is excluded by no principal diagnosis.
    frozen = {name: frozenset(codes) for name, codes in tables.items()} | {"": frozenset()}
    rows: defaultdict[str, list[CcRow]] = defaultdict(list)
    for row in _read(folder / "cc.csv"):
        rows[fold(row["code"])].append(CcRow(row["level"], frozen[row["exclusion"]]))
    return {code: tuple(listed) for code, listed in rows.items()}


def _rows_by_parent(
    path: Path,
    parent: str | None,
    children: Mapping[str, tuple[Row, ...]],
    sets: Mapping[str, frozenset[str]],
) -> dict[str, tuple[Row, ...]]:
    """The rows of one level in the order of the walk, by the code of their parent ("" for the MDCs)."""
    families: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _read(path):
        families[row[parent] if parent else ""].append(row)
    ordered: dict[str, tuple[Row, ...]] = {}
    for name, family in families.items():
        # The rows x00, x000, 000, 0000 come last in their parent, whatever their order says.
        family.sort(key=lambda row: (FALL_BACK_CODE.fullmatch(row["code"]) is not None, int(row["order"])))
        ordered[name] = tuple(
            Row(row["code"], parse_rule(row["rule"], sets), children.get(row["code"], ())) for row in family
        )
    return ordered


def _is_0000(answer: Answer | None) -> bool:
    return answer is None or answer[2] == UNGROUPED[2]


def _answer_from(meta: Mapping[str, str], kind: str) -> Answer:
    """The three codes of `ungrouped_*` or `invalid_*`; an empty value means an empty answer."""
    mdc, adrg, drg = UNGROUPED
    return meta.get(f"{kind}_mdc", mdc), meta.get(f"{kind}_adrg", adrg), meta.get(f"{kind}_drg", drg)


def _newborn_weight_edition(folder: Path, meta: Mapping[str, str]) -> str:
    """`birth` or `admission`, from meta.csv or else the manifest; birth weight where neither says."""
    manifest = folder / "manifest.toml"
    stated = tomllib.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    return meta.get("newborn_weight") or str(stated.get("newborn_weight", "birth"))


def _read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file without the blanks around cells; no rows when an optional file is not there."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{column: cell.strip() for column, cell in row.items()} for row in csv.DictReader(file)]
