"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api.http.deps import Allowed, ServiceHere
from api.http.errors import Refused
from api.service.audit import end_of
from api.service.basis import basis_of
from api.service.roles import Role
from grouper.proof import program_version
from reference_tables.problems import Problem, TablesRefused

router = APIRouter(tags=["system"])


@router.get("/healthz", summary="进程是否在运行")
def healthz() -> dict[str, str]:
    """进程在回答；不涉及数据库。"""
    return {"status": "ok", "version": program_version()}


@router.get("/readyz", summary="数据库和数据文件夹是否可用")
def readyz(service: ServiceHere) -> dict[str, str]:
    """数据库可用，数据文件夹能写、有办理一份小文件的空间（16 MiB），所用的政策、分组方案等能读入；否则 503。"""
    with service.database.read() as connection:
        end_of(connection)
        service.files.check()
        try:
            basis_of(service, connection)
        except TablesRefused as error:
            raise Refused(Problem("SV26"), *error.problems) from None
    return {"status": "ready"}


_MAY_COUNT = Depends(Allowed("查看指标", Role.ADMIN, Role.OFFICE))


@router.get("/metrics", summary="Prometheus 指标", response_class=Response, dependencies=[_MAY_COUNT])
def metrics(request: Request) -> Response:
    """请求的计数和耗时，各服务进程合计，Prometheus 文本格式。"""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
