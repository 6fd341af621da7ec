"""The interface as a page to read: made from its description, whole in itself, so that it opens offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import orjson

from api.http.errors import MEDIA_TYPE
from api.http.reasons import form_zh

_TAGS = {
    "cases": "单个病例和批量分组", "submissions": "提交", "office": "经办：结算、清算、预算、年度文件",
    "policy": "政策模拟", "jobs": "任务", "reference": "编码、方案、政策、问题目录", "audit": "审计",
    "system": "运行状况",
}  # fmt: skip
_PLACES = {"path": "路径", "query": "查询", "header": "请求头"}
_TYPES = {
    "string": "文本", "integer": "整数", "number": "数", "boolean": "true 或 false", "object": "对象", "null": "null",
    "binary": "文件", "": "任意",
}  # fmt: skip
_NO_DEFAULTS: tuple[Any, ...] = ("", None, [])
_STYLE = """
body{font:15px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;
padding:.4rem .8rem}details:target{border-color:#0969da}
summary{cursor:pointer}code,pre{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
pre{background:#f6f8fa;padding:.6rem;overflow-x:auto;border-radius:6px}
b.m{display:inline-block;min-width:4.2rem;font:bold 13px ui-monospace,Menlo,Consolas,monospace}
b.GET{color:#0a5f9e}b.POST{color:#1a6b33}b.PUT{color:#8a5a00}b.DELETE{color:#b3261e}summary span{margin-left:.8rem}
nav a{display:inline-block;margin-right:1.2rem}h4{margin:1rem 0 .2rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{border:1px solid #d0d7de;padding:.25rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f6f8fa;white-space:nowrap}td:first-child{white-space:nowrap}
@media (prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre,th{background:#161b22}
h2,details,td,th{border-color:#30363d}a{color:#58a6ff}b.GET{color:#79c0ff}b.POST{color:#7ee787}b.PUT{color:#e3b341}
b.DELETE{color:#ffa198}}
@media (max-width:40rem){td:first-child{white-space:normal}summary code{overflow-wrap:anywhere}}
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


def docs_page(described: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = described["info"]
    tags = _by_tag(described)
    links = [
        *((f"tag-{name}", _TAGS.get(name, name)) for name in tags),
        ("refusals", "拒绝和错误"),
        ("shapes", "数据形式"),
    ]
    return "".join([
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(info['title'])} 接口说明</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])} 接口说明</h1><p>{escape(info['description'])}</p>",
        '<p>机器可读的说明：<a href="/openapi.json">/openapi.json</a>（OpenAPI）。除 <code>/healthz</code>、'
        "<code>/readyz</code>、<code>/openapi.json</code>、<code>/docs</code> 外，每个请求都要写 "
        "<code>Authorization: Bearer 令牌</code>。不认识的参数和字段一律拒收，不会当作没有。</p>",
        "<nav>", *(f'<a href="#{escape(name)}">{escape(text)}</a>' for name, text in links), "</nav>",
        *_routes(tags), *_refusals(described), *_shapes(described), "</html>",
    ])  # fmt: skip


def _by_tag(described: Mapping[str, Any]) -> dict[str, list[str]]:
    """Routes as HTML by tag, tags in the order of the work."""
    found: dict[str, list[str]] = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["system"])[0]
            found.setdefault(tag, []).append(_operation(path, method.upper(), operation))
    names = list(_TAGS)
    return dict(sorted(found.items(), key=lambda item: names.index(item[0]) if item[0] in names else len(names)))


def _routes(tags: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for tag, shown in tags.items():
        yield f'<h2 id="tag-{escape(tag)}">{escape(_TAGS.get(tag, tag))}</h2>'
        yield from shown


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<details id="{escape(operation["operationId"])}"><summary><b class="m {method}">{method}</b>'
        f"<code>{escape(path)}</code><span>{escape(operation.get('summary', ''))}</span></summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
    ]
    rows = [
        (
            f"<code>{escape(item['name'])}</code>", _PLACES[item["in"]], "是" if item.get("required") else "",
            _kind(item["schema"]), escape(item.get("description", "")),
            _values(item["schema"].get("examples", item.get("examples", ()))),
        )
        for item in operation.get("parameters", ())
    ]  # fmt: skip
    if rows:
        parts += ["<h4>参数</h4>", _table(("名称", "位置", "必须", "类型", "说明", "例"), rows)]
    for media, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h4>请求体 <code>{escape(media)}</code> {_kind(body.get('schema', {}))}</h4>")
        parts += _fields(body.get("schema", {}))
        examples = [item["value"] for item in body.get("examples", {}).values()]
        parts += [_shown(value) for value in [*examples, *([body["example"]] if "example" in body else [])]]
    answers = [
        (escape(status), escape(answer["description"]), _content(answer))
        for status, answer in operation["responses"].items()
    ]  # fmt: skip
    parts += ["<h4>回答</h4>", _table(("状态", "说明", "内容或问题编号"), answers)]
    return "".join(parts) + "</details>"


def _refusals(described: Mapping[str, Any]) -> Iterator[str]:
    yield '<h2 id="refusals">拒绝和错误</h2><p>都是 application/problem+json，形式见 <a href="#Refusal">Refusal</a>。'
    yield "程序按 code 判断，文字给人看；所办事项本身的问题另有编号，见 <code>GET /v1/problems</code>。"
    yield "不是 HTTP 的内容答 400（SV13），地址和请求头太长答 431（SV15），不支持的方法答 405（SV12）。</p>"
    for name, example in described["components"]["examples"].items():
        status = example["value"]["status"]
        yield (
            f'<details id="{escape(name)}"><summary><b class="m">{escape(name)}</b>{status} '
            f"{escape(example['summary'])}</summary>{_shown(example['value'])}</details>"
        )


def _shapes(described: Mapping[str, Any]) -> Iterator[str]:
    yield '<h2 id="shapes">数据形式</h2>'
    for name, schema in sorted(described["components"]["schemas"].items()):
        about = escape(schema.get("description", ""))
        inner = (
            "".join(_fields(schema)) or f"<p>{escape('、'.join(_value(item) for item in schema.get('enum', ())))}</p>"
        )
        yield f'<details id="{escape(name)}"><summary><b>{escape(name)}</b> {about}</summary>{inner}</details>'


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [
        (f"<code>{escape(name)}</code>", "是" if name in required else "", _kind(item),
         escape(item.get("description", "")), _values(item.get("examples", ())))
        for name, item in schema.get("properties", {}).items()
    ]  # fmt: skip
    if rows:
        yield _table(("字段", "必须", "类型", "说明", "例"), rows)


def _content(answer: Mapping[str, Any]) -> str:
    """What an answer holds: the codes of refusals, else its media types and shapes."""
    told = []
    for media, item in answer.get("content", {}).items():
        codes = [name for name in item.get("examples", ()) if media == MEDIA_TYPE]
        shown = "、".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in codes)
        example = _shown(item["example"]) if "example" in item else ""
        told.append(shown or f"<code>{escape(media)}</code> {_kind(item.get('schema', {}))}{example}")
    return "<br>".join(told)


def _kind(schema: Mapping[str, Any]) -> str:
    """What a value is, as HTML."""
    default = f" 默认 {escape(_value(schema['default']))}" if schema.get("default") not in _NO_DEFAULTS else ""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>{default}'
    if "allOf" in schema:
        return " ".join(map(_kind, schema["allOf"])) + default
    if "anyOf" in schema:
        return " 或 ".join(map(_kind, schema["anyOf"])) + default
    if schema.get("type") == "array":
        return f"[{_kind(schema.get('items', {}))}]"
    limits = {"minLength": "长 ≥ ", "maxLength": "长 ≤ ", "minimum": "≥ ", "maximum": "≤ "}
    told = [f"{sign}{schema[name]}" for name, sign in limits.items() if name in schema]
    if "pattern" in schema:
        told.append(form_zh(schema["pattern"]))
    if "enum" in schema:
        told.append("、".join(_value(item) for item in schema["enum"]))
    kind = _TYPES[schema["format"] if schema.get("format") in _TYPES else schema.get("type", "")]
    return escape("，".join([kind, *told])) + default


def _value(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _values(values: Sequence[Any]) -> str:
    return "、".join(f"<code>{escape(_value(value))}</code>" for value in values)


def _shown(value: Any) -> str:
    """An example: a file as it is, the rest as JSON."""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return f"<pre>{escape(text)}</pre>"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML; a column without any is left out."""
    kept = [at for at in range(len(head)) if any(row[at] for row in rows)]
    cells = "".join("<tr>" + "".join(f"<td>{row[at]}</td>" for at in kept) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{head[at]}</th>" for at in kept) + f"</tr>{cells}</table>"
