"""Codes of a DIP scheme as integers, and which of them fall under an item of a diagnosis cell.

A diagnosis item is a beginning of a code, so a code that no book has may still fall under one: it gets the id of a
beginning that falls under exactly the items the code itself does. A procedure is compared whole, and an unknown one
falls under nothing. Source: 《按病种分值（DIP）付费3.0版分组方案》, code columns.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import FIRST, NONE, UNKNOWN, CodeIndex, Ids
from grouper.encode import CodeLists
from reference_tables.codes import CodeBooks
from reference_tables.dip_cells import DiagnosisItem, categories_between, category_of, spelled

_BEGINNING = re.compile(r"[A-Z][0-9]{2}")
_BEGINNING_ALONE = re.compile(r"[A-Z][0-9]{2}(?:\..)?\*?\+?")
_SUBCATEGORY = 5
_MARKS = ("+", "*", "*+")
_LAST = "\U0010ffff"


class DiagnosisCodes:
    """Diagnoses of the code book and of a pack's items. `index`: codes and beginnings of codes -> ids; `listed`
    bool [ids]: the code book or an item names this very code."""

    def __init__(self, books: CodeBooks, items: Iterable[DiagnosisItem], further: Iterable[DiagnosisItem] = ()) -> None:
        """`items` and `further`: every item that `members` and `ids_under` will be asked for; what only a further
        item names is not `listed`."""
        items = tuple(dict.fromkeys(items))
        named = [item.low for item in items if item.whole]
        items = tuple(dict.fromkeys((*items, *further)))
        book = books.diagnosis.frame["code"].to_list()
        wholes = [item.low for item in items if item.whole]
        beginnings = [item for item in items if not item.whole]
        categories = dict.fromkeys(category_of(spelled(code)) for code in book)
        categories |= dict.fromkeys(name for item in beginnings for name in categories_between(item.low, item.high))
        self._ends = _ends(beginnings)
        self._marked = {name for item in beginnings if item.mark for name in categories_between(item.low, item.high)}
        official = {spelled(code) for code in book}
        extra = [code for code in (*wholes, *self._starts(categories)) if code not in official]
        self.index = CodeIndex(map(_as_in_book, extra), book)
        texts = [spelled(code) for code in self.index.spelling.to_list()[FIRST:]]
        self._id_of = {text: at for at, text in enumerate(texts, start=FIRST)}
        self._sorted = sorted(texts)
        self._order = np.array([self._id_of[text] for text in self._sorted], np.int64)
        # Codes without a category fall under no item but themselves.
        self._coded = np.array([_BEGINNING.match(text) is not None for text in self._sorted], np.bool_)
        self._of_mark = {
            "+": np.array(["+" in text for text in self._sorted], np.bool_),
            "*": np.array([text.split("+", 1)[0].endswith("*") for text in self._sorted], np.bool_),
        }
        self.listed = np.zeros(self.index.size, np.bool_)
        self.listed[self.index.ids([*book, *map(_as_in_book, named)])] = True
        self.listed[[NONE, UNKNOWN]] = False

    def _starts(self, categories: Iterable[str]) -> Iterator[str]:
        """Beginnings that stand for the codes nobody knows: one for each way of falling under the items."""
        for category in categories:
            ends = self._ends.get(category, [])
            for start in (category, *ends, *map(_next, ends)):
                yield start
                if category in self._marked:
                    yield from (start + mark for mark in _MARKS)

    def ids_under(self, items: Iterable[DiagnosisItem]) -> NDArray[np.int64]:
        """The ids that fall under some of the items, ascending; NONE and UNKNOWN never do."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *map(self._under, items)]))

    def members(self, items: Iterable[DiagnosisItem]) -> NDArray[np.bool_]:
        """bool [ids]: which ids fall under some of the items; NONE and UNKNOWN never do."""
        inside = np.zeros(self.index.size, np.bool_)
        for item in items:
            inside[self._under(item)] = True
        return inside

    def _under(self, item: DiagnosisItem) -> NDArray[np.int64]:
        if item.whole:
            return np.array([self._id_of[item.low]])
        places = slice(bisect_left(self._sorted, item.low), bisect_left(self._sorted, item.high + _LAST))
        wanted = self._coded[places]
        if item.mark:
            wanted = wanted & self._of_mark[item.mark][places]
        return self._order[places][wanted]

    def id_of(self, code: str) -> int:
        """The id of one code as given: its own, or that of the beginning that stands for it, or UNKNOWN."""
        text = spelled(code)
        if not text:
            return NONE
        if text in self._id_of:
            return self._id_of[text]
        if _BEGINNING.match(text) is None:
            return UNKNOWN
        category, beginning = category_of(text), text[:_SUBCATEGORY]
        ends = self._ends.get(category, [])
        at = bisect_right(ends, beginning)
        start = category if at == 0 else ends[at - 1]
        if at and start != beginning:
            start = _next(start)
        if category in self._marked:
            start += "*" * text.split("+", 1)[0].endswith("*") + "+" * ("+" in text)
        return self._id_of.get(start, UNKNOWN)

    def encode_lists(self, column: pl.Series) -> tuple[CodeLists, NDArray[np.bool_]]:
        """Encode a List(String) column; also bool [items]: the code itself is in no book and not in the pack."""
        flat, offsets = self.index.encode_lists(column)
        flat = _second_look(column, flat, self.id_of)
        unlisted = ~self.listed.take(flat)
        unlisted &= flat != NONE
        return CodeLists(flat, offsets), unlisted


def is_beginning(code: str) -> bool:
    """Is this, spelt as `spelled` gives it, a category or subcategory rather than a whole code?"""
    return _BEGINNING_ALONE.fullmatch(code) is not None


def _ends(items: Iterable[DiagnosisItem]) -> dict[str, list[str]]:
    """By category, the subcategories at which some item begins or ends, ascending."""
    found: dict[str, set[str]] = {}
    for item in items:
        for end in (item.low, item.high):
            if len(end) == _SUBCATEGORY:
                found.setdefault(category_of(end), set()).add(end)
    return {category: sorted(ends) for category, ends in found.items()}


def _next(end: str) -> str:
    """The least text of as many characters that comes after this one."""
    return end[:-1] + chr(ord(end[-1]) + 1)


def _as_in_book(code: str) -> str:
    """A code as `spelled` gives it in the spelling of the books, with a small x."""
    return code.replace("X", "x")


def _second_look(column: pl.Series, flat: Ids, id_of: Callable[[str], int]) -> Ids:
    """Ids with the unknown codes looked up again one by one, each different text once."""
    missed = np.flatnonzero(flat == UNKNOWN)
    if not missed.size:
        return flat
    given = column.fill_null([]).list.explode(empty_as_null=False, keep_nulls=True)
    texts = given.gather(pl.Series(missed))
    different = texts.unique()
    found = pl.Series([id_of(text) for text in different.to_list()], dtype=pl.UInt32)
    flat = flat.copy()
    flat[missed] = texts.replace_strict(different, found, return_dtype=pl.UInt32).to_numpy()
    return flat


def procedure_index(books: CodeBooks, codes: Iterable[str]) -> CodeIndex:
    """Procedures of the code book and of a pack (spelt as `spelled`) as ids."""
    return CodeIndex(map(_as_in_book, codes), books.procedure.frame["code"])


def encode_procedures(index: CodeIndex, column: pl.Series) -> CodeLists:
    """Encode a List(String) column of procedures; codes compare without outer blanks and in any case of letters."""
    flat, offsets = index.encode_lists(column)
    return CodeLists(_second_look(column, flat, lambda code: index.id_of(spelled(code))), offsets)
