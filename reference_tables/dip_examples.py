"""Example cases for rows of a DIP pack: whether a case fits a row and how narrowly, and cases that two rows may share.

Conditions as `CoreRow` has them; order of precedence: the longer diagnosis item, then more required procedure codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from reference_tables.dip_cells import (
    Alternative,
    CellError,
    DiagnosisItem,
    as_published,
    categories_between,
    diagnosis_items,
    spelled,
)
from reference_tables.dip_rows import CoreRow, Range
from reference_tables.dip_tables import DipTables

_WIDE = 64
_NOT_SHARED = -1


class Narrowness(NamedTuple):
    """How narrowly a row fits a case: `length` of the narrowest matching diagnosis item (0 = any diagnosis), most
    `codes` of procedures that a matching alternative requires, related ones included."""

    length: int
    codes: int


@dataclass(frozen=True, slots=True)
class ExampleCase:
    """A case made up for comparison, codes as `spelled`; principal "" = a diagnosis that no list names. The first
    procedure is the principal one as recorded; a number is None where no row asks for it."""

    principal: str
    others: tuple[str, ...]
    procedures: tuple[str, ...]
    age_days: int | None
    birth_weight_g: int | None

    def __str__(self) -> str:
        parts = [f"主要诊断 {self.principal or '任意'}"]
        parts += [f"其他诊断 {'、'.join(self.others)}"] if self.others else []
        parts.append(f"手术操作 {'、'.join(self.procedures)}" if self.procedures else "无手术操作")
        parts += [f"日龄 {self.age_days} 天"] if self.age_days is not None else []
        parts += [f"出生体重 {self.birth_weight_g} 克"] if self.birth_weight_g is not None else []
        return as_published("，".join(parts))


@dataclass(frozen=True, slots=True)
class FitRules:
    """What fitting needs beside the rows: `flags` -> items for the principal and for the other diagnoses;
    `excluded_px` -> rule and admitting diagnoses, `conservative` those of that rule; `ends`: a conservative procedure
    in first place makes the whole case conservative; `excluded_dx`: never a principal diagnosis."""

    flags: Mapping[str, tuple[tuple[DiagnosisItem, ...], tuple[DiagnosisItem, ...]]]
    excluded_px: Mapping[str, tuple[str, tuple[DiagnosisItem, ...]]]
    conservative: frozenset[str]
    ends: bool
    excluded_dx: frozenset[str]


def read_fit_rules(tables: DipTables, *, ends: bool) -> FitRules:
    """The rules that the readable rows of the tables give; of a repeated procedure the first row."""
    flags: dict[str, tuple[list[DiagnosisItem], list[DiagnosisItem]]] = {}
    for _, _, flag, role, cell in tables.each("flag", "flag", "role", "item"):
        flags.setdefault(flag, ([], []))[role != "principal"].extend(_items(cell))
    excluded: dict[str, tuple[str, tuple[DiagnosisItem, ...]]] = {}
    for _, _, code, rule, cell in tables.each("excluded_px", "code", "rule", "principal_dx"):
        excluded.setdefault(spelled(code), (rule, _items(cell)))
    return FitRules(
        flags={flag: (tuple(principal), tuple(other)) for flag, (principal, other) in flags.items()},
        excluded_px=excluded,
        conservative=frozenset(code for code, (rule, _) in excluded.items() if rule == "conservative"),
        ends=ends,
        excluded_dx=frozenset(spelled(code) for code in tables.frames["excluded_dx"]["code"]),
    )


def _items(cell: str) -> tuple[DiagnosisItem, ...]:
    try:
        return diagnosis_items(cell)
    except CellError:
        return ()


def fit_of(row: CoreRow, case: ExampleCase, rules: FitRules) -> Narrowness | None:
    """How narrowly `row` fits `case`; None when it does not."""
    if case.principal in rules.excluded_dx or not _diagnoses_fit(row, case, rules):
        return None
    if not (_inside(case.age_days, row.age_days) and _inside(case.birth_weight_g, row.birth_weight_g)):
        return None
    length = 0
    if row.principal is not None:
        length = max((item.length for item in row.principal if item.matches(case.principal)), default=-1)
    codes = _required_codes(row, case, rules)
    return None if length < 0 or codes is None else Narrowness(length, codes)


def _diagnoses_fit(row: CoreRow, case: ExampleCase, rules: FitRules) -> bool:
    if row.other and not _any_under(case.others, row.other):
        return False
    if row.anywhere and not _any_under((case.principal, *case.others), row.anywhere):
        return False
    if not row.flag:
        return True
    principal, other = rules.flags[row.flag]
    return (_any_under((case.principal,), principal) or _any_under(case.others, other)) == row.flag_wanted


def _any_under(codes: Iterable[str], items: Iterable[DiagnosisItem]) -> bool:
    return any(item.matches(code) for code in codes for item in items)


def _inside(number: int | None, limits: Range | None) -> bool:
    if limits is None:
        return True
    low, high = limits
    return number is not None and (low is None or low <= number) and (high is None or number <= high)


def _effective(case: ExampleCase, rules: FitRules) -> int | None:
    """Place of the effective principal procedure among the recorded ones; None = conservative treatment."""
    for place, code in enumerate(case.procedures):
        rule, items = rules.excluded_px.get(code, ("", ()))
        if not rule or (rule == "with_principal" and _any_under((case.principal,), items)):
            return place
        if rule == "conservative" and rules.ends:
            return None
    return None


def _required_codes(row: CoreRow, case: ExampleCase, rules: FitRules) -> int | None:
    """Most procedure codes that a matching alternative requires; None when no alternative matches."""
    if row.px_mode == "any":
        return 0
    place = _effective(case, rules)
    if row.px_mode == "none":
        return 0 if place is None else None
    recorded = frozenset(case.procedures)
    if row.px_mode == "anywhere":
        return _most(row.px, recorded)
    if place is None:
        return None
    if row.px_mode == "exact":
        asked = recorded - rules.conservative
        return max((len(codes) for codes in row.px if asked == frozenset(codes)), default=None)
    first = case.procedures[place]
    codes = _most([codes for codes in row.px if first in codes], recorded)
    related = 0
    if codes is not None and row.related:
        others = frozenset(case.procedures[:place] + case.procedures[place + 1 :])
        found = _most(row.related, others)
        if found is None:
            return None
        related = found
    return None if codes is None else codes + related


def _most(alternatives: Iterable[Alternative], recorded: frozenset[str]) -> int | None:
    return max((len(codes) for codes in alternatives if recorded.issuperset(codes)), default=None)


def example_cases(one: CoreRow, two: CoreRow, rules: FitRules) -> Iterator[ExampleCase]:
    """Cases that both rows may fit: if there is a case that both fit equally, it is among these or one of these is
    like it. Whether one fits, `fit_of` tells.

    Every list of a row is met by its first item that no unwanted flag forbids, the principal diagnosis by each
    place where an item of one row meets an item of the other, the procedures by each two alternatives, which in a
    layer of precedence `specific` require the same number of codes.
    """
    if one.flag and one.flag == two.flag and one.flag_wanted != two.flag_wanted:
        return
    age = _shared_number(one.age_days, two.age_days, 0)
    weight = _shared_number(one.birth_weight_g, two.birth_weight_g, 1)
    if _NOT_SHARED in (age, weight):
        return
    principals = list(_principals(one, two, rules))
    others = list(_other_diagnoses(one, two, rules))
    for recorded in _procedure_lists(one, two, rules):
        for principal, other in product(principals, others):
            yield ExampleCase(principal, other, recorded, age, weight)


def _shared_number(one: Range | None, two: Range | None, least: int) -> int | None:
    """A number of at least `least` inside both ranges, None when neither asks, _NOT_SHARED when there is none."""
    given = [limits for limits in (one, two) if limits is not None]
    if not given:
        return None
    low = max(least, *(limits[0] or 0 for limits in given))
    high = min((limits[1] for limits in given if limits[1] is not None), default=low)
    return low if low <= high else _NOT_SHARED


def _principals(one: CoreRow, two: CoreRow, rules: FitRules) -> Iterator[str]:
    """Principal diagnoses that may fall under both rows."""
    if one.principal is None or two.principal is None:
        items = one.principal or two.principal
        found = [code for item in items or () for code in item_codes(item)] or [""]
    else:
        found = [code for a in one.principal for b in two.principal for code in shared_codes(a, b)]
    extra = [rules.flags[row.flag][0] for row in (one, two) if row.flag]
    codes = {code for row in (one, two) for alternative in row.px for code in alternative}
    extra += [rules.excluded_px[code][1] for code in sorted(codes) if code in rules.excluded_px]
    yield from dict.fromkeys([*found, *(code for items in extra for item in items for code in item_codes(item))])


def item_codes(item: DiagnosisItem) -> tuple[str, ...]:
    """Codes under an item, the item's own spelling, with every category of a narrow range."""
    if item.whole or item.low == item.high:
        return (str(item),)
    between = list(categories_between(item.low, item.high))
    inner = between if len(between) <= _WIDE else []
    return tuple(code for code in dict.fromkeys([item.low, *inner, item.high]) if item.matches(code))


def shared_codes(one: DiagnosisItem, two: DiagnosisItem) -> tuple[str, ...]:
    """Codes under both items: none when they do not meet."""
    mark = "" if one.whole or two.whole else one.mark or two.mark
    ends = dict.fromkeys(end + mark for end in (one.low, two.low, one.high, two.high))
    return tuple(code for code in ends if one.matches(code) and two.matches(code))


def _other_diagnoses(one: CoreRow, two: CoreRow, rules: FitRules) -> Iterator[tuple[str, ...]]:
    """Lists of other diagnoses that meet what both rows ask of them, without and with those of a wanted flag."""
    forbidden = [item for row in (one, two) if row.flag and not row.flag_wanted for item in rules.flags[row.flag][1]]
    wanted = [rules.flags[row.flag][1] for row in (one, two) if row.flag and row.flag_wanted]
    asked = [items for row in (one, two) for items in (row.other, row.anywhere) if items]
    for lists in ([*asked], [*asked, *wanted]):
        chosen: dict[str, None] = {}
        for items in lists:
            allowed = (code for item in items for code in item_codes(item) if not _any_under((code,), forbidden))
            code = next(allowed, None)
            if code is not None:
                chosen[code] = None
        yield tuple(chosen)
        if not wanted:
            return


def _procedure_lists(one: CoreRow, two: CoreRow, rules: FitRules) -> Iterator[tuple[str, ...]]:
    """Recorded procedures that may meet both rows, the effective principal one first."""
    modes = {one.px_mode, two.px_mode}
    if "none" in modes and modes & {"principal", "exact"}:
        return
    conservative = "" if "principal" in modes else min(rules.conservative, default="")
    for first, px, px_2, others in _pairs_of_alternatives(one, two):
        both = {*px, *px_2}
        asking = [set(codes) for row, codes in ((one, px), (two, px_2)) if row.px_mode == "principal"]
        for code in [first] if first else sorted(set.intersection(*asking) if asking else both):
            yield (code, *sorted((both - {code}) | others))
        if not asking:
            yield tuple(sorted(both))
            if conservative and both:
                yield (conservative, *sorted(both - {conservative}))


_Wanted = tuple[Alternative, Alternative]


def _pairs_of_alternatives(one: CoreRow, two: CoreRow) -> Iterator[tuple[str, Alternative, Alternative, set[str]]]:
    """An alternative of each row with the related codes of both; in a layer of precedence `specific` only such that
    require the same number of codes. Where both rows ask for the principal procedure, only such that may share it,
    which comes first ("" = not settled)."""
    principal = one.px_mode == two.px_mode == "principal"
    partners: dict[tuple[int, str], list[_Wanted]] = {}
    for px, related in _wanted(two):
        size = len(px) + len(related) if two.layer.specific else 0
        for code in px if principal else ("",):
            partners.setdefault((size, code), []).append((px, related))
    for px, related in _wanted(one):
        size = len(px) + len(related) if one.layer.specific else 0
        for code in px if principal else ("",):
            for px_2, related_2 in partners.get((size, code), ()):
                yield code, px, px_2, {*related, *related_2}


def _wanted(row: CoreRow) -> Iterator[_Wanted]:
    """Each alternative with each related one; nothing asked is the empty one."""
    return product(row.px or ((),), row.related or ((),))
