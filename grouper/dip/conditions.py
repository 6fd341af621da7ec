"""What a core group asks of a case, one condition at a time, in plain Python straight from the pack's rows.

A second reading of the table, apart from the compiled terms of the batch: `test` says whether a condition holds,
`hits` which codes met it. Source: 《按病种分值（DIP）付费3.0版分组方案》; `reference_tables.dip_rows.CoreRow`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

from grouper.dip.numbers import DAYS, YEARS, credible_days, credible_weight
from reference_tables.dip_cells import Alternative, DiagnosisItem, category_of, subcategory_of
from reference_tables.dip_rows import CoreRow, Range

_LENGTHS_KEPT = 1 << 14  # bounds memory, not results
Kind = Literal["dx", "px"]


class Placed(NamedTuple):
    """A code of the case, spelt for comparison, and its place in its list (0 = the principal one)."""

    place: int
    code: str


class CodeHit(NamedTuple):
    """A code that met a condition: its kind, its place, and the item or alternative of the cell that it met."""

    kind: Kind
    place: int
    item: str


def placed(codes: Iterable[str | None] | None) -> tuple[Placed, ...]:
    """The codes of a list with their places; blanks are left out."""
    found = [(place, code.strip().upper()) for place, code in enumerate(codes or ()) if code]
    return tuple(Placed(place, code) for place, code in found if code)


def small_x(code: str) -> str:
    """A whole code as the code books write it."""
    return code[:1] + code[1:].replace("X", "x")


class DipCase:
    """One case as the conditions see it.

    `principal`: "" = none; `others`, `procedures`: what else is recorded; `effective`: the effective principal
    procedure, None = none (保守治疗); `conservative`: codes that the scheme takes as conservative treatment.
    """

    def __init__(
        self,
        record: Mapping[str, Any],
        diagnoses: tuple[Placed, ...],
        procedures: tuple[Placed, ...],
        weight_column: str,
        conservative: frozenset[str],
    ) -> None:
        self.record = record
        self.diagnoses = diagnoses
        self.procedures = procedures
        self.weight_column = weight_column
        self.conservative = conservative
        filled = bool(diagnoses) and diagnoses[0].place == 0
        self.principal = diagnoses[0].code if filled else ""
        self.others = diagnoses[1:] if filled else diagnoses
        self.effective: Placed | None = None

    @property
    def operation(self) -> str:
        """The effective principal procedure's code, "" = none."""
        return self.effective.code if self.effective else ""

    @cached_property
    def present(self) -> frozenset[str]:
        """All recorded procedures."""
        return frozenset(item.code for item in self.procedures)

    @cached_property
    def beside(self) -> tuple[Placed, ...]:
        """All recorded procedures but the effective principal one."""
        return tuple(item for item in self.procedures if item is not self.effective)

    @cached_property
    def whole(self) -> frozenset[str]:
        """What `exact` compares: all procedures that are no conservative treatment; none without a principal one."""
        return self.present - self.conservative if self.effective else frozenset()

    def number(self, column: str) -> int | None:
        """A number of the record, None = unknown."""
        value = self.record.get(column)
        return None if value is None or value != value else value  # noqa: PLR0124 - nan is unknown

    @property
    def weight(self) -> int | None:
        """The newborn's weight in grams, the one the scheme means."""
        return credible_weight(self.number(self.weight_column))

    @property
    def age_days(self) -> int | None:
        """The age in days."""
        return credible_days(self.number(DAYS), self.number(YEARS))


class DiagnosisCell:
    """The items of a diagnosis cell."""

    def __init__(self, items: tuple[DiagnosisItem, ...]) -> None:
        self.items = items
        # An item that is one text is looked up; a range or a marked item has to be asked.
        self._texts = {item.low: item.length for item in items if item.whole}
        simple = [item for item in items if not item.whole and item.low == item.high and not item.mark]
        self._beginnings = {item.low: item.length for item in simple}
        self._asked = [item for item in items if not item.whole and (item.low != item.high or item.mark)]
        self._lengths: dict[str, int] = {}

    def length(self, code: str) -> int:
        """Length of the narrowest item that the code falls under (3, 4 or 9 characters); -1 = under none."""
        found = self._texts.get(code)
        if found is not None:
            return found
        starts = self._beginnings
        found = starts.get(subcategory_of(code)) or starts.get(category_of(code), -1) if starts else -1
        return max(found, self._asked_length(code)) if self._asked else found

    def _asked_length(self, code: str) -> int:
        found = self._lengths.get(code)
        if found is None:
            if len(self._lengths) >= _LENGTHS_KEPT:
                self._lengths = {}
            found = self._lengths[code] = max((item.length for item in self._asked if item.matches(code)), default=-1)
        return found

    def item(self, code: str) -> DiagnosisItem | None:
        """The narrowest item that the code falls under, the first of several."""
        length = self.length(code)
        return next((item for item in self.items if item.length == length and item.matches(code)), None)

    def hits(self, codes: Iterable[Placed]) -> tuple[CodeHit, ...]:
        """Those of the codes that fall under some item."""
        found = ((place, self.item(code)) for place, code in codes)
        return tuple(
            CodeHit("dx", place, small_x(str(item)) if item.whole else str(item))
            for place, item in found
            if item is not None
        )


class Condition(Protocol):
    """One condition of a row; `column` of core.csv that states it."""

    @property
    def column(self) -> str: ...

    def test(self, case: DipCase) -> bool | None:
        """Does the case meet it? None: it depends on a number that the record lacks."""

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        """The codes that met it."""


class Principal:
    """The principal diagnosis falls under an item of the cell."""

    column = "principal_dx"

    def __init__(self, cell: DiagnosisCell) -> None:
        self.cell = cell

    def test(self, case: DipCase) -> bool:
        return self.cell.length(case.principal) >= 0

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return self.cell.hits(case.diagnoses[:1]) if case.principal else ()


class OtherDiagnosis:
    """One of the other diagnoses falls under an item of the cell."""

    column = "other_dx"

    def __init__(self, cell: DiagnosisCell) -> None:
        self.cell = cell

    def test(self, case: DipCase) -> bool:
        return any(self.cell.length(item.code) >= 0 for item in case.others)

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return self.cell.hits(case.others)


class AnyDiagnosis(OtherDiagnosis):
    """Some diagnosis falls under an item of the cell."""

    column = "any_dx"

    def test(self, case: DipCase) -> bool:
        return any(self.cell.length(item.code) >= 0 for item in case.diagnoses)

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return self.cell.hits(case.diagnoses)


class Flag:
    """A named condition of flag.csv holds, or, when not `wanted`, does not hold."""

    column = "flag"

    def __init__(self, principal: DiagnosisCell, other: DiagnosisCell, *, wanted: bool) -> None:
        self.principal, self.other, self.wanted = principal, other, wanted

    def test(self, case: DipCase) -> bool:
        return bool(self.found(case)) is self.wanted

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return self.found(case) if self.wanted else ()

    def found(self, case: DipCase) -> tuple[CodeHit, ...]:
        """The codes by which the named condition holds, wanted or not."""
        of_principal = self.principal.hits(case.diagnoses[:1]) if case.principal else ()
        return of_principal + self.other.hits(case.others)


class AgeDays:
    """The age in days is in the range; of a patient of one year and more it need not be known: it is in none."""

    column = "age_days"

    def __init__(self, wanted: Range) -> None:
        self.low, self.high = wanted

    def test(self, case: DipCase) -> bool | None:
        days = case.age_days
        if days is None:
            return False if case.number(YEARS) else None
        return _inside(days, self.low, self.high)

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:  # noqa: ARG002 - a number, no code
        return ()


class BirthWeight(AgeDays):
    """The newborn's weight in grams is in the range."""

    column = "birth_weight_g"

    def test(self, case: DipCase) -> bool | None:
        weight = case.weight
        return None if weight is None else _inside(weight, self.low, self.high)


def _inside(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


class Procedures:
    """The procedures are what the row's `px_mode` and alternatives ask for; `sets` the alternatives as sets."""

    column = "px"

    def __init__(self, mode: str, alternatives: tuple[Alternative, ...]) -> None:
        self.mode = mode
        self.sets = tuple(frozenset(codes) for codes in alternatives)

    @property
    def operations(self) -> frozenset[str] | None:
        """The effective principal procedures ("" = none) without which the row cannot fit; None: any will do."""
        if self.mode in ("any", "anywhere"):
            return None
        return frozenset({""}) if self.mode == "none" else frozenset().union(*self.sets)

    def settled(self, operation: str) -> bool | None:
        """What the effective principal procedure ("" = none) alone decides; None: the other procedures decide."""
        if self.mode == "any":
            return True
        if self.mode == "none":
            return not operation
        sizes = [len(codes) for codes in self.sets if operation in codes]
        if self.mode == "anywhere":
            return 1 in sizes or None
        if self.mode == "principal" and 1 in sizes:
            return True
        return None if sizes else False

    def test(self, case: DipCase) -> bool:
        settled = self.settled(case.operation)
        return bool(self.fitting(case)) if settled is None else settled

    def fitting(self, case: DipCase) -> list[frozenset[str]]:
        """The alternatives that the case meets."""
        if self.mode == "anywhere":
            return [codes for codes in self.sets if codes <= case.present]
        operation = case.operation
        if self.mode == "principal":
            return [codes for codes in self.sets if operation in codes and codes <= case.present]
        return [codes for codes in self.sets if codes == case.whole] if self.mode == "exact" and operation else []

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return _procedure_hits(self.fitting(case), case.procedures)


class Related:
    """Some alternative of related procedures has all its codes beside the effective principal procedure."""

    column = "related_px"

    def __init__(self, alternatives: tuple[Alternative, ...]) -> None:
        self.sets = tuple(frozenset(codes) for codes in alternatives)

    def test(self, case: DipCase) -> bool:
        return bool(self.fitting(case))

    def fitting(self, case: DipCase) -> list[frozenset[str]]:
        """The alternatives that the case meets."""
        beside = {item.code for item in case.beside}
        return [codes for codes in self.sets if codes <= beside]

    def hits(self, case: DipCase) -> tuple[CodeHit, ...]:
        return _procedure_hits(self.fitting(case), case.beside)


def _procedure_hits(fitting: list[frozenset[str]], codes: Iterable[Placed]) -> tuple[CodeHit, ...]:
    """Each code by the first alternative that holds it."""
    found = ((place, next((one for one in fitting if code in one), None)) for place, code in codes)
    return tuple(CodeHit("px", place, small_x("+".join(sorted(one)))) for place, one in found if one is not None)


class Rank(NamedTuple):
    """Order of precedence between fitting rows, the least first: `item` and `codes` are negative lengths (0 where
    the layer does not ask), then number and place of the row."""

    item: int
    codes: int
    number: int
    place: int


class RowConditions:
    """A core row with its conditions in the order of the table's columns."""

    def __init__(self, row: CoreRow, conditions: tuple[Condition, ...]) -> None:
        self.row = row
        self.conditions = conditions
        self.principal = next((item for item in conditions if isinstance(item, Principal)), None)
        self.procedures = next(item for item in conditions if isinstance(item, Procedures))
        self.related = next((item for item in conditions if isinstance(item, Related)), None)

    def rank(self, case: DipCase) -> Rank:
        """Where this row stands among the rows of its layer that the case fits."""
        if not self.row.layer.specific:
            return Rank(0, 0, self.row.number, self.row.place)
        return Rank(-self.item_length(case), -self.codes_asked(case), self.row.number, self.row.place)

    def item_length(self, case: DipCase) -> int:
        """How narrow the item is under which the principal diagnosis falls; 0 where any will do."""
        return self.principal.cell.length(case.principal) if self.principal else 0

    def codes_asked(self, case: DipCase) -> int:
        """How many procedure codes the longest alternatives met ask for, related ones included."""
        asked = [self.procedures.fitting(case), self.related.fitting(case) if self.related else []]
        return sum(max(map(len, fitting), default=0) for fitting in asked)
