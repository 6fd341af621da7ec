"""The description of the interface: what the routes declare, with one shape of refusals on every one of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import Field
from pydantic.json_schema import models_json_schema

from api.http.answers import Answer
from api.http.errors import MEDIA_TYPE

_REFUSALS = {
    400: "请求不完整", 401: "没有令牌，或令牌不再有效", 403: "令牌的角色不能做这件事", 404: "没有，或不是本机构的",
    405: "不支持这个方法", 409: "现在的状态不允许，或 Idempotency-Key 已用于别的请求", 413: "内容太大或病例太多",
    422: "内容不符合要求，problems 逐项说明", 429: "请求太频繁，Retry-After 秒后再来", 500: "意外错误，已记入日志",
    503: "数据库或磁盘暂时不可用，没有留下任何结果，Retry-After 秒后重发",
}  # fmt: skip
_METHODS = frozenset({"get", "put", "post", "delete", "patch"})
_UNUSED = ("HTTPValidationError", "ValidationError")


class Finding(Answer):
    """一个问题：哪里、哪个值、为什么、怎么办。"""

    code: str = Field(description="问题目录中的编号，见 /v1/problems", examples=["SV04"])
    level: str = Field(description="error 拒收、reject 拒收病例、warn 警告、info 提示", examples=["error"])
    message: str = Field(examples=["请求的 query.month 不符合要求：必须给出"])
    fix: str = Field(examples=["按 /docs 的说明修改后重发"])
    args: dict[str, str | int] = Field(examples=[{"field": "query.month", "reason": "必须给出"}])
    file: str = Field(examples=[""])
    row: int = Field(description="行号，0 = 不是某一行的问题", examples=[0])
    case_id: str = Field(examples=[""])
    field: str = Field(examples=["query.month"])
    value: str = Field(examples=[""])


class Refusal(Answer):
    """application/problem+json（RFC 9457）：所有拒绝和错误都是这个形式，程序按 code 判断，文字给人看。"""

    type: str = Field(examples=["urn:drgdip:problem:SV04"])
    title: str = Field(examples=["request not as described"])
    status: int = Field(description="HTTP 状态码", examples=[422])
    detail: str = Field(examples=["请求的 query.month 不符合要求：必须给出"])
    code: str = Field(description="第一个问题的编号", examples=["SV04"])
    args: dict[str, str | int] = Field(examples=[{"field": "query.month", "reason": "必须给出"}])
    request_id: str = Field(description="日志中的请求编号，与 X-Request-Id 相同", examples=["9f2c4e6a8b0d1f3a"])
    problems: list[Finding] = Field(description="最多 1000 个")
    problem_count: int = Field(description="问题的个数", examples=[1])


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = made["components"]["schemas"]
    for name in _UNUSED:
        schemas.pop(name, None)
    _, own = models_json_schema(
        [(Refusal, "serialization"), (Finding, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas |= own["$defs"]
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    made["components"]["responses"] = {
        str(status): {"description": text, "content": content} for status, text in _REFUSALS.items()
    }
    for methods in made["paths"].values():
        for method, operation in methods.items():
            if method in _METHODS:
                refusals = {str(status): {"$ref": f"#/components/responses/{status}"} for status in _REFUSALS}
                operation["responses"] |= refusals
    return made
