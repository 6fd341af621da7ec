"""Writes a pack in the layout of the official configuration workbook, with the oddities of its editions.

For tests only: it knows the layout from its description, not from the reader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xlsxwriter

from reference_tables.drg_pack import DrgPack

Row = Sequence[str | int | None]


@dataclass(frozen=True)
class Sheet:
    name: str
    rows: list[Row]


FIRST = {
    "adrg": (None, "ADRG编码", "ADRG名称", "ADRG规则", "所属MDC编码", "MDC内排序"),
    "drg": ("DRG编码", "DRG名称", "DRG规则", "所属ADRG编码", "所属MDC编码", "排序"),
    "sets": ("集合编号", "ICD编码", "ICD名称", "类型编号"),
    "cc": ("疾病编码", "疾病名称", "排除表", "类型"),
}
UPDATE = {
    "adrg": ("ADRG编码", "ADRG名称", "ADRG规则", "所属MDC编码", "排序"),
    "drg": ("DRG", "DRG名称", "DRG规则", "所属ADRG编码", "所属MDC编码", "排序"),
    "sets": ("集合编号", "ICD编码", "ICD名称", "类型"),
    "cc": ("ICD编码", "疾病名称", "排除表", "类型"),
}


def sheets(pack: DrgPack, *, first_edition: bool = False) -> dict[str, Sheet]:
    """The six sheets of a pack; the fall-back rows are added, names of QY and 00 rows left empty."""
    header = FIRST if first_edition else UPDATE
    shift: Row = (None,) if first_edition else ()
    mdc_of = dict(pack.adrg.select("code", "mdc").iter_rows())

    def nameless(code: str, name: str) -> str | None:
        return None if code.endswith("QY") or code[1:] in {"00", "000"} else name

    mdc: list[Row] = [("MDC 目录及规则", None, None, None), ("MDC编码", "MDC名称", "MDC规则", "排序")]
    mdc += pack.mdc.select("code", "name", "rule", "order").rows()
    mdc.append(("0000", None, None, pack.mdc.height + 1))
    adrg: list[Row] = [header["adrg"], (*shift, "000", None, None, "0000", 1)]
    for code, name, parent, rule, order in pack.adrg.select("code", "name", "mdc", "rule", "order").rows():
        adrg.append((*shift, code, nameless(code, name), rule, parent, order))
    drg: list[Row] = [header["drg"], ("0000", None, None, "000", "0000", 1)]
    for code, name, parent, rule, order in pack.drg.select("code", "name", "adrg", "rule", "order").rows():
        drg.append((code, nameless(code, name), rule, parent, mdc_of.get(parent), order))
    members: list[Row] = [header["sets"]]
    members += [(name, code, "名", "诊断") for name, code in pack.sets.iter_rows()]
    cc: list[Row] = [header["cc"]]
    cc += [(code, "名", table or None, level) for code, level, table in pack.cc.iter_rows()]
    excluded: list[Row] = [("集合编号", "ICD编码", "ICD名称")]
    excluded += [(name, code, "名") for name, code in pack.exclusion.iter_rows()]
    return {
        "mdc": Sheet("MDC", mdc),
        "adrg": Sheet("ADRG", adrg),
        "drg": Sheet("DRG", drg),
        "sets": Sheet("集合", members),
        "cc": Sheet("CC", cc),
        "exclusion": Sheet("排除表", excluded),
    }


def save(path: Path, contents: Iterable[Sheet]) -> Path:
    """Write sheets as they are: text as text, numbers as numbers, None as an empty cell."""
    book = xlsxwriter.Workbook(str(path), {"strings_to_numbers": False, "strings_to_formulas": False})
    for content in contents:
        sheet = book.add_worksheet(content.name)
        for at, row in enumerate(content.rows):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(at, column, cell)
                elif cell is not None:
                    sheet.write_number(at, column, cell)
    book.close()
    return path


def changed(sheet: Sheet, change: Callable[[int, list[str | int | None]], None]) -> Sheet:
    """A copy of a sheet; `change` gets the Excel row number and the row's cells to alter in place."""
    rows = [list(row) for row in sheet.rows]
    for at, row in enumerate(rows):
        change(at + 1, row)
    return Sheet(sheet.name, [tuple(row) for row in rows])
