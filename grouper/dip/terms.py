"""Core groups (核心病种) as ordered terms: what a row asks of the principal codes, and what of the rest of a case.

A row becomes several terms where its diagnosis items have different lengths or its alternatives different numbers
of codes, because in a layer of precedence "specific" these decide which row comes first. All terms of a pack stand
in one order of precedence, so the first true one is the answer. A row that asks for a number has further terms for a
record that lacks it: when such a term is the first true one, nobody can say which group is right.
Source of the order: `reference_tables.dip_rows.CoreRow` and 《按病种分值（DIP）付费3.0版分组方案》.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

from grouper.result import Reason
from reference_tables.dip_cells import Alternative, DiagnosisItem
from reference_tables.dip_rows import CoreRow, Range

Items = tuple[DiagnosisItem, ...]
NO_PROCEDURE = frozenset({""})
"""The set of principal procedures of a conservative case: none."""


@dataclass(frozen=True, slots=True)
class SomeDiagnosis:
    """Another diagnosis falls under one of the items; with `principal`, the principal diagnosis may as well."""

    items: Items
    principal: bool


@dataclass(frozen=True, slots=True)
class FlagHolds:
    """A named condition of flag.csv."""

    flag: str


@dataclass(frozen=True, slots=True)
class SomeProcedure:
    """One of the codes is among the recorded procedures; with `beside`, beside the effective principal one."""

    codes: frozenset[str]
    beside: bool


@dataclass(frozen=True, slots=True)
class InRange:
    """The age in days (`field` XSRTL) or the birth weight in grams (XSRTZ) is known and in the range."""

    field: str
    span: Range


@dataclass(frozen=True, slots=True)
class Lacks:
    """The record lacks a number in the way that `reason` names."""

    reason: Reason


Condition = SomeDiagnosis | FlagHolds | SomeProcedure | InRange | Lacks
Literals = frozenset[tuple[Condition, bool]]
_NOTHING: Literals = frozenset()


@dataclass(frozen=True, slots=True)
class DipTerm:
    """One way of fitting a core row.

    `place`: the row; `layer`: place of its layer; `order`: sorts all terms by precedence. `dx` None = any principal
    diagnosis; `px` None = any or no effective principal procedure, else one of these ("" = none); `combination`
    None = not asked, else all procedures are exactly these; `literals`: conditions on the rest and whether they
    hold. `reason` NONE: the case fits the row; else it fits but for the number that the record lacks.
    """

    place: int
    layer: int
    order: tuple[int, ...]
    dx: Items | None
    px: frozenset[str] | None
    combination: Alternative | None
    literals: Literals
    reason: Reason


@dataclass(frozen=True, slots=True)
class _Way:
    """One way of meeting a procedure cell: how many codes it asks for, and of what."""

    codes: int
    px: frozenset[str] | None = None
    combination: Alternative | None = None
    literals: Literals = _NOTHING


def ordered_terms(rows: Iterable[CoreRow]) -> list[DipTerm]:
    """All terms of core rows by precedence: layer, then the order inside it."""
    rows = tuple(rows)
    orders = sorted({row.layer.order for row in rows})
    place = {order: at for at, order in enumerate(orders)}
    terms = [term for row in rows for term in _terms(row, place[row.layer.order])]
    return sorted(terms, key=lambda term: term.order)


def _terms(row: CoreRow, layer: int) -> Iterator[DipTerm]:
    others = frozenset(_other_conditions(row))
    ways = product(_diagnosis_ways(row), procedure_ways(row.px_mode, row.px), _related_ways(row), _number_ways(row))
    for (length, dx), px, related, (numbers, reason) in ways:
        narrow = (-length, -(px.codes + related.codes)) if row.layer.specific else (0, 0)
        yield DipTerm(
            place=row.place,
            layer=layer,
            order=(layer, *narrow, row.number, row.place),
            dx=dx,
            px=px.px,
            combination=px.combination,
            literals=others | px.literals | related.literals | numbers,
            reason=reason,
        )


def _other_conditions(row: CoreRow) -> Iterator[tuple[Condition, bool]]:
    if row.other:
        yield SomeDiagnosis(row.other, principal=False), True
    if row.anywhere:
        yield SomeDiagnosis(row.anywhere, principal=True), True
    if row.flag:
        yield FlagHolds(row.flag), row.flag_wanted


def _diagnosis_ways(row: CoreRow) -> list[tuple[int, Items | None]]:
    """Length and items of each length that the principal cell has; a cell of any diagnosis has length 0."""
    if row.principal is None:
        return [(0, None)]
    if not row.layer.specific:
        return [(0, row.principal)]
    lengths = dict.fromkeys(item.length for item in row.principal)
    return [(length, tuple(item for item in row.principal if item.length == length)) for length in lengths]


def procedure_ways(mode: str, alternatives: tuple[Alternative, ...]) -> list[_Way]:
    """The ways of meeting a procedure cell in a `px_mode`; alternatives of one code each make one way."""
    if mode == "any":
        return [_Way(0)]
    if mode == "none":
        return [_Way(0, NO_PROCEDURE)]
    if mode == "exact":
        return [_Way(len(codes), combination=codes) for codes in alternatives]
    principal = mode == "principal"
    singles, several = _by_size(alternatives)
    ways: list[_Way] = []
    if singles:
        ways.append(_Way(1, singles) if principal else _Way(1, literals=_has((singles,))))
    for codes in several:
        every = _has(frozenset({code}) for code in codes)
        ways.append(_Way(len(codes), frozenset(codes) if principal else None, literals=every))
    return ways


def _related_ways(row: CoreRow) -> list[_Way]:
    if row.px_mode != "principal" or not row.related:
        return [_Way(0)]
    singles, several = _by_size(row.related)
    sets: list[tuple[int, tuple[frozenset[str], ...]]] = [(1, (singles,))] if singles else []
    sets += [(len(codes), tuple(frozenset({code}) for code in codes)) for codes in several]
    return [_Way(count, literals=_has(wanted, beside=True)) for count, wanted in sets]


def _by_size(alternatives: tuple[Alternative, ...]) -> tuple[frozenset[str], list[Alternative]]:
    """The codes of alternatives of one code, and the alternatives of several."""
    singles = frozenset(codes[0] for codes in alternatives if len(codes) == 1)
    return singles, [codes for codes in alternatives if len(codes) > 1]


def _has(sets: Iterable[frozenset[str]], *, beside: bool = False) -> Literals:
    return frozenset((SomeProcedure(codes, beside), True) for codes in sets)


def _number_ways(row: CoreRow) -> list[tuple[Literals, Reason]]:
    """Ways of meeting the ranges, and of not being refused by them for want of a number; the age tells first."""
    ages = _one_number("XSRTL", row.age_days, (Reason.AGE_DAYS_UNKNOWN, Reason.AGE_UNKNOWN))
    weights = _one_number("XSRTZ", row.birth_weight_g, (Reason.WEIGHT_UNKNOWN,))
    return [(age | weight, first or second) for (age, first), (weight, second) in product(ages, weights)]


def _one_number(field: str, span: Range | None, lacking: tuple[Reason, ...]) -> list[tuple[Literals, Reason]]:
    if span is None:
        return [(_NOTHING, Reason.NONE)]
    met: Literals = frozenset({(InRange(field, span), True)})
    return [(met, Reason.NONE), *((frozenset({(Lacks(reason), True)}), reason) for reason in lacking)]
