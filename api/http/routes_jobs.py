"""Jobs: how far they are, what came of them, and an end to those that are not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from api.http.answers import IdPath, Job, Limit, Page
from api.http.deps import Allowed, ServiceHere, own
from api.http.errors import Refused, not_found
from api.http.paging import After, check_after
from api.service.audit import Actor
from api.service.jobs import ENDED, STATES_ZH, JobInfo, find_job, list_jobs
from api.service.roles import Role
from api.service.runs import POLICY_KINDS
from api.store.tables import job
from reference_tables.problems import Problem

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_Sees = Annotated[Actor, Depends(Allowed("查看任务", Role.HOSPITAL, Role.OFFICE, Role.POLICY, Role.ADMIN))]
_POLL_SECONDS = 0.3


def shown(found: JobInfo) -> Job:
    """A job as answered."""
    values = {name: value for name, value in asdict(found).items() if name != "hospital_id"}
    return Job(**{**values, "progress_of": found.progress_of or None})


@router.get("", summary="列出最近的任务")
def jobs(service: ServiceHere, who: _Sees, after: After = "", limit: Limit = 100) -> Page[Job]:
    """由新到旧；医疗机构只看到自己的，政策人员只看到测算的。"""
    owner = who.hospital_id if who.role == Role.HOSPITAL.value else None
    kinds = POLICY_KINDS if who.role == Role.POLICY.value else None
    with service.database.read() as connection:
        check_after(connection, job, after)
        found = list_jobs(connection, hospital_id=owner, kinds=kinds, after=after, limit=limit)
    return Page(items=[shown(item) for item in found], next=found[-1].id if len(found) == limit else None)


@router.get("/{name}", summary="一个任务")
def one(service: ServiceHere, who: _Sees, name: IdPath) -> Job:
    """进度和结果。"""
    return shown(_found(service, who, name))


@router.get("/{name}/events", summary="跟踪进度（每行一个 JSON）", response_class=StreamingResponse)
async def events(service: ServiceHere, who: _Sees, name: IdPath) -> StreamingResponse:
    """application/x-ndjson，直到任务结束。"""
    first = await run_in_threadpool(_found, service, who, name)

    async def lines() -> AsyncIterator[bytes]:
        last, found = None, first
        while True:
            told = orjson.dumps(shown(found).model_dump()) + b"\n"
            if told != last:
                yield told
            if found.state in ENDED:
                return
            last = told
            await asyncio.sleep(_POLL_SECONDS)
            found = await run_in_threadpool(_found, service, who, name)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.delete("/{name}", summary="取消任务")
def stop(service: ServiceHere, who: _Sees, name: IdPath) -> Job:
    """等待中的立即取消，进行中的在下一步停下；已结束的、已开始写账册的结算和入账不能取消。"""
    found = _found(service, who, name)
    with service.database.write() as connection:
        if not service.queue.cancel(connection, who, name):
            raise Refused(Problem("SV75", {"value": name, "state": STATES_ZH[found.state]}))
    return shown(_found(service, who, name))


def _found(service: ServiceHere, who: Actor, name: str) -> JobInfo:
    with service.database.read() as connection:
        found = find_job(connection, name)
    if found is None:
        raise not_found("任务", name)
    own(who, found.hospital_id, "任务", name)
    if who.role == Role.POLICY.value and found.kind not in POLICY_KINDS:
        raise not_found("任务", name)
    return found
