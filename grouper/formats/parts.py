"""What a format reader hands over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from grouper.formats.companion import Companion
from reference_tables.columns import columns
from reference_tables.problems import Problem


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of cases with its problems; `blank_rows` were skipped, `unknown` fields counted on the way.

    `unknown` maps (node, field) of a message to the number of times it was met.
    """

    cases: pl.DataFrame
    problems: pl.DataFrame
    blank_rows: int = 0
    unknown: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is to be read: `fmt` a format name or auto, `block_rows` cases a block, and whether only the
    columns that grouping needs; `companion` gives messages what they lack."""

    fmt: str = "auto"
    block_rows: int = 131_072
    grouping_only: bool = False
    companion: Companion | None = None

    def columns(self) -> frozenset[str]:
        """Canonical columns to read where the file has them."""
        known = columns()
        if not self.grouping_only:
            return frozenset(known)
        kept = {name for name, column in known.items() if "grouping" in column.required_for}
        kept |= {name for name, column in known.items() if column.grouping_fallback}
        return frozenset(kept.union(*(known[name].compose for name in kept)))


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose format and header are known, and its cases still to be read."""

    format: str
    columns: tuple[str, ...]
    parts: Iterator[Part]
    notes: tuple[Problem, ...] = ()
    encoding: str = ""
