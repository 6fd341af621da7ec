"""A DIP pack folder and the code books as plain rows: the oracle's own reading of every cell.

Written apart from the engine on purpose, with the standard library alone: what both shared, a comparison
could not test.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CODES = Path(__file__).resolve().parents[2] / "reference_tables" / "codes"
CATEGORY = re.compile(r"[A-Z][0-9][0-9]")
BEGINNING = re.compile(r"([A-Z][0-9][0-9](?:\.[0-9A-Z])?)([+*]?)")
NATURE_OF_CATEGORY = {"诊断性操作": 2, "治疗性操作": 3, "手术": 4, "介入治疗": 4, "手术|治疗性操作": 4}
WHOLE_CODE = 9

Span = tuple[int | None, int | None]


def spelled(code: str | None) -> str:
    """A code as it is compared: capital letters, no blanks around it; "" for no code."""
    return (code or "").strip().upper()


@dataclass(frozen=True)
class Item:
    """One item of a diagnosis cell: a beginning of a code (`first` = `last`), a range of them, or a whole code."""

    first: str
    last: str
    mark: str
    whole: bool

    def holds(self, code: str) -> bool:
        """Does this code (as `spelled`) fall under the item? What does not begin like a code falls under none."""
        if self.whole:
            return code == self.first
        if code[: len(self.first)] < self.first or code[: len(self.last)] > self.last:
            return False
        if self.mark == "+" and "+" not in code:
            return False
        if self.mark == "*" and not code.split("+", maxsplit=1)[0].endswith("*"):
            return False
        return CATEGORY.match(code) is not None

    @property
    def narrowness(self) -> int:
        """3 for a category, 4 for a subcategory, the shorter end for a range, 9 for a whole code."""
        return WHOLE_CODE if self.whole else min(len(end.replace(".", "")) for end in (self.first, self.last))


def items_of(cell: str) -> tuple[Item, ...]:
    """A diagnosis cell: items between bars; none for an empty cell and for `*`."""
    return tuple(map(_item, cell.split("|"))) if cell not in ("", "*") else ()


def _item(text: str) -> Item:
    text = spelled(text)
    if "-" in text:
        first, last = text.split("-")
        return Item(first, last, "", whole=False)
    found = BEGINNING.fullmatch(text)
    return Item(text, text, "", whole=True) if found is None else Item(found[1], found[1], found[2], whole=False)


def alternatives_of(cell: str) -> tuple[frozenset[str], ...]:
    """A procedure cell: alternatives between bars, each the codes between plus signs."""
    return tuple(frozenset(map(spelled, text.split("+"))) for text in cell.split("|")) if cell else ()


def span_of(cell: str) -> Span | None:
    """A range cell: low and high, both counting; None for an open end; no range for an empty cell."""
    if not cell:
        return None
    low, high = cell.split("-")
    return int(low) if low else None, int(high) if high else None


@dataclass(frozen=True)
class CoreRow:
    """One row of core.csv as written, its cells read. `principal` None: any principal diagnosis."""

    code: str
    name: str
    number: int
    principal: tuple[Item, ...] | None
    other: tuple[Item, ...]
    anywhere: tuple[Item, ...]
    flag: str
    age_days: Span | None
    birth_weight_g: Span | None
    px_mode: str
    px: tuple[frozenset[str], ...]
    related: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Layer:
    """One row of layer.csv with its core rows in the order of their numbers, then of the file."""

    code: str
    order: int
    precedence: str
    rows: tuple[CoreRow, ...]


@dataclass(frozen=True)
class MixedRow:
    """One row of mixed.csv."""

    code: str
    name: str
    level: str
    scope: tuple[Item, ...]
    nature: int


def read_rows(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of NAME.csv with the outer blanks of cells removed; none when the file is not there."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{column: (cell or "").strip() for column, cell in row.items()} for row in csv.DictReader(file)]


def read_layers(folder: Path) -> list[Layer]:
    """The layers in the order they are tried."""
    rows = [(row["layer"], _core_row(row)) for row in read_rows(folder, "core")]
    layers = [
        Layer(
            row["code"],
            int(row["order"]),
            row["precedence"],
            tuple(sorted((core for layer, core in rows if layer == row["code"]), key=lambda core: core.number)),
        )
        for row in read_rows(folder, "layer")
    ]
    return sorted(layers, key=lambda layer: layer.order)


def _core_row(row: dict[str, str]) -> CoreRow:
    return CoreRow(
        code=row["code"],
        name=row["name"],
        number=int(row["number"]),
        principal=None if row["principal_dx"] == "*" else items_of(row["principal_dx"]),
        other=items_of(row["other_dx"]),
        anywhere=items_of(row["any_dx"]),
        flag=row["flag"],
        age_days=span_of(row["age_days"]),
        birth_weight_g=span_of(row["birth_weight_g"]),
        px_mode=row["px_mode"],
        px=alternatives_of(row["px"]),
        related=alternatives_of(row["related_px"]),
    )


def read_mixed(folder: Path) -> list[MixedRow]:
    """The mixed groups in the order of the file."""
    return [
        MixedRow(row["code"], row["name"], row["level"], items_of(row["scope"]), int(row["nature"]))
        for row in read_rows(folder, "mixed")
    ]


@dataclass(frozen=True)
class Book:
    """A code book by compared spelling: how the book spells a code, its category, and the grey ones."""

    spelling: dict[str, str]
    category: dict[str, str]
    gray: frozenset[str]


@cache
def read_book(name: str) -> Book:
    """The book `diagnosis` or `procedure` with the amendments that its sources declare."""
    declared = tomllib.loads((CODES / "sources.toml").read_text(encoding="utf-8"))
    added: Iterable[dict[str, str]] = [row for row in declared.get("amendments", ()) if row["table"] == name]
    rows = [*read_rows(CODES, name), *added]
    return Book(
        spelling={spelled(row["code"]): row["code"] for row in rows},
        category={spelled(row["code"]): row.get("category", "") for row in rows},
        gray=frozenset(spelled(row["code"]) for row in rows if row["gray"] == "1"),
    )
