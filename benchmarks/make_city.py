"""A made-up city's month: the files its hospitals would send, a third of them in each format."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from benchmarks.hospitals import city_hospitals
from benchmarks.make_cases import MONTH, make_cases
from benchmarks.write_cases import write_cases
from reference_tables.packs import DrgPack

FILES = (("flat", "flat.csv"), ("hqms", "hqms.csv"), ("4101", "4101.ndjson"))


def make_city_month(
    folder: Path,
    *,
    pack: DrgPack,
    hospitals: int = 12,
    cases: int = 30_000,
    seed: int = 1,
    month: str = MONTH,
    mistakes: float = 0.01,
) -> tuple[Path, ...]:
    """Write one file a hospital into `folder`: H0101-flat.csv, H0102-hqms.csv, H0103-4101.ndjson, and so on.

    Hospitals are of three tiers; large tertiary ones have most of the cases. Returns the files in order.
    """
    city = city_hospitals(hospitals)
    month_cases = make_cases(pack, cases, seed, mistakes=mistakes, month=month, hospitals=city)
    written: list[Path] = []
    for at, hospital in enumerate(city):
        kind, ending = FILES[at % len(FILES)]
        own = month_cases.filter(pl.col("hospital_id") == hospital.id)
        written.append(folder / f"{hospital.id}-{ending}")
        write_cases([own], kind, written[-1])
    return tuple(written)
