"""Workers: threads that take jobs one after the other and let the queue know that they are alive.

A handler does the work and gives back what it changes in the catalogue; the queue finishes the job with it. Problems of
data and documents, and whatever a handler breaks off with, end a job at once with all that is wrong: trying again would
not help. A store that cannot be written, or something that has to end first, puts it back to wait; a job whose worker
dies is tried again.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from api.core.book import HELD, BookRefused
from api.service.jobs import Cancelled, Change, Leased, LeaseLost, Queue
from api.service.logs import ABOUT
from api.service.quiet import ends_all, trace_of
from api.service.submissions import NotTaken
from api.service.unpack import Unpackable
from api.store.database import Unavailable
from api.store.faults import point
from grouper.catalog.history import HistoryRefused
from grouper.going_on import asked
from grouper.intake import IntakeError
from reference_tables.problems import Problem, TablesRefused

log = logging.getLogger("drgdip.worker")
_IDLE_SECONDS = 0.2
_AFTER_TROUBLE = 1.0
_LOOK_SECONDS = 1.0
"""So old may be what a worker knows of a job that was cancelled."""
_STORE_ERRORS = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE,
    errno.ENFILE, errno.ENODEV, errno.ENOMEM, errno.ESTALE,
})  # fmt: skip
_STORE_WORDS = ("No space left on device", "File too large", "Disk quota exceeded", "No usable temporary directory")
"""How libraries tell of such errors that do not give their number."""


class JobRefused(Exception):
    """The job cannot be done as asked: `problems` says why; `change` is what this means for the catalogue."""

    def __init__(self, problems: list[Problem], change: Change | None = None) -> None:
        self.problems = problems
        self.change = change
        super().__init__(f"{len(problems)} problems")


class Later(Exception):
    """Not now: something else has to end first, the job `waits_for` if it is one. What was done is dropped, the job
    waits for that, else a while."""

    def __init__(self, reason: str, waits_for: str | None = None) -> None:
        self.waits_for = waits_for
        super().__init__(reason)


@dataclass
class JobContext:
    """What a handler gets: the job, and a way to tell how far it is (which also hears of a cancelled job)."""

    queue: Queue
    held: Leased
    lost: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    done: int = 0
    of: int = 0

    def tell(self, done: int, of: int) -> None:
        """Say how far the work is. Raises Cancelled or LeaseLost when it is of no use to go on, Later when the worker
        is being stopped."""
        self.done, self.of = done, of
        self.look()
        point("job told")

    def look(self, _passed: int = 0) -> None:
        """Is the work still wanted? Raises as `tell`."""
        if self.lost.is_set():
            raise LeaseLost(self.held.id)
        if self.cancelled.is_set():
            raise Cancelled(self.held.id)
        if self.stopping.is_set():
            raise Later("the worker is being stopped")

    def hold(self) -> None:
        """Make sure that the job is still this worker's: before it writes what no catalogue can take back, in the lock
        that keeps others from writing it. Raises LeaseLost, Unavailable."""
        self.queue.alive(self.held, self.done, self.of)


Handler = Callable[[JobContext], Change]


def cannot_write(error: BaseException | None) -> bool:
    """Does an error, or one that it came from, say that the database or the disk cannot be written now?"""
    while error is not None:
        if isinstance(error, Unavailable) or (isinstance(error, OSError) and error.errno in _STORE_ERRORS):
            return True
        if any(word in str(error) for word in _STORE_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


class Worker:
    """Takes jobs until it is told to stop; several may run, in one process or many."""

    def __init__(self, queue: Queue, handlers: Mapping[str, Handler]) -> None:
        self.queue, self.handlers = queue, handlers
        self.stopping = threading.Event()

    def run(self) -> None:
        """Work until `stopping` is set; a job in hand is put back when it next tells how far it is, else done."""
        while not self.stopping.is_set():
            try:
                if not self.work_once():
                    self.stopping.wait(_IDLE_SECONDS)
            except Unavailable:
                log.warning("the database does not answer; trying again")
                self.stopping.wait(_AFTER_TROUBLE)
            except BaseException as error:
                # A worker that ends unseen would leave the service without one.
                if ends_all(error):
                    raise
                log.error("the worker goes on after: %s", trace_of(error))
                self.stopping.wait(_AFTER_TROUBLE)

    def work_once(self) -> bool:
        """Take one job and do it; False when none waits. Raises Unavailable."""
        ABOUT.set(None)
        held = self.queue.take()
        if held is None:
            return False
        ABOUT.set({"job": held.id})
        context = JobContext(self.queue, held, stopping=self.stopping)
        ended = threading.Event()
        pulse = threading.Thread(target=self._pulse, args=(context, ended), daemon=True)
        pulse.start()
        started = time.perf_counter()
        try:
            self._do(context)
        except LeaseLost:
            log.warning("lease of %s lost", held.id)
        finally:
            ended.set()
            pulse.join()
        log.info("job %s %s: %.3f s", held.kind, held.id, time.perf_counter() - started)
        return True

    def _do(self, context: JobContext) -> None:
        held = context.held
        try:
            with asked(context.look):
                change = self.handlers[held.kind](context)
            self.queue.finish(held, change)
        except JobRefused as refused:
            self._refuse(held, refused.problems, refused.change)
        except (TablesRefused, BookRefused, HistoryRefused, IntakeError) as error:
            self._refuse(held, error.problems)
        except (NotTaken, Unpackable) as error:
            self._refuse(held, [error.problem])
        except Cancelled:
            self.queue.stop(held)
        except Later as reason:
            log.info("job %s waits: %s", held.id, reason)
            self.queue.give_back(held, 0.0 if self.stopping.is_set() else _AFTER_TROUBLE, reason.waits_for)
        except LeaseLost:
            raise
        except BaseException as error:
            if ends_all(error):
                raise
            if cannot_write(error):
                # The database or the disk is at fault, not the work.
                log.warning("job %s put back: %s", held.id, type(error).__name__)
                self.queue.give_back(held, _AFTER_TROUBLE)
                return
            log.error("job %s (%s) broke off: %s", held.id, held.kind, trace_of(error))
            if not isinstance(error, OSError | MemoryError):
                self.queue.fail(held, [Problem("SV25", {"job": held.id})])
            # Else left as it is: the machine may be at fault; its lease runs out and it is tried again, a few times.

    def _refuse(self, held: Leased, problems: Sequence[Problem], change: Change | None = None) -> None:
        """End a job that cannot be done as asked; one that finds the book in another's hands waits for it."""
        if any(problem.code == HELD for problem in problems):
            self.queue.give_back(held, _AFTER_TROUBLE)
        else:
            self.queue.fail(held, problems, change)

    def _pulse(self, context: JobContext, ended: threading.Event) -> None:
        """Say from time to time that the job is alive, and look more often whether it is still wanted, until it has
        ended."""
        pause = self.queue.lease_seconds / 4
        due = time.monotonic() + pause
        while not ended.wait(min(_LOOK_SECONDS, pause)):
            try:
                if time.monotonic() < due:
                    self.queue.wanted(context.held)
                    continue
                due = time.monotonic() + pause
                self.queue.alive(context.held, context.done, context.of)
            except LeaseLost:
                context.lost.set()
                return
            except Cancelled:
                context.cancelled.set()
            except Unavailable:
                continue
            except Exception as error:
                # Silent from here on it would lose the job, and go on working at it in vain.
                log.error("telling of %s broke off: %s", context.held.id, trace_of(error))
