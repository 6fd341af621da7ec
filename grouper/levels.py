"""MCC and CC of a diagnosis beside a principal diagnosis: one table for all pairs.

A diagnosis counts at a level when a row of `cc.csv` lists it there and that row's exclusion table does not
contain the principal diagnosis; each row counts for itself (pack model, "QTZD in MCC").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from reference_tables.packs import DrgPack

MCC, CC = np.uint8(1), np.uint8(2)
LEVEL_BIT = {"MCC": MCC, "CC": CC}


@dataclass(frozen=True)
class LevelTable:
    """`listed` uint16 [dx ids]: class of the code's rows in cc.csv, 0 = not listed; `principal` uint16 [dx ids]:
    class of the principal by the exclusion tables that contain it; `effective` uint8 [principal classes,
    listed classes]: bit 0 MCC, bit 1 CC after exclusion."""

    listed: NDArray[np.uint16]
    principal: NDArray[np.uint16]
    effective: NDArray[np.uint8]

    def of(self, principal_ids: NDArray[np.integer], other_ids: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Levels of other diagnoses, element by element beside their principal: uint8 bits."""
        found: NDArray[np.uint8] = self.effective[self.principal[principal_ids], self.listed[other_ids]]
        return found


def build_levels(pack: DrgPack, index: CodeIndex) -> LevelTable:
    """The level table of a pack over the ids of a diagnosis index."""
    tables = sorted(set(pack.cc["exclusion"]) - {""})
    contains: dict[int, set[int]] = {}
    number = {name: at for at, name in enumerate(tables)}
    for name, code in pack.exclusion.select("exclusion", "code").iter_rows():
        if name in number:
            contains.setdefault(index.id_of(code), set()).add(number[name])
    principal = np.zeros(index.size, np.uint16)
    principal_classes: dict[frozenset[int], int] = {frozenset(): 0}
    for code_id, held in contains.items():
        principal[code_id] = principal_classes.setdefault(frozenset(held), len(principal_classes))
    listed = np.zeros(index.size, np.uint16)
    listed_classes: dict[frozenset[tuple[str, str]], int] = {frozenset(): 0}
    rows = (
        pack.cc.select("code", pl.struct("level", "exclusion").alias("row"))
        .group_by("code", maintain_order=True)
        .agg("row")
    )
    for code, entries in rows.iter_rows():
        key = frozenset((entry["level"], entry["exclusion"]) for entry in entries)
        listed[index.id_of(code)] = listed_classes.setdefault(key, len(listed_classes))
    effective = np.zeros((len(principal_classes), len(listed_classes)), np.uint8)
    for holding, row in principal_classes.items():
        for entries, column in listed_classes.items():
            for level, exclusion in entries:
                if exclusion == "" or number[exclusion] not in holding:
                    effective[row, column] |= LEVEL_BIT[level]
    return LevelTable(listed, principal, effective)
