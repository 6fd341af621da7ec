"""Corrections and withdrawals of settled cases: of each case the last one counts, what cannot be done is told at once,
and hospital, office and book always say the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import xlsxwriter
from corrections import APRIL, LIST, MAY, change, in_book, settle, settled_march, shown, withdrawn
from small_service import MARCH, SmallService

from api.service.handlers import handlers_of
from api.service.worker import JobContext
from reference_tables.case_formats import format_facts
from tests.unit.pay_examples import HEADER, row


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with settled_march(tmp_path, request.param) as made:
        yield made


def test_of_two_corrections_the_last_one_counts(here: SmallService) -> None:
    first = change(here, "correction", row("A1", cost="17000"))
    second = change(here, "correction", row("A1", cost="18000"))
    assert (second["state"], second["accepted"], second["told"]) == ("accepted", 1, set())
    old = shown(here, first["id"])
    assert (old["state"], old["accepted"], old["told"]) == ("superseded", 0, {("A1", "SV63")})
    summary = settle(here, APRIL)
    assert summary["totals"]["changed"] == 1
    assert not [item for item in summary["problems"] if item["code"] in {"ST32", "ST41"}]
    assert in_book(here) == {"A1": 18000, "A2": 16000}
    assert shown(here, second["id"])["state"] == "done"


def test_a_correction_of_one_of_two_cases_leaves_the_other(here: SmallService) -> None:
    both = change(here, "correction", row("A1", cost="17000") + row("A2", cost="17500"))
    one = change(here, "correction", row("A2", cost="18000"))
    old = shown(here, both["id"])
    assert (old["state"], old["accepted"], old["told"]) == ("accepted", 1, {("A2", "SV63")})
    assert old["summary"]["by_kind"]["normal"]["cases"] == 1
    settle(here, APRIL)
    assert in_book(here) == {"A1": 17000, "A2": 18000}
    assert [shown(here, item["id"])["state"] for item in (both, one)] == ["done", "done"]


@pytest.mark.parametrize("between", [False, True])
def test_a_correction_then_a_withdrawal(here: SmallService, between: bool) -> None:
    first = change(here, "correction", row("A1", cost="17000"))
    if between:
        settle(here, APRIL)
    second = change(here, "withdrawal", withdrawn("A1"))
    assert second["state"] == "accepted"
    assert shown(here, first["id"])["state"] == ("done" if between else "superseded")
    settle(here, APRIL)
    assert in_book(here) == {"A2": 16000}


def test_a_withdrawal_then_a_correction(here: SmallService) -> None:
    first = change(here, "withdrawal", withdrawn("A1", "A2"))
    second = change(here, "correction", row("A1", cost="17000"))
    assert second["state"] == "accepted"
    assert shown(here, first["id"])["told"] == {("A1", "SV63")}
    settle(here, APRIL)
    assert in_book(here) == {"A1": 17000}


def test_a_withdrawal_twice(here: SmallService, monkeypatch: pytest.MonkeyPatch) -> None:
    first = change(here, "withdrawal", withdrawn("A1"))
    again = change(here, "withdrawal", withdrawn("A1", "A1"))
    assert (again["state"], again["accepted"], again["told"]) == ("accepted", 1, {("A1", "SV67")})
    assert shown(here, first["id"])["state"] == "superseded"
    settle(here, APRIL)
    assert in_book(here) == {"A2": 16000}
    late = change(here, "withdrawal", withdrawn("A1"), reason="再撤")
    assert (late["state"], late["told"]) == ("refused", {("A1", "SV62")})
    facts = format_facts()
    small = replace(facts, reading=replace(facts.reading, longest_list=39))
    monkeypatch.setattr("api.service.withdrawals.format_facts", lambda: small)
    large = change(here, "withdrawal", withdrawn("A2"))  # 40 bytes
    assert large["state"] == "refused"
    assert [item["code"] for item in large["summary"]["problems"]] == ["IN53"]


def test_a_withdrawn_case_is_no_more_corrected_but_may_come_again(here: SmallService) -> None:
    change(here, "withdrawal", withdrawn("A1"))
    settle(here, APRIL)
    corrected = change(here, "correction", row("A1", cost="17000"))
    assert (corrected["state"], corrected["told"]) == ("refused", {("A1", "SV62")})
    again = here.submit(row("A1", cost="17000") + row("B1", discharge_date="2025-05-02"), month=MAY)
    assert (again["state"], again["accepted"]) == ("accepted", 2)
    settle(here, MAY)
    assert in_book(here) == {"A1": 17000, "A2": 16000, "B1": 16000}


def test_the_same_file_brings_a_withdrawn_case_back(here: SmallService) -> None:
    """As often as it is withdrawn, whether the file had been accepted for it or, the case standing, refused for it."""
    file, whole = row("A1") + row("A2"), {"A1": 16000, "A2": 16000}
    first = here.submit(file)
    assert (first["state"], first["accepted"]) == ("done", 2)
    change(here, "withdrawal", withdrawn("A1"))
    waits = here.submit(file, reason="确有其事")
    assert (waits["id"] != first["id"], waits["state"], waits["accepted"]) == (True, "refused", 0)
    last = first
    for case, other in (("A1", "A2"), ("A2", "A1")):
        change(here, "withdrawal", withdrawn(case))
        settle(here, APRIL)
        assert in_book(here) == {other: 16000}
        again = here.submit(file, reason="确有其事")
        assert (again["id"] != last["id"], again["state"]) == (True, "accepted")
        assert shown(here, again["id"])["told"] == {(other, "SV64")}
        settle(here, APRIL)
        assert in_book(here) == whole
        assert here.submit(file)["id"] == again["id"], "what stands as it was told is one submission"
        last = again


def test_the_same_correction_counts_again_after_a_later_one_took_a_case_of_it(here: SmallService) -> None:
    both = row("A1", cost="17000") + row("A2", cost="17500")
    first = change(here, "correction", both)
    change(here, "correction", row("A2", cost="18000"))
    again = change(here, "correction", both)
    assert (again["id"] != first["id"], again["accepted"]) == (True, 2)
    settle(here, APRIL)
    assert in_book(here) == {"A1": 17000, "A2": 17500}


@pytest.mark.parametrize(("kind", "body"), [
    ("correction", row("X9")), ("withdrawal", withdrawn("X9")),
])  # fmt: skip
def test_a_case_that_was_never_settled_is_refused_at_once(here: SmallService, kind: str, body: str) -> None:
    found = change(here, kind, body)
    assert (found["state"], found["accepted"], found["told"]) == ("refused", 0, {("X9", "SV60")})


def test_a_case_that_waits_in_a_submission_is_corrected_there(here: SmallService) -> None:
    waits = here.submit(row("B1", discharge_date="2025-04-05"), month=APRIL)
    for kind, body in (("correction", row("B1", cost="17000")), ("withdrawal", withdrawn("B1"))):
        found = change(here, kind, body)
        assert (found["state"], found["told"]) == ("refused", {("B1", "SV61")})
        value = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()[-1]["value"]
        assert value == waits["id"]


def test_one_file_says_a_case_twice(here: SmallService) -> None:
    twice = change(here, "correction", row("A1", cost="17000") + row("A1", cost="18000") + row("A2", cost="19000"))
    assert (twice["accepted"], twice["rejected"]) == (1, 2)
    assert ("A1", "SV65") in twice["told"]
    same = change(here, "correction", row("A1", cost="17000") * 2)
    assert (same["state"], same["accepted"], same["rejected"]) == ("accepted", 1, 1)
    settle(here, APRIL)
    assert in_book(here) == {"A1": 17000, "A2": 19000}


def test_new_cases_that_differ_within_their_file_are_not_taken(here: SmallService) -> None:
    """As the settlement of the file itself would not: no order may decide which one is paid."""
    april = {"discharge_date": "2025-04-05"}
    found = here.submit(row("B1", **april) + row("B1", cost="17000", **april) + row("B2", **april), month=APRIL)
    assert (found["accepted"], found["rejected"]) == (1, 2)


def test_a_settled_case_is_not_new(here: SmallService) -> None:
    found = here.submit(row("A1", discharge_date="2025-04-05") + row("B1", discharge_date="2025-04-06"), month=APRIL)
    assert (found["accepted"], found["rejected"]) == (1, 1)
    assert ("A1", "SV64") in shown(here, found["id"])["told"]


def test_a_case_of_a_closed_month_that_was_forgotten_comes_with_a_later_one(here: SmallService) -> None:
    closed = here.client("H1").post("/v1/submissions", params={"month": MARCH}, content=(HEADER + row("A9")).encode())
    assert (closed.status_code, closed.json()["code"]) == (409, "SV10")
    assert f"month 仍写 {MARCH}" in closed.json()["problems"][0]["fix"]
    found = here.submit(row("A9"), month=APRIL)
    assert (found["state"], found["accepted"]) == ("accepted", 1)
    ahead = here.submit(row("A8", discharge_date="2025-05-05"), month=APRIL)
    assert shown(here, ahead["id"])["told"] == {("A8", "SV31")}
    assert settle(here, APRIL)["totals"]["late"] == 1
    corrected = change(here, "correction", row("A9", cost="17000"))
    assert corrected["state"] == "accepted"
    settle(here, "2025-05")
    june = here.submit(row("A9", discharge_date="2025-06-05"), month="2025-06")
    (told,) = here.client("H1").get(f"/v1/submissions/{june['id']}/problems").json()
    assert (told["code"], APRIL in told["message"], MARCH in told["fix"]) == ("SV64", True, True), told


def test_a_case_is_in_one_submission_of_the_year(here: SmallService) -> None:
    first = here.submit(row("B1", discharge_date="2025-04-05"), month=APRIL)
    second = here.submit(row("B1", discharge_date="2025-05-05"), month=MAY)
    told = here.client("H1").get(f"/v1/submissions/{second['id']}/problems").json()
    assert [(item["code"], item["value"]) for item in told] == [("SV32", first["id"])]


def test_what_the_settlement_refuses_is_told_to_the_hospital(here: SmallService) -> None:
    april = {"discharge_date": "2025-04-05"}
    found = here.submit(row("B1", **april) + row("B2", hospital_level="", **april), month=APRIL)
    assert found["accepted"] == 2
    settle(here, APRIL, close=True)
    after = shown(here, found["id"])
    assert (after["state"], after["accepted"], after["rejected"]) == ("done", 1, 1)
    assert ("B2", "ST33") in after["told"]
    assert {key: after["summary"]["settlement"][key] for key in ("month", "refused")} == {"month": APRIL, "refused": 1}
    done = here.client("office").get("/v1/jobs").json()["items"][0]["result"]
    reason = "医疗机构级别不详或不在政策所列级别中，暂不支付"
    fix = "补正后与下月病例一起提交"
    assert (done["closed"], done["refused"]) == (True, [{
        "submission": found["id"], "hospital_id": "H1", "month": APRIL, "kind": "new", "state": "done", "refused": 1,
        "settled": 1, "problems": [{"code": "ST33", "reason": reason, "count": 1, "fix": fix}],
    }])  # fmt: skip
    again = here.submit(row("B2", **april), month=MAY)
    assert again["accepted"] == 1


def test_a_submission_of_which_nothing_is_settled_may_come_again(here: SmallService) -> None:
    text = row("B2", hospital_level="", discharge_date="2025-04-05")
    found = here.submit(text, month=APRIL)
    settle(here, APRIL)
    assert shown(here, found["id"])["state"] == "refused"
    done = here.client("office").get("/v1/jobs").json()["items"][0]["result"]
    assert [(item["state"], item["refused"], item["settled"]) for item in done["refused"]] == [("refused", 1, 0)]
    again = here.submit(text, month=APRIL)
    assert again["id"] != found["id"]


def test_the_order_of_coming_counts_not_that_of_the_workers(here: SmallService) -> None:
    names = []
    for cost in ("17000", "18000"):
        asked = {"month": MARCH, "kind": "correction", "reason": "录错"}
        content = (HEADER + row("A1", cost=cost)).encode()
        names.append(here.client("H1").post("/v1/submissions", params=asked, content=content).json()["id"])
    queue, handlers = here.service.queue, handlers_of(here.service)
    first, second = queue.take(), queue.take()
    assert first is not None
    assert second is not None
    slow = handlers[first.kind](JobContext(queue, first))
    queue.finish(second, handlers[second.kind](JobContext(queue, second)))
    with pytest.raises(Exception, match="changed meanwhile"):
        queue.finish(first, slow)  # it has not seen the other: it is done again
    queue.give_back(first)
    here.work()
    early, late = (shown(here, name) for name in names)
    assert (early["state"], early["told"], late["state"]) == ("refused", {("A1", "SV63")}, "accepted")
    settle(here, APRIL)
    assert in_book(here)["A1"] == 18000


def test_a_value_may_come_back_after_another(here: SmallService) -> None:
    """The same bytes are another correction once the first is settled."""
    first = change(here, "correction", row("A1", cost="17000"))
    assert change(here, "correction", row("A1", cost="17000"))["id"] == first["id"]
    settle(here, APRIL)
    change(here, "correction", row("A1", cost="18000"))
    settle(here, APRIL)
    assert in_book(here)["A1"] == 18000
    back = change(here, "correction", row("A1", cost="17000"))
    assert back["id"] != first["id"]
    settle(here, APRIL)
    assert in_book(here)["A1"] == 17000
    assert shown(here, back["id"])["state"] == "done"


def test_a_correction_that_changes_nothing_is_done_with(here: SmallService) -> None:
    same = change(here, "correction", row("A1"))
    settle(here, APRIL)
    assert shown(here, same["id"])["state"] == "done"
    assert in_book(here) == {"A1": 16000, "A2": 16000}


def test_a_correction_that_waits_is_withdrawn_as_a_whole(here: SmallService) -> None:
    waits = change(here, "correction", row("A1", cost="17000"))
    asked = {"month": MARCH, "reason": "不改了", "supersedes": waits["id"]}
    client = here.client("H1")
    body = (HEADER + row("A1")).encode()
    whole = client.post("/v1/submissions", params={**asked, "kind": "correction"}, content=body)
    assert (whole.status_code, whole.json()["code"]) == (409, "SV70")
    ended = client.post("/v1/submissions", params={**asked, "kind": "withdrawal"})
    assert ended.status_code == 202, ended.text
    here.work()
    assert client.get(f"/v1/submissions/{ended.json()['id']}").json()["state"] == "done"
    assert shown(here, waits["id"])["state"] == "withdrawn"
    first, second = (change(here, "correction", row("A1", cost=cost)) for cost in ("17000", "18000"))
    gone = client.post("/v1/submissions", params={**asked, "kind": "withdrawal", "supersedes": first["id"]})
    assert (gone.json()["code"], gone.json()["args"]["by"]) == ("SV16", second["id"])
    assert in_book(here) == {"A1": 16000, "A2": 16000}


def test_two_submissions_of_a_month_are_withdrawn_each_without_a_file(here: SmallService) -> None:
    names = [here.submit(row(case, discharge_date="2025-04-05"), month=APRIL)["id"] for case in ("B1", "B2")]
    client = here.client("H1")
    for name in names:
        asked = {"month": APRIL, "kind": "withdrawal", "reason": "重报", "supersedes": name}
        assert client.post("/v1/submissions", params=asked).status_code == 202
        assert client.post("/v1/submissions", params=asked).status_code == 200
        here.work()
        assert client.get(f"/v1/submissions/{name}").json()["state"] == "withdrawn"
        assert client.post("/v1/submissions", params=asked).json()["code"] == "SV17"
    again = here.submit(row("B1", discharge_date="2025-04-05"), month=APRIL)
    assert (again["state"], again["accepted"]) == ("accepted", 1)


def test_the_same_file_for_another_submission_is_not_taken_silently(here: SmallService) -> None:
    april = {"discharge_date": "2025-04-05"}
    names = [here.submit(row(case, **april), month=APRIL)["id"] for case in ("B1", "B2")]
    corrected = HEADER + row("B1", cost="17000", **april)
    client = here.client("H1")
    asked = {"month": APRIL, "kind": "correction", "reason": "录错"}
    first = client.post("/v1/submissions", params={**asked, "supersedes": names[0]}, content=corrected.encode())
    here.work()
    other = client.post("/v1/submissions", params={**asked, "supersedes": names[1]}, content=corrected.encode())
    assert (other.status_code, other.json()["code"]) == (409, "SV69")
    states = [client.get(f"/v1/submissions/{name}").json()["state"] for name in (*names, first.json()["id"])]
    assert states == ["superseded", "accepted", "accepted"]


def test_a_list_of_withdrawals_with_nothing_in_it_is_told(here: SmallService) -> None:
    found = change(here, "withdrawal", "")
    problems = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert (found["state"], [item["code"] for item in problems]) == ("refused", ["IN03"])


def _workbook() -> bytes:
    data = io.BytesIO()
    with xlsxwriter.Workbook(data) as book:
        sheet = book.add_worksheet()
        for at, cells in {0: LIST.strip().split(","), 1: ["H1", "A1", "录错\n重报"], 3: ["H1", "X9", ""]}.items():
            sheet.write_row(at, 0, cells)
    return data.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        _workbook(),
        *((LIST + "H1,A1,录错，重报\n\nH1,X9,\n").encode(name) for name in ("gb18030", "utf-16", "utf-8-sig")),
    ],
    ids=["xlsx", "gb18030", "utf-16", "utf-8"],
)
def test_lists_of_withdrawals_as_they_come(here: SmallService, body: bytes) -> None:
    found = change(here, "withdrawal", body)
    assert (found["state"], found["accepted"], len(found["told"])) == ("accepted", 1, 1)
    problems = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert [(item["case_id"], item["row"]) for item in problems] == [("X9", 4)]


@pytest.mark.parametrize("kind", ["correction", "withdrawal"])
def test_a_settled_submission_is_corrected_case_by_case(here: SmallService, kind: str) -> None:
    settled = here.client("H1").get("/v1/submissions", params={"state": "done"}).json()["items"][0]["id"]
    asked = {"month": MARCH, "kind": kind, "reason": "录错", "supersedes": settled}
    answer = here.client("H1").post(
        "/v1/submissions", params=asked, content=(HEADER + row("A1", cost="17000")).encode()
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "SV71")
    assert f"month 仍写 {MARCH}" in answer.json()["problems"][0]["fix"]
