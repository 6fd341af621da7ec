"""Filling a box: the fewest and plainest codes, and the likeliest numbers, that make one case of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.boxes import Box, ListLiteral, partition
from benchmarks.formula import PARTNER, Level
from benchmarks.plausible import likely_sex
from benchmarks.scheme_formulas import Codes, SchemeFormulas, bits, lowest
from reference_tables.codes import fold
from reference_tables.packs import DrgPack

LIKELY = {"NL": 40, "XSRTL": 10, "XSRTZ": 3000, "ZYTS": 7, "ICUXS": 0, "XB": 1}
"""The number taken where the rules leave the choice: years, days, grams, days, hours, sex."""


@dataclass(frozen=True)
class Example:
    """One case: numbers (None = unknown), discharge way and department ("" = none), codes principal first.

    `plainness`: code numbers, rising with oddity.
    """

    numbers: Mapping[str, float | None]
    way: str
    department: str
    diagnoses: tuple[str, ...]
    procedures: tuple[str, ...]
    plainness: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int, float, tuple[int, ...]]:
        """Sort key: real principal items first, then fewer codes, an adult before a child, plainer codes."""
        missing = self.diagnoses[:1] == ("",) or self.procedures[:1] == ("",)
        age = self.numbers["NL"] or 0
        return (
            int(missing),
            len(self.diagnoses) + len(self.procedures),
            abs(age - LIKELY["NL"]),
            self.plainness,
        )


@dataclass
class Complications:
    """MCC and CC lists as a principal diagnosis sees them: number of a code -> what its tables leave."""

    diagnoses: Codes
    listed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # level -> (table, mask of codes)
    tables: dict[int, frozenset[str]] = field(default_factory=dict)  # principal -> exclusion tables with it
    _alike: dict[frozenset[str], int] = field(default_factory=dict)
    _seen: dict[tuple[str, frozenset[str]], int] = field(default_factory=dict)

    @classmethod
    def of(cls, pack: DrgPack, diagnoses: Codes) -> Complications:
        found = cls(diagnoses)
        grouped = pack.cc.group_by("level", "exclusion", maintain_order=True).agg("code")
        for level, table, codes in grouped.iter_rows():
            found.listed.setdefault(level, []).append((table or "", diagnoses.mask(codes)))
        holding: dict[int, set[str]] = {}
        for table, code in pack.exclusion.select("exclusion", "code").iter_rows():
            holding.setdefault(diagnoses.number[fold(code)], set()).add(table)
        found.tables = {number: frozenset(tables) for number, tables in holding.items()}
        return found

    def mask(self, level: str, tables: frozenset[str]) -> int:
        """Codes at `level` that a principal diagnosis standing in `tables` leaves in force."""
        key = (level, tables)
        if key not in self._seen:
            self._seen[key] = 0
            for table, mask in self.listed.get(level, []):
                if not table or table not in tables:
                    self._seen[key] |= mask
        return self._seen[key]

    def alike(self) -> dict[frozenset[str], int]:
        """Exclusion tables -> mask of the principal diagnoses that stand in just these."""
        if not self._alike:
            numbers: dict[frozenset[str], list[int]] = {}
            for number, tables in self.tables.items():
                numbers.setdefault(tables, []).append(number)
            for tables, found in numbers.items():
                self._alike[tables] = self.diagnoses.mask(self.diagnoses.names[number] for number in found)
        return self._alike

    def everything(self, level: str) -> int:
        """All codes at `level`, excluded or not."""
        return self.mask(level, frozenset())


_Demand = tuple[str, int, int]  # slot, mask, count


def fill_box(scheme: SchemeFormulas, complications: Complications, box: Box) -> Example | None:
    """The plainest smallest case of a box, or None when no codes can fill it.

    Until one is found of the smallest size any case of the box can have, every principal diagnosis that the
    exclusion tables tell apart is tried, so None is a proof.
    """
    full = scheme.algebra.full
    own = box.inside.get("ZYZD", full["ZYZD"])
    levels = any(isinstance(literal, Level) for literal in (*box.wanted, *box.refused))
    best: Example | None = None
    for principal in _principals(own, complications, apart=levels):
        for procedure in _procedures(box, scheme):
            lists = _smallest_lists(box, complications, principal, procedure)
            if lists is None:
                continue
            example = _example(scheme, box, principal, procedure, lists)
            if best is None or example.size < best.size:
                best = example
            break
        if best is not None and best.size[:2] <= (0, fewest_codes(scheme, box)):
            break
    return best


def fewest_codes(scheme: SchemeFormulas, box: Box) -> int:
    """A number of codes that no case of the box can stay below (one principal diagnosis is always asked)."""
    procedure = box.inside.get("ZYSS", scheme.algebra.full["ZYSS"]) & scheme.procedures.unlisted == 0
    slots = {"QTZD" if isinstance(literal, Level) else literal.slot for literal in box.wanted}
    return 1 + procedure + len(slots)


def _principals(mask: int, complications: Complications, *, apart: bool) -> Iterator[int]:
    if not apart:
        yield lowest(mask)
        return
    seen: set[frozenset[str]] = set()
    for number in bits(mask):
        tables = complications.tables.get(number, frozenset())
        if tables not in seen:
            seen.add(tables)
            yield number


def _procedures(box: Box, scheme: SchemeFormulas) -> Iterator[int]:
    unlisted = scheme.procedures.unlisted
    mask = box.inside.get("ZYSS", scheme.algebra.full["ZYSS"])
    needs_list = any(not isinstance(literal, Level) and literal.slot == "QTSS" for literal in box.wanted)
    if mask & unlisted and not needs_list:
        yield lowest(unlisted)
        return
    distinct = any(not isinstance(literal, Level) and literal.beside for literal in box.wanted)
    listed = mask & ~unlisted
    if listed:
        yield from bits(listed) if distinct else [lowest(listed)]
    if mask & unlisted:
        yield lowest(unlisted)


def _smallest_lists(
    box: Box, complications: Complications, principal: int, procedure: int
) -> dict[str, tuple[int, ...]] | None:
    own = {"ZYZD": principal, "ZYSS": procedure}

    def demand(literal: ListLiteral) -> _Demand:
        if isinstance(literal, Level):
            tables = complications.tables.get(principal, frozenset())
            return ("QTZD", complications.mask(literal.level, tables), 1)
        single = 1 << own[PARTNER[literal.slot]] if literal.beside else 0
        return (literal.slot, literal.mask & ~single, literal.count)

    wanted = [demand(literal) for literal in box.wanted]
    refused = [demand(literal) for literal in box.refused]
    if any(mask.bit_count() < count for _, mask, count in wanted):
        return None
    classes: dict[str, list[int]] = {}
    for slot in PARTNER:
        asked = [mask for name, mask, _ in wanted if name == slot]
        if asked:
            blocks = partition(_union(asked), [mask for name, mask, _ in (*wanted, *refused) if name == slot])
            single = 1 << own[PARTNER[slot]]
            classes[slot] = [block & ~single or block for block in blocks]
    most = sum(count for _, _, count in wanted)
    for size in range(most + 1):
        found = _choose(wanted, refused, classes, dict.fromkeys(PARTNER, ()), size)
        if found is not None:
            return found
    return None


def _union(masks: Sequence[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _met(demands: Sequence[_Demand], chosen: Mapping[str, tuple[int, ...]]) -> list[bool]:
    return [sum(mask >> at & 1 for at in set(chosen[slot])) >= count for slot, mask, count in demands]


def _choose(
    wanted: list[_Demand],
    refused: list[_Demand],
    classes: Mapping[str, list[int]],
    chosen: dict[str, tuple[int, ...]],
    left: int,
) -> dict[str, tuple[int, ...]] | None:
    """Codes for every unmet demand with at most `left` more codes, meeting no refused one."""
    if any(_met(refused, chosen)):
        return None
    met = _met(wanted, chosen)
    if all(met):
        return chosen
    if left == 0:
        return None
    slot, mask, _ = wanted[met.index(False)]
    for block in sorted(classes[slot], key=lowest):
        free = block & ~_union([1 << at for at in chosen[slot]])
        if block & mask and free:
            more = {**chosen, slot: (*chosen[slot], lowest(free))}
            found = _choose(wanted, refused, classes, more, left - 1)
            if found is not None:
                return found
    return None


def _example(
    scheme: SchemeFormulas, box: Box, principal: int, procedure: int, lists: Mapping[str, tuple[int, ...]]
) -> Example:
    def spelled(codes: Codes, first: int, others: tuple[int, ...]) -> tuple[str, ...]:
        names = (codes.names[first], *(codes.names[at] for at in others))
        return () if names == ("",) else names

    numbers = {name: likely_number(scheme, box, name) for name in scheme.numbers}
    likely = likely_sex(scheme.diagnoses.names[principal])
    if likely and box.inside.get("XB", ~0) & scheme.numbers["XB"].compare("=", likely):
        numbers["XB"] = likely
    plainness = (principal, procedure, *lists["QTZD"], *lists["QTSS"])
    way, department = (
        "" if mask & codes.unlisted else codes.names[lowest(mask)]
        for codes, mask in (
            (scheme.ways, box.inside.get("LYFS", scheme.algebra.full["LYFS"])),
            (scheme.departments, box.inside.get("KS", scheme.algebra.full["KS"])),
        )
    )
    diagnoses = spelled(scheme.diagnoses, principal, lists["QTZD"])
    procedures = spelled(scheme.procedures, procedure, lists["QTSS"])
    return Example(numbers, way, department, diagnoses or ("",), procedures, plainness)


def likely_number(scheme: SchemeFormulas, box: Box, name: str) -> float | None:
    """Unknown where the box allows it (age and sex excepted), else the allowed number nearest the likely one."""
    mask = box.inside.get(name, scheme.algebra.full[name])
    if mask & 1 and name not in {"NL", "XB"}:
        return None
    steps = scheme.numbers[name].steps
    likely = LIKELY[name] * steps
    nearest: list[int] = []
    for at in bits(mask & ~1):
        low, high = scheme.numbers[name].interval(at)
        nearest.append(max(low, likely) if high is None else min(max(low, likely), high))
    number = min(nearest, key=lambda value: (abs(value - likely), value))
    return number if steps == 1 else number / steps
