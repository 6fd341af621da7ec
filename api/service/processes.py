"""Several processes that make up one service, kept alive by one that does nothing else.

They are forked, so that they share a listening socket and memory for what is counted together. One that dies is started
again; when the keeper is told to end, it tells all and waits for them; when the keeper itself is killed, they end, too.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from api.service.quiet import trace_of

log = logging.getLogger("drgdip.processes")
_ENDS = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = 1.0
"""Seconds that a process has to live to be started again without a pause of as many."""
_BROKEN = 1


class Keeper:
    """Keeps processes running: `works` by name, each what a process does until it has received a signal to end.

    Made and run in a process without threads: it forks."""

    def __init__(self, works: Mapping[str, Callable[[], None]]) -> None:
        self.works = works
        self._running: dict[int, tuple[str, float]] = {}
        self._ending = False
        self._reading, self._writing = os.pipe()

    def run(self) -> None:
        """Until a signal to end has come and all processes have ended."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # else the dead would not be told of
        for number in _ENDS:
            signal.signal(number, self._end)
        for name in self.works:
            self._start(name)
        while self._running:
            process, status = os.waitpid(-1, 0)
            found = self._running.pop(process, None)
            if found is None or self._ending:
                continue
            name, started = found
            fields = {"process": process, "name": name, "code": os.waitstatus_to_exitcode(status)}
            log.error("a process has died and is started again", extra={"fields": fields})
            if time.monotonic() - started < _AT_ONCE:
                time.sleep(_AT_ONCE)
            self._start(name)

    def _end(self, *_: object) -> None:
        self._ending = True
        for process in self._running:
            os.kill(process, signal.SIGTERM)  # not waited for yet: the number is no other's

    def _start(self, name: str) -> None:
        with _held():  # a signal meanwhile comes when the process is among those that are told
            if self._ending:
                return
            process = os.fork()
            if process:
                self._running[process] = name, time.monotonic()
                return
            for number in _ENDS:
                signal.signal(number, signal.SIG_DFL)
        code = _BROKEN
        try:
            os.setpgid(0, 0)  # what a terminal sends to all, the keeper tells them
            os.close(self._writing)
            threading.Thread(target=_end_with, args=(self._reading,), daemon=True).start()
            self.works[name]()
            code = 0
        except BaseException as error:
            log.error("process %s broke off: %s", name, trace_of(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def _end_with(keeper: int) -> None:
    """End when the keeper is gone: the other end of a pipe that it alone holds."""
    os.read(keeper, 1)
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _held() -> Iterator[None]:
    """Signals to end wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
