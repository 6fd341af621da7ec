"""Over a real connection: what no client library would send, and connections that end too early."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus

import orjson
import pytest
import uvicorn
from small_service import MARCH, SmallService, small_service

from api.http.protocol import Protocol, serving
from api.service.settings import Settings

_PIECE = b"10000\r\n" + b"x" * 65536 + b"\r\n"


_OPTIONS = serving(Settings())


@pytest.fixture
def protocol(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes limits of the server for one test."""
    kind: type[Protocol] = _OPTIONS["http"]
    return lambda **changed: monkeypatch.setattr(kind, "limits", replace(kind.limits, **changed))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmallService, int]]:
    with small_service(tmp_path_factory.mktemp("service"), max_body_bytes=1 << 20) as made, socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        options = uvicorn.Config(made.client("H1").app, lifespan="off", **_OPTIONS)
        server = uvicorn.Server(options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield made, place.getsockname()[1]
        server.should_exit = True
        thread.join()


def _said(port: int, data: bytes, patience: float = 1.0) -> bytes:
    """What comes back for these bytes, until the server closes or says no more for so many seconds."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                got += part
        except OSError:
            pass
    return got


def _head(made: SmallService, more: str) -> bytes:
    lines = f"POST /v1/submissions?month={MARCH} HTTP/1.1\r\nHost: x\r\n"
    return f"{lines}Authorization: {made.client('H1').headers['authorization']}\r\n{more}\r\n\r\n".encode()


def test_what_is_no_request_is_refused_and_the_next_one_answered(here: tuple[SmallService, int]) -> None:
    _, port = here
    good = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for data, status, code in (
        (good[:-2] + b"X: " + b"a" * 300_000 + b"\r\n\r\n", 431, "SV15"),
        (b"\x16\x03\x01 no\r\n\r\n", 400, "SV13"),
        (b"GET / HTTP/9\r\n\r\n", 400, "SV13"),
        (b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n", 400, "SV13"),
        # The second request is hidden from who goes by the other of both lengths.
        (
            good[:-2].replace(b"GET", b"POST")
            + b"Content-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            + good.replace(b": close", b": keep-alive") * 2,
            400,
            "SV13",
        ),
        ("GET /v1/codes?q=脑 HTTP/1.1\r\n\r\n".encode(), 400, "SV13"),
    ):
        head, _, body = _said(port, data).partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()), data[:40]
        assert b"\r\ncontent-type: application/problem+json" in head
        told = orjson.loads(body)
        assert (told["status"], told["code"]) == (status, code)
        assert f"x-request-id: {told['request_id']}".encode() in head
        assert _said(port, good).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_is_broken_off_gets_no_second_answer(here: tuple[SmallService, int]) -> None:
    made, port = here
    broken = _head(made, "Transfer-Encoding: chunked") + b"5\r\nabcde\r\nzz\r\n"
    assert _said(port, broken).count(b"HTTP/1.1 ") == 1
    assert _said(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_head_is_get_without_its_body(here: tuple[SmallService, int]) -> None:
    _, port = here
    asked = b" /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    get, head = (_said(port, method + asked).partition(b"\r\n\r\n") for method in (b"GET", b"HEAD"))
    assert head[0].startswith(b"HTTP/1.1 200 ")
    assert [len(get[2]), len(head[2])] == [int(get[0].split(b"content-length: ")[1].split(b"\r\n")[0]), 0]
    assert f"content-length: {len(get[2])}".encode() in head[0]


def test_bodies_that_are_too_large_or_never_come_to_an_end(here: tuple[SmallService, int]) -> None:
    made, port = here
    chunked = _head(made, "Transfer-Encoding: chunked") + _PIECE * 20 + b"0\r\n\r\n"
    assert _said(port, chunked).startswith(b"HTTP/1.1 413 ")
    assert _said(port, _head(made, "Content-Length: 9999999") + b"x").startswith(b"HTTP/1.1 413 ")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(_head(made, "Content-Length: 99999") + b"x" * 10)
    for _ in range(500):
        if not list(made.service.files.temporary.iterdir()):
            break
        time.sleep(0.01)
    assert list(made.service.files.temporary.iterdir()) == []
    assert made.client("H1").get("/v1/submissions").json()["items"] == []


@pytest.mark.parametrize("size", [b"ZZ", b"-1", b"FFFFFFFFFFFFFFFFFFFFF"])
def test_a_broken_chunk_is_told(here: tuple[SmallService, int], size: bytes) -> None:
    made, port = here
    head, _, body = _said(port, _head(made, "Transfer-Encoding: chunked") + size + b"\r\nabc\r\n").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(body)["code"] == "SV13"


def test_heads_and_bodies_that_come_too_slowly(here: tuple[SmallService, int], protocol: Callable[..., None]) -> None:
    made, port = here
    protocol(head_seconds=0.2, body_seconds=0.2)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for data, answers in (
        (b"", 1), (b"GET /healthz HT", 1), (whole + whole[:9], 2), (_head(made, "Content-Length: 9"), 1),
        (_head(made, "Content-Length: 99999") + b"x" * 10, 1),
        (_head(made, "Transfer-Encoding: chunked") + b"5\r\nab", 1),
    ):  # fmt: skip
        said = _said(port, data, 60.0).split(b"HTTP/1.1 ")[1:]
        assert len(said) == answers, data
        head, _, body = said[-1].partition(b"\r\n\r\n")
        assert head.startswith(b"408 Request Timeout\r\n"), data
        assert b"\r\nconnection: close" in head
        assert orjson.loads(body)["code"] == "SV83"


def test_a_byte_now_and_then_is_too_slow_and_a_steady_stream_is_not(
    here: tuple[SmallService, int], protocol: Callable[..., None]
) -> None:
    made, port = here
    head = _head(made, "Content-Length: 600000\r\nConnection: close")
    for piece, seconds, rate, status in ((b"x", 0.1, 10**6, b"408"), (b"x" * 10_000, 1.0, 1, b"202")):
        protocol(body_seconds=seconds, body_rate=rate)
        with socket.create_connection(("127.0.0.1", port), timeout=60.0) as connection:
            connection.sendall(head)
            got, sent = b"", 0
            connection.settimeout(0.02)
            while not got and sent < 600_000:
                try:
                    sent += connection.send(piece)
                    got = connection.recv(100)
                except TimeoutError:
                    continue
            connection.settimeout(60.0)
            assert (got or connection.recv(100)).startswith(b"HTTP/1.1 " + status)


def test_connections_beyond_the_limits(here: tuple[SmallService, int], protocol: Callable[..., None]) -> None:
    _, port = here
    good = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for limit in ("address_connections", "connections"):
        protocol(address_connections=100, connections=100)
        protocol(**{limit: 1})
        for _ in range(500):  # until those of before are gone
            if _said(port, good, 60.0).startswith(b"HTTP/1.1 200 "):
                break
        with socket.create_connection(("127.0.0.1", port), timeout=60.0) as first:
            first.sendall(good[:9])
            head, _, body = _said(port, good, 60.0).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 5" in head
            assert orjson.loads(body)["args"] == {"of": "一个地址" if "address" in limit else "本服务", "limit": 1}
            first.sendall(good[9:])
            assert first.recv(100).startswith(b"HTTP/1.1 200 ")


def test_an_answer_that_is_not_taken_is_given_up(here: tuple[SmallService, int], protocol: Callable[..., None]) -> None:
    _, port = here
    ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    whole = len(_said(port, ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), 60.0))
    count = (24 << 20) // whole
    for rate, nap, is_whole in ((1, 0.002, True), (10**9, 1.0, False)):
        protocol(body_seconds=0.2, body_rate=rate)
        got = 0
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
            connection.settimeout(60.0)
            connection.connect(("127.0.0.1", port))
            connection.sendall(ask * (count - 1) + ask.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            with suppress(ConnectionError):
                while part := connection.recv(1 << 16):
                    got += len(part)
                    time.sleep(nap)
                    nap = 0.0 if nap == 1.0 else nap
        assert (got >= whole * (count - 1)) == is_whole, (rate, got, whole * count)
