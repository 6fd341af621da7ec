"""The made-up hospitals of a made-up city."""

from __future__ import annotations

from dataclasses import dataclass

REGION = "999900"
"""Region code of no real place."""
_NAMES = {3: "合成市第{}人民医院", 2: "合成市第{}医院", 1: "合成市第{}卫生院"}
_DIGITS = "零一二三四五六七八九十"
_CASES = {3: 10, 2: 6, 1: 3}


@dataclass(frozen=True)
class Hospital:
    """`level`: 1, 2 or 3, the tier of settlement; `size`: relative number of cases among its tier."""

    id: str
    name: str
    level: int
    size: int


def city_hospitals(count: int = 12) -> tuple[Hospital, ...]:
    """`count` hospitals H0101, H0102, …, tiers taking turns (two of three, then one of the second …)."""
    tiers = [(3, 2, 1, 2, 3, 1)[at % 6] for at in range(count)]
    hospitals: list[Hospital] = []
    for at, level in enumerate(tiers):
        number = tiers[: at + 1].count(level)
        numeral = _DIGITS[number] if number <= 10 else str(number)
        size = _CASES[level] + 2 * (at * 7 % 5)
        hospitals.append(Hospital(f"H{101 + at:04d}", _NAMES[level].format(numeral), level, size))
    return tuple(hospitals)
