"""Cases that may not stand for a core group (核心病种), by why: their principal diagnosis is missing, in no code book
or grey, or one of their procedures is in no code book. Each case has one reason, the first of these that holds.

The reading of codes is that of `case_keys`: a case has no reason here exactly when it `forms` there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import polars as pl

from grouper.code_index import UNKNOWN
from grouper.dip.codes import procedure_index
from grouper.normalize import CLINICAL_MARK
from reference_tables.codes import CodeBooks
from reference_tables.problems import PROBLEM_SCHEMA, problem_rows

MISSING, UNKNOWN_DX, GRAY_DX, UNKNOWN_PX = REASONS = ("missing", "unknown", "gray", "procedure")
REASON_ZH: Mapping[str, str] = {
    MISSING: "主要诊断缺失",
    UNKNOWN_DX: "主要诊断编码不在目录",
    GRAY_DX: "主要诊断为灰码",
    UNKNOWN_PX: "手术操作编码不在目录",
}
_LIKE_A_CODE = r"^[A-Za-z][0-9][0-9A-Za-z.+*/]{0,17}$|^[0-9]{2}(\.[0-9A-Za-z]{1,12})?$"
_NO_CODE = "（不是编码的文字）"
_EFFECT = "不参与形成核心病种"
_KINDS = {
    MISSING: ("PRINCIPAL_MISSING", "diagnoses"),
    UNKNOWN_DX: ("GR01", "diagnoses"),
    GRAY_DX: ("GR03", "diagnoses"),
    UNKNOWN_PX: ("GR02", "procedures"),
}


class UnfitCases:
    """Tells why cases may not stand for a core group. Safe to share between threads."""

    def __init__(self, books: CodeBooks) -> None:
        frame = books.diagnosis.frame
        self._codes = frame["code"].str.to_uppercase().implode()
        self._gray = frame.filter("gray")["code"].str.to_uppercase().implode()
        self._px = procedure_index(books, ())

    def of(self, cases: pl.DataFrame) -> pl.DataFrame:
        """One row a case: `reason` (String, null = fit, or the record cannot be read) and `code` (the code it is about,
        as recorded; "" = none)."""
        recorded = pl.col("diagnoses").list.get(0, null_on_oob=True).fill_null("").str.strip_chars()
        defect = pl.col("defect") if "defect" in cases.columns else pl.lit(None, pl.String)
        code = pl.col("principal").str.to_uppercase()
        reason = (
            pl.when(pl.col("unreadable"))
            .then(None)
            .when(code == "")
            .then(pl.lit(MISSING))
            .when(~code.is_in(self._codes))
            .then(pl.lit(UNKNOWN_DX))
            .when(code.is_in(self._gray))
            .then(pl.lit(GRAY_DX))
            .when(pl.col("px").is_not_null())
            .then(pl.lit(UNKNOWN_PX))
        )
        return (
            cases.select(recorded.alias("principal"), defect.is_not_null().alias("unreadable"))
            .with_columns(self._unknown_procedure(cases))
            .with_columns(reason.alias("reason"))
            .select("reason", pl.when(pl.col("reason") == UNKNOWN_PX).then("px").otherwise("principal").alias("code"))
        )

    def _unknown_procedure(self, cases: pl.DataFrame) -> pl.Series:
        """The first procedure of each case that is in no book, null without one."""
        found = pl.Series("px", [None], dtype=pl.String).new_from_index(0, cases.height)
        if "procedures" not in cases.columns:
            return found
        flat, offsets = self._px.encode_lists(cases["procedures"])
        places = np.flatnonzero(flat == UNKNOWN)
        if not places.size:
            return found
        rows, first = np.unique(np.searchsorted(offsets, places, side="right") - 1, return_index=True)
        lists = cases["procedures"][rows].to_frame("px").with_columns(pl.Series("item", places[first] - offsets[rows]))
        return found.scatter(rows, lists.select(pl.col("px").list.get(pl.col("item"))).to_series())

    def counted(self, unfit: pl.DataFrame) -> Counter[tuple[str, str]]:
        """Cases by reason and code as a person may see it; what looks like no code may be a name and is hidden."""
        plain = pl.col("code").str.strip_prefix(CLINICAL_MARK)
        shown = pl.when(plain.str.contains(_LIKE_A_CODE)).then("code").otherwise(pl.lit(_NO_CODE))
        texts = unfit.filter(pl.col("reason").is_not_null()).with_columns(
            pl.when(pl.col("code") == "").then(pl.lit("")).otherwise(shown).alias("code")
        )
        return Counter({(reason, code): cases for reason, code, cases in texts.group_by("reason", "code").len().rows()})

    def problems(self, cases: pl.DataFrame, unfit: pl.DataFrame, file: str) -> pl.DataFrame:
        """GR01 to GR03 and PRINCIPAL_MISSING for the cases with a reason (`unfit`: the answer of `of`, row for row);
        a clinical code that the conversion refused has been listed by it."""
        frame = cases.select("row", "case_id").hstack(unfit)
        frame = frame.filter(~pl.col("code").str.starts_with(CLINICAL_MARK))
        found = [pl.DataFrame(schema=PROBLEM_SCHEMA)]
        for reason, (kind, field) in _KINDS.items():
            code = pl.col("code")
            args: dict[str, pl.Expr | str] = {"code": code, "effect": _EFFECT, "entry": "核心病种"}
            these = frame.filter(pl.col("reason") == reason)
            found.append(problem_rows(these, kind, file=file, field=field, value=code, args=args))
        return pl.concat(found)
