"""H: newborn and delivery. Source: 医疗保障基金结算清单填写规范, ICD-10 notes, practice."""

from __future__ import annotations

import polars as pl

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray
from grouper.quality.report import Report

_BIRTH, _ADMISSION = "newborn_birth_weight_g", "newborn_admission_weight_g"


def _family(block: Block, rule: str, part: str) -> BoolArray:
    return block.dx.within(block.setup.data.families[rule, part])


def weight_for_grouping(report: Report) -> None:
    """H01: the weight the scheme asks for; without a scheme one of the two must be there. A DIP scheme asks for it
    with certain diagnoses only: H02."""
    block = report.block
    scheme = block.setup.scheme
    if scheme is not None and scheme.kind == "dip":
        return
    asked = None if scheme is None else scheme.newborn_weight
    days = pl.col("age_days")
    if asked is None:
        missing, column = pl.col(_BIRTH).is_null() & pl.col(_ADMISSION).is_null(), _ADMISSION
        label = "或".join(block.setup.label(name) for name in (_ADMISSION, _BIRTH))
    else:
        column = _BIRTH if asked == "birth" else _ADMISSION
        missing, label = pl.col(column).is_null(), block.setup.label(column)
    newborn = block.newborn & (pl.col("age_years") == 0)
    report.cases(newborn & missing, field=column, days=days, weight=label)


def birth_weight_missing(report: Report) -> None:
    """H02: where a DRG scheme groups by birth weight, H01 says it already."""
    block = report.block
    scheme = block.setup.scheme
    if scheme is not None and scheme.kind == "drg" and scheme.newborn_weight == "birth":
        return
    low = _family(block, "H02", "low_weight")
    missing = block.mask(block.newborn & pl.col(_BIRTH).is_null())
    dx = block.dx
    report.codes(dx, dx.first_of_case(low & dx.of_case(missing)), field=_BIRTH, value=pl.lit(""))


def weight_out_of_range(report: Report) -> None:
    """H03: a weight of 0 on a record that is no newborn is only a filler."""
    block = report.block
    low, high = (str(block.setup.number(f"weight_{end}_g")) for end in ("lowest", "highest"))
    for column in block.having([_BIRTH, _ADMISSION]):
        weight = pl.col(column)
        wrong = ~weight.is_between(int(low), int(high)) & ((weight != 0) | block.newborn)
        report.cases(wrong, field=column, value=weight, low=low, high=high)


def weight_not_in_steps(report: Report) -> None:
    """H04."""
    block = report.block
    step = str(block.setup.number("weight_step_g"))
    for column in block.having([_BIRTH, _ADMISSION]):
        weight = pl.col(column)
        report.cases(weight % int(step) != 0, field=column, value=weight, step=step)


def weight_without_newborn(report: Report) -> None:
    """H05: a mother's record may carry the weight of her child."""
    block = report.block
    delivered = block.dx.cases_with(_family(block, "H05", "delivery"))
    days, weight = pl.col("age_days"), pl.col(_ADMISSION)
    wrong = block.mask((weight > 0) & (days.is_null() | (days > block.setup.number("newborn_days"))))
    shown = pl.when(days.is_null()).then(pl.lit("为空")).otherwise(pl.format("为{}天", days))
    report.cases(wrong & ~delivered, field=_ADMISSION, value=weight, days=shown)


def child_weight_missing(report: Report) -> None:
    """H06: on the mother's record."""
    block = report.block
    dx = block.dx
    births = _family(block, "H06", "live_birth")
    mother = block.mask((pl.col("age_years").fill_null(1) > 0) & (pl.col(_BIRTH).fill_null(0) <= 0))
    report.codes(dx, dx.first_of_case(births & dx.of_case(mother)), field=_BIRTH, value=pl.lit(""))


def weight_and_code(report: Report) -> None:
    """H07."""
    block = report.block
    dx, weight = block.dx, pl.col(_BIRTH)
    extremely, low = (block.setup.number(name) for name in ("extremely_low_weight_g", "low_weight_g"))
    heavier = dx.of_case(block.mask(weight >= extremely))
    outside = dx.of_case(block.mask((weight < extremely) | (weight >= low)))
    wrong = (_family(block, "H07", "extremely_low") & heavier) | (_family(block, "H07", "low") & outside)
    report.codes(dx, wrong, weight=weight)


def several_weights(report: Report) -> None:
    """H08: the list holds the weights of the further children."""
    block = report.block
    further = pl.col("newborn_birth_weights_g").list.len()
    report.cases(block.newborn & (further > 0), field="newborn_birth_weights_g", value=further + 1)


def outcome_missing(report: Report) -> None:
    """H09."""
    block = report.block
    dx = block.dx
    covered = dx.cases_with(_family(block, "H09", "outcome") | _family(block, "H09", "abortive"))
    report.codes(dx, dx.first_of_case(_family(block, "H09", "delivery") & ~dx.of_case(covered)))


def delivery_codes_missing(report: Report) -> None:
    """H10: a missing outcome is H09."""
    block = report.block
    dx = block.dx
    has = {part: dx.cases_with(_family(block, "H10", part)) for part in ("delivery", "outcome", "weeks")}
    stay = has["delivery"] | has["outcome"]
    lacks = {"分娩方式（O80至O84）": stay & ~has["delivery"], "孕周（O26.9）": stay & ~has["weeks"]}
    for text, where in lacks.items():
        report.cases(where, field="diagnoses", missing=text)


def outcome_twice(report: Report) -> None:
    """H11: every outcome code after the first."""
    block = report.block
    outcome = _family(block, "H11", "outcome")
    report.codes(block.dx, outcome & ~block.dx.first_of_case(outcome))


def admission_type_missing(report: Report) -> None:
    """H12."""
    block = report.block
    missing = block.newborn & block.blank("newborn_admission_type")
    report.cases(missing, field="newborn_admission_type", days=pl.col("age_days"))


CHECKS = {
    "H01": weight_for_grouping,
    "H02": birth_weight_missing,
    "H03": weight_out_of_range,
    "H04": weight_not_in_steps,
    "H05": weight_without_newborn,
    "H06": child_weight_missing,
    "H07": weight_and_code,
    "H08": several_weights,
    "H09": outcome_missing,
    "H10": delivery_codes_missing,
    "H11": outcome_twice,
    "H12": admission_type_missing,
}
