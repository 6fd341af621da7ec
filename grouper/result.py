"""The result of grouping: statuses, reasons, and the columns that every case comes out with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from grouper.compile import Path
from reference_tables.problems import catalogue


class GroupStatus(StrEnum):
    """GROUPED in a real group; AMBIGUOUS in xQY; UNGROUPED in x000 or 0000; INVALID when the input check fails."""

    GROUPED = "GROUPED"
    AMBIGUOUS = "AMBIGUOUS"
    UNGROUPED = "UNGROUPED"
    INVALID = "INVALID"


STATUS_ZH: Mapping[GroupStatus, str] = {
    GroupStatus.GROUPED: "正常入组",
    GroupStatus.AMBIGUOUS: "歧义组",
    GroupStatus.UNGROUPED: "未入组",
    GroupStatus.INVALID: "数据无效",
}


class Reason(StrEnum):
    """Why a case is not GROUPED; the texts stand in the problem catalogue under the same codes."""

    NONE = ""
    SEX_INVALID = "SEX_INVALID"
    AGE_UNKNOWN = "AGE_UNKNOWN"
    AGE_DAYS_UNKNOWN = "AGE_DAYS_UNKNOWN"
    WEIGHT_UNKNOWN = "WEIGHT_UNKNOWN"
    QUALITY_REJECT = "QUALITY_REJECT"
    PRINCIPAL_MISSING = "PRINCIPAL_MISSING"
    PRINCIPAL_UNKNOWN = "PRINCIPAL_UNKNOWN"
    PRINCIPAL_GRAY = "PRINCIPAL_GRAY"
    PRINCIPAL_BLOCKED = "PRINCIPAL_BLOCKED"
    CONDITION_NOT_MET = "CONDITION_NOT_MET"
    NO_MDC = "NO_MDC"
    NO_ADRG = "NO_ADRG"
    OPERATION_UNRELATED = "OPERATION_UNRELATED"
    NO_DIP_GROUP = "NO_DIP_GROUP"


RESULT_SCHEMA: dict[str, pl.DataType] = {
    "row": pl.UInt32(),
    "case_id": pl.String(),
    "status": pl.String(),
    "reason": pl.String(),
    "reason_zh": pl.String(),
    "mdc": pl.String(),
    "adrg": pl.String(),
    "drg": pl.String(),
    "name": pl.String(),
    "severity": pl.String(),
    "used_codes": pl.String(),
}
UNGROUPED_NAME = "未入组"
AMBIGUOUS_NAME = "歧义组"
INVALID_NAME = "数据无效"
MDC = "MDC"


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer of a scheme."""

    mdc: str
    adrg: str
    drg: str
    name: str
    status: GroupStatus
    reason: Reason


def answer_of_path(path: Path) -> Answer:
    """A path as an answer: xQY is ambiguous, x00 is ungrouped, every other row is a real group."""
    kind = path.adrg[1:]
    if kind == "QY":
        status, reason, label = GroupStatus.AMBIGUOUS, Reason.OPERATION_UNRELATED, AMBIGUOUS_NAME
    elif kind in {"00", "0"} or path.drg == "0000":
        status, reason, label = GroupStatus.UNGROUPED, Reason.NO_ADRG, UNGROUPED_NAME
    else:
        status, reason, label = GroupStatus.GROUPED, Reason.NONE, ""
    return Answer(path.mdc, path.adrg, path.drg, path.name or label, status, reason)


def ungrouped_answer(meta: Mapping[str, str]) -> Answer:
    """What nothing matches: 0000, or what `meta.csv` says."""
    return _stated(meta, "ungrouped", UNGROUPED_NAME, GroupStatus.UNGROUPED, Reason.NO_MDC)


def invalid_answer(meta: Mapping[str, str]) -> Answer:
    """What the input check refuses: 0000, or what `meta.csv` says (an empty value is an empty answer)."""
    return _stated(meta, "invalid", INVALID_NAME, GroupStatus.INVALID, Reason.NONE)


def _stated(meta: Mapping[str, str], kind: str, name: str, status: GroupStatus, reason: Reason) -> Answer:
    default = {"mdc": "0000", "adrg": "00", "drg": "0000"}
    mdc, adrg, drg = (meta.get(f"{kind}_{level}", code) for level, code in default.items())
    return Answer(mdc, adrg, drg, name, status, reason)


def reason_text(code: str, entry: str = MDC) -> str:
    """The Chinese text of a reason or of a reading problem; blank for no reason. `entry`: what a case of the scheme
    comes into by its principal diagnosis, as the text calls it."""
    kind = catalogue().get(code)
    if kind is None:
        return ""
    return kind.reason or kind.message.format_map({**dict.fromkeys(kind.arguments, "…"), "entry": entry})
