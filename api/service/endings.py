"""What becomes of a submission or a run when its job ends without being done: cancelled, or given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from api.service.audit import SYSTEM, record
from api.service.jobs import CANCELLED, Rules
from api.service.runs import ADVANCE, APPROVED, DRAFT, LOCK_JOB, disapprove, drafts, find_run, set_state, supersede
from api.service.submissions import CANCELLED as TAKEN_BACK
from api.service.submissions import JOB, RECEIVED, REFUSED, SETTLE
from api.service.told import told
from api.service.values import canonical, now
from api.store.tables import submission
from reference_tables.problems import Problem

_MOST = 20
"""As many problems are kept with a submission."""


def _submission(connection: sa.Connection, args: Mapping[str, Any], state: str, problems: Sequence[Problem]) -> None:
    """A submission is not worked on any more; the same file may be handed in again."""
    name = str(args["submission"])
    values = {
        "state": TAKEN_BACK if state == CANCELLED else REFUSED,
        "summary": canonical({"problems": [told(problem) for problem in problems[:_MOST]]}), "finished_at": now(),
    }  # fmt: skip
    mine = (submission.c.id == name) & (submission.c.state == RECEIVED)
    if connection.execute(submission.update().where(mine).values(values)).rowcount:
        record(connection, SYSTEM, "submission.finish", name, {"state": values["state"]})


def _lock(connection: sa.Connection, args: Mapping[str, Any], _state: str, _problems: Sequence[Problem]) -> None:
    """A clearing whose entry into the book came to nothing is a draft again, unless there is a newer one."""
    found = find_run(connection, str(args["run"]))
    if found is None or found.state != APPROVED:
        return
    disapprove(connection, found.id)
    newer = [item.id for item in drafts(connection, found.year)]
    if newer:
        supersede(connection, SYSTEM, found.id, newer[-1])
    else:
        set_state(connection, SYSTEM, found.id, DRAFT, "未能入账")


RULES: Mapping[str, Rules] = {
    JOB: Rules(undo=_submission),
    SETTLE: Rules(writes_book=True),
    ADVANCE: Rules(writes_book=True),
    LOCK_JOB: Rules(undo=_lock, writes_book=True),
}
"""By kind of job; kinds that are not here change nothing until they are done."""
