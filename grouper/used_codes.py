"""Which of a case's codes met the membership conditions of the rules that took it, by whole columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.compile import KIND_OF_FIELD, CompiledScheme
from grouper.encode import CodeLists, EncodedCases
from grouper.levels import LEVEL_BIT
from reference_tables.rule_ast import LEVEL_SETS, And, Count, Member, Node, Not, Or

_FIELDS = ("ZYZD", "QTZD", "ZYSS", "QTSS")


def _asked(node: Node, *, positive: bool = True) -> Iterator[tuple[str, str]]:
    """(field, set) of every membership that the rule asks for, negated ones left out."""
    if isinstance(node, And | Or):
        for item in node.items:
            yield from _asked(item, positive=positive)
    elif isinstance(node, Not):
        yield from _asked(node.item, positive=not positive)
    elif isinstance(node, Member):
        if node.negated is not positive:
            yield from ((name, set_name) for name in node.fields for set_name in node.sets)
    elif isinstance(node, Count) and positive:
        yield from ((name, node.set) for name in node.fields)


class UsedCodes:
    """For each path and code field, the codes its rules ask for."""

    def __init__(self, scheme: CompiledScheme) -> None:
        self.scheme = scheme
        asked = [{pair for rule in path.rules for pair in _asked(rule)} for path in scheme.paths]
        self.level_mask = np.zeros(len(scheme.paths), np.uint8)
        for at, pairs in enumerate(asked):
            for name in LEVEL_SETS & {set_name for field, set_name in pairs if field == "QTZD"}:
                self.level_mask[at] |= LEVEL_BIT[name]
        self.union_of: dict[str, NDArray[np.int32]] = {}
        self.tables: dict[str, NDArray[np.uint8]] = {}
        for field in _FIELDS:
            unions: dict[frozenset[str], int] = {frozenset(): 0}
            wanted = [frozenset(name for of, name in pairs if of == field) - LEVEL_SETS for pairs in asked]
            of_path = [unions.setdefault(names, len(unions)) for names in wanted]
            self.union_of[field] = np.array(of_path, np.int32)
            self.tables[field] = self._table(KIND_OF_FIELD[field], list(unions))

    def _table(self, kind: str, unions: list[frozenset[str]]) -> NDArray[np.uint8]:
        """Bits packed by eight: uint8 [unions, ids / 8]."""
        members = self.scheme.set_ids.members
        return np.stack([np.packbits(members(kind, names), bitorder="little") for names in unions])

    def _in_union(self, field: str, unions: NDArray[np.int32], ids: NDArray[np.integer]) -> NDArray[np.bool_]:
        table = self.tables[field]
        places = unions.astype(np.int64) * table.shape[1] + (ids >> 3)
        bits = table.ravel().take(places) >> (ids & 7).astype(np.uint8)
        return np.asarray((bits & 1).astype(np.bool_))

    def of(self, cases: EncodedCases, paths: NDArray[np.int32]) -> pl.Series:
        """Used codes of each case joined by `|`: diagnoses before procedures, principal first; "" without a path."""
        grouped = paths >= 0
        safe = np.where(grouped, paths, 0)
        parts = [
            self._principal("ZYZD", cases.dx, safe, grouped),
            self._others("QTZD", cases, safe, grouped),
            self._principal("ZYSS", cases.px, safe, grouped),
            self._others("QTSS", cases, safe, grouped),
        ]
        return joined_parts(parts)

    def _spelling(self, field: str) -> pl.Series:
        return self.scheme.indexes[KIND_OF_FIELD[field]].spelling

    def _principal(
        self, field: str, lists: CodeLists, paths: NDArray[np.int32], grouped: NDArray[np.bool_]
    ) -> pl.Series:
        ids = lists.principal
        used = self._in_union(field, self.union_of[field].take(paths), ids) & grouped
        return self._spelling(field).gather(pl.Series(np.where(used, ids, 0)))

    def _others(
        self, field: str, cases: EncodedCases, paths: NDArray[np.int32], grouped: NDArray[np.bool_]
    ) -> pl.Series:
        lists = cases.dx if field == "QTZD" else cases.px
        union = self.union_of[field].take(paths)
        levels = self.level_mask.take(paths) if field == "QTZD" else np.zeros(len(paths), np.uint8)
        asked = ((union > 0) | (levels > 0)) & grouped
        places = np.flatnonzero(np.repeat(asked, lists.lengths))
        rows = lists.row_of(places)
        others = places != lists.offsets[rows]
        rows, ids = rows[others], lists.flat[places[others]]
        used = self._in_union(field, union[rows], ids)
        if field == "QTZD":
            principal = cases.dx.principal[rows]
            used |= (self.scheme.levels.of(principal, ids) & levels[rows]) != 0
        rows, ids = rows[used], ids[used]
        return joined_by_case(rows, self._spelling(field).gather(pl.Series(ids)), cases.size)


def joined_by_case(rows: NDArray[np.int64], codes: pl.Series, size: int) -> pl.Series:
    """The codes of each of `size` cases joined by `|`, null without any; `rows`: the case of each code, ascending."""
    joined = (
        pl.DataFrame({"row": rows, "code": codes})
        .group_by("row", maintain_order=True)
        .agg(pl.col("code").str.join("|"))
    )
    pool = pl.concat([pl.Series("code", [None], dtype=pl.String), joined["code"]])
    at = np.zeros(size, np.uint32)
    at[joined["row"].to_numpy()] = np.arange(1, joined.height + 1, dtype=np.uint32)
    return pool.gather(pl.Series(at))


def joined_parts(parts: list[pl.Series]) -> pl.Series:
    """Several columns of used codes joined by `|` case by case, nulls left out."""
    frame = pl.DataFrame({str(at): part for at, part in enumerate(parts)})
    return frame.select(pl.concat_str(pl.all(), separator="|", ignore_nulls=True).alias("used_codes")).to_series()
