"""The office's and policy staff's work over the service: the results are the commands' own, and everyone sees what is
theirs."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from fastapi.testclient import TestClient
from small_service import SmallService, service_over
from test_year import POLICY, documents, hand_in, job
from typer.testing import CliRunner

from api.cli.main import app
from tests.unit.clearing_city import HOSPITALS, City

SPEND = """hospital_id,insurance,year,spend
H1,职工,2024,120000.00
H1,职工,2025,240000.00
H2,职工,2024,60000
H2,职工,2025,60000
"""
WHY = "经办会议"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.long)])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallService]:
    with service_over(tmp_path, request.param, tuple(HOSPITALS), policy=POLICY) as made:
        yield made


def settled(here: SmallService, city: City, months: int) -> list[dict[str, Any]]:
    """So many months handed in and settled; their runs."""
    documents(here, city)
    return [settle(here, month) for month in city.months[:months]]


def settle(here: SmallService, month: Path) -> dict[str, Any]:
    hand_in(here, month)
    return run_of(here, job(here, "/v1/settlements", month=month.stem))


def run_of(here: SmallService, done: dict[str, Any], who: str = "office") -> dict[str, Any]:
    assert done["state"] == "done", done
    found: dict[str, Any] = here.client(who).get(f"/v1/runs/{done['result']['run']}").json()
    return found


def file(here: SmallService, run: dict[str, Any], name: str, who: str = "office") -> bytes:
    answer = here.client(who).get(f"/v1/runs/{run['id']}/files/{name}")
    assert answer.status_code == 200, answer.text
    return answer.content


def put(client: TestClient, kind: str, name: str, data: bytes) -> None:
    answer = client.put(f"/v1/documents/{kind}/{name}", content=data)
    assert answer.status_code == 200, answer.text


def command(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code in {0, 1}, done.output


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def texts(workbook: bytes) -> list[str]:
    """The texts of a workbook's cells."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as packed:
        return re.findall(r"<t[^>]*>([^<]*)</t>", packed.read("xl/sharedStrings.xml").decode())


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def test_a_budget_is_the_command_s(here: SmallService, city: City, tmp_path: Path) -> None:
    documents(here, city)
    office = here.client("office")
    for month in city.months[:2]:
        put(office, "cases", month.name, month.read_bytes())
    run = run_of(here, job(here, "/v1/budgets", year=2026, cases=[month.name for month in city.months[:2]]))
    names = [part for month in city.months[:2] for part in ("--cases", month)]
    out = tmp_path / "budget"
    command(
        "budget", "--policy", POLICY, "--year-file", city.year_file, *names, "--hospitals", city.register, "-o", out
    )
    assert file(here, run, "budget.csv") == (out / "budget.csv").read_bytes()
    theirs = orjson.loads((out / "budget.json").read_bytes())
    assert [value["value"] for value in run["summary"]["values"]] == [value["value"] for value in theirs["values"]]
    assert len(theirs["values"]) == 2
    assert code(office.post("/v1/budgets", json={"year": 2027})) == (404, "SV03")
    assert code(office.post("/v1/budgets", json={"year": 2026, "cases": ["none.csv"]})) == (404, "SV03")
    assert here.client("H1").post("/v1/budgets", json={"year": 2026}).status_code == 403


def test_advances_are_paid_once(here: SmallService) -> None:
    """A month of the mean spend: H1 (120000 + 240000) / 24, H2 (60000 + 60000) / 24."""
    office = here.client("office")
    put(office, "spend", "spend.csv", SPEND.encode())
    asked: dict[str, Any] = {"month": "2026-01", "spend": "spend.csv", "balances": {"职工": "15.2"}}
    run = run_of(here, job(here, "/v1/advances", **asked))
    assert rows(file(here, run, "advances.csv")) == [
        {"insurance": "职工", "pool": "职工", "hospital": "H1", "advance": "15000.00"},
        {"insurance": "职工", "pool": "职工", "hospital": "H2", "advance": "5000.00"},
    ]
    assert job(here, "/v1/advances", **asked)["result"] == {"run": run["id"], "repeated": True}
    listed = office.get("/v1/runs", params={"kind": "advance"}).json()["items"]
    assert [item["id"] for item in listed] == [run["id"]]
    book = office.get("/v1/books/2026").json()
    assert [month["advance"] for month in book["months"]] == ["20000.00"]
    assert office.get("/v1/books/2026/check").json()["sound"]
    for field, given in (("balances", {"离休": "9"}), ("deficits", ["离休"])):
        refused = office.post("/v1/advances", json=asked | {field: given})
        assert (code(refused), refused.json()["args"]["field"]) == ((422, "SV04"), field)
    assert office.get("/v1/books").json()["items"] == [2026]
    none = office.get("/v1/books/2025")
    assert code(none) == (404, "SV03")
    assert "POST /v1/settlements" in none.json()["problems"][0]["fix"]


def test_indicators_and_the_page_of_a_year(lite: SmallService, city: City, tmp_path: Path) -> None:
    settled(lite, city, 2)
    run = run_of(lite, job(lite, "/v1/indicators", year=2026))
    out = tmp_path / "indicators.csv"
    command("indicators", "--book", lite.service.books / "2026", "-o", out)
    assert rows(file(lite, run, "indicators.csv")) == rows(out.read_bytes())
    assert run["summary"]["region"]["cases"]["value"] == 48
    put(lite.client("office"), "cases", "2026-03.csv", city.months[2].read_bytes())
    plain = run_of(lite, job(lite, "/v1/indicators", year=2026, cases=["2026-03.csv"], priced=False))
    assert plain["summary"]["region"]["cases"]["value"] == 24
    draft = run_of(lite, job(lite, "/v1/clearings", year=2026))
    page = run_of(lite, job(lite, "/v1/reports", year=2026, clearing=draft["id"], title="二〇二六年"))
    assert page["summary"]["totals"]["cases"] == 48
    assert "二〇二六年" in file(lite, page, "report.html").decode()
    wrong = lite.client("office").post("/v1/reports", json={"year": 2026, "clearing": page["id"]})
    assert code(wrong) == (404, "SV03")


def test_hospitals_have_their_own_monthly_statement(here: SmallService, city: City) -> None:
    (run,) = settled(here, city, 1)
    client = here.client("H1")
    own = client.get(f"/v1/runs/{run['id']}").json()
    assert own["files"] == [f"statements/H1.{ending}" for ending in ("html", "json", "xlsx")]
    statement = orjson.loads(file(here, run, "statements/H1.json", "H1"))
    whole = rows(file(here, run, "statement.csv"))
    theirs = {row["基金池"]: row["本期拨付"] for row in whole if row["医疗机构编码"] == "H1"}
    assert {pool["pool"]: pool["paid"] for pool in statement["pools"]} == theirs
    assert {row["hospital"] for row in own["summary"]["statement"]} == {"H1"}
    for name in ("statements/H2.json", "statement.csv", "postings.csv"):
        assert client.get(f"/v1/runs/{run['id']}/files/{name}").status_code == 404
    page = file(here, run, "statements/H2.html").decode()
    assert ("H2 医院 2026-01 月度医保结算单" in page, "H1" in page) == (True, False)


def deductions(here: SmallService) -> dict[tuple[str, str], Decimal]:
    """What a draft deducts, by hospital and pool."""
    draft = run_of(here, job(here, "/v1/clearings", year=2026))
    return {(row["hospital"], row["pool"]): Decimal(row["deductions"]) for row in draft["summary"]["statement"]}


def test_figures_of_the_year_file_are_edited_row_by_row(here: SmallService, city: City) -> None:
    settled(here, city, 1)
    office = here.client("office")
    high = office.post("/v1/years/2026/scores", json={"scores": {"H1": "196.5"}, "reason": WHY})
    assert code(high) == (422, "CL63"), "above the full score of 100"
    assert (high.json()["args"]["value"], high.json()["args"]["full"]) == ("196.5", "100")
    again = office.put(
        "/v1/documents/year_file/2026.toml", content=city.year_file.read_bytes().replace(b'"96"', b'"196"')
    )
    assert code(again) == (422, "CL63"), "by file as by row"
    given = {"scores": {"H1": "71.5", "H7": "90", "H8": "90"}, "reason": WHY}
    strange = office.post("/v1/years/2026/scores", json=given)
    assert (strange.status_code, [item["value"] for item in strange.json()["problems"]]) == (422, ["H7", "H8"])
    put(office, "hospitals", "hospitals.csv", city.register.read_bytes() + "H7,H7 医院,一级\n".encode())
    changed = office.post("/v1/years/2026/scores", json={"scores": {"H1": "71.5", "H7": "90"}, "reason": WHY}).json()
    assert (changed["version"], changed["reason"]) == (2, WHY)
    before = deductions(here)
    fine = {"hospital": "H1", "insurance": "职工", "amount": "50.25", "what": "串换项目", "reason": WHY}
    key = {"Idempotency-Key": "audit 7"}
    for _ in range(2):
        assert office.post("/v1/years/2026/violations", json=fine, headers=key).json()["version"] == 3
    other = office.post("/v1/years/2026/violations", json=fine | {"amount": "1.00"}, headers=key)
    assert code(other) == (409, "SV08")
    shown = office.get("/v1/years/2026").json()
    assert [(row["id"], row["score"]) for row in shown["figures"]["hospital"]] == [
        ("H1", "71.5"), ("H2", "88"), ("H3", "61"), ("H7", "90"),
    ]  # fmt: skip
    assert [row["amount"] for row in shown["figures"]["violation"]] == ["123.45", "50.25"]
    assert shown["figures"]["fund"][0]["income"] == "2200000.00"
    after = deductions(here)
    changed_by = {key: after[key] - amount for key, amount in before.items() if after[key] != amount}
    assert changed_by == {("H1", "职工"): Decimal("50.25")}
    stale = office.post("/v1/years/2026/violations/0/withdraw", json={"version": 2, "reason": WHY})
    assert code(stale) == (409, "SV74")
    assert office.post("/v1/years/2026/violations/0/withdraw", json={"version": 3, "reason": WHY}).status_code == 200
    assert [row["amount"] for row in office.get("/v1/years/2026").json()["figures"]["violation"]] == ["50.25"]
    added = {"version": 4, "rows": [{"insurance": "居民", "amount": "1000.00", "reason": "追加"}], "reason": WHY}
    assert office.put("/v1/years/2026/tables/adjustment", json=added).json()["version"] == 5
    assert code(office.put("/v1/years/2026/tables/nothing", json=added | {"version": 5})) == (404, "SV03")
    assert office.post("/v1/years/2026/violations", json=fine | {"hospital": "H9"}).status_code == 422
    assert office.post("/v1/years/2026/violations", json=fine | {"reason": ""}).status_code == 422
    assert office.get("/v1/years/2026").json()["document"]["version"] == 5
    assert here.client("H1").get("/v1/years/2026").status_code == 403


def test_a_decision_is_applied_once_beside_the_quota(here: SmallService, city: City) -> None:
    """C24 is a case of H1 in January; 5 % of eight discharges leave no place, of forty two."""
    settled(here, city, 1)
    office = here.client("office")
    before = office.get("/v1/years/2026/decisions").json()
    assert [row["case_id"] for row in before["items"]] == ["C30", "C31", "C100"]
    asked = {"hospital_id": "H1", "case_id": "C24", "decision": "by_item", "reason": WHY}
    after = office.post("/v1/years/2026/decisions", json=asked).json()
    assert [row["case_id"] for row in after["items"]] == ["C30", "C31", "C100", "C24"]
    quota = {"hospital_id": "H1", "discharges": 8, "quota": 0, "accepted": 2, "over": 2, "unknown": 0}
    assert after["quotas"][0] == quota
    assert [(item["code"], item["args"]["over"]) for item in after["problems"]] == [("SV49", 2)]
    strange = office.post("/v1/years/2026/decisions", json=asked | {"hospital_id": "H9"})
    assert code(strange) == (422, "SV47")
    nobodys = office.post("/v1/years/2026/decisions", json=asked | {"case_id": "NOPE", "decision": ""}).json()
    assert [(item["code"], item["case_id"]) for item in nobodys["problems"]] == [("SV48", "NOPE"), ("SV49", "")]
    assert (nobodys["quotas"][0]["accepted"], nobodys["quotas"][0]["unknown"]) == (2, 1)
    assert office.post("/v1/years/2026/decisions", json=asked | {"case_id": "NOPE", "decision": "refused"}).is_success
    runs = [settle(here, month) for month in city.months[1:5]]
    assert [run["summary"]["totals"]["changed"] for run in runs] == [1, 0, 0, 0]
    (change,) = rows(file(here, runs[0], "corrections.csv"))
    assert (change["病例编号"], change["处理"], change["原因"]) == ("C24", "特例单议", WHY)
    assert [run["summary"]["decisions_waiting"] for run in runs] == [2, 2, 1, 1]
    later = office.get("/v1/years/2026/decisions").json()["quotas"]
    assert later[0] == quota | {"discharges": 40, "quota": 2, "over": 0}
    for wrong, field in (({"decision": "also"}, "decision"), ({"decision": "adjusted", "amount": ""}, "amount")):
        refused = office.post("/v1/years/2026/decisions", json=asked | wrong)
        assert (code(refused), refused.json()["args"]["field"]) == ((422, "SV04"), field), "no line of a list"
    assert here.client("H1").get("/v1/years/2026/decisions").status_code == 403


def test_a_simulation_over_submissions_is_the_command_s(here: SmallService, city: City, tmp_path: Path) -> None:
    settled(here, city, 2)
    policy = here.client("policy")
    reform = "synthetic-high-limit"
    answer = policy.post("/v1/simulations", json={"reforms": [reform], "submitted": 2026, "decisions": "decisions.csv"})
    assert answer.status_code == 202, answer.text
    here.work()
    run = run_of(here, policy.get(f"/v1/jobs/{answer.json()['id']}").json(), "policy")
    out = tmp_path / "simulation"
    command(
        "simulate", *city.months[:2], "--policy", POLICY, "--reform", reform, "--hospitals", city.register,
        "--decisions", city.decisions, "-o", out,
    )  # fmt: skip
    for name in ("gain", "winners", "steps"):
        theirs = pl.read_parquet(out / "tables" / f"{name}.parquet")
        assert pl.read_parquet(file(here, run, f"tables/{name}.parquet", "policy")).equals(theirs), name
    assert "problems.csv" not in run["files"]
    assert policy.get(f"/v1/runs/{run['id']}/files/problems.csv").status_code == 404
    assert file(here, run, "problems.csv")
    assert {item["kind"] for item in policy.get("/v1/runs").json()["items"]} == {"simulate"}
    assert {item["kind"] for item in policy.get("/v1/jobs").json()["items"]} == {"simulate"}
    assert here.client("H1").get(f"/v1/runs/{run['id']}").status_code == 404


def test_corrected_and_withdrawn_cases_are_simulated_as_they_hold(lite: SmallService, city: City) -> None:
    """Of January's 24 cases one is corrected and one is withdrawn after the month is closed."""
    settled(lite, city, 1)
    header, *lines = city.months[0].read_text(encoding="utf-8").splitlines(keepends=True)
    first, second, *_ = [line for line in lines if line.split(",")[1] == "H1"]
    dearer = first.split(",")
    dearer[header.split(",").index("total_cost")] = "29999.00"
    client = lite.client("H1")
    for kind, body in (
        ("correction", header + ",".join(dearer)),
        ("withdrawal", f"hospital_id,case_id,reason\nH1,{second.split(',')[0]},重复\n"),
    ):
        query = {"month": "2026-01", "kind": kind, "reason": "更正"}
        assert client.post("/v1/submissions", params=query, content=body.encode()).status_code == 202
    lite.work()
    run = run_of(lite, job(lite, "/v1/simulations", reforms=["synthetic-identity"], submitted=2026))
    assert run["summary"]["cases"] == 23
    winner = {row["hospital"]: row for row in run["summary"]["winners"]}["H1"]
    gain = pl.read_parquet(file(lite, run, "tables/gain.parquet"))
    cost = gain.filter((pl.col("dimension") == "hospital") & (pl.col("key") == "H1"))["cost_fen"].item()
    costs = [float(line.split(",")[header.split(",").index("total_cost")]) for line in lines if ",H1," in line]
    wanted = sum(round(value * 100) for value in [*costs[2:], 29999.00])
    assert (winner["cases"], cost) == (7, wanted)


def test_weights_are_the_command_s(lite: SmallService, city: City, tmp_path: Path) -> None:
    policy, office = lite.client("policy"), lite.client("office")
    months = city.months[:3]
    for month in months:
        put(office, "cases", month.name, month.read_bytes())
    asked = {"cases": [month.name for month in months], "year_weights": ["1"], "min_cases": 3, "cv": "0.8"}
    answer = policy.post("/v1/weights", json=asked)
    lite.work()
    run = run_of(lite, policy.get(f"/v1/jobs/{answer.json()['id']}").json(), "policy")
    out = tmp_path / "weights.csv"
    command("weights", *months, "-o", out, "--year-weights", "1", "--min-cases", 3, "--cv", "0.8")
    assert rows(file(lite, run, "weights.csv", "policy")) == rows(out.read_bytes())
    for wrong in ({"trim": "often"}, {"method": "benchmark"}, {"quota": "10"}, {"cv": "0"}, {"years": [2025, 2026]}):
        assert code(policy.post("/v1/weights", json=asked | wrong)) == (422, "SV04"), wrong
    assert code(policy.post("/v1/weights", json=asked | {"scheme": "../../x"})) == (404, "SV03")


def test_reforms_are_checked_when_they_are_put(lite: SmallService) -> None:
    policy = lite.client("policy")
    head = 'id = "r"\nname = "试验"\ndata_level = "synthetic"\nstatement = "试验"\n'
    assert policy.put("/v1/reforms/r.toml", content=head.encode()).json()["version"] == 1
    broken = policy.put("/v1/reforms/r.toml", content=b"id =")
    assert code(broken) == (422, "RF02")
    outside = policy.put("/v1/reforms/r.toml", content=f'{head}[switch]\npolicy = "../p.toml"\n'.encode())
    assert outside.status_code == 422
    shown = {item["name"]: item for item in policy.get("/v1/reforms").json()["items"]}
    assert (shown["r.toml"]["version"], shown["synthetic-identity"]["built_in"]) == (1, True)
    none = policy.post("/v1/simulations", json={"reforms": ["r.toml"]})
    assert code(none) == (422, "SV04")
    assert code(policy.post("/v1/simulations", json={"reforms": ["x"], "submitted": 2026})) == (404, "SV03")
    assert policy.post("/v1/budgets", json={"year": 2026}).status_code == 403
    assert lite.client("H1").put("/v1/reforms/r.toml", content=head.encode()).status_code == 403


def test_policies_and_schemes_are_checked(lite: SmallService) -> None:
    policy = lite.client("policy")
    blank = policy.get("/v1/policy-templates/dip")
    assert blank.status_code == 200
    assert 'method = "dip"' in blank.text
    text = (Path(__file__).parents[2] / "reference_tables/policies/synthetic-city-dip.toml").read_bytes()
    checked = policy.post("/v1/policies/check", content=text).json()
    assert (checked["id"], checked["commands"]["pay"]["can_run"]) == ("synthetic-city-dip", True)
    broken = policy.post("/v1/policies/check", content=text + b'\n[[set]]\nkey = "nothing"\nvalue = "1"\n')
    assert broken.status_code == 422
    outside = policy.post("/v1/policies/check", content=b'weights = "../w.csv"\n' + text)
    assert code(outside) == (422, "SV04")
    name = "chs-drg-1.1"
    assert policy.get(f"/v1/schemes/{name}/check").json()["usable"]
    shown = lite.client("H1").get(f"/v1/schemes/{name}/codes/GZ13").json()
    assert "GZ13" in str(shown)
    same = policy.get(f"/v1/schemes/{name}/diff/{name}").json()
    assert same["changes_grouping"] is False
    assert code(policy.get(f"/v1/schemes/{name}/codes/nothing")) == (404, "SV03")
    assert code(policy.get("/v1/schemes/nothing/check")) == (404, "SV03")


def test_the_audit_is_read_page_by_page(here: SmallService, city: City) -> None:
    documents(here, city)
    office = here.client("office")
    first = office.get("/v1/audit", params={"limit": 4}).json()
    second = office.get("/v1/audit", params={"limit": 100, "after": first["next"]}).json()
    numbers = [item["seq"] for item in first["items"] + second["items"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert second["next"] is None
    chosen = office.get("/v1/audit", params={"action": "document.put"}).json()["items"]
    assert [item["object"] for item in chosen] == [
        "hospitals/hospitals.csv", "decisions/decisions.csv", "year_file/2026.toml",
    ]  # fmt: skip
    assert chosen[0]["details"]["version"] == 1
    assert office.get("/v1/audit/verify").json() == {"entries": len(numbers), "broken": None, "why": ""}
    for name in ("H1", "policy"):
        assert here.client(name).get("/v1/audit").status_code == 403
