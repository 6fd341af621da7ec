"""Whether to go on, asked again and again while a file is unpacked, read or hashed.

A file may take minutes and yield no case meanwhile. Whoever began the work says here how it is ended: what reads calls
`go_on` with every piece of a file, and what it raises then ends the reading. Where nobody asks, nothing happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Result = TypeVar("Result")
Ask = Callable[[int], None]
_ASK: ContextVar[Ask | None] = ContextVar("ask", default=None)
_SECONDS = 0.2
"""So often is asked while something works that cannot be ended."""


@contextmanager
def asked(ask: Ask) -> Iterator[None]:
    """Have `go_on` call `ask` in this thread: with the rows that were passed over. It raises to end the work."""
    before = _ASK.set(ask)
    try:
        yield
    finally:
        _ASK.reset(before)


def go_on(passed: int = 0) -> None:
    """Raises what ends the work, when it is to be ended; `passed`: rows without a case since it was called last."""
    ask = _ASK.get()
    if ask is not None:
        ask(passed)


def waited(work: Callable[[], Result]) -> Result:
    """What `work`, which cannot be ended from inside, comes to; on a thread of its own where somebody asks.

    Raises what it raises, and what `go_on` raises: then the thread goes on by itself, and what it finds is dropped.
    """
    if _ASK.get() is None:
        return work()
    found: list[Result] = []
    wrong: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=run, name="waited for", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_SECONDS)
        go_on()
    if wrong:
        raise wrong[0]
    return found[0]
