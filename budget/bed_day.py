"""Bed-day payment (按床日付费): a price for each day, falling by segments, whatever was done.

Source: bed-day rules as published (daily price by segment of the stay; 连云港: points a day with a top-up).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from budget.affine import Affine, AffineColumn
from budget.money import FEN
from reference_tables.policy_bands import Segment

Ints = NDArray[np.int64]


def day_lines(segments: Sequence[Segment]) -> list[tuple[int, Affine]]:
    """Per segment its last day (a day no stay reaches for the open one) and the fen due as a line of the days."""
    lines: list[tuple[int, Affine]] = []
    paid, start = Fraction(0), 0
    for segment in segments:
        price = segment.price * FEN
        line = Affine(price, paid - price * start)
        end = segment.up_to if segment.up_to is not None else 1 << 30
        lines.append((end, line))
        paid, start = line.at(end), end
    return lines


def bed_day_fen(days: Ints, tariffs: Sequence[Sequence[Segment]], which: Ints) -> Ints:
    """int64 [cases]: fen for stays of `days` days by tariff `which`, rounded half up once; a stay of 0 days counts as
    one."""
    lines = [day_lines(tariff) for tariff in tariffs]
    first = np.concatenate([[0], np.cumsum([len(tariff) for tariff in lines])[:-1]]).astype(np.int64)
    column = AffineColumn([line for tariff in lines for _, line in tariff])
    counted = np.maximum(days, 1)
    at = first[which]
    for place in range(max((len(tariff) for tariff in lines), default=1) - 1):
        ends = np.array([tariff[place][0] if place < len(tariff) - 1 else 1 << 30 for tariff in lines], np.int64)
        at = at + (counted > ends[which])
    return column.rounded(at, counted)
