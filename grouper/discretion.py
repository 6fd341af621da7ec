"""What a problem may show of a cell: never a personal number or name, never a page of text.

A shifted column puts names and identity numbers where codes and numbers belong; a list of problems goes
round a department, so it shows the place and hides the person.
"""

from __future__ import annotations

import polars as pl

# Identity numbers have 15 or 18 places; a code or an amount of that length, or longer, is nothing a message must show.
_IDENTITY = r"[0-9]{15,}[Xx]?"
_HIDDEN_NUMBER = "【证件号已隐去】"
# Words of Chinese characters alone where a number belongs are a name, unless they speak of an age or a sex.
_NAME = r"^[\p{Han}·]{2,}$"
_NO_NAME = r"^(?:.*(?:岁|天|个月)|[零一二两三四五六七八九十百半]+|男性?|女性?|未知|不详|无|空)$"
_HIDDEN_NAME = "【文字已隐去】"
_NO_NUMBER = "应为数字，实为文字（内容已隐去）"
_NO_NUMBER_CODES = ("IN30",)
# A few Chinese characters where a code belongs may be a name as well as a disease; the row is told either way.
_SHORT_NAME = r"^[\p{Han}·]{2,4}$"
_NO_CODE = "应为编码，实为文字（内容已隐去）"
_ABOUT_CODES = r"^(?:GR0[0-9]|[EFGIJ][0-9]{2}|A1[79])$"
LONGEST = 120  # characters


def discreet(problems: pl.DataFrame) -> pl.DataFrame:
    """The problems (PROBLEM_SCHEMA) with personal numbers and names hidden and long values cut, row for row."""
    if problems.is_empty():
        return problems
    value = pl.col("value")
    name = value.str.contains(_NAME) & ~value.str.contains(_NO_NAME) & pl.col("code").is_in(_NO_NUMBER_CODES)
    no_code = value.str.contains(_SHORT_NAME) & pl.col("code").str.contains(_ABOUT_CODES)
    hidden = problems.with_columns(
        pl.when(name)
        .then(pl.lit(_NO_NUMBER))
        .when(no_code)
        .then(pl.lit(_NO_CODE))
        .otherwise("message")
        .alias("message"),
        pl.when(name | no_code).then(pl.lit(_HIDDEN_NAME)).otherwise("value").alias("value"),
    )
    texts = ("value", "message", "fix")
    hidden = hidden.with_columns(pl.col(texts).str.replace_all(_IDENTITY, _HIDDEN_NUMBER))
    long = pl.col(texts).str.len_chars() > LONGEST
    cut = pl.col(texts).str.slice(0, LONGEST) + "…"
    return hidden.with_columns(pl.when(long).then(cut).otherwise(pl.col(texts)))
