"""I: procedures. Source: 医保版 2.0 code book, ICD-9-CM-3 notes, 医疗保障基金结算清单填写规范."""

from __future__ import annotations

import numpy as np
import polars as pl

from grouper.quality.block import duration
from grouper.quality.codes import BoolArray, Codes, IntArray
from grouper.quality.pairs import report_companions, report_pairs
from grouper.quality.report import Report


def not_in_book(report: Report) -> None:
    """I01."""
    block = report.block
    report.codes(block.px, block.px.present & ~block.px.known)


def gray(report: Report) -> None:
    """I02."""
    block = report.block
    report.codes(block.px, block.px.gray)


def principal_missing(report: Report) -> None:
    """I03."""
    block = report.block
    px = block.px
    count = np.bincount(px.case[px.present], minlength=block.height)
    headless = (count > 0) & ~px.cases_with(px.principal)
    frame = block.cases.select("row", "case_id").with_columns(pl.Series("count", count))
    value = pl.col("count").cast(pl.String)
    report.add(frame.filter(pl.Series(headless)), px.column, value, {"value": value})


def repeated(report: Report) -> None:
    """I04: the principal procedure again unless both have their day and it is another one; any other
    procedure again on the same known day."""
    block = report.block
    px = block.px
    if not block.has("px_begin"):
        report.codes(px, _principal_again(px, np.zeros(px.case.size, np.int64)))
        return
    day = px.parallel("px_begin").dt.date()
    numbers = day.to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    dated = px.repeats(px.present & (numbers >= 0), day)
    report.codes(px, _principal_again(px, numbers, unknown=-1) | (dated & px.others))


def _principal_again(px: Codes, day: IntArray, unknown: int | None = None) -> BoolArray:
    """Other procedures with the principal's code whose day is the same or not known."""
    n = px.cases.height
    key, its_day = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    key[px.case[px.principal]] = px.keys[px.principal]
    its_day[px.case[px.principal]] = day[px.principal]
    there = px.of_case(its_day)
    same: BoolArray = (there == day) | (there == unknown) | (day == unknown)
    again: BoolArray = px.keys == px.of_case(key)
    return px.others & again & same


def adjunct_as_principal(report: Report) -> None:
    """I05."""
    block = report.block
    px = block.px
    report.codes(px, px.within(block.setup.data.families["I05", "adjunct"]) & px.principal)


def operation_not_principal(report: Report) -> None:
    """I06: an adjunct code is no operation of its own; a principal on the scheme's operation list is one."""
    block = report.block
    px, scheme = block.px, block.setup.scheme
    operation = block.operations & ~px.within(block.setup.data.families["I05", "adjunct"])
    minor = px.in_categories(block.setup.words("other_categories")) & px.principal & ~operation
    if scheme is not None and scheme.operations:
        listed = px.in_codes(scheme.operations)
        operation, minor = operation & listed, minor & ~listed
    first = px.first_of_case(operation & px.others)
    place = np.full(block.height, -1, np.int64)
    place[px.case[first]] = np.flatnonzero(first)
    where = minor & (px.of_case(place) >= 0)
    named = px.distinct[px.ids[np.maximum(px.of_case(place), 0)]] if px.case.size else px.distinct.clear()
    category = px.entries.get_column("category")[px.ids]
    extra = {"operation": named, "category": category}
    report.codes(px, where, extra=extra, operation=pl.col("operation"), category=pl.col("category"))


def unspecific(report: Report) -> None:
    """I13."""
    block = report.block
    report.codes(block.px, block.px.within(block.setup.data.families["I13", "unspecific"]))


def ventilation_differs(report: Report) -> None:
    """I14: the two ventilation codes part at 96 hours."""
    block = report.block
    px, minutes = block.px, pl.col("ventilator_minutes")
    limit = block.setup.number("long_ventilation_minutes")
    families = block.setup.data.families
    is_short, is_long = (px.of_case(block.mask(where)) for where in (minutes < limit, minutes >= limit))
    wrong = (px.within(families["I14", "long"]) & is_short) | (px.within(families["I14", "short"]) & is_long)
    report.codes(px, wrong, duration=duration(minutes))


CHECKS = {
    "I01": not_in_book,
    "I02": gray,
    "I03": principal_missing,
    "I04": repeated,
    "I05": adjunct_as_principal,
    "I06": operation_not_principal,
    "I07": report_companions,
    "I08": report_companions,
    "I09": report_companions,
    "I10": report_companions,
    "I11": report_pairs,
    "I12": report_pairs,
    "I13": unspecific,
    "I14": ventilation_differs,
}
