"""Months without cases, cases that come late to a settled or closed month, and what a settlement says of itself.

A case of BR19 is a package of 1.5 x 10,000 x 1.1 = 16,500 yuan, the patient paid 5,000: the fund is due 11,500, nine
tenths of which are paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from small_service import SETUP, SmallService, small_service

from api.core.book import open_book
from api.core.book_check import verify_book
from api.service.handlers import handlers_of
from api.service.runs import DRAFT, LOCKED, Made, add_run, set_state
from api.service.worker import JobContext
from api.store.tables import job
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

PAYS = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}
DUE = 1_150_000
NOVEMBER, DECEMBER = "2025-11", "2025-12"
NOTHING = "没有新的病例、更正或撤回，账册没有新增结算"
WITHDRAWN = "hospital_id,case_id,reason\nH1,D1,录错\n"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[SmallService]:
    with small_service(tmp_path, "sqlite") as made:
        (tmp_path / "examples" / "p.toml").write_text(policy_text(values=PAYS), encoding="utf-8")
        yield made


def of(case: str, month: str, **other: str) -> str:
    return row(case, discharge_date=f"{month}-05", **other)


def settle(here: SmallService, month: str, **asked: Any) -> dict[str, Any]:
    """Settle a month and close it unless `asked` says otherwise: the job's result."""
    answer = here.client("office").post("/v1/settlements", json={"month": month, **asked})
    assert answer.status_code == 202, answer.text
    here.work()
    done = here.client("office").get(f"/v1/jobs/{answer.json()['id']}").json()
    assert done["state"] == "done", done
    return dict(done["result"])


def refused(here: SmallService, path: str, **asked: Any) -> str:
    answer = here.client("office").post(path, json=asked)
    assert answer.status_code == 409, answer.text
    return str(answer.json()["code"])


def hand_in(here: SmallService, cases: str, month: str, **query: str) -> str:
    """What becomes of new cases: the state, or the code of the refusal."""
    asked = {"month": month, **query}
    answer = here.client("H1").post("/v1/submissions", params=asked, content=(HEADER + cases).encode())
    here.work()
    if answer.status_code == 409:
        return str(answer.json()["code"])
    return str(here.client("H1").get(f"/v1/submissions/{answer.json()['id']}").json()["state"])


def book(here: SmallService) -> tuple[str, int, int, int]:
    """closed until, cases that count, due and paid in fen; the postings sum to zero."""
    found = open_book(here.service.books / "2025")
    assert verify_book(found) == []
    legs = found.ledger().select(pl.when(side="debit").then("amount_fen").otherwise(-pl.col("amount_fen")))
    assert legs.to_series().sum() == 0
    paid = found.paid()
    return found.closed_until, found.cases().height, int(paid["due_fen"].sum()), int(paid["paid_fen"].sum())


def test_a_month_without_cases_is_settled_and_closed_with_a_reason(here: SmallService) -> None:
    here.submit(row("A1"))
    settle(here, "2025-03")
    assert refused(here, "/v1/settlements", month="2025-04") == "SV46"
    done = settle(here, "2025-04", reason="停业")
    assert (done["closed"], done["run"] is None) == (True, False)
    assert book(here) == ("2025-04", 1, DUE, DUE * 9 // 10)
    here.submit(row("A2", discharge_date="2025-06-05"), month="2025-06")
    asked = here.client("office").post("/v1/settlements", json={"month": "2025-06"})
    assert (asked.status_code, asked.json()["code"]) == (409, "SV93")
    assert asked.json()["args"] == {"month": "2025-06", "skipped": "2025-05", "earliest": "2025-05"}
    left = settle(here, "2025-05", reason="停业", close=False)
    assert (left["closed"], book(here)[0]) == (False, "2025-04")
    assert settle(here, "2025-05") == {"month": "2025-05", "run": None, "closed": True, "note": NOTHING}


def test_what_waits_of_earlier_months_is_settled_with_a_month_without_cases(here: SmallService) -> None:
    here.submit(row("A1") + row("A2"))
    settle(here, "2025-03")
    gone = here.client("H1").post(
        "/v1/submissions", params={"month": "2025-03", "kind": "withdrawal", "reason": "重复"},
        content=b"hospital_id,case_id,reason\nH1,A2,x\n",
    )  # fmt: skip
    assert gone.status_code == 202
    here.work()
    assert refused(here, "/v1/settlements", month="2025-04") == "SV46"
    assert settle(here, "2025-04", reason="无病例")["closed"] is True
    assert book(here)[:3] == ("2025-04", 1, DUE)


def test_an_open_month_is_closed_though_every_decision_is_applied(here: SmallService) -> None:
    here.submit(row("A1"))
    asked = {"hospital_id": "H1", "case_id": "A1", "decision": "by_item", "reason": "会议"}
    assert here.client("office").post("/v1/years/2025/decisions", json=asked).status_code == 200
    assert settle(here, "2025-03", close=False)["closed"] is False
    before = book(here)
    assert settle(here, "2025-03", close=False) == {"month": "2025-03", "run": None, "closed": False, "note": NOTHING}
    assert settle(here, "2025-03") == {"month": "2025-03", "run": None, "closed": True, "note": NOTHING}
    assert book(here) == ("2025-03", *before[1:])
    assert refused(here, "/v1/settlements", month="2025-03") == "ST10"


def test_an_open_month_that_is_settled_takes_later_submissions(here: SmallService) -> None:
    here.submit(row("A1"))
    settle(here, "2025-03", close=False)
    assert hand_in(here, row("A2"), "2025-03") == "accepted"
    assert settle(here, "2025-03", close=False)["run"] is not None
    assert hand_in(here, row("A1") + row("A3"), "2025-03") == "accepted"
    assert settle(here, "2025-03")["closed"] is True
    assert book(here) == ("2025-03", 3, 3 * DUE, 3 * DUE * 9 // 10)


def test_cases_that_come_late_to_december_are_a_further_run_of_it(here: SmallService) -> None:
    here.submit(of("D1", DECEMBER), month=DECEMBER)
    settle(here, DECEMBER)
    assert hand_in(here, of("D2", DECEMBER), DECEMBER) == "SV19", "it is not said why"
    assert hand_in(here, of("D2", DECEMBER) + of("N1", NOVEMBER), DECEMBER, reason="漏报") == "accepted"
    assert refused(here, "/v1/settlements", month=DECEMBER) == "ST23"
    done = settle(here, DECEMBER, reopen="漏报")
    assert (done["run"] is None, done["closed"]) == (False, True)
    assert book(here) == (DECEMBER, 3, 3 * DUE, 3 * DUE * 9 // 10)


def test_a_closed_month_says_how_late_cases_come_and_the_next_settlement_takes_them(here: SmallService) -> None:
    here.submit(row("A1"))
    settle(here, "2025-03")
    settle(here, "2025-04", reason="停业")
    asked = {"month": "2025-03"}
    client = here.client("H1")
    answer = client.post("/v1/submissions", params=asked, content=(HEADER + row("A2")).encode())
    assert (answer.status_code, answer.json()["code"]) == (409, "SV10")
    assert "在 reason 写明迟报的理由，与 2025-05 的结算一起办理" in answer.json()["problems"][0]["fix"]
    late = here.submit(row("A2") + row("A3"), reason="漏报")
    assert (late["state"], late["summary"]["of_closed_months"]) == ("accepted", {"2025-03": 2})
    mended = here.submit(row("A2"), kind="correction", reason="A3 不是漏报", supersedes=late["id"])
    assert (mended["state"], mended["summary"]["of_closed_months"]) == ("accepted", {"2025-03": 1})
    ahead = here.submit(row("A4") + row("A5", discharge_date="2025-05-02"), month="2025-05")
    assert (ahead["accepted"], ahead["summary"]["of_closed_months"]) == (2, {"2025-03": 1})
    gone = {"month": "2025-05", "kind": "withdrawal", "reason": "重报", "supersedes": ahead["id"]}
    assert client.post("/v1/submissions", params=gone).status_code == 202
    here.work()
    assert refused(here, "/v1/settlements", month="2025-05") == "SV46", "May would be closed without its own cases"
    done = settle(here, "2025-05", reason="停业")
    totals = here.client("office").get(f"/v1/runs/{done['run']}").json()["summary"]["totals"]
    assert (totals["cases"], totals["late"]) == (1, 1)
    assert book(here) == ("2025-05", 2, 2 * DUE, 2 * DUE * 9 // 10)


def test_the_same_file_brings_cases_of_a_month_that_is_closed_by_now(here: SmallService) -> None:
    text = of("D1", DECEMBER) + of("N1", NOVEMBER)
    assert here.submit(text, month=DECEMBER)["accepted"] == 1, "November is open"
    first = here.client("H1").get("/v1/submissions").json()["items"][0]["id"]
    again = here.client("H1").post("/v1/submissions", params={"month": DECEMBER}, content=(HEADER + text).encode())
    assert again.json()["id"] == first
    settle(here, NOVEMBER, reason="无病例")
    later = here.submit(text, month=DECEMBER)
    assert (later["id"] != first, later["state"], later["accepted"]) == (True, "accepted", 1)
    settle(here, DECEMBER)
    assert book(here) == (DECEMBER, 2, 2 * DUE, 2 * DUE * 9 // 10)


def test_when_the_year_is_closed_december_takes_late_cases_of_every_month(here: SmallService) -> None:
    here.submit(of("D0", DECEMBER), month=DECEMBER)
    settle(here, DECEMBER)
    months = [f"2025-{at:02d}" for at in range(1, 13)]
    client, names = here.client("H1"), []
    for month in months:
        asked, content = {"month": month, "reason": "漏报"}, (HEADER + of(f"L{month}", month)).encode()
        names.append(client.post("/v1/submissions", params=asked, content=content).json()["id"])
    here.work()
    done = settle(here, DECEMBER, reopen="漏报")
    totals = here.client("office").get(f"/v1/runs/{done['run']}").json()["summary"]["totals"]
    assert (totals["cases"], totals["late"]) == (12, 12)
    assert {client.get(f"/v1/submissions/{name}").json()["state"] for name in names} == {"done"}
    assert book(here) == (DECEMBER, 13, 13 * DUE, 13 * DUE * 9 // 10)


def test_late_cases_are_withdrawn_before_they_are_settled(here: SmallService) -> None:
    here.submit(of("D1", DECEMBER), month=DECEMBER)
    settle(here, DECEMBER)
    late = here.submit(of("D2", DECEMBER), month=DECEMBER, reason="漏报")
    asked = {"month": DECEMBER, "kind": "withdrawal", "reason": "不是本院", "supersedes": late["id"]}
    assert here.client("H1").post("/v1/submissions", params=asked).status_code == 202
    here.work()
    assert here.client("H1").get(f"/v1/submissions/{late['id']}").json()["state"] == "withdrawn"
    assert settle(here, DECEMBER, reopen="漏报") == {"month": DECEMBER, "run": None, "closed": True, "note": NOTHING}
    assert book(here)[1:3] == (1, DUE)


def test_a_locked_year_is_taken_back_before_late_cases_come(here: SmallService) -> None:
    here.submit(of("D1", DECEMBER), month=DECEMBER)
    settle(here, DECEMBER)
    with here.service.database.write() as connection:
        name = add_run(connection, SETUP, "job_x", Made("clear", 2025, "", DRAFT, "0" * 64, {}, {}, {}))
        set_state(connection, SETUP, name, LOCKED)
    assert hand_in(here, of("D2", DECEMBER), DECEMBER, reason="漏报") == "SV76"
    assert hand_in(here, of("N1", NOVEMBER), NOVEMBER, reason="漏报") == "SV76"
    for kind, body in (("correction", HEADER + of("D1", DECEMBER, cost="17000")), ("withdrawal", WITHDRAWN)):
        asked = {"month": DECEMBER, "kind": kind, "reason": "录错"}
        answer = here.client("H1").post("/v1/submissions", params=asked, content=body.encode())
        assert (answer.status_code, answer.json()["code"]) == (409, "SV76")
        fix = answer.json()["problems"][0]["fix"]
        assert f"先再结算 {DECEMBER}" in fix
        assert f"supersedes 写 {name}" in fix
    settle(here, DECEMBER, reopen="漏报", supersedes=name)
    assert here.client("office").get(f"/v1/runs/{name}").json()["state"] == "reopened"
    assert hand_in(here, of("D2", DECEMBER), DECEMBER, reason="漏报") == "accepted"
    settle(here, DECEMBER, reopen="漏报")
    assert book(here) == (DECEMBER, 2, 2 * DUE, 2 * DUE * 9 // 10)


def test_a_year_locked_too_early_is_taken_back_and_its_next_month_stays_open(here: SmallService) -> None:
    here.submit(row("A1"))
    settle(here, "2025-03")
    with here.service.database.write() as connection:
        name = add_run(connection, SETUP, "job_x", Made("clear", 2025, "", DRAFT, "0" * 64, {}, {}, {}))
        set_state(connection, SETUP, name, LOCKED)
    april = HEADER + of("A2", "2025-04")
    early = here.client("H1").post("/v1/submissions", params={"month": "2025-04"}, content=april.encode())
    assert "再结算 2025-04" in early.json()["problems"][0]["fix"]
    assert "2025-04 的病例还没有齐的，写 close: false" in early.json()["problems"][0]["fix"]
    asked = {"reopen": "清算过早", "supersedes": name}
    closed = here.client("office").post("/v1/settlements", json={"month": "2025-03", **asked}).json()
    assert closed["code"] == "ST10"
    assert "再结算的 month 也写 2025-04，在 reopen 写明原因" in closed["problems"][0]["fix"]
    assert settle(here, "2025-04", close=False, **asked)["closed"] is False
    assert here.client("office").get(f"/v1/runs/{name}").json()["state"] == "reopened"
    assert hand_in(here, of("A2", "2025-04"), "2025-04") == "accepted"
    assert settle(here, "2025-04")["closed"] is True
    assert book(here) == ("2025-04", 2, 2 * DUE, 2 * DUE * 9 // 10)


def test_what_is_in_hand_when_the_year_is_locked_is_refused_then_and_there(here: SmallService) -> None:
    """It would wait for a settlement that nobody makes."""
    here.submit(of("D1", DECEMBER), month=DECEMBER)
    settle(here, DECEMBER)
    asked = {"month": DECEMBER, "kind": "correction", "reason": "录错"}
    body = (HEADER + of("D1", DECEMBER, cost="17000")).encode()
    sent = here.client("H1").post("/v1/submissions", params=asked, content=body).json()["id"]
    with here.service.database.write() as connection:
        name = add_run(connection, SETUP, "job_x", Made("clear", 2025, "", DRAFT, "0" * 64, {}, {}, {}))
    with here.service.database.write() as connection:
        set_state(connection, SETUP, name, LOCKED)
    here.work()
    found = here.client("H1").get(f"/v1/submissions/{sent}").json()
    assert (found["state"], [item["code"] for item in found["summary"]["late"]]) == ("refused", ["SV76"])
    (problem,) = here.client("H1").get(f"/v1/submissions/{sent}/problems").json()
    assert (problem["code"], "再结算" in problem["fix"]) == ("SV76", True)
    assert refused(here, f"/v1/clearings/{name}/approve") == "SV73"


def done_again(here: SmallService) -> tuple[dict[str, Any], tuple[str, int, int, int]]:
    """March settled and closed by a worker that dies with the book written, then by another: the job, and the book as
    the first one left it."""
    asked = here.client("office").post("/v1/settlements", json={"month": "2025-03", "reason": "关账"}).json()["id"]
    held = here.service.queue.take()
    assert held is not None
    handlers_of(here.service)[held.kind](JobContext(here.service.queue, held))
    entered = book(here)
    with here.service.database.write() as connection:
        connection.execute(job.update().where(job.c.id == asked).values(lease_until="2000-01-01T00:00:00Z"))
    here.work()
    return here.client("office").get(f"/v1/jobs/{asked}").json(), entered


def test_a_closing_done_again_after_a_crash_is_done(here: SmallService) -> None:
    here.submit(row("A1"))
    asked = {"hospital_id": "H1", "case_id": "A1", "decision": "by_item", "reason": "会议"}
    assert here.client("office").post("/v1/years/2025/decisions", json=asked).status_code == 200
    settle(here, "2025-03", close=False)
    done, entered = done_again(here)
    assert (done["state"], done["result"]) == (
        "done",
        {"month": "2025-03", "run": None, "closed": True, "note": NOTHING},
    )
    assert book(here) == entered
    assert entered[0] == "2025-03"


@pytest.mark.parametrize("empty", [False, True], ids=["cases", "no cases"])
def test_a_settlement_done_again_after_a_crash_says_what_is(here: SmallService, empty: bool) -> None:
    """The first worker dies between the book and the catalogue."""
    if not empty:
        here.submit(row("A1"))
    done, entered = done_again(here)
    assert (done["state"], done["result"]["closed"]) == ("done", True)
    summary = here.client("office").get(f"/v1/runs/{done['result']['run']}").json()["summary"]
    assert (summary["closed"], summary["repeated"]) == (True, False)
    assert book(here) == entered
    assert entered[2] == (0 if empty else DUE)
