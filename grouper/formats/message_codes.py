"""Diagnoses and procedures of a settlement list in the order that grouping wants: the principal first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from grouper.formats.message_fields import DISEINFO, OPRNINFO, Message, Row, text_of
from reference_tables.case_formats import format_facts

NO_PRINCIPAL, TWO_PRINCIPALS, TWO_PROCEDURES = "IN26", "IN27", "IN28"


@dataclass(frozen=True, slots=True)
class Ordered:
    """Rows of a code list: `rows[0]` is the principal, None when there is none; `code` names what is wrong.

    `flagged` are the codes that claim to be the principal.
    """

    rows: tuple[Row | None, ...]
    code: str = ""
    flagged: tuple[str, ...] = ()


def diagnoses(message: Message) -> Ordered:
    """The western diagnoses. Two value sets of diag_type are in use, see `case_formats.toml`.

    More than one flagged principal cannot be decided here: the record is then unfit. None flagged leaves
    the principal's place empty.
    """
    facts = format_facts().settlement
    western = [row for row in message.nodes.get(DISEINFO, ()) if _is_western(row)]
    flagged = [row for row in western if (text_of(row.get("maindiag_flag")) or "") in facts.flag_yes]
    wrong = TWO_PRINCIPALS if len(flagged) > 1 else NO_PRINCIPAL if western and not flagged else ""
    return _ordered(western, flagged, "diag_code", wrong)


def procedures(message: Message) -> Ordered:
    """The procedures; at most one is of the type principal."""
    facts = format_facts().settlement
    rows = message.nodes.get(OPRNINFO, [])
    flagged = [row for row in rows if (text_of(row.get("oprn_oprt_type")) or "") in facts.principal_procedure]
    return _ordered(rows, flagged, "oprn_oprt_code", TWO_PROCEDURES if len(flagged) > 1 else "")


def _ordered(rows: list[Row], flagged: list[Row], code: str, wrong: str) -> Ordered:
    principal = flagged[0] if len(flagged) == 1 else None
    others = [row for row in rows if row is not principal]
    claimed = tuple(text_of(row.get(code)) or "" for row in flagged)
    return Ordered((principal, *others) if rows else (), wrong, claimed)


def _is_western(row: Row) -> bool:
    """By diag_type where it says so in both value sets, else by the shape of the code."""
    facts = format_facts().settlement
    kind = text_of(row.get("diag_type")) or ""
    if kind in facts.western_types:
        return True
    if kind in facts.chinese_types:
        return False
    code = text_of(row.get("diag_code")) or ""
    return re.fullmatch(facts.chinese_code, code) is None
