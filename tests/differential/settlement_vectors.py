"""Settlement examples: reading the files, and how the values in them are written."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson

from budget.money import decimal_text, exact, to_fen, yuan_text

GOLDEN = Path(__file__).parents[1] / "golden" / "settlement_examples.csv"
FURTHER = "DRGDIP_SETTLEMENT_VECTORS"


@dataclass(frozen=True)
class Example:
    """One worked example. `inputs` and `expected` as in the file: numbers are decimal texts."""

    name: str
    kind: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]


def examples() -> list[Example]:
    """The committed examples, and those of the files named in DRGDIP_SETTLEMENT_VECTORS."""
    files = [GOLDEN, *(Path(name) for name in os.environ.get(FURTHER, "").split(",") if name)]
    found: list[Example] = []
    for file in files:
        with file.open(encoding="utf-8", newline="") as stream:
            found += [
                Example(
                    f"{file.stem}-{row['id']}", row["kind"], orjson.loads(row["inputs"]), orjson.loads(row["expected"])
                )
                for row in csv.DictReader(stream)
            ]
    return found


def fen(text: str | None) -> int:
    """Yuan as fen; absent is 0."""
    return to_fen(text or "0")


def number(text: str | None) -> Fraction:
    """A decimal text; absent is 0."""
    return exact(text or "0")


def yuan(amount: int) -> str:
    """Fen as the files write money."""
    return yuan_text(amount)


def places(value: Fraction, count: int) -> str:
    """A number with so many decimals, half up."""
    return decimal_text(value, count)
