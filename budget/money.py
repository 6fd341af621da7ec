"""Money in integer fen: exact products rounded once, and splits that lose nothing.

Every amount is an int (fen). Rates, weights and coefficients are exact fractions of decimals; nothing here is a
float. Source of the rules: money is rounded half up to the fen once, where the policy says (settlement examples,
conventions); pools are shared by largest remainder, equal remainders to the earlier hospital id.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from math import lcm

FEN = 100


def exact(text: str | int | Fraction) -> Fraction:
    """A decimal text, an int or a fraction as an exact fraction. Raises ValueError for anything else."""
    if isinstance(text, int | Fraction):
        return Fraction(text)
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a decimal number: {text!r}") from None
    if not value.is_finite():
        raise ValueError(f"not a finite number: {text!r}")
    return Fraction(value)


def round_half_up(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    numerator, denominator = abs(value.numerator), value.denominator
    nearest = (2 * numerator + denominator) // (2 * denominator)
    return nearest if value >= 0 else -nearest


def part_of(amount: int, share: Fraction) -> int:
    """round_half_up(amount * share), without a fraction in between."""
    denominator = share.denominator
    product = amount * share.numerator
    nearest = (2 * abs(product) + denominator) // (2 * denominator)
    return nearest if product >= 0 else -nearest


def to_fen(yuan: str | int | Fraction) -> int:
    """Yuan as fen, rounded half up to the fen."""
    return round_half_up(exact(yuan) * FEN)


def yuan_text(fen: int) -> str:
    """Fen as yuan with two decimals, as statements show them."""
    sign = "-" if fen < 0 else ""
    whole, part = divmod(abs(fen), FEN)
    return f"{sign}{whole}.{part:02d}"


def decimal_text(value: Fraction, places: int) -> str:
    """A fraction with a fixed number of decimals, rounded half up."""
    scale = 10**places
    scaled = round_half_up(value * scale)
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), scale)
    return f"{sign}{whole}.{part:0{places}d}" if places else f"{sign}{whole}"


def apportion(total: int, shares: Sequence[Fraction | int]) -> list[int]:
    """Split `total` fen in proportion to `shares` (none negative) so that the parts add up to it exactly.

    Every part is floored and the missing fen go one each to the largest remainders, equal remainders to the earlier
    place: give the hospitals in the order of their ids. A negative total is split as its opposite. Raises ValueError
    when a share is negative or all are zero.
    """
    whole_shares = _integers(shares)
    whole = sum(whole_shares)
    if any(share < 0 for share in whole_shares) or (whole == 0 and total):
        raise ValueError("shares must not be negative, and not all zero")
    if total < 0:
        return [-part for part in apportion(-total, whole_shares)]
    if not total:
        return [0] * len(whole_shares)
    parts = [share * total // whole for share in whole_shares]
    rest = [part * whole - share * total for part, share in zip(parts, whole_shares, strict=True)]  # none above 0
    order = sorted(range(len(parts)), key=rest.__getitem__)
    for at in order[: total - sum(parts)]:
        parts[at] += 1
    return parts


def fraction_sum(shares: Sequence[Fraction]) -> Fraction:
    """The sum of fractions, over one common denominator."""
    common = lcm(*{share.denominator for share in shares})
    return Fraction(sum(share.numerator * (common // share.denominator) for share in shares), common)


def _integers(shares: Sequence[Fraction | int]) -> list[int]:
    """Shares in the same proportions as integers: over one common denominator."""
    common = lcm(*{int(share.denominator) for share in shares})
    return [int(share.numerator) * (common // share.denominator) for share in shares]
