"""Core groups (核心病种) of a DIP pack that no case can ever come into, as far as the tables alone can tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reference_tables.dip_cells import DiagnosisItem, category_of
from reference_tables.dip_examples import FitRules
from reference_tables.dip_rows import CoreRow, Range
from reference_tables.dip_tables import PlacedRow, problem
from reference_tables.dip_ties import conditions
from reference_tables.problems import Problem

_NEVER_PRINCIPAL = frozenset({"conservative", "not_principal"})


def check_reach(rows: Sequence[PlacedRow], rules: FitRules) -> list[Problem]:
    """TB55 for each row that is never reached: its diagnoses or its procedures are excluded, or an earlier row
    takes every case that would fit it. `rows` stand in the order of the pack."""
    earlier = _Takers()
    barred = frozenset(code for code, (rule, _) in rules.excluded_px.items() if rule in _NEVER_PRINCIPAL)
    problems: list[Problem] = []
    for placed in rows:
        row = placed.row
        reason = _excluded(row, rules, barred)
        taker = earlier.taker_of(row)
        if not reason and taker is not None:
            reason = f"符合它的病例都先归入 {taker.row.code}（{taker.place} 第 {taker.row.line} 行）"
        if reason:
            problems.append(problem("TB55", placed.place, row.line, "", row.code, code=row.code, reason=reason))
        earlier.add(placed)
    return problems


def _excluded(row: CoreRow, rules: FitRules, barred: frozenset[str]) -> str:
    """Why excluded codes keep every case away ("" = they do not); `barred`: procedures that are never principal."""
    if row.principal and all(item.whole and item.low in rules.excluded_dx for item in row.principal):
        return "它的主要诊断都在不纳入分组的主要诊断之列"
    if row.px_mode == "principal" and all(barred.issuperset(codes) for codes in row.px):
        return "它的手术操作都不能作主要手术操作"
    dead = (barred.issuperset(codes) or not rules.conservative.isdisjoint(codes) for codes in row.px)
    if row.px_mode == "exact" and all(dead):
        return "它的手术操作组合都含不计入的操作，或都不能作主要手术操作"
    return ""


class _Takers:
    """The rows met so far, by the category of a diagnosis and by how they ask for procedures."""

    def __init__(self) -> None:
        self._rows: list[PlacedRow] = []
        self._by_category: dict[str, set[int]] = {}
        self._wide: set[int] = set()
        self._by_procedure: dict[object, set[int]] = {}

    def add(self, placed: PlacedRow) -> None:
        place = len(self._rows)
        self._rows.append(placed)
        row = placed.row
        categories = {category_of(item.low) for item in row.principal or ()}
        if row.principal is None or any(category_of(item.low) != category_of(item.high) for item in row.principal):
            self._wide.add(place)
        for category in categories:
            self._by_category.setdefault(category, set()).add(place)
        for key in _keys(row):
            self._by_procedure.setdefault(key, set()).add(place)

    def taker_of(self, row: CoreRow) -> PlacedRow | None:
        """The first row that takes every case of `row`, or None."""
        first = category_of(row.principal[0].low) if row.principal else ""
        places = self._by_category.get(first, set()) | self._wide
        asked = [self._by_procedure.get(key, set()) for key in ("free", *_keys_of_first(row))]
        for place in sorted(set().union(*(places & listed for listed in asked))):
            if _goes_before(self._rows[place].row, row) and takes_all(self._rows[place].row, row):
                return self._rows[place]
        return None


def _keys(row: CoreRow) -> Iterator[object]:
    if row.px_mode in {"any", "anywhere"}:
        yield "free"
    elif row.px_mode == "none":
        yield "none"
    else:
        yield from ((row.px_mode, codes) for codes in row.px)


def _keys_of_first(row: CoreRow) -> Iterator[object]:
    if row.px_mode == "none":
        yield "none"
    elif row.px:
        yield row.px_mode, row.px[0]


def _goes_before(earlier: CoreRow, row: CoreRow) -> bool:
    """Does `earlier` win every case that both rows fit? It stands before `row` in the order of the pack, so by
    layer and by number it does; in a layer of precedence `specific` it must never be the less narrow one."""
    if earlier.layer.code != row.layer.code or not row.layer.specific:
        return True
    if conditions(earlier) == conditions(row):
        return False  # said already: two rows of one layer with the same conditions are an error
    return (min(_lengths(earlier)), min(_codes(earlier))) >= (max(_lengths(row)), max(_codes(row)))


def _lengths(row: CoreRow) -> list[int]:
    return [0] if row.principal is None else [item.length for item in row.principal]


def _codes(row: CoreRow) -> list[int]:
    """How many procedure codes the row may require, related ones included."""
    related = [len(codes) for codes in row.related] or [0]
    return [len(codes) + more for codes in row.px or ((),) for more in related]


def takes_all(earlier: CoreRow, row: CoreRow) -> bool:
    """Does `earlier` fit every case that `row` fits? True only where the cells show it."""
    return (
        _procedures_within(earlier, row)
        and _within(row.principal, earlier.principal)
        and (not earlier.other or (bool(row.other) and _within(row.other, earlier.other)))
        and (not earlier.anywhere or any(_within(items, earlier.anywhere) for items in _somewhere(row)))
        and (not earlier.flag or (earlier.flag, earlier.flag_wanted) == (row.flag, row.flag_wanted))
        and _range_within(row.age_days, earlier.age_days)
        and _range_within(row.birth_weight_g, earlier.birth_weight_g)
    )


def _somewhere(row: CoreRow) -> Iterator[tuple[DiagnosisItem, ...]]:
    """Lists of which a case of `row` has some diagnosis."""
    yield from (items for items in (row.principal, row.other, row.anywhere) if items)


def _within(items: Iterable[DiagnosisItem] | None, wider: tuple[DiagnosisItem, ...] | None) -> bool:
    """Does every code under `items` fall under `wider`? None = any principal diagnosis."""
    if wider is None:
        return True
    return items is not None and all(any(_item_within(item, other) for other in wider) for item in items)


def _item_within(item: DiagnosisItem, wider: DiagnosisItem) -> bool:
    if item.whole or wider.whole:
        return wider.matches(item.low) if item.whole else False
    ends = (len(wider.low) <= len(item.low)) and (len(wider.high) <= len(item.high))
    low, high = item.low[: len(wider.low)], item.high[: len(wider.high)]
    return ends and wider.low <= low and high <= wider.high and wider.mark in ("", item.mark)


def _procedures_within(earlier: CoreRow, row: CoreRow) -> bool:
    if earlier.px_mode == "any":
        return True
    if earlier.px_mode == "anywhere":
        return bool(row.px) and all(any(set(a) <= set(b) for a in earlier.px) for b in row.px)
    if earlier.px_mode != row.px_mode or not set(row.px) <= set(earlier.px):
        return False
    if not earlier.related:
        return True
    return bool(row.related) and all(any(set(a) <= set(b) for a in earlier.related) for b in row.related)


def _range_within(inner: Range | None, outer: Range | None) -> bool:
    if outer is None:
        return True
    if inner is None:
        return False
    above = outer[0] is None or (inner[0] is not None and outer[0] <= inner[0])
    return above and (outer[1] is None or (inner[1] is not None and inner[1] <= outer[1]))
