"""Codes that take no part in grouping, listed case by case: unknown to books and scheme, or grey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE, UNKNOWN, CodeIndex
from grouper.compile import CompiledScheme
from grouper.dip.compile import CompiledDip
from grouper.encode import CodeLists
from grouper.normalize import CLINICAL_MARK
from reference_tables.problems import PROBLEM_SCHEMA, problem_rows

_LEFT_OUT = "不参与分组"
# Under DIP a diagnosis takes part by its first characters, and a procedure counts as one whatever it is.
_BY_BEGINNING = "只按所属类目、亚目参与分组"
_IN_NO_ROW = "不符合任何核心病种要求的手术操作，作主要手术操作时只按其性质归入综合病种"
# Separators of other systems and full-width characters: several codes in the place of one, or one mistyped.
_SEVERAL = r"[;,/、\uFF01-\uFF5E]|\S\s+\S"
_APART = "；多个编码须用半角 | 隔开，编码须用半角字符"
_COLUMN = {"dx": "diagnoses", "px": "procedures"}


class _Coded(Protocol):
    """The codes of a block of cases."""

    @property
    def dx(self) -> CodeLists: ...
    @property
    def px(self) -> CodeLists: ...


class _Check(NamedTuple):
    """Codes of a kind to list: which problem, `flags` bool [ids], and what becomes of such a code."""

    kind: str
    problem: str
    flags: NDArray[np.bool_]
    effect: str


class UnknownCodes:
    """Finds unknown and grey codes of an encoded block; ready for one scheme."""

    def __init__(self, scheme: CompiledScheme | CompiledDip) -> None:
        self.checks = _dip_checks(scheme) if isinstance(scheme, CompiledDip) else _drg_checks(scheme)
        self.promotes = isinstance(scheme, CompiledDip)

    def problems(self, frame: pl.DataFrame, cases: _Coded, *, file: str = "") -> pl.DataFrame:
        """GR01 to GR04, one row a code, in the order of cases (diagnoses before procedures); GR07 where the scheme
        promotes no other procedure."""
        found = [pl.DataFrame(schema=PROBLEM_SCHEMA)]
        for check in self.checks:
            lists = cases.dx if check.kind == "dx" else cases.px
            places = np.flatnonzero(check.flags.take(lists.flat))
            if places.size:
                found.append(_rows(frame, check, lists, places, file))
        none = (cases.px.principal == NONE) & (cases.px.lengths > 0)
        if none.any() and not self.promotes:
            found.append(problem_rows(frame.filter(pl.Series(none)), "GR07", file=file, field="procedures"))
        return pl.concat(found).sort("row", maintain_order=True)


def _drg_checks(scheme: CompiledScheme) -> list[_Check]:
    checks: list[_Check] = []
    for kind, unknown, gray in (("dx", "GR01", "GR03"), ("px", "GR02", "GR04")):
        index = scheme.indexes[kind]
        flags = _flags(index, scheme.gray[kind])
        for (of, _), inside in scheme.members.items():
            if of == kind:
                flags &= ~inside
        checks += [
            _Check(kind, unknown, np.arange(index.size) == UNKNOWN, _LEFT_OUT),
            _Check(kind, gray, flags, _LEFT_OUT),
        ]
    return checks


def _dip_checks(scheme: CompiledDip) -> list[_Check]:
    dx, px = scheme.dx.index, scheme.px
    nowhere = np.arange(dx.size) == UNKNOWN
    # A diagnosis in no book may have the id of its category or subcategory.
    beginning = ~scheme.dx.listed & ~nowhere
    beginning[NONE] = False
    return [
        _Check("dx", "GR01", nowhere, _LEFT_OUT),
        _Check("dx", "GR01", beginning, _BY_BEGINNING),
        _Check("dx", "GR03", _flags(dx, scheme.gray["dx"]) & ~scheme.named["dx"], _BY_BEGINNING),
        _Check("px", "GR02", np.arange(px.size) == UNKNOWN, _IN_NO_ROW),
        _Check("px", "GR04", _flags(px, scheme.gray["px"]) & ~scheme.named["px"], _IN_NO_ROW),
    ]


def _flags(index: CodeIndex, codes: Iterable[str]) -> NDArray[np.bool_]:
    flags = np.zeros(index.size, np.bool_)
    flags[index.ids(codes)] = True
    return flags


def _rows(frame: pl.DataFrame, check: _Check, lists: CodeLists, places: NDArray[np.int64], file: str) -> pl.DataFrame:
    column = _COLUMN[check.kind]
    rows = lists.row_of(places)
    taken = frame.select("row", "case_id", column)[rows].with_columns(pl.Series("item", places - lists.offsets[rows]))
    taken = taken.with_columns(pl.col(column).list.get(pl.col("item")).alias("code"))
    # A refused clinical code has been listed by the conversion.
    taken = taken.filter(~pl.col("code").str.starts_with(CLINICAL_MARK))
    advice = pl.when(pl.col("code").str.contains(_SEVERAL)).then(pl.lit(_APART)).otherwise(pl.lit(""))
    effect = pl.lit(check.effect) + advice
    args: dict[str, pl.Expr | str] = {"code": pl.col("code"), "effect": effect}
    return problem_rows(taken, check.problem, file=file, field=column, value=pl.col("code"), args=args)
