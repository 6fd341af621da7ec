"""Folders that belong to a process and end with it: what it unpacks, works on or receives holds cases of patients.

Each process has a folder of its own in each place, whose name says whose it is as jobs do (`api.service.holders`). The
folders of processes that are known to be dead are taken away at once, by whoever of the others looks next; what others
left of which nothing can be known (another machine, another container) after a day.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from api.service.holders import is_dead, this_process
from api.service.quiet import ends_all, trace_of

log = logging.getLogger("drgdip.folders")
_OF = "of."
"""How the name of a folder of one process begins; plain letters follow, which no reader takes for a pattern."""
_LEFT_SECONDS = 24 * 3600
"""Nothing is under way for so long."""
_EVERY = 60.0
"""Seconds from one look to the next."""


def own_folder(place: Path) -> Path:
    """The folder of this process in a place; made when it is not there."""
    folder = place / (_OF + urlsafe_b64encode(this_process().encode()).decode().rstrip("="))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sweep(place: Path) -> None:
    """Take away from a place the folders of processes that are dead, and what others left long ago."""
    for path in _in(place):
        holder = _holder(path.name)
        if holder is None:
            _take_old(path)
        elif is_dead(holder):
            shutil.rmtree(path, ignore_errors=True)
        else:
            for each in _in(path):
                _take_old(each)


class Sweeper:
    """Sweeps some places at once, and then again and again until it is ended."""

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = tuple(places)
        self._ending = threading.Event()
        self._sweep()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Sweep no more; the folders of this process go if they are empty."""
        self._ending.set()
        self._thread.join()
        for place in self._places:
            with suppress(OSError):
                own_folder(place).rmdir()

    def _run(self) -> None:
        while not self._ending.wait(_EVERY):
            try:
                self._sweep()
            except BaseException as error:
                if ends_all(error):
                    raise
                log.error("sweeping broke off: %s", trace_of(error))

    def _sweep(self) -> None:
        for place in self._places:
            sweep(place)


def _in(folder: Path) -> list[Path]:
    """What is in a folder; nothing when it has gone or cannot be read."""
    with suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _holder(name: str) -> str | None:
    """Which process a folder is of by its name; None for other names."""
    if not name.startswith(_OF):
        return None
    code = name.removeprefix(_OF)
    with suppress(ValueError):
        return urlsafe_b64decode(code + "=" * (-len(code) % 4)).decode()
    return None


def _take_old(path: Path) -> None:
    with suppress(OSError):  # another process may do the same
        if path.stat().st_mtime < time.time() - _LEFT_SECONDS:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                os.unlink(path)
