"""F: codes that are not, or hardly ever, a principal diagnosis.

Source: ICD-10 notes and practice (`quality/principal.csv`), and the scheme's own list, which decides where the
scheme has one: F01 to F12 then speak only of codes that the scheme bars too, F16 of all its other codes.
"""

from __future__ import annotations

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray
from grouper.quality.report import Report

_BARRED = tuple(f"F{number:02}" for number in range(1, 13))


def _own_list(block: Block) -> BoolArray | None:
    """Principal diagnoses on the scheme's own list; None when it has no such list."""
    scheme = block.setup.scheme
    if scheme is None or not scheme.not_principal:
        return None
    return block.dx.in_codes(scheme.not_principal) & block.dx.principal


def barred_family(report: Report) -> None:
    """F01 to F12."""
    block = report.block
    hit = block.dx.within(block.setup.data.principal[report.rule]) & block.dx.principal
    own = _own_list(block)
    report.codes(block.dx, hit if own is None else hit & own)


def doubtful_family(report: Report) -> None:
    """F14, F15."""
    block = report.block
    report.codes(block.dx, block.dx.within(block.setup.data.principal[report.rule]) & block.dx.principal)


def symptom(report: Report) -> None:
    """F13: R99 always, other symptoms when a disease stands among the other diagnoses."""
    block = report.block
    dx, families = block.dx, block.setup.data.families
    unknown = dx.within(families["F13", "cause_unknown"]) & dx.principal
    report.codes(dx, unknown, reason="病因不明")
    diseased = dx.of_case(dx.cases_with(dx.within(families["F13", "disease"]) & dx.others))
    report.codes(dx, dx.within(families["F13", "symptom"]) & dx.principal & diseased, reason="其他诊断中有疾病编码")


def _barred_by_scheme(report: Report, kind: str) -> None:
    block = report.block
    own, setup = _own_list(block), block.setup
    if own is None or setup.scheme is None or setup.scheme.kind != kind:
        return
    for rule in setup.active.intersection(_BARRED):
        own = own & ~block.dx.within(setup.data.principal[rule])
    report.codes(block.dx, own)


def barred_by_drg_scheme(report: Report) -> None:
    """F16: codes that F01 to F12 do not already explain."""
    _barred_by_scheme(report, "drg")


def barred_by_dip_scheme(report: Report) -> None:
    """F17: codes that F01 to F12 do not already explain."""
    _barred_by_scheme(report, "dip")


CHECKS = {
    **dict.fromkeys(_BARRED, barred_family),
    "F13": symptom,
    "F14": doubtful_family,
    "F15": doubtful_family,
    "F16": barred_by_drg_scheme,
    "F17": barred_by_dip_scheme,
}
