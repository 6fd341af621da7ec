"""Two codes of one record that should be one code, or that exclude each other; codes that ask for a companion.

Source: ICD-10 and ICD-9-CM-3 category notes, as listed in `quality/pairs.csv` and `quality/companions.csv`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray, Codes, IntArray
from grouper.quality.report import Report
from reference_tables.code_family import System


def codes_of(block: Block, system: System) -> Codes:
    return block.dx if system == "diagnosis" else block.px


def _first_places(codes: Codes, entries: BoolArray) -> tuple[IntArray, IntArray]:
    """Cases with such an entry, ascending, and the place of the first one in each."""
    at = np.flatnonzero(codes.first_of_case(entries))
    return codes.case[at], at


def report_pairs(report: Report) -> None:
    """Every pair of the rule once a case, by the first code of either family."""
    block = report.block
    for pair in block.setup.data.pairs:
        if pair.rule != report.rule:
            continue
        codes = codes_of(block, pair.first.system)
        first, second = codes.within(pair.first), codes.within(pair.second)
        one, at_one = _first_places(codes, first & ~second)
        other, at_other = _first_places(codes, second & ~first)
        case, left, right = np.intersect1d(one, other, assume_unique=True, return_indices=True)
        frame = block.cases.select("row", "case_id")[case].with_columns(
            codes.distinct[codes.ids[at_one[left]]].alias("first"),
            codes.distinct[codes.ids[at_other[right]]].alias("second"),
        )
        value = pl.concat_str("first", "second", separator=" ")
        args: dict[str, pl.Expr | str] = {"first": pl.col("first"), "second": pl.col("second"), "result": pair.result}
        report.add(frame, codes.column, value, args)


def report_companions(report: Report) -> None:
    """The first code of a family in a case that has no companion of it."""
    block = report.block
    for rule in block.setup.data.companions:
        if rule.rule == report.rule:
            codes = codes_of(block, rule.family.system)
            accompanied = codes.cases_with(codes.within(rule.companion))
            alone = codes.within(rule.family) & ~codes.of_case(accompanied)
            report.codes(codes, codes.first_of_case(alone), result=rule.label)
