"""What is counted for /metrics: requests by route, method and status, and how long they took.

All server processes of a service count in memory that they share, made before they are forked: each in a part of its
own, so that none waits for another, and a process that takes the place of a dead one goes on from its counts. Whichever
process is asked adds all parts up.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_NAME_BYTES = 256
_WORDS = _NAME_BYTES // 8 + 2 + len(_BOUNDS) + 1
"""Of what is counted together: its name, requests, seconds in all, requests by how long they took."""
_MOST = 1024
_REST = ("none", "other", 0)
"""Stands for what there is no room for."""


class Metrics(Collector):
    """The counts of all processes; `process` is the one that counts here."""

    def __init__(self, processes: int = 1, process: int = 0, memory: mmap.mmap | None = None) -> None:
        self.processes, self.process = processes, process
        self._memory = mmap.mmap(-1, processes * _MOST * _WORDS * 8) if memory is None else memory
        self._numbers: Any = memoryview(self._memory).cast("d")
        self._kept = dict(self._entries(process))

    def of(self, process: int) -> Metrics:
        """The same counts, for another process to count in."""
        return Metrics(self.processes, process, self._memory)

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; `route` and `method` are of a few that there are."""
        at = self._kept.get((route, method, status))
        if at is None:
            at = self._added((route, method, status))
        numbers = self._numbers
        numbers[at] += 1
        numbers[at + 1] += seconds
        numbers[at + 2 + bisect_left(_BOUNDS, seconds)] += 1

    def text(self) -> bytes:
        """All counts in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """The counts as Prometheus' client takes them."""
        requests: dict[tuple[str, str, int], float] = {}
        seconds: dict[str, list[float]] = {}
        for process in range(self.processes):
            for name, at in self._entries(process):
                requests[name] = requests.get(name, 0.0) + self._numbers[at]
                found = self._numbers[at + 1 : at + 3 + len(_BOUNDS)].tolist()
                before = seconds.get(name[0], [0.0] * len(found))
                seconds[name[0]] = [one + other for one, other in zip(before, found, strict=True)]
        counter = CounterMetricFamily("drgdip_requests", "Requests answered", labels=("route", "method", "status"))
        for (route, method, status), number in sorted(requests.items()):
            counter.add_metric((route, method, str(status)), number)
        yield counter
        histogram = HistogramMetricFamily("drgdip_request_seconds", "Time to answer", labels=("route",))
        for route, (total, *within) in sorted(seconds.items()):
            bounds = [*map(str, _BOUNDS), "+Inf"]
            histogram.add_metric((route,), [(bounds[at], sum(within[: at + 1])) for at in range(len(bounds))], total)
        yield histogram

    def _entries(self, process: int) -> Iterator[tuple[tuple[str, str, int], int]]:
        """What a process counts, and where."""
        for place in range(process * _MOST, (process + 1) * _MOST):
            text = self._memory[place * _WORDS * 8 : place * _WORDS * 8 + _NAME_BYTES].rstrip(b"\0")
            if not text or text[0] == 0:
                return
            route, method, status = text.decode().split("\n")
            yield (route, method, int(status)), place * _WORDS + _NAME_BYTES // 8

    def _added(self, name: tuple[str, str, int]) -> int:
        """A place for what has not been counted yet."""
        text = "\n".join(map(str, name)).encode()
        if (len(self._kept) >= _MOST - 1 or len(text) > _NAME_BYTES) and name != _REST:
            return self._kept.get(_REST) or self._added(_REST)
        start = (self.process * _MOST + len(self._kept)) * _WORDS * 8
        self._memory[start + 1 : start + len(text)] = text[1:]
        self._memory[start] = text[0]  # now it is there for others
        self._kept[name] = start // 8 + _NAME_BYTES // 8
        return self._kept[name]
