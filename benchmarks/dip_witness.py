"""A witness case for every core group (核心病种) of a DIP pack, made from the rows of its tables.

    python -m benchmarks.dip_witness --scheme FOLDER|XLSX --folder tests/golden

For each row the codes and numbers it asks for are put together in the order of how plain they are: a book code that is
not grey before a bare beginning of a code, no further code before one that keeps other rows away. Every draft is held
against all rows by the plain reading of the pack (`grouper.dip.reader`), not by the engine. A row that no draft comes
into is listed with the reason: a proof where the tables show one, else how many drafts were tried and what took them.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import polars as pl

from grouper.dip.reader import DipReader, ProcedureStep
from grouper.result import Reason
from reference_tables.codes import load_code_books
from reference_tables.dip_cells import (
    Alternative,
    DiagnosisItem,
    categories_between,
    category_of,
    diagnosis_items,
    procedure_alternatives,
    spelled,
)
from reference_tables.dip_pack import DipPack
from reference_tables.dip_rows import CoreRow, Range
from reference_tables.packs import find_pack

WITNESS_COLUMNS = (
    "case_id", "age_years", "age_days", "newborn_birth_weight_g", "diagnoses", "procedures", "layer", "dip",
)  # fmt: skip
UNREACHABLE_COLUMNS = ("code", "method", "reason")
ADULT_YEARS = 40
NO_CODE = "0"
"""A principal diagnosis that is under no item: the last resort for a row of any principal diagnosis."""
DRAFTS = 20_000
_TAKERS_SHOWN = 5
_CATEGORY = 3


@dataclass(frozen=True)
class DipWitnesses:
    """`reached`: one case a core group, WITNESS_COLUMNS, lists joined by `|`, null = not given; `unreachable`:
    UNREACHABLE_COLUMNS."""

    reached: pl.DataFrame
    unreachable: pl.DataFrame


def make_dip_witnesses(pack: DipPack) -> DipWitnesses:
    """A case for every core group of a pack that some case comes into."""
    drafts = _Drafts(pack)
    reached: list[tuple[str | None, ...]] = []
    unreachable: list[tuple[str, str, str]] = []
    for row in pack.rows:
        found, tried, takers = drafts.first_that_arrives(row)
        if found is not None:
            numbers = (found["age_years"], found["age_days"], found["newborn_birth_weight_g"])
            reached.append(
                (
                    row.code, *(None if number is None else str(number) for number in numbers),
                    "|".join(found["diagnoses"]), "|".join(found["procedures"]) or None, row.layer.code, row.code,
                )
            )  # fmt: skip
        elif proof := drafts.proof(row):
            unreachable.append((row.code, "proof", proof))
        else:
            most = "、".join(f"{code} ({count})" for code, count in takers.most_common(_TAKERS_SHOWN))
            unreachable.append((row.code, "search", f"{tried} cases tried; taken by {most}"))
    return DipWitnesses(
        pl.DataFrame(reached, schema=dict.fromkeys(WITNESS_COLUMNS, pl.String), orient="row"),
        pl.DataFrame(unreachable, schema=dict.fromkeys(UNREACHABLE_COLUMNS, pl.String), orient="row"),
    )


class _Drafts:
    """Drafts of cases for the rows of one pack."""

    def __init__(self, pack: DipPack) -> None:
        self.pack = pack
        self.reader = DipReader(pack)
        book = load_code_books().diagnosis.frame
        self.spelling = {spelled(code): code for code in book["code"]}
        gray = dict(zip(book["code"], book["gray"], strict=True))
        self.of_category: dict[str, list[str]] = {}
        for code in sorted(book["code"], key=lambda code: (gray[code], code)):
            self.of_category.setdefault(category_of(code), []).append(code)
        self.neutral = self._neutral()
        self.flags: dict[str, dict[str, list[DiagnosisItem]]] = {}
        for flag, role, item in pack.table("flag").iter_rows():
            self.flags.setdefault(flag, {}).setdefault(role, []).extend(diagnosis_items(item))
        cells = [items for row in pack.rows for items in (row.other, row.anywhere) if items]
        cells += [tuple(items) for roles in self.flags.values() for items in roles.values()]
        self.cells_of_others = list(dict.fromkeys(cells))
        self._kinds: dict[tuple[DiagnosisItem, ...], list[str]] = {}
        self.flags_of_principal = {flag: tuple(roles.get("principal", ())) for flag, roles in self.flags.items()}
        self.anywhere = list(dict.fromkeys(row.anywhere for row in pack.rows if row.anywhere))
        limited = (one.cell for one in self.reader.excluded_px.values() if one.cell.items)
        self.admitting = list({cell.items: cell for cell in limited}.values())
        self.days = _edges(row.age_days for row in pack.rows)
        self.weights = _edges(row.birth_weight_g for row in pack.rows)

    def _neutral(self) -> str:
        """A procedure of the book that the pack does not name."""
        named = {code for row in self.pack.rows for alternative in (*row.px, *row.related) for code in alternative}
        named |= {spelled(code) for name in ("excluded_px", "nature") for code in self.pack.table(name)["code"]}
        cells = self.pack.table("primary_care")["px"]
        named |= {code for cell in cells for alternative in procedure_alternatives(cell) for code in alternative}
        book = load_code_books().procedure.frame
        return next(str(code) for code in book["code"] if spelled(code) not in named)

    def first_that_arrives(self, row: CoreRow) -> tuple[dict[str, Any] | None, int, Counter[str]]:
        """The first draft that comes into the row, how many were tried, and what took the others."""
        takers: Counter[str] = Counter()
        tried = 0
        for draft in islice(self._drafts(row), DRAFTS):
            tried += 1
            taker = self._taker(draft)
            if taker == row.code:
                return draft, tried, takers
            takers[taker] += 1
        return None, tried, takers

    def _taker(self, draft: dict[str, Any]) -> str:
        """The core group that a case comes into, or why it comes into none."""
        case = self.reader.read(draft)
        refused = self.reader.refused(case)
        if refused is not Reason.NONE:
            return refused.value
        for fits in self.reader.fits(case).values():
            if fits:
                return str(fits[0].lacking.value or fits[0].row.row.code)
        return Reason.NO_DIP_GROUP.value

    def _drafts(self, row: CoreRow) -> Iterator[dict[str, Any]]:
        for principal in self._principals(row):
            plain = product(self._procedures(row), self._others(row, principal), self._numbers(row))
            for procedures, others, (years, days, weight) in plain:
                yield {
                    "diagnoses": [principal, *others],
                    "procedures": procedures,
                    "age_years": years,
                    "age_days": days,
                    "newborn_birth_weight_g": weight,
                }

    # --- diagnoses ---

    def _principals(self, row: CoreRow) -> Iterator[str]:
        """Codes that may be principal, one of each kind that the rows of the pack tell apart."""
        seen = set()
        for code in self._principal_codes(row):
            kind = self._kind(spelled(code))
            if kind not in seen:
                seen.add(kind)
                yield code

    def _principal_codes(self, row: CoreRow) -> Iterator[str]:
        """Codes that the row takes as principal: those that its flag or its procedures ask for, then all."""
        wanted = list(self.flags.get(row.flag, {}).get("principal", ())) if row.flag_wanted else []
        limited = (self.reader.excluded_px.get(code) for codes in row.px for code in codes)
        wanted += [item for one in limited if one is not None for item in one.cell.items]
        yield from (code for item in wanted for code in self._codes_under(item) if _takes(row, code))
        if row.principal is None:
            yield from (codes[0] for codes in self.of_category.values())
            yield from (code for codes in self.of_category.values() for code in codes[1:])
            yield NO_CODE
            return
        ways = [self._codes_under(item) for item in row.principal]
        for book in (True, False):
            yield from (code for codes in ways for code in codes if (spelled(code) in self.spelling) is book)

    def _codes_under(self, item: DiagnosisItem) -> list[str]:
        """Book codes under an item, those that are not grey first, then its beginnings as codes of their own."""
        if item.whole:
            return [self.spelling.get(item.low, item.low.replace("X", "x"))]
        categories = list(categories_between(item.low, item.high))
        codes = [code for category in categories for code in self.of_category.get(category, ())]
        fourth = [f"{item.low}.{digit}" for digit in range(10) if len(item.low) == len(item.high) == _CATEGORY]
        starts = [
            item.low + item.mark,
            *(start + item.mark for start in fourth),
            *(category + item.mark for category in categories),
            item.high + item.mark,
        ]
        return [code for code in (*codes, *dict.fromkeys(starts)) if item.matches(spelled(code))]

    def _kind(self, principal: str) -> tuple[object, ...]:
        """What the pack tells of a principal diagnosis: two of the same kind fare alike."""
        tried = ((row.row.code, row.principal) for row in self.reader.tried(principal))
        lengths = ((code, cell.cell.length(principal)) for code, cell in tried if cell is not None)
        flags = (flag for flag, items in self.flags_of_principal.items() if _under(items, principal))
        anywhere = (items for items in self.anywhere if _under(items, principal))
        return (
            tuple(pair for pair in lengths if pair[1] >= 0),
            tuple(flags),
            tuple(anywhere),
            tuple(cell.length(principal) >= 0 for cell in self.admitting),
            principal in self.reader.excluded_dx,
        )

    def _others(self, row: CoreRow, principal: str) -> list[list[str]]:
        """Lists of other diagnoses that meet what the row asks of them, the shortest first; at the end with a code
        that makes a condition of other rows fail which asks for the absence of a flag."""
        asked = [row.other] if row.other else []
        if row.anywhere and not _under(row.anywhere, spelled(principal)):
            asked.append(row.anywhere)
        roles = self.flags.get(row.flag, {})
        if row.flag and row.flag_wanted and not any(
            item.matches(spelled(principal)) for item in roles.get("principal", ())
        ):  # fmt: skip
            asked.append(tuple(roles.get("other", ())))
        lists = [list(dict.fromkeys(codes)) for codes in product(*map(self._kinds_under, asked))]
        spare = [
            self._codes_under(role["other"][0])[:1]
            for flag, role in self.flags.items()
            if flag != row.flag and role.get("other")
        ]
        return [*lists, *(codes + extra for codes in lists for extra in spare)]

    def _kinds_under(self, items: tuple[DiagnosisItem, ...]) -> list[str]:
        """Codes under some of the items, one of each kind that conditions on other diagnoses tell apart."""
        if items not in self._kinds:
            found: dict[tuple[bool, ...], str] = {}
            for code in (code for item in items for code in self._codes_under(item)):
                cells = tuple(_under(cell, spelled(code)) for cell in self.cells_of_others)
                found.setdefault(cells, code)
            self._kinds[items] = list(found.values())
        return self._kinds[items]

    # --- procedures and numbers ---

    def _procedures(self, row: CoreRow) -> list[list[str]]:
        """Lists of procedures that meet what the row asks, the plainest first."""
        if row.px_mode == "none":
            return [[]]
        if row.px_mode == "any":
            return [[], [self.neutral]]
        made = [
            [first, *(code for code in codes if code != first), *_beside(codes, first, related)]
            for codes, related in product(row.px, row.related or ((),))
            for first in codes
        ]
        extended = [[*codes, self.neutral] for codes in made] if row.px_mode != "exact" else []
        led = [[self.neutral, *codes] for codes in made] if row.px_mode == "anywhere" else []
        return [[code.replace("X", "x") for code in codes] for codes in (*made, *extended, *led)]

    def _numbers(self, row: CoreRow) -> list[tuple[int | None, int | None, int | None]]:
        """(age in years, age in days, birth weight): an adult where the row does not ask the age; else numbers of its
        ranges, also at and beside the ends of other rows' ranges."""
        ages: list[tuple[int, int | None]] = [(ADULT_YEARS, None)]
        if row.age_days is not None:
            ages = [(days // 365, days) for days in _inside(row.age_days, self.days)]
        weights: list[int | None] = [None, *self.weights]
        if row.birth_weight_g is not None:
            weights = list(_inside(row.birth_weight_g, self.weights))
        return [(years, days, weight) for years, days in ages for weight in weights]

    # --- why none ---

    def proof(self, row: CoreRow) -> str:
        """Why no case at all comes into the row, if its own cells and the exclusions show it; "" if they do not."""
        if row.principal is not None and all(
            item.whole and item.low in self.reader.excluded_dx for item in row.principal
        ):
            return "every principal diagnosis of the row is excluded as principal diagnosis"
        if row.px_mode not in {"principal", "exact"}:
            return ""
        able = [codes for codes in row.px if any(self._may_be_principal(code, row) for code in codes)]
        if not able:
            return "no procedure of the row may be the principal procedure with its principal diagnoses"
        if row.px_mode == "exact" and all(self.reader.conservative & set(codes) for codes in able):
            return "every combination of the row holds a procedure that counts as conservative treatment"
        return ""

    def _may_be_principal(self, code: str, row: CoreRow) -> bool:
        if code not in self.reader.excluded_px:
            return True
        principals = self._principal_codes(row)
        steps = (self.reader.procedure_step(code, spelled(principal)) for principal in principals)
        return any(step is ProcedureStep.EFFECTIVE for step in steps)


def _takes(row: CoreRow, code: str) -> bool:
    return row.principal is None or _under(row.principal, spelled(code))


def _beside(codes: Alternative, first: str, related: Alternative) -> Sequence[str]:
    """The related codes that are not there yet as other procedures; the principal one once more if it is asked too."""
    there = {code for code in codes if code != first}
    return [code for code in related if code not in there]


def _under(items: Iterable[DiagnosisItem], code: str) -> bool:
    return any(item.matches(code) for item in items)


def _edges(spans: Iterable[Range | None]) -> list[int]:
    """The ends of all ranges and the numbers beside them."""
    ends = {end for span in spans if span is not None for end in span if end is not None}
    return sorted({end + step for end in ends for step in (-1, 0, 1) if end + step >= 0})


def _inside(span: Range, numbers: Iterable[int]) -> list[int]:
    """Those of the numbers that are in a range, and a number of the range in any case."""
    low, high = span
    found = [number for number in numbers if (low or 0) <= number and (high is None or number <= high)]
    return found or [low or 0]


def main() -> None:
    """Write the two tables of one scheme."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    pack = find_pack(given.scheme)
    if not isinstance(pack, DipPack):
        raise SystemExit(f"{given.scheme} is a DRG scheme: python -m benchmarks.witness")
    made = make_dip_witnesses(pack)
    made.reached.write_csv(given.folder / f"witness-{pack.id}.csv")
    made.unreachable.write_csv(given.folder / f"unreachable-{pack.id}.csv")
    print(f"{pack.id}: {made.reached.height} core groups witnessed, {made.unreachable.height} unreachable")


if __name__ == "__main__":
    main()
