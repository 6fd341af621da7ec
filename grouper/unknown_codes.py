"""Codes that take no part in grouping, listed case by case: unknown to books and scheme, or grey."""

from __future__ import annotations

import numpy as np
import polars as pl

from grouper.code_index import NONE, UNKNOWN
from grouper.compile import CompiledScheme
from grouper.encode import CodeLists, EncodedCases
from grouper.normalize import CLINICAL_MARK
from reference_tables.problems import PROBLEM_SCHEMA, problem_rows

_COLUMNS = (("dx", "diagnoses", "GR01", "GR03"), ("px", "procedures", "GR02", "GR04"))


class UnknownCodes:
    """Finds unknown and grey codes of an encoded block; ready for one scheme."""

    def __init__(self, scheme: CompiledScheme) -> None:
        self.gray = {}
        for kind, _, _, _ in _COLUMNS:
            index = scheme.indexes[kind]
            gray = np.zeros(index.size, np.bool_)
            gray[index.ids(scheme.gray[kind])] = True
            for (of, _), inside in scheme.members.items():
                if of == kind:
                    gray &= ~inside
            self.gray[kind] = gray

    def problems(self, frame: pl.DataFrame, cases: EncodedCases, *, file: str = "") -> pl.DataFrame:
        """GR01 to GR04, one row a code, and GR07, in the order of cases (diagnoses before procedures)."""
        found = [pl.DataFrame(schema=PROBLEM_SCHEMA)]
        for kind, column, unknown, gray in _COLUMNS:
            lists = cases.dx if kind == "dx" else cases.px
            for code, flags in ((unknown, lists.flat == UNKNOWN), (gray, self.gray[kind][lists.flat])):
                places = np.flatnonzero(flags)
                if places.size:
                    found.append(_rows(frame, column, code, lists, places, file))
        none = (cases.px.principal == NONE) & (cases.px.lengths > 0)
        if none.any():
            found.append(problem_rows(frame.filter(pl.Series(none)), "GR07", file=file, field="procedures"))
        return pl.concat(found).sort("row", maintain_order=True)


def _rows(frame: pl.DataFrame, column: str, code: str, lists: CodeLists, places: np.ndarray, file: str) -> pl.DataFrame:
    rows = lists.row_of(places)
    taken = frame.select("row", "case_id", column)[rows].with_columns(pl.Series("item", places - lists.offsets[rows]))
    taken = taken.with_columns(pl.col(column).list.get(pl.col("item")).alias("code"))
    # A refused clinical code has been listed by the conversion.
    taken = taken.filter(~pl.col("code").str.starts_with(CLINICAL_MARK))
    return problem_rows(taken, code, file=file, field=column, value=pl.col("code"), args={"code": pl.col("code")})
