"""Made cases as the files hospitals send: flat table, HQMS front pages, settlement lists, Parquet.

Every writer takes blocks of canonical cases (`make_cases.py`, with details) and returns how many it wrote.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from benchmarks.write_hqms import front_pages
from benchmarks.write_settlement import settlement_lists

PART_ROWS = 1 << 14
Frames = Iterable[pl.DataFrame]
_CODE_COLUMNS = {"diagnoses": ("principal_dx", "other_dx"), "procedures": ("principal_px", "other_px")}
_FLAT = (
    "case_id", "hospital_id", "hospital_name", "hospital_level", "sex", "age_years", "age_days",
    "newborn_birth_weight_g", "newborn_admission_weight_g", "birth_date", "admission_time", "discharge_time",
    "los_days", "icu_hours", "discharge_way", "department", "insured_region", "insurance_type", "payment_method",
    "stay_type", "admission_route", "principal_dx", "other_dx", "principal_px", "other_px", "dx_on_admission",
    "px_begin", "total_cost", "fund_pay", "self_pay", "own_pay", "account_pay", "cash_pay",
)  # fmt: skip
_HEADERS = {"admission_time": "admission_date", "discharge_time": "discharge_date"}


def yuan(name: str) -> pl.Expr:
    """Whole fen as exact yuan text with two decimals."""
    fen = pl.col(name)
    return (fen // 100).cast(pl.String) + "." + (fen % 100).cast(pl.String).str.zfill(2)


def moment(name: str) -> pl.Expr:
    """A time as text to the second."""
    return pl.col(name).dt.to_string("%Y-%m-%d %H:%M:%S")


def flat_table(cases: pl.DataFrame) -> pl.DataFrame:
    """The flat table, all text: lists with `|`, principal codes apart, money in yuan."""
    columns: list[pl.Expr] = []
    for name in cases.columns:
        dtype = cases.schema[name]
        if name in _CODE_COLUMNS:
            first, others = _CODE_COLUMNS[name]
            columns.append(pl.col(name).list.first().alias(first))
            columns.append(pl.col(name).list.slice(1).list.join("|").alias(others))
        elif dtype == pl.List(pl.Datetime("us")):
            days = pl.col(name).list.eval(pl.element().dt.to_string("%Y-%m-%d %H:%M"))
            columns.append(days.list.join("|").alias(name))
        elif isinstance(dtype, pl.List):
            columns.append(pl.col(name).list.join("|"))
        elif name.endswith("_fen"):
            columns.append(yuan(name).alias(name.removesuffix("_fen")))
        elif isinstance(dtype, pl.Datetime):
            columns.append(moment(name).alias(name))
        else:
            columns.append(pl.col(name).cast(pl.String))
    wide = cases.select(columns)
    kept = [name for name in _FLAT if name in wide.columns]
    kept += [name for name in wide.columns if name.startswith("fee_")]
    return wide.select(pl.col(kept).replace("", None)).rename(
        {name: _HEADERS[name] for name in kept if name in _HEADERS}
    )


def _parts(frames: Frames) -> Iterable[pl.DataFrame]:
    """Stretches short enough that a wide row costs no memory to speak of."""
    for cases in frames:
        yield from cases.iter_slices(PART_ROWS)


def _write_csv(
    frames: Frames, path: Path, table: Callable[[pl.DataFrame], pl.DataFrame], encoding: str, null: str
) -> int:
    written = 0
    with path.open("wb") as file:
        for cases in _parts(frames):
            text = table(cases).write_csv(include_header=written == 0, null_value=null)
            file.write(text.encode(encoding))
            written += cases.height
    return written


def write_flat(frames: Frames, path: Path) -> int:
    """Flat CSV, UTF-8."""
    return _write_csv(frames, path, flat_table, "utf-8", "")


def write_hqms(frames: Frames, path: Path) -> int:
    """HQMS front-page CSV, GB18030, header codes, `-` for empty."""
    return _write_csv(frames, path, front_pages, "gb18030", "-")


def write_settlement(frames: Frames, path: Path) -> int:
    """Settlement lists (4101), one JSON message a line."""
    written = 0
    with path.open("wb") as file:
        for cases in _parts(frames):
            settlement_lists(cases).write_ndjson(file)
            written += cases.height
    return written


def _write_parquet(frames: Frames, path: Path, table: Callable[[pl.DataFrame], pl.DataFrame]) -> int:
    written = 0
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        parts: list[Path] = []
        for at, cases in enumerate(frames):
            parts.append(Path(folder) / f"{at:06d}.parquet")
            table(cases).write_parquet(parts[-1])
            written += cases.height
        pl.scan_parquet(parts).sink_parquet(path)
    return written


def write_parquet(frames: Frames, path: Path) -> int:
    """Parquet with the canonical columns, codes as lists."""
    return _write_parquet(frames, path, lambda cases: cases.drop("row", "defect"))


def write_joined_parquet(frames: Frames, path: Path) -> int:
    """Parquet of the flat table: codes joined with `|`."""
    return _write_parquet(frames, path, flat_table)


FORMATS: dict[str, Callable[[Frames, Path], int]] = {
    "flat": write_flat,
    "hqms": write_hqms,
    "4101": write_settlement,
    "parquet": write_parquet,
    "parquet-joined": write_joined_parquet,
}


def write_cases(frames: Frames, kind: str, path: Path) -> int:
    """Write blocks of cases in one of FORMATS; returns the number of cases."""
    return FORMATS[kind](frames, path)
