"""What stands in the way of a clearing's approval, all of it at once: what has changed since its draft, hospitals that
have disputed it or said nothing, submissions that no settlement has taken.

It is looked at in the writing transaction that approves the draft: no document, answer or submission comes in between.
What comes later is told that the clearing does not hold it, or waits until it is decided (`submissions.entry_first`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import orjson
import sqlalchemy as sa

from api.service.basis import basis_of
from api.service.context import Service
from api.service.decisions import list_name
from api.service.documents import KINDS, DocumentInfo, Stand, list_documents, stand_of, standing
from api.service.office_work import DECISIONS, YEAR_FILE, book_of, year_file_name
from api.service.runs import DISPUTED, RunInfo, answers
from api.service.submissions import Unsettled, unsettled
from reference_tables.problems import Problem, TablesRefused

_MOST_NAMED = 10
_DECIDING = {"policy": "支付政策", "scheme": "分组方案", "weights": "权重（分值）表"}
"""What is in force and decides a clearing, by its name in a basis; the register of hospitals decides none."""
_IN_PROOF = {
    "program": "程序", "policy": "支付政策", "earlier_policies": "年内较早的政策", "year_file": "年度文件",
    "pack": "分组方案", "weights": "权重（分值）表", "code_books": "编码库", "cases": "账册（有结算、更正或撤回）",
    "lists": "特例单议评议结果",
}  # fmt: skip
"""What decides a clearing, by its name in the proof."""


def check_approval(
    service: Service, connection: sa.Connection, found: RunInfo, reason: str, *, anyway: bool, unsettled_reason: str
) -> list[Unsettled]:  # fmt: skip
    """May a draft be approved, and what is left unsettled by it, for the reason given?

    Raises TablesRefused with all that stands in the way: SV36 changed since, SV54 disputed, SV55 not answered (both
    but for `anyway` with a reason), SV78 not settled; BookRefused, NotTaken (SV03) for a book that cannot be used.
    """
    problems = []
    changed = _changed(service, connection, found)
    if changed:
        problems.append(draft_outdated(found, changed))
    if not (anyway and reason.strip()):
        problems += _answered(connection, found)
    left = unsettled(connection, found.year)
    if left and not unsettled_reason.strip():
        problems.append(_left(found, left))
    if problems:
        raise TablesRefused(found.id, problems)
    return left


def draft_outdated(found: RunInfo, changed: Sequence[str]) -> Problem:
    """A draft that is not what would be cleared now: what has changed since (SV36)."""
    return Problem("SV36", {"value": found.id, "changed": "；".join(changed)}, value=found.id)


def changed_inputs(was: Mapping[str, Any], deciding: Mapping[str, object]) -> list[str]:
    """What decides a clearing otherwise than it did in a proof, by name."""
    now = orjson.loads(orjson.dumps(deciding))
    return [word for name, word in _IN_PROOF.items() if was.get(name) != now.get(name)]


def _changed(service: Service, connection: sa.Connection, found: RunInfo) -> list[str]:
    """What has changed since the draft of what would decide it now, by content: what is as it was again has not."""
    if "asked" not in found.proof:
        return ["草稿没有记下所依据的文件"]
    now, was = standing(connection), stand_of(connection, found.proof["asked"]["documents"])
    words = []
    if book_of(service, found.year).settled_seal != found.proof["cases"][0]["sha256"]:
        words.append(_IN_PROOF["cases"])
    named = [(YEAR_FILE, year_file_name(found.year)), (DECISIONS, list_name(service, was, found.year))]
    for kind, name in named:
        words += _other_version(connection, kind, name, was.latest(kind, name), now.latest(kind, name))
    for name in found.proof["asked"]["policies"]:
        words += _other_version(connection, "policy", name, was.named("policy", name), now.named("policy", name))
    return words + _other_basis(service, connection, found, now)


def _other_version(
    connection: sa.Connection, kind: str, name: str, was: DocumentInfo | None, now: DocumentInfo | None
) -> list[str]:  # fmt: skip
    if (was and was.sha256) == (now and now.sha256):
        return []
    if now is None or was is None:
        return [f"{KINDS[kind]} {name} {'已删除' if now is None else '是新放入的'}"]
    since = (item for item in list_documents(connection, now.kind) if item.name == name and item.version > was.version)
    reasons = [item.reason for item in since if item.reason.strip()]
    why = f"（理由：{'、'.join(reasons[-_MOST_NAMED:])}）" if reasons else ""
    return [f"{KINDS[kind]} {name} 已是第 {now.version} 版，草稿依据第 {was.version} 版{why}"]


def _other_basis(service: Service, connection: sa.Connection, found: RunInfo, stand: Stand) -> list[str]:
    """Policy, scheme and weights in force that are others by now. A policy that does not hold at the year's end, such
    as the next year's, clears another year: what is in force with it says nothing of this one."""
    basis, end = basis_of(service, connection, stand), date(found.year, 12, 31)
    if basis.policy.outside(end, end) is not None:
        return []
    was, now = found.made_with["basis"], basis.about
    return [
        f"{word} {now.get(kind, '无')}（草稿依据 {was.get(kind, '无')}）"
        if was.get(kind) != now.get(kind) else f"{word} {now[kind]} 的内容"
        for kind, word in _DECIDING.items() if was.get(f"{kind}_sha256") != now.get(f"{kind}_sha256")
    ]  # fmt: skip


def _answered(connection: sa.Connection, found: RunInfo) -> list[Problem]:
    """Hospitals that have not confirmed the draft."""
    said = {item["hospital_id"]: item["state"] for item in answers(connection, found.id)}
    hospitals = sorted({row["hospital"] for row in found.summary.get("statement", ())})
    disputed = [name for name in hospitals if said.get(name) == DISPUTED]
    silent = [name for name in hospitals if name not in said]
    return [
        Problem(code, {"value": found.id, "hospitals": _some(names, "家")}, value=found.id)
        for code, names in (("SV54", disputed), ("SV55", silent)) if names
    ]  # fmt: skip


def some_left(left: Sequence[Unsettled]) -> str:
    """What is left unsettled, in words."""
    return _some([f"{item.hospital} {len(item.submissions)} 份（{item.cases} 例）" for item in left], "家")


def _left(found: RunInfo, left: Sequence[Unsettled]) -> Problem:
    """Submissions that would wait in vain."""
    args: dict[str, str | int] = {
        "value": found.id, "waiting": some_left(left),
        "submissions": _some([name for item in left for name in item.submissions], "份"),
    }  # fmt: skip
    return Problem("SV78", args, field="unsettled_reason", value=found.id)


def _some(names: Sequence[str], unit: str) -> str:
    return "、".join(names[:_MOST_NAMED]) + (f" 等 {len(names)} {unit}" if len(names) > _MOST_NAMED else "")
