"""Who holds a job: a process of a machine. One that is known to be dead holds nothing any more.

Known to be dead is only a process of this very machine, since it was started, in the same process namespace (two
containers of one machine number their processes alike). Of others nothing is known: their leases have to run out.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_ENDED = {"Z", "X"}
"""States of a process that runs no more and only waits to be forgotten."""


def this_process() -> str:
    """What this process is called as a holder: machine since its start, namespace, number, start; "" where the system
    does not tell."""
    return _called(os.getpid())


@lru_cache(maxsize=1)
def _called(pid: int) -> str:
    machine, born = _machine(), _state_and_start(pid)
    return f"{machine} {pid} {born[1]}" if machine and born is not None else ""


def is_dead(holder: str) -> bool:
    """Is the process known to run no more? False when that cannot be known."""
    machine, _, process = holder.rpartition(" ")[0].rpartition(" ")
    if not machine or machine != _machine() or not process.isdigit():
        return False
    pid = int(process)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another user's
        return False
    found = _state_and_start(pid)
    return found is not None and (found[0] in _ENDED or found[1] != holder.rpartition(" ")[2])


def _machine() -> str:
    with suppress(OSError):
        return f"{_BOOT.read_text(encoding='ascii').strip()} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """A process's state and when it was started (clock ticks since the machine was)."""
    with suppress(OSError, IndexError):
        # The name before the last bracket may have spaces and brackets of its own; fields are counted behind it.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    return None
