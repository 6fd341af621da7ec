"""What the service goes by, to be read: codes, schemes, columns, policies, problems."""

from __future__ import annotations

from typing import Annotated, Any

import polars as pl
from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from api.core.book_policies import policy_source
from api.http.answers import Answer, Limit, Page
from api.http.deps import Allowed, ServiceHere
from api.http.downloads import attached, media_type
from api.http.errors import not_found
from api.http.paging import After, page_of
from api.http.views import commands_of
from api.service.audit import Actor
from api.service.basis import basis_of
from api.service.context import Service
from api.service.roles import Role
from reference_tables.codes import load_code_books
from reference_tables.columns import columns
from reference_tables.group_weights import built_in_weights, find_group_weights
from reference_tables.packs import built_in_packs, find_pack
from reference_tables.policy import Policy, find_policies, load_policy
from reference_tables.policy_schema import policy_schema
from reference_tables.problems import ProblemKind as Kind
from reference_tables.problems import catalogue

router = APIRouter(prefix="/v1", tags=["reference"])
_Reads = Annotated[Actor, Depends(Allowed("查阅", *Role))]
_PolicyName = Annotated[str, Path(max_length=80, description="内置编号；current 为正在使用的")]
_MOST = 200


class Code(Answer):
    """诊断或手术操作编码（国家医保版）。"""

    kind: str = Field(description="dx 诊断、px 手术操作", examples=["dx"])
    code: str = Field(examples=["I63.900"])
    name: str = Field(examples=["脑梗死"])


class Column(Answer):
    """病例的一个标准字段。"""

    name: str
    label: str
    meaning: str
    dtype: str
    unit: str = Field(description="years 岁、days 天、g 克、fen 分 等")
    values: dict[str, str]
    required_for: list[str]


class ProblemKind(Answer):
    """一种问题。"""

    code: str
    level: str = Field(description="error 拒收文件、reject 拒收病例、warn 警告、info 提示")
    who: str
    title: str
    message: str = Field(
        description="说明；〔〕中的随每个问题而定，其值在问题的 args 中", examples=["没有〔事物〕 〔值〕"]
    )
    fix: str = Field(description="处理办法；〔〕中的随每个问题而定", examples=["核对编号或名称"])
    arguments: list[str] = Field(description="args 中的各项", examples=[["what", "value", "how"]])


class PolicyParameter(Answer):
    """支付政策可以规定的一个参数。"""

    key: str = Field(description="政策文件中的写法", examples=["high_limit"])
    section: str = Field(description="所属部分", examples=["outliers"])
    label: str
    meaning: str
    type: str = Field(description="取值的类型", examples=["decimal"])
    unit: str = Field(description="单位", examples=["元"])
    values: list[str] = Field(description="可取的值；空为不限于几个值")
    labels: dict[str, str] = Field(description="各值的中文")
    scope: list[str] = Field(description="可按什么不同", examples=[["insurance", "tier"]])
    methods: list[str] = Field(description="用于哪些支付方式")
    needed: list[str] = Field(description="哪些命令少不了它", examples=[["pay", "settle"]])
    on_demand: list[str] = Field(description="哪些命令遇到有关病例时才要它")


class WeightTableShown(Answer):
    """内置的权重（分值）表。"""

    id: str = Field(examples=["synthetic-city-drg"])
    title: str = Field(description="名称和来源")
    data_level: str
    groups: int = Field(description="病组、病种个数", examples=[628])
    sha256: str


@router.get("/codes", summary="按编码或名称查编码")
def codes(
    _who: _Reads,
    q: Annotated[str, Query(min_length=1, max_length=60, description="编码开头或名称中的字")],
    kind: Annotated[str, Query(pattern="^(dx|px|all)$", description="dx、px 或 all")] = "all",
    after: After = "",
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
) -> Page[Code]:
    """编码开头相符的在前，其次名称中含有的。"""
    books = load_code_books()
    wanted = {"dx": books.diagnosis, "px": books.procedure}
    found: list[Code] = []
    for name, book in wanted.items():
        if kind not in {name, "all"}:
            continue
        starts = pl.col("code").str.to_uppercase().str.starts_with(q.upper())
        named = pl.col("name").str.contains(q, literal=True)
        rows = book.frame.filter(starts | named).with_columns((~starts).alias("by_name"))
        ordered = rows.sort("by_name", "code")
        found += [Code(kind=name, code=code, name=text) for code, text in ordered.select("code", "name").iter_rows()]
    return page_of(found, lambda item: f"{item.kind}/{item.code}", after, limit, lambda item: item)


@router.get("/columns", summary="病例的标准字段")
def case_columns(_who: _Reads, after: After = "", limit: Limit = 1000) -> Page[Column]:
    """分组接口和结果所用的字段名、类型、单位、取值。"""
    return page_of(
        list(columns().values()), lambda item: item.name, after, limit,
        lambda item: Column(
            name=item.name, label=item.label, meaning=item.meaning, dtype=str(item.dtype), unit=item.unit,
            values=dict(item.values), required_for=sorted(item.required_for),
        ),
    )  # fmt: skip


@router.get("/problems", summary="问题目录")
def problems(
    _who: _Reads,
    code: Annotated[str, Query(max_length=20, description="编号或其开头，如 SV03、SV", examples=["SV03"])] = "",
    after: After = "", limit: Limit = 1000,
) -> Page[ProblemKind]:  # fmt: skip
    """每一种问题的级别、说明和处理办法；程序按 code 判断，文字给人看。"""
    kinds = sorted(catalogue().values(), key=lambda item: item.code)
    chosen = [item for item in kinds if item.code.startswith(code.strip().upper())]
    return page_of(chosen, lambda item: item.code, after, limit, _kind)


def _kind(item: Kind) -> ProblemKind:
    return ProblemKind(
        code=item.code, level=item.level.value, who=item.who, title=item.title, message=item.told,
        fix=item.mended(served=True), arguments=sorted(item.arguments),
    )  # fmt: skip


@router.get("/schemes", summary="分组方案")
def schemes(_who: _Reads, after: After = "", limit: Limit = 100) -> Page[dict[str, Any]]:
    """内置的 DRG、DIP 分组方案。"""
    return page_of(sorted(built_in_packs()), str, after, limit, lambda name: _pack(find_pack(name)))


@router.get("/schemes/current", summary="正在使用的政策和分组方案")
def current(service: ServiceHere, _who: _Reads) -> dict[str, str]:
    """名称和校验值。"""
    with service.database.read() as connection:
        return basis_of(service, connection).about


@router.get("/policy-parameters", summary="支付政策可以规定的全部参数")
def policy_parameters(_who: _Reads, after: After = "", limit: Limit = 1000) -> Page[PolicyParameter]:
    """含义、类型、单位、取值，哪些命令要用。"""
    known = list(policy_schema().parameters.values())
    return page_of(
        known, lambda item: item.key, after, limit,
        lambda item: PolicyParameter(**{name: getattr(item, name) for name in PolicyParameter.model_fields}),
    )  # fmt: skip


@router.get("/weight-tables", summary="内置的权重（分值）表")
def weight_tables(_who: _Reads, after: After = "", limit: Limit = 100) -> Page[WeightTableShown]:
    """政策的 weights、测算的 compare 可写的编号。"""
    return page_of(list(built_in_weights()), str, after, limit, _weights)


@router.get("/policies", summary="内置的支付政策")
def policies(_who: _Reads, after: After = "", limit: Limit = 100) -> Page[dict[str, Any]]:
    """编号、名称、方法、数据性质。"""
    return page_of(find_policies(), str, after, limit, lambda name: _policy(load_policy(name)))


@router.get("/policies/{name}", summary="一个支付政策的全部参数")
def policy(
    service: ServiceHere, _who: _Reads, name: _PolicyName
) -> dict[str, Any]:  # fmt: skip
    """每个取值及其范围、日期、来源、可信程度；能运行哪些命令、还缺哪些参数。"""
    found = _found(service, name)[0]
    return _policy(found) | {
        "commands": commands_of(found),
        "settings": [
            {
                "key": item.key, "value": item.raw, "for": dict(item.scope), "from": str(item.since or ""),
                "until": str(item.until or ""), "source": item.source, "article": item.article,
                "confidence": item.confidence, "note": item.note,
            }
            for item in found.settings
        ]
    }  # fmt: skip


@router.get(
    "/policies/{name}/file", summary="下载一个支付政策文件", response_class=Response,
    responses={200: {"content": {"application/toml": {"schema": {"type": "string"}}}}},
)  # fmt: skip
def policy_file(service: ServiceHere, _who: _Reads, name: _PolicyName) -> Response:
    """原样（TOML），可存为自己的政策再改。"""
    found, text = _found(service, name)
    file = f"{found.id}.toml"
    return attached(text.encode(), media_type(file), file)


def _found(service: Service, name: str) -> tuple[Policy, str]:
    """A built-in policy or the one in force, and its text."""
    if name == "current":
        with service.database.read() as connection:
            basis = basis_of(service, connection)
        return basis.policy, basis.policy_text
    if name not in find_policies():
        raise not_found("支付政策", name)
    return load_policy(name), policy_source(name)


def _policy(found: Policy) -> dict[str, Any]:
    return {
        "id": found.id, "name": found.name, "region": found.region, "method": found.method,
        "scheme": found.header.scheme, "data_level": found.header.data_level, "sha256": found.sha256,
        "from": str(found.header.effective_from), "until": str(found.header.effective_until or ""),
    }  # fmt: skip


def _weights(name: str) -> WeightTableShown:
    found = find_group_weights(name)
    return WeightTableShown(
        id=name, title=found.title, data_level=found.data_level, groups=len(found.rw_e6), sha256=found.sha256
    )  # fmt: skip


def _pack(pack: Any) -> dict[str, Any]:
    return {
        "id": pack.id, "version": pack.version, "sha256": pack.sha256, "data_level": pack.data_level,
    }  # fmt: skip
