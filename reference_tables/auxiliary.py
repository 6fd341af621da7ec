"""The auxiliary catalog (辅助目录) of a DIP pack: dimensions of levels, the Charlson table, correction factors.

A core group's score is corrected by what its diagnosis and procedures do not tell: comorbidity, severity, age,
intensive care. Each dimension has ordered levels with a rule each; a case stands in the first level whose rule is
true, or in none. Rules are the official rule language with these further fields:

    QTZDX  other diagnoses outside the category (first three characters) of the principal diagnosis
    CCI    Charlson score: weights of the diseases of `cci.csv` that some other diagnosis falls under, each disease
           once, one that a more severe disease of the case covers not at all; always known
    FYBL   total cost in percent of the group's mean cost (score.csv); FYBL >= 300 is three times the mean
    ZLZB   treatment cost in percent of the total cost
    YPZB   drug cost in percent of the total cost

The percentages are exact fractions, never rounded. ZYSS and QTSS are the recorded procedures, the first and the
others. An unknown number makes a comparison false. A share is unknown when the total is unknown or not above 0, or
the record gives none of the categories of charges; a category that it leaves empty counts 0 beside one that it gives.
`length(SET ∩ ...)` counts different codes as spelt. Columns: `auxiliary/parameters.toml`.

The factor of a case counts in a core group only: for each dimension the row of aux_factor with the group's code and
the case's level, else the row with `*` and that level; the highest over all dimensions, 1 when there is none.
Source: 按病种分值付费（DIP）技术规范, 辅助目录; the lists of the default catalog: `auxiliary/sources.toml`.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from reference_tables.dip_cells import CellError, DiagnosisItem, diagnosis_items
from reference_tables.dip_pack import dip_schema
from reference_tables.manifest import FileEntry, verify_files
from reference_tables.problems import TablesRefused
from reference_tables.rule_ast import DIAGNOSIS_FIELDS, PROCEDURE_FIELDS, Count, Member, Node, atoms
from reference_tables.rule_language import parse_auxiliary_rule
from reference_tables.table_files import read_table

EVERY_GROUP = "*"
AUXILIARY_TABLES = ("aux_level", "aux_set", "cci", "aux_factor")
_DIAGNOSES = DIAGNOSIS_FIELDS | {"QTZDX"}


@dataclass(frozen=True, slots=True)
class AuxiliaryLevel:
    """One level of a dimension: the case stands in it when no earlier level's rule is true and this one's is."""

    code: str
    name: str
    order: int
    rule: Node


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension with its levels in the order they are tried."""

    code: str
    levels: tuple[AuxiliaryLevel, ...]


@dataclass(frozen=True, slots=True)
class Disease:
    """A disease of the Charlson index. `covered_by`: with one of these in the case it does not count (the diseases
    named for it, and those that cover them)."""

    code: str
    name: str
    weight: int
    items: tuple[DiagnosisItem, ...]
    covered_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class CostFields:
    """Case columns (fen) behind FYBL, ZLZB and YPZB: `total`, and for each share the categories it adds up."""

    total: str
    shares: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class FactorGate:
    """When a dimension gives factors in a core group: the group has `min_cases`, each of its levels there
    `min_level_cases`, and the coefficient of variation falls by `least_cv_fall` (a share of itself)."""

    min_cases: int
    min_level_cases: int
    least_cv_fall: Fraction


@dataclass(frozen=True)
class Auxiliary:
    """An auxiliary catalog, checked.

    `dimensions` by the smallest order of their levels; `sets`: name -> items as written; `factors`: (group code
    or `*`, dimension, level) -> factor, more than 0, at most four decimals.
    """

    dimensions: tuple[Dimension, ...]
    sets: Mapping[str, tuple[str, ...]]
    diseases: tuple[Disease, ...]
    factors: Mapping[tuple[str, str, str], Decimal]

    def factor(self, group: str, dimension: str, level: str) -> Decimal | None:
        """The factor of a level for a core group: its own, else that for every group, else None."""
        own = self.factors.get((group, dimension, level))
        return self.factors.get((EVERY_GROUP, dimension, level)) if own is None else own

    def rules(self) -> Iterator[Node]:
        """Every rule, dimension by dimension."""
        return (level.rule for dimension in self.dimensions for level in dimension.levels)

    def diagnosis_items(self) -> tuple[DiagnosisItem, ...]:
        """Every diagnosis item that a rule or the Charlson table asks for, each once."""
        of_sets = (item for name in self._asked(_DIAGNOSES) for item in set_items(self.sets.get(name, ())))
        return tuple(dict.fromkeys([*of_sets, *(item for disease in self.diseases for item in disease.items)]))

    def procedure_codes(self) -> tuple[str, ...]:
        """Every procedure that a rule asks for, as written."""
        return tuple(dict.fromkeys(code for name in self._asked(PROCEDURE_FIELDS) for code in self.sets.get(name, ())))

    def _asked(self, fields: Iterable[str]) -> dict[str, None]:
        wanted = frozenset(fields)
        return dict.fromkeys(name for rule in self.rules() for name, used in sets_asked(rule) if wanted & set(used))


def sets_asked(rule: Node) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(set, fields it is compared with) of every condition of a rule."""
    for atom in atoms(rule):
        if isinstance(atom, Member):
            yield from ((name, atom.fields) for name in atom.sets)
        elif isinstance(atom, Count):
            yield atom.set, atom.fields


def set_name(text: str) -> str:
    """The name of a set as a rule's words are read: half width."""
    return unicodedata.normalize("NFKC", text)


def set_items(cells: Iterable[str]) -> Iterator[DiagnosisItem]:
    """The diagnosis items of a set's cells; a procedure in a set that serves both is passed over."""
    for cell in cells:
        try:
            yield from diagnosis_items(cell)
        except CellError:
            continue


def read_auxiliary(tables: Mapping[str, pl.DataFrame]) -> Auxiliary:
    """The auxiliary catalog of checked tables (`check_auxiliary` found no error); absent tables are empty."""
    return Auxiliary(
        dimensions=_dimensions(_rows(tables, "aux_level")),
        sets=_sets(_rows(tables, "aux_set")),
        diseases=_diseases(_rows(tables, "cci")),
        factors={
            (row["code"], row["dimension"], row["level"]): Decimal(row["factor"]) for row in _rows(tables, "aux_factor")
        },
    )


def _rows(tables: Mapping[str, pl.DataFrame], name: str) -> list[dict[str, str]]:
    return tables[name].rows(named=True) if name in tables else []


def _dimensions(rows: list[dict[str, str]]) -> tuple[Dimension, ...]:
    # The order of rows in the file means nothing: a pack's checksum leaves it out.
    rows = sorted(rows, key=lambda row: (int(row["order"]), row["dimension"]))
    levels: dict[str, list[AuxiliaryLevel]] = {}
    for row in rows:
        level = AuxiliaryLevel(row["level"], row["name"], int(row["order"]), parse_auxiliary_rule(row["rule"]))
        levels.setdefault(row["dimension"], []).append(level)
    return tuple(Dimension(code, tuple(found)) for code, found in levels.items())


def _sets(rows: list[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(set_name(row["set"]), {})[row["item"]] = None
    return {name: tuple(items) for name, items in found.items()}


def _diseases(rows: list[dict[str, str]]) -> tuple[Disease, ...]:
    cells: dict[str, list[str]] = {}
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row["disease"], []).append(row["item"])
        first.setdefault(row["disease"], row)
    covers = all_covers({code: covered(row["covered_by"]) for code, row in first.items()})
    return tuple(
        Disease(code, row["name"], int(row["weight"]), tuple(set_items(cells[code])), covers[code])
        for code, row in sorted(first.items())
    )


def covered(cell: str) -> tuple[str, ...]:
    """The diseases that a `covered_by` cell names, joined by `|`."""
    return tuple(part.strip() for part in cell.split("|")) if cell else ()


def all_covers(direct: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """What covers each disease, directly or through another one."""
    found: dict[str, frozenset[str]] = {}
    for code in direct:
        reached: set[str] = set()
        open_ = list(direct[code])
        while open_:
            cover = open_.pop()
            if cover not in reached:
                reached.add(cover)
                open_ += direct.get(cover, ())
        found[code] = frozenset(reached)
    return found


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "auxiliary"))


@cache
def _parameters() -> Mapping[str, Any]:
    return tomllib.loads((_folder() / "parameters.toml").read_text(encoding="utf-8"))


@cache
def cost_fields() -> CostFields:
    """The columns of cost that `auxiliary/parameters.toml` declares."""
    cost = _parameters()["cost"]
    return CostFields(cost["total"], {name: tuple(columns) for name, columns in cost["shares"].items()})


@cache
def factor_gate() -> FactorGate:
    """The gate that `auxiliary/parameters.toml` declares."""
    gate = _parameters()["gate"]
    return FactorGate(gate["min_cases"], gate["min_level_cases"], Fraction(gate["least_cv_fall"]))


def default_auxiliary(folder: Path | None = None) -> dict[str, pl.DataFrame]:
    """The default tables `aux_level`, `aux_set` and `cci` with `line`, as `catalog build --auxiliary default` puts them
    into a pack. Raises TablesRefused (TB02-TB05, TB17, TB18, TB21, TB22) when the files are not as declared."""
    folder = folder or _folder()
    sources: dict[str, Any] = tomllib.loads((folder / "sources.toml").read_text(encoding="utf-8"))
    columns = {name: dip_schema().tables[name].columns for name in AUXILIARY_TABLES}
    texts = {name: read_table(folder / f"{name}.csv", columns[name]) for name in AUXILIARY_TABLES[:-1]}
    problems = [problem for text in texts.values() for problem in text.problems]
    declared = {file: FileEntry(entry["sha256"], entry["rows"]) for file, entry in sources["files"].items()}
    found = {f"{name}.csv": FileEntry(text.sha256, text.records) for name, text in texts.items() if text.sha256}
    problems += verify_files(declared, found, {f"{name}.csv": ",".join(names) for name, names in columns.items()})
    frames = {name: text.frame for name, text in texts.items() if text.frame is not None}
    if problems or len(frames) < len(texts):
        raise TablesRefused("auxiliary", problems)
    return frames
