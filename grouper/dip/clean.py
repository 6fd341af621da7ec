"""The effective principal procedure of each case: the first recorded one that may stand as principal procedure.

Source: 《按病种分值（DIP）付费3.0版分组方案》, 五、不纳入分组的主要手术操作, and its remarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE, CodeIndex, Ids
from grouper.dip.codes import DiagnosisCodes
from grouper.encode import CodeLists
from reference_tables.dip_cells import diagnosis_items

_ACCEPTED, _SKIPPED, _WITH_PRINCIPAL, _CONSERVATIVE = range(4)
_RULES = {"not_principal": _SKIPPED, "with_principal": _WITH_PRINCIPAL, "conservative": _CONSERVATIVE}


@dataclass(frozen=True)
class CleanProcedures(CodeLists):
    """All recorded procedures of each case; principal is the effective one, wherever it stands.

    `places` int64 [cases]: where in `flat` the effective principal procedure stands, -1 = none (保守治疗).
    """

    places: NDArray[np.int64]

    @cached_property
    def principal(self) -> Ids:
        """Id of the effective principal procedure of each case, 0 = none."""
        found = np.zeros(len(self.places), self.flat.dtype)
        there = self.places >= 0
        found[there] = self.flat[self.places[there]]
        return found

    @cached_property
    def principal_positions(self) -> NDArray[np.int64]:
        """Places in `flat` that hold an effective principal procedure."""
        return self.places[self.places >= 0]


class Cleaning:
    """What becomes of each procedure in the search for the principal one. `left_out` bool [px ids]: what does not
    count in a combination of procedures: conservative treatment, and a blank."""

    def __init__(self, excluded: pl.DataFrame, dx: DiagnosisCodes, px: CodeIndex, *, ends: bool) -> None:
        """`excluded`: code, rule, principal_dx of excluded_px.csv, the first row of a code counts; `ends`: a
        conservative procedure that stands first makes the case conservative, else the next one is asked."""
        self.ends = ends
        self.rule = np.full(px.size, _ACCEPTED, np.uint8)
        self.rule[NONE] = _SKIPPED
        self._cell = np.zeros(px.size, np.int64)
        cells: dict[str, int] = {}
        ids = px.encode_column(excluded["code"].str.strip_chars().str.to_uppercase()).tolist()
        rows = excluded.select("rule", "principal_dx").iter_rows()
        # Where the list repeats a code, its first row counts.
        for at, (rule, cell) in reversed(list(zip(ids, rows, strict=True))):
            self.rule[at] = _RULES[rule]
            self._cell[at] = cells.setdefault(cell if rule == "with_principal" else "", len(cells))
        allowed = [dx.members(diagnosis_items(cell)) for cell in cells]
        self._allowed = np.stack(allowed) if allowed else np.zeros((1, dx.index.size), np.bool_)
        self.left_out = self.rule == _CONSERVATIVE
        self.left_out[NONE] = True

    def of(self, procedures: CodeLists, principal: Ids) -> CleanProcedures:
        """The procedures with the effective principal one found; `principal`: ids of the principal diagnoses."""
        offsets, flat = procedures.offsets, procedures.flat
        places = np.full(len(offsets) - 1, -1, np.int64)
        at = offsets[:-1].copy()
        rows = np.flatnonzero(procedures.lengths)
        while rows.size:
            here = at[rows]
            codes = flat[here]
            rule = self.rule.take(codes)
            accepted = rule == _ACCEPTED
            asked = np.flatnonzero(rule == _WITH_PRINCIPAL)
            if asked.size:
                accepted[asked] = self._allowed[self._cell[codes[asked]], principal[rows[asked]]]
            places[rows[accepted]] = here[accepted]
            going = ~accepted
            if self.ends:
                going &= rule != _CONSERVATIVE
            rows = rows[going]
            at[rows] += 1
            rows = rows[at[rows] < offsets[rows + 1]]
        return CleanProcedures(flat, offsets, places)
