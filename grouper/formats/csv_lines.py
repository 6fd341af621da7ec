"""Every line of a block at a glance: cells, quotes, whether its quoting is plain, whether anything stands in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DELIMITERS = (",", "\t", ";")
QUOTE, NEWLINE, RETURN, NUL = 34, 10, 13, 0
FAR = 32
"""So many empty cells after the last are many."""
_NOTHING = np.zeros(256, np.bool_)
_NOTHING[list(b' \r\n\v\f"' + "".join(DELIMITERS).encode())] = True


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a block of text, each ended by a newline; all arrays have one entry a line.

    `starts` and `ends` are positions of its first byte and its newline. `quotes` counts quote signs. A line
    is `plain` when every quoted cell opens right after a delimiter and shuts right before one, without a
    quote inside; its `cells` are then counted right, delimiters inside quotes left out. `empty` lines hold
    blanks, quotes and delimiters only.
    """

    codes: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    cells: NDArray[np.int32]
    quotes: NDArray[np.int32]
    plain: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def empty(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = _count(~_NOTHING[self.codes], self.starts) == 0
        return found

    @property
    def with_nul(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = _count(self.codes == NUL, self.starts) > 0
        return found

    def text(self, first: int, last: int) -> str:
        """Lines `first` to `last` (both included), without the last line end."""
        return self.codes[self.starts[first] : self.ends[last]].tobytes().decode("utf-8").removesuffix("\r")


def _count(found: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int32]:
    """How often a byte was found in each line."""
    counts: NDArray[np.int32] = np.add.reduceat(found.view(np.uint8), starts, dtype=np.int32)
    return counts


def lines_of(data: bytes, delimiter: str) -> Lines:
    """The lines of non-empty `data`, which ends with a newline."""
    assert data.endswith(b"\n"), "a block is made of whole lines"
    codes = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(codes == NEWLINE)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    is_delimiter = codes == ord(delimiter)
    is_quote = codes == QUOTE
    quotes = _count(is_quote, starts)
    if not quotes.any():
        return Lines(codes, starts, ends, _count(is_delimiter, starts) + 1, quotes, np.ones(len(ends), np.bool_))
    inside = _inside_quotes(is_quote, quotes, ends - starts + 1)
    cells = _count(is_delimiter & ~inside, starts) + 1
    plain = quotes % 2 == 0
    plain[_lines_of_odd_quotes(codes, ord(delimiter), is_quote, inside, ends)] = False
    return Lines(codes, starts, ends, cells, quotes, plain)


def _inside_quotes(
    is_quote: NDArray[np.bool_], quotes: NDArray[np.int32], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """For every byte whether an odd number of quotes stands up to it in its own line."""
    inside: NDArray[np.bool_] = np.logical_xor.accumulate(is_quote)
    if (quotes % 2).any():
        # an odd line must not turn its successors inside out
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(quotes)[:-1]]) % 2
        inside ^= np.repeat(before.astype(np.bool_), lengths)
    return inside


def _lines_of_odd_quotes(
    codes: NDArray[np.uint8],
    delimiter: int,
    is_quote: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    ends: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Lines with a quote that neither opens a cell at its begin nor shuts it at its end."""
    places = np.flatnonzero(is_quote)
    padded = np.concatenate([codes, np.full(2, NEWLINE, np.uint8)])
    before = np.where(places > 0, codes[places - 1], NEWLINE)
    after = padded[places + 1]
    opens_well = (before == delimiter) | (before == NEWLINE)
    line_ends = (after == NEWLINE) | ((after == RETURN) & (padded[places + 2] == NEWLINE))
    right = np.where(inside[places], opens_well, (after == delimiter) | line_ends)
    odd: NDArray[np.int64] = np.searchsorted(ends, places[~right])
    return odd


def kept_lines(lines: Lines, kept: NDArray[np.bool_], first: int = 0, end: int | None = None) -> bytes:
    """The bytes of the kept lines among those from `first` to before `end`."""
    lengths = (lines.ends - lines.starts + 1)[first:end]
    if not len(lengths):
        return b""
    begin = lines.starts[first]
    some = lines.codes[begin : begin + int(lengths.sum())]
    return some[np.repeat(kept[first:end], lengths)].tobytes()


def surplus_is_empty(lines: Lines, at: NDArray[np.int64], width: int, delimiter: str) -> NDArray[np.bool_]:
    """Of the lines `at`, which have more than `width` cells: whether the surplus is delimiters at the end only."""
    surplus = lines.cells[at] - width
    last = lines.ends[at] - 1
    last -= lines.codes[last] == RETURN
    right = np.ones(len(at), np.bool_)
    for far in np.flatnonzero(surplus > FAR):  # one by one: seldom, and of any length
        place = last[far]
        right[far] = (lines.codes[place - surplus[far] + 1 : place + 1] == ord(delimiter)).all()
    surplus = np.minimum(surplus, FAR)
    for back in range(int(surplus.max(initial=0))):
        open_ = right & (surplus > back)
        if not open_.any():
            break
        right[open_] = lines.codes[last[open_] - back] == ord(delimiter)
    return right
