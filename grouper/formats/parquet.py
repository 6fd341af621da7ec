"""Parquet to case frames, batch by batch: the columns of the flat table, or canonical columns as we keep them.

A column that already has its canonical type is taken over; any other is turned into text and read as text
cells are, so that every rule about cells holds here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from grouper.formats.cells import Complaints
from grouper.formats.detect import checked_header, find_header
from grouper.formats.header import TablePlan
from grouper.formats.parts import Opened, Part, ReadOptions
from grouper.formats.pipeline import ordered_map
from grouper.formats.source import InputFile
from grouper.formats.tabular import canonical
from reference_tables.columns import columns
from reference_tables.problems import unreadable

_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


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
    notes = checked_header(source, replace(plan, header=strange), 0)
    used = plan.reduced() if options.grouping_only else plan
    if options.grouping_only:
        ready = {name: alias for name, alias in ready.items() if name == "defect"}
    wanted = {names[at]: f"c{at}" for at in used.positions} | ready
    batches = _batches(lazy, wanted, source, options.block_rows)
    have = tuple(name for name in columns() if name in plan.columns or name in ready)
    parts = ordered_map(lambda batch: _part(batch, used, ready, source.name), batches)
    return Opened(plan.format.name, have, parts, notes)


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
