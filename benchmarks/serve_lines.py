"""The benchmark's service lines: single cases over HTTP, many in one body, a submission until its results are ready.

Single-case grouping is measured as requests a second and p50/p99 with one and two server processes, over FastAPI
answering a constant (G7); 10,000 cases as Arrow over the same as JSON rows (G8); a submission of 100,000 rows over the
offline command on the same file.

    python -m benchmarks.serve_lines --folder DIR [--requests 8000]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import polars as pl
import uvicorn
from fastapi import FastAPI, Request, Response

from api.service.audit import COMMAND
from api.service.context import open_service
from api.service.roles import Role
from api.service.settings import Settings
from api.service.tokens import create_token
from benchmarks.make_cases import make_cases
from benchmarks.make_year import make_year
from benchmarks.serve_client import PATH, Connection, clients, request_bytes
from reference_tables.packs import find_drg_pack

SCHEME, POLICY, SEED = "chs-drg-1.1", "synthetic-city-drg-point", 20261001
CONNECTIONS, ROUNDS, BATCH, SUBMITTED = 16, 3, 10_000, 100_000
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

    @app.post(PATH)
    async def constant(request: Request) -> Response:
        await request.body()
        return Response(b'{"drg":"BR19"}', media_type="application/json")

    return app


def serve_constant(handle: int) -> None:
    """One process that answers the constant, on a socket that listens already."""
    config = uvicorn.Config(constant_app, factory=True, http="h11", log_config=None, access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=handle)])


@dataclass
class Server:
    """Where a server listens, and its processes with those that they have started."""

    port: int
    processes: list[int] = field(default_factory=list)

    @property
    def cpu_seconds(self) -> float:
        """What they have spent so far, whatever else the machine does."""
        left, spent = list(self.processes), 0
        while left:
            pid = left.pop()
            found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += int(found[11]) + int(found[12])
            left += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return spent / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def served(what: str, workers: int, data: Path) -> Iterator[Server]:
    """A server of its own with so many processes that share its socket: the constant's, or `drgdip serve`."""
    env = {
        **os.environ, "DRGDIP_DATA": str(data), "DRGDIP_POLICY": POLICY, "DRGDIP_REQUESTS_PER_MINUTE": str(10**9),
        "POLARS_MAX_THREADS": "1",
    }  # fmt: skip
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env}
    # Made as TCP by name: asyncio sets TCP_NODELAY on no other, and then answers wait 40 ms for an acknowledgement.
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening,
        contextlib.ExitStack() as on,
    ):
        listening.bind(("127.0.0.1", 0))
        made = Server(int(listening.getsockname()[1]))
        if what == "service":
            listening.close()
            command = ["api.cli.main", "serve", "--port", str(made.port), "--processes", str(workers)]
            commands: list[tuple[list[str], tuple[int, ...]]] = [(command, ())]
        else:
            listening.listen(128)
            handle = listening.fileno()
            commands = [(["benchmarks.serve_lines", "--handle", str(handle)], (handle,))] * workers
        for command, handles in commands:
            server = on.enter_context(
                subprocess.Popen([sys.executable, "-m", *command], pass_fds=handles, **quiet)
            )  # fmt: skip
            on.callback(server.terminate)
            made.processes.append(server.pid)
        _until_it_listens(made.port)
        yield made


def _until_it_listens(port: int) -> None:
    for _ in range(_WAIT * 10):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), _WAIT).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


def single_line(bodies: Path, data: Path, token: str, workers: int, count: int) -> dict[str, Any]:
    """Requests a second and their times, over the constant's: both servers are up, and asked in turns."""
    best: dict[str, tuple[float, list[float]]] = {}
    spent: dict[str, float] = {}
    with contextlib.ExitStack() as on:
        ready = {}
        for what in ("constant", "service"):
            server = on.enter_context(served(what, workers, data))
            client = on.enter_context(clients(server.port, bodies, token, workers, CONNECTIONS))
            client.run(count // 4)
            ready[what] = server, client
        for _ in range(ROUNDS):
            for what, (server, client) in ready.items():
                before = server.cpu_seconds
                found = client.run(count)
                best[what] = min(best.get(what, found), found)
                cost = (server.cpu_seconds - before) / len(found[1])
                spent[what] = min(spent.get(what, cost), cost)
    told: dict[str, Any] = {"workers": workers}
    for what, (seconds, each) in best.items():
        ordered = sorted(each)
        told[what] = {
            "requests_per_second": round(len(each) / seconds), "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
            "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1000, 2),
            "cpu_microseconds_a_request": round(spent[what] * 1e6),
        }  # fmt: skip
    told["over_constant"] = round(best["constant"][0] / best["service"][0], 2)
    told["over_constant_by_cpu"] = round(spent["constant"] / spent["service"], 2)
    return told


def batch_line(frame: pl.DataFrame, data: Path, token: str) -> dict[str, Any]:
    """10,000 cases as Arrow in and out, over JSON rows in and out, made and read by orjson."""
    with served("service", 1, data) as server:

        def ask(path: str, body: bytes, media: str) -> bytes:
            connection = Connection(server.port)
            connection.send(request_bytes(path, body, token, media))
            while (answer := connection.receive()) is None:
                pass
            connection.socket.close()
            return answer

        def arrow() -> int:
            buffer = io.BytesIO()
            frame.write_ipc_stream(buffer)
            media = "application/vnd.apache.arrow.stream"
            answer = ask("/v1/group/batch?shape=arrow", buffer.getvalue(), media)
            return pl.read_ipc_stream(io.BytesIO(answer)).height

        def rows() -> int:
            answer = ask("/v1/group/batch", orjson.dumps({"cases": frame.to_dicts()}), "application/json")
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
    with served("service", 1, data) as server:
        head = {"Authorization": f"Bearer {token}"}
        started = time.perf_counter()
        with httpx2.Client(base_url=f"http://127.0.0.1:{server.port}", headers=head, timeout=_WAIT) as client:
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
    bodies = folder / "cases.ndjson"
    bodies.write_bytes(b"\n".join(orjson.dumps(case) for case in frame.to_dicts()))
    singles = [single_line(bodies, data, token, number, count) for number in (1, 2)]
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
    parser.add_argument("--handle", type=int)
    given = parser.parse_args()
    if given.handle is not None:
        serve_constant(given.handle)
        return
    sys.stdout.buffer.write(orjson.dumps(serve_lines(given.folder, given.requests), option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
