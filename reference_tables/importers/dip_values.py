"""Cells of the official DIP workbook in the cell language of a DIP pack; what cannot be read becomes a Problem.

Codes must look like codes of the insurance edition: a number that once was a code, two codes without a separator, or
a beginning where a whole code belongs is told with its place, never guessed. Patterns are data
(`dip_workbook.toml`).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from reference_tables.codes import fold, load_code_books
from reference_tables.dip_cells import CellError, diagnosis_items, procedure_alternatives
from reference_tables.importers.dip_sheets import DASHES, SheetRow, folded, layout
from reference_tables.problems import Problem

# Where a code begins; the asterisk code after a + belongs to the dagger code before it.
_START = {"diagnosis": r"(?<!\+)(?=[A-Z][0-9]{2}\.)", "procedure": r"(?=[0-9]{2}\.)"}


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(layout()["patterns"][name])


@cache
def _listed(kind: str) -> frozenset[str]:
    """The codes of a code book, folded."""
    books = load_code_books()
    return frozenset((books.diagnosis if kind == "diagnosis" else books.procedure).folded)


def _is_whole(code: str, kind: str) -> bool:
    """A whole code by its looks, or one of the few odd ones that the code book has."""
    return _pattern(kind).fullmatch(code) is not None or fold(code) in _listed(kind)


def code_text(cell: str) -> str:
    """A cell of codes: half-width, without any white space, dashes as hyphens, † as +; letters keep their case."""
    plain = unicodedata.normalize("NFKC", cell.replace("†", "+")).translate(DASHES)
    return re.sub(r"\s+", "", plain)


def diagnosis_cell(row: SheetRow, column: str, problems: list[Problem]) -> str:
    """A list of diagnosis items; "" for an empty cell and for one that cannot be read (told in `problems`)."""
    text = code_text(row.cells.get(column, ""))
    if _spoilt(row, column, text, problems) or not text:
        return ""
    before = len(problems)
    for item in text.split("|"):
        if _is_item(item):
            continue
        glued = _glued(item, "diagnosis")
        if glued:
            problems.append(row.problem("DW04", column, item, mended=glued))
        else:
            expected = "类目（A09）、亚目（A09.0）、范围（A15-A16）或完整的医保版诊断编码，多个用 | 隔开"
            problems.append(row.problem("DW02", column, item, expected=expected))
    return text if len(problems) == before and _readable(row, column, text, problems) else ""


def _is_item(item: str) -> bool:
    ends = item.split("-")
    if len(ends) == 1 and _is_whole(item, "diagnosis"):
        return True
    return len(ends) <= 2 and all(_pattern("beginning").fullmatch(end) for end in ends)


def _readable(row: SheetRow, column: str, text: str, problems: list[Problem]) -> bool:
    """Whether the pack's own reading of the cell takes it too (a range must not run backwards)."""
    try:
        diagnosis_items(text)
    except CellError:
        problems.append(row.problem("DW02", column, text, expected="从小到大的范围，如 A15-A16"))
        return False
    return True


def whole_code(row: SheetRow, kind: str, problems: list[Problem]) -> str:
    """The whole code (`kind` diagnosis or procedure) in the column `code` of an exclusion sheet; "" when there is
    none (told)."""
    text = code_text(row.cells.get("code", ""))
    if _spoilt(row, "code", text, problems):
        return ""
    if not text:
        problems.append(row.problem("DW06", "code", text))
    elif _is_whole(text, kind):
        return text
    elif glued := _glued(text, kind):
        problems.append(row.problem("DW04", "code", text, mended=glued))
    else:
        example = "A09.000 或 A09.000x001" if kind == "diagnosis" else "47.0100 或 39.9500x007"
        problems.append(row.problem("DW02", "code", text, expected=f"一个完整的医保版编码，如 {example}"))
    return ""


def procedure_cell(row: SheetRow, column: str, problems: list[Problem]) -> str:
    """Alternatives of procedures; "" for an empty cell, for words that mean conservative treatment, and for a cell
    that cannot be read (told)."""
    text = code_text(row.cells.get(column, ""))
    if _spoilt(row, column, text, problems) or text in {folded(word) for word in layout()["words"]["conservative"]}:
        return ""
    if not text:
        return ""
    before = len(problems)
    for code in re.split(r"[|+]", text):
        if _is_whole(code, "procedure"):
            continue
        glued = _glued(code, "procedure")
        if glued:
            problems.append(row.problem("DW04", column, code, mended=glued))
        else:
            expected = "完整的医保版手术操作编码，如 47.0100 或 39.9500x007，多个用 | 隔开，须同时有的用 + 相连"
            problems.append(row.problem("DW02", column, code or text, expected=expected))
    if len(problems) > before:
        return ""
    procedure_alternatives(text)
    return text


def _spoilt(row: SheetRow, column: str, text: str, problems: list[Problem]) -> bool:
    """Tell a code that is kept as a number or as an error of a formula."""
    if column in row.errors:
        problems.append(row.problem("DW03", column, row.errors[column]))
        return True
    if column in row.numbers and text:
        problems.append(row.problem("DW05", column, text))
        return True
    return False


def _glued(text: str, kind: str) -> str:
    """Two or more whole codes one right after the other, with | between them; "" for anything else."""
    codes = [code for code in re.split(_START[kind], text) if code]
    return "|".join(codes) if len(codes) > 1 and all(_is_whole(code, kind) for code in codes) else ""


def group_number(row: SheetRow, layer: str, problems: list[Problem]) -> str:
    """The number of a core group, written as 1474 or BX-1474; "" when there is none (told)."""
    text = code_text(row.cells.get("number", ""))
    found = re.fullmatch(rf"(?:{layer}-?)?0*([1-9][0-9]*)(?:\.0+)?", text)
    if found is None:
        problems.append(row.problem("DW07", "number", text, layer=layer))
        return ""
    return found.group(1)


def plain_number(row: SheetRow, problems: list[Problem]) -> str:
    """The number of a primary-care disease; "" when there is none (told)."""
    text = code_text(row.cells.get("number", ""))
    found = re.fullmatch(r"0*([1-9][0-9]*)(?:\.0+)?", text)
    if found is None:
        problems.append(row.problem("DW02", "number", text, expected="序号，1、2、3……"))
        return ""
    return found.group(1)


def range_cell(row: SheetRow, column: str, problems: list[Problem]) -> str:
    """A condition on a whole number, "<29天" as 0-28, "1000-1499克" as 1000-1499; "" when unreadable (told)."""
    text = folded(row.cells.get(column, ""))
    known = layout()["ranges"]
    for label in known["labels"]:
        text = text.replace(folded(label), "")
    for kind in ("below", "at_most", "between", "at_least"):
        found = next((match for pattern in known[kind] if (match := re.fullmatch(pattern, text))), None)
        if found is None:
            continue
        bounds = [int(number) for number in found.groups()]
        if kind == "between" and bounds[0] <= bounds[1]:
            return f"{bounds[0]}-{bounds[1]}"
        if kind == "at_least":
            return f"{bounds[0]}-"
        if kind != "between" and bounds[0] > 0:
            return f"0-{bounds[0] - (kind == 'below')}"
    problems.append(row.problem("DW02", column, row.cells.get(column, ""), expected="如 <29天 或 1000-1499克"))
    return ""
