"""The parts of a DIP trace: why one case came into its core or mixed group, as plain values.

Every text a person reads is made from these values elsewhere (`grouper.dip.trace_text`); nothing here is prose, and
`DipTrace.to_dict()` is ready for JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from grouper.dip.reader import ProcedureStep
from grouper.trace_model import CaseFacts, Hit, SchemeFacts, to_plain


class PrincipalStep(StrEnum):
    """What the scheme makes of the principal diagnosis: ACCEPTED; MISSING there is none; EXCLUDED the scheme lists it
    as no principal diagnosis for grouping."""

    ACCEPTED = "ACCEPTED"
    MISSING = "MISSING"
    EXCLUDED = "EXCLUDED"


class ConditionStep(StrEnum):
    """How a condition of a row came out: MET, NOT_MET, or UNKNOWN, it asks for a number that the record lacks."""

    MET = "MET"
    NOT_MET = "NOT_MET"
    UNKNOWN = "UNKNOWN"


class RowStep(StrEnum):
    """What came of a row: WON it is the group; BEATEN it fits and another row comes before it; FAILED some condition
    is not met; OPEN all that can be known is met, but a number is unknown."""

    WON = "WON"
    BEATEN = "BEATEN"
    FAILED = "FAILED"
    OPEN = "OPEN"


class Precedence(StrEnum):
    """Why one fitting row comes before another: its diagnosis item is narrower; it asks for more procedure codes; its
    number is lower; it stands earlier in the table."""

    NARROWER_DIAGNOSIS = "NARROWER_DIAGNOSIS"
    MORE_PROCEDURES = "MORE_PROCEDURES"
    LOWER_NUMBER = "LOWER_NUMBER"
    EARLIER_ROW = "EARLIER_ROW"


class LayerStep(StrEnum):
    """How a layer ended: WON one of its rows is the group; NOTHING_FITS the next layer is tried; UNDECIDED the row
    that comes first cannot be decided for want of a number, so the case is invalid."""

    WON = "WON"
    NOTHING_FITS = "NOTHING_FITS"
    UNDECIDED = "UNDECIDED"


class NoCore(StrEnum):
    """Why no core group took the case: DIAGNOSIS_NOT_LISTED no row of a layer lists the principal diagnosis;
    PROCEDURE_NOT_LISTED rows do, none of them with the effective principal procedure; NO_CONSERVATIVE_ROW the case
    has no such procedure and none of these rows is for conservative treatment; CONDITIONS_NOT_MET diagnosis and
    procedure are listed together, and other conditions are not met."""

    DIAGNOSIS_NOT_LISTED = "DIAGNOSIS_NOT_LISTED"
    PROCEDURE_NOT_LISTED = "PROCEDURE_NOT_LISTED"
    NO_CONSERVATIVE_ROW = "NO_CONSERVATIVE_ROW"
    CONDITIONS_NOT_MET = "CONDITIONS_NOT_MET"


class NatureFrom(StrEnum):
    """What the nature of the case's treatment rests on: NO_PROCEDURE there is no effective principal procedure; SCHEME
    the scheme's own table; BOOK the category of the procedure code book; DEFAULT neither knows the procedure."""

    NO_PROCEDURE = "NO_PROCEDURE"
    SCHEME = "SCHEME"
    BOOK = "BOOK"
    DEFAULT = "DEFAULT"


@dataclass(frozen=True, slots=True)
class CleanedProcedure:
    """A recorded procedure and what became of it in the search for the effective principal one. `asked`: the principal
    diagnoses with which alone the scheme takes it, as published ("" = not so listed)."""

    place: int
    code: str
    step: ProcedureStep
    asked: str


@dataclass(frozen=True, slots=True)
class ConditionResult:
    """One condition of a row: the column of core.csv with its cell as published, how it came out, the codes that met
    it (a hit's `set` is the item or alternative met); `value`: the number asked for, None = unknown or no number."""

    column: str
    asked: str
    step: ConditionStep
    hits: tuple[Hit, ...]
    value: int | None


@dataclass(frozen=True, slots=True)
class TriedRow:
    """A core group held against the case, with all its conditions.

    `place`: in the table; `listed`: it names the principal diagnosis (not just any); `px_mode` as in core.csv;
    `item_length` and `procedure_codes`: how narrow the met diagnosis item is and how many procedure codes were asked
    for (0 unless all conditions are met or open); `beaten_by`: why the first row of the layer comes before this one,
    which fits as well, else "".
    """

    layer: str
    code: str
    name: str
    number: int
    place: int
    listed: bool
    px_mode: str
    conditions: tuple[ConditionResult, ...]
    item_length: int
    procedure_codes: int
    step: RowStep
    beaten_by: str


@dataclass(frozen=True, slots=True)
class LayerWalk:
    """One layer: `precedence` as in layer.csv, how many rows fit, how it ended, the rows in the order of the table.
    `first`: place of the row that comes before all others that fit or are open, None = there is none."""

    code: str
    name: str
    precedence: str
    rows_fit: int
    step: LayerStep
    first: int | None
    rows: tuple[TriedRow, ...]


@dataclass(frozen=True, slots=True)
class MixedWalk:
    """The search for a mixed group: nature (1 to 4) of the treatment, its label, what it rests on (`category`: what the
    code book says), the levels asked, and the group: code "" = none, `level` and `scope` of its row."""

    nature: int
    label: str
    nature_from: NatureFrom
    category: str
    tried: tuple[str, ...]
    level: str
    scope: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class LevelFact:
    """A level of the auxiliary catalog in which the case stands. `factor`: the correction factor that the table has for
    this group and level (None = none), `own`: by a row of the group itself and not of every group; `applied`: it is
    the highest, the one the score is multiplied by."""

    dimension: str
    level: str
    name: str
    factor: Decimal | None
    own: bool
    applied: bool


@dataclass(frozen=True, slots=True)
class DipFinal:
    """What the case is answered with; the fields mean what the columns of the same name mean in a result."""

    status: str
    reason: str
    kind: str
    layer: str
    dip: str
    name: str
    base_score: Decimal | None
    auxiliary: str
    factor: Decimal | None
    score: Decimal | None
    primary_care: bool
    rows_fit: int
    used_codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DipTrace:
    """The whole explanation of one case. `effective`: place of the effective principal procedure, None = conservative;
    `layers`: those that were asked, in order; `no_core` "" when one of them won or the case never came to them;
    `mixed` None likewise; `primary_care`: numbers of the primary-care rows that mark the case; `levels`: of the
    auxiliary catalog."""

    scheme: SchemeFacts
    case: CaseFacts
    principal: PrincipalStep
    procedures: tuple[CleanedProcedure, ...]
    effective: int | None
    layers: tuple[LayerWalk, ...]
    no_core: str
    mixed: MixedWalk | None
    primary_care: tuple[str, ...]
    levels: tuple[LevelFact, ...]
    answer: DipFinal

    def to_dict(self) -> dict[str, Any]:
        """The trace as dicts, lists, strings, numbers, booleans and None; decimals as text."""
        plain: dict[str, Any] = to_plain(self)
        return plain
