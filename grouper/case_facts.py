"""What an explanation says of the record itself: its codes with official spelling, name and what they did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from grouper.scheme_tables import code_names
from grouper.trace_model import CaseFacts, CodeFact, CodeKind, NumberFact, Use
from grouper.trace_rules import PlacedCode
from reference_tables.codes import fold

ROLES: Mapping[CodeKind, tuple[str, str]] = {"dx": ("ZYZD", "QTZD"), "px": ("ZYSS", "QTSS")}
Uses = Mapping[tuple[CodeKind, int], Sequence[Use]]  # by kind and place in the case's list
Described = tuple[str, bool, bool]  # official spelling, known to book or scheme, grey
Describe = Callable[[CodeKind, PlacedCode], Described]


def placed_codes(codes: Iterable[str | None] | None, compared: Callable[[str], str] = fold) -> tuple[PlacedCode, ...]:
    """The codes of a list with their places and the spelling under which they are compared; blanks are left out."""
    found = (PlacedCode(place, code, compared(code)) for place, code in enumerate(codes or ()) if code)
    return tuple(item for item in found if item.folded)


def known_number(value: Any) -> int | float | None:
    """A number of a record; nan is unknown."""
    return None if value is None or value != value else value  # noqa: PLR0124 - a number unequal to itself is nan


def case_facts(
    record: Mapping[str, Any],
    columns: Mapping[str, str],
    codes: Mapping[CodeKind, Sequence[PlacedCode]],
    uses: Uses,
    describe: Describe,
) -> CaseFacts:
    """The facts of a record in canonical columns; `columns`: field of the rule language -> canonical column."""
    return CaseFacts(
        row=record.get("row"),
        case_id=record.get("case_id"),
        defect=record.get("defect"),
        numbers=tuple(NumberFact(field, name, known_number(record.get(name))) for field, name in columns.items()),
        discharge_way=record.get("discharge_way") or "",
        department=record.get("department") or "",
        diagnoses=_code_facts("dx", codes["dx"], uses, describe),
        procedures=_code_facts("px", codes["px"], uses, describe),
    )


def _code_facts(kind: CodeKind, items: Sequence[PlacedCode], uses: Uses, describe: Describe) -> tuple[CodeFact, ...]:
    names = code_names()[kind]
    seen: set[str] = set()
    facts: list[CodeFact] = []
    for item in items:
        official, known, gray = describe(kind, item)
        facts.append(
            CodeFact(
                place=item.place,
                role=ROLES[kind][item.place > 0],
                code=item.code,
                official=official,
                name=names.get(fold(item.folded), ("", ""))[1],
                known=known,
                gray=gray,
                repeated=item.folded in seen,
                uses=tuple(uses.get((kind, item.place), ())),
            )
        )
        seen.add(item.folded)
    return tuple(facts)
