"""Codes of a DIP scheme as integers, and which of them fall under an item of a diagnosis cell.

A diagnosis item is a beginning of a code, so a code that no book has may still fall under one: it gets the id of
its subcategory or category, which falls under exactly the items the code itself does. A procedure is compared
whole, and an unknown one falls under nothing. Source: 《按病种分值（DIP）付费3.0版分组方案》, code columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE, UNKNOWN, CodeIndex
from grouper.encode import CodeLists
from reference_tables.codes import CodeBooks
from reference_tables.dip_cells import (
    DiagnosisItem,
    categories_between,
    category_of,
    mark_of,
    spelled,
    subcategory_of,
)

_CATEGORY, _SUBCATEGORY = 3, 5
_FOURTH = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class DiagnosisCodes:
    """Diagnoses of the code book and of a pack's items. `index`: codes and beginnings of codes -> ids."""

    def __init__(self, books: CodeBooks, items: Iterable[DiagnosisItem]) -> None:
        """`items`: every item that `members` will be asked for."""
        listed = tuple(dict.fromkeys(items))
        book = books.diagnosis.frame["code"].to_list()
        wholes = [item.low for item in listed if item.whole]
        starts = dict.fromkeys(start for code in book for start in (category_of(code), subcategory_of(spelled(code))))
        starts |= dict.fromkeys(start for item in listed for start in _starts(item))
        marked = {category for item in listed if item.mark for category in categories_between(item.low, item.high)}
        marks = [start + mark for start in starts for mark in "+*" if category_of(start) in marked]
        official = {spelled(code) for code in book}
        extra = [code for code in (*wholes, *starts, *marks) if code not in official]
        self.index = CodeIndex([code.replace("X", "x") for code in extra], book)
        texts = [spelled(code) for code in self.index.spelling.to_list()[2:]]
        self._id_of = {text: at for at, text in enumerate(texts, start=2)}
        self._texts = np.array(["", "", *texts])
        self._category = self._texts.astype(f"U{_CATEGORY}")
        self._subcategory = self._texts.astype(f"U{_SUBCATEGORY}")
        self._mark = np.array(["", "", *map(mark_of, texts)])
        self.listed = np.zeros(self.index.size, np.bool_)
        self.listed[self.index.ids([*book, *(code.replace("X", "x") for code in wholes)])] = True
        self.listed[[NONE, UNKNOWN]] = False

    def members(self, items: Iterable[DiagnosisItem]) -> NDArray[np.bool_]:
        """bool [ids]: which ids fall under some of the items; NONE and UNKNOWN never do."""
        inside = np.zeros(self.index.size, np.bool_)
        for item in items:
            inside |= self._under(item)
        inside[[NONE, UNKNOWN]] = False
        return inside

    def _under(self, item: DiagnosisItem) -> NDArray[np.bool_]:
        if item.whole:
            return np.asarray(self._texts == item.low)
        low = self._category if len(item.low) == _CATEGORY else self._subcategory
        high = self._category if len(item.high) == _CATEGORY else self._subcategory
        under = (low >= item.low) & (high <= item.high)
        return np.asarray(under & (self._mark == item.mark) if item.mark else under)

    def id_of(self, code: str) -> int:
        """The id of one code as given: its own, or that of its subcategory or category, or UNKNOWN."""
        text = spelled(code)
        if not text:
            return NONE
        mark = mark_of(text)
        for start in (text, subcategory_of(text) + mark, subcategory_of(text), category_of(text) + mark):
            if start in self._id_of:
                return self._id_of[start]
        return self._id_of.get(category_of(text), UNKNOWN)

    def encode_lists(self, column: pl.Series) -> tuple[CodeLists, NDArray[np.bool_]]:
        """Encode a List(String) column; also bool [items]: the code itself is in no book and not in the pack."""
        flat, offsets = self.index.encode_lists(column)
        flat = flat.copy()
        missed = np.flatnonzero(flat == UNKNOWN)
        if missed.size:
            given = column.fill_null([]).list.explode(empty_as_null=False, keep_nulls=True)
            texts = given.gather(pl.Series(missed))
            different = texts.unique()
            found = pl.Series([self.id_of(text) for text in different.to_list()], dtype=pl.UInt32)
            flat[missed] = texts.replace_strict(different, found, return_dtype=pl.UInt32).to_numpy()
        unlisted = ~self.listed.take(flat)
        unlisted &= flat != NONE
        return CodeLists(flat, offsets), unlisted


def _starts(item: DiagnosisItem) -> Iterator[str]:
    """The categories and subcategories that an item tells apart."""
    if item.whole:
        return
    yield from categories_between(item.low, item.high)
    if len(item.low) == _SUBCATEGORY or len(item.high) == _SUBCATEGORY:
        for category in categories_between(item.low, item.high):
            yield from (f"{category}.{fourth}" for fourth in _FOURTH)


def procedure_index(books: CodeBooks, codes: Iterable[str]) -> CodeIndex:
    """Procedures of the code book and of a pack (spelt as `spelled`) as ids."""
    return CodeIndex([code.replace("X", "x") for code in codes], books.procedure.frame["code"])
