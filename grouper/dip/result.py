"""The result of grouping by DIP: the columns that every case comes out with."""

from __future__ import annotations

import polars as pl

from grouper.result import reason_text

DIP_ENTRY = "病种"
CORE, MIXED = "core", "mixed"
KINDS = {CORE: "核心病种", MIXED: "综合病种"}
PRIMARY_CARE = "基层病种"
SCORE = pl.Decimal(14, 4)
FACTOR = pl.Decimal(10, 4)

DIP_RESULT_SCHEMA: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "case_id": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
    "reason_zh": pl.String(),
    "kind": pl.String(),
    "layer": pl.String(),
    "dip": pl.String(),
    "name": pl.String(),
    "base_score": SCORE,
    "auxiliary": pl.String(),
    "factor": FACTOR,
    "score": SCORE,
    "primary_care": pl.Boolean(),
    "rows_fit": pl.UInt32(),
    "used_codes": pl.String(),
}
"""`kind` core (核心病种), mixed (综合病种) or ""; `layer` of the core group, or subcategory, category, chapter of the
mixed one; `dip` the group's code; `base_score` the group's score (null = the pack has none), `auxiliary` the levels
that apply as DIMENSION:LEVEL joined by `|`, `factor` the correction factor (1 = none), `score` = base_score x factor
rounded half up to four decimals; `primary_care` the mark 基层病种; `rows_fit` how many core groups of the winner's
layer the case fits (2 and more: the order of precedence decided; 0: no core group)."""


def dip_reason_text(code: str) -> str:
    """The Chinese text of a reason as it reads for DIP."""
    return reason_text(code, DIP_ENTRY)
