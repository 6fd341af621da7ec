"""Sums of a hospital's cases by pool under resampling: cases drawn with replacement within hospital and group.

A hospital of at most EXACT cases is drawn case by case. So are, in a larger one, the groups of cases that alone make up
more than HEAVY of some sum's variance: such a sum is far from normal, and bounded by 0. Of its other cases, let r be
what a case's amounts lie above the mean of its group. What resampling within groups adds to the hospital's sums has
mean 0, covariance sum(r r') and third cumulants sum(r^3): just what drawing the r of all its cases from one pot has. So
how often each of the ALONE cases that weigh most comes is drawn (multinomial), and what all others add is a normal
vector with the covariance that is left: means and covariances of all sums are exact, and their skewness is that of the
cases drawn.

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
"""Cases that are drawn within their groups at most; with more of them that takes longer. Above ALONE."""
HEAVY = 0.25
"""Part of a sum's variance that is much for one case."""
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
    sums = _sums(cases)
    moved = np.ones((count, 0))
    if len(sums.whole):
        stratum = np.unique(cases.group, return_inverse=True)[1].ravel()
        if len(stratum) <= EXACT:
            moved = _each(sums.matrix, stratum, count, root)
        else:
            moved = _of_many(sums.matrix, stratum, count, root)
        moved = np.maximum(moved / sums.whole, 0.0)
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


def _each(matrix: Floats, stratum: Ints, count: int, root: np.random.SeedSequence) -> Floats:
    """Sums [count, sums] of resamples drawn case by case."""
    order = np.lexsort((*matrix, stratum))
    stratum, values = stratum[order], np.ascontiguousarray(matrix[:, order].T)
    draws = np.random.Generator(np.random.Philox(root))
    size = np.bincount(stratum)
    width, start = size[stratum], (np.cumsum(size) - size)[stratum]
    rows = len(start)
    found = np.empty((count, len(matrix)))
    for first in range(0, count, _BLOCK):
        many = min(_BLOCK, count - first)
        drawn = (draws.random((many, rows)) * width).astype(np.int64)
        drawn += start
        drawn += np.arange(0, many * rows, rows)[:, None]
        often = np.bincount(drawn.reshape(-1), minlength=many * rows).reshape(many, rows)
        # Whole numbers, so that no order of adding matters.
        found[first : first + many] = often.astype(np.float64) @ values
    return found


def _of_many(matrix: Floats, stratum: Ints, count: int, root: np.random.SeedSequence) -> Floats:
    """Sums [count, sums] of resamples of more than EXACT cases: heavy groups case by case, the rest in one pot."""
    by_case, *others = root.spawn(3)
    # Amounts in 2^-20 of the hospital's greatest of that sum.
    unit = np.abs(matrix).max(axis=1) / (1 << _BITS)
    scaled = matrix / unit[:, None]
    np.rint(scaled, out=scaled)
    size = np.bincount(stratum)
    mean = np.stack([np.bincount(stratum, row) for row in scaled], axis=1) / size[:, None]
    raw = _products(scaled)
    covariance = raw - np.einsum("sd,se->de", mean * size[:, None], mean)
    variance = np.diagonal(covariance)
    variance = np.where(variance > _NOTHING * np.diagonal(raw), variance, np.inf)
    part = _part(scaled, mean, stratum, variance)
    heavy = _heavy(part, stratum, size)
    if not heavy.any():
        return np.asarray(_mostly_normal(_Pot(scaled, mean, stratum, part, covariance, raw), count, others) * unit)
    drawn = heavy.take(stratum)
    own, rest = np.flatnonzero(drawn), np.flatnonzero(~drawn)
    inside, means = scaled[:, own], mean * heavy[:, None]
    covariance -= _products(inside) - np.einsum("sd,se->de", means * size[:, None], means)
    pot = _Pot(scaled[:, rest], mean, stratum[rest], part[rest], covariance, raw)
    found = _mostly_normal(pot, count, others)
    found *= unit
    found += _each(matrix[:, own], np.unique(stratum[own], return_inverse=True)[1].ravel(), count, by_case)
    return found


def _heavy(part: Floats, stratum: Ints, size: Ints) -> NDArray[np.bool_]:
    """[groups] those that have a case of more than HEAVY, the heaviest first, while they have EXACT cases together."""
    most = np.zeros(len(size))
    np.maximum.at(most, stratum[part > HEAVY], part[part > HEAVY])
    order = np.argsort(-most, kind="stable")
    order = order[most[order] > HEAVY]
    chosen = np.zeros(len(size), np.bool_)
    chosen[order[np.cumsum(size[order]) <= EXACT]] = True
    return chosen


@dataclass(frozen=True)
class _Pot:
    """Cases of a hospital: `scaled` [sums, cases] their amounts as whole numbers, `mean` [groups, sums], the `stratum`
    and the greatest `part` of each case in the variance of a sum; `covariance` [sums, sums] of resampling them; `raw`
    squares of all the hospital's cases."""

    scaled: Floats
    mean: Floats
    stratum: Ints
    part: Floats
    covariance: Floats
    raw: Floats


def _mostly_normal(pot: _Pot, count: int, roots: Sequence[np.random.SeedSequence]) -> Floats:
    """Sums [count, sums] of resamples in which the cases that weigh most are drawn one by one."""
    often, within = (np.random.Generator(np.random.Philox(root)) for root in roots)
    alone = _alone(pot)
    above = pot.scaled[:, alone].T - pot.mean[pot.stratum[alone]]
    others = len(pot.stratum) - len(alone)
    above = np.concatenate([above, -above.sum(axis=0, keepdims=True) / others])
    times = np.array([1] * len(alone) + [others])
    left = pot.covariance - np.einsum("pd,pe->de", above * times[:, None], above)
    counts = _counts(len(alone), others, count, often)
    added = np.einsum("rp,dp->rd", counts, np.ascontiguousarray(above.T))
    spread = _root(left, np.diagonal(pot.raw))
    added += np.einsum("rk,dk->rd", within.standard_normal((count, len(spread))), spread)
    return np.asarray(added + pot.scaled.sum(axis=1))


def _part(scaled: Floats, mean: Floats, stratum: Ints, variance: Floats) -> Floats:
    """[cases] the greatest part that each has in the variance of some sum."""
    part = np.zeros(len(stratum))
    for row, centre, whole in zip(scaled, mean.T, variance, strict=True):
        above = row - centre.take(stratum)
        above *= above
        above /= whole
        np.maximum(part, above, out=part)
    return part


def _alone(pot: _Pot) -> Ints:
    """The cases that have the greatest part in the variance of some sum, at most ALONE, in an order of their own."""
    last = -min(ALONE, len(pot.part) - 1) - 1
    least = np.partition(pot.part, last)[last]
    found = np.flatnonzero(pot.part > least)
    return np.asarray(found[np.lexsort((*pot.scaled[:, found], pot.stratum[found]))])


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
