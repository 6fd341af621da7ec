"""J: a diagnosis against other evidence on the record. Source: 住院病案首页数据填写质量规范, ICD-10 notes."""

from __future__ import annotations

import polars as pl

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray
from grouper.quality.pairs import report_companions
from grouper.quality.report import Report


def _family(block: Block, rule: str, part: str) -> BoolArray:
    return block.dx.within(block.setup.data.families[rule, part])


def tumour_missing(report: Report) -> None:
    """J02."""
    block = report.block
    dx = block.dx
    coded = dx.cases_with(_family(block, "J02", "tumour") & dx.others)
    report.codes(dx, _family(block, "J02", "therapy") & dx.principal & ~dx.of_case(coded))


def pathology_differs(report: Report) -> None:
    """J03: behaviour /6 for metastases, /3 for systemic malignancies."""
    block = report.block
    dx, code = block.dx, pl.col("pathology_dx").fill_null("").str.strip_chars()
    blank = dx.of_case(block.mask(block.blank("pathology_dx")))
    checks = [("tumour", blank, "未填写")]
    for part, behaviour in (("metastasis", "/6"), ("systemic", "/3")):
        differs = ~blank & dx.of_case(block.mask(~code.str.ends_with(behaviour)))
        checks.append((part, differs, f"动态码应为{behaviour}"))
    for part, fault, reason in checks:
        report.codes(
            dx, _family(block, "J03", part) & dx.principal & fault, field="pathology_dx", value=code, reason=reason
        )


def external_cause_missing(report: Report) -> None:
    """J04."""
    block = report.block
    dx = block.dx
    blank = dx.of_case(block.mask(block.blank("external_cause_dx")))
    report.codes(dx, _family(block, "J04", "injury") & dx.principal & blank)


def coma_missing(report: Report) -> None:
    """J05."""
    block = report.block
    dx = block.dx
    neither = pl.col("coma_before_minutes").is_null() & pl.col("coma_after_minutes").is_null()
    open_ = dx.of_case(block.mask(neither))
    report.codes(dx, dx.first_of_case(_family(block, "J05", "brain_injury") & open_))


def allergy_missing(report: Report) -> None:
    """J06."""
    block = report.block
    dx, allergy = block.dx, pl.col("drug_allergy").fill_null("")
    without = dx.of_case(block.mask(~allergy.is_in(block.setup.words("plan_yes"))))
    where = _family(block, "J06", "drug_reaction") & dx.principal & without
    report.codes(dx, where, field="drug_allergy", value=allergy)


def _died(block: Block) -> pl.Expr:
    return pl.col("discharge_way").is_in(block.setup.words("death_way"))


def low_risk_death(report: Report) -> None:
    """J09."""
    block = report.block
    dx = block.dx
    died = dx.of_case(block.mask(_died(block)))
    report.codes(dx, _family(block, "J09", "low_risk") & dx.principal & died)


def elective_death(report: Report) -> None:
    """J10: not admitted as an emergency, operated on, dead within a day."""
    block = report.block
    px, route = block.px, pl.col("admission_route")
    elective = ~block.blank("admission_route") & ~route.is_in(block.setup.words("emergency_route"))
    died = block.mask(_died(block) & elective & pl.col("los_days").is_between(0, 1))
    first = px.first_of_case(block.operations & px.of_case(died))
    report.codes(px, first, days=pl.col("los_days"))


def short_stay(report: Report) -> None:
    """J11."""
    block = report.block
    days = pl.col("los_days")
    short = block.mask(days <= block.setup.number("short_stay_days"))
    report.cases(short & ~block.px.cases_with(block.px.present), field="los_days", value=days)


CHECKS = {
    "J01": report_companions,
    "J02": tumour_missing,
    "J03": pathology_differs,
    "J04": external_cause_missing,
    "J05": coma_missing,
    "J06": allergy_missing,
    "J09": low_risk_death,
    "J10": elective_death,
    "J11": short_stay,
}
