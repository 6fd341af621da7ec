"""Documents are looked at when they are put: what cannot be used changes nothing; jobs work by what was in force when
they were asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_service import SmallService, service_over
from test_year import ANYWAY, POLICY, cleared, documents, hand_in, job, parts

from api.service.audit import Actor
from api.service.handlers import handlers_of
from api.service.jobs import enqueue, find_job
from api.service.worker import Worker
from tests.unit.clearing_city import HOSPITALS, City

POLICIES = Path(__file__).parents[2] / "reference_tables" / "policies"
TEXT = (POLICIES / f"{POLICY}.toml").read_text(encoding="utf-8")
WHY = "经办会议"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with service_over(tmp_path, request.param, tuple(HOSPITALS), policy=POLICY) as made:
        yield made


def put(here: SmallService, kind: str, name: str, text: str | bytes) -> Any:
    data = text.encode() if isinstance(text, str) else text
    return here.client("office").put(f"/v1/documents/{kind}/{name}", content=data)


def told(answer: Any) -> list[tuple[str, int]]:
    return [(item["code"], item["row"]) for item in answer.json()["problems"]]


BROKEN = {
    ("policy", "p.toml"): (TEXT + '[[set]]\nkey = "nothing"\nvalue = "1"\n[[set]]\nkey = "also"\nvalue = "1"\n', 2),
    ("policy", "deep.toml"): ("a = " + "[" * 100_000, 1),
    ("policy", "own.toml"): ('weights = "mine.csv"\n' + TEXT.replace("weights =", "# weights ="), 1),
    ("policy_aside", "p.toml"): ("id = ", 1),
    ("hospitals", "h.csv"): ("hospital_id,tier\nH1,特级\n,一级\nH3,一级\nH3,一级\n", 3),
    ("weights", "w.csv"): ("group,weight\nAA11,x\nAA12,-1\n", 2),
    ("separate", "s.csv"): ("case_id,amount\nC1,1.234\n,5\n", 2),
    ("scheme", "s.zip"): ("no zip", 1),
    ("year_file", "2026.toml"): ('year = 2026\nregion = "合成市"\nnothing = 1\nalso = 2\n', 2),
    ("year_file", "2027.toml"): ('year = 2026\nregion = "合成市"\ndata_level = "synthetic"\nstatement = "虚构"\n', 1),
    ("decisions", "d.csv"): ("case_id,decision,amount\nC1,perhaps,\nC2,adjusted,\n", 2),
    ("prepaid", "p.csv"): ("hospital,pool,prepaid\nH1,离休,1\n,职工,2\n", 2),
    ("spend", "s.csv"): ("hospital_id,insurance,year,spend\nH1,离休,2025,1\nH1,职工,25,1\n", 2),
    ("reform", "r.toml"): ("id =", 1),
    ("cases", "c.csv"): ("nothing of a case", 1),
}


@pytest.mark.parametrize("place", BROKEN, ids="/".join)
def test_what_cannot_be_used_is_refused_with_all_problems(lite: SmallService, place: tuple[str, str]) -> None:
    given = BROKEN[place]
    before = lite.client("office").get("/v1/schemes/current").json()
    answer = put(lite, *place, given[0])
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    problems = answer.json()["problems"]
    assert len(problems) >= given[1], problems
    assert all(item["message"] and item["fix"] and "--" not in item["fix"] for item in problems)
    assert lite.client("office").get("/v1/documents").json()["items"] == []
    assert lite.client("office").get("/v1/schemes/current").json() == before
    assert lite.client("nobody").get("/readyz").status_code == 200


def test_a_document_has_to_fit_what_is_in_force(lite: SmallService) -> None:
    assert put(lite, "hospitals", "h.csv", "hospital_id,tier\nH1,一级\n").status_code == 200
    other = TEXT
    for word, new in {"三级": "甲", "二级": "乙", "一级": "丙"}.items():
        other = other.replace(f'"{word}"', f'"{new}"')
    answer = put(lite, "policy", "p.toml", other)
    assert answer.status_code == 422
    assert told(answer) == [("PA26", 2)]
    assert lite.client("office").get("/v1/schemes/current").json()["policy"] == POLICY


def test_what_does_not_stop_is_told(lite: SmallService) -> None:
    answer = put(lite, "weights", "w.csv", "group,weight\nZZZZ,1.0000\n")
    assert (answer.status_code, [item["code"] for item in answer.json()["problems"]]) == (200, ["SV42"])


def test_going_back_to_an_earlier_policy_puts_it_in_force_again(here: SmallService) -> None:
    first, second = (TEXT.replace(f'id = "{POLICY}"', f'id = "{name}"') for name in ("one", "two"))
    for name, text in (("one", first), ("two", second), ("one", first), ("one", first)):
        assert put(here, "policy", f"{name}.toml", text).status_code == 200
        assert here.client("office").get("/v1/schemes/current").json()["policy"] == name
    items = here.client("office").get("/v1/documents").json()["items"]
    assert [(item["name"], item["version"]) for item in items] == [("one.toml", 1), ("one.toml", 2), ("two.toml", 1)]


def test_a_policy_aside_is_not_in_force(lite: SmallService) -> None:
    assert put(lite, "policy_aside", "x.toml", TEXT.replace(f'id = "{POLICY}"', 'id = "x"')).status_code == 200
    assert lite.client("office").get("/v1/schemes/current").json()["policy"] == POLICY


def test_a_job_works_by_the_documents_as_they_stood_when_it_was_asked_for(here: SmallService, city: City) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    office = here.client("office")
    asked = office.post("/v1/settlements", json={"month": "2026-01"}).json()["id"]
    assert put(here, "policy", "new.toml", TEXT.replace(f'id = "{POLICY}"', 'id = "new"')).status_code == 200
    register = city.register.read_bytes()
    assert put(here, "hospitals", "hospitals.csv", register + b"H9,H9,\n").json()["version"] == 2
    here.work()
    run = office.get(f"/v1/runs/{office.get(f'/v1/jobs/{asked}').json()['result']['run']}").json()
    made_with = run["made_with"]
    assert (made_with["basis"]["policy"], made_with["basis"]["scheme"]) == (POLICY, "chs-drg-1.1")
    assert [item for item in made_with["documents"] if item["kind"] == "hospitals"] == [
        {"kind": "hospitals", "name": "hospitals.csv", "version": 1, "sha256": hashlib.sha256(register).hexdigest()}
    ]
    assert {item["kind"] for item in made_with["documents"]} == {"hospitals", "decisions", "year_file"}
    assert len(made_with["program"]["code_sha256"]) == 64
    assert "made_with" not in run["proof"]


def test_what_is_taken_away_is_still_there_for_what_was_made_with_it(here: SmallService, city: City) -> None:
    documents(here, city)
    for at, month in enumerate(city.months[:2], 1):
        assert put(here, "cases", f"{at}.csv", month.read_bytes()).status_code == 200
    office, register = here.client("office"), city.register.read_bytes()
    before = office.post("/v1/payments", json={"year": 2026, "cases": ["1.csv"]}).json()["id"]
    assert office.delete("/v1/documents/cases/1.csv").json()["args"]["field"] == "query.reason"
    for kind, name in (("cases", "1.csv"), ("hospitals", "hospitals.csv"), ("year_file", "2026.toml")):
        gone = office.delete(f"/v1/documents/{kind}/{name}", params={"reason": WHY})
        assert (gone.status_code, gone.json()["version"], gone.json()["removed"]) == (200, 2, True), gone.text
        assert gone.json()["in_force"] is None
        again = office.delete(f"/v1/documents/{kind}/{name}", params={"reason": WHY})
        assert (again.status_code, again.json()["code"]) == (404, "SV03")
        for version, status in ((None, 404), (2, 404), (1, 200)):
            asked = {} if version is None else {"version": version}
            assert office.get(f"/v1/documents/{kind}/{name}", params=asked).status_code == status
    assert office.get("/v1/documents/hospitals/hospitals.csv?version=1").content == register
    for body in ({"year": 2026, "cases": ["1.csv"]}, {"year": 2026, "cases": ["2.csv", "1.csv"]}):
        assert office.post("/v1/payments", json=body).json()["code"] == "SV03"
    assert office.post("/v1/clearings", json={"year": 2026}).json()["code"] == "SV03"
    assert [item["name"] for item in office.get("/v1/case-files").json()["items"]] == ["2.csv"]
    later = office.post("/v1/payments", json={"year": 2026, "cases": ["2.csv"]}).json()["id"]
    here.work()
    runs = []
    for name in (before, later):
        found = office.get(f"/v1/jobs/{name}").json()
        assert found["state"] == "done", found
        runs.append(office.get(f"/v1/runs/{found['result']['run']}").json()["made_with"]["documents"])
    assert [[item["version"] for item in run if item["kind"] == "hospitals"] for run in runs] == [[1], []]
    entries = office.get("/v1/audit", params={"action": "document.remove"}).json()["items"]
    assert [item["object"] for item in entries] == ["cases/1.csv", "hospitals/hospitals.csv", "year_file/2026.toml"]
    assert {item["details"]["reason"] for item in entries} == {WHY}
    assert put(here, "hospitals", "hospitals.csv", register).json()["version"] == 3
    assert office.get("/v1/audit/verify").json()["broken"] is None


def test_the_one_put_before_takes_the_place_of_a_policy_that_is_taken_away(here: SmallService) -> None:
    office = here.client("office")
    for name in ("one", "two"):
        assert put(here, "policy", f"{name}.toml", TEXT.replace(f'id = "{POLICY}"', f'id = "{name}"')).is_success
    gone = office.delete("/v1/documents/policy/two.toml", params={"reason": WHY}).json()
    assert (gone["in_force"]["name"], office.get("/v1/schemes/current").json()["policy"]) == ("one.toml", "one")
    assert office.delete("/v1/documents/policy/one.toml", params={"reason": WHY}).json()["in_force"] is None
    assert office.get("/v1/schemes/current").json()["policy"] == POLICY
    other = TEXT.replace(f'id = "{POLICY}"', 'id = "x"').replace('"三级"', '"甲"').replace('"二级"', '"乙"')
    assert put(here, "policy", "x.toml", other.replace('"一级"', '"丙"')).is_success
    assert put(here, "hospitals", "h.csv", "hospital_id,tier\nH1,甲\n").is_success
    kept = office.delete("/v1/documents/policy/x.toml", params={"reason": WHY})
    assert (kept.status_code, kept.json()["code"]) == (422, "PA26"), "the register has other tiers"
    assert office.get("/v1/schemes/current").json()["policy"] == "x"


def _files(here: SmallService) -> int:
    return sum(path.is_file() for path in here.service.files.folder.rglob("*"))


@pytest.mark.parametrize("place", BROKEN, ids="/".join)
def test_what_is_only_looked_at_is_not_kept(lite: SmallService, place: tuple[str, str]) -> None:
    office, text = lite.client("office"), BROKEN[place][0]
    looked = office.post(f"/v1/documents/{place[0]}/{place[1]}/check", content=text.encode())
    assert (looked.status_code, _files(lite), [*lite.service.work.iterdir()]) == (422, 0, [])
    assert [item["code"] for item in looked.json()["problems"]] == [
        item["code"] for item in put(lite, *place, text).json()["problems"]
    ]
    assert office.get("/v1/documents").json()["items"] == []


def test_what_could_be_put_is_told(lite: SmallService, city: City) -> None:
    office, policy = lite.client("office"), lite.client("policy")
    documents(lite, city)
    before = _files(lite)
    told_ = office.post(
        "/v1/documents/hospitals/hospitals.csv/check", content=b"hospital_id,tier\nH1,\xe4\xb8\x80\xe7\xba\xa7\n"
    )
    assert (told_.status_code, told_.json()["problems"]) == (200, [])
    reform = policy.get("/v1/reforms/synthetic-basic-one-price").content
    looked = policy.post("/v1/reforms/check", content=reform).json()
    assert (looked["id"], looked["changes"], looked["problems"]) == ("synthetic-basic-one-price", 1, [])
    broken = policy.post(
        "/v1/reforms/check", content=b'id = "x"\n[[change]]\nkey = "nothing"\n[[solve]]\nkind = "no"\n'
    )
    assert broken.status_code == 422
    assert len(broken.json()["problems"]) >= 3
    assert policy.post("/v1/policies/check", content=TEXT.encode()).json()["id"] == POLICY
    source = policy.get(f"/v1/policies/{POLICY}/file")
    assert (source.text, source.headers["content-type"]) == (TEXT, "application/toml")
    packed = policy.get("/v1/schemes/chs-drg-1.1/pack").content
    assert policy.post("/v1/schemes/check", content=packed).json()["usable"]
    assert policy.post("/v1/schemes/check", content=b"no zip").json()["code"] == "SV09"
    assert [item["name"] for item in policy.get("/v1/reforms").json()["items"] if not item["built_in"]] == []
    assert _files(lite) == before


def test_a_job_that_breaks_off_is_not_tried_again(here: SmallService) -> None:
    def broken(_context: object) -> Any:
        raise KeyError("name of a patient")

    with here.service.database.write() as connection:
        name = enqueue(connection, Actor("x", "office"), "broken", "key", {})
    Worker(here.service.queue, {**handlers_of(here.service), "broken": broken}).work_once()
    with here.service.database.read() as connection:
        found = find_job(connection, name)
    assert found is not None
    assert (found.state, found.attempts, found.error["problems"][0]["code"]) == ("failed", 1, "SV25")
    assert "patient" not in str(found.error)


def test_a_failed_job_tells_what_is_wrong_and_how_it_is_mended_here(here: SmallService, city: City) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    done = job(here, "/v1/settlements", month="2026-01", close=False)
    assert done["state"] == "done"
    assert put(here, "policy", "p.toml", TEXT.replace(f'id = "{POLICY}"', 'id = "p"')).status_code == 200
    hand_in(here, city.months[1])
    failed = job(here, "/v1/settlements", month="2026-02")
    assert (failed["state"], failed["attempts"]) == ("failed", 1)
    (problem,) = failed["error"]["problems"]
    assert (problem["code"], problem["level"]) == ("ST13", "error")
    assert "policy_reason" in problem["fix"]
    assert "--" not in problem["fix"]
    kinds = here.client("H1").get("/v1/problems", params={"code": "ST13"}).json()["items"]
    assert [(item["code"], "policy_reason" in item["fix"]) for item in kinds] == [("ST13", True)]


def test_a_whole_list_of_decisions_is_told_as_each_of_them_is(here: SmallService, city: City) -> None:
    """C24 is a case of H1, handed in and not settled yet: none of its discharges makes a place in the quota."""
    documents(here, city)
    hand_in(here, city.months[0])
    text = "case_id,decision,amount,hospital_id\nC24,by_item,,H1\nNOPE,by_item,,H1\nNEVER,refused,,\n"
    listed = put(here, "decisions", "decisions.csv", text).json()["problems"]
    assert [(item["code"], item["case_id"]) for item in listed] == [("SV48", "NOPE"), ("SV48", "NEVER"), ("SV49", "")]
    each = {"hospital_id": "H1", "case_id": "NOPE", "decision": "by_item", "reason": WHY}
    one = here.client("office").post("/v1/years/2026/decisions", json=each).json()["problems"]
    assert one == [listed[0], listed[2]]
    vain = {**each, "decision": "refused", "amount": "5.00"}
    kept = here.client("office").post("/v1/years/2026/decisions", json=vain)
    assert (kept.status_code, kept.json()["code"], kept.json()["args"]["field"]) == (422, "SV04", "amount")
    nobodys = put(here, "decisions", "decisions.csv", text.replace("H1", "H9"))
    assert (nobodys.status_code, [item["code"] for item in nobodys.json()["problems"]]) == (422, ["SV47"])


def test_a_locked_clearing_is_taken_back_only_by_a_settlement_that_names_it(here: SmallService, city: City) -> None:
    name = cleared(here, city)
    office = here.client("office")
    decided = {"hospital_id": "H1", "case_id": "C24", "decision": "by_item", "reason": WHY}
    told_one = office.post("/v1/years/2026/decisions", json=decided).json()["problems"]
    assert [(item["code"], item["value"]) for item in told_one if item["code"] != "SV49"] == [("SV79", name)]
    whole = office.get("/v1/documents/decisions/decisions.csv").content
    told_all = office.put("/v1/documents/decisions/decisions.csv", content=whole).json()["problems"]
    assert told_one[-1] in told_all
    for given in ({}, {"reopen": "漏报"}, {"supersedes": name}, {"reopen": "漏报", "supersedes": "run_00"}):
        answer = office.post("/v1/settlements", json={"month": "2026-02", **given})
        assert (answer.status_code, answer.json()["code"]) == (409, "SV56"), given
        assert name in answer.json()["problems"][0]["fix"]
    assert office.get(f"/v1/runs/{name}").json()["state"] == "locked"
    asked = {"month": "2026-02", "reopen": "漏报", "supersedes": name, "reason": "漏报", "close": False}
    first = job(here, "/v1/settlements", **asked)
    assert (first["state"], job(here, "/v1/settlements", **asked)["id"]) == ("done", first["id"])
    lines = parts(city.months[1])["H1"].splitlines(keepends=True)
    late = {"params": {"month": "2026-02", "reason": "漏报"}, "content": b"".join(lines[:2])}
    assert here.client("H1").post("/v1/submissions", **late).status_code == 202
    here.work()
    last = job(here, "/v1/settlements", **asked)
    assert last["result"]["run"] not in {None, first["result"]["run"]}
    assert job(here, "/v1/settlements", **asked)["id"] == last["id"], "the last one asked for so, not the first"
    hand_in(here, city.months[1])
    assert job(here, "/v1/settlements", month="2026-02")["state"] == "done"
    run = office.get(f"/v1/runs/{name}").json()
    assert (run["state"], run["state_text"]) == ("reopened", "已重新打开，待重新清算")
    entries = office.get("/v1/audit", params={"action": "run.reopened"}).json()["items"]
    assert [(item["object"], item["details"]["reason"]) for item in entries] == [(name, "漏报")]
    plain = office.post("/v1/clearings", json={"year": 2026})
    assert (plain.status_code, plain.json()["code"]) == (409, "SV52")
    again = job(here, "/v1/clearings", year=2026, supersedes=name)["result"]["run"]
    assert job(here, f"/v1/clearings/{again}/approve", **ANYWAY)["state"] == "done"
    states = {item["id"]: item["state"] for item in office.get("/v1/runs", params={"kind": "clear"}).json()["items"]}
    assert states == {name: "superseded", again: "locked"}


def test_what_a_clumsy_office_asks_is_refused_at_once(here: SmallService, city: City) -> None:
    office = here.client("office")

    def code(path: str, **asked: Any) -> tuple[int, str]:
        answer = office.post(path, json=asked)
        return answer.status_code, answer.json().get("code", "")

    assert code("/v1/clearings", year=2026) == (404, "SV03")
    documents(here, city)
    assert code("/v1/settlements", month="2026-01") == (409, "SV46"), "nothing was handed in"
    hand_in(here, city.months[0])
    hand_in(here, city.months[1])
    assert code("/v1/settlements", month="2026-02") == (409, "SV93"), "January's cases wait"
    assert job(here, "/v1/settlements", month="2026-02", reason="一并结算")["state"] == "done"
    assert code("/v1/settlements", month="2026-02") == (409, "ST10"), "closed"
    assert code("/v1/settlements", month="2026-01") == (409, "ST10"), "out of order"
    assert code("/v1/clearings", year=2026, supersedes="run_00") == (409, "SV53")
    draft = job(here, "/v1/clearings", year=2026)["result"]["run"]
    assert code(f"/v1/clearings/{draft}/approve") == (409, "SV55"), "nobody has confirmed"
    for name in HOSPITALS:
        said = {"state": "disputed", "comment": "少算"} if name == "H2" else {"state": "confirmed"}
        assert here.client(name).post(f"/v1/clearings/{draft}/answer", json=said).status_code == 200
    assert code(f"/v1/clearings/{draft}/approve") == (409, "SV54"), "disputed"
    assert code(f"/v1/clearings/{draft}/approve", anyway=True) == (409, "SV54"), "no reason"
    assert job(here, f"/v1/clearings/{draft}/approve", **ANYWAY)["state"] == "done"
    assert code(f"/v1/clearings/{draft}/approve", **ANYWAY) == (409, "SV73"), "twice"
    assert code("/v1/clearings", year=2026) == (409, "SV52"), "twice"


def test_lists_are_asked_for_page_by_page(here: SmallService, city: City) -> None:
    documents(here, city)
    hand_in(here, city.months[0])
    job(here, "/v1/settlements", month="2026-01")
    for _ in range(3):
        job(here, "/v1/budgets", year=2026)
    office = here.client("office")
    for path in ("runs", "jobs", "documents", "submissions", "problems", "policies", "columns", "audit", "reforms"):
        whole = office.get(f"/v1/{path}", params={"limit": 1000}).json()["items"]
        pages, after = [], ""
        while True:
            page = office.get(f"/v1/{path}", params={"limit": 2, **({"after": after} if after else {})}).json()
            pages += page["items"]
            if page["next"] is None or len(pages) > 12:
                break
            after = page["next"]
        assert pages == whole[: len(pages)], path
        assert len(whole) > 2, path
    assert "summary" not in office.get("/v1/runs").json()["items"][0]


def test_a_year_file_names_no_file_elsewhere(lite: SmallService, city: City) -> None:
    office = lite.client("office")
    (lite.service.settings.data / "secret.csv").write_text("case_id,decision\nC1,by_item\n", encoding="utf-8")
    text = city.year_file.read_text(encoding="utf-8").replace("decisions.csv", "../../secret.csv")
    answer = office.put("/v1/documents/year_file/2026.toml", content=text.encode())
    assert answer.status_code == 422
    assert "C1" not in answer.text
    assert office.post("/v1/budgets", json={"year": 2026}).json()["code"] == "SV03"


def test_what_is_in_force_can_be_looked_at_and_fetched(lite: SmallService) -> None:
    policy = lite.client("policy")
    assert policy.get("/v1/policies/current").json()["id"] == POLICY
    assert policy.get("/v1/schemes/current/check").json() == policy.get("/v1/schemes/chs-drg-1.1/check").json()
    packed = policy.get("/v1/schemes/current/pack")
    assert packed.headers["content-type"] == "application/zip"
    before = lite.client("office").get("/v1/schemes/current").json()
    assert put(lite, "scheme", "again.zip", packed.content).status_code == 200
    assert lite.client("office").get("/v1/schemes/current").json()["scheme_sha256"] == before["scheme_sha256"]
    template = policy.get("/v1/reform-template").content
    assert policy.put("/v1/reforms/mine.toml", content=template).json()["version"] == 1
    assert policy.get("/v1/reforms/mine.toml").content == template
    assert b'id = "synthetic-identity"' in policy.get("/v1/reforms/synthetic-identity").content
    none = policy.get("/v1/reforms/nothing")
    assert (none.status_code, none.json()["code"]) == (404, "SV03")
