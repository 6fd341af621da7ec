"""Small DIP catalogs and single cases put through the batch engine, for tests with expectations written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from grouper.dip.compile import CompiledDip, compile_dip
from grouper.engine import group_cases
from reference_tables.dip_pack import DipPack
from reference_tables.packs import read_pack
from tests.oracle.dip_pack_folder import DipText, Row, layer

NUMBERS = ("age_years", "age_days", "newborn_birth_weight_g")
Case = Mapping[str, Any]


def catalog(
    *core: Row, layers: Sequence[Row] = (), meta: Mapping[str, str] | None = None, **tables: Sequence[Row]
) -> DipText:
    """A catalog of core rows (in the only layer L where a row names none) and further tables."""
    rows = [{"layer": "L", **row} for row in core]
    return DipText({"layer": layers or (layer("L", 1),), "core": rows, **tables}, meta or {})


def compiled(folder: Path, text: DipText) -> CompiledDip:
    """The catalog written, read back with all its checks and compiled."""
    pack = read_pack(text.write(folder))
    assert isinstance(pack, DipPack)
    return compile_dip(pack)


def case(diagnoses: str = "", procedures: str = "", **more: Any) -> Case:
    """One record; lists joined by `|`, the principal code first. An adult unless told."""
    lists = {
        "diagnoses": diagnoses.split("|") if diagnoses else [],
        "procedures": procedures.split("|") if procedures else [],
    }
    return {"age_years": 40, **lists, **more}


def frame_of(cases: Sequence[Case]) -> pl.DataFrame:
    """Records as a canonical case frame; case_id counts from 1."""
    schema = {
        "diagnoses": pl.List(pl.String), "procedures": pl.List(pl.String), "defect": pl.String,
        **dict.fromkeys(NUMBERS, pl.Int32),
    }  # fmt: skip
    frame = pl.DataFrame([{name: one.get(name) for name in schema} for one in cases], schema=schema)
    ids = pl.int_range(1, len(cases) + 1)
    return frame.with_columns(ids.cast(pl.String).alias("case_id"), (ids + 1).cast(pl.UInt32).alias("row"))


def results(scheme: CompiledDip, *cases: Case) -> list[dict[str, Any]]:
    """The result row of each case."""
    return group_cases(frame_of(cases), scheme).rows(named=True)


def groups(scheme: CompiledDip, *cases: Case) -> list[str]:
    """The group of each case, "" without one."""
    return [row["dip"] for row in results(scheme, *cases)]
