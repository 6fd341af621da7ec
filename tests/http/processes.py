"""The service as processes that die and are started again, and a client that is not deterred by it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT = 40.0
"""Seconds that a request may take; beyond them it is given up."""
ROOT = Path(__file__).parents[2]


class Launcher:
    """Starts commands of drgdip as processes."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._lock = threading.Lock()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("launcher.py"))], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def start(self, *args: str, env: Mapping[str, str], done: Path | None = None) -> int:
        """The id of a new process; `done`: a file that gets its exit code when it ends by itself."""
        asked: dict[str, Any] = {"args": list(args), "env": dict(env), "log": str(self.log)}
        if done is not None:
            asked["done"] = str(done)
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def end(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal and wait until the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(process, number)
    wait_for(process)


def wait_for(process: int) -> None:
    """Wait until a process has ended, by itself or not."""
    until = time.monotonic() + 60
    while is_alive(process):
        assert time.monotonic() < until, "the process does not end"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Client:
    """Asks until it is answered: a connection that breaks off and 503 are tried again, under the same key."""

    port: int
    token: str
    patience: float = 120.0
    troubles: list[str] = field(default_factory=list)
    """Answers that told of trouble, and requests that got none within their limit."""

    def ask(self, method: str, path: str, body: bytes | None = None, key: str = "") -> tuple[int, bytes]:
        """The first answer that is none of passing trouble: status and body."""
        headers = {"Authorization": f"Bearer {self.token}"}
        if method == "POST":
            headers |= {"Idempotency-Key": key or uuid.uuid4().hex, "Content-Type": "application/json"}
        until = time.monotonic() + self.patience
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
                try:
                    connection.request(method, path, body, headers)
                    answer = connection.getresponse()
                    data = answer.read()
                finally:
                    connection.close()
                if answer.status not in {429, 503}:
                    return answer.status, data
                self.troubles.append(f"{method} {path}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.troubles.append(f"{method} {path}: {error!r}")
            assert time.monotonic() < until, f"no answer to {method} {path}"
            time.sleep(0.05)

    def json(self, method: str, path: str, body: object = None, key: str = "") -> Any:
        """As `ask`, for what must succeed."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        status, text = self.ask(method, path, data, key)
        assert status < 300, (status, text.decode(errors="replace"))
        return json.loads(text)

    def job(self, name: str) -> dict[str, Any]:
        """A job once it has ended."""
        until, pause = time.monotonic() + self.patience, 0.05
        while True:
            found: dict[str, Any] = self.json("GET", f"/v1/jobs/{name}")
            if found["state"] in {"done", "failed", "cancelled"}:
                return found
            assert time.monotonic() < until, found
            time.sleep(pause)
            pause = min(pause * 1.3, 2.0)


@dataclass
class Life:
    """How one life of a process ends: at a fault point ("name:times"), or after some seconds, whichever comes first."""

    fault: str = ""
    seconds: float = 0.0


class Keeper:
    """Keeps one command running: when it has died it is started anew, with the next life of its list."""

    def __init__(self, launcher: Launcher, args: tuple[str, ...], env: Mapping[str, str], lives: list[Life]) -> None:
        self.launcher, self.args, self.env = launcher, args, env
        self.lives = list(reversed(lives))
        self.deaths = 0
        self._process = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            life = self.lives.pop() if self.lives else Life()
            process = self.launcher.start(*self.args, env={**self.env, "DRGDIP_FAULT": life.fault})
            self._process = process
            until = time.monotonic() + life.seconds if life.seconds else None
            while is_alive(process) and not self._stopping.is_set():
                if until is not None and time.monotonic() > until:
                    end(process)
                self._stopping.wait(0.02)
            if self._stopping.is_set():
                end(process)
            else:
                self.deaths += 1

    def begin(self, lives: list[Life]) -> None:
        """End the life it has, and let these come after it."""
        self.lives = list(reversed(lives))
        end(self._process)

    def stop(self) -> None:
        """Kill it for good."""
        self._stopping.set()
        self._thread.join()


@contextmanager
def launched(folder: Path) -> Iterator[Launcher]:
    launcher = Launcher(folder / "processes.log")
    try:
        yield launcher
    finally:
        launcher.close()
