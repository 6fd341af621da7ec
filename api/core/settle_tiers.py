"""A hospital's tier in months that are settled already. The register has no dates: what it says today is not what a
month long settled was paid by, and a correction must not move a case to another tier by being handed in."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from api.core.book import KEY, Book
from reference_tables.problems import Problem

_MONTH = ["hospital_id", "month"]
_MOST_NAMED = 10


def by_settled_tiers(
    book: Book, cases: pl.DataFrame, registered: frozenset[str]
) -> tuple[pl.DataFrame, list[Problem]]:  # fmt: skip
    """`cases` (PAYABLE_SCHEMA and more) with the `tier` that their month was settled by: the case's own in the book
    while its month stays, else the last one settled of its hospital and month. A month of which the hospital has
    nothing in the book, and hospitals not `registered` (whose tier is the record's own), keep what is given. The
    problems (ST56) tell of every hospital and month where the register says otherwise now."""
    listed = pl.col("hospital_id").is_in(sorted(registered))
    asked = cases.filter(listed & (pl.col("month") <= book.last_month)).select(_MONTH)
    if asked.is_empty():
        return cases, []
    booked = book.cases((*KEY, "month", "tier")).join(asked, on=_MONTH, how="semi", maintain_order="left")
    own = booked.select(*KEY, "month", own_tier="tier")
    last = booked.unique(_MONTH, keep="last", maintain_order=True).select(*_MONTH, of_month="tier")
    marked = cases.join(own, on=[*KEY, "month"], how="left", maintain_order="left")
    marked = marked.join(last, on=_MONTH, how="left", maintain_order="left")
    settled = pl.when(listed).then(pl.coalesce("own_tier", "of_month"))
    marked = marked.with_columns(settled.alias("settled"))
    differs = (pl.col("settled") != pl.col("tier").fill_null("")).fill_null(value=False)
    told = list(_told(marked.filter(differs)))
    return marked.with_columns(pl.coalesce("settled", "tier").alias("tier")).select(cases.columns), told


def otherwise_settled(book: Book, hospitals: pl.DataFrame) -> list[Problem]:
    """SI20 where cases of the book were settled at another tier than the register (hospital_id, tier) says now."""
    listed = hospitals.select("hospital_id", pl.col("tier").alias("now")).drop_nulls()
    settled = book.cases((*KEY, "tier")).join(listed, on="hospital_id", how="inner")
    other = settled.filter(pl.col("tier") != pl.col("now"))
    if other.is_empty():
        return []
    names = other["hospital_id"].unique().sort().to_list()
    shown = "、".join(names[:_MOST_NAMED]) + (f" 等 {len(names)} 家" if len(names) > _MOST_NAMED else "")
    return [Problem("SI20", {"count": other.height, "hospitals": shown})]


def _told(moved: pl.DataFrame) -> Iterator[Problem]:
    by = [*_MONTH, "settled", "tier"]
    for hospital, month, settled, given, count in moved.group_by(by).len().sort(by).iter_rows():
        args: dict[str, str | int] = {
            "hospital": hospital, "month": month, "count": count, "tier": settled, "given": given or "",
        }  # fmt: skip
        yield Problem("ST56", args, field="hospital_level", value=given or "")
