"""Lines of explaining text with a kind and an indent, so that a terminal can colour them and a page lay them out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class LineKind(StrEnum):
    """What a line is, for colouring: TITLE, SECTION headings; PLAIN facts; MET and FAILED conditions; PASSED a
    fall-through; ANSWER the result; NOTE remarks."""

    TITLE = "TITLE"
    SECTION = "SECTION"
    PLAIN = "PLAIN"
    MET = "MET"
    FAILED = "FAILED"
    PASSED = "PASSED"
    ANSWER = "ANSWER"
    NOTE = "NOTE"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; `indent` in steps of two blanks."""

    kind: LineKind
    indent: int
    text: str

    def __str__(self) -> str:
        return "  " * self.indent + self.text


def text_of(lines: Iterable[Line]) -> str:
    """Lines as one string, each ended by a newline."""
    return "".join(f"{line}\n" for line in lines)
