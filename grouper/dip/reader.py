"""A DIP pack as a person would look a single case up in it: straight from its rows, apart from the compiled terms.

The order is that of grouping by DIP: the effective principal procedure, the layers of core groups (核心病种) with the
order of precedence inside a layer, the mixed groups (综合病种), the primary-care mark (基层病种), the scores.
Source: 《按病种分值（DIP）付费3.0版分组方案》; its tables as `reference_tables/dip_schema.toml` lays them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from grouper.dip.conditions import (
    AgeDays,
    AnyDiagnosis,
    BirthWeight,
    Condition,
    DiagnosisCell,
    DipCase,
    Flag,
    OtherDiagnosis,
    Placed,
    Principal,
    Procedures,
    Rank,
    Related,
    RowConditions,
    placed,
)
from grouper.encode import WEIGHT_COLUMN
from grouper.result import Reason
from reference_tables.codes import CodeBook, CodeBooks, load_code_books
from reference_tables.dip_cells import (
    DiagnosisItem,
    categories_between,
    category_of,
    diagnosis_items,
    procedure_alternatives,
    spelled,
)
from reference_tables.dip_pack import DipPack, dip_schema
from reference_tables.dip_rows import CoreRow, Layer

CONSERVATIVE_NATURE = 1
_Row = TypeVar("_Row")
_FOUR_PLACES = Decimal("0.0001")
_PRINCIPALS_KEPT = 1 << 14  # bounds memory, not results
_WIDE = 1024  # categories of a row above which it is kept aside instead of under each of them
ANYTHING = "*"
_ANY_OPERATION = (ANYTHING,)


class ProcedureStep(StrEnum):
    """What became of a recorded procedure in the search for the effective principal one.

    EFFECTIVE it is it; NOT_PRINCIPAL the scheme does not take it as principal procedure; OTHER_PRINCIPAL it does,
    but not with this principal diagnosis; CONSERVATIVE it makes the case a conservative one, and the search ends;
    PASSED_OVER it counts as conservative treatment, and the next one is asked; NOT_REACHED the search had ended.
    """

    EFFECTIVE = "EFFECTIVE"
    NOT_PRINCIPAL = "NOT_PRINCIPAL"
    OTHER_PRINCIPAL = "OTHER_PRINCIPAL"
    CONSERVATIVE = "CONSERVATIVE"
    PASSED_OVER = "PASSED_OVER"
    NOT_REACHED = "NOT_REACHED"


class MixedRow(NamedTuple):
    """A mixed group that takes the case; `item` of its scope holds the principal diagnosis."""

    code: str
    name: str
    level: str
    item: str
    nature: int


class ExcludedProcedure(NamedTuple):
    """How the scheme limits a procedure as principal one; `cell`, `asked`: principal diagnoses with which alone it may
    stand, and the same as published."""

    rule: str
    cell: DiagnosisCell
    asked: str


class PrimaryCareRow(NamedTuple):
    """A primary-care disease; no `procedures`: without an effective principal procedure."""

    number: str
    cell: DiagnosisCell | None
    procedures: Procedures


@dataclass(frozen=True, slots=True)
class Fit:
    """A row that the case fits, or would fit but for an unknown number (`lacking`), and its rank."""

    row: RowConditions
    rank: Rank
    lacking: Reason


class DipReader:
    """The tables of a pack, ready to look single cases up. Safe to share: its caches hold pure results."""

    def __init__(self, pack: DipPack, books: CodeBooks | None = None) -> None:
        books = books or load_code_books()
        self.pack = pack
        self.weight_column = WEIGHT_COLUMN[pack.newborn_weight]
        self.layers: tuple[Layer, ...] = tuple(pack.layers.values())
        self._cells: dict[tuple[DiagnosisItem, ...], DiagnosisCell] = {}
        self._flags = self._read_flags()
        self.excluded_dx = frozenset(spelled(code) for code in pack.tables["excluded_dx"]["code"])
        self._read_procedures(books)
        self.rows = tuple(RowConditions(row, tuple(self._conditions(row))) for row in pack.rows)
        self._open: dict[str, dict[str, list[RowConditions]]] = {}
        self.core = _ByCategory((row, row.row.principal) for row in self.rows)
        self.mixed = _ByCategory(self._mixed_rows())
        self.primary_care = _ByCategory(self._primary_care_rows())
        self.gray, self.gray_px = _gray(books.diagnosis), _gray(books.procedure)
        self.known = frozenset(map(spelled, books.diagnosis.frame["code"])) | {
            item.low for items in self._cells for item in items if item.whole
        }
        self._scores = _decimals(pack, "score", "score")

    def _read_flags(self) -> dict[str, tuple[DiagnosisCell, DiagnosisCell]]:
        items: dict[str, dict[str, list[DiagnosisItem]]] = {}
        for flag, role, item in self.pack.table("flag").iter_rows():
            items.setdefault(flag, {}).setdefault(role, []).extend(diagnosis_items(item))
        return {
            flag: (self._cell(tuple(roles.get("principal", ()))), self._cell(tuple(roles.get("other", ()))))
            for flag, roles in items.items()
        }

    def _read_procedures(self, books: CodeBooks) -> None:
        self.excluded_px = {
            spelled(code): ExcludedProcedure(rule, self._cell(diagnosis_items(principal)), principal)
            for code, _, rule, principal in self.pack.table("excluded_px").iter_rows()
        }
        self.conservative = frozenset(
            code for code, excluded in self.excluded_px.items() if excluded.rule == "conservative"
        )
        self._ends = self.pack.setting("conservative") == "case"
        self.own_nature = {spelled(code): int(nature) for code, nature in self.pack.table("nature").iter_rows()}
        categories = books.procedure.frame.select("code", "category").iter_rows()
        self.book_category = {spelled(code): category for code, category in categories}
        self.unknown_nature = int(self.pack.setting("unknown_nature"))

    def _cell(self, items: tuple[DiagnosisItem, ...]) -> DiagnosisCell:
        """The cell of some items; the same items share one."""
        return self._cells.setdefault(items, DiagnosisCell(items))

    def _conditions(self, row: CoreRow) -> Iterator[Condition]:
        if row.principal is not None:
            yield Principal(self._cell(row.principal))
        if row.other:
            yield OtherDiagnosis(self._cell(row.other))
        if row.anywhere:
            yield AnyDiagnosis(self._cell(row.anywhere))
        if row.flag:
            yield Flag(*self._flags.get(row.flag, (self._cell(()), self._cell(()))), wanted=row.flag_wanted)
        if row.age_days is not None:
            yield AgeDays(row.age_days)
        if row.birth_weight_g is not None:
            yield BirthWeight(row.birth_weight_g)
        yield Procedures(row.px_mode, row.px)
        if row.related:
            yield Related(row.related)

    def _mixed_rows(self) -> Iterator[tuple[tuple[int, DiagnosisCell, MixedRow], tuple[DiagnosisItem, ...]]]:
        for place, (code, name, level, scope, nature) in enumerate(self.pack.table("mixed").iter_rows()):
            items = diagnosis_items(scope)
            yield (place, self._cell(items), MixedRow(code, name, level, scope, int(nature))), items

    def _primary_care_rows(self) -> Iterator[tuple[PrimaryCareRow, tuple[DiagnosisItem, ...] | None]]:
        for number, principal, px in self.pack.table("primary_care").iter_rows():
            items = None if principal == ANYTHING else diagnosis_items(principal)
            procedures = Procedures("principal" if px else "none", procedure_alternatives(px))
            yield PrimaryCareRow(number, None if items is None else self._cell(items), procedures), items

    @cached_property
    def published(self) -> Mapping[str, list[str]]:
        """The columns of core.csv as published, in the order of `rows`."""
        return self.pack.table("core").to_dict(as_series=False)

    @cached_property
    def known_px(self) -> frozenset[str]:
        """Every procedure that the code book or the pack has."""
        of_rows = (codes for row in self.rows for part in (row.procedures, row.related) if part for codes in part.sets)
        return frozenset().union(self.book_category, self.excluded_px, self.own_nature, *of_rows)

    def read(self, record: Mapping[str, Any]) -> DipCase:
        """A record in canonical columns as the conditions see it, with its effective principal procedure."""
        diagnoses, procedures = placed(record.get("diagnoses")), placed(record.get("procedures"))
        case = DipCase(record, diagnoses, procedures, self.weight_column, self.conservative)
        for item in procedures:
            step = self.procedure_step(item.code, case.principal)
            if step is ProcedureStep.EFFECTIVE:
                case.effective = item
                break
            if step is ProcedureStep.CONSERVATIVE:
                break
        return case

    def procedure_step(self, code: str, principal: str) -> ProcedureStep:
        """What the scheme makes of a procedure that the search for the principal one comes to."""
        found = self.excluded_px.get(code)
        if found is None:
            return ProcedureStep.EFFECTIVE
        if found.rule == "with_principal":
            allowed = found.cell.length(principal) >= 0
            return ProcedureStep.EFFECTIVE if allowed else ProcedureStep.OTHER_PRINCIPAL
        if found.rule == "not_principal":
            return ProcedureStep.NOT_PRINCIPAL
        return ProcedureStep.CONSERVATIVE if self._ends else ProcedureStep.PASSED_OVER

    def cleaned(self, case: DipCase) -> tuple[tuple[Placed, ProcedureStep], ...]:
        """Every recorded procedure with what became of it."""
        steps: list[tuple[Placed, ProcedureStep]] = []
        ended = False
        for item in case.procedures:
            step = ProcedureStep.NOT_REACHED if ended else self.procedure_step(item.code, case.principal)
            ended = ended or step in (ProcedureStep.EFFECTIVE, ProcedureStep.CONSERVATIVE)
            steps.append((item, step))
        return tuple(steps)

    def refused(self, case: DipCase) -> Reason:
        """Why the principal diagnosis opens nothing at all; NONE when it does not stand in the way."""
        if not case.principal:
            return Reason.PRINCIPAL_MISSING
        return Reason.PRINCIPAL_BLOCKED if case.principal in self.excluded_dx else Reason.NONE

    def tried(self, principal: str) -> list[RowConditions]:
        """The rows that a case of this principal diagnosis is held against, in the order they are tried: those of
        its category and those of any."""
        return self.core.of(principal)

    def open_rows(self, principal: str, operation: str) -> list[RowConditions]:
        """Those of the rows tried that list the principal diagnosis and may take the effective principal procedure
        ("" = none), in the order they are tried."""
        by_operation = self._open.get(principal)
        if by_operation is None:
            by_operation = {}
            for row in self.tried(principal):
                if row.principal is None or row.principal.cell.length(principal) >= 0:
                    for code in _ANY_OPERATION if row.procedures.operations is None else row.procedures.operations:
                        by_operation.setdefault(code, []).append(row)
            if len(self._open) >= _PRINCIPALS_KEPT:
                self._open = {}
            self._open[principal] = by_operation
        asked = (*by_operation.get(ANYTHING, ()), *by_operation.get(operation, ()))
        return sorted(asked, key=_place_of)

    def fit(self, row: RowConditions, case: DipCase) -> Fit | None:
        """Whether the case fits the row, but for unknown numbers; None = it does not."""
        lacking = unmet(row.conditions, case)
        return None if lacking is None else Fit(row, row.rank(case), lacking)

    def fits(self, case: DipCase) -> dict[str, list[Fit]]:
        """By layer, in the order they are tried, the rows that the case fits, the one that wins first."""
        found: dict[str, list[Fit]] = {layer.code: [] for layer in self.layers}
        for row in self.tried(case.principal):
            fit = self.fit(row, case)
            if fit is not None:
                found[row.row.layer.code].append(fit)
        return {code: sorted(fits, key=lambda fit: fit.rank) for code, fits in found.items()}

    def nature(self, operation: str) -> int:
        """Nature of the effective principal procedure ("" = none): 1 to 4, as mixed groups count them."""
        if not operation:
            return CONSERVATIVE_NATURE
        if operation in self.own_nature:
            return self.own_nature[operation]
        category = self.book_category.get(operation, "")
        return dip_schema().nature_of_category.get(category, self.unknown_nature)

    def mixed_group(self, principal: str, nature: int) -> MixedRow | None:
        """The mixed group of a principal diagnosis and a nature: the finest level first, in it a dagger or asterisk
        scope before a plain one, then the first row."""
        levels = dip_schema().words["mixed_level"]
        best: tuple[tuple[int, bool, int], MixedRow] | None = None
        for place, cell, row in self.mixed.of(principal):
            matching = [item for item in cell.items if item.matches(principal)] if row.nature == nature else []
            if not matching:
                continue
            item = next((one for one in matching if one.mark), matching[0])
            key = (levels.index(row.level), not item.mark, place)
            if best is None or key < best[0]:
                best = key, row._replace(item=str(item))
        return best[1] if best else None

    def primary_care_rows(self, principal: str) -> list[PrimaryCareRow]:
        """The primary-care diseases of a principal diagnosis; a case of one of their procedures has the mark."""
        rows = self.primary_care.of(principal)
        return [row for row in rows if row.cell is None or row.cell.length(principal) >= 0]

    def no_group(self, principal: str) -> Reason:
        """Why a case with a principal diagnosis is in no group."""
        if principal not in self.known:
            return Reason.PRINCIPAL_UNKNOWN
        return Reason.PRINCIPAL_GRAY if principal in self.gray else Reason.NO_DIP_GROUP

    def base_score(self, code: str) -> Decimal | None:
        """The score of a group, four decimals; None = the pack has none."""
        return self._scores.get(code)


def _place_of(row: RowConditions) -> int:
    return row.row.place


def _gray(book: CodeBook) -> frozenset[str]:
    return frozenset(map(spelled, book.frame.filter(book.frame["gray"])["code"]))


class _ByCategory(Generic[_Row]):
    """Rows in table order, found by the category of a principal diagnosis. Rows of any diagnosis (None) and those that
    stand for very many categories belong to every one."""

    def __init__(self, rows: Iterable[tuple[_Row, tuple[DiagnosisItem, ...] | None]]) -> None:
        self._rows: list[_Row] = []
        self._every: list[int] = []
        self._own: dict[str, list[int]] = {}
        for place, (row, items) in enumerate(rows):
            self._rows.append(row)
            categories = None if items is None else {name for item in items for name in _categories(item)}
            if categories is None or len(categories) > _WIDE:
                self._every.append(place)
                continue
            for name in categories:
                self._own.setdefault(name, []).append(place)

    def of(self, principal: str) -> list[_Row]:
        """The rows to hold against this principal diagnosis, in table order."""
        return [self._rows[place] for place in sorted((*self._every, *self._own.get(category_of(principal), ())))]


def _categories(item: DiagnosisItem) -> Iterable[str]:
    return (category_of(item.low),) if item.whole else categories_between(item.low, item.high)


def unmet(conditions: Iterable[Condition], case: DipCase) -> Reason | None:
    """NONE when the case meets all conditions; the reason of the first unknown number when only such stand in the way;
    None when some condition is not met."""
    lacking = Reason.NONE
    for condition in conditions:
        met = condition.test(case)
        if met is False:
            return None
        if met is None and lacking is Reason.NONE:
            lacking = lacking_number(condition, case)
    return lacking


def lacking_number(condition: Condition, case: DipCase) -> Reason:
    """Which number a condition wants and the record lacks."""
    if isinstance(condition, BirthWeight):
        return Reason.WEIGHT_UNKNOWN
    return Reason.AGE_DAYS_UNKNOWN if case.number("age_years") is not None else Reason.AGE_UNKNOWN


def score_of(base: Decimal | None, factor: Decimal) -> Decimal | None:
    """Score of a case: base score x factor, rounded half up to four decimals."""
    return None if base is None else (base * factor).quantize(_FOUR_PLACES, ROUND_HALF_UP)


def _decimals(pack: DipPack, table: str, column: str) -> dict[str, Decimal]:
    pairs = pack.table(table).select("code", column).iter_rows()
    return {code: Decimal(text).quantize(_FOUR_PLACES, ROUND_HALF_UP) for code, text in pairs if text}
