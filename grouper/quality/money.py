"""D: money, whole fen. Source: 4101 interface (settlement list), front page items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from grouper.quality.block import Block, hundredths, yuan
from grouper.quality.report import Report
from grouper.result import GroupStatus
from reference_tables.quality_data import Charge

_ALL_ROLES = ("registration", "service", "care", "operation", "material", "drug", "other")


def complete_sets(block: Block) -> Iterator[tuple[Charge, ...]]:
    """Charge sets all of whose columns that count towards the total are in the file."""
    for charges in block.setup.data.charges.values():
        if block.has(*(charge.column for charge in charges if charge.role != "part")):
            yield charges


def _columns(charges: Iterable[Charge], *roles: str) -> list[str]:
    return [charge.column for charge in charges if charge.role in roles]


def _filled(columns: list[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(columns).is_not_null())


def cost_not_positive(report: Report) -> None:
    """D01."""
    total = pl.col("total_cost_fen")
    report.cases(total <= 0, field="total_cost_fen", value=yuan(total))


def cost_very_low(report: Report) -> None:
    """D02."""
    block = report.block
    total = pl.col("total_cost_fen")
    low = (total > 0) & (total < block.setup.number("low_cost_fen"))
    report.cases(low, field="total_cost_fen", value=yuan(total))


def _compare(report: Report, parts: list[str], whole: pl.Expr, field: str) -> None:
    """Report where the parts add up to something else than the whole; nothing filled in is not compared."""
    block = report.block
    total = pl.sum_horizontal(parts)
    diff = total - whole
    off = _filled(parts) & (diff.abs() > block.setup.number("money_tolerance_fen"))
    report.cases(off, field=field, value=yuan(whole), sum=yuan(total), diff=yuan(diff))


def categories_differ(report: Report) -> None:
    """D03: only where every charge category is a column; a sum with a column missing says nothing."""
    block = report.block
    for charges in complete_sets(block):
        _compare(report, _columns(charges, *_ALL_ROLES), pl.col("total_cost_fen"), "total_cost_fen")


def classes_differ(report: Report) -> None:
    """D04: the canonical record keeps the classes of the whole stay, not of each charge."""
    classes = ["cost_class_a_fen", "cost_class_b_fen", "cost_own_fen", "cost_misc_fen"]
    _compare(report, classes, pl.col("total_cost_fen"), "cost_class_a_fen")


def payers_differ(report: Report) -> None:
    """D05: a payer left empty paid nothing, if any is filled in."""
    payers = ["fund_pay_fen", "self_pay_fen", "own_pay_fen"]
    _compare(report, payers, pl.col("total_cost_fen"), "fund_pay_fen")


def personal_payments_differ(report: Report) -> None:
    """D06."""
    block = report.block
    means, shares = ["account_pay_fen", "cash_pay_fen"], ["self_pay_fen", "own_pay_fen"]
    paid, due = pl.sum_horizontal(means), pl.sum_horizontal(shares)
    off = (paid - due).abs() > block.setup.number("money_tolerance_fen")
    where = _filled(means) & _filled(shares) & off
    report.cases(where, field="cash_pay_fen", value=yuan(paid), sum=yuan(due), diff=yuan(paid - due))


def negative_amount(report: Report) -> None:
    """D07."""
    block = report.block
    columns = [column for column in block.cases.columns if column.endswith("_fen")]
    negative = block.cases.select((pl.col(columns) < 0).any())
    for column in columns:
        if negative[column][0]:
            report.cases(pl.col(column) < 0, field=column, value=yuan(pl.col(column)))


def self_pay_above_total(report: Report) -> None:
    """D08."""
    paid, total = pl.col("self_pay_fen"), pl.col("total_cost_fen")
    report.cases(paid > total, field="self_pay_fen", value=yuan(paid), total=yuan(total))


def part_above_whole(report: Report) -> None:
    """D09."""
    block = report.block
    for charges in block.setup.data.charges.values():
        for whole in (charge.column for charge in charges if charge.role != "part"):
            parts = block.having(charge.column for charge in charges if charge.part_of == whole)
            if parts and block.has(whole):
                total = pl.sum_horizontal(parts)
                above = total > pl.col(whole).fill_null(0)
                report.cases(above, field=whole, value=yuan(total), whole=yuan(pl.col(whole).fill_null(0)))


def charged_not_coded(report: Report) -> None:
    """D10."""
    block = report.block
    coded = block.px.cases_with(block.px.present)
    for column in block.having(["fee_operation_fen", "page_operative_fen"]):
        charged = block.mask(pl.col(column) > 0)
        report.cases(charged & ~coded, field=column, value=yuan(pl.col(column)))


def coded_not_charged(report: Report) -> None:
    """D11: the first operation of a case whose charges are filled in, with none for operation or material."""
    block = report.block
    for charges in complete_sets(block):
        fees = pl.sum_horizontal(_columns(charges, "operation", "material"))
        nothing = block.mask(_filled(_columns(charges, *_ALL_ROLES)) & (fees == 0))
        px = block.px
        report.codes(px, px.first_of_case(block.operations & px.of_case(nothing)))


def no_inpatient_care(report: Report) -> None:
    """D12: something was charged, and none of it was examination, treatment or operation."""
    block = report.block
    for charges in complete_sets(block):
        charged = pl.sum_horizontal(_columns(charges, "registration", "drug")) > 0
        cared = pl.sum_horizontal(_columns(charges, "care", "operation")) != 0
        report.cases(charged & ~cared, field="total_cost_fen")


def ratio_unusual(report: Report) -> None:
    """D13: total cost over the standard cost of the group, for cases with a real group."""
    block = report.block
    setup, grouped = block.setup, block.grouped
    assert grouped is not None
    assert setup.standards is not None
    low, high = setup.number("cost_ratio_low"), setup.number("cost_ratio_high")
    group = pl.col("dip" if "dip" in grouped.columns else "drg").alias("drg")
    found = grouped.select("status", group).join(setup.standards, on="drg", how="left", maintain_order="left")
    frame = pl.concat([block.cases.select("row", "case_id", "total_cost_fen"), found], how="horizontal")
    ratio = pl.col("total_cost_fen") / pl.col("standard_fen")
    real = (pl.col("status") == GroupStatus.GROUPED.value) & (pl.col("standard_fen") > 0)
    text = hundredths((ratio * 100).round().cast(pl.Int64))
    args: dict[str, pl.Expr | str] = {"drg": pl.col("drg"), "value": text, "low": str(low), "high": str(high)}
    report.add(frame.filter(real & ((ratio > high) | (ratio < low))), "total_cost_fen", text, args)


CHECKS = {
    "D01": cost_not_positive,
    "D02": cost_very_low,
    "D03": categories_differ,
    "D04": classes_differ,
    "D05": payers_differ,
    "D06": personal_payments_differ,
    "D07": negative_amount,
    "D08": self_pay_above_total,
    "D09": part_above_whole,
    "D10": charged_not_coded,
    "D11": coded_not_charged,
    "D12": no_inpatient_care,
    "D13": ratio_unusual,
}
