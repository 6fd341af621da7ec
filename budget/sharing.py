"""Retained surplus (结余留用) and reasonable shared overrun (合理超支分担) of one hospital, or of the region.

Both are functions of what the hospital is entitled to and what it actually spent, in fen. Bands are fractions of the
entitlement; marginal bands give each slice its own share, cliff bands give the whole amount the share of the band it
ends in. Source: the cities' rules as published (浙江, 深圳, 广元 and others), one form for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

from budget.money import part_of, round_half_up


@dataclass(frozen=True, slots=True)
class Band:
    """From `start` (not counting) up to `end` (counting; None = no end) of the entitlement, `share` of the slice."""

    start: Fraction
    end: Fraction | None
    share: Fraction


@dataclass(frozen=True, slots=True)
class _Slices:
    """Marginal bands in whole numbers: start, end (None: no end) in parts of `edge`, share in parts of `part`."""

    edge: int
    part: int
    bands: tuple[tuple[int, int | None, int], ...]

    def of(self, amount: int, base: int) -> Fraction:
        """What they give of an amount."""
        whole, found = amount * self.edge, 0
        for start, end, share in self.bands:
            above = (whole if end is None else min(whole, end * base)) - start * base
            if above > 0:
                found += above * share
        return Fraction(found, self.edge * self.part)


def _slices(bands: Sequence[Band]) -> _Slices:
    edge = lcm(*(item.denominator for band in bands for item in (band.start, band.end) if item is not None))
    part = lcm(*(band.share.denominator for band in bands))
    return _Slices(
        edge, part,
        tuple(
            (int(band.start * edge), None if band.end is None else int(band.end * edge), int(band.share * part))
            for band in bands
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class SharingRule:
    """`retain`: bands of the surplus that stay with the hospital; `overrun`: bands of the overrun that the fund bears,
    nothing outside them. `low_ratio`: below this share of the entitlement only the actual amount is paid (None = no
    such line). `retain_cap`: most that is retained, as a share of the entitlement. `cliff`: see the module."""

    retain: tuple[Band, ...]
    overrun: tuple[Band, ...]
    low_ratio: Fraction | None = None
    retain_cap: Fraction | None = None
    cliff: bool = False

    def kept(self, surplus: int, entitlement: int) -> Fraction:
        """What the hospital keeps of a surplus by the bands, exact."""
        if self.cliff:
            return _cliff(surplus, entitlement, self.retain)
        return self._retained.of(surplus, entitlement)

    def borne(self, overrun: int, entitlement: int) -> Fraction:
        """What the fund bears of an overrun, exact."""
        if self.cliff:
            return _cliff(overrun, entitlement, self.overrun)
        return self._shared.of(overrun, entitlement)

    @cached_property
    def _retained(self) -> _Slices:
        return _slices(self.retain)

    @cached_property
    def _shared(self) -> _Slices:
        return _slices(self.overrun)


@dataclass(frozen=True, slots=True)
class Shared:
    """What sharing does to one hospital, all fen. `zone` below-floor, surplus or overrun; `retained` and `to_fund` add
    up to the surplus, `fund_share` and `hospital_bears` to the overrun; `fund_pays` is what the fund pays at last."""

    zone: str
    surplus: int
    retained: int
    to_fund: int
    overrun: int
    fund_share: int
    hospital_bears: int
    fund_pays: int


@dataclass(frozen=True, slots=True)
class RegionShared:
    """The region's result, fen. `difference` is budget less what is due (negative: overrun); `hospitals` is the part of
    it that falls on the hospitals and `fund` the part that falls on the fund, same sign; `distributable` is what the
    hospitals get together."""

    difference: int
    hospitals: int
    fund: int
    distributable: int


def flat(share: Fraction) -> tuple[Band, ...]:
    """One share whatever the amount."""
    return (Band(Fraction(0), None, share),)


def _cliff(amount: int, base: int, bands: Sequence[Band]) -> Fraction:
    """The share of the band that `amount` (fen, not negative) ends in, of the whole of it. `base`: the entitlement the
    bands are fractions of."""
    band = next((item for item in bands if _holds(item, amount, base)), None)
    return Fraction(0) if band is None else amount * band.share


def _holds(band: Band, amount: int, base: int) -> bool:
    return band.start * base < amount and (band.end is None or amount <= band.end * base)


def share(entitlement: int, actual: int, rule: SharingRule) -> Shared:
    """Sharing of one hospital: `entitlement` what it earned, `actual` what it spent, fen, both not negative.

    Rounded half up to the fen once; what is not retained goes to the fund, what the fund does not share the hospital
    bears, so nothing is lost.
    """
    difference = entitlement - actual
    if difference < 0:
        overrun = -difference
        fund_share = round_half_up(rule.borne(overrun, entitlement))
        return Shared("overrun", 0, 0, 0, overrun, fund_share, overrun - fund_share, entitlement + fund_share)
    low = rule.low_ratio
    if low is not None and actual * low.denominator < low.numerator * entitlement:
        return Shared("below-floor", difference, 0, difference, 0, 0, 0, actual)
    kept = rule.kept(difference, entitlement)
    if rule.retain_cap is not None:
        kept = min(kept, rule.retain_cap * entitlement)
    retained = round_half_up(kept)
    return Shared("surplus", difference, retained, difference - retained, 0, 0, 0, actual + retained)


def share_region(budget: int, due: int, hospital_share: Fraction) -> RegionShared:
    """The region's surplus or overrun, `hospital_share` of which falls on the hospitals (浙江省级, 杭州 2020)."""
    difference = budget - due
    hospitals = part_of(difference, hospital_share)
    return RegionShared(difference, hospitals, difference - hospitals, due + hospitals)
