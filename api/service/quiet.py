"""What broke, for the log, without what it held: messages of exceptions may quote cases."""

from __future__ import annotations

import asyncio
import traceback


def ends_all(error: BaseException) -> bool:
    """Is it no failure of the work, but the end of the whole program or of a request? Panics of libraries are neither
    `Exception`s nor of one kind."""
    return isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | asyncio.CancelledError)


def trace_of(error: BaseException) -> str:
    """The kinds of an exception and of its causes, the first cause last, each with where it was raised: file, line and
    function from the outside in; no message, no value."""
    told: list[str] = []
    at: BaseException | None = error
    while at is not None and len(told) < 5:
        frames = traceback.extract_tb(at.__traceback__)
        places = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
        told.append(f"{type(at).__module__}.{type(at).__qualname__} at {places}")
        at = at.__cause__ or at.__context__
    return " | from ".join(told)
