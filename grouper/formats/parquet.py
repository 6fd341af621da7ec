"""Parquet to case frames, batch by batch: the columns of the flat table, or canonical columns as we keep them.

A column that already has its canonical type is taken over; any other is turned into text and read as text
cells are, so that every rule about cells holds here too. Where several codes may stand in one cell there may
also be a list of them; in every other place a column of lists, structures or spans of time is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import polars as pl

from grouper.formats.cells import Complaints
from grouper.formats.detect import checked_header, find_header
from grouper.formats.header import TablePlan
from grouper.formats.lists import FLAT_SEPARATOR
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.pipeline import ordered_map
from grouper.formats.source import InputFile, IntakeError
from grouper.formats.tabular import canonical
from reference_tables.columns import columns
from reference_tables.problems import Problem, unreadable

NOT_TEXT = "IN14"
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_NO_CELL = {pl.List: "列表", pl.Array: "列表", pl.Struct: "含多个字段的结构", pl.Duration: "时长", pl.Object: "对象"}
"""Types of which no text is made, as a person calls them."""


def open_parquet(source: InputFile, options: ReadOptions) -> Opened:
    """A Parquet file, to be read in batches of `options.block_rows` rows. Raises IntakeError."""
    try:
        lazy = pl.scan_parquet(source.path, glob=False)
        schema = lazy.collect_schema()
    except _BROKEN as error:
        raise source.refused("IN01", reason=unreadable(error)) from error
    names = list(schema)
    _, plan = find_header(source, [names], options.fmt)
    ready = {
        name: f"r{at}"
        for at, name in enumerate(names)
        if name in columns() and name not in plan.columns and schema[name] == columns()[name].dtype and name != "row"
    }
    strange = tuple("" if name in ready or name == "row" else name for name in names)
    used = plan.reduced() if options.grouping_only else plan
    wrong = _no_cells(source, schema, names, used)
    try:
        notes = checked_header(source, replace(plan, header=strange), 0)
    except IntakeError as error:
        raise IntakeError([*error.problems, *wrong]) from None
    if wrong:
        raise IntakeError(wrong)
    if options.grouping_only:
        ready = {name: alias for name, alias in ready.items() if name == "defect"}
    wanted = {names[at]: f"c{at}" for at in used.positions} | ready
    batches = _batches(lazy, wanted, source, options.block_rows)
    have = tuple(name for name in columns() if name in plan.columns or name in ready)
    parts = ordered_map(lambda batch: _part(_as_cells(batch, source, used, names), used, ready, source.name), batches)
    return Opened(plan.format.name, have, parts, notes)


def _no_cells(source: InputFile, schema: pl.Schema, names: Sequence[str], plan: TablePlan) -> list[Problem]:
    """A problem (IN14) for each column that the plan reads and whose type no cell can have."""
    joined = {at for part in plan.lists.values() for at in (part.joined, part.others) if at is not None}
    found = []
    for at in plan.positions:
        dtype = schema[names[at]]
        if at in joined and isinstance(dtype, pl.List | pl.Array):
            dtype = cast("pl.DataType", dtype.inner)
        if type(dtype) in _NO_CELL:
            args = {"column": names[at], "found": _NO_CELL[type(dtype)]}
            found.append(Problem(NOT_TEXT, args, file=source.name, field=names[at]))
    return found


def _as_cells(batch: pl.DataFrame, source: InputFile, plan: TablePlan, names: Sequence[str]) -> pl.DataFrame:
    """A batch without fixed lists and bytes; lists beside a principal as joined text. Raises IntakeError for bytes that
    are no text."""
    others = {f"c{part.others}" for part in plan.lists.values() if part.others is not None}
    for series in batch.select(f"c{at}" for at in plan.positions):
        given, dtype = series, series.dtype
        if isinstance(dtype, pl.List | pl.Array) or dtype == pl.Binary:
            wanted = pl.String() if dtype == pl.Binary else pl.List(pl.String)
            try:
                given = given.cast(wanted)
            except pl.exceptions.PolarsError as error:
                column = names[int(series.name.removeprefix("c"))]
                raise source.refused(NOT_TEXT, column=column, found="不是 UTF-8 的字节") from error
            if series.name in others and wanted != pl.String():
                filled = given.list.eval(pl.element().fill_null(""))
                given = filled.list.join(FLAT_SEPARATOR).replace("", None)
            batch = batch.with_columns(given.alias(series.name))
    return batch


def _batches(lazy: pl.LazyFrame, wanted: dict[str, str], source: InputFile, block_rows: int) -> Iterator[pl.DataFrame]:
    """Batches of the wanted columns under their new names, with row numbers from 1.

    Renaming and numbering are done here: inside the query they make the reader run far ahead, and memory
    with it. Raises IntakeError when the data cannot be decoded.
    """
    row = 1
    try:
        for batch in lazy.select(list(wanted)).collect_batches(chunk_size=block_rows, maintain_order=True):
            rows = pl.int_range(row, row + batch.height, dtype=pl.UInt32, eager=True)
            row += batch.height
            yield batch.rename(wanted).insert_column(0, rows.alias("row"))
    except _BROKEN as error:
        raise source.refused("IN01", reason=unreadable(error)) from error


def _part(batch: pl.DataFrame, plan: TablePlan, ready: dict[str, str], file: str) -> Part:
    """One batch as canonical cases and problems."""
    complaints = Complaints(file, batch["row"])
    cases = canonical(batch, plan, complaints, ready={name: batch[alias] for name, alias in ready.items()})
    return Part(cases, complaints.frame())
