"""A: presence and structure. Source: 医疗保障基金结算清单填写规范, 4101 interface."""

from __future__ import annotations

import numpy as np
import polars as pl

from grouper.quality.block import Block, is_blank
from grouper.quality.codes import BoolArray, Codes
from grouper.quality.report import Report

_NAMES = {"dx_names": "diagnosis", "px_names": "procedure"}
_COUNTS = {"dx_count_stated": "diagnosis", "px_count_stated": "procedure"}


def _codes(block: Block, system: str) -> Codes:
    return block.dx if system == "diagnosis" else block.px


def principal_missing(report: Report) -> None:
    """A01: no principal diagnosis, whatever other diagnoses there are."""
    block = report.block
    report.cases(~block.dx.cases_with(block.dx.principal), field="diagnoses")


def sex_invalid(report: Report) -> None:
    """A03."""
    report.cases(~pl.col("sex").is_in([1, 2]).fill_null(False), field="sex", value=pl.col("sex"))


def age_missing(report: Report) -> None:
    """A04: intake has already tried birth date and admission."""
    report.cases(pl.col("age_years").is_null(), field="age_years")


def age_days_missing(report: Report) -> None:
    """A05."""
    report.cases((pl.col("age_years") == 0) & pl.col("age_days").is_null(), field="age_days")


def identity_missing(report: Report) -> None:
    """A06."""
    block = report.block
    for column in block.having(["case_id", "hospital_id"]):
        report.cases(is_blank(pl.col(column), []), field=column)


def times_missing(report: Report) -> None:
    """A08."""
    block = report.block
    for column in block.having(["admission_time", "discharge_time"]):
        report.cases(pl.col(column).is_null(), field=column)


def cost_missing(report: Report) -> None:
    """A09."""
    report.cases(pl.col("total_cost_fen").is_null(), field="total_cost_fen")


def stay_not_positive(report: Report) -> None:
    """A10."""
    report.cases(~(pl.col("los_days") > 0).fill_null(False), field="los_days", value=pl.col("los_days"))


def discharge_way_invalid(report: Report) -> None:
    """A11."""
    block = report.block
    ways = list(block.setup.data.value_sets["discharge_way"])
    way = pl.col("discharge_way").fill_null("")
    report.cases(~way.is_in(ways), field="discharge_way", value=way)


def discharge_way_other(report: Report) -> None:
    """A12."""
    block = report.block
    other = pl.col("discharge_way").is_in(block.setup.words("other_way"))
    report.cases(other, field="discharge_way", value=pl.col("discharge_way"))


def receiver_missing(report: Report) -> None:
    """A13."""
    block = report.block
    way = pl.col("discharge_way")
    sent_on = way.is_in(block.setup.words("referral_ways"))
    report.cases(sent_on & block.blank("receiving_institution"), field="receiving_institution", value=way)


def _filled(texts: pl.Series, words: list[str]) -> BoolArray:
    """Which texts of a list column say something, bool [entries]."""
    return texts.to_frame("text").select(~is_blank(pl.col("text"), words)).to_series().to_numpy()


def name_without_code(report: Report) -> None:
    """A14."""
    block = report.block
    words = block.setup.words("blank_texts")
    for column in block.having(_NAMES):
        codes = _codes(block, _NAMES[column])
        names = codes.parallel(column)
        where = _filled(names, words) & ~codes.present
        report.codes(codes, where, extra={"given": names}, name=pl.col("given"))


def code_without_name(report: Report) -> None:
    """A15."""
    block = report.block
    words = block.setup.words("blank_texts")
    for column in block.having(_NAMES):
        codes = _codes(block, _NAMES[column])
        report.codes(codes, ~_filled(codes.parallel(column), words) & codes.present)


def count_differs(report: Report) -> None:
    """A16."""
    block = report.block
    for column in block.having(_COUNTS):
        codes = _codes(block, _COUNTS[column])
        actual = np.bincount(codes.case[codes.present], minlength=block.height)
        differs = pl.col(column) != pl.Series("actual", actual)
        at = block.mask(differs)
        frame = block.cases.filter(pl.Series(at)).select("row", "case_id", column)
        frame = frame.with_columns(pl.Series("actual", actual[at]))
        args: dict[str, pl.Expr | str] = {
            "field": block.setup.label(column),
            "value": pl.col(column),
            "actual": pl.col("actual"),
        }
        report.add(frame, column, pl.col(column), args)


def procedure_incomplete(report: Report) -> None:
    """A17: every procedure needs a date; an operation also a surgeon and a level."""
    block = report.block
    px, words = block.px, block.setup.words("blank_texts")
    lacks: dict[str, BoolArray] = {}
    if block.has("px_begin"):
        lacks["日期"] = px.parallel("px_begin").is_null().to_numpy() & px.present
    for column in block.having(["px_surgeon", "px_level"]):
        lacks[block.setup.label(column)] = ~_filled(px.parallel(column), words) & block.operations & px.present
    flags = pl.DataFrame(lacks)
    words_missing = [pl.when(pl.col(text)).then(pl.lit(text)) for text in lacks]
    texts = flags.select(pl.concat_str(words_missing, separator="、", ignore_nulls=True)).to_series()
    where = np.logical_or.reduce(list(lacks.values()))
    report.codes(px, where, extra={"missing": texts}, missing=pl.col("missing"))


def anaesthesia_incomplete(report: Report) -> None:
    """A18."""
    block = report.block
    px, words = block.px, block.setup.words("blank_texts")
    way = _filled(px.parallel("px_anaesthesia"), words)
    doctor = _filled(px.parallel("px_anaesthetist"), words)
    labels = [block.setup.label(column) for column in ("px_anaesthesia", "px_anaesthetist")]
    report.codes(px, way & ~doctor & px.present, given=labels[0], missing=labels[1])
    report.codes(px, doctor & ~way & px.present, given=labels[1], missing=labels[0])


def on_admission_missing(report: Report) -> None:
    """A19."""
    block = report.block
    filled = _filled(block.dx.parallel("dx_on_admission"), block.setup.words("blank_marks"))
    report.codes(block.dx, block.dx.present & ~filled)


def settlement_missing(report: Report) -> None:
    """A21: for payment runs."""
    block = report.block
    for column in block.having(["insurance_type", "stay_type"]):
        report.cases(block.blank(column), field=column)
    for column in block.having(["settlement_begin", "settlement_end"]):
        report.cases(pl.col(column).is_null(), field=column)


def plan_and_purpose(report: Report) -> None:
    """A22."""
    block = report.block
    plan, no_purpose = pl.col("readmission_31d"), block.blank("readmission_purpose")
    yes, no = (plan.is_in(block.setup.words(words)) for words in ("plan_yes", "plan_no"))
    report.cases(yes & no_purpose, field="readmission_31d", value=plan, purpose="未填写")
    report.cases(no & ~no_purpose, field="readmission_31d", value=plan, purpose="却已填写")


def record_irregular(report: Report) -> None:
    """A23: the numbers themselves are not repeated in the message."""
    block = report.block
    setup = block.setup
    if block.has("record_no"):
        low, high = setup.number("record_no_shortest"), setup.number("record_no_longest")
        length = pl.col("record_no").fill_null("").str.strip_chars().str.len_chars()
        reason = f"长度应为{low}至{high}位"
        report.cases(~length.is_between(low, high), field="record_no", reason=reason)
    for column in block.having(["bill_code", "bill_no"]):
        report.cases(block.blank(column), field=column, reason="未填写")


CHECKS = {
    "A01": principal_missing,
    "A03": sex_invalid,
    "A04": age_missing,
    "A05": age_days_missing,
    "A06": identity_missing,
    "A08": times_missing,
    "A09": cost_missing,
    "A10": stay_not_positive,
    "A11": discharge_way_invalid,
    "A12": discharge_way_other,
    "A13": receiver_missing,
    "A14": name_without_code,
    "A15": code_without_name,
    "A16": count_differs,
    "A17": procedure_incomplete,
    "A18": anaesthesia_incomplete,
    "A19": on_admission_missing,
    "A21": settlement_missing,
    "A22": plan_and_purpose,
    "A23": record_irregular,
}
