"""The DIP oracle: groups one case at a time by trying every row in order, with only the standard library.

It is the reference the engine is compared with, and the baseline of the benchmarks. It must never import the
engine or the pack loader: what both share, the comparison cannot test.

How it reads what could be read in two ways:

- The rows of one layer stand by number, equal numbers in the order of the file.
- Among rows that lack a number, the one of the highest precedence gives the reason; one that lacks its age and its
  birth weight gives the age.
- A diagnosis that only the auxiliary catalog names is in no group's table: as principal diagnosis it is unknown.
- Used codes stand in the order of the record, each once, as the book spells them; a code that no book has in capital
  letters with a small x.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import NamedTuple

from tests.oracle.dip_auxiliary import DipAuxiliary
from tests.oracle.dip_case import DipCase, Facts
from tests.oracle.dip_tables import (
    NATURE_OF_CATEGORY,
    CoreRow,
    Item,
    Layer,
    MixedRow,
    alternatives_of,
    items_of,
    read_book,
    read_layers,
    read_mixed,
    read_rows,
    spelled,
)

FOUR_PLACES = Decimal("0.0001")
MIXED_LEVELS = ("subcategory", "category", "chapter")
NO_NATURE = 1
HIGHEST_WEIGHT_G = 9999  # four digits in the settlement list
FIRST_YEAR_DAYS = 365


class DipAnswer(NamedTuple):
    """The result columns of one case."""

    status: str
    reason: str = ""
    kind: str = ""
    layer: str = ""
    dip: str = ""
    name: str = ""
    base_score: Decimal | None = None
    auxiliary: str = ""
    factor: Decimal | None = None
    score: Decimal | None = None
    primary_care: bool = False
    rows_fit: int = 0
    used_codes: str = ""


@dataclass(frozen=True)
class Fit:
    """A row whose conditions hold, or would if a number were known (`lacking`: the reasons, the age first)."""

    row: CoreRow
    place: int
    width: int
    procedures_asked: int
    lacking: tuple[str, ...]


class DipOracle:
    """A DIP scheme read from a pack folder, asked for one case at a time."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.layers = read_layers(folder)
        self.mixed: dict[tuple[str, int], list[MixedRow]] = {}
        for mixed in read_mixed(folder):
            self.mixed.setdefault((mixed.level, mixed.nature), []).append(mixed)
        self.diagnosis_book, self.procedure_book = read_book("diagnosis"), read_book("procedure")
        self.meta = {row["key"]: row["value"] for row in read_rows(folder, "meta")}
        self.excluded_dx = frozenset(spelled(row["code"]) for row in read_rows(folder, "excluded_dx"))
        self.excluded_px: dict[str, tuple[str, tuple[Item, ...]]] = {}
        for row in read_rows(folder, "excluded_px"):
            # The published lists repeat some codes: the first row of a code counts.
            self.excluded_px.setdefault(spelled(row["code"]), (row["rule"], items_of(row["principal_dx"])))
        self.flags: dict[str, list[tuple[str, Item]]] = {}
        for row in read_rows(folder, "flag"):
            self.flags.setdefault(row["flag"], []).extend((row["role"], item) for item in items_of(row["item"]))
        self.natures = {spelled(row["code"]): int(row["nature"]) for row in read_rows(folder, "nature")}
        self.scores = {row["code"]: Decimal(row["score"]) for row in read_rows(folder, "score")}
        self.primary_care = [
            (None if row["principal_dx"] == "*" else items_of(row["principal_dx"]), alternatives_of(row["px"]))
            for row in read_rows(folder, "primary_care")
        ]
        self.auxiliary = DipAuxiliary(folder)
        self.pack_codes = frozenset(item.first for item in self._items() if item.whole)

    def _items(self) -> Iterable[Item]:
        for layer in self.layers:
            for row in layer.rows:
                yield from (*(row.principal or ()), *row.other, *row.anywhere)
        for listed in self.mixed.values():
            yield from (item for mixed in listed for item in mixed.scope)
        for flag in self.flags.values():
            yield from (item for _, item in flag)
        for items, _ in self.primary_care:
            yield from items or ()
        for _, items in self.excluded_px.values():
            yield from items

    # --- one case ---

    def group(self, case: DipCase) -> DipAnswer:
        """The answer for one case: points 0 to 9 of the grouping, one after the other."""
        if case.defect:
            return DipAnswer("INVALID", case.defect)
        facts = self.facts_of(case)
        if not facts.principal:
            return DipAnswer("UNGROUPED", "PRINCIPAL_MISSING")
        if facts.principal in self.excluded_dx:
            return DipAnswer("UNGROUPED", "PRINCIPAL_BLOCKED")
        for layer in self.layers:
            fits = self.fits(layer, facts)
            if not fits:
                continue
            best = min(fits, key=lambda fit: _rank(layer, fit))
            if best.lacking:
                # It would come before every other row, and whether it fits cannot be known.
                return DipAnswer("INVALID", best.lacking[0])
            return self._core_answer(facts, layer, best, sum(not fit.lacking for fit in fits))
        mixed = self.mixed_row(facts)
        if mixed is not None:
            used = [facts.principal] + [facts.effective] * (mixed.nature != NO_NATURE and facts.effective != "")
            return self._scored(facts, "mixed", mixed.level, mixed.code, mixed.name, 0, used)
        return DipAnswer("UNGROUPED", self._why_no_group(facts.principal))

    def _why_no_group(self, principal: str) -> str:
        if principal not in self.diagnosis_book.spelling and principal not in self.pack_codes:
            return "PRINCIPAL_UNKNOWN"
        return "PRINCIPAL_GRAY" if principal in self.diagnosis_book.gray else "NO_DIP_GROUP"

    def facts_of(self, case: DipCase) -> Facts:
        """The codes as compared, which procedure counts as the principal one, and the numbers that can be true."""
        case = credible(case)
        diagnoses = tuple(spelled(code) for code in case.diagnoses or ())
        procedures = tuple(spelled(code) for code in case.procedures or ())
        principal_px = self._effective_place(diagnoses[0] if diagnoses else "", procedures)
        kept = {code for code in procedures if code and self._px_rule(code) != "conservative"}
        return Facts(
            case=case,
            diagnoses=diagnoses,
            procedures=procedures,
            principal_px=principal_px,
            exact=frozenset() if principal_px is None else frozenset(kept),
            flags=frozenset(flag for flag in self.flags if self._has_flag(flag, diagnoses)),
        )

    def _px_rule(self, code: str) -> str:
        return self.excluded_px[code][0] if code in self.excluded_px else ""

    def _effective_place(self, principal: str, procedures: Sequence[str]) -> int | None:
        """Point 3: the procedures in their order, until one may stand as principal procedure."""
        for place, code in enumerate(procedures):
            if not code:
                continue
            rule = self._px_rule(code)
            if rule == "not_principal":
                continue
            if rule == "with_principal" and not _some_item(self.excluded_px[code][1], principal):
                continue
            if rule == "conservative":
                if self.meta.get("conservative", "case") == "skip":
                    continue
                return None
            return place
        return None

    def _has_flag(self, flag: str, diagnoses: Sequence[str]) -> bool:
        principal, others = diagnoses[:1], diagnoses[1:]
        return any(
            item.holds(code)
            for role, item in self.flags[flag]
            for code in (principal if role == "principal" else others)
        )

    # --- core rows ---

    def fits(self, layer: Layer, facts: Facts) -> list[Fit]:
        """Every row of the layer that fits, or would fit but for an unknown number, in the order of the rows."""
        found = (self._fit(place, row, facts) for place, row in enumerate(layer.rows))
        return [fit for fit in found if fit is not None]

    def _fit(self, place: int, row: CoreRow, facts: Facts) -> Fit | None:
        width = 0
        if row.principal is not None:
            widths = [item.narrowness for item in row.principal if item.holds(facts.principal)]
            if not widths:
                return None
            width = max(widths)
        px = [alternative for alternative in row.px if _holds_px(row.px_mode, alternative, facts)]
        if row.px_mode == "none" and facts.effective:
            return None
        if row.px_mode not in ("any", "none") and not px:
            return None
        related = [alternative for alternative in row.related if alternative <= facts.others]
        if row.related and not related:
            return None
        if row.other and not any(_some_item(row.other, code) for code in facts.diagnoses[1:]):
            return None
        if row.anywhere and not any(_some_item(row.anywhere, code) for code in facts.diagnoses):
            return None
        if row.flag and (row.flag.removeprefix("!") in facts.flags) == row.flag.startswith("!"):
            return None
        age, weight = _age_in_days(row, facts.case), _birth_weight(row, facts.case)
        if age == "no" or weight == "no":
            return None
        asked = max(map(len, px), default=0) + max(map(len, related), default=0)
        return Fit(row, place, width, asked, tuple(text for text in (age, weight) if text != "yes"))

    def _core_answer(self, facts: Facts, layer: Layer, fit: Fit, rows_fit: int) -> DipAnswer:
        row = fit.row
        return self._scored(facts, "core", layer.code, row.code, row.name, rows_fit, self._used(row, facts))

    def _used(self, row: CoreRow, facts: Facts) -> list[str]:
        """The principal diagnosis, the other diagnoses and the procedures that met a condition of the row."""
        flag_items = [item for role, item in self.flags.get(row.flag, ()) if role == "other"]
        asked = (*row.other, *row.anywhere, *flag_items)
        others = [code for code in facts.diagnoses[1:] if _some_item(asked, code)]
        met = [alternative for alternative in row.px if _holds_px(row.px_mode, alternative, facts)]
        met += [alternative for alternative in row.related if alternative <= facts.others]
        procedures = [code for code in facts.procedures if any(code in alternative for alternative in met)]
        return [facts.principal, *others, *procedures]

    # --- mixed groups, score, marks ---

    def nature_of(self, procedure: str) -> int:
        """Nature 1 to 4 of the effective principal procedure; 1 without one."""
        if not procedure:
            return NO_NATURE
        if procedure in self.natures:
            return self.natures[procedure]
        unknown = int(self.meta.get("unknown_nature", "1"))
        return NATURE_OF_CATEGORY.get(self.procedure_book.category.get(procedure, ""), unknown)

    def mixed_row(self, facts: Facts) -> MixedRow | None:
        """Point 5: subcategory before category before chapter; a dagger or asterisk scope before a plain one."""
        nature = self.nature_of(facts.effective)
        for level in MIXED_LEVELS:
            plain: MixedRow | None = None
            for row in self.mixed.get((level, nature), ()):
                holding = [item for item in row.scope if item.holds(facts.principal)]
                if any(item.mark for item in holding):
                    return row
                if holding and plain is None:
                    plain = row
            if plain is not None:
                return plain
        return None

    def _scored(
        self, facts: Facts, kind: str, layer: str, code: str, name: str, rows_fit: int, used: Iterable[str]
    ) -> DipAnswer:
        base = self.scores.get(code)
        auxiliary, factor = "", Decimal(1)
        if kind == "core":
            auxiliary, factor = self.auxiliary.of(facts.case, facts.diagnoses, facts.procedures, code)
        return DipAnswer(
            status="GROUPED",
            kind=kind,
            layer=layer,
            dip=code,
            name=name,
            base_score=base,
            auxiliary=auxiliary,
            factor=factor,
            score=None if base is None else (base * factor).quantize(FOUR_PLACES, ROUND_HALF_UP),
            primary_care=any(self._is_primary_care(items, px, facts) for items, px in self.primary_care),
            rows_fit=rows_fit,
            used_codes="|".join(dict.fromkeys(self._as_in_book(code) for code in used)),
        )

    def _is_primary_care(self, items: tuple[Item, ...] | None, px: tuple[frozenset[str], ...], facts: Facts) -> bool:
        if items is not None and not _some_item(items, facts.principal):
            return False
        if not px:
            return not facts.effective
        return any(_holds_px("principal", alternative, facts) for alternative in px)

    def _as_in_book(self, code: str) -> str:
        for book in (self.diagnosis_book, self.procedure_book):
            if code in book.spelling:
                return book.spelling[code]
        return code.replace("X", "x")


def _some_item(items: Iterable[Item], code: str) -> bool:
    return any(item.holds(code) for item in items)


def _holds_px(mode: str, alternative: frozenset[str], facts: Facts) -> bool:
    if mode == "principal":
        return facts.effective in alternative and alternative <= facts.recorded
    if mode == "anywhere":
        return alternative <= facts.recorded
    return mode == "exact" and alternative == facts.exact


def _inside(number: int, span: tuple[int | None, int | None]) -> bool:
    low, high = span
    return (low is None or number >= low) and (high is None or number <= high)


def credible(case: DipCase) -> DipCase:
    """The case without a weight that is none, and without days of a first year beside an age of years."""
    weight, days = case.newborn_birth_weight_g, case.age_days
    if weight is not None and not 0 < weight <= HIGHEST_WEIGHT_G:
        weight = None
    if days is not None and days < FIRST_YEAR_DAYS and (case.age_years or 0) >= 1:
        days = None
    return dataclasses.replace(case, newborn_birth_weight_g=weight, age_days=days)


def _age_in_days(row: CoreRow, case: DipCase) -> str:
    """yes, no, or the reason why it cannot be said."""
    if row.age_days is None:
        return "yes"
    if case.age_days is not None:
        return "yes" if _inside(case.age_days, row.age_days) else "no"
    if case.age_years is None:
        return "AGE_UNKNOWN"
    # From the first birthday on nobody records days: too old for any range of days.
    return "no" if case.age_years >= 1 else "AGE_DAYS_UNKNOWN"


def _birth_weight(row: CoreRow, case: DipCase) -> str:
    if row.birth_weight_g is None:
        return "yes"
    if case.newborn_birth_weight_g is None:
        return "WEIGHT_UNKNOWN"
    return "yes" if _inside(case.newborn_birth_weight_g, row.birth_weight_g) else "no"


def precedence(layer: Layer, fit: Fit) -> tuple[int, ...]:
    """What the layer's order of precedence says of a fitting row, least first, before ties are decided: under
    `specific` the narrower item and more procedures asked, else the number."""
    return (fit.row.number,) if layer.precedence == "number" else (-fit.width, -fit.procedures_asked)


def _rank(layer: Layer, fit: Fit) -> tuple[int, ...]:
    """What comes first in the layer: ties are decided by the number, then by the place."""
    return *precedence(layer, fit), fit.row.number, fit.place
