"""The core groups of a DIP pack as parsed rows: what the engine compiles, a person looks up and a check compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from reference_tables.dip_cells import (
    ANY,
    Alternative,
    DiagnosisItem,
    diagnosis_items,
    number_range,
    procedure_alternatives,
)

Range = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of core groups. `order`: place in which it is tried; `specific`: narrower rows win, else the lowest
    number; `refuse_ties`: two rows that fit a case equally are an error."""

    code: str
    name: str
    order: int
    specific: bool
    refuse_ties: bool


@dataclass(frozen=True, slots=True)
class CoreRow:
    """One core group and its conditions; all of them must hold.

    `principal`: None = any principal diagnosis, else the principal diagnosis falls under one item. `other`: one of
    the other diagnoses does; `anywhere`: some diagnosis does; both () = not asked. `flag` with `flag_wanted`: the
    named condition holds, or does not hold ("" = not asked). `age_days`, `birth_weight_g`: inclusive, None = not
    asked; an unknown number is in no range.

    `px_mode`: any = procedures are not asked; none = no effective principal procedure (保守治疗); principal = some
    alternative has the effective principal procedure among its codes and all its codes among the case's
    procedures; anywhere = some alternative has all its codes among the case's procedures; exact = the case's
    procedures are exactly one alternative. `related` (with principal only): some alternative has all its codes
    among the other procedures; () = not asked.
    """

    place: int
    code: str
    name: str
    layer: Layer
    number: int
    principal: tuple[DiagnosisItem, ...] | None
    other: tuple[DiagnosisItem, ...]
    anywhere: tuple[DiagnosisItem, ...]
    flag: str
    flag_wanted: bool
    age_days: Range | None
    birth_weight_g: Range | None
    px_mode: str
    px: tuple[Alternative, ...]
    related: tuple[Alternative, ...]
    line: int


def read_layers(frame: pl.DataFrame) -> dict[str, Layer]:
    """The layers of a checked layer table by code, in the order they are tried."""
    rows = frame.with_columns(pl.col("order").cast(pl.Int32)).sort("order")
    return {
        code: Layer(code, name, order, precedence == "specific", ties == "refuse")
        for code, name, order, precedence, ties in rows.select(
            "code", "name", "order", "precedence", "ties"
        ).iter_rows()
    }


def read_core_row(place: int, row: Mapping[str, str], layer: Layer, line: int) -> CoreRow:
    """One row of core.csv. Raises CellError for a cell that cannot be read."""
    flag = row["flag"]
    return CoreRow(
        place=place,
        code=row["code"],
        name=row["name"],
        layer=layer,
        number=int(row["number"]),
        principal=None if row["principal_dx"] == ANY else diagnosis_items(row["principal_dx"]),
        other=diagnosis_items(row["other_dx"]),
        anywhere=diagnosis_items(row["any_dx"]),
        flag=flag.removeprefix("!"),
        flag_wanted=not flag.startswith("!"),
        age_days=number_range(row["age_days"]),
        birth_weight_g=number_range(row["birth_weight_g"]),
        px_mode=row["px_mode"],
        px=procedure_alternatives(row["px"]),
        related=procedure_alternatives(row["related_px"]),
        line=line,
    )
