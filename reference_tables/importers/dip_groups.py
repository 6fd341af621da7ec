"""Rows of the official DIP workbook as tables of a DIP pack: core groups, exclusions, primary-care diseases.

What the sheets say in remarks (any procedure, drug resistance, how an excluded procedure counts) becomes conditions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

import polars as pl

from reference_tables.dip_cells import ANY
from reference_tables.dip_pack import dip_schema
from reference_tables.importers.dip_sheets import SheetRow, SheetRows, folded, layout
from reference_tables.importers.dip_values import (
    code_text,
    diagnosis_cell,
    group_number,
    plain_number,
    procedure_cell,
    range_cell,
    whole_code,
)
from reference_tables.problems import Problem
from reference_tables.table_files import LINE

PLACE = "place"
_LISTS = ("resistant_dx", "excluded_dx", "excluded_px", "primary_care")
_WHOLE_DX = r"[A-Z][0-9]{2}\.[0-9xX][0-9]{2}(?:[xX][0-9]{3})?"

Cells = dict[str, str]


def group_tables(sheets: SheetRows, problems: list[Problem]) -> dict[str, pl.DataFrame]:
    """The tables layer, core, flag, excluded_dx, excluded_px and primary_care, each in its columns with `line` and
    `place`; what cannot be read is told in `problems` (DW02 to DW10) and left out."""
    resistance = _Resistance(sheets.rows["tuberculosis"], problems)
    groups = [row for sheet, rows in sheets.rows.items() if sheet not in _LISTS for row in rows]
    core = _readable(groups, lambda row, told: _core(row, resistance, told), problems)
    annex = [(row, whole_code(row, "diagnosis", problems)) for row in sheets.rows["resistant_dx"]]
    return {
        "layer": pl.DataFrame(layout()["layers"]).with_columns(pl.lit(0, dtype=pl.UInt32).alias(LINE)),
        "core": _frame("core", core),
        "flag": _frame("flag", resistance.rows(annex)),
        "excluded_dx": _listed(sheets, "excluded_dx", _excluded_dx, problems),
        "excluded_px": _listed(sheets, "excluded_px", _excluded_px, problems),
        "primary_care": _listed(sheets, "primary_care", _primary_care, problems),
    }


def _listed(
    sheets: SheetRows, table: str, read: Callable[[SheetRow, list[Problem]], Cells], problems: list[Problem]
) -> pl.DataFrame:
    return _frame(table, _readable(sheets.rows[table], read, problems))


def _readable(
    rows: Iterable[SheetRow], read: Callable[[SheetRow, list[Problem]], Cells], problems: list[Problem]
) -> Iterator[tuple[SheetRow, Cells]]:
    """Rows with their cells; a row with a fault is left out, so that no check speaks of what is missing from it."""
    for row in rows:
        told: list[Problem] = []
        cells = read(row, told)
        problems += told
        if not told:
            yield row, cells


def _frame(table: str, rows: Iterable[tuple[SheetRow, Cells]]) -> pl.DataFrame:
    columns = list(dip_schema().tables[table].columns)
    schema = {**dict.fromkeys(columns, pl.String), LINE: pl.UInt32, PLACE: pl.String}
    cells = [(*(found.get(column, "") for column in columns), row.line, row.place) for row, found in rows]
    return pl.DataFrame(cells, schema=schema, orient="row")


def _core(row: SheetRow, resistance: _Resistance, problems: list[Problem]) -> Cells:
    """One core group: its conditions and its name."""
    entry = layout()["sheets"][row.sheet]
    block = entry["blocks"][row.block]
    layer = entry["layer"]
    number = group_number(row, layer, problems)
    cells: Cells = {"code": f"{layer}-{number}", "layer": layer, "number": number, "px_mode": block["px_mode"]}
    for column in ("other_dx", "any_dx"):
        if column in block["columns"]:
            cells[column] = _needed(row, column, diagnosis_cell, problems)
    for column in ("age_days", "birth_weight_g"):
        if column in block["columns"]:
            cells[column] = _needed(row, column, range_cell, problems)
    cells["principal_dx"] = _principal(row, layer, problems)
    if "px" in block["columns"]:
        cells |= _procedures(row, block["px_mode"], problems)
    if "resistance" in block["columns"]:
        cells["flag"] = resistance.flag(row, problems)
    if "any_dx" in cells:
        _explained(row, problems)
    cells["name"] = _name(row, block["name"], cells)
    return cells


def _needed(
    row: SheetRow, column: str, read: Callable[[SheetRow, str, list[Problem]], str], problems: list[Problem]
) -> str:
    if not row.cells.get(column) and column not in row.errors:
        problems.append(row.problem("DW06", column, ""))
        return ""
    return read(row, column, problems)


def _principal(row: SheetRow, layer: str, problems: list[Problem]) -> str:
    """The principal diagnosis asked for; only rows of the first layer may do without."""
    words = {folded(word) for word in layout()["words"]["any_principal"]}
    if layer != layout()["layers"][0]["code"]:
        return _needed(row, "principal_dx", diagnosis_cell, problems)
    text = code_text(row.cells.get("principal_dx", ""))
    asked = "principal_dx" in row.errors or (text and text not in words)
    return diagnosis_cell(row, "principal_dx", problems) if asked else ANY


def _procedures(row: SheetRow, mode: str, problems: list[Problem]) -> Cells:
    """px_mode, px, related_px: an empty cell means conservative treatment, a remark may lift the principal
    position."""
    before = len(problems)
    px, related = procedure_cell(row, "px", problems), procedure_cell(row, "related_px", problems)
    if len(problems) > before:
        return {"px": px, "related_px": related}
    if not px:
        if related or row.block == "procedure":
            problems.append(row.problem("DW06", "px", ""))
        return {"px_mode": "none"}
    anywhere = re.search(layout()["remarks"]["any_procedure"], folded(row.cells.get("note", "")))
    return {"px_mode": "anywhere" if anywhere else mode, "px": px, "related_px": related}


def _explained(row: SheetRow, problems: list[Problem]) -> None:
    """The remark of a newborn row says that the diagnosis may stand anywhere."""
    note = folded(row.cells.get("note", ""))
    if note and not re.search(layout()["remarks"]["any_diagnosis"], note):
        problems.append(row.problem("DW09", "note", row.cells["note"], expected="诊断中包含……，不限定主要诊断"))


def _name(row: SheetRow, parts: Iterable[str], cells: Mapping[str, str]) -> str:
    """The published name of a group, else the published names of what it asks for, joined; else its code."""
    if row.cells.get("name"):
        return row.cells["name"]
    names: list[str] = []
    for part in parts:
        if part == "resistance_name":
            flag = cells.get("flag", "")
            names.append(layout()["words"]["resistance_names"]["no" if flag.startswith("!") else "yes"])
        else:
            names.append(row.cells.get(part, ""))
    if cells["px_mode"] == "none" and not row.cells.get("px_name"):
        names.append(layout()["words"]["conservative_name"])
    return "，".join(name for name in names if name) or cells["code"]


class _Resistance:
    """The condition on drug resistance: which diagnoses mean it, as the remark beside each row says.

    Remarks that name the annex give one flag (principal in the annex, or one of the codes named among the other
    diagnoses), remarks that only name codes another one. A row without a remark shares that of the last row above
    it with the same principal diagnosis.
    """

    def __init__(self, rows: Iterable[SheetRow], problems: list[Problem]) -> None:
        self.problems = problems
        self.settings = layout()["resistance"]
        self.others: dict[str, dict[str, SheetRow]] = {}
        self._found: dict[int, str] = {}
        last: dict[str, str] = {}
        for row in rows:
            principal = code_text(row.cells.get("principal_dx", ""))
            self._found[row.line] = last[principal] = self._explained(row, last.get(principal))

    def _explained(self, row: SheetRow, above: str | None) -> str:
        note = folded(row.cells.get("resistance_note", ""))
        if not note and above is not None:
            return above
        annex = not note or layout()["remarks"]["annex"] in note
        codes = re.findall(_WHOLE_DX, code_text(row.cells.get("resistance_note", "")))
        if not note:
            codes = list(self.settings["other"])
            self.problems.append(row.problem("DW10", "resistance_note", "", codes="、".join(codes)))
        elif not annex and not codes:
            expected = f"提到附表，或写明编码（如 {self.settings['other'][0]}）"
            self.problems.append(
                row.problem("DW09", "resistance_note", row.cells["resistance_note"], expected=expected)
            )
        flag: str = self.settings["flag"] if annex else self.settings["other_flag"]
        for code in codes:
            self.others.setdefault(flag, {}).setdefault(code, row)
        self.others.setdefault(flag, {})
        return flag

    def flag(self, row: SheetRow, problems: list[Problem]) -> str:
        """The condition of one row: the flag, or ! and the flag."""
        words = {key: {folded(word) for word in layout()["words"][key]} for key in ("yes", "no")}
        text = folded(row.cells.get("resistance", ""))
        if text not in words["yes"] | words["no"]:
            problems.append(row.problem("DW02", "resistance", row.cells.get("resistance", ""), expected="“是”或“否”"))
            return ""
        return ("" if text in words["yes"] else "!") + self._found[row.line]

    def rows(self, annex: Iterable[tuple[SheetRow, str]]) -> list[tuple[SheetRow, Cells]]:
        """The table `flag`: principal diagnoses of the annex, other diagnoses named in remarks."""
        listed: list[tuple[SheetRow, Cells]] = []
        principals = {code: row for row, code in reversed(list(annex)) if code}
        for flag, others in self.others.items():
            if flag == self.settings["flag"]:
                listed += [
                    (row, {"flag": flag, "role": "principal", "item": code})
                    for code, row in sorted(principals.items(), key=lambda item: item[1].line)
                ]
            listed += [(row, {"flag": flag, "role": "other", "item": code}) for code, row in others.items()]
        return listed


def _excluded_dx(row: SheetRow, problems: list[Problem]) -> Cells:
    return {"code": whole_code(row, "diagnosis", problems), "name": row.cells.get("name", "")}


def _excluded_px(row: SheetRow, problems: list[Problem]) -> Cells:
    """An excluded procedure with the rule its remark states."""
    cells = {"code": whole_code(row, "procedure", problems), "name": row.cells.get("name", "")}
    note, remarks = code_text(row.cells.get("note", "")), layout()["remarks"]
    for rule in ("conservative", "not_principal"):
        if re.search(remarks[rule], note):
            return {**cells, "rule": rule}
    found = re.search(remarks["with_principal"], note)
    if found is None:
        known = "按保守治疗入组；不可作为主要手术操作；……作为主要诊断，可作为主要手术操作"
        problems.append(row.problem("DW09", "note", row.cells.get("note", ""), expected=known))
        return cells
    part = SheetRow(
        row.sheet, row.block, row.place, row.line, {"note": found["dx"]}, row.headers, row.numbers, row.errors
    )
    return {**cells, "rule": "with_principal", "principal_dx": diagnosis_cell(part, "note", problems)}


def _primary_care(row: SheetRow, problems: list[Problem]) -> Cells:
    return {
        "number": plain_number(row, problems),
        "principal_dx": _needed(row, "principal_dx", diagnosis_cell, problems),
        "px": procedure_cell(row, "px", problems),
    }
