"""Canonical case frame -> integer planes for grouping by DIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE
from grouper.dip.codes import encode_procedures
from grouper.dip.compile import CompiledDip
from grouper.dip.numbers import credible_numbers
from grouper.encode import NUMBER_COLUMNS, WEIGHT_COLUMN, CodeLists, listed_codes, number_column

_FIELDS = ("NL", "XSRTL")


@dataclass(frozen=True)
class DipCases:
    """A block of cases as integers. `dx`, `px`: all recorded codes, the first of a case its principal one;
    `unlisted` bool [diagnoses]: in no code book and not in the pack; `barred` bool [cases]: the principal diagnosis
    is never one; `numbers`: NL, XSRTL, XSRTZ (years, days, grams) to int32 [cases], unknown = UNKNOWN_NUMBER."""

    size: int
    dx: CodeLists
    px: CodeLists
    unlisted: NDArray[np.bool_]
    barred: NDArray[np.bool_]
    numbers: Mapping[str, NDArray[np.int32]]


def encode_dip_cases(cases: pl.DataFrame, scheme: CompiledDip) -> DipCases:
    """Encode a canonical case frame; columns that the frame lacks are unknown for every case."""
    diagnoses = listed_codes(cases, "diagnoses")
    dx, unlisted = scheme.dx.encode_lists(diagnoses)
    weight = WEIGHT_COLUMN[scheme.pack.newborn_weight]
    columns = {**{name: NUMBER_COLUMNS[name] for name in _FIELDS}, "XSRTZ": weight}
    credible = credible_numbers(cases, weight)
    return DipCases(
        size=cases.height,
        dx=dx,
        px=encode_procedures(scheme.px, listed_codes(cases, "procedures")),
        unlisted=unlisted,
        barred=_barred(diagnoses, dx, scheme),
        numbers={name: number_column(credible, column, name).astype(np.int32) for name, column in columns.items()},
    )


def _barred(diagnoses: pl.Series, dx: CodeLists, scheme: CompiledDip) -> NDArray[np.bool_]:
    barred = scheme.blocked.take(dx.principal)
    if scheme.blocked_beginnings:
        # Such an id stands for other codes of that beginning too: the text decides.
        rows = np.flatnonzero(~scheme.dx.listed.take(dx.principal) & (dx.principal != NONE))
        first = diagnoses.gather(pl.Series(rows)).list.first().str.strip_chars().str.to_uppercase()
        barred[rows] |= first.is_in(list(scheme.blocked_beginnings)).to_numpy()
    return barred
