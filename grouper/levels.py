"""MCC and CC of a diagnosis beside a principal diagnosis: one table for all pairs.

A diagnosis counts at a level when a row of `cc.csv` lists it there and that row's exclusion table does not
contain the principal diagnosis; each row counts for itself (pack model, "QTZD in MCC").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    number = {name: at for at, name in enumerate(sorted(set(pack.cc["exclusion"]) - {""}))}
    contains: dict[int, set[int]] = {}
    ids = index.encode_column(pack.exclusion["code"]).tolist()
    for name, code_id in zip(pack.exclusion["exclusion"], ids, strict=True):
        if name in number:
            contains.setdefault(code_id, set()).add(number[name])
    principal = np.zeros(index.size, np.uint16)
    principal_classes: dict[frozenset[int], int] = {frozenset(): 0}
    for code_id, held in contains.items():
        principal[code_id] = principal_classes.setdefault(frozenset(held), len(principal_classes))
    rows: dict[int, set[tuple[str, str]]] = {}
    ids = index.encode_column(pack.cc["code"]).tolist()
    for code_id, level, exclusion in zip(ids, pack.cc["level"], pack.cc["exclusion"], strict=True):
        rows.setdefault(code_id, set()).add((level, exclusion))
    listed = np.zeros(index.size, np.uint16)
    listed_classes: dict[frozenset[tuple[str, str]], int] = {frozenset(): 0}
    for code_id, entries in rows.items():
        listed[code_id] = listed_classes.setdefault(frozenset(entries), len(listed_classes))
    effective = np.zeros((len(principal_classes), len(listed_classes)), np.uint8)
    for holding, row in principal_classes.items():
        for listing, column in listed_classes.items():
            for level, exclusion in listing:
                if exclusion == "" or number[exclusion] not in holding:
                    effective[row, column] |= LEVEL_BIT[level]
    return LevelTable(listed, principal, effective)
