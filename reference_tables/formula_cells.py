"""Texts that a spreadsheet would take for a formula, such as a case id `=cmd|...`, as they stand in CSV files.

On opening a CSV file a spreadsheet works out whatever begins with a sign of a formula. Such a text is written with an
apostrophe before it, and read without it; so is one that has apostrophes before such a sign already, so that every text
comes back as it was. A number is written as it is, also below zero. Workbooks need none of this: their cells say that
they are texts.

Source: OWASP, CSV Injection (signs; the wide ones count as the narrow ones where Chinese is typed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import polars as pl

_MARK = "'"
_SIGN = r"[=+\-@\t\r\n＝＋－＠]"
_FORMULA, _NUMBER = rf"^'*{_SIGN}", r"-[0-9.]*%?|－"
_WRITTEN = rf"^''*{_SIGN}"
_BELOW, _ABOVE = "A", "＀"
"""A text that begins with a sign comes before the first or after the second: most columns need no closer look."""


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame as its CSV file says it."""
    found = [series.alias(series.name) for series in frame if series.dtype == pl.String and _suspect(series)]
    if not found:
        return frame
    return frame.with_columns(
        pl.when(_is_formula(pl.col(series.name))).then(_MARK + pl.col(series.name)).otherwise(pl.col(series.name))
        .alias(series.name)
        for series in found
    )  # fmt: skip


def _suspect(series: pl.Series) -> bool:
    text = pl.col(series.name)
    near = ((text > "") & (text < _BELOW)) | (text >= _ABOVE)
    return bool(series.to_frame().select(near.any()).item())


def _is_formula(text: pl.Expr) -> pl.Expr:
    return text.str.contains(_FORMULA) & ~text.str.contains(rf"^({_NUMBER})$")


def guarded_rows(rows: Iterable[Iterable[object]]) -> Iterable[tuple[object, ...]]:
    """Rows of a CSV file, one by one: texts guarded, all else as it is."""
    for row in rows:
        yield tuple(_guarded(value) if isinstance(value, str) else value for value in row)


def _guarded(text: str) -> str:
    return _MARK + text if re.match(_FORMULA, text) and not re.fullmatch(_NUMBER, text) else text


def as_given(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame of a CSV file that was read: every text as it was before it was written."""
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return frame.with_columns(
        pl.when(pl.col(name).str.contains(_WRITTEN)).then(pl.col(name).str.slice(1)).otherwise(pl.col(name)).alias(name)
        for name in texts
    )


def row_as_given(row: Mapping[str, str]) -> dict[str, str]:
    """One row of a CSV file, in the same way."""
    return {name: text[1:] if re.match(_WRITTEN, text) else text for name, text in row.items()}
