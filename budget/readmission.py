"""Readmissions within some days (再入院): a stay that goes on from the one before it counts as one with it.

Stays of one person in one hospital and one disease class form a chain by admission; each is compared with the one
right before it, whether or not that one was merged itself. The days run from the discharge of the earlier stay to the
admission of the later one, and the last day still counts. Listed classes are exempt. Source: 宁波 2013 (same disease
class, same hospital, 15 days, counts once; chronic and acute illnesses of a list exempt).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl


def merged_stays(
    stays: pl.DataFrame,
    days: int,
    exempt: Collection[str] = (),
    *,
    same: Sequence[str] = ("person", "hospital_id", "group"),
) -> pl.Series:
    """Boolean [stays]: the stay is merged into the one before it and does not count for itself.

    `stays`: case_id, admission and discharge (Date), and the columns of `same`, the last of which names the disease
    class that `exempt` is about. A stay that lacks a date, or any of `same`, stands for itself and interrupts no
    chain. Does not depend on the order of the stays while case ids are unique.
    """
    *_, disease = same
    place, gap = pl.col("place"), pl.col("gap")
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in (*same, "admission", "discharge"))
    before = pl.col("discharge").shift(1).over(same)
    found = (
        stays.lazy()
        .select("case_id", "admission", "discharge", *same)
        .with_row_index("place")
        .filter(known)
        .sort(*same, "admission", "discharge", "case_id")
        .with_columns((pl.col("admission") - before).dt.total_days().alias("gap"))
        .filter((gap <= days) & ~pl.col(disease).is_in(sorted(exempt)))
        .select(place)
        .collect()
    )
    return pl.select(pl.int_range(stays.height, dtype=pl.UInt32).is_in(found["place"].implode()).alias("merged"))[
        "merged"
    ]
