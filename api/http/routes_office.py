"""The office's work: monthly settlements, year-end clearings from draft to locked, and what came of all runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from api.core.file_names import statement_name
from api.http.answers import Answer, Asked, IdPath, Job, KeyHeader, Limit, Page
from api.http.choices import CaseFiles, Choosing, DocumentName
from api.http.deps import Allowed, ServiceHere
from api.http.downloads import attached, media_type
from api.http.errors import Refused, not_found
from api.http.job_asked import asked_by_body, asked_job
from api.http.paging import After, check_after
from api.http.routes_documents import Office
from api.service import clear_job, clear_trial_job, settle_job
from api.service.audit import Actor
from api.service.roles import Role
from api.service.runs import (
    CASE_FILES,
    CONFIRMED,
    DISPUTED,
    DRAFT,
    KINDS_ZH,
    POLICY_KINDS,
    STATES_ZH,
    RunInfo,
    answers,
    find_run,
    list_runs,
    say,
)
from api.store.tables import run
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1", tags=["office"])
Reader = Annotated[Actor, Depends(Allowed("查看", Role.OFFICE, Role.ADMIN, Role.POLICY, Role.HOSPITAL))]
FIRST_YEAR, LAST_YEAR = 2000, 2100
_STATED = ("settle", "clear")
"""Kinds of runs with a statement for each hospital."""
_KINDS = {Role.POLICY.value: POLICY_KINDS, Role.HOSPITAL.value: _STATED}
"""Kinds of runs that a role sees; the others see all."""


class SettleAsked(Asked):
    """月度结算的要求。"""

    month: str = Field(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-03"])
    close: bool = Field(True, description="结算后关账")
    reason: str = Field(
        "", max_length=500, description="更正或撤销的原因；没有病例而要关账、越过还没有结算的月份的原因"
    )
    policy_reason: str = Field("", max_length=500, description="政策与账册所记不同时，变动的原因")
    tier_reason: str = Field(
        "", max_length=500, description="已结算月份的病例（更正、迟报）改按名录现在的机构级别计价的原因；不写则按当时的"
    )
    reopen: str = Field("", max_length=500, description="年度已清算、或 12 月已关账而确需再结算的原因")
    supersedes: str = Field("", max_length=40, description="再结算所冲回的、已锁定的清算；之后须重新清算")


class ClearAsked(Asked):
    """年终清算的要求。"""

    year: int = Field(ge=FIRST_YEAR, le=LAST_YEAR, examples=[2026])
    policies: list[DocumentName] = Field(default_factory=list, max_length=12, description="年内较早的政策（文件名）")
    supersedes: str = Field("", max_length=40, description="要取代的、已锁定的清算")
    policy_reason: str = Field("", max_length=500)


class ClearTrialAsked(Choosing):
    """年终清算试算的要求；年度文件为该年的。"""

    year: int = Field(ge=FIRST_YEAR, le=LAST_YEAR, examples=[2026])
    cases: CaseFiles
    policies: list[DocumentName] = Field(
        default_factory=list, max_length=12, description="年内较早的政策：放入的文件名或内置编号"
    )
    decisions: DocumentName | None = Field(
        None, description="特例单议评议结果的文件名；不写为年度文件所指的", examples=["decisions-2026.csv"]
    )
    separate: DocumentName | None = Field(
        None, description="单列支付的文件名；不写为正在使用的", examples=["separate.csv"]
    )
    prepaid: DocumentName | None = Field(None, description="年内已付的文件名；不写为没有付过", examples=["prepaid.csv"])


class Word(StrEnum):
    """What a hospital says of a draft."""

    CONFIRMED = CONFIRMED
    DISPUTED = DISPUTED


class Said(Asked):
    """医疗机构对清算草稿的意见。"""

    state: Word
    comment: str = Field("", max_length=2000, description="有异议时须写明")


class Approval(Asked):
    """批准的理由。"""

    reason: str = Field("", max_length=500)
    anyway: bool = Field(False, description="有异议或未确认的仍批准（如逾期视同确认），须写明 reason")
    unsettled_reason: str = Field(
        "", max_length=500, description="还有提交没有结算而仍要批准的理由；随清算留存，记入审计"
    )


class RunShort(Answer):
    """办理结果的概要；全部内容见 /v1/runs/{id}。"""

    id: str
    kind: str = Field(examples=["clear"])
    year: int
    month: str
    state: str = Field(
        description="done；清算：draft、approved、locked、superseded、reopened（已被再结算冲回，待重新清算）",
        examples=["draft"],
    )
    state_text: str = Field(examples=["草稿"])
    run_id: str = Field(description="结果的证明编号（全部输入的校验值）")
    supersedes: str | None
    superseded_by: str | None = Field(description="取代它的办理结果；state 为 superseded 时")
    created_at: str


class Run(RunShort):
    """办理结果：月度结算、年终清算、预算、模拟。"""

    summary: dict[str, Any]
    proof: dict[str, Any]
    made_with: dict[str, Any] = Field(
        description="所依据的政策、分组方案、权重（编号和校验值）、各文件的版本、程序及其代码的校验值"
    )
    files: list[str] = Field(description="可下载的文件")
    answers: list[dict[str, str]] = Field(default_factory=list, description="医疗机构的确认和异议")
    approval: dict[str, Any] | None = Field(
        None, description="清算的批准：at、reason、anyway、unsettled_reason、unsettled（未结算而不办理的提交）"
    )


@router.post("/settlements", status_code=202, summary="月度结算")
def settle(service: ServiceHere, who: Office, asked: SettleAsked, key: KeyHeader = None) -> Job:
    """结算已受理的全部提交，以及以前月份的更正和撤回；结算过的月份再结算，只结算新来的。更正、撤回各按本身的理由
    记入账册。没有可入账的，任务照常完成，result.run 为 null，result.note 说明原因。立即得到任务编号。"""
    return asked_job(
        service, who, key, {"route": "settlements", **asked.model_dump()},
        lambda connection: settle_job.ask(
            service, connection, who, asked.month, close=asked.close, reason=asked.reason,
            policy_reason=asked.policy_reason, tier_reason=asked.tier_reason, reopen=asked.reopen,
            supersedes=asked.supersedes,
        ),
    )  # fmt: skip


@router.post("/clearings", status_code=202, summary="年终清算：做一份草稿")
def clear(service: ServiceHere, who: Office, asked: ClearAsked, key: KeyHeader = None) -> Job:
    """从年度账册清算，不改变账册；医疗机构确认或提出异议之后再批准。还没有结算的提交不在其中，
    由任务的 result.note 和办理结果的 summary.unsettled 指出。"""
    return asked_job(
        service, who, key, {"route": "clearings", **asked.model_dump()},
        lambda connection: clear_job.ask(
            connection, who, asked.year, policies=asked.policies, supersedes=asked.supersedes,
            policy_reason=asked.policy_reason,
        ),
    )  # fmt: skip


@router.post("/clearing-trials", status_code=202, summary="年终清算试算：由病例文件")
def clear_trial(service: ServiceHere, who: Office, asked: ClearTrialAsked, key: KeyHeader = None) -> Job:
    """由一年的病例文件清算，与不给账册的命令 drgdip clear 的结果相同；不涉及账册和提交，医疗机构看不到，也不能批准。"""
    return asked_by_body(
        service, who, key, "clearing-trials", asked,
        lambda connection, args: clear_trial_job.ask(service, connection, who, args),
    )  # fmt: skip


@router.post("/clearings/{name}/approve", status_code=202, summary="批准清算：记入账册并锁定")
def approve(service: ServiceHere, who: Office, name: IdPath, asked: Approval, key: KeyHeader = None) -> Job:
    """各医疗机构都已确认才能批准；有异议或未确认而仍要批准的须写明理由。草稿之后账册或所依据的文件有变动、还有提交没有结算的不能批准，
    一次指出全部原因。锁定后只能由写明取代它的新清算代替。"""
    return asked_job(
        service, who, key, {"route": f"clearings/{name}/approve", **asked.model_dump()},
        lambda connection: clear_job.approve(
            service, connection, who, name, asked.reason, anyway=asked.anyway,
            unsettled_reason=asked.unsettled_reason,
        ),
    )  # fmt: skip


@router.post("/clearings/{name}/answer", summary="医疗机构确认清算草稿或提出异议")
def give_answer(
    service: ServiceHere, who: Annotated[Actor, Depends(Allowed("确认清算", Role.HOSPITAL))], name: IdPath, said: Said
) -> Run:
    """异议须写明理由；批准之前可以改。"""
    if said.state is Word.DISPUTED and not said.comment.strip():
        raise Refused(Problem("SV04", {"field": "comment", "reason": "异议须写明理由"}, field="comment"))
    with service.database.write() as connection:
        found = find_run(connection, name, lock=True)
        if found is None or found.kind != "clear" or not _is_in(found, who.hospital_id):
            raise not_found("清算", name)
        if found.state != DRAFT:
            raise Refused(clear_job.not_open(found, clear_job.ANSWER))
        say(connection, who, name, who.hospital_id, said.state.value, said.comment)
    return _run(service, who, name)


@router.get("/runs", summary="列出办理结果")
def runs(
    service: ServiceHere, who: Reader, kind: Annotated[str | None, Query(pattern=f"^({'|'.join(KINDS_ZH)})$")] = None,
    year: Annotated[int | None, Query(ge=FIRST_YEAR, le=LAST_YEAR)] = None, after: After = "", limit: Limit = 100,
) -> Page[RunShort]:  # fmt: skip
    """概要，由新到旧；医疗机构看到有本机构的结算和清算，政策人员看到模拟、权重、目录和指标。"""
    with service.database.read() as connection:
        check_after(connection, run, after)
        found = list_runs(connection, kind=kind, year=year, kinds=_KINDS.get(who.role), after=after, limit=limit)
    items = [RunShort(**_short(item)) for item in found if _may_see(item, who)]
    return Page(items=items, next=found[-1].id if len(found) == limit else None)


@router.get("/runs/{name}", summary="一项办理结果")
def one(service: ServiceHere, who: Reader, name: IdPath) -> Run:
    """汇总、证明、可下载的文件、医疗机构的意见。"""
    return _run(service, who, name)


@router.get("/runs/{name}/files/{file:path}", summary="下载办理结果的文件", response_class=Response)
def download(service: ServiceHere, who: Reader, name: IdPath, file: Annotated[str, Path(max_length=200)]) -> Response:
    """清算单、分录、问题清单、证明等；医疗机构只有本机构的结算单、清算单。"""
    with service.database.read() as connection:
        found = find_run(connection, name)
    if found is None or not _may_see(found, who) or file not in _files(found, who):
        raise not_found("文件", file)
    return attached(service.files.path(found.files[file]).read_bytes(), media_type(file), file.rsplit("/", 1)[-1])


def _hospitals(found: RunInfo) -> frozenset[str]:
    return frozenset(row["hospital"] for row in found.summary.get("statement", ()))


def _is_in(found: RunInfo, hospital: str) -> bool:
    return hospital in _hospitals(found)


def _may_see(found: RunInfo, who: Actor) -> bool:
    if who.role == Role.POLICY.value:
        return found.kind in POLICY_KINDS
    return who.role != Role.HOSPITAL.value or (found.kind in _STATED and _is_in(found, who.hospital_id))


def _files(found: RunInfo, who: Actor) -> list[str]:
    """The files that one may have: a hospital its own statements, policy staff none that name single cases."""
    if who.role == Role.POLICY.value:
        return [name for name in found.files if name not in CASE_FILES]
    if who.role != Role.HOSPITAL.value:
        return list(found.files)
    names = {f"statements/{statement_name(who.hospital_id)}.{ending}" for ending in ("html", "json", "xlsx")}
    return [name for name in found.files if name in names]


def _shown(connection: sa.Connection, found: RunInfo, who: Actor) -> Run:
    summary, proof = dict(found.summary), dict(found.proof)
    said = answers(connection, found.id)
    approval = found.approval
    if who.role == Role.HOSPITAL.value:
        own = who.hospital_id
        summary = {"statement": [row for row in summary.get("statement", ()) if row["hospital"] == own]}
        said, proof = [item for item in said if item["hospital_id"] == own], {}
        if approval is not None:
            approval = approval | {"unsettled": [item for item in approval["unsettled"] if item["hospital"] == own]}
    return Run(
        **_short(found), summary=summary, proof=proof, made_with=found.made_with, files=_files(found, who),
        answers=said, approval=approval,
    )  # fmt: skip


def _short(found: RunInfo) -> dict[str, Any]:
    names = (name for name in RunShort.model_fields if name != "state_text")
    return {name: getattr(found, name) for name in names} | {"state_text": STATES_ZH[found.state]}


def _run(service: ServiceHere, who: Actor, name: str) -> Run:
    with service.database.read() as connection:
        found = find_run(connection, name)
        if found is None or not _may_see(found, who):
            raise not_found("办理结果", name)
        return _shown(connection, found, who)
