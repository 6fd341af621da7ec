"""What goes wrong in real records, put into some of the made ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.case_codebook import CodeTable
from benchmarks.draws import Draws, Flags, Ints
from benchmarks.plausible import case_mix
from benchmarks.recipes import NONE

PLACES = 100_000
"""Mistakes come in so many of all records."""


@dataclass(frozen=True)
class Spoiled:
    """`kind`: place in `kinds` + 1, 0 = the record is as it should be; `spelled`: codes written in none of
    the books, numbered from the end of the code table on."""

    kinds: list[str]
    kind: Ints
    diagnoses: Ints
    spelled: pl.Series
    no_sex: Flags
    no_age: Flags


def spoil(draws: Draws, diagnoses: Ints, table: CodeTable, share: float, spared: Flags) -> Spoiled:
    """Mistakes in about `share` of the records (a fraction), none in the `spared` ones.

    `diagnoses`: numbers, principal first, NONE behind.
    """
    kinds = list(case_mix()["mistakes"])
    count = len(diagnoses)
    chosen = (draws.below(PLACES, count) < round(share * PLACES)) & ~spared
    kind = np.where(chosen, 1 + draws.weighted(case_mix()["mistakes"].values(), count), 0)
    several = diagnoses.shape[1] > 1
    alone = diagnoses[:, 1] == NONE if several else np.ones(count, dtype=bool)
    # A record with one diagnosis cannot have the wrong one first.
    kind = np.where((kind == 1 + kinds.index("wrong_principal")) & alone, 1 + kinds.index("short_code"), kind)

    def rows(name: str) -> Ints:
        return np.flatnonzero(kind == 1 + kinds.index(name))

    spoiled = diagnoses.copy()
    swap = rows("wrong_principal")
    spoiled[swap, 0], spoiled[swap, 1] = diagnoses[swap, 1 if several else 0], diagnoses[swap, 0]
    gray = rows("gray_code")
    if len(table.gray):
        spoiled[gray, 0] = table.gray[draws.below(len(table.gray), len(gray))]
    spelled: list[pl.Series] = []
    free = len(table.codes)
    for name in ("unknown_code", "short_code", "lower_case"):
        at = rows(name)
        written = _misspelled(name, table.codes.gather(pl.Series(spoiled[at, 0])))
        spoiled[at, 0] = free + np.arange(len(at))
        free += len(at)
        spelled.append(written)
    spoiled[rows("missing_principal"), 0] = NONE
    sexless, ageless = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    sexless[rows("missing_sex")] = True
    ageless[rows("missing_age")] = True
    return Spoiled(kinds, kind, spoiled, pl.concat(spelled), sexless, ageless)


def _misspelled(kind: str, codes: pl.Series) -> pl.Series:
    if kind == "unknown_code":
        return codes.str.slice(0, 5) + "9x999"
    return codes.str.slice(0, 3) if kind == "short_code" else codes.str.to_lowercase()
