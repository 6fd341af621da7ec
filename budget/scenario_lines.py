"""The bands of a plan row as polynomials of what scenarios move, and their exact values for many rows at once.

Weight w, coefficient k, price p (yuan per weight, or per point) and high limit t are whole numbers over one
denominator each. A polynomial of them is then a whole number N over a fixed D; its value is estimated in floating point
and, wherever the estimate is too near a whole number (or a half) to decide, N - m x D is worked out modulo 2^64, which
is exact because it is small. So the answer never rests on a rounding of the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
Powers = tuple[int, int, int, int]
VARIABLES = ("w", "k", "p", "t")
_PLAIN: Powers = (0, 0, 0, 0)
_RELATIVE = 2.0**-46
"""More than the relative error of any sum of the products below: at most 2^5 roundings of 2^-53 each."""
WIDEST = 1e-3
"""A doubtful band wider than this is no filter any more."""
_LIMIT = 2.0**61


class NotLinear(Exception):
    """A polynomial that is not of the first degree in each variable, or that divides by a sum."""


@dataclass(frozen=True)
class Poly:
    """A sum of products of VARIABLES to whole powers, by powers; stands in for a fraction in the formulas."""

    parts: Mapping[Powers, Fraction]

    def __add__(self, other: Poly | Fraction | int) -> Poly:
        found = dict(self.parts)
        for powers, value in poly(other).parts.items():
            found[powers] = found.get(powers, Fraction(0)) + value
        return Poly({powers: value for powers, value in found.items() if value})

    __radd__ = __add__

    def __neg__(self) -> Poly:
        return Poly({powers: -value for powers, value in self.parts.items()})

    def __sub__(self, other: Poly | Fraction | int) -> Poly:
        return self + -poly(other)

    def __rsub__(self, other: Poly | Fraction | int) -> Poly:
        return poly(other) + -self

    def __mul__(self, other: Poly | Fraction | int) -> Poly:
        found: dict[Powers, Fraction] = {}
        for one, left in self.parts.items():
            for two, right in poly(other).parts.items():
                powers = (one[0] + two[0], one[1] + two[1], one[2] + two[2], one[3] + two[3])
                found[powers] = found.get(powers, Fraction(0)) + left * right
        return Poly({powers: value for powers, value in found.items() if value})

    __rmul__ = __mul__

    def __truediv__(self, other: Poly | Fraction | int) -> Poly:
        below = poly(other).parts
        if len(below) != 1:
            raise NotLinear("division by a sum, or by nothing")
        ((powers, value),) = below.items()
        return self * Poly({(-powers[0], -powers[1], -powers[2], -powers[3]): 1 / value})

    def __rtruediv__(self, other: Poly | Fraction | int) -> Poly:
        return poly(other) / self

    def at(self, values: Sequence[Fraction]) -> Fraction:
        """The number at one value of each of VARIABLES; of the first degree in each."""
        total = Fraction(0)
        for powers, part in self.parts.items():
            for value, power in zip(values, powers, strict=True):
                part = part * value if power else part
            total += part
        return total

    @property
    def constant(self) -> bool:
        """Is it a number, whatever the variables?"""
        return all(powers == _PLAIN for powers in self.parts)

    @property
    def number(self) -> Fraction:
        """The number that a constant is."""
        assert self.constant, "nothing that moves"
        return self.parts.get(_PLAIN, Fraction(0))

    @property
    def linear(self) -> bool:
        """Is every variable of degree 0 or 1 in every product?"""
        return all(power in {0, 1} for powers in self.parts for power in powers)


def poly(value: Poly | Fraction | int) -> Poly:
    """A number as a polynomial."""
    if isinstance(value, Poly):
        return value
    return Poly({_PLAIN: Fraction(value)} if value else {})


def variable(name: str) -> Poly:
    """One of VARIABLES."""
    at = VARIABLES.index(name)
    powers: Powers = (int(at == 0), int(at == 1), int(at == 2), int(at == 3))
    return Poly({powers: Fraction(1)})


@dataclass(frozen=True)
class Column:
    """A variable in every scenario and row: `number` int64 [scenarios or 1, rows] over `below`."""

    number: Ints
    below: int

    def real(self) -> Reals:
        return np.asarray(self.number / self.below)


@dataclass(frozen=True)
class Exact:
    """Numbers estimated and exact. `near` the estimate, `size` what the sizes of its parts add up to at most (its error
    goes by that); `number` N modulo 2^64 and `below` D: the number is N / D."""

    near: Reals
    size: float
    number: Ints
    below: int

    def doubt(self, more: float = 0.0) -> float:
        """How far the estimate, or one made of it and numbers up to `more`, may be off. Raises OverflowError when
        that, or D, is too large for the remainder to be exact."""
        width = (self.size + more + 1) * _RELATIVE
        if width > WIDEST or 4 * width * float(self.below) >= _LIMIT:
            raise OverflowError("numbers too large or too fine for the exact remainder")
        return width

    def floor(self) -> Ints:
        """The greatest whole number not above each."""
        return floor_of(self.near, self.number, wrapped(self.below), self.doubt())

    def half_up(self) -> Ints:
        """Each rounded to the nearest whole number, halves up; for numbers that are not negative."""
        twice, below = self.number + self.number, wrapped(2 * self.below)
        return floor_of(self.near + 0.5, twice + wrapped(self.below), below, 2 * self.doubt())

    def before(self) -> Ints:
        """The greatest whole number below each."""
        return Exact(self.near - 1 / self.below, self.size + 1, self.number - 1, self.below).floor()


def floor_of(near: Reals, number: Ints, below: Ints | np.int64, width: float) -> Ints:
    """floor(N / D) from an estimate that is off by less than `width`, N and D modulo 2^64."""
    whole = np.floor(near + width)
    found = whole.astype(np.int64)
    doubtful = np.flatnonzero((near - whole) < width)
    if doubtful.size:
        least = below if below.ndim == 0 else below.ravel()[doubtful]
        places = np.unravel_index(doubtful, found.shape) if found.ndim > 1 else (doubtful,)
        found[places] -= number[places] - found[places] * least < 0
    return found


def wrapped(number: int) -> np.int64:
    """A whole number modulo 2^64."""
    return np.uint64(number % (1 << 64)).astype(np.int64)


class Products:
    """Products of the variables in scenarios `places`, each worked out once, and the polynomials made of them."""

    def __init__(self, columns: Mapping[str, Column], places: slice) -> None:
        self._below = {name: column.below for name, column in columns.items()}
        self._own = {name: _cut(column.number, places) for name, column in columns.items()}
        self._found: dict[Powers, tuple[Ints, Reals, float]] = {}

    def value(self, of: Poly) -> Exact:
        """A polynomial, [scenarios or 1, rows or 1]. Raises NotLinear for one of a higher degree."""
        if not of.linear:
            raise NotLinear("a variable of a higher degree")
        used = [name for at, name in enumerate(VARIABLES) if any(powers[at] for powers in of.parts)]
        whole = lcm(1, *(part.denominator for part in of.parts.values()))
        near, size, number = np.zeros((1, 1)), 0.0, np.zeros((1, 1), np.int64)
        for first, (powers, part) in enumerate(of.parts.items()):
            inside = {name for name, power in zip(VARIABLES, powers, strict=True) if power}
            exact = int(part * whole) * prod(self._below[name] for name in used if name not in inside)
            outside = float(part / prod(self._below[name] for name in inside))
            product, real, largest = self._product(powers)
            more, wraps = real * outside, product * wrapped(exact)
            near, number = (near + more, number + wraps) if first else (more, wraps)
            size += largest * abs(outside)
        return Exact(near, size, number, whole * prod(self._below[name] for name in used))

    def _product(self, powers: Powers) -> tuple[Ints, Reals, float]:
        """A product of variables modulo 2^64, its estimate, and the largest of them."""
        if powers not in self._found:
            own = [self._own[name] for name, power in zip(VARIABLES, powers, strict=True) if power]
            product: Ints = np.ones((1, 1), np.int64)
            real: Reals = np.ones((1, 1))
            for values in sorted(own, key=len):  # what is the same in every scenario first
                product = product * values
                real = real * values
            self._found[powers] = product, real, float(np.abs(real).max(initial=0.0))
        return self._found[powers]


def _cut(values: Ints, places: slice) -> Ints:
    return values if len(values) == 1 else values[places]
