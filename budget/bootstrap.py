"""Sums of a hospital's cases by pool under resampling: cases drawn with replacement within hospital and group.

A hospital of at most EXACT cases is drawn case by case. In a larger one, let r be what a case's amounts lie above the
mean of its group. What resampling within groups adds to the hospital's sums has mean 0, covariance sum(r r') and third
cumulants sum(r^3): just what drawing the r of all its cases from one pot has. So how often each of the ALONE cases that
weigh most comes is drawn (multinomial), and what all others add is a normal vector with the covariance that is left:
means and covariances of all sums are exact, and their skewness is that of the cases drawn.

Sums, counts and products that the draws start from are whole numbers below 2^53, so that no order of cases, block or
thread can change a bit; the numbers drawn depend on seed and hospital alone. They are statistics in floating point: how
far amounts may lie apart, never what anyone is paid. Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap,
1993 (resampling within strata; moments of bootstrap sums).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from budget.text_codes import TextCodes

ALONE = 96
"""Cases of a larger hospital that are drawn one by one: those with the greatest part in the variance of some sum. Of a
million cases at 40 hospitals, skewness up to 1, they leave 0.01 of a sum's skewness out at most; 16 left 0.07."""
EXACT = 400
"""Cases up to which a hospital's are all drawn one by one; with more of them that takes longer. Above ALONE."""
TERMS = ("units", "priced", "patient", "fixed", "actual")
"""What is summed up: columns of whole numbers."""
_BITS = 20  # of an amount in squares: 2 x 20 of a product and 13 of the rows added up are 53
_ROWS = 1 << 13
_BLOCK = 256  # resamples at once where cases are drawn one by one
_NOTHING = 1e-12  # of the raw squares: rounding, not variance
_DEPENDENT = 1e-9  # of the variance: what is left of a sum that others decide
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Owner = tuple[str, str]


@dataclass(frozen=True)
class _Columns:
    """Cases by whole columns. `pools` by frame; `values` by frame and term; codes in the order of their texts."""

    hospitals: list[str]
    hospital: Ints
    groups: int
    group: Ints
    names: list[list[str]]
    pools: list[Ints]
    values: list[list[Ints]]

    def of(self, rows: Ints) -> _Columns:
        """The cases at these rows."""
        return _Columns(
            self.hospitals, self.hospital.take(rows), self.groups, self.group.take(rows), self.names,
            [pool.take(rows) for pool in self.pools],
            [[column.take(rows) for column in columns] for columns in self.values],
        )  # fmt: skip


@dataclass(frozen=True)
class _Sums:
    """The different sums of a hospital that are not 0: `matrix` [sums, cases], `whole` [sums] of the sample. `place`
    says where a frame's pool and term stand: [(frame, pool name, places of the TERMS, -1 where the sum is 0)]."""

    matrix: Floats
    whole: Floats
    place: list[tuple[int, str, list[int]]]


def draw_ratios(frames: Sequence[pl.DataFrame], count: int, seed: int) -> list[dict[Owner, Floats]]:
    """For each of `frames`, the same cases row for row (hospital, pool, group and TERMS, Int64; pool "" for a
    case of none): by hospital and pool the ratio [count, terms] of the resampled to the sample's sums, the same draws
    for all frames; not below 0, and 1 where there is no sum."""
    columns = _columns(frames)
    order = np.argsort(
        columns.hospital.astype(np.uint16 if len(columns.hospitals) < 1 << 16 else np.int64), kind="stable"
    )
    ends = np.cumsum(np.bincount(columns.hospital, minlength=len(columns.hospitals)))
    found: list[dict[Owner, Floats]] = [{} for _ in frames]
    for hospital, rows in zip(columns.hospitals, np.split(order, ends[:-1]), strict=True):
        cases = columns.of(rows)
        drawn = _drawn(cases, count, np.random.SeedSequence([seed, *hospital.encode()]))
        for frame, pool, ratios in drawn:
            found[frame][hospital, pool] = ratios
    return found


def _columns(frames: Sequence[pl.DataFrame]) -> _Columns:
    first = frames[0]
    hospitals, hospital = _codes(first["hospital"])
    groups, group = _codes(first["group"])
    coded = [_codes(frame["pool"]) for frame in frames]
    values = [[frame[name].to_numpy() for name in TERMS] for frame in frames]
    return _Columns(
        hospitals, hospital, len(groups), group, [names for names, _ in coded],
        [codes for _, codes in coded], values,
    )  # fmt: skip


def _codes(column: pl.Series) -> tuple[list[str], Ints]:
    """The texts of a column in order, and the number of each row's."""
    coder = TextCodes()
    coder.codes(column.head(_ROWS))  # most texts: finding new ones among all rows is what takes long
    codes = np.broadcast_to(coder.codes(column), len(column))
    texts = [text or "" for text in coder.texts]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return [texts[at] for at in order], rank.take(codes)


def _drawn(cases: _Columns, count: int, root: np.random.SeedSequence) -> list[tuple[int, str, Floats]]:
    """Of one hospital: frame, pool and ratios [count, terms]."""
    few = len(cases.group) <= EXACT
    if few:
        keys = [column for columns in cases.values for column in columns]
        cases = cases.of(np.lexsort((*keys, *cases.pools, cases.group)))
    sums = _sums(cases)
    if not len(sums.whole):
        moved = np.ones((count, 0))
    else:
        moved = (_each if few else _mostly_normal)(cases, sums, count, root)
        moved = np.maximum(moved, 0.0)
    moved = np.concatenate([moved, np.ones((count, 1))], axis=1)
    return [(frame, pool, moved[:, places]) for frame, pool, places in sums.place]


def _sums(cases: _Columns) -> _Sums:
    """The sums of one hospital, those that are the same in every case once."""
    rows: list[Ints] = []
    wholes: list[int] = []
    place: list[tuple[int, str, list[int]]] = []
    for frame, (pools, names) in enumerate(zip(cases.pools, cases.names, strict=True)):
        for pool in np.flatnonzero(np.bincount(pools, minlength=len(names))).tolist():
            if not names[pool]:
                continue
            inside = pools == pool
            places = []
            for column in cases.values[frame]:
                own = column * inside
                whole = int(own.sum())
                at = next((at for at, row in enumerate(rows) if wholes[at] == whole and np.array_equal(row, own)), None)
                if whole and at is None:
                    at = len(rows)
                    rows.append(own)
                    wholes.append(whole)
                places.append(-1 if not whole or at is None else at)
            place.append((frame, names[pool], places))
    matrix = np.array(rows, np.float64).reshape(len(rows), len(cases.group))
    return _Sums(matrix, np.array(wholes, np.float64), place)


def _each(cases: _Columns, sums: _Sums, count: int, root: np.random.SeedSequence) -> Floats:
    """Ratios [count, sums] of resamples drawn case by case; the cases in the order of their groups."""
    draws = np.random.Generator(np.random.Philox(root))
    size = np.bincount(cases.group)
    width, start = size[cases.group], (np.cumsum(size) - size)[cases.group]
    rows, found = len(start), []
    values = np.ascontiguousarray(sums.matrix.T)
    for first in range(0, count, _BLOCK):
        many = min(_BLOCK, count - first)
        drawn = (draws.random((many, rows)) * width).astype(np.int64)
        drawn += start
        drawn += np.arange(0, many * rows, rows)[:, None]
        often = np.bincount(drawn.reshape(-1), minlength=many * rows).reshape(many, rows)
        found.append(often.astype(np.float64) @ values)  # whole numbers, so that no order of adding matters
    return np.asarray(np.concatenate(found) / sums.whole)


def _mostly_normal(cases: _Columns, sums: _Sums, count: int, root: np.random.SeedSequence) -> Floats:
    """Ratios [count, sums] of resamples in which the cases that weigh most are drawn one by one."""
    often, within = (np.random.Generator(np.random.Philox(child)) for child in root.spawn(2))
    present = np.bincount(cases.group, minlength=cases.groups) > 0
    stratum = (np.cumsum(present) - 1).take(cases.group)
    size = np.bincount(stratum)
    # Amounts in 2^-20 of the hospital's greatest of that sum.
    scaled = sums.matrix * ((1 << _BITS) / np.abs(sums.matrix).max(axis=1))[:, None]
    np.rint(scaled, out=scaled)
    mean = np.stack([np.bincount(stratum, row) for row in scaled], axis=1) / size[:, None]
    raw = _products(scaled)
    covariance = raw - np.einsum("sd,se->de", mean * size[:, None], mean)
    variance = np.diagonal(covariance)
    variance = np.where(variance > _NOTHING * np.diagonal(raw), variance, np.inf)
    alone = _alone(scaled, mean, stratum, variance)
    above = scaled[:, alone].T - mean[stratum[alone]]
    others = len(stratum) - len(alone)
    above = np.concatenate([above, -above.sum(axis=0, keepdims=True) / others])
    times = np.array([1] * len(alone) + [others])
    left = covariance - np.einsum("pd,pe->de", above * times[:, None], above)
    counts = _counts(len(alone), others, count, often)
    added = np.einsum("rp,dp->rd", counts, np.ascontiguousarray(above.T))
    spread = _root(left, np.diagonal(raw))
    added += np.einsum("rk,dk->rd", within.standard_normal((count, len(spread))), spread)
    return np.asarray(1.0 + added / scaled.sum(axis=1))


def _alone(scaled: Floats, mean: Floats, stratum: Ints, variance: Floats) -> Ints:
    """The cases that have the greatest part in the variance of some sum, at most ALONE, in an order of their own."""
    part = np.zeros(len(stratum))
    for row, centre, whole in zip(scaled, mean.T, variance, strict=True):
        above = row - centre.take(stratum)
        above *= above
        above /= whole
        np.maximum(part, above, out=part)
    least = np.partition(part, -ALONE - 1)[-ALONE - 1]
    found = np.flatnonzero(part > least)
    return np.asarray(found[np.lexsort((*scaled[:, found], stratum[found]))])


def _counts(alone: int, others: int, count: int, draws: np.random.Generator) -> Floats:
    """[count, alone + 1]: how often each of some cases, and any of the others, comes when all are drawn: how often any
    of the some comes, and then which of them."""
    whole = alone + others
    if not alone:
        return np.full((count, 1), float(whole))
    any_of = draws.binomial(whole, alone / whole, count)
    place = np.repeat(np.arange(0, count * alone, alone), any_of)
    place += draws.integers(0, alone, len(place))
    each = np.bincount(place, minlength=count * alone).reshape(count, alone)
    return np.concatenate([each, (whole - any_of)[:, None]], axis=1).astype(np.float64)


def _products(scaled: Floats) -> Floats:
    """Sums [sums, sums] of products, exact: each block's stay below 2^53."""
    found = np.zeros((len(scaled), len(scaled)), np.int64)
    for first in range(0, scaled.shape[1], _ROWS):
        block = scaled[:, first : first + _ROWS]
        found += (block @ block.T).astype(np.int64)
    return found.astype(np.float64)


def _root(covariance: Floats, raw: Floats) -> Floats:
    """R with R R' = covariance, lower triangular; `raw` squares, of which rounding leaves _NOTHING."""
    left, root = covariance.copy(), np.zeros_like(covariance)
    least = np.maximum(_NOTHING * raw, _DEPENDENT * np.diagonal(covariance))
    for at in range(len(left)):
        if left[at, at] <= least[at]:
            continue
        root[at:, at] = left[at:, at] / np.sqrt(left[at, at])
        left[at:, at:] -= np.multiply.outer(root[at:, at], root[at:, at])
    return root
