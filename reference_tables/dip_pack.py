"""A DIP pack in memory: layers of core groups, mixed groups, scores and the auxiliary catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from importlib import resources
from typing import Any

import polars as pl

from reference_tables.dip_rows import CoreRow, Layer, read_core_row, read_layers
from reference_tables.drg_pack import UNVERIFIED, DrgPack, TableKind
from reference_tables.manifest import Manifest, NewbornWeight
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

_ORDERED = frozenset({"layer", "core"})


@dataclass(frozen=True, slots=True)
class MetaKey:
    """A key of meta.csv: the values allowed (empty = any text) and what holds when it is absent."""

    values: tuple[str, ...]
    default: str


@dataclass(frozen=True, slots=True)
class NumberForm:
    """A number as text: at most `digits` before and `decimals` after the point; `zero` and `empty` allowed or not."""

    digits: int
    decimals: int
    zero: bool
    empty: bool


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """What the cells of columns must be, by table and column: `needed` filled, `orders` whole numbers, `words` of
    a kind, `cells` of the cell language ("any" = diagnosis that may be `*`), `numbers` of a form."""

    needed: Mapping[str, tuple[str, ...]]
    orders: Mapping[str, tuple[str, ...]]
    words: Mapping[str, Mapping[str, str]]
    cells: Mapping[str, Mapping[str, str]]
    numbers: Mapping[str, Mapping[str, NumberForm]]


@dataclass(frozen=True, slots=True)
class DipSchema:
    """`tables` by name in writing order; `words`: kind of word -> those allowed; `columns`: what cells must be;
    `natures`: number -> Chinese label; `nature_of_category`: category of the procedure book -> nature; `meta`: keys
    of meta.csv."""

    tables: Mapping[str, TableKind]
    words: Mapping[str, tuple[str, ...]]
    columns: ColumnRules
    natures: Mapping[int, str]
    nature_of_category: Mapping[str, int]
    meta: Mapping[str, MetaKey]


@cache
def dip_schema() -> DipSchema:
    """What `dip_schema.toml` declares."""
    text = (resources.files("reference_tables") / "dip_schema.toml").read_text(encoding="utf-8")
    data: dict[str, Any] = tomllib.loads(text)
    natures = {int(number): body for number, body in data["natures"].items()}
    return DipSchema(
        tables={name: TableKind(name, body["columns"], body["required"]) for name, body in data["tables"].items()},
        words={
            **{name: tuple(words) for name, words in data["words"].items()},
            "nature": tuple(str(number) for number in natures),
        },
        columns=_column_rules(data["columns"]),
        natures={number: body["label"] for number, body in natures.items()},
        nature_of_category={name: number for number, body in natures.items() for name in body["categories"]},
        meta={key: MetaKey(tuple(body["values"]), body["default"]) for key, body in data["meta"].items()},
    )


def _column_rules(data: Mapping[str, Any]) -> ColumnRules:
    return ColumnRules(
        needed={table: tuple(columns) for table, columns in data["needed"].items()},
        orders={table: tuple(columns) for table, columns in data["orders"].items()},
        words=data["words"],
        cells=data["cells"],
        numbers={
            table: {column: NumberForm(**form) for column, form in columns.items()}
            for table, columns in data["numbers"].items()
        },
    )


@dataclass(frozen=True)
class DipPack:
    """A DIP scheme, checked and sorted.

    `tables`: every table of `dip_schema.toml` by name but meta (an absent one is empty), in its columns (all
    String) and `line` (UInt32, line in its file, 0 when it comes from elsewhere). `core` stands by order of layer,
    then number; the others as published. Codes are spelt as published; compare them with `dip_cells.spelled`.
    `sha256`: checksum of the content. `problems`: warnings that did not refuse the pack. The rest as in DrgPack.
    """

    id: str
    version: str
    name: str
    tables: Mapping[str, pl.DataFrame]
    meta: Mapping[str, str]
    manifest: Manifest | None
    sha256: str
    problems: tuple[Problem, ...]
    newborn_weight: NewbornWeight = "birth"

    @property
    def data_level(self) -> str:
        """official, reference, local or synthetic as the manifest says; "unverified" without one."""
        return self.manifest.data_level if self.manifest else UNVERIFIED

    def table(self, name: str) -> pl.DataFrame:
        """A table by its file's name without ending, in the columns of `dip_schema.toml` (all String)."""
        if name == "meta":
            return pl.DataFrame(sorted(self.meta.items()), schema={"key": pl.String, "value": pl.String}, orient="row")
        return self.tables[name].select(list(dip_schema().tables[name].columns))

    def setting(self, key: str) -> str:
        """The value of a key of meta.csv, or its default."""
        return self.meta.get(key, dip_schema().meta[key].default)

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """Layers by code in the order they are tried."""
        return read_layers(self.tables["layer"])

    @cached_property
    def rows(self) -> tuple[CoreRow, ...]:
        """The core groups in the order of `tables["core"]`; `place` is the index here."""
        return tuple(
            read_core_row(place, row, self.layers[row["layer"]], row[LINE])
            for place, row in enumerate(self.tables["core"].iter_rows(named=True))
        )


Pack = DrgPack | DipPack
"""A grouping scheme of either kind."""


def dip_checksum(tables: Mapping[str, pl.DataFrame], meta: Mapping[str, str]) -> str:
    """sha256 (hex) over what decides grouping, scores and labels, independent of file layout and of row order
    where order has no meaning."""
    total = sha256()
    for name, kind in dip_schema().tables.items():
        if name == "meta":
            continue
        columns = list(kind.columns)
        lines = tables[name].select(pl.concat_str(pl.col(columns).fill_null(""), separator="\x1f")).to_series()
        ordered = lines if name in _ORDERED else lines.sort()
        total.update(f"\x1d{name}\x1e".encode())
        total.update("\x1e".join(ordered.to_list()).encode())
    total.update(b"\x1dmeta\x1e")
    total.update("\x1e".join(f"{key}\x1f{value}" for key, value in sorted(meta.items())).encode())
    return total.hexdigest()
