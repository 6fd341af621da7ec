"""Scores (病种分值): base score of the group times correction factor, rounded half up once.

All amounts have four decimals and are kept as whole ten-thousandths until they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.dip.result import FACTOR, SCORE
from reference_tables.dip_pack import DipPack

_PLACES = 4
_SCALE = 10**_PLACES
NO_SCORE = -1
_SAFE = 1 << 62


def read_scores(pack: DipPack) -> Mapping[str, int]:
    """Group code -> base score in ten-thousandths; a group without one is left out."""
    rows = pack.tables["score"].select("code", "score").iter_rows()
    return {code: int((Decimal(text) * _SCALE).to_integral_value(ROUND_HALF_UP)) for code, text in rows if text}


def scores_of(base: NDArray[np.int64], factor: pl.Series) -> pl.Series:
    """Base score (ten-thousandths, NO_SCORE = none) x factor (Decimal), case by case: SCORE, null without either."""
    known = (base != NO_SCORE) & factor.is_not_null().to_numpy()
    times = _units(factor.fill_null(Decimal(0)))
    if base.max(initial=0) * int(times.max(initial=0)) < _SAFE:
        product = (base * times + _SCALE // 2) // _SCALE
    else:
        product = (base.astype(object) * times + _SCALE // 2) // _SCALE
    return decimals(np.where(known, product, NO_SCORE))


def _units(factor: pl.Series) -> NDArray[np.int64]:
    """Factors as whole ten-thousandths; there are few different ones."""
    different = factor.unique()
    units = pl.Series([int(value * _SCALE) for value in different.to_list()], dtype=pl.Int64)
    return factor.replace_strict(different, units, return_dtype=pl.Int64).to_numpy()


def decimals(units: Iterable[int]) -> pl.Series:
    """Ten-thousandths as SCORE; NO_SCORE as null."""
    different, inverse = np.unique(np.asarray(units), return_inverse=True)
    pool = [None if value == NO_SCORE else Decimal(int(value)).scaleb(-_PLACES) for value in different.tolist()]
    return pl.Series(pool, dtype=SCORE).gather(pl.Series(inverse.astype(np.uint32)))


def unit_factors(grouped: NDArray[np.bool_]) -> pl.Series:
    """The factor 1 of every case in a group, null for the others: FACTOR."""
    return pl.Series([None, Decimal(1)], dtype=FACTOR).gather(pl.Series(grouped.astype(np.uint32)))
