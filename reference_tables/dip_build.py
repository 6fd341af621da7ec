"""From tables as text to a DipPack: all checks in one pass, then sorting and the content checksum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from reference_tables.auxiliary_checks import check_auxiliary
from reference_tables.dip_cell_checks import check_cells
from reference_tables.dip_checks import check_tables
from reference_tables.dip_code_checks import check_codes
from reference_tables.dip_examples import read_fit_rules
from reference_tables.dip_mixed_checks import check_mixed
from reference_tables.dip_pack import DipPack, dip_checksum, dip_schema
from reference_tables.dip_reach import check_reach
from reference_tables.dip_tables import PLACE, DipTables, in_order, readable_rows, spelt
from reference_tables.dip_ties import check_ties
from reference_tables.manifest import Manifest
from reference_tables.pack_build import PackIdentity
from reference_tables.problems import Level, Problem, TablesRefused
from reference_tables.table_files import LINE

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
    problems = list(earlier)
    checked = DipTables(
        {name: _complete(name, tables.get(name)) for name in dip_schema().tables}, _unread(tables, problems)
    )
    problems += check_cells(checked) + check_mixed(checked) + check_tables(checked)
    problems += check_auxiliary(checked.frames)
    meta = {key: value for _, _, key, value in checked.each("meta", "key", "value")}
    rows = readable_rows(checked)
    rules = read_fit_rules(checked, ends=meta.get("conservative", dip_schema().meta["conservative"].default) == "case")
    problems += check_ties(rows, rules) + check_reach(rows, rules) + check_codes(checked)
    if any(problem.level is Level.ERROR for problem in problems):
        raise TablesRefused(identity.name or identity.id, problems)
    kept = {name: _sorted(name, checked.frames) for name in checked.frames if name != "meta"}
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


def _unread(tables: Mapping[str, pl.DataFrame], earlier: Iterable[Problem]) -> frozenset[str]:
    """The tables that are not there because their file could not be read."""
    refused = {problem.file for problem in earlier if problem.level is Level.ERROR}
    kinds = dip_schema().tables.values()
    return frozenset(kind.name for kind in kinds if kind.name not in tables and kind.file in refused)


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
        return in_order(frame, _sorted("layer", frames)["code"].to_list())
    if name in _ONCE:
        return frame.filter(spelt().is_first_distinct())
    return frame
