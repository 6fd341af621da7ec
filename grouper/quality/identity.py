"""B: identity and value sets. Source: 医疗保障基金结算清单填写规范, 4101 code tables."""

from __future__ import annotations

import polars as pl

from grouper.quality.block import Block, is_blank
from grouper.quality.report import Report


def _not_in_set(block: Block, column: str, text: pl.Expr) -> pl.Expr:
    """A text that is filled in and is none of the column's values; leading zeros do not count."""
    values = list(block.setup.data.value_sets[column])
    plain = text.str.strip_chars().str.strip_chars_start("0")
    return ~is_blank(text, block.setup.words("blank_marks")) & ~plain.is_in(values)


def outside_value_set(report: Report) -> None:
    """B01: every coded column but sex (A03) and discharge way (A11)."""
    block = report.block
    for column in block.having(block.setup.data.rules["B01"].each):
        if column == "dx_on_admission":
            continue
        report.cases(_not_in_set(block, column, pl.col(column)), field=column, value=pl.col(column))
    if block.has("dx_on_admission"):
        given = block.dx.parallel("dx_on_admission")
        wrong = given.to_frame("given").select(_not_in_set(block, "dx_on_admission", pl.col("given"))).to_series()
        where = wrong.to_numpy() & block.dx.present
        report.codes(block.dx, where, field="dx_on_admission", value=pl.col("given"), extra={"given": given})


def age_differs(report: Report) -> None:
    """B05: completed years between birth and admission; 29 February counts from 1 March on."""
    birth, admission = pl.col("birth_date"), pl.col("admission_time").dt.date()
    day = [(date.dt.month().cast(pl.Int32) * 100 + date.dt.day()) for date in (birth, admission)]
    expected = admission.dt.year() - birth.dt.year() - (day[1] < day[0]).cast(pl.Int32)
    differs = (birth <= admission) & (pl.col("age_years") != expected)
    report.cases(differs, field="age_years", value=pl.col("age_years"), expected=expected)


def days_above_one_year(report: Report) -> None:
    """B06."""
    years, days = pl.col("age_years"), pl.col("age_days")
    report.cases((years >= 1) & days.is_not_null(), field="age_days", value=days, years=years)


def age_out_of_range(report: Report) -> None:
    """B07: days count only where the years do not already say more (B06)."""
    block = report.block
    years, days = pl.col("age_years"), pl.col("age_days")
    highest = str(block.setup.number("age_years_highest"))
    report.cases(~years.is_between(0, int(highest)), field="age_years", value=years, low="0", high=highest)
    highest = str(block.setup.number("age_days_highest"))
    infant = years.fill_null(0) <= 0
    report.cases(infant & ~days.is_between(0, int(highest)), field="age_days", value=days, low="0", high=highest)


def region_malformed(report: Report) -> None:
    """B08."""
    block = report.block
    region = pl.col("insured_region")
    wrong = ~block.blank("insured_region") & ~region.str.strip_chars().str.contains(r"^[0-9]{6}$")
    report.cases(wrong, field="insured_region", value=region)


CHECKS = {
    "B01": outside_value_set,
    "B05": age_differs,
    "B06": days_above_one_year,
    "B07": age_out_of_range,
    "B08": region_malformed,
}
