"""The tables of a DIP pack as read, before anything of them is known to be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from reference_tables.dip_cells import CellError
from reference_tables.dip_pack import dip_schema
from reference_tables.dip_rows import CoreRow, read_core_row, read_layers
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

PLACE = "place"
INTEGER = r"^[+-]?[0-9]{1,9}$"


def spelt() -> pl.Expr:
    """The column `code` as codes are compared: upper case, without outer blanks."""
    return pl.col("code").str.strip_chars().str.to_uppercase()


@dataclass(frozen=True)
class DipTables:
    """The tables of a DIP pack as text: name -> frame of its columns (String, no nulls), `line` and `place` (how
    messages call the file or sheet of the row). Every table of the schema is there, an absent one empty. `unread`:
    those that are empty because they could not be read; what refers to them cannot be judged."""

    frames: Mapping[str, pl.DataFrame]
    unread: frozenset[str] = frozenset()

    def each(self, table: str, *columns: str, where: pl.Expr | None = None) -> Iterator[tuple[Any, ...]]:
        """Rows as (place, line, *columns), those for which `where` holds."""
        frame = self.frames[table] if where is None else self.frames[table].filter(where)
        return frame.select(PLACE, LINE, *columns).iter_rows()


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A core group and how messages call the file or sheet it stands in."""

    row: CoreRow
    place: str


def problem(code: str, place: str, line: int, field: str = "", value: str = "", /, **args: str | int) -> Problem:
    """A problem of one row of a table."""
    return Problem(code, args, file=place, row=line, field=field, value=value)


def in_order(core: pl.DataFrame, layers: Sequence[str]) -> pl.DataFrame:
    """Core groups in the order of the pack: by layer as `layers` has them, then number, then line."""
    ranks = pl.DataFrame({"layer": layers}, schema={"layer": pl.String}).with_row_index("rank")
    ranked = core.join(ranks, on="layer", how="left", maintain_order="left")
    return ranked.sort("rank", pl.col("number").cast(pl.Int32), LINE, maintain_order=True).drop("rank")


def readable_rows(tables: DipTables) -> list[PlacedRow]:
    """The core groups that can be read, in the order of the pack: by layer, number and line. `place` of a row
    counts these alone. Rows with an unknown layer, mode or flag are left out as unreadable ones are."""
    words = dip_schema().words
    layer_ok = (
        pl.col("order").str.contains(INTEGER)
        & pl.col("precedence").is_in(words["precedence"])
        & pl.col("ties").is_in(words["ties"])
        & pl.col("code").is_first_distinct()
    )
    layers = read_layers(tables.frames["layer"].filter(layer_ok))
    flags = tables.frames["flag"]["flag"].implode()
    asked = pl.col("flag").str.strip_prefix("!")
    row_ok = (
        pl.col("number").str.contains(INTEGER)
        & pl.col("layer").is_in(list(layers))
        & pl.col("px_mode").is_in(words["px_mode"])
        & (pl.col("principal_dx") != "")
        & ((pl.col("flag") == "") | asked.is_in(flags))
        & (pl.col("px_mode").is_in(["any", "none"]) == (pl.col("px") == ""))
    )
    rows: list[PlacedRow] = []
    for cells in in_order(tables.frames["core"].filter(row_ok), list(layers)).iter_rows(named=True):
        try:
            row = read_core_row(len(rows), cells, layers[cells["layer"]], cells[LINE])
        except CellError:
            continue
        rows.append(PlacedRow(row, cells[PLACE]))
    return rows
