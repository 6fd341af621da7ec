"""G: sex and age against the codes. Source: ICD-10 sex list, ICD-9-CM-3 chapters, practice."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from grouper.quality.block import UNKNOWN, Block
from grouper.quality.codes import BoolArray, Codes
from grouper.quality.report import Report

_MALE, _FEMALE = 1, 2
Check = Callable[[Report], None]


def _for_sex(rule: str, part: str, sex: int, column: str) -> Check:
    """A family of codes that patients of this sex cannot have."""

    def check(report: Report) -> None:
        block = report.block
        codes: Codes = getattr(block, column)
        wrong = codes.within(block.setup.data.families[rule, part]) & codes.of_case(block.sex == sex)
        report.codes(codes, wrong)

    check.__doc__ = f"{rule}."
    return check


def _for_age(rule: str, part: str, unlikely: Callable[[Block], BoolArray]) -> Check:
    """A family of diagnoses that patients of some ages do not have; an unknown age is never unlikely."""

    def check(report: Report) -> None:
        block = report.block
        dx = block.dx
        ages = dx.of_case((block.age != UNKNOWN) & unlikely(block))
        report.codes(dx, dx.within(block.setup.data.families[rule, part]) & ages, age=pl.col("age_years"))

    check.__doc__ = f"{rule}."
    return check


def _child(block: Block) -> BoolArray:
    return (block.age >= 0) & (block.age <= block.setup.number("child_years"))


def _no_infant(block: Block) -> BoolArray:
    return block.age >= 1


def _not_fertile(block: Block) -> BoolArray:
    low, high = (block.setup.number(f"pregnancy_years_{end}") for end in ("lowest", "highest"))
    return (block.age < low) | (block.age > high)


def _no_small_child(block: Block) -> BoolArray:
    return block.age >= block.setup.number("infant_years")


def pelvic_without_sex(report: Report) -> None:
    """G10: a male patient is G01."""
    block = report.block
    dx = block.dx
    unstated = (block.sex != _MALE) & (block.sex != _FEMALE)
    report.codes(dx, dx.within(block.setup.data.families["G10", "pelvic"]) & dx.of_case(unstated))


CHECKS: dict[str, Check] = {
    "G01": _for_sex("G01", "female", _MALE, "dx"),
    "G02": _for_sex("G02", "male", _FEMALE, "dx"),
    "G03": _for_sex("G03", "female", _MALE, "px"),
    "G04": _for_sex("G04", "male", _FEMALE, "px"),
    "G05": _for_age("G05", "adult", _child),
    "G06": _for_age("G06", "birth_injury", _no_infant),
    "G07": _for_age("G07", "perinatal", _no_infant),
    "G08": _for_age("G08", "pregnancy", _not_fertile),
    "G09": _for_age("G09", "infant", _no_small_child),
    "G10": pelvic_without_sex,
}
