"""What policy staff work with: reforms and their simulations, weights and catalogs out of a history."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from api.http.answers import Answer, Asked, Job, KeyHeader, Limit, Page
from api.http.bodies import take_upload
from api.http.choices import SCHEME, Choosing, DocumentName, PackId, Reading
from api.http.deps import Allowed, ServiceHere
from api.http.errors import not_found
from api.http.job_asked import asked_by_body
from api.http.paging import After, page_of
from api.http.routes_documents import (
    Document,
    DocumentPut,
    DocumentRemoved,
    NamePath,
    NewNamePath,
    put_upload,
    removed_document,
    shown_document,
)
from api.http.routes_office import FIRST_YEAR, LAST_YEAR
from api.service import catalog_job, simulate_job, weights_job
from api.service.aside import looking
from api.service.audit import Actor
from api.service.document_checks import largest
from api.service.documents import latest, standing_documents
from api.service.roles import Role
from api.service.told import told
from reference_tables.catalog_rules import catalog_rules
from reference_tables.reform import find_reforms, load_reform, reform_source
from reference_tables.reform_template import REFORM_TEMPLATE

router = APIRouter(prefix="/v1", tags=["policy"])
_Policy = Annotated[Actor, Depends(Allowed("政策测算", Role.POLICY, Role.OFFICE, Role.ADMIN))]
_RULES = catalog_rules()
_MEDIA = "application/toml"
_TOML: dict[int | str, dict[str, Any]] = {200: {"content": {_MEDIA: {"schema": {"type": "string"}}}}}
_NUMBER = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"
Files = Annotated[list[DocumentName], Field(max_length=60, description="病例文件名（kind=cases）")]
Number = Annotated[str, Field(pattern=_NUMBER)]


class SimulationAsked(Choosing):
    """政策模拟的要求；政策、分组方案、权重表等是改革前的。"""

    reforms: list[DocumentName] = Field(
        min_length=1, max_length=12, description="改革方案：文件名或内置编号，按次序生效"
    )
    submitted: int | None = Field(None, ge=FIRST_YEAR, le=LAST_YEAR, description="用这一年已受理的全部提交")
    cases: Files = Field(default_factory=list)
    year: int | None = Field(None, ge=FIRST_YEAR, le=LAST_YEAR, description="连这一年的清算一起模拟（要有年度文件）")
    decisions: DocumentName | None = Field(None, description="特例单议文件名；默认为年度文件所指的")
    separate: DocumentName | None = Field(None, description="单列支付的文件名；不写为正在使用的")
    prepaid: DocumentName | None = Field(None, description="年内已付的文件名")
    bootstrap: int = Field(0, ge=0, le=2000, description="重抽样次数，0 为不做")
    seed: int = Field(1, ge=0, le=2**31)


class WeightMethod(StrEnum):
    """How weights or scores are made."""

    USUAL = ""
    RELATIVE = "relative-weight"
    MEAN_COST = "mean-cost"
    BENCHMARK = "benchmark"
    STANDARD_QUOTA = "standard-quota"


class CatalogMethod(StrEnum):
    """How scores are made."""

    USUAL = ""
    MEAN_COST = "mean-cost"
    BENCHMARK = "benchmark"
    STANDARD_QUOTA = "standard-quota"


class Combination(StrEnum):
    """Which procedures of a case form a core group."""

    ALL = "all"
    PRINCIPAL = "principal"


class LocalLevel(StrEnum):
    """What the cases are."""

    LOCAL = "local"
    SYNTHETIC = "synthetic"


class Auxiliary(StrEnum):
    """The auxiliary catalog: "" = that of the kept scheme, or the default dimensions."""

    USUAL = ""
    DEFAULT = "default"
    NONE = "none"


class _HistoryAsked(Reading):
    cases: Files = Field(min_length=1)
    years: list[Annotated[int, Field(ge=FIRST_YEAR, le=LAST_YEAR)]] = Field(
        default_factory=list, max_length=10, description="统计年度；不写则为最近连续的几年"
    )
    year_weights: list[Number] = Field(
        default_factory=list, max_length=10, description="年度权重，由早到晚；个数即年数", examples=[["1", "2", "7"]]
    )
    trim: str = Field("", max_length=60, description="费用裁剪：percentile:2.5:97.5、iqr:1.5、lognormal:3 或 none")
    min_cases: int = Field(_RULES.min_cases, ge=1, le=100_000)
    benchmark: str = Field("", max_length=60, description="基准病种编码（method=benchmark）")
    quota: str = Field("", max_length=20, description="固定额度，元（method=standard-quota）")
    scheme: str = Field("", max_length=120, description=SCHEME)


class WeightsAsked(_HistoryAsked):
    """权重（分值）测算的要求。"""

    method: WeightMethod = WeightMethod.USUAL
    cv: Number = Field(str(_RULES.cv_high), description="稳定病组变异系数上限")
    compare: str = Field(
        "", max_length=120,
        description="对照的权重表：放入的文件名（weights、weights_aside），或内置的编号、地区-年份",
        examples=["苏州-2023"],
    )  # fmt: skip
    peers: bool = Field(False, description="按政策的机构级别另给最后一年的同级别次均费用")
    policy: DocumentName | None = Field(
        None,
        description="定机构级别的支付政策（peers）：放入的文件名（policy、policy_aside）或内置编号；不写为正在使用的",
        examples=["synthetic-city-drg-point"],
    )
    hospitals: DocumentName | None = Field(
        None, description="医疗机构名册（peers）的文件名；不写为正在使用的", examples=["hospitals.csv"]
    )


class CatalogAsked(_HistoryAsked):
    """病种目录的要求。"""

    id: PackId = Field(examples=["my-city-2027"])
    name: str = Field("", max_length=120)
    region: str = Field("本统筹区", min_length=1, max_length=60)
    data_level: LocalLevel = LocalLevel.LOCAL
    method: CatalogMethod = CatalogMethod.USUAL
    combination: Combination = Combination.ALL
    auxiliary: Auxiliary = Auxiliary.USUAL
    drg_scheme: str = Field(
        "chs-drg-1.1", max_length=120, description="作对照的 DRG 方案：放入的文件名或内置编号；current 为正在使用的"
    )
    scheme: str = Field(
        "", max_length=120,
        description="沿用这个 DIP 方案的病种，只测算分值：放入的文件名或内置编号，current 为正在使用的；"
        "不写则由病例生成",
    )  # fmt: skip
    effective_from: date | None = Field(None, description="施行日期", examples=["2027-01-01"])


class ReformShown(Answer):
    """一个改革方案。"""

    name: str
    title: str
    data_level: str
    built_in: bool
    version: int | None = Field(None, description="文件的版本；内置的没有")


class ReformChecked(Answer):
    """改革方案校验的结果：可以放入，什么也没有保存。"""

    id: str
    name: str
    sha256: str
    changes: int = Field(description="几处改动", examples=[1])
    problems: list[dict[str, Any]] = Field(description="不妨碍使用的提示")


@router.get("/reforms", summary="列出改革方案")
def reforms(service: ServiceHere, _who: _Policy, after: After = "", limit: Limit = 100) -> Page[ReformShown]:
    """内置的和放入的。"""
    own = []
    with service.database.read() as connection:
        last = standing_documents(connection, simulate_job.REFORM)
    for item in last:
        found = simulate_job.read_reform(service.files.path(item.sha256).read_bytes(), item.name)
        own.append(
            ReformShown(
                name=item.name, title=found.name, data_level=found.data_level, built_in=False, version=item.version
            )
        )
    built_in = [
        ReformShown(name=name, title=found.name, data_level=found.data_level, built_in=True, version=None)
        for name in find_reforms() for found in [load_reform(name)]
    ]  # fmt: skip
    return page_of([*own, *built_in], lambda item: f"{item.built_in}/{item.name}", after, limit, lambda item: item)


@router.get("/reforms/{name}", summary="下载一个改革方案", response_class=Response, responses=_TOML)
def reform(service: ServiceHere, _who: _Policy, name: NamePath) -> Response:
    """放入的原样，或内置的（TOML），可存为自己的方案再改。"""
    with service.database.read() as connection:
        found = latest(connection, simulate_job.REFORM, name)
    if found is not None:
        return Response(service.files.path(found.sha256).read_bytes(), media_type=_MEDIA)
    if name not in find_reforms():
        raise not_found("改革方案", name)
    return Response(reform_source(name), media_type=_MEDIA)


@router.get("/reform-template", summary="一份可以填写的改革方案", response_class=Response, responses=_TOML)
def template(_who: _Policy) -> Response:
    """每种改动的写法（TOML）；放入时即校验，一次指出全部问题。"""
    return Response(REFORM_TEMPLATE, media_type=_MEDIA)


@router.post("/reforms/check", summary="只校验一个改革方案，不放入")
async def check_reform(request: Request, service: ServiceHere, _who: _Policy) -> ReformChecked:
    """TOML；不可用时一次指出全部问题（422）。什么也不保存。"""
    with looking(service) as aside:
        upload = await take_upload(request, aside, largest(simulate_job.REFORM))
        data = aside.files.path(upload.stored.sha256).read_bytes()
    found = await run_in_threadpool(simulate_job.read_reform, data, "reform.toml")
    return ReformChecked(
        id=found.id, name=found.name, sha256=found.sha256, changes=len(found.changes),
        problems=[told(problem) for problem in found.problems],
    )  # fmt: skip


@router.put("/reforms/{name}", summary="放入一个改革方案")
async def put_reform(
    request: Request, service: ServiceHere, who: _Policy, name: NewNamePath,
    reason: Annotated[str, Query(max_length=500, description="变动的理由")] = "",
) -> DocumentPut:  # fmt: skip
    """TOML；立即校验，有问题则一次全部指出。"""
    upload = await take_upload(request, service, largest(simulate_job.REFORM))
    return await run_in_threadpool(put_upload, service, who, simulate_job.REFORM, name, upload, reason)


@router.delete("/reforms/{name}", summary="删除放入的改革方案")
def remove_reform(
    service: ServiceHere, who: _Policy, name: NamePath,
    reason: Annotated[str, Query(min_length=1, max_length=500, description="删除的理由")],
) -> DocumentRemoved:  # fmt: skip
    """此后的模拟不再用它；用过它的模拟不变，已有的版本留存。"""
    return removed_document(service, who, simulate_job.REFORM, name, reason)


@router.get("/case-files", summary="列出可用于测算的病例文件")
def case_files(service: ServiceHere, _who: _Policy, after: After = "", limit: Limit = 100) -> Page[Document]:
    """每个文件的最新版本；只有名称和校验值。"""
    with service.database.read() as connection:
        found = standing_documents(connection, "cases")
    return page_of(found, lambda item: item.name, after, limit, shown_document)


@router.post("/simulations", status_code=202, summary="政策模拟")
def simulate(service: ServiceHere, who: _Policy, asked: SimulationAsked, key: KeyHeader = None) -> Job:
    """改革前后同一批病例各支付一遍（有年度文件时连年终清算）：谁增谁减、基金是否收支平衡。"""
    return _asked(service, who, key, "simulations", asked, simulate_job)


@router.post("/weights", status_code=202, summary="权重（分值）测算")
def weights(service: ServiceHere, who: _Policy, asked: WeightsAsked, key: KeyHeader = None) -> Job:
    """由历年病例测算病组权重或病种分值，附变异系数、RIV、稳定性和与公布表的对照。"""
    return _asked(service, who, key, "weights", asked, weights_job)


@router.post("/catalogs", status_code=202, summary="生成 DIP 病种目录")
def catalog(service: ServiceHere, who: _Policy, asked: CatalogAsked, key: KeyHeader = None) -> Job:
    """由历年病例生成核心病种、综合病种、分值，并与 DRG 对照。"""
    return _asked(service, who, key, "catalogs", asked, catalog_job)


def _asked(service: ServiceHere, who: Actor, key: str | None, route: str, asked: Asked, job: Any) -> Job:
    return asked_by_body(
        service, who, key, route, asked, lambda connection, args: job.ask(service, connection, who, args)
    )
