"""Logarithms of whole numbers, the same on every machine: fixed point, by integers alone.

A logarithm is needed only to find the limits of log-normal trimming, where its base cancels out. Here it has base 2
and 24 binary places: the place of the leading bit, then one bit for every squaring of the mantissa. Whoever repeats
the calculation gets the same integers, which no mathematical library promises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PLACES = 24
_MANTISSA = 31
_HALVINGS = (32, 16, 8, 4, 2, 1)


def binary_logs(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """log2 x 2^24 of each value, cut off after 24 binary places; int64 [n], not falling where values rise.

    Values are below 2^62; those below 1 count as 1.
    """
    rest = np.maximum(values, 1).astype(np.uint64)
    whole = np.zeros(rest.shape, np.uint64)
    shifted = rest.copy()
    for step in _HALVINGS:
        high = (shifted >> np.uint64(step)) > 0
        shifted[high] >>= np.uint64(step)
        whole[high] += np.uint64(step)
    over = np.maximum(whole, _MANTISSA) - np.uint64(_MANTISSA)
    under = np.uint64(_MANTISSA) - np.minimum(whole, _MANTISSA)
    mantissa = (rest >> over) << under
    found = whole
    for _ in range(PLACES):
        mantissa = (mantissa * mantissa) >> np.uint64(_MANTISSA)
        bit = mantissa >> np.uint64(_MANTISSA + 1)
        mantissa >>= bit
        found = (found << np.uint64(1)) | bit
    return found.astype(np.int64)
