"""The benchmark's service lines: single cases over HTTP, many in one body, a submission until its results are ready.

Single-case grouping is measured as requests a second and p50/p99 with one and two server processes, over FastAPI
answering a constant (G7); 10,000 cases as Arrow over the same as JSON rows (G8); a submission of 100,000 rows over the
offline command on the same file.

    python -m benchmarks.serve_lines --folder DIR [--requests 8000]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import polars as pl
import uvicorn
from fastapi import FastAPI, Request, Response

from api.http.app import create_app
from api.service.audit import COMMAND
from api.service.context import open_service
from api.service.handlers import handlers_of
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from benchmarks.make_cases import make_cases
from benchmarks.make_year import make_year
from reference_tables.packs import find_drg_pack

SCHEME, POLICY, SEED = "chs-drg-1.1", "synthetic-city-drg-point", 20261001
CONNECTIONS, BATCH, SUBMITTED = 16, 10_000, 100_000
KEPT = (
    "sex",
    "age_years",
    "age_days",
    "newborn_birth_weight_g",
    "los_days",
    "discharge_way",
    "diagnoses",
    "procedures",
)
_WAIT = 60


def constant_app() -> FastAPI:
    """FastAPI answering a constant to a body that it reads: what the framework itself costs."""
    app = FastAPI()

    @app.post("/v1/group")
    async def constant(request: Request) -> Response:
        await request.body()
        return Response(b'{"drg":"BR19"}', media_type="application/json")

    return app


def service_app() -> FastAPI:
    """The service, from the environment."""
    service = open_service(Settings(policy=POLICY, workers=1, requests_per_minute=10**9))
    return create_app(service, handlers_of(service))


@contextlib.contextmanager
def served(what: str, workers: int, data: Path) -> Iterator[int]:
    """A server of its own with so many processes; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [
        sys.executable,
        "-m",
        "benchmarks.serve_lines",
        "--serve",
        what,
        "--workers",
        str(workers),
        "--port",
        str(port),
    ]
    env = {**os.environ, "DRGDIP_DATA": str(data), "POLARS_MAX_THREADS": "1"}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        try:
            yield port
        finally:
            server.terminate()
            server.wait(_WAIT)


def request_bytes(path: str, body: bytes, token: str, media: str = "application/json") -> bytes:
    """One HTTP request, kept alive."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {media}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(size)


async def _load(port: int, requests: list[bytes]) -> tuple[float, list[float]]:
    """Seconds for all requests over CONNECTIONS connections, and each one's own."""
    places = iter(requests)
    each: list[float] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for data in places:
            started = time.perf_counter()
            await _exchange(reader, writer, data)
            each.append(time.perf_counter() - started)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return time.perf_counter() - started, each


def single_line(cases: list[dict[str, Any]], data: Path, token: str, workers: int, count: int) -> dict[str, Any]:
    """Requests a second and their times, over the constant's."""
    requests = [request_bytes("/v1/group", orjson.dumps(cases[at % len(cases)]), token) for at in range(count)]
    found: dict[str, Any] = {"workers": workers}
    for what in ("constant", "service"):
        with served(what, workers, data) as port:
            asyncio.run(_load(port, requests[: count // 10]))
            rounds = [asyncio.run(_load(port, requests)) for _ in range(2)]
        seconds, each = min(rounds, key=lambda item: item[0])
        ordered = sorted(each)
        found[what] = {
            "requests_per_second": round(count / seconds), "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
            "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
        }  # fmt: skip
    found["over_constant"] = round(
        found["service"]["requests_per_second"] / found["constant"]["requests_per_second"], 2
    )
    return found


def batch_line(frame: pl.DataFrame, data: Path, token: str) -> dict[str, Any]:
    """10,000 cases as Arrow in and out, over JSON rows in and out, made and read by orjson."""
    with served("service", 1, data) as port:

        async def ask(path: str, body: bytes, media: str) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
            answer = await _exchange(reader, writer, request_bytes(path, body, token, media))
            writer.close()
            return answer

        def arrow() -> int:
            buffer = io.BytesIO()
            frame.write_ipc_stream(buffer)
            media = "application/vnd.apache.arrow.stream"
            answer = asyncio.run(ask("/v1/group/batch?shape=arrow", buffer.getvalue(), media))
            return pl.read_ipc_stream(io.BytesIO(answer)).height

        def rows() -> int:
            answer = asyncio.run(ask("/v1/group/batch", orjson.dumps({"cases": frame.to_dicts()}), "application/json"))
            return len(orjson.loads(answer)["rows"])

        seconds = {}
        for work in (arrow, rows):
            assert work() == frame.height
            times = []
            for _ in range(3):
                started = time.perf_counter()
                work()
                times.append(time.perf_counter() - started)
            seconds[work.__name__] = min(times)
    return {
        "cases": frame.height, "arrow_cases_per_second": round(frame.height / seconds["arrow"]),
        "rows_cases_per_second": round(frame.height / seconds["rows"]),
        "arrow_over_rows": round(seconds["rows"] / seconds["arrow"], 2),
    }  # fmt: skip


def submission_line(source: Path, data: Path, token: str) -> dict[str, Any]:
    """Rows a second of a submission until its results are ready, over `drgdip pay` on the same file."""
    body, month, hospital = source.read_bytes(), source.stem, pl.read_parquet(source, n_rows=1)["hospital_id"].item()
    rows = pl.scan_parquet(source).select(pl.len()).collect().item()
    with served("service", 1, data) as port:
        head = {"Authorization": f"Bearer {token}"}
        started = time.perf_counter()
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=head, timeout=_WAIT) as client:
            query = {"month": month, "hospital": hospital, "name": source.name}
            found = client.post("/v1/submissions", params=query, content=body).json()
            while found["state"] == "received":
                time.sleep(0.02)
                found = client.get(f"/v1/submissions/{found['id']}").json()
        seconds = time.perf_counter() - started
    assert found["state"] == "accepted", found
    out = source.with_name("paid.parquet")
    command = [
        sys.executable,
        "-m",
        "api.cli.main",
        "pay",
        str(source),
        "--policy",
        POLICY,
        "-o",
        str(out),
        "--threads",
        "1",
    ]
    started = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   env={**os.environ, "POLARS_MAX_THREADS": "1"})  # fmt: skip
    offline = time.perf_counter() - started
    return {
        "rows": rows, "accepted": found["accepted"], "rows_per_second": round(rows / seconds),
        "offline_rows_per_second": round(rows / offline), "over_offline": round(offline / seconds, 2),
    }  # fmt: skip


def serve_lines(folder: Path, count: int) -> dict[str, Any]:
    """All lines, with a data folder and a token of their own."""
    data = folder / "service"
    service = open_service(Settings(data=data, policy=POLICY))
    with service.database.write() as connection:
        token = create_token(connection, COMMAND, Role.OFFICE)
    service.close()
    frame = make_cases(find_drg_pack(SCHEME), BATCH, SEED).select(KEPT)
    cases = frame.to_dicts()
    workers = sorted({1, min(2, os.cpu_count() or 1)})
    singles = [single_line(cases, data, token, number, count) for number in workers]
    month = _month(folder)
    return {
        "single": singles, "batch": batch_line(frame, data, token), "submission": submission_line(month, data, token),
    }  # fmt: skip


def _month(folder: Path) -> Path:
    """A month of one hospital with 100,000 cases."""
    made = folder / "year"
    make_year(made, pack=find_drg_pack(SCHEME), hospitals=1, cases=SUBMITTED * 13, history=0)
    source = made / "cases" / "2026-03.parquet"
    month = folder / "2026-03.parquet"
    frame = pl.read_parquet(source).head(SUBMITTED)
    frame.write_parquet(month)
    return month


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--serve", choices=["constant", "service"])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    if given.serve:
        uvicorn.run(
            f"benchmarks.serve_lines:{given.serve}_app", factory=True, host="127.0.0.1", port=given.port,
            workers=given.workers, log_level="critical", access_log=False,
        )  # fmt: skip
        return
    sys.stdout.buffer.write(orjson.dumps(serve_lines(given.folder, given.requests), option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
