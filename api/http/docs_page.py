"""The interface as a page to read: made from its description, whole in itself, so that it opens offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import orjson

_TAGS = {
    "cases": "单个病例和批量分组", "submissions": "提交", "office": "经办：结算、清算、预算、年度文件",
    "policy": "政策模拟", "jobs": "任务", "reference": "编码、方案、政策、问题目录", "audit": "审计",
    "system": "运行状况",
}  # fmt: skip
_STYLE = """
body{font:15px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;
padding:.4rem .8rem}summary{cursor:pointer}code,pre{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
pre{background:#f6f8fa;padding:.6rem;overflow-x:auto;border-radius:6px}b.m{display:inline-block;min-width:4rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border:1px solid #d0d7de;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f6f8fa}
@media (prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre,th{background:#161b22}
h2,details,td,th{border-color:#30363d}a{color:#58a6ff}}
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def docs_page(described: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = described["info"]
    return "".join([
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(info['title'])} 接口说明</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])} 接口说明</h1><p>{escape(info['description'])}</p>",
        '<p>机器可读的说明：<a href="/openapi.json">/openapi.json</a>（OpenAPI）。除运行状况外，每个请求都要写 '
        "<code>Authorization: Bearer 令牌</code>。</p>", *_routes(described), *_shapes(described), "</html>",
    ])  # fmt: skip


def _routes(described: Mapping[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["system"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method.upper(), operation))
    for tag in sorted(by_tag, key=lambda name: (list(_TAGS).index(name) if name in _TAGS else len(_TAGS), name)):
        yield f"<h2>{escape(_TAGS.get(tag, tag))}</h2>"
        yield from by_tag[tag]


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><b class="m">{method}</b> '
        f"<code>{escape(path)}</code> "
        f"{escape(operation.get('summary', ''))}</summary><p>{escape(operation.get('description', ''))}</p>"
    ]
    rows = [
        (
            item["name"],
            item["in"],
            "是" if item.get("required") else "",
            _kind(item["schema"]),
            item.get("description", ""),
        )
        for item in operation.get("parameters", ())
    ]
    if rows:
        parts.append(_table(("参数", "位置", "必须", "类型", "说明"), rows))
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>请求体 <code>{escape(media)}</code> {_kind(body.get('schema', {}))}</p>")
        examples = [item["value"] for item in body.get("examples", {}).values()]
        parts += [_json(value) for value in [*examples, *([body["example"]] if "example" in body else [])]]
    answers = [
        (status, answer["description"], "、".join(answer.get("content", {})) + " " + _of_content(answer))
        for status, answer in operation["responses"].items() if "$ref" not in answer
    ]  # fmt: skip
    parts.append(_table(("状态", "说明", "内容"), answers, raw=(2,)))
    return "".join(parts) + "</details>"


def _shapes(described: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>拒绝和错误</h2><p>都是 application/problem+json，形式见 Refusal。</p>"
    told = described["components"]["responses"].items()
    yield _table(("状态", "说明"), [(status, answer["description"]) for status, answer in told])
    yield "<h2>数据形式</h2>"
    for name, schema in sorted(described["components"]["schemas"].items()):
        required = schema.get("required", ())
        rows = [
            (field, "是" if field in required else "", _kind(item), item.get("description", ""),
             "、".join(orjson.dumps(value).decode() for value in item.get("examples", ())))
            for field, item in schema.get("properties", {}).items()
        ]  # fmt: skip
        about = escape(schema.get("description", ""))
        values = "、".join(map(str, schema.get("enum", ())))
        table = _table(("字段", "必须", "类型", "说明", "例"), rows, raw=(2,)) if rows else f"<p>{escape(values)}</p>"
        yield f'<details id="{escape(name)}"><summary><b>{escape(name)}</b> {about}</summary>{table}</details>'


def _of_content(answer: Mapping[str, Any]) -> str:
    return " ".join(_kind(item.get("schema", {})) for item in answer.get("content", {}).values())


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value is, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " 或 ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', {}))}]"
    limits = {"pattern": "", "minLength": "≥", "maxLength": "≤", "minimum": "≥", "maximum": "≤", "default": "默认 "}
    told = [f"{sign}{schema[name]}" for name, sign in limits.items() if schema.get(name) not in {None, ""}]
    return escape(" ".join([str(schema.get("type", "")), *told]))


def _json(value: Any) -> str:
    return f"<pre>{escape(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())}</pre>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], raw: tuple[int, ...] = (3,)) -> str:
    """`raw`: columns that are HTML already."""
    cells = "".join(
        "<tr>" + "".join(f"<td>{cell if at in raw else escape(cell)}</td>" for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return "<table><tr>" + "".join(f"<th>{name}</th>" for name in head) + f"</tr>{cells}</table>"
