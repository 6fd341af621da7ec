"""Texts and lists longer than any that a case has: the record is not grouped, and what is too long goes no further.

A cell of a million characters would be carried through every result and every message, and no column of a case is
meant to hold one. The limits are data (`reference_tables/case_formats.toml`, [reading]), the same for files and for
the cases of a request.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from grouper.arrow_views import list_views
from grouper.formats.parts import Part
from reference_tables.case_formats import format_facts
from reference_tables.columns import columns
from reference_tables.problems import problem_rows

TOO_LONG = "IN29"


def within_limits(part: Part, file: str) -> Part:
    """The part with every text and list within the limits.

    A record with a longer one becomes a defect (IN29, one for each field): that list is empty, that text null, and of a
    case number as many characters are kept as are allowed. The lengths of a whole column are looked at together; only a
    column that has a longer one is looked at again, row by row.
    """
    cases, told = part.cases, []
    known = pl.col("case_id").str.slice(0, format_facts().reading.longest_text)
    for name, dtype in cases.schema.items():
        is_list = dtype == pl.List(pl.String)
        if name == "defect" or not (is_list or dtype == pl.String) or not _may_exceed(cases[name]):
            continue
        found, limit = _list_excess(cases[name]) if is_list else _text_excess(cases[name])
        wrong = found.is_not_null()
        if not wrong.any():
            continue
        rows = cases.select("row", known, found.alias("found"), limit.alias("limit")).filter(wrong)
        args: dict[str, pl.Expr | str] = {
            "column": columns()[name].label, "found": pl.col("found"), "limit": pl.col("limit"), "field": name,
        }  # fmt: skip
        told.append(problem_rows(rows, TOO_LONG, file=file, field=name, args=args))
        kept = known if name == "case_id" else pl.lit([] if is_list else None, dtype=dtype)
        cases = cases.with_columns(
            pl.when(wrong).then(kept).otherwise(name).alias(name),
            pl.when(wrong).then(pl.coalesce("defect", pl.lit(TOO_LONG))).otherwise("defect").alias("defect"),
        )
    if not told:
        return part
    problems = pl.concat([part.problems.with_columns(known), *told]).sort("row", maintain_order=True)
    return replace(part, cases=cases, problems=problems)


def _may_exceed(column: pl.Series) -> bool:
    """False when no text of a column has more bytes, and no list more items, than the limits allow."""
    reading = format_facts().reading
    if column.null_count() == len(column):
        return False
    if column.dtype == pl.String:
        return _most(column.str.len_bytes()) > reading.longest_text
    if _most(column.list.len()) > reading.most_items or column.null_count():
        return True
    with list_views(column) as views:
        # The low half of a view's first word is the text's length in bytes.
        longest = max((int(view.words.view(np.uint32)[:, 0].max(initial=0)) for view in views), default=0)
    return longest > reading.longest_text


def _most(numbers: pl.Series) -> int:
    found = numbers.max()
    return found if isinstance(found, int) else 0


def _text_excess(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """How long each text is that is too long, in words, and the limit; null for the others."""
    limit = format_facts().reading.longest_text
    length = column.str.len_chars()
    told = pl.select(pl.when(length > limit).then(pl.format("有 {} 字", length))).to_series()
    return told, _repeated(f"{limit} 字", len(column))


def _list_excess(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The same of lists: too many items, or an item that is too long."""
    reading = format_facts().reading
    count = column.list.len()
    longest = column.list.eval(pl.element().str.len_chars()).list.max()
    many, long = count > reading.most_items, longest > reading.longest_text
    told = pl.when(many).then(pl.format("有 {} 项", count)).when(long).then(pl.format("有一项有 {} 字", longest))
    limit = pl.when(many).then(pl.lit(f"{reading.most_items} 项")).otherwise(pl.lit(f"{reading.longest_text} 字"))
    return pl.select(told).to_series(), pl.select(limit).to_series()


def _repeated(text: str, count: int) -> pl.Series:
    return pl.repeat(text, count, dtype=pl.String, eager=True)
