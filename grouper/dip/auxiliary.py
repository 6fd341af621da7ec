"""The auxiliary catalog (辅助目录) over whole columns: the levels of each case and its correction factor.

In each dimension a case stands in the first level whose rule is true, or in none. In a core group (核心病种) its text
lists these levels as DIMENSION:LEVEL joined by `|`, dimensions by the smallest order of their levels, whether or not
a factor goes with them; its factor is the highest of the factors that its group gives them (the group's own row of
aux_factor before the row `*` for the same dimension and level), 1 when there is none. Outside the core groups the text
is blank and the factor 1. Meaning of the rules' fields: `reference_tables.auxiliary`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from math import prod
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import CodeIndex
from grouper.dip.auxiliary_conditions import AuxiliaryConditions
from grouper.dip.codes import DiagnosisCodes
from grouper.dip.result import FACTOR
from grouper.encode import CodeLists
from reference_tables.auxiliary import EVERY_GROUP, Auxiliary, Dimension, cost_fields, read_auxiliary
from reference_tables.columns import columns
from reference_tables.dip_pack import DipPack
from reference_tables.problems import Problem
from reference_tables.rule_ast import Compare, atoms

_WIDEST_TABLE = 1 << 20
_NO_FACTOR = Decimal(1)
Levels = NDArray[np.int64]


class AuxiliaryCatalog:
    """The auxiliary catalog of a pack made ready. Safe to share between threads."""

    def __init__(self, pack: DipPack, diagnosis_codes: DiagnosisCodes, procedure_index: CodeIndex) -> None:
        """`diagnosis_codes` and `procedure_index` must know what `Auxiliary.diagnosis_items` and
        `Auxiliary.procedure_codes` list."""
        self.auxiliary = read_auxiliary(pack.tables)
        self.conditions = AuxiliaryConditions(self.auxiliary, diagnosis_codes, procedure_index, pack.newborn_weight)
        self.sizes = [len(dimension.levels) + 1 for dimension in self.auxiliary.dimensions]
        self._core = pack.tables["core"]["code"].unique(maintain_order=True)
        self._mean_costs = _mean_costs(pack.tables["score"], self._core)
        self._pool, self._ranks = _factors(self.auxiliary, self._core)

    def of(self, frame: pl.DataFrame, dx: CodeLists, px: CodeLists, group: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Text and factor of every case of a block.

        `frame`: the canonical cases; `dx`, `px`: their diagnoses and procedures as ids of the two indexes; `group`
        (String): the DIP group; null, "" or any other code than a core group's stand for none. Returns `auxiliary`
        (String) and `factor` (FACTOR).
        """
        at = self._places(group)
        levels = self._levels(frame, dx, px, self._mean_costs.take(at))
        rank = np.zeros(frame.height, np.int64)
        for size, ranks, level in zip(self.sizes, self._ranks, levels, strict=True):
            np.maximum(rank, ranks.take(at * size + level), out=rank)
        for level in levels:
            level[at == 0] = 0
        return self._texts(levels, frame.height), self._pool.gather(pl.Series(rank)).alias("factor")

    def level_columns(
        self, frame: pl.DataFrame, dx: CodeLists, px: CodeLists, mean_cost_fen: pl.Series | None = None
    ) -> pl.DataFrame:
        """The level of every case in each dimension, "" = none: one Enum column a dimension, whatever the group.

        `mean_cost_fen` (Int64): mean cost of each case's group, what FYBL is a percentage of; None or a null = unknown.
        """
        none = np.zeros(frame.height, np.int64)
        means = none if mean_cost_fen is None else mean_cost_fen.cast(pl.Int64).fill_null(0).to_numpy()
        levels = self._levels(frame, dx, px, means)
        return pl.DataFrame(
            {
                dimension.code: _labels(dimension).gather(pl.Series(level))
                for dimension, level in zip(self.auxiliary.dimensions, levels, strict=True)
            }
        )

    def unanswered(self, given: Collection[str], file: str = "") -> list[Problem]:
        """AU80, once, when a file of cases with the columns `given` lacks cost columns that the rules ask for."""
        asked = {atom.field for rule in self.auxiliary.rules() for atom in atoms(rule) if isinstance(atom, Compare)}
        fields = cost_fields()
        wanted = {"FYBL": (), **fields.shares}
        lacking: dict[str, list[str]] = {}
        for field in sorted(asked & wanted.keys()):
            parts = wanted[field]
            missing = [fields.total] if fields.total not in given else []
            missing += parts if not set(parts) & set(given) else []
            if missing:
                lacking[field] = missing
        if not lacking:
            return []
        names = dict.fromkeys(columns()[column].label for missing in lacking.values() for column in missing)
        return [Problem("AU80", {"columns": "、".join(names), "fields": "、".join(lacking)}, file=file)]

    def _places(self, group: pl.Series) -> Levels:
        """1 + place of each case's group among the core groups, 0 = not in a core group."""
        numbers = pl.int_range(1, len(self._core) + 1, eager=True)
        return group.replace_strict(self._core, numbers, default=0, return_dtype=pl.Int64).fill_null(0).to_numpy()

    def _levels(
        self, frame: pl.DataFrame, dx: CodeLists, px: CodeLists, mean_cost_fen: NDArray[np.int64]
    ) -> list[Levels]:
        """1 + place of the level of each case in each dimension, 0 = none."""
        cases = self.conditions.of(frame, dx, px, mean_cost_fen)
        found = []
        for dimension in self.auxiliary.dimensions:
            level = np.zeros(frame.height, np.int64)
            for at in range(len(dimension.levels), 0, -1):
                level[cases.true(dimension.levels[at - 1].rule)] = at
            found.append(level)
        return found

    def _texts(self, levels: Sequence[Levels], height: int) -> pl.Series:
        """DIMENSION:LEVEL of the levels reached, joined by `|`; each different combination is written once."""
        if prod(self.sizes) >= 1 << 62:
            rows = np.stack(levels)
            different, place = np.unique(rows, axis=1, return_inverse=True)
            return pl.Series(self._joined(different.T)).gather(pl.Series(place.ravel())).alias("auxiliary")
        number = np.zeros(height, np.int64)
        for size, level in zip(self.sizes, levels, strict=True):
            number *= size
            number += level
        different, place = _different(number, prod(self.sizes))
        digits = np.zeros((len(different), len(self.sizes)), np.int64)
        for at in range(len(self.sizes) - 1, -1, -1):
            different, digits[:, at] = np.divmod(different, self.sizes[at])
        texts = pl.Series(self._joined(digits), dtype=pl.String)
        return texts.gather(pl.Series(place)).alias("auxiliary")

    def _joined(self, rows: NDArray[np.int64]) -> list[str]:
        dimensions = self.auxiliary.dimensions
        return [
            "|".join(_pair(dimension, level) for dimension, level in zip(dimensions, row, strict=True) if level)
            for row in rows.tolist()
        ]


def _pair(dimension: Dimension, level: int) -> str:
    return f"{dimension.code}:{dimension.levels[level - 1].code}"


def _labels(dimension: Dimension) -> pl.Series:
    """The level codes of a dimension after "" (Enum), in the order they are tried."""
    labels = ["", *(level.code for level in dimension.levels)]
    return pl.Series(labels, dtype=pl.Enum(labels))


def _different(numbers: Levels, size: int) -> tuple[Levels, NDArray[Any]]:
    """The different numbers (all below `size`), ascending, and the place of each number among them."""
    if size > _WIDEST_TABLE:
        different, place = np.unique(numbers, return_inverse=True)
        return different, place
    there = np.zeros(size, np.bool_)
    there[numbers] = True
    different = np.flatnonzero(there)
    places = np.zeros(size, np.int64)
    places[different] = np.arange(len(different))
    return different, places.take(numbers)


def _mean_costs(scores: pl.DataFrame, core: pl.Series) -> NDArray[np.int64]:
    """int64 [1 + core groups]: mean cost of each group in fen, 0 = unknown; entry 0 stands for no core group."""
    known = dict(scores.select("code", "mean_cost_fen").iter_rows())
    return np.array([0, *(int(known.get(code) or 0) for code in core)], np.int64)


def _factors(auxiliary: Auxiliary, core: pl.Series) -> tuple[pl.Series, list[NDArray[np.int64]]]:
    """The different factors ascending after "none" (FACTOR), and by dimension the rank of the factor of each
    (1 + place of the core group) x levels + level; the highest rank is the highest factor, rank 0 is none."""
    values = sorted(set(auxiliary.factors.values()))
    rank = {value: at for at, value in enumerate(values, start=1)}
    place = {code: at for at, code in enumerate(core, start=1)}
    tables: list[NDArray[np.int64]] = []
    for dimension in auxiliary.dimensions:
        table = np.zeros((1 + len(core), len(dimension.levels) + 1), np.int64)
        column = {level.code: at for at, level in enumerate(dimension.levels, start=1)}
        own = [(key, value) for key, value in auxiliary.factors.items() if key[1] == dimension.code]
        for (_, _, level), value in (item for item in own if item[0][0] == EVERY_GROUP):
            table[1:, column[level]] = rank[value]
        for (code, _, level), value in (item for item in own if item[0][0] != EVERY_GROUP):
            table[place[code], column[level]] = rank[value]
        tables.append(table.ravel())
    return pl.Series("factor", [_NO_FACTOR, *values], dtype=FACTOR), tables
