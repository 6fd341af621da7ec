"""What workers can do: the kinds of jobs and what does each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from api.service import clear_job, settle_job, submissions
from api.service.context import Service
from api.service.submission_job import work_on
from api.service.worker import Handler


def handlers_of(service: Service) -> Mapping[str, Handler]:
    """Every kind of job with its handler, over one service."""
    return {
        submissions.JOB: partial(work_on, service),
        submissions.SETTLE: partial(settle_job.work_on, service),
        clear_job.JOB: partial(clear_job.make_draft, service),
        clear_job.LOCK_JOB: partial(clear_job.lock, service),
    }
