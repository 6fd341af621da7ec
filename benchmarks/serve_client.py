"""The measuring client of the service lines: requests made beforehand, sent over kept connections as fast as answered.

A process of its own, so that it has a core of its own where there is one; several for several servers. It costs some
15 microseconds a request, so that it is the server that is measured. TCP_NODELAY, so that no request waits for the
acknowledgement of the one before.

    python -m benchmarks.serve_client PORT FILE CONNECTIONS TOKEN

FILE holds one body a line. Writes "ready" once it has them; for each number N on a line of its input it connects, sends
N requests and writes when it began and ended (seconds of the machine's monotonic clock) and what each request took, as
JSON.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

PATH, MEDIA = "/v1/group", "application/json"
_LONGEST = 60.0
"""Seconds without any answer, at the start too."""


def request_bytes(path: str, body: bytes, token: str, media: str = MEDIA) -> bytes:
    """One HTTP request, kept alive."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: {media}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), _LONGEST)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0.0
        self._answer = b""

    def send(self, data: bytes) -> None:
        self.sent = time.monotonic()
        self.socket.sendall(data)

    def receive(self) -> bytes | None:
        """What has arrived; the body once it is whole."""
        found = self.socket.recv(1 << 20)
        assert found, "the server closed the connection"
        self._answer += found
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return None
        assert head.startswith(b"HTTP/1.1 200"), self._answer[:400]
        self._answer = b""
        return body


def load(connections: Sequence[Connection], requests: Iterator[bytes], count: int) -> dict[str, Any]:
    """So many requests over all connections: `began`, `ended`, and `each` one's seconds."""
    each: list[float] = []
    waiting = select.epoll()
    by_handle = {item.socket.fileno(): item for item in connections}
    for handle in by_handle:
        waiting.register(handle, select.EPOLLIN)
    began, left = time.monotonic(), count
    for connection in connections[:count]:
        connection.send(next(requests))
        left -= 1
    while len(each) < count:
        answered = waiting.poll(_LONGEST)
        assert answered, "the server does not answer"
        for handle, _ in answered:
            connection = by_handle[handle]
            if connection.receive() is None:
                continue
            each.append(time.monotonic() - connection.sent)
            if left:
                connection.send(next(requests))
                left -= 1
    waiting.close()
    return {"began": began, "ended": time.monotonic(), "each": each}


@dataclass
class Clients:
    """Client processes of one server."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, count: int) -> tuple[float, list[float]]:
        """Seconds that so many requests take in all, and each one's own."""
        share = count // len(self.processes)
        for process in self.processes:
            _of(process.stdin).write(b"%d\n" % share)
            _of(process.stdin).flush()
        found = [orjson.loads(_of(process.stdout).readline()) for process in self.processes]
        seconds = max(item["ended"] for item in found) - min(item["began"] for item in found)
        return seconds, [taken for item in found for taken in item["each"]]


@contextmanager
def clients(port: int, bodies: Path, token: str, processes: int, connections: int) -> Iterator[Clients]:
    """So many client processes with so many connections in all, ready."""
    made = Clients()
    command = [sys.executable, "-m", "benchmarks.serve_client", str(port), str(bodies), str(connections // processes)]
    with ExitStack() as stack:
        for _ in range(processes):
            process = subprocess.Popen([*command, token], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)  # ends with its input
            made.processes.append(process)
        for process in made.processes:
            assert _of(process.stdout).readline() == b"ready\n"
        yield made


def _of(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def main() -> None:
    port, bodies, connections, token = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    requests = [request_bytes(PATH, body, token) for body in bodies.read_bytes().splitlines()]
    print("ready", flush=True)
    for line in sys.stdin:
        opened = [Connection(port) for _ in range(connections)]
        places = (requests[at % len(requests)] for at in range(int(line)))
        sys.stdout.buffer.write(orjson.dumps(load(opened, places, int(line))) + b"\n")
        sys.stdout.buffer.flush()
        for connection in opened:
            connection.socket.close()


if __name__ == "__main__":
    main()
