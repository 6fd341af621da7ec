"""What a lenient reader would pass over is refused: unknown names, names given twice, wrong media types, bytes that are
no text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from direct import Given, ask, check_shape
from small_service import SmallService, small_service


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    with small_service(tmp_path_factory.mktemp("service")) as made:
        yield made


def _asked(here: SmallService, method: str, target: str, body: bytes = b"", **headers: str) -> Given:
    app: Any = here.client("office").app
    sent = {"authorization": here.client("office").headers["authorization"], **headers}
    found = asyncio.run(ask(app, method, target, body, sent))
    check_shape(found)
    return found


def _json(here: SmallService, target: str, body: bytes) -> Given:
    return _asked(here, "POST", target, body, **{"content-type": "application/json"})


@pytest.mark.parametrize(
    ("target", "field", "reason"),
    [
        ("/v1/submissions?mouth=2025-03", "query.mouth", "没有这一项"),
        ("/v1/submissions?month=2025-03&month=2025-04", "query.month", "只能给一次"),
        ("/v1/submissions?month=2025-03&%6Donth=2025-04", "query.month", "只能给一次"),
        ("/v1/policies?x", "query.x", "没有这一项"),
        ("/v1/codes?q=%ff", "URL", "不是 UTF-8 编码"),
        ("/v1/policies/%ED%A0%80", "URL", "不是 UTF-8 编码"),
        ("/v1/documents/policy/%C0%AE%C0%AE", "URL", "不是 UTF-8 编码"),
        ("/v1/runs/%2e%2e", "path.name", "格式应为 ^[a-z]+_[0-9a-f]+$"),
        ("/v1/documents/policy/..", "path.name", "格式应为 ^[\\w][\\w.\\-]*$"),
    ],
)
def test_addresses(here: SmallService, target: str, field: str, reason: str) -> None:
    told = _asked(here, "GET", target).json()
    assert (told["code"], told["args"]) == ("SV04", {"field": field, "reason": reason})


@pytest.mark.parametrize(
    "target",
    [
        "/v1/runs/",
        "//v1/runs",
        "/v1//runs",
        "/v1/runs/..%2f..%2fetc%2fpasswd",
        "/v1/runs/run_00/files/..%2f..%2fx",
        "*",
    ],
)
def test_addresses_that_there_are_not(here: SmallService, target: str) -> None:
    found = _asked(here, "GET", target)
    assert (found.status, found.json()["code"], "location" in found.headers) == (404, "SV03", False)


@pytest.mark.parametrize("method", ["DELETE", "OPTIONS", "TRACE", "PATCH", "get"])
def test_methods_that_there_are_not(here: SmallService, method: str) -> None:
    found = _asked(here, method, "/v1/books")
    assert (found.status, found.json()["code"], found.headers["allow"]) == (405, "SV12", "GET")


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b'{"year": 2025, "year": 2026}', "body.year", "只能给一次"),
        (b'{"year": 2025, "cases": [{"a": 1, "a": 2}]}', "body.a", "只能给一次"),
        (b'{"year": NaN}', "body", "NaN 不是 JSON 的数"),
        (b'{"year": -Infinity}', "body", "-Infinity 不是 JSON 的数"),
        (b'{"year": 99999999999999999999999999}', "body.year", "应不大于 2100"),
        (b'{"year": 2025, "x": 1}', "body.x", "没有这一项"),
        (b'{"year": 2025, "cases": ["\\udfff"]}', "body", "文本中有不能保存的字符"),
        (b"[]", "body", "应为对象"),
        (b"{", "body.1", "不是合法的 JSON"),
        (b"", "body", "必须给出"),
    ],
)
def test_bodies(here: SmallService, body: bytes, field: str, reason: str) -> None:
    told = _json(here, "/v1/budgets", body).json()
    assert (told["code"], told["args"]) == ("SV04", {"field": field, "reason": reason})


@pytest.mark.parametrize(
    ("headers", "given"),
    [
        ({"content-type": "text/plain"}, "text/plain"),
        ({"content-type": "application/x-www-form-urlencoded"}, "application/x-www-form-urlencoded"),
        ({}, "—"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "application/json、gzip"),
    ],
)
def test_media_types_that_are_not_taken(here: SmallService, headers: dict[str, str], given: str) -> None:
    body = b"\x1f\x8b\x08\xff" if "content-encoding" in headers else b'{"year": 2025}'
    found = _asked(here, "POST", "/v1/budgets", body, **headers)
    assert (found.status, found.json()["code"]) == (415, "SV14")
    assert found.json()["args"] == {"given": given, "wanted": "application/json"}
