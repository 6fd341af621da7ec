"""K: what the grouping itself says about a case. Source: the grouping scheme."""

from __future__ import annotations

import numpy as np
import polars as pl

from grouper.quality.block import Block
from grouper.quality.codes import BoolArray, Codes
from grouper.quality.report import Report
from grouper.quality.scheme_rules import SchemeRules
from grouper.result import GroupStatus, Reason

_IN_NO_MDC = (Reason.NO_MDC, Reason.NO_DIP_GROUP, Reason.PRINCIPAL_UNKNOWN, Reason.PRINCIPAL_GRAY)
_WHAT = {"drg": "主要诊断大类", "dip": "病种"}


def _kind(block: Block) -> str:
    """Whether the results are those of a DRG or a DIP scheme."""
    return "dip" if "dip" in _results(block).columns else "drg"


def _results(block: Block) -> pl.DataFrame:
    assert block.grouped is not None
    return block.grouped


def _where(block: Block, where: pl.Expr) -> BoolArray:
    return _results(block).select(where.fill_null(False)).to_series().to_numpy()


def _principals(block: Block, where: BoolArray) -> pl.DataFrame:
    """row, case_id, code of the principal diagnosis of these cases."""
    dx = block.dx
    at = np.flatnonzero(dx.principal & dx.of_case(where))
    frame = block.cases.select("row", "case_id")[dx.case[at]]
    return frame.with_columns(dx.distinct[dx.ids[at]].alias("code"))


def ambiguous(report: Report) -> None:
    """K01: DRG only."""
    block = report.block
    if _kind(block) != "drg":
        return
    frame = pl.concat([block.cases.select("row", "case_id"), _results(block).select("status", "drg")], how="horizontal")
    found = frame.filter(pl.col("status") == GroupStatus.AMBIGUOUS.value)
    report.add(found, "procedures", pl.col("drg"), {"value": pl.col("drg")})


def in_no_mdc(report: Report) -> None:
    """K02: in no MDC, or in no disease type of a DIP scheme."""
    block = report.block
    reasons = [reason.value for reason in _IN_NO_MDC]
    found = _principals(block, _where(block, pl.col("reason").is_in(reasons)))
    report.add(found, "diagnoses", pl.col("code"), {"value": pl.col("code"), "what": _WHAT[_kind(block)]})


def other_sex(report: Report) -> None:
    """K03: listed by an MDC that asks the sex, and not taken."""
    block = report.block
    scheme = block.setup.scheme
    assert scheme is not None
    not_met = _where(block, pl.col("reason") == Reason.CONDITION_NOT_MET.value)
    bound = block.dx.cases_with(block.dx.in_codes(scheme.sex_bound) & block.dx.principal)
    found = _principals(block, not_met & bound)
    report.add(found, "diagnoses", pl.col("code"), {"value": pl.col("code")})


def in_no_adrg(report: Report) -> None:
    """K04: DRG only."""
    block = report.block
    if _kind(block) != "drg":
        return
    results = _results(block).select("reason", "mdc", "drg")
    frame = pl.concat([block.cases.select("row", "case_id"), results], how="horizontal")
    found = frame.filter(pl.col("reason") == Reason.NO_ADRG.value)
    report.add(found, "diagnoses", pl.col("drg"), {"value": pl.col("drg"), "mdc": pl.col("mdc")})


def mixed_group(report: Report) -> None:
    """K05: DIP only; a case that no core group takes."""
    block = report.block
    if _kind(block) == "dip":
        _tell(report, pl.col("kind") == "mixed")


def several_fit(report: Report) -> None:
    """K07: DIP only; core groups of one layer between which the order of precedence decided."""
    block = report.block
    if _kind(block) == "dip":
        _tell(report, (pl.col("kind") == "core") & (pl.col("rows_fit") > 1))


def _tell(report: Report, where: pl.Expr) -> None:
    """Cases by their DIP result, with the group and how many rows fit."""
    block = report.block
    results = _results(block).select("kind", "dip", "rows_fit")
    frame = pl.concat([block.cases.select("row", "case_id"), results], how="horizontal")
    report.add(frame.filter(where), "diagnoses", pl.col("dip"), {"value": pl.col("dip"), "count": pl.col("rows_fit")})


def excluded_complication(report: Report) -> None:
    """K06: every level the code has is excluded by the principal diagnosis."""
    block = report.block
    assert block.setup.scheme is not None
    dx = block.dx
    found = _excluded(dx, block.setup.scheme)
    where = np.zeros(dx.case.size, np.bool_)
    where[found["at"].to_numpy()] = True
    empty = pl.repeat(None, dx.case.size, dtype=pl.String, eager=True)
    extra = {name: empty.clone().scatter(found["at"], found[name]) for name in ("principal", "level")}
    report.codes(dx, where, extra=extra, principal=pl.col("principal"), level=pl.col("level"))


def _excluded(dx: Codes, scheme: SchemeRules) -> pl.DataFrame:
    """Entries (`at`) whose every level is excluded by their principal diagnosis; `principal`, `level` as text."""
    first = np.full(dx.cases.height, -1, np.int64)
    first[dx.case[dx.principal]] = dx.ids[dx.principal]
    at = np.flatnonzero(dx.others & dx.in_codes(scheme.levels["code"].unique()) & (dx.of_case(first) >= 0))
    pairs = pl.DataFrame({"at": at, "code": dx.ids[at], "principal": first[dx.case[at]]})
    keys = dx.entries.select(pl.int_range(pl.len(), dtype=pl.Int64).alias("id"), "key")
    tables = scheme.exclusions.unique().with_columns(pl.lit(True).alias("excluded"))
    judged = (
        pairs.select("code", "principal")
        .unique()
        .join(keys, left_on="code", right_on="id")
        .join(scheme.levels, left_on="key", right_on="code")
        .join(keys.rename({"key": "principal_key"}), left_on="principal", right_on="id")
        .join(tables, left_on=["exclusion", "principal_key"], right_on=["exclusion", "code"], how="left")
        .group_by("code", "principal", "principal_key")
        .agg(pl.col("excluded").fill_null(False).all(), pl.col("level").max())
        .filter("excluded")
    )
    found = pairs.join(judged, on=["code", "principal"]).sort("at")
    return found.select("at", pl.col("principal_key").alias("principal"), "level")


CHECKS = {
    "K01": ambiguous,
    "K02": in_no_mdc,
    "K03": other_sex,
    "K04": in_no_adrg,
    "K05": mixed_group,
    "K06": excluded_complication,
    "K07": several_fit,
}
