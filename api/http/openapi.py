"""The description of the interface: what the routes declare, with one shape of refusals on every one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import Field
from pydantic.json_schema import models_json_schema

from api.http.answers import Answer
from api.http.openapi_examples import BODIES, FILES, GROUPED, NAMES, PLACES
from api.http.openapi_fields import FIELDS, LIST, PARAMETERS, SHAPES
from api.http.openapi_refusals import codes, examples, responses, restricted

_PAGE = re.compile(rb"\bPage_(\w+)_\b")

_SUCCESS = {"200": "成功", "202": "已受理：结果见任务（/v1/jobs/编号）或提交"}
_UNSAID = "Successful Response"
_UNUSED = ("HTTPValidationError", "ValidationError")
_BINARY: Mapping[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_TEXT: Mapping[str, Any] = {"schema": {"type": "string"}}
_FORM: Mapping[str, Any] = {
    "schema": {
        "type": "object", "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary", "description": "文件，恰有一个"}},
    }
}  # fmt: skip
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PARQUET = "application/vnd.apache.parquet"
_ANY_JSON: Mapping[str, Any] = {"schema": {}}
_TAKEN: Mapping[str, Mapping[str, Any]] = {
    "PUT /v1/documents/{kind}/{name}": {"application/octet-stream": _BINARY, "multipart/form-data": _FORM},
    "POST /v1/documents/{kind}/{name}/check": {"application/octet-stream": _BINARY, "multipart/form-data": _FORM},
    "PUT /v1/reforms/{name}": {"application/toml": _BINARY, "multipart/form-data": _FORM},
    "POST /v1/reforms/check": {"application/toml": _BINARY, "multipart/form-data": _FORM},
    "POST /v1/schemes/check": {
        _XLSX: _BINARY, "application/zip": _BINARY, "application/octet-stream": _BINARY, "multipart/form-data": _FORM,
    },
    "POST /v1/submissions": {
        "text/csv": _BINARY, "application/json": _ANY_JSON, "application/x-ndjson": _TEXT, _XLSX: _BINARY,
        _PARQUET: _BINARY, "application/octet-stream": _BINARY, "multipart/form-data": _FORM,
    },
}  # fmt: skip
"""Files that routes take."""
_GIVEN: Mapping[str, Mapping[str, Any]] = {
    "GET /v1/submissions/{name}/{part}": {
        "application/json": {"schema": {"type": "array", "items": {"type": "object"}}}, "text/csv": _TEXT,
        _XLSX: _BINARY, _PARQUET: _BINARY,
    },
    "GET /v1/documents/{kind}/{name}": {
        "text/csv": _TEXT, "application/json": _ANY_JSON, _XLSX: _BINARY, _PARQUET: _BINARY, "application/toml": _TEXT,
        "application/zip": _BINARY, "text/plain": _TEXT, "application/octet-stream": _BINARY,
    },
    "GET /v1/runs/{name}/files/{file}": {
        "text/csv": _TEXT, "text/html": _TEXT, "application/json": _ANY_JSON, _XLSX: _BINARY, _PARQUET: _BINARY,
        "application/toml": _TEXT, "application/zip": _BINARY, "text/plain": _TEXT, "application/octet-stream": _BINARY,
    },
    "GET /v1/jobs/{name}/events": {
        "application/x-ndjson": {"schema": {"type": "string", "description": "每行一个 Job"}}
    },
    "GET /metrics": {"text/plain": _TEXT}, "POST /v1/group": {"application/json": GROUPED},
}  # fmt: skip
"""Files that routes give, and objects that are written as they are."""


class Finding(Answer):
    """一个问题：哪里、哪个值、为什么、怎么办。"""

    code: str = Field(description="问题目录中的编号，见 /v1/problems", examples=["SV04"])
    level: str = Field(description="error 拒收、reject 拒收病例、warn 警告、info 提示", examples=["error"])
    message: str = Field(examples=["请求的 query.month 不符合要求：必须给出"])
    fix: str = Field(examples=["改正后重发；每一项的写法见 /docs"])
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
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes,
        separate_input_output_schemas=app.separate_input_output_schemas,
    )  # fmt: skip
    schemas = made["components"]["schemas"]
    for name in _UNUSED:
        schemas.pop(name, None)
    _, own = models_json_schema(
        [(Refusal, "serialization"), (Finding, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schemas |= own["$defs"]
    made["components"]["examples"] = examples()
    some = set(restricted(app.routes))
    for path, methods in made["paths"].items():
        for method, operation in methods.items():
            place = (method.upper(), path.replace("{file}", "{file:path}"))
            _complete(f"{method.upper()} {path}", operation, for_some=place in some)
    for shape, schema in schemas.items():
        schema["description"] = SHAPES.get(shape, LIST if _PAGE.fullmatch(shape.encode()) else schema["description"])
        for name, item in schema.get("properties", {}).items():
            _explain(name, item)
    return _renamed(made)


def _complete(key: str, operation: dict[str, Any], *, for_some: bool) -> None:
    """Add to an operation what its declaration does not say: files, examples, refusals."""
    taken = _TAKEN.get(key)
    if taken is not None:
        content = {media: dict(item) for media, item in taken.items()}
        operation["requestBody"] = {"required": True, "content": content}
    for media, item in operation.get("requestBody", {}).get("content", {}).items():
        example = FILES.get(key, {}).get(media) or (BODIES.get(key) if media == "application/json" else None)
        if example is not None:
            item["example"] = example
    for status, answer in operation["responses"].items():
        if answer["description"] == _UNSAID:
            answer["description"] = _SUCCESS[status]
        if key in _GIVEN:
            answer["content"] = dict(_GIVEN[key])
    if key == "POST /v1/submissions":
        first = operation["responses"]["202"]
        operation["responses"]["200"] = {"description": "同样的内容已提交过：那一次提交", "content": first["content"]}
    operation["responses"].pop("422", None)
    operation["responses"] |= responses(codes(key, operation, for_some=for_some))
    kind = key.split("/")[2] if "/v1/" in key else ""
    for item in operation.get("parameters", ()):
        if item["in"] == "path" and "examples" not in item["schema"]:
            item["schema"]["examples"] = [NAMES[kind] if item["name"] == "name" else PLACES[item["name"]]]
        if not item.get("description"):
            item["description"] = PARAMETERS[item["name"]]


def _explain(name: str, item: dict[str, Any]) -> None:
    """Say what a field is, and give an example, where its declaration does not."""
    text, shown = FIELDS.get(name, ("", None))
    if text and not item.get("description"):
        item["description"] = text
        if shown is not None and "examples" not in item and "$ref" not in item:
            item["examples"] = [shown]


def _renamed(made: dict[str, Any]) -> dict[str, Any]:
    """Lists named after what they hold: Page_Job_ is JobPage."""
    found: dict[str, Any] = orjson.loads(_PAGE.sub(_named, orjson.dumps(made)))
    for name, schema in found["components"]["schemas"].items():
        schema["title"] = name
    return found


def _named(met: re.Match[bytes]) -> bytes:
    inner = met[1].removesuffix(b"_").split(b"_")[0]
    return {b"dict": b"ObjectPage", b"int": b"YearPage"}.get(inner, inner + b"Page")
