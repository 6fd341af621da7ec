"""C: times within one record. Source: 医疗保障基金结算清单填写规范."""

from __future__ import annotations

import polars as pl

from grouper.quality.block import bare_date, clock, duration, later
from grouper.quality.report import Report

_MINUTES_A_DAY = 1440
_ORDER = (
    ("px_anaesthesia_begin", "px_begin"),
    ("px_begin", "px_end"),
    ("px_end", "px_anaesthesia_end"),
    ("px_anaesthesia_begin", "px_anaesthesia_end"),
)


def _stay_days() -> pl.Expr:
    """Days of stay: discharge date minus admission date, the same day counts 1."""
    days = (pl.col("discharge_time").dt.date() - pl.col("admission_time").dt.date()).dt.total_days()
    return pl.when(days == 0).then(1).otherwise(days)


def admission_after_discharge(report: Report) -> None:
    """C01."""
    admission, discharge = pl.col("admission_time"), pl.col("discharge_time")
    wrong = later(admission, discharge)
    report.cases(wrong, field="admission_time", value=clock(admission), discharge=clock(discharge))


def birth_after_admission(report: Report) -> None:
    """C02: the birth date itself is not repeated."""
    report.cases(pl.col("birth_date") > pl.col("admission_time").dt.date(), field="birth_date")


def discharge_in_future(report: Report) -> None:
    """C03."""
    block = report.block
    discharge = pl.col("discharge_time")
    if block.has("submitted_at"):
        against = pl.concat_str(pl.lit("申报时间"), clock(pl.col("submitted_at")))
        wrong = later(discharge, pl.col("submitted_at"))
        report.cases(wrong, field="discharge_time", value=clock(discharge), against=against)
    if block.setup.as_of is not None:
        wrong = discharge.dt.date() > block.setup.as_of
        report.cases(wrong, field="discharge_time", value=clock(discharge), against=f"{block.setup.as_of}")


def stay_differs(report: Report) -> None:
    """C04: a discharge before the admission is C01."""
    expected = _stay_days()
    differs = (expected > 0) & (pl.col("los_days") != expected)
    report.cases(differs, field="los_days", value=pl.col("los_days"), expected=expected)


def procedure_outside_stay(report: Report) -> None:
    """C05: by dates; emergencies may have begun the day before."""
    block = report.block
    px = block.px
    begin = px.parallel("px_begin").dt.date()
    before = pl.duration(days=int(block.setup.number("days_before_admission")))
    in_order = ~block.mask(later(pl.col("admission_time"), pl.col("discharge_time")))
    limits = block.cases.select(
        (pl.col("admission_time").dt.date() - before).alias("first"), pl.col("discharge_time").dt.date().alias("last")
    )[px.case]
    outside = limits.with_columns(begin.alias("begin")).select(
        (pl.col("begin") < pl.col("first")) | (pl.col("begin") > pl.col("last"))
    )
    where = outside.to_series().fill_null(False).to_numpy() & px.present & px.of_case(in_order)
    report.codes(px, where, extra={"date": begin.dt.to_string("%Y-%m-%d")}, date=pl.col("date"))


def times_out_of_order(report: Report) -> None:
    """C06: each pair of times that stands the wrong way round."""
    block = report.block
    px = block.px
    for first, second in _ORDER:
        if not block.has(first, second):
            continue
        if first == "px_anaesthesia_begin" and second == "px_anaesthesia_end" and block.has("px_begin", "px_end"):
            times = pl.DataFrame({name: px.parallel(name) for name in ("px_begin", "px_end", first, second)})
            open_between = pl.col("px_begin").is_null() | pl.col("px_end").is_null()
        else:
            times = pl.DataFrame({first: px.parallel(first), second: px.parallel(second)})
            open_between = pl.lit(True)
        wrong = times.select((later(pl.col(first), pl.col(second)) & open_between).fill_null(False)).to_series()
        earlier, after = block.setup.label(first), block.setup.label(second)
        report.codes(px, wrong.to_numpy() & px.present, field=first, earlier=earlier, later=after)


def same_start(report: Report) -> None:
    """C07: bare dates do not tell the start; two on one day are I04."""
    block = report.block
    px = block.px
    begin = px.parallel("px_begin")
    timed = begin.to_frame("begin").select(~bare_date(pl.col("begin"))).to_series().fill_null(False).to_numpy()
    again = px.repeats(timed & px.present, begin)
    text = begin.to_frame("begin").select(clock(pl.col("begin"))).to_series()
    report.codes(px, again, extra={"date": text}, date=pl.col("date"))


def intensive_care_times(report: Report) -> None:
    """C08: stays whose two lists differ in length say nothing about pairs."""
    block = report.block
    stays = block.cases.filter(
        (pl.col("icu_in").list.len() == pl.col("icu_out").list.len()) & (pl.col("icu_in").list.len() > 0)
    )
    kept = ["row", "case_id", *block.having(["admission_time", "discharge_time", "icu_minutes"])]
    rows = stays.select(*kept, "icu_in", "icu_out").explode("icu_in", "icu_out")
    wrong = {"转出时间早于转入时间": later(pl.col("icu_in"), pl.col("icu_out"))}
    if block.has("admission_time"):
        wrong["转入时间早于入院时间"] = later(pl.col("admission_time"), pl.col("icu_in"))
    if block.has("discharge_time"):
        wrong["转出时间晚于出院时间"] = later(pl.col("icu_out"), pl.col("discharge_time"))
    for reason, fault in wrong.items():
        frame = rows.filter(fault).unique("row", keep="first", maintain_order=True)
        report.add(frame.select("row", "case_id"), "icu_in", None, {"reason": reason})
    if block.has("icu_minutes"):
        report.add(*_icu_sum(rows, float(block.setup.number("icu_tolerance_minutes"))))


def _icu_sum(rows: pl.DataFrame, tolerance: float) -> tuple[pl.DataFrame, str, pl.Expr, dict[str, pl.Expr]]:
    """Stays whose stated sum is not that of their times; a missing time leaves the sum open."""
    minutes = (pl.col("icu_out") - pl.col("icu_in")).dt.total_minutes()
    dated = bare_date(pl.col("icu_in")) | bare_date(pl.col("icu_out")) | minutes.is_null()
    sums = rows.group_by("row", "case_id", "icu_minutes", maintain_order=True).agg(
        pl.when(~dated.any()).then(minutes.sum()).alias("sum")
    )
    off = sums.filter((pl.col("sum") - pl.col("icu_minutes")).abs() > tolerance)
    reason = pl.format("合计时长{}，按进出时间应为{}", duration(pl.col("icu_minutes")), duration(pl.col("sum")))
    return off, "icu_minutes", pl.col("icu_minutes"), {"reason": reason}


def nursing_days_differ(report: Report) -> None:
    """C09: no level of nursing filled in at all is not compared."""
    block = report.block
    levels = [f"nursing_days_{level}" for level in ("special", "1", "2", "3")]
    total, days = pl.sum_horizontal(levels), pl.col("los_days")
    filled = pl.any_horizontal(pl.col(levels).is_not_null())
    off = (total - days).abs() > block.setup.number("nursing_days_tolerance")
    report.cases(filled & off, field="nursing_days_1", value=total, days=days)


def ventilation_too_long(report: Report) -> None:
    """C10: between bare dates the stay may last to the end of the last day."""
    admission, discharge = pl.col("admission_time"), pl.col("discharge_time")
    days = (discharge.dt.date() - admission.dt.date()).dt.total_days() + 1
    dated = bare_date(admission) | bare_date(discharge)
    stay = pl.when(dated).then(days * _MINUTES_A_DAY).otherwise((discharge - admission).dt.total_minutes())
    minutes = pl.col("ventilator_minutes")
    wrong = (minutes > stay) & (stay >= 0)
    report.cases(wrong, field="ventilator_minutes", value=minutes, stay=stay)


def long_stay(report: Report) -> None:
    """C11."""
    block = report.block
    limit = block.setup.number("long_stay_days")
    report.cases(pl.col("los_days") > limit, field="los_days", value=pl.col("los_days"), limit=str(limit))


def settlement_period(report: Report) -> None:
    """C14."""
    block = report.block
    begin, end = pl.col("settlement_begin"), pl.col("settlement_end")
    report.cases(begin > end, field="settlement_begin", value=begin, reason="结算开始日期晚于结束日期")
    if block.has("discharge_time"):
        discharge = pl.col("discharge_time").dt.date()
        outside = (begin <= end) & ~discharge.is_between(begin, end)
        report.cases(outside, field="discharge_time", value=discharge, reason="出院日期不在结算期间内")


CHECKS = {
    "C01": admission_after_discharge,
    "C02": birth_after_admission,
    "C03": discharge_in_future,
    "C04": stay_differs,
    "C05": procedure_outside_stay,
    "C06": times_out_of_order,
    "C07": same_start,
    "C08": intensive_care_times,
    "C09": nursing_days_differ,
    "C10": ventilation_too_long,
    "C11": long_stay,
    "C14": settlement_period,
}
