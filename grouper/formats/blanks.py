"""Whether texts have blanks around them or are empty: asked of every text, so asked cheaply.

Nearly every file is clean. Only the first and the last byte of a text are looked at, and the answer may be
a false alarm (a character of another script ends in the byte that a wide blank ends in), never a miss.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.arrow_views import INLINE, Views, list_views

_BLANKS = [chr(point) for point in range(0x3001) if chr(point).isspace()]
_TEXT_AT = 4  # a view is its length, then the text or its first four bytes


def _table(wanted: set[int]) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(wanted)] = True
    return table


_FIRST = _table({blank.encode()[0] for blank in _BLANKS})
_LAST = _table({blank.encode()[-1] for blank in _BLANKS})


def blanks_or_nothing(texts: pl.Series) -> tuple[bool, bool]:
    """Of a String series, or the items of a List(String) series: may some text have outer blanks; is one empty.

    No item of a list may be null.
    """
    is_list = isinstance(texts.dtype, pl.List)
    blanks = empty = long = False
    with list_views(texts if is_list else texts.drop_nulls().implode()) as chunks:
        for chunk in chunks:
            lengths = chunk.words.view(np.uint32)[:, 0]
            empty = empty or not lengths.all()
            long = long or bool((lengths > INLINE).any())
            blanks = blanks or _outer_blanks(chunk, lengths)
    if long and not blanks:
        items = texts.explode(empty_as_null=False, keep_nulls=False) if is_list else texts
        ends = items.filter(items.str.len_bytes() > INLINE).str.contains(r"\s$")
        blanks = bool(ends.any())
    return blanks, empty


def _outer_blanks(chunk: Views, lengths: NDArray[np.uint32]) -> bool:
    """Whether a text of one chunk may begin with a blank, or a short one end with one.

    Only short texts stand in their view to the end. An empty one has zero bytes, which are no blanks.
    """
    size = chunk.words.itemsize * chunk.words.shape[1]
    text = chunk.words.view(np.uint8).reshape(-1)
    if _FIRST[text[_TEXT_AT::size]].any():
        return True
    ends = np.arange(_TEXT_AT - 1, len(text), size)
    ends += np.minimum(lengths, INLINE)
    return bool((_LAST[text[ends]] & (lengths <= INLINE)).any())
