"""A DIP pack with an auxiliary catalog and single cases to put through it, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from grouper.dip.auxiliary import AuxiliaryCatalog
from grouper.dip.codes import DiagnosisCodes, procedure_index
from grouper.encode import CodeLists
from reference_tables.auxiliary import default_auxiliary, read_auxiliary
from reference_tables.codes import load_code_books
from reference_tables.dip_build import build_dip_pack
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.pack_build import PackIdentity

Rows = Sequence[tuple[str, ...]]
GROUPS: Rows = (
    ("A09", "肠炎", "L", "1", "A09", "", "", "", "", "", "any", "", ""),
    ("C34", "肺癌", "L", "2", "C34", "", "", "", "", "", "any", "", ""),
)
SCORES: Rows = (("A09", "100", "50", "", "", "500000"), ("C34", "900", "50", "", "", "1000000"), ("A09-1", "50"))
_COLUMNS = {
    "age_years": pl.Int32, "age_days": pl.Int32, "sex": pl.Int8, "newborn_birth_weight_g": pl.Int32,
    "los_days": pl.Int32, "icu_hours": pl.Float64, "discharge_way": pl.String, "department": pl.String,
    "total_cost_fen": pl.Int64, "fee_treatment_fen": pl.Int64, "fee_western_drug_fen": pl.Int64,
    "fee_herbal_fen": pl.Int64, "fee_patent_drug_fen": pl.Int64,
}  # fmt: skip


def table(name: str, rows: Rows) -> pl.DataFrame:
    """A table of a DIP pack from rows of text, short rows filled up with blanks; the first row stands in line 2."""
    columns = list(dip_schema().tables[name].columns)
    filled = [dict(zip(columns, [*row, *[""] * (len(columns) - len(row))], strict=True)) for row in rows]
    frame = pl.DataFrame(filled, schema=dict.fromkeys(columns, pl.String))
    return frame.with_columns(pl.int_range(2, len(rows) + 2, dtype=pl.UInt32).alias("line"))


def tables(**changed: Rows) -> dict[str, pl.DataFrame]:
    """The tables of a pack of two core groups and a mixed one with the default auxiliary catalog, some changed."""
    given = {
        "layer": table("layer", [("L", "基础", "1", "number", "number")]),
        "core": table("core", GROUPS),
        "mixed": table("mixed", [("A09-1", "肠炎 内科", "category", "A09", "1")]),
        "score": table("score", SCORES),
        **default_auxiliary(),
    }
    return given | {name: table(name, rows) for name, rows in changed.items()}


def pack(**changed: Rows) -> DipPack:
    """The pack of `tables`."""
    return build_dip_pack(tables(**changed), PackIdentity("aux", "1", "辅助目录样例", None), None)


class Catalog:
    """The auxiliary catalog of a pack, asked case by case."""

    def __init__(self, given: DipPack) -> None:
        auxiliary = read_auxiliary(given.tables)
        books = load_code_books()
        self.dx = DiagnosisCodes(books, auxiliary.diagnosis_items())
        self.px = procedure_index(books, auxiliary.procedure_codes())
        self.catalog = AuxiliaryCatalog(given, self.dx, self.px)

    def encoded(self, cases: Sequence[Mapping[str, Any]]) -> tuple[pl.DataFrame, CodeLists, CodeLists]:
        """Cases as a frame (a column that no case gives is left out) with their codes as ids."""
        there = {name: dtype for name, dtype in _COLUMNS.items() if any(name in case for case in cases)}
        schema = {"diagnoses": pl.List(pl.String), "procedures": pl.List(pl.String), **there}
        frame = pl.DataFrame([{name: case.get(name) for name in schema} for case in cases], schema=schema)
        px = CodeLists(*self.px.encode_lists(frame["procedures"].fill_null([])))
        return frame, self.dx.encode_lists(frame["diagnoses"])[0], px

    def levels(self, *cases: Mapping[str, Any], mean_cost_fen: int | None = None) -> list[dict[str, str]]:
        """The levels of each case by dimension, dimensions without one left out."""
        frame, dx, px = self.encoded(cases)
        means = None if mean_cost_fen is None else pl.Series([mean_cost_fen] * len(cases), dtype=pl.Int64)
        rows = self.catalog.level_columns(frame, dx, px, means).rows(named=True)
        return [{name: level for name, level in row.items() if level} for row in rows]

    def of(self, group: str | None, **case: Any) -> tuple[str, Decimal]:
        """Text and factor of one case in a group."""
        frame, dx, px = self.encoded([case])
        text, factor = self.catalog.of(frame, dx, px, pl.Series([group], dtype=pl.String))
        return text.item(), factor.item()
