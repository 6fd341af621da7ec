"""What a grown catalog tells cases apart by: category and subcategory of the principal diagnosis, the procedures, and
the nature of the treatment.

The readings are those of grouping by a pack without lists of excluded codes: the principal diagnosis is the first
diagnosis, the effective principal procedure the first procedure that is not blank. Source: 《DIP 技术规范》, core
groups by diagnosis and combination of procedures, mixed groups by 保守治疗 / 诊断性操作 / 治疗性操作 / 相关手术.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from grouper.code_index import NONE, UNKNOWN
from grouper.dip.codes import procedure_index
from reference_tables.codes import CodeBooks
from reference_tables.dip_pack import dip_schema

Combination = Literal["all", "principal"]
KEYS = ("category", "subcategory", "px", "nature")
WITHOUT_PROCEDURE = 1
_CATEGORY, _SUBCATEGORY = r"^[A-Z][0-9]{2}", r"^[A-Z][0-9]{2}\.[0-9A-Z]"
_JOIN = "+"


class CaseKeys:
    """Turns blocks of cases into their keys; holds only the code books. Safe to share between threads."""

    def __init__(self, books: CodeBooks, combination: Combination) -> None:
        self.combination = combination
        usable = books.diagnosis.frame.filter(~pl.col("gray")).get_column("code")
        self._usable = usable.str.to_uppercase().implode()
        self._index = procedure_index(books, ())
        natures = dip_schema().nature_of_category
        book = books.procedure.frame
        self._nature = np.full(self._index.size, int(dip_schema().meta["unknown_nature"].default), np.uint8)
        self._nature[self._index.ids(book["code"])] = book["category"].replace_strict(
            list(natures), list(natures.values()), default=self._nature[NONE], return_dtype=pl.UInt8
        )

    def of(self, cases: pl.DataFrame) -> pl.DataFrame:
        """One row a case: KEYS and `forms`.

        `category` and `subcategory` (String, spelt for comparison): null where the principal diagnosis has none.
        `px` (String): the distinct procedures in ascending order joined by `+`, or the effective principal one, as
        the code book spells them; "" without any, null when one of them is in no book, which no core group takes.
        `nature` UInt8 as in dip_schema. `forms` (Boolean): may stand for a core group: the principal diagnosis is a
        code of the book and not a grey one, and every procedure is in the book.
        """
        principal = pl.col("diagnoses").list.get(0, null_on_oob=True).fill_null("")
        code, px = pl.col("code"), pl.col("px")
        return (
            cases.select(principal.str.strip_chars().str.to_uppercase().alias("code"))
            .with_columns(self._treatment(cases))
            .select(
                pl.when(code.str.contains(_CATEGORY)).then(code.str.slice(0, 3)).alias("category"),
                pl.when(code.str.contains(_SUBCATEGORY)).then(code.str.slice(0, 5)).alias("subcategory"),
                px,
                "nature",
                (code.is_in(self._usable) & pl.col("all_known")).alias("forms"),
            )
        )

    def _treatment(self, cases: pl.DataFrame) -> pl.DataFrame:
        """px, nature and all_known (Boolean: every procedure is in the book) of each case."""
        at = np.zeros(0, np.int64)
        ids = np.zeros(0, np.int64)
        if "procedures" in cases.columns:
            flat, offsets = self._index.encode_lists(cases["procedures"])
            filled = np.flatnonzero(flat != NONE)
            at = np.searchsorted(offsets, filled, side="right") - 1
            ids = flat[filled].astype(np.int64)
        first = np.zeros(cases.height, np.int64)
        treated, places = np.unique(at, return_index=True)
        first[treated] = ids[places]
        known = np.ones(cases.height, np.bool_)
        known[at[ids == UNKNOWN]] = False
        nature = np.where(first == NONE, WITHOUT_PROCEDURE, self._nature[first]).astype(np.uint8)
        if self.combination == "principal":
            texts = self._index.spelling.gather(pl.Series(first))
            px = pl.select(pl.when(pl.Series(first == NONE)).then(pl.lit("")).otherwise(texts)).to_series()
        else:
            px = self._sets(at, ids, cases.height)
            px = pl.select(pl.when(pl.Series(known)).then(px)).to_series()
        return pl.DataFrame({"px": px, "nature": nature, "all_known": known})

    def _sets(self, at: NDArray[np.int64], ids: NDArray[np.int64], size: int) -> pl.Series:
        """The distinct procedures of each case joined by `+`; ids ascend as their codes do."""
        distinct = np.unique(at * self._index.size + ids)
        rows, codes = np.divmod(distinct, self._index.size)
        named = pl.DataFrame({"at": rows, "code": self._index.spelling.gather(pl.Series(codes)).fill_null("")})
        joined = named.group_by("at", maintain_order=True).agg(pl.col("code").str.join(_JOIN))
        return pl.repeat("", size, dtype=pl.String, eager=True).scatter(joined["at"], joined["code"])
