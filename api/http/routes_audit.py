"""The audit to be read: who did what, when, to what; and whether it is whole."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.http.answers import Answer, Limit, Page
from api.http.deps import Allowed, ServiceHere
from api.service.audit import BROKEN_ZH, Actor, Entry, entries, verify
from api.service.roles import Role

router = APIRouter(prefix="/v1/audit", tags=["audit"])
_Reads = Annotated[Actor, Depends(Allowed("查看审计记录", Role.OFFICE, Role.ADMIN))]


class AuditEntry(Answer):
    """一条审计记录；hash 含上一条的 hash，改动、缺失、截断都能发现。"""

    seq: int = Field(examples=[42])
    at: str = Field(description="时间（UTC）", examples=["2026-04-02T01:30:00.000000Z"])
    actor: str = Field(description="令牌编号；system 服务本身、command 命令行", examples=["5d1f0c2b9a7e"])
    role: str = Field(examples=["office"])
    action: str = Field(examples=["run.settle"])
    object: str = Field(examples=["run_5d1f0c2b9a7e4c3d8f6a1b20"])
    details: dict[str, Any]
    before: str
    hash: str


class Whole(Answer):
    """审计链的校验结果。"""

    entries: int
    broken: int | None = Field(None, description="第一条不符的序号；null 为完整")
    why: str = Field("", description="、".join(f"{name} {text}" for name, text in BROKEN_ZH.items()))


@router.get("", summary="列出审计记录")
def listed(
    service: ServiceHere, _who: _Reads,
    after: Annotated[int, Query(ge=0, le=2**53, description="从这一条之后")] = 0,
    action: Annotated[str, Query(max_length=40, description="只看这一类，如 run.settle")] = "",
    actor: Annotated[str, Query(max_length=40, description="只看这个令牌")] = "",
    thing: Annotated[str, Query(alias="object", max_length=200, description="只看这个对象")] = "",
    limit: Limit = 100,
) -> Page[AuditEntry]:  # fmt: skip
    """由早到晚；next 是下一页的 after。"""
    with service.database.read() as connection:
        found = list(entries(connection, after, limit, action=action, actor=actor, thing=thing))
    return Page(items=[_shown(item) for item in found], next=str(found[-1].seq) if len(found) == limit else None)


@router.get("/verify", summary="校验审计链")
def check(service: ServiceHere, _who: _Reads) -> Whole:
    """从头到尾重算一遍。"""
    with service.database.read() as connection:
        found = verify(connection)
    return Whole(entries=found.entries, broken=found.broken, why=found.why)


def _shown(entry: Entry) -> AuditEntry:
    return AuditEntry(
        seq=entry.seq, at=entry.at, actor=entry.actor, role=entry.role, action=entry.action, object=entry.object,
        details=orjson.loads(entry.details), before=entry.before, hash=entry.hash,
    )  # fmt: skip
