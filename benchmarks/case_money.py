"""Costs: around the published weight of the group, with spread and outliers, split into charges and payers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from benchmarks.draws import Draws, Flags, Ints
from benchmarks.plausible import QUANTILES, case_mix, lognormal_x1000


@dataclass(frozen=True)
class Money:
    """Whole fen, one entry a case. `fees`: charge category -> amount, together `total`; `total` =
    `fund` + `self_pay` + `own_pay`; `account` + `cash` = `self_pay` + `own_pay`."""

    total: Ints
    fees: dict[str, Ints]
    fund: Ints
    self_pay: Ints
    own_pay: Ints
    account: Ints
    cash: Ints


@cache
def published_weights() -> dict[str, int]:
    """DRG -> relative weight, times 1000. Source: 吉林市 2022, tertiary hospitals, CHS-DRG 1.1."""
    text = (resources.files("benchmarks") / "published_weights.csv").read_text(encoding="utf-8")
    # "0.928" is 928, "12.5" is 12500: read as text, so that no binary fraction rounds on the way.
    return {row["drg"]: _thousandths(row["rw"]) for row in csv.DictReader(text.splitlines())}


def _thousandths(number: str) -> int:
    whole, _, part = number.partition(".")
    return int(whole) * 1000 + int((part + "000")[:3])


def weight_x1000(drg: str, *, operated: bool) -> int:
    """The weight of a DRG, times 1000: published, or that of its ADRG's siblings, or an ordinary one."""
    known = published_weights()
    if drg in known:
        return known[drg]
    siblings = [weight for code, weight in known.items() if code[:3] == drg[:3] and len(code) > 3]
    if siblings:
        return sum(siblings) // len(siblings)
    usual = case_mix()["cost"]["default_weight_x1000"]
    return int(usual["operated" if operated else "other"])


def draw_money(draws: Draws, *, weight: Ints, operated: Flags, level: Ints, employee: Flags, costly: Ints) -> Money:
    """Money of each case; `weight`: relative weight x 1000, `level`: tier of the hospital, `costly`: quantile."""
    mix = case_mix()["cost"]
    count = len(weight)
    tier_percent = np.array([mix["tier_percent"][str(tier)] for tier in (1, 2, 3)])[level - 1]
    factor = lognormal_x1000(mix["spread_percent"])[costly]
    high = draws.chance(mix["high_share"], count)
    low = draws.chance(mix["low_share"], count) & ~high
    outlying_x100 = np.where(high, _drawn(draws, mix["high_factor_x100"], count), 100)
    outlying_x100 = np.where(low, _drawn(draws, mix["low_factor_x100"], count), outlying_x100)
    usual = weight * mix["fen_per_weight"] // 1000 * tier_percent // 100
    total = np.maximum(usual * factor // 1000 * outlying_x100 // 100, 10_000)
    fund_percent = np.where(
        employee, _drawn(draws, mix["fund_percent"]["310"], count), _drawn(draws, mix["fund_percent"]["390"], count)
    )
    fund = total * fund_percent // 100
    own = np.minimum(total * _drawn(draws, mix["own_percent"], count) // 100, total - fund)
    self_pay = total - fund - own
    account = np.where(employee, self_pay * draws.below(mix["account_percent"], count) // 100, 0)
    return Money(total, _fees(draws, total, operated), fund, self_pay, own, account, self_pay + own - account)


def _drawn(draws: Draws, limits: Sequence[int], count: int) -> Ints:
    low, high = limits
    return draws.between(low, high, count)


def quantiles(draws: Draws, count: int) -> Ints:
    """How costly each case is among its group: places in the quantile table."""
    return draws.below(QUANTILES, count)


def _fees(draws: Draws, total: Ints, operated: Flags) -> dict[str, Ints]:
    mix = case_mix()["fees"]
    jitter = mix["jitter_percent"]
    parts: dict[str, Ints] = {}
    for name, cut, other in zip(mix["order"], mix["operated"], mix["other"], strict=True):
        parts[name] = np.where(operated, cut, other) * draws.between(100 - jitter, 100 + jitter, len(total))
    whole = np.sum(list(parts.values()), axis=0)
    fees = {name: total * part // whole for name, part in parts.items()}
    last = mix["order"][-1]
    fees[last] = fees[last] + total - np.sum(list(fees.values()), axis=0)
    return fees
