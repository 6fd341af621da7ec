"""What a lenient reader would pass over is refused: unknown names, names given twice, wrong media types, bytes that are
no text."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from direct import Given, ask, check_shape
from small_service import SmallService, small_service

from api.http.strict import JSON


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
        ("/v1/runs/%2e%2e", "path.name", "应为服务给出的编号，如 job_5d1f0c2b9a7e4c3d8f6a1b20"),
        (
            "/v1/documents/policy/..",
            "path.name",
            "应为名称，由字母、汉字、数字、下划线、点、连字符组成，不以点和连字符开头，如 2026.toml",
        ),
        ("/v1/submissions?month=2026-13", "query.month", "应为月份，如 2026-03"),
        ("/v1/codes?q=I10&kind=x", "query.kind", "应为其中之一：dx、px、all"),
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
        (b'{"year": 2025, "cases": [{}, {"a": 1, "b": {}, "a": 2}]}', "body.cases.1.a", "只能给一次"),
        (b'{"\\ud800": 2025, "\\ud800": 2}', "body.?", "只能给一次"),
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


@pytest.mark.parametrize(
    ("target", "media", "body", "field"),
    [
        ("/v1/group", "application/json", b'{"sex": 1, "age_years": 63, "sex": 2}', "body.sex"),
        ("/v1/group?pay=true", "application/json", b'{"sex": 1, "sex" \n: 1}', "body.sex"),
        ("/v1/group", "application/json; charset=utf-8", b'{"\\u0073ex": 1, "sex": 2}', "body.sex"),
        # As many colons as names kept and given away: one of them in a text.
        ("/v1/group", "application/geo+json", b'{"case_id": "a\\":", "sex": 1, "sex": 2}', "body.sex"),
        ("/v1/group", "application/json", b'{"case_id": {"a": 1}, "case_id": "x"}', "body.case_id"),
        ("/v1/group/batch", "application/json", b'{"cases": [{"sex": 1}, {"sex": 1, "sex": 1}]}', "body.cases.1.sex"),
        ("/v1/group/batch", "application/json", b'[{"sex": 1}, {"sex": 1, "sex": 1}]', "body.1.sex"),
        ("/v1/group/batch", "application/json", b'{"cases": [{}], "cases": [{}]}', "body.cases"),
        ("/v1/group/batch", "application/json", b'{"columns": {"sex": [1], "sex": [2]}}', "body.columns.sex"),
        ("/v1/group/batch", "application/x-ndjson", b'{"sex": 1}\n\n{"sex": 1, "sex": 2}\n', "body.2.sex"),
    ],
)
def test_names_given_twice_in_cases(here: SmallService, target: str, media: str, body: bytes, field: str) -> None:
    found = _asked(here, "POST", target, body, **{"content-type": media})
    assert (found.status, found.json()["code"]) == (422, "SV04"), found.body
    assert found.json()["args"] == {"field": field, "reason": "只能给一次"}


@pytest.mark.parametrize(
    "case",
    [
        b'{"discharge_time": "2025-03-05T10:00:00", "case_id" : "1"}',
        b'{"case_id": "\\":\\":\\":", "department": ":\\u003a"}',
        b"{}",
    ],
)
def test_colons_are_no_names(here: SmallService, case: bytes) -> None:
    assert _json(here, "/v1/group", case).status == 200
    found = _json(here, "/v1/group/batch", b'{"cases": [' + case + b"," + case + b"]}")
    assert (found.status, len(found.json()["rows"])) == (200, 2)


_JSON_ALONE = "application/json"
_TABLES = "application/json、application/x-ndjson、application/vnd.apache.parquet、application/vnd.apache.arrow.stream"


@pytest.mark.parametrize(
    ("target", "headers", "given", "wanted"),
    [
        ("/v1/group", {"content-type": "text/plain"}, "text/plain", _JSON_ALONE),
        ("/v1/group", {}, "—", _JSON_ALONE),
        ("/v1/group?trace=true", {"content-type": "text/csv"}, "text/csv", _JSON_ALONE),
        ("/v1/group", {"content-type": JSON, "content-encoding": "gzip"}, "application/json、gzip", _JSON_ALONE),
        ("/v1/group", {"content-type": JSON, "content-encoding": "br"}, "application/json、br", _JSON_ALONE),
        ("/v1/group", {"content-type": f"{JSON}; charset=gbk"}, f"{JSON}; charset=gbk", _JSON_ALONE),
        ("/v1/budgets", {"content-type": f"{JSON};charset=\"GBK\""}, f"{JSON};charset=\"GBK\"", _JSON_ALONE),
        ("/v1/group/batch", {"content-type": "application/octet-stream"}, "application/octet-stream", _TABLES),
        ("/v1/group/batch", {}, "—", _TABLES),
    ],
)  # fmt: skip
def test_cases_of_other_media_types(
    here: SmallService, target: str, headers: dict[str, str], given: str, wanted: str
) -> None:
    packed = headers.get("content-encoding") == "gzip"
    body = b"\x1f\x8b\x08\xff" if packed else b'{"year": 2025}' if "budgets" in target else b'{"sex": 1}'
    found = _asked(here, "POST", target, body, **headers)
    assert (found.status, found.json()["code"]) == (415, "SV14")
    assert found.json()["args"] == {"given": given, "wanted": wanted}


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("POST", "/v1/submissions?month=2025-03&format=xml", "query.format"),
        ("POST", "/v1/submissions?month=2025-03&format=companion", "query.format"),
        ("POST", "/v1/submissions?month=2025-03&kind=newer", "query.kind"),
        ("GET", "/v1/submissions?state=lost", "query.state"),
        ("GET", "/v1/submissions/sub_00/results?format=pdf", "query.format"),
        ("GET", "/v1/documents?kind=register", "query.kind"),
        ("GET", "/v1/runs?kind=settlement", "query.kind"),
        ("GET", "/v1/codes?q=I63&kind=icd", "query.kind"),
        ("POST", "/v1/group/batch?shape=csv", "query.shape"),
    ],
)
def test_words_that_there_are_not(here: SmallService, method: str, target: str, field: str) -> None:
    told = _asked(here, method, target, b"x", **{"content-type": "application/json"}).json()
    assert (told["code"], told["args"]["field"]) == ("SV04", field)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (b'{"age_years": ' + b"9" * 400 + b"}", "有一个 400 位的数，超出范围"),
        (b'{"total_cost_fen": 1e400}', "有超出范围的数 1e400"),
        (b'{"age_years": NaN}', "有 NaN，它不是 JSON 的数"),
        (b'{"diagnoses": ["\\ud800"]}', "有不成对的代理码 \\ud800，不是文字"),
        (b'{"case_id": "\xff"}', "不是 UTF-8 编码"),
        (b'{"case_id": ', "不是 JSON"),
    ],
)
def test_why_a_case_is_no_json(here: SmallService, case: bytes, reason: str) -> None:
    assert _json(here, "/v1/group", case).json()["args"] == {"reason": reason}
    lines = _asked(here, "POST", "/v1/group/batch", b"{}\n" + case, **{"content-type": "application/x-ndjson"})
    assert lines.json()["args"] == {"reason": f"第 2 行{reason}"}


def test_a_byte_order_mark_is_passed_over(here: SmallService) -> None:
    marked = b'\xef\xbb\xbf{"sex": 1}'
    assert _json(here, "/v1/group", marked).status == 200
    assert _json(here, "/v1/group/batch", b'\xef\xbb\xbf[{"sex": 1}]').status == 200


@pytest.mark.parametrize("target", ["/v1/submissions?month=2025-03&hospital=H1", "/v1/documents/weights/w.csv"])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-encoding": "br"}, 415, "SV14"),
        ({"content-encoding": "gzip, gzip"}, 415, "SV14"),
        ({"content-encoding": "gzip"}, 422, "SV09"),
        ({"content-type": "multipart/mixed; boundary=b"}, 415, "SV14"),
        ({"content-type": "multipart/form-data; boundary=b", "content-encoding": "gzip"}, 415, "SV14"),
    ],
)
def test_files_that_are_not_what_they_are_said_to_be(
    here: SmallService, target: str, headers: dict[str, str], status: int, code: str
) -> None:
    method = "PUT" if "documents" in target else "POST"
    found = _asked(here, method, target, b"case_id,sex\n1,1\n", **{"content-type": "text/csv", **headers})
    assert (found.status, found.json()["code"]) == (status, code), found.body
    assert list(here.service.files.temporary.iterdir()) == []


def test_two_tokens_are_none(here: SmallService) -> None:
    tokens = [here.client(name).headers["authorization"] for name in ("office", "H1")]
    for method, path in (("GET", "/v1/submissions"), ("POST", "/v1/group")):
        asked = [("authorization", token) for token in tokens]
        answer = here.client("nobody").request(method, path, headers=asked)
        assert answer.status_code == 401
        assert [item["code"] for item in answer.json()["problems"]] == ["SV01", "SV04"]


def test_years_and_columns_that_no_case_has(here: SmallService) -> None:
    told = _json(here, "/v1/group", b'{"discharge_time": "9999-12-31T23:59:59"}').json()
    assert told["args"]["expected"] == "1800 至 2199 年的日期时间"
    told = _json(here, "/v1/group", b'{"birth_date": "9999-12-31"}').json()
    assert told["args"]["expected"] == "1800 至 2199 年的日期"
    table, wide, rows = io.BytesIO(), io.BytesIO(), io.BytesIO()
    pl.DataFrame({"age": [1], "los_days": [timedelta(days=1)]}).write_parquet(table)
    pl.DataFrame({f"c{at}": [1] for at in range(2001)}).write_parquet(wide)
    pl.select(sex=pl.repeat(value=True, n=300_000_000, dtype=pl.Boolean)).write_ipc_stream(rows, compression="zstd")
    kinds = ("application/vnd.apache.parquet", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream")
    answers = [
        _asked(here, "POST", "/v1/group/batch", body.getvalue(), **{"content-type": kind}).json()
        for body, kind in zip((table, wide, rows), kinds, strict=True)
    ]
    assert [(item["code"], item["args"]["field"]) for item in answers[0]["problems"]] == [
        ("SV85", "age"), ("SV85", "los_days"),
    ]  # fmt: skip
    assert answers[1]["args"] == {"reason": "有 2001 列，最多 2000 列"}
    assert (answers[2]["code"], answers[2]["args"]) == ("SV07", {"limit": 10_000, "given": 300_000_000})
