"""How many special cases (特例单议) a hospital may put forward: a share of its discharges, rounded down.

Source: 医保办发〔2024〕9号 and the operating rules (5 % of discharges under DRG, 5 per mille under DIP); rounding down
is this project's reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class SpecialQuota:
    """`quota` cases, of those applied for `accepted` for review and `over` beyond the quota."""

    quota: int
    accepted: int
    over: int


def special_quota(discharges: int, share: Fraction, applied: int) -> SpecialQuota:
    """The quota of `discharges` at `share` of them, and what it leaves of the cases applied for.

    Raises ValueError for a negative number of cases or a share outside 0 to 1.
    """
    if discharges < 0 or applied < 0 or not 0 <= share <= 1:
        raise ValueError("cases must not be negative, and the share lies between 0 and 1")
    quota = discharges * share.numerator // share.denominator
    accepted = min(quota, applied)
    return SpecialQuota(quota, accepted, applied - accepted)
