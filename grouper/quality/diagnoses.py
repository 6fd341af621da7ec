"""E: diagnosis codes. Source: 医保版 2.0 code book, ICD-10 notes, 医疗保障基金结算清单填写规范."""

from __future__ import annotations

import numpy as np

from grouper.quality.codes import BoolArray, Codes
from grouper.quality.pairs import report_pairs
from grouper.quality.report import Report

_MORPHOLOGY = r"^M[0-9]{4}/[0-9]"
_ASTERISK_ALONE = r"^[^+]*\*$"
NOT_ON_ADMISSION = "4"


def _matching(codes: Codes, pattern: str) -> BoolArray:
    return codes.of_distinct(codes.distinct.str.contains(pattern).to_numpy())


def not_in_book(report: Report) -> None:
    """E01: codes compare whole; a morphology code is E06."""
    block = report.block
    dx = block.dx
    report.codes(dx, dx.present & ~dx.known & ~_matching(dx, _MORPHOLOGY))


def gray(report: Report) -> None:
    """E02."""
    block = report.block
    report.codes(block.dx, block.dx.gray)


def principal_repeated(report: Report) -> None:
    """E04."""
    block = report.block
    report.codes(block.dx, _as_principal(block.dx))


def _as_principal(dx: Codes) -> BoolArray:
    """Other diagnoses that are the principal one again."""
    principal = np.full(dx.cases.height, -1, np.int64)
    principal[dx.case[dx.principal]] = dx.keys[dx.principal]
    same: BoolArray = dx.keys == dx.of_case(principal)
    return dx.others & same


def other_repeated(report: Report) -> None:
    """E05: repeats of the principal diagnosis are E04."""
    block = report.block
    dx = block.dx
    report.codes(dx, dx.repeats(dx.others & ~_as_principal(dx)))


def morphology(report: Report) -> None:
    """E06."""
    block = report.block
    report.codes(block.dx, _matching(block.dx, _MORPHOLOGY))


def external_cause(report: Report) -> None:
    """E07: among the other diagnoses; as principal it is F04."""
    block = report.block
    family = block.setup.data.families["E07", "external_cause"]
    report.codes(block.dx, block.dx.within(family) & block.dx.others)


def _arose_in_stay(dx: Codes) -> BoolArray:
    given = dx.parallel("dx_on_admission").str.strip_chars()
    return (given == NOT_ON_ADMISSION).fill_null(False).to_numpy() & dx.present


def nothing_on_admission(report: Report) -> None:
    """E08."""
    block = report.block
    dx = block.dx
    only = dx.cases_with(dx.present) & ~dx.cases_with(dx.present & ~_arose_in_stay(dx))
    report.cases(only, field="dx_on_admission")


def principal_arose(report: Report) -> None:
    """E09."""
    block = report.block
    dx = block.dx
    report.codes(dx, dx.principal & _arose_in_stay(dx))


def complication_of_care(report: Report) -> None:
    """E12."""
    block = report.block
    family = block.setup.data.families["E12", "complication"]
    report.codes(block.dx, block.dx.within(family) & block.dx.others)


def asterisk_alone(report: Report) -> None:
    """E13."""
    block = report.block
    report.codes(block.dx, block.dx.principal & _matching(block.dx, _ASTERISK_ALONE))


CHECKS = {
    "E01": not_in_book,
    "E02": gray,
    "E04": principal_repeated,
    "E05": other_repeated,
    "E06": morphology,
    "E07": external_cause,
    "E08": nothing_on_admission,
    "E09": principal_arose,
    "E10": report_pairs,
    "E11": report_pairs,
    "E12": complication_of_care,
    "E13": asterisk_alone,
}
