"""What is wrong with single cells of a DIP pack's tables: empty, of no known word, unreadable, no number, or at odds
with another cell of the row."""

from __future__ import annotations

import polars as pl

from reference_tables.dip_cells import ANY, CellError, diagnosis_items, number_range, procedure_alternatives
from reference_tables.dip_pack import NumberForm, dip_schema
from reference_tables.dip_tables import INTEGER, DipTables, problem
from reference_tables.problems import Problem

_MODES_WITH_PX = frozenset({"principal", "anywhere", "exact"})


def check_cells(tables: DipTables) -> list[Problem]:
    """TB06 empty, DP03 unknown word, DP02 unreadable, TB09 and DP07 no number, DP04 procedures at odds with how they
    are asked for, DP13 diagnoses at odds with the rule of an excluded procedure."""
    return (
        _empty(tables) + _words(tables) + _cells(tables) + _orders(tables) + _numbers(tables)
        + _modes(tables) + _admitting_diagnoses(tables)
    )  # fmt: skip


def _empty(tables: DipTables) -> list[Problem]:
    return [
        problem("TB06", place, line, column, "", column=column)
        for name, columns in dip_schema().columns.needed.items()
        for column in columns
        for place, line in tables.each(name, where=pl.col(column) == "")
    ]


def _words(tables: DipTables) -> list[Problem]:
    problems: list[Problem] = []
    for name, columns in dip_schema().columns.words.items():
        for column, kind in columns.items():
            allowed = dip_schema().words[kind]
            wrong = (pl.col(column) != "") & ~pl.col(column).is_in(allowed)
            problems += [
                problem("DP03", place, line, column, word, column=column, value=word, allowed="、".join(allowed))
                for place, line, word in tables.each(name, column, where=wrong)
            ]
    return problems


def _cells(tables: DipTables) -> list[Problem]:
    problems: list[Problem] = []
    for name, columns in dip_schema().columns.cells.items():
        for column, kind in columns.items():
            reasons = {
                cell: reason for cell in tables.frames[name][column].unique() if (reason := _unreadable(cell, kind))
            }
            problems += [
                problem("DP02", place, line, column, cell, column=column, value=cell, reason=reasons[cell])
                for place, line, cell in tables.each(name, column, where=pl.col(column).is_in(list(reasons)))
            ]
    return problems


def _unreadable(cell: str, kind: str) -> str:
    """Why a cell cannot be read ("" = it can)."""
    if cell == ANY and kind == "diagnosis":
        return "此处须写明诊断，不能写 *"
    try:
        if kind == "range":
            number_range(cell)
        elif kind == "procedure":
            procedure_alternatives(cell)
        else:
            diagnosis_items(cell)
    except CellError as error:
        return error.reason
    return ""


def _orders(tables: DipTables) -> list[Problem]:
    return [
        problem("TB09", place, line, column, order, code=code, order=order)
        for name, columns in dip_schema().columns.orders.items()
        for column in columns
        for place, line, code, order in tables.each(
            name,
            "code" if name != "primary_care" else "principal_dx",
            column,
            where=~pl.col(column).str.contains(INTEGER),
        )
    ]


def _numbers(tables: DipTables) -> list[Problem]:
    problems: list[Problem] = []
    for name, columns in dip_schema().columns.numbers.items():
        for column, form in columns.items():
            wrong = (pl.col(column) != "") & ~_of_form(pl.col(column), form)
            problems += [
                problem("DP07", place, line, column, text, code=code, column=column, value=text, form=_in_words(form))
                for place, line, code, text in tables.each(name, "code", column, where=wrong)
            ]
    return problems


def _of_form(text: pl.Expr, form: NumberForm) -> pl.Expr:
    decimals = rf"(\.[0-9]{{1,{form.decimals}}})?" if form.decimals else ""
    fits = text.str.contains(rf"^[0-9]{{1,{form.digits}}}{decimals}$")
    return fits if form.zero else fits & text.str.contains("[1-9]")


def _in_words(form: NumberForm) -> str:
    least = "不小于 0" if form.zero else "大于 0"
    if not form.decimals:
        return f"{least}、至多 {form.digits} 位的整数"
    return f"{least}、整数至多 {form.digits} 位、小数至多 {form.decimals} 位的数"


def _modes(tables: DipTables) -> list[Problem]:
    problems: list[Problem] = []
    for place, line, code, mode, px, related in tables.each("core", "code", "px_mode", "px", "related_px"):
        if mode in _MODES_WITH_PX and not px:
            found = [("px", px, "要写手术操作 px")]
        elif mode in {"any", "none"} and px:
            found = [("px", px, f"手术操作 px 应留空，现为 {px}")]
        else:
            found = []
        if related and mode != "principal":
            found.append(("related_px", related, "相关手术操作 related_px 应留空（只用于 principal）"))
        problems += [
            problem("DP04", place, line, column, value, code=code, mode=mode, reason=reason)
            for column, value, reason in found
        ]
    return problems


def _admitting_diagnoses(tables: DipTables) -> list[Problem]:
    problems: list[Problem] = []
    for place, line, code, rule, items in tables.each("excluded_px", "code", "rule", "principal_dx"):
        if (rule == "with_principal") != bool(items):
            reason = "要写允许的主要诊断" if not items else "主要诊断应留空（只用于 with_principal）"
            problems.append(problem("DP13", place, line, "principal_dx", items, code=code, rule=rule, reason=reason))
    return problems
