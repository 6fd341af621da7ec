"""How far a job is, where nobody knows how much there is to do."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from small_service import MARCH, small_service

from api.service.worker import JobContext
from tests.unit.pay_examples import HEADER, row


def test_the_total_is_null_until_a_workbook_has_been_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.service.progress._SECONDS", 0.0)
    monkeypatch.setattr("api.service.submission_job.BLOCK_ROWS", 2)
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer) as book:
        sheet = book.add_worksheet()
        for at, line in enumerate([HEADER, *(row(f"B{at}") for at in range(5))]):
            sheet.write_row(at, 0, line.strip().split(","))
    seen: list[dict[str, Any]] = []
    hold = JobContext.hold
    with small_service(tmp_path) as made:
        client = made.client("H1")

        def asked(context: JobContext) -> None:
            hold(context)
            seen.append(client.get(f"/v1/jobs/{context.held.id}").json())

        monkeypatch.setattr(JobContext, "hold", asked)
        sent = client.post("/v1/submissions", params={"month": MARCH, "name": "b.xlsx"}, content=buffer.getvalue())
        waiting = client.get(f"/v1/jobs/{sent.json()['job_id']}").json()
        assert (waiting["state"], waiting["progress"], waiting["progress_of"]) == ("queued", 0, None)
        made.work()
        done = client.get(f"/v1/jobs/{sent.json()['job_id']}").json()
        last = client.get(f"/v1/jobs/{sent.json()['job_id']}/events").json()
    assert {(item["state"], item["progress_of"]) for item in seen} == {("running", None)}
    assert seen[-1]["progress"] == 5
    assert (done["state"], done["progress"], done["progress_of"]) == ("done", 5, 5)
    assert last == done
