"""Submissions: hand a month in, watch it, fetch what became of it."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.http.answers import Answer, CaseFormat, IdPath, KeyHeader, Limit, MonthQuery, Page, Submission
from api.http.bodies import remember, replayed, take_text, take_upload
from api.http.deps import ActorHere, Allowed, ServiceHere, own
from api.http.downloads import FileKind, frame_response
from api.http.errors import Refused, not_found
from api.http.job_asked import taken
from api.http.paging import check_after
from api.service.audit import Actor
from api.service.cases import compared, explained
from api.service.roles import Role
from api.service.stored_case import StoredCase, stored_case
from api.service.submission_list import listed
from api.service.submissions import STATES_ZH, Given, NotTaken, SubmissionInfo, find, receive
from api.service.unpack import Unpackable
from api.service.values import plain
from api.store.tables import submission
from grouper.intake import IntakeError
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1/submissions", tags=["submissions"])
_HandsIn = Annotated[Actor, Depends(Allowed("提交病例", Role.HOSPITAL, Role.OFFICE, Role.ADMIN))]
_Sees = Annotated[Actor, Depends(Allowed("查看提交", Role.HOSPITAL, Role.OFFICE, Role.ADMIN))]
_HIDDEN = {"cases_sha256", "results_sha256", "problems_sha256", "created_by"}


class Kind(StrEnum):
    """What is handed in."""

    NEW = "new"
    CORRECTION = "correction"
    WITHDRAWAL = "withdrawal"


class State(StrEnum):
    """What a submission may have come to."""

    RECEIVED = "received"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    DONE = "done"
    CANCELLED = "cancelled"


class Part(StrEnum):
    """What became of a submission: accepted cases with their payment, or the problems of rows."""

    RESULTS = "results"
    PROBLEMS = "problems"


class CaseOfSubmission(Answer):
    """已提交的一个病例，和所依据的。"""

    submission: str = Field(description="提交编号", examples=["sub_5d1f0c2b9a7e4c3d8f6a1b20"])
    case_id: str = Field(examples=["H1-101"])
    row: int = Field(description="在文件中的行号，表头为第 1 行", examples=[2])
    basis: dict[str, str] = Field(description="受理时的政策、分组方案等，编号和校验值")
    problems: list[dict[str, Any]] = Field(description="读取这一行时的问题")


class CaseExplained(CaseOfSubmission):
    """一个病例的分组依据。"""

    trace: dict[str, Any] = Field(description="逐条规则的依据，与 /v1/group?trace=true 相同")


class CaseCompared(CaseOfSubmission):
    """一个病例换编码后的分组。"""

    whatif: dict[str, Any] = Field(description="别的编码会怎样，与 /v1/group?whatif=true 相同")


_CaseId = Annotated[str | None, Query(max_length=200, description="病例号", examples=["H1-101"])]
_Row = Annotated[int | None, Query(ge=1, le=2**31, description="行号（打开文件所见）；病例号重复时用它指明一例")]


def shown(found: SubmissionInfo) -> Submission:
    """A submission as answered."""
    return Submission(**{name: value for name, value in asdict(found).items() if name not in _HIDDEN})


@router.post(
    "", status_code=202, summary="提交一个月的病例文件", response_model=Submission,
    openapi_extra={"requestBody": {"required": True, "content": {
        "text/csv": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": {}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {"schema": {
            "type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"],
        }},
    }}},
)  # fmt: skip
async def hand_in(
    request: Request,
    response: Response,
    service: ServiceHere,
    who: _HandsIn,
    month: MonthQuery,
    kind: Annotated[Kind, Query(description="新提交、更正、撤回")] = Kind.NEW,
    hospital: Annotated[str, Query(max_length=64, description="医疗机构编号；经办机构代为提交时给出")] = "",
    format: Annotated[CaseFormat, Query(description="病例格式；auto 为自动识别")] = CaseFormat.AUTO,
    reason: Annotated[
        str, Query(max_length=500, description="更正、撤回的理由；已关账月份漏报的病例，迟报的理由")
    ] = "",
    supersedes: Annotated[
        str, Query(max_length=40, description="整份更正、撤回还没结算的提交时写其编号；更正、撤回已结算的病例时不写")
    ] = "",
    name: Annotated[str, Query(max_length=200, description="文件名，用于原样上传")] = "",  # noqa: ARG001 (see take_upload)
    key: KeyHeader = None,
) -> Submission:
    """CSV、HQMS、4101 JSON 或 NDJSON、XLSX、Parquet，可用 gzip；原样上传或 multipart。立即得到编号，结果稍后可查。

    已关账月份漏报的病例：month 仍写该月，写明 reason，与下一次结算一起办理。

    更正、撤回已结算的病例：不写 supersedes，month 写病例所属的月份，与下一次结算一起办理，同一病例以最后一次为准；
    撤回为 hospital_id、case_id、reason 的 CSV。写明 supersedes 的撤回撤回整个提交，不须文件。

    同一文件再发，仍是先前的那一次提交（200）；其中有病例后来更正、撤回过的，重新办理，撤回过的病例由此可以再来。
    相同的 Idempotency-Key 只重复当时的答复，现在的状态看 GET /v1/submissions/{name}；病例现在算不算，看最后的结算。"""
    owner = _owner(who, hospital, "为 {} 提交")
    if not owner:
        raise Refused(Problem("SV04", {"field": "hospital", "reason": "须写明医疗机构编号"}, field="hospital"))
    if kind is Kind.WITHDRAWAL and supersedes:  # nothing but its name is needed to withdraw a submission
        upload = await run_in_threadpool(take_text, service, f"withdraws {supersedes}\n", "withdrawal.txt")
    else:
        upload = await take_upload(request, service)
    given = Given(owner, month, kind.value, upload.file_name, format.value, reason, supersedes)
    asked: dict[str, object] = {"route": "submissions", **asdict(given), "sha256": upload.stored.sha256}

    def work() -> tuple[int, Submission]:
        with service.database.write() as connection:
            before = replayed(connection, who, key, asked)
            if before is not None:
                return before.status, Submission(**before.body)
            try:
                found, new = receive(service, connection, who, given, upload.stored)
            except NotTaken as error:
                raise Refused(error.problem) from None
            status = 202 if new else 200
            answer = shown(found)
            remember(connection, who, key, asked, status, answer.model_dump())
            return status, answer

    response.status_code, answer = await run_in_threadpool(work)
    response.headers["Location"] = f"/v1/submissions/{answer.id}"
    return answer


@router.get("", summary="列出提交")
def list_submissions(
    service: ServiceHere,
    who: _Sees,
    month: Annotated[str | None, Query(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] = None,
    hospital: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[State | None, Query(description="状态")] = None,
    after: Annotated[str, Query(max_length=40)] = "",
    limit: Limit = 100,
) -> Page[Submission]:
    """医疗机构只看到自己的。"""
    owner = _owner(who, hospital, "查看 {} 的提交")
    with service.database.read() as connection:
        check_after(connection, submission, after)
        found = listed(connection, hospital_id=owner or None, month=month, state=state, after=after, limit=limit)
    return Page(items=[shown(item) for item in found], next=found[-1].id if len(found) == limit else None)


@router.get("/{name}", summary="一次提交")
def one(service: ServiceHere, who: _Sees, name: IdPath) -> Submission:
    """状态、行数、受理和拒收、分类汇总。"""
    return shown(_found(service, who, name))


@router.get("/{name}/explain", summary="已提交的一个病例为什么分到这一组")
def explain(
    service: ServiceHere, who: _Sees, name: IdPath, case_id: _CaseId = None, row: _Row = None
) -> CaseExplained:  # fmt: skip
    """由提交的文件原样读出，按受理时的分组方案逐条规则说明；没有受理的病例也可以看。"""
    found = _case(service, who, name, case_id, row)
    trace = plain(explained(found.frame, found.basis))
    return CaseExplained(**_place(name, found), trace=trace)


@router.get("/{name}/whatif", summary="已提交的一个病例换主要诊断、去掉编码会怎样")
def whatif(
    service: ServiceHere, who: _Sees, name: IdPath, case_id: _CaseId = None, row: _Row = None
) -> CaseCompared:  # fmt: skip
    """换主要诊断、换主要手术、去掉某个编码后的分组，按受理时的分组方案；只供核对，编码以病历为准。"""
    found = _case(service, who, name, case_id, row)
    return CaseCompared(**_place(name, found), whatif=plain(compared(found.frame, found.basis)))


@router.get("/{name}/{part}", summary="下载受理结果或问题清单", response_class=Response)
def download(
    service: ServiceHere,
    who: _Sees,
    name: IdPath,
    part: Part,
    format: Annotated[FileKind, Query(description="json、csv、xlsx 或 parquet")] = FileKind.JSON,
) -> Response:
    """results：受理病例的分组、支付和依据（金额为元）；problems：每一行的全部问题和处理办法。"""
    found = _found(service, who, name)
    sha256 = found.results_sha256 if part is Part.RESULTS else found.problems_sha256
    if sha256 is None:
        state = STATES_ZH[found.state]
        raise Refused(Problem("SV11", {"what": f"提交 {name}", "state": state, "action": "下载结果"}))
    return frame_response(service, sha256, format, f"{name}-{part.value}")


def _case(service: ServiceHere, who: Actor, name: str, case_id: str | None, row: int | None) -> StoredCase:
    found = _found(service, who, name)
    try:
        with taken():
            return stored_case(service, found, case_id, row)
    except IntakeError as error:
        raise Refused(*error.problems) from None
    except Unpackable as error:
        raise Refused(error.problem) from None


def _place(name: str, found: StoredCase) -> dict[str, Any]:
    problems = plain(found.problems.to_dicts())
    return {
        "submission": name, "case_id": found.case_id, "row": found.row, "basis": found.basis.about, "problems": problems
    }  # fmt: skip


def _owner(who: Actor, hospital: str | None, what: str) -> str:
    """Whose submissions are meant: a hospital's own, or the one's that the office names, "" for none. Refused (403)
    when a hospital names another."""
    if hospital and who.hospital_id and hospital != who.hospital_id:
        raise Refused(Problem("SV02", {"role": "医疗机构", "what": what.format(hospital)}, field="hospital"))
    return who.hospital_id or hospital or ""


def _found(service: ServiceHere, who: ActorHere, name: str) -> SubmissionInfo:
    with service.database.read() as connection:
        found = find(connection, name)
    if found is None:
        raise not_found("提交", name)
    own(who, found.hospital_id, "提交", name)
    return found
