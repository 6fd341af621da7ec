"""A DRG pack in memory: groups in evaluation order, code sets, complications and their exclusions."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any

import polars as pl

from reference_tables.manifest import Manifest, NewbornWeight
from reference_tables.problems import Problem

GROUP_TABLES = ("mdc", "adrg", "drg")
PARENT = {"adrg": "mdc", "drg": "adrg"}
UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True)
class TableKind:
    """One table of a pack: its columns with their kinds (code, text, rule, order), whether it must exist."""

    name: str
    columns: Mapping[str, str]
    required: bool

    @property
    def file(self) -> str:
        return f"{self.name}.csv"


@dataclass(frozen=True, slots=True)
class PackSchema:
    """`tables`: by name, in writing order; `last`: table -> pattern of the codes that stand last in their
    parent; `levels`: allowed complication levels; `meta`: key -> allowed values (empty tuple = any text)."""

    tables: Mapping[str, TableKind]
    last: Mapping[str, str]
    levels: tuple[str, ...]
    meta: Mapping[str, tuple[str, ...]]


@cache
def pack_schema() -> PackSchema:
    """What `pack_schema.toml` declares."""
    text = (resources.files("reference_tables") / "pack_schema.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    return PackSchema(
        tables={name: TableKind(name, body["columns"], body["required"]) for name, body in data["tables"].items()},
        last=data["last"],
        levels=tuple(data["levels"]["cc"]),
        meta={key: tuple(body.get("values", ())) for key, body in data["meta"].items()},
    )


@dataclass(frozen=True)
class DrgPack:
    """A grouping scheme as its publisher laid it out, checked and sorted.

    Frames (all String unless said): `mdc` code, name, rule, order Int32, line UInt32; `adrg` the same with
    mdc; `drg` the same with adrg; `sets` set, code; `cc` code, level (MCC or CC), exclusion ("" = never
    excluded); `exclusion` exclusion, code (a principal diagnosis). Codes are spelt as published; compare them
    folded (`codes.fold`). Group rows stand in evaluation order: by parent, then order, rows that catch what
    is left last, file order between equals; `line` is the line in their file. Sets without members have no
    row in `sets`.

    `manifest` None = a folder nobody vouches for. `newborn_weight`: which weight XSRTZ means. `sha256`:
    checksum of the content, the same for the same tables however they were stored. `problems`: warnings
    that did not refuse the pack. `not_principal`: codes the pack itself bars as principal diagnosis.
    """

    id: str
    version: str
    name: str
    mdc: pl.DataFrame
    adrg: pl.DataFrame
    drg: pl.DataFrame
    sets: pl.DataFrame
    cc: pl.DataFrame
    exclusion: pl.DataFrame
    meta: Mapping[str, str]
    manifest: Manifest | None
    newborn_weight: NewbornWeight
    sha256: str
    problems: tuple[Problem, ...]
    not_principal: frozenset[str]

    @property
    def data_level(self) -> str:
        """official, reference, local or synthetic as the manifest says; "unverified" without one."""
        return self.manifest.data_level if self.manifest else UNVERIFIED

    def table(self, name: str) -> pl.DataFrame:
        """A table by its file's name without ending, in the columns of `pack_schema.toml` (all String)."""
        if name == "meta":
            pairs = sorted(self.meta.items())
            return pl.DataFrame(pairs, schema={"key": pl.String, "value": pl.String}, orient="row")
        if name == "not_principal":
            return pl.DataFrame({"code": sorted(self.not_principal)}, schema={"code": pl.String})
        frame: pl.DataFrame = getattr(self, name)
        return frame.select(pl.col(column).cast(pl.String) for column in pack_schema().tables[name].columns)


def content_checksum(
    tables: Mapping[str, pl.DataFrame],
    meta: Mapping[str, str],
    newborn_weight: str,
    not_principal: frozenset[str],
) -> str:
    """sha256 (hex) over what decides grouping and its labels, independent of file layout and of row order
    where order has no meaning (groups: within their table as sorted; sets, cc, exclusion: any order)."""
    total = sha256()
    for name, frame in tables.items():
        columns = list(pack_schema().tables[name].columns)
        lines = frame.select(pl.concat_str(pl.col(columns).cast(pl.String).fill_null(""), separator="\x1f")).to_series()
        ordered = lines if name in GROUP_TABLES else lines.sort()
        total.update(f"\x1d{name}\x1e".encode())
        total.update("\x1e".join(ordered.to_list()).encode())
    for name, values in (
        ("meta", [f"{key}\x1f{value}" for key, value in sorted(meta.items())]),
        ("newborn_weight", [newborn_weight]),
        ("not_principal", sorted(not_principal)),
    ):
        total.update(f"\x1d{name}\x1e".encode())
        total.update("\x1e".join(values).encode())
    return total.hexdigest()
