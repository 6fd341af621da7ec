"""Whether the mixed groups (综合病种) of a DIP pack leave no doubt: a scope that fits its level, one row for a case."""

from __future__ import annotations

from reference_tables.dip_cells import CellError, DiagnosisItem, diagnosis_items
from reference_tables.dip_pack import dip_schema
from reference_tables.dip_tables import DipTables, problem
from reference_tables.problems import Problem

_FORM = {
    "subcategory": "亚目，如 A09.0",
    "category": "类目，如 A09 或 A17+",
    "chapter": "类目范围，如 A00-B99",
}
_LENGTH = {"subcategory": 4, "category": 3, "chapter": 3}


def check_mixed(tables: DipTables) -> list[Problem]:
    """DP10 a scope that does not fit its level, DP11 two rows of the same scope, level and nature, DP12 two
    chapters of one nature that overlap."""
    problems: list[Problem] = []
    first: dict[tuple[str, str, str], tuple[str, int]] = {}
    chapters: dict[str, list[tuple[DiagnosisItem, str, str, int]]] = {}
    columns = ("code", "level", "scope", "nature")
    for place, line, code, level, scope, nature in tables.each("mixed", *columns):
        items = _items(scope)
        if not items or level not in dip_schema().words["mixed_level"]:
            continue
        item = items[0]
        if len(items) > 1 or not _fits(item, level):
            args = {"code": code, "scope": scope, "level": level, "form": _FORM[level]}
            problems.append(problem("DP10", place, line, "scope", scope, **args))
            continue
        key = (level, str(item), nature)
        if key in first:
            same, at = first[key]
            args = {"code": code, "scope": scope, "nature": nature, "first": same}
            problems.append(problem("DP11", place, line, "scope", scope, **args, line=at))
        elif level == "chapter":
            chapters.setdefault(nature, []).append((item, code, place, line))
        first.setdefault(key, (code, line))
    for rows in chapters.values():
        problems += _overlaps(rows)
    return problems


def _items(scope: str) -> tuple[DiagnosisItem, ...]:
    """The items of a scope; none when it cannot be read, which is a problem of the cell."""
    try:
        return diagnosis_items(scope)
    except CellError:
        return ()


def _fits(item: DiagnosisItem, level: str) -> bool:
    if item.whole or {len(end.replace(".", "")) for end in (item.low, item.high)} != {_LENGTH[level]}:
        return False
    return not item.mark if level == "chapter" else item.low == item.high


def _overlaps(rows: list[tuple[DiagnosisItem, str, str, int]]) -> list[Problem]:
    """Chapters that begin before an earlier one has ended; in order of their beginning."""
    problems: list[Problem] = []
    ordered = sorted(rows, key=lambda row: (row[0].low, row[3]))
    widest = ordered[0]
    for row in ordered[1:]:
        item, code, place, line = row
        if item.low <= widest[0].high:
            args = {"code": code, "scope": str(item), "first": widest[1], "other": str(widest[0])}
            problems.append(problem("DP12", place, line, "scope", str(item), **args))
        widest = max(widest, row, key=lambda each: each[0].high)
    return problems
