"""What a 4101A message leaves out (sex, age, hospital, money), from a table with one row a settlement."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from grouper.formats.source import IntakeError
from reference_tables.case_formats import format_facts
from reference_tables.columns import columns
from reference_tables.problems import PROBLEM_SCHEMA, Problem, problem_frame

AMBIGUOUS, NO_KEY = "IN49", "IN50"
_OWN = frozenset({"row", "defect", "case_id"})


class Companion:
    """A case table that is joined to messages by settlement or visit; a key that stands twice joins nothing."""

    def __init__(self, table: pl.DataFrame, columns_given: tuple[str, ...], file: str) -> None:
        """`columns_given` are the canonical columns that the table's file has. Raises IntakeError without a key."""
        keys = [name for name in format_facts().settlement.join_by if name in columns_given]
        if not keys:
            raise IntakeError([Problem(NO_KEY, file=file)])
        self._key = keys[0]
        self.columns = tuple(name for name in columns_given if name not in _OWN and name != self._key)
        rows = table.filter(pl.col(self._key).is_not_null())
        twice = rows[self._key].is_duplicated()
        self._rows = rows.filter(~twice).select(self._key, *self.columns)
        problems = []
        if twice.any():
            args: dict[str, str | int] = {"column": columns()[self._key].label, "count": int(twice.sum())}
            problems.append(Problem(AMBIGUOUS, args, file=file, field=self._key))
        self.problems = problem_frame(problems) if problems else pl.DataFrame(schema=PROBLEM_SCHEMA)

    def fill(self, values: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
        """Columns of messages with what they lack filled in from the table; what they have stays."""
        key = pl.DataFrame({self._key: values[self._key]})
        joined = key.join(self._rows, on=self._key, how="left", maintain_order="left")
        filled = dict(values)
        for name in self.columns:
            extra = joined[name]
            if extra.dtype == pl.List:
                nothing = pl.lit([], dtype=extra.dtype)
                extra = joined.select(pl.col(name).fill_null(nothing)).to_series()
            own = values.get(name)
            if own is None:
                filled[name] = extra
            else:
                has = own.list.len() > 0 if own.dtype == pl.List else own.is_not_null()
                filled[name] = own.zip_with(has, extra)
        return filled
