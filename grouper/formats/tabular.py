"""A block of text cells with a plan becomes canonical cases; the same for CSV, workbooks and Parquet."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from grouper.formats import cells as convert
from grouper.formats.blanks import blanks_or_nothing
from grouper.formats.cells import Complaints
from grouper.formats.frames import case_frame
from grouper.formats.header import TablePlan
from grouper.formats.lists import from_cells
from reference_tables.columns import Column, columns
from reference_tables.formula_cells import as_given

CODE_AS_NUMBER = "IN38"
_KEYS = ("case_id", "hospital_id")


def canonical(
    cells: pl.DataFrame,
    plan: TablePlan,
    complaints: Complaints,
    *,
    blanks: bool | None = None,
    marked: bool = True,
    numbers: Mapping[int, pl.Series] | None = None,
    ready: Mapping[str, pl.Series] | None = None,
) -> pl.DataFrame:
    """The canonical frame of a block.

    `cells` has a column `c{position}` for every position of the plan, null = nothing given: text, or what a
    typed file holds. `blanks` says whether texts may have blanks around their content, None that it is not
    known; `marked` that marks for nothing may stand in cells. `numbers` tells for code cells by position
    where a workbook stores a number; `ready` are columns in their canonical type.
    """
    cells = _plain(cells, plan, blanks=blanks, marked=marked)
    values: dict[str, pl.Series] = dict(ready or {})
    for name, positions in plan.whole.items():
        value, *shared = (convert.scalar(cells[f"c{at}"], columns()[name], complaints) for at in positions)
        for other in shared:
            value = value.zip_with(value.is_not_null(), other)
        values[name] = value
    if ready is None:
        values.update(_keys_as_given(values))
    for name, roles in plan.durations.items():
        parts = {role: cells[f"c{at}"] for role, at in roles.items()}
        values[name] = convert.minutes_of_parts(parts, columns()[name], complaints)
    for at, where in (numbers or {}).items():
        complaints.at(CODE_AS_NUMBER, where, _owner(plan, at), cells[f"c{at}"])
    values.update(from_cells(cells, plan.lists, complaints, blanks=blanks))
    return case_frame(values, plan.format, complaints)


def _plain(cells: pl.DataFrame, plan: TablePlan, *, blanks: bool | None, marked: bool) -> pl.DataFrame:
    """Cells without outer blanks, and null where nothing or the format's marks for nothing stand."""
    text = [series.name for series in cells if series.dtype == pl.String and series.null_count() < len(series)]
    # the items of a joined cell are looked at one by one, after the split
    joined = {f"c{part.joined}" for part in plan.lists.values()}
    found = {name: blanks_or_nothing(cells[name]) for name in text} if blanks is None else {}
    unclean = [name for name in text if name not in joined and (blanks or (found and found[name][0]))]
    nothing = [name for name in text if blanks or (found and any(found[name]))]
    if unclean or nothing:
        cells = cells.with_columns(pl.col(unclean).str.strip_chars()).with_columns(pl.col(nothing).replace("", None))
    if plan.format.empty and marked:
        marks = list(plan.format.empty)
        cells = cells.with_columns(pl.col(text).replace(marks, [None] * len(marks)))
    return cells


def _keys_as_given(values: Mapping[str, pl.Series]) -> dict[str, pl.Series]:
    """Keys taken over from one of our own CSV files, where it guards them from being taken for a formula."""
    keys = pl.DataFrame([values[name].alias(name) for name in _KEYS if name in values])
    marked = [series.name for series in keys if series.str.starts_with("'").any()]
    return {series.name: series for series in as_given(keys.select(marked))}


def _owner(plan: TablePlan, position: int) -> Column | None:
    """The list column that a cell belongs to."""
    name = next((name for name, part in plan.lists.items() if position in part.positions), "")
    return columns().get(name)
