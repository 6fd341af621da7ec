"""A hospital's monthly settlement as one print-ready page: A4, each pool's amounts, cases by kind, corrections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from api.web.statement_page import SIGN, STYLE, WATERMARK


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table under its title; cells are text. `numbers`: places of its columns of figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int]


def settlement_page(
    title: str, head: str, sheets: Sequence[Sheet], proof: Sequence[tuple[str, str]], *, synthetic: bool
) -> str:
    """The page as HTML text; tables without rows are left out."""
    mark = f'<div class="watermark" aria-hidden="true">{WATERMARK}</div>' if synthetic else ""
    level = f"<p class='head'><strong>{WATERMARK}，不得用于实际支付</strong></p>" if synthetic else ""
    tables = "".join(_sheet(sheet) for sheet in sheets if sheet.rows)
    foot = "".join(f"<div>{escape(name)}：{escape(text)}</div>" for name, text in proof)
    return f"""<!DOCTYPE html>
<html lang="zh-CN">
<head>
<meta charset="utf-8">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{mark}
<h1>{escape(title)}</h1>
<p class="head">{escape(head)}</p>
{level}
{tables}
<div class="sign">{SIGN}</div>
<footer>{foot}</footer>
</body>
</html>
"""


def _sheet(sheet: Sheet) -> str:
    head = "".join(_cell("th", at in sheet.numbers, name) for at, name in enumerate(sheet.header))
    rows = "".join(
        "<tr>" + "".join(_cell("td", at in sheet.numbers, cell) for at, cell in enumerate(row)) + "</tr>"
        for row in sheet.rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h2>{escape(sheet.title)}</h2>{table}"


def _cell(tag: str, number: bool, text: str) -> str:
    kind = ' class="number"' if number else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
