"""Writes small packs as folders, so that a test can say a scheme in a few lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class PackText:
    """A scheme in short form.

    `mdc` rows are (code, rule[, order]); `adrg` and `drg` rows are (code, parent, rule[, order]). Without an
    order the place in the list counts. `sets` and `exclusion` map a name to its codes, `cc` rows are
    (code, level, exclusion table or ""), `meta` becomes meta.csv.
    """

    mdc: Sequence[tuple[str, str] | tuple[str, str, int]]
    adrg: Sequence[tuple[str, str, str] | tuple[str, str, str, int]]
    drg: Sequence[tuple[str, str, str] | tuple[str, str, str, int]]
    sets: Mapping[str, Iterable[str]] = field(default_factory=dict)
    cc: Sequence[tuple[str, str, str]] = ()
    exclusion: Mapping[str, Iterable[str]] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write the pack's files into `folder` (made if needed) and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        _table(folder, "mdc", ("code", "name", "rule", "order"), _ordered(self.mdc))
        _table(folder, "adrg", ("code", "name", "mdc", "rule", "order"), _ordered(self.adrg))
        _table(folder, "drg", ("code", "name", "adrg", "rule", "order"), _ordered(self.drg))
        _table(folder, "sets", ("set", "code"), _members(self.sets))
        _table(folder, "cc", ("code", "level", "exclusion"), self.cc)
        _table(folder, "exclusion", ("exclusion", "code"), _members(self.exclusion))
        if self.meta:
            _table(folder, "meta", ("key", "value"), self.meta.items())
        return folder


def _ordered(rows: Sequence[tuple[str | int, ...]]) -> list[tuple[str | int, ...]]:
    """code, name, [parent,] rule, order: the name is made up, the order counted where it is not given."""
    complete = []
    for place, row in enumerate(rows, start=1):
        given = row if isinstance(row[-1], int) else (*row, place)
        complete.append((given[0], f"name of {given[0]}", *given[1:]))
    return complete


def _members(named: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(name, code) for name, codes in named.items() for code in codes]


def _table(folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
