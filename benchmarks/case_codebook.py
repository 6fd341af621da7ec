"""The codes that generated cases are made of: those of the pack first, then the rest of the code book."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.draws import Draws, Flags, Ints, rank_weights
from benchmarks.plausible import case_mix, likely_sex
from benchmarks.scheme_formulas import Codes
from reference_tables.codes import CodeBook, fold, load_code_books

_OUTSIDE = {"diagnosis": ("",), "procedure": ("诊断性操作",)}
"""What a record may hold beside the listed codes: any diagnosis, of procedures only examinations."""
_MAJOR = ("手术", "介入治疗")
_STREAM = {"diagnosis": 1, "procedure": 2}


@dataclass(frozen=True)
class CodeTable:
    """Codes by number. Numbers below `listed` are those of the scheme's formulas; the rest is in no list.

    `weight`: how often a code is drawn among others (gray codes only if nothing else is there); `sex`: 1, 2,
    or 0 for both; `ordinary`: numbers outside every list that may be reported; `major`: operations and
    interventions, as the book classifies them; `gray`: gray codes of the book.
    """

    codes: pl.Series
    names: pl.Series
    listed: int
    weight: Ints
    sex: Ints
    ordinary: Ints
    major: Flags
    gray: Ints
    number: dict[str, int]

    def numbers_of(self, codes: Iterable[str]) -> list[int]:
        """Numbers of the codes that are here."""
        return [self.number[fold(code)] for code in codes if fold(code) in self.number]

    def weights_of(self, items: Ints) -> Ints:
        """Weights of some codes; when all of them are gray, all alike."""
        weights = self.weight[items]
        return weights if weights.any() else np.ones(len(items), dtype=np.int64)


def code_table(kind: str, codes: Codes) -> CodeTable:
    """The code table of one kind: "diagnosis" or "procedure"."""
    books = load_code_books()
    book = books.diagnosis if kind == "diagnosis" else books.procedure
    spelled = list(codes.names[:-1])
    rows = {fold(code): (name, gray) for code, name, gray in book.frame.select("code", "name", "gray").iter_rows()}
    spelled += [code for code in book.frame["code"] if fold(code) not in codes.number]
    gray = np.array([rows.get(fold(code), ("", False))[1] for code in spelled], dtype=bool)
    mix = case_mix()["code"]
    weight = rank_weights(len(spelled), Draws(_STREAM[kind]), mix["scale"], mix["flattening"])
    weight[[code.endswith(tuple(mix["plain_endings"])) for code in spelled]] *= mix["plain_factor"]
    frequent = {fold(code) for code in case_mix()["other_diagnoses"]["frequent"]}
    weight[[fold(code) in frequent for code in spelled]] *= case_mix()["other_diagnoses"]["frequent_factor"]
    weight[gray] = 0
    listed = len(codes.names) - 1
    numbers = np.arange(len(spelled), dtype=np.int64)
    categories = _categories(book, spelled)
    ordinary = (numbers >= listed) & ~gray & np.isin(categories, _OUTSIDE[kind])
    return CodeTable(
        codes=pl.Series(spelled),
        names=pl.Series([rows.get(fold(code), (code, False))[0] for code in spelled]),
        listed=listed,
        weight=weight,
        sex=np.array([likely_sex(code) if kind == "diagnosis" else 0 for code in spelled], dtype=np.int64),
        ordinary=numbers[ordinary],
        major=np.isin(categories, _MAJOR),
        gray=numbers[gray],
        number={fold(code): at for at, code in enumerate(spelled)},
    )


def _categories(book: CodeBook, spelled: list[str]) -> NDArray[np.str_]:
    known = dict(book.frame.select("code", "category").iter_rows()) if "category" in book.frame.columns else {}
    return np.array([known.get(code, "") for code in spelled])
