"""Which refusals a route can answer, by problem code, each with an example out of the catalogue of problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute

from api.http.deps import Allowed
from api.http.errors import MEDIA_TYPE, refusal, status_of
from api.service.absent import absent_document
from api.service.audit import BROKEN_ZH
from api.service.roles import Role
from reference_tables.problems import Problem

_RUN = "run_5d1f0c2b9a7e4c3d8f6a1b20"
_ARGS: Mapping[str, Mapping[str, str | int]] = {
    "SV01": {}, "SV02": {"role": "政策研究", "what": "办理经办业务"},
    "SV03": dict(absent_document("year_file", "2027.toml").args),
    "SV04": {"field": "query.limit", "reason": "应不大于 1000"},
    "SV05": {"limit": 1 << 20}, "SV06": {"limit": 6000, "seconds": 17}, "SV07": {"limit": 10_000, "given": 12_345},
    "SV08": {"value": "2026-03-a"}, "SV09": {"reason": "没有内容"}, "SV10": {"month": "2026-03", "next": "2026-04"},
    "SV11": {"what": "任务 job_5d1f0c2b9a7e4c3d8f6a1b20", "state": "进行中", "action": "再次结算"},
    "SV16": {
        "value": "sub_5d1f0c2b9a7e4c3d8f6a1b20", "by": "sub_8a1b20c3d8f65d1f0c2b9a7e", "state": "已被取代",
        "action": "更正",
    },
    "SV17": {"value": "sub_5d1f0c2b9a7e4c3d8f6a1b20", "state": "已撤回", "action": "更正"},
    "SV19": {"month": "2026-03", "next": "2026-12"},
    "SV85": {"field": "age", "reason": "病例没有这一栏"},
    "SV83": {"reason": "30 秒没有收到内容"}, "SV84": {"of": "一个地址", "limit": 512},
    "SV14": {"given": "text/plain", "wanted": "application/json"}, "SV21": {}, "SV22": {"request": "9f2c4e6a8b0d1f3a"},
    "SV37": {"row": 3, "field": "age_years", "expected": "0 至 130 的整数"}, "SV38": {"row": 3, "field": "age"},
    "SV39": {"month": "2026-04", "action": "更正"}, "SV68": {"value": "H9"},
    "SV69": {"value": "sub_5d1f0c2b9a7e4c3d8f6a1b20", "action": "更正"},
    "SV70": {"value": "sub_5d1f0c2b9a7e4c3d8f6a1b20"},
    "SV71": {"value": "sub_5d1f0c2b9a7e4c3d8f6a1b20", "month": "2026-03", "action": "更正"},
    "SV26": {}, "SV41": {"value": "weights.csv"},
    "SV43": {"name": "2026.toml", "year": 2025}, "SV46": {"month": "2026-03"}, "SV47": {"value": "H9"},
    "SV52": {"year": 2026, "value": _RUN, "state": "已锁定"}, "SV53": {"year": 2026, "value": _RUN},
    "SV54": {"value": _RUN, "hospitals": "H2"}, "SV55": {"value": _RUN, "hospitals": "H1、H2"},
    "SV56": {"year": 2026, "value": _RUN}, "SV57": {"year": 2026, "value": _RUN},
    "SV72": {"value": _RUN, "by": "run_8a1b20c3d8f65d1f0c2b9a7e", "action": "批准", "step": "approve"},
    "SV73": {"value": _RUN, "state": "已锁定", "action": "批准"}, "SV74": {"value": "2026.toml", "now": 3, "given": 2},
    "SV75": {"value": "job_5d1f0c2b9a7e4c3d8f6a1b20", "state": "已完成"},
    "SV36": {"value": _RUN, "changed": "年度文件 2026.toml 已是第 4 版，草稿依据第 3 版（理由：经办会议 2027-02-03）"},
    "SV78": {"value": _RUN, "waiting": "H1 1 份（40 例）", "submissions": "sub_5d1f0c2b9a7e4c3d8f6a1b20"},
    "SV93": {"month": "2026-05", "skipped": "2026-04", "earliest": "2026-04"},
    "SV81": {"entry": 4, "reason": BROKEN_ZH["head"]},
    "SV82": {"what": "改革文件", "value": "synthetic-basic-one-price"},
    "SV76": {"year": 2026, "value": _RUN, "month": "2026-03", "next": "2026-12"},
    "ST10": {"month": "2026-01", "next": "2026-03", "until": "2026-02"},
    "ST12": {"month": "2026-01", "last": "2026-02"},
    "ST16": {"year": 2026, "run": "5d1f0c2b9a7e"}, "ST23": {"month": "2026-01", "next": "2027-01", "until": "2026-12"},
}  # fmt: skip
_TEXTS = {
    "401": "没有令牌，或令牌不再有效", "403": "令牌的角色不能做这件事", "404": "没有，或不是本机构的",
    "408": "请求没有及时到齐，连接已关闭",
    "409": "现在的状态不允许，或 Idempotency-Key 已用于别的请求", "413": "内容太大或病例太多",
    "415": "请求体不是所要的类型（application/json 等），或压缩了",
    "422": "内容不符合要求，problems 逐项说明；所办事项本身的问题用其自己的编号，见 /v1/problems",
    "429": "请求太频繁，Retry-After 秒后再来", "500": "意外错误，已记入日志",
    "503": "数据库或磁盘暂时不可用，或连接太多，没有留下任何结果，Retry-After 秒后重发",
}  # fmt: skip
_STATE, _OVER, _GROUP, _FILE = ("SV11",), ("SV72", "SV73"), ("SV09", "SV14", "SV37", "SV38"), ("SV09",)
_OWN: Mapping[str, tuple[str, ...]] = {
    "POST /v1/group": _GROUP, "POST /v1/group/batch": ("SV07", "SV85", *_GROUP),
    "POST /v1/submissions": (
        "SV02", "SV03", "SV10", "SV11", "SV16", "SV17", "SV19", "SV39", "SV68", "SV69", "SV70", "SV71", "SV76", *_FILE
    ),
    "GET /v1/submissions/{name}": ("SV03",), "GET /v1/submissions/{name}/{part}": ("SV03", *_STATE),
    "GET /v1/submissions/{name}/explain": ("SV03", *_FILE), "GET /v1/submissions/{name}/whatif": ("SV03", *_FILE),
    "PUT /v1/documents/{kind}/{name}": ("SV41", "SV43", "SV47", *_FILE), "GET /v1/documents/{kind}/{name}": ("SV03",),
    "POST /v1/documents/{kind}/{name}/check": ("SV41", "SV43", "SV47", *_FILE),
    "DELETE /v1/documents/{kind}/{name}": ("SV03", "SV82"), "DELETE /v1/reforms/{name}": ("SV03", "SV82"),
    "POST /v1/reforms/check": _FILE, "POST /v1/schemes/check": _FILE, "GET /v1/policies/{name}/file": ("SV03",),
    "POST /v1/settlements": (
        "SV46", "SV53", "SV56", "SV57", "SV93", "ST10", "ST12", "ST16", "ST23", *_STATE
    ),
    "POST /v1/clearings": ("SV03", "SV52", "SV53"),
    "POST /v1/clearings/{name}/approve": ("SV03", "SV36", "SV52", "SV54", "SV55", "SV78", *_OVER),
    "POST /v1/clearings/{name}/answer": ("SV03", *_OVER),
    "GET /v1/runs/{name}": ("SV03",), "GET /v1/runs/{name}/files/{file}": ("SV03",),
    "POST /v1/budgets": ("SV03",), "POST /v1/advances": ("SV03",), "POST /v1/indicators": ("SV03",),
    "POST /v1/reports": ("SV03",), "POST /v1/groupings": ("SV03",), "POST /v1/validations": ("SV03",),
    "POST /v1/payments": ("SV03",), "POST /v1/clearing-trials": ("SV03",),
    "GET /v1/reforms/{name}": ("SV03",), "GET /v1/schemes/{name}/pack": ("SV03",), "GET /v1/years/{year}": ("SV03",),
    "PUT /v1/years/{year}/tables/{table}": ("SV03", "SV74"), "POST /v1/years/{year}/scores": ("SV03", "SV47"),
    "POST /v1/years/{year}/violations": ("SV03", "SV47"),
    "POST /v1/years/{year}/violations/{at}/withdraw": ("SV03", "SV74"),
    "GET /v1/years/{year}/decisions": ("SV03",), "POST /v1/years/{year}/decisions": ("SV03", "SV47"),
    "GET /v1/books/{year}": ("SV03",), "GET /v1/books/{year}/check": ("SV03",), "PUT /v1/reforms/{name}": _FILE,
    "POST /v1/simulations": ("SV03",), "POST /v1/weights": ("SV03",), "POST /v1/catalogs": ("SV03",),
    "POST /v1/policies/check": _FILE, "GET /v1/schemes/{name}/check": ("SV03",),
    "GET /v1/schemes/{name}/codes/{code}": ("SV03",), "GET /v1/schemes/{name}/diff/{other}": ("SV03",),
    "GET /v1/jobs/{name}": ("SV03",), "DELETE /v1/jobs/{name}": ("SV03", "SV75"),
    "GET /v1/jobs/{name}/events": ("SV03",), "GET /v1/policies/{name}": ("SV03",), "GET /readyz": ("SV26", "SV81"),
}  # fmt: skip
"""What a route refuses for reasons of its own; that it needs a token, a role, a body and so on is seen in it."""
_WRITES = ("PUT ", "DELETE ", "POST /v1/years/", "POST /v1/clearings/")
"""How routes begin that write, besides those that take a key to be asked again."""
_STILL = "GET /healthz"
"""Answers without asking the database."""


def restricted(routes: list[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of the routes that not every role may take."""
    left = list(routes)
    while left:
        route = left.pop()
        left += getattr(getattr(route, "original_router", None), "routes", ())
        if isinstance(route, APIRoute):
            allowed = [item.call for item in route.dependant.dependencies if isinstance(item.call, Allowed)]
            if any(item.roles != {role.value for role in Role} for item in allowed):
                yield from ((method, route.path) for method in route.methods or ())


def codes(key: str, operation: Mapping[str, Any], *, for_some: bool) -> list[str]:
    """The codes of a route ("POST /v1/budgets"), in order; `for_some`: not every role may take it."""
    found = {*_OWN.get(key, ()), "SV22", "SV84", *(() if key == _STILL else ("SV21",))}
    media = operation.get("requestBody", {}).get("content", {})
    if operation.get("security"):
        found |= {"SV01", "SV04", "SV06"}
    if for_some:
        found.add("SV02")
    if any(item["name"] == "Idempotency-Key" for item in operation.get("parameters", ())):
        found |= {"SV08", "SV81"}
    if key.startswith(_WRITES):
        found.add("SV81")
    if media:
        found |= {"SV05", "SV83", *(("SV14",) if "SV09" in found else ())}
    if any("$ref" in item.get("schema", {}) for item in media.values()):
        found |= {"SV09", "SV14"}
    return sorted(found)


def responses(names: list[str]) -> dict[str, Any]:
    """Problems by code as the responses of an operation, by status."""
    found: dict[str, Any] = {}
    for name in names:
        status = str(status_of(name))
        content = {"schema": {"$ref": "#/components/schemas/Refusal"}, "examples": {}}
        shown = found.setdefault(status, {"description": _TEXTS[status], "content": {MEDIA_TYPE: content}})
        shown["content"][MEDIA_TYPE]["examples"][name] = {"$ref": f"#/components/examples/{name}"}
        if status in {"429", "503"}:
            text = "多少秒后再发"
            shown["headers"] = {"Retry-After": {"description": text, "schema": {"type": "integer", "minimum": 1}}}
    return dict(sorted(found.items()))


def examples() -> dict[str, Any]:
    """An answer for each code."""
    request = Request({"type": "http", "state": {"request_id": "9f2c4e6a8b0d1f3a"}})
    made = {}
    for name, args in _ARGS.items():
        problem = Problem(name, args, field=str(args.get("field", "")))
        made[name] = {"summary": problem.message, "value": refusal([problem], request)}
    return made
