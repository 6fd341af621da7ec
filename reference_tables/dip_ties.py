"""Core groups (核心病种) of a DIP pack that fit one and the same case equally, so that nothing tells them apart.

Two rows of a layer of precedence `specific` are equal on a case when both fit it by a diagnosis item of the same
length and by the same number of procedure codes; two rows of a layer of precedence `number` when they have the
same number. Every pair comes with a case that both fit, tried by the rules of fitting themselves, so that no pair
is reported which no case can meet. Source of the conditions: 《按病种分值（DIP）付费3.0版分组方案》.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from reference_tables.dip_cells import DiagnosisItem, categories_between, category_of
from reference_tables.dip_examples import ExampleCase, FitRules, example_cases, fit_of
from reference_tables.dip_rows import CoreRow, Layer
from reference_tables.dip_tables import PlacedRow, problem
from reference_tables.problems import Problem

_FOURTH = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANY_PRINCIPAL = (0, "")


@dataclass(frozen=True, slots=True)
class Tie:
    """Two rows and a case that both fit equally; `earlier` stands before `later` in their layer."""

    earlier: PlacedRow
    later: PlacedRow
    case: ExampleCase


def check_ties(rows: Sequence[PlacedRow], rules: FitRules) -> list[Problem]:
    """DP16 rows of a layer with the same conditions; rows that fit a case as an earlier one does: DP17 where the
    layer refuses ties, else DP42 (the number decides). `rows` stand in the order of the pack."""
    layers: dict[str, list[PlacedRow]] = {}
    for placed in rows:
        layers.setdefault(placed.row.layer.code, []).append(placed)
    problems: list[Problem] = []
    for placed_rows in layers.values():
        different, repeats = _without_repeats(placed_rows)
        problems += repeats
        layer = placed_rows[0].row.layer
        if layer.specific or layer.refuse_ties:
            problems += _reported(layer, list(find_ties(different, rules)))
    return problems


def _without_repeats(rows: Iterable[PlacedRow]) -> tuple[list[PlacedRow], list[Problem]]:
    first: dict[tuple[object, ...], PlacedRow] = {}
    problems: list[Problem] = []
    for placed in rows:
        row = placed.row
        earlier = first.setdefault(conditions(row), placed)
        if earlier is not placed:
            args = {"code": row.code, "first": earlier.row.code, "table": earlier.place}
            problems.append(problem("DP16", placed.place, row.line, "", row.code, **args, line=earlier.row.line))
    return list(first.values()), problems


def conditions(row: CoreRow) -> tuple[object, ...]:
    """What a row asks for, equal for rows that ask for the same however their cells are written."""
    return (
        None if row.principal is None else frozenset(row.principal), frozenset(row.other), frozenset(row.anywhere),
        row.flag, row.flag_wanted, row.age_days, row.birth_weight_g,
        row.px_mode, frozenset(row.px), frozenset(row.related),
    )  # fmt: skip


def _reported(layer: Layer, ties: Sequence[Tie]) -> list[Problem]:
    problems: list[Problem] = []
    for tie in ties if layer.refuse_ties else ties[:1]:
        row, earlier = tie.later.row, tie.earlier.row
        args = {"code": row.code, "first": earlier.code, "case": str(tie.case)}
        if layer.refuse_ties:
            more: dict[str, str | int] = {"table": tie.earlier.place, "line": earlier.line}
            problems.append(problem("DP17", tie.later.place, row.line, "", row.code, **args, **more))
        else:
            more = {"layer": layer.code, "count": len(ties)}
            problems.append(problem("DP42", tie.later.place, row.line, "", row.code, **args, **more))
    return problems


def find_ties(rows: Sequence[PlacedRow], rules: FitRules) -> Iterator[Tie]:
    """For each row of one layer the first earlier row, if any, that fits some case as it does."""
    index = _Index()
    for placed in rows:
        row = placed.row
        starts = frozenset(_starts(row))
        for earlier in index.may_meet(row, starts):
            case = shared_case(earlier.row, row, rules)
            if case is not None:
                yield Tie(earlier, placed, case)
                break
        index.add(placed, starts)


def shared_case(earlier: CoreRow, row: CoreRow, rules: FitRules) -> ExampleCase | None:
    """A case that both rows of one layer fit equally, or None."""
    for case in example_cases(earlier, row, rules):
        fit = fit_of(row, case, rules)
        if fit is None:
            continue
        other = fit_of(earlier, case, rules)
        if other is not None and (other == fit or not row.layer.specific):
            return case
    return None


class _Index:
    """The rows of one layer met so far, by what a case must have in common to fit two of them equally: the
    beginning of the principal diagnosis, and a procedure (or the number, where that is the order)."""

    def __init__(self) -> None:
        self._rows: list[PlacedRow] = []
        self._starts: list[frozenset[object]] = []
        self._by_start: dict[object, list[int]] = {}
        self._by_procedure: dict[object, list[int]] = {}

    def add(self, placed: PlacedRow, starts: frozenset[object]) -> None:
        """Add a row with its keys of `_starts`."""
        place = len(self._rows)
        self._rows.append(placed)
        self._starts.append(starts)
        for start in starts:
            self._by_start.setdefault(start, []).append(place)
        for key in _procedure_keys(placed.row, stored=True):
            self._by_procedure.setdefault(key, []).append(place)

    def may_meet(self, row: CoreRow, starts: frozenset[object]) -> Iterator[PlacedRow]:
        """The rows that may fit a case as `row` does, in their order; `starts` are its keys of `_starts`."""
        by_start = [self._by_start.get(start, []) for start in starts]
        by_procedure = [self._by_procedure.get(key, []) for key in _procedure_keys(row, stored=False)]
        asks_procedures = row.px_mode not in {"any", "anywhere"}
        if asks_procedures and sum(map(len, by_procedure)) < sum(map(len, by_start)):
            places = {place for listed in by_procedure for place in listed}
            places = {place for place in places if not starts.isdisjoint(self._starts[place])}
        else:
            places = {place for listed in by_start for place in listed}
            if asks_procedures:
                places &= {place for listed in by_procedure for place in listed}
        yield from (self._rows[place] for place in sorted(places))


def _starts(row: CoreRow) -> Iterator[object]:
    """Keys of which two rows share one if they can be equal on a case."""
    if not row.layer.specific:
        yield row.number
    elif row.principal is None:
        yield _ANY_PRINCIPAL
    else:
        for item in row.principal:
            yield from _item_starts(item)


@lru_cache(maxsize=1 << 14)
def _item_starts(item: DiagnosisItem) -> tuple[tuple[int, str], ...]:
    """The beginnings that an item covers, with its length."""
    length = item.length
    if item.whole or item.low == item.high:
        return ((length, item.low),)
    starts = categories_between(item.low, item.high)
    if length == len(category_of(item.low)):
        return tuple((length, category) for category in starts)
    return tuple((length, f"{category}.{fourth}") for category in starts for fourth in _FOURTH)


def _procedure_keys(row: CoreRow, *, stored: bool) -> Iterator[object]:
    """Keys under which a row is stored, or looks for others: the codes that may be the principal procedure, a whole
    combination, the lack of a procedure; a row that asks for none of these meets all."""
    codes = {code for alternative in row.px for code in alternative}
    if row.px_mode == "none":
        yield "none"
    elif row.px_mode == "principal":
        yield from (("principal", code) for code in codes)
        yield from (("exact", code) for code in codes if not stored)
    elif row.px_mode == "exact":
        yield from row.px
        yield from (("exact" if stored else "principal", code) for code in codes)
    if row.px_mode in {"any", "anywhere"} or not stored:
        yield "free"
