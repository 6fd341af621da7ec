"""Families of diagnosis or procedure codes, written the way coders write them: `C51-C58 D06 !D07.3`.

An item names a category (`C51`, `65`), a subcategory (`D07.0`, `00.3`, `00.40`), a whole code
(`I50.900x007`, `13.0000`) or a range of one of them (`C51-C58`, `I50.900x007-I50.900x010`); `~词` takes the
codes whose official name contains the word; `!item` takes codes out again. Ranges compare the parts of a
code as numbers, so T31 holds T31.900x001 whatever the text order; a dagger pair belongs to its dagger code.
Source of the structure of a code: 医疗保障疾病诊断分类与代码、手术操作分类与编码 2.0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reference_tables.codes import fold

System = Literal["diagnosis", "procedure"]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

_LETTER = "A"
_DIAGNOSIS = r"^([A-Z])([0-9]{2})(?:\.([0-9])|\.|\+|\*|$)"
_PROCEDURE = r"^([0-9]{2})(?:\.([0-9])([0-9])?|$)"
_ITEM_PARTS = {
    "diagnosis": (re.compile(r"[A-Z][0-9]{2}"), re.compile(r"[A-Z][0-9]{2}\.[0-9]")),
    "procedure": (re.compile(r"[0-9]{2}"), re.compile(r"[0-9]{2}\.[0-9]"), re.compile(r"[0-9]{2}\.[0-9]{2}")),
}
_WHOLE = {
    "diagnosis": re.compile(r"[A-Z][0-9]{2}\.[0-9x][0-9]{2}[0-9A-Zx.+*]*"),
    "procedure": re.compile(r"[0-9]{2}\.[0-9][0-9x][0-9x]{1,2}[0-9x]*"),
}
_EXTENSION = re.compile(r"(.+x)([0-9]{3})")


@dataclass(frozen=True)
class CodeForms:
    """Distinct codes taken apart once, so that any number of families can be asked about them.

    `codes`: String, as given; `names`: String, official names ("" = not known), same length.
    """

    system: System
    codes: pl.Series
    names: pl.Series

    @cached_property
    def folded(self) -> pl.Series:
        return pl.select(fold(pl.lit(self.codes))).to_series()

    @cached_property
    def levels(self) -> tuple[IntArray, ...]:
        """Category, subcategory (procedures: two of them) as numbers; -1 where a code has none."""
        if self.system == "diagnosis":
            groups = [self.codes.str.extract(_DIAGNOSIS, at) for at in (1, 2, 3)]
            letter = groups[0].replace_strict({chr(65 + at): at for at in range(26)}, return_dtype=pl.Int64)
            category = letter * 100 + groups[1].cast(pl.Int64)
            finer = [category * 10 + groups[2].cast(pl.Int64)]
        else:
            groups = [self.codes.str.extract(_PROCEDURE, at) for at in (1, 2, 3)]
            category = groups[0].cast(pl.Int64)
            third = category * 10 + groups[1].cast(pl.Int64)
            finer = [third, third * 10 + groups[2].cast(pl.Int64)]
        return tuple(level.fill_null(-1).to_numpy() for level in (category, *finer))


@dataclass(frozen=True, slots=True)
class _Item:
    """One item: a range of numbers at a level, or whole codes, or a word of the name."""

    level: int = -1
    low: int = 0
    high: int = 0
    codes: tuple[str, ...] = ()
    word: str = ""

    def mask(self, forms: CodeForms) -> BoolArray:
        if self.word:
            return forms.names.str.contains(self.word, literal=True).to_numpy()
        if self.level < 0:
            return forms.folded.is_in(list(self.codes)).to_numpy()
        numbers = forms.levels[self.level]
        return (numbers >= self.low) & (numbers <= self.high)


@dataclass(frozen=True, slots=True)
class CodeFamily:
    """A parsed family: some codes in, some out again."""

    text: str
    system: System
    included: tuple[_Item, ...]
    excluded: tuple[_Item, ...]

    def mask(self, forms: CodeForms) -> BoolArray:
        """Which of the codes belong to the family, bool [codes]."""
        assert forms.system == self.system
        hit = np.zeros(len(forms.codes), np.bool_)
        for item in self.included:
            hit |= item.mask(forms)
        for item in self.excluded:
            hit &= ~item.mask(forms)
        return hit

    def item_masks(self, forms: CodeForms) -> dict[str, BoolArray]:
        """Every item of the text with the codes it names; shows an item that names no code at all."""
        texts = self.text.split()
        items = {text: parse_item(text.removeprefix("!"), self.system) for text in texts}
        return {text: item.mask(forms) for text, item in items.items()}


def _number(text: str, system: System) -> int:
    digits = text.replace(".", "")
    if system == "procedure":
        return int(digits)
    return (ord(digits[0]) - ord(_LETTER)) * int("1" + "0" * (len(digits) - 1)) + int(digits[1:])


def _whole_range(low: str, high: str) -> tuple[str, ...]:
    first, last = _EXTENSION.fullmatch(low), _EXTENSION.fullmatch(high)
    if first is None or last is None or first[1] != last[1] or int(first[2]) > int(last[2]):
        raise ValueError(f"{low}-{high}: a range of whole codes runs over the extension of one code")
    return tuple(f"{first[1]}{number:03}" for number in range(int(first[2]), int(last[2]) + 1))


def parse_item(text: str, system: System) -> _Item:
    """One item of a family; ValueError says what is wrong with it."""
    if text.startswith("~") and len(text) > 1:
        return _Item(word=text[1:])
    low, _, high = text.partition("-")
    high = high or low
    for level, pattern in enumerate(_ITEM_PARTS[system]):
        if pattern.fullmatch(low) and pattern.fullmatch(high):
            first, last = _number(low, system), _number(high, system)
            if first > last:
                raise ValueError(f"{text}: the range runs backwards")
            return _Item(level, first, last)
    if _WHOLE[system].fullmatch(low) and _WHOLE[system].fullmatch(high):
        return _Item(codes=(fold(low),) if low == high else _whole_range(low, high))
    raise ValueError(f"{text}: no {system} category, subcategory, code or range")


def parse_family(text: str, system: System) -> CodeFamily:
    """Parse items separated by blanks; ValueError for an empty family or an item that is none."""
    items = text.split()
    if not items or all(item.startswith("!") for item in items):
        raise ValueError(f"family {text!r} takes no code in")
    included = tuple(parse_item(item, system) for item in items if not item.startswith("!"))
    excluded = tuple(parse_item(item[1:], system) for item in items if item.startswith("!"))
    return CodeFamily(text, system, included, excluded)
