"""Writes small DIP packs as folders, so that a test can say a catalog in a few lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLUMNS = {
    "layer": ("code", "name", "order", "precedence", "ties"),
    "core": (
        "code", "name", "layer", "number", "principal_dx", "other_dx", "any_dx", "flag", "age_days",
        "birth_weight_g", "px_mode", "px", "related_px",
    ),
    "mixed": ("code", "name", "level", "scope", "nature"),
    "flag": ("flag", "role", "item"),
    "excluded_dx": ("code", "name"),
    "excluded_px": ("code", "name", "rule", "principal_dx"),
    "primary_care": ("number", "principal_dx", "px"),
    "nature": ("code", "nature"),
    "score": ("code", "score", "cases", "share", "cv", "mean_cost_fen"),
    "aux_level": ("dimension", "level", "name", "order", "rule"),
    "aux_set": ("set", "item"),
    "cci": ("disease", "name", "weight", "item", "covered_by"),
    "aux_factor": ("code", "dimension", "level", "factor"),
}  # fmt: skip

Row = Mapping[str, str | int]


@dataclass(frozen=True)
class DipText:
    """A DIP catalog as rows by table; a column that a row does not name is empty.

    `core` rows need a layer, a code and what they ask; number (the place in the list), px_mode (`principal` where
    the row has px, else `none`), principal_dx (any) and name are filled in where they are not given.
    """

    tables: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the pack's files into `folder` (made if needed) and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.tables.items():
            filled = [_filled(name, place, row) for place, row in enumerate(rows, start=1)]
            _write(folder, name, COLUMNS[name], ([row.get(column, "") for column in COLUMNS[name]] for row in filled))
        if self.meta:
            _write(folder, "meta", ("key", "value"), self.meta.items())
        return folder


def _filled(table: str, place: int, row: Row) -> Row:
    if table != "core":
        return row
    usual: dict[str, str | int] = {
        "number": place,
        "principal_dx": "*",
        "px_mode": "principal" if row.get("px") else "none",
        "name": f"病种 {row['code']}",
    }
    return {**usual, **row}


def layer(code: str, order: int, precedence: str = "specific", ties: str = "number") -> Row:
    """A row of layer.csv."""
    return {"code": code, "name": f"层 {code}", "order": order, "precedence": precedence, "ties": ties}


def _write(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
