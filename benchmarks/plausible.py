"""The case mix as data: `case_mix.toml`, read once and checked."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARES = 1000
"""Shares of the case mix are per mille."""


@cache
def case_mix() -> Mapping[str, Any]:
    """The whole of `case_mix.toml`; ValueError when the charge categories or a line of points is not sound."""
    text = (resources.files("benchmarks") / "case_mix.toml").read_text(encoding="utf-8")
    mix: dict[str, Any] = tomllib.loads(text)
    fees = mix["fees"]
    if not len(fees["order"]) == len(fees["operated"]) == len(fees["other"]):
        raise ValueError("case_mix.toml: [fees] needs a share for every charge category")
    lines = [*mix["age"].values(), mix["age_days"]["points"], mix["newborn_weight"]["points"]]
    lines += [item["points"] for item in mix["comorbidity"]] + [mix["stay"]["employee_share"]]
    if any(left[0] >= right[0] for line in lines for left, right in pairwise(line)):
        raise ValueError("case_mix.toml: points must rise")
    return mix


@cache
def _sex_beginnings() -> tuple[tuple[str, int], ...]:
    pairs = [(start, int(sex)) for sex, starts in case_mix()["sex"].items() for start in starts]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))


@cache
def likely_sex(code: str) -> int:
    """1 or 2 for a diagnosis of one sex only, 0 for any other."""
    return next((sex for start, sex in _sex_beginnings() if code.startswith(start)), 0)


def along(points: Sequence[Sequence[int]], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole-number values at `places` on straight lines between the points, 0 outside them."""
    values = np.zeros(len(places), dtype=np.int64)
    for (left, low), (right, high) in pairwise(points):
        inside = (places >= left) & (places <= right)
        values[inside] = (low * (right - places[inside]) + high * (places[inside] - left)) // (right - left)
    return values


QUANTILES = 4096


@cache
def lognormal_x1000(spread_percent: int) -> NDArray[np.int64]:
    """Quantiles of a log-normal factor with mean 1, times 1000, as whole numbers.

    A table instead of a formula: rounded, it is the same on every machine.
    """
    spread = spread_percent / 100
    normal = NormalDist()
    middles = [(at + 0.5) / QUANTILES for at in range(QUANTILES)]
    exponents = [spread * normal.inv_cdf(middle) - spread * spread / 2 for middle in middles]
    return np.array([max(1, round(1000 * math.exp(power))) for power in exponents], dtype=np.int64)
