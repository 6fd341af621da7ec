"""What is said of a thing that is not there (SV03): where those that there are can be seen, or which route makes it.

A hospital is told the same of what is another's as of what there is not, and no id but the one it gave.
"""

from __future__ import annotations

from collections.abc import Mapping

from api.service.documents import KINDS
from reference_tables.problems import Problem

_CHECK = "核对编号"
_LISTS: Mapping[str, str] = {
    "提交": "能查看的见 GET /v1/submissions", "任务": "能查看的见 GET /v1/jobs", "办理结果": "能查看的见 GET /v1/runs",
    "清算": "能查看的见 GET /v1/runs?kind=clear", "改革方案": "内置的和放入的见 GET /v1/reforms",
    "分组方案": "内置的见 GET /v1/schemes，正在使用的写 current", "地址": "全部地址见 /docs",
    "支付政策": "内置的见 GET /v1/policies，正在使用的写 current", "文件": "能下载的见 GET /v1/runs/编号 的 files",
    "编码": "编码按名称查：GET /v1/codes",
}  # fmt: skip
"""Where the things of a kind are listed, each caller's own."""
_ROUTES: Mapping[str, tuple[str, str]] = {
    "reform": ("PUT /v1/reforms/{}", "GET /v1/reforms"),
    "cases": ("PUT /v1/documents/cases/{}", "GET /v1/case-files"),
}
"""Kinds of documents with routes of their own: by which one is put, and by which they are listed."""


def absent(what: str, value: str, how: str = "") -> Problem:
    """There is no such thing; `how`: what to do, "" = look at the list of those that there are."""
    told = how or "；".join(text for text in (_CHECK, _LISTS.get(what, "")) if text)
    return Problem("SV03", {"what": what, "value": value, "how": told}, value=value)


def absent_document(kind: str, name: str) -> Problem:
    """There is no document of this name: by which route it is put."""
    put, listed = _ROUTES.get(kind, (f"PUT /v1/documents/{kind}/{{}}", f"GET /v1/documents?kind={kind}"))
    return absent(KINDS[kind], name, f"由经办机构先放入：{put.format(name)}；已有的见 {listed}")


def absent_version(kind: str, name: str, version: int) -> Problem:
    """A document has no such version, or it says that the document was taken away."""
    return absent(KINDS[kind], f"{name} 第 {version} 版", f"各版本见 GET /v1/documents?kind={kind}")


def absent_book(year: int) -> Problem:
    """Nothing of a year has been settled: what begins its book."""
    how = f"{year} 年还没有结算过：先提交病例（POST /v1/submissions），再结算（POST /v1/settlements），即有账册"
    return absent("年度账册", str(year), how)
