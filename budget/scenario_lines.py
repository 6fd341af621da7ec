"""The bands of a plan row as polynomials of what scenarios move, and their exact values for many rows at once.

Weight w, coefficient k, price p (yuan per weight, or per point) and high limit t are whole numbers over one
denominator each. A polynomial of them is then a whole number N over a fixed D; its value is estimated in floating point
and, wherever the estimate is too near a whole number (or a half) to decide, N - m x D is worked out modulo 2^64, which
is exact because it is small. So the answer never rests on a rounding of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """A variable in every row and scenario: `number` int64 [rows, scenarios or 1] over `below`."""

    number: Ints
    below: int

    def of(self, rows: slice) -> Column:
        """The same of some rows."""
        return Column(self.number[rows], self.below)


@dataclass(frozen=True)
class Numbers:
    """Numerators of many numbers modulo 2^64: a sum of products, each a factor and the columns it is multiplied by."""

    parts: Sequence[tuple[np.int64, Sequence[Ints]]]

    def whole(self) -> Ints:
        """All of them, [rows or 1, scenarios or 1]."""
        return self._sum((1, 1), lambda column: column)

    def at(self, row: Ints, scenario: Ints) -> Ints:
        """Some of them."""
        return self._sum(row.shape, lambda column: column[row, scenario if column.shape[1] > 1 else 0])

    def _sum(self, shape: tuple[int, ...], take: Callable[[Ints], Ints]) -> Ints:
        total: Ints = np.zeros(shape, np.int64)
        for factor, columns in self.parts:
            product: Ints = np.full(shape, factor)
            for column in columns:
                product = product * take(column)
            total = total + product
        return total


@dataclass(frozen=True)
class Exact:
    """Numbers estimated and exact. `near` the estimate [rows or 1, scenarios or 1], which `floor` uses up; `size` what
    the sizes of its parts add up to at most (its error goes by that); `numbers` N modulo 2^64 and `below` D: the number
    is N / D."""

    near: Reals
    size: float
    numbers: Numbers
    below: int

    def doubt(self, more: float = 0.0) -> float:
        """How far the estimate, or one made of it and numbers up to `more`, may be off. Raises OverflowError when
        that, or D, is too large for the remainder to be exact."""
        width = (self.size + more + 1) * _RELATIVE
        if width > WIDEST or 4 * width * float(self.below) >= _LIMIT:
            raise OverflowError("numbers too large or too fine for the exact remainder")
        return width

    def floor(self, into: Reals, less: int = 0) -> None:
        """The greatest whole number not above (N - less) / D, put into [rows, scenarios]; uses the estimate up."""
        width = self.doubt(float(less))
        near, below = self.near, wrapped(self.below)
        near += width - less / self.below
        found = into if into.shape == near.shape else np.empty(near.shape)
        np.floor(near, out=found)
        near -= found
        # Off by less than the width, so only what lies this close above a whole number may belong below it.
        doubtful = np.flatnonzero(near < 2 * width)
        if doubtful.size:
            row, scenario = np.unravel_index(doubtful, near.shape)
            whole = found[row, scenario]
            remainder = self.numbers.at(row, scenario) - less - whole.astype(np.int64) * below
            found[row, scenario] = whole - (remainder < 0)
        if found is not into:
            into[:] = found


def wrapped(number: int) -> np.int64:
    """A whole number modulo 2^64."""
    return np.uint64(number % (1 << 64)).astype(np.int64)


class Products:
    """Products of the variables in some rows, each worked out once, and the polynomials made of them."""

    def __init__(self, columns: Mapping[str, Column], rows: slice) -> None:
        self._below = {name: column.below for name, column in columns.items()}
        self._own = {name: column.number[rows] for name, column in columns.items()}
        self._found: dict[Powers, tuple[Reals, float]] = {}

    def value(self, of: Poly) -> Exact:
        """A polynomial. Raises NotLinear for one of a higher degree."""
        if not of.linear:
            raise NotLinear("a variable of a higher degree")
        used = [name for at, name in enumerate(VARIABLES) if any(powers[at] for powers in of.parts)]
        whole = lcm(1, *(part.denominator for part in of.parts.values()))
        near, size, numbers = np.zeros((1, 1)), 0.0, []
        for first, (powers, part) in enumerate(of.parts.items()):
            inside = [name for name, power in zip(VARIABLES, powers, strict=True) if power]
            exact = int(part * whole) * prod(self._below[name] for name in used if name not in inside)
            outside = float(part / prod(self._below[name] for name in inside))
            product, largest = self._product(powers)
            more = product * outside
            near = near + more if first else more
            numbers.append((wrapped(exact), [self._own[name] for name in inside]))
            size += largest * abs(outside)
        return Exact(near, size, Numbers(numbers), whole * prod(self._below[name] for name in used))

    def _product(self, powers: Powers) -> tuple[Reals, float]:
        """The estimate of a product of variables, and the largest of them."""
        if powers not in self._found:
            own = [self._own[name] for name, power in zip(VARIABLES, powers, strict=True) if power]
            real: Reals = np.ones((1, 1))
            for values in sorted(own, key=lambda values: values.shape[1]):  # what is the same in every scenario first
                real = real * values.astype(np.float64)
            self._found[powers] = real, max(float(real.max(initial=0.0)), -float(real.min(initial=0.0)))
        return self._found[powers]
