"""The documents that the office works by: put, checked, listed, fetched, taken away."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.core.file_names import LONGEST_NAME
from api.http.answers import Answer, Limit, Page
from api.http.bodies import Upload, take_upload
from api.http.choices import DocumentName, StoredName
from api.http.deps import Allowed, ServiceHere
from api.http.downloads import attached, media_type
from api.http.errors import Refused
from api.http.job_asked import taken
from api.http.paging import After, page_of
from api.service.absent import absent_document, absent_version
from api.service.aside import looking
from api.service.audit import Actor
from api.service.context import Service
from api.service.document_checks import check_document, largest, put_checked, remove_checked
from api.service.documents import KIND_NOTES, KINDS, DocumentInfo, list_documents, standing
from api.service.roles import Role
from api.service.told import told

router = APIRouter(prefix="/v1", tags=["office"])
Office = Annotated[Actor, Depends(Allowed("办理经办业务", Role.OFFICE, Role.ADMIN))]
KindPath = Annotated[
    str,
    Path(
        pattern=f"^({'|'.join(KINDS)})$",
        description="、".join(
            f"{name} {text}" + (f"（{KIND_NOTES[name]}）" if name in KIND_NOTES else "") for name, text in KINDS.items()
        ),
    ),
]
NamePath = Annotated[StoredName, Path(description="文件名")]
NewNamePath = Annotated[DocumentName, Path(description=f"文件名，按 UTF-8 编码最多 {LONGEST_NAME} 字节")]


class Document(Answer):
    """文件的一个版本：政策、权重、年度文件、名册等。"""

    kind: str = Field(examples=["year_file"])
    name: str = Field(examples=["2026.toml"])
    version: int
    sha256: str
    media_type: str
    created_at: str
    reason: str
    removed: bool = Field(False, description="这一版是删除：此后没有这个文件，以前的版本仍可下载")


class DocumentPut(Document):
    """放入的版本，和校验时的提示。"""

    problems: list[dict[str, Any]] = Field(
        default_factory=list, description="不妨碍使用的提示：code、message、fix、row 等"
    )


class DocumentRemoved(Document):
    """删除的文件。"""

    in_force: Document | None = Field(description="同类中此后现行的文件；null 为没有，或这一类不分现行与否")


class DocumentChecked(Answer):
    """校验的结果：可以放入，什么也没有保存。"""

    kind: str = Field(examples=["year_file"])
    name: str = Field(examples=["2026.toml"])
    sha256: str
    problems: list[dict[str, Any]] = Field(description="不妨碍使用的提示：code、message、fix、row 等")


@router.put("/documents/{kind}/{name}", summary="放入一个文件的新版本")
async def put(
    request: Request, service: ServiceHere, who: Office, kind: KindPath, name: NewNamePath,
    reason: Annotated[str, Query(max_length=500, description="变动的理由")] = "",
) -> DocumentPut:  # fmt: skip
    """立即校验：用不了的不收，一次指出全部问题，正在使用的不变；内容与现行版本相同则不增加版本。"""
    upload = await take_upload(request, service, largest(kind))
    return await run_in_threadpool(put_upload, service, who, kind, name, upload, reason)


@router.post("/documents/{kind}/{name}/check", summary="只校验一个文件，不放入")
async def check(
    request: Request, service: ServiceHere, _who: Office, kind: KindPath, name: NewNamePath
) -> DocumentChecked:
    """与放入时同样的校验，与正在使用的一起；用不了的一次指出全部问题（422）。什么也不保存。"""
    with looking(service) as aside:
        upload = await take_upload(request, aside, largest(kind))

        def work() -> list[dict[str, Any]]:
            with aside.database.read() as connection:
                stand = standing(connection)
            return [told(item) for item in check_document(aside, stand, kind, name, upload.stored, upload.media_type)]

        problems = await run_in_threadpool(work)
    return DocumentChecked(kind=kind, name=name, sha256=upload.stored.sha256, problems=problems)


@router.delete("/documents/{kind}/{name}", summary="删除一个文件")
def remove(
    service: ServiceHere, who: Office, kind: KindPath, name: NamePath,
    reason: Annotated[str, Query(min_length=1, max_length=500, description="删除的理由")],
) -> DocumentRemoved:  # fmt: skip
    """此后要求办理的事项不再用它；已有的版本留存，用过它的办理结果不变，已排队的任务照旧。现行的一类由此前最后放入的接替；少了它不行的不删。"""
    return removed_document(service, who, kind, name, reason)


@router.get("/documents", summary="列出文件及其版本")
def documents(
    service: ServiceHere, _who: Office, kind: Annotated[str | None, Query(pattern=f"^({'|'.join(KINDS)})$")] = None,
    after: After = "", limit: Limit = 100,
) -> Page[Document]:  # fmt: skip
    """每个版本一行，删除也是一版。"""
    with service.database.read() as connection:
        found = list_documents(connection, kind)
    return page_of(found, lambda item: f"{item.kind}/{item.name}/{item.version}", after, limit, shown_document)


@router.get("/documents/{kind}/{name}", summary="下载文件的最新版本", response_class=Response)
def document(
    service: ServiceHere, _who: Office, kind: KindPath, name: NamePath,
    version: Annotated[int | None, Query(ge=1, le=10**6, description="版本；不写为最新的")] = None,
) -> Response:  # fmt: skip
    """原样。"""
    with service.database.read() as connection:
        versions = [item for item in list_documents(connection, kind) if item.name == name]
    found = next((item for item in reversed(versions) if version in (None, item.version)), None)
    if found is None or found.removed:
        raise Refused(absent_document(kind, name) if version is None else absent_version(kind, name, version))
    return attached(service.files.path(found.sha256).read_bytes(), media_type(name), name)


def shown_document(found: DocumentInfo) -> Document:
    """A document's version as answered."""
    values = {name: value for name, value in asdict(found).items() if name != "created_by"}
    return Document(**values, removed=found.removed)


def put_upload(
    service: Service, who: Actor, kind: str, name: str, upload: Upload, reason: str
) -> DocumentPut:  # fmt: skip
    """An upload as a new version of a document, once it has been looked at. Raises TablesRefused."""
    found, problems = put_checked(service, who, kind, name, upload.stored, upload.media_type, reason)
    return DocumentPut(**shown_document(found).model_dump(), problems=[told(problem) for problem in problems])


def removed_document(service: Service, who: Actor, kind: str, name: str, reason: str) -> DocumentRemoved:
    """A document taken away. Refused when there is none (SV03), or when what is in force does not do without it."""
    with taken():
        gone, left = remove_checked(service, who, kind, name, reason)
    return DocumentRemoved(
        **shown_document(gone).model_dump(), in_force=None if left is None else shown_document(left)
    )  # fmt: skip
