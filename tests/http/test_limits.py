"""What is too large, too often, too deep or meant to harm: refused in the one shape, with nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from small_service import MARCH, SETUP, SmallService, refused_by, small_service

from api.http.rates import Rates
from api.service.context import check_address, open_service
from api.service.logs import JsonLines
from api.service.settings import Settings
from api.service.tokens import revoke_token
from reference_tables.problems import TablesRefused
from tests.unit.pay_examples import HEADER, row

_KB, _MB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallService]:
    small = {"max_request_bytes": 16 * _KB, "max_body_bytes": 4 * _MB, "max_unpacked_bytes": 8 * _MB, "max_rows": 500}
    with small_service(tmp_path_factory.mktemp("service"), **small) as made:
        yield made


def _pieces(size: int, piece: bytes = b"x" * 8192) -> Iterator[bytes]:
    """So many bytes without a stated length."""
    for _ in range(size // len(piece)):
        yield piece


@pytest.mark.parametrize("path", ["/v1/settlements", "/v1/clearings", "/v1/group"])
@pytest.mark.parametrize("stated", [True, False])
def test_requests_that_are_no_files_are_small(here: SmallService, path: str, stated: bool) -> None:
    body: Any = b" " * 32 * _KB if stated else _pieces(32 * _KB)
    answer = here.client("office").post(path, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "SV05")
    assert answer.json()["args"] == {"limit": 16 * _KB}


@pytest.mark.parametrize("media", ["text/csv", "multipart/form-data; boundary=b"])
def test_a_file_that_is_too_large_leaves_nothing(here: SmallService, media: str) -> None:
    begin = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'

    def parts() -> Iterator[bytes]:
        yield begin if "multipart" in media else b""
        yield from _pieces(5 * _MB)

    store = here.service.files
    before = sorted(store.folder.rglob("*"))
    answer = here.client("H1").post(
        "/v1/submissions", params={"month": MARCH}, content=parts(), headers={"Content-Type": media}
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (413, "SV05")
    assert list(store.temporary.iterdir()) == []
    assert sorted(store.folder.rglob("*")) == before


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("size", [96 * _MB, pytest.param(2048 * _MB, marks=pytest.mark.long)])
def test_a_large_file_streams_through(tmp_path: Path, size: int) -> None:
    with small_service(tmp_path, max_body_bytes=4096 * _MB) as made:
        app: Any = made.client("H1").app
        piece = (row("A1") * 400).encode()
        left = [size]

        async def receive() -> dict[str, Any]:
            left[0] -= len(piece)
            return {"type": "http.request", "body": piece, "more_body": left[0] > 0}

        told: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            told.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/v1/submissions", "raw_path": b"/v1/submissions",
            "query_string": b"month=2025-03", "headers": [
                (b"authorization", made.client("H1").headers["authorization"].encode()), (b"content-type", b"text/csv"),
            ], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "scheme": "http", "root_path": "",
            "http_version": "1.1", "asgi": {"version": "3.0"}, "state": {},
        }  # fmt: skip
        before = _peak()
        asyncio.run(app(scope, receive, send))
        assert told[0]["status"] == 202
        assert orjson.loads(told[1]["body"])["bytes"] >= size
        assert _peak() - before < 48 * _MB


def test_rates_are_of_the_token_and_of_the_address_of_who_has_none(tmp_path: Path) -> None:
    with small_service(tmp_path, requests_per_minute=3) as made:
        client = made.client("H1")
        name = client.headers["authorization"].split("_")[1]
        stranger = {"Authorization": f"Bearer drgdip_{name}_wrong"}
        seen = [made.client("nobody").get("/v1/problems", headers=stranger).status_code for _ in range(4)]
        assert seen == [401, 401, 401, 429]
        # Who knows the token's id alone has used up nothing of it.
        seen = [client.get("/v1/schemes/current").status_code for _ in range(4)]
        assert seen == [200, 200, 200, 429]
        refused = client.get("/v1/schemes/current")
        assert refused.json()["code"] == "SV06"
        assert 1 <= int(refused.headers["Retry-After"]) <= 62
        assert made.client("H2").get("/v1/schemes/current").status_code == 200
        assert made.client("nobody").get("/healthz").status_code == 200


def test_a_minute_slides() -> None:
    rates = Rates(2)
    assert [rates.wait("a", at) for at in (0.5, 30.5, 45.5)] == [0.0, 0.0, 15.5]
    assert rates.wait("a", 60.5) == 0.5  # counted by the second: never more than two in a minute
    assert rates.wait("a", 61.0) == 0.0
    assert rates.wait("a", 62.0) == 29.0
    assert rates.wait("b", 62.0) == 0.0
    assert rates.wait("a", 1e6) == 0.0
    few = Rates(1, callers=2)
    assert [few.wait(name, at) for at, name in enumerate("abab")] == [0.0, 0.0, 59.0, 59.0]
    assert few.wait("c", 9.0) == 0.0  # in the place of a, who has been silent for longest
    assert [few.wait(name, 10.0) for name in "bc"] == [52.0, 60.0]


def test_a_revocation_is_in_force_within_a_second(tmp_path: Path) -> None:
    with small_service(tmp_path) as made:
        client = made.client("H1")
        assert client.get("/v1/schemes/current").status_code == 200
        with made.service.database.write() as connection:
            revoke_token(connection, SETUP, client.headers["authorization"].split("_")[1])
        time.sleep(1.01)
        assert client.get("/v1/schemes/current").status_code == 401


def _zip(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "/") + ".xml", content)
    return buffer.getvalue()


def test_bombs(here: SmallService) -> None:
    corners = b'<row r="1"><c r="A1"/></row><row r="1048576"><c r="XFD1048576"/></row>'
    book = _zip(xl__workbook=b"<workbook/>", xl__worksheets__sheet1=corners)
    assert refused_by(here, gzip.compress(b"a" * 9 * _MB), "a.csv.gz") == {"SV34"}
    assert refused_by(here, book, "a.xlsx") == {"SV34"}
    assert refused_by(here, book + b" ", "a.ods") == {"SV34"}
    assert refused_by(here, gzip.compress(book), "b.xlsx.gz") == {"SV34"}
    assert refused_by(here, _zip(xl__workbook=b" " * 9 * _MB), "c.xlsx") == {"SV34"}
    assert refused_by(here, _zip(content=b"<x/>"), "d.xlsx") == {"SV09"}
    assert refused_by(here, gzip.compress(gzip.compress(b"a" * _MB)), "e.csv.gz") == {"SV09"}
    assert refused_by(here, gzip.compress(b"a" * 99)[:-9], "f.csv.gz") == {"SV09"}


def test_rows(here: SmallService) -> None:
    cases = "".join(row(f"A{at}") for at in range(501))
    assert refused_by(here, (HEADER + cases).encode(), "a.csv") == {"SV33"}
    frame = pl.read_csv(io.BytesIO((HEADER + cases).encode()), infer_schema=False)
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    assert refused_by(here, buffer.getvalue(), "a.parquet") == {"SV33"}


def test_binary_tables_are_counted_before_they_are_unpacked(here: SmallService) -> None:
    table, stream = io.BytesIO(), io.BytesIO()
    pl.select(pl.repeat("x" * 1000, 3_000_000).alias("case_id")).write_parquet(table)
    pl.select(pl.repeat(0, 40 * _MB, dtype=pl.Int64).alias("sex")).write_ipc_stream(stream, compression="zstd")
    for body, media, code in (
        (table.getvalue(), "application/vnd.apache.parquet", "SV07"),
        (stream.getvalue(), "application/vnd.apache.arrow.stream", "SV05"),
    ):
        assert len(body) < _MB
        answer = here.client("H1").post("/v1/group/batch", content=body, headers={"Content-Type": media})
        assert (answer.status_code, answer.json()["code"]) == (413, code)


@pytest.mark.parametrize("body", [b"[" * 15_000, b'{"a":' * 3_000, b"[" * 7_000 + b"]" * 7_000])
def test_deep_json(here: SmallService, body: bytes) -> None:
    client = here.client("office")
    for path in ("/v1/group", "/v1/group/batch", "/v1/settlements"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["status"]) == (422, 422)
    assert refused_by(here, body, "deep.json")


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 5000, "a = " + "{a=" * 5000, "[" + "a." * 5000 + "b]", "\x00", "\ufeff"]
)
def test_deep_toml(here: SmallService, text: str) -> None:
    client = here.client("policy")
    for method, path in (("POST", "/v1/policies/check"), ("PUT", "/v1/reforms/r.toml")):
        answer = client.request(method, path, content=text.encode())
        assert (answer.status_code, answer.json()["status"]) == (422, 422)


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd", "..", "/", "..\\..\\x.csv", "a/../../b.csv", ".hidden", "con\r\nX: y", "=cmd|x"]
)
def test_a_path_in_a_file_name(here: SmallService, name: str) -> None:
    outside = sorted(path for path in here.folder.rglob("*") if "data" not in path.parts)
    body = (HEADER + row("A1") + row(f"B{hash(name)}")).encode()
    answer = here.client("H1").post("/v1/submissions", params={"month": MARCH, "name": name}, content=body)
    form = {"file": (name, body + b"\n", "text/csv")}
    other = here.client("H1").post("/v1/submissions", params={"month": MARCH}, files=form)
    here.work()
    for given in (answer, other):
        assert given.status_code == 202, given.text
        kept = here.client("H1").get(f"/v1/submissions/{given.json()['id']}").json()
        assert not set("/\\\r\n=") & set(kept["file_name"])
        assert not kept["file_name"].startswith(".")
        assert kept["state"] != "received"
    assert sorted(path for path in here.folder.rglob("*") if "data" not in path.parts) == outside
    assert list(here.service.work.iterdir()) == []


def test_a_formula_in_a_cell_stays_a_text(here: SmallService) -> None:
    found = here.submit(row("=HYPERLINK(1)"), name="formula.csv")
    client = here.client("H1")
    book = client.get(f"/v1/submissions/{found['id']}/results", params={"format": "xlsx"}).content
    with zipfile.ZipFile(io.BytesIO(book)) as packed:
        sheets = b"".join(packed.read(name) for name in packed.namelist() if "worksheets" in name)
        texts = b"".join(packed.read(name) for name in packed.namelist() if "sharedStrings" in name)
    assert b"<f>" not in sheets
    assert b"=HYPERLINK(1)" in texts + sheets


@pytest.mark.parametrize("charset", ["utf-8-sig", "gb18030", "utf-16", "utf-16-le", "big5", "shift-jis", "utf-32"])
def test_charsets(here: SmallService, charset: str) -> None:
    text = HEADER.replace("case_id", "病案号") + row(f"A-{charset}")
    body = text.encode(charset, "replace")
    answer = here.client("H1").post("/v1/submissions", params={"month": "2025-04", "name": "x.csv"}, content=body)
    here.work()
    found = here.client("H1").get(f"/v1/submissions/{answer.json()['id']}").json()
    assert found["state"] in {"accepted", "refused"}
    problems = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert found["accepted"] or problems


def test_characters_that_no_database_keeps(here: SmallService) -> None:
    client = here.client("office")
    for path in ("/v1/codes?q=%00", "/v1/documents/policy/a%00b", "/v1/runs?kind=a%00"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "SV04"), path
    for text in (b'"\\u0000"', b'"a\\ud800"'):
        body = b'{"month": "2025-03", "reason": ' + text + b"}"
        answer = client.post("/v1/settlements", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "SV04"), text


def test_nothing_personal_in_the_log(here: SmallService, caplog: pytest.LogCaptureFixture) -> None:
    names = ("张三丰", "110101199003078515", "13800138000", "BA20250017")
    caplog.set_level(logging.DEBUG, "drgdip")
    caplog.handler.setFormatter(JsonLines())
    header = HEADER.strip() + ",patient_name,id_number,phone\n"
    case = row(names[3], sex="男人", age_years=names[1]).strip() + f",{','.join(names[:3])}\n"
    client = here.client("H1")
    body = (header + case).encode()
    client.post("/v1/submissions", params={"month": MARCH, "name": f"{names[0]}.csv"}, content=body)
    here.work()
    client.post("/v1/group", json={"case_id": names[3], "sex": names[0], names[1]: names[2]})
    kind = {"Content-Type": "application/json"}
    client.post("/v1/group/batch", content=f'[{{"case_id": "{names[3]}", {names[1]}'.encode(), headers=kind)
    client.get(f"/v1/submissions/{names[1]}")
    client.get("/v1/submissions", params={"hospital": names[0]})
    assert len(caplog.records) >= 6
    for name in names:
        assert name not in caplog.text
    broken = orjson.dumps({"case_id": names[3]})

    def fails(*_: object, **__: object) -> None:
        raise ValueError(f"could not read {names[0]}")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("api.http.routes_cases.grouped_one", fails)
        answer = client.post("/v1/group", content=broken, headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (500, "SV22")
    assert names[0] not in answer.text
    assert "ValueError" in caplog.text
    assert names[0] not in caplog.text
    lines = [orjson.loads(line) for line in caplog.text.splitlines()]
    assert {line["level"] for line in lines} >= {"INFO", "ERROR"}
    for line in lines:
        assert {"at", "logger", "message"} <= line.keys()
        assert ("job" if line["logger"] == "drgdip.worker" else "request_id") in line
    assert lines[-2]["request_id"] == lines[-1]["request_id"] == answer.headers["x-request-id"]


def test_open_access_is_for_this_machine_alone(tmp_path: Path) -> None:
    with small_service(tmp_path, open_access=True) as made:
        client = made.client("nobody")
        for headers, status in (
            ({"Host": "127.0.0.1:8471"}, 200), ({"Host": "localhost"}, 200), ({"Host": "[::1]:8471"}, 200),
            ({"Host": "evil.example"}, 401), ({"Host": "127.0.0.1.evil.example"}, 401), ({"Host": "["}, 401),
            ({"Host": "localhost", "Origin": "https://evil.example"}, 401),
            ({"Host": "localhost", "Origin": "http://localhost:8471"}, 200),
        ):  # fmt: skip
            assert client.get("/v1/schemes/current", headers=headers).status_code == status, headers
        assert (
            client.get("/v1/schemes/current", headers={"Host": "localhost", "Authorization": "Bearer x"}).status_code
            == 401
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "db.example"])
def test_not_elsewhere_without_tokens(tmp_path: Path, host: str) -> None:
    service = open_service(Settings(data=tmp_path / "data", host=host))
    try:
        with pytest.raises(TablesRefused) as refused:
            check_address(service)
        assert [item.code for item in refused.value.problems] == ["SV24"]
    finally:
        service.close()
