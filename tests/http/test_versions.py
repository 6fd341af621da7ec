"""Which versions of the office's documents decide: for what a hospital is told those of when it handed in, for what is
paid those of when the settlement was asked for."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_service import MARCH, SmallService, small_service

from api.core.book import open_book
from api.service.stored_case import stored_case
from api.service.submissions import find
from tests.unit.pay_examples import HEADER, RATE, policy_text, row

PAYS = {**RATE, "prepay_period": '"month"', "prepay_share": '"0.9"'}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with small_service(tmp_path, request.param) as made:
        (tmp_path / "examples" / "p.toml").write_text(policy_text(values=PAYS), encoding="utf-8")
        yield made


def listed(tier: str) -> bytes:
    return f"hospital_id,name,tier\nH1,第一医院,{tier}\n".encode()


def register(here: SmallService, tier: str) -> None:
    answer = here.client("office").put("/v1/documents/hospitals/h.csv", content=listed(tier))
    assert answer.status_code == 200


def told(here: SmallService, name: str) -> tuple[dict[str, Any], list[tuple[str, str]], set[tuple[str, str]]]:
    """A submission, its results as case and package in yuan, its problems as case and code."""
    client = here.client("H1")
    rows = client.get(f"/v1/submissions/{name}/results").json()
    problems = client.get(f"/v1/submissions/{name}/problems").json()
    return (
        client.get(f"/v1/submissions/{name}").json(),
        [(item["case_id"], item["package"]) for item in rows],
        {(item["case_id"], item["code"]) for item in problems if item["level"] == "reject"},
    )


def test_a_submission_goes_by_what_was_in_force_when_it_came_and_a_settlement_by_its_own(here: SmallService) -> None:
    """1.5 x 10,000 yuan times 1.1 in a hospital of tier 3, 0.9 in one of tier 2."""
    register(here, "三级")
    cases = row("A1") + row("A2", cost="") + row("A3", hospital_level="")
    sent = here.client("H1").post("/v1/submissions", params={"month": MARCH}, content=(HEADER + cases).encode()).json()
    register(here, "二级")
    here.work()
    first, results, problems = told(here, sent["id"])
    assert results == [("A1", "16500.00"), ("A3", "16500.00")]
    assert problems == {("A2", "PA01")}
    asked = here.client("office").post("/v1/settlements", json={"month": MARCH})
    register(here, "三级")
    here.work()
    done = here.client("office").get(f"/v1/jobs/{asked.json()['id']}").json()
    assert done["state"] == "done"
    proof = here.client("office").get(f"/v1/runs/{done['result']['run']}").json()["proof"]
    inputs = {item["role"]: (item["name"], item["sha256"]) for item in proof["inputs"]}
    assert inputs["hospitals"] == ("h.csv", hashlib.sha256(listed("二级")).hexdigest())
    words = shlex.split(proof["recompute"])
    assert words[:5] == ["drgdip", "settle", inputs["cases"][0], "--policy", "p.toml"]
    assert words[words.index("--hospitals") + 1 :] == ["h.csv", "--weights", "w.csv", "--close", "--book", "BOOK"]
    priced = open_book(here.service.books / "2025").priced()
    assert dict(priced.select("case_id", "package_fen").iter_rows()) == {"A1": 1_350_000, "A3": 1_350_000}
    after, results, problems = told(here, sent["id"])
    assert results == [("A1", "13500.00"), ("A3", "13500.00")], "the hospital sees what it was settled by"
    assert problems == {("A2", "PA01")}
    assert (after["state"], after["accepted"], after["rejected"]) == ("done", 2, 1)
    assert after["summary"]["by_kind"]["normal"]["package"] == "27000.00"
    bases = [found["summary"]["basis"]["hospitals_sha256"] for found in (first, after)]
    assert bases == [hashlib.sha256(listed(tier)).hexdigest() for tier in ("三级", "二级")]
    with here.service.database.read() as connection:
        settled = find(connection, sent["id"])
    assert settled is not None
    again = stored_case(here.service, settled, "A1", None).basis.about
    assert again == after["summary"]["basis"], "a case is explained by what its group is of"


def test_what_the_office_mends_is_paid_without_being_handed_in_again(here: SmallService) -> None:
    found = here.submit(row("A1", hospital_level="9"))
    assert told(here, found["id"])[2] == {("A1", "PA05")}
    register(here, "二级")
    here.client("office").post("/v1/settlements", json={"month": MARCH})
    here.work()
    after, results, problems = told(here, found["id"])
    assert (after["state"], results, problems) == ("done", [("A1", "13500.00")], set())


def test_what_comes_of_a_settled_month_is_told_at_the_tier_it_is_paid_by(here: SmallService) -> None:
    register(here, "二级")
    here.submit(row("A1"))
    settle(here, MARCH)
    register(here, "三级")
    asked = {"kind": "correction", "reason": "录错"}
    found = here.submit(row("A1", cost="17000"), **asked)
    assert told(here, found["id"])[1] == [("A1", "13500.00")]
    problems = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert [(item["code"], item["value"]) for item in problems] == [("ST56", "三级")]
    settle(here, "2025-04", reason="只有更正")
    book = open_book(here.service.books / "2025")
    assert book.priced()["package_fen"].to_list() == [1_350_000]
    office = here.client("office")
    simulated = office.post("/v1/simulations", json={"reforms": ["synthetic-identity"], "submitted": 2025}).json()["id"]
    here.work()
    run = office.get(f"/v1/jobs/{simulated}").json()["result"]["run"]
    problems = office.get(f"/v1/runs/{run}").json()["summary"]["problems"]
    assert [item["count"] for item in problems if item["code"] == "SI20"] == [1]
    here.submit(row("A1", cost="18000"), **asked)
    settle(here, "2025-05", reason="级别登记有误", tier_reason="级别登记有误")
    assert open_book(here.service.books / "2025").priced()["package_fen"].to_list() == [1_650_000]


def settle(here: SmallService, month: str, **asked: str) -> None:
    answer = here.client("office").post("/v1/settlements", json={"month": month, **asked})
    here.work()
    done = here.client("office").get(f"/v1/jobs/{answer.json()['id']}").json()
    assert done["state"] == "done", done
