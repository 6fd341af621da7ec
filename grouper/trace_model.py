"""The parts of a trace: why one case was answered as it was, as plain values that machines read by code and field.

Every text a person reads is made from these values elsewhere (`trace_text`); nothing here is prose, and
`Trace.to_dict()` is ready for JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from reference_tables.packs import Pack

RowLevel = Literal["mdc", "adrg", "drg"]
CodeKind = Literal["dx", "px"]


class AtomStep(StrEnum):
    """How one condition of a rule came out on the case, before its own `not in`.

    IN_SET some code is in some of the sets, or counts at the level; NOT_IN_SET none is; NO_CODE the fields
    hold no code at all; EXCLUDED a code is listed at the level, but the principal diagnosis stands in its
    exclusion table; NUMBER_* and COUNT_* the comparison with the threshold (an unknown number meets none).
    """

    IN_SET = "IN_SET"
    NOT_IN_SET = "NOT_IN_SET"
    NO_CODE = "NO_CODE"
    EXCLUDED = "EXCLUDED"
    NUMBER_MET = "NUMBER_MET"
    NUMBER_NOT_MET = "NUMBER_NOT_MET"
    NUMBER_UNKNOWN = "NUMBER_UNKNOWN"
    COUNT_MET = "COUNT_MET"
    COUNT_NOT_MET = "COUNT_NOT_MET"


class RowStep(StrEnum):
    """What trying a row led to: FAILED its rule is false; OPENED it leads to the answer; PASSED_OVER its rule
    is true and nothing inside it fits, so the walk went on; TAKEN the DRG that is the answer."""

    FAILED = "FAILED"
    OPENED = "OPENED"
    PASSED_OVER = "PASSED_OVER"
    TAKEN = "TAKEN"


class WalkStep(StrEnum):
    """How a walk through the scheme ended: ANSWERED in a group; UNGROUPED in a row that stands for 0000;
    NOTHING_MATCHED no row took the case; BARRED not walked, the scheme bars the principal diagnosis."""

    ANSWERED = "ANSWERED"
    UNGROUPED = "UNGROUPED"
    NOTHING_MATCHED = "NOTHING_MATCHED"
    BARRED = "BARRED"


@dataclass(frozen=True, slots=True)
class Triple:
    """MDC, ADRG and DRG code of an answer."""

    mdc: str
    adrg: str
    drg: str


@dataclass(frozen=True, slots=True)
class SchemeFacts:
    """The scheme that answered; `data_level` official, reference, synthetic or unverified."""

    id: str
    version: str
    name: str
    data_level: str
    sha256: str
    newborn_weight: str


@dataclass(frozen=True, slots=True)
class Use:
    """A code met a condition of a row on the way to the answer: in which role, through which set (or level)."""

    row: str
    role: str
    set: str


@dataclass(frozen=True, slots=True)
class CodeFact:
    """One code of the case. `place` 0 is the principal; `role` ZYZD, QTZD, ZYSS or QTSS; `official` the book's
    spelling and `name` its name ("" when the book has none); `known`: book or scheme has it; `gray`: a
    placeholder code; `repeated`: it stands earlier in the same list; `uses`: empty when it had no part in
    the answer."""

    place: int
    role: str
    code: str
    official: str
    name: str
    known: bool
    gray: bool
    repeated: bool
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class NumberFact:
    """A number the rules may ask for: field of the rule language, canonical column, value (None = unknown)."""

    field: str
    column: str
    value: int | float | None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What the record says, as far as grouping reads it."""

    row: int | None
    case_id: str | None
    defect: str | None
    numbers: tuple[NumberFact, ...]
    discharge_way: str
    department: str
    diagnoses: tuple[CodeFact, ...]
    procedures: tuple[CodeFact, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One point of the input check; `code` is the reason a case is INVALID when it does not pass."""

    code: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A code that is in a set: the field it stood in for the rule, its place in the case's list, the set or level."""

    field: str
    place: int
    code: str
    set: str


@dataclass(frozen=True, slots=True)
class ExcludedCode:
    """An other diagnosis listed at a level that does not count: the exclusion table holds the principal."""

    place: int
    code: str
    level: str
    table: str


@dataclass(frozen=True, slots=True)
class MemberResult:
    """`vars in sets`. `result` has `negated` applied; `asked`: the rule wants a code to be in the set."""

    step: AtomStep
    result: bool
    asked: bool
    fields: tuple[str, ...]
    sets: tuple[str, ...]
    negated: bool
    hits: tuple[Hit, ...]
    excluded: tuple[ExcludedCode, ...]
    kind: Literal["member"] = "member"


@dataclass(frozen=True, slots=True)
class CompareResult:
    """`number operator threshold`; `value` None = unknown."""

    step: AtomStep
    result: bool
    asked: bool
    field: str
    operator: str
    threshold: int
    value: int | float | None
    kind: Literal["compare"] = "compare"


@dataclass(frozen=True, slots=True)
class CountResult:
    """`length(SET ∩ vars) operator threshold`; `count` different codes, all places that hold them in `hits`."""

    step: AtomStep
    result: bool
    asked: bool
    set: str
    fields: tuple[str, ...]
    operator: str
    threshold: int
    count: int
    hits: tuple[Hit, ...]
    kind: Literal["count"] = "count"


AtomResult = MemberResult | CompareResult | CountResult


@dataclass(frozen=True, slots=True)
class TriedRow:
    """One row of the scheme put to the case. `rule` as published; `atoms` all its conditions, left to right;
    `grounds`: places in `atoms` of those that decided: what met a true rule, the first condition that failed
    a false one (of several alternatives the nearest to being met, `alternatives` = how many there were)."""

    level: RowLevel
    code: str
    name: str
    parent: str
    rule: str
    step: RowStep
    result: bool
    atoms: tuple[AtomResult, ...]
    grounds: tuple[int, ...]
    alternatives: int


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk MDC -> ADRG -> DRG. `trial` 0 is the case as it is; later ones are retries with the procedure at
    `place` as the only one. `rows` in the order tried; `answer` None when nothing matched."""

    trial: int
    place: int
    procedure: str
    step: WalkStep
    rows: tuple[TriedRow, ...]
    answer: Triple | None


@dataclass(frozen=True, slots=True)
class Complication:
    """One row of the complication list about one other diagnosis. `table` "" = never excluded; `excluded`: the
    principal diagnosis is in `table`; `decided`: it met a condition of the rules that took the case."""

    place: int
    code: str
    name: str
    level: str
    table: str
    excluded: bool
    decided: bool


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """What the case is answered with; `severity` MCC, CC or "": the level by which the rules were met."""

    status: str
    reason: str
    mdc: str
    adrg: str
    drg: str
    name: str
    severity: str
    used_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """The whole explanation of one case. `ungrouped` and `invalid` are what the scheme answers when nothing
    matches and when the input check fails; `retries`: it tries other procedures alone; `barred`: it does not
    accept this principal diagnosis."""

    scheme: SchemeFacts
    case: CaseFacts
    checks: tuple[Check, ...]
    retries: bool
    barred: bool
    walks: tuple[Walk, ...]
    complications: tuple[Complication, ...]
    ungrouped: Triple
    invalid: Triple
    answer: FinalAnswer

    def to_dict(self) -> dict[str, Any]:
        """The trace as dicts, lists, strings, numbers, booleans and None."""
        plain: dict[str, Any] = to_plain(self)
        return plain


def scheme_facts(pack: Pack) -> SchemeFacts:
    """What a trace says of the scheme behind it."""
    return SchemeFacts(pack.id, pack.version, pack.name, pack.data_level, pack.sha256, pack.newborn_weight)


def to_plain(value: Any) -> Any:
    """Dataclasses as dicts, tuples as lists, enumerated codes and decimals as their text; everything else as it is."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Decimal):
        return str(value)
    return value.value if isinstance(value, StrEnum) else value
