"""From tables as text to a DipPack: all checks in one pass, then sorting and the content checksum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from reference_tables.auxiliary_checks import check_auxiliary
from reference_tables.dip_pack import DipPack, dip_checksum, dip_schema
from reference_tables.manifest import Manifest
from reference_tables.pack_build import PackIdentity
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.table_files import LINE

PLACE = "place"
_ONCE = ("excluded_dx", "excluded_px")


def build_dip_pack(
    tables: Mapping[str, pl.DataFrame],
    identity: PackIdentity,
    manifest: Manifest | None,
    earlier: Iterable[Problem] = (),
) -> DipPack:
    """Check everything and assemble the pack.

    `tables`: by name of `dip_schema.toml` (`meta` too), each with its columns (String, null as "") and `line`; an
    absent table is empty. A table may have a column `place` that says where its rows stand, for messages; else
    that is its file. `earlier`: problems met while reading the files. Raises TablesRefused with all problems,
    warnings included, when any of them is an error.
    """
    frames = {name: _complete(name, tables.get(name)) for name in dip_schema().tables}
    problems = [*earlier, *check_auxiliary(frames)]
    if any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(identity.name or identity.id, problems)
    meta = {key: value for key, value in frames["meta"].select("key", "value").iter_rows() if value}
    kept = {name: _sorted(name, frames) for name in frames if name != "meta"}
    return DipPack(
        id=identity.id,
        version=identity.version,
        name=identity.name,
        tables=kept,
        meta=meta,
        manifest=manifest,
        sha256=dip_checksum(kept, meta),
        problems=tuple(problems),
        newborn_weight=identity.newborn_weight or "birth",
    )


def _complete(name: str, frame: pl.DataFrame | None) -> pl.DataFrame:
    """A table in its columns (String, no nulls), `line` (UInt32) and `place`; empty when absent."""
    kind = dip_schema().tables[name]
    if frame is None:
        frame = pl.DataFrame(schema={**dict.fromkeys(kind.columns, pl.String), LINE: pl.UInt32})
    place = pl.col(PLACE) if PLACE in frame.columns else pl.lit(kind.file).alias(PLACE)
    return frame.select(
        *(pl.col(column).cast(pl.String).fill_null("") for column in kind.columns), pl.col(LINE).cast(pl.UInt32), place
    )


def _sorted(name: str, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """A checked table in its final order: layers as tried, core groups by layer, number and line, the rest as
    published, exclusion lists with the first row of each code."""
    frame = frames[name].drop(PLACE)
    if name == "layer":
        return frame.sort(pl.col("order").cast(pl.Int32), LINE, maintain_order=True)
    if name == "core":
        rank = frames["layer"].select(pl.col("code").alias("layer"), pl.col("order").cast(pl.Int32).alias("rank"))
        ranked = frame.join(rank, on="layer", how="left", maintain_order="left")
        return ranked.sort("rank", pl.col("number").cast(pl.Int32), LINE, maintain_order=True).drop("rank")
    if name in _ONCE:
        spelt = pl.col("code").str.strip_chars().str.to_uppercase()
        return frame.filter(spelt.is_first_distinct())
    return frame
