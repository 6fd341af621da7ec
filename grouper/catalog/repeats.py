"""Cases that stand in a history more than once: the first place counts, the later ones are put aside.

The same case: the same hospital and case id, or the same case id where no hospital is given; a case without an id
is the same as no other. First is the place with the smallest file name and row, so that the order in which files are
given decides nothing. While files stream by, a hash of 8 bytes is kept for each case; only the few cases whose hash
occurs twice are compared by their texts, so that two cases with the same hash are never taken for one.
"""

from __future__ import annotations

import polars as pl

_CASE = ("hospital", "case")
_BETWEEN = "\x1f"  # in no id
PLACES = ("place", "first_file", "first_row")


def case_names(cases: pl.DataFrame) -> pl.DataFrame:
    """`hospital` ("" = none) and `case` (null = none) of every case, trimmed."""
    hospital = pl.col("hospital_id") if "hospital_id" in cases.columns else pl.lit(None, pl.String)
    case = pl.col("case_id").cast(pl.String).str.strip_chars()
    return cases.select(
        hospital.cast(pl.String).str.strip_chars().fill_null("").alias("hospital"),
        pl.when(case != "").then(case).alias("case"),
    )


def case_hashes(cases: pl.DataFrame) -> pl.Series:
    """UInt64: a hash of hospital and case id, null without a case id."""
    names = case_names(cases)
    joined = names.select(pl.concat_str(_CASE, separator=_BETWEEN).alias("hash")).to_series()
    return pl.select(pl.when(joined.is_not_null()).then(joined.hash())).to_series().alias("hash")


def suspects(hashes: pl.Series) -> pl.Series:
    """Boolean: whose hash occurs more than once."""
    return hashes.is_duplicated() & hashes.is_not_null()


class Repeats:
    """The later places of cases that stand in a history more than once.

    `frame`: `at` (Int64, number of the case in the order read, ascending), `first_file`, `first_row` and whatever else
    the frame of suspects had.
    """

    def __init__(self, suspected: pl.DataFrame | None = None) -> None:
        """`suspected`: `at`, `file`, `row`, `hospital`, `case` of every suspect case; None = there is none."""
        if suspected is None:
            empty = {"at": pl.Int64(), "first_file": pl.String(), "first_row": pl.UInt32()}
            self.frame = pl.DataFrame(schema=empty)
            return
        ordered = suspected.sort("file", "row", "at").with_columns(
            pl.int_range(pl.len()).over(_CASE).alias("time"),
            pl.col("file").first().over(_CASE).alias("first_file"),
            pl.col("row").first().over(_CASE).alias("first_row"),
        )
        self.frame = ordered.filter(pl.col("time") > 0).sort("at")

    def of(self, first: int, height: int) -> pl.DataFrame:
        """PLACES of those among `height` cases from number `first` on; `place` is counted from the first of them."""
        at = self.frame["at"]
        start, end = (at.search_sorted(number, side="left") for number in (first, first + height))
        found = self.frame.slice(int(start), int(end) - int(start))
        return found.with_columns((pl.col("at") - first).alias("place")).select(PLACES)
