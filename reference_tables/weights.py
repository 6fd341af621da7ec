"""Published weights and payment standards, one table per region and year, as exact numbers.

Where each table comes from, and whether its rate was printed or recovered from printed standards, stands in
`weights/sources.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import polars as pl

from reference_tables.manifest import FileEntry, Source, verify_files
from reference_tables.problems import Problem, TablesRefused
from reference_tables.table_files import LINE, read_table

_TEXTS = ("tier", "insurance", "drg")
_DECIMALS = {"rw": 6, "rate_or_point": 2, "coefficient": 4, "published_standard": 6}
SCALED = {
    "rw": "rw_e6",
    "rate_or_point": "rate_fen",
    "coefficient": "coefficient_e4",
    "published_standard": "standard_e6",
}


@dataclass(frozen=True)
class WeightTable:
    """The weights and payment standards one region published for one year.

    `frame`: tier, insurance, drg (String; 未注明 where the table does not tell them apart), and Int64 scaled
    exactly: rw_e6 (weight x 10^6), rate_fen (yuan per weight x 100), coefficient_e4 (x 10^4), standard_e6
    (payment standard in yuan x 10^6). One row per tier, insurance and group, in the published order. A
    published standard is rw x rate x coefficient to ten significant digits. Group codes are those of the
    region's own scheme. `rate`: printed in the table, or recovered from its standards.
    """

    region: str
    year: int
    frame: pl.DataFrame
    source: Source
    rate: Literal["printed", "recovered"]
    note: str


def _folder() -> Path:
    return Path(str(resources.files("reference_tables") / "weights"))


@cache
def _sources(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    data: dict[str, Any] = tomllib.loads((folder / "sources.toml").read_text(encoding="utf-8"))
    files: dict[str, dict[str, Any]] = data["files"]
    return files


def read_weights(folder: Path, name: str) -> WeightTable:
    """One table of a `weights` folder.

    Raises TablesRefused with every problem: TB02-TB07, TB17, TB18, TB21, TB22, TB26.
    """
    about = _sources(folder)[name]
    table = read_table(folder / name, {**dict.fromkeys(_TEXTS, "code"), **dict.fromkeys(_DECIMALS, "code")})
    problems = list(table.problems)
    if table.sha256:
        declared = {name: FileEntry(about["sha256"], about["rows"])}
        problems += verify_files(declared, {name: FileEntry(table.sha256, table.records)}, {})
    if table.frame is not None:
        problems += _row_problems(table.frame, name)
    if table.frame is None or problems:
        raise TablesRefused(f"weights/{name}", problems)
    return WeightTable(
        region=about["region"],
        year=about["year"],
        frame=table.frame.select(
            *_TEXTS,
            *(_scaled(column, digits).alias(SCALED[column]) for column, digits in _DECIMALS.items()),
        ),
        source=Source(about["title"], about["publisher"], carrier=about["carrier"], licence=about["licence"]),
        rate=about["rate"],
        note=about["note"],
    )


def _row_problems(frame: pl.DataFrame, name: str) -> list[Problem]:
    problems: list[Problem] = []
    for column in _TEXTS:
        problems += [
            Problem("TB06", {"column": column}, file=name, row=line, field=column)
            for line in frame.filter(pl.col(column) == "").get_column(LINE)
        ]
    for column, digits in _DECIMALS.items():
        exact = rf"^[0-9]{{1,9}}(\.[0-9]{{1,{digits}}})?$"
        wrong = frame.filter(~pl.col(column).str.contains(exact))
        for value, line in wrong.select(column, LINE).iter_rows():
            args: dict[str, str | int] = {"column": column, "value": value, "digits": digits}
            problems.append(Problem("TB26", args, file=name, row=line, field=column, value=value))
    first = frame.with_columns(first=pl.col(LINE).min().over(_TEXTS)).filter(pl.col(LINE) != pl.col("first"))
    for *key, line, at in first.select(*_TEXTS, LINE, "first").iter_rows():
        code = " ".join(key)
        problems.append(Problem("TB07", {"code": code, "first": at}, file=name, row=line, value=code))
    return problems


def _scaled(column: str, digits: int) -> pl.Expr:
    """Decimal text -> integer x 10^digits, by moving the point in the text: no float on the way."""
    parts = pl.col(column).str.splitn(".", 2).struct
    fraction = parts.field("field_1").fill_null("").str.pad_end(digits, "0")
    return pl.concat_str(parts.field("field_0"), fraction).cast(pl.Int64)


@cache
def weight_tables() -> Sequence[WeightTable]:
    """Every published table that comes with the program, by region and year."""
    folder = _folder()
    tables = [read_weights(folder, name) for name in _sources(folder)]
    return tuple(sorted(tables, key=lambda table: (table.region, table.year)))


def published_tables() -> Mapping[tuple[str, int], str]:
    """Region and year -> id of each published table."""
    return {(about["region"], about["year"]): name.removesuffix(".csv") for name, about in _sources(_folder()).items()}


def find_weights(region: str, year: int) -> WeightTable:
    """The table of one region and year; TablesRefused (TB27) naming what there is."""
    for table in weight_tables():
        if (table.region, table.year) == (region, year):
            return table
    known = "、".join(f"{table.region} {table.year}" for table in weight_tables())
    args: dict[str, str | int] = {"region": region, "year": year, "known": known}
    raise TablesRefused(f"{region} {year}", [Problem("TB27", args, value=region)])
