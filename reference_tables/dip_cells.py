"""The cell language of DIP tables: lists of diagnosis items, alternatives of procedures, ranges of numbers.

    diagnosis cell = item { "|" item }            A09.0|A15-A16|M47.0+|G01*|Z51.100x001   ("*" alone = any)
    procedure cell = alternative { "|" alternative },  alternative = code { "+" code }
    range cell     = low "-" high                 0-28, 1000-1499, "29-", "-28"; both ends count

A category (A09) or subcategory (A09.0) stands for every code that begins with it, any longer code for itself.
A final `+` asks for a dagger code, a final `*` for an asterisk code. Source: 《按病种分值（DIP）付费3.0版分组方案》,
its code columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

ANY = "*"
_BEGINNING = re.compile(r"[A-Z][0-9]{2}")
_PREFIX = re.compile(r"([A-Z][0-9]{2})(?:\.([0-9A-Z]))?([+*]?)")
_FULL = re.compile(r"[A-Z][0-9A-Z.+*]{4,}")
_PROCEDURE = re.compile(r"[0-9]{2}\.[0-9A-Z]{1,12}")
_RANGE = re.compile(r"([0-9]{0,9})-([0-9]{0,9})")
_FILLING = re.compile(r"(?<=[0-9.])X")
_CATEGORY = 3


class CellError(ValueError):
    """A cell that cannot be read; `reason` says in Chinese what was expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def spelled(code: str) -> str:
    """A code for comparison: upper case, without outer blanks."""
    return code.strip().upper()


def as_published(text: str) -> str:
    """Codes spelt as `spelled` gives them in the spelling of the code books, which write the filling x small."""
    return _FILLING.sub("x", text)


@dataclass(frozen=True, slots=True)
class DiagnosisItem:
    """One item of a diagnosis cell, upper case.

    `low` and `high` are the ends (equal unless it is a range); `mark` is "+", "*" or "". `whole`: a full code
    that stands for itself alone. `length`: how narrow the item is, 3 or 4 characters of a code (a range counts
    as its shorter end), 9 for a whole code: narrower wins.
    """

    low: str
    high: str
    mark: str
    whole: bool

    @property
    def length(self) -> int:
        if self.whole:
            return 9
        return min(len(end.replace(".", "")) for end in (self.low, self.high))

    def matches(self, code: str) -> bool:
        """Does a code, spelt as `spelled` gives it, fall under this item? One without a category falls under none."""
        if self.whole:
            return code == self.low
        if _BEGINNING.match(code) is None:
            return False
        if self.mark and not _has_mark(code, self.mark):
            return False
        return self.low <= code[: len(self.low)] and code[: len(self.high)] <= self.high

    def __str__(self) -> str:
        ends = self.low if self.low == self.high else f"{self.low}-{self.high}"
        return ends + self.mark


def _has_mark(code: str, mark: str) -> bool:
    """A dagger code has a `+` after its first code; an asterisk code ends its first code with `*`."""
    first = code.split("+", 1)[0]
    return "+" in code if mark == "+" else first.endswith("*")


Alternative = tuple[str, ...]
"""Procedure codes that must all be there, upper case, sorted, each once."""


@lru_cache(maxsize=1 << 16)
def diagnosis_items(cell: str) -> tuple[DiagnosisItem, ...]:
    """Read a diagnosis cell; an empty cell and `*` (any) have no items. Raises CellError."""
    if cell in {"", ANY}:
        return ()
    return tuple(_item(text) for text in cell.split("|"))


def _item(text: str) -> DiagnosisItem:
    plain = spelled(text)
    low, dash, high = plain.partition("-")
    if dash:
        ends = [_PREFIX.fullmatch(end) for end in (low, high)]
        if any(end is None or end.group(3) for end in ends) or low > high:
            raise CellError(f"“{text}”不是诊断范围，应如 A15-A16，前小后大")
        return DiagnosisItem(low, high, "", whole=False)
    prefix = _PREFIX.fullmatch(plain)
    if prefix is not None:
        start = plain.rstrip("+*")
        return DiagnosisItem(start, start, prefix.group(3), whole=False)
    if _FULL.fullmatch(plain) is None:
        raise CellError(f"“{text}”不是诊断编码，应为类目（A09）、亚目（A09.0）或完整编码")
    return DiagnosisItem(plain, plain, "", whole=True)


@lru_cache(maxsize=1 << 16)
def procedure_alternatives(cell: str) -> tuple[Alternative, ...]:
    """Read a procedure cell; an empty cell has no alternatives. Raises CellError."""
    return tuple(_alternative(text) for text in cell.split("|")) if cell else ()


def _alternative(text: str) -> Alternative:
    codes = [spelled(code) for code in text.split("+")]
    for code in codes:
        if _PROCEDURE.fullmatch(code) is None:
            raise CellError(f"“{code or text}”不是手术操作编码，应如 47.0100 或 39.9500x007")
    return tuple(sorted(set(codes)))


@lru_cache(maxsize=1 << 10)
def number_range(cell: str) -> tuple[int | None, int | None] | None:
    """Read a range cell as (low, high), both ends counting, None = open; an empty cell is None. Raises CellError."""
    if not cell:
        return None
    found = _RANGE.fullmatch(cell)
    if found is None or cell == "-":
        raise CellError(f"“{cell}”不是数值范围，应如 0-28、29- 或 -28")
    low, high = (int(end) if end else None for end in found.groups())
    if low is not None and high is not None and low > high:
        raise CellError(f"“{cell}”的下限大于上限")
    return low, high


def category_of(code: str) -> str:
    """The category (first three characters) of a code as `spelled` gives it."""
    return code[:_CATEGORY]


def subcategory_of(code: str) -> str:
    """The first four characters of a code in the field's counting, as spelt: A09.9 of A09.900x001, I10.X of I10.X00;
    a bare category stays as it is."""
    return code[: _CATEGORY + 2]


def mark_of(code: str) -> str:
    """`+` for a dagger code, `*` for an asterisk code, else ""."""
    return next((mark for mark in "+*" if _has_mark(code, mark)), "")


def categories_between(low: str, high: str) -> Iterator[str]:
    """Every category from the category of `low` to that of `high`."""
    first, last = (_ordinal(category_of(end)) for end in (low, high))
    for number in range(first, last + 1):
        letter, digits = divmod(number, 100)
        yield f"{chr(ord('A') + letter)}{digits:02d}"


def _ordinal(category: str) -> int:
    return (ord(category[0]) - ord("A")) * 100 + int(category[1:])
