"""What stands in the way of a clearing's approval: figures changed since the draft, submissions that nobody settled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_service import SmallService, service_over
from test_year import ANYWAY, POLICY, documents, hand_in, job, parts

from tests.unit.clearing_city import HOSPITALS, City

FINE = {"hospital": "H2", "insurance": "居民", "amount": "50000.00", "what": "重复收费", "reason": "审计 7"}
BUILT_IN = Path(__file__).parents[2] / "reference_tables" / "policies" / f"{POLICY}.toml"


@pytest.fixture
def here(tmp_path: Path, city: City) -> Iterator[SmallService]:
    """January handed in and settled."""
    with service_over(tmp_path, "sqlite", tuple(HOSPITALS), policy=POLICY) as made:
        documents(made, city)
        hand_in(made, city.months[0])
        assert job(made, "/v1/settlements", month="2026-01")["state"] == "done"
        yield made


def refused(here: SmallService, name: str, **asked: str) -> list[tuple[str, str]]:
    """Why a draft cannot be approved: code, and what has changed or is left."""
    answer = here.client("office").post(f"/v1/clearings/{name}/approve", json={**ANYWAY, **asked})
    assert answer.status_code == 409, answer.text
    found = answer.json()["problems"]
    return [(item["code"], item["args"].get("changed", item["args"].get("waiting", ""))) for item in found]


def put(here: SmallService, kind: str, name: str, content: bytes) -> list[str]:
    answer = here.client("office").put(f"/v1/documents/{kind}/{name}", content=content)
    assert answer.status_code == 200, answer.text
    return [item["code"] for item in answer.json()["problems"]]


def test_what_has_changed_since_the_draft_is_named(here: SmallService, city: City) -> None:
    office = here.client("office")
    draft = job(here, "/v1/clearings", year=2026)["result"]["run"]
    assert office.get(f"/v1/runs/{draft}").json()["approval"] is None
    fined = office.post("/v1/years/2026/violations", json=FINE).json()
    assert [(item["code"], item["args"]["value"]) for item in fined["problems"]] == [("SV92", draft)]
    at = len(office.get("/v1/years/2026").json()["figures"]["violation"]) - 1
    year_file = "年度文件 2026.toml 已是第 {} 版，草稿依据第 1 版（理由：{}）"
    assert refused(here, draft) == [("SV36", year_file.format(2, "审计 7"))]
    taken = {"version": fined["version"], "reason": "录入有误"}
    assert office.post(f"/v1/years/2026/violations/{at}/withdraw", json=taken).status_code == 200
    scores = {"scores": {"H1": "71.5"}, "reason": "复核"}
    assert office.post("/v1/years/2026/scores", json=scores).json()["problems"][0]["code"] == "SV92"
    assert refused(here, draft) == [("SV36", year_file.format(4, "审计 7、录入有误、复核"))]
    assert put(here, "year_file", "2026.toml", city.year_file.read_bytes()) == ["SV92"]
    other = BUILT_IN.read_text(encoding="utf-8").replace('value = "0.95"', 'value = "0.94"')
    assert other != BUILT_IN.read_text(encoding="utf-8")
    put(here, "policy", "p.toml", other.encode())
    put(here, "decisions", "decisions.csv", b"case_id,decision\n")
    told = "特例单议评议结果 decisions.csv 已是第 2 版，草稿依据第 1 版"
    assert refused(here, draft) == [("SV36", f"{told}；支付政策 {POLICY} 的内容")]
    put(here, "decisions", "decisions.csv", city.decisions.read_bytes())
    put(here, "policy", "p.toml", BUILT_IN.read_bytes())
    later = other.replace("effective_from = 2025", "effective_from = 2027").replace(POLICY, "p2027")
    put(here, "policy", "p2027.toml", later.encode())
    done = job(here, f"/v1/clearings/{draft}/approve", **ANYWAY)
    assert done["state"] == "done", "all that decides it is as it was"
    assert office.post("/v1/years/2026/violations", json=FINE).json()["problems"][0]["args"]["state"] == "已锁定"


def test_what_is_not_settled_is_left_for_a_reason_that_is_kept(here: SmallService, city: City) -> None:
    office, hospital = here.client("office"), here.client("H1")
    hand_in(here, city.months[1])
    asked = job(here, "/v1/clearings", year=2026)["result"]
    draft, counts = asked["run"], {name: data.count(b"\n") - 1 for name, data in parts(city.months[1]).items()}
    rows = [{"hospital": name, "submissions": 1, "cases": count} for name, count in sorted(counts.items())]
    found = office.get(f"/v1/runs/{draft}").json()
    assert found["summary"]["unsettled"] == rows
    assert {item["code"]: item["count"] for item in found["summary"]["problems"]}["SV91"] == len(rows)
    left = "、".join(f"{row['hospital']} 1 份（{row['cases']} 例）" for row in rows)
    assert asked["note"].endswith(left)
    assert refused(here, draft) == [("SV78", left)]
    assert refused(here, draft, reason="") == [("SV55", ""), ("SV78", left)], "both at once"
    sent = _sent(here, city.months[2])
    done = job(here, f"/v1/clearings/{draft}/approve", **ANYWAY, unsettled_reason="来年并入")
    assert done["state"] == "done", done
    rows[0]["submissions"] = 2  # with the one that nobody has looked at
    approval = office.get(f"/v1/runs/{draft}").json()["approval"]
    said = {**ANYWAY, "unsettled_reason": "来年并入"}
    assert approval == {**said, "at": approval["at"], "unsettled": rows}
    assert hospital.get(f"/v1/runs/{draft}").json()["approval"]["unsettled"] == rows[:1], "its own"
    entry = office.get("/v1/audit", params={"action": "run.approved"}).json()["items"][0]
    assert (entry["object"], entry["details"]) == (draft, {**said, "unsettled": rows})
    waited = hospital.get(f"/v1/submissions/{sent}").json()
    assert (waited["state"], [item["code"] for item in waited["summary"]["late"]]) == ("refused", ["SV76"])


def _sent(here: SmallService, month: Path) -> Any:
    """A file of H1 that has come, and waits to be looked at."""
    data = parts(month)["H1"]
    return here.client("H1").post("/v1/submissions", params={"month": month.stem}, content=data).json()["id"]
