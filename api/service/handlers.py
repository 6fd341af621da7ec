"""What workers can do: the kinds of jobs and what does each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from api.service import (
    budget_job,
    case_files_job,
    catalog_job,
    clear_job,
    clear_trial_job,
    indicator_job,
    settle_job,
    simulate_job,
    submissions,
    weights_job,
)
from api.service.context import Service
from api.service.runs import ADVANCE, CLEAR_TRIAL, GROUP, LOCK_JOB, PAY, VALIDATE
from api.service.submission_job import work_on
from api.service.worker import Handler


def handlers_of(service: Service) -> Mapping[str, Handler]:
    """Every kind of job with its handler, over one service."""
    return {
        submissions.JOB: partial(work_on, service),
        submissions.SETTLE: partial(settle_job.work_on, service),
        clear_job.JOB: partial(clear_job.make_draft, service),
        LOCK_JOB: partial(clear_job.lock, service),
        CLEAR_TRIAL: partial(clear_trial_job.work_on, service),
        budget_job.BUDGET: partial(budget_job.make, service),
        ADVANCE: partial(budget_job.pay, service),
        indicator_job.INDICATORS: partial(indicator_job.count, service),
        indicator_job.REPORT: partial(indicator_job.draw, service),
        simulate_job.JOB: partial(simulate_job.work_on, service),
        weights_job.JOB: partial(weights_job.work_on, service),
        catalog_job.JOB: partial(catalog_job.work_on, service),
        GROUP: partial(case_files_job.group, service),
        VALIDATE: partial(case_files_job.check, service),
        PAY: partial(case_files_job.price, service),
    }
