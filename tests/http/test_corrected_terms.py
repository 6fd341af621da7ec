"""Corrections that change what a case is paid by: its month, its insurance, what the patient paid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from corrections import APRIL, MAY, PAYS, change, in_book, settle, settled_march, shown, withdrawn
from small_service import MARCH, SmallService

from api.core.book import open_book
from tests.unit.pay_examples import policy_text, row


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with settled_march(tmp_path, request.param) as made:
        yield made


def test_a_correction_by_which_nothing_would_be_paid_is_refused_at_once(here: SmallService) -> None:
    """What was paid would stand. By the policy of the case, whatever is in force since: it pays no 离休."""
    unknown = {"fund_pay": "", "self_pay": ""}
    for other, code in (({"insurance_type": "340"}, "SV28"), (unknown, "SV27")):
        found = change(here, "correction", row("A1", **other))
        assert (found["state"], found["told"]) == ("refused", {("A1", code)})
    later = policy_text(values={**PAYS, "fund_share_mode": '"POINTS_RATIO"', "payment_ratio": '"0.7"'})
    later = later.replace('["职工", "居民"]', '["职工", "居民", "离休"]').replace('id = "small"', 'id = "later"')
    put = here.client("office").put("/v1/documents/policy/later.toml", content=later.encode())
    assert put.status_code == 200, put.text
    found = change(here, "correction", row("A1", insurance_type="离休") + row("A2", **unknown))
    assert found["told"] == {("A1", "SV28"), ("A2", "SV27")}
    told = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    refused = next(item for item in told if item["code"] == "SV28")
    assert "政策 small" in refused["message"]
    assert f"kind=withdrawal，month 写 {MARCH}" in refused["fix"]


def test_a_correction_brings_a_case_to_another_month(here: SmallService) -> None:
    """The next settlement is April's; it cannot take a case of May."""
    april, may = {"discharge_date": "2025-04-02"}, {"discharge_date": "2025-05-02"}
    found = change(here, "correction", row("A1", **april) + row("A2", **may))
    assert (found["accepted"], found["told"]) == (1, {("A2", "SV18")})
    told = here.client("H1").get(f"/v1/submissions/{found['id']}/problems").json()
    assert f"{APRIL} 及以前的月份" in next(item["fix"] for item in told if item["code"] == "SV18")
    settle(here, APRIL)
    months = open_book(here.service.books / "2025").cases().select("case_id", "month").iter_rows()
    assert dict(months) == {"A1": APRIL, "A2": MARCH}
    back = change(here, "correction", row("A1"), month=APRIL)
    wrong = change(here, "correction", row("A1", **may) + row("A2", discharge_date="2024-12-09"))
    assert (back["state"], wrong["state"]) == ("accepted", "refused")
    assert wrong["told"] == {("A1", "SV18"), ("A2", "SV18"), ("A2", "PA09")}
    settle(here, APRIL)
    assert set(open_book(here.service.books / "2025").cases()["month"]) == {MARCH}


def test_a_case_whose_withdrawal_waits_comes_as_new_when_that_is_settled(here: SmallService) -> None:
    gone = change(here, "withdrawal", withdrawn("A1"))
    file = row("A1", discharge_date="2025-05-02") + row("B1", discharge_date="2025-05-03")
    waits = here.submit(file, month=MAY)
    assert (waits["accepted"], shown(here, waits["id"])["told"]) == (1, {("A1", "SV29")})
    told = here.client("H1").get(f"/v1/submissions/{waits['id']}/problems").json()
    assert [item["value"] for item in told if item["code"] == "SV29"] == [gone["id"]]
    assert here.submit(file, month=MAY)["id"] == waits["id"]
    settle(here, APRIL)
    again = here.submit(file, month=MAY)
    assert (again["id"] != waits["id"], again["accepted"]) == (True, 1)
    settle(here, MAY)
    assert in_book(here) == {"A1": 16000, "A2": 16000, "B1": 16000}
