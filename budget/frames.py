"""The frames that money flows through: payable cases in, priced cases out, statements at the end.

Amounts are Int64 fen, months are "2026-03", multiples and points have six decimals, weights and scores up to ten.
"""

from __future__ import annotations

import polars as pl

FEN = pl.Int64()
EXACT = pl.Decimal(28, 10)
SHOWN = pl.Decimal(28, 6)
FACTOR = pl.Decimal(10, 4)

PAYABLE_SCHEMA: dict[str, pl.DataType] = {
    "case_id": pl.String(),
    "hospital_id": pl.String(),
    "hospital_name": pl.String(),
    "tier": pl.String(),
    "county_group": pl.String(),
    "department": pl.String(),
    "month": pl.String(),
    "insurance": pl.String(),
    "mdc": pl.String(),
    "group": pl.String(),
    "name": pl.String(),
    "status": pl.String(),
    "kind": pl.String(),
    "aux_factor": FACTOR,
    "primary_care": pl.Boolean(),
    "total_cost_fen": FEN,
    "separate_fen": FEN,
    "fund_by_item_fen": FEN,
    "patient_paid_fen": FEN,
    "other_funds_fen": FEN,
    "self_funded_fen": FEN,
    "prior_self_pay_fen": FEN,
    "deductible_fen": FEN,
    "los_days": pl.Int32(),
    "age_years": pl.Int32(),
    "admission": pl.Date(),
    "discharge": pl.Date(),
    "person": pl.String(),
    "drug_fen": FEN,
    "consumable_fen": FEN,
    "tcm_fen": FEN,
    "tcm_base_fen": FEN,
}
"""One row a case, as pricing takes it. `group` a DRG or DIP code with `status` and, for DIP, `kind` (core, mixed);
`tier` in the policy's words; `insurance` 职工 or 居民; `month` of settlement, else of discharge. The package's cost is
total_cost_fen - separate_fen (separately paid drugs and items). `fund_by_item_fen` what the fund would pay by item;
`patient_paid_fen` what the patient paid by item: deductible, co-payment, prior self-pay and self-funded. `tcm_fen` of
`tcm_base_fen`: the part of Chinese medicine in the cost that counts for its share. `person` a hash, for readmissions.
Null = not known."""

PRICED_SCHEMA: dict[str, pl.DataType] = {
    "case_id": pl.String(),
    "hospital_id": pl.String(),
    "month": pl.String(),
    "insurance": pl.String(),
    "group": pl.String(),
    "name": pl.String(),
    "status": pl.String(),
    "case_kind": pl.String(),
    "weight": EXACT,
    "coefficient": EXACT,
    "reference_fen": FEN,
    "multiple": SHOWN,
    "limit": EXACT,
    "formula": pl.String(),
    "points": SHOWN,
    "cost_fen": FEN,
    "package_fen": FEN,
    "fund_fen": FEN,
    "patient_fen": FEN,
    "reason": pl.String(),
}
"""One row a case, as it is paid. `weight` RW or score; `reference_fen` the denominator of the multiple, rounded for
display; `limit` the high limit that applied; `formula` by its name; `package_fen` what the case earns as a package,
`fund_fen` the fund's part of it, `patient_fen` what the patient paid, never touched; `reason` in Chinese, why a case is
paid by item or not at all."""

CASE_KIND_ZH = {
    "normal": "正常",
    "low": "低倍率",
    "high": "高倍率",
    "extreme": "极高倍率",
    "special": "特例单议",
    "bed_day": "床日",
    "single_disease": "单病种",
    "by_item": "按项目",
    "tcm": "中医优势病组",
    "negotiated": "单议病组",
    "ungrouped": "未入组",
    "ambiguous": "歧义组",
    "unpaid": "不支付",
}

STATEMENT_COLUMNS = (
    "hospital", "pool", "cases", "points", "entitlement", "retained", "shared", "deposit", "assessment", "deductions",
    "borne", "prepaid", "balance",
)  # fmt: skip
"""One row per hospital and pool; amounts in yuan with two decimals. `borne`: a member's part of its county group's
overrun."""
