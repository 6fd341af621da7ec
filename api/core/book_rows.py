"""The files of a year book as bytes and rows: no more columns, and of no more cases, than are asked for.

A year of a city is millions of cases; a month's settlement looks at the ids of all of them and at the whole of a few.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import orjson
import polars as pl


def part_of(data: bytes, names: Sequence[str], among: pl.DataFrame | None) -> pl.DataFrame:
    """Some columns of a file of the book (its bytes), in its order; with `among` the rows that it has the ids of."""
    if among is None:
        return pl.read_parquet(io.BytesIO(data), columns=list(names)).select(names)
    wanted = pl.read_parquet(io.BytesIO(data), columns=among.columns).with_row_index("at")
    rows = wanted.join(among, on=among.columns, how="semi", maintain_order="left")["at"]
    if rows.is_empty():
        return pl.read_parquet(io.BytesIO(data), columns=list(names), n_rows=0).select(names)
    return pl.read_parquet(io.BytesIO(data), columns=list(names)).select(pl.col(names).gather(rows))


def parquet_of(frame: pl.DataFrame) -> bytes:
    """A frame as the bytes of a file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def json_of(value: object) -> bytes:
    """A document as the bytes of a file."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"
